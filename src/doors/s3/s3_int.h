/* s3_int.h: what the files of the S3 door share. */
#ifndef DOORS_S3_S3_INT_H
#define DOORS_S3_S3_INT_H

#include "base/config.h"
#include "base/metrics.h"
#include "core/core.h"
#include "doors/s3/s3_door.h"
#include "net/xml_write.h"
#include "managers/auth/sigv4.h"
#include "net/http.h"
#include "net/url.h"

#define S3_KEY_MAX KEY_FOUND_BYTES       /* that something new may not be called so, core says */
#define S3_OBJECT_MAX (INT64_C(5) << 30) /* of one PutObject */
#define S3_SMALL_BODY (1024 * 1024)      /* up to here a body is read whole, and one worker job stores it */
#define S3_QUERY_MAX 256
#define S3_PIECES_MAX 64

enum s3_method { S3_GET, S3_HEAD, S3_PUT, S3_POST, S3_DELETE, S3_OPTIONS, S3_METHOD_COUNT };
enum s3_level { S3_SERVICE, S3_BUCKET, S3_OBJECT };

#define S3_ON_LOOP 1u
#define S3_DOCUMENT 2u
#define S3_STREAM 4u
#define S3_PUBLIC 8u
#define S3_OBJECT_CHECKSUM 16u

struct s3_exchange;

struct s3_operation {
	const char *name;
	enum s3_method method;
	enum s3_level level;
	const char *query;
	const char *header;
	unsigned flags;
	/* Fills the reply. May be called again after WOULD_BLOCK, with an empty reply. */
	enum rfs_err (*run)(struct s3_exchange *ex);
	const char *headers;
	const char *params;
	enum metric latency; /* where its time is observed; s3_route_init */
};

/* Where a streamed body goes. All [worker], but begin; those that are `on_loop` are tried there with small bodies. */
struct s3_sink {
	/* Before a byte is read: refuses what the headers alone decide. [any]; WOULD_BLOCK: again, on a worker */
	enum rfs_err (*begin)(struct s3_exchange *ex);
	/* Takes the reference. */
	enum rfs_err (*write)(struct s3_exchange *ex, struct slice part);
	/* The body is complete and its framing verified. Fills the reply. */
	enum rfs_err (*finish)(struct s3_exchange *ex);
	/* Instead of finish, when begin has succeeded. */
	void (*abort)(struct s3_exchange *ex);
	bool on_loop; /* finish may answer WOULD_BLOCK or PENDING: it is then called again */
};

/* What the headers say of the body, and what its digests must be. */
struct s3_body {
	bool present;      /* the request has a body, perhaps an empty one */
	bool is_chunked;   /* aws-chunked framing */
	int64_t size;      /* decoded; -1: not known */
	uint64_t limit;    /* of the decoded size */
	uint64_t received; /* decoded, so far */
	bool has_checksum; /* one of the five, in a header or to come in the trailer */
	bool checksum_in_trailer;
	enum digest checksum;
	bool has_md5;
	struct digest_claim claims[2]; /* MD5, checksum */
	size_t claim_count;
	unsigned digests; /* DIGEST_BIT()s of the claims, and of the one in the trailer */
	struct aws_chunked *decoder;
	struct buf document;
};

struct s3_reply_header {
	const char *name;
	struct bytes value;
};

/* What the answer will be. Memory is the request's arena, but for the body. */
struct s3_reply {
	int status; /* 0: 200 */
	struct s3_reply_header *headers;
	size_t header_count;
	size_t header_capacity;
	struct buf document; /* XML; of malloc */
	struct slice bytes;  /* or the first bytes of an object */
	bool has_length;     /* `length` is the whole body's, of which `bytes` is the beginning */
	uint64_t length;
	uint64_t sent; /* of it */
	/* The next bytes of a long body; empty at the end. WOULD_BLOCK: again, on a worker */
	enum rfs_err (*next)(struct s3_exchange *ex, struct slice *out);
};

/* The CORS headers of an answer: of the rule that fits, if any. */
struct s3_cors_answer {
	bool allowed;
	bool any_origin; /* the rule says "*" */
	struct bytes origin;
	struct bytes methods;
	struct bytes headers; /* a preflight's, else empty */
	struct bytes expose;
	int64_t max_age_seconds; /* -1: none */
};

/* A streamed body on its way in. */
struct s3_receive {
	struct slice *pieces; /* what the worker's step takes, at most S3_PIECES_MAX; NULL until a body is read */
	size_t piece_count;
	bool begun;    /* sink->begin has succeeded, neither finish nor abort has ended it */
	bool is_last;  /* no piece comes after these */
	bool is_whole; /* the last has been fed, the framing's end verified */
	bool finished; /* finish has ended: the reply is filled, or there is an error */
};

struct s3_door {
	struct http_door http;
	struct core *core;
	const struct config *config;
};

struct s3_exchange {
	struct s3_door *door;
	struct http_exchange *http;
	struct request *rq; /* of `http` */
	char id_text[17];   /* rq->id, x-amz-request-id */
	const struct identity *asker; /* rq->who, as the loop may read it while a worker has the exchange */

	/* The request. [loop] sets it, read-only afterwards. */
	enum s3_method method;
	enum s3_level level;
	const struct s3_operation *op; /* NULL: none was found */
	const struct sigv4_header *headers;
	size_t header_count;
	struct url_query query;
	struct bytes path; /* raw */
	struct bytes bucket;
	struct bytes key;

	/* Who asks. */
	struct sigv4_request signing;
	struct sigv4 signature;
	uint8_t signing_key[32];

	bool admitted; /* authenticated, owner compared, CORS looked up */
	struct s3_body body;
	const struct s3_sink *sink;
	void *state;                           /* the operation's own */
	void (*close)(struct s3_exchange *ex); /* its end; may be NULL. [any] */

	struct s3_reply reply;
	bool has_object_size; /* of the object that a range lies outside of */
	uint64_t object_size;
	struct s3_cors_answer cors;
	bool cors_known;

	/* s3_door.c and s3_receive.c: the step on the way. */
	enum rfs_err result;
	struct s3_receive receive;
	struct slice next_part; /* of a long answer */
};

/* --- s3_route.c: what is asked for
 * --------------------------------------------------------------------------------------------- */

void s3_route_init(void); /* [init] */
/* Fills method, level, bucket, key, query and op. INVALID_URI, KEY_TOO_LONG, METHOD_NOT_ALLOWED, NOT_IMPLEMENTED. */
enum rfs_err s3_route(struct s3_exchange *ex, struct bytes method) RFS_MUST_CHECK;
/* The methods that the level which `ex` is at has (RFC 9110, 10.2.1). */
struct bytes s3_route_methods(const struct s3_exchange *ex);
/* NOT_IMPLEMENTED for a header or parameter that has a meaning in S3 and none in the operation's row. After
 * sigv4_parse. INVALID_REQUEST for a presigned parameter that is said twice. */
enum rfs_err s3_route_check_known(struct s3_exchange *ex) RFS_MUST_CHECK;
/* Is `name` one of the words of `list`? */
bool s3_word_in(const char *list, struct bytes name);
bool s3_is_utf8(struct bytes text);

/* --- s3_request.c: what it carries
 * --------------------------------------------------------------------------------------------- */

/* Reads the signature and compares it. WOULD_BLOCK, those of sigv4.h and auth_signing_key. */
enum rfs_err s3_authenticate(struct s3_exchange *ex) RFS_MUST_CHECK;
/* x-amz-expected-bucket-owner. ACCESS_DENIED, NO_SUCH_BUCKET, WOULD_BLOCK. */
enum rfs_err s3_check_owner(struct s3_exchange *ex, const char *header, struct bytes bucket) RFS_MUST_CHECK;
/* A header's value, or that of a presigned query parameter which stands for it; data NULL: did not come. `name` in
 * lower case. */
struct bytes s3_header(const struct s3_exchange *ex, const char *name);
/* A query parameter's value; data NULL: did not come. A parameter without a value has data and no length. */
struct bytes s3_param(const struct s3_exchange *ex, const char *name);
/* versionId: none or "null" is fine, NO_SUCH_VERSION or INVALID_ARGUMENT otherwise. */
enum rfs_err s3_check_version_id(struct s3_exchange *ex, struct bytes id) RFS_MUST_CHECK;
/* If-Match and its kin; `prefix` is "" or "x-amz-copy-source-". */
void s3_conditions(struct s3_exchange *ex, const char *prefix, struct conditions *out);
/* Those that a change is made under: S3_H_CONDITIONS. */
void s3_write_conditions(struct s3_exchange *ex, struct conditions *out);
/* A number in [min, max] from a parameter that came; INVALID_ARGUMENT. */
enum rfs_err s3_param_number(
	struct s3_exchange *ex, const char *name, uint64_t min, uint64_t max, uint64_t *value) RFS_MUST_CHECK;

/* --- s3_headers.c: metadata of objects
 * ------------------------------------------------------------------------------------------ */

/* Without spaces and tabs around it (RFC 9110, 5.6.3). */
struct bytes s3_trim(struct bytes v);
/* Is aws-chunked one of the encodings? */
bool s3_has_aws_chunked(struct bytes encodings);
/* A copy in lower case. */
struct bytes s3_lower(struct arena *arena, struct bytes name);
/* Content type, properties, ACL and storage class from the request's headers. METADATA_TOO_LARGE, INVALID_ARGUMENT,
 * NOT_IMPLEMENTED. */
enum rfs_err s3_read_metadata(struct s3_exchange *ex, struct object_put_args *args) RFS_MUST_CHECK;
/* ETag, Last-Modified, Content-Type, the properties. */
void s3_write_metadata(struct s3_exchange *ex, const struct version *v);
/* x-amz-checksum-*; */
void s3_write_checksum(struct s3_exchange *ex, const struct version *v);
/* Of a part, with the type of its object's. */
void s3_write_checksum_value(
	struct s3_exchange *ex, enum digest digest, const struct digest_value *value, const char *type);
void s3_write_etag(struct s3_exchange *ex, const struct version *v);

/* --- s3_checksum.c: the names of the checksums
 * ----------------------------------------------------------------------------------- */

struct s3_checksum_name {
	enum digest digest;
	const char *algorithm; /* "CRC32C", in x-amz-sdk-checksum-algorithm and answers */
	const char *header;    /* "x-amz-checksum-crc32c" */
	const char *element;   /* "ChecksumCRC32C" */
};
const struct s3_checksum_name *s3_checksum_of(enum digest digest);
/* NULL: not one that we have. */
const struct s3_checksum_name *s3_checksum_by_algorithm(struct bytes algorithm);
const struct s3_checksum_name *s3_checksum_by_header(struct bytes header);
/* Base64; in the arena. */
const char *s3_digest_text(struct arena *arena, enum digest digest, const struct digest_value *value);
/* The same, with "-parts" for COMPOSITE. */
const char *s3_checksum_text(struct arena *arena, const struct version *v);
const char *s3_checksum_type_text(const struct version *v);
bool s3_checksum_decode(enum digest digest, struct bytes text, struct digest_value *out);

/* --- s3_body.c: bodies
 * ---------------------------------------------------------------------------------------------------------- */

/* Size, framing and claims from the headers. MISSING_CONTENT_LENGTH, ENTITY_TOO_LARGE, INVALID_DIGEST, BAD_DIGEST,
 * INVALID_REQUEST, INVALID_ARGUMENT. */
enum rfs_err s3_body_plan(struct s3_exchange *ex, int64_t limit) RFS_MUST_CHECK;
/* One piece as it came from the connection (borrowed), unframed into the sink. */
enum rfs_err s3_body_feed(struct s3_exchange *ex, struct slice piece) RFS_MUST_CHECK;
/* All pieces have come: the framing's end is verified and the trailer's claims join the others. */
enum rfs_err s3_body_end(struct s3_exchange *ex) RFS_MUST_CHECK;
void s3_body_free(struct s3_exchange *ex);
/* The sink of documents: collects and verifies them, then calls the operation's run. */
extern const struct s3_sink s3_document_sink;
/* The verified document. */
static inline struct bytes
s3_document(const struct s3_exchange *ex)
{
	return buf_bytes(&ex->body.document);
}

/* --- s3_reply.c: answers
 * -------------------------------------------------------------------------------------------------------- */

/* Name and value must live as long as the request. */
void s3_reply_header(struct s3_exchange *ex, const char *name, struct bytes value);
/* The same, in place of one of that name (in any case) that is there. */
void s3_reply_header_set(struct s3_exchange *ex, const char *name, struct bytes value);
/* An XML answer: opens `root`. */
struct buf *s3_reply_xml(struct s3_exchange *ex, const char *root);
/* Forgets what was filled in. */
void s3_reply_reset(struct s3_exchange *ex);
/* Sends what is there, and the rest of a long answer as it drains. [loop] */
void s3_reply_send(struct s3_exchange *ex);

/* --- s3_receive.c: bodies on their way in
 * --------------------------------------------------------------------------------------- */

/* Reads the request's body into ex->sink, and answers. [loop] */
void s3_receive_start(struct s3_exchange *ex);

/* --- s3_door.c
 * ------------------------------------------------------------------------------------------------------------------ */

/* The operation has come to its end with ex->result: answers. [loop] */
void s3_exchange_answer(struct s3_exchange *ex);
static inline struct s3_exchange *
s3_exchange_of(struct http_exchange *x)
{
	return x->user;
}

/* --- s3_error.c
 * ----------------------------------------------------------------------------------------------------------------- */

/* Replaces the reply by the error's face. */
void s3_error_reply(struct s3_exchange *ex, enum rfs_err error);
/* The face's text, or the detail that was recorded. */
const char *s3_error_message(const struct s3_exchange *ex, enum rfs_err error);

/* --- s3_upload.c */

/* uploadId and partNumber. INVALID_ARGUMENT, NO_SUCH_UPLOAD. */
enum rfs_err s3_read_part_name(struct s3_exchange *ex, struct bytes *upload, uint32_t *number) RFS_MUST_CHECK;

/* --- s3_object_copy.c */

/* x-amz-copy-source and x-amz-source-expected-bucket-owner. INVALID_ARGUMENT, KEY_TOO_LONG, NO_SUCH_VERSION, ACCESS_DENIED. */
enum rfs_err s3_read_source(struct s3_exchange *ex, struct bytes *bucket, struct bytes *key) RFS_MUST_CHECK;
/* The answer of a copy: ETag, time and checksum in `root`. */
void s3_write_copied(struct s3_exchange *ex, const char *root, const struct version *version);

/* --- s3_acl.c
 * -------------------------------------------------------------------------------------------------------------------
 */

/* x-amz-acl; PRIVATE when it did not come, and then `given` is false. INVALID_ARGUMENT, NOT_IMPLEMENTED. */
enum rfs_err s3_read_acl(struct s3_exchange *ex, enum acl *acl, bool *given) RFS_MUST_CHECK;
void s3_write_owner(struct s3_exchange *ex, struct buf *xml, uint64_t owner);

/* --- s3_cors.c
 * ------------------------------------------------------------------------------------------------------------------ */

/* Looks up the rule for a request with an Origin; finds nothing out about missing buckets. WOULD_BLOCK. */
enum rfs_err s3_cors_look_up(struct s3_exchange *ex) RFS_MUST_CHECK;
/* Its headers into the reply. */
void s3_cors_write(struct s3_exchange *ex);

/* The operations: each in the file that is called like it. */
#define OPERATION(id, method, level, query, header, flags, run, headers, params) \
	enum rfs_err run(struct s3_exchange *ex);
#include "doors/s3/s3_operations.def"
#undef OPERATION

#endif
