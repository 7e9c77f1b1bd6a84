/* tests/unit/retry.c - when a request that broke may try again (spec/threats.md R12): again() of registry/request.c. */
#include "registry/request.c"
#include "../tap.h"

static const struct {
	const char *name;
	int64_t seconds;                 /* since it last broke */
	uint64_t bytes;                  /* that came meanwhile */
	bool given_up;
} cases[] = {
	{ "the last attempt is the last", 1, 0, true },
	{ "a minute in which nothing came is no progress", 61, 0, true },
	{ "nor one in which a byte came", 61, 1, true },
	{ "a megabyte is", 1, 1 << 20, false },
	{ "so is a slow minute", 61, 60 << 10, false },
};

int main(void)
{
	for (size_t i = 0; i < countof(cases); i++) {
		struct net n = { .kind = ERR_SOURCE, .retries = 5 };
		struct request r = { .net = &n, .resume = true, .tries = 4, .good = 7000 + cases[i].bytes, .good_before = 7000 };
		struct err *why = NULL, *e = NULL;

		r.broke = clock_ns() - cases[i].seconds * SECOND;
		err_set(&why, ERR_SOURCE, "it broke");
		ok(again(&r, -1, why, &e) == 0 && r.done == cases[i].given_up && (r.err != NULL) == r.done, "R12: %s", cases[i].name);
		err_free(r.err);
	}
	return done_testing();
}
