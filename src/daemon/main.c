/*
 * main.c: restfsd's command line and signals.
 *
 *   SIGTERM, SIGINT   stop clean: no more connections, answers under way are finished, the store is closed;
 *                     once more: at once
 *
 *   end of standard input, with --stop-at-eof: stop clean
 *
 *   SIGHUP            read the certificate, and the log's level from the configuration file, again
 *
 * Exit codes: 0 stopped clean, 1 could not start, 2 wrong arguments or configuration.
 */
#include "daemon/daemon.h"
#include "base/log.h"
#include "base/thread.h"
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXIT_NOT_STARTED = 1, EXIT_USAGE = 2 };

/* One option of the command line that stands over the file's. */
struct override {
	const char *path;
	char *value;
};

struct arguments {
	const char *program;
	const char *config_file;
	struct override *overrides;
	size_t override_count;
	bool hints, ephemeral, stop_at_eof, help_config;
};

static const struct option long_options[] = {
	{"config", required_argument, NULL, 'c'},
	{"data", required_argument, NULL, 'd'},
	{"s3", required_argument, NULL, 's'},
	{"admin", required_argument, NULL, 'a'},
	{"set", required_argument, NULL, 'o'},
	{"ephemeral", no_argument, NULL, 'e'},
	{"stop-at-eof", no_argument, NULL, 'E'},
	{"hints", no_argument, NULL, 'i'},
	{"help", no_argument, NULL, 'h'},
	{"help-config", no_argument, NULL, 'H'},
	{"version", no_argument, NULL, 'v'},
	{0},
};

static const char help_text[] =
	"usage: restfsd [--config FILE] [--data DIR] [--s3 HOST:PORT] [--admin HOST:PORT]\n"
	"       restfsd --ephemeral\n"
	"\n"
	"  --config FILE      read options from a file; those of the command line stand over it\n"
	"  --data DIR         directory of the store; made when missing (default ./data)\n"
	"  --s3 HOST:PORT     address of the S3 door; port 0 picks one (default 127.0.0.1:9000)\n"
	"  --admin HOST:PORT  address of administration, health and metrics (default 127.0.0.1:9001)\n"
	"  --set PATH=VALUE   any option of the file, for example --set log.level=debug\n"
	"  --ephemeral        a store for a test, removed at the end: in memory (/dev/shm) if 1 GiB is free there,\n"
	"                     else in TMPDIR or /tmp, or in --data DIR; on free ports unless told otherwise\n"
	"  --stop-at-eof      stop when standard input ends: with whoever holds the other end of a pipe\n"
	"  --hints            after the ready line, print the root key and three lines to try\n"
	"  --help-config      print all options as a file: the defaults, commented out, and what is set here\n"
	"  --help, --version\n"
	"\n"
	"RESTFS_ROOT_ACCESS_KEY and RESTFS_ROOT_SECRET_KEY in the environment are the root key; without them it is the "
	"one in\n"
	"DIR/root-credentials, which is made when missing.\n";

static void
override_add(struct arguments *args, const char *path, char *value)
{
	args->overrides = xrealloc(args->overrides, (args->override_count + 1) * sizeof(*args->overrides));
	args->overrides[args->override_count++] = (struct override){path, value};
}

/* What was asked for is written: 0, or the exit code where it is not. */
static int
output_end(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	fprintf(stderr, "restfsd: write the output: %s\n", strerror(errno));
	return EXIT_NOT_STARTED;
}

/* -1: go on; else exit with that code. */
static int
option_take(struct arguments *args, int option)
{
	char *equals;

	switch (option) {
	case 'c':
		args->config_file = optarg;
		return -1;
	case 'd':
		override_add(args, "data", optarg);
		return -1;
	case 's':
		override_add(args, "s3.listen", optarg);
		return -1;
	case 'a':
		override_add(args, "admin.listen", optarg);
		return -1;
	case 'o':
		equals = strchr(optarg, '=');
		if (!equals) {
			fprintf(stderr, "restfsd: --set wants PATH=VALUE, not \"%s\"\n", optarg);
			return EXIT_USAGE;
		}
		*equals = '\0';
		override_add(args, optarg, equals + 1);
		return -1;
	case 'e':
		args->ephemeral = true;
		return -1;
	case 'E':
		args->stop_at_eof = true;
		return -1;
	case 'i':
		args->hints = true;
		return -1;
	case 'h':
		fputs(help_text, stdout);
		return output_end();
	case 'H':
		args->help_config = true;
		return -1;
	case 'v':
		printf("restfsd %s\n", RESTFS_VERSION);
		return output_end();
	default:
		return EXIT_USAGE;
	}
}

static int
arguments_read(struct arguments *args, int argc, char **argv)
{
	const char *word;
	int option, code;

	args->program = argv[0];
	while ((option = getopt_long(argc, argv, ":", long_options, NULL)) != -1) {
		if (option == '?' || option == ':') {
			/* Of several letters in one word, optind is still at that word. */
			word = argv[optind - 1][0] == '-' || optind == argc ? argv[optind - 1] : argv[optind];
			if (option == ':')
				fprintf(stderr, "restfsd: %s needs a value; see restfsd --help\n", word);
			else
				fprintf(stderr, "restfsd: there is no option %s; see restfsd --help\n", word);
			return EXIT_USAGE;
		}
		if ((code = option_take(args, option)) >= 0)
			return code;
	}
	if (optind < argc) {
		fprintf(stderr, "restfsd: what is \"%s\"? See restfsd --help\n", argv[optind]);
		return EXIT_USAGE;
	}
	return -1;
}

/* The file, and what stands over it. */
static bool
config_load(struct config *config, const struct arguments *args, char *error)
{
	size_t i;

	if (args->ephemeral && !ephemeral_defaults(config, error))
		return false;
	if (args->config_file && !config_read_file(config, args->config_file, error))
		return false;
	for (i = 0; i < args->override_count; i++)
		if (!config_set(config, args->overrides[i].path, args->overrides[i].value, error))
			return false;
	return config_check(config, error);
}

/* options.def has these words and no others. */
static enum log_level
log_level_of(const struct config *config)
{
	enum log_level level = LOG_INFO;
	bool known = log_level_parse(config->log_level, &level);

	assert(known);
	(void)known;
	return level;
}

static void
log_start(const struct config *config)
{
	bool json = strcmp(config->log_format, "json") == 0;

	log_init(log_level_of(config), json ? LOG_JSON : LOG_TEXT, STDERR_FILENO);
}

/* --- signals ------------------------------------------------------------------------------------------------------ */

/* Before any thread is there: all inherit that these are waited for here. */
static void
signals_block(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* What fails leaves everything as it was. */
static void
reload(struct daemon *d, const struct arguments *args)
{
	char error[TLS_ERROR_BYTES > DAEMON_ERROR_BYTES ? TLS_ERROR_BYTES : DAEMON_ERROR_BYTES];
	struct config fresh;

	if (d->tls) {
		if (tls_context_reload(d->tls, error))
			log_info(0, "the certificate was read again");
		else
			log_error(0, "the old certificate stays: %s", error);
	}
	config_init(&fresh);
	if (!config_load(&fresh, args, error))
		log_error(0, "the configuration cannot be read again, and stays as it was: %s", error);
	else
		log_set_level(log_level_of(&fresh));
	config_fini(&fresh);
}

/* Null when standard input is not to be looked at, or goes on. */
static const char *
input_ended(const struct pollfd *input)
{
	char ignored[4096];

	return input->revents && read(input->fd, ignored, sizeof(ignored)) <= 0 ? "the end of standard input" : NULL;
}

/* Null: nothing that ends it. */
static const char *
signal_taken(struct daemon *d, const struct arguments *args, const struct pollfd *signals)
{
	struct signalfd_siginfo info;

	if (!signals->revents || read(signals->fd, &info, sizeof(info)) != sizeof(info))
		return NULL;
	if (info.ssi_signo != SIGHUP)
		return strsignal((int)info.ssi_signo);
	reload(d, args);
	return NULL;
}

static void
serve(struct daemon *d, const struct arguments *args, const sigset_t *signals)
{
	struct pollfd fds[] = {
		{signalfd(-1, signals, SFD_CLOEXEC), POLLIN, 0}, {args->stop_at_eof ? STDIN_FILENO : -1, POLLIN, 0}};
	const char *why = NULL;

	if (fds[0].fd < 0)
		why = "signals cannot be received";
	while (!why) {
		if (poll(fds, 2, -1) < 0)
			continue;
		why = signal_taken(d, args, &fds[0]);
		if (!why)
			why = input_ended(&fds[1]);
	}
	log_info(0, "stopping: %s", why);
	/* Who asks twice (timeout(1) does) would end it in the middle of stopping; Ctrl-C at a terminal still may. */
	signal(SIGHUP, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	if (fds[0].fd >= 0)
		close(fds[0].fd);
	pthread_sigmask(SIG_UNBLOCK, signals, NULL);
}

/* --- main --------------------------------------------------------------------------------------------------------- */

static void
ready(struct daemon *d, const struct arguments *args)
{
	struct arena *arena = arena_new(1024);

	printf("ready s3=%s admin=%s\n", daemon_url(arena, d, d->config.s3_listen, d->s3_port),
		daemon_url(arena, d, d->config.admin_listen, d->admin_port));
	fflush(stdout);
	arena_free(arena);
	if (args->hints)
		daemon_hints(d, args->program);
	notify("READY=1");
}

static void
help_config(const struct config *config)
{
	struct buf text;

	buf_init(&text, NULL);
	config_help(&text, config);
	fwrite(text.data, 1, text.len, stdout);
	buf_fini(&text);
}

static int
run(struct daemon *d, const struct arguments *args)
{
	sigset_t signals;
	int code = 0;

	if (!config_load(&d->config, args, d->error)) {
		fprintf(stderr, "restfsd: %s\n", d->error);
		return EXIT_USAGE;
	}
	log_start(&d->config);
	if (args->help_config) {
		help_config(&d->config);
		return output_end();
	}
	if (!d->config.journal_sync && !args->ephemeral)
		log_warn(0, "journal.sync is false: a power cut may take anything that is stored");
	signals_block(&signals);
	if (args->ephemeral && !ephemeral_start(d)) {
		fprintf(stderr, "restfsd: %s\n", d->error);
		return EXIT_NOT_STARTED;
	}
	d->hints = args->hints;
	if (daemon_start(d)) {
		ready(d, args);
		serve(d, args, &signals);
		notify("STOPPING=1");
		daemon_stop(d);
	} else {
		fprintf(stderr, "restfsd: %s\n", d->error);
		code = EXIT_NOT_STARTED;
	}
	if (args->ephemeral)
		ephemeral_stop(d);
	return code;
}

int
main(int argc, char **argv)
{
	struct arguments args = {0};
	struct daemon d = {0};
	int code;

	thread_role_set(THREAD_INIT, "restfsd");
	/* RocksDB's files have names and small objects in them, and a directory that was there may be open to all. */
	umask(077);
	code = arguments_read(&args, argc, argv);
	if (code < 0) {
		config_init(&d.config);
		code = run(&d, &args);
		config_fini(&d.config);
	}
	free(args.overrides);
	return code;
}
