/* admin_door_int.h: what the files of the admin door share. */
#ifndef DOORS_ADMIN_ADMIN_DOOR_INT_H
#define DOORS_ADMIN_ADMIN_DOOR_INT_H

#include "doors/admin/admin_door.h"

struct admin_door {
	struct rpc rpc;
	atomic_bool ready;
	char endpoints[2][256];
	struct http_door network;
	struct http_door socket;
};

/* --- admin_auth.c ------------------------------------------------------------------------------------------------- */

/* Finds who signed the request, whose whole body this is, and puts him into rq->who. [worker] */
enum rfs_err admin_authenticate(struct admin_door *d, struct http_exchange *x, struct bytes body) RFS_MUST_CHECK;

#endif
