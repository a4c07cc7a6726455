/*
 * s3_attempt.c: one request, once: its lines, its signature, its body, and what came back.
 *
 * Small bodies go with the head in one write. No Expect: 100-continue: the wait costs more than a body that is refused.
 */
#include "s3/s3_client_int.h"
#include "base/clock.h"
#include "base/hash.h"
#include "managers/auth/sigv4.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#define HEADERS_OWN 2         /* of a request, besides those of the caller */
#define HEADERS_FIRST 64      /* of an answer; there may be more */
#define HEAD_MAX (256 * 1024) /* of an answer, with those before it, as 100 Continue */
#define ANSWER_BODY_MAX (64 * 1024 * 1024)
#define ERROR_BODY_MAX (1024 * 1024)
#define SKEW_TOLERATED_NS (5 * 60 * NS_PER_SECOND)
#define POSTED_MAX (1024 * 1024) /* longer bodies go through the callback, which heeds the rate */

static const uint8_t sha256_of_nothing[32] = {0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8,
	0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52,
	0xb8, 0x55};

/* What the callbacks of one attempt share. */
struct exchange {
	struct s3_conn *conn;
	struct arena *arena; /* the caller's */
	const struct s3_request *request;
	struct s3_answer *answer;
	struct buf body;  /* of the answer, where it goes nowhere else */
	size_t head_len;  /* of the answer */
	size_t header_room;
	uint64_t sent;    /* of the request's body */
	bool has_begun;   /* request->begin was called */
	bool is_given_up; /* by a callback of the caller, or by ours */
	struct curl_slist *lines;
	struct curl_slist **last_line;
	char *url;
};

/* --- the head ----------------------------------------------------------------------------------------------------- */

/* A line of the head; libcurl only reads the list, so it is the arena's. */
static void
line_put(struct exchange *x, const char *text)
{
	struct curl_slist *line = ARENA_NEW(x->conn->scratch, struct curl_slist);

	line->data = (char *)text;
	*x->last_line = line;
	x->last_line = &line->next;
}

/* "Name;" is how libcurl is told of an empty value. */
static void
line_add(struct exchange *x, const char *name, const char *value)
{
	line_put(x, value[0] ? arena_printf(x->conn->scratch, "%s: %s", name, value)
			     : arena_printf(x->conn->scratch, "%s;", name));
}

static bool
has_content_type(const struct s3_request *r)
{
	for (size_t i = 0; i < r->header_count; i++)
		if (strcmp(r->headers[i].name, "content-type") == 0)
			return true;
	return false;
}

static bool
body_digest(struct exchange *x, uint8_t space[32], const uint8_t **out)
{
	*out = sha256_of_nothing;
	if (!x->request->body)
		return true;
	*out = NULL;
	if (!x->conn->client->sign_payload)
		return true;
	*out = space;
	return s3_body_sha256(x->conn, x->request->body, space);
}

static size_t
headers_collect(struct exchange *x, struct sigv4_header *out)
{
	const struct s3_profile *profile = &x->conn->client->profile;
	size_t count = 0;

	out[count++] = (struct sigv4_header){BYTES_LITERAL("host"), bytes_str(x->conn->client->authority)};
	if (profile->session_token)
		out[count++] =
			(struct sigv4_header){BYTES_LITERAL("x-amz-security-token"), bytes_str(profile->session_token)};
	for (size_t i = 0; i < x->request->header_count; i++)
		out[count++] = (struct sigv4_header){
			bytes_str(x->request->headers[i].name), bytes_str(x->request->headers[i].value)};
	for (size_t i = 0; i < count; i++)
		line_add(x, (const char *)out[i].name.data, (const char *)out[i].value.data);
	return count;
}

static bool
sign(struct exchange *x, struct bytes path)
{
	const struct s3_profile *profile = &x->conn->client->profile;
	struct sigv4_header *headers =
		ARENA_ARRAY(x->conn->scratch, struct sigv4_header, x->request->header_count + HEADERS_OWN);
	struct sigv4_signed made;
	uint8_t digest[32];
	struct sigv4_request r = {
		.method = bytes_str(x->request->method),
		.path = path,
		.query = bytes_str(x->request->query),
		.headers = headers,
		.header_count = headers_collect(x, headers),
		.now_ns = clock_wall_ns(),
		.service = "s3",
		.region = bytes_str(profile->region),
	};

	if (!profile->access_key)
		return true;
	if (x->conn->has_skew && llabs(x->conn->skew_ns) > SKEW_TOLERATED_NS)
		r.now_ns += x->conn->skew_ns;
	if (!body_digest(x, digest, &r.body_sha256))
		return false;
	if (!sigv4_sign(x->conn->scratch, &r, bytes_str(profile->access_key), bytes_str(profile->secret_key), &made))
		return s3_conn_fail(x->conn, "the request cannot be signed");
	line_add(x, "x-amz-date", made.x_amz_date);
	line_add(x, "x-amz-content-sha256", made.x_amz_content_sha256);
	line_add(x, "authorization", made.authorization);
	return true;
}

static bool
head_make(struct exchange *x)
{
	const struct s3_request *r = x->request;
	struct bytes path = s3_path_encoded(x->conn->scratch, r->bucket, r->key);

	x->url = arena_printf(x->conn->scratch, "%s%.*s%s%s", x->conn->client->profile.endpoint, (int)path.len,
		(const char *)path.data, r->query ? "?" : "", r->query ? r->query : "");
	if (!sign(x, path))
		return false;
	if (r->body) {
		line_put(x, "Expect:"); /* none of libcurl's own */
		if (!has_content_type(r))
			line_put(x, "Content-Type:");
	}
	return true;
}

/* --- the body that is sent ---------------------------------------------------------------------------------------- */

static uint64_t
body_len(const struct s3_body *body)
{
	return body->bytes.data ? body->bytes.len : body->len;
}

static ssize_t
body_read(struct exchange *x, char *out, size_t len)
{
	const struct s3_body *body = x->request->body;
	uint64_t left = body_len(body) - x->sent;
	ssize_t n;

	if (len > left)
		len = (size_t)left;
	if (body->bytes.data) {
		memcpy(out, body->bytes.data + x->sent, len); /* into libcurl's buffer, which is what it takes */
		return (ssize_t)len;
	}
	if (len == 0)
		return 0;
	do
		n = pread(body->fd, out, len, (off_t)(body->offset + x->sent));
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		s3_conn_fail(x->conn,
			n < 0 ? "the file cannot be read: %s" : "the file became shorter while it was read",
			strerror(errno));
	return n > 0 ? n : -1;
}

static void
sent_set(struct exchange *x, uint64_t sent)
{
	const struct s3_body *body = x->request->body;

	if (body && body->sent)
		body->sent(body->sent_data, (int64_t)(sent - x->sent));
	x->sent = sent;
}

static size_t
on_read(char *out, size_t size, size_t count, void *data)
{
	struct exchange *x = data;
	ssize_t n = body_read(x, out, size * count);

	if (n < 0 || !s3_rate_take(x->conn->client, (size_t)n)) {
		x->is_given_up = true;
		return CURL_READFUNC_ABORT;
	}
	sent_set(x, x->sent + (uint64_t)n);
	return (size_t)n;
}

/* libcurl begins again when a connection that it kept turns out to be closed. */
static int
on_seek(void *data, curl_off_t offset, int origin)
{
	struct exchange *x = data;

	if (origin != SEEK_SET)
		return CURL_SEEKFUNC_CANTSEEK;
	sent_set(x, (uint64_t)offset);
	return CURL_SEEKFUNC_OK;
}

/* False: stopped while it waited for its turn. */
static bool
body_set(struct exchange *x)
{
	const struct s3_body *body = x->request->body;
	CURL *curl = x->conn->curl;

	if (body->bytes.data && body->bytes.len <= POSTED_MAX) {
		curl_easy_setopt(curl, CURLOPT_POST, 1L);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, (const char *)body->bytes.data);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->bytes.len);
		return s3_rate_take(x->conn->client, body->bytes.len);
	}
	curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)body_len(body));
	curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
	curl_easy_setopt(curl, CURLOPT_READDATA, x);
	curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, on_seek);
	curl_easy_setopt(curl, CURLOPT_SEEKDATA, x);
	return true;
}

/* --- what comes back ---------------------------------------------------------------------------------------------- */

/* A header may go into another request: no line may begin in the middle of it. */
static bool
is_one_line(struct bytes text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((text.data[i] < ' ' && text.data[i] != '\t') || text.data[i] == 0x7f)
			return false;
	return true;
}

static bool
header_keep(struct exchange *x, struct bytes line)
{
	size_t colon = bytes_find(line, ':', 0);
	struct s3_answer *answer = x->answer;
	struct s3_header *h;
	char *name;

	if (colon == SIZE_MAX)
		return true;
	if (!is_one_line(xml_trim(line)))
		return s3_conn_fail(x->conn, "the server's answer has a header with control characters");
	if (answer->header_count == x->header_room) {
		x->header_room *= 2;
		h = ARENA_ARRAY(x->arena, struct s3_header, x->header_room);
		memcpy(h, answer->headers, answer->header_count * sizeof(*h));
		answer->headers = h;
	}
	h = &answer->headers[answer->header_count++];
	h->name = name = arena_str(x->arena, bytes_sub(line, 0, colon));
	for (; *name; name++)
		*name = (char)(*name >= 'A' && *name <= 'Z' ? *name + 32 : *name);
	h->value = arena_str(x->arena, xml_trim(bytes_sub(line, colon + 1, line.len)));
	return true;
}

/* One line of the head. A status line begins another answer, as after 100 Continue. */
static size_t
on_header(char *text, size_t size, size_t count, void *data)
{
	struct exchange *x = data;
	struct bytes line = bytes_of(text, size * count);

	x->head_len += line.len;
	if (x->head_len > HEAD_MAX) {
		s3_conn_fail(x->conn, "the server's answer is too long: its head has no end");
		x->is_given_up = true;
		return 0;
	}
	if (line.len > 12 && memcmp(text, "HTTP/", 5) == 0) {
		x->answer->status = strtol(text + 9, NULL, 10);
		x->answer->header_count = 0;
	} else if (!header_keep(x, line)) {
		x->is_given_up = true;
		return 0;
	}
	return size * count;
}

static bool
is_success(const struct s3_answer *answer)
{
	return answer->status >= 200 && answer->status < 300;
}

/* Once, when the head is known. */
static bool
begin(struct exchange *x)
{
	if (x->has_begun || !is_success(x->answer))
		return true;
	x->has_begun = true;
	return !x->request->begin || x->request->begin(x->request->data, x->answer);
}

static bool
part_take(struct exchange *x, struct bytes part)
{
	if (!begin(x) || !s3_rate_take(x->conn->client, part.len))
		return false;
	if (is_success(x->answer) && x->request->receive)
		return x->request->receive(x->request->data, part);
	if (x->body.len + part.len > (is_success(x->answer) ? ANSWER_BODY_MAX : ERROR_BODY_MAX))
		return s3_conn_fail(x->conn, "the server's answer is too long (%ld)", x->answer->status);
	buf_put_bytes(&x->body, part);
	return true;
}

static size_t
on_body(char *data, size_t size, size_t count, void *context)
{
	struct exchange *x = context;

	if (part_take(x, bytes_of(data, size * count)))
		return size * count;
	x->is_given_up = true;
	return 0;
}

/* --- what it means ------------------------------------------------------------------------------------------------ */

/* The server's clock, by its Date. */
static void
skew_note(struct s3_conn *conn, const struct s3_answer *answer)
{
	const char *date = s3_answer_header(answer, "date");
	int64_t ns;

	if (!date || !date_parse_http(bytes_str(date), &ns))
		return;
	conn->skew_ns = ns + NS_PER_SECOND / 2 - clock_wall_ns();
	conn->has_skew = true;
}

static bool
is_transient(const struct s3_conn *conn, long status)
{
	static const char *const codes[] = {"RequestTimeout", "BadDigest", "XAmzContentSHA256Mismatch",
		"IncompleteBody", "RequestTimeTooSkewed", "OperationAborted"};

	if (status == 429 || status == 408 || (status >= 500 && status != 501 && status != 505))
		return true;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (strcmp(conn->failure.code, codes[i]) == 0)
			return true;
	return false;
}

/* The answer is no document of S3's: its status, and the first line of what is plain text. */
static void
status_say(struct exchange *x)
{
	const char *type = s3_answer_header(x->answer, "content-type");
	struct bytes text = type && strncmp(type, "text/plain", 10) == 0 ? x->answer->body : bytes_of("", 0);
	long status = x->answer->status;

	if (text.len > 0) {
		s3_conn_fail(x->conn, "the server answered %ld: %.*s", status,
			(int)strcspn((const char *)text.data, "\r\n"), (const char *)text.data);
		return;
	}
	s3_conn_fail(x->conn, "the server answered %ld%s", status,
		status == 404   ? ": there is no such thing"
		: status == 403 ? ": access denied"
		: status == 412 ? ": it is not what it was expected to be"
				: "");
	/* Errors that pass are those of proxies, too; and without a body, as that of HEAD, it may be anybody's. */
	if (status >= 400 && !is_transient(x->conn, status) && x->answer->body.len > 0)
		s3_foreign_say(x->conn, x->answer);
}

static bool
refused(struct exchange *x, struct s3_outcome *outcome)
{
	const char *after = s3_answer_header(x->answer, "retry-after");
	long seconds = after ? strtol(after, NULL, 10) : 0; /* less than none is no answer */
	struct s3_conn *conn = x->conn;

	sent_set(x, 0);
	conn->failure.status = x->answer->status;
	if (!s3_failure_read(conn, x->answer->body))
		status_say(x);
	if (x->answer->status == 403 && !conn->client->profile.access_key)
		s3_failure_add(conn, " (no key was given: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile)");
	outcome->may_repeat = is_transient(conn, x->answer->status);
	if (seconds > 0 && __builtin_mul_overflow(seconds, NS_PER_SECOND, &outcome->wait_ns))
		outcome->wait_ns = INT64_MAX; /* whoever rests has a bound of his own */
	return false;
}

/* What may help, behind libcurl's text. */
static const char *
remedy(const struct s3_conn *conn, CURLcode code)
{
	switch (code) {
	case CURLE_PEER_FAILED_VERIFICATION:
		return " (AWS_CA_BUNDLE or SSL_CERT_FILE names authorities to trust)";
	case CURLE_SSL_CONNECT_ERROR:
		return " (does it speak http://?)";
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
		return conn->client->profile.is_amazon ? " (no endpoint was given: --endpoint, or AWS_ENDPOINT_URL)"
						       : "";
	default:
		return "";
	}
}

/* No answer, or half of one. */
static bool
broken(struct exchange *x, CURLcode code, struct s3_outcome *outcome)
{
	struct s3_conn *conn = x->conn;
	const char *text = conn->curl_error[0] ? conn->curl_error : curl_easy_strerror(code);

	sent_set(x, 0);
	conn->failure.status = 0;
	if (atomic_load(&conn->client->stopped)) {
		conn->failure.stopped = true;
		return s3_conn_fail(conn, "it was interrupted");
	}
	if (x->is_given_up) {
		if (!conn->has_said)
			s3_conn_fail(conn, "it was given up");
		return false;
	}
	conn->failure.is_unanswered = true;
	outcome->is_away = code == CURLE_COULDNT_CONNECT;
	outcome->may_repeat =
		code != CURLE_PEER_FAILED_VERIFICATION && code != CURLE_SSL_CACERT_BADFILE &&
		code != CURLE_UNSUPPORTED_PROTOCOL && code != CURLE_URL_MALFORMAT &&
		(!x->request->once || code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST);
	return s3_conn_fail(conn, "%s: %s%s", conn->client->authority, text, remedy(conn, code));
}

static CURLcode
perform(struct exchange *x)
{
	CURL *curl = x->conn->curl;

	curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
	if (x->request->body && !body_set(x)) {
		x->is_given_up = true;
		return CURLE_ABORTED_BY_CALLBACK;
	}
	if (strcmp(x->request->method, "HEAD") == 0)
		curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, x->request->method);
	curl_easy_setopt(curl, CURLOPT_URL, x->url);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, x->lines);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, x);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, x);
	x->conn->curl_error[0] = '\0';
	return curl_easy_perform(curl);
}

/* Also one that broke off: of a store that is killed most threads have had no answer yet. */
static bool
has_connected(CURLcode code)
{
	return code == CURLE_OK || code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR || code == CURLE_GOT_NOTHING ||
	       code == CURLE_PARTIAL_FILE;
}

bool
s3_attempt(struct s3_conn *conn, struct arena *arena, const struct s3_request *request, struct s3_answer *out,
	struct s3_outcome *outcome)
{
	struct exchange x = {
		.conn = conn, .arena = arena, .request = request, .answer = out, .header_room = HEADERS_FIRST};
	CURLcode code;

	arena_reset(conn->scratch);
	*outcome = (struct s3_outcome){0};
	*out = (struct s3_answer){.headers = ARENA_ARRAY(arena, struct s3_header, HEADERS_FIRST)};
	buf_init(&x.body, arena);
	x.last_line = &x.lines;
	if (!head_make(&x))
		return false;
	conn->unstopped = request->unstopped;
	code = perform(&x);
	if (has_connected(code))
		atomic_store(&conn->client->was_there, true);
	buf_u8(&x.body, 0);
	out->body = bytes_of(x.body.data, x.body.len - 1);
	if (code != CURLE_OK)
		return broken(&x, code, outcome);
	skew_note(conn, out);
	if (!is_success(out))
		return refused(&x, outcome);
	if (!begin(&x)) {
		x.is_given_up = true;
		return broken(&x, code, outcome);
	}
	return true;
}
