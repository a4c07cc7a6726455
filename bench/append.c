/*
 * append.c: the least that a durable write can cost: writers append records to one file and share pwrite + fdatasync. A
 * writer copies its record into the open group; whoever finds nobody writing writes the group, syncs and wakes its
 * members.
 *
 * append FILE WRITERS RECORD_BYTES SECONDS; prints one JSON object.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static struct {
	pthread_mutex_t lock;
	pthread_cond_t synced;
	int file;
	size_t record_bytes, filled_bytes, room_bytes;
	char *open, *writing; /* the group that fills, the group on its way to disk */
	uint64_t open_group, synced_group;
	off_t end;
	bool is_writing, is_failed;
	double stop_at;
	long records, groups;
} journal = {.lock = PTHREAD_MUTEX_INITIALIZER, .synced = PTHREAD_COND_INITIALIZER, .open_group = 1};

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Writes and syncs the open group. Called, and returns, with the lock held. */
static void
group_write_locked(void)
{
	char *group = journal.open;
	size_t bytes = journal.filled_bytes;
	uint64_t number = journal.open_group++;
	bool is_ok;

	journal.open = journal.writing;
	journal.writing = group;
	journal.filled_bytes = 0;
	journal.is_writing = true;
	pthread_mutex_unlock(&journal.lock);
	is_ok = pwrite(journal.file, group, bytes, journal.end) == (ssize_t)bytes && fdatasync(journal.file) == 0;
	pthread_mutex_lock(&journal.lock);
	journal.end += (off_t)bytes;
	journal.is_writing = false;
	journal.is_failed |= !is_ok;
	journal.synced_group = number;
	journal.groups++;
	pthread_cond_broadcast(&journal.synced);
}

static void *
writer(void *record)
{
	pthread_mutex_lock(&journal.lock);
	while (now() < journal.stop_at && !journal.is_failed) {
		uint64_t mine = journal.open_group;

		memcpy(journal.open + journal.filled_bytes, record, journal.record_bytes);
		journal.filled_bytes += journal.record_bytes;
		while (journal.synced_group < mine) {
			if (journal.is_writing)
				pthread_cond_wait(&journal.synced, &journal.lock);
			else
				group_write_locked();
		}
		journal.records++;
	}
	pthread_mutex_unlock(&journal.lock);
	return NULL;
}

int
main(int argc, char **argv)
{
	int writers = argc == 5 ? atoi(argv[2]) : 0;
	pthread_t threads[256];
	struct rusage u;
	double start, seconds;
	char *record;

	if (writers < 1 || writers > 256) {
		fprintf(stderr, "append FILE WRITERS RECORD_BYTES SECONDS\n");
		return 2;
	}
	journal.record_bytes = strtoull(argv[3], NULL, 10);
	journal.room_bytes = journal.record_bytes * (size_t)writers;
	journal.open = malloc(journal.room_bytes);
	journal.writing = malloc(journal.room_bytes);
	record = malloc(journal.record_bytes);
	journal.file = open(argv[1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (!journal.open || !journal.writing || !record || journal.file < 0) {
		perror(argv[1]);
		return 1;
	}
	memset(record, 'r', journal.record_bytes);
	start = now();
	journal.stop_at = start + atof(argv[4]);
	for (int i = 0; i < writers; i++) {
		if (pthread_create(&threads[i], NULL, writer, record) != 0)
			return 1;
	}
	for (int i = 0; i < writers; i++)
		pthread_join(threads[i], NULL);
	seconds = now() - start;
	getrusage(RUSAGE_SELF, &u);
	printf("{\"operations\": %ld, \"errors\": %d, \"groups\": %ld, \"seconds\": %.6f, \"cpu_us\": %ld}\n",
		journal.records, journal.is_failed, journal.groups, seconds,
		(long)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 +
			(long)(u.ru_utime.tv_usec + u.ru_stime.tv_usec));
	return journal.is_failed;
}
