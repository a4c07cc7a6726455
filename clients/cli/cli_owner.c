/*
 * cli_owner.c: commands that open a store themselves do so as the user whose store it is, also when root calls them: files of root's between the
 * others would keep the daemon from starting.
 */
#include "cli.h"
#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool
cli_become_owner(struct cli *cli, const char *data)
{
	struct stat st;

	umask(077); /* RocksDB asks for less */
	if (stat(data, &st) != 0)
		return errno == ENOENT ? cli_fail(cli, "there is no store in %s", data) : cli_fail(cli, "%s: %s", data, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return cli_fail(cli, "%s: %s", data, strerror(ENOTDIR));
	if (geteuid() == 0 && st.st_uid != 0 && (setgroups(0, NULL) != 0 || setgid(st.st_gid) != 0 || setuid(st.st_uid) != 0))
		return cli_fail(cli, "become user %u, whose store %s is: %s", (unsigned)st.st_uid, data, strerror(errno));
	if (access(data, R_OK | W_OK | X_OK) != 0)
		return cli_fail(cli, "%s: %s (for user %u)", data, strerror(errno), (unsigned)geteuid());
	return true;
}
