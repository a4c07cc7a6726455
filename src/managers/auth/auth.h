/*
 * auth.h: who is asking, and may he. Identities, access keys (secrets sealed under the master key file) and the one decision, auth_check.
 *
 * Used by doors (credentials -> identity) and by core (auth_check in every verb). Identities and keys are rows of the domain bucket, cached
 * here; the cache is exact because every change goes through this manager. [any] unless a function says otherwise.
 */
#ifndef MANAGERS_AUTH_AUTH_H
#define MANAGERS_AUTH_AUTH_H

#include "base/request.h"
#include "managers/metadata/metadata.h"

struct auth;

#define IDENTITY_ROOT 1 /* the root key's identity; 0 is nobody */

/* Immutable once given out; lives as long as the auth manager. */
struct identity {
	uint64_t id;
	const char *name;        /* "root", "anna"; "" for nobody */
	const char *display_id;  /* S3's canonical user id: 64 hex digits, SHA-256 of the id and the store's */
	bool admin;              /* may do everything, and call administration */
	/* What the access key that was used is limited to; NULL: not limited. */
	const char *scope_bucket;
	const char *scope_prefix;
	bool scope_read_only;
};

enum operation {
	OP_BUCKET_LIST_ALL, /* ListBuckets: everybody sees his own */
	OP_BUCKET_CREATE,
	OP_BUCKET_DELETE,
	OP_BUCKET_READ,     /* HeadBucket, location */
	OP_BUCKET_LIST,     /* list keys, uploads, versions */
	OP_BUCKET_CONFIGURE, /* ACL, CORS: read or change */
	OP_OBJECT_READ,
	OP_OBJECT_WRITE,    /* put, copy to, multipart */
	OP_OBJECT_DELETE,
	OP_OBJECT_READ_ACL,
	OP_OBJECT_WRITE_ACL,
};

/* What is asked for. Fields that do not exist yet (no such bucket or object) are NULL. */
struct access_target {
	const struct bucket_row *bucket;
	struct bytes name;             /* the key that was used */
	const struct version *version; /* the object's head */
};

/*
 * [init] Loads or creates DATA/master.key (32 random bytes, mode 0600) and the root key: the given one, or DATA/root-credentials
 * ("access_key=..." and "secret_key=..." lines, mode 0600), generated when missing. `error` (size 512) says what failed.
 */
enum rfs_err auth_open(struct metadata *metadata, const char *data, const char *root_access_key, const char *root_secret_key, struct auth **out,
	char *error);
void auth_close(struct auth *a);

const struct identity *auth_anonymous(void);
const struct identity *auth_root(struct auth *a);
/* Display id and name of an identity by number, also of a removed one (then "unknown"). Static for the manager's life. */
const struct identity *auth_identity(struct auth *a, struct request *rq, uint64_t id);
const char *auth_root_access_key(struct auth *a);

/*
 * The signing key of an access key for a day, region and service (cached), and its identity. INVALID_ACCESS_KEY_ID; WOULD_BLOCK when the key's row
 * must be read and rq->may_block is false.
 */
enum rfs_err auth_signing_key(struct auth *a, struct request *rq, struct bytes access_key, struct bytes date, struct bytes region,
	struct bytes service, uint8_t out[32], const struct identity **who);

/* The decision: RFS_OK or ACCESS_DENIED. Reads only what it is given; never blocks. */
enum rfs_err auth_check(struct auth *a, struct request *rq, const struct access_target *target, enum operation op) RFS_MUST_CHECK;

/* Administration [worker]. Secrets are returned once, at creation. Names: 1 to 64 of [A-Za-z0-9._-]. USER_EXISTS, NO_SUCH_USER, NO_SUCH_ACCESS_KEY */
struct access_key_scope {
	struct bytes bucket; /* empty: any */
	struct bytes prefix;
	bool read_only;
};
struct access_key_info {
	struct bytes access_key;
	struct bytes user;
	struct access_key_scope scope;
	int64_t created_ns;
};
enum rfs_err auth_user_create(struct auth *a, struct request *rq, struct bytes name, bool admin);
enum rfs_err auth_user_remove(struct auth *a, struct request *rq, struct bytes name); /* and its keys */
enum rfs_err auth_user_list(struct auth *a, struct request *rq, const struct identity ***out, size_t *count); /* in the request's arena */
enum rfs_err auth_user_find(struct auth *a, struct request *rq, struct bytes name, const struct identity **out);
/* `access_key` and `secret` empty: generated (20 and 40 characters). */
enum rfs_err auth_key_create(struct auth *a, struct request *rq, struct bytes user, const struct access_key_scope *scope, struct bytes access_key,
	struct bytes secret, struct bytes *access_key_out, struct bytes *secret_out);
enum rfs_err auth_key_remove(struct auth *a, struct request *rq, struct bytes access_key);
enum rfs_err auth_key_list(struct auth *a, struct request *rq, struct bytes user, struct access_key_info **out, size_t *count);

#endif
