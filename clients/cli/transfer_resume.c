/*
 * transfer_resume.c: uploads in parts, of a file or of another object: one that was begun earlier and not ended is gone
 * on with. That is how one that was killed is resumed.
 *
 * One that is under way is nobody else's: an upload is locked on this machine by a name that its socket is bound to,
 * which goes when the process does, however it ends.
 */
#include "transfer.h"
#include "base/hash.h"
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* -1: somebody has it. The name is in no directory: nothing is left of it, and nobody has to be allowed to make it. */
static int
upload_lock(const struct s3_upload *upload)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	uint64_t hash = hash64(bytes_str(upload->id), hash64(bytes_str(upload->key), 0));
	int len = snprintf(at.sun_path + 1, sizeof(at.sun_path) - 1, "restfs-upload-%016" PRIx64, hash);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* An upload that has no part yet is left alone: whoever has just begun it may not have locked it. */
static bool
upload_take(struct worker *w, struct large *large, struct s3_upload *upload, large_part_fits *fits)
{
	struct s3_part *parts;
	size_t count;

	if (!s3_parts_list(w->conn, large->arena, upload, &parts, &count) || count == 0)
		return false;
	for (size_t i = 0; i < count; i++)
		if (parts[i].number == 0 || parts[i].number > large->parts ||
			parts[i].size != large_length(large, parts[i].number - 1) ||
			!fits(large, parts[i].number - 1, &parts[i]))
			return false;
	for (size_t i = 0; i < count; i++) {
		large->uploaded[parts[i].number - 1] = parts[i];
		upload->plain |= !parts[i].crc64nvme;
	}
	large->upload = *upload;
	return true;
}

static bool
upload_resume(struct worker *w, struct large *large, const struct s3_put *put, int64_t since_ns, large_part_fits *fits)
{
	struct s3_upload *begun;
	size_t count;

	if (!s3_uploads_list(w->conn, large->arena, put->bucket, put->key, true, &begun, &count))
		return false;
	while (count-- > 0) {
		if (begun[count].initiated_ns < since_ns)
			continue;
		large->lock = upload_lock(&begun[count]);
		if (large->lock >= 0 && upload_take(w, large, &begun[count], fits))
			return true;
		if (large->lock >= 0)
			close(large->lock);
		large->lock = -1;
	}
	return false;
}

bool
large_upload_begin(
	struct worker *w, struct large *large, const struct s3_put *put, int64_t since_ns, large_part_fits *fits)
{
	if (fits && upload_resume(w, large, put, since_ns, fits))
		return true;
	if (!s3_upload_create(w->conn, large->arena, put, &large->upload))
		return false;
	large->lock = upload_lock(&large->upload);
	return true;
}
