/* test_s3_profile.c: where endpoint and keys come from, and what a path means. */
#include "../base/unit.h"
#include "s3/s3_client.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const variables[] = {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION",
	"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE", "SSL_CERT_FILE",
	"AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_CONFIG_FILE",
	"AWS_SHARED_CREDENTIALS_FILE", "XDG_CONFIG_HOME"};

/* A home directory of its own, and nothing in the environment. */
struct home {
	char path[64];
	struct arena *arena;
	char error[S3_ERROR_BYTES];
	struct s3_profile profile;
};

static int
home_make(void **state)
{
	struct home *h = calloc(1, sizeof(*h));

	snprintf(h->path, sizeof(h->path), "/tmp/restfs-test-XXXXXX");
	assert_non_null(mkdtemp(h->path));
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
		unsetenv(variables[i]);
	setenv("HOME", h->path, 1);
	h->arena = arena_new(1024);
	*state = h;
	return 0;
}

static int
home_remove(void **state)
{
	struct home *h = *state;
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", h->path);
	assert_int_equal(system(command), 0);
	arena_free(h->arena);
	free(h);
	return 0;
}

static void
put(struct home *h, const char *folder, const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "mkdir -p %s/%s", h->path, folder);
	assert_int_equal(system(path), 0);
	snprintf(path, sizeof(path), "%s/%s/%s", h->path, folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static bool
load(struct home *h, const char *profile, const char *endpoint)
{
	return s3_profile_load(h->arena, profile, endpoint, &h->profile, h->error);
}

static void
test_nothing_is_aws_without_a_key(void **state)
{
	struct home *h = *state;

	assert_true(load(h, NULL, NULL));
	assert_string_equal(h->profile.endpoint, "https://s3.us-east-1.amazonaws.com");
	assert_string_equal(h->profile.region, "us-east-1");
	assert_null(h->profile.access_key);
}

static void
test_the_environment_goes_before_files(void **state)
{
	struct home *h = *state;

	put(h, ".config/restfs", "config",
		"profiles: { default: { endpoint = \"http://file:1\"; access_key = \"filekey\"; secret_key = "
		"\"filesecret\"; session_token = \"filetoken\"; region = \"mars\"; }; };\n");
	setenv("AWS_ENDPOINT_URL", "http://general:2/", 1);
	setenv("AWS_ACCESS_KEY_ID", "envkey", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "envsecret", 1);
	assert_true(load(h, NULL, NULL));
	assert_string_equal(h->profile.endpoint, "http://general:2");
	assert_string_equal(h->profile.access_key, "envkey");
	assert_string_equal(h->profile.secret_key, "envsecret");
	assert_null(h->profile.session_token); /* never with another's key */
	assert_string_equal(h->profile.region, "mars");
	setenv("AWS_ENDPOINT_URL_S3", "http://special:3", 1);
	assert_true(load(h, NULL, NULL));
	assert_string_equal(h->profile.endpoint, "http://special:3");
	assert_true(load(h, NULL, "https://said:4"));
	assert_string_equal(h->profile.endpoint, "https://said:4");
}

static void
test_half_a_key_is_an_error(void **state)
{
	struct home *h = *state;

	put(h, ".aws", "credentials", "[default]\naws_access_key_id = whole\naws_secret_access_key = secret\n");
	put(h, ".config/restfs", "config", "profiles: { work: { secret_key = \"half\"; }; };\n");
	setenv("AWS_ACCESS_KEY_ID", "half", 1);
	assert_false(load(h, NULL, NULL));
	assert_non_null(strstr(h->error, "AWS_SECRET_ACCESS_KEY: there is an access key, but no secret key"));
	assert_false(load(h, "work", NULL));
	assert_non_null(strstr(h->error, "profile work in "));
	assert_non_null(strstr(h->error, "/restfs/config: there is a secret key, but no access key"));
	unsetenv("AWS_ACCESS_KEY_ID");
	assert_true(load(h, NULL, NULL));
	assert_string_equal(h->profile.access_key, "whole");
	put(h, ".aws", "credentials", "[default]\naws_access_key_id = half\n");
	assert_false(load(h, NULL, NULL));
	assert_non_null(strstr(h->error, "profile default in AWS's files: there is an access key, but no secret key"));
}

static void
test_a_named_profile_goes_before_the_environment(void **state)
{
	struct home *h = *state;

	put(h, ".config/restfs", "config",
		"profile = \"home\";\nprofiles: { home: { endpoint = \"http://home:1\"; }; work: { endpoint = "
		"\"https://work\"; access_key = \"w\"; secret_key = \"x\"; ca_bundle = \"/ca\"; }; };\n");
	setenv("AWS_ACCESS_KEY_ID", "envkey", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "envsecret", 1);
	assert_true(load(h, NULL, NULL));
	assert_string_equal(h->profile.endpoint, "http://home:1");
	assert_string_equal(h->profile.access_key, "envkey");
	assert_true(load(h, "work", NULL));
	assert_string_equal(h->profile.endpoint, "https://work");
	assert_string_equal(h->profile.access_key, "w");
	assert_string_equal(h->profile.ca_bundle, "/ca");
	assert_false(load(h, "wor", NULL));
	assert_non_null(strstr(h->error, "wor"));
}

static void
test_an_endpoint_of_s3_alone_goes_before_that_of_all_services(void **state)
{
	struct home *h = *state;

	put(h, ".aws", "config",
		"[services local]\ndynamodb =\n  endpoint_url = http://other:1\ns3 =\n  use = x\n\tendpoint_url = "
		"http://local:2/\nec2 =\n  endpoint_url = http://other:3\n"
		"[default]\nservices = local\nendpoint_url = http://all:4\n"
		"[profile none]\nservices = nowhere\nendpoint_url = http://all:5\n"
		"[profile plain]\ns3 =\n  endpoint_url = http://no:6\nservices = empty\nendpoint_url = http://all:7\n"
		"[services empty]\n# s3 =\nec2 =\n  endpoint_url = http://other:8\n"
		"[profile off]\nservices = local\nignore_configured_endpoint_urls = True\n");
	assert_true(load(h, NULL, NULL));
	assert_string_equal(h->profile.endpoint, "http://local:2");
	assert_true(load(h, "plain", NULL));
	assert_string_equal(h->profile.endpoint, "http://all:7");
	assert_false(load(h, "none", NULL));
	assert_non_null(strstr(h->error, "profile none in AWS's files: there is no section [services nowhere]"));
	assert_true(load(h, "none", "http://said:9"));
	setenv("AWS_ENDPOINT_URL", "http://environment:9", 1);
	assert_true(load(h, NULL, NULL));
	assert_string_equal(h->profile.endpoint, "http://environment:9");
	assert_true(load(h, "off", NULL));
	assert_true(h->profile.is_amazon);
	setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "false", 1);
	assert_true(load(h, "off", NULL));
	assert_string_equal(h->profile.endpoint, "http://local:2");
	setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true", 1);
	assert_true(load(h, NULL, NULL));
	assert_true(h->profile.is_amazon);
	assert_true(load(h, NULL, "http://said:9"));
	assert_string_equal(h->profile.endpoint, "http://said:9");
}

static void
test_aws_files(void **state)
{
	struct home *h = *state;

	put(h, ".aws", "config",
		"# a comment\n[default]\nregion = r1\n[profile other]\nregion=r2\nendpoint_url = http://other:9\ns3 "
		"=\n  "
		"endpoint_url = http://nested:1\n[services x]\nregion = r3\n");
	put(h, ".aws", "credentials",
		"[default]\naws_access_key_id = a\naws_secret_access_key = b\n[other]\r\naws_access_key_id = "
		"c\r\naws_secret_access_key = d==\r\naws_session_token = t\r\n");
	assert_true(load(h, NULL, NULL));
	assert_string_equal(h->profile.region, "r1");
	assert_string_equal(h->profile.endpoint, "https://s3.r1.amazonaws.com");
	assert_string_equal(h->profile.access_key, "a");
	assert_null(h->profile.session_token);
	setenv("AWS_PROFILE", "other", 1);
	assert_true(load(h, NULL, NULL));
	assert_string_equal(h->profile.endpoint, "http://other:9");
	assert_string_equal(h->profile.access_key, "c");
	assert_string_equal(h->profile.secret_key, "d==");
	assert_string_equal(h->profile.session_token, "t");
	assert_true(load(h, "default", NULL));
	assert_string_equal(h->profile.access_key, "a");
}

static void
test_what_is_wrong_is_said(void **state)
{
	struct home *h = *state;

	assert_false(load(h, NULL, "ftp://x"));
	assert_false(load(h, NULL, "http://"));
	assert_false(load(h, NULL, "http://host/path"));
	put(h, ".config/restfs", "config", "profiles: { default: { endpont = \"http://x\"; }; };\n");
	assert_false(load(h, NULL, NULL));
	assert_non_null(strstr(h->error, "endpont"));
	put(h, ".config/restfs", "config", "profiles: {\n");
	assert_false(load(h, NULL, NULL));
}

/* A service's home is often somebody else's. */
static void
test_a_home_that_may_not_be_looked_into_is_none(void **state)
{
	struct home *h = *state;
	bool is_root = geteuid() == 0, loaded;

	put(h, ".config/restfs", "config", "profiles: {\n");
	assert_int_equal(chmod(h->path, 0), 0);
	if (is_root)
		assert_int_equal(setresuid(65534, 65534, 0), 0);
	loaded = load(h, NULL, "http://said:1");
	if (is_root)
		assert_int_equal(setresuid(0, 0, 0), 0);
	assert_int_equal(chmod(h->path, 0700), 0);
	assert_true(loaded);
	assert_string_equal(h->profile.endpoint, "http://said:1");
	assert_false(load(h, NULL, "http://said:1"));
}

static void
test_paths(void **state)
{
	static const struct {
		const char *text, *bucket, *key;
		bool is_s3, is_wrong;
	} cases[] = {
		{"s3://bucket/a/b", "bucket", "a/b", true, false},
		{"s3://bucket/a/", "bucket", "a/", true, false},
		{"s3://bucket/", "bucket", "", true, false},
		{"s3://bucket", "bucket", "", true, false},
		{"s3://bucket//x", "bucket", "/x", true, false},
		{"s3://bucket/../x?y#z%20", "bucket", "../x?y#z%20", true, false},
		{"s3://", "", "", true, false},
		{"s3:///key", "", "", true, true},
		{"s3:/x", "", "", false, false},
		{"./s3://x", "", "", false, false},
		{"", "", "", false, false},
		{"-", "", "", false, false},
	};
	struct home *h = *state;
	struct s3_path path;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(s3_path_parse(h->arena, cases[i].text, &path, h->error), !cases[i].is_wrong);
		if (cases[i].is_wrong)
			continue;
		assert_int_equal(path.is_s3, cases[i].is_s3);
		assert_string_equal(path.bucket, cases[i].bucket);
		assert_string_equal(path.key, cases[i].key);
		assert_string_equal(path.local, cases[i].text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing_is_aws_without_a_key, home_make, home_remove),
		cmocka_unit_test_setup_teardown(test_the_environment_goes_before_files, home_make, home_remove),
		cmocka_unit_test_setup_teardown(test_half_a_key_is_an_error, home_make, home_remove),
		cmocka_unit_test_setup_teardown(
			test_a_named_profile_goes_before_the_environment, home_make, home_remove),
		cmocka_unit_test_setup_teardown(test_aws_files, home_make, home_remove),
		cmocka_unit_test_setup_teardown(
			test_an_endpoint_of_s3_alone_goes_before_that_of_all_services, home_make, home_remove),
		cmocka_unit_test_setup_teardown(test_what_is_wrong_is_said, home_make, home_remove),
		cmocka_unit_test_setup_teardown(
			test_a_home_that_may_not_be_looked_into_is_none, home_make, home_remove),
		cmocka_unit_test_setup_teardown(test_paths, home_make, home_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
