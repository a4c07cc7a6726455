/*
 * admin_door.h: health, metrics and administration over HTTP.
 *
 *   GET /health/live    200 while the process answers
 *   GET /health/ready   200 once the store serves, until a sync fails; else 503
 *   GET /metrics        Prometheus' text format
 *   POST /rpc           JSON-RPC 2.0 (rpc.h), at most 1 MiB
 *
 * Two doors over one state: the network's, where /rpc is signed with an administrator's key (Signature V4, service
 * "restfs" or "s3", the body's SHA-256 signed), and the socket's in the data directory, where who can open it is root.
 * Health and metrics ask for no key.
 */
#ifndef DOORS_ADMIN_ADMIN_DOOR_H
#define DOORS_ADMIN_ADMIN_DOOR_H

#include "doors/admin/rpc.h"
#include "net/http.h"

struct admin_door;

/*
 * `version` is static. `faults`: the methods for tests are answered, and `drivers` obey these rules; NULL: they are not.
 * [init]
 */
struct admin_door *admin_door_new(
	struct core *core, const char *version, const struct store_drivers *drivers, struct fault_rules *faults);
/* After http_server_stop. [init] */
void admin_door_free(struct admin_door *d);
const struct http_door *admin_door_network(struct admin_door *d);
const struct http_door *admin_door_socket(struct admin_door *d);
/* That debug.dump tells of: before it listens. [init] */
void admin_door_set_server(struct admin_door *d, struct http_server *server);
/* Who waits for the log does it there: before it listens. [init] */
void admin_door_set_waits(struct admin_door *d, struct waits *waits);
/* What server.status says; copied. [init] */
void admin_door_set_endpoints(struct admin_door *d, const char *s3, const char *admin);
/* What /health/ready says of a store that is well. [any] */
void admin_door_set_ready(struct admin_door *d, bool ready);

#endif
