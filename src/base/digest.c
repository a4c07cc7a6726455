/* digest.c: MD5 and the SHAs through OpenSSL's EVP, fetched once; several digests over one stream. [any] */
#include "base/hash.h"
#include "base/arena.h"
#include "base/log.h"
#include <assert.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>

/* With several digests, each piece of this size goes through all of them while it is in the cache. */
#define DIGESTER_STEP ((size_t)16 * 1024)

/* The digests of EVP come first in enum digest. */
#define EVP_DIGESTS (DIGEST_SHA1 + 1)

static EVP_MD *algorithms[EVP_DIGESTS];
static pthread_once_t prepared = PTHREAD_ONCE_INIT;
static pthread_key_t scratch_key; /* one EVP_MD_CTX a thread, for what is computed in one call */

struct digester {
	unsigned mask;
	EVP_MD_CTX *contexts[EVP_DIGESTS]; /* made when first wanted, kept across resets */
	uint32_t crc32;
	uint32_t crc32c;
	uint64_t crc64nvme;
};

static void
must(bool ok, const char *what)
{
	if (ok)
		return;
	log_error(0, "OpenSSL: %s failed", what);
	abort();
}

static void
scratch_free(void *context)
{
	EVP_MD_CTX_free(context);
}

static void
prepare(void)
{
	static const char *const names[] = {[DIGEST_MD5] = "MD5", [DIGEST_SHA256] = "SHA256", [DIGEST_SHA1] = "SHA1"};

	for (int i = 0; i < EVP_DIGESTS; i++) {
		algorithms[i] = EVP_MD_fetch(NULL, names[i], NULL);
		must(algorithms[i] != NULL, names[i]);
	}
	must(pthread_key_create(&scratch_key, scratch_free) == 0, "a key for thread contexts");
}

static EVP_MD_CTX *
context_new(void)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	must(context != NULL, "EVP_MD_CTX_new");
	return context;
}

static EVP_MD_CTX *
scratch(void)
{
	EVP_MD_CTX *context;

	pthread_once(&prepared, prepare);
	context = pthread_getspecific(scratch_key);
	if (context == NULL) {
		context = context_new();
		must(pthread_setspecific(scratch_key, context) == 0, "a thread's context");
	}
	return context;
}

size_t
digest_size(enum digest d)
{
	static const uint8_t sizes[DIGEST_COUNT] = {
		[DIGEST_MD5] = 16,
		[DIGEST_SHA256] = 32,
		[DIGEST_SHA1] = 20,
		[DIGEST_CRC32] = 4,
		[DIGEST_CRC32C] = 4,
		[DIGEST_CRC64NVME] = 8,
	};

	assert((unsigned)d < DIGEST_COUNT);
	return sizes[d];
}

struct digester *
digester_new(unsigned mask)
{
	struct digester *d = xcalloc(1, sizeof(*d));

	pthread_once(&prepared, prepare);
	digester_reset(d, mask);
	return d;
}

void
digester_free(struct digester *d)
{
	if (d == NULL)
		return;
	for (int i = 0; i < EVP_DIGESTS; i++)
		EVP_MD_CTX_free(d->contexts[i]);
	free(d);
}

void
digester_reset(struct digester *d, unsigned mask)
{
	assert(mask < DIGEST_BIT(DIGEST_COUNT));
	d->mask = mask;
	d->crc32 = 0;
	d->crc32c = 0;
	d->crc64nvme = 0;
	for (int i = 0; i < EVP_DIGESTS; i++) {
		if (!(mask & DIGEST_BIT(i)))
			continue;
		if (d->contexts[i] == NULL)
			d->contexts[i] = context_new();
		must(EVP_DigestInit_ex2(d->contexts[i], algorithms[i], NULL) == 1, "EVP_DigestInit_ex2");
	}
}

static void
update_step(struct digester *d, const uint8_t *data, size_t len)
{
	for (int i = 0; i < EVP_DIGESTS; i++) {
		if (d->mask & DIGEST_BIT(i))
			must(EVP_DigestUpdate(d->contexts[i], data, len) == 1, "EVP_DigestUpdate");
	}
	if (d->mask & DIGEST_BIT(DIGEST_CRC32))
		d->crc32 = crc32_ieee(d->crc32, data, len);
	if (d->mask & DIGEST_BIT(DIGEST_CRC32C))
		d->crc32c = crc32c(d->crc32c, data, len);
	if (d->mask & DIGEST_BIT(DIGEST_CRC64NVME))
		d->crc64nvme = crc64nvme(d->crc64nvme, data, len);
}

void
digester_update(struct digester *d, const void *data, size_t len)
{
	bool is_single = (d->mask & (d->mask - 1)) == 0;
	const uint8_t *at = data;

	while (len) {
		size_t step = is_single || len < DIGESTER_STEP ? len : DIGESTER_STEP;

		update_step(d, at, step);
		at += step;
		len -= step;
	}
}

static void
store_be32(uint8_t *out, uint32_t v)
{
	store_u32(out, __builtin_bswap32(v));
}

void
digester_value(struct digester *d, enum digest which, struct digest_value *out)
{
	EVP_MD_CTX *context;

	assert(d->mask & DIGEST_BIT(which));
	memset(out, 0, sizeof(*out));
	switch (which) {
	case DIGEST_CRC32:
		store_be32(out->bytes, d->crc32);
		return;
	case DIGEST_CRC32C:
		store_be32(out->bytes, d->crc32c);
		return;
	case DIGEST_CRC64NVME:
		store_be64(out->bytes, d->crc64nvme);
		return;
	default:
		/* Ending a digest ends its context, so a copy is ended. */
		context = scratch();
		must(EVP_MD_CTX_copy_ex(context, d->contexts[which]) == 1, "EVP_MD_CTX_copy_ex");
		must(EVP_DigestFinal_ex(context, out->bytes, NULL) == 1, "EVP_DigestFinal_ex");
	}
}

/* The digest of two pieces, one after the other. */
static void
digest_once(enum digest which, struct bytes a, struct bytes b, uint8_t *out)
{
	EVP_MD_CTX *context = scratch();

	must(EVP_DigestInit_ex2(context, algorithms[which], NULL) == 1, "EVP_DigestInit_ex2");
	must(EVP_DigestUpdate(context, a.data, a.len) == 1, "EVP_DigestUpdate");
	must(EVP_DigestUpdate(context, b.data, b.len) == 1, "EVP_DigestUpdate");
	must(EVP_DigestFinal_ex(context, out, NULL) == 1, "EVP_DigestFinal_ex");
}

void
sha256(struct bytes v, uint8_t out[32])
{
	digest_once(DIGEST_SHA256, v, bytes_of(NULL, 0), out);
}

void
md5(struct bytes v, uint8_t out[16])
{
	digest_once(DIGEST_MD5, v, bytes_of(NULL, 0), out);
}

/* RFC 2104 over the fetched SHA-256: EVP_MAC would fetch and allocate at each call. */
void
hmac_sha256(struct bytes key, struct bytes v, uint8_t out[32])
{
	uint8_t block[64] = {0}, inner[32];
	size_t i;

	if (key.len > sizeof(block))
		sha256(key, block);
	else if (key.len)
		memcpy(block, key.data, key.len);
	for (i = 0; i < sizeof(block); i++)
		block[i] ^= 0x36;
	digest_once(DIGEST_SHA256, bytes_of(block, sizeof(block)), v, inner);
	for (i = 0; i < sizeof(block); i++)
		block[i] ^= 0x36 ^ 0x5c;
	digest_once(DIGEST_SHA256, bytes_of(block, sizeof(block)), bytes_of(inner, sizeof(inner)), out);
	explicit_bzero(block, sizeof(block));
}

/* Both halves of a 128-bit product, folded. */
static inline uint64_t
mix(uint64_t a, uint64_t b)
{
	__uint128_t product = (__uint128_t)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t
hash64(struct bytes v, uint64_t seed)
{
	const uint64_t k0 = UINT64_C(0xa0761d6478bd642f), k1 = UINT64_C(0xe7037ed1a0b428db),
		       k2 = UINT64_C(0x8ebc6af09c88c6e3);
	const uint8_t *at = v.data;
	uint64_t h = seed ^ mix(seed ^ k0, k1), a = 0, b = 0;
	size_t left = v.len;

	for (; left > 16; at += 16, left -= 16)
		h = mix(load_u64(at) ^ k1, load_u64(at + 8) ^ h);
	if (left >= 8) {
		/* The two words may overlap; the length at the end tells such inputs apart. */
		a = load_u64(at);
		b = load_u64(at + left - 8);
	} else if (left >= 4) {
		a = load_u32(at);
		b = load_u32(at + left - 4);
	} else if (left) {
		a = (uint64_t)at[0] << 16 | (uint64_t)at[left / 2] << 8 | at[left - 1];
	}
	return mix(k2 ^ v.len, mix(a ^ k1, b ^ h));
}
