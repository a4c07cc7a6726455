/*
 * salvage_choose.c: of which store the files of a damaged one are: those of others may have been put among them, even
 * more than it has of its own. What proves it, in this order: who calls says it; the index knows it; files of no other
 * store have the names of their volumes. Else nothing is done: what is salvaged of the wrong store is lost of the right
 * one. [init]
 */
#include "base/clock.h"
#include "drivers/embedded/salvage_int.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ID_TEXT 33

/* A store of which there are files with superblocks. */
struct candidate {
	uint8_t store[16];
	size_t files, named; /* of them with the names of their volumes */
};

struct candidates {
	struct candidate *list;
	size_t count, made_up, named; /* files without a superblock; stores with files that have their names */
};

bool
salvage_is_named(const struct salvage_file *f)
{
	char expected[32];

	snprintf(expected, sizeof(expected), "%016llx%s", (unsigned long long)f->super.number,
		f->super.kind == VOLUME_CHECKPOINT ? CHECKPOINT_SUFFIX : VOLUME_SUFFIX);
	return strcmp(expected, f->name) == 0;
}

static struct candidate *
candidate_find(const struct candidates *c, const uint8_t store[16])
{
	for (size_t i = 0; i < c->count; i++)
		if (memcmp(c->list[i].store, store, 16) == 0)
			return &c->list[i];
	return NULL;
}

static void
candidates_list(const struct salvage *s, struct candidates *c)
{
	c->list = xcalloc(s->file_count + 1, sizeof(*c->list));
	for (size_t i = 0; i < s->file_count; i++) {
		const struct salvage_file *f = &s->files[i];
		struct candidate *of = candidate_find(c, f->super.store);

		if (f->is_made_up) {
			c->made_up++;
			continue;
		}
		if (of == NULL) {
			of = &c->list[c->count++];
			memcpy(of->store, f->super.store, 16);
		}
		of->files++;
		of->named += salvage_is_named(f);
		c->named += salvage_is_named(f) && of->named == 1;
	}
}

static enum rfs_err
take(struct salvage *s, const uint8_t store[16])
{
	memcpy(s->store, store, 16);
	return RFS_OK;
}

static enum rfs_err
take_wanted(struct salvage *s, const struct candidates *c)
{
	uint8_t store[16];

	if (!hex_decode(bytes_of(s->wanted, strlen(s->wanted)), store, sizeof(store)))
		return salvage_fail(s, RFS_ERR_INVALID_PARAMS,
			"`%.40s` is not the id of a store: 32 hexadecimal digits", s->wanted);
	if (!candidate_find(c, store) && !(s->has_index && memcmp(store, s->applied.store, 16) == 0))
		return salvage_fail(s, RFS_ERR_NOT_FOUND, "nothing here is of store %.40s", s->wanted);
	return take(s, store);
}

static enum rfs_err
refuse(struct salvage *s, const struct candidates *c)
{
	char id[ID_TEXT] = "";

	if (s->has_index) {
		hex_encode(bytes_of(s->applied.store, 16), id);
		salvage_note(s, "store-found", "the index is of store %s", id);
	}
	for (size_t i = 0; i < c->count; i++) {
		hex_encode(bytes_of(c->list[i].store, 16), id);
		salvage_note(s, "store-found", "%zu files are of store %s; %zu of them have their right names",
			c->list[i].files, id, c->list[i].named);
	}
	return salvage_fail(
		s, RFS_ERR_CONFLICT, "nothing says of which store %s is; choose one with --store=ID", s->data);
}

static enum rfs_err
choose(struct salvage *s, const struct candidates *c)
{
	if (s->wanted)
		return take_wanted(s, c);
	if (s->has_index && (candidate_find(c, s->applied.store) || c->count == 0))
		return take(s, s->applied.store);
	/* The index's may be the files that have no superblock; or it is another's, as they are. */
	if (s->has_index && c->made_up)
		return c->named ? refuse(s, c) : take(s, s->applied.store);
	if (c->count == 1)
		return take(s, c->list[0].store);
	for (size_t i = 0; i < c->count; i++)
		if (c->list[i].named && c->named == 1)
			return take(s, c->list[i].store);
	if (c->count)
		return refuse(s, c);
	uuid_v7(s->store);
	return RFS_OK;
}

enum rfs_err
salvage_choose(struct salvage *s)
{
	struct candidates c = {0};
	char path[4096];
	enum rfs_err err;

	snprintf(path, sizeof(path), "%.4000s/index", s->data);
	s->has_index = index_damage_position(s->data, &s->applied) ||
		       (access(path, F_OK) == 0 && index_peek(path, &s->applied));
	candidates_list(s, &c);
	err = choose(s, &c);
	free(c.list);
	return err;
}
