/* build/cmd/build.c - kiln build: the command line to a request, the request to build_run(). */
#include "base/fd.h"
#include "build/cmd/build.h"
#include "build/ui/ui.h"

#include <fcntl.h>
#include <sys/stat.h>

static void done_clearp(struct build_done *d)
{
	buf_free(&d->text);
}

/* An image that went nowhere by its id is not told by it: type=local leaves files, type=cacheonly nothing. */
static void tell(struct app *a, const struct build_req *r, const struct build_done *d)
{
	AUTO(buf_freep) struct buf names = BUF_MAX(64 << 10);
	bool image = r->noutput == 0;

	for (size_t i = 0; i < r->noutput; i++) {
		const struct output_spec *o = &r->output[i];
		bool files = o->type == OUTPUT_LOCAL || o->type == OUTPUT_TAR;

		image = image || o->type == OUTPUT_STORE || o->type == OUTPUT_REGISTRY;
		if (o->dest && strcmp(o->dest, "-") != 0)
			report_note(a->report, REPORT_NOTE, "%s written to '%s'", files ? "files" : "image", o->dest);
	}
	for (size_t i = 0; i < r->tags.n; i++)
		buf_printf(&names, "%s%s", i ? ", " : " as ", r->tags.v[i]);
	if (image)
		report_note(a->report, REPORT_NOTE, "image %s%s", digest_short(&d->id).s, names.n ? names.p : "");
}

/* kaniko's "dir://", "tar://" in front of a path. */
static const char *local_name(const char *spec)
{
	static const char *const scheme[] = { "dir://", "tar://" };

	for (size_t i = 0; i < countof(scheme); i++)
		if (strncmp(spec, scheme[i], strlen(scheme[i])) == 0)
			spec += strlen(scheme[i]);
	return strcmp(spec, "stdin") == 0 ? "-" : spec;
}

static int log_open(struct app *a, const char *path, struct err **e)
{
	mode_t ours = umask(a->umask);
	int fd = fd_open_host(path, O_WRONLY | O_CREAT | O_TRUNC, 0666, e);

	umask(ours);
	if (fd < 0)
		return err_wrap(e, "cannot write the log '%s'", path);
	ui_log(a->report, fd);
	return 0;
}

static int build_main(struct app *a, void *opts, struct strs *pos, struct err **e)
{
	AUTO(req_clear) struct build_req r = { 0 };
	AUTO(done_clearp) struct build_done done = { 0 };
	struct build_opts *o = opts;

	if (o->context && pos->n == 0)
		strs_add(pos, local_name(o->context));
	if (cmd_words(&cmd_build, pos, 1, 1, e) < 0)
		return pos->n ? -1 : err_hint(e, "for the current directory: kiln build .");
	if (o->logfile && *o->logfile && log_open(a, o->logfile, e) < 0)
		return -1;
	if (o->quiet)
		ui_quiet(a->report);
	if (build_request(a, o, pos->v[0], &r, e) < 0 || build_run(a, &r, &done, e) < 0)
		return -1;
	if (strcmp(r.call, "build") != 0)
		return cmd_print(&done.text, e) < 0 ? -1 : done.status;
	if (o->quiet && digest_zero(&done.id))
		return 0;
	if (o->quiet) {
		AUTO(buf_freep) struct buf id = BUF_MAX(256);

		buf_printf(&id, "%s\n", digest_text(&done.id).s);
		return cmd_print(&id, e);
	}
	tell(a, &r, &done);
	return 0;
}

const struct cmd cmd_build = {
	.name = "build",
	.alias = "bud",
	.args = "CONTEXT",
	.help = "build an image from a Dockerfile",
	.about = "CONTEXT is a directory, a tar file, - for a tar or a Dockerfile on standard input, or a URL. Options of docker build, buildx, buildah and\n"
		 "podman that are not listed are taken with a warning, or refused with the reason.",
	.opts = build_table,
	.opts_size = sizeof(struct build_opts),
	.defaults = &build_defaults,
	.flags = CMD_WORK,
	.run = build_main,
};
