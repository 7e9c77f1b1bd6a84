/* layers/snap_overlay.c - the kernel's overlay file system as storage driver (spec/executor.md 6.2, 6.3).
 *
 * Layers go in as descriptors, so no directory name is ever parsed: "lowerdir+" and "upperdir" by FSCONFIG_SET_FD (about
 * Linux 6.13), the same keys with /proc/self/fd/N (6.7), and a mount(2) string of /proc/self/fd/N before.
 */
#include "layers/snap.h"

#include "base/mem.h"
#include "layers/snap_mnt.h"
#include "layers/snap_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

/* The descriptors of one mount. */
struct stack {
	int own[SNAP_MAX_LOWERS + 1];
	size_t nown;
	const int *lower;                /* those, or whoever's */
	size_t n;
	int upper, work;
};

static void stack_clear(struct stack *s)
{
	for (size_t i = 0; i < s->nown; i++)
		fd_closep(&s->own[i]);
	fd_closep(&s->upper);
	fd_closep(&s->work);
}

static int stack_open(struct stack *s, const struct snap_mount *m, struct err **e)
{
	if (m->nlower > SNAP_MAX_LOWERS) {
		err_set(e, ERR_LIMIT, "the image has %zu layers, a root can have %d", m->nlower, SNAP_MAX_LOWERS);
		return err_hint(e, "squash the base image");
	}
	for (size_t i = 0; i < m->nlower && !m->lower_fd; i++) {
		s->own[i] = at_open_store(m->store, m->lower[i], O_PATH | O_DIRECTORY, 0, e);
		if (s->own[i] < 0)
			return err_wrap(e, "cannot open layer directory '%s'", m->lower[i]);
		s->nown++;
	}
	s->lower = m->lower_fd ? m->lower_fd : s->own;
	s->n = m->nlower;
	if (!m->upper)
		return 0;
	s->upper = at_open_store(m->store, m->upper, O_PATH | O_DIRECTORY, 0, e);
	s->work = s->upper < 0 ? -1 : at_open_store(m->store, m->work, O_PATH | O_DIRECTORY, 0, e);
	return s->work < 0 ? -1 : 0;
}

/* A lower is needed even for an empty root: an empty directory inside work, which belongs to this mount alone. */
static int stack_fill(struct stack *s, const struct snap_mount *m, struct err **e)
{
	AUTO(mem_freep) char *path = NULL;

	if (s->n > 0)
		return 0;
	if (!m->upper)
		return err_set(e, ERR_BUG, "a read-only root without layers");
	path = mem_printf("%s.empty", m->work);
	if (at_mkdirs(m->store, path, 0755, e) < 0)
		return -1;
	s->own[0] = at_open_store(m->store, path, O_PATH | O_DIRECTORY, 0, e);
	if (s->own[0] < 0)
		return -1;
	s->lower = s->own;
	s->n = s->nown = 1;
	return 0;
}

struct fd_path {
	char s[32];
};

static struct fd_path fd_path(int fd)
{
	struct fd_path p;

	snprintf(p.s, sizeof(p.s), "/proc/self/fd/%d", fd);
	return p;
}

static int set_dir(int fs, const char *key, int fd, bool strings)
{
	return strings ? mnt_set(fs, key, fd_path(fd).s) : mnt_set_fd(fs, key, fd);
}

/* Keys that a kernel may not know; what they switch off is off then. */
static const struct mnt_opt wanted[] = {
	{ "userxattr", NULL }, { "index", "off" }, { "metacopy", "off" }, { "redirect_dir", "nofollow" }, { "xino", "off" },
};

/* 1: this kernel does not take it this way. */
static int overlay_new(const struct stack *s, bool strings, int *ret, struct err **e)
{
	AUTO(fd_closep) int fs = mnt_fsopen("overlay", e);

	if (fs < 0)
		return -1;
	(void)mnt_set(fs, "source", "overlay");
	for (size_t i = s->n; i-- > 0;)                 /* topmost first */
		if (set_dir(fs, "lowerdir+", s->lower[i], strings) < 0)
			return 1;
	if (s->upper >= 0 && (set_dir(fs, "upperdir", s->upper, strings) < 0 || set_dir(fs, "workdir", s->work, strings) < 0))
		return 1;
	for (size_t i = 0; i < countof(wanted); i++)
		(void)mnt_set(fs, wanted[i].key, wanted[i].value);
	if (s->upper >= 0)
		(void)mnt_set(fs, "volatile", NULL);

	/* nodev: a real root keeps CAP_MKNOD, and no device cgroup stands behind it. */
	*ret = mnt_create(fs, "overlay", MNT_NODEV | (s->upper >= 0 ? 0 : MNT_RDONLY | MNT_NOSUID), e);
	return *ret < 0 ? -1 : 0;
}

static int overlay_old(const struct stack *s, const char *target, struct err **e)
{
	AUTO(buf_freep) struct buf opt = BUF_MAX(4095);        /* one page with its NUL */

	buf_str(&opt, "userxattr,index=off,xino=off,lowerdir=");
	for (size_t i = s->n; i-- > 0;)
		buf_printf(&opt, "%s%s", i + 1 < s->n ? ":" : "", fd_path(s->lower[i]).s);
	if (s->upper >= 0)
		buf_printf(&opt, ",upperdir=%s,workdir=%s,volatile", fd_path(s->upper).s, fd_path(s->work).s);
	if (buf_ok(&opt, "the mount options", e) < 0)
		return err_hint(e, "this kernel takes fewer layers at once; use Linux 6.7 or newer, or squash the base image");
	if (mount("overlay", target, "overlay", MS_NODEV | (s->upper >= 0 ? 0 : MS_RDONLY | MS_NOSUID), opt.p) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot mount overlay");
	return 0;
}

static int overlay_mount(const struct snap_mount *m, pid_t *state, struct err **e)
{
	AUTO(stack_clear) struct stack s = { .upper = -1, .work = -1 };
	AUTO(fd_closep) int mount = -1;
	AUTO(err_freep) struct err *first = NULL;

	*state = 0;
	if (m->nlower == 1 && !m->upper)                /* overlay wants two lowers */
		return snap_bind(m, e);
	if (stack_open(&s, m, e) < 0)
		return -1;
	if (stack_fill(&s, m, e) < 0)
		return -1;
	for (int strings = 0; strings < 2; strings++) {
		err_free(take(&first));
		if (overlay_new(&s, strings, &mount, &first) == 0)
			return snap_attach(mount, m->target, e);
	}
	if (overlay_old(&s, m->target, e) == 0)
		return 0;
	if (first && e) {                               /* its text is the better one */
		err_free(take(e));
		*e = take(&first);
	}
	return -1;
}

static int overlay_unmount(const struct snap_mount *m, pid_t state, struct err **e)
{
	if (umount2(m->target, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT)
		return err_errno(e, ERR_HOST, errno, "cannot unmount '%s'", m->target);
	return 0;
}

/* Nothing to do: this driver's form is the one form. */
static int overlay_freeze(const struct snap_mount *m, struct err **e)
{
	return 0;
}

static int overlay_probe(int store, const char *scratch, struct buf *why, struct err **e)
{
	return snap_trial(&snap_overlay, store, scratch, why, e);
}

const struct snap_driver snap_overlay = {
	.name = "overlay",
	.by_fd = true,
	.probe = overlay_probe,
	.mount = overlay_mount,
	.unmount = overlay_unmount,
	.freeze = overlay_freeze,
};
