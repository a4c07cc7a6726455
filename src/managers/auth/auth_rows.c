/*
 * auth_rows.c: the rows of identities and access keys, and their keys. Both live in the domain bucket. [any]
 *
 * identity   key: number (8, big-endian), table IDENTITY
 *            value: format (1) = 1, flags (1): 1 administrator, name (varint length, bytes)
 * user name  key: "user/" name, table SYSTEM
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
#define TOKEN_READ_ONLY 1u

void
identity_row_encode(struct buf *b, const struct identity_row *row)
{
	buf_u8(b, ROW_FORMAT);
	buf_u8(b, row->admin ? IDENTITY_ADMIN : 0);
	buf_field(b, row->name);
}

enum rfs_err
identity_row_decode(struct bytes v, struct identity_row *out)
{
	struct reader r;

	reader_init(&r, v);
	if (reader_u8(&r) != ROW_FORMAT)
		return RFS_ERR_DAMAGED;
	out->admin = (reader_u8(&r) & IDENTITY_ADMIN) != 0;
	out->name = reader_field(&r);
	return r.failed || !user_name_is_valid(out->name) ? RFS_ERR_DAMAGED : RFS_OK;
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
user_name_key(struct arena *arena, struct bytes name)
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
