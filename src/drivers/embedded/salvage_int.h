/*
 * salvage_int.h: what the files of salvage share.
 *
 *   salvage.c            the store that is being made, in DATA/salvage; at the end it takes the place of the damaged
 * one salvage_files.c      which files are volumes, and of what salvage_choose.c     of which store they are
 *   salvage_records.c    which records they have; superblocks made again
 *   salvage_rows.c       rows, from checkpoints and the journal, whatever there is of them
 */
#ifndef DRIVERS_EMBEDDED_SALVAGE_INT_H
#define DRIVERS_EMBEDDED_SALVAGE_INT_H

#include "base/config.h"
#include "drivers/embedded/embedded_int.h"

struct salvage_file {
	char name[256];
	struct superblock super;
	uint64_t size;
	uint64_t named;  /* the number in its name; 0: it has not the name of a volume */
	bool is_made_up; /* the superblock is: it was lost */
	uint64_t record_bytes; /* of whole records; known where there are several copies */
};

struct salvage {
	char *data; /* the damaged store */
	char *made; /* the one that is being made: DATA/salvage */
	int lock_fd;
	salvage_told *told;
	void *told_data;
	char *error;
	struct config config;
	struct store_drivers drivers;

	const char *wanted;      /* the store's id as who calls it gave it; NULL: find out */
	struct position applied; /* of the index that was */
	bool has_index;
	uint8_t store[16];
	struct salvage_file *files;
	size_t file_count, file_capacity;
	uint64_t number;          /* the highest of any volume */
	uint64_t group, sequence; /* the last ones of which anything is known */
};

void salvage_note(struct salvage *s, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* `error`; returns `err`. */
enum rfs_err salvage_fail(struct salvage *s, enum rfs_err err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Of which store the files are. NOT_FOUND, CONFLICT */
enum rfs_err salvage_choose(struct salvage *s) RFS_MUST_CHECK;
/* Is its name that of the volume that it is? */
bool salvage_is_named(const struct salvage_file *f);
/* Makes the superblock of a file that has none; false: it has no records either. */
bool salvage_guess(struct salvage_file *f, int fd);
/* How many bytes of it are whole records. */
uint64_t salvage_record_bytes(const char *directory, const struct salvage_file *f);
/* Gives DATA/salvage/volumes its volumes. */
enum rfs_err salvage_files(struct salvage *s) RFS_MUST_CHECK;
/* Fills the index of that store, and leaves it as one that was closed, with an empty journal volume to go on in. */
enum rfs_err salvage_rows(struct salvage *s) RFS_MUST_CHECK;

#endif
