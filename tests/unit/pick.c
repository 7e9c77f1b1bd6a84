/* tests/unit/pick.c - what COPY and ADD select and where it goes: Appendix H.4 and one case or more per rule of 9.2-9.11. */
#include "tests/unit/picktext.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <sys/xattr.h>

/* ---- the cases */

struct tcase {
	const char *name, *src, *dest, *want, *err;
	const char *target;              /* what the stage has */
	const char *tree;                /* instead of H.4's context */
	const char *ignore, *exclude, *chmod;
	const char *chown;               /* "uid:gid" */
	bool parents, link, attrs;
};

#define OK(n, s, d, ...) { .name = n, .src = s, .dest = d, .want = __VA_ARGS__ }
#define BAD(n, s, d, ...) { .name = n, .src = s, .dest = d, .err = __VA_ARGS__ }
#define H4 "f=F d/ d/x=X d/s/ d/s/y=Y d/m>x l>d"
#define ALL "a/ a/m>x a/s/ a/s/y=Y a/x=X"

static const struct tcase cases[] = {
	/* Appendix H.4, in its order */
	OK("H.4 file to a path", "f", "/a", "a=F"),
	OK("H.4 file into a directory", "f", "/a/", "a/ a/f=F"),
	OK("H.4 directory contents", "d", "/a", ALL),
	OK("H.4 directory with slash", "d/", "/a", ALL),
	OK("H.4 directory with dot", "d/.", "/a", ALL),
	OK("H.4 link to a directory", "l", "/a", ALL),
	OK("H.4 link to a file is followed, its own name kept", "d/m", "/a/", "a/ a/m=X"),
	OK("H.4 wildcard flattens directories and follows links", "d/*", "/a/", "a/ a/m=X a/x=X a/y=Y"),
	OK("H.4 file and directory", "f d", "/a/", "a/ a/f=F a/m>x a/s/ a/s/y=Y a/x=X"),
	OK("H.4 the last of two files wins", "f d/x", "/a", "a=X"),
	OK("H.4 wildcard without match", "no*", "/a/", ""),
	BAD("H.4 wildcard in a missing directory", "no/*", "/a/", "lstat /no: no such file or directory"),
	BAD("H.4 missing file", "nofile", "/a/", "\"/nofile\": not found"),
	OK("H.4 dot-dot is clamped", "../f", "/a", "a=F"),
	OK("H.4 empty word is the whole context", "''", "/a", "a/ a/d/ a/d/m>x a/d/s/ a/d/s/y=Y a/d/x=X a/f=F a/l>d"),
	BAD("H.4 directory mark on a file", "f", "/a/", "'/a': not a directory", .target = "a=old"),
	OK("H.4 parents", "d/s/y", "/a", "a/ a/d/ a/d/s/ a/d/s/y=Y", .parents = true),
	OK("H.4 parents with a pivot", "d/./s/y", "/a", "a/ a/s/ a/s/y=Y", .parents = true),
	OK("H.4 exclude a directory", "d", "/a", "a/ a/m>x a/x=X", .exclude = "s"),
	OK("H.4 exclude is not recursive", "d", "/a", ALL, .exclude = "y"),

	/* 9.2 */
	OK("9.2 leading slash has no meaning", "/d/x", "/a", "a=X"),
	OK("9.2 dot-dot inside is lexical", "d/s/../x", "/a", "a=X"),
	OK("9.2 trailing slash on a file", "f/", "/a/", "a/ a/f=F"),
	OK("9.2 links in the middle", "l/s/y", "/a", "a=Y"),
	OK("9.2 absolute links stay inside", "abs", "/a", "a=S", .tree = "abs>/etc/s etc/ etc/s=S"),
	OK("9.2 dot-dot links stay inside", "up", "/a", "a=S", .tree = "up>../../../etc/s etc/ etc/s=S"),
	BAD("9.2 a link out of the context is missing", "out", "/a", "\"/out\": not found", .tree = "out>/root/nothing-here"),
	BAD("9.2 a circle of links", "c", "/a", "too many levels of symbolic links", .tree = "c>c"),
	BAD("9.2 a path through a file", "f/x", "/a", "\"/f/x\": not found"),
	OK("9.2 backslash in a literal", "w\\x", "/a", "a=W", .tree = "w\\x=W"),
	OK("9.2 bracket names a star", "[*]", "/a", "a=S", .tree = "*=S b=B"),
	OK("9.2 escaped star in a pattern", "\\*?", "/a/", "a/ a/*1=S", .tree = "*1=S b1=B"),
	OK("9.2 star takes hidden names", "*", "/a/", "a/ a/.h=H a/b=B", .tree = ".h=H b=B"),
	OK("9.2 star does not cross a slash", "*/y", "/a/", ""),
	OK("9.2 two levels", "*/*/y", "/a/", "a/ a/y=Y"),
	OK("9.2 double star is a star", "**", "/a/", "a/ a/f=F a/m>x a/s/ a/s/y=Y a/x=X"),
	OK("9.2 a matched link is followed", "l*", "/a/", ALL),
	OK("9.2 wildcard directories are not followed through links", "?/x", "/a/", "a/ a/x=X"),
	OK("9.2 literal directories of a pattern are", "l/[x]", "/a/", "a/ a/x=X"),
	BAD("9.2 a dangling match fails", "*", "/a/", "\"/bad\": not found", .tree = "bad>nowhere f=F"),
	BAD("9.2 malformed pattern", "d/[a", "/a/", "syntax error in pattern"),
	BAD("9.2 a file is no directory for a pattern", "f/*", "/a/", "lstat /f: no such file or directory"),
	OK("9.2 root", "/", "/a", "a/ a/f=F", .tree = "f=F"),
	OK("9.2 matches are applied in order", "d*/x", "/a", "a=2", .tree = "d1/ d1/x=1 d2/ d2/x=2"),
	BAD("9.2 wording with exclude", "nofile", "/a", "lstat /nofile: no such file or directory", .exclude = "q"),

	/* 9.3 */
	OK("9.3 into an existing directory", "f", "/a", "a/@0700:1:2:5 a/f=F@0644:0:0:100", .target = "a/@700:1:2:5", .attrs = true),
	OK("9.3 existing parents are repeated", "f", "/t/u/", "t/@1777:3:4:5 t/u/@0755:0:0:100 t/u/f=F@0644:0:0:100",
	   .target = "t/@1777:3:4:5", .attrs = true),
	BAD("9.3 a directory in the way of a file", "f", "/a/", "cannot replace to directory '/a/f'", .target = "a/ a/f/"),
	OK("9.3 an existing file is replaced", "f", "/a", "a=F", .target = "a=old"),
	OK("9.3 a link at the place is replaced", "f", "/a/", "a/ a/f=F", .target = "a/ a/f>x a/x=q"),
	OK("9.3 a destination link is followed", "f", "/a", "b=F", .target = "a>b b=old"),
	OK("9.3 a dangling destination link too", "f", "/a", "b/ b/c=F", .target = "a>b/c"),
	OK("9.3 links on the way", "f", "/bin/x", "usr/ usr/bin/ usr/bin/x=F", .target = "bin>usr/bin usr/ usr/bin/"),
	OK("9.3 absolute link with dot-dot", "f", "/l/x", "x=F", .target = "l>/../.. q/"),
	BAD("9.3 a parent that is a file", "f", "/a/b", "not a directory", .target = "a=old"),
	BAD("9.3 directory onto a file", "d", "/a", "cannot copy to non-directory", .target = "a=old"),
	BAD("9.3 directory onto a file with slash", "d", "/a/", "'/a': not a directory", .target = "a=old"),
	BAD("9.3 directory onto an earlier file", "f d", "/a", "cannot copy to non-directory"),
	OK("9.3 dot mark", "f", "/a/.", "a/ a/f=F"),
	OK("9.3 root is a directory", "f", "/", "f=F"),
	OK("9.3 parents get the octal mode", "f", "/p/q", "p/@0644:0:0:100 p/q=F@0644:0:0:100", .chmod = "0644", .attrs = true),
	OK("9.3 parents ignore a symbolic mode", "f", "/p/q", "p/@0755:0:0:100 p/q=F@0744:0:0:100", .chmod = "u+x", .attrs = true),
	OK("9.3 parents get the owner", "f", "/p/q", "p/@0755:7:8:100 p/q=F@0644:7:8:100", .chown = "7:8", .attrs = true),
	OK("9.3 new parents are as old as the newest below", "a b", "/p/q/",
	   "p/@0755:0:0:9 p/q/@0755:0:0:9 p/q/a=1@0644:0:0:9 p/q/b=2@0644:0:0:7", .tree = "a=1@644:0:0:9 b=2@644:0:0:7",
	   .attrs = true),

	/* 9.4 */
	OK("9.4 links inside stay links", "d", "/a", "a/ a/abs>/etc a/dead>nowhere", .tree = "d/ d/abs>/etc d/dead>nowhere"),
	OK("9.4 merging replaces a link by a file", "d", "/a", "a/ a/x=X", .tree = "d/ d/x=X", .target = "a/ a/x>y"),
	OK("9.4 merging replaces a file by a link", "d", "/a", "a/ a/x>z", .tree = "d/ d/x>z", .target = "a/ a/x=y"),
	BAD("9.4 a directory over a link", "d", "/a", "cannot copy to non-directory: '/a/s'", .tree = "d/ d/s/ d/s/y=Y",
	   .target = "a/ a/s>b b/"),
	BAD("9.4 a file over a directory", "d", "/a", "cannot replace to directory '/a/s' with file", .tree = "d/ d/s=Y",
	   .target = "a/ a/s/"),

	/* 9.5 */
	OK("9.5 all twelve mode bits", "f", "/a", "a=F@6755:0:0:100", .tree = "f=F@6755", .attrs = true),
	OK("9.5 existing sub-directories are updated, the top gets the time", "d", "/a",
	   "a/@0711:5:5:60 a/s/@0750:0:0:40 a/s/y=Y@0644:0:0:100", .tree = "d/@700:0:0:60 d/s/@750:0:0:40 d/s/y=Y",
	   .target = "a/@711:5:5:1 a/s/@777:5:5:1", .attrs = true),
	OK("9.5 hard links of one source", "d", "/a", "a/ a/x=X a/y:a/x", .tree = "d/ d/x=X d/y:d/x"),
	OK("9.5 not of two sources", "d/x d/y", "/a/", "a/ a/x=X a/y=X", .tree = "d/ d/x=X d/y:d/x"),
	OK("9.5 matches of one pattern are one source", "d/*", "/a/", "a/ a/x=X a/y:a/x", .tree = "d/ d/x=X d/y:d/x"),
	OK("9.5 the data moves on when the first name is replaced", "d f/x", "/a/", "a/ a/x=N a/y=X a/z:a/y",
	   .tree = "d/ d/x=X d/y:d/x d/z:d/x f/ f/x=N"),
	OK("9.5 chmod and chown", "d", "/a",
	   "a/@0705:7:8:100 a/m>x@0777:7:8:100 a/s/@0705:7:8:100 a/s/y=Y@0705:7:8:100 a/x=X@0705:7:8:100", .chmod = "0705",
	   .chown = "7:8", .attrs = true),

	/* 9.7 */
	OK("9.7 four digits", "f", "/a", "a=F@4711:0:0:100", .chmod = "4711", .attrs = true),
	BAD("9.7 nine is not octal", "f", "/a",
	   "invalid chmod parameter: '888'. it should be octal string and between 0 and 07777", .chmod = "888"),
	BAD("9.7 too large", "f", "/a", "invalid chmod parameter: '10000'", .chmod = "10000"),
	BAD("9.7 hexadecimal", "f", "/a", "invalid chmod parameter: '0x1'", .chmod = "0x1"),
	BAD("9.7 nonsense", "f", "/a", "invalid syntax", .chmod = "rwx"),
	BAD("9.7 empty clause", "f", "/a", "invalid syntax", .chmod = "u+x,"),
	OK("9.7 empty is not given", "f", "/a", "a=F@0644:0:0:100", .chmod = "", .attrs = true),

	/* 9.9 */
	OK("9.9 link does not see directories", "f", "/etc", "etc=F", .link = true, .target = "etc/@711"),
	OK("9.9 link does not follow links", "f", "/l/x", "l/@0755:0:0:100 l/x=F@0644:0:0:100", .link = true,
	   .target = "l>usr usr/", .attrs = true),

	/* 9.10: tree a/b/c.txt x/y.txt */
#define P10 .tree = "a/ a/b/ a/b/c.txt=C x/ x/y.txt=Y", .parents = true
	OK("9.10 full path", "a/b/c.txt", "/d/", "d/ d/a/ d/a/b/ d/a/b/c.txt=C", P10),
	OK("9.10 pivot", "./a/./b/c.txt", "/d/", "d/ d/b/ d/b/c.txt=C", P10),
	OK("9.10 directory", "a/b", "/d/", "d/ d/a/ d/a/b/ d/a/b/c.txt=C", P10),
	OK("9.10 double star", "**/*.txt", "/d/", "d/ d/a/ d/a/b/ d/a/b/c.txt=C d/x/ d/x/y.txt=Y", P10),
	OK("9.10 one level", "*/*.txt", "/d/", "d/ d/x/ d/x/y.txt=Y", P10),
	OK("9.10 pivot and double star", "a/./**/*.txt", "/d/", "d/ d/b/ d/b/c.txt=C", P10),
	OK("9.10 wildcard base", "*/./*.txt", "/d/", "d/ d/y.txt=Y", P10),
	BAD("9.10 missing literal", "a/q", "/d/", "\"/a/q\": not found", P10),
	BAD("9.10 missing base", "q/./x", "/d/", "lstat /q: no such file or directory", P10),
	OK("9.10 no match makes the destination", "q*", "/d/", "d/", P10),
	OK("9.10 wildcard base without match does nothing", "q*/./x", "/d/", "", P10),
	OK("9.10 empty pattern takes everything", "a/./", "/d/", "d/ d/b/ d/b/c.txt=C", P10),
	OK("9.10 dot takes everything", ".", "/d", "d/ d/a/ d/a/b/ d/a/b/c.txt=C d/x/ d/x/y.txt=Y", P10),
	OK("9.10 destination is a directory without slash", "x/y.txt", "/d", "d/ d/x/ d/x/y.txt=Y", P10),
	OK("9.10 exclude is relative to the base", ".", "/d", "d/ d/a/ d/a/b/ d/a/b/c.txt=C", P10, .exclude = "x"),
	OK("9.10 a final link stays one", "d/m", "/a", "a/ a/d/ a/d/m>x", .parents = true),
	BAD("9.10 a path through a link", "l/x", "/a", "\"/l/x\": not found", .parents = true),
	OK("9.10 the base may be a link", "l/./x", "/a", "a/ a/x=X", .parents = true),
	OK("9.10 new leading directories are the source's", "d/s/y", "/a",
	   "a/@0755:0:0:100 a/d/@0710:0:0:60 a/d/s/@0750:0:0:40 a/d/s/y=Y@0644:0:0:100", .parents = true, .attrs = true,
	   .tree = "d/@710:0:0:60 d/s/@750:0:0:40 d/s/y=Y"),
	OK("9.10 existing ones get its bits", "d/s/y", "/a",
	   "a/@0755:0:0:1 a/d/@0710:9:9:1 a/d/s/@0700:7:7:40 a/d/s/y=Y@0700:7:7:100", .parents = true, .attrs = true,
	   .tree = "d/@710:0:0:60 d/s/@750:0:0:40 d/s/y=Y", .target = "a/@755:0:0:1 a/d/@777:9:9:1", .chmod = "0700",
	   .chown = "7:7"),
	OK("9.10 several sources", "a/b/c.txt x/y.txt", "/d/", "d/ d/a/ d/a/b/ d/a/b/c.txt=C d/x/ d/x/y.txt=Y", P10),

	/* 9.11 */
	OK("9.11 pattern below", "d", "/x/", "x/ x/sub/ x/sub/a.txt=2", .tree = "d/ d/a.txt=1 d/sub/ d/sub/a.txt=2", .exclude = "*.txt"),
	OK("9.11 recursive pattern", "d", "/x/", "x/ x/sub/", .tree = "d/ d/a.txt=1 d/sub/ d/sub/a.txt=2", .exclude = "**/*.txt"),
	OK("9.11 leading slash never matches", "d", "/x/", "x/ x/a=1", .tree = "d/ d/a=1", .exclude = "/a"),
	OK("9.11 named files are not subject", "f", "/a", "a=F", .exclude = "f"),
	OK("9.11 matched ones neither", "f*", "/a/", "a/ a/f=F", .exclude = "f"),
	OK("9.11 rescued below an excluded directory", "d", "/a", "a/ a/s/ a/s/y=Y",
	   .tree = "d/ d/s/ d/s/y=Y d/s/z=Z d/t/ d/t/u=U", .exclude = "s\nt\n!s/y"),
	OK("9.11 everything excluded", "d", "/a", "a/", .exclude = "**"),

	/* 12.3, 12.4 */
	BAD("12 ignored is missing", "f", "/a", "\"/f\": not found", .ignore = "f"),
	OK("12 ignored inside a directory", "d", "/a", "a/ a/m>x a/x=X", .ignore = "d/s"),
	OK("12 ignored for wildcards", "d/*", "/a/", "a/ a/x=X", .ignore = "d/s\nd/m"),
	OK("12 rescued from an ignored directory", "d", "/a", "a/ a/s/ a/s/y=Y", .ignore = "d\n!d/s/y"),
	BAD("12 an ignored directory without rescue", "d", "/a", "\"/d\": not found", .ignore = "d\n!d/q"),
	OK("12 star and a kept directory", ".", "/a", "a/ a/d/ a/d/m>x a/d/s/ a/d/s/y=Y a/d/x=X", .ignore = "*\n!d"),
	BAD("12 a link to something ignored", "l", "/a", "\"/l\": not found", .ignore = "d"),
	OK("12 parents do not see it", "**/y", "/a", "a/", .ignore = "d/s", .parents = true),
};

static size_t split_words(char *text, struct pick_source *to)
{
	size_t n = 0;
	char *save = NULL;

	for (char *w = strtok_r(text, " ", &save); w; w = strtok_r(NULL, " ", &save))
		to[n++] = (struct pick_source){ .path = strcmp(w, "''") == 0 ? "" : w, .content_fd = -1 };
	return n;
}

static void run_case(const struct tcase *c)
{
	AUTO(buf_freep) struct buf got = BUF_MAX(1 << 20);
	AUTO(pats_freep) struct pats *ignore = make_pats(c->ignore, true);
	AUTO(pats_freep) struct pats *exclude = make_pats(c->exclude, false);
	AUTO(view_freep) struct view *target = make_view(c->target);
	AUTO(picked_freep) struct picked *p = NULL;
	struct pick_source source[8];
	char *words = mem_str(c->src);
	struct pick_req r = { .source = source, .dest = c->dest, .chmod = c->chmod, .exclude = exclude, .parents = c->parents,
			      .link = c->link, .now = NOW, .spool = -1 };
	struct digest a, b;
	struct err *e = NULL;
	int dir = fresh_dir();

	make_tree(dir, c->tree ? c->tree : H4);
	r.nsource = split_words(words, source);
	r.has_owner = c->chown && sscanf(c->chown, "%u:%u", &r.uid, &r.gid) == 2;
	struct pick_tree *t = pick_tree_dir(dir, ignore);
	int rc = pick_run(t, target, &r, &p, &e);
	if (c->err) {
		ok(rc < 0 && (strstr(err_text(e), c->err) || strstr(err_cause(e), c->err)), "%s", c->name);
		if (rc == 0 || !(strstr(err_text(e), c->err) || strstr(err_cause(e), c->err)))
			printf("#   got:  %s\n#   want: %s\n", rc ? err_text(e) : "success", c->err);
	} else if (rc < 0) {
		ok(false, "%s: %s: %s", c->name, err_text(e), err_cause(e));
	} else {
		show(p, c->attrs, &got, &a);
		is_str(got.p ? got.p : "", c->want, c->name);
		if (picked_digest(p, NULL, NULL, NULL, UINT64_MAX, &b, &e) != 0 || !digest_equal(&a, &b))
			ok(false, "%s: digests differ", c->name);
	}
	err_free(e);
	pick_tree_free(t);
	free(words);
	remove_dir(dir);
}

/* ---- what a table row cannot say */

static void test_chmod(void)
{
	static const struct {
		const char *text;
		uint32_t mode;
		bool dir;
		uint32_t want;
	} rows[] = {
		{ "u=rwX,go=rX", 0600, false, 0644 }, { "u=rwX,go=rX", 0700, true, 0755 },  { "u=rwX,go=rX", 0750, false, 0755 },
		{ "a+x", 0644, false, 0755 },         { "go-w", 0666, false, 0644 },        { "g=u", 0740, false, 0770 },
		{ "+x", 0600, false, 0711 },          { "=r", 06755, false, 0444 },         { "u=rw", 04755, false, 0655 },
		{ "g=rx", 02775, false, 0755 },       { "+t", 0755, true, 01755 },          { "=rwx", 01755, true, 01777 },
		{ "-t", 01777, true, 0777 },          { "u+s", 0755, false, 04755 },        { "g+s", 0755, false, 02755 },
		{ "o+s", 0755, false, 0755 },         { "o+t", 0755, true, 0755 },          { "a=", 0777, false, 0 },
		{ "u+r-w", 0200, false, 0400 },       { "u=rw,g=u,o=g", 0, false, 0666 },   { "0", 0777, false, 0 },
		{ "07777", 0, false, 07777 },
	};

	for (size_t i = 0; i < countof(rows); i++) {
		char tree[64], want[64];
		struct pick_source source = { .path = rows[i].dir ? "d" : "f", .content_fd = -1 };
		struct pick_req r = { .source = &source, .nsource = 1, .dest = "/a/", .chmod = rows[i].text, .spool = -1 };
		int dir = fresh_dir();
		struct picked *p = NULL;
		struct err *e = NULL;

		snprintf(tree, sizeof(tree), rows[i].dir ? "d/ d/s/@%o" : "f=@%o", rows[i].mode);
		make_tree(dir, tree);
		struct pick_tree *t = pick_tree_dir(dir, NULL);
		snprintf(want, sizeof(want), "9.7 %s on %04o", rows[i].text, rows[i].mode);
		if (pick_run(t, NULL, &r, &p, &e) == 0) {
			struct picked_item item;

			picked_at(p, picked_count(p) - 1, &item);
			is_int(item.en->mode, rows[i].want, want);
		} else {
			ok(false, "%s: %s", want, err_text(e));
		}
		err_free(e);
		picked_free(p);
		pick_tree_free(t);
		remove_dir(dir);
	}
}

static void test_special_files(void)
{
	struct pick_source source = { .path = "d", .content_fd = -1 };
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int dir = fresh_dir(), sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct err *e = NULL;

	make_tree(dir, "d/");
	if (mkfifoat(dir, "d/fifo", 0640) < 0)
		die("mkfifo");
	snprintf(name.sun_path, sizeof(name.sun_path), "/proc/self/fd/%d/d/sock", dir);
	if (bind(sock, (struct sockaddr *)&name, sizeof(name)) < 0)
		die("bind");
	struct pick_tree *t = pick_tree_dir(dir, NULL);
	struct picked *p = pick(t, NULL, &source, 1, "/a", -1, &e);
	expect(p, e, false, "a/ a/fifo6 a/sock=", "9.5, W5 a fifo stays one, a socket becomes an empty file");
	pick_tree_free(t);
	close(sock);
	remove_dir(dir);
}

static void test_xattrs(void)
{
	struct pick_source source = { .path = "d", .content_fd = -1 };
	int dir = fresh_dir();
	struct err *e = NULL;
	char path[64];

	make_tree(dir, "d/ d/f=F d/s/");
	snprintf(path, sizeof(path), "/proc/self/fd/%d/d/f", dir);
	bool can = setxattr(path, "user.note", "x", 1, 0) == 0 && setxattr(path, "user.overlay.opaque", "y", 1, 0) == 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d/d/s", dir);
	can = can && setxattr(path, "user.dir", "x", 1, 0) == 0;
	if (!can) {
		printf("# skip: no user xattrs in /tmp\n");
		remove_dir(dir);
		return;
	}
	struct pick_tree *t = pick_tree_dir(dir, NULL);
	struct picked *p = pick(t, NULL, &source, 1, "/a", -1, &e);
	expect(p, e, false, "a/ a/f=F[user.note] a/s/[user.dir]", "9.5 xattrs are copied, private ones are not");

	/* Read through the entries first: the digest must still know of the xattrs. */
	AUTO(buf_freep) struct buf got = BUF_MAX(1 << 20);
	struct digest a, b;
	p = pick(t, NULL, &source, 1, "/a", -1, &e);
	show(p, false, &got, &a);
	ok(picked_digest(p, NULL, NULL, NULL, 0, &b, &e) == 0 && digest_equal(&a, &b), "17.2 a file with xattrs has the same digest after the pass");
	picked_free(p);
	pick_tree_free(t);
	remove_dir(dir);
}

static void test_owner(void)
{
	struct pick_source source = { .path = "f", .content_fd = -1 };
	int dir = fresh_dir();
	struct err *e = NULL;

	make_tree(dir, "f=F");
	bool root = fchownat(dir, "f", 1234, 1234, 0) == 0;
	struct pick_tree *t = pick_tree_dir(dir, NULL);
	expect(pick(t, NULL, &source, 1, "/a", -1, &e), e, true, "a=F@0644:0:0:100",
	       root ? "9.5 owners of a context are 0:0" : "9.5 the user's own files are 0:0");
	pick_tree_free(t);
	remove_dir(dir);
}

static void test_inline(void)
{
	struct pick_source source[2] = {
		{ .name = "EOF", .content = SLICE_LIT("hello"), .content_fd = -1, .mode = 0644, .mtime = 7 },
		{ .name = "b", .content = SLICE_LIT(""), .content_fd = -1, .mode = 0600, .mtime = 8 },
	};
	struct pick_source bad = { .name = "a/b", .content = SLICE_LIT("x"), .content_fd = -1 };
	struct err *e = NULL;

	expect(pick(NULL, NULL, source, 2, "/d/", -1, &e), e, true, "d/@0755:0:0:8 d/EOF=hello@0644:0:0:7 d/b=@0600:0:0:8", "2.9.5 here-documents");
	expect(pick(NULL, NULL, source, 1, "/d/x", -1, &e), e, false, "d/ d/x=hello", "2.9.5 a here-document under another name");
	ok(!pick(NULL, NULL, &bad, 1, "/d/", -1, &e), "D10 a name with a slash is refused");
	err_free(e);
}

/* ---- sources in layers */

#define LOWER "bin>usr/bin etc/ etc/passwd=root old/ old/gone=1 usr/ usr/bin/@755:3:4:50 usr/bin/sh=SH@4755:3:4:60 usr/bin/bash:usr/bin/sh@4755:3:4:60"

static void test_view(void)
{
	static const struct {
		const char *name, *src, *dest, *want;
	} rows[] = {
		{ "9.5 owners of a stage are kept", "/bin/sh", "/a", "a=SH@4755:3:4:60" },
		{ "9.5 hard links of a layer", "/usr/bin", "/a", "a/@0755:0:0:50 a/bash=SH@4755:3:4:60 a/sh:a/bash@4755:3:4:60" },
		{ "9.2 wildcards through links of a stage", "/bin/*sh", "/a/", "a/@0755:0:0:60 a/bash=SH@4755:3:4:60 a/sh:a/bash@4755:3:4:60" },
		{ "upper layers win", "/etc", "/a", "a/@0755:0:0:100 a/new=N@0644:0:0:100 a/passwd=user@0644:0:0:100" },
	};
	int low = fresh_dir(), high = fresh_dir();
	int dirs[2] = { low, high };
	AUTO(view_freep) struct view *v = make_view(LOWER);

	make_tree(low, LOWER);
	make_tree(high, "etc/ etc/passwd=user etc/new=N");
	view_push(v, make_listing("etc/ etc/passwd=user etc/new=N"));
	struct pick_tree *t = pick_tree_view(v, dirs);
	for (size_t i = 0; i < countof(rows); i++) {
		struct pick_source source = { .path = rows[i].src, .content_fd = -1 };
		struct err *e = NULL;

		expect(pick(t, NULL, &source, 1, rows[i].dest, -1, &e), e, true, rows[i].want, rows[i].name);
	}
	pick_tree_free(t);
	remove_dir(low);
	remove_dir(high);
}

static void test_many(void)
{
	struct pick_source source = { .path = "/", .content_fd = -1 };
	char name[32];
	int dir = fresh_dir();
	struct err *e = NULL;
	bool sorted = true;
	AUTO(mem_freep) char *last = mem_str("");

	for (unsigned i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "%s%u", i % 3 ? "x" : "x-", i * 7919 % 500);
		if (i % 5 == 0 && mkdirat(dir, name, 0755) < 0)
			die(name);
		if (i % 5) {
			int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
			close(fd);
		}
	}
	struct pick_tree *t = pick_tree_dir(dir, NULL);
	struct picked *p = pick(t, NULL, &source, 1, "/", -1, &e);
	is_int((long long)picked_count(p), 500, "every name once");
	for (size_t i = 0; i < picked_count(p); i++) {
		struct picked_item item;

		picked_at(p, i, &item);
		sorted = sorted && entry_path_cmp(last, item.en->path) < 0;
		free(last);
		last = mem_str(item.en->path);
	}
	ok(sorted, "in the order of a layer");
	picked_free(p);
	pick_tree_free(t);
	remove_dir(dir);
}

/* A tree as deep as a path can be: no recursion, no pile of open directories. */
static void test_deep(void)
{
	struct pick_source source = { .path = "/", .content_fd = -1 };
	int dir = fresh_dir(), at = dup_dir(dir);
	struct err *e = NULL;

	for (unsigned i = 0; i < 2000; i++) {
		if (mkdirat(at, "d", 0755) < 0)
			die("mkdir");
		int next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(at);
		at = next;
	}
	close(at);
	struct pick_tree *t = pick_tree_dir(dir, NULL);
	struct picked *p = pick(t, NULL, &source, 1, "/", -1, &e);
	ok(p && picked_count(p) == 2000, "2,000 levels");
	err_free(e);
	picked_free(p);
	pick_tree_free(t);
	remove_dir(dir);
}

int main(void)
{
	umask(022);
	for (size_t i = 0; i < countof(cases); i++)
		run_case(&cases[i]);
	test_chmod();
	test_special_files();
	test_xattrs();
	test_owner();
	test_inline();
	test_view();
	test_many();
	test_deep();
	return done_testing();
}
