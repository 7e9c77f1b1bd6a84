/* tests/unit/names.c - image names come and go as wholes. */
#include "cache/names.h"
#include "tests/unit/tmpstore.h"

static struct name_record example(const char *name)
{
	struct name_record r = {
		.name = mem_str(name), .config = tmpstore_digest("config"), .platform = mem_str("linux/amd64"),
		.source = mem_str("docker.io/library/alpine"), .created = 1700000000, .size = 12345, .nlayer = 2,
	};

	r.layer = mem_array(2, sizeof(*r.layer));
	r.layer[0].diff = tmpstore_digest("diff 0");
	r.layer[0].blob = tmpstore_digest("blob 0");
	r.layer[0].size = 77;
	snprintf(r.layer[0].media_type, sizeof(r.layer[0].media_type), "application/vnd.oci.image.layer.v1.tar+gzip");
	r.layer[1].diff = tmpstore_digest("diff 1");
	return r;
}

static bool same(const struct name_record *a, const struct name_record *b)
{
	if (strcmp(a->name, b->name) != 0 || !digest_equal(&a->config, &b->config) ||
	    !digest_equal(&a->manifest, &b->manifest) || strcmp(a->platform, b->platform) != 0 ||
	    strcmp(a->source, b->source) != 0 || b->repo_digest || a->created != b->created || a->size != b->size ||
	    a->nlayer != b->nlayer)
		return false;
	for (size_t i = 0; i < a->nlayer; i++)
		if (!digest_equal(&a->layer[i].diff, &b->layer[i].diff) ||
		    !digest_equal(&a->layer[i].blob, &b->layer[i].blob) || a->layer[i].size != b->layer[i].size ||
		    strcmp(a->layer[i].media_type, b->layer[i].media_type) != 0)
			return false;
	return true;
}

static void file_of(const char *name, char ret[96])
{
	struct digest d = tmpstore_digest(name);
	char hex[DIGEST_HEX + 1];

	digest_hex(&d, hex);
	snprintf(ret, 96, "refs/%.2s/%s.json", hex, hex);
}

static ino_t inode(struct store *s, const char *path)
{
	AUTO(fd_closep) int fd = at_open_store(s->fd, path, O_PATH, 0, NULL);
	struct stat st = { 0 };

	fstat(fd, &st);
	return st.st_ino;
}

int main(void)
{
	struct store *s = tmpstore_open();
	AUTO(name_record_clear) struct name_record a = example("docker.io/library/b:1"), got = { 0 };
	struct name_record *list = NULL;
	size_t n = 0, bad = 0;
	char path[96], other[96];

	is_int(names_get(s, a.name, &got, NULL), NAMES_MISS, "no name at first");
	is_int(names_put(s, &a, NULL), 0, "a name is put");
	ok(names_get(s, a.name, &got, NULL) == 0 && same(&a, &got), "and comes back whole");
	ok(!store_dirty(s), "it is on disk by itself");
	file_of(a.name, path);
	ino_t before = inode(s, path);
	names_put(s, &a, NULL);
	ok(inode(s, path) == before, "an unchanged one is not written");
	a.created++;
	names_put(s, &a, NULL);
	ok(inode(s, path) != before, "a changed one is");

	struct name_record c = example("docker.io/library/a:1");
	c.index = tmpstore_digest("index");
	c.more = mem_array(1, sizeof(*c.more));
	c.more[c.nmore++] = example("other");
	c.more[0].config = tmpstore_digest("config of the other platform");
	mem_freep(&c.more[0].platform);
	c.more[0].platform = mem_str("linux/arm64");
	names_put(s, &c, NULL);
	const struct digest c_index = c.index, c_other = c.more[0].config;
	name_record_clear(&c);
	ok(names_list(s, &list, &n, &bad, NULL) == 0 && n == 2 && bad == 0 &&
		   strcmp(list[0].name, "docker.io/library/a:1") == 0,
	   "the list is sorted by name");
	ok(digest_equal(name_id(&list[0]), &c_index) && digest_equal(name_id(&list[1]), &list[1].config),
	   "an index is what its name stands for, as the config is of one image");
	ok(list[0].nmore == 1 && digest_equal(&name_image(&list[0], 1)->config, &c_other) && name_image(&list[0], 1)->nlayer == 2 &&
		   strcmp(name_image(&list[0], 1)->platform, "linux/arm64") == 0 && !name_image(&list[0], 2) && name_size(&list[0]) == 2 * 12345,
	   "images of several platforms come back with their layers");
	names_list_free(list, n);

	/* A file under the name of another image: somebody copied it. */
	AUTO(buf_freep) struct buf text = BUF_MAX(1 << 16);
	at_read(s->fd, path, &text, NULL);
	file_of("docker.io/library/evil:1", other);
	store_make_parent(s, other, NULL);
	tmpstore_write(s, other, text.p);
	AUTO(name_record_clear) struct name_record evil = { 0 };
	is_int(names_get(s, "docker.io/library/evil:1", &evil, NULL), NAMES_MISS, "a record under another's name is none");
	ok(names_list(s, &list, &n, &bad, NULL) == 0 && n == 2 && bad == 1, "and counted as bad");
	names_list_free(list, n);

	tmpstore_bend(s, path);
	name_record_clear(&got);
	is_int(names_get(s, a.name, &got, NULL), NAMES_MISS, "a torn name is none");
	is_int(names_put(s, &a, NULL), 0, "and can be written again");
	ok(names_get(s, a.name, &got, NULL) == 0 && same(&a, &got), "over the torn one");
	is_int(names_delete(s, a.name, NULL), 0, "a name is deleted");
	is_int(names_delete(s, a.name, NULL), NAMES_MISS, "once");
	is_int(names_delete(s, "never/was:1", NULL), NAMES_MISS, "one that never was is a miss");
	store_close(s);
	tmpstore_remove();
	return done_testing();
}
