/* data_tree.c: `restfs tree`: directories and objects as a tree is drawn; a request a directory. */
#include "data.h"
#include "cli_progress.h"
#include <stdlib.h>

struct level {
	struct arena *arena;
	const char **names;
	size_t count, room;
};

struct tree {
	struct data *d;
	struct buf stem; /* what is in front of each line */
	int64_t depth;   /* levels that are left; -1: all */
	uint64_t folders, objects;
};

static bool
level_add(void *arg, const char *name, const struct s3_object *object)
{
	struct level *l = arg;

	if (l->count == l->room) {
		l->room = l->room ? 2 * l->room : 64;
		l->names = xrealloc(l->names, l->room * sizeof(*l->names));
	}
	l->names[l->count++] = arena_str(l->arena, bytes_str(name));
	return true;
}

static bool tree_draw(struct tree *t, const char *prefix);

static bool
branch_draw(struct tree *t, const char *name, const char *prefix, bool last)
{
	size_t stem = t->stem.len, len = strlen(name);
	bool folder = name[len - 1] == '/', fine = true;

	printf("%.*s%s%s", (int)stem, (const char *)t->stem.data, last ? "`-- " : "|-- ",
		folder ? cli_colour(stdout, COLOUR_BLUE) : "");
	data_put_name(t->d, name + strlen(prefix));
	printf("%s\n", folder ? cli_colour(stdout, COLOUR_NONE) : "");
	t->folders += folder;
	t->objects += !folder;
	if (folder && t->depth != 0) {
		buf_put_str(&t->stem, last ? "    " : "|   ");
		fine = tree_draw(t, name);
		t->stem.len = stem;
	}
	return fine;
}

static bool
tree_draw(struct tree *t, const char *prefix)
{
	struct level l = {.arena = arena_new(4096)};
	bool fine = data_walk(t->d, t->d->path.bucket, prefix, true, level_add, &l);

	t->depth--;
	for (size_t i = 0; fine && i < l.count; i++)
		if (strcmp(l.names[i], prefix) != 0) /* an object that stands for the directory itself */
			fine = branch_draw(t, l.names[i], prefix, i + 1 == l.count);
	t->depth++;
	free(l.names);
	arena_free(l.arena);
	return fine;
}

static bool
tree(struct data *d)
{
	struct tree t = {.d = d, .depth = cli_number(d->cli, "depth", -1)};
	bool fine;

	buf_init(&t.stem, NULL);
	buf_put_str(&t.stem, "");
	data_put_path(d, d->path.bucket, data_folder(d), "\n");
	fine = tree_draw(&t, data_folder(d));
	if (fine)
		printf("%llu directories, %llu objects\n", (unsigned long long)t.folders,
			(unsigned long long)t.objects);
	buf_fini(&t.stem);
	return fine;
}

int
data_tree(struct cli *cli)
{
	return data_each_path(cli, data_is_in_bucket, tree);
}
