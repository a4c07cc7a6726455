/* check_contents.c: from a content to its parts, segments and runs; see check_int.h. While resolving, whose they are is
 * all that is wanted. */
#include "check/check_int.h"

/* Blocks of a run that a content uses, and how many bytes they must have. */
struct blocks_used {
	uint64_t first;
	uint32_t skip, count;
	uint32_t block_bytes; /* of each but the last */
	uint64_t bytes;       /* of all; 0: it does not matter */
};

static enum rfs_err
run_check(struct check *c, struct bytes key, const struct blocks_used *used)
{
	uint64_t bytes = used->bytes;
	struct run_row run;
	struct row row;
	enum rfs_err err;

	if (c->resolving) {
		suspect_named(c, SUSPECT_RUN, used->first, key);
		return RFS_OK;
	}
	if ((err = check_get(c, key_block(c->rq.arena, c->bucket.id, used->first), &row)))
		return err;
	if (!row.found || run_decode(row.value, &run)) {
		check_found(c, CHECK_CONTENT_MISSING, key, "block %llu has no row that can be read",
			(unsigned long long)used->first);
		return RFS_OK;
	}
	if (used->skip > run.count || used->count > run.count - used->skip) {
		check_found(c, CHECK_CONTENT_WRONG, key, "run %llu has no block %u", (unsigned long long)used->first,
			used->skip + used->count - 1);
		return RFS_OK;
	}
	for (uint32_t i = 0; used->bytes && i < used->count; i++) {
		uint32_t has = used->skip + i + 1 < run.count ? run.block_size : run.last_size;
		uint64_t needs = bytes < used->block_bytes ? bytes : used->block_bytes;

		if (has != needs) {
			check_found(c, CHECK_CONTENT_WRONG, key, "block %llu has %u bytes instead of %llu",
				(unsigned long long)(used->first + used->skip + i), has, (unsigned long long)needs);
			break;
		}
		bytes -= needs;
	}
	return RFS_OK;
}

/* `bytes`: that the segment must have; 0: it does not matter. Its extents follow each other without a gap. */
static enum rfs_err
extents_check(struct check *c, struct bytes key, const struct segment_row *segment, uint64_t number, uint64_t bytes)
{
	uint32_t size = c->bucket.block_size;
	uint64_t at = 0;

	if (bytes && segment->bytes != bytes)
		check_found(c, CHECK_CONTENT_WRONG, key, "segment %llu has %llu bytes instead of %llu",
			(unsigned long long)number, (unsigned long long)segment->bytes, (unsigned long long)bytes);
	for (size_t i = 0; i < segment->extent_count; i++) {
		const struct extent *e = &segment->extents[i];
		struct blocks_used used = {.first = e->first, .skip = e->skip, .count = e->blocks, .block_bytes = size};
		enum rfs_err err;

		if (!c->resolving && (e->at != at || !e->blocks)) {
			check_found(c, CHECK_CONTENT_WRONG, key, "segment %llu lacks block %llu",
				(unsigned long long)number, (unsigned long long)at);
			return RFS_OK;
		}
		if (bytes && at * size < bytes)
			used.bytes = bytes - at * size < (uint64_t)e->blocks * size ? bytes - at * size
										    : (uint64_t)e->blocks * size;
		if (e->first && (err = run_check(c, key, &used)))
			return err;
		at += e->blocks;
	}
	if (bytes && at != (bytes + size - 1) / size)
		check_found(c, CHECK_CONTENT_WRONG, key,
			"segment %llu has %llu blocks, too few or too many for its bytes", (unsigned long long)number,
			(unsigned long long)at);
	return RFS_OK;
}

static enum rfs_err
segment_check(struct check *c, struct bytes key, const struct row *row, uint64_t number, uint64_t bytes)
{
	struct segment_row segment;

	if (row->key.len != 9 + 24 || segment_decode(check_arena(c), row->value, &segment)) {
		check_found(c, CHECK_ROW_DAMAGED, key, "segment %llu", (unsigned long long)number);
		return RFS_OK;
	}
	return extents_check(c, key, &segment, number, bytes);
}

/* Segments are numbered from 0; all but the last are full. */
static enum rfs_err
segments_check(struct check *c, struct bytes key, const struct content *content, bool loose)
{
	uint64_t span = (uint64_t)c->bucket.block_size * c->bucket.segment_blocks, next = 0,
		 count = (content->size + span - 1) / span;
	struct bytes from = key_segment(check_arena(c), c->bucket.id, content->data_id, 0);
	const struct row *row;
	struct check_rows rows;
	enum rfs_err err = RFS_OK;

	rows_open(&rows, c, bytes_sub(from, 0, 17), key_after_prefix(c->rq.arena, bytes_sub(from, 0, 17)));
	while (!err && (row = rows_next(&rows))) {
		uint64_t number = row->key.len >= 25 ? load_be64(row->key.data + 17) : UINT64_MAX;
		uint64_t left = number < count ? content->size - number * span : 0;

		if (!loose && number != next)
			check_found(c, number > next && next < count ? CHECK_CONTENT_MISSING : CHECK_CONTENT_WRONG, key,
				"segment %llu comes where %llu of %llu should", (unsigned long long)number,
				(unsigned long long)next, (unsigned long long)count);
		next = number + 1;
		err = segment_check(c, key, row, number, loose ? 0 : left < span ? left : span);
	}
	if (!err && !loose && !rows.err && next < count)
		check_found(c, CHECK_CONTENT_MISSING, key, "segments from %llu to %llu are not there",
			(unsigned long long)next, (unsigned long long)(count - 1));
	return rows_close(&rows) ? rows.err : err;
}

static enum rfs_err
leaf_check(struct check *c, struct bytes key, const struct content *content, bool loose)
{
	struct blocks_used used = {
		.first = content->block, .count = 1, .block_bytes = UINT32_MAX, .bytes = content->size};

	if (content->kind == CONTENT_EMPTY)
		return RFS_OK;
	if (content->data_id >= c->numbers)
		check_found(c, CHECK_NUMBER_WRONG, key, "data %llu has a number that was never given",
			(unsigned long long)content->data_id);
	if (c->resolving)
		suspect_named(c, SUSPECT_DATA, content->data_id, key);
	return content->kind == CONTENT_BLOCK ? run_check(c, key, &used)
					      : segments_check(c, key, content, loose || c->unread);
}

/* Parts follow each other, and none is made of parts. */
static enum rfs_err
parts_check(struct check *c, struct bytes key, const struct content *content, const struct part_ref *parts,
	size_t count, bool loose)
{
	uint64_t at = 0;
	enum rfs_err err = RFS_OK;

	for (size_t i = 0; !err && i < count; i++) {
		if (parts[i].end < at || parts[i].end - at != parts[i].content.size ||
			parts[i].content.kind == CONTENT_PARTS) {
			check_found(c, CHECK_CONTENT_WRONG, key, "part %zu does not follow the one before it", i + 1);
			return RFS_OK;
		}
		at = parts[i].end;
		check_arena(c);
		err = leaf_check(c, key, &parts[i].content, loose);
	}
	if (!err && !loose && at != content->size)
		check_found(c, CHECK_CONTENT_WRONG, key, "its parts have %llu bytes instead of %llu",
			(unsigned long long)at, (unsigned long long)content->size);
	return err;
}

static enum rfs_err
index_check(struct check *c, struct bytes key, const struct content *content, bool loose)
{
	struct arena *arena = arena_new(4096); /* beside the one that is emptied with each part */
	struct part_ref *parts;
	struct row row;
	size_t count;
	enum rfs_err err;

	if (content->data_id >= c->numbers)
		check_found(c, CHECK_NUMBER_WRONG, key, "data %llu has a number that was never given",
			(unsigned long long)content->data_id);
	if (c->resolving)
		suspect_named(c, SUSPECT_DATA, content->data_id, key);
	err = check_get(c, key_parts(c->rq.arena, c->bucket.id, content->data_id), &row);
	if (!err && !row.found) {
		if (!loose)
			check_found(c, CHECK_CONTENT_MISSING, key, "the index of its parts is not there");
	} else if (!err && parts_decode(arena, row.value, &parts, &count, NULL)) {
		check_found(c, CHECK_ROW_DAMAGED, key, "the index of its parts");
	} else if (!err) {
		err = parts_check(c, key, content, parts, count, loose);
	}
	arena_free(arena);
	return err;
}

enum rfs_err
check_content(struct check *c, struct bytes key, const struct content *content, bool loose)
{
	return content->kind == CONTENT_PARTS ? index_check(c, key, content, loose)
					      : leaf_check(c, key, content, loose);
}
