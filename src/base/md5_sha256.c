/* md5_sha256.c: see md5_sha256.h. The order of the statements is the point: four steps of MD5, four rounds of SHA-256.
 * [any] */
#include "base/md5_sha256.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#include <string.h>

/* FIPS 180-4, 4.2.2 */
static const uint32_t sha_constants[64] __attribute__((aligned(16))) = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, /* 0 */
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, /* 8 */
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, /* 16 */
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, /* 24 */
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, /* 32 */
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, /* 40 */
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, /* 48 */
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2, /* 56 */
};

/* RFC 1321, 3.4; in G the halves are added, as they have no bit in common: the one that does not wait for b goes first.
 */
#define ROTATE(v, n) ((v) << (n) | (v) >> (32 - (n)))
#define STEP(a, b, f, word, n, t) a += (word) + (t), a += (f), a = ROTATE(a, n) + (b)
#define F(a, b, c, d, i, n, t) STEP(a, b, d ^ (b & (c ^ d)), words[i], n, t)
#define G(a, b, c, d, i, n, t) STEP(a, b, (c & ~d) + (b & d), words[i], n, t)
#define H(a, b, c, d, i, n, t) STEP(a, b, (c ^ d) ^ b, words[i], n, t)
#define I(a, b, c, d, i, n, t) STEP(a, b, c ^ (b | ~d), words[i], n, t)
#define FOUR(f, n0, n1, n2, n3, i0, i1, i2, i3, t0, t1, t2, t3) \
	f(a, b, c, d, i0, n0, t0), f(d, a, b, c, i1, n1, t1), f(c, d, a, b, i2, n2, t2), f(b, c, d, a, i3, n3, t3)
#define FOUR_F(...) FOUR(F, 7, 12, 17, 22, __VA_ARGS__)
#define FOUR_G(...) FOUR(G, 5, 9, 14, 20, __VA_ARGS__)
#define FOUR_H(...) FOUR(H, 4, 11, 16, 23, __VA_ARGS__)
#define FOUR_I(...) FOUR(I, 6, 10, 15, 21, __VA_ARGS__)

/* Four rounds with four words of the schedule. */
#define ROUNDS(first, w)                                                                                  \
	sum = _mm_add_epi32(w, _mm_load_si128((const __m128i *)(const void *)(sha_constants + (first)))), \
	cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum),                                                    \
	abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e))
/* The words after w3 take the place of w0. */
#define SCHEDULE(w0, w1, w2, w3) \
	w0 = _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8(w3, w2, 4)), w3)
#define LOAD(i) _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(data + (i)*16)), swap)

bool
md5_sha256_is_fast(void)
{
	static int known; /* threads may find the same at the same time */
	int is = __atomic_load_n(&known, __ATOMIC_RELAXED);
	unsigned eax, ebx = 0, ecx, edx;

	if (!is) {
		is = __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (ebx & bit_SHA) ? 1 : -1;
		__atomic_store_n(&known, is, __ATOMIC_RELAXED);
	}
	return is > 0;
}

__attribute__((target("sha,sse4.1,ssse3"))) void
md5_sha256_blocks(uint32_t md5[4], uint32_t sha256[8], const uint8_t *data, size_t count)
{
	const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
	uint32_t a = md5[0], b = md5[1], c = md5[2], d = md5[3], words[16];
	__m128i abcd, efgh, abef, cdgh, sum, w0, w1, w2, w3;

	/* The instructions want the state as a, b, e, f and c, d, g, h, each backwards. */
	abcd = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)sha256), 0xb1);
	efgh = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)(sha256 + 4)), 0x1b);
	abef = _mm_alignr_epi8(abcd, efgh, 8);
	cdgh = _mm_blend_epi16(efgh, abcd, 0xf0);
	for (; count; count--, data += 64) {
		uint32_t a0 = a, b0 = b, c0 = c, d0 = d;
		__m128i abef0 = abef, cdgh0 = cdgh;

		memcpy(words, data, sizeof(words)); /* little-endian, as x86 is */
		w0 = LOAD(0), w1 = LOAD(1), w2 = LOAD(2), w3 = LOAD(3);
		ROUNDS(0, w0);
		FOUR_F(0, 1, 2, 3, 0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee);
		ROUNDS(4, w1);
		FOUR_F(4, 5, 6, 7, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501);
		ROUNDS(8, w2);
		FOUR_F(8, 9, 10, 11, 0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be);
		ROUNDS(12, w3);
		FOUR_F(12, 13, 14, 15, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821);
		SCHEDULE(w0, w1, w2, w3), ROUNDS(16, w0);
		FOUR_G(1, 6, 11, 0, 0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa);
		SCHEDULE(w1, w2, w3, w0), ROUNDS(20, w1);
		FOUR_G(5, 10, 15, 4, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8);
		SCHEDULE(w2, w3, w0, w1), ROUNDS(24, w2);
		FOUR_G(9, 14, 3, 8, 0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed);
		SCHEDULE(w3, w0, w1, w2), ROUNDS(28, w3);
		FOUR_G(13, 2, 7, 12, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a);
		SCHEDULE(w0, w1, w2, w3), ROUNDS(32, w0);
		FOUR_H(5, 8, 11, 14, 0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c);
		SCHEDULE(w1, w2, w3, w0), ROUNDS(36, w1);
		FOUR_H(1, 4, 7, 10, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70);
		SCHEDULE(w2, w3, w0, w1), ROUNDS(40, w2);
		FOUR_H(13, 0, 3, 6, 0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05);
		SCHEDULE(w3, w0, w1, w2), ROUNDS(44, w3);
		FOUR_H(9, 12, 15, 2, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665);
		SCHEDULE(w0, w1, w2, w3), ROUNDS(48, w0);
		FOUR_I(0, 7, 14, 5, 0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039);
		SCHEDULE(w1, w2, w3, w0), ROUNDS(52, w1);
		FOUR_I(12, 3, 10, 1, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1);
		SCHEDULE(w2, w3, w0, w1), ROUNDS(56, w2);
		FOUR_I(8, 15, 6, 13, 0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1);
		SCHEDULE(w3, w0, w1, w2), ROUNDS(60, w3);
		FOUR_I(4, 11, 2, 9, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391);
		a += a0, b += b0, c += c0, d += d0;
		abef = _mm_add_epi32(abef, abef0), cdgh = _mm_add_epi32(cdgh, cdgh0);
	}
	md5[0] = a, md5[1] = b, md5[2] = c, md5[3] = d;
	abcd = _mm_shuffle_epi32(abef, 0x1b);
	efgh = _mm_shuffle_epi32(cdgh, 0xb1);
	_mm_storeu_si128((__m128i *)(void *)sha256, _mm_blend_epi16(abcd, efgh, 0xf0));
	_mm_storeu_si128((__m128i *)(void *)(sha256 + 4), _mm_alignr_epi8(efgh, abcd, 8));
}

#else
#include <stdlib.h>

bool
md5_sha256_is_fast(void)
{
	return false;
}

void
md5_sha256_blocks(uint32_t md5[4], uint32_t sha256[8], const uint8_t *data, size_t count)
{
	abort();
}
#endif
