/* cache/store_info.c - facts about blobs that were computed here (K5), and where a blob is known to be.
 *
 *   info/blob/<blob>          sealed: diff, blob, size, comp, level
 *   info/diff/<diff>/<blob>   empty: the way from a layer to its blobs
 *   info/source/<blob>        a line per repository
 * None of it is a promise: what is missing or torn is found out again.
 */
#include "base/mem.h"
#include "base/tmp.h"
#include "cache/store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

enum { SOURCES_MAX = 64 << 10 };

static char *info_path(const char *folder, const struct digest *d)
{
	char hex[DIGEST_HEX + 1];

	digest_hex(d, hex);
	return mem_printf("info/%s/%s", folder, hex);
}

static int read_info(struct store *s, const struct digest *blob, struct blob_info *ret, struct err **e)
{
	AUTO(mem_freep) char *path = info_path("blob", blob);
	AUTO(jval_freep) struct jval *v = NULL;
	struct blob_info i = { 0 };
	const char *comp = NULL;
	int64_t level = 0;

	int rc = sealed_read(s, path, &v, e);
	if (rc != 0)
		return rc < 0 ? -1 : STORE_MISS;
	if (!jval_get_digest(v, "diff", &i.diff) || !jval_get_digest(v, "blob", &i.blob) || digest_zero(&i.diff) ||
	    !digest_equal(&i.blob, blob) || jval_get_int(v, "size", &i.size, NULL) < 0 ||
	    jval_get_int(v, "level", &level, NULL) < 0 || jval_get_str(v, "comp", &comp, NULL) < 0 || !comp ||
	    strlen(comp) >= sizeof(i.comp))
		return STORE_MISS;
	snprintf(i.comp, sizeof(i.comp), "%s", comp);
	i.level = (int)level;
	*ret = i;
	return 0;
}

static int link_diff(struct store *s, const struct blob_info *i, struct err **e)
{
	AUTO(mem_freep) char *folder = info_path("diff", &i->diff);
	char hex[DIGEST_HEX + 1];

	digest_hex(&i->blob, hex);
	AUTO(mem_freep) char *path = mem_printf("%s/%s", folder, hex);
	/* gc removes the folder of a layer when it is empty: not between these two. */
	AUTO(store_unlock) int lock = -1;
	if (store_lock(s->fd, LOCK_SH, &lock, e) < 0 || store_make_parent(s, path, e) < 0)
		return -1;
	AUTO(fd_closep) int fd = at_open_store(s->fd, path, O_WRONLY | O_CREAT, 0600, e);
	return fd < 0 ? -1 : 0;
}

int store_info_add(struct store *s, const struct blob_info *i, struct err **e)
{
	AUTO(mem_freep) char *path = info_path("blob", &i->blob);
	AUTO(jval_freep) struct jval *v = jval_obj();
	struct blob_info old;

	int rc = read_info(s, &i->blob, &old, e);
	if (rc < 0)
		return -1;
	/* A blob keeps what is known of it; "ours" is better knowledge than "somebody else's". */
	if (rc == STORE_MISS || !digest_equal(&old.diff, &i->diff) || strcmp(old.comp, i->comp) != 0 ||
	    (old.level != i->level && i->level >= 0)) {
		jval_set_digest(v, "diff", &i->diff);
		jval_set_digest(v, "blob", &i->blob);
		jval_set_int(v, "size", i->size);
		jval_set_str(v, "comp", i->comp);
		jval_set_int(v, "level", i->level);
		if (sealed_write(s, path, v, 0, e) < 0)
			return -1;
	}
	return link_diff(s, i, e);
}

int store_info_find(struct store *s, const struct digest *diff, const char *comp, struct blob_info *ret, struct err **e)
{
	AUTO(at_names_clear) struct at_names names = { 0 };
	AUTO(mem_freep) char *folder = info_path("diff", diff);
	AUTO(fd_closep) int dir = -1;

	int rc = at_try_store(s->fd, folder, O_RDONLY | O_DIRECTORY, &dir, e);
	if (rc != 0)
		return rc < 0 ? -1 : STORE_MISS;
	if (at_list(dir, &names, e) < 0)
		return -1;
	for (size_t n = 0; n < names.n; n++) {
		struct blob_info i;
		struct digest blob;
		int64_t size = 0;

		if (digest_parse_hex(slice_of(names.name[n]), &blob) < 0)
			continue;
		rc = read_info(s, &blob, &i, e);
		if (rc < 0)
			return -1;
		if (rc == STORE_MISS || !digest_equal(&i.diff, diff) || (comp && *comp && strcmp(comp, i.comp) != 0))
			continue;
		rc = store_blob_find(s, &blob, &size, e);
		if (rc < 0)
			return -1;
		/* A blob of another length was torn by a crash: found only by who reads it, so do not offer it. */
		if (rc == 0 && size == i.size) {
			*ret = i;
			return 0;
		}
	}
	return STORE_MISS;
}

int store_info_diff(struct store *s, const struct digest *blob, struct digest *ret, struct err **e)
{
	struct blob_info i;
	int rc = read_info(s, blob, &i, e);

	if (rc == 0)
		*ret = i.diff;
	return rc;
}

int store_source_list(struct store *s, const struct digest *blob, struct buf *out, struct err **e)
{
	AUTO(mem_freep) char *path = info_path("source", blob);
	AUTO(fd_closep) int fd = -1;

	buf_add(out, "", 0);
	int rc = at_try_store(s->fd, path, O_RDONLY | O_NONBLOCK, &fd, e);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	return fd_read_all(fd, out, e);
}

int store_source_add(struct store *s, const struct digest *blob, const char *repo, struct err **e)
{
	AUTO(buf_freep) struct buf known = BUF_MAX(SOURCES_MAX);
	AUTO(mem_freep) char *path = info_path("source", blob);
	AUTO(mem_freep) char *line = mem_printf("%s\n", repo);
	struct slice one = SLICE_NONE;

	if (!*repo || strchr(repo, '\n'))
		return err_set(e, ERR_BUG, "'%s' is no repository", repo);
	/* A list that cannot be read, or is full, is only a hint lost. */
	if (store_source_list(s, blob, &known, NULL) < 0)
		return 0;
	for (struct slice rest = buf_view(&known); slice_cut(rest, '\n', &one, &rest);)
		if (slice_is(one, repo))
			return 0;
	if (known.n + strlen(line) > SOURCES_MAX)
		return 0;

	/* One append of a whole line: two builds may do this at once. */
	AUTO(fd_closep) int fd = at_open_store(s->fd, path, O_WRONLY | O_CREAT | O_APPEND, 0600, e);
	return fd < 0 ? -1 : fd_write_all(fd, line, strlen(line), e);
}
