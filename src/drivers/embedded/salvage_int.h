/*
 * salvage_int.h: what the files of salvage share.
 *
 *   salvage.c        the store that is being made, in DATA/salvage; at the end it takes the place of the damaged one
 *   salvage_files.c  which files are volumes, and of what
 *   salvage_rows.c   rows, from checkpoints and the journal, whatever there is of them
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
/* Gives DATA/salvage/volumes its volumes. */
enum rfs_err salvage_files(struct salvage *s) RFS_MUST_CHECK;
/* Fills the index of that store, and leaves it as one that was closed, with an empty journal volume to go on in. */
enum rfs_err salvage_rows(struct salvage *s) RFS_MUST_CHECK;

#endif
