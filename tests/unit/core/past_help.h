/*
 * past_help.h: snapshots, for tests. No verb takes one yet, nor reads one: the bucket's row is put as it will be, and
 * rows are read with metadata_get_at and metadata_scan_at.
 */
#ifndef TESTS_UNIT_CORE_PAST_HELP_H
#define TESTS_UNIT_CORE_PAST_HELP_H

#include "store.h"

static inline enum rfs_err
bucket_commit(struct test_store *t, const struct bucket_row *bucket, uint64_t *serial)
{
	struct batch *b = batch_new(bucket->id);
	enum rfs_err err;

	bucket_put(b, bucket);
	feed_append(b, &t->rq, bucket, CHANGE_BUCKET, bucket->name, NULL);
	err = metadata_commit(t->core.metadata, &t->rq, b);
	*serial = b->serial;
	batch_free(b);
	return err;
}

/* What there is now is kept as it is; it is read at `serial`: no commit until now has a higher one, none from now on a
 * lower one. */
static inline enum rfs_err
snapshot_take(struct test_store *t, const char *bucket, uint64_t *serial)
{
	struct bucket_row row;
	uint64_t next;
	enum rfs_err err;

	if ((err = bucket_find(t->core.metadata, store_request(t), bytes_str(bucket), &row)) ||
		(err = bucket_commit(t, &row, serial)) ||
		(err = bucket_find(t->core.metadata, store_request(t), bytes_str(bucket), &row)))
		return err;
	row.last_snapshot = *serial;
	return bucket_commit(t, &row, &next);
}

/* An entry as it was. */
static inline enum rfs_err
entry_at(struct test_store *t, const struct bucket_row *bucket, uint64_t serial, const uint8_t parent[OBJECT_ID_BYTES],
	struct bytes name, struct version *out, bool *found)
{
	struct bytes key = key_entry(t->rq.arena, bucket->id, parent, name);
	struct row row;
	enum rfs_err err = metadata_get_at(t->core.metadata, &t->rq, key, serial, &row);

	*found = !err && row.found;
	return *found ? version_decode(t->rq.arena, row.value, out) : err;
}

/* The head that a key had. */
static inline enum rfs_err
head_at(struct test_store *t, const struct bucket_row *bucket, uint64_t serial, struct bytes key, struct version *out,
	bool *found)
{
	uint8_t parent[OBJECT_ID_BYTES] = {0};
	struct version directory = {0};
	size_t start = 0, slash;
	enum rfs_err err;

	while ((slash = bytes_find(key, '/', start)) != SIZE_MAX) {
		struct bytes name = bytes_sub(key, start, slash + 1 - start);

		if ((err = entry_at(t, bucket, serial, parent, name, &directory, found)) || !*found)
			return err;
		memcpy(parent, directory.object_id, OBJECT_ID_BYTES);
		start = slash + 1;
	}
	err = entry_at(t, bucket, serial, parent, bytes_sub(key, start, key.len), out, found);
	if (!err && !*found && start == key.len && (directory.flags & VERSION_MARKER)) {
		*found = true;
		*out = directory;
	}
	return err;
}

#endif
