/*
 * s3_client.h: a client of the S3 API, of any endpoint. Blocking calls over libcurl, path style.
 *
 * A client (s3_client) is shared by threads; each thread has a connection (s3_conn) of its own. Whoever includes this
 * is a program's command or thread: nothing here prints or ends the program. A call that gives false has left what went
 * wrong in s3_conn_failure(). What may be repeated is repeated, with pauses that grow (S3_ATTEMPTS in all), so a call
 * may take minutes.
 *
 * Texts are NUL-terminated UTF-8; those of results are in the arena that the caller gave, and live as long as that.
 * Times are nanoseconds since 1970. Protocol: Amazon S3 API reference, the operation of that name.
 */
#ifndef CLIENTS_S3_S3_CLIENT_H
#define CLIENTS_S3_S3_CLIENT_H

#include "base/arena.h"
#include "base/bytes.h"

#define S3_ERROR_BYTES 512
#define S3_ATTEMPTS 6
#define S3_ATTEMPTS_AWAY 9 /* of a server that took connections, and takes none: it may be started again; some 20 s */
#define S3_DELETE_MAX 1000 /* keys of one s3_delete_many */
#define S3_PARTS_MAX 10000
#define S3_PART_MIN (5 * 1024 * 1024)

/* --- s3_profile.c: whom to talk to, as whom ----------------------------------------------------------------------- */

struct s3_profile {
	const char *endpoint; /* "https://host:port", without a slash at its end */
	bool is_amazon;       /* it is Amazon's, as nobody gave one */
	const char *region;
	const char *access_key; /* NULL: requests are not signed */
	const char *secret_key;
	const char *session_token; /* NULL: none */
	const char *ca_bundle;     /* a file of certificates to trust; NULL: the system's */
};

/*
 * Each of endpoint, region, keys and ca_bundle from the first place that has it: `endpoint` and `profile` (what the
 * command line says, NULL: nothing), the environment (AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_REGION,
 * AWS_DEFAULT_REGION, AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, AWS_CA_BUNDLE or
 * SSL_CERT_FILE), $XDG_CONFIG_HOME/restfs/config (~/.config), AWS's files (AWS_CONFIG_FILE,
 * AWS_SHARED_CREDENTIALS_FILE, AWS_PROFILE), where S3's endpoint in the profile's `services` goes before its
 * endpoint_url. A profile that was named goes before the environment. AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true, or that
 * setting of the profile, leaves out endpoints of AWS's environment and files (AWS SDKs and Tools reference guide,
 * "Service-specific endpoints"). False: `error`, also of a place that has half of a pair of keys.
 */
bool s3_profile_load(struct arena *arena, const char *profile, const char *endpoint, struct s3_profile *out,
	char error[S3_ERROR_BYTES]);

/* --- s3_path.c: s3://bucket/key ------------------------------------------------------------------------------- */

struct s3_path {
	bool is_s3;
	const char *bucket; /* "": all buckets */
	const char *key;    /* "": the bucket; may end in '/' */
	const char *local;  /* where it is not S3's: the text itself */
};

/* False, with `error`: it begins like one and is none. */
bool s3_path_parse(struct arena *arena, const char *text, struct s3_path *out, char error[S3_ERROR_BYTES]);

/* --- s3_client.c ------------------------------------------------------------------------------------------------ */

struct s3_client;
struct s3_conn;

/* Copies the profile. Once before the first in a process, no other thread may run. */
struct s3_client *s3_client_new(const struct s3_profile *profile);
void s3_client_free(struct s3_client *client); /* NULL is allowed; after its connections */
/* Bytes a second that all connections together send and receive as bodies; 0: no limit. Before the first request. */
void s3_client_limit_rate(struct s3_client *client, uint64_t bytes_per_second);
/* Calls give up where they are, with `stopped`; for a handler of signals, too. */
void s3_client_stop(struct s3_client *client);
bool s3_client_is_same_store(const struct s3_client *a, const struct s3_client *b); /* by host and port */

struct s3_conn *s3_conn_new(struct s3_client *client);
void s3_conn_free(struct s3_conn *conn);

/* Why the last call gave false. */
struct s3_failure {
	long status;               /* of HTTP; 0: there was no answer */
	char code[64];             /* "NoSuchKey"; "" where the answer has none */
	char text[S3_ERROR_BYTES]; /* one sentence, without the names of what was asked for */
	bool stopped;
	bool is_unanswered; /* no attempt had an answer, or a whole one */
	bool is_larger;  /* of s3_get: the object has more than its `size` */
	bool is_foreign; /* what answered does not seem to be an S3 store: its 404 says nothing of what is there */
};
const struct s3_failure *s3_conn_failure(const struct s3_conn *conn);
/* It failed because that is not there: NoSuchKey, NoSuchBucket, 404. */
bool s3_conn_is_missing(const struct s3_conn *conn);
/*
 * The answer to HEAD does not say what is missing: asks whether the bucket is there, and makes code and text of the
 * failure say which of both it is (NoSuchKey, NoSuchBucket). True: the object is missing, and its bucket is not.
 */
bool s3_missing_name(struct s3_conn *conn, const char *bucket);
const struct s3_client *s3_conn_client(const struct s3_conn *conn);
/* The server's clock less ours, by the last answer; good to a second. */
int64_t s3_conn_skew_ns(const struct s3_conn *conn);

/* --- s3_call.c: what the operations are made of; for those that have no function here ------------------------ */

struct s3_header {
	const char *name; /* lower case */
	const char *value;
};

/* Where a body comes from. */
struct s3_body {
	struct bytes bytes; /* data not NULL: these */
	int fd;             /* else `len` bytes of this file, from `offset`; read with pread, so threads may share it */
	uint64_t offset;
	uint64_t len;
	const char *crc64nvme; /* of all of it, base64, where it is known; NULL: it is computed */
	/* NULL, or told of bytes that are on their way, and, negative, of those that have to be sent again. Of long
	 * ones. */
	void (*sent)(void *data, int64_t bytes);
	void *sent_data;
};

struct s3_answer {
	long status;
	struct s3_header *headers; /* names in lower case */
	size_t header_count;
	struct bytes body; /* NUL-terminated behind its end */
};

struct s3_request {
	const char *method;
	const char *bucket;              /* NULL: none */
	const char *key;                 /* NULL: none */
	const char *query;               /* encoded, "list-type=2&prefix=a%2Fb"; NULL: none (s3_query_put makes it) */
	const struct s3_header *headers; /* signed all; host and what signs are added */
	size_t header_count;
	const struct s3_body *body; /* NULL: none */
	bool once;                  /* must not be repeated when its fate is not known */
	bool unstopped;             /* what was sent is waited for, although the client was stopped: its fate is told */
	/* Where the body of a 2xx goes; NULL: into the answer. False: give up. */
	bool (*receive)(void *data, struct bytes part);
	/* Once before each attempt's body: status and headers are known. False: give up. May be NULL. */
	bool (*begin)(void *data, const struct s3_answer *answer);
	void *data;
};

/* True: 2xx, and `out` is in the arena. */
bool s3_request_do(struct s3_conn *conn, struct arena *arena, const struct s3_request *request, struct s3_answer *out);
/* Appends "&name=value", encoded; value NULL: only the name. */
void s3_query_put(struct buf *query, const char *name, const char *value);
/* NULL: it did not come. */
const char *s3_answer_header(const struct s3_answer *answer, const char *name);

/* --- s3_bucket_ops.c -----------------------------------------------------------------------------------------------
 */

struct s3_bucket {
	const char *name;
	int64_t created_ns;
};

bool s3_buckets_list(struct s3_conn *conn, struct arena *arena, struct s3_bucket **out, size_t *count);
bool s3_bucket_head(struct s3_conn *conn, const char *bucket); /* false: it is not there, or the failure */
bool s3_bucket_create(struct s3_conn *conn, const char *bucket);
bool s3_bucket_remove(struct s3_conn *conn, const char *bucket); /* an empty one */

/* --- s3_list.c: ListObjectsV2 --------------------------------------------------------------------------------------
 */

struct s3_object {
	const char *key;
	uint64_t size;
	int64_t modified_ns;
	const char *etag; /* without quotes */
	const char *storage_class;
};

struct s3_list_query {
	const char *bucket;
	const char *prefix;      /* NULL: all */
	const char *delimiter;   /* NULL: none; "/" for one level */
	const char *start_after; /* NULL: from the beginning */
	unsigned max_keys;       /* of a page; 0: 1000 */
};

struct s3_list_page {
	struct s3_object *objects; /* in the order of their keys' bytes */
	size_t count;
	const char **prefixes; /* of `delimiter`: what has it, up to it */
	size_t prefix_count;
	const char *next; /* the token of the page behind this; NULL: it is the last */
};

/* `token` is the `next` of the page before, NULL for the first. */
bool s3_list(struct s3_conn *conn, struct arena *arena, const struct s3_list_query *query, const char *token,
	struct s3_list_page *out);

/* s3_seen.c: texts that were seen; zeroes at first. */
struct s3_seen {
	uint64_t *slots; /* hashes; 0: free */
	size_t slot_count, count;
	uint64_t seed;
};

/* False: it was seen already. */
bool s3_seen_add(struct s3_seen *seen, const char *text);
void s3_seen_fini(struct s3_seen *seen);

/* All pages of a query, one after another; zeroes but for it at first. */
struct s3_listing {
	struct s3_list_query query; /* its texts must stay */
	char *token;                /* of the page to come */
	struct s3_seen tokens, first_names;
	unsigned idle_pages; /* in a row */
	bool has_ended;      /* there is no further page; [out] */
};

/* The next page, unless has_ended. A server that leads in a circle, or to nothing but empty pages, is refused. */
bool s3_listing_next(struct s3_conn *conn, struct arena *arena, struct s3_listing *listing, struct s3_list_page *out);
void s3_listing_fini(struct s3_listing *listing);

/* --- s3_object_ops.c, s3_get.c, s3_presign.c ----------------------------------------------------------------------
 */

/* What an object's headers say. */
struct s3_info {
	uint64_t size;
	int64_t modified_ns;      /* the server's time of the last write, whole seconds */
	int64_t mtime_ns;         /* x-amz-meta-mtime; INT64_MIN: it has none */
	const char *etag;         /* without quotes; "" if it did not come */
	const char *content_type; /* "" if it did not come */
	const char *storage_class;
	const char *crc64nvme;      /* base64, of the whole object; NULL: it has none */
	unsigned parts;             /* of a multipart upload; 0: not said */
	bool is_encrypted;          /* by the server: the ETag may say nothing of the content */
	struct s3_header *metadata; /* names without x-amz-meta- */
	size_t metadata_count;
	struct s3_header *kept; /* what else it keeps: cache-control, content-encoding and their kin */
	size_t kept_count;
};

bool s3_head(struct s3_conn *conn, struct arena *arena, const char *bucket, const char *key, struct s3_info *out);
/* Bytes of one part of an object that came in parts, and was not replaced since it had that ETag. */
bool s3_head_part(struct s3_conn *conn, struct arena *arena, const char *bucket, const char *key, const char *etag,
	unsigned number, uint64_t *part_size);

struct s3_get {
	const char *bucket;
	const char *key;
	uint64_t offset;  /* the first byte; with length 0: to the end */
	uint64_t length;  /* 0: all */
	const char *etag; /* only if it is still this (If-Match); NULL: any */
	bool has_size; /* `size` is what the object has: no more is taken, and no less where the answer has no length */
	uint64_t size;
	/* The headers, before the first byte; false: give up. May be NULL. */
	bool (*begin)(void *data, const struct s3_info *info);
	/* The bytes in their order, each once. False: give up, after s3_conn_fail. */
	bool (*receive)(void *data, struct bytes part);
	void *data;
};

/*
 * A whole object is verified by the checksum of the whole that it has (CRC64NVME, CRC32C, CRC32, SHA-256, SHA-1), else
 * by its ETag where that is an MD5; of a range the length, and the caller verifies.
 */
bool s3_get(struct s3_conn *conn, struct arena *arena, const struct s3_get *get, struct s3_info *out);
/* For callbacks: the sentence of the failure to come. Gives false. */
bool s3_conn_fail(struct s3_conn *conn, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct s3_put {
	const char *bucket;
	const char *key;
	const char *content_type;        /* NULL: application/octet-stream */
	int64_t mtime_ns;                /* INT64_MIN: none */
	const struct s3_header *headers; /* more */
	size_t header_count;
	bool if_absent; /* If-None-Match: *; fails with 412 */
};

/* Sends the CRC64NVME of the body, or its MD5 where the server takes none; where it does not confirm that, compares the
 * ETag's MD5. */
bool s3_put(struct s3_conn *conn, struct arena *arena, const struct s3_put *put, const struct s3_body *body);
bool s3_delete(struct s3_conn *conn, const char *bucket, const char *key);

/* One key that was not deleted. */
struct s3_delete_failure {
	const char *key;
	const char *code;
	const char *text;
};
/* At most S3_DELETE_MAX. True: those that are not in `failures` are gone. */
bool s3_delete_many(struct s3_conn *conn, struct arena *arena, const char *bucket, const char *const *keys,
	size_t count, struct s3_delete_failure **failures, size_t *failure_count);
/* Within the server, with its metadata; up to 5 GiB. `etag`: only if the source is still this; NULL: any. */
bool s3_copy(struct s3_conn *conn, const char *from_bucket, const char *from_key, const char *etag, const char *bucket,
	const char *key);
/* A URL that needs no key for so many seconds (up to 604800); method "GET" or "PUT". In the arena. False: `error`. */
bool s3_presign(const struct s3_profile *profile, struct arena *arena, const char *method, const char *bucket,
	const char *key, uint32_t seconds, char **url, char error[S3_ERROR_BYTES]);

/* --- s3_multipart.c ------------------------------------------------------------------------------------------------
 */

struct s3_upload {
	const char *bucket;
	const char *key;
	const char *id;
	int64_t initiated_ns; /* of a list */
	bool plain;           /* begun without checksums: neither its parts nor its end may claim any */
};

struct s3_part {
	unsigned number; /* 1 to S3_PARTS_MAX */
	uint64_t size;
	const char *etag;      /* without quotes */
	const char *crc64nvme; /* base64; NULL: the server did not say */
	bool is_encrypted;     /* of s3_upload_part: as in s3_info */
};

/* `put` is what the object will be. `out` is in the arena. Plain where the server does not know CRC64NVME. */
bool s3_upload_create(struct s3_conn *conn, struct arena *arena, const struct s3_put *put, struct s3_upload *out);
/* As s3_put verifies. */
bool s3_upload_part(struct s3_conn *conn, struct arena *arena, const struct s3_upload *upload, unsigned number,
	const struct s3_body *body, struct s3_part *out);
/* Bytes [offset, offset + len) of another object. */
bool s3_upload_part_copy(struct s3_conn *conn, struct arena *arena, const struct s3_upload *upload, unsigned number,
	const char *from_bucket, const char *from_key, const char *etag, uint64_t offset, uint64_t len,
	struct s3_part *out);
/* Of keys that begin with `prefix`, in their order; `exact`: of that key only, oldest first. */
bool s3_uploads_list(struct s3_conn *conn, struct arena *arena, const char *bucket, const char *prefix, bool exact,
	struct s3_upload **out, size_t *count);
bool s3_parts_list(
	struct s3_conn *conn, struct arena *arena, const struct s3_upload *upload, struct s3_part **out, size_t *count);
/* `parts` ascend by number. `crc64nvme`: of the whole object, which the server then verifies; NULL: none. */
bool s3_upload_complete(struct s3_conn *conn, struct arena *arena, const struct s3_upload *upload,
	const struct s3_part *parts, size_t count, const char *crc64nvme);
bool s3_upload_abort(struct s3_conn *conn, const struct s3_upload *upload);

#endif
