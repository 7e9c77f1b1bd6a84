/* build/cmd/doctor.c - kiln doctor: what the host allows, which way builds take because of it, and what would make it better.
 *
 * Nothing is deduced that can be tried: the maps of ids, a worker in namespaces of its own, each storage driver on the store that will be used.
 */
#include "base/fd.h"
#include "base/idmap.h"
#include "base/jdoc.h"
#include "base/mem.h"
#include "base/proc.h"
#include "build/cmd/cmd.h"
#include "build/ui/human.h"
#include "build/wait.h"
#include "build/work.h"
#include "layers/snap.h"

#include <fcntl.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <unistd.h>

enum state { GOOD, LESS, BAD };          /* works; a build works without it; builds with RUN do not work */
static const char *const state_words[] = { "ok", "less", "no" };

struct finding {
	const char *name;
	enum state state;
	char *text, *remedy;             /* remedy NULL: nothing to do */
};
struct findings {
	struct finding *v;
	size_t n, cap;
	const char *driver;              /* NULL: none works */
	const char *level;
};

static void add(struct findings *f, const char *name, enum state state, char *take_text, const char *remedy)
{
	MEM_ROOM(f->v, f->n, f->cap);
	f->v[f->n++] = (struct finding){ name, state, take_text, mem_str(remedy) };
}

static void findings_clear(struct findings *f)
{
	for (size_t i = 0; i < f->n; i++) {
		free(f->v[i].text);
		free(f->v[i].remedy);
	}
	free(f->v);
}

/* An error as a finding: its sentences in one, its hint as the remedy. */
static void add_err(struct findings *f, const char *name, enum state state, const struct err *e)
{
	AUTO(buf_freep) struct buf json = BUF_MAX(1 << 20);
	AUTO(buf_freep) struct buf text = BUF_MAX(1 << 20);
	AUTO(jval_freep) struct jval *v = NULL;
	const char *hint = NULL;

	err_json(e, &json);
	if (jdoc_parse(buf_view(&json), "an error", &v, NULL) < 0)
		return;
	struct jval *messages = jval_get(v, "messages");
	for (size_t i = 0; i < jval_len(messages); i++)
		buf_printf(&text, "%s%s", i ? ": " : "", jval_str(jval_at(messages, i)));
	jval_get_str(v, "hint", &hint, NULL);
	add(f, name, state, mem_str(text.p), hint);
}

/* ---- the host */

static bool at_least(const char *release, unsigned major, unsigned minor)
{
	unsigned a = 0, b = 0;

	return sscanf(release, "%u.%u", &a, &b) == 2 && (a > major || (a == major && b >= minor));
}

static void look_at_kernel(struct findings *f)
{
	struct utsname u = { 0 };

	uname(&u);
	if (at_least(u.release, 5, 11))
		add(f, "kernel", GOOD, mem_printf("%s", u.release), NULL);
	else
		add(f, "kernel", at_least(u.release, 5, 6) ? LESS : BAD, mem_printf("%s is older than 5.11", u.release),
		    "use a newer kernel: without root, overlayfs needs 5.11, and nothing works before 5.6");
}

static bool sysctl_is(const char *path, const char *value)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(256);
	AUTO(fd_closep) int fd = fd_open_host(path, O_RDONLY, 0, NULL);

	return fd >= 0 && fd_read_all(fd, &b, NULL) == 0 && slice_is(slice_trim(buf_view(&b), " \n"), value);
}

/* Settings that are known to stand in the way; the attempt below tells whether they do. */
static const struct {
	const char *path, *value, *text, *remedy;
} settings[] = {
	{ "/proc/sys/user/max_user_namespaces", "0", "user namespaces are switched off", "sysctl user.max_user_namespaces=10000" },
	{ "/proc/sys/kernel/unprivileged_userns_clone", "0", "user namespaces are switched off for users",
	  "sysctl kernel.unprivileged_userns_clone=1" },
	{ "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "AppArmor restricts user namespaces",
	  "give kiln an AppArmor profile with 'userns,', or sysctl kernel.apparmor_restrict_unprivileged_userns=0" },
};

static void look_at_settings(struct findings *f)
{
	for (size_t i = 0; geteuid() != 0 && i < countof(settings); i++)
		if (sysctl_is(settings[i].path, settings[i].value))
			add(f, "setting", LESS, mem_str(settings[i].text), settings[i].remedy);
}

static void look_at_programs(struct findings *f)
{
	static const struct {
		const char *name, *use, *remedy;
	} programs[] = {
		{ "newuidmap", "gives steps more than one user id", "install the package uidmap (or shadow-utils)" },
		{ "newgidmap", "gives steps more than one group id", "install the package uidmap (or shadow-utils)" },
		{ "fuse-overlayfs", "the storage driver where the kernel's overlayfs does not work", "install fuse-overlayfs" },
		{ "git", "needed for git contexts and ADD of repositories", "install git" },
	};

	for (size_t i = 0; i < countof(programs); i++) {
		AUTO(mem_freep) char *path = proc_find(programs[i].name);

		/* Root maps its ids itself. */
		if (geteuid() == 0 && programs[i].name[0] == 'n')
			continue;
		if (path)
			add(f, programs[i].name, GOOD, mem_str(path), NULL);
		else
			add(f, programs[i].name, LESS, mem_printf("not installed: %s", programs[i].use), programs[i].remedy);
	}
}

static int look_at_ids(struct app *a, struct findings *f, struct err **e)
{
	const struct idmap *m = jobs_idmap(a->jobs, e);
	uint64_t ids = 0;

	if (!m)
		return -1;
	for (unsigned i = 0; i < m->nuid; i++)
		ids += m->uid[i].count;
	f->level = m->how == IDMAP_NONE ? "root" : ids == 1 ? "single id" : "full range";
	const char *why = m->why[0] ? m->why : m->how == IDMAP_NONE ? "running as root: no user namespace is needed" : "";
	if (ids == 1)
		add(f, "ids", LESS, mem_str(why), NULL);
	else
		add(f, "ids", GOOD, *why ? mem_str(why) : mem_printf("%ju ids for steps", (uintmax_t)ids), NULL);
	return 0;
}

static const char *file_system(const struct statfs *fs)
{
	static const struct {
		unsigned long magic;
		const char *name;
	} names[] = {
		{ 0xef53, "ext4" },      { 0x58465342, "xfs" },   { 0x9123683e, "btrfs" }, { 0x01021994, "tmpfs" }, { 0x794c7630, "overlay" },
		{ 0x2fc12fc1, "zfs" },   { 0x6969, "nfs" },       { 0x65735546, "fuse" },  { 0xf2f52010, "f2fs" },  { 0xca451a4e, "bcachefs" },
		{ 0x01021997, "9p" },    { 0xff534d42, "cifs" },  { 0xfe534d42, "smb2" },
	};

	for (size_t i = 0; i < countof(names); i++)
		if ((unsigned long)fs->f_type == names[i].magic)
			return names[i].name;
	return "another file system";
}

static void look_at_store(struct app *a, struct findings *f)
{
	struct statfs fs = { 0 };

	if (fstatfs(store_fd(a->store), &fs) < 0)
		return;
	uint64_t free_bytes = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
	const char *type = file_system(&fs);
	bool remote = strcmp(type, "nfs") == 0 || strcmp(type, "9p") == 0 || strcmp(type, "cifs") == 0 || strcmp(type, "smb2") == 0;

	add(f, "store", remote ? LESS : GOOD, mem_printf("%s on %s, %s free", store_path(a->store), type, human_bytes(free_bytes).s),
	    remote ? "choose a local disk with --root or KILN_ROOT" : NULL);
}

/* Each driver is tried on the store, in a worker with mapped ids and mounts of its own: the way a step is run. */
static int try_driver(struct app *a, struct findings *f, const char *name, struct err **e)
{
	AUTO(buf_freep) struct buf in = BUF_MAX(64 << 10);
	AUTO(buf_freep) struct buf out = BUF_MAX(64 << 10);
	AUTO(err_freep) struct err *why = NULL;
	char scratch[80];

	if (store_tmp(a->store, scratch, e) < 0)
		return -1;
	wire_put_str(&in, store_path(a->store));
	wire_put_str(&in, scratch);
	wire_put_str(&in, name);
	int rc = wait_job(a, JOB_MAPPED, WORK_SNAP, buf_view(&in), NULL, 0, NULL, NULL, &out, &why);
	store_tmp_drop(a->store, scratch);
	if (rc == 0) {
		add(f, name, GOOD, mem_str("works on this store"), NULL);
		f->driver = f->driver ? f->driver : name;
	} else {
		add_err(f, name, LESS, why);
	}
	return 0;
}

static int examine(struct app *a, struct findings *f, struct err **e)
{
	look_at_kernel(f);
	look_at_settings(f);
	look_at_programs(f);
	if (look_at_ids(a, f, e) < 0 || app_store(a, e) < 0)
		return -1;
	look_at_store(a, f);
	for (size_t i = 0; snap_table[i]; i++)
		if (try_driver(a, f, snap_table[i]->name, e) < 0)
			return -1;
	return 0;
}

/* ---- the report */

static void print_text(const struct findings *f, struct buf *out)
{
	for (size_t i = 0; i < f->n; i++) {
		const struct finding *x = &f->v[i];

		buf_printf(out, "%-4s  %-15s ", state_words[x->state], x->name);
		buf_escaped(out, slice_of(x->text), 4096);
		buf_char(out, '\n');
		if (x->remedy) {
			buf_printf(out, "%23stry: ", "");
			buf_escaped(out, slice_of(x->remedy), 4096);
			buf_char(out, '\n');
		}
	}
	buf_printf(out, "\nids of steps:   %s\nstorage driver: %s\n", f->level, f->driver ? f->driver : "none: RUN does not work here");
}

static struct jval *print_json(const struct findings *f)
{
	struct jval *o = jval_obj(), *list = jval_arr();

	jval_set_str(o, "ids", f->level);
	if (f->driver)
		jval_set_str(o, "storage_driver", f->driver);
	else
		jval_set_null(o, "storage_driver");
	for (size_t i = 0; i < f->n; i++) {
		struct jval *x = jval_obj();

		jval_set_str(x, "name", f->v[i].name);
		jval_set_str(x, "state", state_words[f->v[i].state]);
		jval_set_str(x, "text", f->v[i].text);
		if (f->v[i].remedy)
			jval_set_str(x, "remedy", f->v[i].remedy);
		else
			jval_set_null(x, "remedy");
		jval_add(list, x);
	}
	jval_set(o, "findings", list);
	return o;
}

struct doctor_opts {
	bool json;
};
static const struct opt_row doctor_table[] = {
	{ 0, "json", NULL, "print the findings as JSON", OPT_BOOL, offsetof(struct doctor_opts, json), NULL },
	{ 0, NULL, NULL, NULL, OPT_BOOL, 0, NULL },
};

static int doctor_main(struct app *a, void *opts, struct strs *pos, struct err **e)
{
	AUTO(findings_clear) struct findings f = { .level = "unknown" };
	AUTO(buf_freep) struct buf out = BUF_MAX(1 << 20);
	struct doctor_opts *o = opts;

	if (cmd_words(&cmd_doctor, pos, 0, 0, e) < 0 || examine(a, &f, e) < 0)
		return -1;
	AUTO(jval_freep) struct jval *json = print_json(&f);
	print_text(&f, &out);
	if ((o->json ? cmd_print_json(json, e) : cmd_print(&out, e)) < 0)
		return -1;
	/* What builds with RUN cannot do without is missing: the status tells scripts. */
	return f.driver ? 0 : 125;
}

const struct cmd cmd_doctor = {
	.name = "doctor",
	.alias = "info",
	.help = "show what the host allows",
	.about = "The exit status is 125 when RUN cannot work.",
	.opts = doctor_table,
	.opts_size = sizeof(struct doctor_opts),
	.flags = CMD_WORK,
	.run = doctor_main,
};
