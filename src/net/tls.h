/*
 * tls.h: a server's certificate and key, as listeners use them: TLS 1.2 and later, ALPN http/1.1.
 *
 * Reloading swaps what new connections get; those that are open keep what they began with.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <stdbool.h>
#include <stddef.h>

struct tls_context;

#define TLS_ERROR_BYTES 512

/* PEM files: the certificate chain, leaf first, and its private key. NULL: `error` says what failed, on which file. [init] */
struct tls_context *tls_context_new(const char *certificate, const char *key, char error[TLS_ERROR_BYTES]);
/* Reads the same files again; false: `error` says why, and the old ones stay in use. [any] */
bool tls_context_reload(struct tls_context *t, char error[TLS_ERROR_BYTES]);
/* When no listener uses it any more. [init] */
void tls_context_free(struct tls_context *t);

#endif
