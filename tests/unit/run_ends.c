/* tests/unit/run_ends.c - how a step ends: its status, signals, limits, time; and that nothing of it stays. */
#include "tests/unit/runbox.h"

/* The id of a mount and where it is: "36 35 98:0 /root /mnt ..." */
static void mount_name(struct slice line, struct slice *id, struct slice *at)
{
	struct slice rest = line, skipped;

	slice_cut(rest, ' ', id, &rest);
	for (int i = 0; i < 3; i++)
		slice_cut(rest, ' ', &skipped, &rest);
	slice_cut(rest, ' ', at, &rest);
}

/* Lines of after that are of no mount in before. What was there may go meanwhile: the namespace has copies of the host's mounts, and one
 * whose directory somebody removes is gone here too. */
static void mounts_added(struct slice before, struct slice after, struct buf *ret)
{
	struct slice line, old, id, at, old_id, old_at;

	buf_str(ret, "");
	while (slice_cut(after, '\n', &line, &after)) {
		struct slice rest = before;
		bool was = false;

		mount_name(line, &id, &at);
		while (!was && slice_cut(rest, '\n', &old, &rest)) {
			mount_name(old, &old_id, &old_at);
			was = slice_equal(id, old_id) && slice_equal(at, old_at);
		}
		if (!was)
			buf_printf(ret, "%.*s\n", SLICE_F(line));
	}
}

static void test_ends(void)
{
	AUTO(buf_freep) struct buf added = BUF_MAX(1 << 20);
	AUTO(ran_clear) struct ran x = { .snap = "" }, y = { .snap = "" }, z = { .snap = "" };
	AUTO(answer_clear) struct answer before = { .done = false }, after = { .done = false }, pids = { .done = false };
	char *sleep[] = { (char *)"/bin/sleep", (char *)"100", NULL };
	struct run_spec s = { .argv = sleep };
	int64_t t0 = clock_ns();

	call(MOUNTS, SLICE_NONE, NULL, 0, &before);
	run_spec(&s, &x, 30);
	ok(x.e && clock_ns() - t0 < 1000000000, "a cancelled step ends at once: %s", text(&x));
	s = (struct run_spec){ .argv = sleep, .timeout_s = 1 };
	run_spec(&s, &y, 0);
	ok(y.r.status == 124 && y.r.timed_out, "a time limit");
	sh("(sleep 1000 &) ; (setsid sleep 1000 &); kill -9 $$; echo still", (struct run_spec){ .cwd = NULL }, &z);
	is_str(text(&z), "still\n", "process 1 cannot kill itself");
	call(PIDS, SLICE_NONE, NULL, 0, &pids);
	if (!skip_outer("no process is left"))
		is_str(pids.e ? "" : pids.out.p, "", "no process is left");
	call(MOUNTS, SLICE_NONE, NULL, 0, &after);
	mounts_added(buf_view(&before.out), buf_view(&after.out), &added);
	is_str(added.p, "", "no mount is left");
}

static void test_all_codes(void)
{
	unsigned good = 0;

	for (int i = 0; i < 256; i += 5) {
		AUTO(ran_clear) struct ran x = { .snap = "" };
		char script[32];

		snprintf(script, sizeof(script), "exit %d", i);
		sh(script, (struct run_spec){ .cwd = NULL }, &x);
		good += !x.e && x.r.status == i;
	}
	is_int(good, 52, "exit codes from 0 to 255");
}

static void test_limits(void)
{
	char *some[] = { (char *)"nofile=100:200", (char *)"core=0", NULL }, *wrong[] = { (char *)"nosuch=1", NULL };
	AUTO(ran_clear) struct ran x = { .snap = "" }, y = { .snap = "" };

	sh("ulimit -n; ulimit -Hn", (struct run_spec){ .ulimit = some }, &x);
	is_str(text(&x), "100\n200\n", "limits");
	sh("true", (struct run_spec){ .ulimit = wrong }, &y);
	is_str(text(&y), "unknown limit 'nosuch'", "an unknown one");
}

static void test_speed(void)
{
	char *argv[] = { (char *)"/bin/true", NULL };
	int64_t best = INT64_MAX, t0, all = clock_ns();

	for (int i = 0; i < 50; i++) {
		AUTO(ran_clear) struct ran x = { .snap = "" };
		struct run_spec s = { .argv = argv };

		t0 = clock_ns();
		run_spec(&s, &x, 0);
		if (clock_ns() - t0 < best)
			best = clock_ns() - t0;
	}
	printf("# RUN true: %.2f ms at best, %.2f ms on average\n", (double)best / 1e6, (double)(clock_ns() - all) / 50e6);
}

static void tests(void)
{
	test_limits();
	test_ends();
	test_all_codes();
	test_speed();
}

int main(int argc, char **argv)
{
	return runbox_main(argc, argv, tests);
}
