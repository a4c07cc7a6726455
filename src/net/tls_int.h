/* tls_int.h: between tls.c and tls_stream.c. */
#ifndef NET_TLS_INT_H
#define NET_TLS_INT_H

#include "net/tls.h"
#include <openssl/ssl.h>

/* What new connections use, with a reference for the caller. [any] */
SSL_CTX *tls_context_get(struct tls_context *t);

#endif
