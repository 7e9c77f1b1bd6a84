/* tests/fuzz_main.c - runs a fuzz target once over each file given, or each file of a directory, in TAP. */
#include "tests/tap.h"

#include "base/mem.h"

#include <dirent.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run_file(const char *path)
{
	FILE *f = fopen(path, "re");
	unsigned char *data = NULL;
	size_t n = 0, cap = 0;

	if (!f) {
		ok(false, "%s can be opened", path);
		return;
	}
	for (int c; (c = getc(f)) != EOF;) {
		MEM_ROOM(data, n, cap);
		data[n++] = (unsigned char)c;
	}
	fclose(f);
	LLVMFuzzerTestOneInput(data, n);
	free(data);
	ok(true, "%s", path);
}

static void run_path(const char *path)
{
	struct dirent **list = NULL;
	int n = scandir(path, &list, NULL, alphasort);

	if (n < 0)
		run_file(path);
	for (int i = 0; i < n; i++) {
		AUTO(mem_freep) char *file = mem_printf("%s/%s", path, list[i]->d_name);

		if (list[i]->d_name[0] != '.')
			run_file(file);
		free(list[i]);
	}
	free(list);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		run_path(argv[i]);
	return done_testing();
}
