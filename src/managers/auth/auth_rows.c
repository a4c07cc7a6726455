/*
 * auth_rows.c: the rows of identities and access keys, and their keys. Both live in the domain bucket. [any]
 *
 * identity   key: number (8, big-endian), table IDENTITY
 *            value: format (1) = 1, flags (1): 1 administrator, 2 group, name (varint length, bytes); of a group then:
 *            members (varint count, their numbers as ascending varints)
 * name       key: "user/" name, table SYSTEM
 *            value: number (8)
 * access key key: its text, table TOKEN
 *            value: format (1) = 1, flags (1): 1 read-only, identity (8), created (8, ns since 1970), bucket, prefix,
 * sealed secret (each a varint length and bytes; an empty bucket or prefix does not limit)
 *
 * What follows is from later versions; readers skip it.
 */
#include "base/hash.h"
#include "managers/auth/auth_int.h"

#define ROW_FORMAT 1
#define IDENTITY_ADMIN 1u
#define IDENTITY_GROUP 2u
#define TOKEN_READ_ONLY 1u

void
identity_row_encode(struct buf *b, const struct identity_row *row)
{
	buf_u8(b, ROW_FORMAT);
	buf_u8(b, (row->admin ? IDENTITY_ADMIN : 0) | (row->group ? IDENTITY_GROUP : 0));
	buf_field(b, row->name);
	if (!row->group)
		return;
	buf_varint(b, row->users.count);
	for (size_t i = 0; i < row->users.count; i++)
		buf_varint(b, row->users.ids[i]);
}

/* They are looked up by halving: the order is the row's promise. */
static bool
users_decode(struct reader *r, struct arena *arena, struct user_set *out)
{
	uint64_t count = reader_varint(r);

	if (r->failed || count > GROUP_USERS_MAX)
		return false;
	*out = (struct user_set){.ids = ARENA_ARRAY(arena, uint64_t, count), .count = count};
	for (size_t i = 0; i < count; i++) {
		out->ids[i] = reader_varint(r);
		if (r->failed || (i > 0 && out->ids[i] <= out->ids[i - 1]))
			return false;
	}
	return true;
}

enum rfs_err
identity_row_decode(struct arena *arena, struct bytes v, struct identity_row *out)
{
	struct reader r;
	uint8_t flags;

	*out = (struct identity_row){0};
	reader_init(&r, v);
	if (reader_u8(&r) != ROW_FORMAT)
		return RFS_ERR_DAMAGED;
	flags = reader_u8(&r);
	out->admin = (flags & IDENTITY_ADMIN) != 0;
	out->group = (flags & IDENTITY_GROUP) != 0;
	out->name = reader_field(&r);
	if (r.failed || !user_name_is_valid(out->name))
		return RFS_ERR_DAMAGED;
	return !out->group || users_decode(&r, arena, &out->users) ? RFS_OK : RFS_ERR_DAMAGED;
}

void
token_row_encode(struct buf *b, const struct token_row *row)
{
	buf_u8(b, ROW_FORMAT);
	buf_u8(b, row->scope.read_only ? TOKEN_READ_ONLY : 0);
	buf_u64(b, row->identity);
	buf_u64(b, (uint64_t)row->created_ns);
	buf_field(b, row->scope.bucket);
	buf_field(b, row->scope.prefix);
	buf_field(b, row->sealed);
}

enum rfs_err
token_row_decode(struct bytes v, struct token_row *out)
{
	struct reader r;

	reader_init(&r, v);
	if (reader_u8(&r) != ROW_FORMAT)
		return RFS_ERR_DAMAGED;
	out->scope.read_only = (reader_u8(&r) & TOKEN_READ_ONLY) != 0;
	out->identity = reader_u64(&r);
	out->created_ns = (int64_t)reader_u64(&r);
	out->scope.bucket = reader_field(&r);
	out->scope.prefix = reader_field(&r);
	out->sealed = reader_field(&r);
	if (r.failed || out->sealed.len < SEAL_OVERHEAD + SECRET_MIN || out->sealed.len > SEAL_OVERHEAD + SECRET_MAX)
		return RFS_ERR_DAMAGED;
	return RFS_OK;
}

struct bytes
identity_row_key(struct arena *arena, uint64_t id)
{
	uint8_t number[8];

	store_be64(number, id);
	return key_table(arena, DOMAIN_BUCKET, TABLE_IDENTITY, bytes_of(number, sizeof(number)));
}

struct bytes
identity_name_key(struct arena *arena, struct bytes name)
{
	struct buf b;

	buf_init(&b, arena);
	buf_put_str(&b, "user/");
	buf_put_bytes(&b, name);
	return key_table(arena, DOMAIN_BUCKET, TABLE_SYSTEM, buf_bytes(&b));
}

struct bytes
token_row_key(struct arena *arena, struct bytes access_key)
{
	return key_table(arena, DOMAIN_BUCKET, TABLE_TOKEN, access_key);
}

struct bytes
row_key_after(struct arena *arena, struct bytes key)
{
	uint8_t *next = arena_alloc(arena, key.len + 1);

	memcpy(next, key.data, key.len);
	next[key.len] = 0;
	return bytes_of(next, key.len + 1);
}
