/*
 * hash.h: digests and checksums of payloads, computed in one pass, and the few cryptographic functions that we use.
 *
 * MD5 and the SHAs are OpenSSL's, but for the loop that computes two of them together (md5_sha256.h); CRC32 and CRC32C come from ISA-L;
 * CRC64NVME is ours (carry-less multiply, and a table where the processor has none). [any]
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/bytes.h"

/* Guards records and frames: CRC-32C (RFC 3720, appendix B.4). Start with 0. */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);
/* zlib's crc32. ISA-L exports another function of this name, so ours is linked under its own. */
uint32_t crc32_ieee(uint32_t crc, const void *data, size_t len) __asm__("restfs_crc32_ieee");
uint64_t crc64nvme(uint64_t crc, const void *data, size_t len);  /* NVM Express Base 2.0, 5.2.1.3.4: polynomial 0xAD93D23594C93659, reflected */
/* crc(A || B) from crc(A), crc(B), len(B): for FULL_OBJECT checksums of multipart uploads. */
uint32_t crc32c_combine(uint32_t a, uint32_t b, uint64_t len_b);
uint32_t crc32_ieee_combine(uint32_t a, uint32_t b, uint64_t len_b);
uint64_t crc64nvme_combine(uint64_t a, uint64_t b, uint64_t len_b);

enum digest {
	DIGEST_MD5,
	DIGEST_SHA256,
	DIGEST_SHA1,
	DIGEST_CRC32,
	DIGEST_CRC32C,
	DIGEST_CRC64NVME,
	DIGEST_COUNT
};
#define DIGEST_BIT(d) (1u << (d))
#define DIGEST_MAX_BYTES 32

/* Bytes of a digest; CRCs are big-endian, as S3 encodes them. */
size_t digest_size(enum digest d);

struct digest_value {
	uint8_t bytes[DIGEST_MAX_BYTES];
};

/* Several digests over one stream. */
struct digester;
struct digester *digester_new(unsigned mask);
void digester_free(struct digester *d);
void digester_reset(struct digester *d, unsigned mask);
void digester_update(struct digester *d, const void *data, size_t len);
/* The same bytes into two; faster than one after the other when `d` has MD5 and `other` SHA-256. */
void digesters_update(struct digester *d, struct digester *other, const void *data, size_t len);
/* Does not end the stream: more may follow. Only for a digest in the mask. */
void digester_value(struct digester *d, enum digest which, struct digest_value *out);

void sha256(struct bytes v, uint8_t out[32]);
void md5(struct bytes v, uint8_t out[16]);
void hmac_sha256(struct bytes key, struct bytes v, uint8_t out[32]);
uint64_t hash64(struct bytes v, uint64_t seed); /* fast, for tables in memory; not for disk */

/*
 * Sealing of secrets: AES-256-GCM, random 96-bit nonce. sealed = nonce(12) || ciphertext || tag(16); `out` holds len + 28. `context` is
 * authenticated and not stored. open: false when it was changed or the key is another.
 */
#define SEAL_OVERHEAD 28
void secret_seal(const uint8_t key[32], struct bytes context, struct bytes plain, uint8_t *out);
bool secret_open(const uint8_t key[32], struct bytes context, struct bytes sealed, uint8_t *out);

#endif
