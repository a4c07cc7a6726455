/* test_tls.c: the same server behind TLS, with OpenSSL's own client. */
#include "http_fixture.h"
#include "base/clock.h"
#include <fcntl.h>
#include <malloc.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST "Host: x\r\n"

static char directory[] = "/tmp/restfs-tls-XXXXXX";
static char certificate[64], key[64];

/* A self-signed certificate of this serial, in the two files. */
static void
make_files(long serial)
{
	EVP_PKEY *pkey = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	FILE *out;

	ASN1_INTEGER_set(X509_get_serialNumber(x), serial);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	X509_set_pubkey(x, pkey);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)"t", -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	assert_true(X509_sign(x, pkey, EVP_sha256()) > 0);
	out = fopen(certificate, "w");
	PEM_write_X509(out, x);
	fclose(out);
	out = fopen(key, "w");
	PEM_write_PrivateKey(out, pkey, NULL, NULL, 0, NULL, NULL);
	fclose(out);
	X509_free(x);
	EVP_PKEY_free(pkey);
}

static struct fixture *f;
static struct tls_context *context;
static SSL_CTX *client;

static int
setup(void **state)
{
	char error[TLS_ERROR_BYTES];

	assert_non_null(mkdtemp(directory));
	snprintf(certificate, sizeof(certificate), "%s/cert.pem", directory);
	snprintf(key, sizeof(key), "%s/key.pem", directory);
	make_files(1);
	context = tls_context_new(certificate, key, error);
	assert_non_null(context);
	f = fixture_new(2, NULL, context);
	client = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_mode(client, SSL_MODE_RELEASE_BUFFERS);
	return 0;
}

static int
teardown(void **state)
{
	fixture_free(f);
	tls_context_free(context);
	SSL_CTX_free(client);
	unlink(certificate);
	unlink(key);
	rmdir(directory);
	return 0;
}

static SSL *
tls_open(int version)
{
	SSL *ssl = SSL_new(client);

	SSL_set_fd(ssl, client_open(f));
	SSL_set_alpn_protos(ssl, (const unsigned char *)"\x02h2\x08http/1.1", 12);
	if (version) {
		SSL_set_min_proto_version(ssl, version);
		SSL_set_max_proto_version(ssl, version);
	}
	if (SSL_connect(ssl) != 1)
		ERR_clear_error();
	return ssl;
}

static void
tls_close(SSL *ssl)
{
	int fd = SSL_get_fd(ssl);

	SSL_free(ssl);
	close(fd);
}

static void
tls_expect(SSL *ssl, const char *text)
{
	char all[65536];
	size_t len = 0;

	all[0] = '\0';
	while (strstr(all, text) == NULL) {
		int n = SSL_read(ssl, all + len, (int)(sizeof(all) - 1 - len));

		if (n <= 0)
			fail_msg("waited for \"%s\", got \"%s\"", text, all);
		len += (size_t)n;
		all[len] = '\0';
	}
}

static void
tls_send(SSL *ssl, const char *text)
{
	assert_int_equal(SSL_write(ssl, text, (int)strlen(text)), (int)strlen(text));
}

static void
speaks_tls_1_2_and_1_3(void **state)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

	for (int i = 0; i < 2; i++) {
		SSL *ssl = tls_open(versions[i]);
		const unsigned char *protocol;
		unsigned len;

		assert_int_equal(SSL_version(ssl), versions[i]);
		SSL_get0_alpn_selected(ssl, &protocol, &len);
		assert_true(len == 8 && memcmp(protocol, "http/1.1", 8) == 0);
		for (int k = 0; k < 3; k++) {
			tls_send(ssl, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
			tls_expect(ssl, "\r\n\r\nhello");
		}
		tls_send(ssl,
			"GET /work HTTP/1.1\r\n" HOST "\r\nGET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
		tls_expect(ssl, "hello");
		/* The end is authenticated. */
		assert_int_equal(SSL_read(ssl, &(char){0}, 1), 0);
		assert_int_equal(SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
		tls_close(ssl);
	}
}

static void
refuses_older_versions_and_plain_text(void **state)
{
	SSL *ssl = tls_open(TLS1_1_VERSION);
	int fd;

	assert_false(SSL_is_init_finished(ssl));
	tls_close(ssl);
	fd = client_open(f);
	client_send(fd, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
	char *answer = client_rest(fd);

	assert_non_null(strstr(answer, "HTTP/1.1 400 Bad Request\r\n"));
	assert_non_null(strstr(answer, "\r\n\r\nThis address speaks TLS: use https://.\r\n"));
	free(answer);
	close(fd);
	/* Neither that, nor an answer. */
	fd = client_open(f);
	client_send(fd, "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c");
	answer = client_rest(fd);
	assert_null(strstr(answer, "HTTP/1.1"));
	free(answer);
	close(fd);
}

static void
moves_large_bodies_both_ways(void **state)
{
	enum { SIZE = 10000000 };
	SSL *ssl = tls_open(0);
	char *block = xmalloc(SIZE), text[128];
	size_t got = 0;

	memset(block, 'z', SIZE);
	snprintf(text, sizeof(text), "PUT /count HTTP/1.1\r\n" HOST "Content-Length: %d\r\n\r\n", SIZE);
	tls_send(ssl, text);
	assert_int_equal(SSL_write(ssl, block, SIZE), SIZE);
	tls_expect(ssl, "X-Count: 10000000\r\n");
	tls_send(ssl, "GET /big HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
	sleep_ns(100000000);
	for (;;) {
		int n = SSL_read(ssl, block, SIZE);

		if (n <= 0)
			break;
		got += (size_t)n;
	}
	assert_true(got > BIG_BYTES && got < BIG_BYTES + 1000);
	free(block);
	tls_close(ssl);
}

static void
a_client_that_goes_away_is_seen(void **state)
{
	int begun = atomic_load(&f->begun);

	for (int i = 0; i < 4; i++) {
		SSL *ssl = tls_open(0);
		struct linger hard = {.l_onoff = 1};

		setsockopt(SSL_get_fd(ssl), SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
		tls_send(ssl, i % 2 ? "GET /big HTTP/1.1\r\n" HOST "\r\n" : "GET /work HTTP/1.1\r\n" HOST "\r\n");
		wait_until(&f->begun, begun + i + 1);
		tls_close(ssl);
	}
	wait_until(&f->ended, atomic_load(&f->begun));
}

static long
served_serial(void)
{
	SSL *ssl = tls_open(0);
	X509 *x = SSL_get1_peer_certificate(ssl);
	long serial = ASN1_INTEGER_get(X509_get_serialNumber(x));

	X509_free(x);
	tls_close(ssl);
	return serial;
}

static void
reload_changes_what_new_connections_get(void **state)
{
	SSL *old = tls_open(0);
	char error[TLS_ERROR_BYTES];

	assert_int_equal(served_serial(), 1);
	make_files(2);
	assert_true(tls_context_reload(context, error));
	assert_int_equal(served_serial(), 2);
	tls_send(old, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
	tls_expect(old, "hello");
	tls_close(old);
	/* A broken file is named, and the old certificate stays. */
	assert_int_equal(truncate(certificate, 10), 0);
	assert_false(tls_context_reload(context, error));
	assert_non_null(strstr(error, certificate));
	assert_int_equal(served_serial(), 2);
	assert_null(tls_context_new("/nonexistent", key, error));
	assert_non_null(strstr(error, "/nonexistent"));
}

static void
an_idle_connection_holds_no_buffers(void **state)
{
	enum { COUNT = 100 };
	SSL *all[COUNT];
	size_t before, after;

	tls_close(tls_open(0));
	before = mallinfo2().uordblks;
	for (int i = 0; i < COUNT; i++) {
		all[i] = tls_open(0);
		tls_send(all[i], "GET /hello HTTP/1.1\r\n" HOST "\r\n");
		tls_expect(all[i], "hello");
	}
	after = mallinfo2().uordblks;
	/* Both ends are in this process, and each has its handshake's state; two buffers of 17 KB more would show. */
	print_message("%zu bytes a connection, with its client\n", (after - before) / COUNT);
	assert_true((after - before) / COUNT < 60000);
	for (int i = 0; i < COUNT; i++)
		tls_close(all[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(speaks_tls_1_2_and_1_3),
		cmocka_unit_test(refuses_older_versions_and_plain_text),
		cmocka_unit_test(moves_large_bodies_both_ways),
		cmocka_unit_test(a_client_that_goes_away_is_seen),
		cmocka_unit_test(an_idle_connection_holds_no_buffers),
		cmocka_unit_test(reload_changes_what_new_connections_get),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
