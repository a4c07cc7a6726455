/* tls_stream.c: OpenSSL over a BIO of our own, which reads from the last feed and appends to a buffer freed when empty.
 * [loop] */
#include "net/tls_stream.h"
#include "net/tls_int.h"
#include "base/arena.h"
#include <assert.h>
#include <limits.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdlib.h>

struct tls_stream {
	SSL *ssl;
	const uint8_t *in;
	size_t in_len;
	uint8_t *in_owned;
	size_t in_size; /* of in_owned */
	struct buf out;
	size_t out_sent;
	bool broken;
};

static int
bio_read(BIO *bio, char *to, int len)
{
	struct tls_stream *s = BIO_get_data(bio);
	size_t n = (size_t)len < s->in_len ? (size_t)len : s->in_len;

	BIO_clear_retry_flags(bio);
	if (n == 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	memcpy(to, s->in, n);
	s->in += n;
	s->in_len -= n;
	if (s->in_len == 0) {
		free(s->in_owned);
		s->in_owned = NULL;
	}
	return (int)n;
}

static int
bio_write(BIO *bio, const char *from, int len)
{
	struct tls_stream *s = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	buf_put(&s->out, from, (size_t)len);
	return len;
}

static long
bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
	return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *method;

static void
make_method(void)
{
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "restfs");
	BIO_meth_set_read(method, bio_read);
	BIO_meth_set_write(method, bio_write);
	BIO_meth_set_ctrl(method, bio_ctrl);
}

struct tls_stream *
tls_stream_new(struct tls_context *t)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct tls_stream *s;
	SSL_CTX *ctx;
	BIO *bio;

	pthread_once(&once, make_method);
	ctx = tls_context_get(t);
	s = xcalloc(1, sizeof(*s));
	buf_init(&s->out, NULL);
	s->ssl = SSL_new(ctx);
	SSL_CTX_free(ctx); /* the SSL has its own reference */
	bio = method ? BIO_new(method) : NULL;
	if (s->ssl == NULL || bio == NULL) {
		SSL_free(s->ssl);
		BIO_free(bio);
		free(s);
		return NULL;
	}
	BIO_set_data(bio, s);
	BIO_set_init(bio, 1);
	SSL_set_bio(s->ssl, bio, bio);
	SSL_set_accept_state(s->ssl);
	return s;
}

void
tls_stream_free(struct tls_stream *s)
{
	if (s == NULL)
		return;
	SSL_free(s->ssl);
	free(s->in_owned);
	buf_fini(&s->out);
	free(s);
}

void
tls_stream_feed(struct tls_stream *s, const uint8_t *data, size_t len)
{
	assert(s->in_len == 0);
	s->in = data;
	s->in_len = len;
}

size_t
tls_stream_keep(struct tls_stream *s)
{
	if (s->in_len == 0)
		return 0;
	if (s->in_owned)
		return s->in_size;
	/* A copy: the loop's buffer serves the next connection. Reading stops while it is there. */
	s->in_owned = xmalloc(s->in_len);
	s->in_size = s->in_len;
	memcpy(s->in_owned, s->in, s->in_len);
	s->in = s->in_owned;
	return s->in_size;
}

bool
tls_stream_has_input(const struct tls_stream *s)
{
	return s->in_len > 0;
}

/* For who sent a request in plain HTTP: the last that he gets. */
static const char plain_answer[] = "HTTP/1.1 400 Bad Request\r\n"
				   "Content-Type: text/plain; charset=utf-8\r\n"
				   "Content-Length: 40\r\n"
				   "Connection: close\r\n"
				   "\r\n"
				   "This address speaks TLS: use https://.\r\n";

/* 0: needs more input, -1: ended, -2: broken. */
static int
result(struct tls_stream *s, int rc)
{
	switch (SSL_get_error(s->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return 0;
	case SSL_ERROR_ZERO_RETURN:
		return -1;
	default:
		if (ERR_GET_LIB(ERR_peek_error()) == ERR_LIB_SSL &&
			ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST)
			buf_put_str(&s->out, plain_answer);
		ERR_clear_error();
		s->broken = true;
		return -2;
	}
}

int
tls_stream_read(struct tls_stream *s, uint8_t *out, size_t len)
{
	int n;

	if (s->broken)
		return -2;
	ERR_clear_error(); /* what another connection left on this thread must not be taken for ours */
	n = SSL_read(s->ssl, out, len > INT_MAX ? INT_MAX : (int)len);
	return n > 0 ? n : result(s, n);
}

int
tls_stream_write(struct tls_stream *s, const uint8_t *data, size_t len)
{
	int n;

	if (s->broken)
		return -2;
	ERR_clear_error();
	n = SSL_write(s->ssl, data, len > INT_MAX ? INT_MAX : (int)len);
	if (n > 0)
		return n;
	return result(s, n) == 0 ? 0 : -2;
}

void
tls_stream_shutdown(struct tls_stream *s)
{
	if (s->broken || !SSL_is_init_finished(s->ssl))
		return;
	ERR_clear_error();
	if (SSL_shutdown(s->ssl) < 0)
		ERR_clear_error();
}

struct bytes
tls_stream_output(const struct tls_stream *s)
{
	return bytes_sub(buf_bytes(&s->out), s->out_sent, SIZE_MAX);
}

void
tls_stream_sent(struct tls_stream *s, size_t len)
{
	s->out_sent += len;
	assert(s->out_sent <= s->out.len);
	if (s->out_sent < s->out.len)
		return;
	/* An idle connection holds no buffer. */
	buf_fini(&s->out);
	buf_init(&s->out, NULL);
	s->out_sent = 0;
}
