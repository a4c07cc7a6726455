/* data_tree.c: `restfs tree`: directories and objects as a tree is drawn; a request a directory. */
#include "data.h"
#include "cli_progress.h"
#include <stdlib.h>

/* An object, or a directory. */
struct branch {
	const char *name;
	bool is_folder;
	struct s3_object object; /* where it is one; in the level's arena */
};

struct level {
	struct arena *arena;
	struct branch *branches;
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
	struct branch *b;

	if (l->count == l->room) {
		l->room = l->room ? 2 * l->room : 64;
		l->branches = xrealloc(l->branches, l->room * sizeof(*l->branches));
	}
	b = &l->branches[l->count++];
	*b = (struct branch){.name = arena_str(l->arena, bytes_str(name)), .is_folder = !object};
	if (object) {
		b->object = *object;
		b->object.key = b->name;
		b->object.etag = arena_str(l->arena, bytes_str(object->etag));
	}
	return true;
}

static bool
level_read(struct tree *t, const char *prefix, struct level *out)
{
	*out = (struct level){.arena = arena_new(4096)};
	return data_walk(t->d, t->d->path.bucket, prefix, true, level_add, out);
}

static void
level_free(struct level *l)
{
	free(l->branches);
	arena_free(l->arena);
}

static bool level_draw(struct tree *t, const struct level *l, const char *prefix);

static void
branch_show(const struct tree *t, const struct branch *b, const char *prefix, bool last)
{
	if (t->d->cli->json) {
		cli_put_json(b->is_folder ? data_folder_json(t->d->path.bucket, b->name)
					  : data_object_json(t->d->path.bucket, &b->object));
		return;
	}
	printf("%.*s%s%s", (int)t->stem.len, (const char *)t->stem.data, last ? "`-- " : "|-- ",
		b->is_folder ? cli_colour(stdout, COLOUR_BLUE) : "");
	data_put_name(t->d, b->name + strlen(prefix));
	printf("%s\n", b->is_folder ? cli_colour(stdout, COLOUR_NONE) : "");
}

static bool
branch_draw(struct tree *t, const struct branch *b, const char *prefix, bool last)
{
	size_t stem = t->stem.len;
	struct level below;
	bool fine = true;

	branch_show(t, b, prefix, last);
	t->folders += b->is_folder;
	t->objects += !b->is_folder;
	if (b->is_folder && t->depth != 0) {
		buf_put_str(&t->stem, last ? "    " : "|   ");
		fine = level_read(t, b->name, &below) && level_draw(t, &below, b->name);
		level_free(&below);
		t->stem.len = stem;
	}
	return fine;
}

static bool
level_draw(struct tree *t, const struct level *l, const char *prefix)
{
	bool fine = true;

	t->depth--;
	for (size_t i = 0; fine && i < l->count; i++)
		if (strcmp(l->branches[i].name, prefix) != 0) /* an object that stands for the directory itself */
			fine = branch_draw(t, &l->branches[i], prefix, i + 1 == l->count);
	t->depth++;
	return fine;
}

/* Nothing is below the path: it may be an object's. */
static bool
object_draw(struct tree *t)
{
	struct data *d = t->d;
	struct s3_object object = {.key = d->path.key};
	struct s3_info info;

	if (!s3_head(d->conn, d->page, d->path.bucket, d->path.key, &info))
		return s3_conn_is_missing(d->conn) ? cli_fail(d->cli, "%s: there is nothing", d->text)
						   : data_fail(d, NULL, NULL);
	object.size = info.size;
	object.modified_ns = info.modified_ns;
	object.etag = info.etag;
	if (d->cli->json)
		cli_put_json(data_object_json(d->path.bucket, &object));
	else
		data_put_path(d, d->path.bucket, d->path.key, "\n");
	t->objects++;
	return true;
}

static bool
root_draw(struct tree *t)
{
	const char *folder = data_folder(t->d);
	struct level root;
	bool fine = level_read(t, folder, &root);

	if (fine && root.count == 0 && folder[0]) {
		fine = object_draw(t);
	} else if (fine) {
		if (!t->d->cli->json)
			data_put_path(t->d, t->d->path.bucket, folder, "\n");
		fine = level_draw(t, &root, folder);
	}
	level_free(&root);
	return fine;
}

static bool
tree(struct data *d)
{
	struct tree t = {.d = d, .depth = cli_number(d->cli, "depth", -1)};
	bool fine;

	buf_init(&t.stem, NULL);
	buf_put_str(&t.stem, "");
	fine = root_draw(&t);
	if (fine && !d->cli->json)
		printf("%s, %s\n", cli_counted(d->cli->arena, t.folders, "directory", "directories"),
			cli_counted(d->cli->arena, t.objects, "object", "objects"));
	buf_fini(&t.stem);
	return fine;
}

int
data_tree(struct cli *cli)
{
	return data_each_path(cli, data_is_in_bucket, tree);
}
