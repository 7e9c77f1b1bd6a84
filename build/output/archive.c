/* build/output/archive.c - type=oci and type=docker: the image in a file or an OCI layout directory. */
#include "build/output/image.h"

static int archive_run(struct output_job *j, struct output_done *ret, struct err **e)
{
	const char *comp = j->spec->comp ? j->spec->comp : j->req->comp;
	int level = j->spec->level >= 0 ? j->spec->level : j->req->level;
	bool force = j->spec->force_comp || j->req->force_comp;
	const struct parcel p = output_parcel(j);

	if (output_id(j, &ret->config, e) < 0)
		return -1;
	return imagestore_export_archive(j->app, &p, j->spec->type, j->spec->tar_false, j->spec->dest, strs_null(&j->names), comp, level, force,
					 &ret->manifest, e);
}

const struct output output_oci = {
	.name = "oci", .type = OUTPUT_OCI, .image = true, .to_dest = true, .to_stdout = true, .run = archive_run,
};
const struct output output_docker = {
	.name = "docker", .type = OUTPUT_DOCKER, .image = true, .to_dest = true, .to_stdout = true, .run = archive_run,
};
