/*
 * daemon.h: restfsd: what its files share. Everything is [init], on the main thread, which waits for signals while the
 * others serve.
 *
 *   main.c       the command line, the ready line, signals
 *   start.c      what is started, in which order and why: one table
 *   ephemeral.c  --ephemeral: a store that goes with the process
 *   notify.c     tells systemd that it is ready
 *   hints.c      --hints: what to try first
 */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include "base/config.h"
#include "core/core.h"
#include "doors/admin/admin_door.h"
#include "net/tls.h"

#ifndef RESTFS_VERSION
#define RESTFS_VERSION "unknown"
#endif

#define DAEMON_ERROR_BYTES 512

struct daemon {
	struct config config;
	/* Parts, NULL until they are started. */
	struct store_drivers drivers;
	struct fault_rules faults; /* with the option `debug`: what debug.fault has armed */
	struct waits *waits;       /* callers of administration that wait for news */
	struct core core;
	struct loops *loops;
	struct workers *workers;
	struct tls_context *tls; /* NULL: plain */
	struct http_door *s3;
	struct admin_door *admin;
	struct http_server *server;
	unsigned s3_port, admin_port;
	bool hints;     /* --hints, as of make run */
	size_t files;   /* that this process may have open */
	size_t started; /* steps of the table */
	int ephemeral;  /* of a store that goes with the process: its directory, locked */
	char error[DAEMON_ERROR_BYTES];
};

/* False: `error` says what was attempted and what came of it; what was started before has been stopped. */
bool daemon_start(struct daemon *d);
/* In the opposite order. */
void daemon_stop(struct daemon *d);

/* In place of the defaults, before a file or the command line says otherwise: ports that are free, no directory, no syncs. */
bool ephemeral_defaults(struct config *config, char *error);
/* A directory of its own becomes `config.data`: in that directory if one was given. False: `error` says what came of it. */
bool ephemeral_start(struct daemon *d);
/* Removes it. */
void ephemeral_stop(struct daemon *d);

/* "http://127.0.0.1:9000": what is listened on, with the port that was given; "http://0.0.0.0:9000" for all addresses.
 */
char *daemon_url(struct arena *arena, const struct daemon *d, const char *listen, unsigned port);
/* A line of the protocol sd_notify(3), to whoever started this and wants to know; unsent if nobody does. */
void notify(const char *state);
/* Endpoint, root key and three lines to try, to standard output. `program`: argv[0]. */
void daemon_hints(struct daemon *d, const char *program);

#endif
