/* layers/owner.c - owners in image trees: by chown where the id map has them, else 0:0 and a record beside. */
#include "layers/owner.h"

#include "base/idmap.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/xattr.h>
#include <unistd.h>

#define RECORD "user.kiln.own"
enum { OVERFLOW_ID = 65534, EXTENTS = 64 };

/* The map of this process; false when it cannot be read (the worker has no /proc any more). */
static bool map_of(const char *path, struct idmap_extent *ext, unsigned *n)
{
	AUTO(fd_closep) int fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	AUTO(buf_freep) struct buf text = BUF_MAX(64 << 10);
	struct slice rest, line = SLICE_NONE;

	*n = 0;
	if (fd < 0 || fd_read_all(fd, &text, NULL) < 0)
		return false;
	for (rest = buf_view(&text); rest.n && *n < EXTENTS;) {
		uint64_t v[3] = { 0 };
		unsigned k = 0;

		slice_cut(rest, '\n', &line, &rest);
		while (k < 3 && line.n) {
			struct slice word = SLICE_NONE;

			line = slice_trim(line, " ");
			slice_cut(line, ' ', &word, &line);
			if (!slice_u64(word, &v[k++]))
				return false;
		}
		ext[(*n)++] = (struct idmap_extent){ (uint32_t)v[0], (uint32_t)v[1], (uint32_t)v[2] };
	}
	return *n > 0;
}

void owner_init(struct owner *o)
{
	struct idmap_extent uid[EXTENTS], gid[EXTENTS];
	unsigned nuid = 0, ngid = 0;
	bool known = map_of("/proc/self/uid_map", uid, &nuid) && map_of("/proc/self/gid_map", gid, &ngid);

	*o = (struct owner){
		.single = known && nuid == 1 && uid[0].count == 1,
		.any = known && nuid == 1 && uid[0].count == UINT32_MAX && ngid == 1 && gid[0].count == UINT32_MAX,
		.nobody_uid = known && idmap_covers(uid, nuid, OVERFLOW_ID),
		.nobody_gid = known && idmap_covers(gid, ngid, OVERFLOW_ID),
	};
}

static int change(int fd, int dir, const char *name, uint32_t uid, uint32_t gid)
{
	return fd >= 0 ? fchown(fd, uid, gid) : fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW);
}

static int record(int fd, const char *name, uint32_t uid, uint32_t gid, struct err **e)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%" PRIu32 ":%" PRIu32, uid, gid);

	/* Symlinks and fifos cannot have such attributes. They stay 0:0: who owns a link decides nothing, and a layer that came as
	 * a blob is never made again from its directory. */
	if (fd < 0)
		return 0;
	if (fsetxattr(fd, RECORD, text, (size_t)n, 0) == 0)
		return 0;
	int errnum = errno;
	err_errno(e, ERR_HOST, errnum, "'%s' belongs to %" PRIu32 ":%" PRIu32 ", which this user cannot have, and that cannot be recorded",
		  name, uid, gid);
	return err_hint(e, "give this user a larger range in /etc/subuid and /etc/subgid, or move the store to a file system with "
			   "user extended attributes");
}

int owner_set(const struct owner *o, int fd, int dir, const char *name, uint32_t uid, uint32_t gid, bool *recorded, struct err **e)
{
	*recorded = false;
	if (!o->single || (uid == 0 && gid == 0)) {
		if (change(fd, dir, name, uid, gid) == 0)
			return 0;
		/* EINVAL: not in the map. */
		if (errno != EINVAL)
			return err_errno(e, ERR_HOST, errno, "cannot give '%s' to %" PRIu32 ":%" PRIu32, name, uid, gid);
	}
	if (change(fd, dir, name, 0, 0) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot give '%s' to 0:0", name);
	*recorded = true;
	return record(fd, name, uid, gid, e);
}

void owner_forget(int fd)
{
	/* Mostly there is none, and without attributes there cannot be one. */
	(void)fremovexattr(fd, RECORD);
}

static bool parse(const char *text, size_t n, uint32_t *uid, uint32_t *gid)
{
	struct slice u = SLICE_NONE, g = SLICE_NONE;
	uint64_t a = 0, b = 0;

	if (!slice_cut((struct slice){ text, n }, ':', &u, &g) || !slice_u64(u, &a) || !slice_u64(g, &b) || a >= UINT32_MAX ||
	    b >= UINT32_MAX)
		return false;
	*uid = (uint32_t)a;
	*gid = (uint32_t)b;
	return true;
}

int owner_get(const struct owner *o, int fd, const struct stat *st, uint32_t *uid, uint32_t *gid, struct err **e)
{
	char text[64];
	ssize_t n = fd >= 0 ? fgetxattr(fd, RECORD, text, sizeof(text)) : -1;

	if (n > 0) {
		if (!parse(text, (size_t)n, uid, gid))
			return err_set(e, ERR_HOST, "the record of an owner is damaged");
		return 0;
	}
	if (o->single) {
		/* The one id there is stands for root. */
		*uid = *gid = 0;
		return 0;
	}
	/* The kernel shows ids that the map does not have as 65534: that one may leave only when the map really has it (W4). */
	if ((st->st_uid == OVERFLOW_ID && !o->nobody_uid) || (st->st_gid == OVERFLOW_ID && !o->nobody_gid))
		return err_set(e, ERR_HOST, "it belongs to an id that is not mapped here");
	*uid = st->st_uid;
	*gid = st->st_gid;
	return 0;
}
