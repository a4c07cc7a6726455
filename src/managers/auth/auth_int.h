/*
 * auth_int.h: what the files of the auth manager share.
 *
 * Memory holds every identity (read at auth_open; there are as many as people) and each access key that was used. One
 * rwlock guards both tables; nothing is read from or written to the metadata driver under it.
 *
 * Why the cache of keys is exact: a key enters it after its row was read, and only if `key_epoch`, taken before the
 * read, has not moved. Whoever removes a key or a user commits first, and then, under the lock, takes the keys out and
 * moves the epoch. So a row that was read before the removal is either taken out again, or never enters.
 */
#ifndef MANAGERS_AUTH_AUTH_INT_H
#define MANAGERS_AUTH_AUTH_INT_H

#include "base/thread.h"
#include "managers/auth/auth.h"
#include "managers/auth/auth_rows.h"
#include <stdatomic.h>

#define MASTER_KEY_BYTES 32
#define ACCESS_KEY_MIN 3
#define ACCESS_KEY_MAX 128
#define SECRET_MIN 8
#define SECRET_MAX 128
#define USER_NAME_MAX 64
#define GENERATED_ACCESS_KEY 20
#define GENERATED_SECRET 40

/* --- auth_cache.c: the two tables in memory ----------------------------------------------------------------------- */

/*
 * An identity that was given out, or may be. Never freed before auth_close, so that pointers to `shown` stay good, and
 * those made for access keys can point to the `removed` of the one that they were made of.
 */
struct member {
	struct identity shown;
	char display_id[65];
	atomic_bool removed; /* set under the lock, read also without */
	atomic_bool key_removed; /* so, of one made for an access key: with that key */
	bool group;
	struct user_set users; /* of a group; of malloc */
	uint64_t serial; /* of the commit that it says: commits may be told out of order */
	struct member *next;     /* in its slot; those made for access keys are in none */
	struct member *next_all; /* of everything that auth_close frees */
};

/* A signing key of the recent past: clients sign for one day, region and service all day long. */
struct signing_slot {
	char scope[96]; /* date/region/service; empty: unused. Longer scopes are not kept */
	uint8_t key[32];
};
#define SIGNING_SLOTS 2

struct access_key {
	struct access_key *next;
	struct member *who; /* made for this key, with its scope; root's own for the root key */
	uint64_t identity;  /* whose it is */
	char text[ACCESS_KEY_MAX + 1];
	size_t text_len;
	uint8_t sealed[SECRET_MAX + 28];
	size_t sealed_len;
	struct signing_slot slots[SIGNING_SLOTS];
	unsigned next_slot;
};

struct auth {
	struct metadata *metadata;
	uint8_t master_key[MASTER_KEY_BYTES];
	char root_access_key[ACCESS_KEY_MAX + 1];
	const struct identity *root;

	pthread_rwlock_t lock;   /* guards all below */
	struct member **members; /* by number */
	size_t member_slots, member_count;
	atomic_size_t group_count; /* also read without the lock: most stores have none */
	struct member *all_members;
	struct access_key **keys; /* by text */
	size_t key_slots, key_count;
	uint64_t key_epoch;
};

void auth_cache_init(struct auth *a);
void auth_cache_fini(struct auth *a);
/* The caller holds the lock, for writing where something is added or removed. */
struct member *member_find_locked(struct auth *a, uint64_t id);
struct member *member_find_name_locked(struct auth *a, struct bytes name); /* not a removed one */
/*
 * Takes the place of an older one with the same number. `scope` not NULL: for an access key of
 * one that is there: is only kept, not found by its number, and removed with that one.
 */
struct member *member_add_locked(
	struct auth *a, uint64_t id, struct bytes name, bool admin, const struct access_key_scope *scope);
/* As a commit made it, or removed it (then "unknown"); unless a later one was told before. */
void member_set_locked(struct auth *a, uint64_t id, struct bytes name, bool admin, uint64_t serial);
void member_remove_locked(struct auth *a, uint64_t id, uint64_t serial);
/* A group's members, if these are newer than those that it has; makes the group if need be. The numbers are copied. */
struct member *group_set_locked(
	struct auth *a, uint64_t id, struct bytes name, const struct user_set *users, uint64_t serial);
bool user_set_has(const struct user_set *set, uint64_t id);
struct access_key *access_key_find_locked(struct auth *a, struct bytes text);
/* The row's identity must be in the table; a key that is there already is given back as it is. */
struct access_key *access_key_add_locked(struct auth *a, struct bytes text, const struct token_row *row);
void access_key_remove_locked(struct auth *a, struct bytes text);
/* The keys of one identity. */
void access_keys_remove_locked(struct auth *a, uint64_t identity);

/* --- auth_users.c: what users and groups share ------------------------------------------------------------------- */

/* The rows of a new identity, and its number. INVALID_ARGUMENT, USER_EXISTS. `serial` of the rows */
enum rfs_err identity_create(struct auth *a, struct request *rq, const struct identity_row *row, uint64_t *id,
	uint64_t *serial) RFS_MUST_CHECK;
/* The rows of one that is there. NO_SUCH_USER or NO_SUCH_GROUP. */
struct identity_rows {
	uint64_t id;
	struct row by_name;
	struct bytes key;
	struct row row;
	struct identity_row identity;
};
enum rfs_err identity_read(struct auth *a, struct request *rq, struct bytes name, bool group, struct identity_rows *out)
	RFS_MUST_CHECK;
/* Rows and memory of a user, his keys, or a group. */
enum rfs_err identity_remove(struct auth *a, struct request *rq, struct bytes name, bool group) RFS_MUST_CHECK;
/* Users, or groups, in memory; in the request's arena, by name, with root in front. */
struct member **members_sorted(struct auth *a, struct request *rq, bool groups, size_t *count);

/* --- auth_groups.c ------------------------------------------------------------------------------------------------ */

/* Is he a member of the group `id`? False where it is no group. [any] */
bool group_has(struct auth *a, uint64_t id, uint64_t user);

/* --- auth_files.c: the two files ---------------------------------------------------------------------------------- */

struct root_credentials {
	char access_key[ACCESS_KEY_MAX + 1];
	char secret_key[SECRET_MAX + 1];
};
/* [init] `may_create` false: a missing file is an error, because secrets are sealed under it. */
enum rfs_err master_key_load(
	const char *data, bool may_create, uint8_t out[MASTER_KEY_BYTES], char *error) RFS_MUST_CHECK;
/* [init] Reads DATA/root-credentials, or makes it. */
enum rfs_err root_credentials_load(const char *data, struct root_credentials *out, char *error) RFS_MUST_CHECK;

/* --- auth_names.c: what names and secrets may look like, and new ones --------------------------------------------- */

bool user_name_is_valid(struct bytes name);
bool access_key_is_valid(struct bytes text);
bool secret_is_valid(struct bytes text);
/* `len` characters and a NUL. */
void access_key_generate(char *out, size_t len);
void secret_generate(char *out, size_t len);

#endif
