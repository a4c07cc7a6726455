/*
 * crc.c: CRC-32, CRC-32C (ISA-L) and CRC64NVME (ours), and joining the checksums of two pieces. [any]
 *
 * All three are reflected: the highest bit of a value is the coefficient of x^0. All start and end with an inversion,
 * so that crc(0, ...) begins a stream and crc(previous, ...) continues it.
 */
#define crc32_ieee isal_crc32_ieee /* another function, declared by the next header and not used */
#include <isa-l/crc.h>
#undef crc32_ieee
#include "base/hash.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define CRC32_POLY 0xedb88320u
#define CRC32C_POLY 0x82f63b78u
#define CRC64NVME_POLY UINT64_C(0x9a6c9329ac4bc9b5) /* 0xAD93D23594C93659 reflected */

/* crc64_table[k][b]: what byte b adds to the checksum when k more bytes follow it. */
static uint64_t crc64_table[8][256];
/* x^191, x^127 and x^575, x^511 mod p: moving 128 bits ahead by 128 and by 512 bits. */
static uint64_t fold_128[2], fold_512[2];
static bool has_clmul;

uint32_t
crc32c(uint32_t crc, const void *data, size_t len)
{
	const uint8_t *at = data;

	/* ISA-L leaves the inversions to the caller here, and takes the length as an int. */
	crc = ~crc;
	while (len) {
		int step = len > 1 << 30 ? 1 << 30 : (int)len;

		crc = crc32_iscsi((uint8_t *)at, step, crc);
		at += step;
		len -= (size_t)step;
	}
	return ~crc;
}

uint32_t
crc32_ieee(uint32_t crc, const void *data, size_t len)
{
	return len ? crc32_gzip_refl(crc, data, len) : crc;
}

/* a * b mod p, all reflected and of `bits` bits. */
static uint64_t
multiply_mod(uint64_t a, uint64_t b, uint64_t poly, unsigned bits)
{
	uint64_t product = 0, bit;

	for (bit = UINT64_C(1) << (bits - 1); bit; bit >>= 1) {
		if (a & bit)
			product ^= b;
		b = b & 1 ? b >> 1 ^ poly : b >> 1;
	}
	return product;
}

/* base^n mod p */
static uint64_t
power_mod(uint64_t base, uint64_t n, uint64_t poly, unsigned bits)
{
	uint64_t result = UINT64_C(1) << (bits - 1);

	for (; n; n >>= 1) {
		if (n & 1)
			result = multiply_mod(result, base, poly, bits);
		base = multiply_mod(base, base, poly, bits);
	}
	return result;
}

/* crc(A) moves ahead by len(B) bytes; the inversions at the start and the end cancel out. */
static uint64_t
combine(uint64_t a, uint64_t b, uint64_t len_b, uint64_t poly, unsigned bits)
{
	uint64_t x8 = UINT64_C(1) << (bits - 9);

	return multiply_mod(power_mod(x8, len_b, poly, bits), a, poly, bits) ^ b;
}

uint32_t
crc32c_combine(uint32_t a, uint32_t b, uint64_t len_b)
{
	return (uint32_t)combine(a, b, len_b, CRC32C_POLY, 32);
}

uint32_t
crc32_ieee_combine(uint32_t a, uint32_t b, uint64_t len_b)
{
	return (uint32_t)combine(a, b, len_b, CRC32_POLY, 32);
}

uint64_t
crc64nvme_combine(uint64_t a, uint64_t b, uint64_t len_b)
{
	return combine(a, b, len_b, CRC64NVME_POLY, 64);
}

static void __attribute__((constructor)) crc64_prepare(void)
{
	const uint64_t x = UINT64_C(1) << 62;
	unsigned i, k;

	for (i = 0; i < 256; i++) {
		uint64_t v = i;

		for (k = 0; k < 8; k++)
			v = v & 1 ? v >> 1 ^ CRC64NVME_POLY : v >> 1;
		crc64_table[0][i] = v;
	}
	for (k = 1; k < 8; k++) {
		for (i = 0; i < 256; i++)
			crc64_table[k][i] = crc64_table[k - 1][i] >> 8 ^ crc64_table[0][crc64_table[k - 1][i] & 255];
	}
	fold_128[0] = power_mod(x, 191, CRC64NVME_POLY, 64);
	fold_128[1] = power_mod(x, 127, CRC64NVME_POLY, 64);
	fold_512[0] = power_mod(x, 575, CRC64NVME_POLY, 64);
	fold_512[1] = power_mod(x, 511, CRC64NVME_POLY, 64);
#if defined(__x86_64__)
	has_clmul = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
#endif
}

/* Without the inversions. */
static uint64_t
crc64_by_table(uint64_t crc, const uint8_t *at, size_t len)
{
	for (; len >= 8; at += 8, len -= 8) {
		uint64_t v = crc ^ load_u64(at);

		crc = crc64_table[7][v & 255] ^ crc64_table[6][v >> 8 & 255] ^ crc64_table[5][v >> 16 & 255] ^
		      crc64_table[4][v >> 24 & 255] ^ crc64_table[3][v >> 32 & 255] ^ crc64_table[2][v >> 40 & 255] ^
		      crc64_table[1][v >> 48 & 255] ^ crc64_table[0][v >> 56];
	}
	for (; len; at++, len--)
		crc = crc >> 8 ^ crc64_table[0][(crc ^ *at) & 255];
	return crc;
}

#if defined(__x86_64__)
/*
 * 128 bits moved ahead. The low half holds the higher powers; a carry-less product of two reflected values is their
 * product times x, so the constants for a distance of d bits are x^(d + 63) and x^(d - 1).
 */
static inline __attribute__((target("pclmul,sse4.1"), always_inline)) __m128i
fold(__m128i v, __m128i by)
{
	return _mm_xor_si128(_mm_clmulepi64_si128(v, by, 0x00), _mm_clmulepi64_si128(v, by, 0x11));
}

/* Without the inversions; at least 64 bytes. */
static __attribute__((target("pclmul,sse4.1"))) uint64_t
crc64_by_clmul(uint64_t crc, const uint8_t *at, size_t len)
{
	__m128i by_512 = _mm_set_epi64x((int64_t)fold_512[1], (int64_t)fold_512[0]);
	__m128i by_128 = _mm_set_epi64x((int64_t)fold_128[1], (int64_t)fold_128[0]);
	__m128i v[4], sum;
	uint8_t rest[16];
	int i;

	for (i = 0; i < 4; i++)
		v[i] = _mm_loadu_si128((const __m128i *)(const void *)(at + 16 * i));
	v[0] = _mm_xor_si128(v[0], _mm_set_epi64x(0, (int64_t)crc));
	for (at += 64, len -= 64; len >= 64; at += 64, len -= 64) {
		for (i = 0; i < 4; i++)
			v[i] = _mm_xor_si128(
				fold(v[i], by_512), _mm_loadu_si128((const __m128i *)(const void *)(at + 16 * i)));
	}
	sum = v[0];
	for (i = 1; i < 4; i++)
		sum = _mm_xor_si128(fold(sum, by_128), v[i]);
	for (; len >= 16; at += 16, len -= 16)
		sum = _mm_xor_si128(fold(sum, by_128), _mm_loadu_si128((const __m128i *)(const void *)at));
	/* What is left is as good as the message so far: its checksum from zero is the message's. */
	_mm_storeu_si128((__m128i *)(void *)rest, sum);
	return crc64_by_table(crc64_by_table(0, rest, sizeof(rest)), at, len);
}
#endif

uint64_t
crc64nvme(uint64_t crc, const void *data, size_t len)
{
#if defined(__x86_64__)
	if (has_clmul && len >= 64)
		return ~crc64_by_clmul(~crc, data, len);
#endif
	return ~crc64_by_table(~crc, data, len);
}
