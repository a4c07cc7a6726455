/* tls.c: certificate and key as an SSL_CTX, which a reload replaces as a whole. [any] */
#include "net/tls_int.h"
#include "base/arena.h"
#include <openssl/err.h>
#include <openssl/pemerr.h>
#include <openssl/x509err.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tls_context {
	pthread_mutex_t lock; /* ctx */
	SSL_CTX *ctx;
	char *certificate;
	char *key;
};

/* The only protocol that we offer; a client that offers others only is told so (RFC 7301, 3.2). */
static int
select_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in, unsigned in_len,
	void *arg)
{
	static const unsigned char ours[] = "\x08http/1.1";

	if (SSL_select_next_proto((unsigned char **)out, out_len, ours, sizeof(ours) - 1, in, in_len) !=
		OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	return SSL_TLSEXT_ERR_OK;
}

/* In our words where OpenSSL's do not say what to do. */
static const char *
reason_of(unsigned long code)
{
	const char *reason = ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);

	if ((ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE) ||
		(ERR_GET_LIB(code) == ERR_LIB_OSSL_DECODER && ERR_GET_REASON(code) == ERR_R_UNSUPPORTED))
		return "there is none in it, as PEM";
	if (ERR_GET_LIB(code) == ERR_LIB_X509 && ERR_GET_REASON(code) == X509_R_KEY_VALUES_MISMATCH)
		return "it is not the certificate's";
	return reason ? reason : "unknown reason";
}

static void
say(char *error, const char *what, const char *file)
{
	/* The first: those after it say who passed it on. */
	snprintf(error, TLS_ERROR_BYTES, "cannot %s %s: %s", what, file, reason_of(ERR_peek_error()));
	ERR_clear_error();
}

static SSL_CTX *
make(const char *certificate, const char *key, char *error)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (ctx == NULL) {
		say(error, "make a TLS context for", certificate);
		return NULL;
	}
	ERR_clear_error();
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(
		ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_alpn_select_cb(ctx, select_protocol, NULL);
	if (SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1)
		say(error, "read certificate", certificate);
	else if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
		say(error, "use private key", key);
	else if (SSL_CTX_check_private_key(ctx) != 1) /* a key of another kind than the certificate's */
		snprintf(error, TLS_ERROR_BYTES, "cannot use private key %s: it is not the certificate's", key);
	else
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}

struct tls_context *
tls_context_new(const char *certificate, const char *key, char error[TLS_ERROR_BYTES])
{
	SSL_CTX *ctx = make(certificate, key, error);
	struct tls_context *t;

	if (ctx == NULL)
		return NULL;
	t = xcalloc(1, sizeof(*t));
	pthread_mutex_init(&t->lock, NULL);
	t->ctx = ctx;
	t->certificate = xstrdup(certificate);
	t->key = xstrdup(key);
	return t;
}

bool
tls_context_reload(struct tls_context *t, char error[TLS_ERROR_BYTES])
{
	SSL_CTX *ctx = make(t->certificate, t->key, error), *old;

	if (ctx == NULL)
		return false;
	pthread_mutex_lock(&t->lock);
	old = t->ctx;
	t->ctx = ctx;
	pthread_mutex_unlock(&t->lock);
	SSL_CTX_free(old);
	return true;
}

SSL_CTX *
tls_context_get(struct tls_context *t)
{
	SSL_CTX *ctx;

	pthread_mutex_lock(&t->lock);
	ctx = t->ctx;
	SSL_CTX_up_ref(ctx);
	pthread_mutex_unlock(&t->lock);
	return ctx;
}

void
tls_context_free(struct tls_context *t)
{
	if (t == NULL)
		return;
	SSL_CTX_free(t->ctx);
	pthread_mutex_destroy(&t->lock);
	free(t->certificate);
	free(t->key);
	free(t);
}
