/*
 * cli_show.c: an answer, for people: a table for a list, a line a field for the rest; or as JSON, as it came.
 */
#include "cli.h"
#include <stdio.h>
#include <stdlib.h>

#define COLUMNS_MAX 16

static const char *cell(struct arena *arena, const json_t *value);

static const char *
list_cell(struct arena *arena, const json_t *list)
{
	const char *text = json_array_size(list) > 0 ? cell(arena, json_array_get(list, 0)) : "-";

	for (size_t i = 1; i < json_array_size(list); i++)
		text = arena_printf(arena, "%s,%s", text, cell(arena, json_array_get(list, i)));
	return text;
}

static const char *
object_cell(struct arena *arena, const json_t *object)
{
	char *text = json_dumps(object, JSON_INDENT(2));
	const char *copy = text ? arena_str(arena, bytes_str(text)) : "-";

	free(text);
	return copy;
}

static const char *
cell(struct arena *arena, const json_t *value)
{
	if (json_is_object(value))
		return object_cell(arena, value);
	if (json_is_array(value))
		return list_cell(arena, value);
	if (json_is_string(value))
		return json_string_length(value) > 0 ? cli_plain_text(arena, json_string_value(value)) : "-";
	if (json_is_integer(value))
		return arena_printf(arena, "%lld", (long long)json_integer_value(value));
	if (json_is_boolean(value))
		return json_is_true(value) ? "yes" : "no";
	return "-";
}

/* The words of `show` into `columns`. */
static size_t
columns_split(struct arena *arena, const char *show, const char *columns[COLUMNS_MAX])
{
	size_t count = 0;

	while (*(show += strspn(show, " ")) && count < COLUMNS_MAX) {
		size_t len = strcspn(show, " ");

		columns[count++] = arena_str(arena, bytes_of(show, len));
		show += len;
	}
	return count;
}

/* The last column is not padded. */
static void
row_print(const char *const *cells, const size_t *widths, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		printf("%s%*s", cells[i], i + 1 < count ? (int)(widths[i] - cli_columns(cells[i])) + 2 : 0, "");
	putchar('\n');
}

static void
table_show(struct cli *cli, const json_t *list, const char *show)
{
	const char *columns[COLUMNS_MAX], *cells[COLUMNS_MAX];
	size_t widths[COLUMNS_MAX], count = columns_split(cli->arena, show, columns), i, row;

	for (i = 0; i < count; i++) {
		widths[i] = cli_columns(columns[i]);
		for (row = 0; row < json_array_size(list); row++) {
			size_t width =
				cli_columns(cell(cli->arena, json_object_get(json_array_get(list, row), columns[i])));

			widths[i] = width > widths[i] ? width : widths[i];
		}
	}
	row_print(columns, widths, count);
	for (row = 0; row < json_array_size(list); row++) {
		for (i = 0; i < count; i++)
			cells[i] = cell(cli->arena, json_object_get(json_array_get(list, row), columns[i]));
		row_print(cells, widths, count);
	}
}

static void
field_print(struct cli *cli, const char *name, json_t *value)
{
	const char *inner_name;
	json_t *inner;

	if (json_is_object(value)) {
		json_object_foreach(value, inner_name, inner)
			field_print(cli, arena_printf(cli->arena, "%s.%s", name, inner_name), inner);
		return;
	}
	printf("%-22s  %s\n", name, cell(cli->arena, value));
}

static void
fields_show(struct cli *cli, const json_t *object, const char *show)
{
	const char *columns[COLUMNS_MAX];
	size_t count = columns_split(cli->arena, show, columns), i;

	for (i = 0; i < count; i++) {
		size_t len = strcspn(columns[i], "=");
		const char *field = columns[i][len] ? columns[i] + len + 1 : columns[i];

		field_print(cli, arena_str(cli->arena, bytes_of(columns[i], len)), json_object_get(object, field));
	}
}

/* A table, or fields. Beside others, an empty table is left out. */
static void
section_show(struct cli *cli, json_t *result, const char *show)
{
	const char *colon = strchr(show, ':');
	json_t *list;

	if (!colon) {
		fields_show(cli, result, show);
		return;
	}
	list = json_object_get(result, arena_str(cli->arena, bytes_of(show, (size_t)(colon - show))));
	if (json_array_size(list) > 0 || !strchr(cli->command->show, ';'))
		table_show(cli, list, colon + 1);
}

void
cli_show(struct cli *cli, json_t *result)
{
	const char *show = cli->command->show;

	if (cli->json) {
		cli_put_json(json_incref(result));
		return;
	}
	while (*(show += strspn(show, "; "))) {
		size_t len = strcspn(show, ";");

		section_show(cli, result, arena_str(cli->arena, bytes_of(show, len)));
		show += len;
	}
}
