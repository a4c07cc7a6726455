/*
 * dump.h: what a part of the process says of its state, for developers: names with numbers and texts, nested, as one
 * JSON text. Each layer writes its own part. [any]
 */
#ifndef BASE_DUMP_H
#define BASE_DUMP_H

#include "base/bytes.h"

#define DUMP_DEPTH_MOST 16
#define DUMP_LIST_MOST 1000 /* members that a part should write of a list */

struct dump {
	struct buf *out;
	char closing[DUMP_DEPTH_MOST]; /* of what is open */
	unsigned depth;
	bool is_first; /* nothing is in what was opened last */
};

/* Opens the outermost object. */
void dump_init(struct dump *d, struct buf *out);
/* `name` NULL: in a list. */
void dump_object(struct dump *d, const char *name);
void dump_list(struct dump *d, const char *name);
void dump_end(struct dump *d);
void dump_number(struct dump *d, const char *name, uint64_t value);
void dump_bool(struct dump *d, const char *name, bool value);
/* Bytes that are no ASCII text are told by their values. */
void dump_text(struct dump *d, const char *name, struct bytes value);
/* A number as names of volumes have it. */
void dump_volume(struct dump *d, const char *name, uint64_t number);

#endif
