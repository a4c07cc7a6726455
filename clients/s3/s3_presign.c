/* s3_presign.c: URLs that need no key. */
#include "s3/s3_client_int.h"
#include "base/clock.h"
#include "managers/auth/sigv4.h"
#include "net/url.h"
#include <stdio.h>

bool
s3_presign(const struct s3_profile *profile, struct arena *arena, const char *method, const char *bucket,
	const char *key, uint32_t seconds, char **url, char error[S3_ERROR_BYTES])
{
	struct sigv4_header host = {BYTES_LITERAL("host"), bytes_str(strstr(profile->endpoint, "://") + 3)};
	struct sigv4_request r = {.method = bytes_str(method),
		.headers = &host,
		.header_count = 1,
		.now_ns = clock_wall_ns(),
		.service = "s3",
		.region = bytes_str(profile->region)};
	char *query;

	r.path = s3_path_encoded(arena, bucket, key);
	if (!profile->access_key) {
		snprintf(error, S3_ERROR_BYTES,
			"a URL is signed with a key, and there is none (AWS_ACCESS_KEY_ID, or a profile)");
		return false;
	}
	if (seconds == 0 || seconds > SIGV4_EXPIRES_MAX) {
		snprintf(error, S3_ERROR_BYTES, "a URL holds for 1 second to 7 days");
		return false;
	}
	query = sigv4_presign(arena, &r, bytes_str(profile->access_key), bytes_str(profile->secret_key),
		bytes_str(profile->session_token), seconds);
	if (!query) {
		snprintf(error, S3_ERROR_BYTES, "the URL cannot be signed");
		return false;
	}
	*url = arena_printf(arena, "%s%.*s?%s", profile->endpoint, (int)r.path.len, (const char *)r.path.data, query);
	return true;
}
