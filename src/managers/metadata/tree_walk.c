/*
 * tree_walk.c: the keys of a bucket in byte order: a depth-first walk over the tree of entries, a page of entries at a time.
 *
 * The order of entries in a directory is the order of keys, because a directory's entry name ends in '/'. The walk as a whole is no snapshot: keys written
 * or removed meanwhile may or may not be seen, all others are seen once.
 */
#include "managers/metadata/metadata_int.h"

#define PAGE_ENTRIES 256

/* A directory being read: the rest of its page, and where its next page begins. */
struct level {
	struct level *above;
	uint8_t id[OBJECT_ID_BYTES];
	size_t path_len;     /* of the walk's path: this directory's key */
	struct row_page page;
	size_t at;
	struct bytes next;   /* entry key */
	struct bytes end;
	struct bytes bound;  /* what is left of `from` inside this directory; empty: everything */
};

struct tree_walk {
	struct metadata *metadata;
	struct request *rq;
	struct bucket_row bucket;
	struct bytes from;
	struct bytes prefix;
	bool flat;
	bool started;
	struct buf path; /* the key of the directory being read, then the item's name */
	struct level *top;
};

struct tree_walk *
tree_walk_new(struct metadata *m, struct request *rq, const struct bucket_row *bucket, struct bytes prefix, struct bytes from, bool flat)
{
	struct tree_walk *w = ARENA_NEW(rq->arena, struct tree_walk);

	w->metadata = m;
	w->rq = rq;
	w->bucket = *bucket;
	w->prefix = prefix;
	w->from = bytes_compare(from, prefix) > 0 ? from : prefix;
	w->flat = flat;
	buf_init(&w->path, rq->arena);
	return w;
}

/* Pushes directory `id`, whose key is the first path_len bytes of the path; only names that begin with name_prefix, from `bound` on. */
static void
level_push(struct tree_walk *w, const uint8_t id[OBJECT_ID_BYTES], size_t path_len, struct bytes name_prefix, struct bytes bound)
{
	struct arena *a = w->rq->arena;
	struct level *level = ARENA_NEW(a, struct level);
	size_t slash = bytes_find(bound, '/', 0);
	struct bytes first = slash == SIZE_MAX ? bound : bytes_sub(bound, 0, slash + 1);

	memcpy(level->id, id, OBJECT_ID_BYTES);
	level->path_len = path_len;
	level->bound = bound;
	if (bytes_compare(first, name_prefix) < 0)
		first = name_prefix;
	level->next = key_entry(a, w->bucket.id, id, first);
	level->end = key_after_prefix(a, key_entry(a, w->bucket.id, id, name_prefix));
	level->page.more = true;
	level->above = w->top;
	w->top = level;
}

/* The part of `from` below the first path_len bytes of the path, when `from` is inside that directory; empty otherwise. */
static struct bytes
bound_inside(const struct tree_walk *w, size_t path_len)
{
	struct bytes path = bytes_sub(buf_bytes(&w->path), 0, path_len);

	return bytes_starts_with(w->from, path) ? bytes_sub(w->from, path_len, w->from.len) : bytes_of(NULL, 0);
}

/* Finds the directory that the prefix ends in. NOT_FOUND: there is none, so no key has the prefix. */
static enum rfs_err
walk_start(struct tree_walk *w, struct tree_item *out, bool *yielded)
{
	uint8_t id[OBJECT_ID_BYTES] = { 0 };
	struct version version;
	size_t start = 0, slash;

	memset(&version, 0, sizeof(version));
	w->started = true;
	*yielded = false;
	while ((slash = bytes_find(w->prefix, '/', start)) != SIZE_MAX) {
		struct bytes name = bytes_sub(w->prefix, start, slash + 1 - start);
		struct row row;
		enum rfs_err err;

		if ((err = metadata_get(w->metadata, w->rq, key_entry(w->rq->arena, w->bucket.id, id, name), &row)))
			return err;
		if (!row.found)
			return RFS_ERR_NOT_FOUND;
		if ((err = version_decode(w->rq->arena, row.value, &version)))
			return err;
		version.serial = row.serial;
		memcpy(id, version.object_id, OBJECT_ID_BYTES);
		start = slash + 1;
	}
	buf_put_bytes(&w->path, bytes_sub(w->prefix, 0, start));
	/* `from` may lie beyond every key with the prefix; the scan's bounds then meet. */
	if (bytes_starts_with(w->from, buf_bytes(&w->path)))
		level_push(w, id, start, bytes_sub(w->prefix, start, w->prefix.len), bound_inside(w, start));
	if (start == w->prefix.len && (version.flags & VERSION_MARKER) && bytes_compare(w->from, w->prefix) <= 0) {
		*out = (struct tree_item){ .key = w->prefix, .version = version };
		*yielded = true;
	}
	return RFS_OK;
}

static enum rfs_err
level_read(struct tree_walk *w, struct level *level)
{
	enum rfs_err err;

	level->at = 0;
	err = metadata_scan(w->metadata, w->rq, level->next, level->end, PAGE_ENTRIES, false, &level->page);
	if (!err && level->page.more) {
		/* The next page begins just after the last key of this one. */
		struct bytes last = level->page.rows[level->page.count - 1].key;
		uint8_t *next = arena_alloc(w->rq->arena, last.len + 1);

		memcpy(next, last.data, last.len);
		next[last.len] = 0;
		level->next = bytes_of(next, last.len + 1);
	}
	return err;
}

/* Does a directory that begins below `from` hold any key at or after it? */
static enum rfs_err
holds_any(struct tree_walk *w, struct bytes dir_path, bool *holds)
{
	struct tree_walk *inner = tree_walk_new(w->metadata, w->rq, &w->bucket, dir_path, w->from, false);
	struct tree_item item;
	enum rfs_err err = tree_walk_next(inner, &item);

	*holds = err == RFS_OK;
	return err == RFS_ERR_NOT_FOUND ? RFS_OK : err;
}

/* A directory's entry at the current path: an item of its own, or entered. */
static enum rfs_err
directory_visit(struct tree_walk *w, const struct version *version, struct bytes bound, struct tree_item *out, bool *yielded)
{
	struct bytes path = buf_bytes(&w->path);

	if (w->flat) {
		*yielded = true;
		*out = (struct tree_item){ .key = path, .is_prefix = true };
		return bound.len ? holds_any(w, arena_copy(w->rq->arena, path), yielded) : RFS_OK;
	}
	level_push(w, version->object_id, path.len, bytes_of(NULL, 0), bound);
	*yielded = (version->flags & VERSION_MARKER) && bound.len == 0;
	if (*yielded)
		*out = (struct tree_item){ .key = path, .version = *version };
	return RFS_OK;
}

static enum rfs_err
entry_visit(struct tree_walk *w, struct level *level, const struct row *row, struct tree_item *out, bool *yielded)
{
	struct bytes name = key_entry_name(row->key);
	struct version version;
	enum rfs_err err;

	w->path.len = level->path_len;
	buf_put_bytes(&w->path, name);
	if ((err = version_decode(w->rq->arena, row->value, &version)))
		return request_fail(w->rq, err, "reading the entry of \"%.*s\"", (int)w->path.len, (const char *)w->path.data);
	version.serial = row->serial;
	if (version.flags & VERSION_DIRECTORY)
		return directory_visit(w, &version, bytes_starts_with(level->bound, name) ? bytes_sub(level->bound, name.len, level->bound.len) : bytes_of(NULL, 0),
			out, yielded);
	*out = (struct tree_item){ .key = buf_bytes(&w->path), .version = version };
	*yielded = true;
	return RFS_OK;
}

enum rfs_err
tree_walk_next(struct tree_walk *w, struct tree_item *out)
{
	bool yielded = false;
	enum rfs_err err = RFS_OK;

	if (!w->started)
		err = walk_start(w, out, &yielded);
	while (!err && !yielded) {
		struct level *level = w->top;

		if (!level)
			return RFS_ERR_NOT_FOUND;
		if (level->at < level->page.count)
			err = entry_visit(w, level, &level->page.rows[level->at++], out, &yielded);
		else if (level->page.more)
			err = level_read(w, level);
		else
			w->top = level->above;
	}
	return err;
}
