/*
 * start.c: what is started, in which order and why. Stopping is the same table backwards. [init]
 */
#include "daemon/daemon.h"
#include "base/log.h"
#include "base/waits.h"
#include "doors/s3/s3_door.h"
#include "managers/storage/storage.h"
#include "net/http_seen.h"
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define STOP_GRACE_MS 10000
#define STORE_FILES 950           /* of the index (512), volumes (256), and what the server adds to its most */
#define ADMIN_SOCKET "admin.sock" /* in the data directory */

static bool
fail(struct daemon *d, enum rfs_err err, const char *attempt)
{
	if (err && !d->error[0])
		snprintf(d->error, sizeof(d->error), "%s: %s", attempt, error_face(err)->text);
	return err == RFS_OK;
}

static bool
process_start(struct daemon *d)
{
	struct rlimit files = {1024, 1024};

	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
		rlim_t had = files.rlim_cur;

		files.rlim_cur = files.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &files) != 0) {
			log_warn(0, "cannot raise the limit of open files to %llu", (unsigned long long)files.rlim_max);
			files.rlim_cur = had;
		}
	}
	d->files = files.rlim_cur == RLIM_INFINITY ? SIZE_MAX : (size_t)files.rlim_cur;
	json_object_seed(0);
	return true;
}

static bool
drivers_start(struct daemon *d)
{
	struct store_drivers opened;

	if (!fail(d, embedded_open(&d->config, &opened, d->error), "opening the store"))
		return false;
	d->drivers = opened;
	if (d->config.debug)
		fault_open(opened, &d->faults, &d->drivers);
	return true;
}

static void
drivers_stop(struct daemon *d)
{
	if ((void *)d->drivers.storage != (void *)d->drivers.metadata && d->drivers.storage->ops->close)
		d->drivers.storage->ops->close(d->drivers.storage);
	d->drivers.metadata->ops->close(d->drivers.metadata);
	d->drivers = (struct store_drivers){0};
}

static bool
metadata_start(struct daemon *d)
{
	d->core.metadata = metadata_new(d->drivers.metadata);
	d->waits = waits_new();
	log_set_waits(d->waits);
	metadata_set_waits(d->core.metadata, d->waits);
	return true;
}

static void
metadata_stop(struct daemon *d)
{
	metadata_free(d->core.metadata);
	waits_stop(d->waits); /* and stays: lines of the log are told there until the end */
}

static bool
auth_start(struct daemon *d)
{
	const char *access_key = getenv("RESTFS_ROOT_ACCESS_KEY"), *secret = getenv("RESTFS_ROOT_SECRET_KEY");

	if (access_key && !access_key[0])
		access_key = NULL;
	if (secret && !secret[0])
		secret = NULL;
	return fail(d, auth_open(d->core.metadata, d->config.data, access_key, secret, &d->core.auth, d->error),
		"reading identities");
}

static void
auth_stop(struct daemon *d)
{
	auth_close(d->core.auth);
}

static bool
storage_start(struct daemon *d)
{
	enum rfs_err err = storage_new(d->core.metadata, d->drivers.storage, &d->config, &d->core.storage);

	return fail(d, err, "starting the storage manager");
}

static void
storage_stop(struct daemon *d)
{
	storage_free(d->core.storage);
}

static bool
tls_start(struct daemon *d)
{
	const char *certificate = d->config.tls_certificate, *key = d->config.tls_key;

	if (!certificate[0]) /* nor has it a key: config_check */
		return true;
	d->tls = tls_context_new(certificate, key, d->error);
	return d->tls != NULL;
}

static void
tls_stop(struct daemon *d)
{
	if (d->tls)
		tls_context_free(d->tls);
}

static bool
threads_start(struct daemon *d)
{
	d->workers = workers_new((unsigned)d->config.threads_workers);
	d->loops = loops_new((unsigned)d->config.threads_loops);
	return true;
}

static void
threads_stop(struct daemon *d)
{
	workers_stop(d->workers);
	loops_stop(d->loops);
	workers_free(d->workers);
	loops_free(d->loops);
}

static bool
doors_start(struct daemon *d)
{
	d->core.region = d->config.s3_region;
	d->s3 = s3_door_new(&d->core, &d->config);
	d->admin = admin_door_new(&d->core, RESTFS_VERSION, &d->drivers, d->config.debug ? &d->faults : NULL);
	return true;
}

static void
doors_stop(struct daemon *d)
{
	admin_door_free(d->admin);
	s3_door_free(d->s3);
}

/* Only now: the lock on the directory says that nobody else has put one there. */
static void
socket_remove(struct daemon *d)
{
	int directory = open(d->config.data, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (directory >= 0) {
		unlinkat(directory, ADMIN_SOCKET, 0);
		close(directory);
	}
}

static void
server_stop(struct daemon *d)
{
	admin_door_set_ready(d->admin, false);
	storage_shut_down(d->core.storage);
	waits_stop(d->waits);
	http_server_stop(d->server, STOP_GRACE_MS);
	http_server_free(d->server);
	socket_remove(d);
}

static bool
listen_at(struct daemon *d, const char *address, const char *option, const struct http_door *door, unsigned *port)
{
	char reason[HTTP_ERROR_BYTES];
	enum rfs_err err = http_server_listen(d->server, address, door, d->tls, port, reason);

	if (err)
		snprintf(d->error, sizeof(d->error), "cannot %.400s; %s gives another address%s", reason, option,
			d->hints ? " (make run has options in ARGS=\"...\")" : "");
	return err == RFS_OK;
}

/* What the store opens must never fail because of connections: a write that fails ends the store. */
static size_t
connections_most(const struct daemon *d)
{
	size_t most = d->files > 2 * STORE_FILES ? d->files - STORE_FILES : d->files / 2;

	if (most < (size_t)d->config.http_connections)
		log_info(0, "at most %zu connections, as the limit of open files is %zu", most, d->files);
	return most;
}

static void
endpoints_tell(struct daemon *d)
{
	struct arena *arena = arena_new(512);

	admin_door_set_endpoints(d->admin, daemon_url(arena, d, d->config.s3_listen, d->s3_port),
		daemon_url(arena, d, d->config.admin_listen, d->admin_port));
	arena_free(arena);
}

static bool
server_start(struct daemon *d)
{
	const struct http_door *socket = admin_door_socket(d->admin);
	struct http_options options;
	bool listens;

	http_options_from(&options, &d->config);
	options.connections_in_all = connections_most(d);
	d->server = http_server_new(d->loops, d->workers, &options);
	http_server_set_waits(d->server, d->waits);
	admin_door_set_server(d->admin, d->server);
	admin_door_set_waits(d->admin, d->waits);
	listens = listen_at(d, d->config.s3_listen, "--s3", d->s3, &d->s3_port) &&
		  listen_at(d, d->config.admin_listen, "--admin", admin_door_network(d->admin), &d->admin_port);
	if (listens && http_server_listen_unix(d->server, d->config.data, ADMIN_SOCKET, socket, d->error) != RFS_OK)
		listens = false;
	if (listens)
		endpoints_tell(d);
	if (listens)
		admin_door_set_ready(d->admin, true);
	else
		server_stop(d);
	return listens;
}

static const struct step {
	const char *name;
	bool (*start)(struct daemon *d); /* false: nothing of it is left */
	void (*stop)(struct daemon *d);
	const char *reason; /* why here */
} steps[] = {
	{"process", process_start, NULL, "before anything opens files: the store's and the connections' count"},
	{"certificate", tls_start, tls_stop, "a wrong one is found before a data directory is made"},
	{"drivers", drivers_start, drivers_stop,
		"takes the directory's lock: nothing below may touch it before; replays the journal"},
	{"metadata", metadata_start, metadata_stop, "every manager reads rows"},
	{"auth", auth_start, auth_stop, "makes the root key before a door can ask for it"},
	{"storage", storage_start, storage_stop, "its reaper commits, so it stops before the metadata manager"},
	{"threads", threads_start, threads_stop,
		"loops post to workers and workers to loops: both are there before a door, and go when none is"},
	{"doors", doors_start, doors_stop, "the listeners are given to them"},
	{"listeners", server_start, server_stop,
		"last: who connects is served; first to stop: who is served gets his answer"},
};

void
daemon_stop(struct daemon *d)
{
	while (d->started > 0) {
		const struct step *step = &steps[--d->started];

		log_debug(0, "stopping: %s", step->name);
		if (step->stop)
			step->stop(d);
	}
}

static bool
index_is_damaged(const struct daemon *d)
{
	struct metadata_info info = {0};

	if (d->drivers.metadata)
		d->drivers.metadata->ops->info(d->drivers.metadata, &info);
	return info.damaged;
}

static bool
steps_start(struct daemon *d, bool *is_damaged)
{
	for (; d->started < sizeof(steps) / sizeof(steps[0]); d->started++) {
		const struct step *step = &steps[d->started];

		log_debug(0, "starting: %s (%s)", step->name, step->reason);
		if (!step->start(d)) {
			*is_damaged = index_is_damaged(d);
			daemon_stop(d);
			return false;
		}
	}
	return true;
}

bool
daemon_start(struct daemon *d)
{
	bool is_damaged = false;

	if (steps_start(d, &is_damaged))
		return true;
	if (!is_damaged)
		return false;
	d->error[0] = 0; /* opened once more, the store makes its index anew */
	return steps_start(d, &is_damaged);
}
