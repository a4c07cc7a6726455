/* cli_arguments.c: the text of arguments in commands.def. */
#include "cli_arguments.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Copies up to one of `stops`. */
static void
word_copy(const char **at, const char *stops, char *out, size_t size)
{
	size_t len = strcspn(*at, stops);

	snprintf(out, size, "%.*s", (int)len, *at);
	*at += len;
}

static bool
dots_take(char *text)
{
	size_t len = strlen(text);

	if (len < 3 || strcmp(text + len - 3, "...") != 0)
		return false;
	text[len - 3] = '\0';
	return true;
}

static void
letter_take(const char **at, struct argument *out)
{
	const char *a = *at;

	if (a[0] == '-' && a[1] != '-' && a[1] && a[2] == '|') {
		out->letter = a[1];
		*at += 3;
	}
}

bool
argument_next(const char **at, struct argument *out)
{
	size_t i;

	*at += strspn(*at, " ]");
	if (**at == '\0')
		return false;
	*out = (struct argument){.optional = **at == '['};
	*at += out->optional;
	letter_take(at, out);
	out->positional = **at != '-';
	word_copy(at, ":= ]", out->name, sizeof(out->name));
	out->repeats = dots_take(out->name);
	snprintf(out->param, sizeof(out->param), "%s", out->name + (out->positional ? 0 : 2));
	if (**at == ':') {
		++*at;
		word_copy(at, "= ]", out->param, sizeof(out->param));
		out->repeats |= dots_take(out->param);
		out->shared = out->param[0] == '+';
		if (out->shared)
			memmove(out->param, out->param + 1, strlen(out->param));
	}
	if (**at == '=') {
		++*at;
		word_copy(at, " ]", out->value, sizeof(out->value));
		out->repeats |= dots_take(out->value);
	}
	for (i = 0; out->param[i]; i++)
		out->param[i] = out->param[i] == '-' ? '_' : (char)tolower((unsigned char)out->param[i]);
	return true;
}

bool
argument_is_choice(const struct argument *a)
{
	return strchr(a->value, '|') != NULL;
}

void
argument_print(const struct argument *a, char *out, size_t size)
{
	char letter[8] = "";

	if (a->letter)
		snprintf(letter, sizeof(letter), "-%c, ", a->letter);
	snprintf(out, size, "%s%s%s%s%s", letter, a->name, a->value[0] ? "=" : "", a->value,
		a->positional && a->repeats ? "..." : "");
}

void
arguments_print(const char *arguments, char *out, size_t size)
{
	size_t len = 0;
	struct argument a;

	out[0] = '\0';
	while (argument_next(&arguments, &a) && len < size)
		len += (size_t)snprintf(out + len, size - len, "%s%s%s%s%s%s%s", len > 0 ? " " : "",
			a.optional ? "[" : "", a.name, a.value[0] ? "=" : "", a.value, a.repeats ? "..." : "",
			a.optional ? "]" : "");
}
