/* build/exec/fixed.c - the mounts every step has: /dev, /sys, /proc, files in /etc (spec/executor.md 6.4 to 6.6).
 *
 * /dev is a tmpfs of ours whatever the image holds; it is nodev, so that only the nodes bound from the host work: a real
 * root keeps CAP_MKNOD in a step. /proc is mounted by the payload, which is in the pid namespace it is to show.
 */
#include "build/exec/box.h"

#include "base/mem.h"
#include "layers/snap_mnt.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static const struct {
	const char *name;
	unsigned major, minor;
} nodes[] = {
	{ "null", 1, 3 }, { "zero", 1, 5 }, { "full", 1, 7 }, { "random", 1, 8 }, { "urandom", 1, 9 }, { "tty", 5, 0 },
};

static const struct {
	const char *name, *to;
} links[] = {
	{ "fd", "/proc/self/fd" },       { "stdin", "/proc/self/fd/0" }, { "stdout", "/proc/self/fd/1" },
	{ "stderr", "/proc/self/fd/2" }, { "ptmx", "pts/ptmx" },
};

/* A fixed place of the image must be a directory or missing: a link there could send the mount anywhere. */
static int fixed_target(struct box *b, const char *path, int *ret, struct err **e)
{
	AUTO(fd_closep) int fd = openat(b->root, path + 1, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return target_open(b, path, true, ret, e);
	if (!S_ISDIR(st.st_mode))
		return err_set(e, ERR_STEP, "cannot mount on '%s': the image has a %s there", path,
			       S_ISLNK(st.st_mode) ? "symbolic link" : "file");
	*ret = fd_take(&fd);
	return 0;
}

/* Name below a directory of ours that is not of the image. */
static int own_open(int dir, const char *name, struct err **e)
{
	int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? err_errno(e, ERR_HOST, errno, "cannot open '%s'", name) : fd;
}

static int dev_node(int dev, size_t i, struct err **e)
{
	AUTO(mem_freep) char *path = mem_printf("/dev/%s", nodes[i].name);
	AUTO(fd_closep) int host = openat(AT_FDCWD, path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	AUTO(fd_closep) int file = openat(dev, nodes[i].name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	AUTO(fd_closep) int mount = -1;
	struct stat st;

	if (host < 0 || file < 0 || fstat(host, &st) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot bring '%s' into the step", path);
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(nodes[i].major, nodes[i].minor))
		return err_set(e, ERR_HOST, "'%s' of this host is not the device it should be", path);
	mount = mnt_clone(host, "", false, e);
	if (mount < 0)
		return -1;
	return mnt_attach(mount, file, path, e);
}

/* dev/name: a new directory with a new file system. Positive: refused. */
static int dev_sub(int dev, const char *name, const char *type, const struct mnt_opt *opt, unsigned attrs, struct err **e)
{
	AUTO(fd_closep) int mount = -1;
	AUTO(fd_closep) int on = -1;

	if (mkdirat(dev, name, 0755) < 0 && errno != EEXIST)
		return err_errno(e, ERR_HOST, errno, "cannot make '/dev/%s'", name);
	mount = mnt_new(type, opt, attrs, e);
	if (mount < 0)
		return 1;
	on = own_open(dev, name, e);
	return on < 0 ? -1 : mnt_attach(mount, on, name, e);
}

static int dev_pts(int dev, struct err **e)
{
	static const struct mnt_opt with_tty[] = { { "newinstance", NULL }, { "ptmxmode", "0666" }, { "mode", "0620" },
						   { "gid", "5" }, { NULL, NULL } };
	static const struct mnt_opt plain[] = { { "newinstance", NULL }, { "ptmxmode", "0666" }, { "mode", "0620" },
						{ NULL, NULL } };

	/* gid 5 may not be mapped. */
	if (dev_sub(dev, "pts", "devpts", with_tty, MNT_NOSUID | MNT_NOEXEC, NULL) == 0)
		return 0;
	return dev_sub(dev, "pts", "devpts", plain, MNT_NOSUID | MNT_NOEXEC, e) == 0 ? 0 : -1;
}

int fixed_dev(int files, struct err **e)
{
	static const struct mnt_opt opt[] = { { "mode", "755" }, { "size", "65536k" }, { NULL, NULL } };
	AUTO(fd_closep) int dev = mnt_new("tmpfs", opt, MNT_NOSUID | MNT_NODEV | MNT_STRICTATIME, e);
	AUTO(fd_closep) int on = -1;

	if (dev < 0)
		return -1;
	if (mkdirat(files, "dev", 0755) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot make a directory for '/dev'");
	on = own_open(files, "dev", e);
	if (on < 0 || mnt_attach(dev, on, "/dev", e) < 0)
		return -1;
	for (size_t i = 0; i < countof(nodes); i++)
		if (dev_node(dev, i, e) < 0)
			return -1;
	for (size_t i = 0; i < countof(links); i++)
		if (symlinkat(links[i].to, dev, links[i].name) < 0)
			return err_errno(e, ERR_HOST, errno, "cannot make '/dev/%s'", links[i].name);
	/* Not every kernel has the last one, nor every namespace may. */
	if (dev_pts(dev, e) < 0 || dev_sub(dev, "mqueue", "mqueue", NULL, MNT_QUIET, NULL) < 0)
		return -1;
	return fd_take(&dev);
}

static int prepare_shm(struct box *b, struct err **e)
{
	AUTO(mem_freep) char *size = mem_printf("%ju", (uintmax_t)(b->spec->shm_size ? b->spec->shm_size : 64 << 20));
	const struct mnt_opt shm[] = { { "mode", "1777" }, { "size", size }, { NULL, NULL } };

	return dev_sub(b->dev, "shm", "tmpfs", shm, MNT_QUIET, e) == 0 ? 0 : -1;
}

static int prepare_sys(struct box *b, struct err **e)
{
	bool own_net = b->spec->net != RUN_NET_HOST;
	unsigned attrs = MNT_QUIET | (b->spec->insecure ? 0 : MNT_RDONLY);

	/* The file system shows the network namespace it was mounted in, so it has to be a new one, or the host's. */
	b->sys = own_net ? mnt_new("sysfs", NULL, attrs, NULL) : -1;
	if (b->sys < 0) {
		b->sys = mnt_clone(AT_FDCWD, "/sys", true, e);
		if (b->sys < 0 || mnt_attr(b->sys, true, attrs, e) < 0)
			return -1;
	}
	return 0;
}

static int attach(struct box *b, int mount, const char *path, struct err **e)
{
	AUTO(fd_closep) int on = -1;

	return fixed_target(b, path, &on, e) < 0 || mnt_attach(mount, on, path, e) < 0 ? -1 : 0;
}

int fixed_mount(struct box *b, struct err **e)
{
	if (attach(b, b->dev, "/dev", e) < 0 || attach(b, b->sys, "/sys", e) < 0 || fixed_target(b, "/proc", &b->proc, e) < 0)
		return err_wrap(e, "cannot prepare the root file system");
	return 0;
}

/* ---- /etc */

static int etc_file(struct box *b, const char *path, struct buf *text, struct err **e)
{
	if (buf_ok(text, path, e) < 0)
		return -1;
	return box_file(b, buf_view(text), 0644, 0, 0, MNT_QUIET, e);
}

static int prepare_etc(struct box *b, struct err **e)
{
	AUTO(buf_freep) struct buf resolv = BUF_MAX(1 << 20);
	AUTO(buf_freep) struct buf hosts = BUF_MAX(4 << 20);

	if (!b->spec->no_resolv && (net_resolv(b, &resolv, e) < 0 || (b->resolv = etc_file(b, "/etc/resolv.conf", &resolv, e)) < 0))
		return -1;
	buf_printf(&hosts, "127.0.0.1\tlocalhost %s\n::1\tlocalhost ip6-localhost ip6-loopback\n", b->spec->hostname);
	for (size_t i = 0; b->spec->hosts && b->spec->hosts[i]; i++)
		buf_printf(&hosts, "%s\n", b->spec->hosts[i]);
	return !b->spec->no_hosts && (b->hosts = etc_file(b, "/etc/hosts", &hosts, e)) < 0 ? -1 : 0;
}

int fixed_prepare(struct box *b, struct err **e)
{
	return prepare_shm(b, e) < 0 || prepare_sys(b, e) < 0 || prepare_etc(b, e) < 0 ? -1 : 0;
}

int fixed_etc(struct box *b, struct err **e)
{
	AUTO(buf_freep) struct buf name = BUF_MAX(4096);
	AUTO(fd_closep) int there = -1;
	AUTO(fd_closep) int file = -1;

	if (b->resolv >= 0 && target_mount(b, "/etc/resolv.conf", b->resolv, e) < 0)
		return -1;
	if (b->hosts >= 0 && target_mount(b, "/etc/hosts", b->hosts, e) < 0)
		return -1;
	/* Only if the image has one. */
	if (b->spec->no_hostname || at_try(b->root, "/etc/hostname", O_PATH, &there, NULL) != 0)
		return 0;
	buf_printf(&name, "%s\n", b->spec->hostname);
	file = etc_file(b, "/etc/hostname", &name, e);
	return file < 0 ? -1 : target_mount(b, "/etc/hostname", file, e);
}

/* ---- /proc, by the payload */

static const char *const masked[] = {
	"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
	"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap",
	"/sys/firmware", "/sys/fs/selinux",
};
static const char *const readonly[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger" };

/* Where the outer container has masked something, ours on top may be refused; what is masked stays so. */
static int mask(struct box *b, const char *path, struct err **e)
{
	AUTO(fd_closep) int on = -1;
	AUTO(fd_closep) int mount = -1;
	struct stat st;
	int rc = at_try(b->root, path, O_PATH, &on, NULL);

	if (rc != 0 || fstat(on, &st) < 0)
		return 0;
	mount = S_ISDIR(st.st_mode) ? mnt_clone(b->files, "empty", false, e) : mnt_clone(b->null, "", false, e);
	if (mount < 0 || (S_ISDIR(st.st_mode) && mnt_attr(mount, false, MNT_RDONLY | MNT_QUIET, e) < 0))
		return -1;
	return mnt_attach(mount, on, path, e);
}

static int freeze(struct box *b, const char *path, struct err **e)
{
	AUTO(fd_closep) int on = -1;
	AUTO(fd_closep) int mount = -1;

	if (at_try(b->root, path, O_PATH, &on, NULL) != 0)
		return 0;
	mount = mnt_clone(on, "", true, e);
	if (mount < 0 || mnt_attr(mount, true, MNT_RDONLY, e) < 0)
		return -1;
	return mnt_attach(mount, on, path, e);
}

static int mask_cpus(struct box *b, struct err **e)
{
	AUTO(fd_closep) int dir = -1;
	struct at_names names;
	int rc = 0;

	if (at_try(b->root, "/sys/devices/system/cpu", O_RDONLY | O_DIRECTORY, &dir, NULL) != 0)
		return 0;
	if (faccessat(dir, "cpu0/thermal_throttle", F_OK, 0) < 0)
		return 0;
	if (at_list(dir, &names, e) < 0)
		return -1;
	for (size_t i = 0; i < names.n && rc == 0; i++) {
		AUTO(mem_freep) char *path = mem_printf("/sys/devices/system/cpu/%s/thermal_throttle", names.name[i]);

		if (strncmp(names.name[i], "cpu", 3) == 0 && names.name[i][3] >= '0' && names.name[i][3] <= '9')
			rc = mask(b, path, e);
	}
	at_names_clear(&names);
	return rc;
}

int fixed_proc(struct box *b, struct err **e)
{
	AUTO(err_freep) struct err *refused = NULL;
	AUTO(fd_closep) int proc = mnt_new("proc", NULL, MNT_QUIET, &refused);

	/* Masked by a container around us: then its /proc, as masked as it is (5.4). */
	bool own = proc >= 0;

	if (!own)
		proc = mnt_clone(AT_FDCWD, "/proc", true, e);
	if (proc < 0 || mnt_attach(proc, b->proc, "/proc", e) < 0)
		return -1;
	if (b->spec->insecure)
		return 0;
	for (size_t i = 0; i < countof(masked); i++)
		if (mask(b, masked[i], own ? e : NULL) < 0 && own)
			return -1;
	for (size_t i = 0; i < countof(readonly); i++)
		if (freeze(b, readonly[i], own ? e : NULL) < 0 && own)
			return -1;
	return mask_cpus(b, own ? e : NULL) < 0 && own ? -1 : 0;
}
