/*
 * tls_stream.h: one TLS connection as a codec between cipher and plain bytes; it knows no sockets. An idle one holds neither
 * input nor output memory. For http_conn.c and http_output.c. [loop]
 */
#ifndef NET_TLS_STREAM_H
#define NET_TLS_STREAM_H

#include "base/bytes.h"

struct tls_context;
struct tls_stream;

/* The server's side. NULL when OpenSSL has no memory. */
struct tls_stream *tls_stream_new(struct tls_context *t);
void tls_stream_free(struct tls_stream *s);
/* What the socket gave. The bytes are the caller's until tls_stream_keep; all earlier input must have been read. */
void tls_stream_feed(struct tls_stream *s, const uint8_t *data, size_t len);
/* Copies what is left of the last feed, which then may be overwritten. The memory that this takes, until all is read. */
size_t tls_stream_keep(struct tls_stream *s);
bool tls_stream_has_input(const struct tls_stream *s);
/* Plain bytes; 0: needs more input; -1: the peer has ended the stream, -2: broken, close. May make output (handshake, alerts). */
int tls_stream_read(struct tls_stream *s, uint8_t *out, size_t len);
/* How many plain bytes were taken; -2: broken. */
int tls_stream_write(struct tls_stream *s, const uint8_t *data, size_t len);
/* Sends close_notify. */
void tls_stream_shutdown(struct tls_stream *s);
/* Cipher bytes for the socket; stable until the next call that may make output. */
struct bytes tls_stream_output(const struct tls_stream *s);
void tls_stream_sent(struct tls_stream *s, size_t len);

#endif
