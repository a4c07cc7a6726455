/*
 * auth.h: who is asking, and may he. Identities, access keys (secrets sealed under the master key file) and the one
 * decision, auth_check.
 *
 * Used by doors (credentials -> identity) and by core (auth_check in every verb). Identities and keys are rows of the
 * domain bucket, cached here; the cache is exact because every change goes through this manager. [any] unless a
 * function says otherwise.
 */
#ifndef MANAGERS_AUTH_AUTH_H
#define MANAGERS_AUTH_AUTH_H

#include "base/identity.h"
#include "base/request.h"
#include "managers/metadata/metadata.h"

struct auth;

/* Does the key that was used limit him? Administration is only for keys that do not. */
static inline bool
identity_is_scoped(const struct identity *who)
{
	return who->scope_bucket || who->scope_prefix || who->scope_read_only;
}

enum operation {
	OP_BUCKET_LIST_ALL, /* ListBuckets: everybody sees his own. Asked without a bucket, and then with each: may he
			       see it in the list */
	OP_BUCKET_CREATE,
	OP_BUCKET_DELETE,
	OP_BUCKET_READ,      /* HeadBucket, location */
	OP_BUCKET_LIST,      /* list keys, uploads, versions: with the prefix asked for as the target's name */
	OP_BUCKET_CONFIGURE, /* ACL, CORS, cursors of the feed: read or change */
	OP_FEED_READ,        /* what was changed, and by whom: with the prefix asked for as the target's name */
	OP_OBJECT_READ,
	OP_OBJECT_WRITE, /* put, copy to, multipart */
	OP_OBJECT_DELETE,
	OP_OBJECT_READ_ACL,
	OP_OBJECT_WRITE_ACL,
};

/* What is asked for. Fields that do not exist yet (no such bucket or object) are NULL. */
struct access_target {
	const struct bucket_row *bucket;
	struct bytes name;             /* the key that was used; of a listing: its prefix */
	const struct version *version; /* the object's head. NULL with OP_OBJECT_READ: OK only for who may list the
					  bucket, so that NO_SUCH_KEY may be told */
};

/*
 * [init] Loads or creates DATA/master.key (32 random bytes, mode 0600) and the root key: the given one, or
 * DATA/root-credentials
 * ("access_key=..." and "secret_key=..." lines, mode 0600), generated when missing. `error` (size 512) says what
 * failed.
 */
enum rfs_err auth_open(struct metadata *metadata, const char *data, const char *root_access_key,
	const char *root_secret_key, struct auth **out, char *error);
void auth_close(struct auth *a);
/* Of a store that nobody serves: could auth_open use its DATA/master.key? `error` (size 512) says why not. [worker] */
enum rfs_err auth_master_key_check(struct metadata_driver *metadata, const char *data, char *error);
/* Members of an object that is open in `out`: its own state, for developers; no secrets. [worker] */
void auth_describe(struct auth *a, struct dump *out);

const struct identity *auth_anonymous(void);
const struct identity *auth_root(struct auth *a);
/* Display id and name of an identity by number, also of a removed one (then "unknown"). Static for the manager's life.
 */
const struct identity *auth_identity(struct auth *a, struct request *rq, uint64_t id);
const char *auth_root_access_key(struct auth *a);
/* For `restfsd --hints`, which shows it to who started the store. False: it cannot be unsealed. */
#define AUTH_SECRET_SIZE 129
bool auth_root_secret(struct auth *a, char out[AUTH_SECRET_SIZE]);

/*
 * The signing key of an access key for a day, region and service (cached), and its identity. INVALID_ACCESS_KEY_ID;
 * WOULD_BLOCK when the key's row must be read and rq->may_block is false.
 */
enum rfs_err auth_signing_key(struct auth *a, struct request *rq, struct bytes access_key, struct bytes date,
	struct bytes region, struct bytes service, uint8_t out[32], const struct identity **who);

/*
 * The decision: RFS_OK or ACCESS_DENIED. Reads only what it is given and what is in memory; never blocks. Nobody who was
 * removed, or has left a group, before it began is taken for what he was.
 */
enum rfs_err auth_check(
	struct auth *a, struct request *rq, const struct access_target *target, enum operation op) RFS_MUST_CHECK;

/*
 * Administration [worker]. Secrets are returned once, at creation. User names: 1 to 64 of [A-Za-z0-9._-]; access keys:
 * 3 to 128 of the same; secrets: 8 to 128 printable characters. INVALID_ARGUMENT, USER_EXISTS, NO_SUCH_USER,
 * NO_SUCH_ACCESS_KEY, EXISTS (an access key). Lists are sorted by name, with root in front; what they name is in the
 * request's arena, or lives as long as the manager. The root user and the root key cannot be removed.
 */
struct access_key_scope {
	struct bytes bucket; /* empty: any */
	struct bytes prefix;
	bool read_only;
};
struct access_key_info {
	struct bytes access_key;
	struct bytes user;
	struct access_key_scope scope;
	int64_t created_ns; /* 0: the root key, which comes from outside */
};
enum rfs_err auth_user_create(struct auth *a, struct request *rq, struct bytes name, bool admin);
enum rfs_err auth_user_remove(struct auth *a, struct request *rq, struct bytes name); /* and its keys */
enum rfs_err auth_user_list(
	struct auth *a, struct request *rq, const struct identity ***out, size_t *count); /* in the request's arena */
enum rfs_err auth_user_find(struct auth *a, struct request *rq, struct bytes name, const struct identity **out);
/*
 * Groups: identities that nobody signs as. One that owns a bucket lets its members do there what an owner may. Users and groups have
 * their names in common. NO_SUCH_GROUP; LIMIT for more than 10,000 members. A change holds for every request that begins after it.
 */
struct group_info {
	const struct identity *group;
	const char **users; /* their names, sorted */
	size_t user_count;
};
enum rfs_err auth_group_create(struct auth *a, struct request *rq, struct bytes name, const struct identity **out);
/* Its buckets stay, an administrator's to give away. */
enum rfs_err auth_group_remove(struct auth *a, struct request *rq, struct bytes name);
/* Each group as it was at one moment, not all as at the same one. */
enum rfs_err auth_group_list(struct auth *a, struct request *rq, struct group_info **out, size_t *count);
/* Who is a member already stays one. */
enum rfs_err auth_group_add(struct auth *a, struct request *rq, struct bytes group, struct bytes user);
/* NO_SUCH_USER: also for one who is no member. */
enum rfs_err auth_group_drop(struct auth *a, struct request *rq, struct bytes group, struct bytes user);
/* Who may own a bucket: a user or a group. */
enum rfs_err auth_owner_find(struct auth *a, struct request *rq, struct bytes name, const struct identity **out);
/* `access_key` and `secret` empty: generated (20 and 40 characters). */
enum rfs_err auth_key_create(struct auth *a, struct request *rq, struct bytes user,
	const struct access_key_scope *scope, struct bytes access_key, struct bytes secret,
	struct bytes *access_key_out, struct bytes *secret_out);
enum rfs_err auth_key_remove(struct auth *a, struct request *rq, struct bytes access_key);
/* `user` empty: everybody's. */
enum rfs_err auth_key_list(
	struct auth *a, struct request *rq, struct bytes user, struct access_key_info **out, size_t *count);

#endif
