/*
 * ephemeral.c: `restfsd --ephemeral`: a store for a test, in a directory of its own that goes with the process. [init]
 *
 * The directory is in memory where there is room for it, and nothing in it is synced. It is locked (flock) for as
 * long as the process lives; whoever gets the lock of such a directory finds one whose process was killed, and removes
 * it. That holds also where several containers share a directory of temporary files, which process ids do not.
 */
#include "daemon/daemon.h"
#include "base/log.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define MEMORY "/dev/shm"
#define MEMORY_LEAST ((uint64_t)1 << 30) /* containers often have 64 MiB there, which a few uploads fill */
#define PREFIX "restfs-ephemeral-"
#define UNIQUE "XXXXXX" /* mkdtemp's */
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
#define DIRECTORIES_OPEN 16
#define ATTEMPTS 100

static bool
memory_is_there(void)
{
	struct statfs fs;

	return statfs(MEMORY, &fs) == 0 && fs.f_type == TMPFS_MAGIC && access(MEMORY, W_OK) == 0 &&
	       (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize >= MEMORY_LEAST;
}

static const char *
parent_choose(const char *given)
{
	const char *temporary = getenv("TMPDIR");

	if (given[0])
		return given;
	if (memory_is_there())
		return MEMORY;
	return temporary && temporary[0] ? temporary : "/tmp";
}

/* A directory of ours, open and locked; -1: somebody else's, in use, or gone. */
static int
lock_directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -1;
	/* Links: one that was removed between its opening and its lock has none. */
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0 && st.st_uid == geteuid() && st.st_nlink > 0)
		return fd;
	close(fd);
	return -1;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	(void)st;
	(void)type;
	(void)walk;
	return remove(path) == 0 || errno == ENOENT ? 0 : -1;
}

static void
remove_tree(const char *path)
{
	if (nftw(path, remove_one, DIRECTORIES_OPEN, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0)
		log_warn(0, "remove the temporary store %s: %s", path, strerror(errno));
}

/* As mkdtemp has named it: "restfs-ephemeral-saved-today" is somebody's copy. */
static bool
name_is_made_here(const char *name)
{
	size_t len = strlen(PREFIX);

	return strncmp(name, PREFIX, len) == 0 && strlen(name + len) == strlen(UNIQUE) &&
	       strspn(name + len, LETTERS) == strlen(UNIQUE);
}

/* What killed processes have left. */
static void
remove_leftovers(const char *parent)
{
	DIR *d = opendir(parent);
	char path[PATH_MAX];
	struct dirent *entry;
	int fd;

	while (d && (entry = readdir(d))) {
		if (!name_is_made_here(entry->d_name) ||
			snprintf(path, sizeof(path), "%s/%s", parent, entry->d_name) >= (int)sizeof(path))
			continue;
		fd = lock_directory(path);
		if (fd < 0)
			continue;
		log_info(0, "removing %s, whose process was killed", path);
		remove_tree(path);
		close(fd);
	}
	if (d)
		closedir(d);
}

bool
ephemeral_defaults(struct config *config, char *error)
{
	/* None, which no file can say. */
	config->data[0] = '\0';
	return config_set(config, "journal.sync", "false", error) &&
	       config_set(config, "s3.listen", "127.0.0.1:0", error) &&
	       config_set(config, "admin.listen", "127.0.0.1:0", error);
}

/* Another process that starts may find the directory before it is locked, and take it for a leftover: then with the
 * next name. */
bool
ephemeral_start(struct daemon *d)
{
	const char *parent = parent_choose(d->config.data);
	char path[PATH_MAX];

	remove_leftovers(parent);
	d->ephemeral = -1;
	for (int i = 0; i < ATTEMPTS && d->ephemeral < 0; i++) {
		if (snprintf(path, sizeof(path), "%s/" PREFIX UNIQUE, parent) >= (int)sizeof(path) || !mkdtemp(path)) {
			snprintf(d->error, sizeof(d->error), "make a temporary directory in %.300s: %s", parent,
				strerror(errno));
			return false;
		}
		d->ephemeral = lock_directory(path);
	}
	if (d->ephemeral < 0) {
		snprintf(d->error, sizeof(d->error), "lock %.300s: %s", path, strerror(errno));
		return false;
	}
	return config_set(&d->config, "data", path, d->error);
}

void
ephemeral_stop(struct daemon *d)
{
	remove_tree(d->config.data);
	close(d->ephemeral);
}
