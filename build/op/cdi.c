/* build/op/cdi.c - see cdi.h.
 *
 *   { "kind": "vendor/class", "annotations": {...}, "containerEdits": EDITS, "devices": [ { "name", "annotations", "containerEdits": EDITS } ] }
 *   EDITS: env ["K=V"], deviceNodes [{path, hostPath}], mounts [{hostPath, containerPath, options, type}], additionalGIDs [n], hooks
 */
#include "build/op/cdi.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/at.h"
#include "base/mem.h"
#include "base/yaml.h"
#include "parser/ignore.h"

enum { FILES_MAX = 1000, FILE_MAX = 4 << 20 };

static const char class_of[] = "org.mobyproject.buildkit.device.class";

struct spec {
	char *path;
	struct jval *doc;
	size_t rank;                     /* of its directory */
	bool used;                       /* its own edits are in the step: they come once */
};
struct device {
	char *name;                      /* vendor/class=name */
	struct spec *spec;
	const struct jval *v;
	const char *rival;               /* another file of that rank which has it */
};
struct cdi {
	struct spec *spec;
	struct device *device;
	size_t nspec, ndevice, device_cap;
	struct err *broken;
};

void cdi_freep(struct cdi **c)
{
	if (!*c)
		return;
	for (size_t i = 0; i < (*c)->nspec; i++) {
		free((*c)->spec[i].path);
		jval_freep(&(*c)->spec[i].doc);
	}
	for (size_t i = 0; i < (*c)->ndevice; i++)
		free((*c)->device[i].name);
	free((*c)->spec);
	free((*c)->device);
	err_free((*c)->broken);
	free(*c);
	*c = NULL;
}

struct err *cdi_broken(struct cdi *c)
{
	return take(&c->broken);
}

/* ---- reading */

static int devices_read(struct cdi *c, struct spec *s, struct err **e)
{
	const char *kind = NULL, *name = NULL;
	struct jval *list = NULL;

	if (jval_get_str(s->doc, "kind", &kind, e) < 0 || jval_get_arr(s->doc, "devices", &list, e) < 0)
		return -1;
	if (!kind || !strchr(kind, '/'))
		return err_set(e, ERR_HOST, "its kind is not of the form vendor/class");
	for (size_t i = 0; i < jval_len(list); i++) {
		const struct jval *v = jval_at(list, i);

		if (jval_get_str(v, "name", &name, e) < 0)
			return -1;
		if (!name || !*name)
			return err_set(e, ERR_HOST, "a device has no name");
		MEM_ROOM(c->device, c->ndevice, c->device_cap);
		c->device[c->ndevice++] = (struct device){ mem_printf("%s=%s", kind, name), s, v, NULL };
	}
	return 0;
}

static int spec_read(struct cdi *c, const char *path, size_t rank, struct err **e)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(FILE_MAX);
	AUTO(fd_closep) int fd = fd_open_host(path, O_RDONLY | O_NONBLOCK, 0, e);
	struct spec *s = &c->spec[c->nspec];
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(e, ERR_HOST, "it is not a file");
	*s = (struct spec){ .rank = rank };
	/* JSON is YAML, but not all of it is read as such. */
	if (fd_read_all(fd, &text, e) < 0 ||
	    (slice_ends(slice_of(path), ".json") ? jdoc_parse(buf_view(&text), path, &s->doc, e) : yaml_parse(buf_view(&text), path, &s->doc, e)) < 0)
		return -1;
	s->path = mem_str(path);
	c->nspec++;
	size_t before = c->ndevice;
	if (devices_read(c, s, e) == 0)
		return 0;
	while (c->ndevice > before)
		free(c->device[--c->ndevice].name);
	return -1;
}

static int dir_read(struct cdi *c, const char *path, size_t rank, struct err **e)
{
	struct at_names names = { 0 };
	AUTO(fd_closep) int dir = fd_open_host(path, O_RDONLY | O_DIRECTORY, 0, NULL);

	/* Not there, or not for us: it holds nothing. */
	if (dir < 0)
		return 0;
	int rc = at_list(dir, &names, e);
	for (size_t i = 0; i < names.n && rc == 0; i++) {
		struct slice name = slice_of(names.name[i]);
		AUTO(mem_freep) char *file = mem_printf("%s/%s", path, names.name[i]);
		AUTO(err_freep) struct err *why = NULL;

		if (!slice_ends(name, ".json") && !slice_ends(name, ".yaml") && !slice_ends(name, ".yml"))
			continue;
		if (c->nspec == FILES_MAX)
			rc = err_set(e, ERR_LIMIT, "there are more than %d descriptions of devices", FILES_MAX);
		else if (spec_read(c, file, rank, &why) < 0 && !c->broken) {
			err_wrap(&why, "cannot use '%s'", file);
			c->broken = take(&why);
		}
	}
	at_names_clear(&names);
	return rc;
}

static int by_name(const void *a, const void *b)
{
	const struct device *x = a, *y = b;
	int d = strcmp(x->name, y->name);

	return d ? d : (x->spec->rank < y->spec->rank) - (x->spec->rank > y->spec->rank);
}

/* Of one name the device of the last directory counts, and two files of one directory may not both have it. */
static void devices_settle(struct cdi *c)
{
	size_t n = 0;

	if (c->ndevice)
		qsort(c->device, c->ndevice, sizeof(*c->device), by_name);
	for (size_t i = 0; i < c->ndevice; i++) {
		struct device *d = &c->device[i], *first = n ? &c->device[n - 1] : NULL;

		if (!first || strcmp(first->name, d->name) != 0) {
			c->device[n++] = *d;
			continue;
		}
		if (d->spec->rank == first->spec->rank)
			first->rival = d->spec->path;
		free(d->name);
	}
	c->ndevice = n;
}

int cdi_open(const struct strs *dirs, struct cdi **ret, struct err **e)
{
	AUTO(cdi_freep) struct cdi *c = mem_zalloc(sizeof(*c));

	c->spec = mem_array(FILES_MAX, sizeof(*c->spec));
	for (size_t i = 0; i < dirs->n; i++)
		if (dir_read(c, dirs->v[i], i, e) < 0)
			return -1;
	devices_settle(c);
	*ret = take(&c);
	return 0;
}

/* ---- what a device brings */

static void *grow(struct arena *a, void *list, size_t n, size_t size)
{
	char *grown = arena_alloc(a, (n + 2) * size);

	if (n)
		memcpy(grown, list, n * size);
	return grown;
}

/* A member that is an absolute path, in its clean form; what is absent is `fallback`. */
static int path_of(const struct jval *v, const char *name, const char *fallback, struct arena *a, char **ret, struct err **e)
{
	AUTO(buf_freep) struct buf clean = BUF_MAX(8192);
	const char *text = NULL;

	if (jval_get_str(v, name, &text, e) < 0)
		return -1;
	text = text && *text ? text : fallback;
	if (!text || text[0] != '/')
		return err_set(e, ERR_HOST, "its %s is not an absolute path", name);
	path_clean(slice_of(text), &clean);
	if (buf_ok(&clean, name, e) < 0)
		return -1;
	*ret = arena_str(a, buf_view(&clean));
	return 0;
}

static void mount_add(struct arena *a, struct cdi_edit *ret, struct run_mount m)
{
	ret->mount = grow(a, ret->mount, ret->nmount, sizeof(*ret->mount));
	ret->mount[ret->nmount++] = m;
}

static int node_add(const struct jval *v, struct arena *a, struct cdi_edit *ret, struct err **e)
{
	struct run_mount m = { .kind = RUN_DEVICE };

	if (path_of(v, "path", NULL, a, &m.target, e) < 0 || path_of(v, "hostPath", m.target, a, &m.source, e) < 0)
		return err_wrap(e, "a device node");
	mount_add(a, ret, m);
	return 0;
}

static int bind_add(const struct jval *v, struct arena *a, struct cdi_edit *ret, struct err **e)
{
	struct run_mount m = { .kind = RUN_HOST };
	struct jval *options = NULL;
	const char *type = NULL;

	if (path_of(v, "containerPath", NULL, a, &m.target, e) < 0 || path_of(v, "hostPath", NULL, a, &m.source, e) < 0 ||
	    jval_get_arr(v, "options", &options, e) < 0 || jval_get_str(v, "type", &type, e) < 0)
		return err_wrap(e, "a mount");
	if (type && *type && strcmp(type, "bind") != 0 && strcmp(type, "none") != 0)
		return err_set(e, ERR_LIMIT, "a mount at '%s' is of the type '%s', and only places of the host are given to a step", m.target, type);
	for (size_t i = 0; i < jval_len(options); i++) {
		const char *o = jval_str(jval_at(options, i));

		m.readonly = m.readonly || (o && strcmp(o, "ro") == 0);
	}
	mount_add(a, ret, m);
	return 0;
}

static int env_add(const struct jval *v, struct arena *a, struct cdi_edit *ret, struct err **e)
{
	const char *text = jval_str(v);

	if (!text || !strchr(text, '=') || text[0] == '=')
		return err_set(e, ERR_HOST, "a variable is not of the form NAME=VALUE");
	ret->env = grow(a, ret->env, ret->nenv, sizeof(*ret->env));
	ret->env[ret->nenv++] = arena_str(a, slice_of(text));
	return 0;
}

static int group_add(const struct jval *v, struct arena *a, struct cdi_edit *ret, struct err **e)
{
	if (jval_type(v) != JT_INT || jval_int(v) < 0 || jval_int(v) > INT32_MAX)
		return err_set(e, ERR_HOST, "a group is not a number");
	/* 0 stands for none. */
	if (jval_int(v) == 0)
		return 0;
	ret->group = grow(a, ret->group, ret->ngroup, sizeof(*ret->group));
	ret->group[ret->ngroup++] = arena_printf(a, "%lld", (long long)jval_int(v));
	return 0;
}

static int edits_add(const struct jval *owner, struct arena *a, struct cdi_edit *ret, struct err **e)
{
	static const struct {
		const char *name;
		int (*add)(const struct jval *v, struct arena *a, struct cdi_edit *ret, struct err **e);
	} rows[] = { { "deviceNodes", node_add }, { "mounts", bind_add }, { "env", env_add }, { "additionalGIDs", group_add } };
	struct jval *edits = NULL, *list = NULL;

	if (jval_get_obj(owner, "containerEdits", &edits, e) < 0)
		return -1;
	if (!edits)
		return 0;
	if (jval_get_arr(edits, "hooks", &list, e) < 0)
		return -1;
	if (jval_len(list)) {
		err_set(e, ERR_LIMIT, "it comes with hooks: programs of the host that would run in the step's root");
		return err_hint(e, "describe the device without hooks; the step can do what they do");          /* threats.md E25 */
	}
	for (size_t i = 0; i < countof(rows); i++) {
		if (jval_get_arr(edits, rows[i].name, &list, e) < 0)
			return -1;
		for (size_t k = 0; k < jval_len(list); k++)
			if (rows[i].add(jval_at(list, k), a, ret, e) < 0)
				return -1;
	}
	return 0;
}

static int device_add(const struct device *d, struct arena *a, struct cdi_edit *ret, struct err **e)
{
	if (d->rival)
		return err_set(e, ERR_HOST, "device '%s' is described by two files, '%s' and '%s'", d->name, d->spec->path, d->rival);
	bool again = d->spec->used;
	d->spec->used = true;
	if ((!again && edits_add(d->spec->doc, a, ret, e) < 0) || edits_add(d->v, a, ret, e) < 0)
		return err_wrap(e, "device '%s' of '%s' cannot be given to a step", d->name, d->spec->path);
	return 0;
}

static bool in_class(const struct jval *owner, const char *name)
{
	struct jval *list = jval_get(owner, "annotations");
	struct jval *class = list && jval_type(list) == JT_OBJ ? jval_get(list, class_of) : NULL;
	const char *text = class ? jval_str(class) : NULL;

	return text && strcmp(text, name) == 0;
}

int cdi_edits(const struct cdi *c, const char *name, struct arena *a, struct cdi_edit *ret, struct err **e)
{
	struct slice kind = SLICE_NONE, one = SLICE_NONE, device_kind, device_name;
	bool qualified, found = false;

	if (!slice_cut(slice_of(name), '=', &kind, &one))
		one = SLICE_NONE;
	qualified = memchr(kind.p, '/', kind.n) != NULL;
	for (size_t i = 0; i < c->ndevice; i++) {
		const struct device *d = &c->device[i];

		slice_cut(slice_of(d->name), '=', &device_kind, &device_name);
		bool wanted = qualified && slice_equal(kind, device_kind) && (!one.n || slice_is(one, "*") || slice_equal(one, device_name));
		if (!wanted && !in_class(d->spec->doc, name) && !in_class(d->v, name))
			continue;
		if (device_add(d, a, ret, e) < 0)
			return -1;
		found = true;
		if (qualified && !one.n)
			break;
	}
	return found ? 0 : CDI_NONE;
}
