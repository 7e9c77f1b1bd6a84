/* build/ui/ui.c - events to whole, clean lines, and those to a mode. */
#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "build/ui/parts.h"

#include <time.h>
#include <unistd.h>

static const struct ui_mode *const modes[] = { &ui_tty, &ui_plain, &ui_json, &ui_rawjson, &ui_quiet_mode };

static struct ui *ui_of(struct report *r)
{
	return container_of(r, struct ui, report);
}

void ui_write(struct ui *u, const struct buf *b)
{
	if (b->n)
		fd_write_all(u->log >= 0 ? u->log : u->fd, b->p, b->n, NULL);
}

double ui_seconds(const struct ui_step *s)
{
	if (!s->begin)
		return 0;
	return (double)((s->ended ? s->end : clock_ns()) - s->begin) / 1e9;
}

const char *ui_tail_line(const struct ui_step *s, size_t i)
{
	size_t kept = s->ntail < UI_TAIL ? s->ntail : UI_TAIL;

	return i < kept ? s->tail[(s->ntail - kept + i) % UI_TAIL] : NULL;
}

/* Ids are handed out in order, so the one asked for is almost always among the last. */
static struct ui_step *find(struct ui *u, unsigned id)
{
	for (size_t i = u->nstep; i-- > 0;)
		if (u->step[i]->id == id)
			return u->step[i];

	struct ui_step *s = mem_zalloc(sizeof(*s));
	s->id = id;
	s->title = mem_str("");
	for (size_t k = 0; k < countof(s->part); k++)
		s->part[k] = (struct buf)BUF_MAX(UI_LINE_MAX);
	if (u->nstep == u->cap) {
		u->cap = u->cap ? u->cap * 2 : 16;
		u->step = mem_grow(u->step, u->cap, sizeof(struct ui_step *));
	}
	u->step[u->nstep++] = s;
	return s;
}

/* Secrets out, then control bytes visible. New memory. */
static char *clean(const struct ui *u, struct slice text)
{
	AUTO(buf_freep) struct buf safe = BUF_MAX(4 * UI_LINE_MAX);
	struct buf out = BUF_MAX(4 * UI_LINE_MAX);

	redact_apply(&u->redact, text, &safe);
	buf_escaped(&out, buf_view(&safe), UI_LINE_MAX);
	return out.n ? buf_steal(&out) : mem_str("");
}

/* Titles and reasons come from files of others: a line break in them must not begin a line of ours. */
static char *clean_line(const struct ui *u, const char *text)
{
	char *line = clean(u, slice_of(text));

	for (char *p = line; *p; p++)
		if (*p == '\n' || *p == '\t')
			*p = ' ';
	return line;
}

static void on_step(struct report *r, unsigned id, const char *title)
{
	struct ui *u = ui_of(r);
	struct ui_step *s = find(u, id);

	free(s->title);
	s->title = clean_line(u, title);
	if (u->mode->step)
		u->mode->step(u, s);
}

static void end_line(struct ui *u, struct ui_step *s, int stream, struct slice text)
{
	char *line = clean(u, text);

	free(s->tail[s->ntail % UI_TAIL]);
	s->tail[s->ntail++ % UI_TAIL] = line;
	if (u->mode->line)
		u->mode->line(u, s, stream, line);
}

/* Colours would be the only sequences worth keeping; what a pager or a file does with them is worse than their loss. */
static struct slice skip_colour(struct slice s)
{
	if (s.n < 3 || s.p[0] != '\033' || s.p[1] != '[')
		return s;
	for (size_t i = 2; i < s.n; i++) {
		if (s.p[i] == 'm')
			return slice_skip(s, i + 1);
		if (!strchr("0123456789;:", s.p[i]) || s.p[i] == '\0')
			break;
	}
	return s;
}

static void flush_part(struct ui *u, struct ui_step *s, int stream)
{
	struct buf *part = &s->part[stream - 1];
	AUTO(buf_freep) struct buf line = BUF_MAX(UI_LINE_MAX);
	struct slice text = buf_view(part);

	/* A lone carriage return starts the line anew, as a progress bar does: its last state is what counts. */
	while (text.n && text.p[text.n - 1] == '\r')
		text.n--;
	const char *cr = text.n ? memrchr(text.p, '\r', text.n) : NULL;
	if (cr)
		text = slice_range(cr + 1, text.p + text.n);
	while (text.n) {
		struct slice after = skip_colour(text);

		if (after.n == text.n) {
			buf_char(&line, text.p[0]);
			after = slice_skip(text, 1);
		}
		text = after;
	}
	end_line(u, s, stream, buf_view(&line));
	buf_reset(part);
}

static void on_output(struct report *r, unsigned id, int stream, struct slice text)
{
	struct ui *u = ui_of(r);
	struct ui_step *s = find(u, id);
	int k = stream == 2 ? 2 : 1;
	struct slice line, rest;

	while (slice_cut(text, '\n', &line, &rest) || line.n) {
		bool whole = line.p + line.n != text.p + text.n;
		struct buf *part = &s->part[k - 1];

		while (line.n) {
			size_t room = part->max - part->n, n = line.n < room ? line.n : room;

			buf_add(part, line.p, n);
			line = slice_skip(line, n);
			if (line.n)
				flush_part(u, s, k);
		}
		if (!whole)
			break;
		flush_part(u, s, k);
		text = rest;
	}
}

static void on_state(struct report *r, unsigned id, enum report_state state, const char *why, uint64_t bytes)
{
	struct ui *u = ui_of(r);
	struct ui_step *s = find(u, id);

	free(s->why);
	s->why = why && *why ? clean_line(u, why) : NULL;
	s->state = state;
	if (state == REPORT_STARTED) {
		s->started = true;
		s->begin = s->begin ? s->begin : clock_ns();
	} else {
		for (int k = 1; k <= 2; k++)
			if (s->part[k - 1].n)
				flush_part(u, s, k);
		s->ended = true;
		s->end = clock_ns();
		s->bytes = bytes;
		if (state == REPORT_FAILED && !u->failed)
			u->failed = s;
	}
	if (u->mode->state)
		u->mode->state(u, s);
}

static void on_bytes(struct report *r, unsigned id, const char *what, uint64_t done, uint64_t total)
{
	struct ui *u = ui_of(r);
	struct ui_step *s = find(u, id);
	AUTO(mem_freep) char *name = clean_line(u, what);
	size_t i = 0;

	while (i < s->ntransfer && strcmp(s->transfer[i].what, name) != 0)
		i++;
	if (i == s->ntransfer) {
		MEM_ROOM(s->transfer, s->ntransfer, s->transfercap);
		s->transfer[s->ntransfer++] = (struct ui_transfer){ .what = take(&name) };
	}
	s->transfer[i].done = done;
	s->transfer[i].total = total;
	if (u->mode->bytes)
		u->mode->bytes(u, s, &s->transfer[i]);
}

static void on_note(struct report *r, enum report_level level, const char *text)
{
	struct ui *u = ui_of(r);
	AUTO(mem_freep) char *safe = clean(u, slice_of(text));

	if ((level > REPORT_DEBUG || u->debug) && u->mode->note)
		u->mode->note(u, level, safe);
}

static void on_warning(struct report *r, const char *rule, const char *text, const char *where, const char *excerpt)
{
	struct ui *u = ui_of(r);
	AUTO(mem_freep) char *safe_text = clean(u, slice_of(text));
	AUTO(mem_freep) char *safe_excerpt = clean(u, slice_of(excerpt));
	AUTO(mem_freep) char *safe_where = clean(u, slice_of(where));

	if (u->mode->warning)
		u->mode->warning(u, rule ? rule : "", safe_text, safe_where, safe_excerpt);
}

static void on_error(struct report *r, const struct err *e)
{
	struct ui *u = ui_of(r);

	if (u->mode->end)
		u->mode->end(u);
	u->mode->error(u, NULL, e);
}

void ui_warning_text(const char *rule, const char *text, const char *where, const char *excerpt, struct buf *out)
{
	buf_printf(out, "warning: %s%s%s\n", rule, *rule ? ": " : "", text);
	if (*where)
		buf_printf(out, "  at %s\n", where);
	if (*excerpt) {
		struct slice rest = slice_trim(slice_of(excerpt), "\n"), line = SLICE_NONE;
		bool more = true;

		while (more) {
			more = slice_cut(rest, '\n', &line, &rest);
			buf_printf(out, "    %.*s\n", SLICE_F(line));
		}
	}
}

void ui_error_write(struct ui *u, const struct ui_step *failed, const struct err *e)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(1 << 20);
	AUTO(buf_freep) struct buf out = BUF_MAX(2 << 20);

	if (failed && failed->ntail) {
		buf_printf(&out, "\nlast lines of #%u %s:\n", failed->id, failed->title);
		for (size_t i = 0; ui_tail_line(failed, i); i++)
			buf_printf(&out, "    %s\n", ui_tail_line(failed, i));
		buf_char(&out, '\n');
	}
	buf_str(&out, "error: ");
	err_print(e, &text);
	redact_apply(&u->redact, buf_view(&text), &out);
	ui_write(u, &out);
}

/* ---- life */

static const struct report_ops ops = {
	.step = on_step,
	.state = on_state,
	.output = on_output,
	.bytes = on_bytes,
	.note = on_note,
	.warning = on_warning,
	.error = on_error,
};

static bool can_draw(int fd)
{
	const char *term = getenv("TERM");

	return isatty(fd) && term && *term && strcmp(term, "dumb") != 0;
}

int ui_new(const char *progress, int fd, bool debug, struct ui **ret, struct err **e)
{
	const char *name = progress && *progress ? progress : "auto", *colour = getenv("NO_COLOR");
	const struct ui_mode *mode = NULL;
	struct timespec now;

	if (strcmp(name, "auto") == 0)
		name = can_draw(fd) ? "tty" : "plain";
	else if (strcmp(name, "none") == 0)
		name = "quiet";
	for (size_t i = 0; i < countof(modes); i++)
		if (strcmp(modes[i]->name, name) == 0)
			mode = modes[i];
	if (!mode)
		return err_set(e, ERR_USAGE, "there is no way '%s' to show progress: choose auto, tty, plain, json, rawjson, quiet or none", name);
	if (mode == &ui_tty && !isatty(fd))
		return err_set(e, ERR_USAGE, "--progress=tty needs a terminal");
	struct ui *u = mem_zalloc(sizeof(*u));
	*u = (struct ui){ .report = { &ops }, .mode = mode, .fd = fd, .log = -1, .debug = debug };
	clock_gettime(CLOCK_REALTIME, &now);
	u->wall = now.tv_sec * INT64_C(1000000000) + now.tv_nsec - clock_ns();
	u->colour = isatty(fd) && !(colour && *colour);
	*ret = u;
	return 0;
}

static void step_free(struct ui_step *s)
{
	free(s->title);
	free(s->why);
	for (size_t i = 0; i < countof(s->part); i++)
		buf_free(&s->part[i]);
	for (size_t i = 0; i < UI_TAIL; i++)
		free(s->tail[i]);
	for (size_t i = 0; i < s->ntransfer; i++)
		free(s->transfer[i].what);
	free(s->transfer);
	free(s);
}

void ui_free(struct ui *u)
{
	if (!u)
		return;
	for (size_t i = 0; i < u->nstep; i++)
		step_free(u->step[i]);
	free(u->step);
	redact_clear(&u->redact);
	fd_closep(&u->log);
	free(u);
}

struct report *ui_report(struct ui *u)
{
	return &u->report;
}

static void on_tick(void *arg, short revents)
{
	struct ui *u = arg;

	u->mode->draw(u);
	loop_drop(u->loop, u->tick);
	u->tick = loop_timer(u->loop, 100, on_tick, u);
	loop_quiet(u->tick, true);
}

void ui_loop(struct ui *u, struct loop *l)
{
	u->loop = l;
	if (!u->mode->draw)
		return;
	u->tick = loop_timer(l, 100, on_tick, u);
	loop_quiet(u->tick, true);
}

void ui_quiet(struct report *r)
{
	struct ui *u = r && r->ops == &ops ? ui_of(r) : NULL;

	if (!u || u->mode == &ui_json || u->mode == &ui_rawjson)
		return;
	ui_end(u);
	u->mode = &ui_quiet_mode;
}

void ui_log(struct report *r, int take_fd)
{
	struct ui *u = r && r->ops == &ops ? ui_of(r) : NULL;

	if (!u) {
		fd_closep(&take_fd);
		return;
	}
	ui_end(u);
	u->log = take_fd;
	if (u->mode == &ui_tty)
		u->mode = &ui_plain;
}

void ui_redact(struct report *r, struct slice secret)
{
	if (r && r->ops == &ops)
		redact_add(&ui_of(r)->redact, secret);
}

/* What began has ended, whoever stopped it. */
static void cancel_rest(struct ui *u)
{
	for (size_t i = 0; i < u->nstep; i++)
		if (u->step[i]->started && !u->step[i]->ended)
			report_state(&u->report, u->step[i]->id, REPORT_CANCELED, NULL, 0);
}

void ui_end(struct ui *u)
{
	cancel_rest(u);
	if (u->tick) {
		loop_drop(u->loop, u->tick);
		u->tick = NULL;
	}
	if (u->mode->end)
		u->mode->end(u);
}

void ui_error(struct ui *u, const struct err *e)
{
	ui_end(u);
	u->mode->error(u, u->failed, e);
	/* Whoever waits at the terminal sees why it ended. */
	if (u->log >= 0) {
		fd_closep(&u->log);
		u->mode->error(u, u->failed, e);
	}
}
