/*
 * data.h: what the commands for data in S3 stores have in common: one connection, paths one after another, lists as
 * they come. What fails is said and counted, and the next path is looked at.
 */
#ifndef CLIENTS_CLI_DATA_H
#define CLIENTS_CLI_DATA_H

#include "cli_s3.h"
#include <stdio.h>

struct data {
	struct cli *cli;
	struct s3_client *client;
	struct s3_conn *conn;
	struct arena *page;   /* of one call's results */
	struct s3_path path;  /* that is looked at */
	const char *text;     /* as it was given */
	bool human, terminal; /* sizes as 1.2 GiB; names are seen by people */
};

/*
 * For each of the paths, `run`; false from it: it is said what failed. Before the first, `check` of each: false from it
 * is wrong usage, and nothing is done. Gives the exit code.
 */
int data_each_path(struct cli *cli, bool (*check)(struct data *d), bool (*run)(struct data *d));
/* `error` is what the connection says, of this path or of the one that is looked at (NULL); gives false. */
bool data_fail(struct data *d, const char *bucket, const char *key);
/* The path names an object; else `error`. */
bool data_is_object(struct data *d);
/* The path names a bucket, or something in it; else `error`. */
bool data_is_in_bucket(struct data *d);

/*
 * What begins with `prefix`, in the order of names; with `levels`, only up to the next '/': then `object` is NULL where
 * `name` stands for what is below. False from `each` ends it: data_walk then gives false, too. `name` holds until each
 * returns.
 */
typedef bool data_each(void *data, const char *name, const struct s3_object *object);
bool data_walk(struct data *d, const char *bucket, const char *prefix, bool levels, data_each *each, void *arg);
/* What the path stands for as a directory: "" or "a/b/". In cli->arena. */
const char *data_folder(struct data *d);

/* --- what is shown ------------------------------------------------------------------------------------------------ */

/* s3://BUCKET/KEY, and what stands behind it; for people without what moves a cursor. */
void data_put_path(const struct data *d, const char *bucket, const char *key, const char *end);
void data_put_name(const struct data *d, const char *name);
#define DATA_TEXT 32
/* "1.2 GiB" or "1288490189" */
const char *data_size(const struct data *d, uint64_t size, char out[DATA_TEXT]);
/* "2026-01-31 12:00:00", of this machine's time zone */
const char *data_time(int64_t ns, char out[DATA_TEXT]);
/* What --json says of an object. */
json_t *data_object_json(const char *bucket, const struct s3_object *object);
/* And of a directory. */
json_t *data_folder_json(const char *bucket, const char *prefix);

/* --- data_rm.c ---------------------------------------------------------------------------------------------------- */

/* Everything in a bucket. False: `error`. */
bool data_empty_bucket(struct data *d, const char *bucket, bool dry_run);

#endif
