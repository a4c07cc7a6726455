/*
 * auth_files.c: DATA/master.key and DATA/root-credentials: small secret files, mode 0600, that appear whole or not at
 * all. [init]
 */
#include "base/clock.h"
#include "base/log.h"
#include "managers/auth/auth_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define ERROR_SIZE 512
#define FILE_MAX 4096

static enum rfs_err
fail_errno(char *error, const char *attempt, const char *data, const char *name)
{
	enum rfs_err err = error_from_errno(errno);

	snprintf(error, ERROR_SIZE, "cannot %s %s/%s: %s", attempt, data, name, strerror(errno));
	return err;
}

/* Into `text`, at most FILE_MAX bytes; NOT_FOUND, and no `error`, when there is no such file. */
static enum rfs_err
secret_file_read(const char *data, const char *name, uint8_t *text, size_t *len, char *error)
{
	char path[4096];
	struct stat st;
	enum rfs_err err = RFS_OK;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", data, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? RFS_ERR_NOT_FOUND : fail_errno(error, "open", data, name);
	if (fstat(fd, &st) == 0 && (st.st_mode & 077) != 0)
		log_warn(0, "%s can be read by others (mode %04o): chmod 600 it", path, (unsigned)st.st_mode & 07777u);
	*len = 0;
	while (*len < FILE_MAX && (n = read(fd, text + *len, FILE_MAX - *len)) != 0) {
		if (n > 0)
			*len += (size_t)n;
		else if (errno != EINTR) {
			err = fail_errno(error, "read", data, name);
			break;
		}
	}
	close(fd);
	return err;
}

static bool
write_all(int fd, struct bytes v)
{
	while (v.len > 0) {
		ssize_t n = write(fd, v.data, v.len);

		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0)
			v = bytes_of(v.data + n, v.len - (size_t)n);
	}
	return true;
}

/* Written and synced under another name, then renamed, and the rename synced: power loss leaves all of it or nothing.
 */
static enum rfs_err
secret_file_create(const char *data, const char *name, struct bytes content, char *error)
{
	char temporary[64];
	enum rfs_err err = RFS_OK;
	int directory, fd = -1;

	snprintf(temporary, sizeof(temporary), "%s.new", name);
	directory = open(data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return fail_errno(error, "open the directory of", data, name);
	unlinkat(directory, temporary, 0);
	fd = openat(directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || !write_all(fd, content) || fsync(fd) != 0 ||
		renameat(directory, temporary, directory, name) != 0 || fsync(directory) != 0)
		err = fail_errno(error, "create", data, name);
	if (fd >= 0)
		close(fd);
	close(directory);
	return err;
}

enum rfs_err
master_key_load(const char *data, bool may_create, uint8_t out[MASTER_KEY_BYTES], char *error)
{
	uint8_t text[FILE_MAX];
	size_t len = 0;
	enum rfs_err err = secret_file_read(data, "master.key", text, &len, error);

	if (err == RFS_ERR_NOT_FOUND && may_create) {
		random_bytes(out, MASTER_KEY_BYTES);
		return secret_file_create(data, "master.key", bytes_of(out, MASTER_KEY_BYTES), error);
	}
	if (err == RFS_ERR_NOT_FOUND)
		snprintf(error, ERROR_SIZE, "%s/master.key is missing, and this store's secrets are sealed under it",
			data);
	if (err == RFS_OK && len != MASTER_KEY_BYTES) {
		snprintf(error, ERROR_SIZE, "%s/master.key has %zu bytes, not %d", data, len, MASTER_KEY_BYTES);
		err = RFS_ERR_DAMAGED;
	}
	if (err == RFS_OK)
		memcpy(out, text, MASTER_KEY_BYTES);
	explicit_bzero(text, sizeof(text));
	return err;
}

/* One "name=value" line into its field; false: neither name, or a value that cannot be. */
static bool
credentials_line(struct bytes line, struct root_credentials *out)
{
	size_t equals = bytes_find(line, '=', 0);
	struct bytes name, value;

	if (line.len == 0 || line.data[0] == '#')
		return true;
	if (equals == SIZE_MAX)
		return false;
	name = bytes_trimmed(bytes_sub(line, 0, equals));
	value = bytes_trimmed(bytes_sub(line, equals + 1, line.len));
	if (bytes_equal_str(name, "access_key") && access_key_is_valid(value)) {
		memcpy(out->access_key, value.data, value.len);
		out->access_key[value.len] = '\0';
	} else if (bytes_equal_str(name, "secret_key") && secret_is_valid(value)) {
		memcpy(out->secret_key, value.data, value.len);
		out->secret_key[value.len] = '\0';
	} else
		return false;
	return true;
}

static enum rfs_err
credentials_parse(struct bytes text, const char *data, struct root_credentials *out, char *error)
{
	size_t at = 0, number = 1;

	for (; at < text.len; number++) {
		size_t end = bytes_find(text, '\n', at);

		if (end == SIZE_MAX)
			end = text.len;
		if (!credentials_line(bytes_trimmed(bytes_sub(text, at, end - at)), out)) {
			snprintf(error, ERROR_SIZE,
				"%s/root-credentials:%zu: not a valid access_key= or secret_key= line", data, number);
			return RFS_ERR_INVALID_ARGUMENT;
		}
		at = end + 1;
	}
	if (!out->access_key[0] || !out->secret_key[0]) {
		snprintf(error, ERROR_SIZE, "%s/root-credentials lacks its %s line", data,
			out->access_key[0] ? "secret_key=" : "access_key=");
		return RFS_ERR_INVALID_ARGUMENT;
	}
	return RFS_OK;
}

enum rfs_err
root_credentials_load(const char *data, struct root_credentials *out, char *error)
{
	uint8_t text[FILE_MAX];
	size_t len = 0;
	enum rfs_err err = secret_file_read(data, "root-credentials", text, &len, error);

	*out = (struct root_credentials){0};
	if (err == RFS_ERR_NOT_FOUND) {
		access_key_generate(out->access_key, GENERATED_ACCESS_KEY);
		secret_generate(out->secret_key, GENERATED_SECRET);
		len = (size_t)snprintf(
			(char *)text, sizeof(text), "access_key=%s\nsecret_key=%s\n", out->access_key, out->secret_key);
		err = secret_file_create(data, "root-credentials", bytes_of(text, len), error);
	} else if (err == RFS_OK)
		err = credentials_parse(bytes_of(text, len), data, out, error);
	explicit_bzero(text, sizeof(text));
	return err;
}
