/* tests/unit/config.c - edits of an image config, history and times (spec/dockerfile.md 6.3, 6.4, 18, H.1). */
#include "layers/config.h"
#include "base/mem.h"
#include "tests/tap.h"

static const struct platform amd64 = { .os = "linux", .arch = "amd64" };

static struct image_layer layer(unsigned char seed)
{
	struct image_layer l = { 0 };

	digest_of(&seed, 1, &l.diff);
	return l;
}

static bool is_inner(struct image *im, const char *member, const char *want, const char *name)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(1 << 16);
	struct jval *v = jval_get(config_inner(im), member);

	if (v)
		jval_print(v, &b, 0);
	return is_str(v ? b.p : "absent", want, name);
}

static const char *created(const struct image *im, size_t i)
{
	struct jval *v = jval_get(jval_at(jval_get(im->config, "history"), i), "created");

	return v ? jval_str(v) : "none";
}

static void env(void)
{
	AUTO(image_clear) struct image im = { 0 };

	image_scratch(&im, &amd64);
	config_env_set(&im, "A", "1");
	config_env_set(&im, "B", "");
	config_env_set(&im, "A", "2=3");
	is_inner(&im, "Env", "[\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\",\"A=2=3\",\"B=\"]",
		 "a variable keeps its place when it gets a new value");
	is_str(config_env_get(&im, "A"), "2=3", "a value may hold '='");
	is_str(config_env_get(&im, "B"), "", "an empty value is a value");
	is_str(config_env_get(&im, "C"), NULL, "an unknown variable has none");
	is_int((long long)config_env_count(&im), 3, "three variables");
}

static void members(void)
{
	AUTO(image_clear) struct image im = { 0 };
	static const char *const argv[] = { "/bin/sh", "-c", "run \"me\"" };
	static const char *const test[] = { "CMD-SHELL", "wget -q localhost" };
	struct health h = { .test = test, .ntest = 2, .interval = 90000000000, .retries = 2 };

	image_scratch(&im, &amd64);
	config_list_set(&im, "Cmd", argv, 3);
	is_inner(&im, "Cmd", "[\"/bin/sh\",\"-c\",\"run \\\"me\\\"\"]", "a command is a list");
	is_str(config_list_at(&im, "Cmd", 2), "run \"me\"", "and can be read by index");
	is_str(config_list_at(&im, "Cmd", 3), "", "behind its end there is nothing");
	config_list_null(&im, "Cmd");
	is_int((long long)config_list_count(&im, "Cmd"), 0, "a nulled command is empty");
	config_set_add(&im, "ExposedPorts", "80/tcp");
	config_set_add(&im, "ExposedPorts", "53/udp");
	is_inner(&im, "ExposedPorts", "{\"80/tcp\":{},\"53/udp\":{}}", "ports are a set");
	config_label_set(&im, "my key", "its");
	config_label_set(&im, "my key", "mine");
	is_inner(&im, "Labels", "{\"my key\":\"mine\"}", "the later label wins");
	config_health_set(&im, &h);
	is_inner(&im, "Healthcheck", "{\"Test\":[\"CMD-SHELL\",\"wget -q localhost\"],\"Interval\":90000000000,\"Retries\":2}",
		 "zero durations are left out");
	config_text_set(&im, "User", "app");
	is_str(config_text(&im, "User"), "app", "a user");
	config_text_set(&im, "User", "");
	is_inner(&im, "User", "absent", "an empty text removes the member");
	config_finish(&im, &amd64, 0, INT64_MIN);
	is_inner(&im, "Cmd", "absent", "an empty command is not written");
}

static void begin(void)
{
	AUTO(image_clear) struct image im = { 0 };
	size_t n = 0;
	static const char text[] = "{\"created\":\"2020-01-01T00:00:00Z\",\"x.unknown\":1,\"moby.buildkit.cache.v0\":\"e30=\","
				   "\"config\":{\"WorkingDir\":\"a/../b/./c/\",\"OnBuild\":[\"RUN x\",\"COPY a b\"],\"Odd\":true}}";

	ok(jdoc_parse(slice_of(text), "text", &im.config, NULL) == 0, "a base config");
	char **onbuild = config_begin(&im, &n);
	is_int((long long)n, 2, "two triggers are handed out");
	is_str(n == 2 ? onbuild[1] : "", "COPY a b", "in order");
	is_inner(&im, "OnBuild", "absent", "and are gone from the config");
	is_inner(&im, "WorkingDir", "\"/b/c\"", "the working directory is absolute and clean");
	is_inner(&im, "Odd", "true", "unknown members stay");
	ok(!jval_get(im.config, "created") && !jval_get(im.config, "moby.buildkit.cache.v0") && jval_get(im.config, "x.unknown"),
	   "the base's time and cache go, what we do not know stays");
	ok(config_env_get(&im, "PATH") != NULL, "PATH is added");
	for (size_t i = 0; i < n; i++)
		free(onbuild[i]);
	free(onbuild);
}

static void times(void)
{
	AUTO(image_clear) struct image im = { 0 };
	AUTO(image_clear) struct image clamped = { 0 };
	struct image_layer base = layer(0), one = layer(1), two = layer(2);

	image_scratch(&im, &amd64);
	config_layer(&im, &base);
	config_history(&im, "base", 1000, false);
	config_history(&im, "ENV A=1", INT64_MIN, true);
	config_history(&im, "RUN a", INT64_MIN, false);
	config_history(&im, "ENV B=1", INT64_MIN, true);
	config_history(&im, "RUN b", 3000, false);
	config_history(&im, "CMD x", INT64_MIN, true);
	config_layer(&im, &one);
	config_layer(&im, &two);
	config_history_time(&im, 2, 2000);
	image_copy(&clamped, &im);
	config_finish(&im, &amd64, 1, INT64_MIN);
	is_str(created(&im, 0), "1970-01-01T00:16:40Z", "an inherited entry keeps its time");
	is_str(created(&im, 1), "1970-01-01T00:33:20Z", "metadata before the first new layer gets that layer's time");
	is_str(created(&im, 3), "1970-01-01T00:33:20Z", "metadata behind a layer gets its time");
	is_str(created(&im, 5), "1970-01-01T00:50:00Z", "the last entry too");
	is_str(jval_str(jval_get(im.config, "created")), "1970-01-01T00:50:00Z", "the image is as old as its last entry");
	is_int((long long)jval_len(jval_get(jval_get(im.config, "rootfs"), "diff_ids")), 3, "every layer has its diff ID");
	config_finish(&clamped, &amd64, 1, 500);
	is_str(created(&clamped, 0), "1970-01-01T00:16:40Z", "an epoch leaves inherited entries alone");
	is_str(created(&clamped, 4), "1970-01-01T00:08:20Z", "and clamps the new ones");
	is_str(jval_str(jval_get(clamped.config, "created")), "1970-01-01T00:08:20Z", "and the image");
}

static void counts(void)
{
	AUTO(image_clear) struct image few = { 0 };
	AUTO(image_clear) struct image many = { 0 };
	AUTO(image_clear) struct image none = { 0 };
	AUTO(buf_freep) struct buf b = BUF_MAX(1 << 16);
	struct image_layer l = layer(1);

	image_scratch(&few, &amd64);
	config_layer(&few, &l);
	config_layer(&few, &l);
	config_history(&few, "RUN a", 5, false);
	config_finish(&few, &amd64, 0, INT64_MIN);
	is_int((long long)config_history_count(&few), 2, "a layer without history gets an entry");
	image_scratch(&many, &amd64);
	config_history(&many, "RUN a", 5, false);
	config_finish(&many, &amd64, 0, INT64_MIN);
	bool empty = false;
	jval_get_bool(jval_at(jval_get(many.config, "history"), 0), "empty_layer", &empty, NULL);
	ok(empty, "an entry without layer is marked empty");
	image_scratch(&none, &amd64);
	config_finish(&none, &amd64, 0, INT64_MIN);
	image_config_bytes(&none, &b);
	is_str(b.p,
	       "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"Env\":[\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:"
	       "/usr/bin:/sbin:/bin\"],\"WorkingDir\":\"/\"},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}",
	       "an empty image is small");
}

int main(void)
{
	env();
	members();
	begin();
	times();
	counts();
	return done_testing();
}
