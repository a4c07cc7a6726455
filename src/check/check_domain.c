/* check_domain.c: the rows of bucket 0: identities, their names, access keys, names of buckets, numbers; see
 * check_int.h. */
#include "base/identity.h"
#include "check/check_int.h"
#include "managers/auth/auth_rows.h"

/* Who has this number? `found` false: nobody, or his row cannot be read, which is reported elsewhere. */
static enum rfs_err
identity_get(struct check *c, uint64_t id, struct identity_row *out, bool *found)
{
	struct row row;
	enum rfs_err err = check_get(c, identity_row_key(c->rq.arena, id), &row);

	*found = !err && row.found && !identity_row_decode(c->rq.arena, row.value, out);
	return err;
}

static enum rfs_err
identity_check(struct check *c, const struct row *row)
{
	uint64_t id = row->key.len == 9 + 8 ? load_be64(row->key.data + 9) : 0;
	struct identity_row identity;
	struct row name;
	enum rfs_err err;

	if (!id || identity_row_decode(c->rq.arena, row->value, &identity)) {
		check_found(c, CHECK_ROW_DAMAGED, bytes_of(NULL, 0), "identity %llu", (unsigned long long)id);
		return RFS_OK;
	}
	if (id <= IDENTITY_ROOT || id >= c->numbers)
		check_found(c, CHECK_NUMBER_WRONG, bytes_of(NULL, 0), "identity %llu has a number that was never given",
			(unsigned long long)id);
	if ((err = check_get(c, identity_name_key(c->rq.arena, identity.name), &name)))
		return err;
	if (!name.found || name.value.len != 8 || load_u64(name.value.data) != id)
		check_found(c, CHECK_IDENTITY_WRONG, bytes_of(NULL, 0), "the name of identity %llu, %.*s, is not his",
			(unsigned long long)id, (int)identity.name.len, (const char *)identity.name.data);
	return RFS_OK;
}

static enum rfs_err
user_name_check(struct check *c, struct bytes name, struct bytes value)
{
	struct identity_row identity;
	bool found;
	enum rfs_err err;

	if (value.len != 8) {
		check_found(c, CHECK_ROW_DAMAGED, bytes_of(NULL, 0), "the name %.*s", (int)name.len,
			(const char *)name.data);
		return RFS_OK;
	}
	if ((err = identity_get(c, load_u64(value.data), &identity, &found)))
		return err;
	if (!found || !bytes_equal(identity.name, name))
		check_found(c, CHECK_IDENTITY_WRONG, bytes_of(NULL, 0),
			"the name %.*s is that of identity %llu, who is not there or has another", (int)name.len,
			(const char *)name.data, (unsigned long long)load_u64(value.data));
	return RFS_OK;
}

static enum rfs_err
system_check(struct check *c, const struct row *row)
{
	const struct bytes user = BYTES_LITERAL("user/");
	struct bytes name = check_rest(row);
	struct scrub_row scrub;

	if (bytes_starts_with(name, user))
		return user_name_check(c, bytes_sub(name, user.len, name.len), row->value);
	if (bytes_equal_str(name, "scrub") && !scrub_row_decode(row->value, &scrub))
		return RFS_OK;
	if (bytes_equal_str(name, "numbers") ? row->value.len == 8
					     : bytes_equal_str(name, "master-key-check") && row->value.len == 32)
		return RFS_OK;
	check_found(c, CHECK_ROW_UNKNOWN, bytes_of(NULL, 0), "system row %.*s", (int)name.len, (const char *)name.data);
	return RFS_OK;
}

static enum rfs_err
token_check(struct check *c, const struct row *row)
{
	struct bytes text = check_rest(row);
	struct identity_row identity;
	struct token_row token;
	bool found;
	enum rfs_err err;

	if (token_row_decode(row->value, &token)) {
		check_found(c, CHECK_ROW_DAMAGED, bytes_of(NULL, 0), "access key %.*s", (int)text.len,
			(const char *)text.data);
		return RFS_OK;
	}
	if (token.identity == IDENTITY_ROOT || (err = identity_get(c, token.identity, &identity, &found)))
		return token.identity == IDENTITY_ROOT ? RFS_OK : err;
	if (!found || identity.group)
		check_found(c, CHECK_IDENTITY_WRONG, bytes_of(NULL, 0),
			"access key %.*s is that of identity %llu, who is not a user", (int)text.len,
			(const char *)text.data, (unsigned long long)token.identity);
	return RFS_OK;
}

/* A name may point to a bucket that was removed: the two are removed one after the other. */
static enum rfs_err
bucket_name_check(struct check *c, const struct row *row)
{
	struct bytes name = check_rest(row);
	uint64_t id = row->value.len == 8 ? load_u64(row->value.data) : 0;
	struct bucket_row bucket;
	struct row found;
	enum rfs_err err;

	if (!id) {
		check_found(c, CHECK_ROW_DAMAGED, bytes_of(NULL, 0), "the name of bucket %.*s", (int)name.len,
			(const char *)name.data);
		return RFS_OK;
	}
	if ((err = check_get(c, key_bucket(c->rq.arena, id), &found)))
		return err;
	if (!found.found)
		check_found(c, CHECK_BUCKET_WRONG, bytes_of(NULL, 0),
			"the name %.*s is that of bucket number %llu, which is not there", (int)name.len,
			(const char *)name.data, (unsigned long long)id);
	else if (!bucket_row_decode(found.value, &bucket) && !bytes_equal(bucket.name, name))
		check_found(c, CHECK_BUCKET_WRONG, bytes_of(NULL, 0),
			"the name %.*s is that of bucket number %llu, which has another", (int)name.len,
			(const char *)name.data, (unsigned long long)id);
	return RFS_OK;
}

/* What it tells of may have gone meanwhile. */
static enum rfs_err
damage_check(struct check *c, const struct row *row)
{
	uint64_t bucket, data_id;
	struct damage_row damage;

	if (!key_damage_split(row->key, &bucket, &data_id) || damage_row_decode(row->value, &damage))
		check_found(c, CHECK_ROW_DAMAGED, bytes_of(NULL, 0), "what is known of a damaged object");
	return RFS_OK;
}

enum rfs_err
check_domain(struct check *c)
{
	static const struct {
		enum table table;
		enum rfs_err (*row)(struct check *c, const struct row *row);
	} tables[] = {
		{TABLE_IDENTITY, identity_check},
		{TABLE_TOKEN, token_check},
		{TABLE_SYSTEM, system_check},
		{TABLE_NAME, bucket_name_check},
		{TABLE_DAMAGE, damage_check},
	};
	enum rfs_err err = RFS_OK;

	for (size_t i = 0; !err && i < sizeof(tables) / sizeof(tables[0]); i++) {
		const struct row *row;
		struct check_rows rows;

		check_arena(c);
		rows_open_table(&rows, c, tables[i].table);
		while (!err && (row = rows_next(&rows))) {
			check_arena(c);
			err = tables[i].row(c, row);
		}
		if (rows_close(&rows))
			err = rows.err;
	}
	return err;
}
