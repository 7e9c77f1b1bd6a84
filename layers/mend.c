/* layers/mend.c - invented parents get their real owner, mode, xattrs and time, deepest last so that times stay. */
#include "layers/mend.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/mem.h"

static int apply(int root, const char *path, const struct entry *en, const struct owner *o, struct err **e)
{
	AUTO(fd_closep) int fd = at_open(root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, e);
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = en->mtime, .tv_nsec = en->mtime_ns } };
	bool recorded = false;

	if (fd < 0 || owner_set(o, fd, -1, path, en->uid, en->gid, &recorded, e) < 0)
		return -1;
	for (size_t i = 0; i < en->nxattr; i++) {
		if (fsetxattr(fd, en->xattr[i].name, en->xattr[i].value.p, en->xattr[i].value.n, 0) < 0 && errno != ENOTSUP && errno != EPERM)
			return err_errno(e, ERR_HOST, errno, "cannot set an attribute of '%s'", path);
	}
	if (fchmod(fd, en->mode & 07777) < 0 || futimens(fd, times) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot set the mode of '%s'", path);
	return 0;
}

/* One directory on the way to an entry, unless the layer lists it itself or nothing below knows it. */
static int mend_parent(int root, const struct listing *own, const struct view *lower, const char *path, const struct owner *o, struct err **e)
{
	struct entry en;
	size_t layer;

	if (listing_find(own, path, &en) == 0 || view_find(lower, path, &en, &layer) != 0)
		return 0;
	return en.type == ENTRY_DIR ? apply(root, path, &en, o, e) : MEND_REFUSED;
}

int mend_layer(int root, const struct listing *own, const struct view *lower, const struct owner *o, struct buf *ret_path, struct err **e)
{
	AUTO(buf_freep) struct buf last = BUF_MAX(8192);

	/* Layer order, backwards: what lies in a directory comes before the directory itself gets its time. */
	for (uint64_t i = listing_count(own); i-- > 0;) {
		struct entry en;

		listing_at(own, i, &en);
		AUTO(mem_freep) char *path = mem_str(en.path);
		for (char *slash = strrchr(path, '/'); slash; slash = strrchr(path, '/')) {
			*slash = '\0';
			/* Neighbours share their parents: those were done just now. */
			if (last.p && last.n >= strlen(path) && strncmp(last.p, path, strlen(path)) == 0 && (last.p[strlen(path)] == '\0' || last.p[strlen(path)] == '/'))
				break;
			int rc = mend_parent(root, own, lower, path, o, e);
			if (rc != 0) {
				buf_str(ret_path, path);
				return rc;
			}
		}
		buf_reset(&last);
		buf_str(&last, en.path);
		char *slash = last.n ? memrchr(last.p, '/', last.n) : NULL;
		last.n = slash ? (size_t)(slash - last.p) : 0;
		if (last.p)
			last.p[last.n] = '\0';
	}
	return 0;
}
