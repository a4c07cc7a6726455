/*
 * contract.h: what driver.h and batch.h promise is tested for every driver: each program runs with "embedded", "mem" or
 * "fault" (no rules, over mem).
 */
#ifndef TESTS_CONTRACT_CONTRACT_H
#define TESTS_CONTRACT_CONTRACT_H

#include "driver_help.h"

#define BUCKET 7

static const char *kind;

static inline int
open_drivers(struct store *s)
{
	struct store_drivers inner;
	char error[512];

	if (strcmp(kind, "embedded") == 0)
		return embedded_open(&s->config, &s->drivers, error);
	if (strcmp(kind, "mem") == 0)
		return mem_open(&s->config, &s->drivers, error);
	if (mem_open(&s->config, &inner, error))
		return -1;
	fault_open(inner, NULL, &s->drivers);
	return 0;
}

static inline void
close_drivers(struct store *s)
{
	s->drivers.storage->ops->close(s->drivers.storage);
	s->drivers.metadata->ops->close(s->drivers.metadata);
}

static inline int
setup(void **state)
{
	struct store *s = calloc(1, sizeof(*s));

	store_init(s, "1M");
	*state = s;
	return open_drivers(s);
}

static inline int
teardown(void **state)
{
	struct store *s = *state;

	close_drivers(s);
	store_fini(s);
	free(s);
	return 0;
}

static inline struct bytes
key_of(struct batch *b, uint8_t table, const char *rest)
{
	return test_key(b->arena, b->bucket, table, rest);
}

static inline void
assert_value(struct row row, const char *value)
{
	assert_true(row.found);
	assert_int_equal(row.value.len, strlen(value));
	assert_memory_equal(row.value.data, value, strlen(value));
}

/* Bytes that differ from place to place. */
static inline struct slice
pattern(size_t len, unsigned seed)
{
	struct slice s = slice_new(len);

	for (size_t i = 0; i < len; i++)
		slice_writable(&s)[i] = (uint8_t)(i * 31 + seed + (i >> 9));
	return s;
}

static inline void
assert_block(struct store *s, uint64_t number, const uint8_t *location, size_t len, unsigned seed)
{
	struct storage_driver *d = s->drivers.storage;
	struct slice whole, part, expected = pattern(len, seed);
	struct block_location at;

	memcpy(at.bytes, location, sizeof(at.bytes));
	assert_int_equal(d->ops->get(d, &s->rq, BUCKET, number, &at, 0, len, &whole), RFS_OK);
	assert_int_equal(whole.len, len);
	assert_memory_equal(whole.data, expected.data, len);
	if (len > 10) {
		assert_int_equal(d->ops->get(d, &s->rq, BUCKET, number, &at, 5, len - 9, &part), RFS_OK);
		assert_memory_equal(part.data, expected.data + 5, len - 9);
		slice_unref(&part);
	}
	slice_unref(&whole);
	slice_unref(&expected);
}

/* The driver that the program runs with. */
static inline const char *
contract_begin(int argc, char **argv)
{
	kind = argc > 1 ? argv[1] : "embedded";
	log_init(LOG_ERROR, LOG_TEXT, 2);
	return kind;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
