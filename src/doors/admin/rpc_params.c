/*
 * rpc_params.c: parameters of methods, checked against their text in methods.def: "name:string admin?:boolean". [any]
 */
#include "base/clock.h"
#include "base/waits.h"
#include "doors/admin/rpc_int.h"
#include "net/url.h"
#include <assert.h>

/* One word of the text. */
struct param_spec {
	char name[32];
	char type[16];
	bool optional;
};

/* False at the end. */
static bool
spec_next(const char **at, struct param_spec *out)
{
	size_t name, type;

	*at += strspn(*at, " ");
	if (**at == '\0')
		return false;
	name = strcspn(*at, "?:");
	assert(name < sizeof(out->name));
	memcpy(out->name, *at, name);
	out->name[name] = '\0';
	*at += name;
	out->optional = **at == '?';
	*at += out->optional ? 2 : 1;
	type = strcspn(*at, " ");
	assert(type < sizeof(out->type));
	memcpy(out->type, *at, type);
	out->type[type] = '\0';
	*at += type;
	return true;
}

static bool
type_fits(const json_t *value, const char *type)
{
	if (strcmp(type, "string") == 0)
		return json_is_string(value);
	if (strcmp(type, "boolean") == 0)
		return json_is_boolean(value);
	assert(strcmp(type, "integer") == 0);
	return json_is_integer(value);
}

/* Positional parameters get the names of the text, in its order. */
static enum rfs_err
params_by_name(struct request *rq, const char *spec, json_t *given, json_t **out)
{
	struct param_spec param;
	size_t i, count = json_array_size(given);

	if (!given || json_is_object(given)) {
		*out = given ? json_incref(given) : json_object();
		return RFS_OK;
	}
	*out = json_object();
	for (i = 0; i < count && spec_next(&spec, &param); i++)
		json_object_set(*out, param.name, json_array_get(given, i));
	if (i == count)
		return RFS_OK;
	json_decref(*out);
	return request_fail(rq, RFS_ERR_INVALID_PARAMS, "there are more parameters than the method has: %zu", count);
}

/* A parameter that may be missing may also be null. */
static enum rfs_err
params_fit(struct request *rq, const char *spec, const json_t *params)
{
	struct param_spec param;
	size_t known = 0;
	const char *at = spec;

	while (spec_next(&at, &param)) {
		const json_t *value = json_object_get(params, param.name);

		known += value ? 1 : 0;
		if (param.optional && (!value || json_is_null(value)))
			continue;
		if (!value)
			return request_fail(rq, RFS_ERR_INVALID_PARAMS, "the parameter \"%s\" is missing", param.name);
		if (!type_fits(value, param.type))
			return request_fail(rq, RFS_ERR_INVALID_PARAMS, "the parameter \"%s\" must be a %s", param.name,
				param.type);
	}
	if (known != json_object_size(params))
		return request_fail(rq, RFS_ERR_INVALID_PARAMS,
			"there is a parameter that the method does not have; it has: %s", spec[0] ? spec : "none");
	return RFS_OK;
}

enum rfs_err
rpc_params_check(struct request *rq, const char *spec, json_t *given, json_t **out)
{
	json_t *params = NULL;
	enum rfs_err err;

	*out = NULL;
	if ((err = params_by_name(rq, spec, given, &params)))
		return err;
	if ((err = params_fit(rq, spec, params))) {
		json_decref(params);
		return err;
	}
	*out = params;
	return RFS_OK;
}

enum rfs_err
rpc_wait_given(struct request *rq, json_t *params, bool *waits)
{
	const json_t *given = json_object_get(params, "wait_ms");
	json_int_t wait_ms = json_is_integer(given) ? json_integer_value(given) : 0;

	if (wait_ms < 0 || wait_ms > WAIT_MOST_MS)
		return request_fail(rq, RFS_ERR_INVALID_PARAMS, "wait_ms is 0 to %d", WAIT_MOST_MS);
	*waits = wait_ms > 0 && rq->wait;
	if (*waits && !rq->wait->deadline_ns) /* else it is called again */
		rq->wait->deadline_ns = clock_monotonic_ns() + wait_ms * 1000000;
	return RFS_OK;
}

struct bytes
rpc_param_bytes(json_t *params, const char *name)
{
	const json_t *value = json_object_get(params, name);

	return json_is_string(value) ? bytes_of(json_string_value(value), json_string_length(value))
				     : (struct bytes){0};
}

static const char *const acl_names[] = {
	[ACL_PRIVATE] = "private",
	[ACL_PUBLIC_READ] = "public-read",
	[ACL_BUCKET_OWNER_FULL_CONTROL] = "bucket-owner-full-control",
};
_Static_assert(sizeof(acl_names) / sizeof(acl_names[0]) == ACL_COUNT, "every ACL has a name");

enum rfs_err
rpc_param_acl(struct request *rq, json_t *params, enum acl *out)
{
	struct bytes name = rpc_param_bytes(params, "acl");
	size_t i;

	for (i = 0; i < ACL_COUNT; i++)
		if (bytes_equal_str(name, acl_names[i])) {
			*out = (enum acl)i;
			return RFS_OK;
		}
	return request_fail(rq, RFS_ERR_INVALID_PARAMS, "acl is private, public-read or bucket-owner-full-control");
}

const char *
rpc_acl_name(enum acl acl)
{
	return (size_t)acl < ACL_COUNT ? acl_names[acl] : "private";
}

json_t *
rpc_json_text(struct arena *arena, struct bytes v)
{
	json_t *text = json_stringn(v.data ? (const char *)v.data : "", v.len);
	struct buf encoded;

	if (text)
		return text;
	buf_init(&encoded, arena);
	url_encode(&encoded, v, true);
	return json_stringn((const char *)encoded.data, encoded.len);
}

json_t *
rpc_json_time(int64_t ns)
{
	char text[25];

	if (ns == 0)
		return json_null();
	date_iso8601(ns, text);
	return json_string(text);
}
