/* Published vectors, and that pieces give what the whole gives. */
#include "unit.h"
#include "base/hash.h"

#define CHECK_TEXT "123456789"

static void
expect_hex(const uint8_t *v, size_t len, const char *hex)
{
	char text[2 * DIGEST_MAX_BYTES + 1];

	hex_encode(bytes_of(v, len), text);
	assert_string_equal(text, hex);
}

static void
crcs_have_their_check_values(void **state)
{
	assert_true(crc32c(0, CHECK_TEXT, 9) == 0xe3069283);
	assert_true(crc32_ieee(0, CHECK_TEXT, 9) == 0xcbf43926);
	assert_true(crc64nvme(0, CHECK_TEXT, 9) == UINT64_C(0xae8b14860a799888));
	assert_true(crc32c(0, NULL, 0) == 0);
	assert_true(crc32_ieee(0, NULL, 0) == 0);
	assert_true(crc64nvme(0, NULL, 0) == 0);
}

/* RFC 3720, B.4; NVM Express NVM Command Set 1.0, 5.2.1.3.5 (4 KiB of zeros and of ones). */
static void
crcs_of_blocks_match_the_specifications(void **state)
{
	static uint8_t block[4096];

	assert_true(crc32c(0, block, 32) == 0x8a9136aa);
	assert_true(crc64nvme(0, block, 4096) == UINT64_C(0x6482d367eb22b64e));
	memset(block, 0xff, sizeof(block));
	assert_true(crc32c(0, block, 32) == 0x62a8ab43);
	assert_true(crc64nvme(0, block, 4096) == UINT64_C(0xc0ddba7302eca3ac));
}

static void
crcs_of_pieces_join(void **state)
{
	static uint8_t data[1000];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 31 + i / 7);
	for (size_t cut = 0; cut <= sizeof(data); cut += 37) {
		const uint8_t *b = data + cut;
		size_t left = sizeof(data) - cut;

		assert_true(crc32c(crc32c(0, data, cut), b, left) == crc32c(0, data, sizeof(data)));
		assert_true(crc32_ieee(crc32_ieee(0, data, cut), b, left) == crc32_ieee(0, data, sizeof(data)));
		assert_true(crc64nvme(crc64nvme(0, data, cut), b, left) == crc64nvme(0, data, sizeof(data)));
		assert_true(crc32c_combine(crc32c(0, data, cut), crc32c(0, b, left), left) ==
			    crc32c(0, data, sizeof(data)));
		assert_true(crc32_ieee_combine(crc32_ieee(0, data, cut), crc32_ieee(0, b, left), left) ==
			    crc32_ieee(0, data, sizeof(data)));
		assert_true(crc64nvme_combine(crc64nvme(0, data, cut), crc64nvme(0, b, left), left) ==
			    crc64nvme(0, data, sizeof(data)));
	}
}

/* Pieces below 64 bytes take the table, larger ones the carry-less multiply. */
static void
both_ways_of_crc64_agree_at_every_length(void **state)
{
	static uint8_t data[700];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 131 + 5);
	for (size_t len = 0; len < sizeof(data); len++) {
		uint64_t crc = 0;

		for (size_t at = 0; at < len; at += 63)
			crc = crc64nvme(crc, data + at, len - at < 63 ? len - at : 63);
		assert_true(crc == crc64nvme(0, data, len));
	}
}

static void
digests_of_abc(void **state)
{
	uint8_t out[32];

	sha256(BYTES_LITERAL("abc"), out);
	expect_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	sha256(bytes_of(NULL, 0), out);
	expect_hex(out, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	md5(BYTES_LITERAL("abc"), out);
	expect_hex(out, 16, "900150983cd24fb0d6963f7d28e17f72");
}

/* RFC 4231, cases 1, 2 and 6 (a key longer than a block). */
static void
hmac_matches_rfc_4231(void **state)
{
	uint8_t key[131], out[32];

	memset(key, 0x0b, 20);
	hmac_sha256(bytes_of(key, 20), BYTES_LITERAL("Hi There"), out);
	expect_hex(out, 32, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	hmac_sha256(BYTES_LITERAL("Jefe"), BYTES_LITERAL("what do ya want for nothing?"), out);
	expect_hex(out, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof(key));
	hmac_sha256(bytes_of(key, sizeof(key)), BYTES_LITERAL("Test Using Larger Than Block-Size Key - Hash Key First"),
		out);
	expect_hex(out, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void
a_digester_computes_all_in_one_pass_and_goes_on(void **state)
{
	static const char *const hex[DIGEST_COUNT] = {
		[DIGEST_MD5] = "25f9e794323b453885f5181f1b624d0b",
		[DIGEST_SHA256] = "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
		[DIGEST_SHA1] = "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
		[DIGEST_CRC32] = "cbf43926",
		[DIGEST_CRC32C] = "e3069283",
		[DIGEST_CRC64NVME] = "ae8b14860a799888",
	};
	struct digester *d = digester_new(DIGEST_BIT(DIGEST_MD5));
	struct digest_value v;

	digester_update(d, "something else", 14);
	digester_reset(d, DIGEST_BIT(DIGEST_COUNT) - 1);
	digester_update(d, CHECK_TEXT, 4);
	digester_value(d, DIGEST_SHA256, &v);
	digester_update(d, CHECK_TEXT + 4, 5);
	digester_update(d, NULL, 0);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < DIGEST_COUNT; i++) {
			digester_value(d, (enum digest)i, &v);
			expect_hex(v.bytes, digest_size((enum digest)i), hex[i]);
		}
	}
	digester_free(d);
	digester_free(NULL);
}

static void
a_digester_takes_long_streams(void **state)
{
	size_t len = 1000003;
	uint8_t *data = malloc(len), whole[32];
	struct digester *d = digester_new(DIGEST_BIT(DIGEST_SHA256) | DIGEST_BIT(DIGEST_CRC64NVME));
	struct digest_value v;

	memset(data, 'x', len);
	digester_update(d, data, len);
	digester_value(d, DIGEST_SHA256, &v);
	sha256(bytes_of(data, len), whole);
	assert_memory_equal(v.bytes, whole, 32);
	digester_value(d, DIGEST_CRC64NVME, &v);
	assert_true(load_be64(v.bytes) == crc64nvme(0, data, len));
	digester_free(d);
	free(data);
}

/* The pieces end within, at and between blocks; the streams are one, two, and two that began at different places. */
static void
md5_and_sha256_in_one_loop_are_what_they_are_alone(void **state)
{
	size_t len = 40000;
	uint8_t *data = malloc(len), md5_alone[16], sha256_alone[32];
	struct digester *both = digester_new(DIGEST_BIT(DIGEST_MD5) | DIGEST_BIT(DIGEST_SHA256));
	struct digester *first = digester_new(DIGEST_BIT(DIGEST_MD5) | DIGEST_BIT(DIGEST_CRC32));
	struct digester *second = digester_new(DIGEST_BIT(DIGEST_SHA256));
	struct digest_value v;

	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(hash64(bytes_of(&i, sizeof(i)), 7) >> 9);
	for (size_t piece = 1; piece < 20000; piece += 1 + piece / 5) {
		size_t skip = piece % 3 == 0 ? piece % 131 : 0, at = 0;

		digester_reset(both, DIGEST_BIT(DIGEST_MD5) | DIGEST_BIT(DIGEST_SHA256));
		digester_reset(first, DIGEST_BIT(DIGEST_MD5) | DIGEST_BIT(DIGEST_CRC32));
		digester_reset(second, DIGEST_BIT(DIGEST_SHA256));
		digester_update(first, data, skip);
		for (at = skip; at < len; at += piece) {
			size_t n = len - at < piece ? len - at : piece;

			digester_update(both, data + at, n);
			digesters_update(first, second, data + at, n);
		}
		md5(bytes_of(data + skip, len - skip), md5_alone);
		sha256(bytes_of(data + skip, len - skip), sha256_alone);
		digester_value(both, DIGEST_MD5, &v);
		assert_memory_equal(v.bytes, md5_alone, 16);
		digester_value(both, DIGEST_SHA256, &v);
		assert_memory_equal(v.bytes, sha256_alone, 32);
		digester_value(second, DIGEST_SHA256, &v);
		assert_memory_equal(v.bytes, sha256_alone, 32);
		md5(bytes_of(data, len), md5_alone);
		digester_value(first, DIGEST_MD5, &v);
		assert_memory_equal(v.bytes, md5_alone, 16);
		digester_value(first, DIGEST_CRC32, &v);
		assert_true(__builtin_bswap32(load_u32(v.bytes)) == crc32_ieee(0, data, len));
	}
	digester_free(both);
	digester_free(first);
	digester_free(second);
	free(data);
}

/* The count of bits takes more than 32 of them. */
static void
md5_and_sha256_in_one_loop_count_far(void **state)
{
	size_t len = (size_t)1 << 20;
	uint8_t *data = calloc(1, len);
	struct digester *both = digester_new(DIGEST_BIT(DIGEST_MD5) | DIGEST_BIT(DIGEST_SHA256));
	struct digester *alone[2] = {digester_new(DIGEST_BIT(DIGEST_MD5)), digester_new(DIGEST_BIT(DIGEST_SHA256))};

	for (int i = 0; i < 513; i++) {
		digester_update(both, data, len);
		digester_update(alone[DIGEST_MD5], data, len);
		digester_update(alone[DIGEST_SHA256], data, len);
	}
	for (enum digest d = DIGEST_MD5; d <= DIGEST_SHA256; d++) {
		struct digest_value a, b;

		digester_value(both, d, &a);
		digester_value(alone[d], d, &b);
		assert_memory_equal(a.bytes, b.bytes, digest_size(d));
		digester_free(alone[d]);
	}
	digester_free(both);
	free(data);
}

static void
table_hashes_differ_by_content_length_and_seed(void **state)
{
	uint8_t zeros[64] = {0};
	uint64_t seen[64];

	for (size_t len = 0; len < 64; len++) {
		seen[len] = hash64(bytes_of(zeros, len), 1);
		assert_true(seen[len] == hash64(bytes_of(zeros, len), 1));
		assert_true(seen[len] != hash64(bytes_of(zeros, len), 2));
		for (size_t i = 0; i < len; i++)
			assert_true(seen[i] != seen[len]);
		for (size_t i = 0; i < len; i++) {
			zeros[i] = 1;
			assert_true(hash64(bytes_of(zeros, len), 1) != seen[len]);
			zeros[i] = 0;
		}
	}
}

static void
a_sealed_secret_opens_only_whole_with_its_key_and_context(void **state)
{
	uint8_t key[32] = {1}, sealed[6 + SEAL_OVERHEAD], again[6 + SEAL_OVERHEAD], out[6];

	secret_seal(key, BYTES_LITERAL("alice"), BYTES_LITERAL("secret"), sealed);
	secret_seal(key, BYTES_LITERAL("alice"), BYTES_LITERAL("secret"), again);
	assert_memory_not_equal(sealed, again, sizeof(sealed)); /* a new nonce each time */
	assert_true(secret_open(key, BYTES_LITERAL("alice"), bytes_of(sealed, sizeof(sealed)), out));
	assert_memory_equal(out, "secret", 6);
	assert_false(secret_open(key, BYTES_LITERAL("bob"), bytes_of(sealed, sizeof(sealed)), out));
	for (size_t i = 0; i < sizeof(sealed); i++) {
		sealed[i] ^= 1;
		assert_false(secret_open(key, BYTES_LITERAL("alice"), bytes_of(sealed, sizeof(sealed)), out));
		sealed[i] ^= 1;
		assert_false(secret_open(key, BYTES_LITERAL("alice"), bytes_of(sealed, i), out));
	}
	key[31] = 9;
	assert_false(secret_open(key, BYTES_LITERAL("alice"), bytes_of(sealed, sizeof(sealed)), out));
}

static void
an_empty_secret_can_be_sealed(void **state)
{
	uint8_t key[32] = {0}, sealed[SEAL_OVERHEAD], out[1];

	secret_seal(key, bytes_of(NULL, 0), bytes_of(NULL, 0), sealed);
	assert_true(secret_open(key, bytes_of(NULL, 0), bytes_of(sealed, sizeof(sealed)), out));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crcs_have_their_check_values),
		cmocka_unit_test(crcs_of_blocks_match_the_specifications),
		cmocka_unit_test(crcs_of_pieces_join),
		cmocka_unit_test(both_ways_of_crc64_agree_at_every_length),
		cmocka_unit_test(digests_of_abc),
		cmocka_unit_test(hmac_matches_rfc_4231),
		cmocka_unit_test(a_digester_computes_all_in_one_pass_and_goes_on),
		cmocka_unit_test(a_digester_takes_long_streams),
		cmocka_unit_test(md5_and_sha256_in_one_loop_are_what_they_are_alone),
		cmocka_unit_test(md5_and_sha256_in_one_loop_count_far),
		cmocka_unit_test(table_hashes_differ_by_content_length_and_seed),
		cmocka_unit_test(a_sealed_secret_opens_only_whole_with_its_key_and_context),
		cmocka_unit_test(an_empty_secret_can_be_sealed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
