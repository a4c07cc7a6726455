/*
 * auth_groups.c: groups: their administration [worker], and who is in one [any].
 *
 * A group is an identity whose row lists the numbers of its members. A member's row is CHECKed by the batch that adds
 * him, so that nobody is added who is gone; who goes later stays in the list, where his number means nobody, until the
 * list is written again.
 */
#include "base/log.h"
#include "managers/auth/auth_int.h"
#include <stdlib.h>

bool
group_has(struct auth *a, uint64_t id, uint64_t user)
{
	struct member *m;
	bool has;

	if (atomic_load_explicit(&a->group_count, memory_order_acquire) == 0)
		return false;
	pthread_rwlock_rdlock(&a->lock);
	m = member_find_locked(a, id);
	has = m && m->group && user_set_has(&m->users, user);
	pthread_rwlock_unlock(&a->lock);
	return has;
}

enum rfs_err
auth_group_create(struct auth *a, struct request *rq, struct bytes name, const struct identity **out)
{
	struct identity_row row = {.name = name, .group = true};
	uint64_t id, serial;
	enum rfs_err err;

	if ((err = identity_create(a, rq, &row, &id, &serial)))
		return err;
	pthread_rwlock_wrlock(&a->lock);
	*out = &group_set_locked(a, id, name, &row.users, serial)->shown;
	pthread_rwlock_unlock(&a->lock);
	log_info(rq->id, "group %.*s created", (int)name.len, (const char *)name.data);
	return RFS_OK;
}

enum rfs_err
auth_group_remove(struct auth *a, struct request *rq, struct bytes name)
{
	return identity_remove(a, rq, name, true);
}

/* `old` without those who are gone, and with or without `user`. */
static struct user_set
users_changed(struct auth *a, struct request *rq, const struct user_set *old, uint64_t user, bool add)
{
	struct user_set out = {.ids = ARENA_ARRAY(rq->arena, uint64_t, old->count + 1)};

	pthread_rwlock_rdlock(&a->lock);
	for (size_t i = 0; i < old->count; i++) {
		struct member *m = member_find_locked(a, old->ids[i]);

		if (add && user < old->ids[i]) {
			out.ids[out.count++] = user;
			add = false;
		}
		if (old->ids[i] != user && m && !m->removed)
			out.ids[out.count++] = old->ids[i];
	}
	pthread_rwlock_unlock(&a->lock);
	if (add)
		out.ids[out.count++] = user;
	return out;
}

/* `changed`: there was something to do. */
static enum rfs_err
group_change_once(struct auth *a, struct request *rq, struct batch *batch, struct identity_rows *group,
	const struct identity *user, bool add, bool *changed)
{
	struct bytes user_key = identity_row_key(rq->arena, user->id);
	struct buf value;
	struct row row;
	enum rfs_err err;

	*changed = user_set_has(&group->identity.users, user->id) != add;
	if (!*changed)
		return RFS_OK;
	if (add && user->id != IDENTITY_ROOT) { /* who has no row */
		if ((err = metadata_get(a->metadata, rq, user_key, &row)))
			return err;
		if (!row.found)
			return RFS_ERR_NO_SUCH_USER;
		batch_check(batch, user_key, row.serial);
	}
	group->identity.users = users_changed(a, rq, &group->identity.users, user->id, add);
	if (group->identity.users.count > GROUP_USERS_MAX)
		return request_fail(rq, RFS_ERR_LIMIT, "a group has at most %d members", GROUP_USERS_MAX);
	buf_init(&value, rq->arena);
	identity_row_encode(&value, &group->identity);
	batch_checked(batch_put(batch, group->key, buf_bytes(&value)), group->row.serial);
	return metadata_commit(a->metadata, rq, batch);
}

static enum rfs_err
group_change(struct auth *a, struct request *rq, struct bytes name, struct bytes user_name, bool add)
{
	struct batch *batch = batch_new(DOMAIN_BUCKET);
	const struct identity *user;
	struct identity_rows group;
	unsigned attempt = 0;
	bool changed;
	enum rfs_err err;

	do {
		batch_reset(batch);
		if ((err = identity_read(a, rq, name, true, &group)) || (err = auth_user_find(a, rq, user_name, &user)))
			break;
		err = group_change_once(a, rq, batch, &group, user, add, &changed);
	} while (err == RFS_ERR_CONFLICT && request_may_retry(rq, attempt++));
	if (err == RFS_OK && !changed && !add)
		err = request_fail(rq, RFS_ERR_NO_SUCH_USER, "he is not a member of this group");
	if (err == RFS_OK && changed) {
		pthread_rwlock_wrlock(&a->lock);
		group_set_locked(a, group.id, name, &group.identity.users, batch->serial);
		pthread_rwlock_unlock(&a->lock);
		log_info(rq->id, "user %s %s group %.*s", user->name, add ? "joined" : "left", (int)name.len,
			(const char *)name.data);
	}
	batch_free(batch);
	return err;
}

enum rfs_err
auth_group_add(struct auth *a, struct request *rq, struct bytes group, struct bytes user)
{
	return group_change(a, rq, group, user, true);
}

enum rfs_err
auth_group_drop(struct auth *a, struct request *rq, struct bytes group, struct bytes user)
{
	return group_change(a, rq, group, user, false);
}

/* A user's number, and his place in the list by name. */
struct user_place {
	uint64_t id;
	size_t place;
};

static int
by_id(const void *left, const void *right)
{
	const struct user_place *a = left, *b = right;

	return (a->id > b->id) - (a->id < b->id);
}

static int
by_place(const void *left, const void *right)
{
	size_t a = *(const size_t *)left, b = *(const size_t *)right;

	return (a > b) - (a < b);
}

/* A copy of the numbers as they stand, into room for GROUP_USERS_MAX: one group's copy is all that a change waits for.
 */
static void
group_users(struct auth *a, const struct member *group, struct user_set *out)
{
	pthread_rwlock_rdlock(&a->lock);
	out->count = group->users.count;
	if (out->count > 0)
		memcpy(out->ids, group->users.ids, out->count * sizeof(*out->ids));
	pthread_rwlock_unlock(&a->lock);
}

/* Both lists ascend: one walk finds who is in both, for members may be gone. */
static void
group_names(struct request *rq, const struct user_set *set, struct member **users, const struct user_place *places,
	size_t user_count, struct group_info *info)
{
	size_t *found = ARENA_ARRAY(rq->arena, size_t, set->count + 1), u = 0;

	for (size_t i = 0; i < set->count; i++) {
		while (u < user_count && places[u].id < set->ids[i])
			u++;
		if (u < user_count && places[u].id == set->ids[i])
			found[info->user_count++] = places[u].place;
	}
	qsort(found, info->user_count, sizeof(*found), by_place);
	info->users = ARENA_ARRAY(rq->arena, const char *, info->user_count + 1);
	for (size_t i = 0; i < info->user_count; i++)
		info->users[i] = users[found[i]]->shown.name;
}

enum rfs_err
auth_group_list(struct auth *a, struct request *rq, struct group_info **out, size_t *count)
{
	size_t user_count;
	struct member **groups = members_sorted(a, rq, true, count),
		      **users = members_sorted(a, rq, false, &user_count);
	struct user_place *places = ARENA_ARRAY(rq->arena, struct user_place, user_count + 1);
	struct user_set set = {.ids = ARENA_ARRAY(rq->arena, uint64_t, GROUP_USERS_MAX)};

	for (size_t i = 0; i < user_count; i++)
		places[i] = (struct user_place){users[i]->shown.id, i};
	qsort(places, user_count, sizeof(*places), by_id);
	*out = ARENA_ARRAY(rq->arena, struct group_info, *count + 1);
	for (size_t i = 0; i < *count; i++) {
		group_users(a, groups[i], &set);
		(*out)[i].group = &groups[i]->shown;
		group_names(rq, &set, users, places, user_count, &(*out)[i]);
	}
	return RFS_OK;
}
