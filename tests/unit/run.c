/* tests/unit/run.c - what a command in a root sees and may do, and what it leaves behind (spec/executor.md 6). */
#include "base/proc.h"
#include "tests/unit/runbox.h"

/* ---- rows */

static const struct {
	const char *name, *script, *want;
	int status;
} sees[] = {
	{ "it is process 1", "echo $$", "1\n", 0 },
	{ "it is root", "id -u; id -g", "0\n0\n", 0 },
	{ "the environment is what was given, with HOME", "env | sort", "GREETING=hello\nHOME=/root\nPATH=/bin\nPWD=/\nSHLVL=1\n", 0 },
	{ "the working directory is /", "pwd", "/\n", 0 },
	{ "the host name", "hostname", "buildkitsandbox\n", 0 },
	{ "C16 umask 022", "umask", "0022\n", 0 },
	{ "core dumps are off", "ulimit -c", "0\n", 0 },
	{ "stdin is /dev/null", "readlink /proc/self/fd/0", "/dev/null\n", 0 },
	{ "no descriptor but three", "ls /proc/self/fd | wc -l", "4\n", 0 },
	{ "/dev holds what it should", "ls /dev | tr '\\n' ' '", "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero ", 0 },
	{ "/dev/null swallows", "echo x > /dev/null && wc -c < /dev/null", "0\n", 0 },
	{ "/dev/zero and /dev/urandom give", "head -c 5 /dev/zero | wc -c; head -c 5 /dev/urandom | wc -c", "5\n5\n", 0 },
	{ "a device made by mknod cannot be used", "mknod /x b 8 0 2>/dev/null; mknod /dev/x c 1 5 2>/dev/null; cat /x 2>/dev/null || head -c1 /dev/x 2>/dev/null || echo no", "no\n", 0 },
	{ "/proc shows its own processes only", "n=$(ls /proc | grep -c '^[0-9]'); [ $n -ge 1 ] && [ $n -le 4 ] && echo few", "few\n", 0 },
	{ "kcore is masked", "wc -c < /proc/keys; test ! -s /proc/kcore && echo empty", "0\nempty\n", 0 },
	{ "firmware is masked", "ls /sys/firmware | wc -l", "0\n", 0 },
	{ "/proc/sys is read-only", "echo 1 > /proc/sys/kernel/panic || echo no", "no\n", 0 },
	{ "/proc/sysrq-trigger is read-only", "echo h > /proc/sysrq-trigger || echo no", "no\n", 0 },
	{ "/sys is read-only", "mkdir /sys/fs/cgroup/x 2>/dev/null || mkdir /sys/x 2>/dev/null || echo no", "no\n", 0 },
	{ "resolv.conf is read-only", "echo x > /etc/resolv.conf || echo no", "no\n", 0 },
	{ "hosts names the step", "grep -c buildkitsandbox /etc/hosts", "1\n", 0 },
	{ "mount is refused", "mount -t tmpfs x /mnt || echo no", "no\n", 0 },
	{ "unshare is refused", "unshare -m true || echo no", "no\n", 0 },
	{ "chroot is allowed", "chroot / echo yes", "yes\n", 0 },
	{ "chown works", "touch /f && chown 5:6 /f && stat -c %u:%g /f", "5:6\n", 0 },
	{ "capabilities are the usual fourteen", "grep CapEff /proc/self/status | cut -f2", "00000000a80425fb\n", 0 },
	{ "inheritable and ambient are empty", "grep -E 'CapInh|CapAmb' /proc/self/status | cut -f2 | uniq", "0000000000000000\n", 0 },
	{ "a seccomp filter is there", "grep Seccomp: /proc/self/status | cut -f2", "2\n", 0 },
	{ "no_new_privs is off", "grep NoNewPrivs /proc/self/status | cut -f2", "0\n", 0 },
	{ "C16 signals are default", "grep -E 'SigBlk|SigIgn' /proc/self/status | cut -f2 | uniq", "0000000000000000\n", 0 },
	{ "C1 no supplementary groups of the host", "id -G", "0\n", 0 },
	{ "C12 no terminal", "cat /dev/tty 2>/dev/null || echo no", "no\n", 0 },
	{ "the old root is not reachable", "ls /proc/1/root/ | tr '\\n' ' '; cat /proc/self/mountinfo | grep -c ' /tmp/'", "bin dangling dev etc lib proc root sys tmp toproc toroot 0\n", 1 },
	{ "C13 the monitor's descriptors are not there", "ls -l /proc/1/fd | grep -c socket", "0\n", 1 },
	{ "stdout can be reopened", "echo again > /dev/stdout", "again\n", 0 },
	{ "a pseudo terminal can be made", "test -c /dev/ptmx && echo yes", "yes\n", 0 },
	{ "shm is there, sticky", "stat -c %a /dev/shm", "1777\n", 0 },
	{ "exit status 3", "exit 3", "", 3 },
	{ "exit status 255", "exit 255", "", 255 },
	{ "a signal is 128 and its number", "sh -c 'kill -TERM $$'; exit $?", "", 143 },
	{ "not found is 127", "nosuchthing 2>/dev/null", "", 127 },
};

static void test_sees(void)
{
	for (size_t i = 0; i < countof(sees); i++) {
		AUTO(ran_clear) struct ran x = { .snap = "" };

		if (strstr(sees[i].script, "/proc/1/") || strstr(sees[i].script, "/proc/[0-9]"))
			if (skip_outer(sees[i].name))
				continue;

		if (strstr(sees[i].script, "chown") && skip_single(sees[i].name))
			continue;
		sh(sees[i].script, (struct run_spec){ .cwd = NULL }, &x);
		is_str(text(&x), sees[i].want, sees[i].name);
		if (x.e || x.r.status != sees[i].status) {
			ok(false, "%s: status %d, not %d: %s%s", sees[i].name, x.r.status, sees[i].status, x.err.p, x.e ? err_text(x.e) : "");
		}
	}
}

static const struct {
	const char *name, *argv[3];
	int status;
	const char *reason;
} execs[] = {
	{ "a program by name", { "true" }, 0, NULL },
	{ "a program by path", { "/bin/false" }, 1, NULL },
	{ "missing by name", { "nosuch" }, 127, "'nosuch' is not in PATH" },
	{ "missing by path", { "/nosuch" }, 127, "the image has no '/nosuch'" },
	{ "a directory", { "/etc" }, 126, "'/etc' is a directory" },
	{ "not executable", { "/etc/passwd" }, 126, "cannot execute '/etc/passwd': Permission denied" },
	{ "no interpreter", { "/bin/script" }, 127, "'/bin/script' needs the interpreter '/usr/bin/nosuch', which the image does not have" },
	{ "no format", { "/bin/text" }, 126, "'/bin/text' is neither a program nor a script with a '#!' line" },
	{ "the exe link of process 1 is a normal failure", { "/proc/1/exe" }, 126, "'/proc/1/exe' leads to /proc/self/exe, which is the builder's own program" },
};

static void test_execs(void)
{
	for (size_t i = 0; i < countof(execs); i++) {
		AUTO(ran_clear) struct ran x = { .snap = "" };
		struct run_spec s = { .argv = (char **)execs[i].argv };

		run_spec(&s, &x, 0);
		if (execs[i].reason || x.r.status <= 1)
			is_str(x.e ? err_cause(x.e) : x.r.reason, execs[i].reason, execs[i].name);
		else
			printf("# %s: %s\n", execs[i].name, x.e ? err_cause(x.e) : x.r.reason);
		if (execs[i].reason || execs[i].status < 2)
			is_int(x.r.status, execs[i].status, "its status");
	}
}

static const struct {
	const char *name, *user, *want;
} users[] = {
	{ "no user is root", "", "0 0 0" },
	{ "by name", "app", "1000 1000 1000 50" },
	{ "by number, with the groups of the line", "1000", "1000 1000 1000 50" },
	{ "by unknown number", "4242", "4242 0 0" },
	{ "with a group there are no others", "app:staff", "1000 50 50" },
	{ "numbers", "7:8", "7 8 8" },
	{ "an unknown name", "nobodyhere", "unable to find user nobodyhere: no matching entries in passwd file" },
	{ "an unknown group", "app:nogroup", "unable to find group nogroup: no matching entries in group file" },
	{ "a number that is too large", "99999999999", "user id '99999999999' is larger than 2147483647" },
	{ "a name of digits only is never looked up", "123", "123 0 0" },
	{ "malformed lines are skipped", "bad", "unable to find user bad: no matching entries in passwd file" },
	{ "the first line wins", "twice", "2001 2001 2001" },
};

static void test_users(void)
{
	AUTO(ran_clear) struct ran x = { .snap = "" };

	for (size_t i = 0; i < countof(users); i++) {
		AUTO(ran_clear) struct ran y = { .snap = "" };

		sh("echo -n $(id -u) $(id -g) $(id -G)", (struct run_spec){ .user = (char *)users[i].user }, &y);
		is_str(text(&y), users[i].want, users[i].name);
	}
	sh("grep CapEff /proc/self/status | cut -f2; echo $HOME; echo hi > /dev/stderr; touch /x 2>/dev/null || echo no; cat /root/secret 2>/dev/null || echo no",
	   (struct run_spec){ .user = (char *)"app" }, &x);
	is_str(text(&x), "0000000000000000\n/home/app\nno\nno\n", "a user has no capabilities, a home, and may not everything");
}

static void test_cwd(void)
{
	AUTO(ran_clear) struct ran x = { .snap = "" }, y = { .snap = "" }, z = { .snap = "" };

	sh("pwd; stat -c '%a %u' . ..", (struct run_spec){ .cwd = (char *)"/made/for me", .user = (char *)"app" }, &x);
	is_str(text(&x), "/made/for me\n755 1000\n755 1000\n", "a missing working directory is made, the user's");
	sh("true", (struct run_spec){ .cwd = (char *)"/etc/passwd" }, &y);
	ok(y.e && err_kind(y.e) == ERR_STEP, "a file is no working directory: %s", text(&y));
	sh("true", (struct run_spec){ .cwd = (char *)"/root", .user = (char *)"app" }, &z);
	ok(z.e && err_kind(z.e) == ERR_STEP, "one that the user may not enter: %s", text(&z));
}

static void test_net(void)
{
	AUTO(ran_clear) struct ran x = { .snap = "" }, y = { .snap = "" };

	sh("cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d ' \\n'; ifconfig lo | grep -c UP; ls /sys/class/net; wc -c < /etc/resolv.conf",
	   (struct run_spec){ .net = RUN_NET_NONE }, &x);
	is_str(text(&x), "lo1\nlo\n0\n", "network none has lo only, up, and no resolver");
	sh("cmp /etc/resolv.conf /etc/hosts >/dev/null || wc -l < /etc/hosts", (struct run_spec){ .net = RUN_NET_HOST }, &y);
	is_str(text(&y), "2\n", "network host");
}

static void test_private_net(void)
{
	AUTO(ran_clear) struct ran x = { .snap = "" };
	AUTO(mem_freep) char *pasta = proc_find("pasta");

	if (!pasta) {
		printf("ok %d # SKIP a private network: pasta is not installed\n", ++tap_run);
		return;
	}
	sh("head -1 /etc/resolv.conf; cut -d: -f1 /proc/net/dev | tail -n +3 | wc -l; grep -c 00000000 /proc/net/route; nc 127.0.0.1 1 || echo closed",
	   (struct run_spec){ .net = RUN_NET_PRIVATE }, &x);
	ok(!x.e && strncmp(text(&x), "nameserver 169.254.1.1\n2\n", 25) == 0 && strstr(text(&x), "closed"),
	   "a private network through pasta: %s", text(&x));
}

static void test_upper(void)
{
	AUTO(ran_clear) struct ran x = { .snap = "" }, y = { .snap = "" };

	sh("true", (struct run_spec){ .cwd = NULL }, &x);
	upper_is(x.snap, "", "nothing of the mount points is left in the upper");
	sh("rm /etc/gone; mkdir /new; echo x > /new/f", (struct run_spec){ .cwd = NULL }, &y);
	upper_is(y.snap, "d /etc\nc /etc/gone\nd /new\nf /new/f\n", "what a command changed is there");
}

static const struct {
	const char *name, *target;
} refused[] = {
	{ "the root", "/" }, { "/proc", "/proc" }, { "below /proc", "/proc/x" }, { "/sys", "/sys" }, { "/dev", "/dev" },
	{ "a link to the root", "/toroot" }, { "a link to /proc", "/toproc" },
};

static void test_refused(void)
{
	for (size_t i = 0; i < countof(refused); i++) {
		AUTO(ran_clear) struct ran x = { .snap = "" };
		struct run_mount m = { .kind = RUN_TMPFS, .target = (char *)refused[i].target };

		sh("true", (struct run_spec){ .mount = &m, .nmount = 1 }, &x);
		ok(x.e && err_kind(x.e) == ERR_STEP, "no mount on %s: %s", refused[i].name, text(&x));
	}
}

/* ---- hostile roots */

static void test_hostile(void)
{
	static char *etc[] = { (char *)"layers/base", (char *)"layers/evil-etc", NULL };
	static char *proc[] = { (char *)"layers/base", (char *)"layers/evil-proc", NULL };
	static char *dev[] = { (char *)"layers/base", (char *)"layers/evil-dev", NULL };
	static char *bare[] = { (char *)"layers/bare", NULL };
	static char *none[] = { NULL };
	AUTO(ran_clear) struct ran x = { .snap = "" }, y = { .snap = "" }, z = { .snap = "" }, u = { .snap = "" }, v = { .snap = "" },
				   w = { .snap = "" };
	struct stat st;

	sh("ls -d /elsewhere; cat /etc/hosts | grep -c localhost", (struct run_spec){ .lower = etc, .nlower = 2 }, &x);
	is_str(text(&x), "/elsewhere\n2\n", "/etc -> /elsewhere stays inside the root");
	ok(stat("/elsewhere", &st) < 0, "and makes nothing on the host");
	sh("true", (struct run_spec){ .lower = proc, .nlower = 2 }, &y);
	ok(y.e && err_kind(y.e) == ERR_STEP, "/proc as a link: %s", text(&y));
	sh("true", (struct run_spec){ .lower = dev, .nlower = 2 }, &z);
	ok(z.e && err_kind(z.e) == ERR_STEP, "/dev as a file: %s", text(&z));
	sh("id -u; echo $HOME", (struct run_spec){ .lower = bare, .nlower = 1 }, &u);
	is_str(text(&u), "0\n/\n", "no /etc/passwd");
	upper_is(u.snap, "", "and nothing is left of made /etc, /dev, /proc, /sys");
	sh("true", (struct run_spec){ .lower = bare, .nlower = 1, .user = (char *)"app" }, &v);
	ok(v.e && err_kind(v.e) == ERR_STEP, "a user without a passwd file: %s", text(&v));
	sh("true", (struct run_spec){ .lower = none, .nlower = 0 }, &w);
	is_int(w.r.status, 127, "an empty root");
	is_str(w.e ? err_cause(w.e) : w.r.reason, "the image has no /bin/sh", "says what is missing");
}

static void test_insecure(void)
{
	AUTO(ran_clear) struct ran x = { .snap = "" };

	sh("mkdir -p /mnt; mount -t tmpfs x /mnt && echo mounted; grep Seccomp: /proc/self/status | cut -f2", (struct run_spec){ .insecure = true }, &x);
	is_str(text(&x), "mounted\n0\n", "an insecure step may mount");
}

static void tests(void)
{
	test_sees();
	test_execs();
	if (!skip_single("users of the image")) {
		test_users();
		test_cwd();
	}
	test_net();
	test_private_net();
	test_upper();
	test_refused();
	test_hostile();
	test_insecure();
}

int main(int argc, char **argv)
{
	return runbox_main(argc, argv, tests);
}
