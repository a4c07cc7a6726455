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
#include <strings.h>
#include <unistd.h>

/* What is known so far, and of which profile. */
struct search {
	struct arena *arena;
	struct s3_profile found;
	const char *profile; /* that is looked for */
	const char *initial; /* which our own file says is used when none is named */
	bool has_profile;    /* a file has it */
	bool ignores;        /* endpoints of AWS's environment and files */
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
		.endpoint = s->ignores ? NULL
				       : first_of(environment("AWS_ENDPOINT_URL_S3"), environment("AWS_ENDPOINT_URL")),
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

/* NULL: there is no such file, as far as can be seen: a service's home is often none of its own. */
static const char *
own_path(struct arena *arena)
{
	const char *base = file_path(arena, "XDG_CONFIG_HOME", ".config");
	const char *path = base ? arena_printf(arena, "%s/restfs/config", base) : NULL;

	if (path && access(path, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR || errno == EACCES))
		path = NULL; /* none is there, or nobody let us look; of anything else whoever reads it tells */
	return path;
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

/* What AWS's files say of the profile. */
struct aws_files {
	struct buf texts[2];
	struct source source;
	const char *services;         /* the section with endpoints of single services; NULL: none */
	const char *service_endpoint; /* that of S3 in it */
	const char *ignores;          /* "true": no endpoint but the command line's, and our own file's */
	bool has_services;            /* there is that section */
	bool in_s3;                   /* lines that are indented are of S3 */
};

/* "[profile NAME]", "[services NAME]"; of a profile "[NAME]", too. */
static bool
aws_section_is(struct bytes line, const char *kind, const char *name)
{
	struct bytes text = bytes_trimmed(bytes_sub(line, 1, line.len));
	bool has_kind;

	if (text.len == 0 || text.data[text.len - 1] != ']')
		return false;
	text = bytes_trimmed(bytes_sub(text, 0, text.len - 1));
	has_kind = bytes_starts_with(text, bytes_str(kind));
	if (has_kind)
		text = bytes_trimmed(bytes_sub(text, strlen(kind), text.len));
	return (has_kind || strcmp(kind, "profile ") == 0) && bytes_equal_str(text, name);
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

static bool
is_indented(struct bytes line)
{
	return line.data[0] == ' ' || line.data[0] == '\t';
}

/* "name = value"; false: it is none. */
static bool
aws_setting(struct bytes line, struct bytes *name, struct bytes *value)
{
	size_t equals = bytes_find(line, '=', 0);

	if (equals == SIZE_MAX)
		return false;
	*name = bytes_trimmed(bytes_sub(line, 0, equals));
	*value = bytes_trimmed(bytes_sub(line, equals + 1, line.len));
	return name->len > 0 && name->data[0] != '#' && name->data[0] != ';';
}

/* Of a profile; settings that are indented belong to one before them, which is none of ours. */
static void
profile_line(struct search *s, struct aws_files *f, struct bytes line)
{
	const char **field;
	struct bytes name, value;

	if (is_indented(line) || !aws_setting(line, &name, &value))
		return;
	field = bytes_equal_str(name, "services")                          ? &f->services
		: bytes_equal_str(name, "ignore_configured_endpoint_urls") ? &f->ignores
									   : aws_field(&f->source, name);
	if (field && value.len > 0)
		*field = arena_str(s->arena, value);
}

/* "s3 =", and indented behind it "endpoint_url = URL". */
static void
services_line(struct search *s, struct aws_files *f, struct bytes line)
{
	struct bytes name, value;

	if (!aws_setting(line, &name, &value))
		return;
	if (!is_indented(line))
		f->in_s3 = bytes_equal_str(name, "s3");
	else if (f->in_s3 && bytes_equal_str(name, "endpoint_url") && value.len > 0)
		f->service_endpoint = arena_str(s->arena, value);
}

/* The lines of a section, in both files. False: neither has it. */
static bool
aws_section_walk(struct search *s, struct aws_files *f, const char *kind, const char *name,
	void (*take)(struct search *s, struct aws_files *f, struct bytes line))
{
	bool found = false;

	for (size_t i = 0; i < 2; i++) {
		struct bytes text = buf_bytes(&f->texts[i]);
		bool is_in = false;

		for (size_t at = 0; at < text.len;) {
			size_t end = bytes_find(text, '\n', at);
			struct bytes line = bytes_sub(text, at, (end == SIZE_MAX ? text.len : end) - at);

			at += line.len + 1;
			if (line.len > 0 && line.data[0] == '[') {
				found |= is_in = aws_section_is(line, kind, name);
				f->in_s3 = false;
			} else if (is_in && line.len > 0)
				take(s, f, line);
		}
	}
	return found;
}

static void
aws_files_read(struct search *s, struct aws_files *f)
{
	const char *const paths[] = {file_path(s->arena, "AWS_CONFIG_FILE", ".aws/config"),
		file_path(s->arena, "AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials")};

	*f = (struct aws_files){0};
	for (size_t i = 0; i < 2; i++) {
		buf_init(&f->texts[i], NULL);
		if (paths[i])
			(void)config_file_load(paths[i], &f->texts[i]);
	}
	s->has_profile |= aws_section_walk(s, f, "profile ", s->profile, profile_line);
	if (f->services)
		f->has_services = aws_section_walk(s, f, "services ", f->services, services_line);
	for (size_t i = 0; i < 2; i++)
		buf_fini(&f->texts[i]);
}

/* An endpoint of S3 alone goes before one of all services. */
static bool
aws_files_use(struct search *s, const struct aws_files *f)
{
	struct source from = f->source;

	from.endpoint = s->ignores ? NULL : first_of(f->service_endpoint, from.endpoint);
	if (f->services && !f->has_services && !s->ignores && !s->found.endpoint) {
		snprintf(s->error, S3_ERROR_BYTES, "profile %s in AWS's files: there is no section [services %s]",
			s->profile, f->services);
		return false;
	}
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
	struct aws_files aws;
	const char *ignores;

	aws_files_read(s, &aws);
	ignores = first_of(environment("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"), aws.ignores);
	s->ignores = ignores && strcasecmp(ignores, "true") == 0;
	if ((!is_named && !environment_use(s)) || !own_file_use(s, is_named) || !aws_files_use(s, &aws))
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
