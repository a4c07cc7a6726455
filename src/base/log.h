/*
 * log.h: one line an event, as text or JSON, to standard error. Levels are changed at run time, for everything or by module. [any]
 *
 * A line says what was being attempted, on what, and what came of it. The module is the source file's base name.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };

void log_init(enum log_level level, enum log_format format, int fd); /* [init] */
void log_set_level(enum log_level level);
/* For one module ("journal"); false when the name is too long or there is no room for another (64). */
bool log_set_module_level(const char *module, enum log_level level);
/* The newest lines, as they were written, without their line's end: about half a megabyte. From log_init on. */
#define LOG_RING_BYTES ((size_t)512 * 1024)
struct ring;
struct waits;
struct ring *log_ring(void);
/* Raises WAITS_LOG with each line from now on; stays until the process ends, as lines may come until then. [init] */
void log_set_waits(struct waits *waits);
bool log_level_parse(const char *text, enum log_level *out);
bool log_enabled(const char *file, enum log_level level);
/* `request` 0: none. */
void log_write(const char *file, enum log_level level, uint64_t request, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#define LOG_AT(level, request, ...)                                                                                  \
	do {                                                                                                         \
		if (log_enabled(__FILE__, (level)))                                                                  \
			log_write(__FILE__, (level), (request), __VA_ARGS__);                                        \
	} while (0)
#define log_error(request, ...) LOG_AT(LOG_ERROR, (request), __VA_ARGS__)
#define log_warn(request, ...) LOG_AT(LOG_WARN, (request), __VA_ARGS__)
#define log_info(request, ...) LOG_AT(LOG_INFO, (request), __VA_ARGS__)
#define log_debug(request, ...) LOG_AT(LOG_DEBUG, (request), __VA_ARGS__)

#endif
