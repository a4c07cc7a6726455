/*
 * salvage.c: a store made from what is left of another, and its taking that one's place; see driver.h.
 *
 *   DATA/volumes --links--> DATA/salvage/volumes, /index --(repaired)--> DATA/volumes, /index
 *        \-----------------------------------------------------------> DATA/damaged-N
 *
 * Until the end nothing of DATA changes. Then the old index goes, the old volumes, the new volumes come, the new index:
 * where that is interrupted there are no volumes, which the daemon refuses, or no index, which it makes from the
 * checkpoint that was made last. [init]
 */
#include "base/config.h"
#include "base/log.h"
#include "drivers/embedded/salvage_int.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOTE_BYTES 512
#define KEPT_MOST 10000

void
salvage_note(struct salvage *s, const char *name, const char *format, ...)
{
	char text[NOTE_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	s->told(s->told_data, name, text);
}

enum rfs_err
salvage_fail(struct salvage *s, enum rfs_err err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(s->error, ERROR_BYTES, format, args);
	va_end(args);
	return err;
}

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
	return remove(path);
}

static char *
path_of(const char *directory, const char *name, char out[4096])
{
	snprintf(out, 4096, "%s/%s", directory, name);
	return out;
}

/* A name that need not be there. */
static enum rfs_err
move(struct salvage *s, const char *from_directory, const char *name, const char *to_directory)
{
	char from[4096], to[4096];

	if (rename(path_of(from_directory, name, from), path_of(to_directory, name, to)) == 0 || errno == ENOENT)
		return RFS_OK;
	return salvage_fail(s, error_from_errno(errno), "rename %s to %s: %s", from, to, strerror(errno));
}

static enum rfs_err
put_in_place(struct salvage *s)
{
	char path[4096];
	enum rfs_err err;

	if ((err = move(s, s->made, "volumes", s->data)) || (err = move(s, s->made, "index", s->data)) ||
		(err = sync_directory(s->data)))
		return err;
	nftw(s->made, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return access(path_of(s->data, "volumes", path), F_OK) == 0 ? RFS_OK : RFS_ERR_NOT_FOUND;
}

/* The directory of what is replaced. */
static enum rfs_err
make_kept(struct salvage *s, char *kept)
{
	for (unsigned n = 1; n < KEPT_MOST; n++) {
		snprintf(kept, 4096, "%s/damaged-%u", s->data, n);
		if (mkdir(kept, 0700) == 0)
			return sync_directory(s->data);
		if (errno != EEXIST)
			break;
	}
	return salvage_fail(s, error_from_errno(errno), "make %s: %s", kept, strerror(errno));
}

/* The store's lock, whatever else its directory holds. */
static enum rfs_err
lock_damaged(struct salvage *s)
{
	char path[4096];
	struct stat st;

	if (stat(path_of(s->data, "volumes", path), &st) != 0 && stat(path_of(s->made, "volumes", path), &st) != 0)
		return salvage_fail(s, RFS_ERR_NOT_FOUND, "%s is not a store: it has no directory `volumes`", s->data);
	return store_lock(s->data, &s->lock_fd, s->error);
}

/* An earlier salvage may have been interrupted: at its end, which is then made up for, or before. */
static enum rfs_err
clean_up(struct salvage *s)
{
	char path[4096];

	if (access(path_of(s->data, "volumes", path), F_OK) != 0)
		return put_in_place(s);
	nftw(s->made, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return RFS_OK;
}

static enum rfs_err
make_directories(struct salvage *s)
{
	char path[4096];

	if (mkdir(s->made, 0700) != 0 || mkdir(path_of(s->made, "volumes", path), 0700) != 0)
		return salvage_fail(s, error_from_errno(errno), "make %s: %s", s->made, strerror(errno));
	return RFS_OK;
}

static void
salvage_free(struct salvage *s)
{
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	free(s->files);
	free(s->data);
	free(s->made);
	free(s);
}

enum rfs_err
salvage_begin(const struct config *config, const char *store, salvage_told *told, void *data, struct salvage **out,
	struct store_drivers *drivers, char *error)
{
	struct salvage *s = xcalloc(1, sizeof(*s));
	char path[4096];
	enum rfs_err err;

	error[0] = 0;
	s->data = xstrdup(config->data);
	s->made = xstrdup(path_of(config->data, "salvage", path));
	s->lock_fd = -1;
	s->wanted = store;
	s->told = told;
	s->told_data = data;
	s->error = error;
	s->config = *config;
	s->config.data = s->made;
	if (!(err = lock_damaged(s)) && !(err = clean_up(s))) {
		if (!(err = make_directories(s)) && !(err = salvage_files(s)) && !(err = salvage_rows(s)))
			err = embedded_open_unsealed(&s->config, &s->drivers, error);
		if (err)
			nftw(s->made, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	}
	if (err) {
		if (error[0] == 0)
			(void)salvage_fail(s, err, "salvage %s: %s", s->data, error_face(err)->text);
		salvage_free(s);
		return err;
	}
	*out = s;
	*drivers = s->drivers;
	return RFS_OK;
}

static enum rfs_err
replace_store(struct salvage *s, char *kept)
{
	enum rfs_err err;

	if ((err = make_kept(s, kept)) || (err = move(s, s->data, "index", kept)) ||
		(err = move(s, s->data, INDEX_DAMAGE_MARK, kept)) || (err = sync_directory(s->data)) ||
		(err = move(s, s->data, "volumes", kept)) || (err = sync_directory(kept)))
		return err;
	return put_in_place(s);
}

enum rfs_err
salvage_end(struct salvage *s, bool keep, char *kept, char *error)
{
	struct request rq = {.arena = arena_new(4096), .door = "salvage", .may_block = true};
	struct metadata_driver *d = s->drivers.metadata;
	struct checkpoint_info made;
	enum rfs_err err = RFS_OK;

	error[0] = kept[0] = 0;
	s->error = error;
	if (keep && (err = d->ops->checkpoint(d, &rq, NULL, NULL, &made)))
		(void)salvage_fail(s, err, "make a checkpoint: %s", error_face(err)->text);
	d->ops->close(d);
	if (!err && keep)
		err = replace_store(s, kept);
	else
		nftw(s->made, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	if (err && error[0] == 0)
		(void)salvage_fail(s, err, "put what was salvaged in place: %s", error_face(err)->text);
	arena_free(rq.arena);
	salvage_free(s);
	return err;
}
