/*
 * cli_progress.h: how far a long command is: one line on stderr, drawn over itself, if stderr is a terminal and it is
 * wanted; else nothing at all. One at a time in a process. A thread of its own draws it, so that what stands still is
 * seen to. [any]
 *
 * A signal that ends the process takes the line away first.
 */
#ifndef CLIENTS_CLI_CLI_PROGRESS_H
#define CLIENTS_CLI_CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define PROGRESS_UNKNOWN 0

/* `what` is copied. `total` bytes, or PROGRESS_UNKNOWN. */
void progress_begin(const char *what, uint64_t total, bool wanted);
/* So much more is to be done than was known. */
void progress_more(uint64_t bytes);
/* So much more is done. */
void progress_add(uint64_t bytes);
/* So much is not done after all: it has to be done again. */
void progress_take_back(uint64_t bytes);
/* Takes the line away. Nothing happens if none was begun. */
void progress_end(void);

/* Between these two others may print, on stdout too: the line is away, and nobody else is between them. */
void progress_hide(void);
void progress_show(void);

/* For signals that end the process: takes the line away, and then does what the signal does by itself. */
void progress_signal(int number);

/* --- how it looks, for its tests ---------------------------------------------------------------------------------- */

struct progress_state {
	const char *what;
	uint64_t done, total;
	double rate; /* bytes a second */
};

/* At most `width` columns. */
void progress_draw(const struct progress_state *state, size_t width, char *out, size_t size);
/* "1.2 GiB", "17 B" */
void progress_bytes(double bytes, char *out, size_t size);

/* --- colours ------------------------------------------------------------------------------------------------------ */

enum cli_colour { COLOUR_NONE, COLOUR_RED, COLOUR_GREEN, COLOUR_YELLOW, COLOUR_BLUE, COLOUR_BOLD, COLOUR_DIM };

/* One that can be drawn on: not with TERM=dumb. */
bool cli_is_terminal(FILE *stream);
/* What begins it, and COLOUR_NONE what ends it: "" unless `stream` is a terminal, and with NO_COLOR or TERM=dumb. */
const char *cli_colour(FILE *stream, enum cli_colour colour);

#endif
