/* cli_interrupt.c: see cli_interrupt.h. */
#include "cli_interrupt.h"
#include "cli_progress.h"
#include <signal.h>
#include <stddef.h>

static const int signals[] = {SIGINT, SIGTERM};

static volatile sig_atomic_t came; /* its number; 0: none */
static void (*volatile stop_it)(void *data);
static void *volatile stop_data;

static void
on_interrupt(int number)
{
	came = number;
	signal(number, progress_signal); /* who presses it twice means it */
	if (stop_it)
		stop_it(stop_data);
}

static void
handle_all(void (*handler)(int number))
{
	struct sigaction before;

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		sigaction(signals[i], NULL, &before);
		if (before.sa_handler != SIG_IGN)
			signal(signals[i], handler);
	}
}

void
interrupt_catch(void (*stop)(void *data), void *data)
{
	stop_data = data;
	stop_it = stop;
	handle_all(on_interrupt);
}

void
interrupt_release(void)
{
	handle_all(SIG_DFL);
	stop_it = NULL;
}

bool
interrupt_came(void)
{
	return came != 0;
}

void
interrupt_end(void)
{
	if (!came)
		return;
	signal(came, SIG_DFL);
	raise(came);
}
