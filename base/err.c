/* base/err.c - an error is a chain from what was wanted to what went wrong.
 *
 * Packed form (base/wire.h): "kiln error" version, kind, errno, number of sentences, the sentences from the
 * innermost to the outermost, hint, where, excerpt, part.
 */
#include "base/err.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/wire.h"

#include <errno.h>
#include <stdlib.h>

enum { PACK_MAGIC = 0x3165726b, SENTENCES_MAX = 64, SENTENCE_MAX = 16 << 10 };

struct err {
	enum err_kind kind;
	int errnum;
	char **text;               /* innermost first */
	size_t n, cap;
	char *hint, *where, *excerpt;
	uint32_t part;             /* from 1; 0: none */
};

static const struct {
	const char *name;
	int status;
} kinds[] = {
	[ERR_INPUT] = { "input", 2 },     [ERR_STEP] = { "step", 1 },   [ERR_SOURCE] = { "source", 3 },
	[ERR_PUSH] = { "push", 4 },       [ERR_CACHE] = { "cache", 5 }, [ERR_LIMIT] = { "limit", 6 },
	[ERR_USAGE] = { "usage", 125 },   [ERR_HOST] = { "host", 125 }, [ERR_TIMEOUT] = { "timeout", 124 },
	[ERR_BUG] = { "bug", 70 },
};

static char *sentence(const char *fmt, va_list ap)
{
	struct buf b = BUF_MAX(SENTENCE_MAX);

	buf_vprintf(&b, fmt, ap);
	return buf_steal(&b);
}

static void push(struct err *x, char *take_text)
{
	if (x->n == SENTENCES_MAX) {
		free(take_text);
		return;
	}
	MEM_ROOM(x->text, x->n, x->cap);
	x->text[x->n++] = take_text;
}

/* An error that is already there stays: it came first, so it is the cause, and what failed while it was being
 * handled would hide it. */
static int start(struct err **e, enum err_kind kind, int errnum, char *take_text)
{
	if (!e || *e) {
		free(take_text);
		return -1;
	}
	*e = mem_zalloc(sizeof(**e));
	(*e)->kind = kind;
	(*e)->errnum = errnum;
	push(*e, take_text);
	return -1;
}

int err_set(struct err **e, enum err_kind kind, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return -1;
	va_start(ap, fmt);
	char *text = sentence(fmt, ap);
	va_end(ap);
	return start(e, kind, 0, text);
}

int err_errno(struct err **e, enum err_kind kind, int errnum, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return -1;
	va_start(ap, fmt);
	AUTO(mem_freep) char *text = sentence(fmt, ap);
	va_end(ap);

	/* Not strerror: its words depend on the locale, and ours begin in lower case ("I/O error" stays). */
	const char *why = strerrordesc_np(errnum);
	bool fresh = !*e;
	if (!why)
		start(e, kind, errnum, mem_printf("%s: error %d", text, errnum));
	else if (why[0] >= 'A' && why[0] <= 'Z' && why[1] >= 'a' && why[1] <= 'z')
		start(e, kind, errnum, mem_printf("%s: %c%s", text, why[0] | 0x20, why + 1));
	else
		start(e, kind, errnum, mem_printf("%s: %s", text, why));
	if (fresh && (errnum == ENOSPC || errnum == EDQUOT))
		err_hint(e, "free some space, for example with 'kiln prune'");
	return -1;
}

int err_wrap(struct err **e, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return -1;
	va_start(ap, fmt);
	char *text = sentence(fmt, ap);
	va_end(ap);
	if (!*e)
		return start(e, ERR_BUG, 0, text);
	push(*e, text);
	return -1;
}

int err_hint(struct err **e, const char *fmt, ...)
{
	va_list ap;

	if (!e || !*e || (*e)->hint)
		return -1;
	va_start(ap, fmt);
	(*e)->hint = sentence(fmt, ap);
	va_end(ap);
	return -1;
}

int err_place(struct err **e, const char *where, const char *excerpt)
{
	if (e && *e && !(*e)->where) {
		(*e)->where = mem_str(where);
		(*e)->excerpt = mem_str(excerpt);
	}
	return -1;
}

int err_part_set(struct err **e, size_t i)
{
	if (e && *e && !(*e)->part)
		(*e)->part = (uint32_t)i + 1;
	return -1;
}

bool err_part(const struct err *e, size_t *ret)
{
	if (!e || !e->part)
		return false;
	*ret = e->part - 1;
	return true;
}

int err_kind_set(struct err **e, enum err_kind kind)
{
	if (e && *e)
		(*e)->kind = kind;
	return -1;
}

enum err_kind err_kind(const struct err *e)
{
	return e ? e->kind : ERR_BUG;
}

int err_errnum(const struct err *e)
{
	return e ? e->errnum : 0;
}

int err_status(const struct err *e)
{
	return kinds[err_kind(e)].status;
}

bool err_placed(const struct err *e)
{
	return e && e->where;
}

const char *err_where(const struct err *e)
{
	return e ? e->where : NULL;
}

const char *err_text(const struct err *e)
{
	return e ? e->text[e->n - 1] : "";
}

const char *err_cause(const struct err *e)
{
	return e ? e->text[0] : "";
}

/* Escaped, and every further line indented: text from outside must not pose as a line of ours. */
static void lines(struct buf *out, const char *text, const char *indent)
{
	struct slice rest = slice_trim(slice_of(text), "\n");
	struct slice line = SLICE_NONE;
	bool more = true, first = true;

	while (more) {
		more = slice_cut(rest, '\n', &line, &rest);
		if (!first)
			buf_str(out, indent);
		first = false;
		buf_escaped(out, line, SENTENCE_MAX);
		buf_char(out, '\n');
	}
}

void err_print(const struct err *e, struct buf *out)
{
	if (!e)
		return;
	if (e->where) {
		buf_escaped(out, slice_of(e->where), SENTENCE_MAX);
		buf_str(out, ": ");
	}
	lines(out, err_text(e), "    ");
	if (e->excerpt && *e->excerpt) {
		buf_str(out, "    ");
		lines(out, e->excerpt, "    ");
	}
	for (size_t i = e->n - 1; i-- > 0;) {
		buf_str(out, "  because: ");
		lines(out, e->text[i], "    ");
	}
	if (e->hint) {
		buf_str(out, "  try: ");
		lines(out, e->hint, "    ");
	}
}

static void json_or_null(struct buf *out, const char *name, const char *s)
{
	buf_printf(out, ",\"%s\":", name);
	if (s)
		buf_json(out, slice_of(s));
	else
		buf_str(out, "null");
}

void err_where_apart(const struct err *e, struct slice *file, unsigned *line, unsigned *column)
{
	uint64_t v[2] = { 0 };
	size_t n = 0;

	*file = slice_of(e && e->where ? e->where : "");
	/* From the end: a name may hold colons and digits. */
	for (size_t i = file->n; i-- > 0 && n < 2;) {
		if (file->p[i] != ':')
			continue;
		if (!slice_u64(slice_skip(*file, i + 1), &v[n]))
			break;
		file->n = i;
		n++;
	}
	*line = (unsigned)v[n == 2];
	*column = n == 2 ? (unsigned)v[0] : 0;
}

static void where_json(struct buf *out, const struct err *e)
{
	unsigned line, column;
	struct slice file;

	err_where_apart(e, &file, &line, &column);
	if (!line)
		return;
	buf_str(out, ",\"file\":");
	buf_json(out, file);
	buf_printf(out, ",\"line\":%u", line);
	if (column)
		buf_printf(out, ",\"column\":%u", column);
}

void err_json(const struct err *e, struct buf *out)
{
	if (!e)
		return;
	buf_printf(out, "{\"kind\":\"%s\",\"status\":%d,\"messages\":[", kinds[e->kind].name, err_status(e));
	for (size_t i = e->n; i-- > 0;) {
		buf_json(out, slice_of(e->text[i]));
		if (i)
			buf_char(out, ',');
	}
	buf_char(out, ']');
	json_or_null(out, "where", e->where);
	where_json(out, e);
	json_or_null(out, "hint", e->hint);
	buf_char(out, '}');
}

void err_pack(const struct err *e, struct buf *out)
{
	wire_put_u32(out, PACK_MAGIC);
	wire_put_u32(out, e ? (uint32_t)e->kind : ERR_BUG);
	wire_put_u32(out, e ? (uint32_t)e->errnum : 0);
	wire_put_u32(out, e ? (uint32_t)e->n : 0);
	for (size_t i = 0; e && i < e->n; i++)
		wire_put_str(out, e->text[i]);
	wire_put_str(out, e ? e->hint : NULL);
	wire_put_str(out, e ? e->where : NULL);
	wire_put_str(out, e ? e->excerpt : NULL);
	wire_put_u32(out, e ? e->part : 0);
}

void err_unpack(struct slice bytes, struct err **e)
{
	struct wire w = wire_of(bytes);
	AUTO(err_freep) struct err *x = mem_zalloc(sizeof(*x));

	if (wire_u32(&w) != PACK_MAGIC)
		w.bad = true;
	uint32_t kind = wire_u32(&w);
	x->errnum = (int)wire_u32(&w);
	uint32_t n = wire_u32(&w);
	if (kind >= countof(kinds) || n == 0 || n > SENTENCES_MAX)
		w.bad = true;
	for (uint32_t i = 0; !w.bad && i < n; i++) {
		char *text = wire_str(&w);

		if (text)
			push(x, text);
		else
			w.bad = true;
	}
	x->hint = wire_str(&w);
	x->where = wire_str(&w);
	x->excerpt = wire_str(&w);
	x->part = wire_u32(&w);
	if (w.bad || w.rest.n) {
		err_set(e, ERR_BUG, "a helper process reported a failure that cannot be read");
		return;
	}
	x->kind = (enum err_kind)kind;
	if (e && !*e)
		*e = take(&x);
}

void err_free(struct err *e)
{
	if (!e)
		return;
	for (size_t i = 0; i < e->n; i++)
		free(e->text[i]);
	free(e->text);
	free(e->hint);
	free(e->where);
	free(e->excerpt);
	free(e);
}

void err_freep(struct err **e)
{
	err_free(*e);
	*e = NULL;
}
