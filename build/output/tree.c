/* build/output/tree.c - type=local and type=tar: the files of the image, without layers and config. */
#include "build/output/output.h"

static int tree_run(struct output_job *j, struct output_done *ret, struct err **e)
{
	enum split split = j->spec->split;

	return imagestore_export_tree(j->app, j->image, j->n, split == SPLIT_YES || (split == SPLIT_SEVERAL && j->req->index), j->spec->type,
				      j->spec->dest, j->spec->mode_delete, j->epoch, e);
}

const struct output output_local = { .name = "local", .type = OUTPUT_LOCAL, .to_dest = true, .run = tree_run };
const struct output output_tar = { .name = "tar", .type = OUTPUT_TAR, .to_dest = true, .to_stdout = true, .run = tree_run };
