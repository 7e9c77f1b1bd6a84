/* tests/bench/measure.c - measure [-p PREPARE] N COMMAND...: run it N times, print "median-seconds peak-KiB".
 *
 * PREPARE is a shell line that runs before each, outside the clock. Peak memory is the largest of the command and every
 * descendant that was waited for (wait4). Output of the command goes to /dev/null; one failure ends it all.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { RUNS_MAX = 1000 };

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void run(char **argv, long *peak)
{
	struct rusage usage = { 0 };
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		dup2(null, 0);
		dup2(null, 1);
		if (!getenv("BENCH_VERBOSE"))
			dup2(null, 2);
		execvp(argv[0], argv);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &usage) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		fprintf(stderr, "measure: %s: status 0x%x\n", argv[0], (unsigned)status);
		exit(1);
	}
	if (peak && usage.ru_maxrss > *peak)
		*peak = usage.ru_maxrss;
}

int main(int argc, char **argv)
{
	static double seconds[RUNS_MAX];
	char *prepare[] = { "sh", "-c", NULL, NULL };
	long peak = 0;
	int at = 1, n;

	if (argc > 2 && strcmp(argv[1], "-p") == 0) {
		prepare[2] = argv[2];
		at = 3;
	}
	n = at < argc ? (int)strtol(argv[at], NULL, 10) : 0;
	if (n < 1 || n > RUNS_MAX || at + 1 >= argc) {
		fprintf(stderr, "usage: measure [-p PREPARE] N COMMAND...\n");
		return 2;
	}
	for (int i = 0; i < n; i++) {
		double start;

		if (prepare[2])
			run(prepare, NULL);
		start = now();
		run(argv + at + 1, &peak);
		seconds[i] = now() - start;
	}
	qsort(seconds, (size_t)n, sizeof seconds[0], compare);
	printf("%.6f %ld\n", seconds[n / 2], peak);
	return 0;
}
