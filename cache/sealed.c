/* cache/sealed.c - small documents that tell whether they are whole, and when they were committed.
 *
 *   {"sum":"sha256:<64 hex>",     digest of every byte behind this comma
 *   "boot":"...","at":123,...}    the stamp, for those that have one
 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/tmp.h"
#include "cache/store_priv.h"

#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#define HEAD "{\"sum\":\""
enum { HEAD_SIZE = sizeof(HEAD) - 1 + DIGEST_TEXT + 2 };

void sealed_text(const struct jval *body, struct buf *out)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(out->max);
	struct digest d;

	jval_print(body, &text, 0);
	if (text.over || text.n < 2) {
		out->over = true;
		return;
	}
	/* Without the opening brace: what the sum is over. */
	digest_of(text.p + 1, text.n - 1, &d);
	buf_printf(out, HEAD "%s\",", digest_text(&d).s);
	buf_add(out, text.p + 1, text.n - 1);
}

int sealed_open(struct slice bytes, struct jval **ret)
{
	struct digest want, got;
	struct slice body = slice_skip(bytes, HEAD_SIZE);

	if (!slice_starts(bytes, HEAD) || body.n == 0 ||
	    digest_parse((struct slice){ bytes.p + sizeof(HEAD) - 1, DIGEST_TEXT }, &want, ERR_HOST, NULL) < 0)
		return SEALED_BAD;
	digest_of(body.p, body.n, &got);
	if (!digest_equal(&want, &got) || jdoc_parse(bytes, "record", ret, NULL) < 0)
		return SEALED_BAD;
	return 0;
}

int sealed_read(const struct store *s, const char *path, struct jval **ret, struct err **e)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(SEALED_MAX);
	AUTO(fd_closep) int fd = -1;
	struct stat st;

	int rc = at_try_store(s->fd, path, O_RDONLY | O_NONBLOCK, &fd, e);
	if (rc != 0)
		return rc < 0 ? -1 : SEALED_BAD;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || fd_read_all(fd, &text, NULL) < 0)
		return SEALED_BAD;
	return sealed_open(buf_view(&text), ret);
}

int sealed_write(struct store *s, const char *path, const struct jval *body, unsigned flags, struct err **e)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(SEALED_MAX);
	AUTO(tmp_rollback) struct tmp t = TMP_NONE;
	struct lease *lease = NULL;

	sealed_text(body, &text);
	if (buf_ok(&text, path, e) < 0 || store_lease(s, &lease, e) < 0 || store_commit_begins(s, e) < 0 ||
	    store_make_parent(s, path, e) < 0)
		return -1;
	AUTO(mem_freep) char *scratch = mem_printf("tmp/%s", lease_id(lease));
	AUTO(fd_closep) int dir = at_open_store(s->fd, scratch, O_PATH | O_DIRECTORY, 0, e);
	if (dir < 0 || tmp_open(&t, dir, e) < 0 || fd_write_all(t.fd, text.p, text.n, e) < 0)
		return err_wrap(e, "cannot write '%s/%s'", s->path, path);
	if (tmp_commit(&t, s->fd, path, flags, 0600, e) < 0)
		return err_wrap(e, "cannot write '%s/%s'", s->path, path);
	return 0;
}

void stamp_put(const struct store *s, struct jval *body)
{
	jval_set_str(body, "boot", s->boot);
	jval_set_int(body, "at", clock_boot_ns());
}

/* Up to when that boot's commits are known to be on disk; -1: nothing known. */
static int64_t synced(struct store *s, const char *boot)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(32);
	AUTO(mem_freep) char *path = mem_printf("synced/%s", boot);
	AUTO(fd_closep) int fd = -1;
	uint64_t at = 0;

	if (strcmp(boot, s->seen_boot) == 0)
		return s->seen_synced;
	snprintf(s->seen_boot, sizeof(s->seen_boot), "%s", boot);
	s->seen_synced = -1;
	if (at_try_store(s->fd, path, O_RDONLY, &fd, NULL) == 0 && fd_read_all(fd, &text, NULL) == 0 &&
	    slice_u64(slice_trim(buf_view(&text), "\n"), &at) && at <= INT64_MAX)
		s->seen_synced = (int64_t)at;
	return s->seen_synced;
}

static void meet(struct store *s, const char *boot)
{
	if (s->met.max && !memmem(s->met.p, s->met.n, boot, strlen(boot)))
		buf_printf(&s->met, "%s\n", boot);
}

bool stamp_good(struct store *s, const struct jval *body)
{
	const char *boot = NULL;
	int64_t at = 0;

	if (jval_get_str(body, "boot", &boot, NULL) < 0 || jval_get_int(body, "at", &at, NULL) < 0 || !boot)
		return false;
	/* Committed without a boot id: synced before it got its name. */
	if (!*boot || strcmp(boot, s->boot) == 0)
		return true;
	if (strlen(boot) != 36 || strspn(boot, "0123456789abcdef-") != 36)
		return false;
	if (at > synced(s, boot))
		return false;
	meet(s, boot);
	return true;
}

void jval_set_digest(struct jval *obj, const char *name, const struct digest *d)
{
	if (!digest_zero(d))
		jval_set_str(obj, name, digest_text(d).s);
}

bool jval_get_digest(const struct jval *obj, const char *name, struct digest *ret)
{
	const char *text = NULL;

	*ret = (struct digest){ { 0 } };
	if (jval_get_str(obj, name, &text, NULL) < 0)
		return false;
	return !text || digest_parse(slice_of(text), ret, ERR_HOST, NULL) == 0;
}
