/* check_rows.c: findings, and pages of rows; see check_int.h. */
#include "check/check_int.h"
#include <stdio.h>

#define PAGE_ROWS 128
#define TEXT_BYTES 512
#define KEY_HEAD 9 /* bucket and table */

const char *
check_kind_name(enum check_kind kind)
{
	static const char *const names[] = {
#define CHECK_FINDING(kind, name, text) name,
#include "check/findings.def"
#undef CHECK_FINDING
	};

	return names[kind];
}

const char *
check_kind_text(enum check_kind kind)
{
	static const char *const texts[] = {
#define CHECK_FINDING(kind, name, text) text,
#include "check/findings.def"
#undef CHECK_FINDING
	};

	return texts[kind];
}

void
check_found(struct check *c, enum check_kind kind, struct bytes key, const char *format, ...)
{
	char text[TEXT_BYTES];
	struct check_finding finding = {.kind = kind,
		.bucket = c->bucket.id,
		.bucket_name = bytes_str(c->bucket_name),
		.key = key,
		.text = text};
	va_list args;

	if (c->resolving)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	c->totals->findings++;
	c->options->found(c->options->data, &finding);
}

void
rows_open(struct check_rows *r, struct check *c, struct bytes from, struct bytes to)
{
	*r = (struct check_rows){.check = c, .rq = c->rq, .page = {.more = true}};
	r->rq.arena = arena_new(16384);
	buf_init(&r->next, NULL);
	buf_init(&r->to, NULL);
	buf_put_bytes(&r->next, from);
	buf_put_bytes(&r->to, to);
}

void
rows_open_table(struct check_rows *r, struct check *c, enum table table)
{
	struct bytes none = bytes_of(NULL, 0);

	rows_open(r, c, key_table(c->rq.arena, c->bucket.id, table, none),
		key_table(c->rq.arena, c->bucket.id, table + 1, none));
}

static void
page_read(struct check_rows *r)
{
	struct metadata_driver *d = r->check->metadata;

	arena_reset(r->rq.arena);
	r->at = 0;
	r->err = d->ops->scan(d, &r->rq, buf_bytes(&r->next), buf_bytes(&r->to), PAGE_ROWS, false, &r->page);
	if (r->err == RFS_ERR_DAMAGED) {
		check_found(r->check, CHECK_ROW_DAMAGED, bytes_of(NULL, 0),
			"the index cannot be read in table %u: what is behind was not checked",
			r->next.data[KEY_HEAD - 1]);
		r->err = RFS_OK;
		r->page = (struct row_page){0};
	}
	if (r->err || !r->page.count)
		return;
	r->next.len = 0;
	buf_put_bytes(&r->next, r->page.rows[r->page.count - 1].key);
	buf_u8(&r->next, 0);
}

const struct row *
rows_next(struct check_rows *r)
{
	if (r->at == r->page.count && r->page.more && !r->err) {
		r->page.count = 0;
		page_read(r);
	}
	return r->err || r->at == r->page.count ? NULL : &r->page.rows[r->at++];
}

enum rfs_err
rows_close(struct check_rows *r)
{
	arena_free(r->rq.arena);
	buf_fini(&r->next);
	buf_fini(&r->to);
	return r->err;
}

enum rfs_err
check_get(struct check *c, struct bytes key, struct row *out)
{
	enum rfs_err err = c->metadata->ops->get(c->metadata, &c->rq, key, out);

	if (err != RFS_ERR_DAMAGED)
		return err;
	check_found(c, CHECK_ROW_DAMAGED, bytes_of(NULL, 0), "the index cannot be read in table %u",
		key.data[KEY_HEAD - 1]);
	*out = (struct row){0};
	return RFS_OK;
}

enum rfs_err
check_counter(struct check *c, struct bytes key, int64_t *out)
{
	struct row row;
	enum rfs_err err = check_get(c, key, &row);

	*out = !err && row.found && row.value.len == 8 ? (int64_t)load_u64(row.value.data) : 0;
	return err;
}

struct arena *
check_arena(struct check *c)
{
	arena_reset(c->rq.arena);
	return c->rq.arena;
}

struct bytes
check_rest(const struct row *row)
{
	return bytes_sub(row->key, KEY_HEAD, row->key.len);
}
