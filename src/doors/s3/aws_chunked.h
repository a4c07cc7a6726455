/*
 * aws_chunked.h: takes the `aws-chunked` framing off a body as it arrives, and verifies its chunk and trailer
 * signatures. [loop]
 *
 * Source: Amazon S3 API reference, "Transferring Payload in Multiple Chunks" and "Including Trailing Headers".
 *
 *     SIZE --line--> DATA --size bytes--> DATA_END --CRLF--> SIZE
 *     SIZE --"0"---> (no trailer)  LAST_END --CRLF--> DONE
 *     SIZE --"0"---> (trailer)     TRAILER --lines, empty line--> DONE
 *
 * A chunk may be larger than memory, so its data is handed on before its signature is verified: who takes it must not
 * publish the object before aws_chunked_finish has answered OK. Data is passed as parts of the slice that came in,
 * never copied; lines are copied into a buffer of at most 1 KiB (chunk header) or 16 KiB (all trailers).
 */
#ifndef DOORS_S3_AWS_CHUNKED_H
#define DOORS_S3_AWS_CHUNKED_H

#include "base/request.h"
#include "base/slice.h"
#include "managers/auth/sigv4.h"

#define AWS_CHUNKED_LINE_MAX 1024
#define AWS_CHUNKED_TRAILER_MAX (16 * 1024)
#define AWS_CHUNKED_LENGTH_UNKNOWN UINT64_MAX

struct aws_chunked;

struct aws_chunked_args {
	enum sigv4_payload payload;  /* one of PAYLOAD_STREAMING_* */
	const uint8_t *signing_key;  /* 32 bytes, copied; unused for PAYLOAD_STREAMING_UNSIGNED_TRAILER */
	struct bytes seed_signature; /* sigv4.signature; these three must outlive the decoder */
	struct bytes timestamp;      /* sigv4.timestamp */
	struct bytes scope;          /* sigv4.scope */
	uint64_t decoded_length;     /* x-amz-decoded-content-length */
	struct bytes trailer_names;  /* x-amz-trailer, may be empty: a list with commas; each named must come, and no
					other may */
};

/* Takes over the reference. An error stops the decoder, and comes back out of aws_chunked_feed. */
typedef enum rfs_err (*aws_chunked_sink)(void *context, struct slice part);

/* From `rq`'s arena; free also ends what is not the arena's. */
struct aws_chunked *aws_chunked_new(struct request *rq, const struct aws_chunked_args *args);
void aws_chunked_free(struct aws_chunked *d);

/*
 * `in` is borrowed. Errors, after which the decoder only repeats them: SIGNATURE_MISMATCH, INCOMPLETE_BODY (more data
 * than decoded_length), INVALID_ARGUMENT (framing), and the sink's.
 */
RFS_MUST_CHECK enum rfs_err aws_chunked_feed(
	struct aws_chunked *d, struct slice in, aws_chunked_sink sink, void *context);

/* The body has ended. INCOMPLETE_BODY: it stopped early or has not decoded_length bytes. OK: everything was verified.
 */
RFS_MUST_CHECK enum rfs_err aws_chunked_finish(struct aws_chunked *d);

/* A trailer's value, once finished; data NULL: it did not come. `name` in lower case. */
struct bytes aws_chunked_trailer(const struct aws_chunked *d, const char *name);

#endif
