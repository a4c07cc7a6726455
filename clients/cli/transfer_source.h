/*
 * transfer_source.h: what is in a directory or below a prefix, entry by entry, in the order of their names' bytes: that
 * of S3's lists. So two of them are compared in one pass, without holding either.
 */
#ifndef CLIENTS_CLI_TRANSFER_SOURCE_H
#define CLIENTS_CLI_TRANSFER_SOURCE_H

#include "transfer.h"

/* Its texts hold until the next call. */
struct entry {
	const char *name; /* below the root; ends in '/' where it is an object that stands for a directory */
	uint64_t size;
	int64_t mtime_ns;  /* an object's: the server's time */
	int64_t change_ns; /* a file's: when its content, or anything else of it, was changed */
	const char *etag;  /* an object's; "" else */
};

struct source;

/* Symbolic links: left out, or what they lead to is taken, as --follow says; of a target they are never followed. */
enum source_links { LINKS_LEFT, LINKS_FOLLOWED, LINKS_OF_TARGET };
enum source_links source_links(const struct transfer_options *o);

/* Directories that the filter prunes are not read. */
struct source *source_local(struct transfer *t, const char *root, enum source_links links);
/* `prefix` ends in '/', or is "". */
struct source *source_s3(struct transfer *t, struct s3_conn *conn, const char *bucket, const char *prefix);
void source_free(struct source *s);

/* 1: an entry; 0: the end; -1: it cannot go on, and that was said. */
int source_next(struct source *s, struct entry *out);
/* Something below it could not be read, and that was said. */
bool source_has_holes(const struct source *s);

#endif
