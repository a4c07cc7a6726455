/*
 * auth_keys.c: administration of access keys. [worker]
 */
#include "base/hash.h"
#include "base/log.h"
#include "managers/auth/auth_int.h"
#include <stdlib.h>

#define SCAN_PAGE 256
#define PREFIX_MAX 1024

/* What is asked for may be; what is not given is made up. Copies are the arena's. */
static enum rfs_err
key_arguments(struct request *rq, const struct access_key_scope *scope, struct bytes *access_key, struct bytes *secret)
{
	char text[GENERATED_SECRET + 1];

	if (scope->prefix.len > PREFIX_MAX ||
		(scope->prefix.len > 0 && memchr(scope->prefix.data, 0, scope->prefix.len)))
		return request_fail(rq, RFS_ERR_INVALID_ARGUMENT,
			"a key's prefix has at most %d bytes, none of them zero", PREFIX_MAX);
	if (scope->bucket.len > 63)
		return request_fail(rq, RFS_ERR_INVALID_ARGUMENT, "this is not the name of a bucket");
	if (access_key->len == 0) {
		access_key_generate(text, GENERATED_ACCESS_KEY);
		*access_key = arena_copy(rq->arena, bytes_of(text, GENERATED_ACCESS_KEY));
	} else if (!access_key_is_valid(*access_key))
		return request_fail(rq, RFS_ERR_INVALID_ARGUMENT, "an access key has %d to %d letters, digits or . _ -",
			ACCESS_KEY_MIN, ACCESS_KEY_MAX);
	if (secret->len == 0) {
		secret_generate(text, GENERATED_SECRET);
		*secret = arena_copy(rq->arena, bytes_of(text, GENERATED_SECRET));
		explicit_bzero(text, sizeof(text));
	} else if (!secret_is_valid(*secret))
		return request_fail(rq, RFS_ERR_INVALID_ARGUMENT,
			"a secret has %d to %d printable characters without spaces", SECRET_MIN, SECRET_MAX);
	return RFS_OK;
}

/* CHECKs and rewrites the owner's row: see auth_users.c. Root has none. */
static enum rfs_err
owner_touch(struct auth *a, struct request *rq, struct batch *batch, uint64_t id)
{
	struct bytes key = identity_row_key(rq->arena, id);
	struct row row;
	enum rfs_err err;

	if (id == IDENTITY_ROOT)
		return RFS_OK;
	if ((err = metadata_get(a->metadata, rq, key, &row)))
		return err;
	if (!row.found)
		return RFS_ERR_NO_SUCH_USER;
	batch_check(batch, key, row.serial);
	batch_put(batch, key, row.value);
	return RFS_OK;
}

static enum rfs_err
key_create_once(
	struct auth *a, struct request *rq, struct batch *batch, struct bytes access_key, const struct token_row *token)
{
	struct bytes key = token_row_key(rq->arena, access_key);
	struct row taken;
	struct buf value;
	enum rfs_err err;

	if ((err = owner_touch(a, rq, batch, token->identity)))
		return err;
	if ((err = metadata_get(a->metadata, rq, key, &taken)))
		return err;
	if (taken.found || bytes_equal_str(access_key, a->root_access_key))
		return request_fail(rq, RFS_ERR_EXISTS, "there is already such an access key");
	buf_init(&value, rq->arena);
	token_row_encode(&value, token);
	batch_check(batch, key, 0);
	batch_put(batch, key, buf_bytes(&value));
	return metadata_commit(a->metadata, rq, batch);
}

enum rfs_err
auth_key_create(struct auth *a, struct request *rq, struct bytes user, const struct access_key_scope *scope,
	struct bytes access_key, struct bytes secret, struct bytes *access_key_out, struct bytes *secret_out)
{
	static const struct access_key_scope unlimited;
	struct batch *batch = batch_new(DOMAIN_BUCKET);
	struct token_row token = {.created_ns = rq->now_ns, .scope = scope ? *scope : unlimited};
	const struct identity *owner;
	uint8_t sealed[SECRET_MAX + SEAL_OVERHEAD];
	unsigned attempt = 0;
	enum rfs_err err;

	if ((err = key_arguments(rq, &token.scope, &access_key, &secret)))
		goto out;
	if ((err = auth_user_find(a, rq, user, &owner)))
		goto out;
	secret_seal(a->master_key, access_key, secret, sealed);
	token.identity = owner->id;
	token.sealed = bytes_of(sealed, secret.len + SEAL_OVERHEAD);
	do {
		batch_reset(batch);
		err = key_create_once(a, rq, batch, access_key, &token);
	} while (err == RFS_ERR_CONFLICT && request_may_retry(rq, attempt++));
	if (err)
		goto out;
	*access_key_out = access_key;
	*secret_out = secret;
	log_info(rq->id, "access key %.*s created for user %s", (int)access_key.len, (const char *)access_key.data,
		owner->name);
out:
	batch_free(batch);
	return err;
}

static enum rfs_err
key_remove_once(struct auth *a, struct request *rq, struct batch *batch, struct bytes access_key)
{
	struct bytes key = token_row_key(rq->arena, access_key);
	struct row row;
	enum rfs_err err;

	if ((err = metadata_get(a->metadata, rq, key, &row)))
		return err;
	if (!row.found)
		return RFS_ERR_NO_SUCH_ACCESS_KEY;
	batch_check(batch, key, row.serial);
	batch_delete(batch, key);
	return metadata_commit(a->metadata, rq, batch);
}

enum rfs_err
auth_key_remove(struct auth *a, struct request *rq, struct bytes access_key)
{
	struct batch *batch = batch_new(DOMAIN_BUCKET);
	unsigned attempt = 0;
	enum rfs_err err;

	if (bytes_equal_str(access_key, a->root_access_key)) {
		err = request_fail(rq, RFS_ERR_INVALID_ARGUMENT, "the root key cannot be removed");
		goto out;
	}
	if (!access_key_is_valid(access_key)) {
		err = RFS_ERR_NO_SUCH_ACCESS_KEY;
		goto out;
	}
	do {
		batch_reset(batch);
		err = key_remove_once(a, rq, batch, access_key);
	} while (err == RFS_ERR_CONFLICT && request_may_retry(rq, attempt++));
	if (err)
		goto out;
	pthread_rwlock_wrlock(&a->lock);
	access_key_remove_locked(a, access_key);
	a->key_epoch++;
	pthread_rwlock_unlock(&a->lock);
	log_info(rq->id, "access key %.*s removed", (int)access_key.len, (const char *)access_key.data);
out:
	batch_free(batch);
	return err;
}

/* --- listing ------------------------------------------------------------------------------------------------------ */

struct key_list {
	struct access_key_info *items;
	size_t count, capacity;
};

static struct access_key_info *
key_list_add(struct arena *arena, struct key_list *list)
{
	if (list->count == list->capacity) {
		struct access_key_info *old = list->items;

		list->capacity = list->capacity ? 2 * list->capacity : 16;
		list->items = ARENA_ARRAY(arena, struct access_key_info, list->capacity);
		if (list->count > 0)
			memcpy(list->items, old, list->count * sizeof(*old));
	}
	return &list->items[list->count++];
}

/* Keys whose user is gone are left out. */
static enum rfs_err
key_list_row(
	struct auth *a, struct request *rq, const struct row *row, const struct identity *only, struct key_list *list)
{
	struct access_key_info *item;
	struct token_row token;
	struct member *owner;

	if (token_row_decode(row->value, &token))
		return request_fail(rq, RFS_ERR_DAMAGED, "the row of an access key cannot be read");
	if (only && only->id != token.identity)
		return RFS_OK;
	pthread_rwlock_rdlock(&a->lock);
	owner = member_find_locked(a, token.identity);
	pthread_rwlock_unlock(&a->lock);
	if (!owner || owner->removed)
		return RFS_OK;
	item = key_list_add(rq->arena, list);
	item->access_key = bytes_sub(row->key, 9, row->key.len);
	item->user = bytes_str(owner->shown.name);
	item->scope = token.scope;
	item->created_ns = token.created_ns;
	return RFS_OK;
}

static int
by_user(const void *left, const void *right)
{
	const struct access_key_info *a = left, *b = right;
	bool a_root = bytes_equal_str(a->user, "root"), b_root = bytes_equal_str(b->user, "root");
	int order = bytes_compare(a->user, b->user);

	if (a_root != b_root)
		return a_root ? -1 : 1;
	if (order == 0 && (a->created_ns == 0) != (b->created_ns == 0))
		return a->created_ns == 0 ? -1 : 1;
	return order ? order : bytes_compare(a->access_key, b->access_key);
}

enum rfs_err
auth_key_list(struct auth *a, struct request *rq, struct bytes user, struct access_key_info **out, size_t *count)
{
	struct bytes from = key_table(rq->arena, DOMAIN_BUCKET, TABLE_TOKEN, (struct bytes){0});
	struct bytes to = key_after_prefix(rq->arena, from);
	const struct identity *only = NULL;
	struct key_list list = {0};
	struct row_page page;
	enum rfs_err err;
	size_t i;

	if (user.len > 0 && (err = auth_user_find(a, rq, user, &only)))
		return err;
	if (!only || only->id == IDENTITY_ROOT)
		*key_list_add(rq->arena, &list) = (struct access_key_info){
			.access_key = bytes_str(a->root_access_key), .user = bytes_str(a->root->name)};
	do {
		if ((err = metadata_scan(a->metadata, rq, from, to, SCAN_PAGE, false, &page)))
			return err;
		for (i = 0; i < page.count; i++)
			if ((err = key_list_row(a, rq, &page.rows[i], only, &list)))
				return err;
		if (page.count > 0)
			from = row_key_after(rq->arena, page.rows[page.count - 1].key);
	} while (page.more);
	if (list.count > 1)
		qsort(list.items, list.count, sizeof(*list.items), by_user);
	*out = list.items;
	*count = list.count;
	return RFS_OK;
}
