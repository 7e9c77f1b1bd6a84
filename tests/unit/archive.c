/* tests/unit/archive.c - archives written, read back, and hostile ones refused. */
#include "registry/archive.h"

#include "base/at.h"
#include "base/fd.h"
#include "base/mem.h"
#include "layers/comp.h"
#include "layers/tarout.h"
#include "../tap.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define OCI_LAYER "application/vnd.oci.image.layer.v1.tar"

static struct {
	char top[64];
	int root;
	struct buf layer[2], config, manifest;
	struct descriptor blob[2];
} w;

static void store_put(struct slice s, struct digest *ret)
{
	char hex[DIGEST_HEX + 1], path[100];

	digest_of(s.p, s.n, ret);
	digest_hex(ret, hex);
	snprintf(path, sizeof(path), "store/blobs/sha256/%s", hex);
	AUTO(fd_closep) int fd = openat(w.root, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || fd_write_all(fd, s.p, s.n, NULL) < 0)
		abort();
}

static int to_buf(void *arg, const void *p, size_t n, struct err **e)
{
	buf_add(arg, p, n);
	return 0;
}

struct part {
	enum entry_type type;
	const char *path, *link;
	struct slice bytes;
};

/* A tar of these parts. */
static void tar_make(struct buf *out, const struct part *part, size_t n)
{
	const struct tarout_opts o = { .clamp_mtime = INT64_MAX, .plain = true };
	struct sink *k = tarout_new(to_buf, out, &o);

	for (size_t i = 0; i < n; i++) {
		struct entry en = {
			.type = part[i].type, .path = part[i].path, .link = part[i].link, .mode = 0644, .size = part[i].bytes.n,
		};

		if (k->ops->entry(k, &en, NULL) < 0 || (part[i].bytes.n && k->ops->data(k, part[i].bytes.p, part[i].bytes.n, NULL) < 0))
			abort();
	}
	if (k->ops->end(k, NULL) < 0)
		abort();
	sink_free(&k);
}

static void gzip_make(struct buf *out, struct slice s)
{
	struct compw *c = comp_gzip.writer(comp_gzip.level_default, 1, to_buf, out);

	if (comp_gzip.write(c, s.p, s.n, NULL) < 0 || comp_gzip.finish(c, NULL) < 0)
		abort();
	comp_gzip.free(c);
}

static void file_put(const char *name, struct slice s)
{
	AUTO(fd_closep) int fd = openat(w.root, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || fd_write_all(fd, s.p, s.n, NULL) < 0)
		abort();
}

static void world_make(void)
{
	const struct part a = { ENTRY_FILE, "etc/hello", NULL, SLICE_LIT("hello\n") }, b = { ENTRY_FILE, "x", NULL, SLICE_LIT("x") };
	struct buf plain = BUF_MAX(1 << 20);
	struct digest diff[2], config;

	snprintf(w.top, sizeof(w.top), "/tmp/kiln-archive-XXXXXX");
	if (!mkdtemp(w.top))
		abort();
	w.root = openat(AT_FDCWD, w.top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (at_mkdirs(w.root, "store/blobs/sha256", 0700, NULL) < 0)
		abort();
	w.layer[0] = w.layer[1] = w.config = w.manifest = (struct buf)BUF_MAX(1 << 20);
	tar_make(&w.layer[0], &a, 1);
	tar_make(&plain, &b, 1);
	gzip_make(&w.layer[1], buf_view(&plain));
	digest_of(w.layer[0].p, w.layer[0].n, &diff[0]);
	digest_of(plain.p, plain.n, &diff[1]);
	buf_free(&plain);
	for (int i = 0; i < 2; i++) {
		store_put(buf_view(&w.layer[i]), &w.blob[i].digest);
		w.blob[i].size = (int64_t)w.layer[i].n;
		snprintf(w.blob[i].media_type, sizeof(w.blob[i].media_type), "%s%s", OCI_LAYER, i ? "+gzip" : "");
	}
	buf_printf(&w.config, "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":"
			      "[\"%s\",\"%s\"]}}", digest_text(&diff[0]).s, digest_text(&diff[1]).s);
	store_put(buf_view(&w.config), &config);
	buf_printf(&w.manifest, "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":{\"mediaType\":"
				"\"application/vnd.oci.image.config.v1+json\",\"digest\":\"%s\",\"size\":%zu},\"layers\":[", digest_text(&config).s, w.config.n);
	for (int i = 0; i < 2; i++)
		buf_printf(&w.manifest, "%s{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%jd}", i ? "," : "", w.blob[i].media_type,
			   digest_text(&w.blob[i].digest).s, (intmax_t)w.blob[i].size);
	buf_str(&w.manifest, "]}");
}

static bool have_none(void *arg, const struct digest *d, int64_t size)
{
	return false;
}

static int on_blob(void *arg, const struct digest *d, int64_t size, struct err **e)
{
	(*(size_t *)arg)++;
	return 0;
}

static char *at_top(const char *name)
{
	return mem_printf("%s/%s", w.top, name);
}

static int read_for(const char *path, const char *ref, const char *arch, bool lone, struct archive_found **f, size_t *n, size_t *blobs,
		    struct err **e)
{
	struct transfer_calls c = { .arg = blobs, .have = have_none, .blob = on_blob };
	struct platform p = { .os = "linux" };

	snprintf(p.arch, sizeof(p.arch), "%s", arch);
	at_rmtree(w.root, "in", NULL);
	if (at_mkdir(w.root, "in", 0700, e) < 0)
		return -1;
	AUTO(fd_closep) int dir = at_open_store(w.root, "in", O_RDONLY | O_DIRECTORY, 0, e);
	*blobs = 0;
	return archive_read(path, 0, dir, ref, &p, lone, &c, f, n, e);
}

static int read_it(const char *path, const char *ref, const char *arch, struct archive_found **f, size_t *n, size_t *blobs, struct err **e)
{
	return read_for(path, ref, arch, false, f, n, blobs, e);
}

static bool layers_there(void)
{
	for (int i = 0; i < 2; i++) {
		char hex[DIGEST_HEX + 1], path[100];
		AUTO(buf_freep) struct buf b = BUF_MAX(1 << 20);

		digest_hex(&w.blob[i].digest, hex);
		snprintf(path, sizeof(path), "in/%s", hex);
		if (at_read(w.root, path, &b, NULL) != 0 || !slice_equal(buf_view(&b), buf_view(&w.layer[i])))
			return false;
	}
	return true;
}

static const char *const names[] = { "docker.io/library/first:1", "example.com/second:2", NULL };

static void round_trip(enum archive_form form, const char *file, const char *what)
{
	AUTO(mem_freep) char *path = at_top(file);
	AUTO(fd_closep) int store = at_open_store(w.root, "store", O_RDONLY | O_DIRECTORY, 0, NULL);
	const struct archive_image im = {
		.name = names, .manifest = buf_view(&w.manifest), .config = buf_view(&w.config),
		.media_type = "application/vnd.oci.image.manifest.v1+json", .blob = w.blob, .nblob = 2,
	};
	struct archive_found *f = NULL;
	struct err *e = NULL;
	size_t n = 0, blobs = 0;

	ok(archive_write(form, path, store, &im, 1, NULL, &e) == 0, "%s is written", what);
	ok(read_it(path, NULL, "amd64", &f, &n, &blobs, &e) == 0 && n == 1 && blobs == 2 && layers_there(), "%s is read back", what);
	if (e) {
		printf("# %s\n", err_cause(e));
		err_free(e);
		return;
	}
	ok(f[0].nname == 2 && strcmp(f[0].name[0], names[0]) == 0 && strcmp(f[0].name[1], names[1]) == 0, "%s keeps both names", what);
	ok(slice_equal(buf_view(&f[0].manifest), buf_view(&w.manifest)) && slice_equal(buf_view(&f[0].config), buf_view(&w.config)),
	   "%s keeps the bytes of its documents", what);
	archive_found_free(f, n);
	ok(read_it(path, "first:1", "amd64", &f, &n, &blobs, &e) == 0 && n == 1, "%s: an image is found by its name", what);
	archive_found_free(f, n);
	ok(read_it(path, "third", "amd64", &f, &n, &blobs, &e) < 0 && strstr(err_cause(e), "no image called"), "%s: or not", what);
	err_free(take(&e));
	ok(read_it(path, NULL, "arm64", &f, &n, &blobs, &e) < 0 && strstr(err_cause(e), "none for linux/arm64"), "%s: nor for another platform", what);
	err_free(take(&e));
	ok(read_for(path, NULL, "arm64", true, &f, &n, &blobs, &e) == 0 && n == 1, "%s: but for the one image that is there", what);
	archive_found_free(f, n);
}

static void written_again(void)
{
	AUTO(mem_freep) char *path = at_top("oci");
	AUTO(mem_freep) char *a = at_top("a.tar");
	AUTO(mem_freep) char *b = at_top("b.tar");
	AUTO(fd_closep) int store = at_open_store(w.root, "store", O_RDONLY | O_DIRECTORY, 0, NULL);
	static const char *const third[] = { "example.com/second:2", "example.com/third:3", NULL };
	struct archive_image im = {
		.name = third, .manifest = buf_view(&w.manifest), .config = buf_view(&w.config),
		.media_type = "application/vnd.oci.image.manifest.v1+json", .blob = w.blob, .nblob = 2,
	};
	struct archive_found *f = NULL;
	struct err *e = NULL;
	size_t n = 0, blobs = 0;
	AUTO(buf_freep) struct buf x = BUF_MAX(1 << 20);
	AUTO(buf_freep) struct buf y = BUF_MAX(1 << 20);

	ok(archive_write(ARCHIVE_OCI_DIR, path, store, &im, 1, NULL, &e) == 0 && read_it(path, NULL, "amd64", &f, &n, &blobs, &e) == 0 && n == 1 &&
	   f[0].nname == 3, "a directory gets a name more, and the same name stays once");
	archive_found_free(f, n);
	ok(archive_write(ARCHIVE_OCI_TAR, a, store, &im, 1, NULL, &e) == 0 && archive_write(ARCHIVE_OCI_TAR, b, store, &im, 1, NULL, &e) == 0 &&
	   at_read(w.root, "a.tar", &x, &e) == 0 && at_read(w.root, "b.tar", &y, &e) == 0 && slice_equal(buf_view(&x), buf_view(&y)),
	   "the same image gives the same tar");
	snprintf(w.blob[1].media_type, sizeof(w.blob[1].media_type), "%s+zstd", OCI_LAYER);
	ok(archive_write(ARCHIVE_DOCKER_TAR, a, store, &im, 1, NULL, &e) < 0 && err_kind(e) == ERR_INPUT, "a docker archive takes no zstd");
	err_free(take(&e));
	snprintf(w.blob[1].media_type, sizeof(w.blob[1].media_type), "%s+gzip", OCI_LAYER);
	char hex[DIGEST_HEX + 1], blob[100];
	digest_hex(&w.blob[0].digest, hex);
	snprintf(blob, sizeof(blob), "store/blobs/sha256/%s", hex);
	AUTO(fd_closep) int fd = openat(w.root, blob, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || pwrite(fd, "x", 1, 20) != 1)
		abort();
	ok(archive_write(ARCHIVE_OCI_TAR, b, store, &im, 1, NULL, &e) < 0, "a damaged blob does not leave the store");
	err_free(e);
	if (pwrite(fd, w.layer[0].p + 20, 1, 20) != 1)
		abort();
}

/* ---- archives of others */

#define HEX_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LAYOUT { ENTRY_FILE, "oci-layout", NULL, SLICE_LIT("{\"imageLayoutVersion\":\"1.0.0\"}") }
#define ONE(config, layers) "[{\"Config\":\"" config "\",\"RepoTags\":[\"a:1\"],\"Layers\":[" layers "]}]"
static const struct {
	const char *name;
	struct part part[6];
	const char *err;                 /* NULL: read */
} others[] = {
	{ "layers of an old docker archive that are links to others are followed once",
	  { { ENTRY_FILE, "c.json", NULL, { "C", 1 } }, { ENTRY_FILE, "one/layer.tar", NULL, { "L", 1 } },
	    { ENTRY_SYMLINK, "two/layer.tar", "../one/layer.tar", SLICE_NONE },
	    { ENTRY_FILE, "manifest.json", NULL, SLICE_LIT(ONE("c.json", "\"one/layer.tar\",\"two/layer.tar\"")) } }, NULL },
	{ "a layer that is a link out of the archive is refused",
	  { { ENTRY_FILE, "c.json", NULL, { "C", 1 } }, { ENTRY_SYMLINK, "l.tar", "/etc/passwd", SLICE_NONE },
	    { ENTRY_FILE, "manifest.json", NULL, SLICE_LIT(ONE("c.json", "\"l.tar\",\"l.tar\"")) } }, "not in the archive" },
	{ "a link to a link is refused",
	  { { ENTRY_FILE, "c.json", NULL, { "C", 1 } }, { ENTRY_SYMLINK, "l.tar", "m.tar", SLICE_NONE },
	    { ENTRY_SYMLINK, "m.tar", "l.tar", SLICE_NONE },
	    { ENTRY_FILE, "manifest.json", NULL, SLICE_LIT(ONE("c.json", "\"l.tar\",\"l.tar\"")) } }, "a link to a link" },
	{ "a path that leads out is refused",
	  { { ENTRY_FILE, "c.json", NULL, { "C", 1 } },
	    { ENTRY_FILE, "manifest.json", NULL, SLICE_LIT(ONE("../../c.json", "\"l.tar\"")) } }, "'..'" },
	{ "a member that is there twice is refused",
	  { { ENTRY_FILE, "c.json", NULL, { "C", 1 } }, { ENTRY_FILE, "c.json", NULL, SLICE_LIT("{}") } }, "is there twice" },
	{ "a named pipe is refused", { { ENTRY_FIFO, "p", NULL, SLICE_NONE } }, "neither a file nor a directory" },
	{ "another number of layers than the config says is refused",
	  { { ENTRY_FILE, "c.json", NULL, { "C", 1 } }, { ENTRY_FILE, "l.tar", NULL, { "L", 1 } },
	    { ENTRY_FILE, "manifest.json", NULL, SLICE_LIT(ONE("c.json", "\"l.tar\"")) } }, "its config names 2" },
	{ "a blob that is not what its name says is refused",
	  { LAYOUT, { ENTRY_FILE, "blobs/sha256/" HEX_A, NULL, SLICE_LIT("x") } }, "refusing to use it" },
	{ "a layout of another version is refused",
	  { { ENTRY_FILE, "oci-layout", NULL, SLICE_LIT("{\"imageLayoutVersion\":\"2.0\"}") },
	    { ENTRY_FILE, "index.json", NULL, SLICE_LIT("{\"schemaVersion\":2,\"manifests\":[]}") } }, "1.0.0 is understood" },
	{ "a manifest that is not there is said to be missing",
	  { LAYOUT, { ENTRY_FILE, "index.json", NULL,
		      SLICE_LIT("{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\","
				"\"digest\":\"sha256:" HEX_A "\",\"size\":3}]}") } }, "is not in the archive" },
	{ "an empty layout has no image", { LAYOUT, { ENTRY_FILE, "index.json", NULL, SLICE_LIT("{\"schemaVersion\":2,\"manifests\":[]}") } },
	  "no image" },
	{ "a tar that is no archive of images is told apart", { { ENTRY_FILE, "x", NULL, SLICE_LIT("x") } }, "there is neither" },
};

static void foreign(void)
{
	AUTO(mem_freep) char *path = at_top("foreign.tar");
	AUTO(mem_freep) char *packed = at_top("foreign.tar.gz");

	for (size_t i = 0; i < countof(others); i++) {
		struct part part[6];
		size_t count = 0, n = 0, blobs = 0;
		struct buf tar = BUF_MAX(1 << 20), gz = BUF_MAX(1 << 20);
		struct archive_found *f = NULL;
		struct err *e = NULL;

		for (; count < 6 && others[i].part[count].path; count++) {
			part[count] = others[i].part[count];
			if (slice_is(part[count].bytes, "C"))
				part[count].bytes = buf_view(&w.config);
			if (slice_is(part[count].bytes, "L"))
				part[count].bytes = buf_view(&w.layer[0]);
		}
		tar_make(&tar, part, count);
		file_put("foreign.tar", buf_view(&tar));
		gzip_make(&gz, buf_view(&tar));
		file_put("foreign.tar.gz", buf_view(&gz));
		for (int k = 0; k < 2; k++) {
			int rc = read_it(k ? packed : path, NULL, "amd64", &f, &n, &blobs, &e);
			bool good = others[i].err ? rc < 0 && strstr(err_cause(e), others[i].err) : rc == 0 && n == 1;

			ok(good, "%s%s", others[i].name, k ? ", compressed" : "");
			if (!good)
				printf("# rc %d: %s\n", rc, e ? err_cause(e) : "");
			err_free(take(&e));
			if (rc == 0)
				archive_found_free(f, n);
		}
		buf_free(&tar);
		buf_free(&gz);
	}
}

/* Nothing of the failures above stays behind. */
static void tidy(void)
{
	struct at_names n = { 0 };
	bool clean = at_list(w.root, &n, NULL) == 0;

	for (size_t i = 0; i < n.n; i++)
		clean = clean && !slice_starts(slice_of(n.name[i]), ".tmp-");
	at_names_clear(&n);
	ok(clean, "no temporary file is left");
}

/* The folder made by mkdtemp() below /tmp goes. */
static void folder_drop(const char *path)
{
	AUTO(fd_closep) int tmp = openat(AT_FDCWD, "/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ok(tmp >= 0 && at_rmtree(tmp, path + strlen("/tmp/"), NULL) == 0, "nothing is left behind");
}

int main(void)
{
	world_make();
	round_trip(ARCHIVE_OCI_TAR, "oci.tar", "an OCI tar");
	round_trip(ARCHIVE_DOCKER_TAR, "docker.tar", "a docker archive");
	round_trip(ARCHIVE_OCI_DIR, "oci", "an OCI directory");
	written_again();
	foreign();
	tidy();
	if (!getenv("KEEP"))
		folder_drop(w.top);
	else
		printf("# %s\n", w.top);
	buf_free(&w.layer[0]);
	buf_free(&w.layer[1]);
	buf_free(&w.config);
	buf_free(&w.manifest);
	close(w.root);
	return done_testing();
}
