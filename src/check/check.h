/*
 * check.h: does a store hold what it promises? Every row is held against the others, then every block is read.
 *
 * Called by `restfs fsck`, by tests, and by salvage, on a store that nobody changes meanwhile. It works through the
 * driver interface, changes nothing, and takes nothing for granted but the driver: whatever rows say, it ends and
 * reports. Memory is bounded whatever the number of objects; only the depth of directories counts. What does not fit
 * into `numbers` is looked at in several rounds. [worker]
 */
#ifndef CHECK_CHECK_H
#define CHECK_CHECK_H

#include "drivers/driver.h"

enum check_kind {
#define CHECK_FINDING(kind, name, text) CHECK_##kind,
#include "check/findings.def"
#undef CHECK_FINDING
	CHECK_KIND_COUNT
};

struct check_finding {
	enum check_kind kind;
	uint64_t bucket;          /* its number; 0: the domain */
	struct bytes bucket_name; /* empty: the domain, or the bucket's row is gone */
	struct bytes key;         /* the object's; of a stray entry only its name; empty: it is about no object */
	const char *text;         /* what was found, in a sentence without an end */
};

struct check_options {
	bool fast;      /* no block is read: only that its volume is there, and long enough */
	size_t numbers; /* kept at once for comparing; 0: a million */
	void (*found)(
		void *data, const struct check_finding *finding); /* what it is given lives only during the call */
	void *data;
};

struct check_totals {
	uint64_t buckets;
	uint64_t objects;
	uint64_t object_bytes;
	uint64_t blocks;
	uint64_t block_bytes; /* as stored; read unless `fast` */
	uint64_t findings;
};

/* Any error: the check did not come to its end; what it has reported is true. */
enum rfs_err check_store(const struct store_drivers *drivers, const struct check_options *options,
	struct check_totals *totals) RFS_MUST_CHECK;

/* "counter-wrong" and its sentence. */
const char *check_kind_name(enum check_kind kind);
const char *check_kind_text(enum check_kind kind);

#endif
