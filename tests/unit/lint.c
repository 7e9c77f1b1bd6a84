/* tests/unit/lint.c - configuration (spec/dockerfile.md 15.1) and the rules a file decides alone (15.2). */
#include "tests/tap.h"

#include "base/mem.h"
#include "parser/lint.h"

/* want: "Rule:first-last" for each finding in order, joined by blanks. */
static const struct { const char *name, *config, *text, *want; } cases[] = {
	{ "nothing to say", NULL, "FROM a AS b\nRUN x\n", "" },
	{ "stage name with an upper-case letter", NULL, "FROM a AS Build\n", "StageNameCasing:1-1" },
	{ "as in another case than FROM", NULL, "FROM a as b\n", "FromAsCasing:1-1" },
	{ "mixed case as", NULL, "FROM a As b\n", "FromAsCasing:1-1" },
	{ "all lower", NULL, "from a as b\nrun x\n", "" },
	{ "lower from, upper AS", NULL, "from a AS b\n", "FromAsCasing:1-1" },
	{ "mixed case from says nothing about as", NULL, "From a as b\n", "ConsistentInstructionCasing:1-1" },
	{ "empty continuation", NULL, "FROM a\nRUN x \\\n\n  y\n", "NoEmptyContinuation:4-4" },
	{ "empty continuation before a body", NULL, "FROM a\nRUN x \\\n\n <<EOF\nb\nEOF\n", "NoEmptyContinuation:4-4" },
	{ "majority upper", NULL, "FROM a\nRUN x\nrun y\n", "ConsistentInstructionCasing:3-3" },
	{ "majority lower", NULL, "from a\nrun x\nRUN y\n", "ConsistentInstructionCasing:3-3" },
	{ "a tie is upper", NULL, "FROM a\nrun x\n", "ConsistentInstructionCasing:2-2" },
	{ "mixed never counts", NULL, "from a\nRun x\n", "ConsistentInstructionCasing:2-2" },
	{ "global arguments do not count", NULL, "arg A\narg B\nFROM a\n", "" },
	{ "duplicate names", NULL, "FROM a AS x\nFROM b AS x\nFROM c AS x\n",
	  "DuplicateStageName:2-2 DuplicateStageName:3-3" },
	{ "reserved names", NULL, "FROM a AS scratch\nFROM b AS context\n", "ReservedStageName:1-1 ReservedStageName:2-2" },
	{ "maintainer", NULL, "FROM a\nMAINTAINER me\n", "MaintainerDeprecated:2-2" },
	{ "several lines are told", NULL, "FROM a\nMAINTAINER me \\\n and you\n", "MaintainerDeprecated:2-3" },
	{ "skip one", "skip=MaintainerDeprecated", "FROM a AS B\nMAINTAINER me\n", "StageNameCasing:1-1" },
	{ "skip two", "skip=MaintainerDeprecated, StageNameCasing", "FROM a AS B\nMAINTAINER me\n", "" },
	{ "skip all", "skip=all", "FROM a AS B\nMAINTAINER me\n", "" },
	{ "names are case-sensitive", "skip=maintainerdeprecated", "FROM a\nMAINTAINER me\n", "MaintainerDeprecated:2-2" },
	{ "experimental is off", NULL, "# no\nARG A\nFROM a\n", "" },
	{ "experimental on", "experimental=InvalidDefinitionDescription", "# no\nARG A\nFROM a\n",
	  "InvalidDefinitionDescription:2-2" },
	{ "experimental=all, skip does not matter", "skip=all;experimental=all", "# no\nARG A\nFROM a\n",
	  "InvalidDefinitionDescription:2-2" },
	{ "a good description", "experimental=all", "# A is\nARG A\n# b makes\nFROM a AS B\n", "StageNameCasing:4-4" },
	{ "a bad description of a stage", "experimental=all", "# makes\nFROM a AS b\n", "InvalidDefinitionDescription:2-2" },
	{ "an unnamed stage needs none", "experimental=all", "# makes\nFROM a\n", "" },
	{ "an empty comment ends the block", "experimental=all", "# makes\n#\nARG A\nFROM a\n", "" },
	{ "the last line counts", "experimental=all", "# x\n# A y\nARG A\nFROM a\n", "" },
	{ "an exception above the instruction", NULL, "FROM a\n# check=skip=MaintainerDeprecated\nMAINTAINER me\nMAINTAINER you\n",
	  "MaintainerDeprecated:4-4" },
	{ "an exception with blanks", NULL, "FROM a\n# check = skip=all\nMAINTAINER me\n", "" },
	{ "only the first exception counts", NULL,
	  "\n# check=skip=FromAsCasing\n#  check=skip=StageNameCasing\nFROM a as B\n", "StageNameCasing:4-4" },
	{ "malformed exceptions are none", NULL, "FROM a\n# check=skip\nMAINTAINER me\n", "MaintainerDeprecated:3-3" },
	{ "rules without exceptions", NULL, "FROM a AS x\n# check=skip=all\nFROM a AS x\n", "DuplicateStageName:3-3" },
	{ "experimental for one instruction", NULL, "\n# check=experimental=all\n# no\nARG A\nFROM a\n",
	  "InvalidDefinitionDescription:4-4" },
	/* comments for hadolint */
	{ "hadolint ignores one instruction", NULL, "FROM a\n# hadolint ignore=DL3006,DL4000\nMAINTAINER me\nMAINTAINER you\n",
	  "MaintainerDeprecated:4-4" },
	{ "hadolint with blanks and a reason", NULL, "FROM a\n#hadolint ignore=DL3006 , DL4000 # why\nMAINTAINER me\n", "" },
	{ "hadolint beside an exception", NULL, "FROM a\n# check=skip=UndefinedVar\n# hadolint ignore=DL4000\nMAINTAINER me\n", "" },
	{ "hadolint where there are no exceptions", NULL, "FROM a AS x\n# hadolint ignore=DL3024\nFROM a AS x\n", "" },
	{ "hadolint ignores something else", NULL, "FROM a\n# hadolint ignore=DL3006,DL400\nMAINTAINER me\n", "MaintainerDeprecated:3-3" },
	{ "hadolint for the whole file", NULL, "# x\n\n# hadolint global ignore=DL4000,DL3009\nFROM debian\nMAINTAINER me\nRUN apt-get update\n",
	  "" },
	{ "hadolint's own comment is not for the file", NULL, "# hadolint ignore=DL4000\nFROM a\nMAINTAINER me\n", "MaintainerDeprecated:3-3" },
	{ "hadolint for the file is at its head", NULL, "FROM a\n# hadolint global ignore=DL4000\nMAINTAINER me\n", "MaintainerDeprecated:3-3" },
	/* ours */
	{ "carriage returns in a command", NULL, "FROM a\r\nRUN <<EOF\r\necho\r\nEOF\r\n", "CarriageReturnInScript:2-4" },
	{ "carriage returns in a copied script", NULL, "FROM a\r\nCOPY <<EOF /x\r\n#!/bin/sh\r\nEOF\r\n",
	  "CarriageReturnInScript:2-4" },
	{ "carriage returns in a copied text", NULL, "FROM a\r\nCOPY <<EOF /x\r\nhi\r\nEOF\r\n", "" },
	{ "package lists stay", NULL, "FROM debian\nRUN apt-get update && apt-get install -y make\n", "PackageListsKept:2-2" },
	{ "package lists removed", NULL, "FROM debian\nRUN apt-get update && rm -rf /var/lib/apt/lists/*\n", "" },
	{ "package lists mounted", NULL, "FROM debian\nRUN --mount=type=cache,target=/var/lib/apt/ apt-get update\n", "" },
	{ "package lists of another stage", NULL, "FROM debian AS b\nRUN apt-get update\nFROM debian\nCOPY --from=b /a /a\n", "" },
	{ "package lists of the base stage", NULL, "FROM debian AS b\nRUN apt-get update\nFROM b\nRUN x\n",
	  "PackageListsKept:2-2" },
	{ "not a command of that name", NULL, "FROM debian\nRUN my-apt-get updates\n", "" },
	{ "everything copied before installation", NULL, "FROM node\nCOPY . .\nRUN npm ci\n", "CopyBeforeInstall:2-2" },
	{ "manifests first", NULL, "FROM node\nCOPY package.json .\nRUN npm ci\nCOPY . .\nRUN npm install x\n", "" },
	{ "from a stage", NULL, "FROM node\nCOPY --from=a . .\nRUN npm ci\n", "" },
	{ "a private key", NULL, "FROM a\nENV A=\"-----BEGIN OPENSSH PRIVATE KEY-----\"\n", "SecretValue:2-2" },
	{ "a private key in a here-document", NULL, "FROM a\nCOPY <<K /k\n-----BEGIN RSA PRIVATE KEY-----\nK\n", "SecretValue:2-4" },
	{ "a public key", NULL, "FROM a\nENV A=\"-----BEGIN PUBLIC KEY-----\"\n", "" },
	{ "an access key", NULL, "ARG A=AKIAIOSFODNN7EXAMPLE\nFROM a\n", "SecretValue:1-1" },
	{ "too short, too long, a part of something", NULL,
	  "FROM a\nENV A=AKIAIOSFODNN7EXAMPL B=AKIAIOSFODNN7EXAMPLES C=xAKIAIOSFODNN7EXAMPLE\n", "" },
	{ "a token", NULL, "FROM a\nLABEL t=ghp_0123456789abcdefghijABCDEFGHIJ012345\n", "SecretValue:2-2" },
	{ "a command sets one", NULL, "FROM a\nRUN export NPM_TOKEN=abcdef && npm publish\n", "SecretValue:2-2" },
	{ "for one command, quoted", NULL, "FROM a\nRUN x;DB_PASSWORD='hunter22' y\n", "SecretValue:2-2" },
	{ "asked for, not written", NULL,
	  "FROM a\nRUN TOKEN=$(cat /run/secrets/t) DB_PASSWORD=\"$X\" API_KEY=a${B} SECRET= x --token=abcdef\n", "" },
	{ "fingerprints and files", NULL, "FROM a\nRUN GPG_KEY=0123456789 KEY=abcdef PASSWORD_FILE=/run/secrets/p x\n", "" },
	{ "a secret that is none", NULL, "FROM a\n# check=skip=SecretValue\nRUN PASSWORD=changeme x\n", "" },
	{ "skip one of ours", "skip=CopyBeforeInstall", "FROM node\nCOPY . .\nRUN npm ci\n", "" },
};

static void run_case(size_t i)
{
	AUTO(file_freep) struct file *f = NULL;
	AUTO(buf_freep) struct buf got = BUF_MAX(10000);
	struct file_errors errors = { 0 };
	struct lint l = { 0 };

	if (file_parse("Dockerfile", slice_of(cases[i].text), &f, &errors) < 0) {
		ok(false, "%s: parses: %s", cases[i].name, err_text(errors.err[0]));
		file_errors_clear(&errors);
		return;
	}
	buf_str(&got, "");
	if (lint_init(&l, cases[i].config, NULL) == 0)
		lint_file(&l, f);
	for (size_t k = 0; k < l.nfound; k++)
		buf_printf(&got, "%s%s:%u-%u", k ? " " : "", lint_table[l.found[k].rule].name, l.found[k].line,
			   l.found[k].end_line);
	is_str(got.p, cases[i].want, cases[i].name);
	lint_clear(&l);
}

static const struct { const char *config; bool error; const char *err; } configs[] = {
	{ NULL, false, NULL },
	{ "", false, NULL },
	{ "error=true", true, NULL },
	{ "skip=A,B; error = 1 ", true, NULL },
	{ "skip=nobody;experimental=nobody;error=F", false, NULL },
	{ "skip=all;", false, "invalid check option" },
	{ "skip", false, "invalid check option" },
	{ "Skip=all", false, "invalid check option" },
	{ "error=maybe", false, "failed to parse check option" },
};

static void run_config(size_t i)
{
	AUTO(err_freep) struct err *e = NULL;
	struct lint l = { 0 };
	int rc = lint_init(&l, configs[i].config, &e);

	if (configs[i].err)
		ok(rc < 0 && strstr(err_cause(e), configs[i].err) && strstr(err_text(e), "failed to parse check options"),
		   "configuration '%s' is refused", configs[i].config);
	else
		ok(rc == 0 && l.error == configs[i].error, "configuration '%s'", configs[i].config ? configs[i].config : "");
	lint_clear(&l);
}

int main(void)
{
	char url[200];

	for (size_t i = 0; i < countof(cases); i++)
		run_case(i);
	for (size_t i = 0; i < countof(configs); i++)
		run_config(i);
	is_str(lint_url(LINT_UndefinedArgInFrom, url, sizeof(url)),
	       "https://docs.docker.com/go/dockerfile/rule/undefined-arg-in-from/", "address of a rule");
	ok(!lint_url(LINT_InvalidBaseImagePlatform, url, sizeof(url)), "one rule has no address");
	return done_testing();
}
