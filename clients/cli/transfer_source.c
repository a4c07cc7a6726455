/* transfer_source.c: see transfer_source.h. */
#include "transfer_source.h"
#include "cli_interrupt.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 256
#define PATH_BYTES 4096
#define NAMES_BYTES 65536

/* A directory that is being read. */
struct level {
	DIR *dir;
	struct arena *arena;
	char **names; /* those of directories end in '/' */
	size_t count, next;
	size_t path_len; /* of the path to it */
};

struct source {
	struct transfer *transfer;
	bool has_holes;
	/* a directory */
	const char *root;
	enum source_links links;
	struct level levels[DEPTH_MAX];
	unsigned depth;
	char path[PATH_BYTES];
	/* a bucket */
	struct s3_conn *conn;
	struct s3_listing listing;
	struct arena *pages[2]; /* this page's, and that of the one before, whose last key is needed */
	struct s3_list_page page;
	size_t next;
	unsigned page_number;
	size_t prefix_len;
	const char *before; /* the key before */
};

/* --- a directory -------------------------------------------------------------------------------------------------- */

static int
name_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool
hole(struct source *s, const char *name, const char *what)
{
	s->has_holes = true;
	return report_failed(s->transfer, NULL, name, "%s: %s", what, strerror(errno));
}

/* A path as the user may write it; `name`: below the one at hand. */
static const char *
path_text(const struct source *s, const char *name)
{
	size_t len = strlen(s->root);

	return arena_printf(s->transfer->cli->arena, "%s%s%s%s", s->root, len > 0 && s->root[len - 1] == '/' ? "" : "/",
		s->path, name);
}

/* What it is: a file ("" behind its name), a directory ("/"); NULL: left out. */
static const char *
entry_kind(struct source *s, struct level *l, const struct dirent *d)
{
	unsigned char type = d->d_type;
	struct stat st;

	if (type == DT_UNKNOWN || (type == DT_LNK && s->links == LINKS_FOLLOWED)) {
		if (fstatat(dirfd(l->dir), d->d_name, &st, type == DT_LNK ? 0 : AT_SYMLINK_NOFOLLOW) != 0) {
			hole(s, path_text(s, d->d_name), "cannot be looked at");
			return NULL;
		}
		type = S_ISREG(st.st_mode)   ? DT_REG
		       : S_ISDIR(st.st_mode) ? DT_DIR
		       : S_ISLNK(st.st_mode) ? DT_LNK
					     : DT_FIFO;
	}
	if (type == DT_REG && !local_is_part(d->d_name))
		return "";
	if (type == DT_DIR)
		return "/";
	if (type == DT_REG && s->links == LINKS_OF_TARGET)
		return NULL;
	report_warning(s->transfer, path_text(s, d->d_name),
		type == DT_REG                ? "left out: it is of a download that did not end"
		: type != DT_LNK              ? "left out: it is no file"
		: s->links == LINKS_OF_TARGET ? "left out: it is a symbolic link"
					      : "left out: it is a symbolic link (--follow takes what it leads to)");
	return NULL;
}

static void
level_read(struct source *s, struct level *l)
{
	size_t capacity = 64;
	struct dirent *d;

	l->names = arena_alloc(l->arena, capacity * sizeof(*l->names));
	while ((d = readdir(l->dir))) {
		const char *kind;

		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0 || !(kind = entry_kind(s, l, d)))
			continue;
		if (l->count == capacity) {
			char **more = arena_alloc(l->arena, 2 * capacity * sizeof(*more));

			memcpy(more, l->names, capacity * sizeof(*more));
			l->names = more;
			capacity *= 2;
		}
		l->names[l->count++] = arena_printf(l->arena, "%s%s", d->d_name, kind);
	}
	qsort(l->names, l->count, sizeof(*l->names), name_compare);
}

/* A directory that is above itself, over a link. */
static bool
is_loop(const struct source *s, int fd)
{
	struct stat here, above;

	if (fstat(fd, &here) != 0)
		return false;
	for (unsigned i = 0; i < s->depth; i++)
		if (fstat(dirfd(s->levels[i].dir), &above) == 0 && above.st_dev == here.st_dev &&
			above.st_ino == here.st_ino)
			return true;
	return false;
}

/* Goes into the directory of `path`, below the level before it. */
static bool
level_push(struct source *s, const char *name)
{
	struct level *l = &s->levels[s->depth];
	int fd;

	if (s->depth == DEPTH_MAX) {
		errno = ELOOP;
		return hole(s, s->path, "cannot be read");
	}
	fd = s->depth == 0 ? open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
			   : openat(dirfd(s->levels[s->depth - 1].dir), name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && s->links == LINKS_FOLLOWED && is_loop(s, fd)) {
		close(fd);
		fd = -1;
		errno = ELOOP;
	}
	*l = (struct level){.dir = fd < 0 ? NULL : fdopendir(fd)};
	if (!l->dir)
		return hole(s, s->depth ? path_text(s, "") : s->root, "cannot be read");
	l->arena = arena_new(NAMES_BYTES);
	l->path_len = strlen(s->path);
	level_read(s, l);
	s->depth++;
	return true;
}

static void
level_pop(struct source *s)
{
	struct level *l = &s->levels[--s->depth];

	closedir(l->dir);
	arena_free(l->arena);
}

static bool
file_entry(struct source *s, const struct level *l, const char *name, struct entry *out)
{
	struct stat st;

	if (fstatat(dirfd(l->dir), name, &st, s->links == LINKS_FOLLOWED ? 0 : AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? false : hole(s, path_text(s, ""), "cannot be looked at");
	*out = (struct entry){.name = s->path,
		.size = (uint64_t)st.st_size,
		.mtime_ns = timespec_ns(&st.st_mtim),
		.change_ns = timespec_ns(&st.st_ctim),
		.etag = ""};
	if (!text_is_utf8(s->path)) {
		s->has_holes = true;
		return report_failed(
			s->transfer, NULL, path_text(s, ""), "its name is not UTF-8, as a key has to be; rename it");
	}
	return true;
}

/* The next name of this level, as s->path; false: it does not fit. */
static bool
path_set(struct source *s, const struct level *l, const char *name)
{
	size_t len = strlen(name);

	if (l->path_len + len >= sizeof(s->path)) {
		errno = ENAMETOOLONG;
		return hole(s, name, "cannot be read");
	}
	memcpy(s->path + l->path_len, name, len + 1);
	return true;
}

static int
local_next(struct source *s, struct entry *out)
{
	while (s->depth > 0) {
		struct level *l = &s->levels[s->depth - 1];
		const char *name;

		if (l->next == l->count) {
			level_pop(s);
			continue;
		}
		name = l->names[l->next++];
		if (!path_set(s, l, name))
			continue;
		if (name[strlen(name) - 1] != '/') {
			if (file_entry(s, l, name, out))
				return 1;
		} else if (!filter_prunes(&s->transfer->options->filter, s->path))
			(void)level_push(s, name);
	}
	return 0;
}

enum source_links
source_links(const struct transfer_options *o)
{
	return o->follow ? LINKS_FOLLOWED : LINKS_LEFT;
}

struct source *
source_local(struct transfer *t, const char *root, enum source_links links)
{
	struct source *s = xcalloc(1, sizeof(*s));

	s->transfer = t;
	s->root = root;
	s->links = links;
	(void)level_push(s, root);
	return s;
}

/* --- a bucket ----------------------------------------------------------------------------------------------------- */

struct source *
source_s3(struct transfer *t, struct s3_conn *conn, const char *bucket, const char *prefix)
{
	struct source *s = xcalloc(1, sizeof(*s));

	s->transfer = t;
	s->conn = conn;
	s->listing.query = (struct s3_list_query){.bucket = bucket, .prefix = prefix};
	s->prefix_len = strlen(prefix);
	s->pages[0] = arena_new(1024 * 1024);
	s->pages[1] = arena_new(1024 * 1024);
	return s;
}

static bool
page_read(struct source *s)
{
	struct arena *arena = s->pages[s->page_number % 2];

	arena_reset(arena);
	s->next = 0;
	if (s3_listing_next(s->conn, arena, &s->listing, &s->page)) {
		s->page_number++;
		if (s->page.count == 0)
			s->before = NULL; /* its page is used again before there is another key */
		return true;
	}
	s->has_holes = true;
	if (s3_conn_failure(s->conn)->stopped)
		return false;
	return report_failed(s->transfer, s->listing.query.bucket, s->listing.query.prefix, "%s%s",
		report_side(s->transfer, s->conn), s3_conn_failure(s->conn)->text);
}

static int
s3_next(struct source *s, struct entry *out)
{
	const struct s3_object *o;

	while (s->page_number == 0 || s->next == s->page.count) {
		if (s->listing.has_ended)
			return 0;
		if (!page_read(s))
			return -1;
	}
	o = &s->page.objects[s->next++];
	if (strncmp(o->key, s->listing.query.prefix, s->prefix_len) != 0 ||
		(s->before && strcmp(s->before, o->key) >= 0)) {
		s->has_holes = true;
		report_failed(
			s->transfer, s->listing.query.bucket, o->key, "the server's list is not in the order of keys");
		return -1;
	}
	s->before = o->key;
	*out = (struct entry){
		.name = o->key + s->prefix_len, .size = o->size, .mtime_ns = o->modified_ns, .etag = o->etag};
	return out->name[0] ? 1 : s3_next(s, out); /* the prefix itself is an object */
}

int
source_next(struct source *s, struct entry *out)
{
	if (interrupt_came())
		return -1;
	return s->conn ? s3_next(s, out) : local_next(s, out);
}

bool
source_has_holes(const struct source *s)
{
	return s->has_holes;
}

void
source_free(struct source *s)
{
	if (!s)
		return;
	while (s->depth > 0)
		level_pop(s);
	if (s->conn) {
		s3_listing_fini(&s->listing);
		arena_free(s->pages[0]);
		arena_free(s->pages[1]);
	}
	free(s);
}
