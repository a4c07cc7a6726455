/*
 * digest.c: MD5, SHA-1 and SHA-256, and several digests over one stream. [any]
 *
 * OpenSSL computes them, by its functions on open states (deprecated there, in favour of EVP): only so can md5_sha256.c
 * take its turn in the middle of a stream, and nothing is fetched or allocated. docs/decisions/0011
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/arena.h"
#include "base/hash.h"
#include "base/md5_sha256.h"
#include <assert.h>
#include <openssl/md5.h>
#include <openssl/sha.h>
#include <stdlib.h>

/* With several digests, each piece of this size goes through all of them while it is in the cache. */
#define DIGESTER_STEP ((size_t)16 * 1024)

#define BLOCK_BYTES ((size_t)64) /* of all three */
#define BOTH (DIGEST_BIT(DIGEST_MD5) | DIGEST_BIT(DIGEST_SHA256))

struct digester {
	unsigned mask;
	MD5_CTX md5;
	SHA_CTX sha1;
	SHA256_CTX sha256;
	uint32_t crc32;
	uint32_t crc32c;
	uint64_t crc64nvme;
};

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
	struct digester *d = xmalloc(sizeof(*d));

	digester_reset(d, mask);
	return d;
}

void
digester_free(struct digester *d)
{
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
	MD5_Init(&d->md5);
	SHA1_Init(&d->sha1);
	SHA256_Init(&d->sha256);
}

/* The states' own count of bits, as OpenSSL keeps it. */
static void
count(uint32_t *low, uint32_t *high, size_t bytes)
{
	uint64_t bits = ((uint64_t)*high << 32 | *low) + (uint64_t)bytes * 8;

	*low = (uint32_t)bits;
	*high = (uint32_t)(bits >> 32);
}

static void
update_both(MD5_CTX *m, SHA256_CTX *s, const uint8_t *data, size_t len)
{
	uint32_t state[4];
	size_t rest = m->num ? BLOCK_BYTES - m->num : 0;

	if (!md5_sha256_is_fast() || m->num != s->num || len < rest + BLOCK_BYTES)
		rest = len;
	MD5_Update(m, data, rest);
	SHA256_Update(s, data, rest);
	if (rest == len)
		return;
	data += rest;
	len -= rest;
	rest = len % BLOCK_BYTES;
	memcpy(state, (uint32_t[]){m->A, m->B, m->C, m->D}, sizeof(state));
	md5_sha256_blocks(state, s->h, data, len / BLOCK_BYTES);
	m->A = state[0];
	m->B = state[1];
	m->C = state[2];
	m->D = state[3];
	count(&m->Nl, &m->Nh, len - rest);
	count(&s->Nl, &s->Nh, len - rest);
	MD5_Update(m, data + len - rest, rest);
	SHA256_Update(s, data + len - rest, rest);
}

static void
update_each(struct digester *d, unsigned mask, const uint8_t *data, size_t len)
{
	if (mask & DIGEST_BIT(DIGEST_MD5))
		MD5_Update(&d->md5, data, len);
	if (mask & DIGEST_BIT(DIGEST_SHA256))
		SHA256_Update(&d->sha256, data, len);
	if (mask & DIGEST_BIT(DIGEST_SHA1))
		SHA1_Update(&d->sha1, data, len);
	if (mask & DIGEST_BIT(DIGEST_CRC32))
		d->crc32 = crc32_ieee(d->crc32, data, len);
	if (mask & DIGEST_BIT(DIGEST_CRC32C))
		d->crc32c = crc32c(d->crc32c, data, len);
	if (mask & DIGEST_BIT(DIGEST_CRC64NVME))
		d->crc64nvme = crc64nvme(d->crc64nvme, data, len);
}

/* `other` may be NULL. */
static void
update_step(struct digester *d, struct digester *other, const uint8_t *data, size_t len)
{
	unsigned mask = d->mask, others = other ? other->mask : 0;

	if ((mask & BOTH) == BOTH) {
		update_both(&d->md5, &d->sha256, data, len);
		mask &= ~BOTH;
	} else if ((mask & BOTH) == DIGEST_BIT(DIGEST_MD5) && (others & BOTH) == DIGEST_BIT(DIGEST_SHA256)) {
		update_both(&d->md5, &other->sha256, data, len);
		mask &= ~BOTH;
		others &= ~BOTH;
	}
	update_each(d, mask, data, len);
	if (others)
		update_each(other, others, data, len);
}

void
digesters_update(struct digester *d, struct digester *other, const void *data, size_t len)
{
	const uint8_t *at = data;

	while (len) {
		size_t step = len < DIGESTER_STEP ? len : DIGESTER_STEP;

		update_step(d, other, at, step);
		at += step;
		len -= step;
	}
}

void
digester_update(struct digester *d, const void *data, size_t len)
{
	digesters_update(d, NULL, data, len);
}

static void
store_be32(uint8_t *out, uint32_t v)
{
	store_u32(out, __builtin_bswap32(v));
}

void
digester_value(struct digester *d, enum digest which, struct digest_value *out)
{
	/* To end a digest ends its state: copies are ended. */
	MD5_CTX m = d->md5;
	SHA_CTX s1 = d->sha1;
	SHA256_CTX s256 = d->sha256;

	assert(d->mask & DIGEST_BIT(which));
	memset(out, 0, sizeof(*out));
	switch (which) {
	case DIGEST_MD5:
		MD5_Final(out->bytes, &m);
		return;
	case DIGEST_SHA256:
		SHA256_Final(out->bytes, &s256);
		return;
	case DIGEST_SHA1:
		SHA1_Final(out->bytes, &s1);
		return;
	case DIGEST_CRC32:
		store_be32(out->bytes, d->crc32);
		return;
	case DIGEST_CRC32C:
		store_be32(out->bytes, d->crc32c);
		return;
	case DIGEST_CRC64NVME:
		store_be64(out->bytes, d->crc64nvme);
		return;
	case DIGEST_COUNT:
		abort();
	}
}

static void
sha256_of_two(struct bytes a, struct bytes b, uint8_t out[32])
{
	SHA256_CTX s;

	SHA256_Init(&s);
	SHA256_Update(&s, a.data, a.len);
	SHA256_Update(&s, b.data, b.len);
	SHA256_Final(out, &s);
}

void
sha256(struct bytes v, uint8_t out[32])
{
	sha256_of_two(v, bytes_of(NULL, 0), out);
}

void
md5(struct bytes v, uint8_t out[16])
{
	MD5_CTX m;

	MD5_Init(&m);
	MD5_Update(&m, v.data, v.len);
	MD5_Final(out, &m);
}

/* RFC 2104: EVP_MAC would fetch and allocate at each call. */
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
	sha256_of_two(bytes_of(block, sizeof(block)), v, inner);
	for (i = 0; i < sizeof(block); i++)
		block[i] ^= 0x36 ^ 0x5c;
	sha256_of_two(bytes_of(block, sizeof(block)), bytes_of(inner, sizeof(inner)), out);
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
