/*
 * Progress for people on stderr; the line is made by a pure function.
 * It must not ask for numbers: they are handed in.
 * Called by stage.c and publish.c.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ctl/cell.h"
#include "ctl/progress.h"
#include "larder/text.h"

#define BAR_WIDTH   24
#define WIDTH_MAX   512
#define WIDTH_GUESS 80
#define TEXT_MAX    64

int progress_percent(const struct progress_now *now)
{
	if (now->need_bytes > 0)
		return (int)(cell_permille(now->done_bytes, now->need_bytes) / 10);
	return (int)(cell_permille(now->done_shards, now->need_shards) / 10);
}

static void format_bar(int percent, char *out)
{
	int full = percent * BAR_WIDTH / 100;

	out[0] = '[';
	memset(out + 1, '#', (size_t)full);
	memset(out + 1 + full, ' ', (size_t)(BAR_WIDTH - full));
	memcpy(out + 1 + BAR_WIDTH, "] ", 3);
}

void progress_format(const struct progress_now *now, bool bar, size_t width, char *out, size_t len)
{
	char done[TEXT_MAX], need[TEXT_MAX], rate[TEXT_MAX] = "", eta[TEXT_MAX] = "";
	char bar_text[BAR_WIDTH + 4] = "", text[TEXT_MAX];
	int percent = progress_percent(now);
	bool bytes = now->need_bytes > 0;

	if (bar)
		format_bar(percent, bar_text);
	if (bytes) {
		larder_size_format(now->done_bytes, done, sizeof(done));
		larder_size_format(now->need_bytes, need, sizeof(need));
	} else {
		snprintf(done, sizeof(done), "%" PRIu64, now->done_shards);
		snprintf(need, sizeof(need), "%" PRIu64 " shards", now->need_shards);
	}
	if (now->bytes_per_s > 0)
		snprintf(rate, sizeof(rate), "  %s/s",
			 larder_size_format(now->bytes_per_s, text, sizeof(text) - 8));
	if (now->eta_ms >= 0 && percent < 100)
		snprintf(eta, sizeof(eta), "  %s left",
			 larder_duration_format(now->eta_ms, text, sizeof(text) - 16));
	if (width + 1 < len)
		len = width + 1;
	snprintf(out, len, "%s %s%3d %%  %s of %s%s%s%s%s", now->what, bar_text, percent, done,
		 need, rate, eta, *now->phase ? "  " : "", now->phase);
	larder_text_printable(out);
}

void progress_init(struct progress *progress, bool quiet)
{
	*progress = (struct progress){
		.quiet = quiet, .terminal = isatty(STDERR_FILENO), .last_step = -1};
}

static size_t terminal_width(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 2)
		return WIDTH_GUESS;
	return (size_t)size.ws_col - 1;
}

void progress_show(struct progress *progress, const struct progress_now *now)
{
	char line[WIDTH_MAX + 1];
	int step = progress_percent(now) / 10;

	if (progress->quiet)
		return;
	if (progress->terminal) {
		progress_format(now, true, terminal_width(), line, sizeof(line));
		fprintf(stderr, "\r%s\033[K", line);
		progress->line_open = true;
		return;
	}
	if (step <= progress->last_step)
		return;
	progress->last_step = step;
	progress_format(now, false, WIDTH_MAX, line, sizeof(line));
	fprintf(stderr, "%s\n", line);
}

void progress_end(struct progress *progress)
{
	if (progress->line_open)
		fputc('\n', stderr);
	progress->line_open = false;
}
