/* tests/fuzz_main.c - replays stored inputs through a fuzz target: what `make check` runs where libFuzzer would search.
 *
 * Arguments are files and directories; each regular file in them is one input. A target fails by abort or a sanitizer's
 * report, so getting to the end is success.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 16 << 20 };

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int replay(const char *path, unsigned *count)
{
	/* Exactly as long as the input, so that a sanitizer sees one byte too many. */
	uint8_t *data = NULL;
	struct stat st;
	int rc = -1;
	FILE *f = fopen(path, "rbe");

	if (f && fstat(fileno(f), &st) == 0 && st.st_size <= INPUT_MAX && (data = malloc((size_t)st.st_size + !st.st_size)) &&
	    fread(data, 1, (size_t)st.st_size, f) == (size_t)st.st_size) {
		LLVMFuzzerTestOneInput(data, (size_t)st.st_size);
		++*count;
		rc = 0;
	} else {
		fprintf(stderr, "cannot read '%s'\n", path);
	}
	free(data);
	if (f)
		fclose(f);
	return rc;
}

static int replay_dir(const char *path, unsigned *count)
{
	struct dirent **names = NULL;
	int n = scandir(path, &names, NULL, by_name);
	int rc = n < 0 ? -1 : 0;

	for (int i = 0; i < n; i++) {
		char file[4096];
		struct stat st;

		if (snprintf(file, sizeof file, "%s/%s", path, names[i]->d_name) >= (int)sizeof file)
			rc = -1;
		else if (stat(file, &st) == 0 && S_ISREG(st.st_mode) && replay(file, count) < 0)
			rc = -1;
		free(names[i]);
	}
	free(names);
	return rc;
}

int main(int argc, char **argv)
{
	unsigned count = 0;
	int rc = 0;

	for (int i = 1; i < argc; i++) {
		struct stat st;

		if (stat(argv[i], &st) < 0 || (S_ISDIR(st.st_mode) ? replay_dir(argv[i], &count) : replay(argv[i], &count)) < 0)
			rc = 1;
	}
	printf("%u inputs replayed\n", count);
	return rc;
}
