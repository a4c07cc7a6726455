/* block_verify.c: is a block what its row says? For whoever looks for damage before a reader meets it; see storage.h.
 * [worker] */
#include "managers/storage/storage_int.h"

static enum rfs_err
raw_verify(struct request *rq, unsigned long long number, const struct frame_table *table, struct slice payload,
	const uint8_t sha256_said[32])
{
	size_t start = FRAME_TABLE_BYTES(table->raw_size);
	struct slice frames = slice_part(payload, start, payload.len - start), raw = {0};
	uint8_t digest[32];
	enum rfs_err err = frames_decode(table, 0, table->count - 1, frames, true, 0, table->raw_size, &raw);

	slice_unref(&frames);
	if (err)
		return request_fail(rq, err, "block %llu: its frames cannot be decoded", number);
	sha256(slice_bytes(raw), digest);
	slice_unref(&raw);
	return memcmp(digest, sha256_said, 32) == 0
		       ? RFS_OK
		       : request_fail(rq, RFS_ERR_DAMAGED, "block %llu: its bytes have another SHA-256", number);
}

enum rfs_err
block_verify(
	struct storage_driver *driver, struct request *rq, uint64_t bucket, const struct run_row *run, uint32_t index)
{
	uint32_t raw = index + 1 < run->count ? run->block_size : run->last_size;
	size_t stored = run->stored_sizes[index];
	unsigned long long number = run->first + index;
	struct block_location location;
	struct frame_table table;
	struct slice payload = {0};
	enum rfs_err err;

	if (!raw || stored < FRAME_TABLE_BYTES(raw) || stored > BATCH_MAX_BLOCK_BYTES)
		return request_fail(
			rq, RFS_ERR_DAMAGED, "block %llu: its row says that %u bytes take %zu", number, raw, stored);
	memcpy(location.bytes, run->locations + (size_t)index * BLOCK_LOCATION_BYTES, BLOCK_LOCATION_BYTES);
	if ((err = driver->ops->get(driver, rq, bucket, number, &location, 0, stored, &payload)))
		return err;
	if (frame_table_decode(bytes_of(payload.data, FRAME_TABLE_BYTES(raw)), stored, &table) && table.raw_size == raw)
		err = raw_verify(rq, number, &table, payload, run->sha256[index]);
	else
		err = request_fail(rq, RFS_ERR_DAMAGED, "block %llu: its table of frames is none", number);
	slice_unref(&payload);
	return err;
}
