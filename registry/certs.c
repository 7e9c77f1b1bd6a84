/* registry/certs.c - see certs.h.
 *
 *     *.crt            CA certificates (PEM), in addition to the system's
 *     X.cert + X.key   client certificate; one without the other is an error
 */
#include "registry/certs.h"

#include "base/mem.h"
#include "registry/userfile.h"

#include <stdlib.h>
#include <unistd.h>

enum { CA_MAX = 16 << 20, CERT_MAX = 1 << 20 };

/* The bundle that the system verifies with: libcurl itself does not look at SSL_CERT_FILE. */
static const char *system_bundle(void)
{
	static const char *const known[] = {
		"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem",
	};
	const char *file = getenv("SSL_CERT_FILE");

	if (file && *file)
		return file;
	for (size_t i = 0; i < countof(known); i++) {
		if (access(known[i], R_OK) == 0)
			return known[i];
	}
	return NULL;
}

static int add_ca(const char *path, struct certs *c, struct err **e)
{
	AUTO(buf_freep) struct buf pem = BUF_MAX(CERT_MAX);
	int rc = userfile_read(path, &pem, NULL, e);

	if (rc != 0)
		return rc < 0 ? -1 : 0;
	const char *bundle = c->ca.n ? NULL : system_bundle();
	if (bundle && userfile_read(bundle, &c->ca, NULL, e) < 0)
		return -1;
	buf_char(&c->ca, '\n');
	buf_slice(&c->ca, buf_view(&pem));
	return buf_ok(&c->ca, "the CA certificates", e);
}

static int one_file(const char *dir, const char *name, struct certs *c, struct err **e)
{
	AUTO(mem_freep) char *path = mem_printf("%s/%s", dir, name);
	AUTO(mem_freep) char *other = NULL;
	struct slice s = slice_of(name);

	if (slice_ends(s, ".crt"))
		return add_ca(path, c, e);
	if (!slice_ends(s, ".cert") && !slice_ends(s, ".key"))
		return 0;
	bool key = slice_ends(s, ".key");
	other = mem_printf("%s/%.*s.%s", dir, (int)(s.n - (key ? 4 : 5)), name, key ? "cert" : "key");
	if (access(other, F_OK) != 0)
		return err_set(e, ERR_HOST, "'%s' needs '%s' beside it", path, other);
	if (!key && !c->cert) {
		c->cert = take(&path);
		c->key = take(&other);
	}
	return 0;
}

static int read_dir(const char *dir, struct certs *c, struct err **e)
{
	size_t n = 0;
	int rc = 0;
	char **name = userfile_list(dir, "", &n);

	for (size_t i = 0; i < n; i++) {
		if (rc == 0)
			rc = one_file(dir, name[i], c, e);
		free(name[i]);
	}
	free(name);
	return rc;
}

static int search(const char *host, struct certs *c, struct err **e)
{
	AUTO(mem_freep) char *own = userfile_config("containers/certs.d");
	AUTO(mem_freep) char *docker = userfile_config("docker/certs.d");
	const char *const base[] = { own, "/etc/containers/certs.d", docker, "/etc/docker/certs.d" };

	for (size_t i = 0; i < countof(base); i++) {
		if (!base[i])
			continue;
		AUTO(mem_freep) char *dir = mem_printf("%s/%s", base[i], host);
		if (access(dir, R_OK | X_OK) == 0)
			return read_dir(dir, c, e);
	}
	return 0;
}

int certs_find(const char *host, const char *cert_dir, bool insecure, struct certs *ret, struct err **e)
{
	const char *dir = getenv("SSL_CERT_DIR");

	*ret = (struct certs){ .ca = BUF_MAX(CA_MAX) };
	if (host && (cert_dir ? read_dir(cert_dir, ret, e) : search(host, ret, e)) < 0) {
		certs_clear(ret);
		return err_wrap(e, "cannot read the certificates for %s", host);
	}
	ret->tls = (struct http_tls){
		.insecure = insecure, .ca_file = system_bundle(), .ca_dir = dir && *dir ? dir : NULL,
		.ca = buf_view(&ret->ca), .cert = ret->cert, .key = ret->key,
	};
	ret->guest = ret->tls;
	ret->guest.insecure = false;
	ret->guest.cert = ret->guest.key = NULL;
	return 0;
}

void certs_clear(struct certs *c)
{
	buf_free(&c->ca);
	free(c->cert);
	free(c->key);
	*c = (struct certs){ 0 };
}
