/*
 * auth_cache.c: identities by number and access keys by text, in memory: two chained hash tables that double. The
 * caller holds the lock.
 */
#include "base/hash.h"
#include "managers/auth/auth_int.h"
#include <stdlib.h>

#define FIRST_SLOTS 64

void
auth_cache_init(struct auth *a)
{
	rwlock_init(&a->lock);
	a->member_slots = a->key_slots = FIRST_SLOTS;
	a->members = xcalloc(a->member_slots, sizeof(*a->members));
	a->keys = xcalloc(a->key_slots, sizeof(*a->keys));
}

static void
access_key_free(struct access_key *key)
{
	explicit_bzero(key, sizeof(*key));
	free(key);
}

static void
member_free(struct member *m)
{
	free((char *)m->shown.name);
	free((char *)m->shown.scope_bucket);
	free((char *)m->shown.scope_prefix);
	free(m->users.ids);
	free(m);
}

void
auth_cache_fini(struct auth *a)
{
	size_t i;

	for (i = 0; i < a->key_slots; i++)
		while (a->keys[i]) {
			struct access_key *key = a->keys[i];

			a->keys[i] = key->next;
			access_key_free(key);
		}
	while (a->all_members) {
		struct member *m = a->all_members;

		a->all_members = m->next_all;
		member_free(m);
	}
	free(a->keys);
	free(a->members);
	pthread_rwlock_destroy(&a->lock);
}

/* --- identities --------------------------------------------------------------------------------------------------- */

static struct member **
member_slot(struct auth *a, uint64_t id)
{
	return &a->members[(id * UINT64_C(0x9E3779B97F4A7C15)) >> 32 & (a->member_slots - 1)];
}

struct member *
member_find_locked(struct auth *a, uint64_t id)
{
	struct member *m = *member_slot(a, id);

	while (m && m->shown.id != id)
		m = m->next;
	return m;
}

/* Administration only: looks at all of them. */
struct member *
member_find_name_locked(struct auth *a, struct bytes name)
{
	size_t i;

	for (i = 0; i < a->member_slots; i++) {
		struct member *m;

		for (m = a->members[i]; m; m = m->next)
			if (!m->removed && bytes_equal_str(name, m->shown.name))
				return m;
	}
	return NULL;
}

static void
members_grow(struct auth *a)
{
	struct member **old = a->members;
	size_t i, slots = a->member_slots;

	a->member_slots *= 2;
	a->members = xcalloc(a->member_slots, sizeof(*a->members));
	for (i = 0; i < slots; i++)
		while (old[i]) {
			struct member *m = old[i], **slot = member_slot(a, m->shown.id);

			old[i] = m->next;
			m->next = *slot;
			*slot = m;
		}
	free(old);
}

/* The old one stays in `all_members`: somebody may hold it. */
static void
member_unlink(struct auth *a, uint64_t id)
{
	struct member **at = member_slot(a, id);

	while (*at && (*at)->shown.id != id)
		at = &(*at)->next;
	if (*at) {
		if ((*at)->group)
			atomic_fetch_sub(&a->group_count, 1);
		*at = (*at)->next;
		a->member_count--;
	}
}

static char *
text_copy(struct bytes v)
{
	char *s = xmalloc(v.len + 1);

	if (v.len > 0)
		memcpy(s, v.data, v.len);
	s[v.len] = '\0';
	return s;
}

/* Different in each store, and says nothing about the number. */
static void
display_id_make(const struct auth *a, uint64_t id, char out[65])
{
	uint8_t text[16] = "identity", digest[32];

	store_be64(text + 8, id);
	hmac_sha256(bytes_of(a->master_key, MASTER_KEY_BYTES), bytes_of(text, sizeof(text)), digest);
	hex_encode(bytes_of(digest, sizeof(digest)), out);
}

struct member *
member_add_locked(struct auth *a, uint64_t id, struct bytes name, bool admin, const struct access_key_scope *scope)
{
	struct member *m = xcalloc(1, sizeof(*m)), **slot;

	display_id_make(a, id, m->display_id);
	m->shown.id = id;
	m->shown.name = text_copy(name);
	m->shown.display_id = m->display_id;
	m->shown.admin = admin;
	m->shown.removed = &m->removed;
	m->next_all = a->all_members;
	a->all_members = m;
	if (scope) {
		m->shown.scope_bucket = scope->bucket.len > 0 ? text_copy(scope->bucket) : NULL;
		m->shown.scope_prefix = scope->prefix.len > 0 ? text_copy(scope->prefix) : NULL;
		m->shown.scope_read_only = scope->read_only;
		m->shown.removed = &member_find_locked(a, id)->removed;
		m->shown.key_removed = &m->key_removed;
		return m;
	}
	member_unlink(a, id);
	if (a->member_count >= a->member_slots)
		members_grow(a);
	slot = member_slot(a, id);
	m->next = *slot;
	*slot = m;
	a->member_count++;
	return m;
}

void
member_set_locked(struct auth *a, uint64_t id, struct bytes name, bool admin, uint64_t serial)
{
	struct member *m = member_find_locked(a, id);

	if (!m || m->serial < serial)
		member_add_locked(a, id, name, admin, NULL)->serial = serial;
}

void
member_remove_locked(struct auth *a, uint64_t id, uint64_t serial)
{
	struct member *m = member_find_locked(a, id);

	if (m)
		m->removed = true;
	m = member_add_locked(a, id, BYTES_LITERAL("unknown"), false, NULL);
	m->removed = true;
	m->serial = serial;
}

struct member *
group_set_locked(struct auth *a, uint64_t id, struct bytes name, const struct user_set *users, uint64_t serial)
{
	struct member *m = member_find_locked(a, id);

	if (!m) {
		m = member_add_locked(a, id, name, false, NULL);
		m->group = true;
		atomic_fetch_add(&a->group_count, 1);
	}
	if (!m->group || serial <= m->serial)
		return m;
	free(m->users.ids);
	m->users = (struct user_set){.ids = xmalloc(sizeof(uint64_t) * (users->count + 1)), .count = users->count};
	if (users->count > 0)
		memcpy(m->users.ids, users->ids, sizeof(uint64_t) * users->count);
	m->serial = serial;
	return m;
}

bool
user_set_has(const struct user_set *set, uint64_t id)
{
	size_t from = 0, to = set->count;

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (set->ids[middle] == id)
			return true;
		if (set->ids[middle] < id)
			from = middle + 1;
		else
			to = middle;
	}
	return false;
}

/* --- access keys -------------------------------------------------------------------------------------------------- */

static struct access_key **
access_key_slot(struct auth *a, struct bytes text)
{
	return &a->keys[hash64(text, 0) & (a->key_slots - 1)];
}

static struct access_key **
access_key_place(struct auth *a, struct bytes text)
{
	struct access_key **at = access_key_slot(a, text);

	while (*at && !bytes_equal(text, bytes_of((*at)->text, (*at)->text_len)))
		at = &(*at)->next;
	return at;
}

struct access_key *
access_key_find_locked(struct auth *a, struct bytes text)
{
	return *access_key_place(a, text);
}

static void
access_keys_grow(struct auth *a)
{
	struct access_key **old = a->keys;
	size_t i, slots = a->key_slots;

	a->key_slots *= 2;
	a->keys = xcalloc(a->key_slots, sizeof(*a->keys));
	for (i = 0; i < slots; i++)
		while (old[i]) {
			struct access_key *key = old[i],
					  **slot = access_key_slot(a, bytes_of(key->text, key->text_len));

			old[i] = key->next;
			key->next = *slot;
			*slot = key;
		}
	free(old);
}

struct access_key *
access_key_add_locked(struct auth *a, struct bytes text, const struct token_row *row)
{
	struct access_key *key = access_key_find_locked(a, text), **slot;
	struct member *owner = member_find_locked(a, row->identity);

	if (key)
		return key;
	key = xcalloc(1, sizeof(*key));
	assert(owner && text.len <= ACCESS_KEY_MAX && row->sealed.len <= sizeof(key->sealed));
	key->who = member_add_locked(a, row->identity, bytes_str(owner->shown.name), owner->shown.admin, &row->scope);
	key->identity = row->identity;
	memcpy(key->text, text.data, text.len);
	key->text_len = text.len;
	memcpy(key->sealed, row->sealed.data, row->sealed.len);
	key->sealed_len = row->sealed.len;
	if (a->key_count >= a->key_slots)
		access_keys_grow(a);
	slot = access_key_slot(a, text);
	key->next = *slot;
	*slot = key;
	a->key_count++;
	return key;
}

static void
access_key_unlink(struct auth *a, struct access_key **at)
{
	struct access_key *key = *at;

	*at = key->next;
	a->key_count--;
	key->who->key_removed = true;
	access_key_free(key);
}

void
access_key_remove_locked(struct auth *a, struct bytes text)
{
	struct access_key **at = access_key_place(a, text);

	if (*at)
		access_key_unlink(a, at);
}

void
access_keys_remove_locked(struct auth *a, uint64_t identity)
{
	size_t i;

	for (i = 0; i < a->key_slots; i++) {
		struct access_key **at = &a->keys[i];

		while (*at)
			if ((*at)->identity == identity)
				access_key_unlink(a, at);
			else
				at = &(*at)->next;
	}
}
