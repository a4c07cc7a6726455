/*
 * auth_rows.h: the rows of identities and access keys, for the auth manager and for who checks a whole store; auth_rows.c describes them. [any]
 */
#ifndef MANAGERS_AUTH_AUTH_ROWS_H
#define MANAGERS_AUTH_AUTH_ROWS_H

#include "managers/auth/auth.h"

/* Members of a group, by number, ascending. Some may be gone: their numbers are nobody's again. */
struct user_set {
	uint64_t *ids;
	size_t count;
};
#define GROUP_USERS_MAX 10000

/* A user, or a group: what owns buckets. */
struct identity_row {
	struct bytes name;
	bool admin;
	bool group;
	struct user_set users; /* of a group */
};

struct token_row {
	uint64_t identity;
	int64_t created_ns;
	struct access_key_scope scope;
	struct bytes sealed; /* the secret, sealed under the master key with the access key as context */
};

void identity_row_encode(struct buf *b, const struct identity_row *row);
/* The list of users is the arena's. */
enum rfs_err identity_row_decode(struct arena *arena, struct bytes v, struct identity_row *out) RFS_MUST_CHECK;
void token_row_encode(struct buf *b, const struct token_row *row);
enum rfs_err token_row_decode(struct bytes v, struct token_row *out) RFS_MUST_CHECK;

struct bytes identity_row_key(struct arena *arena, uint64_t id);
/* "user/" and the name, in TABLE_SYSTEM: makes a name unique in one commit. Value: the number, little-endian. */
struct bytes identity_name_key(struct arena *arena, struct bytes name);
struct bytes token_row_key(struct arena *arena, struct bytes access_key);
/* Where a scan goes on behind `key`. */
struct bytes row_key_after(struct arena *arena, struct bytes key);

#endif
