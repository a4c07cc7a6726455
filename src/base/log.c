/* log.c: lines are built on the stack and written with one write(2) each, so that threads' lines do not mix. [any] */
#include "base/log.h"
#include "base/clock.h"
#include "base/ring.h"
#include "base/waits.h"
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define LOG_MODULES 64
#define LOG_MODULE_NAME 32
#define LOG_MESSAGE_BYTES 4096 /* what is longer is cut */

struct module_level {
	char name[LOG_MODULE_NAME];
	_Atomic int level;
};

/* Grows only; a row is written under the lock before the count that shows it to readers. */
static struct module_level modules[LOG_MODULES];
static atomic_uint module_count;
static pthread_mutex_t module_lock = PTHREAD_MUTEX_INITIALIZER;

static _Atomic int global_level = LOG_INFO;
static enum log_format global_format = LOG_TEXT;
static int global_fd = STDERR_FILENO;
static struct ring *global_ring; /* NULL before log_init; [init] */
static struct waits *global_waits; /* NULL: nobody waits; [init] */

static const char *const level_names[] = {"error", "warn", "info", "debug"};

/* Room for a line whose every byte needs the longest escape. */
struct line {
	size_t len;
	char text[LOG_MESSAGE_BYTES * 6 + 512];
};

void
log_init(enum log_level level, enum log_format format, int fd)
{
	log_set_level(level);
	global_format = format;
	global_fd = fd;
	if (!global_ring)
		global_ring = ring_new(LOG_RING_BYTES, ring_number_now());
}

struct ring *
log_ring(void)
{
	return global_ring;
}

void
log_set_waits(struct waits *waits)
{
	global_waits = waits;
}

static void
line_keep(const struct line *l)
{
	struct bytes text = bytes_of(l->text, l->len);

	if (global_ring)
		ring_put(global_ring, &text, 1);
	if (global_waits)
		waits_raise(global_waits, WAITS_LOG);
}

void
log_set_level(enum log_level level)
{
	atomic_store_explicit(&global_level, (int)level, memory_order_relaxed);
}

static struct module_level *
module_find(struct bytes name)
{
	unsigned count = atomic_load_explicit(&module_count, memory_order_acquire);

	for (unsigned i = 0; i < count; i++) {
		if (bytes_equal_str(name, modules[i].name))
			return &modules[i];
	}
	return NULL;
}

bool
log_set_module_level(const char *module, enum log_level level)
{
	struct bytes name = bytes_str(module);
	struct module_level *m;
	unsigned count;
	bool ok = false;

	if (name.len == 0 || name.len >= LOG_MODULE_NAME)
		return false;
	pthread_mutex_lock(&module_lock);
	m = module_find(name);
	count = atomic_load_explicit(&module_count, memory_order_relaxed);
	if (m) {
		atomic_store_explicit(&m->level, (int)level, memory_order_relaxed);
		ok = true;
	} else if (count < LOG_MODULES) {
		memcpy(modules[count].name, module, name.len + 1);
		atomic_store_explicit(&modules[count].level, (int)level, memory_order_relaxed);
		atomic_store_explicit(&module_count, count + 1, memory_order_release);
		ok = true;
	}
	pthread_mutex_unlock(&module_lock);
	return ok;
}

bool
log_level_parse(const char *text, enum log_level *out)
{
	for (int i = LOG_ERROR; i <= LOG_DEBUG; i++) {
		if (bytes_equal_str_nocase(bytes_str(text), level_names[i])) {
			*out = (enum log_level)i;
			return true;
		}
	}
	return false;
}

/* "../src/drivers/journal.c" -> "journal" */
static struct bytes
module_of(const char *file)
{
	const char *base = strrchr(file, '/');
	const char *dot;

	base = base ? base + 1 : file;
	dot = strchr(base, '.');
	return bytes_of(base, dot ? (size_t)(dot - base) : strlen(base));
}

bool
log_enabled(const char *file, enum log_level level)
{
	struct module_level *m = NULL;

	if (atomic_load_explicit(&module_count, memory_order_relaxed))
		m = module_find(module_of(file));
	return (int)level <= atomic_load_explicit(m ? &m->level : &global_level, memory_order_relaxed);
}

static void
line_put(struct line *l, const char *text, size_t len)
{
	/* The last byte is kept for the line's end. */
	if (len > sizeof(l->text) - 1 - l->len)
		len = sizeof(l->text) - 1 - l->len;
	memcpy(l->text + l->len, text, len);
	l->len += len;
}

static void
line_str(struct line *l, const char *text)
{
	line_put(l, text, strlen(text));
}

/* Bytes of the UTF-8 sequence at `p` that may be shown: 0 for a control character (C0, DEL, C1) or a broken sequence.
 */
static size_t
printable_len(const uint8_t *p, size_t left)
{
	uint32_t least, c;
	size_t len;

	if (p[0] < 0x80)
		return p[0] >= 0x20 && p[0] != 0x7f;
	if (p[0] >= 0xc2 && p[0] < 0xe0) {
		len = 2, least = 0xa0, c = p[0] & 0x1f;
	} else if (p[0] >= 0xe0 && p[0] < 0xf0) {
		len = 3, least = 0x800, c = p[0] & 0x0f;
	} else if (p[0] >= 0xf0 && p[0] < 0xf5) {
		len = 4, least = 0x10000, c = p[0] & 0x07;
	} else {
		return 0;
	}
	if (len > left)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	return c < least || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : len;
}

/* Nothing from outside may end a line, move a terminal's cursor or break the JSON. */
static void
line_escaped(struct line *l, const char *text, enum log_format format)
{
	const uint8_t *p = (const uint8_t *)text;
	size_t left = strlen(text);
	char escape[8];

	while (left) {
		size_t len = printable_len(p, left);

		if (format == LOG_JSON && (*p == '"' || *p == '\\')) {
			snprintf(escape, sizeof(escape), "\\%c", *p);
			line_str(l, escape);
		} else if (len) {
			line_put(l, (const char *)p, len);
		} else if (format == LOG_JSON) {
			snprintf(escape, sizeof(escape), "\\u%04x", *p);
			line_str(l, escape);
		} else {
			snprintf(escape, sizeof(escape), *p == '\n' ? "\\n" : *p == '\t' ? "\\t" : "\\x%02x", *p);
			line_str(l, escape);
		}
		len = len ? len : 1;
		p += len;
		left -= len;
	}
}

static void
line_text(struct line *l, enum log_level level, const char *module, uint64_t request, const char *message)
{
	static const char *const titles[] = {"ERROR", "WARN ", "INFO ", "DEBUG"};
	char date[25], part[96];

	date_iso8601(clock_wall_ns(), date);
	snprintf(part, sizeof(part), "%s %s %s ", date, titles[level], module);
	line_str(l, part);
	if (request) {
		snprintf(part, sizeof(part), "request=%016llx ", (unsigned long long)request);
		line_str(l, part);
	}
	line_escaped(l, message, LOG_TEXT);
}

static void
line_json(struct line *l, enum log_level level, const char *module, uint64_t request, const char *message)
{
	char date[25], part[128];

	date_iso8601(clock_wall_ns(), date);
	snprintf(part, sizeof(part), "{\"time\":\"%s\",\"level\":\"%s\",\"module\":\"%s\",", date, level_names[level],
		module);
	line_str(l, part);
	if (request) {
		snprintf(part, sizeof(part), "\"request\":\"%016llx\",", (unsigned long long)request);
		line_str(l, part);
	}
	line_str(l, "\"message\":\"");
	line_escaped(l, message, LOG_JSON);
	line_str(l, "\"}");
}

void
log_write(const char *file, enum log_level level, uint64_t request, const char *format, ...)
{
	char message[LOG_MESSAGE_BYTES], module[LOG_MODULE_NAME];
	struct bytes name = module_of(file);
	int saved_errno = errno;
	struct line line;
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	if (len < 0)
		snprintf(message, sizeof(message), "a message that could not be formatted");
	else if ((size_t)len >= sizeof(message))
		memcpy(message + sizeof(message) - 4, "...", 4);
	snprintf(module, sizeof(module), "%.*s", (int)name.len, (const char *)name.data);
	line.len = 0;
	if (global_format == LOG_JSON)
		line_json(&line, level, module, request, message);
	else
		line_text(&line, level, module, request, message);
	line_keep(&line);
	line.text[line.len++] = '\n';
	/* A log that cannot be written has nowhere to complain. */
	while (write(global_fd, line.text, line.len) == -1 && errno == EINTR)
		continue;
	errno = saved_errno;
}
