/* generate_man.c: restfs(1), and a page for each word that begins a command; man(7)'s macros. */
#include "generate.h"
#include <string.h>

/* What restfs(1) says beside the table. */
static const struct {
	const char *name;
	const char *text;
} variables[] =
	{
		{"RESTFS_DATA", "The directory of the store to administer, where --data is not given."},
		{"AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL",
			"The S3 store, where neither --endpoint nor --profile is given."},
		{"AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN",
			"The key that requests are signed with."},
		{"AWS_REGION", "The region that requests are signed for (default: us-east-1)."},
		{"AWS_PROFILE", "The section of AWS's files to take."},
		{"AWS_CA_BUNDLE", "A file of certificates to trust in place of the system's, for data."},
		{"SSL_CERT_FILE", "A file of certificates to trust, of stores and of administration."},
		{"NO_COLOR", "No colours, on a terminal either."},
},
  files[] =
	  {
		  {"~/.config/restfs/config", "Profiles: endpoints and keys, each under a name for --profile."},
		  {"~/.aws/config, ~/.aws/credentials",
			  "The files of AWS's command line, read where nothing above says more."},
		  {"DATA/admin.sock", "The socket of a store's administration."},
},
  codes[] = {
	  {"0", "Done."},
	  {"1", "Refused, or something failed: one line on standard error says what, and what to do."},
	  {"2", "The command line is wrong."},
	  {"130, 143",
		  "How a shell tells that Ctrl-C, or SIGTERM, ended it. What is under way is finished or taken back "
		  "before, and what was done is told; a second one ends it at once. A bench that is interrupted "
		  "reports what it measured, and ends with 0."},
};

void
man_text(FILE *out, const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", out);
	for (; *text; text++) {
		if (*text == '\\')
			fputs("\\e", out);
		else if (*text == '-')
			fputs("\\-", out);
		else
			fputc(*text, out);
	}
}

void
man_title(FILE *out, const char *name, const char *section, const char *what)
{
	fprintf(out, ".TH %s %s \"\" \"restfs\" \"restfs\"\n.SH NAME\n", name, section);
	man_text(out, name);
	fputs(" \\- ", out);
	man_text(out, what);
	fputc('\n', out);
}

static void
paragraph_put(FILE *out, const char *text)
{
	fputs(".PP\n", out);
	man_text(out, text);
	fputs(strchr(".?:", text[strlen(text) - 1]) ? "\n" : ".\n", out);
}

static void
tagged_put(FILE *out, const char *tag, const char *text)
{
	fputs(".TP\n\\fB", out);
	man_text(out, tag);
	fputs("\\fR\n", out);
	man_text(out, text);
	fputc('\n', out);
}

static void
usage_put(FILE *out, const struct cli_command *c)
{
	char arguments[512];

	arguments_print(c->arguments, arguments, sizeof(arguments));
	fputs(".B restfs ", out);
	man_text(out, c->words);
	fputc('\n', out);
	man_text(out, arguments);
	fputs(arguments[0] ? "\n" : "", out);
}

static void
options_put(FILE *out, const struct cli_command *c)
{
	const char *at = c->arguments;
	struct argument a;
	char name[128];

	while (argument_next(&at, &a)) {
		const char *text = cli_option_text(c, a.name);

		argument_print(&a, name, sizeof(name));
		if (text[0])
			tagged_put(out, name, text);
	}
}

/* Of a page with several commands each is a section. */
static void
command_put(FILE *out, const struct cli_command *c, bool alone)
{
	const struct cli_command *e;

	if (alone) {
		fputs(".SH DESCRIPTION\n", out);
	} else {
		fputs(".SS restfs ", out);
		man_text(out, c->words);
		fputc('\n', out);
		usage_put(out, c);
	}
	paragraph_put(out, c->help);
	for (e = NULL; (e = cli_next_of(c, e, CLI_ABOUT));)
		paragraph_put(out, e->help);
	options_put(out, c);
	for (e = NULL; (e = cli_next_of(c, e, CLI_EXAMPLE));) {
		paragraph_put(out, e->help);
		fputs(".RS\n\\fB", out);
		man_text(out, e->words);
		fputs("\\fR\n.RE\n", out);
	}
}

/* "the commands user add, user rm" */
static const char *
topic_commands(const char *word, char *out, size_t size)
{
	size_t len = (size_t)snprintf(out, size, "the commands");

	for (const struct cli_command *c = NULL; (c = cli_next(c, CLI_COMMAND)) && len < size;)
		if (cli_begins(c, word))
			len += (size_t)snprintf(
				out + len, size - len, "%s %s", len == strlen("the commands") ? "" : ",", c->words);
	return out;
}

static void
topic_page(const char *directory, const struct cli_command *topic)
{
	int len = (int)topic_length(topic);
	bool alone = topic->words[len] == '\0';
	char word[64], name[128], commands[512];
	FILE *out;

	snprintf(word, sizeof(word), "%.*s", len, topic->words);
	snprintf(name, sizeof(name), "restfs-%s.1", word);
	out = generate_open(directory, name);
	snprintf(name, sizeof(name), "restfs-%s", word);
	man_title(out, name, "1", alone ? topic->help : topic_commands(word, commands, sizeof(commands)));
	fputs(".SH SYNOPSIS\n", out);
	for (const struct cli_command *c = NULL; (c = cli_next(c, CLI_COMMAND));)
		if (cli_begins(c, word)) {
			usage_put(out, c);
			fputs(".br\n", out);
		}
	if (!alone)
		fputs(".SH COMMANDS\n", out);
	for (const struct cli_command *c = NULL; (c = cli_next(c, CLI_COMMAND));)
		if (cli_begins(c, word))
			command_put(out, c, alone);
	fputs(".SH SEE ALSO\n.BR restfs (1)\n", out);
	generate_close(out);
}

static void
commands_put(FILE *out)
{
	const struct cli_command *group = NULL;

	fputs(".SH COMMANDS\n", out);
	for (const struct cli_command *c = NULL; (c = cli_next(c, CLI_COMMAND));) {
		char page[128];

		if (cli_group_of(c) != group) {
			group = cli_group_of(c);
			fputs(".SS ", out);
			man_text(out, group->help);
			fputc('\n', out);
		}
		snprintf(page, sizeof(page), "%s. See restfs-%.*s(1).", c->help, (int)topic_length(c), c->words);
		tagged_put(out, c->words, page);
	}
}

#define SECTION_PUT(out, title, list)                                       \
	do {                                                                \
		fputs(".SH " title "\n", out);                              \
		for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) \
			tagged_put(out, list[i].name, list[i].text);        \
	} while (0)

static void
main_page(const char *directory)
{
	FILE *out = generate_open(directory, "restfs.1");

	man_title(out, "restfs", "1", "data in S3 stores, and the administration of restfs");
	fputs(".SH SYNOPSIS\n.B restfs\nCOMMAND [ARGUMENT...]\n.SH DESCRIPTION\n", out);
	paragraph_put(out, "Commands for data work with any store that speaks S3; those for administration with a "
			   "restfsd that runs, "
			   "over its socket or the network; those for stores on a directory that no daemon serves");
	paragraph_put(out, "What is in a store is written s3://BUCKET/KEY; what else is given as a PATH is a file or "
			   "directory of this "
			   "machine, and - standard input or output");
	paragraph_put(
		out, "On a terminal, what takes long shows how far it is; in a pipe, nothing but results is printed");
	commands_put(out);
	fputs(".SH OPTIONS\nThese every command has; options of a command's own may be given before or behind its "
	      "arguments, and -- ends "
	      "them.\n",
		out);
	for (const struct cli_command *g = NULL; (g = cli_next(g, CLI_GLOBAL));) {
		const char *at = g->arguments;
		struct argument a;
		char name[128];

		argument_next(&at, &a);
		argument_print(&a, name, sizeof(name));
		tagged_put(out, name, g->help);
	}
	fputs(".PP\nA SIZE or COUNT may end in K, M, G or T, of 1024. A DURATION is 90s, 15m, 2h, 7d or 4w. WHEN is so "
	      "long ago, or a "
	      "date: 2026\\-01\\-31, 2026\\-01\\-31T12:00:00Z.\n",
		out);
	SECTION_PUT(out, "EXIT STATUS", codes);
	SECTION_PUT(out, "ENVIRONMENT", variables);
	SECTION_PUT(out, "FILES", files);
	fputs(".SH SEE ALSO\n.BR restfsd (8),\n.BR restfs.conf (5)\n", out);
	generate_close(out);
}

void
generate_manual(const char *directory)
{
	main_page(directory);
	for (const struct cli_command *topic = NULL; (topic = topic_next(topic));)
		topic_page(directory, topic);
}
