/* repair_past.c: rows that a snapshot needs: those whose bytes are gone go, the others are counted again; see
 * repair_int.h. */
#include "check/repair_int.h"

static enum rfs_err
past_repair(struct check *c, struct bytes key, const struct content *content, void *data)
{
	uint64_t readable = 0;
	enum rfs_err err = content ? repair_readable(repair_of(c), content, &readable) : RFS_OK;

	if (err)
		return err;
	if (!content || readable < content->size)
		return repair_delete(repair_of(c), key);
	tally_at(data, tally_number(content->data_id))->count++;
	return RFS_OK;
}

enum rfs_err
repair_past(struct repair *r)
{
	struct check *c = &r->check;
	struct tally past;
	enum rfs_err err;

	tally_init(&past, c->options->numbers);
	err = past_contents(c, past_repair, &past);
	for (size_t i = 0; !err && i < past.slot_count; i++) {
		uint8_t number[8];

		store_be64(number, past.slots[i].key.low);
		if (past.slots[i].used)
			err = repair_counter(r,
				key_counter(check_arena(c), c->bucket.id, COUNTER_PAST, bytes_of(number, 8)),
				past.slots[i].count);
	}
	if (!err)
		err = repair_stray_counters(r, COUNTER_PAST, &past);
	tally_fini(&past);
	return err ? err : repair_commit(r);
}
