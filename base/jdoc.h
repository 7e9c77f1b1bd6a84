/* base/jdoc.h - JSON documents: strict reading (spec/threats.md M4), ordered writing. The only user of jansson.
 *
 * Data:   struct jval is a node; borrowed from its document unless a function says "new" or "take".
 * Fails:  getters: 0 with the zero value when the member is absent or null, -1 with ERR_SOURCE naming the
 *         member when it has the wrong type. Parsing refuses duplicates, BOM, trailing bytes, depth > 2048.
 */
#pragma once
#include "base/buf.h"

struct jval;

int jdoc_parse(struct slice text, const char *what, struct jval **ret, struct err **e);   /* new */
void jval_free(struct jval *v);
void jval_freep(struct jval **v);

enum jtype { JT_NULL, JT_BOOL, JT_INT, JT_REAL, JT_STR, JT_ARR, JT_OBJ };
enum jtype jval_type(const struct jval *v);

struct jval *jval_get(const struct jval *obj, const char *name);                          /* NULL when absent or null */
int jval_get_str(const struct jval *obj, const char *name, const char **ret, struct err **e);
int jval_get_int(const struct jval *obj, const char *name, int64_t *ret, struct err **e);
int jval_get_bool(const struct jval *obj, const char *name, bool *ret, struct err **e);
int jval_get_arr(const struct jval *obj, const char *name, struct jval **ret, struct err **e);
int jval_get_obj(const struct jval *obj, const char *name, struct jval **ret, struct err **e);
const char *jval_str(const struct jval *v);             /* NULL when not a string */
int64_t jval_int(const struct jval *v);
size_t jval_len(const struct jval *arr_or_obj);         /* 0 for anything else */
struct jval *jval_at(const struct jval *arr, size_t i);
/* Members in order: for (void *it = jval_first(o); it; it = jval_next(o, it)). */
void *jval_first(const struct jval *obj);
void *jval_next(const struct jval *obj, void *it);
const char *jval_key(void *it);
struct jval *jval_val(void *it);

struct jval *jval_obj(void);                            /* new */
struct jval *jval_arr(void);                            /* new */
struct jval *jval_copy(const struct jval *v);           /* new, deep */
void jval_set(struct jval *obj, const char *name, struct jval *take);
void jval_set_str(struct jval *obj, const char *name, const char *s);      /* bad UTF-8 becomes U+FFFD */
void jval_set_slice(struct jval *obj, const char *name, struct slice s);
void jval_set_int(struct jval *obj, const char *name, int64_t v);
void jval_set_bool(struct jval *obj, const char *name, bool v);
void jval_set_null(struct jval *obj, const char *name);
void jval_del(struct jval *obj, const char *name);
void jval_add(struct jval *arr, struct jval *take);
void jval_add_str(struct jval *arr, const char *s);
void jval_put_str(struct jval *arr, size_t i, const char *s);              /* in place of element i */
void jval_remove(struct jval *arr, size_t i);
/* indent 0: compact, the bytes as they are; else for people, so that nothing in it steers a terminal (X7). */
void jval_print(const struct jval *v, struct buf *out, unsigned indent);
