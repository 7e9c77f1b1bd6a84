/* layers/entry.c - entries: pulling and pushing them, their names, their order. */
#include "layers/entry.h"

#include "base/mem.h"

enum {
	PUMP_BLOCK = 1 << 20,
	PATH_MOST = 4095,
	COMPONENT_MOST = 255,
	XATTR_NAME_MOST = 255,
};

int entries_next(struct entries *s, const struct entry **ret, struct err **e)
{
	return s->ops->next(s, ret, e);
}

ssize_t entries_data(struct entries *s, void *p, size_t n, struct err **e)
{
	return s->ops->data(s, p, n, e);
}

int entries_close(struct entries *s, struct err **e)
{
	return s ? s->ops->close(s, e) : 0;
}

void entries_drop(struct entries **s)
{
	if (*s)
		(void)entries_close(take(s), NULL);
}

void sink_free(struct sink **k)
{
	struct sink *sink = take(k);

	if (sink)
		sink->ops->free(sink);
}

static int changed(const struct entry *en, struct err **e)
{
	err_set(e, ERR_INPUT, "'%s' changed while it was read", en->path);
	return err_hint(e, "try again when nothing writes to it");
}

/* The content of one file to all sinks. The last read, which must say "end", costs nothing: sources know how much they gave. */
static int pump_file(struct entries *src, struct sink *const *sinks, size_t n, const struct entry *en, char *block, struct err **e)
{
	uint64_t left = en->size;

	for (;;) {
		ssize_t got = entries_data(src, block, PUMP_BLOCK, e);

		if (got < 0)
			return err_wrap(e, "cannot read '%s'", en->path);
		if (got == 0)
			break;
		if ((uint64_t)got > left)
			return changed(en, e);
		left -= (uint64_t)got;
		for (size_t i = 0; i < n; i++)
			if (sinks[i]->ops->data(sinks[i], block, (size_t)got, e) < 0)
				return -1;
	}
	return left ? changed(en, e) : 0;
}

int entries_pump(struct entries *src, struct sink *const *sinks, size_t n, struct pump_totals *ret, struct err **e)
{
	AUTO(mem_freep) char *block = mem_alloc(PUMP_BLOCK);
	struct pump_totals totals = { 0 };
	const struct entry *en = NULL;
	int rc;

	while ((rc = entries_next(src, &en, e)) == 1) {
		for (size_t i = 0; i < n; i++)
			if (sinks[i]->ops->entry(sinks[i], en, e) < 0)
				return -1;
		totals.entries++;
		if (en->type != ENTRY_FILE)
			continue;
		totals.bytes += en->size;
		if (pump_file(src, sinks, n, en, block, e) < 0)
			return -1;
	}
	if (rc < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (sinks[i]->ops->end(sinks[i], e) < 0)
			return -1;
	if (ret)
		*ret = totals;
	return 0;
}

/* ---- copies: one block of memory, so that freeing is one call */

static char *put_str(char **at, const char *s)
{
	char *p = *at;

	if (!s)
		return NULL;
	size_t n = strlen(s) + 1;
	memcpy(p, s, n);
	*at += n;
	return p;
}

struct entry *entry_dup(const struct entry *en)
{
	size_t n = sizeof(*en) + en->nxattr * sizeof(struct xattr) + strlen(en->path) + 1 + (en->link ? strlen(en->link) + 1 : 0);

	for (size_t i = 0; i < en->nxattr; i++)
		n += strlen(en->xattr[i].name) + 1 + en->xattr[i].value.n;

	struct entry *copy = mem_alloc(n);
	struct xattr *xattr = (struct xattr *)(copy + 1);
	char *at = (char *)(xattr + en->nxattr);

	*copy = *en;
	copy->path = put_str(&at, en->path);
	copy->link = put_str(&at, en->link);
	copy->xattr = en->nxattr ? xattr : NULL;
	for (size_t i = 0; i < en->nxattr; i++) {
		struct slice value = en->xattr[i].value;

		xattr[i].name = put_str(&at, en->xattr[i].name);
		if (value.n)
			memcpy(at, value.p, value.n);
		xattr[i].value = (struct slice){ at, value.n };
		at += value.n;
	}
	return copy;
}

void entry_free(struct entry *en)
{
	mem_freep(&en);
}

/* ---- names */

bool xattr_allowed(const char *name)
{
	/* Private names of overlay implementations, and ours: they would let an image hide, redirect or re-own files (E22). */
	static const char *const hidden[] = {
		"user.overlay.", "user.fuseoverlayfs.", "user.containers.", "user.rootlesscontainers", "user.kiln.",
	};

	if (strcmp(name, "security.capability") == 0)
		return true;
	/* A PAX key ends at the first '=': such a name would be read as another one. */
	if (strncmp(name, "user.", 5) != 0 || !name[5] || strchr(name, '=') || strlen(name) > XATTR_NAME_MOST)
		return false;
	for (size_t i = 0; i < countof(hidden); i++)
		if (strncmp(name, hidden[i], strlen(hidden[i])) == 0)
			return false;
	return true;
}

int entry_path_cmp(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;

	/* The end sorts first, then '/': a directory's content follows it at once, before "name!" or "name-x". */
	unsigned x = *a == '/' ? 1 : *a ? (unsigned char)*a + 1U : 0;
	unsigned y = *b == '/' ? 1 : *b ? (unsigned char)*b + 1U : 0;
	return x < y ? -1 : x > y;
}

static int bad_name(struct err **e, struct slice name, const char *what)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(1024);

	buf_escaped(&text, name, 200);
	return err_set(e, ERR_SOURCE, "the name '%.*s' %s", SLICE_F(buf_view(&text)), what);
}

int entry_path_clean(struct slice name, bool clamp_dotdot, struct buf *out, struct err **e)
{
	struct slice rest = name, part;

	buf_reset(out);
	buf_add(out, "", 0);
	if (name.n && memchr(name.p, 0, name.n))
		return bad_name(e, name, "contains a NUL byte");
	while (rest.n) {
		slice_cut(rest, '/', &part, &rest);
		if (part.n == 0 || slice_is(part, "."))
			continue;
		if (slice_is(part, "..")) {
			if (!clamp_dotdot)
				return bad_name(e, name, "has a component '..'");
			while (out->n && out->p[out->n - 1] != '/')
				out->n--;
			if (out->n)
				out->n--;
			if (out->p)
				out->p[out->n] = 0;
			continue;
		}
		if (part.n > COMPONENT_MOST)
			return bad_name(e, name, "has a component longer than 255 bytes");
		if (out->n)
			buf_char(out, '/');
		buf_slice(out, part);
		if (out->n > PATH_MOST || out->over)
			return bad_name(e, name, "is longer than 4095 bytes");
	}
	return 0;
}

/* ---- the content digest */

static void add_u64(struct hasher *h, uint64_t v)
{
	unsigned char b[8];

	for (unsigned i = 0; i < 8; i++)
		b[i] = (unsigned char)(v >> (8 * i));
	hasher_add(h, b, sizeof(b));
}

static void add_bytes(struct hasher *h, const void *p, size_t n)
{
	add_u64(h, n);
	hasher_add(h, p, n);
}

void content_add(struct hasher *h, const struct entry *en, const struct digest *content)
{
	bool device = en->type == ENTRY_CHAR || en->type == ENTRY_BLOCK;

	if (en->parent)
		return;
	add_u64(h, (uint64_t)en->type);
	add_bytes(h, en->path, strlen(en->path));
	add_u64(h, en->mode & 07777);
	add_u64(h, (uint64_t)en->uid << 32 | en->gid);
	add_u64(h, device ? (uint64_t)en->major << 32 | en->minor : 0);
	add_bytes(h, en->link ? en->link : "", en->link ? strlen(en->link) : 0);
	add_u64(h, en->type == ENTRY_FILE ? en->size : 0);
	if (en->type == ENTRY_FILE)
		hasher_add(h, content->b, sizeof(content->b));
	for (size_t i = 0; i < en->nxattr; i++) {
		if (!xattr_allowed(en->xattr[i].name) || en->xattr[i].value.n == 0)
			continue;
		add_bytes(h, en->xattr[i].name, strlen(en->xattr[i].name));
		add_bytes(h, en->xattr[i].value.p, en->xattr[i].value.n);
	}
	add_u64(h, UINT64_MAX);         /* no name is that long: the end of the attributes */
}

struct content {
	struct sink sink;
	struct hasher *all, *file;
	struct entry *open;              /* the file whose content is still coming */
	struct digest *ret;
};

static void content_close(struct content *c)
{
	struct digest d;

	if (!c->open)
		return;
	hasher_end(c->file, &d);
	content_add(c->all, c->open, &d);
	entry_free(take(&c->open));
}

static int content_entry(struct sink *k, const struct entry *en, struct err **e)
{
	struct content *c = container_of(k, struct content, sink);

	content_close(c);
	if (en->type == ENTRY_FILE)
		c->open = entry_dup(en);
	else
		content_add(c->all, en, NULL);
	return 0;
}

static int content_data(struct sink *k, const void *p, size_t n, struct err **e)
{
	hasher_add(container_of(k, struct content, sink)->file, p, n);
	return 0;
}

static int content_end(struct sink *k, struct err **e)
{
	struct content *c = container_of(k, struct content, sink);

	content_close(c);
	hasher_end(c->all, c->ret);
	return 0;
}

static void content_free(struct sink *k)
{
	struct content *c = container_of(k, struct content, sink);

	hasher_free(c->all);
	hasher_free(c->file);
	entry_free(c->open);
	mem_freep(&c);
}

struct sink *content_sink_new(struct digest *ret)
{
	static const struct sink_ops ops = { content_entry, content_data, content_end, content_free };
	struct content *c = mem_zalloc(sizeof(*c));

	c->sink.ops = &ops;
	c->all = hasher_new();
	c->file = hasher_new();
	c->ret = ret;
	return &c->sink;
}
