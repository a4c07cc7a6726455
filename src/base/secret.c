/* secret.c: sealing of small secrets with AES-256-GCM (NIST SP 800-38D). [any] */
#include "base/hash.h"
#include "base/clock.h"
#include "base/log.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <limits.h>

#define NONCE_BYTES 12
#define TAG_BYTES 16

_Static_assert(NONCE_BYTES + TAG_BYTES == SEAL_OVERHEAD, "what is stored beside the ciphertext");

static EVP_CIPHER *cipher;
static pthread_once_t prepared = PTHREAD_ONCE_INIT;

static void
must(bool ok, const char *what)
{
	if (ok)
		return;
	log_error(0, "OpenSSL: %s failed", what);
	abort();
}

static void
prepare(void)
{
	cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	must(cipher != NULL, "AES-256-GCM");
}

/* A context with key, nonce and context set. It lives for one call: it holds the key, and freeing it wipes that. */
static EVP_CIPHER_CTX *
cipher_begin(const uint8_t *key, const uint8_t *nonce, struct bytes context, int encrypt)
{
	EVP_CIPHER_CTX *c;
	int n;

	pthread_once(&prepared, prepare);
	must(context.len <= INT_MAX, "a context of that length");
	c = EVP_CIPHER_CTX_new();
	must(c != NULL, "EVP_CIPHER_CTX_new");
	must(EVP_CipherInit_ex2(c, cipher, key, nonce, encrypt, NULL) == 1, "EVP_CipherInit_ex2");
	if (context.len)
		must(EVP_CipherUpdate(c, NULL, &n, context.data, (int)context.len) == 1, "EVP_CipherUpdate");
	return c;
}

void
secret_seal(const uint8_t key[32], struct bytes context, struct bytes plain, uint8_t *out)
{
	EVP_CIPHER_CTX *c;
	int n;

	random_bytes(out, NONCE_BYTES);
	must(plain.len <= INT_MAX, "a secret of that length");
	c = cipher_begin(key, out, context, 1);
	if (plain.len)
		must(EVP_CipherUpdate(c, out + NONCE_BYTES, &n, plain.data, (int)plain.len) == 1, "EVP_CipherUpdate");
	must(EVP_CipherFinal_ex(c, out + NONCE_BYTES + plain.len, &n) == 1, "EVP_CipherFinal_ex");
	must(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, out + NONCE_BYTES + plain.len) == 1, "the tag");
	EVP_CIPHER_CTX_free(c);
}

bool
secret_open(const uint8_t key[32], struct bytes context, struct bytes sealed, uint8_t *out)
{
	EVP_CIPHER_CTX *c;
	uint8_t tag[TAG_BYTES], none[1];
	size_t len;
	bool ok;
	int n;

	if (sealed.len < SEAL_OVERHEAD || sealed.len - SEAL_OVERHEAD > INT_MAX || context.len > INT_MAX)
		return false;
	len = sealed.len - SEAL_OVERHEAD;
	memcpy(tag, sealed.data + NONCE_BYTES + len, TAG_BYTES);
	c = cipher_begin(key, sealed.data, context, 0);
	ok = (len == 0 || EVP_CipherUpdate(c, out, &n, sealed.data + NONCE_BYTES, (int)len) == 1) &&
	     EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag) == 1 && EVP_CipherFinal_ex(c, none, &n) == 1;
	/* Nothing that failed the check may be used. */
	if (!ok && len)
		OPENSSL_cleanse(out, len);
	EVP_CIPHER_CTX_free(c);
	return ok;
}
