/*
 * s3_profile.c: where the endpoint and the keys come from.
 *
 * Each source fills in what no source before it had. Keys go together: an access key is never used with the secret or
 * the token of another source, and half of a pair is an error.
 */
#include "s3/s3_client.h"
#include "base/config_file.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* What is known so far, and of which profile. */
struct search {
	struct arena *arena;
	struct s3_profile found;
	const char *profile; /* that is looked for */
	const char *initial; /* which our own file says is used when none is named */
	bool has_profile;    /* a file has it */
	char *error;
};

/* One source. */
struct source {
	const char *endpoint, *region, *access_key, *secret_key, *session_token, *ca_bundle;
};

/* False: half of a pair of keys, in `where`. */
static bool
source_use(struct search *s, const struct source *from, const char *where)
{
	struct s3_profile *found = &s->found;

	if (!found->endpoint)
		found->endpoint = from->endpoint;
	if (!found->region)
		found->region = from->region;
	if (!found->ca_bundle)
		found->ca_bundle = from->ca_bundle;
	if (found->access_key || (!from->access_key && !from->secret_key))
		return true;
	if (!from->access_key || !from->secret_key) {
		snprintf(s->error, S3_ERROR_BYTES, "%s: there is %s", where,
			from->access_key ? "an access key, but no secret key" : "a secret key, but no access key");
		return false;
	}
	found->access_key = from->access_key;
	found->secret_key = from->secret_key;
	found->session_token = from->session_token;
	return true;
}

/* NULL also where it is empty. */
static const char *
environment(const char *name)
{
	const char *value = getenv(name);

	return value && value[0] ? value : NULL;
}

static const char *
first_of(const char *a, const char *b)
{
	return a ? a : b;
}

static bool
environment_use(struct search *s)
{
	struct source from = {
		.endpoint = first_of(environment("AWS_ENDPOINT_URL_S3"), environment("AWS_ENDPOINT_URL")),
		.region = first_of(environment("AWS_REGION"), environment("AWS_DEFAULT_REGION")),
		.access_key = environment("AWS_ACCESS_KEY_ID"),
		.secret_key = environment("AWS_SECRET_ACCESS_KEY"),
		.session_token = environment("AWS_SESSION_TOKEN"),
		.ca_bundle = first_of(environment("AWS_CA_BUNDLE"), environment("SSL_CERT_FILE")),
	};

	return source_use(s, &from, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
}

/* `variable`, or `rest` in the home directory; NULL: there is neither. */
static const char *
file_path(struct arena *arena, const char *variable, const char *rest)
{
	const char *path = environment(variable), *home = environment("HOME");

	if (path)
		return path;
	return home ? arena_printf(arena, "%s/%s", home, rest) : NULL;
}

/* --- ~/.config/restfs/config -------------------------------------------------------------------------------------- */

/* The settings of one profile, while the file is walked. */
struct own_file {
	struct search *search;
	struct source source;
};

/* The field that a name stands for; NULL: none. */
static const char **
source_field(struct source *s, const char *name)
{
	const struct {
		const char *name;
		const char **field;
	} fields[] = {
		{"endpoint", &s->endpoint},
		{"region", &s->region},
		{"access_key", &s->access_key},
		{"secret_key", &s->secret_key},
		{"session_token", &s->session_token},
		{"ca_bundle", &s->ca_bundle},
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (strcmp(fields[i].name, name) == 0)
			return fields[i].field;
	return NULL;
}

/* "profiles.NAME.setting" -> NAME's setting; NULL: it is of another profile, or of none. */
static const char *
own_setting(const struct own_file *f, const char *path)
{
	size_t len = strlen(f->search->profile);

	if (strncmp(path, "profiles.", 9) != 0 || strncmp(path + 9, f->search->profile, len) != 0)
		return NULL;
	return path[9 + len] == '.' ? path + 10 + len : NULL;
}

static bool
own_value(void *context, const char *path, const struct config_value *value, const char *place, char *error)
{
	struct own_file *f = context;
	const char *setting = own_setting(f, path), **field;

	if (!setting)
		return true;
	field = source_field(&f->source, setting);
	if (!field || value->kind != CONFIG_VALUE_STRING) {
		snprintf(error, CONFIG_ERROR_BYTES,
			"%s: a profile has endpoint, region, access_key, secret_key, session_token and ca_bundle, all "
			"texts",
			path);
		return false;
	}
	*field = value->string[0] ? arena_str(f->search->arena, bytes_str(value->string)) : NULL;
	return true;
}

static bool
own_group(void *context, const char *path, char *error)
{
	struct own_file *f = context;

	if (strncmp(path, "profiles.", 9) == 0 && strcmp(path + 9, f->search->profile) == 0)
		f->search->has_profile = true;
	return true;
}

/* The setting `profile` names the one that is used when none is named. */
static bool
initial_value(void *context, const char *path, const struct config_value *value, const char *place, char *error)
{
	struct search *s = context;

	if (strcmp(path, "profile") == 0 && value->kind == CONFIG_VALUE_STRING)
		s->initial = arena_str(s->arena, bytes_str(value->string));
	return true;
}

static bool
any_group(void *context, const char *path, char *error)
{
	return true;
}

/* NULL: there is no such file. */
static const char *
own_path(struct arena *arena)
{
	const char *base = file_path(arena, "XDG_CONFIG_HOME", ".config");
	const char *path = base ? arena_printf(arena, "%s/restfs/config", base) : NULL;
	struct buf text;
	bool is_there;

	buf_init(&text, NULL);
	is_there = path && (config_file_load(path, &text) || errno != ENOENT);
	buf_fini(&text);
	return is_there ? path : NULL;
}

static bool
own_file_use(struct search *s, bool is_named)
{
	struct own_file f = {.search = s};
	struct config_visitor initial = {initial_value, any_group, s}, visitor = {own_value, own_group, &f};
	const char *path = own_path(s->arena), *profile = s->profile, *where;

	if (!path)
		return true;
	if (!is_named) {
		if (!config_file_walk(path, &initial, s->error))
			return false;
		s->profile = first_of(s->initial, "default");
	}
	if (!config_file_walk(path, &visitor, s->error))
		return false;
	where = arena_printf(s->arena, "profile %s in %s", s->profile, path);
	s->profile = profile;
	return source_use(s, &f.source, where);
}

/* --- AWS's files -------------------------------------------------------------------------------------------------- */

static bool
aws_section_is(struct bytes line, const char *profile)
{
	struct bytes name = bytes_trimmed(bytes_sub(line, 1, line.len));

	if (name.len == 0 || name.data[name.len - 1] != ']')
		return false;
	name = bytes_trimmed(bytes_sub(name, 0, name.len - 1));
	if (bytes_starts_with(name, BYTES_LITERAL("profile ")))
		name = bytes_trimmed(bytes_sub(name, 8, name.len));
	return bytes_equal_str(name, profile);
}

static const char **
aws_field(struct source *s, struct bytes name)
{
	static const char *const names[][2] = {
		{"aws_access_key_id", "access_key"},
		{"aws_secret_access_key", "secret_key"},
		{"aws_session_token", "session_token"},
		{"endpoint_url", "endpoint"},
		{"region", "region"},
		{"ca_bundle", "ca_bundle"},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (bytes_equal_str(name, names[i][0]))
			return source_field(s, names[i][1]);
	return NULL;
}

/* "name = value"; settings that are indented belong to one before them, which is none of ours. */
static void
aws_line(struct search *s, struct source *from, struct bytes line)
{
	size_t equals = bytes_find(line, '=', 0);
	const char **field;
	struct bytes value;

	if (equals == SIZE_MAX || line.data[0] == ' ' || line.data[0] == '\t' || line.data[0] == '#')
		return;
	field = aws_field(from, bytes_trimmed(bytes_sub(line, 0, equals)));
	value = bytes_trimmed(bytes_sub(line, equals + 1, line.len));
	if (field && value.len > 0)
		*field = arena_str(s->arena, value);
}

static void
aws_file_read(struct search *s, const char *path, struct source *from)
{
	bool is_ours = false;
	struct buf text;
	size_t at = 0;

	buf_init(&text, NULL);
	if (!path || !config_file_load(path, &text))
		goto out;
	while (at < text.len) {
		size_t end = bytes_find(buf_bytes(&text), '\n', at);
		struct bytes line = bytes_sub(buf_bytes(&text), at, (end == SIZE_MAX ? text.len : end) - at);

		at += line.len + 1;
		if (line.len > 0 && line.data[0] == '[') {
			is_ours = aws_section_is(line, s->profile);
			s->has_profile |= is_ours;
		} else if (is_ours && line.len > 0)
			aws_line(s, from, line);
	}
out:
	buf_fini(&text);
}

static bool
aws_files_use(struct search *s)
{
	struct source from = {0};

	aws_file_read(s, file_path(s->arena, "AWS_CONFIG_FILE", ".aws/config"), &from);
	aws_file_read(s, file_path(s->arena, "AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"), &from);
	return source_use(s, &from, arena_printf(s->arena, "profile %s in AWS's files", s->profile));
}

/* --- all together ------------------------------------------------------------------------------------------------- */

/* Scheme, host and perhaps a port; a slash behind it is taken off. */
static bool
endpoint_check(struct search *s)
{
	const char *url = s->found.endpoint, *host = strstr(url, "://");
	size_t len = strlen(url);

	while (len > 0 && url[len - 1] == '/')
		len--;
	s->found.endpoint = arena_str(s->arena, bytes_of(url, len));
	if ((strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0) && host[3] &&
		!strpbrk(s->found.endpoint + (host - url) + 3, "/?#@ "))
		return true;
	snprintf(s->error, S3_ERROR_BYTES, "an endpoint is http://HOST:PORT or https://HOST:PORT, not %s", url);
	return false;
}

static bool
sources_use(struct search *s, bool is_named)
{
	if ((!is_named && !environment_use(s)) || !own_file_use(s, is_named) || !aws_files_use(s))
		return false;
	if (is_named && !s->has_profile) {
		snprintf(s->error, S3_ERROR_BYTES,
			"there is no profile %s in ~/.config/restfs/config, ~/.aws/config or ~/.aws/credentials",
			s->profile);
		return false;
	}
	return !is_named || environment_use(s);
}

bool
s3_profile_load(struct arena *arena, const char *profile, const char *endpoint, struct s3_profile *out,
	char error[S3_ERROR_BYTES])
{
	struct search s = {.arena = arena, .found = {.endpoint = endpoint}, .profile = profile, .error = error};

	if (!profile)
		s.profile =
			first_of(first_of(environment("AWS_PROFILE"), environment("AWS_DEFAULT_PROFILE")), "default");
	if (!sources_use(&s, profile != NULL))
		return false;
	if (!s.found.region)
		s.found.region = "us-east-1";
	s.found.is_amazon = !s.found.endpoint;
	if (s.found.is_amazon)
		s.found.endpoint = arena_printf(arena, "https://s3.%s.amazonaws.com", s.found.region);
	if (!endpoint_check(&s))
		return false;
	*out = s.found;
	return true;
}
