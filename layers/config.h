/* layers/config.h - pure edits of an image config (spec/dockerfile.md 6.3, 6.4, 18; spec/oci.md 1.5). */
#pragma once
#include "layers/image.h"

/* The inner "config" object, made when absent. */
struct jval *config_inner(struct image *im);
void config_env_set(struct image *im, const char *key, const char *value);          /* replace in place or append */
void config_env_put(struct image *im, size_t i, const char *key, const char *value);   /* in place of entry i */
void config_env_add(struct image *im, const char *key, const char *value);          /* of a key that it does not have: no search */
const char *config_env_get(const struct image *im, const char *key);
size_t config_env_count(const struct image *im);
const char *config_env_at(const struct image *im, size_t i);                        /* "K=V" */
void config_label_set(struct image *im, const char *key, const char *value);
void config_env_unset(struct image *im, const char *key);
void config_label_unset(struct image *im, const char *key);                         /* NULL: all of them */
void config_text_set(struct image *im, const char *member, const char *value);      /* User, WorkingDir, StopSignal; "" removes */
const char *config_text(const struct image *im, const char *member);                /* "" when absent */
void config_list_set(struct image *im, const char *member, const char *const *v, size_t n);      /* Cmd, Entrypoint, Shell, OnBuild */
void config_list_null(struct image *im, const char *member);
size_t config_list_count(const struct image *im, const char *member);
const char *config_list_at(const struct image *im, const char *member, size_t i);
void config_set_add(struct image *im, const char *member, const char *key);         /* ExposedPorts, Volumes */
struct health {
	const char *const *test;
	size_t ntest;
	int64_t interval, timeout, start_period, start_interval;     /* ns, 0: inherit */
	int64_t retries;
};
void config_health_set(struct image *im, const struct health *h);
/* Start a stage on a base: created dropped, OnBuild taken out (returned as new array of n strings), BuildKit cache members
 * stripped, default PATH added, WorkingDir normalised. */
char **config_begin(struct image *im, size_t *nonbuild);
/* One history line; comment buildkit.dockerfile.v0. created INT64_MIN: decided at config_finish. */
void config_history(struct image *im, const char *created_by, int64_t created, bool empty_layer);
void config_layer(struct image *im, const struct image_layer *l);                   /* appends to layer[] */
/* rootfs.diff_ids, created, history times and counts (18.2-18.4). epoch: INT64_MIN none, else clamp. base_history: entries that
 * were inherited and keep their times. */
void config_finish(struct image *im, const struct platform *p, size_t base_history, int64_t epoch);
size_t config_history_count(const struct image *im);
bool config_history_empty(const struct image *im, size_t i);            /* an entry without a layer */
/* The time of entry i of the whole history, once its layer is made. */
void config_history_time(struct image *im, size_t i, int64_t created);
