/* parser/fuzz_flags.c - any bytes as a --mount value, a size, a duration: printing and reading again gives the same. */
#include "base/mem.h"
#include "parser/flags.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void print_csv(char *const *v, size_t n, struct buf *out)
{
	for (size_t i = 0; i < n; i++) {
		buf_str(out, i ? ",\"" : "\"");
		for (const char *c = v[i]; *c; c++) {
			if (*c == '"')
				buf_char(out, '"');
			buf_char(out, *c);
		}
		buf_char(out, '"');
	}
}

static void check_csv(struct slice text)
{
	AUTO(buf_freep) struct buf printed = BUF_MAX(4 << 20);
	char **v = NULL, **again = NULL;
	size_t n = 0, nagain = 0;

	if (csv_split(text, &v, &n, NULL) < 0)
		return;
	print_csv(v, n, &printed);
	assert(csv_split(buf_view(&printed), &again, &nagain, NULL) == 0 && n == nagain);
	for (size_t i = 0; i < n; i++)
		assert(strcmp(v[i], again[i]) == 0);
	csv_free(v, n);
	csv_free(again, nagain);
}

static void check_duration(struct slice text)
{
	AUTO(buf_freep) struct buf printed = BUF_MAX(100);
	int64_t ns = 0, again = 0;

	if (parse_duration(text, &ns, NULL) < 0)
		return;
	print_duration(ns, &printed);
	assert(parse_duration(buf_view(&printed), &again, NULL) == 0 && ns == again);
}

static char *same(void *arg, const char *text, struct err **e)
{
	return mem_str(text);
}

static void check_mount(const char *spec)
{
	AUTO(mem_freep) char *from = NULL;
	AUTO(err_freep) struct err *e = NULL;
	struct mount_opts m = { 0 };

	if (mount_parse(spec, same, NULL, &m, &e) < 0) {
		assert(e && err_kind(e) == ERR_INPUT);
		return;
	}
	assert(mount_from(spec, &from, NULL) == 0 && !from == !m.from && (!from || strcmp(from, m.from) == 0));
	mount_opts_clear(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(mem_freep) char *text = mem_alloc(size + 1);
	uint64_t bytes = 0;

	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	check_csv(slice_of(text));
	check_duration(slice_of(text));
	check_mount(text);
	parse_size(slice_of(text), &bytes, NULL);
	return 0;
}
