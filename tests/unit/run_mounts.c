/* tests/unit/run_mounts.c - mounts of a step, and an agent's socket (spec/executor.md 6.7). */
#include "tests/unit/runbox.h"

#include <link.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

static void test_mounts(void)
{
	char *tool[] = { (char *)"layers/tool", NULL }, *both[] = { (char *)"layers/tool", (char *)"layers/tool2", NULL };
	struct run_mount m[] = {
		{ .kind = RUN_BIND, .target = (char *)"/tool", .lower = tool, .nlower = 1, .source = (char *)"sub", .readonly = true },
		{ .kind = RUN_BIND, .target = (char *)"/rw", .lower = both, .nlower = 2, .source = (char *)"" },
		{ .kind = RUN_BIND, .target = (char *)"/etc/one file", .lower = both, .nlower = 2, .source = (char *)"/sub/f", .readonly = true },
		{ .kind = RUN_TMPFS, .target = (char *)"/t", .size = 1 << 20 },
		{ .kind = RUN_SECRET, .target = (char *)"/run/secrets/s", .content = (char *)"geheim", .ncontent = 6, .mode = 0440, .uid = 3, .gid = 4 },
		{ .kind = RUN_SECRET, .target = (char *)"/run/secrets/absent" },
		{ .kind = RUN_FILE, .target = (char *)"/dev/pipes", .source = (char *)"EOF", .content = (char *)"#!/bin/sh\necho script\n", .ncontent = 22, .mode = 0755 },
		{ .kind = RUN_CACHE, .target = (char *)"/cache", .cache = (char *)"cache/c1", .has_perm = true, .mode = 0700, .uid = 5, .gid = 6 },
		{ .kind = RUN_CACHE, .target = (char *)"/cache/below", .cache = (char *)"cache/c2", .lock_exclusive = true },
		{ .kind = RUN_CACHE, .target = (char *)"/private", .cache = (char *)"cache/c3", .lock_private = true, .source = (char *)"deep/er" },
	};
	AUTO(ran_clear) struct ran x = { .snap = "" }, y = { .snap = "" };

	sh("cat /tool/f; echo no > /tool/f 2>/dev/null || echo ro; cat /rw/two; echo written > /rw/sub/f && cat /rw/sub/f; cat '/etc/one file';"
	   "stat -c '%a' /t; head -c 2000000 /dev/zero > /t/big 2>/dev/null || echo full; cat /run/secrets/s; stat -c ' %a %u %g' /run/secrets/s;"
	   "ls /run/secrets; /dev/pipes/EOF; stat -c '%a %u %g' /cache; echo kept > /cache/k; echo kept2 > /cache/below/k; echo p > /private/p",
	   (struct run_spec){ .mount = m, .nmount = countof(m) }, &x);
	is_str(text(&x), "tool\nro\ntwo\nwritten\ntool\n1777\nfull\ngeheim 440 3 4\ns\nscript\n700 5 6\n", "mounts of all kinds");
	if (x.err.n)
		printf("# %s\n", x.err.p);
	upper_is(x.snap, "d /etc\n", "and their targets are gone from the upper");
	sh("cat /cache/k /cache/below/k /private/p; ls /cache; cat /tool/f /rw/sub/f", (struct run_spec){ .mount = m, .nmount = countof(m) }, &y);
	is_str(text(&y), "kept\nkept2\np\nbelow\nk\ntool\ntool\n", "caches are kept, writes to a bind are not");
}

static void test_bad_mounts(void)
{
	char *tool[] = { (char *)"layers/tool", NULL };
	struct run_mount missing = { .kind = RUN_BIND, .target = (char *)"/x", .lower = tool, .nlower = 1, .source = (char *)"nosuch", .readonly = true };
	struct run_mount wrong = { .kind = RUN_TMPFS, .target = (char *)"/etc/passwd" };
	struct run_mount away = { .kind = RUN_TMPFS, .target = (char *)"/dangling/x" };
	AUTO(ran_clear) struct ran x = { .snap = "" }, y = { .snap = "" }, z = { .snap = "" };

	sh("true", (struct run_spec){ .mount = &missing, .nmount = 1 }, &x);
	ok(x.e && err_kind(x.e) == ERR_INPUT, "a missing bind source: %s", text(&x));
	sh("true", (struct run_spec){ .mount = &wrong, .nmount = 1 }, &y);
	ok(y.e && err_kind(y.e) == ERR_STEP, "a directory on a file: %s", text(&y));
	sh("ls -d /far/away/x; touch /dangling/x/f", (struct run_spec){ .mount = &away, .nmount = 1 }, &z);
	is_str(text(&z), "/far/away/x\n", "a link to nowhere is followed inside the root");
	upper_is(z.snap, "", "and all that was made is removed");
}

/* ---- an agent: busybox cannot speak to a UNIX socket, so this program goes into a layer, with its libraries */

static void copy_file(const char *from, const char *to)
{
	AUTO(mem_freep) char *full = mem_printf("%s/%s", store, to);
	AUTO(buf_freep) struct buf bytes = BUF_MAX(64 << 20);
	AUTO(fd_closep) int in = openat(AT_FDCWD, from, O_RDONLY | O_CLOEXEC);
	AUTO(fd_closep) int out = openat(AT_FDCWD, full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

	if (in < 0 || out < 0 || fd_read_all(in, &bytes, NULL) < 0 || fd_write_all(out, bytes.p, bytes.n, NULL) < 0)
		printf("# cannot copy %s\n", from);
	fchmod(out, 0755);
}

static int copy_library(struct dl_phdr_info *info, size_t size, void *arg)
{
	const char *path = info->dlpi_name;

	if (path[0] == '/') {
		AUTO(mem_freep) char *to = mem_printf("layers/self/lib/%s", strstr(path, "/ld-") ? "ld.so" : strrchr(path, '/') + 1);

		copy_file(path, to);
	}
	return 0;
}

static void make_self_layer(void)
{
	make_dir("layers/self", 0755);
	make_dir("layers/self/lib", 0755);
	copy_file("/proc/self/exe", "layers/self/lib/self");
	dl_iterate_phdr(copy_library, NULL);
}

/* What the program does inside the step. */
static int agent_client(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char block[100];
	ssize_t n = 0;

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (connect(s, (struct sockaddr *)&a, sizeof(a)) < 0 || write(s, "sign", 4) != 4 || (n = read(s, block, sizeof(block))) < 0)
		return 1;
	return write(1, block, (size_t)n) == n ? 0 : 1;
}

static void agent_serve(int s)
{
	for (;;) {
		int c = accept4(s, NULL, NULL, SOCK_CLOEXEC);
		char block[100] = "key:";
		ssize_t n = read(c, block + 4, sizeof(block) - 4);

		if (n > 0)
			(void)!write(c, block, (size_t)n + 4);
		close(c);
	}
}

static void test_ssh(void)
{
	static char *lower[] = { (char *)"layers/base", (char *)"layers/self", NULL };
	AUTO(ran_clear) struct ran x = { .snap = "" }, y = { .snap = "" };
	AUTO(mem_freep) char *path = mem_printf("%s/agent", store);
	struct run_mount m = { .kind = RUN_SSH, .target = (char *)"/run/agent.0", .socket = path, .mode = 0600, .uid = 1000, .gid = 1000 };
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid;

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	unlink(path);
	if (bind(s, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(s, 5) < 0)
		printf("# %s\n", strerror(errno));
	pid = fork();
	if (pid == 0)
		agent_serve(s);
	close(s);
	sh("stat -c '%a %u' /run/agent.0; exec /lib/ld.so --library-path /lib /lib/self --client /run/agent.0",
	   (struct run_spec){ .mount = &m, .nmount = 1, .user = (char *)"app", .lower = lower, .nlower = 2 }, &x);
	is_str(text(&x), "600 1000\nkey:sign", "an ssh socket for the step's user");
	if (x.err.n)
		printf("# %s\n", x.err.p);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	sh("true", (struct run_spec){ .mount = &m, .nmount = 1 }, &y);
	ok(y.e && err_kind(y.e) == ERR_LIMIT, "no agent: %s", text(&y));
}

static void tests(void)
{
	make_self_layer();
	if (!skip_single("mounts with owners")) {
		test_mounts();
		test_ssh();
	}
	test_bad_mounts();
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--client") == 0)
		return agent_client(argv[2]);
	return runbox_main(argc, argv, tests);
}
