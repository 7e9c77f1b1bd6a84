/* layers/listing.c - reading a listing: mapped, checked once, searched in place. */
#include "layers/listing.h"

#include "base/fd.h"
#include "base/map.h"
#include "base/mem.h"
#include "layers/listing_format.h"

#include <errno.h>
#include <sys/stat.h>

enum { LARGE = 4 << 20, WARM_MOST = 16384 };

struct listing {
	struct map map;
	struct head head;                /* host order */
	const uint64_t *index;
	struct xattr *xattr;
	bool links;
	size_t shared;                   /* views that have it, beside the first */
	size_t *warm;                    /* of a large one: look-ups since pages were given back */
};

static int damaged(struct err **e, const char *what)
{
	return err_set(e, ERR_HOST, "a layer listing is damaged: %s", what);
}

static void head_swap(struct head *h)
{
	uint64_t *w = &h->version;

	for (size_t i = 0; i < (sizeof(*h) - 8) / 8; i++)
		w[i] = le64toh(w[i]);
}

/* Look-ups mostly come in layer order: what they need next is near, the rest of a large listing can go. */
static void cool(const struct listing *l)
{
	if (l->warm && ++*l->warm % WARM_MOST == 0)
		map_cool(l->map.p, l->map.p + l->map.n);
}

static const struct record *record_at(const struct listing *l, uint64_t i)
{
	return (const struct record *)(l->map.p + le64toh(l->index[i]));
}

/* Does record i lie in the file, with all its strings? Fills its part of l->xattr. */
static int record_check(struct listing *l, uint64_t i, struct err **e)
{
	uint64_t at = le64toh(l->index[i]);

	if (at % 8 || at < sizeof(struct head) || at > l->head.index - sizeof(struct record))
		return damaged(e, "an offset");
	const struct record *r = record_at(l, i);
	uint64_t n = le32toh(r->length), npath = le16toh(r->path), nlink = le16toh(r->link);
	uint64_t first = le32toh(r->xattr), nxattr = le16toh(r->nxattr);
	uint64_t used = sizeof(*r) + npath + 1 + (nlink == NO_LINK ? 0 : nlink + 1);
	const char *p = (const char *)r;

	if (n > l->head.index - at || used > n || p[sizeof(*r) + npath] || (nlink != NO_LINK && p[used - 1]) ||
	    first + nxattr > l->head.nxattr)
		return damaged(e, "a record");
	for (uint64_t k = 0; k < nxattr; k++) {
		uint32_t nname, nvalue;

		if (n - used < 8)
			return damaged(e, "an attribute");
		memcpy(&nname, p + used, 4);
		memcpy(&nvalue, p + used + 4, 4);
		nname = le32toh(nname);
		nvalue = le32toh(nvalue);
		used += 8;
		if (n - used < (uint64_t)nname + 1 + nvalue || p[used + nname])
			return damaged(e, "an attribute");
		l->xattr[first + k] = (struct xattr){ p + used, { p + used + nname + 1, nvalue } };
		used += (uint64_t)nname + 1 + nvalue;
	}
	return 0;
}

static void sum_piece(void *sum, struct slice piece)
{
	*(uint64_t *)sum = sum_add(*(uint64_t *)sum, piece.p, piece.n);
}

static int head_check(const struct listing *l, struct err **e)
{
	const struct head *h = &l->head;
	uint64_t sum = 0;

	if (memcmp(h->magic, magic, sizeof(magic)) != 0 || h->version != VERSION)
		return damaged(e, "its first bytes");
	if (h->size != l->map.n || h->index % 8 || h->index < sizeof(*h) || h->index > l->map.n ||
	    h->count > (l->map.n - h->index) / 8 || h->nxattr > l->map.n / 8)
		return damaged(e, "its size");
	for (unsigned i = 0; i < NTEXT; i++)
		if (h->text[i].at > h->index || h->text[i].n > h->index - h->text[i].at)
			return damaged(e, "a text");
	map_each((struct slice){ l->map.p + sizeof(*h), l->map.n - sizeof(*h) }, l->warm, sum_piece, &sum);
	if (sum_add(sum, l->map.p, sizeof(*h) - 8) != h->sum)
		return damaged(e, "its checksum");
	return 0;
}

static void listing_closep(struct listing **l)
{
	listing_close(take(l));
}

int listing_open(int take_fd, struct listing **ret, struct err **e)
{
	AUTO(fd_closep) int fd = take_fd;
	AUTO(listing_closep) struct listing *l = mem_zalloc(sizeof(*l));
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot look at a layer listing");
	if (!S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof(struct head) || st.st_size % 8)
		return damaged(e, "its size");
	if (map_open(fd, &l->map, e) < 0)
		return err_wrap(e, "cannot read a layer listing");
	if (l->map.n > LARGE)
		l->warm = mem_zalloc(sizeof(*l->warm));
	memcpy(&l->head, l->map.p, sizeof(l->head));
	head_swap(&l->head);
	if (head_check(l, e) < 0)
		return -1;
	l->index = (const uint64_t *)(l->map.p + l->head.index);
	l->xattr = mem_array(l->head.nxattr ? l->head.nxattr : 1, sizeof(*l->xattr));
	for (uint64_t i = 0; i < l->head.count; i++) {
		cool(l);
		if (record_check(l, i, e) < 0)
			return -1;
		l->links |= record_at(l, i)->type == ENTRY_LINK;
	}
	*ret = take(&l);
	return 0;
}

struct listing *listing_share(struct listing *l)
{
	l->shared++;
	return l;
}

void listing_close(struct listing *l)
{
	if (!l || (l->shared && l->shared--))
		return;
	map_clear(&l->map);
	mem_freep(&l->warm);
	mem_freep(&l->xattr);
	mem_freep(&l);
}

bool listing_links(const struct listing *l)
{
	return l->links;
}

uint64_t listing_count(const struct listing *l)
{
	return l->head.count;
}

void listing_at(const struct listing *l, uint64_t i, struct entry *ret)
{
	const struct record *r = record_at(l, i);
	uint16_t nlink = le16toh(r->link);

	cool(l);
	*ret = (struct entry){
		.type = (enum entry_type)r->type,
		.path = record_path(r),
		.link = nlink == NO_LINK ? NULL : record_path(r) + le16toh(r->path) + 1,
		.mode = le32toh(r->mode),
		.uid = le32toh(r->uid),
		.gid = le32toh(r->gid),
		.mtime = (int64_t)le64toh((uint64_t)r->mtime),
		.mtime_ns = le32toh(r->mtime_ns),
		.size = le64toh(r->size),
		.major = r->type == ENTRY_FILE ? 0 : le32toh(r->major),
		.minor = le32toh(r->minor),
		.xattr = l->xattr + le32toh(r->xattr),
		.nxattr = le16toh(r->nxattr),
		.parent = r->parent,
	};
}

uint32_t listing_arrival(const struct listing *l, uint64_t i)
{
	return le32toh(record_at(l, i)->seq);
}

uint64_t listing_seek(const struct listing *l, const char *path, bool behind)
{
	uint64_t low = 0, high = l->head.count;

	cool(l);
	while (low < high) {
		uint64_t mid = low + (high - low) / 2;
		int c = entry_path_cmp(record_path(record_at(l, mid)), path);

		if (behind && c > 0) {
			size_t n = strlen(path);
			const char *p = record_path(record_at(l, mid));

			/* Everything below path counts as before it. */
			if (n == 0 || (strncmp(p, path, n) == 0 && p[n] == '/'))
				c = 0;
		}
		if (c < 0 || (behind && c == 0))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

int listing_find(const struct listing *l, const char *path, struct entry *ret)
{
	uint64_t i = listing_seek(l, path, false);

	if (i >= l->head.count || strcmp(record_path(record_at(l, i)), path) != 0)
		return LISTING_MISS;
	listing_at(l, i, ret);
	return 0;
}

bool listing_text(const struct listing *l, const char *path, struct slice *ret)
{
	static const char *const old[NTEXT] = { "etc/passwd", "etc/group" };
	uint64_t i = listing_seek(l, path, false);

	if (i >= l->head.count || strcmp(record_path(record_at(l, i)), path) != 0 || record_at(l, i)->type != ENTRY_FILE)
		return false;
	const struct record *r = record_at(l, i);
	uint64_t at = (uint64_t)le32toh(r->major) * 8, n = le64toh(r->size);
	for (unsigned t = 0; t < NTEXT && !at; t++)
		if (strcmp(old[t], path) == 0) {
			at = l->head.text[t].at;
			n = l->head.text[t].n;
		}
	if (!at || at > l->head.index || n > l->head.index - at)
		return false;
	*ret = (struct slice){ l->map.p + at, n };
	return true;
}
