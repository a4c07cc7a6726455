/*
 * auth.c: opening the manager, and from an access key to an identity and its signing key. See auth_int.h for how the
 * cache stays exact.
 */
#include "base/clock.h"
#include "base/dump.h"
#include "base/hash.h"
#include "base/log.h"
#include "managers/auth/auth_int.h"
#include "managers/auth/sigv4.h"
#include <stdio.h>
#include <stdlib.h>

#define ERROR_SIZE 512
#define SCAN_PAGE 256

/* --- opening ------------------------------------------------------------------------------------------------------ */

static struct bytes
check_row_key(struct arena *arena)
{
	return key_table(arena, DOMAIN_BUCKET, TABLE_SYSTEM, BYTES_LITERAL("master-key-check"));
}

static void
check_row_digest(const uint8_t key[MASTER_KEY_BYTES], uint8_t digest[32])
{
	hmac_sha256(bytes_of(key, MASTER_KEY_BYTES), BYTES_LITERAL("restfs master key check"), digest);
}

/* Into `key`: the file's, made where neither file nor row is there. */
static enum rfs_err
master_key_read(const struct row *row, const char *data, uint8_t key[MASTER_KEY_BYTES], char *error)
{
	uint8_t digest[32];
	enum rfs_err err = master_key_load(data, !row->found, key, error);

	if (err || !row->found)
		return err;
	check_row_digest(key, digest);
	if (bytes_equal_secret(row->value, bytes_of(digest, sizeof(digest))))
		return RFS_OK;
	snprintf(error, ERROR_SIZE, "%s/master.key is not the one that this store's secrets are sealed under", data);
	return RFS_ERR_DAMAGED;
}

/*
 * A row holds a digest of the master key, so that a store with another's or a lost master.key refuses to start, instead
 * of calling every secret damaged. The file is written first: without the row it may be replaced.
 */
static enum rfs_err
master_key_open(struct auth *a, struct request *rq, const char *data, char *error)
{
	struct bytes key = check_row_key(rq->arena);
	uint8_t digest[32];
	struct batch *batch;
	struct row row;
	enum rfs_err err;

	if ((err = metadata_get(a->metadata, rq, key, &row)) || (err = master_key_read(&row, data, a->master_key, error)) || row.found)
		return err;
	check_row_digest(a->master_key, digest);
	batch = batch_new(DOMAIN_BUCKET);
	batch_check(batch, key, 0);
	batch_put(batch, key, bytes_of(digest, sizeof(digest)));
	err = metadata_commit(a->metadata, rq, batch);
	batch_free(batch);
	return err;
}

enum rfs_err
auth_master_key_check(struct metadata_driver *metadata, const char *data, char *error)
{
	struct request rq = {.arena = arena_new(1024), .may_block = true};
	uint8_t key[MASTER_KEY_BYTES];
	struct row row;
	enum rfs_err err = metadata->ops->get(metadata, &rq, check_row_key(rq.arena), &row);

	if (err)
		snprintf(error, ERROR_SIZE, "what tells whether %s/master.key is the right one: %s", data, error_face(err)->text);
	else if (row.found)
		err = master_key_read(&row, data, key, error);
	explicit_bzero(key, sizeof(key));
	arena_free(rq.arena);
	return err;
}

static enum rfs_err
identity_load(struct auth *a, struct request *rq, const struct row *row)
{
	struct identity_row identity;
	enum rfs_err err = identity_row_decode(rq->arena, row->value, &identity);

	if (err == RFS_OK && row->key.len != 17)
		err = RFS_ERR_DAMAGED;
	if (err)
		return err;
	if (identity.group)
		group_set_locked(a, load_be64(row->key.data + 9), identity.name, &identity.users, row->serial);
	else
		member_set_locked(a, load_be64(row->key.data + 9), identity.name, identity.admin, row->serial);
	return RFS_OK;
}

/* [init]: nobody else is there, so the lock is not needed. */
static enum rfs_err
identities_load(struct auth *a, struct request *rq)
{
	struct bytes from = key_table(rq->arena, DOMAIN_BUCKET, TABLE_IDENTITY, (struct bytes){0});
	struct bytes to = key_after_prefix(rq->arena, from);
	struct row_page page;
	enum rfs_err err;
	size_t i;

	do {
		if ((err = metadata_scan(a->metadata, rq, from, to, SCAN_PAGE, false, &page)))
			return err;
		for (i = 0; i < page.count; i++)
			if ((err = identity_load(a, rq, &page.rows[i])))
				return request_fail(rq, err, "the row of an identity cannot be read");
		if (page.count > 0)
			from = identity_row_key(rq->arena, load_be64(page.rows[page.count - 1].key.data + 9) + 1);
	} while (page.more);
	return RFS_OK;
}

/* The root key is in the cache as if it had a row; it is never taken out. */
static void
root_add(struct auth *a, const struct root_credentials *root)
{
	struct bytes access_key = bytes_str(root->access_key), secret = bytes_str(root->secret_key);
	uint8_t sealed[SECRET_MAX + SEAL_OVERHEAD];
	struct token_row row = {.identity = IDENTITY_ROOT};

	secret_seal(a->master_key, access_key, secret, sealed);
	row.sealed = bytes_of(sealed, secret.len + SEAL_OVERHEAD);
	a->root = &member_add_locked(a, IDENTITY_ROOT, BYTES_LITERAL("root"), true, NULL)->shown;
	access_key_add_locked(a, access_key, &row);
	memcpy(a->root_access_key, root->access_key, sizeof(a->root_access_key));
}

static enum rfs_err
root_credentials_given(const char *access_key, const char *secret_key, struct root_credentials *out, char *error)
{
	if (!access_key || !secret_key)
		snprintf(error, ERROR_SIZE, "RESTFS_ROOT_ACCESS_KEY and RESTFS_ROOT_SECRET_KEY must be set together");
	else if (!access_key_is_valid(bytes_str(access_key)))
		snprintf(error, ERROR_SIZE, "RESTFS_ROOT_ACCESS_KEY must be %d to %d letters, digits or . _ -",
			ACCESS_KEY_MIN, ACCESS_KEY_MAX);
	else if (!secret_is_valid(bytes_str(secret_key)))
		snprintf(error, ERROR_SIZE,
			"RESTFS_ROOT_SECRET_KEY must be %d to %d printable characters without spaces", SECRET_MIN,
			SECRET_MAX);
	else {
		snprintf(out->access_key, sizeof(out->access_key), "%s", access_key);
		snprintf(out->secret_key, sizeof(out->secret_key), "%s", secret_key);
		return RFS_OK;
	}
	return RFS_ERR_INVALID_ARGUMENT;
}

enum rfs_err
auth_open(struct metadata *metadata, const char *data, const char *root_access_key, const char *root_secret_key,
	struct auth **out, char *error)
{
	struct request rq = {.arena = arena_new(4096), .door = "start", .now_ns = clock_wall_ns(), .may_block = true};
	struct auth *a = xcalloc(1, sizeof(*a));
	struct root_credentials root;
	enum rfs_err err;

	a->metadata = metadata;
	auth_cache_init(a);
	error[0] = '\0';
	if ((err = master_key_open(a, &rq, data, error)))
		goto out;
	if ((err = identities_load(a, &rq)))
		goto out;
	if (root_access_key || root_secret_key)
		err = root_credentials_given(root_access_key, root_secret_key, &root, error);
	else
		err = root_credentials_load(data, &root, error);
	if (err)
		goto out;
	root_add(a, &root);
	*out = a;
	a = NULL;
out:
	if (err == RFS_ERR_NO_SPACE)
		snprintf(error, ERROR_SIZE,
			"the disk is full: to begin a store takes some more MiB on the disk of %.400s", data);
	else if (err && !error[0])
		snprintf(error, ERROR_SIZE, "reading identities: %s", rq.detail ? rq.detail : error_face(err)->text);
	explicit_bzero(&root, sizeof(root));
	auth_close(a);
	arena_free(rq.arena);
	return err;
}

void
auth_close(struct auth *a)
{
	if (!a)
		return;
	auth_cache_fini(a);
	explicit_bzero(a, sizeof(*a));
	free(a);
}

void
auth_describe(struct auth *a, struct dump *out)
{
	pthread_rwlock_rdlock(&a->lock);
	dump_number(out, "identities", a->member_count);
	dump_number(out, "access_keys_cached", a->key_count);
	pthread_rwlock_unlock(&a->lock);
}

/* --- identities --------------------------------------------------------------------------------------------------- */

const struct identity *
auth_anonymous(void)
{
	static const struct identity nobody = {
		.name = "", .display_id = "0000000000000000000000000000000000000000000000000000000000000000"};

	return &nobody;
}

const struct identity *
auth_root(struct auth *a)
{
	return a->root;
}

const char *
auth_root_access_key(struct auth *a)
{
	return a->root_access_key;
}

const struct identity *
auth_identity(struct auth *a, struct request *rq, uint64_t id)
{
	struct member *m;

	if (id == 0)
		return auth_anonymous();
	pthread_rwlock_rdlock(&a->lock);
	m = member_find_locked(a, id);
	pthread_rwlock_unlock(&a->lock);
	if (m)
		return &m->shown;
	pthread_rwlock_wrlock(&a->lock);
	m = member_find_locked(a, id);
	if (!m) {
		m = member_add_locked(a, id, BYTES_LITERAL("unknown"), false, NULL);
		m->removed = true;
	}
	pthread_rwlock_unlock(&a->lock);
	return &m->shown;
}

/* --- access keys -------------------------------------------------------------------------------------------------- */

/* What is copied out of an access key under the lock. */
struct key_copy {
	const struct identity *who;
	uint8_t sealed[SECRET_MAX + SEAL_OVERHEAD];
	size_t sealed_len;
	bool has_signing_key;
	uint8_t signing_key[32];
};

/* False: the key is not in memory. */
static bool
key_look(struct auth *a, struct bytes access_key, const char *scope, struct key_copy *out)
{
	struct access_key *key;
	size_t i;

	out->has_signing_key = false;
	pthread_rwlock_rdlock(&a->lock);
	key = access_key_find_locked(a, access_key);
	if (key) {
		out->who = &key->who->shown;
		memcpy(out->sealed, key->sealed, key->sealed_len);
		out->sealed_len = key->sealed_len;
		for (i = 0; i < SIGNING_SLOTS && scope[0]; i++)
			if (strcmp(key->slots[i].scope, scope) == 0) {
				memcpy(out->signing_key, key->slots[i].key, sizeof(out->signing_key));
				out->has_signing_key = true;
			}
	}
	pthread_rwlock_unlock(&a->lock);
	return key != NULL;
}

/* Reads the key's row into memory. */
static enum rfs_err
key_fetch(struct auth *a, struct request *rq, struct bytes access_key)
{
	struct token_row token;
	struct member *owner;
	struct row row;
	uint64_t epoch;
	bool stale;
	enum rfs_err err;

	do {
		pthread_rwlock_rdlock(&a->lock);
		epoch = a->key_epoch;
		pthread_rwlock_unlock(&a->lock);
		if ((err = metadata_get(a->metadata, rq, token_row_key(rq->arena, access_key), &row)))
			return err;
		if (!row.found)
			return RFS_ERR_INVALID_ACCESS_KEY_ID;
		if ((err = token_row_decode(row.value, &token)))
			return request_fail(rq, err, "the row of an access key cannot be read");
		pthread_rwlock_wrlock(&a->lock);
		stale = a->key_epoch != epoch;
		owner = member_find_locked(a, token.identity);
		if (!owner || owner->removed)
			err = RFS_ERR_INVALID_ACCESS_KEY_ID;
		else if (!stale)
			access_key_add_locked(a, access_key, &token);
		pthread_rwlock_unlock(&a->lock);
	} while (stale);
	return err;
}

/* The next request of the same day, region and service need not compute it. Not if the key has been made anew
 * meanwhile. */
static void
key_remember(struct auth *a, struct bytes access_key, const struct key_copy *copy, const char *scope,
	const uint8_t signing_key[32])
{
	struct bytes sealed = bytes_of(copy->sealed, copy->sealed_len);
	struct access_key *key;

	if (!scope[0])
		return;
	pthread_rwlock_wrlock(&a->lock);
	key = access_key_find_locked(a, access_key);
	if (key && bytes_equal(sealed, bytes_of(key->sealed, key->sealed_len))) {
		struct signing_slot *slot = &key->slots[key->next_slot++ % SIGNING_SLOTS];

		memcpy(slot->scope, scope, strlen(scope) + 1);
		memcpy(slot->key, signing_key, sizeof(slot->key));
	}
	pthread_rwlock_unlock(&a->lock);
}

/*
 * date/region/service; empty when it is not to be kept: too long, or with a zero byte, which would let one region's
 * signing key stand for another's.
 */
static void
scope_text(struct bytes date, struct bytes region, struct bytes service, char *out, size_t size)
{
	const struct bytes parts[] = {date, region, service};
	size_t len = date.len + region.len + service.len + 2;
	char *at = out;

	out[0] = '\0';
	if (len >= size)
		return;
	for (size_t i = 0; i < 3; i++) {
		if (i > 0)
			*at++ = '/';
		if (parts[i].len)
			memcpy(at, parts[i].data, parts[i].len);
		at += parts[i].len;
	}
	*at = '\0';
	if (strlen(out) != len)
		out[0] = '\0';
}

enum rfs_err
auth_signing_key(struct auth *a, struct request *rq, struct bytes access_key, struct bytes date, struct bytes region,
	struct bytes service, uint8_t out[32], const struct identity **who)
{
	char scope[sizeof(((struct signing_slot *)0)->scope)];
	uint8_t secret[SECRET_MAX];
	struct key_copy key;
	enum rfs_err err = RFS_OK;

	if (!access_key_is_valid(access_key))
		return RFS_ERR_INVALID_ACCESS_KEY_ID;
	scope_text(date, region, service, scope, sizeof(scope));
	while (!key_look(a, access_key, scope, &key))
		if ((err = key_fetch(a, rq, access_key)))
			return err;
	*who = key.who;
	if (key.has_signing_key) {
		memcpy(out, key.signing_key, 32);
	} else if (secret_open(a->master_key, access_key, bytes_of(key.sealed, key.sealed_len), secret)) {
		sigv4_signing_key(bytes_of(secret, key.sealed_len - SEAL_OVERHEAD), date, region, service, out);
		key_remember(a, access_key, &key, scope, out);
	} else
		err = request_fail(rq, RFS_ERR_DAMAGED, "the sealed secret of an access key cannot be opened");
	explicit_bzero(secret, sizeof(secret));
	explicit_bzero(&key, sizeof(key));
	return err;
}

bool
auth_root_secret(struct auth *a, char out[AUTH_SECRET_SIZE])
{
	struct bytes access_key = bytes_str(a->root_access_key);
	struct key_copy key;
	bool opened = key_look(a, access_key, "", &key) &&
		      secret_open(a->master_key, access_key, bytes_of(key.sealed, key.sealed_len), (uint8_t *)out);

	if (opened)
		out[key.sealed_len - SEAL_OVERHEAD] = '\0';
	explicit_bzero(&key, sizeof(key));
	return opened;
}
