/*
 * auth_users.c: administration of users, and what groups have in common with them. [worker]
 *
 * A user is two rows: his identity by number, and his name, which a second one of that name would find taken. Creating
 * a key rewrites the identity's row, so that removing a user, which CHECKs it, never misses a key that came at the same
 * time.
 */
#include "base/log.h"
#include "managers/auth/auth_int.h"
#include <stdlib.h>

#define REMOVE_KEYS_MAX 1000 /* in one batch */
#define SCAN_PAGE 256

static enum rfs_err
identity_create_once(
	struct auth *a, struct request *rq, struct batch *batch, uint64_t id, const struct identity_row *identity)
{
	struct bytes name_key = identity_name_key(rq->arena, identity->name);
	struct row taken;
	uint8_t number[8];
	struct buf value;
	enum rfs_err err;

	if ((err = metadata_get(a->metadata, rq, name_key, &taken)))
		return err;
	if (taken.found)
		return RFS_ERR_USER_EXISTS;
	buf_init(&value, rq->arena);
	identity_row_encode(&value, identity);
	store_u64(number, id);
	batch_check(batch, name_key, 0);
	batch_put(batch, name_key, bytes_of(number, sizeof(number)));
	batch_put(batch, identity_row_key(rq->arena, id), buf_bytes(&value));
	return metadata_commit(a->metadata, rq, batch);
}

enum rfs_err
identity_create(struct auth *a, struct request *rq, const struct identity_row *identity, uint64_t *id, uint64_t *serial)
{
	struct batch *batch = batch_new(DOMAIN_BUCKET);
	unsigned attempt = 0;
	enum rfs_err err;

	if (!user_name_is_valid(identity->name)) {
		err = request_fail(
			rq, RFS_ERR_INVALID_ARGUMENT, "a name has 1 to %d letters, digits or . _ -", USER_NAME_MAX);
		goto out;
	}
	if (bytes_equal_str(identity->name, a->root->name)) {
		err = RFS_ERR_USER_EXISTS;
		goto out;
	}
	do /* the first numbers have a meaning */
		if ((err = metadata_number(a->metadata, rq, 1, id)))
			goto out;
	while (*id <= IDENTITY_ROOT);
	do {
		batch_reset(batch);
		err = identity_create_once(a, rq, batch, *id, identity);
	} while (err == RFS_ERR_CONFLICT && request_may_retry(rq, attempt++));
	*serial = batch->serial;
out:
	batch_free(batch);
	return err;
}

enum rfs_err
auth_user_create(struct auth *a, struct request *rq, struct bytes name, bool admin)
{
	struct identity_row row = {.name = name, .admin = admin};
	uint64_t id, serial;
	enum rfs_err err;

	if ((err = identity_create(a, rq, &row, &id, &serial)))
		return err;
	pthread_rwlock_wrlock(&a->lock);
	member_set_locked(a, id, name, admin, serial);
	pthread_rwlock_unlock(&a->lock);
	log_info(rq->id, "user %.*s created", (int)name.len, (const char *)name.data);
	return RFS_OK;
}

/* A DELETE of each key of an identity, at most REMOVE_KEYS_MAX; `more`: there are others. */
static enum rfs_err
keys_delete(struct auth *a, struct request *rq, struct batch *batch, uint64_t id, bool *more)
{
	struct bytes from = key_table(rq->arena, DOMAIN_BUCKET, TABLE_TOKEN, (struct bytes){0});
	struct bytes to = key_after_prefix(rq->arena, from);
	struct row_page page;
	struct token_row token;
	size_t i, count = 0;
	enum rfs_err err;

	*more = false;
	do {
		if ((err = metadata_scan(a->metadata, rq, from, to, SCAN_PAGE, false, &page)))
			return err;
		for (i = 0; i < page.count; i++) {
			struct bytes key = page.rows[i].key;

			if (token_row_decode(page.rows[i].value, &token) || token.identity != id)
				continue;
			if (count++ == REMOVE_KEYS_MAX) {
				*more = true;
				return RFS_OK;
			}
			batch_delete(batch, key);
		}
		if (page.count > 0)
			from = row_key_after(rq->arena, page.rows[page.count - 1].key);
	} while (page.more);
	return RFS_OK;
}

enum rfs_err
identity_read(struct auth *a, struct request *rq, struct bytes name, bool group, struct identity_rows *out)
{
	enum rfs_err err;

	if ((err = metadata_get(a->metadata, rq, identity_name_key(rq->arena, name), &out->by_name)))
		return err;
	if (!out->by_name.found)
		goto none;
	if (out->by_name.value.len < 8)
		return request_fail(rq, RFS_ERR_DAMAGED, "the row of a name cannot be read");
	out->id = load_u64(out->by_name.value.data);
	out->key = identity_row_key(rq->arena, out->id);
	if ((err = metadata_get(a->metadata, rq, out->key, &out->row)))
		return err;
	if (!out->row.found) /* it went between the two */
		goto none;
	if ((err = identity_row_decode(rq->arena, out->row.value, &out->identity)))
		return request_fail(rq, err, "the row of an identity cannot be read");
	if (out->identity.group == group)
		return RFS_OK;
none:
	return group ? RFS_ERR_NO_SUCH_GROUP : RFS_ERR_NO_SUCH_USER;
}

static enum rfs_err
identity_remove_once(struct auth *a, struct request *rq, struct batch *batch, struct bytes name, bool group,
	uint64_t *id, bool *more)
{
	struct bytes name_key = identity_name_key(rq->arena, name);
	struct identity_rows rows;
	enum rfs_err err;

	if ((err = identity_read(a, rq, name, group, &rows)))
		return err;
	*id = rows.id;
	batch_check(batch, name_key, rows.by_name.serial);
	batch_check(batch, rows.key, rows.row.serial);
	if (!group && (err = keys_delete(a, rq, batch, *id, more)))
		return err;
	if (!*more) {
		batch_delete(batch, name_key);
		batch_delete(batch, rows.key);
	}
	return metadata_commit(a->metadata, rq, batch);
}

/*
 * No key of his that a batch deleted is accepted from here on. An identity that is removed keeps its number and its
 * display id; requests that hold it are refused at their next auth_check.
 */
static void
identity_forget(struct auth *a, uint64_t id, bool removed, uint64_t serial)
{
	pthread_rwlock_wrlock(&a->lock);
	if (removed)
		member_remove_locked(a, id, serial);
	access_keys_remove_locked(a, id);
	a->key_epoch++;
	pthread_rwlock_unlock(&a->lock);
}

enum rfs_err
identity_remove(struct auth *a, struct request *rq, struct bytes name, bool group)
{
	struct batch *batch = batch_new(DOMAIN_BUCKET);
	uint64_t id = 0;
	unsigned attempt = 0;
	bool more = false;
	enum rfs_err err;

	do {
		batch_reset(batch);
		err = identity_remove_once(a, rq, batch, name, group, &id, &more);
		if (err == RFS_OK)
			identity_forget(a, id, !more, batch->serial);
	} while ((err == RFS_OK && more) || (err == RFS_ERR_CONFLICT && request_may_retry(rq, attempt++)));
	if (err == RFS_OK)
		log_info(rq->id, "%s %.*s removed", group ? "group" : "user", (int)name.len, (const char *)name.data);
	batch_free(batch);
	return err;
}

enum rfs_err
auth_user_remove(struct auth *a, struct request *rq, struct bytes name)
{
	if (bytes_equal_str(name, a->root->name))
		return request_fail(rq, RFS_ERR_INVALID_ARGUMENT, "the root user cannot be removed");
	return identity_remove(a, rq, name, false);
}

/* Root in front. */
static int
by_name(const void *left, const void *right)
{
	const struct identity *a = &(*(struct member *const *)left)->shown,
			      *b = &(*(struct member *const *)right)->shown;

	if ((a->id == IDENTITY_ROOT) != (b->id == IDENTITY_ROOT))
		return a->id == IDENTITY_ROOT ? -1 : 1;
	return strcmp(a->name, b->name);
}

struct member **
members_sorted(struct auth *a, struct request *rq, bool groups, size_t *count)
{
	struct member *m, **out;
	size_t i, n = 0;

	pthread_rwlock_rdlock(&a->lock);
	out = ARENA_ARRAY(rq->arena, struct member *, a->member_count + 1);
	for (i = 0; i < a->member_slots; i++)
		for (m = a->members[i]; m; m = m->next)
			if (!m->removed && m->group == groups)
				out[n++] = m;
	pthread_rwlock_unlock(&a->lock);
	qsort(out, n, sizeof(*out), by_name);
	*count = n;
	return out;
}

enum rfs_err
auth_user_list(struct auth *a, struct request *rq, const struct identity ***out, size_t *count)
{
	struct member **users = members_sorted(a, rq, false, count);

	*out = ARENA_ARRAY(rq->arena, const struct identity *, *count + 1);
	for (size_t i = 0; i < *count; i++)
		(*out)[i] = &users[i]->shown;
	return RFS_OK;
}

enum rfs_err
auth_owner_find(struct auth *a, struct request *rq, struct bytes name, const struct identity **out)
{
	struct member *m;

	pthread_rwlock_rdlock(&a->lock);
	m = member_find_name_locked(a, name);
	pthread_rwlock_unlock(&a->lock);
	if (!m)
		return RFS_ERR_NO_SUCH_USER;
	*out = &m->shown;
	return RFS_OK;
}

enum rfs_err
auth_user_find(struct auth *a, struct request *rq, struct bytes name, const struct identity **out)
{
	enum rfs_err err = auth_owner_find(a, rq, name, out);

	if (err)
		return err;
	return ((const struct member *)(const void *)*out)->group ? RFS_ERR_NO_SUCH_USER : RFS_OK;
}
