/*
 * transfer_report.c: what people and scripts are told. With --json an object a line; else lines with --verbose and
 * --dry-run only, and one at the end.
 */
#include "transfer.h"
#include "cli_interrupt.h"
#include "cli_progress.h"
#include <errno.h>
#include <stdio.h>

#define UNANSWERED_MOST 1 /* of each thread */

static const char *const verbs[] = {[TRANSFER_UPLOAD] = "upload",
	[TRANSFER_DOWNLOAD] = "download",
	[TRANSFER_COPY] = "copy",
	[TRANSFER_RELAY] = "copy"};
static const char *const past[] = {[TRANSFER_UPLOAD] = "uploaded",
	[TRANSFER_DOWNLOAD] = "downloaded",
	[TRANSFER_COPY] = "copied",
	[TRANSFER_RELAY] = "copied"};

/* A path, or s3://bucket/key. */
static void
place_put(FILE *out, const char *bucket, const char *name)
{
	if (bucket)
		fprintf(out, "s3://%s/", bucket);
	cli_put_text(out, name);
}

static json_t *
place_json(const char *bucket, const char *name)
{
	json_t *text = bucket ? json_sprintf("s3://%s/%s", bucket, name) : json_string(name);

	return text ? text : json_null(); /* a path that is no UTF-8 */
}

static void
say(struct transfer *t, const char *verb, const struct job *job, uint64_t bytes)
{
	progress_hide();
	if (t->cli->json)
		cli_put_json(json_pack("{s:s, s:o, s:o, s:I, s:b}", "action", verb, "from",
			place_json(t->from_bucket, job->from), "to", place_json(t->to_bucket, job->to), "bytes",
			(json_int_t)bytes, "dry_run", t->options->dry_run));
	else {
		printf("%s%s ", t->options->dry_run ? "would " : "", verb);
		place_put(stdout, t->from_bucket, job->from);
		printf(" -> ");
		place_put(stdout, t->to_bucket, job->to);
		putchar('\n');
	}
	progress_show();
}

static bool
is_told(const struct transfer *t)
{
	return t->cli->json || t->options->verbose || t->options->dry_run;
}

void
report_difference(struct transfer *t, const char *what, const char *bucket, const char *name)
{
	pthread_mutex_lock(&t->report_lock);
	t->counts.files++;
	progress_hide();
	if (t->cli->json)
		cli_put_json(json_pack("{s:s, s:o}", "difference", what, "path", place_json(bucket, name)));
	else {
		printf("%s: ", what);
		place_put(stdout, bucket, name);
		putchar('\n');
	}
	progress_show();
	pthread_mutex_unlock(&t->report_lock);
}

void
report_done(struct transfer *t, const struct job *job, uint64_t bytes)
{
	if (t->options->diff) {
		report_difference(t, "differs", t->from_bucket, job->from);
		return;
	}
	pthread_mutex_lock(&t->report_lock);
	t->counts.files++;
	t->counts.bytes += bytes;
	t->unanswered = 0;
	if (is_told(t))
		say(t, t->options->move ? "move" : verbs[t->kind], job, bytes);
	pthread_mutex_unlock(&t->report_lock);
}

void
report_same(struct transfer *t, const struct job *job)
{
	progress_add(job->size);
	pthread_mutex_lock(&t->report_lock);
	t->counts.same++;
	t->unanswered = 0; /* to say so, the store was asked */
	pthread_mutex_unlock(&t->report_lock);
}

void
report_removed(struct transfer *t, const char *name)
{
	pthread_mutex_lock(&t->report_lock);
	t->counts.removed++;
	if (is_told(t)) {
		progress_hide();
		if (t->cli->json)
			cli_put_json(json_pack("{s:s, s:o, s:b}", "action", "remove", "path",
				place_json(t->to_bucket, name), "dry_run", t->options->dry_run));
		else {
			printf("%sremove ", t->options->dry_run ? "would " : "");
			place_put(stdout, t->to_bucket, name);
			putchar('\n');
		}
		progress_show();
	}
	pthread_mutex_unlock(&t->report_lock);
}

static void
complain(struct transfer *t, const char *bucket, const char *name, const char *text)
{
	progress_hide();
	fflush(stdout);
	fprintf(stderr, "%srestfs:%s ", cli_colour(stderr, COLOUR_RED), cli_colour(stderr, COLOUR_NONE));
	place_put(stderr, bucket, name);
	fprintf(stderr, ": ");
	cli_put_text(stderr, text);
	fputc('\n', stderr);
	progress_show();
}

bool
report_failed(struct transfer *t, const char *bucket, const char *name, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	pthread_mutex_lock(&t->report_lock);
	t->counts.failed++;
	complain(t, bucket, name, text);
	pthread_mutex_unlock(&t->report_lock);
	return false;
}

/* Where there is no room for one file, there is none for the others. */
bool
report_unwritten(struct transfer *t, const char *path)
{
	int error = errno;

	if (error == ENOSPC || error == EDQUOT)
		atomic_store(&t->given_up, "there is no room");
	else if (error == EROFS)
		atomic_store(&t->given_up, "nothing can be written there");
	return report_failed(t, NULL, path, "cannot be written: %s", local_problem(error));
}

/* A store that has gone away has gone for all the other files, too. */
static void
answer_count(struct transfer *t, bool is_unanswered)
{
	pthread_mutex_lock(&t->report_lock);
	t->unanswered = is_unanswered ? t->unanswered + 1 : 0;
	if (t->unanswered >= UNANSWERED_MOST * t->options->parallel)
		atomic_store(&t->given_up, "the store does not answer");
	pthread_mutex_unlock(&t->report_lock);
}

/* Why what one file was refused for is so for all others, too; NULL: it may be of that one. */
static const char *
refusal_of_all(const struct s3_failure *failure)
{
	static const char *const codes[][2] = {{"NoSuchBucket", "there is no such bucket"},
		{"InvalidAccessKeyId", "the store does not take the key"},
		{"SignatureDoesNotMatch", "the store does not take the key"},
		{"InvalidToken", "the store does not take the key"}, {"ExpiredToken", "the key has expired"},
		{"InsufficientStorage", "the store has no room"}};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (strcmp(failure->code, codes[i][0]) == 0)
			return codes[i][1];
	return NULL;
}

const char *
report_side(const struct transfer *t, const struct s3_conn *conn)
{
	if (t->from_client == t->client)
		return "";
	return s3_conn_client(conn) == t->client ? "at the target: " : "at the source: ";
}

bool
report_refused(struct worker *w, const struct job *job)
{
	return report_refused_by(w, w->conn, job);
}

bool
report_refused_by(struct worker *w, const struct s3_conn *conn, const struct job *job)
{
	const struct s3_failure *failure = s3_conn_failure(conn);

	/* Of thousands of files that an interrupt caught, nobody wants to read, nor of each part of one that failed. */
	if (failure->stopped || (w->large && atomic_exchange(&w->large->failed, true)))
		return false;
	answer_count(w->transfer, failure->is_unanswered);
	if (refusal_of_all(failure))
		atomic_store(&w->transfer->given_up, refusal_of_all(failure));
	return report_failed(w->transfer, w->transfer->from_bucket, job->from, "%s%s", report_side(w->transfer, conn),
		failure->text);
}

void
report_warning(struct transfer *t, const char *name, const char *text)
{
	if (t->cli->quiet)
		return;
	pthread_mutex_lock(&t->report_lock);
	complain(t, NULL, name, text);
	pthread_mutex_unlock(&t->report_lock);
}

void
report_summary(struct transfer *t)
{
	const struct transfer_counts *c = &t->counts;
	char bytes[32];

	if (t->cli->json) {
		cli_put_json(json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:b}", "action", "summary", "files",
			(json_int_t)c->files, "bytes", (json_int_t)c->bytes, "same", (json_int_t)c->same, "removed",
			(json_int_t)c->removed, "failed", (json_int_t)c->failed, "dry_run", t->options->dry_run));
		return;
	}
	if (t->cli->quiet)
		return;
	progress_bytes((double)c->bytes, bytes, sizeof(bytes));
	printf("%s%s: %s, %s", t->options->dry_run ? "would be " : "", t->options->move ? "moved" : past[t->kind],
		cli_counted(t->cli->arena, c->files, "file", "files"), bytes);
	if (c->same)
		printf("; the same: %llu", (unsigned long long)c->same);
	if (c->removed)
		printf("; removed: %llu", (unsigned long long)c->removed);
	if (c->failed)
		printf("; failed: %llu", (unsigned long long)c->failed);
	if (atomic_load(&t->given_up))
		printf("; given up, as %s: the same command goes on from here", atomic_load(&t->given_up));
	else if (interrupt_came())
		printf("; interrupted: the same command goes on from here");
	putchar('\n');
}
