/* registry/helper.c - see helper.h. */
#include "registry/helper.h"

#include "base/mem.h"
#include "base/proc.h"

#include <stdlib.h>

enum { TIMEOUT_MS = 30000, ERRORS_MAX = 2048, SHOWN_MAX = 256 };

/* Helpers ask agents and cloud accounts; nothing else of our environment is theirs. */
static const char *const passed[] = {
	"PATH", "HOME", "USER", "LANG", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY",
	"WAYLAND_DISPLAY", "GNUPGHOME", "GPG_TTY", "PASSWORD_STORE_DIR", "DOCKER_CONFIG", "AWS_PROFILE", "AWS_REGION",
	"AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SDK_LOAD_CONFIG",
	"AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_ECR_CACHE_DIR",
	"GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG", "AZURE_CONFIG_DIR", "http_proxy", "https_proxy", "no_proxy",
	"HTTPS_PROXY", "NO_PROXY",
};

bool helper_name_ok(const char *name)
{
	for (const char *p = name; *p; p++) {
		bool word = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9');

		if (!word && (p == name || !strchr("._-", *p)))
			return false;
	}
	return *name && strlen(name) < 128;
}

static int failed(const char *program, int status, const struct buf *out, const struct buf *errors, struct err **e)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(4 * SHOWN_MAX);
	struct slice said = slice_trim(out->n ? buf_view(out) : buf_view(errors), " \t\r\n");

	/* Programs of the docker family fail with the reason on their standard output. */
	if (slice_is(slice_trim(buf_view(out), " \t\r\n"), "credentials not found in native keychain"))
		return HELPER_NONE;
	buf_escaped(&text, said, SHOWN_MAX);
	return err_set(e, ERR_HOST, "%s failed with status %d: %s", program, status, text.n ? text.p : "it gave no reason");
}

int helper_run(const char *name, const char *verb, struct slice input, struct buf *out, struct err **e)
{
	AUTO(mem_freep) char *program = mem_printf("docker-credential-%s", name);
	AUTO(mem_freep) char *path = NULL;
	AUTO(buf_freep) struct buf errors = BUF_MAX(ERRORS_MAX);
	char *env[countof(passed) + 1] = { NULL };
	size_t n = 0;

	if (!helper_name_ok(name))
		return err_set(e, ERR_HOST, "'%s' cannot be the name of a credential helper", name);
	path = proc_find(program);
	if (!path)
		return HELPER_ABSENT;
	for (size_t i = 0; i < countof(passed); i++) {
		char *line = proc_env(passed[i]);

		if (line)
			env[n++] = line;
	}
	const char *const argv[] = { path, verb, NULL };
	const struct proc_run r = {
		.argv = argv, .env = (const char *const *)env, .input = input, .dir = -1, .timeout_ms = TIMEOUT_MS,
		.out = out, .err = &errors,
	};
	int status = proc_run(&r, e);
	for (size_t i = 0; i < n; i++)
		free(env[i]);
	if (status < 0)
		return err_wrap(e, "cannot ask the credential helper '%s'", program);
	return status == 0 ? 0 : failed(program, status, out, &errors, e);
}
