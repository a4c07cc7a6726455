/*
 * generate_daemon.c: restfsd(8) and restfs.conf(5), from `restfsd --help` and `restfsd --help-config`: what the daemon
 * says of itself comes from its own table.
 */
#include "generate.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 4096

static FILE *
program_open(const char *program, const char *option)
{
	char command[LINE_BYTES];
	FILE *in;

	snprintf(command, sizeof(command), "'%s' %s", program, option);
	in = popen(command, "r");
	if (!in) {
		perror(command);
		exit(1);
	}
	return in;
}

static void
program_close(FILE *in, const char *program, bool any)
{
	if (pclose(in) == 0 && any)
		return;
	fprintf(stderr, "restfs-generate: %s says nothing of itself\n", program);
	exit(1);
}

/* Without what ends it. */
static bool
line_read(FILE *in, char line[LINE_BYTES])
{
	if (!fgets(line, LINE_BYTES, in))
		return false;
	line[strcspn(line, "\n")] = '\0';
	return true;
}

/* "  --data DIR         directory of the store": a tag and its text, which two spaces part. */
static bool
option_put(FILE *out, char *line)
{
	char *text;

	if (strncmp(line, "  -", 3) != 0)
		return false;
	line += 2;
	text = strstr(line, "  ");
	if (text)
		*text++ = '\0';
	fputs(".TP\n\\fB", out);
	man_text(out, line);
	fputs("\\fR\n", out);
	if (text)
		man_text(out, text + strspn(text, " "));
	fputs(text ? "\n" : "Prints it, and ends.\n", out);
	return true;
}

static void
daemon_page(const char *directory, const char *restfsd)
{
	FILE *out = generate_open(directory, "restfsd.8"), *in = program_open(restfsd, "--help");
	char line[LINE_BYTES];
	bool options = false;

	man_title(out, "restfsd", "8", "the store: serves S3 from a directory");
	fputs(".SH SYNOPSIS\n.B restfsd\n[OPTION...]\n.SH DESCRIPTION\nServes the store in a directory, in the "
	      "foreground, and makes it "
	      "where there is none. When it serves, it prints one line: ready s3=URL admin=URL.\n.SH OPTIONS\n",
		out);
	while (line_read(in, line)) {
		if (option_put(out, line)) {
			options = true;
		} else if (options && line[0] == '\0') {
			fputs(".PP\n", out);
		} else if (options) {
			man_text(out, line + strspn(line, " "));
			fputc('\n', out);
		}
	}
	program_close(in, restfsd, options);
	fputs(".SH SIGNALS\n.TP\n.B SIGTERM, SIGINT\nStop clean: answers under way are finished, and the store is "
	      "closed. Once more: at "
	      "once.\n.TP\n.B SIGHUP\nRead the certificate, and the log's level from the configuration file, again.\n"
	      ".SH EXIT STATUS\n.TP\n.B 0\nStopped clean.\n.TP\n.B 1\nCould not start.\n.TP\n.B 2\nWrong arguments or "
	      "configuration.\n.SH SEE ALSO\n.BR restfs (1),\n.BR restfs.conf (5)\n",
		out);
	generate_close(out);
}

/* "  # listen = "127.0.0.1:9000";", or without '#': `value` is what stands behind it, without the semicolon. */
static char *
setting_parse(char *line, char **value)
{
	char *name = line + strspn(line, " #"), *equals = strstr(name, " = "), *end = strrchr(name, ';');

	if (!equals || !end || end[1] != '\0' || equals + 2 > end)
		return NULL;
	for (char *c = name; c < equals; c++)
		if (!islower((unsigned char)*c) && !isdigit((unsigned char)*c) && *c != '_')
			return NULL;
	*equals = *end = '\0';
	*value = equals + 3;
	return name;
}

static void
setting_put(FILE *out, const char *group, const char *name, const char *value, const char *text)
{
	fputs(".TP\n\\fB", out);
	if (group[0])
		fprintf(out, "%s.", group);
	man_text(out, name);
	fputs(" = ", out);
	man_text(out, value);
	fputs("\\fR\n", out);
	man_text(out, text);
	fputs(".\n", out);
}

/* A comment, and behind it the setting that it is of; "group = {" and "};" around several. */
static bool
settings_put(FILE *out, FILE *in)
{
	char line[LINE_BYTES], text[LINE_BYTES] = "", group[64] = "", *name, *value;
	bool any = false;

	while (line_read(in, line)) {
		size_t len = strlen(line);

		if (len > 4 && strcmp(line + len - 4, " = {") == 0) {
			snprintf(group, sizeof(group), "%.*s", (int)(len - 4), line);
		} else if (strcmp(line, "};") == 0) {
			group[0] = '\0';
		} else if ((name = setting_parse(line, &value))) {
			setting_put(out, group, name, value, text);
			any = true;
		} else {
			snprintf(text, sizeof(text), "%s", line + strspn(line, " #"));
		}
	}
	return any;
}

static void
config_page(const char *directory, const char *restfsd)
{
	FILE *out = generate_open(directory, "restfs.conf.5"), *in = program_open(restfsd, "--help-config");

	man_title(out, "restfs.conf", "5", "configuration of restfsd");
	fputs(".SH DESCRIPTION\nThe file that restfsd \\-\\-config names: settings in groups, as libconfig reads them. "
	      "An option that is not "
	      "known, or a value out of its bounds, is an error that names the line. In the command line, restfsd "
	      "\\-\\-set "
	      "GROUP.NAME=VALUE stands over the file. restfsd \\-\\-help\\-config prints a file with all of them.\n"
	      ".PP\nSizes may be written as \"64K\", \"4M\", \"1G\"; times are in milliseconds, or written as "
	      "\"500ms\", \"30s\", "
	      "\"5m\", \"12h\", \"7d\".\n.SH EXAMPLE\n.nf\ns3 = {\n  listen = \"0.0.0.0:9000\";\n};\nlog = {\n  level "
	      "= "
	      "\"warn\";\n};\n.fi\n.SH OPTIONS\nEach with its default.\n",
		out);
	program_close(in, restfsd, settings_put(out, in));
	fputs(".SH SEE ALSO\n.BR restfsd (8)\n", out);
	generate_close(out);
}

void
generate_daemon_manual(const char *directory, const char *restfsd)
{
	daemon_page(directory, restfsd);
	config_page(directory, restfsd);
}
