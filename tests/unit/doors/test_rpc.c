/* test_rpc.c: JSON-RPC 2.0 as its specification has it, and the administration methods, over a store in memory. */
#include "../core/store.h"
#include "base/log.h"
#include "doors/admin/rpc_int.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct fixture {
	struct test_store store;
	struct rpc rpc;
	struct buf out;
};

static int
setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	store_open(&f->store);
	f->store.core.region = "us-east-1";
	f->rpc = (struct rpc){.core = &f->store.core, .version = "1.2.3", .started_ns = clock_monotonic_ns()};
	buf_init(&f->out, NULL);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	buf_fini(&f->out);
	store_close(&f->store);
	free(f);
	return 0;
}

/* The answer as text; NULL: there is none. */
static const char *
answer(struct fixture *f, const char *text)
{
	f->out.len = 0;
	if (!rpc_answer(&f->rpc, store_request(&f->store), bytes_str(text), &f->out))
		return NULL;
	buf_u8(&f->out, 0);
	return (const char *)f->out.data;
}

/* Calls a method with the text of its params; the whole answer, a new reference. */
static json_t *
call(struct fixture *f, const char *method, const char *params)
{
	char text[1024];
	json_t *json;

	snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"%s\",\"params\":%s}", method, params);
	json = json_loads(answer(f, text), 0, NULL);
	assert_non_null(json);
	assert_int_equal(json_integer_value(json_object_get(json, "id")), 7);
	return json;
}

static void
expect_error(struct fixture *f, const char *method, const char *params, int code, const char *name)
{
	json_t *json = call(f, method, params), *error = json_object_get(json, "error");

	assert_string_equal(json_string_value(json_object_get(json_object_get(error, "data"), "name")), name);
	assert_int_equal(json_integer_value(json_object_get(error, "code")), code);
	assert_true(json_string_length(json_object_get(error, "message")) > 0);
	assert_null(json_object_get(json, "result"));
	json_decref(json);
}

/* The result; a new reference. */
static json_t *
expect_result(struct fixture *f, const char *method, const char *params)
{
	json_t *json = call(f, method, params), *result = json_incref(json_object_get(json, "result"));

	if (json_object_get(json, "error"))
		fail_msg("%s %s: %s", method, params, json_dumps(json, 0));
	assert_non_null(result);
	json_decref(json);
	return result;
}

static void
expect_done(struct fixture *f, const char *method, const char *params)
{
	json_decref(expect_result(f, method, params));
}

static void
test_texts_that_are_no_requests(void **state)
{
	struct fixture *f = *state;

	assert_non_null(strstr(answer(f, "{"), "-32700"));
	assert_non_null(strstr(answer(f, ""), "-32700"));
	assert_non_null(strstr(answer(f, "[]"), "-32600"));
	assert_non_null(strstr(answer(f, "1"), "-32600"));
	assert_non_null(strstr(answer(f, "{\"method\":\"user.list\",\"id\":1}"), "-32600"));
	assert_non_null(strstr(answer(f, "{\"jsonrpc\":\"2.0\",\"method\":1,\"id\":1}"), "-32600"));
	assert_non_null(
		strstr(answer(f, "{\"jsonrpc\":\"2.0\",\"method\":\"user.list\",\"params\":3,\"id\":1}"), "-32600"));
	assert_non_null(strstr(answer(f, "{\"jsonrpc\":\"2.0\",\"method\":\"user.list\",\"id\":{}}"), "-32600"));
	assert_non_null(strstr(answer(f, "[1]"), "\"id\":null"));
}

static void
test_ids_come_back_as_they_were(void **state)
{
	struct fixture *f = *state;

	assert_non_null(
		strstr(answer(f, "{\"jsonrpc\":\"2.0\",\"method\":\"user.list\",\"id\":\"a b\"}"), "\"id\":\"a b\""));
	assert_non_null(strstr(answer(f, "{\"jsonrpc\":\"2.0\",\"method\":\"user.list\",\"id\":null}"), "\"id\":null"));
	assert_non_null(strstr(answer(f, "{\"jsonrpc\":\"2.0\",\"method\":\"no.such\",\"id\":9}"), "\"id\":9"));
}

static void
test_notifications_act_and_are_not_answered(void **state)
{
	struct fixture *f = *state;
	const struct identity *who;

	assert_null(answer(f, "{\"jsonrpc\":\"2.0\",\"method\":\"user.create\",\"params\":{\"name\":\"anna\"}}"));
	assert_int_equal(auth_user_find(f->store.core.auth, &f->store.rq, bytes_str("anna"), &who), RFS_OK);
	assert_null(answer(f, "{\"jsonrpc\":\"2.0\",\"method\":\"no.such\"}"));
}

static void
test_batches_are_answered_one_by_one(void **state)
{
	struct fixture *f = *state;
	json_t *json = json_loads(
		answer(f, "[{\"jsonrpc\":\"2.0\",\"method\":\"user.create\",\"params\":[\"anna\"],\"id\":1},"
			  "{\"jsonrpc\":\"2.0\",\"method\":\"user.create\",\"params\":[\"bert\"]},"
			  "{\"jsonrpc\":\"2.0\",\"method\":\"user.create\",\"params\":[\"anna\"],\"id\":2}, 5]"),
		0, NULL);
	char many[8192] = "[1";
	int i;

	assert_int_equal(json_array_size(json), 3);
	assert_non_null(json_object_get(json_array_get(json, 0), "result"));
	assert_non_null(json_object_get(json_array_get(json, 1), "error"));
	assert_non_null(json_object_get(json_array_get(json, 2), "error"));
	json_decref(json);
	assert_null(answer(f, "[{\"jsonrpc\":\"2.0\",\"method\":\"user.list\"}]"));
	for (i = 0; i < RPC_BATCH_MAX; i++)
		strcat(many, ",1");
	strcat(many, "]");
	json = json_loads(answer(f, many), 0, NULL);
	assert_true(json_is_object(json));
	json_decref(json);
}

static void
test_params_are_checked_against_the_table(void **state)
{
	struct fixture *f = *state;

	expect_error(f, "user.create", "{}", -32602, "INVALID_PARAMS");
	expect_error(f, "user.create", "{\"name\":5}", -32602, "INVALID_PARAMS");
	expect_error(f, "user.create", "{\"name\":null}", -32602, "INVALID_PARAMS");
	expect_error(f, "user.create", "{\"name\":\"a\",\"admin\":\"yes\"}", -32602, "INVALID_PARAMS");
	expect_error(f, "user.create", "{\"name\":\"a\",\"nmae\":\"b\"}", -32602, "INVALID_PARAMS");
	expect_error(f, "user.create", "[\"a\",true,1]", -32602, "INVALID_PARAMS");
	expect_error(f, "user.list", "[1]", -32602, "INVALID_PARAMS");
	expect_done(f, "user.create", "[\"a\",true]");
	expect_done(f, "user.create", "{\"name\":\"b\",\"admin\":null}");
	expect_error(f, "no.such", "{}", -32601, "NO_SUCH_METHOD");
}

static void
test_only_administrators_with_unlimited_keys_are_served(void **state)
{
	struct fixture *f = *state;
	struct identity user = {.id = 50, .name = "anna"},
			limited = {.id = 1, .name = "root", .admin = true, .scope_read_only = true};

	f->store.rq.who = &user;
	expect_error(f, "user.list", "{}", -32003, "ACCESS_DENIED");
	expect_error(f, "no.such", "{}", -32003, "ACCESS_DENIED");
	f->store.rq.who = &limited;
	expect_error(f, "user.list", "{}", -32003, "ACCESS_DENIED");
	f->store.rq.who = NULL;
	expect_error(f, "user.list", "{}", -32003, "ACCESS_DENIED");
}

static void
test_users_and_keys(void **state)
{
	struct fixture *f = *state;
	json_t *result;

	expect_done(f, "user.create", "{\"name\":\"anna\"}");
	expect_error(f, "user.create", "{\"name\":\"anna\"}", -32009, "USER_EXISTS");
	expect_error(f, "key.create", "{\"user\":\"anna\",\"bucket\":\"photos\"}", -32004, "NO_SUCH_BUCKET");
	expect_done(f, "bucket.create", "{\"name\":\"photos\"}");
	result = expect_result(
		f, "key.create", "{\"user\":\"anna\",\"bucket\":\"photos\",\"prefix\":\"a/\",\"read_only\":true}");
	assert_int_equal(json_string_length(json_object_get(result, "access_key")), 20);
	assert_int_equal(json_string_length(json_object_get(result, "secret_key")), 40);
	json_decref(result);
	result = expect_result(f, "key.list", "{\"user\":\"anna\"}");
	assert_int_equal(json_array_size(json_object_get(result, "keys")), 1);
	assert_true(json_is_true(json_object_get(json_array_get(json_object_get(result, "keys"), 0), "read_only")));
	assert_null(json_object_get(json_array_get(json_object_get(result, "keys"), 0), "secret_key"));
	json_decref(result);
	expect_error(f, "key.remove", "{\"access_key\":\"nope\"}", -32004, "NO_SUCH_ACCESS_KEY");
	expect_done(f, "user.remove", "{\"name\":\"anna\"}");
	expect_error(f, "key.list", "{\"user\":\"anna\"}", -32004, "NO_SUCH_USER");
}

static void
test_buckets(void **state)
{
	struct fixture *f = *state;
	json_t *result;

	expect_done(f, "user.create", "{\"name\":\"anna\"}");
	expect_done(f, "bucket.create", "{\"name\":\"photos\",\"owner\":\"anna\"}");
	expect_error(f, "bucket.create", "{\"name\":\"photos\",\"owner\":\"anna\"}", -32009, "BUCKET_OWNED");
	expect_error(f, "bucket.create", "{\"name\":\"photos\"}", -32009, "BUCKET_EXISTS");
	result = expect_result(f, "feed.read", "{\"bucket\":\"photos\"}");
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(json_object_get(result, "changes"), 0), "who")),
		"root");
	json_decref(result);
	expect_done(f, "bucket.create", "{\"name\":\"videos\",\"acl\":\"public-read\"}");
	expect_error(f, "bucket.create", "{\"name\":\"other\",\"acl\":\"nonsense\"}", -32602, "INVALID_PARAMS");
	expect_error(f, "bucket.create", "{\"name\":\"X\"}", -32602, "INVALID_BUCKET_NAME");
	result = expect_result(f, "bucket.list", "{\"limit\":1}");
	assert_true(json_is_true(json_object_get(result, "more")));
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(json_object_get(result, "buckets"), 0), "owner")),
		"anna");
	json_decref(result);
	result = expect_result(f, "bucket.set", "{\"name\":\"photos\",\"acl\":\"public-read\",\"compress\":true}");
	assert_string_equal(json_string_value(json_object_get(result, "acl")), "public-read");
	json_decref(result);
	result = expect_result(f, "bucket.info", "{\"name\":\"photos\"}");
	assert_true(json_is_true(json_object_get(result, "compress")));
	assert_true(json_is_boolean(json_object_get(result, "deduplicate")));
	assert_int_equal(json_integer_value(json_object_get(result, "objects")), 0);
	json_decref(result);
	expect_error(f, "bucket.set", "{\"name\":\"photos\"}", -32602, "INVALID_PARAMS");
	expect_done(f, "bucket.remove", "{\"name\":\"photos\"}");
	expect_error(f, "bucket.info", "{\"name\":\"photos\"}", -32004, "NO_SUCH_BUCKET");
}

static void
test_the_server_tells_of_itself(void **state)
{
	struct fixture *f = *state;
	json_t *result = expect_result(f, "server.info", "{}");

	assert_string_equal(json_string_value(json_object_get(result, "version")), "1.2.3");
	assert_true(json_is_false(json_object_get(json_object_get(result, "store"), "poisoned")));
	json_decref(result);
	result = expect_result(f, "server.methods", "{}");
	assert_int_equal(json_array_size(json_object_get(result, "methods")), rpc_method_count);
	json_decref(result);
	expect_error(f, "log.level", "{\"level\":\"loud\"}", -32602, "INVALID_PARAMS");
	expect_done(f, "log.level", "{\"level\":\"error\",\"module\":\"journal\"}");
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_texts_that_are_no_requests),
		TEST(test_ids_come_back_as_they_were),
		TEST(test_notifications_act_and_are_not_answered),
		TEST(test_batches_are_answered_one_by_one),
		TEST(test_params_are_checked_against_the_table),
		TEST(test_only_administrators_with_unlimited_keys_are_served),
		TEST(test_users_and_keys),
		TEST(test_buckets),
		TEST(test_the_server_tells_of_itself),
	};

	log_init(LOG_ERROR, LOG_TEXT, STDERR_FILENO);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
