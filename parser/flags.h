/* parser/flags.h - which instruction takes which --flags (spec/dockerfile.md 2.5) and the fields of --mount (8.6).
 *
 * flags_parse validates names, kinds and duplicates while a line is parsed; mount_parse is called by the builder when a
 * RUN is evaluated, with a function that expands each value.
 */
#pragma once
#include "parser/file.h"

/* Appendix G: one CSV record into fields; each decoded. ERR_INPUT "failed to parse csv". arena-owned by caller: new[]. */
int csv_split(struct slice text, char ***ret, size_t *n, struct err **e);
void csv_free(char **v, size_t n);

enum mount_type { MOUNT_BIND, MOUNT_CACHE, MOUNT_TMPFS, MOUNT_SECRET, MOUNT_SSH };
enum mount_sharing { SHARING_SHARED, SHARING_PRIVATE, SHARING_LOCKED };
struct mount_opts {
	enum mount_type type;
	char *target, *source, *from, *id, *env;      /* NULL when absent; expanded */
	bool readonly;                                /* after defaults of the type */
	bool required;
	enum mount_sharing sharing;
	uint64_t size;                                /* tmpfs; 0: unlimited */
	bool has_mode, has_uid, has_gid;
	uint32_t mode, uid, gid;
};
/* expand: new memory or NULL with *e. */
typedef char *mount_expand(void *arg, const char *text, struct err **e);
/* The from= of a --mount value without evaluation: for the stage graph. NULL when there is none. New memory. */
int mount_from(const char *spec, char **ret_from, struct err **e);
int mount_parse(const char *spec, mount_expand *expand, void *arg, struct mount_opts *ret, struct err **e);
void mount_opts_clear(struct mount_opts *m);
/* Where its i-th field stands in the file, or the value of its last field with that key; all of f when it is not written plainly there.
 * mount_parse() says by err_part() which field is wrong. */
struct span mount_field_at(const struct source *s, const struct flag *f, size_t i);
struct span mount_value_at(const struct source *s, const struct flag *f, const char *key);

/* "64m", "1.5 GiB": number with optional 1024-based unit (8.6 tmpfs size, shm-size). */
int parse_size(struct slice text, uint64_t *ret, struct err **e);
/* Go duration (Appendix D.1) to nanoseconds, and its output form. */
int parse_duration(struct slice text, int64_t *ret_ns, struct err **e);
void print_duration(int64_t ns, struct buf *out);
/* Nearest of the candidates (19.1), NULL when none is near or one is equal. */
const char *nearest_word(struct slice word, const char *const *candidates, size_t n, bool nocase);
