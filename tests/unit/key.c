/* tests/unit/key.c - keys are unambiguous, and depend on all they are told. */
#include "base/mem.h"
#include "cache/key.h"
#include "tests/tap.h"

static struct digest dig(const char *s)
{
	struct digest d;

	digest_of(s, strlen(s), &d);
	return d;
}

static struct digest def_of(struct keyer *k)
{
	struct digest d;

	key_end(k, &d, NULL, NULL);
	key_clear(k);
	return d;
}

/* Each makes a key; all must differ from each other. */
static void k0(struct keyer *k) { key_init(k, "RUN"); }
static void k1(struct keyer *k) { key_init(k, "COPY"); }
static void k2(struct keyer *k) { key_init(k, "RUN"); key_text(k, "a", "b"); }
static void k3(struct keyer *k) { key_init(k, "RUN"); key_text(k, "a", NULL); }
static void k4(struct keyer *k) { key_init(k, "RUN"); key_text(k, "a", ""); }
static void k5(struct keyer *k) { key_init(k, "RUN"); key_text(k, "ab", ""); }
static void k6(struct keyer *k) { key_init(k, "RUN"); key_text(k, "a", "1"); }
static void k7(struct keyer *k) { key_init(k, "RUN"); key_u64(k, "a", 1); }
static void k8(struct keyer *k) { key_init(k, "RUN"); key_slice(k, "a", SLICE_LIT("b\0c")); }
static void k9(struct keyer *k) { key_init(k, "RUN"); key_slice(k, "a", SLICE_LIT("b\0d")); }
static void k10(struct keyer *k) { key_init(k, "RUN"); key_list(k, "a", (struct key_items){ 0 }); }
static void k11(struct keyer *k)
{
	struct digest d = dig("b");

	key_init(k, "RUN");
	key_digest(k, "a", &d);
}
static void k12(struct keyer *k)
{
	struct digest d = dig("b");

	key_init(k, "RUN");
	key_input(k, "a", &d, &d);
}
static void k13(struct keyer *k) { key_init(k, "RUN"); key_text(k, "a", "b"); key_text(k, "c", "d"); }
static void k14(struct keyer *k) { key_init(k, "RUN"); key_text(k, "c", "d"); key_text(k, "a", "b"); }

static void distinct(void)
{
	static void (*const make[])(struct keyer *k) = { k0, k1, k2, k3, k4, k5, k6, k7, k8, k9, k10, k11, k12, k13, k14 };
	struct digest d[countof(make)];

	for (size_t i = 0; i < countof(make); i++) {
		struct keyer k;
		bool alone = true;

		make[i](&k);
		d[i] = def_of(&k);
		make[i](&k);
		struct digest again = def_of(&k);
		for (size_t j = 0; j < i; j++)
			alone = alone && !digest_equal(&d[i], &d[j]);
		ok(alone && digest_equal(&d[i], &again), "K2: key %zu is its own, and stays", i);
	}
}

static void two_kinds(void)
{
	struct digest def1 = dig("def1"), def2 = dig("def2"), content = dig("content"), a, b, ca, cb;
	struct keyer k;
	bool has = false;

	key_init(&k, "RUN");
	key_input(&k, "parent", &def1, &content);
	key_end(&k, &a, &ca, &has);
	ok(has && !digest_equal(&a, &ca), "both keys, and they are kept apart");
	key_clear(&k);

	key_init(&k, "RUN");
	key_input(&k, "parent", &def2, &content);
	key_end(&k, &b, &cb, &has);
	ok(!digest_equal(&a, &b), "a rebuilt parent changes the definition key");
	ok(digest_equal(&ca, &cb), "a parent of the same content keeps the content key");
	key_clear(&k);

	key_init(&k, "RUN");
	key_input(&k, "parent", &def1, NULL);
	key_end(&k, &b, &cb, &has);
	ok(!has && digest_equal(&a, &b), "without the parent's content there is only the definition key");
	key_clear(&k);
}

int main(void)
{
	distinct();
	two_kinds();
	return done_testing();
}
