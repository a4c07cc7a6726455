/*
 * scan.c: a volume read front to back, and the batches of its COMMITs applied as they were the first time: for recovery
 * and salvage. [init]
 */
#include "base/hash.h"
#include "base/mutant.h"
#include "drivers/embedded/embedded_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SCAN_BUFFER ((uint64_t)4 * 1024 * 1024)
#define APPLY_BYTES ((uint64_t)8 * 1024 * 1024)
#define APPLY_COMMITS 4096

void
scan_init(struct scan *s, struct embedded *e, char *error)
{
	*s = (struct scan){.e = e, .error = error, .fd = -1};
	s->pending.tail = &s->pending.first;
}

static void
scan_drop(struct scan *s)
{
	struct commit *c, *next;

	for (c = s->pending.first; c; c = next) {
		next = c->next;
		cells_unpin(&s->e->cells, c);
		batch_free(c->batch);
	}
	s->pending.first = NULL;
	s->pending.tail = &s->pending.first;
	s->pending.bytes = 0;
	s->pending_count = 0;
}

void
scan_fini(struct scan *s)
{
	scan_drop(s);
	if (s->fd >= 0)
		close(s->fd);
	free(s->buffer);
}

bool
scan_is_full(const struct scan *s)
{
	return s->pending.bytes > APPLY_BYTES || s->pending_count >= APPLY_COMMITS;
}

enum rfs_err
scan_fail(struct scan *s, enum rfs_err err, const char *format, ...)
{
	char what[256];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	snprintf(s->error, ERROR_BYTES, "recover volume %016llx: %s", (unsigned long long)s->info->super.number, what);
	return err;
}

/* The file's bytes [offset, offset + len), or NULL when they are beyond its end or cannot be read (`err` then says so).
 */
const uint8_t *
scan_bytes(struct scan *s, uint64_t offset, uint64_t len, enum rfs_err *err)
{
	uint64_t want;
	ssize_t n;

	if (len > s->info->size || offset > s->info->size - len)
		return NULL;
	if (offset >= s->start && offset + len <= s->start + s->len)
		return s->buffer + (offset - s->start);
	want = len > SCAN_BUFFER ? len : SCAN_BUFFER;
	if (want > s->info->size - offset)
		want = s->info->size - offset;
	if (want > s->capacity) {
		s->buffer = xrealloc(s->buffer, want);
		s->capacity = want;
	}
	s->start = offset;
	s->len = 0;
	while (s->len < want) {
		n = pread(s->fd, s->buffer + s->len, want - s->len, (off_t)(offset + s->len));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 && s->len >= len)
			break; /* what was asked for is there: the rest is for who comes to it */
		if (n <= 0) {
			*err = scan_fail(s, n < 0 ? error_from_errno(errno) : RFS_ERR_IO, "read at %llu",
				(unsigned long long)offset);
			return NULL;
		}
		s->len += (uint64_t)n;
	}
	return s->buffer;
}

/* A whole, valid record at `offset`: its header and payload. */
bool
scan_record(struct scan *s, uint64_t offset, struct record_header *h, struct bytes *payload, enum rfs_err *err)
{
	const uint8_t *at = scan_bytes(s, offset, RECORD_HEADER_BYTES, err);

	if (at == NULL || !record_header_decode(at, offset, s->info->super.generation, h))
		return false;
	at = scan_bytes(s, offset, record_bytes(h->length), err);
	if (at == NULL)
		return false;
	*payload = bytes_of(at + RECORD_HEADER_BYTES, h->length);
	return MUTANT("checksums-ignored-in-recovery") ||
	       record_tail_matches(crc32c(0, payload->data, payload->len), h->length, payload->data + payload->len);
}

enum rfs_err
scan_open(struct scan *s, struct volume_info *info)
{
	char path[4096];

	if (s->fd >= 0)
		close(s->fd);
	s->info = info;
	info->is_scanned = true;
	s->start = s->len = 0;
	s->fd = open(volume_path(s->e, info->super.number, ".vol", path), O_RDONLY | O_CLOEXEC);
	return s->fd < 0 ? scan_fail(s, error_from_errno(errno), "open: %s", strerror(errno)) : RFS_OK;
}

enum rfs_err
scan_apply(struct scan *s)
{
	struct embedded *e = s->e;
	enum rfs_err err;

	if (s->pending.first == NULL)
		return RFS_OK;
	e->journal.evaluation++;
	for (struct commit *c = s->pending.first; c; c = c->next)
		(void)commit_evaluate(e, c, true);
	s->pending.position = (struct position){
		.volume = s->info->super.number, .offset = s->offset, .group = s->group, .sequence = s->sequence};
	memcpy(s->pending.position.store, e->store, 16);
	err = apply_write(e, &s->pending);
	s->commits += s->pending_count;
	scan_drop(s);
	return err ? scan_fail(s, err, "apply to the index") : RFS_OK;
}

enum rfs_err
scan_queue(struct scan *s, const struct record_header *h, struct bytes payload, uint64_t offset, uint64_t batch_start)
{
	struct batch *b = batch_new(h->bucket);
	struct commit *c = ARENA_NEW(b->arena, struct commit);
	enum rfs_err err;

	c->batch = b;
	c->driver = s->e;
	c->volume = (uint32_t)s->info->super.number;
	c->offset = batch_start;
	c->serial = h->number;
	c->previous_feed = h->previous_feed;
	c->time_ns = h->time_ns;
	if (!commit_decode(payload, c->volume, offset, b)) {
		batch_free(b);
		return scan_fail(
			s, RFS_ERR_DAMAGED, "the batch at %llu is not well-formed", (unsigned long long)offset);
	}
	if ((err = commit_pin(c, false))) {
		cells_unpin(&s->e->cells, c);
		batch_free(b);
		return scan_fail(s, err, "read counters from the index");
	}
	*s->pending.tail = c;
	s->pending.tail = &c->next;
	s->pending.bytes += payload.len;
	s->pending_count++;
	return RFS_OK;
}
