/* build/output/image.h - inside outputs of images: blobs in the compression asked for. */
#pragma once
#include "build/output/output.h"

/* Every layer has a blob afterwards. form: what the output needs, NULL: the request's choice. */
int output_blobs(struct output_job *j, const char *form, struct err **e);
/* Digest of the config, which is the id of one image; nothing of an index. */
int output_id(const struct output_job *j, struct digest *ret, struct err **e);
/* Add the images to the index that the one name of the job stands for. */
int output_join(struct output_job *j, struct output_done *ret, struct err **e);
struct parcel output_parcel(struct output_job *j);
