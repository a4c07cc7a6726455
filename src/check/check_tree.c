/*
 * check_tree.c: entries, from the root down, and the counters of directories and of the bucket; see check_int.h.
 *
 * What the walk does not reach is found by going through the rows of all entries: a directory may be gone, or be in
 * itself. A directory that is there twice would make the walk longer than there are rows: it ends there.
 */
#include "check/check_int.h"
#include "managers/metadata/metadata.h"
#include <stdlib.h>

#define ENTRY_HEAD (9 + OBJECT_ID_BYTES) /* bucket, table, parent */

static const uint8_t root_id[OBJECT_ID_BYTES];

/* --- the walk
 * ------------------------------------------------------------------------------------------------------------------ */

/* A directory that is being gone through. */
struct level {
	struct check_rows rows;
	struct version version; /* id and flags only */
	uint64_t serial;
	size_t path_len, name_at; /* of walk.path */
	uint64_t children;
};

struct walk {
	struct check *check;
	const struct entry_visit *visit;
	struct level *levels;
	size_t depth, capacity;
	struct buf path;
	struct arena *arena; /* of the entry in hand */
	uint64_t entries;
};

static void
level_push(struct walk *w, const struct version *version, uint64_t serial, size_t name_at)
{
	struct bytes from = key_entry(w->arena, w->check->bucket.id, version->object_id, bytes_of(NULL, 0));
	struct level *level;

	if (w->depth == w->capacity) {
		w->capacity = w->capacity ? 2 * w->capacity : 8;
		w->levels = xrealloc(w->levels, w->capacity * sizeof(*w->levels));
	}
	level = &w->levels[w->depth++];
	*level = (struct level){
		.version.flags = version->flags, .serial = serial, .path_len = w->path.len, .name_at = name_at};
	memcpy(level->version.object_id, version->object_id, OBJECT_ID_BYTES);
	rows_open(&level->rows, w->check, from, key_after_prefix(w->arena, from));
}

/* The directory that the level in hand goes through; NULL: the root. */
static const struct version *
level_directory(const struct walk *w)
{
	return w->depth > 1 ? &w->levels[w->depth - 1].version : NULL;
}

static enum rfs_err
level_pop(struct walk *w, bool quietly)
{
	struct level *level = &w->levels[w->depth - 1];
	enum rfs_err err = rows_close(&level->rows);
	struct check_entry item = {
		.path = bytes_of(w->path.data, level->path_len),
		.version = &level->version,
		.serial = level->serial,
		.children = level->children,
	};

	w->depth--;
	item.name = bytes_sub(item.path, level->name_at, item.path.len);
	item.directory = w->depth ? level_directory(w) : NULL;
	if (!err && !quietly && w->depth && w->visit->left)
		err = w->visit->left(w->check, &item, w->visit->data);
	return err;
}

static bool
level_has(const struct walk *w, const uint8_t id[OBJECT_ID_BYTES])
{
	for (size_t i = 0; i < w->depth; i++)
		if (memcmp(w->levels[i].version.object_id, id, OBJECT_ID_BYTES) == 0)
			return true;
	return false;
}

static enum rfs_err
walk_entry(struct walk *w, const struct row *row)
{
	struct level *level = &w->levels[w->depth - 1];
	struct version version;
	struct check_entry item = {.version = &version, .directory = level_directory(w), .serial = row->serial};
	enum rfs_err err = RFS_OK;

	level->children++;
	arena_reset(w->arena);
	if (version_decode(w->arena, row->value, &version))
		return RFS_OK; /* reported by who goes through the rows */
	w->path.len = level->path_len;
	buf_put_bytes(&w->path, key_entry_name(row->key));
	item.path = buf_bytes(&w->path);
	item.name = bytes_sub(item.path, level->path_len, item.path.len);
	if (w->visit->entry)
		err = w->visit->entry(w->check, &item, w->visit->data);
	if (err || !(version.flags & VERSION_DIRECTORY))
		return err;
	if (!level_has(w, version.object_id)) /* else it is in itself, which is found with the strays */
		level_push(w, &version, row->serial, level->path_len);
	return RFS_OK;
}

enum rfs_err
entries_visit(struct check *c, const struct entry_visit *visit)
{
	struct walk w = {.check = c, .visit = visit, .arena = arena_new(4096)};
	const struct version root = {.flags = VERSION_DIRECTORY};
	enum rfs_err err = RFS_OK;

	buf_init(&w.path, NULL);
	level_push(&w, &root, 0, 0);
	while (!err && w.depth && w.entries <= c->entries) {
		const struct row *row = rows_next(&w.levels[w.depth - 1].rows);

		w.entries += row != NULL;
		err = row ? walk_entry(&w, row) : level_pop(&w, false);
	}
	while (w.depth) {
		enum rfs_err closed = level_pop(&w, true);

		err = err ? err : closed;
	}
	buf_fini(&w.path);
	arena_free(w.arena);
	free(w.levels);
	return err;
}

/* --- what each entry must be like
 * ---------------------------------------------------------------------------------------------- */

static enum rfs_err
object_check(struct check *c, const struct check_entry *item)
{
	if (item->name.len && item->name.data[item->name.len - 1] == '/')
		check_found(c, CHECK_ENTRY_WRONG, item->path, "an object's name ends in '/'");
	if (!item->name.len && item->directory && (item->directory->flags & VERSION_MARKER))
		check_found(
			c, CHECK_ENTRY_WRONG, item->path, "the key is there twice, as an object and as a directory");
	return check_content(c, item->path, &item->version->content, false);
}

static enum rfs_err
entry_check(struct check *c, const struct check_entry *item, void *data)
{
	const struct version *v = item->version;
	enum rfs_err err;

	check_arena(c);
	if ((err = check_fed(c, item->path, item->serial)))
		return err;
	if (!(v->flags & VERSION_DIRECTORY))
		return object_check(c, item);
	if (!item->name.len || bytes_find(item->name, '/', 0) != item->name.len - 1)
		check_found(c, CHECK_ENTRY_WRONG, item->path, "a directory's name does not end in '/'");
	if (v->content.kind != CONTENT_EMPTY)
		check_found(c, CHECK_ENTRY_WRONG, item->path, "a directory has bytes");
	return RFS_OK;
}

static struct bytes
live_key(struct check *c, const uint8_t id[OBJECT_ID_BYTES])
{
	return key_counter(c->rq.arena, c->bucket.id, COUNTER_LIVE, bytes_of(id, OBJECT_ID_BYTES));
}

static enum rfs_err
directory_check(struct check *c, const struct check_entry *item, void *data)
{
	int64_t live;
	enum rfs_err err;

	check_arena(c);
	if ((err = check_counter(c, live_key(c, item->version->object_id), &live)))
		return err;
	if (live != (int64_t)item->children)
		check_found(c, CHECK_COUNTER_WRONG, item->path, "%llu are in the directory, and its counter says %lld",
			(unsigned long long)item->children, (long long)live);
	if (!item->children && !(item->version->flags & VERSION_MARKER))
		check_found(c, CHECK_DIRECTORY_WRONG, item->path,
			"nothing is in the directory, which nobody made by its name");
	return RFS_OK;
}

static enum rfs_err
entry_contents(struct check *c, const struct check_entry *item, void *data)
{
	check_arena(c);
	c->visit++;
	return check_content(c, item->path, &item->version->content, false);
}

enum rfs_err
check_tree_contents(struct check *c)
{
	return entries_visit(c, &(struct entry_visit){.entry = entry_contents});
}

/* --- what the walk does not reach
 * ---------------------------------------------------------------------------------------------- */

static enum rfs_err
directory_note(struct check *c, const struct check_entry *item, void *data)
{
	struct tally_item *noted;

	if ((item->version->flags & VERSION_DIRECTORY) &&
		(noted = tally_at(data, tally_id(item->version->object_id))) && noted->count++ == 1)
		check_found(c, CHECK_DIRECTORY_WRONG, item->path, "the directory is also at another place");
	return RFS_OK;
}

static enum rfs_err
entries_reached(struct check *c, const struct tally *directories)
{
	const struct row *row;
	struct check_rows rows;

	rows_open_table(&rows, c, TABLE_ENTRY);
	while ((row = rows_next(&rows))) {
		struct tally_key parent;

		if (row->key.len < ENTRY_HEAD)
			continue;
		parent = tally_id(row->key.data + 9);
		if (tally_covers(directories, parent) && !tally_find(directories, parent))
			check_found(c, CHECK_ENTRY_STRAY, key_entry_name(row->key),
				"directory %016llx%016llx, which has this entry, is not in the tree",
				(unsigned long long)parent.high, (unsigned long long)parent.low);
	}
	return rows_close(&rows);
}

static enum rfs_err
counters_reached(struct check *c, const struct tally *directories)
{
	struct bytes from = key_counter(check_arena(c), c->bucket.id, COUNTER_LIVE, bytes_of(NULL, 0));
	const struct row *row;
	struct check_rows rows;

	rows_open(&rows, c, from, key_after_prefix(c->rq.arena, from));
	while ((row = rows_next(&rows))) {
		struct tally_key id;

		if (row->key.len != 10 + OBJECT_ID_BYTES || row->value.len != 8) {
			check_found(c, CHECK_ROW_DAMAGED, bytes_of(NULL, 0), "the counter of a directory");
			continue;
		}
		id = tally_id(row->key.data + 10);
		if (memcmp(row->key.data + 10, root_id, OBJECT_ID_BYTES) == 0 ||
			(tally_covers(directories, id) && !tally_find(directories, id)))
			check_found(c, CHECK_COUNTER_STRAY, bytes_of(NULL, 0),
				"what is in directory %016llx%016llx is counted, which is not in the tree",
				(unsigned long long)id.high, (unsigned long long)id.low);
	}
	return rows_close(&rows);
}

static enum rfs_err
strays_check(struct check *c)
{
	struct tally directories;
	struct entry_visit note = {.entry = directory_note, .data = &directories};
	struct tally_item *root;
	enum rfs_err err;

	tally_init(&directories, c->options->numbers);
	do {
		if ((root = tally_at(&directories, tally_id(root_id))))
			root->count = 1;
		if (!(err = entries_visit(c, &note)) && !(err = entries_reached(c, &directories)))
			err = counters_reached(c, &directories);
	} while (!err && tally_next(&directories));
	tally_fini(&directories);
	return err;
}

/* --- the bucket's usage
 * -------------------------------------------------------------------------------------------------------- */

/* Every row once, also those that cannot be reached; in the first round of `owners`. */
static void
entry_count(struct check *c, const struct row *row, struct tally *owners, struct usage *usage)
{
	struct tally_item *owner;
	struct version v;

	if (row->key.len < ENTRY_HEAD || version_decode(check_arena(c), row->value, &v)) {
		if (usage)
			check_found(c, CHECK_ROW_DAMAGED, key_entry_name(row->key), "an entry");
		return;
	}
	if ((v.flags & VERSION_DIRECTORY) && !(v.flags & VERSION_MARKER))
		return;
	if (usage) {
		usage->objects++;
		usage->bytes += (int64_t)v.content.size;
	}
	if (v.owner != IDENTITY_NOBODY && (owner = tally_at(owners, tally_number(v.owner)))) {
		owner->count++;
		owner->mark += v.content.size;
	}
}

static enum rfs_err
entries_count(struct check *c, struct tally *owners, struct usage *usage)
{
	const struct row *row;
	struct check_rows rows;

	check_arena(c);
	rows_open_table(&rows, c, TABLE_ENTRY);
	for (c->entries = 0; (row = rows_next(&rows)); c->entries++)
		entry_count(c, row, owners, usage);
	return rows_close(&rows);
}

static void
owner_found(struct check *c, uint64_t owner, const char *what, int64_t more)
{
	check_found(c, CHECK_COUNTER_WRONG, bytes_of(NULL, 0), "identity %llu has %lld %s more than his counter says",
		(unsigned long long)owner, (long long)more, what);
}

/* What the counters of one kind say is taken from what was counted: nothing must be left. */
static enum rfs_err
owner_counters_take(struct check *c, struct tally *owners, enum counter kind)
{
	struct bytes from = key_counter(check_arena(c), c->bucket.id, kind, bytes_of(NULL, 0));
	const struct row *row;
	struct check_rows rows;

	rows_open(&rows, c, from, key_after_prefix(c->rq.arena, from));
	while ((row = rows_next(&rows))) {
		struct tally_key owner;
		struct tally_item *item;
		int64_t value;

		if (row->key.len != 18 || row->value.len != 8) {
			check_found(c, CHECK_ROW_DAMAGED, bytes_of(NULL, 0), "the counter of an owner");
			continue;
		}
		owner = tally_number(load_be64(row->key.data + 10));
		value = (int64_t)load_u64(row->value.data);
		if (!tally_covers(owners, owner))
			continue;
		if (!(item = tally_find(owners, owner)))
			owner_found(c, owner.low, kind == COUNTER_USER_OBJECTS ? "objects" : "bytes", -value);
		else if (kind == COUNTER_USER_OBJECTS)
			item->count -= value;
		else
			item->mark -= (uint64_t)value;
	}
	return rows_close(&rows);
}

static enum rfs_err
owners_check(struct check *c, struct tally *owners)
{
	enum rfs_err err;

	if ((err = owner_counters_take(c, owners, COUNTER_USER_OBJECTS)) ||
		(err = owner_counters_take(c, owners, COUNTER_USER_BYTES)))
		return err;
	for (size_t i = 0; i < owners->slot_count; i++) {
		const struct tally_item *item = &owners->slots[i];

		if (item->used && item->count)
			owner_found(c, item->key.low, "objects", item->count);
		if (item->used && item->mark)
			owner_found(c, item->key.low, "bytes", (int64_t)item->mark);
	}
	return RFS_OK;
}

static enum rfs_err
entries_and_owners_count(struct check *c, struct usage *usage)
{
	struct tally owners;
	enum rfs_err err;

	tally_init(&owners, c->options->numbers);
	do {
		if (!(err = entries_count(c, &owners, usage)))
			err = owners_check(c, &owners);
		usage = NULL;
	} while (!err && tally_next(&owners));
	tally_fini(&owners);
	return err;
}

/* The bucket's row says whether there are any. */
static enum rfs_err
quotas_check(struct check *c)
{
	const struct row *row;
	struct check_rows rows;
	struct quota quota;
	bool any = false;

	check_arena(c);
	rows_open_table(&rows, c, TABLE_QUOTA);
	while ((row = rows_next(&rows))) {
		any = true;
		if (row->key.len != 17 || quota_decode(row->value, &quota))
			check_found(c, CHECK_ROW_DAMAGED, bytes_of(NULL, 0), "a quota");
	}
	if (any && !c->bucket.quotas)
		check_found(c, CHECK_BUCKET_WRONG, bytes_of(NULL, 0), "the bucket has quotas, and its row says that it has none");
	return rows_close(&rows);
}

static enum rfs_err
usage_check(struct check *c, enum counter kind, int64_t counted, const char *what)
{
	int64_t said;
	enum rfs_err err = check_counter(c, key_counter(check_arena(c), c->bucket.id, kind, bytes_of(NULL, 0)), &said);

	if (!err && said != counted)
		check_found(c, CHECK_COUNTER_WRONG, bytes_of(NULL, 0),
			"the bucket has %lld %s, and its counter says %lld", (long long)counted, what, (long long)said);
	return err;
}

enum rfs_err
check_tree(struct check *c)
{
	const struct entry_visit visit = {.entry = entry_check, .left = directory_check};
	struct usage usage = {0};
	enum rfs_err err;

	if ((err = entries_and_owners_count(c, &usage)) || (err = quotas_check(c)) || (err = entries_visit(c, &visit)) || (err = strays_check(c)))
		return err;
	if (c->bucket.removed && c->entries)
		check_found(c, CHECK_BUCKET_WRONG, bytes_of(NULL, 0), "the bucket was removed, and has %llu entries",
			(unsigned long long)c->entries);
	c->totals->objects += (uint64_t)usage.objects;
	c->totals->object_bytes += (uint64_t)usage.bytes;
	if ((err = usage_check(c, COUNTER_OBJECTS, usage.objects, "objects")))
		return err;
	return usage_check(c, COUNTER_BYTES, usage.bytes, "bytes");
}
