/*
 * upload_complete.c: parts become an object, without touching their bytes. [worker]
 *
 * First the upload's row says COMPLETING: a part that is being put meanwhile CHECKs that row and is refused, so the parts stand still. Then one batch publishes the
 * index of parts and the object's head, and leaves the parts' rows to the reaper. A list that does not hold puts the upload back to OPEN; a crash in between
 * leaves it COMPLETING, where Complete and Abort go on.
 *
 * Two at once hold the same COMPLETING row. The batch that ends the upload, or puts it back, decides: whom it overtakes begins again, and finds how things stand.
 *
 * Completing again what was completed, as a client does whose answer was lost, answers as the first time while the object stands.
 */
#include "core/core_int.h"
#include "base/crash_point.h"
#include "managers/storage/scrub.h"

#define PARTS_PAGE 1000

struct completion {
	struct core *core;
	struct request *rq;
	const struct upload_complete_args *args;
	struct upload_at at;
	struct part_row *all;   /* room for every part that there may be */
	struct part_row *parts; /* those of the list, in its order */
	struct part_ref *index;
	uint64_t size;
};

/* PUT of the upload's row with another state; at->row and serial follow. */
static enum rfs_err
state_set(struct completion *c, enum upload_state state)
{
	struct batch *b = batch_new(c->at.bucket.id);
	struct buf value;
	enum rfs_err err;

	c->at.upload.state = state;
	buf_init(&value, b->arena);
	upload_encode(&value, &c->at.upload);
	bucket_check(b, &c->at.bucket);
	batch_checked(batch_put(b, c->at.key, buf_bytes(&value)), c->at.row.serial);
	err = metadata_commit(c->core->metadata, c->rq, b);
	if (!err)
		c->at.row.serial = b->serial;
	batch_free(b);
	return err;
}

/* All parts that there are, by number. */
static enum rfs_err
parts_read(struct completion *c, struct part_row *all, size_t *count)
{
	struct request *rq = c->rq;
	struct bytes next = key_upload_part(rq->arena, c->at.bucket.id, c->at.id, 0);
	struct bytes end = key_upload_part(rq->arena, c->at.bucket.id, c->at.id, UINT32_MAX);
	struct row_page page = { .more = true };
	enum rfs_err err;

	*count = 0;
	while (page.more) {
		if ((err = metadata_scan(c->core->metadata, rq, next, end, PARTS_PAGE, false, &page)))
			return err;
		for (size_t i = 0; i < page.count && *count < UPLOAD_PARTS_MAX; i++, (*count)++) {
			if ((err = part_decode(page.rows[i].value, &all[*count])))
				return err;
			next = key_upload_part(rq->arena, c->at.bucket.id, c->at.id, all[*count].number + 1);
		}
	}
	return RFS_OK;
}

static bool
claim_md5(const struct upload_part_claim *claim, uint8_t out[16])
{
	struct bytes etag = claim->etag;

	if (etag.len >= 2 && etag.data[0] == '"' && etag.data[etag.len - 1] == '"')
		etag = bytes_sub(etag, 1, etag.len - 2);
	return etag.len == 32 && hex_decode(etag, out, 16);
}

static bool
claim_matches(const struct upload_part_claim *claim, const struct part_row *part)
{
	uint8_t md5_bytes[16];

	if (!claim_md5(claim, md5_bytes) || memcmp(md5_bytes, part->md5, 16) != 0)
		return false;
	if (!claim->has_checksum)
		return true;
	return part->has_checksum && part->checksum == claim->checksum.digest &&
	       memcmp(part->checksum_value.bytes, claim->checksum.value.bytes, digest_size(part->checksum)) == 0;
}

/* The client's list against the parts that there are. */
static enum rfs_err
list_verify(struct completion *c)
{
	const struct upload_complete_args *args = c->args;
	struct part_row *all = c->all;
	size_t count, at = 0;
	enum rfs_err err;

	for (size_t i = 1; i < args->part_count; i++)
		if (args->parts[i].number <= args->parts[i - 1].number)
			return RFS_ERR_INVALID_PART_ORDER;
	if ((err = parts_read(c, all, &count)))
		return err;
	c->size = 0;
	for (size_t i = 0; i < args->part_count; i++) {
		while (at < count && all[at].number < args->parts[i].number)
			at++;
		if (at == count || all[at].number != args->parts[i].number || !claim_matches(&args->parts[i], &all[at]))
			return request_fail(c->rq, RFS_ERR_INVALID_PART, "part %u was not uploaded, or is another one than the list says", args->parts[i].number);
		if (damage_is_known(c->core->storage, c->at.bucket.id, all[at].content.data_id))
			return request_fail(c->rq, RFS_ERR_INVALID_PART,
				"part %u is damaged, and has to be uploaded again", args->parts[i].number);
		if (i + 1 < args->part_count && all[at].content.size < UPLOAD_PART_MIN_BYTES)
			return RFS_ERR_ENTITY_TOO_SMALL;
		c->parts[i] = all[at];
		c->size += all[at].content.size; /* of at most 10,000 parts of 5 GiB: it cannot overflow */
		c->index[i] = (struct part_ref){ .end = c->size, .content = all[at].content };
	}
	if (c->size > OBJECT_BYTES_MAX)
		return RFS_ERR_ENTITY_TOO_LARGE;
	if (args->size >= 0 && (uint64_t)args->size != c->size)
		return request_fail(c->rq, RFS_ERR_INVALID_REQUEST, "the parts have %llu bytes together", (unsigned long long)c->size);
	return RFS_OK;
}

/* "A multipart ETag": MD5 of the parts' MD5s, a hyphen, how many. */
static struct bytes
etag_make(struct arena *arena, struct bytes md5s)
{
	uint8_t sum[16];
	char hex[33];

	md5(md5s, sum);
	hex_encode(bytes_of(sum, 16), hex);
	return bytes_str(arena_printf(arena, "%s-%zu", hex, md5s.len / 16));
}

static struct bytes
parts_etag(const struct completion *c)
{
	struct buf md5s;

	buf_init(&md5s, c->rq->arena);
	for (size_t i = 0; i < c->args->part_count; i++)
		buf_put(&md5s, c->parts[i].md5, 16);
	return etag_make(c->rq->arena, buf_bytes(&md5s));
}

/* Is the checksum of `v` what the client says, or does he not say? */
static bool
checksum_matches(const struct upload_complete_args *args, const struct version *v)
{
	if (!args->has_checksum)
		return true;
	if (args->checksum_parts && (v->checksum_type != CHECKSUM_COMPOSITE || args->checksum_parts != args->part_count))
		return false;
	return v->has_checksum && v->checksum == args->checksum.digest &&
	       memcmp(v->checksum_value.bytes, args->checksum.value.bytes, digest_size(v->checksum)) == 0;
}

static bool
checksum_type_matches(const struct upload_complete_args *args, const struct version *v)
{
	return !args->has_checksum_type || (v->has_checksum && v->checksum_type == args->checksum_type);
}

/* Is `v` what the client's list makes? By its ETag, which has the MD5 of each part in it. */
static bool
claims_made(const struct completion *c, const struct version *v)
{
	const struct upload_complete_args *args = c->args;
	struct buf md5s;
	uint8_t one[16];

	buf_init(&md5s, c->rq->arena);
	for (size_t i = 0; i < args->part_count; i++) {
		if (!claim_md5(&args->parts[i], one))
			return false;
		buf_put(&md5s, one, 16);
	}
	if (v->parts != args->part_count || !bytes_equal(v->etag, etag_make(c->rq->arena, buf_bytes(&md5s))))
		return false;
	if (args->size >= 0 && (uint64_t)args->size != v->content.size)
		return false;
	return checksum_matches(args, v) && checksum_type_matches(args, v);
}

/* The upload is gone: completed before, when the key's object is what this list makes. Its conditions were judged then. */
static enum rfs_err
completed_before(struct completion *c, struct version *out)
{
	struct object_at at;
	enum rfs_err err;

	if (c->args->upload.len != 2 * UPLOAD_ID_BYTES)
		return RFS_ERR_NO_SUCH_UPLOAD;
	if ((err = object_resolve(c->core, c->rq, c->args->bucket, c->args->key, OP_OBJECT_WRITE, &at)))
		return err;
	if (!at.name.found || !claims_made(c, &at.name.head))
		return RFS_ERR_NO_SUCH_UPLOAD;
	*out = at.name.head;
	return RFS_OK;
}

static void
checksum_combine(struct completion *c, enum digest which, struct digest_value *out)
{
	uint64_t sum = 0;
	size_t bytes = digest_size(which);

	for (size_t i = 0; i < c->args->part_count; i++) {
		uint64_t part = 0, len = c->parts[i].content.size;

		for (size_t k = 0; k < bytes; k++)
			part = part << 8 | c->parts[i].checksum_value.bytes[k];
		if (which == DIGEST_CRC32)
			sum = crc32_ieee_combine((uint32_t)sum, (uint32_t)part, len);
		else if (which == DIGEST_CRC32C)
			sum = crc32c_combine((uint32_t)sum, (uint32_t)part, len);
		else
			sum = crc64nvme_combine(sum, part, len);
	}
	for (size_t k = 0; k < bytes; k++)
		out->bytes[k] = (uint8_t)(sum >> 8 * (bytes - 1 - k));
}

/* Every part's, if all have one of the same kind. */
static struct part_sums
sums_make(const struct completion *c)
{
	size_t count = c->args->part_count, bytes;
	struct part_sums sums = { .given = c->parts[0].has_checksum, .digest = c->parts[0].checksum };
	uint8_t *values;

	for (size_t i = 1; i < count && sums.given; i++)
		sums.given = c->parts[i].has_checksum && c->parts[i].checksum == sums.digest;
	if (!sums.given)
		return sums;
	bytes = digest_size(sums.digest);
	sums.values = values = arena_alloc(c->rq->arena, count * bytes);
	for (size_t i = 0; i < count; i++)
		memcpy(values + i * bytes, c->parts[i].checksum_value.bytes, bytes);
	return sums;
}

/*
 * Of which kind the object's checksum is: the one that the upload was created with, or, when that was not said, the one that the client claims now, if it can
 * be made of the parts' own. INVALID_REQUEST: it cannot.
 */
static enum rfs_err
checksum_choose(struct completion *c, struct version *v)
{
	const struct upload_row *upload = &c->at.upload;
	const struct upload_complete_args *args = c->args;
	enum digest claimed = args->checksum.digest;

	v->has_checksum = upload->has_checksum || args->has_checksum;
	v->checksum = upload->has_checksum ? upload->checksum : claimed;
	v->checksum_type = upload->has_checksum ? upload->checksum_type : CHECKSUM_FULL_OBJECT;
	if (!checksum_type_matches(args, v))
		return request_fail(c->rq, RFS_ERR_INVALID_REQUEST, "the upload was not created with this type of checksum");
	if (!v->has_checksum)
		return RFS_OK;
	if (!upload->has_checksum && (claimed == DIGEST_SHA1 || claimed == DIGEST_SHA256))
		return request_fail(c->rq, RFS_ERR_INVALID_REQUEST, "the upload was not created with this kind of checksum");
	for (size_t i = 0; i < args->part_count; i++)
		if (!c->parts[i].has_checksum || c->parts[i].checksum != v->checksum)
			return request_fail(c->rq, RFS_ERR_INVALID_REQUEST, "part %u has no checksum of the upload's kind", c->parts[i].number);
	return RFS_OK;
}

/* The object's checksum from the parts': combined (FULL_OBJECT), or that of their concatenation (COMPOSITE). */
static enum rfs_err
checksum_make(struct completion *c, struct version *v)
{
	struct digester *d;
	enum rfs_err err;

	if ((err = checksum_choose(c, v)) || !v->has_checksum)
		return err;
	if (v->checksum_type == CHECKSUM_FULL_OBJECT) {
		checksum_combine(c, v->checksum, &v->checksum_value);
	} else {
		d = digester_new(DIGEST_BIT(v->checksum));
		for (size_t i = 0; i < c->args->part_count; i++)
			digester_update(d, c->parts[i].checksum_value.bytes, digest_size(v->checksum));
		digester_value(d, v->checksum, &v->checksum_value);
		digester_free(d);
	}
	return checksum_matches(c->args, v) ? RFS_OK : RFS_ERR_BAD_DIGEST;
}

/* CONFLICT: the key's head, the bucket or the upload has changed since. */
static enum rfs_err
object_publish(struct completion *c, struct version *v)
{
	struct core *core = c->core;
	struct request *rq = c->rq;
	struct batch *b = batch_new(c->at.bucket.id);
	struct part_sums sums = sums_make(c);
	struct object_at at;
	struct buf index;
	enum rfs_err err;

	if ((err = object_resolve(core, rq, c->args->bucket, c->args->key, OP_OBJECT_WRITE, &at)) ||
		(err = conditions_hold(rq, &c->args->conditions, object_head(&at), false)))
		goto out;
	bucket_check(b, &at.bucket);
	buf_init(&index, b->arena);
	parts_encode(&index, c->index, c->args->part_count, &sums);
	if (v->content.kind == CONTENT_PARTS)
		batch_put(b, key_parts(b->arena, at.bucket.id, v->content.data_id), buf_bytes(&index));
	if ((err = name_put(core->metadata, rq, b, &at.bucket, &at.name, v)) ||
		(err = upload_end(core, rq, b, &c->at, c->args->parts, c->args->part_count)))
		goto out;
	feed_append(b, rq, &at.bucket, CHANGE_PUT, c->args->key, v);
	err = metadata_commit(core->metadata, rq, b);
	v->serial = b->serial;
out:
	batch_free(b);
	return err;
}

/* From how things stand to how they shall be. CONFLICT: they moved meanwhile. */
static enum rfs_err
complete_once(struct completion *c, struct version *out)
{
	const struct upload_complete_args *args = c->args;
	enum rfs_err err;

	err = upload_resolve(c->core, c->rq, args->bucket, args->key, args->upload, OP_OBJECT_WRITE, &c->at);
	if (err == RFS_ERR_NO_SUCH_UPLOAD)
		return completed_before(c, out);
	if (err || (c->at.upload.state == UPLOAD_OPEN && (err = state_set(c, UPLOAD_COMPLETING))))
		return err;
	crash_point(CRASH_UPLOAD_FROZEN);
	*out = c->at.upload.version;
	if ((err = list_verify(c)) || (err = checksum_make(c, out)))
		goto reopen;
	out->etag = parts_etag(c);
	out->parts = (uint32_t)args->part_count;
	out->content = (struct content){ .kind = c->size ? CONTENT_PARTS : CONTENT_EMPTY, .size = c->size };
	if ((err = metadata_number(c->core->metadata, c->rq, 1, &out->content.data_id)) || (err = object_publish(c, out)))
		goto reopen;
	return RFS_OK;
reopen:
	/* If this fails too, the upload stays COMPLETING: nothing is lost, and the client may complete or abort it. */
	if (err != RFS_ERR_CONFLICT)
		(void)!state_set(c, UPLOAD_OPEN);
	return err;
}

enum rfs_err
upload_complete(struct core *core, struct request *rq, const struct upload_complete_args *args, struct version *out)
{
	struct completion c = { .core = core, .rq = rq, .args = args };
	unsigned attempt = 0;
	enum rfs_err err;

	if (!args->part_count || args->part_count > UPLOAD_PARTS_MAX)
		return RFS_ERR_MALFORMED_XML;
	c.all = ARENA_ARRAY(rq->arena, struct part_row, UPLOAD_PARTS_MAX);
	c.parts = ARENA_ARRAY(rq->arena, struct part_row, args->part_count);
	c.index = ARENA_ARRAY(rq->arena, struct part_ref, args->part_count);
	do {
		request_clear_error(rq);
		err = complete_once(&c, out);
	} while (err == RFS_ERR_CONFLICT && request_may_retry(rq, attempt++));
	return err;
}
