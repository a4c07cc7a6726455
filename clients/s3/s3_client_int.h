/* s3_client_int.h: what the files of the S3 client share. */
#ifndef CLIENTS_S3_S3_CLIENT_INT_H
#define CLIENTS_S3_S3_CLIENT_INT_H

#include "s3/s3_client.h"
#include "net/xml_read.h"
#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>

struct s3_client {
	struct arena *arena;
	struct s3_profile profile;
	const char *authority; /* of the endpoint: "host:port" */
	bool sign_payload;     /* in clear over a network a signature that leaves the body out is worth little */
	atomic_bool stopped;
	atomic_bool lacks_crc; /* the server takes no CRC64NVME with a PUT */
	atomic_bool was_there; /* took a connection, of any thread */
	uint64_t rate;        /* bytes a second; 0: no limit */
	pthread_mutex_t lock; /* rate_free_ns */
	int64_t rate_free_ns; /* clock_monotonic_ns() from which the next byte may go */
};

struct s3_conn {
	struct s3_client *client;
	CURL *curl;
	struct arena *scratch; /* of the attempt that is under way */
	struct arena *small;   /* of operations that have no arena of their caller's; reset by each of them */
	char curl_error[CURL_ERROR_SIZE];
	struct s3_failure failure;
	bool has_said;  /* s3_conn_fail was called in this call */
	bool unstopped; /* the request under way is */
	int64_t skew_ns;
	bool has_skew;
};

/* s3_attempt.c: one request, once. */
struct s3_outcome {
	bool may_repeat; /* nothing was done, or doing it again does no harm */
	bool is_away;    /* nobody takes connections */
	int64_t wait_ns; /* the server asked for it; 0: it did not */
};
bool s3_attempt(struct s3_conn *conn, struct arena *arena, const struct s3_request *request, struct s3_answer *out,
	struct s3_outcome *outcome);

/* s3_call.c */
void s3_failure_clear(struct s3_conn *conn);
/* Behind what the failure says. */
void s3_failure_add(struct s3_conn *conn, const char *text);
/* Rests before the attempt behind `attempt` (from 0). False: there have been enough, or it was stopped. */
bool s3_rest(struct s3_conn *conn, unsigned attempt, const struct s3_outcome *outcome);

/* "/bucket/key", encoded; either may be NULL. */
struct bytes s3_path_encoded(struct arena *arena, const char *bucket, const char *key);

/* s3_client.c: waits until `len` bytes more may go. False: stopped. */
bool s3_rate_take(struct s3_client *client, size_t len);

/* s3_answer.c: reading answers. The root of an XML body that is called `name`; NULL: the failure says what it is. */
struct xml_element *s3_answer_xml(
	struct s3_conn *conn, struct arena *arena, const struct s3_answer *answer, const char *name);
/* The text of a child; NULL: there is none. */
const char *s3_xml_text(struct arena *arena, const struct xml_element *parent, const char *name);
uint64_t s3_size_bounded(uint64_t said);
uint64_t s3_xml_number(const struct xml_element *parent, const char *name);
int64_t s3_xml_date(const struct xml_element *parent, const char *name);
/* Without its quotes. */
const char *s3_unquoted(struct arena *arena, const char *etag);
/* Of an answer that is no document of S3's: the failure says, behind what it says, that no S3 store seems to answer. */
void s3_foreign_say(struct s3_conn *conn, const struct s3_answer *answer);
/* <Error>: its code and message into the failure. False: it is none. */
bool s3_failure_read(struct s3_conn *conn, struct bytes body);
void s3_info_read(struct arena *arena, const struct s3_answer *answer, struct s3_info *out);

/* s3_object_ops.c: what s3_put and s3_upload_create send. */
size_t s3_put_headers(struct arena *arena, const struct s3_put *put, struct s3_header **out);
/* The value of x-amz-copy-source. */
const char *s3_copy_source(struct arena *arena, const char *bucket, const char *key);

/* s3_sum.c: checksums of bodies. The CRC64NVME in base64; NULL: the file cannot be read, or is shorter. */
const char *s3_body_crc64nvme(struct s3_conn *conn, struct arena *arena, const struct s3_body *body);
bool s3_body_sha256(struct s3_conn *conn, const struct s3_body *body, uint8_t out[32]);
/* In base64, for Content-MD5. NULL: it cannot be read. */
const char *s3_body_md5(struct s3_conn *conn, struct arena *arena, const struct s3_body *body);
/* Has the server what was sent? By its own CRC64NVME, else by its ETag where that is an MD5. */
bool s3_stored_verify(
	struct s3_conn *conn, const struct s3_body *body, const struct s3_answer *answer, const char *crc64nvme);

#endif
