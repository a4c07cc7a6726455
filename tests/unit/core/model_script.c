/* model_script.c: operations chosen from a seed, as text, and read back from it; see model.h. */
#include "base/crash_point.h"
#include "model.h"

/* --- text ----------------------------------------------------------------------------------------------------------
 */

static const struct {
	const char *name;
	unsigned weight;
} kinds[] = {
#define MODEL_OP(id, name, weight) {name, weight},
#include "model_ops.def"
#undef MODEL_OP
};

static const struct {
	const char *name;
	size_t offset;
	bool is_key;
} fields[] = {
	{"bucket", offsetof(struct model_op, bucket), false},
	{"key", offsetof(struct model_op, key), true},
	{"to-bucket", offsetof(struct model_op, to_bucket), false},
	{"to", offsetof(struct model_op, to), true},
	{"fill", offsetof(struct model_op, fill), false},
	{"size", offsetof(struct model_op, size), false},
	{"first", offsetof(struct model_op, first), false},
	{"who", offsetof(struct model_op, who), false},
	{"tag", offsetof(struct model_op, tag), false},
	{"acl", offsetof(struct model_op, acl), false},
	{"condition", offsetof(struct model_op, condition), false},
	{"meanwhile", offsetof(struct model_op, meanwhile), false},
	{"checksum", offsetof(struct model_op, checksum), false},
	{"upload", offsetof(struct model_op, upload), false},
	{"part", offsetof(struct model_op, part), false},
	{"objects", offsetof(struct model_op, objects), false},
	{"flags", offsetof(struct model_op, flags), false},
	{"point", offsetof(struct model_op, point), false}, /* crash_points.def, from 0 */
	{"nth", offsetof(struct model_op, nth), false},
};
#define FIELDS (sizeof(fields) / sizeof(fields[0]))

static uint32_t *
field_number(struct model_op *op, size_t i)
{
	return (uint32_t *)((char *)op + fields[i].offset);
}

static char *
field_key(struct model_op *op, size_t i)
{
	return (char *)op + fields[i].offset;
}

void
op_print(FILE *out, const struct model_op *op)
{
	struct model_op copy = *op;

	fputs(kinds[op->kind].name, out);
	for (size_t i = 0; i < FIELDS; i++)
		if (fields[i].is_key && *field_key(&copy, i))
			fprintf(out, " %s=%s", fields[i].name, field_key(&copy, i));
		else if (!fields[i].is_key && *field_number(&copy, i))
			fprintf(out, " %s=%u", fields[i].name, *field_number(&copy, i));
	fputc('\n', out);
}

void
script_print(FILE *out, const struct model_script *script)
{
	for (size_t i = 0; i < script->count; i++)
		op_print(out, &script->ops[i]);
}

static bool
field_read(const char *word, struct model_op *op)
{
	const char *equals = strchr(word, '=');

	for (size_t i = 0; equals && i < FIELDS; i++) {
		if (strlen(fields[i].name) != (size_t)(equals - word) ||
			strncmp(word, fields[i].name, (size_t)(equals - word)) != 0)
			continue;
		if (!fields[i].is_key)
			*field_number(op, i) = (uint32_t)strtoul(equals + 1, NULL, 10);
		else if (strlen(equals + 1) < MODEL_KEY_BYTES)
			strcpy(field_key(op, i), equals + 1);
		else
			return false;
		return true;
	}
	return false;
}

static bool
op_read(char *line, struct model_op *op)
{
	char *save, *word = strtok_r(line, " \n", &save);

	*op = (struct model_op){0};
	while (op->kind < DO_COUNT && strcmp(kinds[op->kind].name, word) != 0)
		op->kind++;
	if (op->kind == DO_COUNT)
		return false;
	while ((word = strtok_r(NULL, " \n", &save)))
		if (!field_read(word, op))
			return false;
	return op->bucket < MODEL_BUCKETS && op->to_bucket < MODEL_BUCKETS && op->upload < MODEL_UPLOADS &&
	       op->who <= MODEL_USERS && op->tag < TAGS && op->acl < ACL_COUNT && op->condition < CONDITION_COUNT &&
	       op->meanwhile < MEANWHILE_COUNT && op->point < CRASH_POINT_COUNT;
}

struct model_script *
script_read(FILE *in, size_t *line)
{
	struct model_script *script = calloc(1, sizeof(*script));
	char text[1024];

	for (*line = 1; fgets(text, sizeof(text), in); ++*line) {
		if (text[0] == '#' || text[0] == '\n')
			continue;
		script = realloc(script, sizeof(*script) + (script->count + 1) * sizeof(script->ops[0]));
		if (!op_read(text, &script->ops[script->count++])) {
			free(script);
			return NULL;
		}
	}
	return script;
}

/* Of one letter, unless it has one. */
static void
key_simplify(char *key, char letter)
{
	bool directory = key_is_directory(key);

	if (strlen(key) <= 1u + directory)
		return;
	key[0] = letter;
	strcpy(key + 1, directory ? "/" : "");
}

bool
op_simplify(const struct model_op *op, unsigned which, struct model_op *out)
{
	size_t field = which / 2;

	*out = *op;
	if (field >= FIELDS)
		return false;
	if (fields[field].is_key)
		key_simplify(field_key(out, field), which % 2 ? 'a' : 'b');
	else
		*field_number(out, field) = which % 2 ? *field_number(out, field) / 2 : 0;
	return true;
}

const char *
bucket_text(uint32_t bucket)
{
	static const char *const names[MODEL_BUCKETS] = {"model-0", "model-1"};

	return names[bucket];
}

#define COMPACT_ALWAYS_ONCE_IN 8 /* scripts */

/* --- choosing ------------------------------------------------------------------------------------------------------
 */

struct chooser {
	uint64_t state;
	struct model model; /* as it should be by then */
};

/* From 0 to `below` - 1 */
static uint32_t
chosen(struct chooser *c, uint32_t below)
{
	uint64_t x = c->state += 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return (uint32_t)((x ^ x >> 31) % below);
}

static bool
once_in(struct chooser *c, uint32_t n)
{
	return chosen(c, n) == 0;
}

/* Few names, so that they meet: keys beside directories of the same name, empty components, bytes below and above '/'.
 */
static void
name_choose(struct chooser *c, char *out)
{
	static const char *const names[] = {"a", "b", "a/", "a/b", "a/b/", "a/b/c", "a//", "/", "b/", "b/a", "!", "a!",
		"0/", "0/a", "0/a/b", "ab", "b/a/", "0"};

	strcpy(out, names[chosen(c, sizeof(names) / sizeof(names[0]))]);
}

/* Most often one that is there; `directory`: or one above it. */
static void
key_choose(struct chooser *c, uint32_t bucket, bool directory, char *out)
{
	const struct model_bucket *b = &c->model.buckets[bucket];
	char *slash;

	if (!b->count || once_in(c, 4)) {
		name_choose(c, out);
		return;
	}
	strcpy(out, b->objects[chosen(c, (uint32_t)b->count)].key);
	slash = strchr(out + chosen(c, (uint32_t)strlen(out)), '/');
	if (directory && slash && once_in(c, 2))
		slash[1] = 0;
}

static uint32_t
size_choose(struct chooser *c, uint32_t bucket)
{
	static const uint32_t borders[MODEL_BUCKETS][4] = {{4096, 16384, 8192, 65536},
		{65536, 262144, 131072, 400000}}; /* of blocks, segments, small blocks: blocks_resize */
	uint32_t border;

	if (once_in(c, 8))
		return 0;
	if (once_in(c, 3))
		return 1 + chosen(c, 3000);
	if (bucket && once_in(c, 2))
		return 1 + chosen(c, 70000);
	border = borders[bucket][once_in(c, 6) ? 3 : chosen(c, 3)];
	return once_in(c, 2) ? border - 1 + chosen(c, 3) : 1 + chosen(c, border);
}

/* One that is under way, or one that is not: most often as wanted. */
static uint32_t
upload_choose(struct chooser *c, uint32_t bucket, bool open)
{
	uint32_t slot = chosen(c, MODEL_UPLOADS);

	for (uint32_t i = 0; i < MODEL_UPLOADS && !once_in(c, 12); i++, slot = (slot + 1) % MODEL_UPLOADS)
		if (c->model.buckets[bucket].uploads[slot].open == open)
			break;
	return slot;
}

static void
part_choose(struct chooser *c, struct model_op *op)
{
	op->part = 1 + chosen(c, MODEL_PARTS);
	if (op->bucket && op->part < MODEL_PARTS && once_in(c, 4))
		op->size = UPLOAD_PART_MIN_BYTES + chosen(c, 2);
}

/* Some part of an object that is there, or a little beyond it. */
static void
part_copy_choose(struct chooser *c, struct model_op *op)
{
	const struct model_object *source;

	key_choose(c, op->to_bucket, false, op->to);
	source = model_find(&c->model.buckets[op->to_bucket], op->to);
	part_choose(c, op);
	op->size = 0;
	if (!source || !source->body.size || once_in(c, 3))
		return;
	op->first = chosen(c, source->body.size);
	op->size = 1 + chosen(c, source->body.size - op->first + once_in(c, 10));
}

static void
parts_choose(struct chooser *c, struct model_op *op)
{
	const struct model_upload *u = &c->model.buckets[op->bucket].uploads[op->upload];

	for (uint32_t i = 0; i < MODEL_PARTS; i++)
		op->part |= (uint32_t)(u->parts[i].there && !once_in(c, 6)) << i;
	/* Of parts that are too small only one makes an object. */
	if ((op->part & 1) && u->parts[0].body.size < UPLOAD_PART_MIN_BYTES && !once_in(c, 4))
		op->part = 1;
	if ((op->part & 2) && u->parts[1].body.size < UPLOAD_PART_MIN_BYTES && !once_in(c, 4))
		op->part &= 3;
}

/* A limit a little above what is there, or none. */
static void
quota_choose(struct chooser *c, struct model_op *op)
{
	struct model_quota usage;

	op->who = chosen(c, MODEL_USERS + 1);
	usage = model_usage(&c->model.buckets[op->bucket], op->who);
	op->size = once_in(c, 2) ? 0 : (uint32_t)usage.bytes + chosen(c, 200000) + 1;
	op->objects = once_in(c, 2) ? 0 : (uint32_t)usage.objects + chosen(c, 8) + 1;
}

/* The operation that comes to the point. */
static enum op_kind
kind_behind(struct chooser *c, enum crash_point point)
{
	switch (point) {
	case CRASH_BLOCKS_MOVED:
	case CRASH_VOLUME_REMOVED:
	case CRASH_SEAL_WRITTEN:
	case CRASH_VOLUME_NAMED:
		return DO_COMPACT;
	case CRASH_CHECKPOINT_NAMED:
		return DO_CHECKPOINT;
	case CRASH_SEGMENT_DROPPED:
		return DO_REAP;
	case CRASH_UPLOAD_FROZEN:
		return DO_UPLOAD_COMPLETE;
	default:
		return (enum op_kind)chosen(c, DO_BUCKET_CONFIGURE + 1);
	}
}

static enum op_kind
kind_choose(struct chooser *c)
{
	uint32_t sum = 0, at;

	for (size_t i = 0; i < DO_COUNT; i++)
		sum += kinds[i].weight;
	at = chosen(c, sum);
	for (size_t i = 0;; at -= kinds[i++].weight)
		if (at < kinds[i].weight)
			return (enum op_kind)i;
}

/* What most kinds have in common; a kind that has no use for a field takes it back. */
static void
write_choose(struct chooser *c, struct model_op *op)
{
	op->who = once_in(c, 3);
	op->tag = chosen(c, TAGS);
	op->acl = once_in(c, 3);
	op->checksum = once_in(c, 4);
	op->fill = chosen(c, 6);
	op->size = size_choose(c, op->bucket);
	if (once_in(c, 6))
		op->condition = 1 + chosen(c, CONDITION_COUNT - 1);
	if (once_in(c, op->size > 16384 ? 3 : 8))
		op->meanwhile = 1 + chosen(c, MEANWHILE_COUNT - 1);
}

/* Within the object, at its end, or a little beyond it; also a lone byte. */
static void
overwrite_choose(struct chooser *c, struct model_op *op)
{
	const struct model_object *object;
	uint32_t size;

	key_choose(c, op->bucket, false, op->key);
	object = model_find(&c->model.buckets[op->bucket], op->key);
	size = object ? object->body.size : 0;
	op->who = once_in(c, 3);
	op->condition = once_in(c, 8) ? 1 + chosen(c, CONDITION_COUNT - 1) : CONDITION_NONE;
	if (op->kind == DO_TRUNCATE) {
		op->size = once_in(c, 3) ? size_choose(c, op->bucket) : chosen(c, size + 1);
		return;
	}
	op->fill = chosen(c, 6);
	op->size = once_in(c, 3) ? 1 + chosen(c, 10) : size_choose(c, op->bucket);
	op->first = once_in(c, 4) ? size + chosen(c, 3) * chosen(c, 40000) : chosen(c, size + 1);
}

static void
op_choose(struct chooser *c, enum op_kind kind, struct model_op *op)
{
	*op = (struct model_op){.kind = kind, .bucket = once_in(c, 4)};
	switch (kind) {
	case DO_PUT:
		write_choose(c, op);
		key_choose(c, op->bucket, true, op->key);
		break;
	case DO_DELETE:
		key_choose(c, op->bucket, false, op->key);
		op->condition = once_in(c, 6) ? CONDITION_OTHER : CONDITION_NONE;
		break;
	case DO_RENAME:
		key_choose(c, op->bucket, true, op->key);
		name_choose(c, op->to);
		if (key_is_directory(op->key) != key_is_directory(op->to) && !once_in(c, 10))
			strcpy(op->to + strlen(op->to) - 1, key_is_directory(op->key) ? "/" : "b");
		break;
	case DO_COPY:
		op->to_bucket = once_in(c, 4) ? !op->bucket : op->bucket;
		write_choose(c, op);
		op->size = op->fill = op->meanwhile = 0;
		op->checksum = once_in(c, 8);
		op->flags = once_in(c, 3);
		key_choose(c, op->bucket, false, op->key);
		if (once_in(c, 10))
			strcpy(op->to, op->key);
		else
			key_choose(c, op->to_bucket, true, op->to);
		break;
	case DO_READ:
		op->meanwhile = once_in(c, 4) ? MEANWHILE_NOTHING : MEANWHILE_COMPACT;
		key_choose(c, op->bucket, false, op->key);
		break;
	case DO_WRITE:
	case DO_TRUNCATE:
		overwrite_choose(c, op);
		break;
	case DO_SET_ACL:
		op->acl = once_in(c, 2);
		key_choose(c, op->bucket, false, op->key);
		break;
	case DO_UPLOAD_CREATE:
		write_choose(c, op);
		op->size = op->fill = op->condition = op->meanwhile = 0;
		op->upload = upload_choose(c, op->bucket, false);
		key_choose(c, op->bucket, true, op->key);
		break;
	case DO_UPLOAD_PART:
	case DO_UPLOAD_PART_COPY:
		write_choose(c, op);
		op->tag = op->acl = op->condition = 0;
		op->upload = upload_choose(c, op->bucket, true);
		op->checksum = !once_in(c, 3);
		part_choose(c, op);
		if (kind == DO_UPLOAD_PART)
			break;
		op->fill = op->meanwhile = 0;
		op->to_bucket = once_in(c, 4) ? !op->bucket : op->bucket;
		part_copy_choose(c, op);
		break;
	case DO_UPLOAD_COMPLETE:
		op->upload = upload_choose(c, op->bucket, true);
		op->condition = once_in(c, 8) ? CONDITION_NOT_THERE : CONDITION_NONE;
		parts_choose(c, op);
		break;
	case DO_UPLOAD_ABORT:
		op->upload = upload_choose(c, op->bucket, true);
		break;
	case DO_BUCKET_CONFIGURE:
		op->flags = chosen(c, 4);
		break;
	case DO_QUOTA_SET:
		quota_choose(c, op);
		break;
	case DO_RESTART:
	case DO_CRASH:
		op->flags = once_in(c, 2);
		break;
	case DO_CRASH_AT:
		op->point = chosen(c, CRASH_POINT_COUNT);
		op->nth = once_in(c, 2) ? 0 : chosen(c, 4);
		op->flags = once_in(c, 2);
		break;
	default:
		break;
	}
}

struct model_script *
script_make(uint64_t seed, size_t count)
{
	struct chooser *c = calloc(1, sizeof(*c));
	struct model_script *script = calloc(1, sizeof(*script) + count * sizeof(script->ops[0]));

	c->state = seed;
	for (size_t i = 0; i < count; i++) {
		struct model_op *op = &script->ops[script->count++];
		enum op_kind kind = kind_choose(c);

		if (i < MODEL_BUCKETS)
			kind = DO_BUCKET_CREATE;
		else if (i == MODEL_BUCKETS && seed % COMPACT_ALWAYS_ONCE_IN == 0)
			kind = DO_COMPACT_ALWAYS;
		else if (op[-1].kind == DO_CRASH_AT)
			kind = kind_behind(c, (enum crash_point)op[-1].point);
		op_choose(c, kind, op);
		if (i < MODEL_BUCKETS)
			op->bucket = (uint32_t)i;
		(void)!model_apply(&c->model, op);
	}
	free(c);
	return script;
}
