/*
 * hints.c: `restfsd --hints`: what somebody who starts a store by hand wants to know next. [init]
 */
#include "daemon/daemon.h"
#include <libgen.h>
#include <stdio.h>
#include <unistd.h>

static const char *
listen_host(struct arena *arena, const char *listen)
{
	const char *colon = strrchr(listen, ':');
	const char *host = arena_str(arena, bytes_of(listen, colon ? (size_t)(colon - listen) : strlen(listen)));

	return host[0] == 0 || strcmp(host, "*") == 0 ? "0.0.0.0" : host;
}

static char *
url_of(struct arena *arena, const struct daemon *d, const char *host, unsigned port)
{
	return arena_printf(arena, "%s://%s:%u", d->tls ? "https" : "http", host, port);
}

char *
daemon_url(struct arena *arena, const struct daemon *d, const char *listen, unsigned port)
{
	return url_of(arena, d, listen_host(arena, listen), port);
}

/* To connect to, which an address that means "all of them" is not everywhere. */
static char *
local_url(struct arena *arena, const struct daemon *d)
{
	const char *host = listen_host(arena, d->config.s3_listen);

	if (strcmp(host, "0.0.0.0") == 0)
		host = "127.0.0.1";
	else if (strcmp(host, "[::]") == 0)
		host = "[::1]";
	return url_of(arena, d, host, d->s3_port);
}

/* The command line lies beside the daemon in a build directory, and in the PATH when installed. */
static const char *
restfs_path(struct arena *arena, const char *program)
{
	char *beside;

	if (!strchr(program, '/'))
		return "restfs";
	beside = arena_printf(arena, "%s/restfs", dirname(arena_str(arena, bytes_str(program))));
	return access(beside, X_OK) == 0 ? beside : "restfs";
}

void
daemon_hints(struct daemon *d, const char *program)
{
	struct arena *arena = arena_new(1024);
	const char *key = auth_root_access_key(d->core.auth), *region = d->config.s3_region;
	const char *url = local_url(arena, d);
	/* Who tries at a loopback address has made the certificate himself: no authority vouches for that name. */
	const char *file = d->config.tls_certificate;
	const char *aws = d->tls ? arena_printf(arena, " --ca-bundle %s", file) : "";
	const char *curl = d->tls ? arena_printf(arena, " --cacert %s", file) : "";
	char secret[AUTH_SECRET_SIZE];

	if (auth_root_secret(d->core.auth, secret)) {
		printf("\n  endpoint    %s\n  access key  %s\n  secret key  %s\n\n"
		       "Try, in another terminal (apt-get install awscli curl has what is missing):\n\n",
			url, key, secret);
		printf("  AWS_ACCESS_KEY_ID=%s AWS_SECRET_ACCESS_KEY='%s' AWS_DEFAULT_REGION=%s aws --endpoint-url "
		       "%s%s "
		       "s3 mb s3://first\n",
			key, secret, region, url, aws);
		printf("  %s --data %s bucket ls\n", restfs_path(arena, program), d->config.data);
		printf("  curl%s --aws-sigv4 aws:amz:%s:s3 --user '%s:%s' -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' "
		       "%s/\n\n",
			curl, region, key, secret, url);
		fflush(stdout);
	}
	explicit_bzero(secret, sizeof(secret));
	arena_free(arena);
}
