/* layers/comp.c - the table of compressions, and looking at first bytes. */
#include "layers/comp.h"

#include "base/mem.h"

#include <assert.h>
#include <strings.h>

static const struct comp *const table[] = { &comp_none, &comp_gzip, &comp_zstd, &comp_xz, &comp_bzip2 };

enum { PEEK = 512 };

const struct comp *comp_find(const char *name)
{
	if (strcmp(name, "uncompressed") == 0)
		return &comp_none;
	for (size_t i = 0; i < countof(table); i++)
		if (strcmp(table[i]->name, name) == 0)
			return table[i];
	return NULL;
}

const struct comp *comp_by_media_type(const char *media_type)
{
	static const struct {
		const char *type;
		const struct comp *comp;
	} others[] = {                   /* read, never written (spec/oci.md 1.2) */
		{ "application/vnd.oci.image.layer.nondistributable.v1.tar", &comp_none },
		{ "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", &comp_gzip },
		{ "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", &comp_zstd },
		{ "application/vnd.docker.image.rootfs.diff.tar.zstd", &comp_zstd },
		{ "application/vnd.docker.image.rootfs.foreign.diff.tar", &comp_none },
		{ "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", &comp_gzip },
	};

	for (size_t i = 0; i < countof(table); i++) {
		const char *oci = table[i]->media_type, *docker = table[i]->docker_type;

		if ((oci && strcasecmp(oci, media_type) == 0) || (docker && strcasecmp(docker, media_type) == 0))
			return table[i];
	}
	for (size_t i = 0; i < countof(others); i++)
		if (strcasecmp(others[i].type, media_type) == 0)
			return others[i].comp;
	return NULL;
}

/* ---- bytes that were looked at, then the rest */

struct peeked {
	struct stream s;
	struct stream *inner;
	size_t at, n;
	unsigned char p[PEEK];
};

static ssize_t peeked_read(struct stream *s, void *p, size_t n, struct err **e)
{
	struct peeked *k = container_of(s, struct peeked, s);
	size_t have = k->n - k->at;

	if (have == 0)
		return stream_read(k->inner, p, n, e);
	if (n > have)
		n = have;
	memcpy(p, k->p + k->at, n);
	k->at += n;
	return (ssize_t)n;
}

static int peeked_close(struct stream *s, struct err **e)
{
	struct peeked *k = container_of(s, struct peeked, s);
	int rc = stream_close(k->inner, e);

	mem_freep(&k);
	return rc;
}

int comp_detect(struct stream *take_inner, int which, struct stream **ret, const struct comp **ret_comp, struct err **e)
{
	static const struct stream_ops ops = { peeked_read, peeked_close };
	struct peeked *k = mem_zalloc(sizeof(*k));
	AUTO(stream_drop) struct stream *s = &k->s;
	const struct comp *found = &comp_none;

	k->s.ops = &ops;
	k->inner = take_inner;
	while (k->n < PEEK) {
		ssize_t got = stream_read(k->inner, k->p + k->n, PEEK - k->n, e);

		if (got < 0)
			return -1;
		if (got == 0)
			break;
		k->n += (size_t)got;
	}
	for (size_t i = 0; i < countof(table); i++) {
		if (which == COMP_LAYER && !table[i]->media_type)
			continue;
		if (table[i]->magic && table[i]->magic(k->p, k->n))
			found = table[i];
	}
	*ret = found->reader ? found->reader(take(&s)) : take(&s);
	if (ret_comp)
		*ret_comp = found;
	return 0;
}

/* ---- none */

struct compw {
	comp_out *out;
	void *arg;
};

static struct compw *none_writer(int level, unsigned threads, comp_out *out, void *arg)
{
	struct compw *w = mem_zalloc(sizeof(*w));

	*w = (struct compw){ out, arg };
	return w;
}

static int none_write(struct compw *w, const void *p, size_t n, struct err **e)
{
	return w->out(w->arg, p, n, e);
}

static int none_finish(struct compw *w, struct err **e)
{
	return 0;
}

static void none_free(struct compw *w)
{
	mem_freep(&w);
}

const struct comp comp_none = {
	.name = "none",
	.media_type = "application/vnd.oci.image.layer.v1.tar",
	.docker_type = "application/vnd.docker.image.rootfs.diff.tar",
	.writer = none_writer,
	.write = none_write,
	.finish = none_finish,
	.free = none_free,
};
