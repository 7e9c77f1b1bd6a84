/* tests/regd.h - between the files of tests/regd.c: what it keeps, one request, and the ways to answer it. */
#pragma once
#include "base/digest.h"
#include "base/mem.h"

#include <poll.h>
#include <stdio.h>

enum { CONNS = 64, RULES = 64, ITEMS = 512, BODY_MAX = 256 << 20 };

struct rule {
	int left;                        /* -1: for ever, 0: used up */
	char *method, *word, *action, *arg;
};
struct item {                            /* a blob ("sha256:...") or a manifest ("repo/ref"), or an upload ("u7") */
	char *name, *type;
	struct buf bytes;
};
struct regd {
	int listener[2];
	unsigned port[2];
	FILE *log;
	struct rule rule[RULES];
	size_t nrule;
	char *scheme, *user, *password;
	struct item item[ITEMS];
	size_t nitem;
	unsigned uploads, tokens, oldest_token;
	struct pollfd fd[CONNS];
	int side[CONNS];
	size_t nfd;
};
struct req {
	struct regd *d;
	int fd, side;
	char method[16], path[4096], auth[4096], range[128], type[256], content_range[128];
	struct buf body;
	const struct rule *rule;
	bool alive;                      /* keep the connection */
};

/* Is that the action of the rule that counts for this request? */
bool acts(const struct req *q, const char *action);
/* %1, %2 and %p in an argument. */
char *expand(const struct req *q, const char *s);
void note(const struct req *q, int status);
void cut(struct req *q, bool reset);
/* headers: complete lines. body may be damaged by the rule. */
void answer(struct req *q, int status, const char *headers, struct slice body);
void failure(struct req *q, int status, const char *code, const char *headers);

/* tests/regd_api.c: by the rule, else as a registry does. */
void serve(struct req *q);
