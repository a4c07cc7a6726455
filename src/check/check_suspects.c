/* check_suspects.c: which object is it that a wrong row or a damaged block belongs to? All contents are gone through
 * once more; see check_int.h. */
#include "check/check_int.h"
#include <stdio.h>
#include <stdlib.h>

#define TEXT_BYTES 512

enum rfs_err
suspect_add(struct check *c, enum suspect_kind is, uint64_t number, enum check_kind finding, bool each,
	const char *format, ...)
{
	char text[TEXT_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	c->suspects[c->suspect_count++] =
		(struct suspect){.is = is, .number = number, .finding = finding, .each = each, .text = xstrdup(text)};
	return c->suspect_count == SUSPECTS_MOST ? suspects_resolve(c) : RFS_OK;
}

static int
suspect_compare(const void *a, const void *b)
{
	const struct suspect *x = a, *y = b;

	if (x->is != y->is)
		return x->is < y->is ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

static void
suspect_report(struct check *c, const struct suspect *s, struct bytes key)
{
	c->resolving = false;
	check_found(c, s->finding, key, "%s", s->text);
	c->resolving = true;
}

void
suspect_named(struct check *c, enum suspect_kind is, uint64_t number, struct bytes key)
{
	const struct suspect wanted = {.is = is, .number = number};
	struct suspect *found = bsearch(&wanted, c->suspects, c->suspect_count, sizeof(wanted), suspect_compare),
		       *end = c->suspects + c->suspect_count;

	/* There may be several: a run with a wrong counter and damaged blocks. */
	while (found && found > c->suspects && suspect_compare(found - 1, &wanted) == 0)
		found--;
	for (; found && found < end && suspect_compare(found, &wanted) == 0; found++) {
		if (found->seen != c->visit && (found->each || !found->seen))
			suspect_report(c, found, key);
		found->seen = c->visit;
	}
}

enum rfs_err
suspects_resolve(struct check *c)
{
	enum rfs_err err;

	if (!c->suspect_count)
		return RFS_OK;
	qsort(c->suspects, c->suspect_count, sizeof(c->suspects[0]), suspect_compare);
	c->resolving = true;
	c->visit = 0;
	if (!(err = check_tree_contents(c)))
		err = check_uploads_contents(c);
	for (size_t i = 0; i < c->suspect_count; i++) {
		if (!c->suspects[i].seen)
			suspect_report(c, &c->suspects[i], bytes_of(NULL, 0));
		free(c->suspects[i].text);
	}
	c->suspect_count = 0;
	c->resolving = false;
	return err;
}
