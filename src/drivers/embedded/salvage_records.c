/*
 * salvage_records.c: the records in a file of which nothing is sure. [init]
 *
 * A superblock that is lost is made again from them: what they are bound to, the volume's generation, is found by
 * solving the checksums of their headers for it, and must be the same in all of them.
 */
#include "base/clock.h"
#include "base/hash.h"
#include "drivers/embedded/salvage_int.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WINDOW_BYTES ((size_t)4 * 1024 * 1024)
#define RECORD_PAYLOAD_MOST ((uint64_t)32 * 1024 * 1024) /* blocks have 8 MiB at most; a seal has an entry for each */

/* A file, through a window. */
struct view {
	int fd;
	uint64_t size, at, len;
	uint64_t known; /* data_next's */
	uint8_t *window;
};

/* NULL: beyond the end, or it cannot be read. */
static const uint8_t *
view_bytes(struct view *v, uint64_t offset, uint64_t len)
{
	if (len > v->size || offset > v->size - len || len > WINDOW_BYTES)
		return NULL;
	if (offset < v->at || offset + len > v->at + v->len) {
		v->at = offset;
		v->len = v->size - offset < WINDOW_BYTES ? v->size - offset : WINDOW_BYTES;
		if (!read_exactly(v->fd, v->window, v->len, offset)) { /* perhaps only what is behind */
			v->len = read_exactly(v->fd, v->window, len, offset) ? len : 0;
			return v->len ? v->window : NULL;
		}
	}
	return v->window + (offset - v->at);
}

/* There is no record at `offset`: where to look next. */
static uint64_t
view_next(struct view *v, uint64_t offset)
{
	return data_next(v->fd, offset + (v->len ? 8 : PAGE_BYTES), &v->known);
}

static bool
payload_matches(struct view *v, uint64_t offset, uint64_t length)
{
	uint64_t left = length, at = offset;
	const uint8_t *bytes;
	uint32_t crc = 0;

	while (left) {
		uint64_t piece = left < 65536 ? left : 65536;

		if ((bytes = view_bytes(v, at, piece)) == NULL)
			return false;
		crc = crc32c(crc, bytes, piece);
		at += piece;
		left -= piece;
	}
	bytes = view_bytes(v, at, record_padding(length) + RECORD_FOOTER_BYTES);
	return bytes && record_tail_matches(crc, length, bytes);
}

/* What looks like a record: its footer fits, and its header's checksum does with some generation. */
static bool
record_like(struct view *v, uint64_t offset, struct record_header *h, uint64_t *generation)
{
	const uint8_t *at = view_bytes(v, offset, RECORD_HEADER_BYTES);
	uint8_t header[RECORD_HEADER_BYTES];
	uint64_t length;

	if (at == NULL || at[4] < RECORD_BLOCK || at[4] > RECORD_SEAL || at[5] > RECORD_GROUP_LAST)
		return false;
	memcpy(header, at, sizeof(header));
	length = load_u32(header + 8);
	if (length > RECORD_PAYLOAD_MOST || record_bytes(length) > v->size - offset ||
		!payload_matches(v, offset + RECORD_HEADER_BYTES, length))
		return false;
	*generation = record_generation(header, offset);
	return record_header_decode(header, offset, *generation, h);
}

/* The generation that two records have, or the only one. */
static bool
generation_find(struct view *v, uint64_t *generation, struct record_header *first)
{
	uint64_t offset = SUPERBLOCK_BYTES, candidate;
	struct record_header h;
	bool found = false;

	while (offset + RECORD_HEADER_BYTES <= v->size) {
		if (!record_like(v, offset, &h, &candidate)) {
			offset = view_next(v, offset);
			continue;
		}
		if (found && candidate == *generation)
			return true;
		if (!found || first->type == RECORD_SEAL)
			*first = h;
		*generation = candidate;
		found = true;
		offset += record_bytes(h.length);
	}
	return found;
}

bool
salvage_guess(struct salvage_file *f, int fd)
{
	struct view v = {.fd = fd, .size = f->size};
	struct record_header first = {0};
	bool found;

	if (f->size <= SUPERBLOCK_BYTES || f->named == 0)
		return false;
	v.window = xmalloc(WINDOW_BYTES);
	found = generation_find(&v, &f->super.generation, &first);
	free(v.window);
	if (!found)
		return false;
	f->is_made_up = true;
	f->super.number = f->named;
	f->super.created_ns = clock_wall_ns();
	f->super.kind = first.sequence || first.type == RECORD_EMPTY ? VOLUME_JOURNAL : VOLUME_BULK;
	if (f->super.kind == VOLUME_JOURNAL) {
		f->super.first_group = first.group ? first.group : 1;
		f->super.first_sequence = first.sequence + (first.type == RECORD_EMPTY); /* that of the batch before */
	}
	return true;
}

/* A whole record of the volume. */
static bool
is_record(struct view *v, uint64_t offset, uint64_t generation, struct record_header *h)
{
	const uint8_t *at = view_bytes(v, offset, RECORD_HEADER_BYTES);

	return at && record_header_decode(at, offset, generation, h) && record_bytes(h->length) <= v->size - offset &&
	       payload_matches(v, offset + RECORD_HEADER_BYTES, h->length);
}

uint64_t
salvage_record_bytes(const char *directory, const struct salvage_file *f)
{
	struct view v = {.size = f->size};
	uint64_t offset = SUPERBLOCK_BYTES, bytes = 0;
	struct record_header h;
	char path[4096];

	snprintf(path, sizeof(path), "%.3800s/%s", directory, f->name);
	if ((v.fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		return 0;
	v.window = xmalloc(WINDOW_BYTES);
	while (offset + RECORD_HEADER_BYTES <= v.size) {
		if (is_record(&v, offset, f->super.generation, &h)) {
			bytes += record_bytes(h.length);
			offset += record_bytes(h.length);
		} else {
			offset = view_next(&v, offset);
		}
	}
	free(v.window);
	close(v.fd);
	return bytes;
}
