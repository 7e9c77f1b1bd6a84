/* layers/fuzz_image.c - manifests and configs from bytes; what parses prints and parses again to the same.
 *
 * Input: a manifest or index, a NUL byte, a config.
 */
#include "layers/config.h"
#include "base/mem.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void round_trip(struct image *im)
{
	AUTO(buf_freep) struct buf config = BUF_MAX(16 << 20);
	AUTO(buf_freep) struct buf bytes = BUF_MAX(16 << 20);
	struct manifest m = { 0 };
	struct image again = { 0 };
	struct digest d;
	size_t n = 0;

	char **onbuild = config_begin(im, &n);
	for (size_t i = 0; i < n; i++)
		free(onbuild[i]);
	free(onbuild);
	config_env_set(im, "K", "v");
	config_history(im, "RUN x", 1, true);
	config_finish(im, NULL, 0, 1000000000);
	image_config_bytes(im, &config);
	digest_of(config.p, config.n, &d);
	if (image_manifest(im, &d, (int64_t)config.n, false, &bytes, NULL) < 0)
		return;
	assert(manifest_parse(buf_view(&bytes), NULL, &m, NULL) == 0 && m.nitem == im->nlayer);
	assert(image_from(&m, buf_view(&config), &again, NULL) == 0);
	for (size_t i = 0; i < im->nlayer; i++)
		assert(digest_equal(&im->layer[i].diff, &again.layer[i].diff));
	manifest_clear(&m);
	image_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice manifest = { (const char *)data, size }, config = SLICE_NONE;
	struct platform want = { .os = "linux", .arch = "amd64" };
	struct err *e = NULL;
	struct manifest m = { 0 };
	struct image im = { 0 };
	size_t k = 0;

	slice_cut(manifest, '\0', &manifest, &config);
	if (manifest_parse(manifest, NULL, &m, &e) == 0) {
		if (m.kind == DOC_INDEX) {
			if (manifest_choose(&m, &want, &k, &e) == 0)
				assert(k < m.nitem);
		} else if (image_from(&m, config, &im, &e) == 0) {
			round_trip(&im);
		}
	}
	err_free(e);
	manifest_clear(&m);
	image_clear(&im);
	return 0;
}
