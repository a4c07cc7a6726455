/*
 * cli_interrupt.h: SIGINT and SIGTERM while something is under way that should come to an end in order: what it began
 * is finished or taken back, and what was done is told. Then the process ends by that signal, so that whoever started
 * it knows: a shell says 130, or 143, and ends the script.
 */
#ifndef CLIENTS_CLI_INTERRUPT_H
#define CLIENTS_CLI_INTERRUPT_H

#include <stdbool.h>

/* From now on the first signal calls `stop` (in its handler; NULL: nobody), and the second ends the process. A signal
 * that is ignored stays so. */
void interrupt_catch(void (*stop)(void *data), void *data);
/* Signals end the process again. */
void interrupt_release(void);
/* Did one come? Also later. */
bool interrupt_came(void);
/* Ends the process by the signal that came, if one did. */
void interrupt_end(void);

#endif
