/* check_volumes.c: what is stored beside rows and blocks: the log that the index is rebuilt from; see check_int.h. */
#include "check/check_int.h"

static void
damage_found(void *data, uint64_t volume, const char *text)
{
	check_found(
		data, CHECK_VOLUME_DAMAGED, bytes_of(NULL, 0), "volume %016llx: %s", (unsigned long long)volume, text);
}

enum rfs_err
check_volumes(struct check *c)
{
	const struct volume_ops *volumes = c->storage->volumes;

	if (c->options->fast || !volumes || !volumes->verify)
		return RFS_OK;
	c->bucket = (struct bucket_row){.id = DOMAIN_BUCKET};
	c->bucket_name[0] = 0;
	check_arena(c);
	return volumes->verify(c->storage, &c->rq, damage_found, c);
}
