/*
 * errors.h: looking up what errors.def says of an error. Doors look up; they do not invent. [any]
 */
#ifndef BASE_ERRORS_H
#define BASE_ERRORS_H

#include "restfs/restfs.h"
#include <stdbool.h>
#include <stdint.h>

/* One error's face at each door. */
struct error_face {
	enum rfs_err error;
	const char *name;     /* NO_SUCH_KEY */
	const char *text;     /* one sentence for people */
	bool retryable;       /* the same call may succeed later, unchanged */
	int http;             /* HTTP status at the S3 door and wherever HTTP has no better one */
	const char *s3_code;  /* Amazon S3 API reference, "Error responses" */
	int swift;            /* HTTP status at the Swift door */
	int rpc;              /* JSON-RPC 2.0 error code */
	int posix;            /* errno */
	int ftp;              /* RFC 959 reply */
	uint32_t ntstatus;    /* [MS-ERREF] 2.3 */
};

/* Never NULL: an unknown number has the face of INTERNAL. RFS_OK has a face with status 200. */
const struct error_face *error_face(enum rfs_err error);
/* errno -> the error that a failed system call on our own files means (ENOSPC -> NO_SPACE, EIO -> IO, ...). */
enum rfs_err error_from_errno(int error_number);

#endif
