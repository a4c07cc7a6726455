/*
 * repair.h: rows of a store that lost some, put right: what is left fits together again, and what is lost is told.
 *
 * For salvage (drivers/driver.h), on a store that nobody else has open. Everything is done by commits, told in the feed
 * like those of clients. An object stays while any of its bytes can be read; those that cannot are errors to whoever
 * reads them. Nothing is made up, but for what is left without a place: entries whose directory is lost are in
 * `salvaged-ID/`, and a bucket whose row is lost is `salvaged-NUMBER`. Memory grows with the number of contents and
 * directories of a bucket. [worker]
 */
#ifndef CHECK_REPAIR_H
#define CHECK_REPAIR_H

#include "drivers/driver.h"

struct repair_finding {
	const char *name;              /* "object-lost", "object-damaged", ...: for programs */
	struct bytes bucket_name, key; /* empty: about none */
	const char *text;
};

struct repair_totals {
	uint64_t buckets, objects, bytes; /* that can be read whole */
	uint64_t damaged, lost;           /* objects */
	uint64_t findings;
};

typedef void repair_told(void *data, const struct repair_finding *finding);

/* An error: it did not come to its end, and may be called again. */
enum rfs_err repair_store(const struct store_drivers *drivers, repair_told *told, void *data,
	struct repair_totals *totals) RFS_MUST_CHECK;

#endif
