/* http_fixture.h: a real server with a small door on a free port, and a client of raw sockets. */
#ifndef TEST_HTTP_FIXTURE_H
#define TEST_HTTP_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "net/http.h"
#include "net/tls.h"

#define FIXTURE_STAYS 400
#define BIG_BYTES ((size_t)48 * 1024 * 1024)
#define FILE_BYTES ((size_t)24 * 1024 * 1024)
#define FILE_PIECE_BYTES ((size_t)250001)

/*
 * The door: /hello answers "hello"; /echo the body; /count its length, one step of work a megabyte; /ignore 403 without
 * reading; /early and /late "woken", by another thread before or after it suspends; /stay
 * "stayed", when fixture_wake is called; /work "worked", after 50 ms on a worker; /big BIG_BYTES of 'b' as they drain;
 * /file FILE_BYTES of fixture_file_byte, of each piece the first byte from memory; /cut a file that is shorter than was said; /chunked three parts; /short
 * fewer bytes than promised; anything else 404 with the path, a bar and the query.
 */
struct fixture {
	struct loops *loops;
	struct workers *workers;
	struct http_server *server;
	struct http_options options;
	unsigned port;
	atomic_int begun, ended, refused, gone;
	atomic_int refusal; /* the last error */
	atomic_size_t big_unsent_most;
	atomic_int staying;
	struct http_exchange *stays[FIXTURE_STAYS];
};

/* NULL options: generous ones. */
struct fixture *fixture_new(unsigned loops, const struct http_options *options, struct tls_context *tls);
/* Stops everything, and checks that every request() had its end(). */
void fixture_free(struct fixture *f);
void fixture_options(struct http_options *o);
uint8_t fixture_file_byte(size_t at);
/* Those that stay, of a server with one loop. */
void fixture_wake(struct fixture *f);

int client_open(struct fixture *f);
void client_send(int fd, const char *text);
void client_send_bytes(int fd, const void *data, size_t len);
/* Reads until what came contains `text`, and gives all of it (malloc'ed); fails after 5 s or at the end. */
char *client_expect(int fd, const char *text);
/* Reads to the end of the connection. */
char *client_rest(int fd);
bool client_is_closed(int fd);
/* One connection: sends, reads to the end (the request must ask for close, or be refused). */
char *client_talk(struct fixture *f, const char *request);
/* Whatever is waited for is looked at so often, and after this many looks it has failed: 100 s, for a machine with much else to do. */
#define FIXTURE_TICK_NS INT64_C(5000000)
#define FIXTURE_PATIENCE 20000
void wait_until(atomic_int *value, int wanted);

#endif
