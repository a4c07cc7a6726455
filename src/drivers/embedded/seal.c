/*
 * seal.c: a volume that will not be written again gets an index of its blocks behind its end, and is read-only from
 * then on (docs/format/volume.md, "SEAL"). A seal adds nothing that the records before it do not say: one that is
 * missing or torn is made at the next open. [background]
 */
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mutant.h"
#include "drivers/embedded/embedded_int.h"
#include "base/crash_point.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRAILER_BYTES 16 /* at the file's end: the record's offset, and its footer */
#define HOP_BYTES 4096
#define SEARCH_BYTES ((size_t)256 * 1024)

/* A volume under the sealer. */
struct sealing {
	int fd;
	uint64_t size, generation;
	uint8_t *window; /* SEARCH_BYTES */
	uint64_t window_at, window_len;
	uint8_t *entries;
	size_t count, capacity;
	bool unread; /* something of it could not be read */
};

bool
seal_find(int fd, uint64_t size, uint64_t generation, uint64_t *offset, uint32_t *length)
{
	uint8_t trailer[TRAILER_BYTES], header[RECORD_HEADER_BYTES];
	struct record_header h;

	if (size < SUPERBLOCK_BYTES + record_bytes(8) || size % 8 ||
		!read_exactly(fd, trailer, TRAILER_BYTES, size - TRAILER_BYTES))
		return false;
	*offset = load_u64(trailer);
	if (*offset < SUPERBLOCK_BYTES || *offset > size - record_bytes(8) ||
		!read_exactly(fd, header, RECORD_HEADER_BYTES, *offset) ||
		!record_header_decode(header, *offset, generation, &h) || h.type != RECORD_SEAL)
		return false;
	*length = h.length;
	return load_u32(trailer + 12) == h.length && *offset + record_bytes(h.length) == size;
}

enum rfs_err
seal_read(int fd, uint64_t size, uint64_t generation, uint8_t **entries, size_t *count)
{
	uint64_t offset;
	uint32_t length;
	uint8_t *payload;

	if (!seal_find(fd, size, generation, &offset, &length))
		return RFS_ERR_NOT_FOUND;
	payload = xmalloc((size_t)length + RECORD_FOOTER_BYTES);
	if (!read_exactly(fd, payload, (size_t)length + RECORD_FOOTER_BYTES, offset + RECORD_HEADER_BYTES) ||
		length % SEAL_ENTRY_BYTES != 8 ||
		!record_tail_matches(crc32c(0, payload, length), length, payload + length)) {
		free(payload);
		return RFS_ERR_DAMAGED;
	}
	*entries = payload;
	*count = length / SEAL_ENTRY_BYTES;
	return RFS_OK;
}

/* A valid header at `offset`, read with as much of what follows as is worth it. */
static bool
header_at(struct sealing *s, uint64_t offset, size_t ahead, struct record_header *h)
{
	uint64_t want = s->size - offset < ahead ? s->size - offset : ahead;

	if (offset < s->window_at || offset + RECORD_HEADER_BYTES > s->window_at + s->window_len) {
		s->window_len = 0;
		if (!read_exactly(s->fd, s->window, want, offset)) {
			s->unread = true;
			return false;
		}
		s->window_at = offset;
		s->window_len = want;
	}
	return record_header_decode(s->window + (offset - s->window_at), offset, s->generation, h);
}

static void
entry_add(struct sealing *s, const struct record_header *h, uint64_t offset)
{
	uint8_t *entry;

	if (s->count == s->capacity) {
		s->capacity = s->capacity ? s->capacity * 2 : 1024;
		s->entries = xrealloc(s->entries, s->capacity * SEAL_ENTRY_BYTES + 8 + RECORD_FOOTER_BYTES);
	}
	entry = s->entries + s->count++ * SEAL_ENTRY_BYTES;
	store_be64(entry, h->bucket);
	store_be64(entry + 8, h->number);
	store_u64(entry + 16, offset + RECORD_HEADER_BYTES);
	store_u32(entry + 24, h->length);
	store_u32(entry + 28, 0);
}

/* Every block below `end`. In a bulk volume a crash may have left gaps between them. */
static void
collect(struct sealing *s, uint64_t end)
{
	uint64_t at = SUPERBLOCK_BYTES, known = 0;
	size_t ahead = HOP_BYTES;
	struct record_header h;

	while (at + RECORD_HEADER_BYTES <= end && !s->unread) {
		if (!header_at(s, at, ahead, &h) || record_bytes(h.length) > end - at) {
			ahead = SEARCH_BYTES;
			at = data_next(s->fd, at + 8, &known);
			continue;
		}
		if (h.type == RECORD_BLOCK)
			entry_add(s, &h, at);
		ahead = HOP_BYTES;
		at += record_bytes(h.length);
	}
}

/* By bucket and number: the first 16 bytes, big-endian for that. */
static int
compare_entry(const void *a, const void *b)
{
	return memcmp(a, b, 16);
}

static enum rfs_err
write_seal(struct sealing *s, uint64_t offset)
{
	size_t length = s->count * SEAL_ENTRY_BYTES + 8;
	struct record_header h = {.type = RECORD_SEAL,
		.count = 1,
		.number = s->count,
		.length = (uint32_t)length,
		.time_ns = clock_wall_ns()};
	uint8_t header[RECORD_HEADER_BYTES];
	struct iovec iov[2] = {{header, sizeof(header)}, {NULL, length + RECORD_FOOTER_BYTES}};
	enum rfs_err err;

	if (length > UINT32_MAX)
		return RFS_ERR_LIMIT;
	s->entries = xrealloc(s->entries, length + RECORD_FOOTER_BYTES);
	if (s->count)
		qsort(s->entries, s->count, SEAL_ENTRY_BYTES, compare_entry);
	store_u64(s->entries + s->count * SEAL_ENTRY_BYTES, offset);
	record_tail_encode(crc32c(0, s->entries, length), length, s->entries + length);
	record_header_encode(&h, offset, s->generation, header);
	iov[1].iov_base = s->entries;
	if ((err = write_all(s->fd, iov, 2, offset)))
		return err;
	crash_point(CRASH_SEAL_WRITTEN);
	if (fdatasync(s->fd) != 0 || fchmod(s->fd, 0400) != 0)
		return error_from_errno(errno);
	return RFS_OK;
}

/* `end` 0: a bulk volume's, wherever that is; nothing of it is cut off. */
static enum rfs_err
seal_open_volume(struct embedded *e, struct sealing *s, uint64_t end)
{
	uint64_t offset = end ? end : (s->size + 7) / 8 * 8, seal;
	uint64_t before = s->size;
	uint32_t length;
	enum rfs_err err;

	if (seal_find(s->fd, s->size, s->generation, &seal, &length))
		return fchmod(s->fd, 0400) == 0 ? RFS_OK : error_from_errno(errno);
	if (end && s->size > end && ftruncate(s->fd, (off_t)end) != 0)
		return error_from_errno(errno);
	if (end)
		s->size = end;
	collect(s, s->size);
	if (s->unread)
		return RFS_ERR_IO;
	s->count -= MUTANT("seal-without-last-entry") && s->count;
	err = write_seal(s, offset);
	if (err && ftruncate(s->fd, (off_t)offset) != 0)
		log_warn(0, "cut off what there is of a seal: %s", strerror(errno));
	if (!err)
		atomic_fetch_add(&e->disk_bytes, offset + record_bytes(s->count * SEAL_ENTRY_BYTES + 8) - before);
	return err;
}

static enum rfs_err
seal_volume(struct embedded *e, uint64_t number, uint64_t end)
{
	struct sealing s = {.fd = -1};
	uint8_t bytes[SUPERBLOCK_BYTES];
	struct superblock super;
	char path[4096];
	struct stat st;
	enum rfs_err err;

	s.fd = open(volume_path(e, number, ".vol", path), O_RDWR | O_CLOEXEC);
	if (s.fd < 0) /* read-only: it is sealed; not there: it was removed, and so had been sealed */
		return errno == EACCES || errno == ENOENT ? RFS_OK : error_from_errno(errno);
	if (fstat(s.fd, &st) != 0 || !read_exactly(s.fd, bytes, sizeof(bytes), 0)) {
		err = RFS_ERR_IO;
	} else if (!(err = superblock_decode(bytes, &super))) {
		s.size = (uint64_t)st.st_size;
		s.generation = super.generation;
		s.window = xmalloc(SEARCH_BYTES);
		err = seal_open_volume(e, &s, end);
		free(s.window);
		free(s.entries);
	}
	close(s.fd);
	return err;
}

/* --- the queue ---------------------------------------------------------------------------------------------------- */

struct seal_task {
	struct seal_task *next;
	uint64_t number, end;
};

void
sealer_add(struct embedded *e, uint64_t number, uint64_t end)
{
	struct seal_task *task;

	if (e->seals_nothing)
		return;
	task = xmalloc(sizeof(*task));
	*task = (struct seal_task){.number = number, .end = end};
	pthread_mutex_lock(&e->sealer.lock);
	*e->sealer.tail = task;
	e->sealer.tail = &task->next;
	pthread_cond_signal(&e->sealer.wake);
	pthread_mutex_unlock(&e->sealer.lock);
}

void
sealer_init(struct sealer *s)
{
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->wake, NULL);
	pthread_cond_init(&s->idle, NULL);
	s->tail = &s->queue;
}

static struct seal_task *
next_task(struct sealer *s)
{
	struct seal_task *task = NULL;

	pthread_mutex_lock(&s->lock);
	s->busy = false;
	if (s->queue == NULL || s->stop)
		pthread_cond_broadcast(&s->idle);
	while (s->queue == NULL && !s->stop)
		pthread_cond_wait(&s->wake, &s->lock);
	if (!s->stop) {
		s->busy = true;
		task = s->queue;
		s->queue = task->next;
		if (s->queue == NULL)
			s->tail = &s->queue;
	}
	pthread_mutex_unlock(&s->lock);
	return task;
}

void *
sealer_main(void *embedded)
{
	struct embedded *e = embedded;
	struct seal_task *task;
	enum rfs_err err;

	thread_role_set(THREAD_BACKGROUND, "sealer");
	while ((task = next_task(&e->sealer))) {
		if ((err = seal_volume(e, task->number, task->end)))
			log_warn(0, "seal volume %016llx: %s; the next start tries again",
				(unsigned long long)task->number, error_face(err)->text);
		free(task);
	}
	return NULL;
}

void
sealer_wait(struct embedded *e)
{
	struct sealer *s = &e->sealer;

	pthread_mutex_lock(&s->lock);
	while ((s->queue || s->busy) && !s->stop)
		pthread_cond_wait(&s->idle, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

void
sealer_describe(struct sealer *s, struct dump *out)
{
	uint64_t waiting = 0;

	dump_object(out, "sealer");
	pthread_mutex_lock(&s->lock);
	for (struct seal_task *task = s->queue; task; task = task->next)
		waiting++;
	dump_bool(out, "busy", s->busy);
	pthread_mutex_unlock(&s->lock);
	dump_number(out, "volumes_waiting", waiting);
	dump_end(out);
}

/* What has not been sealed is at the next open. */
void
sealer_fini(struct sealer *s)
{
	struct seal_task *task;

	while ((task = s->queue)) {
		s->queue = task->next;
		free(task);
	}
	pthread_cond_destroy(&s->wake);
	pthread_cond_destroy(&s->idle);
	pthread_mutex_destroy(&s->lock);
}
