/* tests/unit/creds.c - auth files and credential helpers, read and written (spec/oci.md 2.13, 2.14). */
#include "registry/creds.h"

#include "base/at.h"
#include "base/fd.h"
#include "base/mem.h"
#include "../tap.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char top[64];
static int root;
static struct buf notes = BUF_MAX(1 << 16);

static void put(const char *path, const char *text, mode_t mode)
{
	AUTO(mem_freep) char *dir = mem_str(path);
	char *slash = strrchr(dir, '/');

	if (slash) {
		*slash = '\0';
		if (at_mkdirs(root, dir, 0755, NULL) < 0)
			abort();
	}
	AUTO(fd_closep) int fd = openat(root, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || fd_write_all(fd, text, strlen(text), NULL) < 0 || fchmod(fd, mode) < 0)
		abort();
}

static char *in_top(const char *name)
{
	return mem_printf("%s/%s", top, name);
}

static void on_note(void *arg, const char *text)
{
	buf_printf(&notes, "%s\n", text);
}

/* "user:password", "identity:...", "registry:...", "none" or the error. */
static char *asked(const char *host, const char *repo, const char *authfile)
{
	struct creds c = { 0 };
	struct err *e = NULL;
	int rc = creds_find(host, repo, authfile, on_note, NULL, &c, &e);
	char *ret = NULL;

	if (rc < 0)
		ret = mem_str(err_cause(e));
	else if (rc == CREDS_NONE)
		ret = mem_str("none");
	else if (c.identity_token)
		ret = mem_printf("identity:%s", c.identity_token);
	else if (c.registry_token)
		ret = mem_printf("registry:%s", c.registry_token);
	else
		ret = mem_printf("%s:%s", c.user, c.password);
	err_free(e);
	creds_clear(&c);
	return ret;
}

static void expect(const char *name, const char *host, const char *repo, const char *authfile, const char *want)
{
	AUTO(mem_freep) char *got = asked(host, repo, authfile);
	bool same = strcmp(got, want) == 0 || (*want == '~' && strstr(got, want + 1));

	ok(same, "%s", name);
	if (!same)
		printf("#   got:  %s\n#   want: %s\n", got, want);
}

static void one_file(void)
{
	AUTO(mem_freep) char *f = in_top("auth.json");

	/* YTpi is a:b, bjpz is n:s, aDpo is h:h, eDp5 is x:y */
	put("auth.json",
	    "{\"auths\":{\"reg.io\":{\"auth\":\"aDpo\"},\"reg.io/ns\":{\"auth\":\"bjpz\"},\"reg.io/ns/repo\":{\"auth\":\"YTpi\"},"
	    "\"https://old.io/v1/\":{\"auth\":\"eDp5\"},\"https://index.docker.io/v1/\":{\"username\":\"u\",\"password\":\"p\"},"
	    "\"tok.io\":{\"identitytoken\":\"T\",\"auth\":\"PHRva2VuPjo=\"},\"reg.tok.io\":{\"registrytoken\":\"R\"},\"empty.io\":{},"
	    "\"nul.io\":{\"auth\":\"YTpiAAA=\"},\"bad.io\":{\"auth\":\"***\"},\"type.io\":{\"auth\":5}}}", 0600);
	expect("the most specific key wins", "reg.io", "ns/repo", f, "a:b");
	expect("then the name space", "reg.io", "ns/other", f, "n:s");
	expect("then the host", "reg.io", "other", f, "h:h");
	expect("a name space is no prefix of a word", "reg.io", "nsx", f, "h:h");
	expect("keys with scheme and path are understood", "old.io", "x", f, "x:y");
	expect("Docker Hub's key", "docker.io", "library/x", f, "u:p");
	expect("an identity token", "tok.io", "x", f, "identity:T");
	expect("a registry token", "reg.tok.io", "x", f, "registry:R");
	expect("an empty entry is none", "empty.io", "x", f, "none");
	expect("NULs behind a password go", "nul.io", "x", f, "a:b");
	expect("a host that is not there", "reg.io.evil", "x", f, "none");
	expect("an entry that is not base64 is an error", "bad.io", "x", f, "~is not base64");
	expect("a member of the wrong type is an error", "type.io", "x", f, "~auth");
	put("broken.json", "{", 0600);
	AUTO(mem_freep) char *broken = in_top("broken.json");
	expect("a malformed file is an error", "reg.io", "x", broken, "~broken.json");
	put("empty.json", "\n", 0600);
	AUTO(mem_freep) char *empty = in_top("empty.json");
	expect("an empty file is none", "reg.io", "x", empty, "none");
	AUTO(mem_freep) char *missing = in_top("missing.json");
	expect("a file that was named has to be there", "reg.io", "x", missing, "~is not there");
	put("auth.json", "{\"auths\":{\"reg.io\":{\"auth\":\"aDpo\"}}}", 0622);
	expect("S1 a file that others may write is ignored", "reg.io", "x", f, "none");
	ok(strstr(notes.p ? notes.p : "", "others may write"), "with a note");
}

static void search_order(void)
{
	AUTO(mem_freep) char *home = in_top("home");
	AUTO(mem_freep) char *run = in_top("run");

	setenv("HOME", home, 1);
	setenv("XDG_RUNTIME_DIR", run, 1);
	unsetenv("XDG_CONFIG_HOME");
	put("home/.dockercfg", "{\"legacy.io/v1/\":{\"auth\":\"bDps\"}}", 0600);                    /* l:l */
	put("home/.docker/config.json", "{\"auths\":{\"a.io\":{\"auth\":\"ZDpk\"},\"b.io\":{\"auth\":\"ZDpk\"}}}", 0600);   /* d:d */
	put("home/.config/containers/auth.json", "{\"auths\":{\"a.io\":{\"auth\":\"Yzpj\"}}}", 0600);                     /* c:c */
	expect("the user's containers file is before docker's", "a.io", "x", NULL, "c:c");
	expect("a file that does not know the host is passed over", "b.io", "x", NULL, "d:d");
	expect(".dockercfg comes last", "legacy.io", "x", NULL, "l:l");
	put("run/containers/auth.json", "{\"auths\":{\"a.io\":{\"auth\":\"cjpy\"}}}", 0600);                              /* r:r */
	expect("the run directory is before both", "a.io", "x", NULL, "r:r");
	setenv("DOCKER_AUTH_CONFIG", "{\"auths\":{\"a.io\":{\"auth\":\"ZTpl\"}}}", 1);                                     /* e:e */
	expect("$DOCKER_AUTH_CONFIG is before all files", "a.io", "x", NULL, "e:e");
	expect("and files are asked after it", "b.io", "x", NULL, "d:d");
	unsetenv("DOCKER_AUTH_CONFIG");
	AUTO(mem_freep) char *named = in_top("named.json");
	put("named.json", "{\"auths\":{\"z.io\":{\"auth\":\"ejp6\"}}}", 0600);
	setenv("REGISTRY_AUTH_FILE", named, 1);
	expect("$REGISTRY_AUTH_FILE is the only one", "a.io", "x", NULL, "none");
	expect("and is asked", "z.io", "x", NULL, "z:z");
	unsetenv("REGISTRY_AUTH_FILE");
}

static void helpers(void)
{
	AUTO(mem_freep) char *bin = in_top("bin");
	AUTO(mem_freep) char *path = mem_printf("%s:/usr/bin:/bin", bin);
	AUTO(mem_freep) char *f = in_top("helped.json");

	put("bin/docker-credential-fake",
	    "#!/bin/sh\nread key\necho \"$1 $key\" >> ${0%/*}/../calls\ncase $1-$key in\n"
	    "get-h.io|get-https://index.docker.io/v1/) echo '{\"ServerURL\":\"x\",\"Username\":\"hu\",\"Secret\":\"hp\"}';;\n"
	    "get-t.io) echo '{\"Username\":\"<token>\",\"Secret\":\"id\"}';;\n"
	    "get-e.io) echo '{\"Username\":\"\",\"Secret\":\"\"}';;\n"
	    "get-f.io) echo 'the vault is closed'; exit 1;;\n"
	    "get-g.io) echo 'not json';;\n"
	    "get-b.io) head -c 100000 /dev/zero | tr '\\0' x;;\n"
	    "get-v.io) u=clean; env | grep -q evil && u=dirty; echo \"{\\\"Username\\\":\\\"$u\\\",\\\"Secret\\\":\\\"p\\\"}\";;\n"
	    "get-*) echo 'credentials not found in native keychain'; exit 1;;\nesac\n", 0755);
	setenv("PATH", path, 1);
	put("helped.json",
	    "{\"credHelpers\":{\"h.io\":\"fake\",\"t.io\":\"fake\",\"e.io\":\"fake\",\"f.io\":\"fake\",\"g.io\":\"fake\",\"b.io\":\"fake\",\"v.io\":\"fake\",\"n.io\":\"fake\",\"docker.io\":\"fake\","
	    "\"gone.io\":\"gone\",\"evil.io\":\"../../evil\"},\"auths\":{\"n.io\":{\"auth\":\"bjpu\"}}}", 0600);
	expect("a helper answers", "h.io", "x", f, "hu:hp");
	expect("a helper with an identity token", "t.io", "x", f, "identity:id");
	expect("an empty answer is none", "e.io", "x", f, "none");
	expect("a helper that fails says why", "f.io", "x", f, "~the vault is closed");
	expect("a malformed answer is an error", "g.io", "x", f, "~helper's answer");
	expect("a helper that knows nothing leaves it to auths", "n.io", "x", f, "n:n");
	expect("Docker Hub is asked by docker's key", "docker.io", "library/x", f, "hu:hp");
	expect("a helper that is not installed is passed over", "gone.io", "x", f, "none");
	ok(strstr(notes.p, "docker-credential-gone"), "with a note");
	expect("S2 an answer without end", "b.io", "x", f, "~");
	setenv("LD_LIBRARY_PATH", "/evil", 1);
	setenv("OTHER_SECRET", "evil", 1);
	expect("S2 a helper's environment is made for it", "v.io", "x", f, "clean:p");
	unsetenv("LD_LIBRARY_PATH");
	unsetenv("OTHER_SECRET");
	expect("S2 a name that leads elsewhere is refused", "evil.io", "x", f, "~cannot be the name");
	put("helped.json", "{\"credsStore\":\"fake\"}", 0600);
	expect("credsStore answers for every host", "h.io", "x", f, "hu:hp");
}

static void writing(void)
{
	AUTO(mem_freep) char *f = in_top("new/dir/auth.json");
	AUTO(mem_freep) char *link = in_top("link.json");
	AUTO(mem_freep) char *where = NULL;
	AUTO(buf_freep) struct buf b = BUF_MAX(1 << 16);
	struct err *e = NULL;
	struct stat st = { 0 };
	bool plain = false;

	ok(creds_store("a.io", "me", "pw", f, &where, &plain, &e) == 0 && plain, "login makes file and directories");
	ok(stat(f, &st) == 0 && (st.st_mode & 07777) == 0600, "with mode 0600");
	expect("and is found again", "a.io", "x", f, "me:pw");
	ok(creds_store("docker.io", "hub", "pw", f, NULL, &plain, &e) == 0 && at_read(root, "new/dir/auth.json", &b, NULL) == 0 &&
	   strstr(b.p, "https://index.docker.io/v1/"), "Docker Hub is kept under docker's key");
	put("new/dir/auth.json", "{\"HttpHeaders\":{\"X\":\"y\"},\"auths\":{\"a.io\":{\"auth\":\"YTpi\"},\"b.io\":{\"auth\":\"YTpi\"}}}", 0600);
	if (symlink("new/dir/auth.json", link) < 0)
		abort();
	ok(creds_store("a.io", "me", "new", link, NULL, &plain, &e) == 0 && lstat(link, &st) == 0 && S_ISLNK(st.st_mode), "a link stays a link");
	buf_reset(&b);
	ok(at_read(root, "new/dir/auth.json", &b, NULL) == 0 && strstr(b.p, "HttpHeaders") && strstr(b.p, "b.io"), "other members stay");
	expect("and its target is changed", "a.io", "x", f, "me:new");
	ok(creds_erase("a.io", f, &e) == 0, "logout");
	expect("forgets", "a.io", "x", f, "none");
	expect("one host only", "b.io", "x", f, "a:b");
	ok(creds_erase("a.io", f, &e) == CREDS_NONE, "a second logout finds nothing");
	ok(creds_store("a.io", "m:e", "pw", f, NULL, &plain, &e) < 0, "a user name with a colon is refused");
	err_free(take(&e));
	put("helped.json", "{\"credsStore\":\"fake\"}", 0600);
	AUTO(mem_freep) char *helped = in_top("helped.json");
	AUTO(mem_freep) char *by = NULL;
	ok(creds_store("s.io", "me", "pw", helped, &by, &plain, &e) == 0 && !plain && strstr(by, "helper 'fake'"), "a helper stores");
	ok(creds_erase("s.io", helped, &e) == 0, "and erases");
	buf_reset(&b);
	ok(at_read(root, "calls", &b, NULL) == 0 && strstr(b.p, "store {\"ServerURL\":\"s.io\",\"Username\":\"me\",\"Secret\":\"pw\"}") &&
	   strstr(b.p, "erase s.io"), "it was asked to");
	put("broken.json", "{", 0600);
	AUTO(mem_freep) char *broken = in_top("broken.json");
	ok(creds_store("a.io", "me", "pw", broken, NULL, &plain, &e) < 0, "a malformed file is not overwritten");
	err_free(e);
}

/* The folder made by mkdtemp() below /tmp goes. */
static void folder_drop(const char *path)
{
	AUTO(fd_closep) int tmp = openat(AT_FDCWD, "/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ok(tmp >= 0 && at_rmtree(tmp, path + strlen("/tmp/"), NULL) == 0, "nothing is left behind");
}

int main(void)
{
	snprintf(top, sizeof(top), "/tmp/kiln-creds-XXXXXX");
	if (!mkdtemp(top))
		return 2;
	root = openat(AT_FDCWD, top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unsetenv("REGISTRY_AUTH_FILE");
	unsetenv("DOCKER_AUTH_CONFIG");
	unsetenv("DOCKER_CONFIG");
	one_file();
	search_order();
	helpers();
	writing();
	buf_free(&notes);
	close(root);
	folder_drop(top);
	return done_testing();
}
