/*
 * fuzz_s3_xml.c: each document that S3 clients send; the first byte says which. What was read is written and read
 * again.
 *
 * sources: src/base/*.c src/net/url.c src/doors/s3/s3_xml_read.c src/net/xml_read.c src/net/xml_write.c
 */
#include "doors/s3/s3_xml_read.h"
#include "net/xml_write.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The keys survive our own writer. */
static void
check_round_trip(struct request *rq, const struct s3_delete *read)
{
	struct s3_delete again;
	struct buf b;

	buf_init(&b, rq->arena);
	xml_start(&b, "Delete", true);
	for (size_t i = 0; i < read->count; i++) {
		xml_open(&b, "Object");
		xml_text(&b, "Key", read->keys[i].key);
		xml_close(&b, "Object");
	}
	xml_close(&b, "Delete");
	if (b.len > S3_XML_BYTES_MAX)
		return;
	if (s3_xml_read_delete(rq, buf_bytes(&b), &again) || again.count != read->count)
		abort();
	for (size_t i = 0; i < read->count; i++) {
		if (!bytes_equal(read->keys[i].key, again.keys[i].key))
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct request rq = {0};
	struct bytes document;
	struct s3_complete_upload upload;
	struct s3_delete delete;
	struct bytes location;
	struct s3_cors cors;
	enum rfs_err err = RFS_OK;

	if (size == 0)
		return 0;
	rq.arena = arena_new(4096);
	document = bytes_of(data + 1, size - 1);
	switch (data[0] % 4) {
	case 0:
		if (s3_xml_read_delete(&rq, document, &delete) == RFS_OK)
			check_round_trip(&rq, &delete);
		break;
	case 1:
		err = s3_xml_read_complete_upload(&rq, document, &upload);
		break;
	case 2:
		err = s3_xml_read_create_bucket(&rq, document, &location);
		break;
	case 3:
		err = s3_xml_read_cors(&rq, document, &cors);
		break;
	}
	if (err && !rq.detail)
		abort(); /* an error says what was wrong */
	arena_free(rq.arena);
	return 0;
}
