/* errors.c: the table behind errors.h, made from errors.def. [any] */
#include "base/errors.h"
#include <errno.h>
#include <stddef.h>

/* By number; the numbers that nobody has are empty rows. */
static const struct error_face faces[] = {
	[RFS_OK] = {RFS_OK, "OK", "It worked", false, 200, "OK", 200, 0, 0, 200, 0},
#define RFS_ERROR(name, number, text, retry, http, s3_code, swift, rpc, posix, ftp, ntstatus) \
	[number] = {RFS_ERR_##name, #name, text, retry, http, s3_code, swift, rpc, posix, ftp, ntstatus},
#include "restfs/errors.def"
#undef RFS_ERROR
};

const struct error_face *
error_face(enum rfs_err error)
{
	size_t number = (size_t)error;

	if (number >= sizeof(faces) / sizeof(faces[0]) || faces[number].name == NULL)
		number = RFS_ERR_INTERNAL;
	return &faces[number];
}

enum rfs_err
error_from_errno(int error_number)
{
	switch (error_number) {
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return RFS_ERR_NO_SPACE;
	/* Rights and mounts that fail us are the administrator's business, never an answer of "access denied" to a
	 * client. */
	case EIO:
	case EROFS:
	case EACCES:
	case EPERM:
	case ENXIO:
	case ENODEV:
	case ESTALE:
	case ETIMEDOUT:
		return RFS_ERR_IO;
	case ENOENT:
		return RFS_ERR_NOT_FOUND;
	case EEXIST:
		return RFS_ERR_EXISTS;
	case ENOTDIR:
		return RFS_ERR_NOT_DIRECTORY;
	case EISDIR:
		return RFS_ERR_IS_DIRECTORY;
	case ENOTEMPTY:
		return RFS_ERR_NOT_EMPTY;
	case ENAMETOOLONG:
		return RFS_ERR_NAME_TOO_LONG;
	case EAGAIN:
		return RFS_ERR_WOULD_BLOCK;
	case EBUSY:
		return RFS_ERR_LOCKED;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
		return RFS_ERR_SLOW_DOWN;
	case ECANCELED:
		return RFS_ERR_CANCELLED;
	default:
		return RFS_ERR_INTERNAL;
	}
}
