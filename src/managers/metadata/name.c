/*
 * name.c: S3 keys as a tree of entries: resolving a key, putting and removing its head, and the directories in between.
 *
 * Directories made by writing below them ("implicit") vanish with their last child. Each non-root directory counts its live children in a counter;
 * a batch that takes the last one away EXPECTs 0 and removes the directory's entry too, any other EXPECTs that some are left; both CHECK the
 * directory's entry, so that the guess made when the batch was built is either right or a CONFLICT.
 */
#include "managers/metadata/metadata_int.h"
#include "base/clock.h"
#include "base/mutant.h"

static const uint8_t ROOT_ID[OBJECT_ID_BYTES];

static bool
is_root(const uint8_t id[OBJECT_ID_BYTES])
{
	return memcmp(id, ROOT_ID, OBJECT_ID_BYTES) == 0;
}

static struct bytes
live_key(struct arena *a, const struct bucket_row *bucket, const uint8_t id[OBJECT_ID_BYTES])
{
	return key_counter(a, bucket->id, COUNTER_LIVE, bytes_of(id, OBJECT_ID_BYTES));
}

/* --- resolving ----------------------------------------------------------------------------------------------------------------- */

static enum rfs_err
entry_get(struct metadata *m, struct request *rq, const struct bucket_row *bucket, const uint8_t parent[16], struct bytes name, struct row *row,
	struct version *version)
{
	enum rfs_err err;

	memset(version, 0, sizeof(*version));
	if ((err = metadata_get(m, rq, key_entry(rq->arena, bucket->id, parent, name), row)) || !row->found)
		return err;
	if ((err = version_decode(rq->arena, row->value, version)))
		return request_fail(rq, err, "reading the entry of \"%.*s\"", (int)name.len, (const char *)name.data);
	version->serial = row->serial;
	return RFS_OK;
}

static enum rfs_err
dirs_resolve(struct metadata *m, struct request *rq, const struct bucket_row *bucket, struct name_ref *at)
{
	const uint8_t *parent = ROOT_ID;
	size_t start = 0;
	bool found = true;

	for (size_t i = 0; i < at->dir_count; i++) {
		struct name_dir *dir = &at->dirs[i];
		size_t slash = bytes_find(at->key, '/', start);
		enum rfs_err err;

		dir->name = bytes_sub(at->key, start, slash + 1 - start);
		memcpy(dir->parent, parent, OBJECT_ID_BYTES);
		if (found && (err = entry_get(m, rq, bucket, parent, dir->name, &dir->row, &dir->version)))
			return err;
		found = dir->row.found;
		if (!found && at->key.len > KEY_MADE_BYTES)
			return RFS_ERR_KEY_TOO_LONG;
		if (!found) {
			uuid_v7(dir->version.object_id);
			dir->version.flags = VERSION_DIRECTORY;
		}
		parent = dir->version.object_id;
		start = slash + 1;
	}
	memcpy(at->parent, parent, OBJECT_ID_BYTES);
	at->name = bytes_sub(at->key, start, at->key.len);
	return RFS_OK;
}

enum rfs_err
name_resolve(struct metadata *m, struct request *rq, const struct bucket_row *bucket, struct bytes key, struct name_ref *out)
{
	const struct name_dir *last;
	enum rfs_err err;

	memset(out, 0, sizeof(*out));
	if (key.len == 0)
		return request_fail(rq, RFS_ERR_INVALID_ARGUMENT, "an object key has at least one byte");
	out->key = key;
	if (key.len > KEY_FOUND_BYTES)
		return RFS_ERR_KEY_TOO_LONG;
	for (size_t i = 0; i < key.len; i++)
		out->dir_count += key.data[i] == '/';
	if (out->dir_count)
		out->dirs = ARENA_ARRAY(rq->arena, struct name_dir, out->dir_count);
	if ((err = dirs_resolve(m, rq, bucket, out)))
		return err;
	last = out->dir_count ? &out->dirs[out->dir_count - 1] : NULL;
	if ((!last || last->row.found) && (err = entry_get(m, rq, bucket, out->parent, out->name, &out->row, &out->head)))
		return err;
	out->found = out->row.found;
	if (!out->found && out->name.len == 0 && last && (last->version.flags & VERSION_MARKER)) {
		out->found = out->is_marker = true;
		out->head = last->version;
	}
	/* With an empty name, the directory is there. */
	return key.len > KEY_MADE_BYTES && !out->found && out->name.len ? RFS_ERR_KEY_TOO_LONG : RFS_OK;
}

/* --- putting ------------------------------------------------------------------------------------------------------------------- */

static struct bytes
version_bytes(struct batch *b, const struct version *v)
{
	struct buf value;

	buf_init(&value, b->arena);
	version_encode(&value, v);
	return buf_bytes(&value);
}

static struct bytes
dir_key(struct batch *b, const struct bucket_row *bucket, const struct name_dir *dir)
{
	return key_entry(b->arena, bucket->id, dir->parent, dir->name);
}

/* Directories that are missing, up to `count`; the last that exists is CHECKed, for it may vanish. */
static void
dirs_make(struct batch *b, struct request *rq, const struct bucket_row *bucket, struct name_ref *at, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct name_dir *dir = &at->dirs[i];

		if (dir->row.found) {
			if (i + 1 == count || !at->dirs[i + 1].row.found)
				batch_check(b, dir_key(b, bucket, dir), dir->row.serial);
			continue;
		}
		dir->version.modified_ns = rq->now_ns;
		dir->version.owner = rq->who ? rq->who->id : IDENTITY_NOBODY;
		metadata_replace(b, bucket, dir_key(b, bucket, dir), &dir->row, version_bytes(b, &dir->version));
		if (!is_root(dir->parent))
			batch_add(b, live_key(b->arena, bucket, dir->parent), 1);
	}
}

/* `a/` with no bytes: the directory's own row takes the metadata; an object with an empty name in it goes. */
static void
marker_put(struct batch *b, struct request *rq, const struct bucket_row *bucket, struct name_ref *at, struct version *version)
{
	struct name_dir *dir = &at->dirs[at->dir_count - 1];

	version->flags |= VERSION_DIRECTORY | VERSION_MARKER;
	memcpy(version->object_id, dir->version.object_id, OBJECT_ID_BYTES);
	dirs_make(b, rq, bucket, at, at->dir_count - 1);
	metadata_replace(b, bucket, dir_key(b, bucket, dir), &dir->row, version_bytes(b, version));
	if (!dir->row.found && !is_root(dir->parent))
		batch_add(b, live_key(b->arena, bucket, dir->parent), 1);
	/* Also when it is not there: it must not appear meanwhile. */
	metadata_replace(b, bucket, key_entry(b->arena, bucket->id, at->parent, at->name), &at->row, bytes_of(NULL, 0));
	if (at->row.found)
		batch_add(b, live_key(b->arena, bucket, dir->version.object_id), -1);
}

/* The directory keeps its id and loses what S3 listed. */
static void
marker_clear(struct batch *b, const struct bucket_row *bucket, const struct name_dir *dir)
{
	struct version plain = { .flags = dir->version.flags & ~VERSION_MARKER, .modified_ns = dir->version.modified_ns, .owner = dir->version.owner };

	memcpy(plain.object_id, dir->version.object_id, OBJECT_ID_BYTES);
	metadata_replace(b, bucket, dir_key(b, bucket, dir), &dir->row, version_bytes(b, &plain));
}

static void
leaf_put(struct batch *b, struct request *rq, const struct bucket_row *bucket, struct name_ref *at, struct version *version)
{
	if (at->is_marker) {
		dirs_make(b, rq, bucket, at, at->dir_count - 1);
		marker_clear(b, bucket, &at->dirs[at->dir_count - 1]);
	} else {
		dirs_make(b, rq, bucket, at, at->dir_count);
	}
	metadata_replace(b, bucket, key_entry(b->arena, bucket->id, at->parent, at->name), &at->row, version_bytes(b, version));
	if (!at->row.found && !is_root(at->parent) && !MUTANT("live-child-not-counted"))
		batch_add(b, live_key(b->arena, bucket, at->parent), 1);
}

enum rfs_err
name_put(struct metadata *m, struct request *rq, struct batch *b, const struct bucket_row *bucket, struct name_ref *at, struct version *version)
{
	int64_t old_size = at->found ? (int64_t)at->head.content.size : 0;

	version->modified_ns = rq->now_ns;
	version->flags &= ~(VERSION_DIRECTORY | VERSION_MARKER);
	if (at->found && !at->is_marker)
		memcpy(version->object_id, at->head.object_id, OBJECT_ID_BYTES);
	else
		uuid_v7(version->object_id);
	if (at->name.len == 0 && version->content.kind == CONTENT_EMPTY)
		marker_put(b, rq, bucket, at, version);
	else
		leaf_put(b, rq, bucket, at, version);
	if (at->found && at->head.content.data_id != version->content.data_id)
		purge_add(b, bucket, &at->head.content);
	if (at->found && at->head.owner != version->owner) {
		usage_add(b, bucket, at->head.owner, -1, -old_size);
		usage_add(b, bucket, version->owner, 1, (int64_t)version->content.size);
	} else {
		usage_add(b, bucket, version->owner, at->found ? 0 : 1, (int64_t)version->content.size - old_size);
	}
	return quota_expect(m, rq, b, bucket, version->owner);
}

/* --- removing ------------------------------------------------------------------------------------------------------------------ */

/* dirs[count - 1] has lost a live child: it goes too when it is implicit and that was the last, and so on upwards. */
static enum rfs_err
child_lost(struct metadata *m, struct request *rq, struct batch *b, const struct bucket_row *bucket, struct name_ref *at, size_t count)
{
	while (count--) {
		const struct name_dir *dir = &at->dirs[count];
		struct bytes live = live_key(b->arena, bucket, dir->version.object_id);
		int64_t children;
		enum rfs_err err;

		if ((err = metadata_counter(m, rq, live, &children)))
			return err;
		children += batch_added(b, live);
		batch_add(b, live, -1);
		if (dir->version.flags & VERSION_MARKER) {
			batch_check(b, dir_key(b, bucket, dir), dir->row.serial);
			return RFS_OK;
		}
		if (children > 1) {
			batch_check(b, dir_key(b, bucket, dir), dir->row.serial);
			batch_expect(b, live, 1, INT64_MAX);
			return RFS_OK;
		}
		batch_expect(b, live, 0, 0);
		metadata_replace(b, bucket, dir_key(b, bucket, dir), &dir->row, bytes_of(NULL, 0));
	}
	return RFS_OK;
}

static enum rfs_err
marker_remove(struct metadata *m, struct request *rq, struct batch *b, const struct bucket_row *bucket, struct name_ref *at)
{
	const struct name_dir *dir = &at->dirs[at->dir_count - 1];
	struct bytes live = live_key(b->arena, bucket, dir->version.object_id);
	int64_t children;
	enum rfs_err err;

	if ((err = metadata_counter(m, rq, live, &children)))
		return err;
	if (children > 0) {
		batch_expect(b, live, 1, INT64_MAX);
		marker_clear(b, bucket, dir);
		return RFS_OK;
	}
	batch_expect(b, live, 0, 0);
	metadata_replace(b, bucket, dir_key(b, bucket, dir), &dir->row, bytes_of(NULL, 0));
	return child_lost(m, rq, b, bucket, at, at->dir_count - 1);
}

enum rfs_err
name_remove(struct metadata *m, struct request *rq, struct batch *b, const struct bucket_row *bucket, struct name_ref *at)
{
	usage_add(b, bucket, at->head.owner, -1, -(int64_t)at->head.content.size);
	purge_add(b, bucket, &at->head.content);
	if (at->is_marker)
		return marker_remove(m, rq, b, bucket, at);
	metadata_replace(b, bucket, key_entry(b->arena, bucket->id, at->parent, at->name), &at->row, bytes_of(NULL, 0));
	return child_lost(m, rq, b, bucket, at, at->dir_count);
}

/* --- moving -------------------------------------------------------------------------------------------------------------------- */

/* The entry that a move takes away or puts: the leaf, or the directory that the key names. */
struct moved_entry {
	const uint8_t *parent;
	struct bytes name;
	const struct row *row;
	const struct version *version;
	size_t dir_count; /* above it */
};

static struct moved_entry
entry_of(const struct name_ref *at)
{
	const struct name_dir *dir;

	if (!name_is_directory(at->key))
		return (struct moved_entry){ at->parent, at->name, &at->row, &at->head, at->dir_count };
	dir = &at->dirs[at->dir_count - 1];
	return (struct moved_entry){ dir->parent, dir->name, &dir->row, &dir->version, at->dir_count - 1 };
}

static enum rfs_err
move_judge(struct request *rq, const struct name_ref *from, const struct name_ref *to)
{
	if (name_is_directory(from->key) != name_is_directory(to->key))
		return request_fail(rq, RFS_ERR_INVALID_ARGUMENT, "a directory's name ends in '/', an object's does not");
	if (!entry_of(from).row->found)
		return RFS_ERR_NO_SUCH_KEY;
	if (name_is_directory(from->key) && bytes_starts_with(to->key, from->key))
		return request_fail(rq, RFS_ERR_INVALID_ARGUMENT, "a directory cannot be moved into itself");
	return RFS_OK;
}

/* What the move replaces: an object, or an empty directory, which somebody made by its name. */
static void
target_clear(struct batch *b, const struct bucket_row *bucket, const struct name_ref *to)
{
	const struct moved_entry old = entry_of(to);

	if (!old.row->found)
		return;
	if (name_is_directory(to->key))
		batch_expect(b, live_key(b->arena, bucket, old.version->object_id), 0, 0);
	purge_add(b, bucket, &old.version->content);
	if (to->found)
		usage_add(b, bucket, old.version->owner, -1, -(int64_t)old.version->content.size);
}

enum rfs_err
name_move(struct metadata *m, struct request *rq, struct batch *b, const struct bucket_row *bucket, struct name_ref *from, struct name_ref *to,
	const struct version **moved)
{
	const struct moved_entry source = entry_of(from), target = entry_of(to);
	int64_t children = 0;
	enum rfs_err err;

	if ((err = move_judge(rq, from, to)))
		return err;
	if (name_is_directory(to->key) && target.row->found &&
		(err = metadata_counter(m, rq, live_key(rq->arena, bucket, target.version->object_id), &children)))
		return err;
	if (children)
		return RFS_ERR_NOT_EMPTY;
	*moved = source.version;
	dirs_make(b, rq, bucket, to, target.dir_count);
	target_clear(b, bucket, to);
	metadata_replace(b, bucket, key_entry(b->arena, bucket->id, target.parent, target.name), target.row, version_bytes(b, source.version));
	metadata_replace(b, bucket, key_entry(b->arena, bucket->id, source.parent, source.name), source.row, bytes_of(NULL, 0));
	if (!target.row->found && !is_root(target.parent))
		batch_add(b, live_key(b->arena, bucket, target.parent), 1);
	return child_lost(m, rq, b, bucket, from, source.dir_count);
}
