/*
 * rpc_int.h: what methods share. A handler gets an object that fits its params text, and makes the result (owned by the
 * caller). [worker]
 */
#ifndef DOORS_ADMIN_RPC_INT_H
#define DOORS_ADMIN_RPC_INT_H

#include "doors/admin/rpc.h"

struct rpc_method {
	const char *name;
	enum rfs_err (*handler)(struct rpc *rpc, struct request *rq, json_t *params, json_t **result);
	const char *params;
	const char *result;
	const char *help;
};

extern const struct rpc_method rpc_methods[];
extern const size_t rpc_method_count;

#define METHOD(name, handler, params, result, help) \
	enum rfs_err handler(struct rpc *rpc, struct request *rq, json_t *params_given, json_t **result_out);
#include "doors/admin/methods.def"
#undef METHOD

/* --- rpc_params.c ------------------------------------------------------------------------------------------------- */

/*
 * `given` (an object, an array or NULL) as an object with the names of `spec`; a new reference. INVALID_PARAMS: a name
 * that is not there, one that lacks, a wrong type.
 */
enum rfs_err rpc_params_check(struct request *rq, const char *spec, json_t *given, json_t **out) RFS_MUST_CHECK;
/*
 * A method that can wait has the parameter wait_ms. `waits`: it is to look with rq->wait armed, which it leaves armed
 * if it found nothing: its answer is then given when the time is up, and it is called again when the topic is raised.
 * Never in a batch.
 */
enum rfs_err rpc_wait_given(struct request *rq, json_t *params, bool *waits) RFS_MUST_CHECK;
/* Empty when it was not given. Alive as long as the params. */
struct bytes rpc_param_bytes(json_t *params, const char *name);
/* INVALID_PARAMS for a name that is no ACL. */
enum rfs_err rpc_param_acl(struct request *rq, json_t *params, enum acl *out) RFS_MUST_CHECK;
const char *rpc_acl_name(enum acl acl);
/* JSON text; bytes that are not UTF-8 (a scope's prefix may be any) are percent-encoded. */
json_t *rpc_json_text(struct arena *arena, struct bytes v);
/* ISO 8601, or null for 0. */
json_t *rpc_json_time(int64_t ns);

#endif
