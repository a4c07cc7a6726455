/*
 * fuzz_sigv4.c: a request's line and headers, as text: method, path, query, then "name:value", a line each.
 *
 * Whatever comes, parsing and verifying end without a crash, and nothing verifies under a key that was not used to
 * sign; what we sign ourselves from the same request does verify.
 *
 * sources: src/base/*.c src/net/url.c src/managers/auth/sigv4.c src/managers/auth/sigv4_parse.c
 */
#include "managers/auth/sigv4.h"
#include "managers/auth/sigv4_int.h"
#include <stdlib.h>

#define HEADERS_MAX 64
#define MAY_24 (INT64_C(1369353600) * 1000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Headers that would clash with those of the signature are left out. */
static bool
may_be_signed(struct bytes name)
{
	return name.len > 0 && bytes_find(name, 0, 0) == SIZE_MAX && !bytes_equal_str(name, "authorization") &&
	       !bytes_equal_str(name, "x-amz-date") && !bytes_equal_str(name, "x-amz-content-sha256") &&
	       bytes_find(name, ';', 0) == SIZE_MAX && bytes_find(name, ',', 0) == SIZE_MAX &&
	       bytes_find(name, ' ', 0) == SIZE_MAX && bytes_find(name, '\t', 0) == SIZE_MAX;
}

static void
check_own_signature(struct request *rq, const struct sigv4_request *original)
{
	struct sigv4_request r = *original;
	struct sigv4_header headers[HEADERS_MAX + 4];
	struct bytes secret = BYTES_LITERAL("secret");
	struct sigv4_signed made;
	struct sigv4 s;
	uint8_t key[32];
	enum rfs_err err;

	r.header_count = 0;
	r.headers = headers;
	r.region = BYTES_LITERAL("here");
	headers[r.header_count++] = (struct sigv4_header){BYTES_LITERAL("host"), BYTES_LITERAL("h")};
	for (size_t i = 0; i < original->header_count; i++) {
		if (may_be_signed(original->headers[i].name))
			headers[r.header_count++] = original->headers[i];
	}
	if (!sigv4_sign(rq->arena, &r, BYTES_LITERAL("key"), secret, &made))
		return;
	headers[r.header_count++] =
		(struct sigv4_header){BYTES_LITERAL("authorization"), bytes_str(made.authorization)};
	headers[r.header_count++] = (struct sigv4_header){BYTES_LITERAL("x-amz-date"), bytes_str(made.x_amz_date)};
	headers[r.header_count++] =
		(struct sigv4_header){BYTES_LITERAL("x-amz-content-sha256"), bytes_str(made.x_amz_content_sha256)};
	err = sigv4_parse(rq, &r, &s);
	if (err == RFS_ERR_INVALID_ARGUMENT || err == RFS_ERR_INVALID_REQUEST)
		return; /* the query holds a credential, too */
	if (err)
		abort();
	sigv4_signing_key(secret, s.date, s.region, s.service, key);
	if (sigv4_verify(rq, &r, &s, key))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t key[32] = "a key that nobody signed with";
	struct bytes rest = bytes_of(data, size);
	struct sigv4_header headers[HEADERS_MAX];
	struct request rq = {.arena = arena_new(4096)};
	struct sigv4_request r = {.headers = headers, .service = "s3", .now_ns = MAY_24};
	struct sigv4 s;

	r.method = sigv4_take(&rest, '\n');
	r.path = sigv4_take(&rest, '\n');
	r.query = sigv4_take(&rest, '\n');
	while (rest.len > 0 && r.header_count < HEADERS_MAX) {
		struct bytes line = sigv4_take(&rest, '\n');

		headers[r.header_count].name = sigv4_take(&line, ':');
		headers[r.header_count++].value = line;
	}
	if (sigv4_parse(&rq, &r, &s) == RFS_OK && s.kind != SIGV4_NONE && sigv4_verify(&rq, &r, &s, key) == RFS_OK)
		abort();
	check_own_signature(&rq, &r);
	arena_free(rq.arena);
	return 0;
}
