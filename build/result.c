/* build/result.c - steps -> image -> outputs (spec/dockerfile.md 18). */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/tmp.h"
#include "build/output/output.h"
#include "build/plan.h"

/* The layers of the chain, bottom first, their times into the history. Which blob each gets is up to the output. */
static void add_layers(struct plan *p, struct pstage *ps, struct image *im)
{
	struct step **chain = mem_array(p->nstep + 1, elem_size(chain));
	size_t n = 0, entry = ps->base_history;

	for (struct step *s = ps->last; s; s = s->parent)
		chain[n++] = s;
	while (n--) {
		const struct step *s = chain[n];
		struct image_layer l = { .diff = s->record.diff };

		config_layer(im, &l);
		while (entry < config_history_count(im) && config_history_empty(im, entry))
			entry++;
		config_history_time(im, entry++, s->record.created);
	}
	free(chain);
}

int result_image(struct plan *p, struct image *ret, struct err **e)
{
	struct pstage *ps = p->target;

	image_copy(ret, &ps->image);
	size_t nbase = ret->nlayer;
	add_layers(p, ps, ret);
	/* Of the entries that tell of new layers, the first one stands for the one that is left (config_finish). */
	if (squash_layers(p, nbase, ret, e) < 0)
		return -1;
	imageopts_config(p->req, ret);
	config_finish(ret, p->req->platforms.n || !ps->base ? &p->target_platform : NULL, ps->base_history, p->epoch);
	return imageopts_finish(p, ps->base, ret, e);
}

static int write_text(const struct app *a, const char *path, const char *text, struct err **e)
{
	mode_t ours = umask(a->umask);
	AUTO(fd_closep) int fd = fd_open_host(path, O_WRONLY | O_CREAT | O_TRUNC, 0666, e);

	umask(ours);

	if (fd < 0 || fd_write_all(fd, text, strlen(text), e) < 0 || fd_close(&fd, path, e) < 0)
		return err_wrap(e, "cannot write '%s'", path);
	return 0;
}

/* spec/cli-flags.md 9.6. */
static int write_metadata(struct plan *p, const struct output_done *d, const struct digest *id, struct err **e)
{
	AUTO(jval_freep) struct jval *o = jval_obj();
	AUTO(buf_freep) struct buf b = BUF_MAX(4 << 20);
	AUTO(buf_freep) struct buf names = BUF_MAX(1 << 20);

	if (!digest_zero(&d->config))
		jval_set_str(o, "containerimage.config.digest", digest_text(&d->config).s);
	if (!digest_zero(&d->manifest.digest)) {
		struct jval *desc = jval_obj();

		jval_set_str(desc, "mediaType", d->manifest.media_type);
		jval_set_str(desc, "digest", digest_text(&d->manifest.digest).s);
		jval_set_int(desc, "size", d->manifest.size);
		jval_set_str(o, "containerimage.digest", digest_text(&d->manifest.digest).s);
		jval_set(o, "containerimage.descriptor", desc);
	}
	for (size_t i = 0; i < p->req->tags.n && !digest_zero(id); i++)
		buf_printf(&names, "%s%s", i ? "," : "", p->req->tags.v[i]);
	if (names.n)
		jval_set_str(o, "image.name", names.p);
	jval_print(o, &b, 2);
	buf_char(&b, '\n');
	return write_text(p->app, p->req->metadata_file, b.p, e);
}

static int digest_lines(const struct strs *list, const char *digest, struct buf *names, struct buf *tagged, struct err **e)
{
	for (size_t i = 0; i < list->n; i++) {
		AUTO(buf_freep) struct buf text = BUF_MAX(8192);
		struct ref ref = { 0 };

		if (ref_parse(slice_of(list->v[i]), &ref, e) < 0)
			return -1;
		ref_print(&ref, &text);
		buf_printf(names, "%s/%s@%s\n", ref.domain, ref.repo, digest);
		buf_printf(tagged, "%s@%s\n", text.p, digest);
		ref_clear(&ref);
	}
	return 0;
}

/* What scripts of kaniko read: the digest, or each name with it. */
static int write_digests(struct plan *p, const struct digest *d, struct err **e)
{
	const struct build_req *r = p->req;
	AUTO(buf_freep) struct buf plain = BUF_MAX(256);
	AUTO(buf_freep) struct buf names = BUF_MAX(1 << 20);
	AUTO(buf_freep) struct buf tagged = BUF_MAX(1 << 20);

	if (!r->digest_file && !r->name_digest_file && !r->tag_digest_file)
		return 0;
	buf_str(&plain, digest_text(d).s);
	if (digest_lines(&r->tags, plain.p, &names, &tagged, e) < 0)
		return -1;
	for (size_t i = 0; i < r->noutput; i++)
		if (digest_lines(&r->output[i].names, plain.p, &names, &tagged, e) < 0)
			return -1;
	if (buf_ok(&names, "names", e) < 0 || buf_ok(&tagged, "names", e) < 0)
		return -1;
	if (r->digest_file && write_text(p->app, r->digest_file, plain.p, e) < 0)
		return -1;
	if (r->name_digest_file && write_text(p->app, r->name_digest_file, names.n ? names.p : "", e) < 0)
		return -1;
	return r->tag_digest_file ? write_text(p->app, r->tag_digest_file, tagged.n ? tagged.p : "", e) : 0;
}

static int keep_bases(struct plan *p, struct err **e)
{
	for (size_t i = 0; i < p->nbase; i++) {
		struct base_image *b = p->base[i];
		struct ref ref = { 0 };
		AUTO(mem_freep) char *name = mem_strn(b->name, strcspn(b->name, " "));

		if (!b->pulled.fresh || ref_parse(slice_of(name), &ref, NULL) < 0)
			continue;
		int rc = imagestore_keep(p->app, &ref, &b->pulled, e);
		ref_clear(&ref);
		if (rc < 0)
			return -1;
	}
	return 0;
}

static int one_output(struct plan *p, const struct output_spec *o, const struct image *im, size_t n, struct output_done *all, struct err **e)
{
	struct output_done d = { 0 };
	AUTO(mem_freep) struct image *own = mem_array(n, sizeof(*own));

	for (size_t i = 0; i < n; i++)
		image_copy(&own[i], &im[i]);
	int rc = output_run(p->app, p->req, o, own, n, p->epoch, &d, e);
	for (size_t i = 0; i < n; i++)
		image_clear(&own[i]);
	if (rc == 0 && !digest_zero(&d.config))
		all->config = d.config;
	if (rc == 0 && !digest_zero(&d.manifest.digest))
		all->manifest = d.manifest;
	return rc;
}

/* Names in the store wait for its sync, so the others come first and run beside it (spec/oci.md 7.4). One that fails takes no name
 * away: what was built is here, to be pushed again.
 */
static int all_outputs(struct plan *p, const struct image *im, size_t nimage, struct output_done *all, struct err **e)
{
	static const struct output_spec to_store = { .type = OUTPUT_STORE, .level = -1 };
	const struct output_spec *o = p->req->noutput ? p->req->output : &to_store;
	size_t n = p->req->noutput ? p->req->noutput : 1;
	AUTO(err_freep) struct err *second = NULL;
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++)
		if (o[i].type != OUTPUT_STORE)
			rc = one_output(p, &o[i], im, nimage, all, e);
	for (size_t i = 0; i < n; i++)
		if (o[i].type == OUTPUT_STORE && one_output(p, &o[i], im, nimage, all, rc < 0 ? &second : e) < 0)
			rc = -1;
	return rc;
}

int result_outputs(struct plan *const *plan, const struct image *im, size_t n, struct build_done *ret, struct err **e)
{
	struct plan *p = plan[0];
	struct output_done all = { 0 };

	if (store_sync_start(p->app->store, e) < 0 || all_outputs(p, im, n, &all, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (keep_bases(plan[i], e) < 0)
			return -1;
	/* Files are no image and have no id: then these files are empty, as buildx leaves them. */
	ret->id = p->req->index ? all.manifest.digest : all.config;
	const struct digest_text id = digest_text(&ret->id);
	bool image = !digest_zero(&ret->id);
	if (p->req->iidfile && write_text(p->app, p->req->iidfile, image ? id.s : "", e) < 0)
		return -1;
	if (p->req->iidfile_raw && write_text(p->app, p->req->iidfile_raw, image ? strchr(id.s, ':') + 1 : "", e) < 0)
		return -1;
	if (write_digests(p, &all.manifest.digest, e) < 0)
		return -1;
	if (p->req->metadata_file && write_metadata(p, &all, &ret->id, e) < 0)
		return -1;
	return 0;
}
