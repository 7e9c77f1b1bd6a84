/* tests/unit/nth.c - the store when the n-th system call fails, or is the last one, for every n (F1, T6, I1-I4).
 *
 * A traced child makes one of everything. For each n it is killed at its n-th call, or that call is answered by an
 * error; afterwards whatever the store shows must be whole, and the same work must succeed.
 */
#include "cache/gc.h"
#include "cache/names.h"
#include "cache/steps.h"
#include "tests/unit/tmpstore.h"

#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>

#ifdef __x86_64__

enum { CALLS_MAX = 20000 };

/* A leak check would run in the traced child, where it cannot. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

/* ---- the work: everything is named after n */

static int scenario(int n)
{
	struct store *s = NULL;
	struct digest blob = { { 0 } }, diff = { { 0 } }, key;
	struct layer_meta m;
	char text[64];
	int rc = 0;

	if (store_open(tmpstore_root, &s, NULL) < 0)
		return 1;
	snprintf(text, sizeof(text), "nth %d", n);
	key = tmpstore_digest(text);
	rc = store_blob_put(s, slice_of(text), &blob, NULL);
	if (rc == 0) {
		/* tmpstore_layer() reports nothing: the look-ups tell. */
		diff = tmpstore_layer(s, text, 5);
		rc = store_layer_find(s, &diff, &m, NULL);
		rc = rc ? rc : store_listing_find(s, &diff, NULL);
	}
	struct step_record r = { .diff = diff };
	struct blob_info i = { .diff = diff, .blob = blob, .size = (int64_t)strlen(text), .comp = "none" };
	struct name_layer l = { .diff = diff };
	struct name_record name = { .name = text, .config = blob, .platform = text, .layer = &l, .nlayer = 1 };
	rc = rc ? rc : store_info_add(s, &i, NULL);
	rc = rc ? rc : steps_save(s, &key, NULL, NULL, slice_of(text), &r, NULL);
	rc = rc ? rc : store_sync_start(s, NULL);
	rc = rc ? rc : store_sync_wait(s, NULL);
	rc = rc ? rc : names_put(s, &name, NULL);
	store_close(s);
	return rc != 0;
}

/* What can be seen of n is whole: a hit has its content, a name its config. */
static bool whole(int n)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(100);
	AUTO(name_record_clear) struct name_record name = { 0 };
	struct step_record r;
	struct digest d;
	char text[64];
	struct store *s = tmpstore_open();

	snprintf(text, sizeof(text), "nth %d", n);
	d = tmpstore_digest(text);
	int blob = store_blob_read(s, &d, &b, NULL);
	bool good = blob == STORE_MISS || (blob == 0 && strcmp(b.p, text) == 0);
	good = good && steps_find(s, &d, &r, NULL) >= 0;
	int named = names_get(s, text, &name, NULL);
	good = good && (named == NAMES_MISS || (named == 0 && blob == 0));
	store_close(s);
	return good;
}

static bool clean(void)
{
	struct store *s = tmpstore_open();
	struct check_result r;
	bool good = gc_check(s, false, &r, NULL) == 0 && r.bad == 0;

	if (r.bad)
		printf("# %s", r.text.p);
	buf_free(&r.text);
	store_close(s);
	return good;
}

/* ---- the tracer */

static bool can_fail(long nr)
{
	static const long calls[] = {
		SYS_openat, SYS_openat2, SYS_write, SYS_read, SYS_fsync, SYS_syncfs, SYS_renameat, SYS_renameat2,
		SYS_mkdirat, SYS_fchmod, SYS_linkat, SYS_unlinkat, SYS_flock, SYS_getdents64, SYS_fstat, SYS_newfstatat,
		SYS_close, SYS_ftruncate, SYS_fcntl, SYS_utimensat, SYS_readlink, SYS_clone,
	};

	for (size_t i = 0; i < countof(calls); i++)
		if (calls[i] == nr)
			return true;
	return false;
}

/* Answer the call at whose entry pid stands with -errnum instead of making it. */
static void answer(pid_t pid, int errnum)
{
	struct user_regs_struct regs;
	int status = 0;

	ptrace(PTRACE_GETREGS, pid, NULL, &regs);
	regs.orig_rax = (unsigned long long)-1;
	ptrace(PTRACE_SETREGS, pid, NULL, &regs);
	ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
	waitpid(pid, &status, 0);
	ptrace(PTRACE_GETREGS, pid, NULL, &regs);
	regs.rax = (unsigned long long)-errnum;
	ptrace(PTRACE_SETREGS, pid, NULL, &regs);
}

/* Run the work named n; at the at-th call that can fail, fail with errnum (0: kill). Returns the number of such calls
 * seen, -1 when it neither ended by itself nor was killed. *ended: its exit status, or -1. */
static int run(int n, int at, int errnum, int *ended)
{
	int status = 0, calls = 0;
	bool entry = true;
	pid_t pid = fork();

	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(scenario(n));
	}
	*ended = -1;
	waitpid(pid, &status, 0);
	ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
	for (int stops = 0; stops < CALLS_MAX; stops++) {
		struct user_regs_struct regs;

		ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
		if (waitpid(pid, &status, 0) < 0 || WIFSIGNALED(status))
			return -1;
		if (WIFEXITED(status)) {
			*ended = WEXITSTATUS(status);
			return calls;
		}
		/* A signal, such as SIGCHLD of the sync's child: dropped, nobody here waits for it. */
		if (WSTOPSIG(status) != (SIGTRAP | 0x80))
			continue;
		if (entry) {
			ptrace(PTRACE_GETREGS, pid, NULL, &regs);
			if (can_fail((long)regs.orig_rax) && calls++ == at) {
				if (errnum == 0) {
					kill(pid, SIGKILL);
					waitpid(pid, &status, 0);
					return calls;
				}
				answer(pid, errnum);
				continue;                /* its exit has been consumed */
			}
		}
		entry = !entry;
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return -1;
}

static void every(const char *what, int errnum, int calls, int step, int *name)
{
	int torn = 0, stuck = 0, lost = 0, failed = 0;

	for (int at = 0; at < calls; at += step) {
		int n = ++*name, ended = -1;

		stuck += run(n, at, errnum, &ended) < 0;
		failed += ended > 0;
		torn += !whole(n);
		/* The same work again. */
		lost += at % 5 == 0 && (scenario(n) != 0 || !whole(n));
	}
	ok(torn == 0, "%s at each of %d calls: what is visible is whole", what, calls);
	ok(stuck == 0, "%s: never a crash, never a hang (%d failed in order)", what, failed);
	ok(lost == 0, "%s: the same work succeeds afterwards", what);
}

int main(void)
{
	int name = 0, ended = -1;

	store_close(tmpstore_open());
	int calls = run(++name, -1, 0, &ended);
	if (calls < 0) {
		ok(true, "tracing a child is not allowed here # SKIP");
		tmpstore_remove();
		return done_testing();
	}
	ok(ended == 0 && whole(name), "the work, of %d calls, succeeds", calls);
	every("killed", 0, calls, 1, &name);
	every("no space left", ENOSPC, calls, 2, &name);
	every("I/O error", EIO, calls, 3, &name);
	every("out of file descriptors", EMFILE, calls, 4, &name);
	every("interrupted", EINTR, calls, 4, &name);
	ok(clean(), "T10: check finds nothing wrong in the end");
	tmpstore_remove();
	return done_testing();
}

#else

int main(void)
{
	ok(true, "knows the registers of x86-64 only # SKIP");
	return done_testing();
}

#endif
