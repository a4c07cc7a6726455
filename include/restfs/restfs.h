/*
 * restfs.h: what every part of restfs, and every program that embeds it, shares: the error codes.
 *
 * errors.def is the only list of errors. RFS_OK is 0; numbers are stable across releases.
 */
#ifndef RESTFS_RESTFS_H
#define RESTFS_RESTFS_H

enum rfs_err {
	RFS_OK = 0,
#define RFS_ERROR(name, number, text, retry, http, s3_code, swift, rpc, posix, ftp, ntstatus) RFS_ERR_##name = number,
#include "restfs/errors.def"
#undef RFS_ERROR
};

/* Functions that can fail return enum rfs_err, and their caller must look at it. */
#define RFS_MUST_CHECK __attribute__((warn_unused_result))

#endif
