/* data_bucket.c: `restfs mb`, `restfs rb`. */
#include "data.h"

/* s3://BUCKET, and nothing behind it. */
static bool
is_bucket(struct data *d)
{
	if (!data_is_in_bucket(d))
		return false;
	return !d->path.key[0] || cli_fail(d->cli, "%s: a bucket is s3://BUCKET, with nothing behind it", d->text);
}

static void
said(const struct data *d, const char *what)
{
	if (d->cli->json)
		cli_put_json(json_pack("{s:s, s:s}", "bucket", d->path.bucket, "done", what));
	else if (!d->cli->quiet)
		printf("%s s3://%s\n", what, d->path.bucket);
}

/* One's own may be made again; not every store's answer tells that it was there. */
static bool
make(struct data *d)
{
	bool is_there;

	is_there = s3_bucket_head(d->conn, d->path.bucket);
	if (!is_there && s3_conn_failure(d->conn)->is_unanswered)
		return data_fail(d, NULL, NULL);
	if (!s3_bucket_create(d->conn, d->path.bucket)) {
		is_there = strcmp(s3_conn_failure(d->conn)->code, "BucketAlreadyOwnedByYou") == 0;
		if (!is_there)
			return data_fail(d, NULL, NULL);
	}
	said(d, is_there ? "already there" : "made");
	return true;
}

static bool
remove_one(struct data *d)
{
	if (cli_flag(d->cli, "force") && !data_empty_bucket(d, d->path.bucket, cli_flag(d->cli, "dry_run")))
		return false;
	if (cli_flag(d->cli, "dry_run")) {
		said(d, "would remove");
		return true;
	}
	if (!s3_bucket_remove(d->conn, d->path.bucket)) {
		if (strcmp(s3_conn_failure(d->conn)->code, "BucketNotEmpty") == 0)
			return cli_fail(d->cli, "%s: there is something in it (--force removes that, too)", d->text);
		return data_fail(d, NULL, NULL);
	}
	said(d, "removed");
	return true;
}

int
data_mb(struct cli *cli)
{
	return data_each_path(cli, is_bucket, make);
}

int
data_rb(struct cli *cli)
{
	return data_each_path(cli, is_bucket, remove_one);
}
