/*
 * load.c: a closed-loop HTTP/1.1 client for `make bench`: one thread, epoll, N keep-alive connections, one request in
 * flight on each. Requests are written and signed (Signature V4, header) before the clock starts, so that the client's
 * own work is small.
 *
 * It prints `prepared` once every connection is open, waits for a line on stdin, runs, and prints one JSON object.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define HEADER_BYTES 16384
#define READ_BYTES 262144
#define GRACE_NS 30000000000ULL /* for answers that are still awaited at the end */
#define LIST_STARTS 64
#define PURGE_KEYS 1000 /* of a request */
#define HEX_BYTES (2 * SHA256_DIGEST_LENGTH + 1)

enum operation { GET, HEAD, PUT, DELETE, LIST, PURGE };

static const char *const operation_names[] = {"get", "head", "put", "delete", "list", "purge"};
static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE", "GET", "POST"};

struct options {
	enum operation operation;
	const char *bucket, *access_key, *secret, *region, *payload, *acl;
	long port, keys, clients, operations, max_keys;
	long first, step; /* keys are those numbers: first, first + step, ... */
	size_t size_bytes;
	double seconds;
	bool is_once; /* each key once, in order; otherwise reads choose keys at random and writes go round */
	uint64_t seed;
};

struct request {
	char *head;
	size_t head_bytes;
	const unsigned char *body;
	size_t body_bytes;
};

enum answer_state { ANSWER_HEAD, ANSWER_BODY, ANSWER_CHUNK_SIZE, ANSWER_CHUNK, ANSWER_CHUNK_END, ANSWER_TRAILER };

struct connection {
	int socket;
	bool is_busy, wants_write, is_failure;
	const struct request *request;
	size_t sent_bytes;
	uint64_t start_ns;
	enum answer_state state;
	char head[HEADER_BYTES];
	size_t head_bytes;   /* of head; in a chunked body, of the line being read */
	uint64_t left_bytes; /* of the body or the chunk */
	int key_match, error_match; /* characters of "<Key>" and "<Error>" seen so far */
};

static struct options options = {.region = "us-east-1",
	.bucket = "bench",
	.payload = "signed",
	.keys = 1,
	.step = 1,
	.clients = 1,
	.operations = 1L << 40,
	.size_bytes = 4096,
	.seconds = 1,
	.max_keys = 1000};
static struct request *requests;
static long request_count, issued, done, errors, keys_listed, in_flight;
static uint32_t *latencies_us;
static size_t latency_count, latency_room;
static uint64_t deadline_ns, random_state, received_bytes;
static char first_error[256];
static int poller;

static void
die(const char *attempt)
{
	fprintf(stderr, "load: %s: %s\n", attempt, errno ? strerror(errno) : "failed");
	exit(1);
}

static void *
must_alloc(void *old, size_t bytes)
{
	void *memory = realloc(old, bytes);

	if (!memory)
		die("memory");
	return memory;
}

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t
random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* ---- Signature V4 ---- */

static void
sha256_hex(const void *data, size_t bytes, char hex[HEX_BYTES])
{
	unsigned char digest[SHA256_DIGEST_LENGTH];

	SHA256(data, bytes, digest);
	for (int i = 0; i < SHA256_DIGEST_LENGTH; i++)
		sprintf(hex + 2 * i, "%02x", digest[i]);
}

static void
hmac(const void *key, size_t key_bytes, const char *text, unsigned char out[SHA256_DIGEST_LENGTH])
{
	HMAC(EVP_sha256(), key, (int)key_bytes, (const unsigned char *)text, strlen(text), out, NULL);
}

static void
signing_key(const char *day, unsigned char key[SHA256_DIGEST_LENGTH])
{
	char first[256];

	snprintf(first, sizeof(first), "AWS4%s", options.secret);
	hmac(first, strlen(first), day, key);
	hmac(key, SHA256_DIGEST_LENGTH, options.region, key);
	hmac(key, SHA256_DIGEST_LENGTH, "s3", key);
	hmac(key, SHA256_DIGEST_LENGTH, "aws4_request", key);
}

/* The headers of a signed request. `when` is YYYYMMDDTHHMMSSZ. */
static void
sign(const char *path, const char *query, const char *payload, const char *when, const unsigned char *key, char *out,
	size_t out_bytes)
{
	const char *names =
		options.acl ? "host;x-amz-acl;x-amz-content-sha256;x-amz-date" : "host;x-amz-content-sha256;x-amz-date";
	char canonical[2048], acl[64] = "", hash[HEX_BYTES], text[512], signature[HEX_BYTES];
	unsigned char mac[SHA256_DIGEST_LENGTH];

	if (options.acl)
		snprintf(acl, sizeof(acl), "x-amz-acl:%s\n", options.acl);
	snprintf(canonical, sizeof(canonical),
		"%s\n%s\n%s\nhost:127.0.0.1:%ld\n%sx-amz-content-sha256:%s\nx-amz-date:%s\n\n%s\n%s",
		methods[options.operation], path, query, options.port, acl, payload, when, names, payload);
	sha256_hex(canonical, strlen(canonical), hash);
	snprintf(text, sizeof(text), "AWS4-HMAC-SHA256\n%s\n%.8s/%s/s3/aws4_request\n%s", when, when, options.region,
		hash);
	hmac(key, SHA256_DIGEST_LENGTH, text, mac);
	for (int i = 0; i < SHA256_DIGEST_LENGTH; i++)
		sprintf(signature + 2 * i, "%02x", mac[i]);
	if (options.acl)
		snprintf(acl, sizeof(acl), "x-amz-acl: %s\r\n", options.acl);
	snprintf(out, out_bytes,
		"%sx-amz-date: %s\r\nx-amz-content-sha256: %s\r\nAuthorization: AWS4-HMAC-SHA256 "
		"Credential=%s/%.8s/%s/s3/aws4_request, SignedHeaders=%s, Signature=%s\r\n",
		acl, when, payload, options.access_key, when, options.region, names, signature);
}

/* ---- requests ---- */

/* The document of DeleteObjects for the i-th PURGE_KEYS keys, and the headers that go with it. */
static void
purge_prepare(struct request *r, long i, char *headers, size_t headers_bytes)
{
	static const char begin[] = "<Delete>", end[] = "</Delete>";
	long first = i * PURGE_KEYS, last = first + PURGE_KEYS < options.keys ? first + PURGE_KEYS : options.keys;
	size_t room = sizeof(begin) + sizeof(end) + (size_t)(last - first) * 64;
	char *text = must_alloc(NULL, room), *at = stpcpy(text, begin);
	unsigned char digest[16], base64[25];

	for (long k = first; k < last; k++)
		at += sprintf(at, "<Object><Key>k%08ld</Key></Object>", options.first + k * options.step);
	at = stpcpy(at, end);
	r->body = (unsigned char *)text;
	r->body_bytes = (size_t)(at - text);
	EVP_Digest(text, r->body_bytes, digest, NULL, EVP_md5(), NULL);
	EVP_EncodeBlock(base64, digest, sizeof(digest));
	snprintf(headers, headers_bytes, "Content-Length: %zu\r\nContent-MD5: %s\r\n", r->body_bytes, base64);
}

static void
request_prepare(struct request *r, long i, const unsigned char *pool, const char *when, const unsigned char *key)
{
	char path[512], query[256] = "", payload[HEX_BYTES] = "UNSIGNED-PAYLOAD", headers[1024] = "", length[128] = "";
	int bytes;

	if (options.operation == LIST) {
		long span = options.keys > options.max_keys ? options.keys - options.max_keys : 0;

		snprintf(path, sizeof(path), "/%s", options.bucket);
		snprintf(query, sizeof(query), "list-type=2&max-keys=%ld&start-after=k%08ld", options.max_keys,
			options.first + span * i / request_count);
	} else if (options.operation == PURGE) {
		snprintf(path, sizeof(path), "/%s", options.bucket);
		snprintf(query, sizeof(query), "delete=");
		purge_prepare(r, i, length, sizeof(length));
	} else {
		snprintf(path, sizeof(path), "/%s/k%08ld", options.bucket, options.first + i * options.step);
	}
	if (options.operation == PUT) { /* every key its own bytes, so that equal blocks do not flatter the store */
		r->body = pool + i;
		r->body_bytes = options.size_bytes;
		snprintf(length, sizeof(length), "Content-Length: %zu\r\n", options.size_bytes);
	}
	if (strcmp(options.payload, "signed") == 0)
		sha256_hex(r->body ? r->body : (const unsigned char *)"", r->body_bytes, payload);
	if (options.access_key)
		sign(path, query, payload, when, key, headers, sizeof(headers));
	r->head = must_alloc(NULL, 2048);
	bytes = snprintf(r->head, 2048, "%s %s%s%s HTTP/1.1\r\nHost: 127.0.0.1:%ld\r\n%s%s\r\n",
		methods[options.operation], path, query[0] ? "?" : "", query, options.port, length, headers);
	if (bytes < 0 || bytes >= 2048)
		die("a request's head");
	r->head_bytes = (size_t)bytes;
	r->head = must_alloc(r->head, r->head_bytes + 1);
}

static void
requests_prepare(void)
{
	unsigned char *pool = NULL, key[SHA256_DIGEST_LENGTH] = {0};
	time_t t = time(NULL);
	char when[32];

	strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", gmtime(&t));
	request_count = options.keys;
	if (options.operation == LIST && request_count > LIST_STARTS)
		request_count = LIST_STARTS;
	if (options.operation == PURGE)
		request_count = (options.keys + PURGE_KEYS - 1) / PURGE_KEYS;
	if (options.operation == PUT) {
		size_t words = (options.size_bytes + (size_t)options.keys) / 8 + 1;

		pool = must_alloc(NULL, words * 8);
		for (size_t i = 0; i < words; i++) {
			uint64_t word = random_next();

			memcpy(pool + i * 8, &word, 8);
		}
	}
	if (options.access_key)
		signing_key((char[9]){when[0], when[1], when[2], when[3], when[4], when[5], when[6], when[7], 0}, key);
	requests = must_alloc(NULL, (size_t)request_count * sizeof(*requests));
	memset(requests, 0, (size_t)request_count * sizeof(*requests));
	for (long i = 0; i < request_count; i++)
		request_prepare(&requests[i], i, pool, when, key);
}

/* ---- connections ---- */

static void
connection_open(struct connection *c)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
	int one = 1;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->socket < 0 || connect(c->socket, (struct sockaddr *)&to, sizeof(to)) != 0)
		die("connecting");
	setsockopt(c->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (fcntl(c->socket, F_SETFL, O_NONBLOCK) != 0 || epoll_ctl(poller, EPOLL_CTL_ADD, c->socket, &event) != 0)
		die("polling a socket");
}

static void
failure_note(const char *text, size_t bytes)
{
	errors++;
	if (first_error[0])
		return;
	if (bytes > sizeof(first_error) - 1)
		bytes = sizeof(first_error) - 1;
	for (size_t i = 0; i < bytes && text[i] != '\r' && text[i] != '\n'; i++)
		first_error[i] = text[i] == '"' || text[i] == '\\' ? '\'' : text[i];
}

static void
connection_want_write(struct connection *c, bool wants)
{
	struct epoll_event event = {.events = wants ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = c};

	if (c->wants_write == wants)
		return;
	c->wants_write = wants;
	if (epoll_ctl(poller, EPOLL_CTL_MOD, c->socket, &event) != 0)
		die("polling a socket");
}

/* False when the connection is lost. */
static bool
connection_send(struct connection *c)
{
	const struct request *r = c->request;
	size_t total = r->head_bytes + r->body_bytes;

	while (c->sent_bytes < total) {
		struct iovec parts[2];
		struct msghdr message = {.msg_iov = parts};
		ssize_t n;

		if (c->sent_bytes < r->head_bytes)
			parts[message.msg_iovlen++] =
				(struct iovec){r->head + c->sent_bytes, r->head_bytes - c->sent_bytes};
		if (r->body_bytes) {
			size_t at = c->sent_bytes > r->head_bytes ? c->sent_bytes - r->head_bytes : 0;

			parts[message.msg_iovlen++] = (struct iovec){(void *)(r->body + at), r->body_bytes - at};
		}
		n = sendmsg(c->socket, &message, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN) {
			connection_want_write(c, true);
			return true;
		}
		if (n < 0)
			return false;
		c->sent_bytes += (size_t)n;
	}
	connection_want_write(c, false);
	return true;
}

static bool
is_over(void)
{
	return issued >= options.operations || (options.is_once && issued >= request_count) || now_ns() >= deadline_ns;
}

static void
connection_lost(struct connection *c)
{
	failure_note("connection lost", 15);
	if (c->is_busy)
		in_flight--;
	c->is_busy = false;
	close(c->socket);
	c->socket = -1;
}

static void
connection_begin(struct connection *c)
{
	bool is_read = options.operation == GET || options.operation == HEAD;

	if (is_over())
		return;
	c->request = &requests[is_read && !options.is_once ? (long)(random_next() % (uint64_t)request_count)
							   : issued % request_count];
	issued++;
	in_flight++;
	c->is_busy = true;
	c->is_failure = false;
	c->sent_bytes = c->head_bytes = 0;
	c->state = ANSWER_HEAD;
	c->start_ns = now_ns();
	if (!connection_send(c))
		connection_lost(c);
}

static void
connection_end(struct connection *c)
{
	if (latency_count == latency_room) {
		latency_room = latency_room ? 2 * latency_room : 65536;
		latencies_us = must_alloc(latencies_us, latency_room * sizeof(*latencies_us));
	}
	latencies_us[latency_count++] = (uint32_t)((now_ns() - c->start_ns) / 1000);
	done += !c->is_failure;
	c->is_busy = false;
	in_flight--;
	connection_begin(c);
}

/* ---- answers ---- */

static bool
tag_ends(const char *tag, int *match, char c)
{
	*match = c == tag[*match] ? *match + 1 : c == '<';
	if (tag[*match])
		return false;
	*match = 0;
	return true;
}

/* Where a key could not be deleted, DeleteObjects failed. */
static void
count_keys(struct connection *c, const char *data, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		keys_listed += tag_ends("<Key>", &c->key_match, data[i]);
		c->is_failure |= tag_ends("<Error>", &c->error_match, data[i]);
	}
}

/* Reads the head that is complete in c->head; true when no body follows. */
static bool
answer_head(struct connection *c)
{
	int status = c->head_bytes > 12 ? atoi(c->head + 9) : 0;
	const char *length, *chunked;

	c->head[c->head_bytes] = 0;
	length = strcasestr(c->head, "\r\nContent-Length:");
	chunked = strcasestr(c->head, "\r\nTransfer-Encoding: chunked");
	if (status < 200 || status > 299) {
		c->is_failure = true;
		failure_note(c->head, c->head_bytes);
	}
	c->left_bytes = length ? strtoull(length + 17, NULL, 10) : 0;
	if (options.operation == HEAD || status == 204)
		return true;
	c->state = chunked ? ANSWER_CHUNK_SIZE : ANSWER_BODY;
	c->head_bytes = 0;
	return !chunked && c->left_bytes == 0;
}

/* Takes some of `data`, at least a byte; *is_end when the answer is complete. */
static size_t
answer_take(struct connection *c, const char *data, size_t bytes, bool *is_end)
{
	size_t taken = 0;

	if (c->state == ANSWER_BODY || c->state == ANSWER_CHUNK) {
		taken = bytes < c->left_bytes ? bytes : (size_t)c->left_bytes;
		if (options.operation == LIST || options.operation == PURGE)
			count_keys(c, data, taken);
		received_bytes += taken;
		c->left_bytes -= taken;
		*is_end = c->left_bytes == 0 && c->state == ANSWER_BODY;
		if (c->left_bytes == 0)
			c->state = ANSWER_CHUNK_END;
		return taken;
	}
	while (taken < bytes) { /* a head, or a line of a chunked body */
		char byte = data[taken++];

		if (c->head_bytes < HEADER_BYTES - 1)
			c->head[c->head_bytes++] = byte;
		if (byte != '\n')
			continue;
		if (c->state == ANSWER_HEAD) {
			if (c->head_bytes < 4 || memcmp(c->head + c->head_bytes - 4, "\r\n\r\n", 4) != 0)
				continue;
			*is_end = answer_head(c);
			return taken;
		}
		if (c->state == ANSWER_CHUNK_END) {
			c->state = ANSWER_CHUNK_SIZE;
		} else if (c->state == ANSWER_CHUNK_SIZE) {
			c->head[c->head_bytes] = 0;
			c->left_bytes = strtoull(c->head, NULL, 16);
			c->state = c->left_bytes ? ANSWER_CHUNK : ANSWER_TRAILER;
		} else {
			*is_end = c->head_bytes <= 2;
		}
		c->head_bytes = 0;
		return taken;
	}
	return taken;
}

static void
connection_receive(struct connection *c)
{
	static char buffer[READ_BYTES];
	ssize_t n = recv(c->socket, buffer, sizeof(buffer), 0);
	size_t at = 0;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		connection_lost(c);
		return;
	}
	while (at < (size_t)n) {
		bool is_end = false;

		if (!c->is_busy) {
			connection_lost(c);
			return;
		}
		at += answer_take(c, buffer + at, (size_t)n - at, &is_end);
		if (is_end)
			connection_end(c);
		if (c->socket < 0)
			return;
	}
}

static void
run(struct connection *connections)
{
	struct epoll_event events[256];

	for (long i = 0; i < options.clients; i++)
		connection_begin(&connections[i]);
	while (in_flight > 0) {
		int n = epoll_wait(poller, events, 256, 1000);

		for (int i = 0; i < n; i++) {
			struct connection *c = events[i].data.ptr;

			if (c->socket >= 0 && events[i].events & EPOLLOUT && c->is_busy && !connection_send(c))
				connection_lost(c);
			if (c->socket >= 0 && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
				connection_receive(c);
		}
		if (now_ns() > deadline_ns + GRACE_NS) {
			failure_note("no answer in time", 17);
			errors += in_flight - 1;
			return;
		}
	}
}

/* ---- the report ---- */

static int
compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static uint32_t
percentile(double p)
{
	return latency_count ? latencies_us[(size_t)(p * (double)(latency_count - 1))] : 0;
}

static uint64_t
cpu_us(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 +
	       (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void
report(double seconds, uint64_t cpu)
{
	qsort(latencies_us, latency_count, sizeof(*latencies_us), compare);
	printf("{\"operations\": %ld, \"errors\": %ld, \"seconds\": %.6f, \"cpu_us\": %llu, \"keys_listed\": %ld, "
	       "\"received_bytes\": %llu, \"first_error\": \"%s\", \"latency_us\": {\"p50\": %u, \"p90\": %u, \"p99\": "
	       "%u, "
	       "\"p999\": %u, \"max\": %u}}\n",
		done, errors, seconds, (unsigned long long)cpu, keys_listed, (unsigned long long)received_bytes,
		first_error, percentile(0.5), percentile(0.9), percentile(0.99), percentile(0.999), percentile(1));
}

static void
usage(void)
{
	fprintf(stderr, "load OPERATION --port N [--bucket NAME] [--keys N] [--size BYTES] [--clients N] [--seconds S] "
			"[--operations N]\n"
			"     [--once] [--access-key KEY --secret KEY [--region NAME] [--payload signed|unsigned] "
			"[--acl NAME]] "
			"[--max-keys N] [--first N] [--step N] [--seed N]\n"
			"OPERATION: get, head, put, delete, list, purge (DeleteObjects). Keys are k00000000, "
			"k00000001, ...\n");
	exit(2);
}

static void
options_read(int argc, char **argv)
{
	static const struct option table[] = {{"port", 1, 0, 'p'}, {"bucket", 1, 0, 'b'}, {"keys", 1, 0, 'k'},
		{"size", 1, 0, 's'}, {"clients", 1, 0, 'c'}, {"seconds", 1, 0, 't'}, {"operations", 1, 0, 'n'},
		{"once", 0, 0, 'o'}, {"first", 1, 0, 'f'}, {"step", 1, 0, 'e'}, {"access-key", 1, 0, 'a'}, {"secret", 1, 0, 'w'}, {"region", 1, 0, 'r'},
		{"payload", 1, 0, 'y'}, {"acl", 1, 0, 'l'}, {"max-keys", 1, 0, 'm'}, {"seed", 1, 0, 'x'}, {0}};
	int c;

	while ((c = getopt_long(argc, argv, "", table, NULL)) >= 0) {
		switch (c) {
		case 'p':
			options.port = atol(optarg);
			break;
		case 'b':
			options.bucket = optarg;
			break;
		case 'f':
			options.first = atol(optarg);
			break;
		case 'e':
			options.step = atol(optarg);
			break;
		case 'k':
			options.keys = atol(optarg);
			break;
		case 's':
			options.size_bytes = strtoull(optarg, NULL, 10);
			break;
		case 'c':
			options.clients = atol(optarg);
			break;
		case 't':
			options.seconds = atof(optarg);
			break;
		case 'n':
			options.operations = atol(optarg);
			break;
		case 'o':
			options.is_once = true;
			break;
		case 'a':
			options.access_key = optarg;
			break;
		case 'w':
			options.secret = optarg;
			break;
		case 'r':
			options.region = optarg;
			break;
		case 'y':
			options.payload = optarg;
			break;
		case 'l':
			options.acl = optarg;
			break;
		case 'm':
			options.max_keys = atol(optarg);
			break;
		case 'x':
			options.seed = strtoull(optarg, NULL, 10);
			break;
		default:
			usage();
		}
	}
	if (optind + 1 != argc || !options.port || options.keys < 1 || options.clients < 1 ||
		!options.access_key != !options.secret)
		usage();
	for (c = 0; c <= PURGE && strcmp(argv[optind], operation_names[c]) != 0; c++)
		;
	if (c > PURGE)
		usage();
	options.operation = (enum operation)c;
	random_state = options.seed ? options.seed : now_ns() | 1;
}

int
main(int argc, char **argv)
{
	struct connection *connections;
	uint64_t start_ns, cpu;

	options_read(argc, argv);
	poller = epoll_create1(EPOLL_CLOEXEC);
	requests_prepare();
	connections = calloc((size_t)options.clients, sizeof(*connections));
	if (poller < 0 || !connections)
		die("starting");
	for (long i = 0; i < options.clients; i++)
		connection_open(&connections[i]);
	printf("prepared\n");
	fflush(stdout);
	if (getchar() == EOF)
		return 1;
	cpu = cpu_us();
	start_ns = now_ns();
	deadline_ns = start_ns + (uint64_t)(options.seconds * 1e9);
	run(connections);
	report((double)(now_ns() - start_ns) / 1e9, cpu_us() - cpu);
	return 0;
}
