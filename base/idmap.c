/* base/idmap.c - subordinate ranges to the map of a user namespace; see idmap.h.
 *
 *   /etc/subuid      owner:start:count        owner: login name or decimal uid
 *   /proc/PID/uid_map inside outside count     one write, ascending, no overlap on either side
 */
#include "base/idmap.h"

#include "base/digest.h"
#include "base/mem.h"
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { SUBID_FILE_MAX = 4 << 20, SUBID_LINE_MAX = 1023, FULL_RANGE = 65536, HELPER_MS = 10000 };

/* Decimal, or with the prefixes 0x and 0 that newuidmap accepts too. */
static bool subid_number(struct slice s, uint64_t *ret)
{
	uint64_t v = 0;

	if (s.n > 2 && s.p[0] == '0' && (s.p[1] | 0x20) == 'x') {
		for (size_t i = 2; i < s.n; i++) {
			int c = s.p[i] | 0x20;
			unsigned d = c >= '0' && c <= '9' ? (unsigned)(c - '0') :
				     c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10) : 16;

			if (d > 15 || v > UINT64_MAX >> 4)
				return false;
			v = v << 4 | d;
		}
		*ret = v;
		return true;
	}
	if (s.n > 1 && s.p[0] == '0')
		return slice_octal(s, UINT32_MAX, ret);
	return slice_u64(s, ret);
}

struct subid_sink {
	struct idmap_extent *ext;
	unsigned max, *n;
	uint32_t *next;
};

/* Append [start, start+count) without what an earlier extent has already: the kernel refuses maps whose
 * outside ranges overlap. Each level of recursion looks at fewer extents, so its depth is at most `max`. */
static void subid_add(struct subid_sink *to, unsigned from, uint32_t start, uint64_t count)
{
	for (unsigned i = from; i < *to->n; i++) {
		uint64_t a = to->ext[i].outside, b = a + to->ext[i].count, end = start + count;

		if (a >= end || b <= start)
			continue;
		if (a > start)
			subid_add(to, i + 1, start, a - start);
		if (b < end)
			subid_add(to, i + 1, (uint32_t)b, end - b);
		return;
	}
	uint64_t room = (uint64_t)UINT32_MAX - *to->next;

	if (count > room)
		count = room;
	if (count == 0 || *to->n >= to->max)
		return;
	to->ext[(*to->n)++] = (struct idmap_extent){ *to->next, start, (uint32_t)count };
	*to->next += (uint32_t)count;
}

static void subid_line(struct slice line, const char *name, uid_t uid, uint32_t skip, struct subid_sink *to)
{
	struct slice owner = SLICE_NONE, rest = SLICE_NONE, first = SLICE_NONE, last = SLICE_NONE;
	uint64_t id = 0, start = 0, count = 0;

	if (line.n > SUBID_LINE_MAX || !slice_cut(line, ':', &owner, &rest) || !slice_cut(rest, ':', &first, &last))
		return;
	if (owner.n == 0 || !((name && slice_is(owner, name)) || (slice_u64(owner, &id) && id == uid)))
		return;
	if (!subid_number(first, &start) || !subid_number(last, &count) || count == 0)
		return;
	if (start > UINT32_MAX || count > (uint64_t)UINT32_MAX + 1 - start)
		return;
	/* The own id stands at inside 0 already. */
	if (skip >= start && skip < start + count) {
		subid_add(to, 0, (uint32_t)start, skip - start);
		subid_add(to, 0, skip + 1, start + count - skip - 1);
	} else {
		subid_add(to, 0, (uint32_t)start, count);
	}
}

int idmap_parse(struct slice text, const char *name, uid_t uid, uint32_t skip, struct idmap_extent *ext, unsigned max,
		unsigned *n, uint32_t *next)
{
	struct subid_sink to = { ext, max, n, next };

	while (text.n > 0) {
		struct slice line = text, rest = SLICE_NONE;

		if (!slice_cut(text, '\n', &line, &rest))
			rest = SLICE_NONE;
		subid_line(line, name, uid, skip, &to);
		text = rest;
	}
	return 0;
}

static int read_whole(const char *path, struct buf *out, struct err **e)
{
	AUTO(fd_closep) int fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_errno(e, ERR_HOST, errno, "cannot open '%s'", path);
	if (fd_read_all(fd, out, e) < 0)
		return err_wrap(e, "cannot read '%s'", path);
	return 0;
}

/* The first id after every range of either file, from 100000 on: two users with one range could read each other's files. */
static uint32_t subid_free(void)
{
	static const char *const files[] = { "/etc/subuid", "/etc/subgid" };
	uint64_t free_from = 100000;

	for (size_t i = 0; i < countof(files); i++) {
		AUTO(buf_freep) struct buf text = BUF_MAX(SUBID_FILE_MAX);
		struct slice rest = SLICE_NONE;

		if (read_whole(files[i], &text, NULL) == 0)
			rest = buf_view(&text);
		while (rest.n > 0) {
			struct slice line = rest, owner, range, first, last;
			uint64_t start, count;

			if (!slice_cut(rest, '\n', &line, &rest))
				rest = SLICE_NONE;
			if (slice_cut(line, ':', &owner, &range) && slice_cut(range, ':', &first, &last) && subid_number(first, &start) &&
			    subid_number(last, &count) && start <= UINT32_MAX && count <= UINT32_MAX &&
			    start + count <= UINT32_MAX - FULL_RANGE && start + count > free_from)
				free_from = start + count;
		}
	}
	return (uint32_t)free_from;
}

/* Lines "inside outside count" of a map file. */
static int map_read(const char *path, struct idmap_extent *ext, unsigned max, unsigned *n, struct err **e)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(64 << 10);
	unsigned long long v[3];

	*n = 0;
	if (read_whole(path, &text, e) < 0)
		return -1;
	for (const char *at = text.p; at && *at && *n < max;) {
		int len = 0;

		if (sscanf(at, "%llu %llu %llu%n", &v[0], &v[1], &v[2], &len) < 3)
			break;
		ext[(*n)++] = (struct idmap_extent){ (uint32_t)v[0], (uint32_t)v[1], (uint32_t)v[2] };
		at = strchr(at + len, '\n');
		at = at ? at + 1 : NULL;
	}
	return 0;
}

/* A line of /proc/self/status, as a number in the given base. */
static uint64_t status_number(const char *field, int base)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(64 << 10);
	size_t len = strlen(field);

	if (read_whole("/proc/self/status", &text, NULL) < 0)
		return 0;
	for (const char *at = text.p; at; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (strncmp(at, field, len) == 0)
			return strtoull(at + len, NULL, base);
	}
	return 0;
}

static bool has_cap(uint64_t caps, int cap)
{
	return caps >> cap & 1;
}

bool idmap_covers(const struct idmap_extent *ext, unsigned n, uint32_t inside)
{
	for (unsigned i = 0; i < n; i++)
		if (inside >= ext[i].inside && inside - ext[i].inside < ext[i].count)
			return true;
	return false;
}

/* Are all outside ids of ext known in our own namespace? own: our own map (column 1 is ours). */
static bool map_within(const struct idmap_extent *ext, unsigned n, const struct idmap_extent *own, unsigned nown)
{
	for (unsigned i = 0; i < n; i++) {
		uint64_t at = ext[i].outside, end = at + ext[i].count;

		while (at < end) {
			unsigned k = 0;

			while (k < nown && !(at >= own[k].inside && at < (uint64_t)own[k].inside + own[k].count))
				k++;
			if (k == nown)
				return false;
			at = (uint64_t)own[k].inside + own[k].count;
		}
	}
	return true;
}

static void map_single(struct idmap *m)
{
	m->how = IDMAP_SINGLE;
	m->uid[0] = (struct idmap_extent){ 0, geteuid(), 1 };
	m->gid[0] = (struct idmap_extent){ 0, getegid(), 1 };
	m->nuid = m->ngid = 1;
}

/* Sentences go through here: they are cut, never overrun. */
static void why(struct idmap *m, const char *fmt, ...) PRINTF(2, 3);
static void why(struct idmap *m, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(m->why, sizeof(m->why), fmt, ap);
	va_end(ap);
}

/* uid 0: real root needs no namespace; root inside a container copies its own map (executor.md 3.4). */
static int plan_root(struct idmap *m, struct err **e)
{
	uint64_t caps = status_number("CapEff:", 16);
	bool may_map = has_cap(caps, CAP_SETUID) && has_cap(caps, CAP_SETGID) && has_cap(caps, CAP_SETFCAP);
	bool admin = has_cap(caps, CAP_SYS_ADMIN);
	bool outermost;

	if (map_read("/proc/self/uid_map", m->uid, countof(m->uid), &m->nuid, e) < 0 ||
	    map_read("/proc/self/gid_map", m->gid, countof(m->gid), &m->ngid, e) < 0)
		return -1;
	outermost = m->nuid == 1 && m->uid[0].inside == 0 && m->uid[0].outside == 0 && m->uid[0].count == UINT32_MAX;
	if (admin && (outermost || !may_map)) {
		m->how = IDMAP_NONE;
		why(m, outermost ? "running as root: no user namespace is needed" :
				   "running as root of a user namespace: its ids are used as they are");
		return 0;
	}
	if (!may_map) {
		map_single(m);
		why(m, "uid 0 without CAP_SETUID, CAP_SETGID and CAP_SETFCAP cannot write an id map; "
		       "run as another user, or give the container these capabilities");
		return 0;
	}
	for (unsigned i = 0; i < m->nuid; i++)
		m->uid[i].outside = m->uid[i].inside;
	for (unsigned i = 0; i < m->ngid; i++)
		m->gid[i].outside = m->gid[i].inside;
	m->how = IDMAP_DIRECT;
	if (m->nuid == 1 && m->uid[0].count == 1)
		why(m, "the surrounding user namespace has one id only; give it a range of 65536 to keep file owners");
	else
		why(m, "running as root inside a container: its ids are mapped one to one");
	return 0;
}

/* Why newuidmap or newgidmap could not work here, before it is tried (executor.md 3.3). NULL: nothing known. */
static const char *helper_refusal(const char *path)
{
	uint64_t bounding = status_number("CapBnd:", 16);
	struct statvfs fs;
	struct stat st;
	char cap[64];

	if (status_number("NoNewPrivs:", 10) == 1)
		return "no_new_privs is set, so it gets no privilege; start kiln without it (allowPrivilegeEscalation)";
	if (stat(path, &st) < 0)
		return "it cannot be read";
	if (!(st.st_mode & S_ISUID) && getxattr(path, "security.capability", cap, sizeof(cap)) <= 0)
		return "it lost its set-user-ID bit or file capabilities; reinstall the package uidmap (shadow-utils)";
	if (statvfs(path, &fs) == 0 && (fs.f_flag & ST_NOSUID))
		return "it lies on a file system mounted nosuid";
	if (!has_cap(bounding, CAP_SETUID) || !has_cap(bounding, CAP_SETGID))
		return "the container's capabilities lack SETUID and SETGID; add them";
	/* Many builds of the set-user-ID program drop to nothing without these. */
	if ((st.st_mode & S_ISUID) && (!has_cap(bounding, CAP_SYS_ADMIN) || !has_cap(bounding, CAP_DAC_OVERRIDE)))
		return "set-user-ID programs have no CAP_SYS_ADMIN in this container; give it the file capabilities "
		       "cap_setuid and cap_setgid instead";
	return NULL;
}

static uint64_t map_size(const struct idmap_extent *ext, unsigned n)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += ext[i].count;
	return sum;
}

static int plan_file(const char *path, const char *name, struct idmap_extent *ext, unsigned max, unsigned *n,
		     struct err **e)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(SUBID_FILE_MAX);
	uint32_t next = 1;

	if (access(path, F_OK) == 0 && read_whole(path, &text, e) < 0)
		return -1;
	return idmap_parse(buf_view(&text), name, getuid(), ext[0].outside, ext, max, n, &next);
}

/* Fill the ranges of an ordinary user; what stands in the way is told in m->why and leaves a single id. */
static int plan_user(struct idmap *m, struct err **e)
{
	static const char *const helpers[] = { "newuidmap", "newgidmap" };
	struct idmap_extent own[64];
	unsigned nuid = 1, ngid = 1, nown = 0;
	struct passwd *pw = getpwuid(getuid());

	map_single(m);
	if (!pw) {
		why(m, "uid %u has no passwd entry, so it can have no subordinate ids; only one id is mapped",
		    (unsigned)getuid());
		return 0;
	}
	if (plan_file("/etc/subuid", pw->pw_name, m->uid, countof(m->uid), &nuid, e) < 0 ||
	    plan_file("/etc/subgid", pw->pw_name, m->gid, countof(m->gid), &ngid, e) < 0)
		return -1;
	if (getegid() != pw->pw_gid) {
		why(m, "the group in use is not the primary group of '%s', so newuidmap would refuse; log in again without "
		       "newgrp or sg", pw->pw_name);
		return 0;
	}
	if (nuid == 1 || ngid == 1) {
		uint32_t from = subid_free(), to = from + FULL_RANGE - 1;

		why(m, "no subordinate ids for '%s' in /etc/%s; ask root to run: usermod --add-subuids %u-%u --add-subgids %u-%u %s",
		    pw->pw_name, nuid == 1 ? "subuid" : "subgid", from, to, from, to, pw->pw_name);
		return 0;
	}
	for (size_t i = 0; i < countof(helpers); i++) {
		AUTO(mem_freep) char *path = proc_find(helpers[i]);
		const char *refusal = path ? helper_refusal(path) : "it is not installed; install the package uidmap "
								    "(shadow-utils)";
		if (refusal) {
			why(m, "%s cannot be used: %s", helpers[i], refusal);
			return 0;
		}
	}
	if (map_read("/proc/self/uid_map", own, countof(own), &nown, e) < 0)
		return -1;
	if (!map_within(m->uid, nuid, own, nown)) {
		why(m, "the range in /etc/subuid does not exist in the surrounding container; give it a larger id range");
		return 0;
	}
	m->how = IDMAP_HELPERS;
	m->nuid = nuid;
	m->ngid = ngid;
	if (map_size(m->uid, nuid) < FULL_RANGE || map_size(m->gid, ngid) < FULL_RANGE)
		why(m, "only %ju subordinate ids for '%s', an image may use %d; ask root to enlarge its range in /etc/subuid "
		       "and /etc/subgid", (uintmax_t)map_size(m->uid, nuid) - 1, pw->pw_name, FULL_RANGE);
	else
		why(m, "the subordinate ids of '%s' are mapped by newuidmap and newgidmap", pw->pw_name);
	return 0;
}

int idmap_plan(struct idmap *ret, struct err **e)
{
	*ret = (struct idmap){ .how = IDMAP_SINGLE };
	if ((geteuid() == 0 ? plan_root(ret, e) : plan_user(ret, e)) < 0)
		return err_wrap(e, "cannot work out which user ids a build may use");
	return 0;
}

/* ---- writing ---- */

static void map_text(const struct idmap_extent *ext, unsigned n, struct buf *out)
{
	for (unsigned i = 0; i < n; i++)
		buf_printf(out, "%u %u %u\n", ext[i].inside, ext[i].outside, ext[i].count);
}

static int write_file(pid_t pid, const char *file, struct slice text, struct err **e)
{
	AUTO(mem_freep) char *path = mem_printf("/proc/%d/%s", (int)pid, file);
	AUTO(fd_closep) int fd = openat(AT_FDCWD, path, O_WRONLY | O_CLOEXEC);

	/* One write: the kernel takes a map whole or not at all. */
	if (fd < 0 || write(fd, text.p, text.n) != (ssize_t)text.n)
		return err_errno(e, ERR_HOST, errno, "cannot write %s of the build's user namespace", file);
	return 0;
}

static int write_direct(const struct idmap *m, pid_t pid, struct err **e)
{
	AUTO(buf_freep) struct buf uid = BUF_MAX(8192);
	AUTO(buf_freep) struct buf gid = BUF_MAX(8192);

	map_text(m->uid, m->nuid, &uid);
	map_text(m->gid, m->ngid, &gid);
	if (m->how == IDMAP_SINGLE && write_file(pid, "setgroups", SLICE_LIT("deny"), e) < 0)
		return -1;
	if (write_file(pid, "uid_map", buf_view(&uid), e) < 0 || write_file(pid, "gid_map", buf_view(&gid), e) < 0)
		return -1;
	return 0;
}

/* argv of newuidmap: path, pid, then three numbers for each extent. */
struct helper {
	char *path;
	char text[1 + 3 * 64][12];
	const char *argv[2 + 3 * 64 + 1];
	struct buf said;
	struct proc_run run;
	struct proc *proc;
};

static int helper_start(struct helper *h, const char *name, pid_t pid, const struct idmap_extent *ext, unsigned n,
			struct err **e)
{
	unsigned t = 0;

	h->path = proc_find(name);
	if (!h->path)
		return err_set(e, ERR_HOST, "'%s' is not installed", name);
	h->argv[0] = h->path;
	snprintf(h->text[t++], sizeof(h->text[0]), "%d", (int)pid);
	for (unsigned i = 0; i < n; i++) {
		snprintf(h->text[t++], sizeof(h->text[0]), "%u", ext[i].inside);
		snprintf(h->text[t++], sizeof(h->text[0]), "%u", ext[i].outside);
		snprintf(h->text[t++], sizeof(h->text[0]), "%u", ext[i].count);
	}
	for (unsigned i = 0; i < t; i++)
		h->argv[1 + i] = h->text[i];
	h->said = (struct buf)BUF_MAX(4096);
	h->run = (struct proc_run){ .argv = h->argv, .dir = -1, .timeout_ms = HELPER_MS, .err = &h->said };
	return proc_start(&h->run, &h->proc, e);
}

static int helper_finish(struct helper *h, const char *name, struct err **e)
{
	AUTO(buf_freep) struct buf said = BUF_MAX(1024);
	int status = proc_finish(take(&h->proc), e);

	if (status < 0)
		return -1;
	if (status == 0)
		return 0;
	buf_escaped(&said, slice_trim(buf_view(&h->said), " \n"), 400);
	return err_set(e, ERR_HOST, "%s refused: %s", name, said.n ? said.p : "it gave no reason");
}

static void helper_clear(struct helper *h)
{
	proc_killp(&h->proc);
	buf_free(&h->said);
	free(h->path);
}

/* Both at once: two set-user-ID programs cost more than the rest of a step (executor.md 3.3). */
static int write_helpers(const struct idmap *m, pid_t pid, struct err **e)
{
	AUTO(helper_clear) struct helper u = { .proc = NULL };
	AUTO(helper_clear) struct helper g = { .proc = NULL };

	if (helper_start(&u, "newuidmap", pid, m->uid, m->nuid, e) < 0 ||
	    helper_start(&g, "newgidmap", pid, m->gid, m->ngid, e) < 0)
		return -1;
	if (helper_finish(&u, "newuidmap", e) < 0 || helper_finish(&g, "newgidmap", e) < 0)
		return -1;
	return 0;
}

/* The exit status of a helper proves nothing: compare what the kernel has now (threats C2). */
static int map_verify(pid_t pid, const char *file, const struct idmap_extent *want, unsigned n, struct err **e)
{
	AUTO(mem_freep) char *path = mem_printf("/proc/%d/%s", (int)pid, file);
	struct idmap_extent got[64];
	unsigned ngot = 0;

	if (map_read(path, got, countof(got), &ngot, e) < 0)
		return -1;
	if (ngot != n || memcmp(got, want, n * sizeof(*want)) != 0)
		return err_set(e, ERR_HOST, "%s of the build's user namespace is not what was asked for", file);
	return 0;
}

int idmap_write(const struct idmap *m, pid_t pid, struct err **e)
{
	if (m->how == IDMAP_NONE)
		return 0;
	if ((m->how == IDMAP_HELPERS ? write_helpers(m, pid, e) : write_direct(m, pid, e)) < 0)
		return -1;
	if (map_verify(pid, "uid_map", m->uid, m->nuid, e) < 0 || map_verify(pid, "gid_map", m->gid, m->ngid, e) < 0)
		return -1;
	return 0;
}

bool idmap_worse(struct idmap *m, const struct err *cause)
{
	if (m->how != IDMAP_HELPERS)
		return false;
	map_single(m);
	why(m, "%.200s", err_cause(cause));
	return true;
}

void idmap_flavour(const struct idmap *m, char ret[16])
{
	AUTO(buf_freep) struct buf text = BUF_MAX(16384);
	char hex[DIGEST_HEX + 1];
	struct digest d;

	if (m->how == IDMAP_NONE) {
		snprintf(ret, 16, "root");
		return;
	}
	map_text(m->uid, m->nuid, &text);
	buf_char(&text, '-');
	map_text(m->gid, m->ngid, &text);
	digest_of(text.p, text.n, &d);
	digest_hex(&d, hex);
	snprintf(ret, 16, "%s-%.10s", m->how == IDMAP_SINGLE ? "one" : "map", hex);
}
