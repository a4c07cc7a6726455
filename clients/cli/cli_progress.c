/*
 * cli_progress.c: see cli_progress.h.
 *
 * Counters are atomic, so that many threads add to them; everything drawn is drawn under `lock`. The rate is what was
 * done in the last few seconds, each tick a little less worth than the next.
 */
#include "cli_progress.h"
#include "base/clock.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define TICK_NS 100000000
#define MEMORY_SECONDS 3.0 /* of the rate */
#define WIDTH_MAX 200
#define LINE_MAX_BYTES 512
#define ERASE "\r\033[K"

static struct {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t thread;
	bool running; /* the thread; [its starter] */
	bool ending;  /* `lock` */
	char what[64];
	_Atomic uint64_t done, total;
	double rate, started, ticked; /* `lock` */
	uint64_t ticked_done;
	struct sigaction before[2];
} progress = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const int ending_signals[] = {SIGINT, SIGTERM};
static volatile sig_atomic_t visible;

/* --- how it looks ------------------------------------------------------------------------------------------------- */

void
progress_bytes(double bytes, char *out, size_t size)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	size_t unit = 0;

	while (bytes >= 1000 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		bytes /= 1024;
		unit++;
	}
	snprintf(out, size, "%.*f %s", unit > 0 && bytes < 99.95 ? 1 : 0, bytes, units[unit]);
}

static void
time_left(const struct progress_state *s, char *out, size_t size)
{
	uint64_t seconds;

	if (!s->total || s->rate < 1 || s->done > s->total) {
		snprintf(out, size, "-:--");
		return;
	}
	if ((double)(s->total - s->done) / s->rate > 359999) {
		snprintf(out, size, "days");
		return;
	}
	seconds = (uint64_t)((double)(s->total - s->done) / s->rate + 0.5);
	if (seconds >= 3600)
		snprintf(out, size, "%d:%02d:%02d", (int)(seconds / 3600), (int)(seconds / 60 % 60),
			(int)(seconds % 60));
	else
		snprintf(out, size, "%d:%02d", (int)(seconds / 60), (int)(seconds % 60));
}

/* [=====>     ] of `width` columns. */
static void
bar_draw(const struct progress_state *s, size_t width, char *out)
{
	double share = s->done >= s->total ? 1 : (double)s->done / (double)s->total;
	size_t inside = width - 2, full = (size_t)(share * (double)inside);

	out[0] = '[';
	memset(out + 1, '=', full);
	memset(out + 1 + full, ' ', inside - full);
	if (full < inside)
		out[1 + full] = '>';
	out[1 + inside] = ']';
	out[width] = '\0';
}

void
progress_draw(const struct progress_state *s, size_t width, char *out, size_t size)
{
	char done[24], total[24], rate[24], left[24], figures[128], bar[WIDTH_MAX + 1] = "";
	size_t used;

	width = width > WIDTH_MAX ? WIDTH_MAX : width;
	progress_bytes((double)s->done, done, sizeof(done));
	progress_bytes((double)s->total, total, sizeof(total));
	progress_bytes(s->rate, rate, sizeof(rate));
	time_left(s, left, sizeof(left));
	if (s->total)
		snprintf(figures, sizeof(figures), "%3d%%  %s / %s  %s/s  %s",
			s->done >= s->total ? 100 : (int)((double)s->done * 100 / (double)s->total), done, total, rate,
			left);
	else
		snprintf(figures, sizeof(figures), "%s  %s/s", done, rate);
	used = strlen(s->what) + strlen(figures) + 4;
	if (s->total && used + 10 <= width)
		bar_draw(s, width - used > 40 ? 40 : width - used, bar);
	if (used > width) /* the figures matter more than what they are of */
		snprintf(out, size, "%.*s", (int)width, figures);
	else
		snprintf(out, size, "%s  %s%s%s", s->what, bar, bar[0] ? "  " : "", figures);
}

/* --- drawing ------------------------------------------------------------------------------------------------------ */

static double
seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static size_t
terminal_width(void)
{
	struct winsize size;

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

static void
stderr_write(const char *text, size_t len)
{
	ssize_t n = write(STDERR_FILENO, text, len);

	(void)n; /* a terminal that is gone sees nothing */
}

static void
line_erase_locked(void)
{
	if (visible)
		stderr_write(ERASE, sizeof(ERASE) - 1);
	visible = 0;
}

static void
rate_tick_locked(uint64_t done)
{
	double now = seconds_now(), passed = now - progress.ticked, share;
	double rate;

	if (passed <= 0)
		return;
	rate = done > progress.ticked_done ? (double)(done - progress.ticked_done) / passed : 0;
	share = passed / (now - progress.started < MEMORY_SECONDS ? now - progress.started : MEMORY_SECONDS);
	share = share > 1 ? 1 : share;
	progress.rate += (rate - progress.rate) * share;
	progress.ticked = now;
	progress.ticked_done = done;
}

static void
line_draw_locked(void)
{
	uint64_t done = atomic_load(&progress.done), total = atomic_load(&progress.total);
	struct progress_state state = {progress.what, done, total, progress.rate};
	char line[LINE_MAX_BYTES], text[LINE_MAX_BYTES + 16];
	int len;

	progress_draw(&state, terminal_width() - 1, line, sizeof(line));
	len = snprintf(text, sizeof(text), ERASE "%s", line);
	visible = 1;
	stderr_write(text, (size_t)len);
}

static void *
draw_run(void *arg)
{
	pthread_mutex_lock(&progress.lock);
	while (!progress.ending) {
		struct timespec until;

		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += TICK_NS;
		until.tv_sec += until.tv_nsec / NS_PER_SECOND;
		until.tv_nsec %= NS_PER_SECOND;
		pthread_cond_timedwait(&progress.wake, &progress.lock, &until);
		if (progress.ending)
			break;
		rate_tick_locked(atomic_load(&progress.done));
		line_draw_locked();
	}
	pthread_mutex_unlock(&progress.lock);
	return NULL;
}

/* Only what is allowed in a handler. */
void
progress_signal(int number)
{
	if (visible)
		stderr_write(ERASE, sizeof(ERASE) - 1);
	signal(number, SIG_DFL);
	raise(number);
}

/* Those that somebody else handles stay his. */
static void
signals_take(void)
{
	struct sigaction action = {.sa_handler = progress_signal};

	for (size_t i = 0; i < sizeof(ending_signals) / sizeof(ending_signals[0]); i++) {
		sigaction(ending_signals[i], NULL, &progress.before[i]);
		if (progress.before[i].sa_handler == SIG_DFL)
			sigaction(ending_signals[i], &action, NULL);
	}
}

static void
signals_give_back(void)
{
	for (size_t i = 0; i < sizeof(ending_signals) / sizeof(ending_signals[0]); i++)
		if (progress.before[i].sa_handler == SIG_DFL)
			sigaction(ending_signals[i], &progress.before[i], NULL);
}

/* --- for others --------------------------------------------------------------------------------------------------- */

bool
cli_is_terminal(FILE *stream)
{
	const char *term = getenv("TERM");

	return isatty(fileno(stream)) && !(term && strcmp(term, "dumb") == 0);
}

/* The thread takes no signals: they are for whoever has work to break off. */
static void
thread_start(void)
{
	pthread_condattr_t attributes;
	sigset_t all, before;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&progress.wake, &attributes);
	pthread_condattr_destroy(&attributes);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	progress.running = pthread_create(&progress.thread, NULL, draw_run, NULL) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void
progress_begin(const char *what, uint64_t total, bool wanted)
{
	progress_end();
	atomic_store(&progress.done, 0);
	atomic_store(&progress.total, total);
	if (!wanted || !cli_is_terminal(stderr))
		return;
	snprintf(progress.what, sizeof(progress.what), "%s", what);
	progress.started = progress.ticked = seconds_now();
	progress.ticked_done = 0;
	progress.rate = 0;
	progress.ending = false;
	signals_take();
	thread_start();
}

void
progress_more(uint64_t bytes)
{
	atomic_fetch_add(&progress.total, bytes);
}

void
progress_add(uint64_t bytes)
{
	atomic_fetch_add(&progress.done, bytes);
}

void
progress_take_back(uint64_t bytes)
{
	atomic_fetch_sub(&progress.done, bytes);
}

void
progress_end(void)
{
	if (!progress.running)
		return;
	pthread_mutex_lock(&progress.lock);
	progress.ending = true;
	line_erase_locked();
	pthread_cond_signal(&progress.wake);
	pthread_mutex_unlock(&progress.lock);
	pthread_join(progress.thread, NULL);
	pthread_cond_destroy(&progress.wake);
	progress.running = false;
	signals_give_back();
}

/* The lock is kept between the two: lines of several threads do not mix. */
void
progress_hide(void)
{
	pthread_mutex_lock(&progress.lock);
	line_erase_locked();
}

void
progress_show(void)
{
	fflush(stdout);
	pthread_mutex_unlock(&progress.lock);
}

const char *
cli_colour(FILE *stream, enum cli_colour colour)
{
	static const char *const codes[] = {
		[COLOUR_NONE] = "\033[0m",
		[COLOUR_RED] = "\033[31m",
		[COLOUR_GREEN] = "\033[32m",
		[COLOUR_YELLOW] = "\033[33m",
		[COLOUR_BLUE] = "\033[34m",
		[COLOUR_BOLD] = "\033[1m",
		[COLOUR_DIM] = "\033[2m",
	};
	const char *no = getenv("NO_COLOR");

	return cli_is_terminal(stream) && !(no && no[0]) ? codes[colour] : "";
}
