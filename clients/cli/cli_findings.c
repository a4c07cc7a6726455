/* cli_findings.c: what was found in a store, one after another as it comes: lines for people, or members of a list. */
#include "cli.h"
#include "net/url.h"
#include <stdio.h>

/* Bytes that are not text are percent-encoded, and for people those that would not be seen. */
static const char *
shown(const struct cli *cli, struct arena *arena, struct bytes v)
{
	json_t *text = json_stringn(v.data ? (const char *)v.data : "", v.len);
	struct buf encoded;
	bool plain = text != NULL;

	json_decref(text);
	for (size_t i = 0; i < v.len; i++)
		plain = plain && v.data[i] >= (cli->json ? 1 : ' ') && v.data[i] != 127;
	if (plain)
		return arena_str(arena, v);
	buf_init(&encoded, arena);
	url_encode(&encoded, v, true);
	return arena_str(arena, buf_bytes(&encoded));
}

void
cli_show_finding(struct cli *cli, const struct cli_finding *f)
{
	struct arena *arena = arena_new(2048);
	const char *bucket = shown(cli, arena, f->bucket), *key = shown(cli, arena, f->key),
		   *text = shown(cli, arena, bytes_str(f->text));

	if (cli->json) {
		json_t *line =
			json_pack("{s:s, s:s, s:s, s:s}", "kind", f->kind, "bucket", bucket, "key", key, "text", text);

		if (f->bucket_number)
			json_object_set_new(line, "bucket_number", json_integer((json_int_t)f->bucket_number));
		printf("%s", cli->listed++ ? "," : "");
		json_dumpf(line, stdout, JSON_COMPACT);
		json_decref(line);
	} else {
		printf("%s %s%s%s: %s\n", f->kind, f->place[0] ? f->place : bucket, f->key.len ? "/" : "", key, text);
	}
	arena_free(arena);
}
