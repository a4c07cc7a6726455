/* data_find.c: `restfs find`: the objects below a path that fit, one path a line. */
#include "data.h"
#include "transfer_filter.h"

struct search {
	struct data *d;
	const char *root;
	struct filter filter;
	char end[2]; /* what ends a path */
};

static bool
looked_at(void *arg, const char *name, const struct s3_object *o)
{
	const struct search *s = arg;

	if (!filter_takes(&s->filter, name + strlen(s->root), o->size, o->modified_ns))
		return true;
	if (s->d->cli->json)
		cli_put_json(data_object_json(s->d->path.bucket, o));
	else
		data_put_path(s->d, s->d->path.bucket, name, s->end);
	if (!s->end[0])
		putchar('\0');
	return true;
}

static bool
is_searched(struct data *d)
{
	struct filter filter;

	return data_is_in_bucket(d) && filter_read(d->cli, &filter);
}

static bool
find(struct data *d)
{
	struct search s = {.d = d, .end = "\n"};

	if (!filter_read(d->cli, &s.filter))
		return false;
	s.root = data_folder(d);
	if (cli_flag(d->cli, "null") && !d->cli->json)
		s.end[0] = '\0';
	return data_walk(d, d->path.bucket, s.root, false, looked_at, &s);
}

int
data_find(struct cli *cli)
{
	return data_each_path(cli, is_searched, find);
}
