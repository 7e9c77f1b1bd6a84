#!/bin/bash
# Checks, outline, targets, doc comments (spec/dockerfile.md 15, 16); options that are refused (14).
. "$(dirname "$0")/../lang.sh"

# found FILE-CONTEXT ARGS... - what a check finds: "Rule line"
found() {
    local dir=$1
    shift
    "$KILN" build --call=check,format=json "$@" "$T/$dir" 2>/dev/null </dev/null | json - '"\n".join(sorted("%s %d" % (w["ruleName"], w["location"]["ranges"][0]["start"]["line"]) for w in d["warnings"]))'
}
mkdir -p "$T/lint"
echo hidden >"$T/lint/.dockerignore"
touch "$T/lint/hidden"
cat >"$T/lint/Dockerfile" <<'EOT'
ARG BASE
ARG PW=x
FROM --platform=$TARGETPLATFORM busybox:1.35 as Upper
MAINTAINER me
Env A 1
run echo \

  x
FROM busybox:${VARIANT:-1.35} AS upper
FROM --platform=linux/amd64 scratch AS context
WORKDIR rel
CMD echo one
CMD ["x"]
ARG MY_PASSWORD PUBLIC_KEY
ENV TOKEN_FILE=a API_TOKEN=b
COPY hidden $NOPE /x/
EXPOSE 80/TCP 1.2.3.4:1:2
FROM $BASE AS last
HEALTHCHECK NONE
HEALTHCHECK CMD x
# check=skip=UndefinedVar
ENV Z=$NOTHING
EOT
same "15.2 rules and where" "$(found lint --build-arg BASE=scratch)" <<'EOT'
ConsistentInstructionCasing 5
ConsistentInstructionCasing 6
CopyIgnoredFile 16
DuplicateStageName 9
ExposeInvalidFormat 17
ExposeProtoCasing 17
FromAsCasing 3
FromPlatformFlagConstDisallowed 10
InvalidDefaultArgInFrom 18
JSONArgsRecommended 12
LegacyKeyValueFormat 5
MaintainerDeprecated 4
MultipleInstructionsDisallowed 12
MultipleInstructionsDisallowed 19
NoEmptyContinuation 8
RedundantTargetPlatform 3
ReservedStageName 10
SecretsUsedInArgOrEnv 14
SecretsUsedInArgOrEnv 15
StageNameCasing 3
UndefinedArgInFrom 9
UndefinedVar 16
WorkdirRelativePath 11
EOT
c=$(cat "$T/lint/Dockerfile")
status 1 "16.1 findings: status 1" "$KILN" build --check --build-arg BASE=scratch "$T/lint"
like "$out" 'Check complete, [0-9]+ warnings have been found!' "16.1 and a sentence"
like "$out" '^WARNING: StageNameCasing - https://docs.docker.com/go/dockerfile/rule/stage-name-casing/' "16.1 rule and address"
printf '# check=skip=all\n%s\n' "$c" >"$T/lint/Dockerfile"
is "$(found lint --build-arg BASE=scratch)" "" "15.1 skip=all"
status 0 "16.1 nothing: status 0" "$KILN" build --check --build-arg BASE=scratch "$T/lint"
like "$out" 'Check complete, no warnings found\.' "16.1 and says so"
is "$(found lint --build-arg BASE=scratch --build-arg 'BUILDKIT_DOCKERFILE_CHECK=skip=UndefinedVar, ConsistentInstructionCasing')" "$(found lint --build-arg BASE=scratch --build-arg BUILDKIT_DOCKERFILE_CHECK= | grep -vE '^(UndefinedVar|Consistent)')" \
    "15.1 the argument replaces the directive"
printf '# check=error=true\nFROM busybox:1.35\nCMD x\nRUN touch /ran\n' >"$T/lint/Dockerfile"
nok "15.1 error=true" kb lint
kb lint >/dev/null
like "$out" 'lint violation found for rules: JSONArgsRecommended' "15.1 names the rules"
unlike "$out" 'RUN touch' "15.1 and runs nothing"
refused "15.1 a bad configuration" 'invalid check option' <<<$'# check=foo=1\nFROM scratch'
refused "15.1 a bad boolean" 'failed to parse check option' <<<$'# check=error=maybe\nFROM scratch'
printf '# check=experimental=InvalidDefinitionDescription\n# base is\nARG foo=1\n# other thing\nFROM scratch AS x\n' >"$T/lint/Dockerfile"
is "$(found lint)" "$(printf 'InvalidDefinitionDescription 3\nInvalidDefinitionDescription 5')" "15.2 an experimental rule"
printf 'FROM busybox:1.35 AS broken\nENV A=${X:?boom}\n' >"$T/lint/Dockerfile"
status 1 "16.1 an error while checking" "$KILN" build --call=check "$T/lint"
like "$out" 'X: boom' "16.1 is told"
is "$("$KILN" build --call=check,format=json "$T/lint" 2>/dev/null </dev/null | json - '[d["buildError"]["message"].find("boom") > 0, d["sources"][0]["language"]]')" '[true, "Dockerfile"]' "16.1 in JSON too"
printf 'FROM busybox:1.35 AS ok\nCMD x\nFROM scratch AS other\nCMD y\n' >"$T/lint/Dockerfile"
is "$(found lint --target ok)" 'JSONArgsRecommended 2' "16.1 the target's closure only"
status 0 "16.1 ignorestatus" "$KILN" build --call=check,ignorestatus=true "$T/lint"
printf 'FROM busybox:1.35\nHEALTHCHECK CMD x\nSHELL ["/bin/sh","-c"]\nCMD x\nENV PUBLIC_TOKEN=1 TOKENS=1 KEYS=2 MY_KEY_FILE=1\nARG A\nRUN echo $A $UNKNOWN\nCOPY <<E /x\n$A\nE\nEXPOSE $PORTS\nWORKDIR /a\nWORKDIR b\n' >"$T/lint/Dockerfile"
is "$(found lint)" "" "15.2 what is no finding"

# ---- 16.2, 16.3, 16.4
dockerfile outline <<'EOT'
# BASE is the image
# VER the version
ARG BASE=busybox VER=1.35
ARG UNUSED=1

# build makes it
#
# Build makes all of it
# build compiles
FROM ${BASE}:${VER} AS Build
# A describes A
ARG A=1 B TARGETOS
ARG VER
RUN --mount=type=secret,id=tok,required --mount=type=ssh --mount=type=secret,id=opt,target=/x true
FROM busybox:1.35 AS nope
ARG C
RUN --mount=type=secret,id=never true
# final is the last one
FROM build AS final
RUN --mount=type=ssh,id=git,required true
FROM --platform=$BUILDPLATFORM scratch
EOT
o() { "$KILN" build --call="$1",format=json "${@:2}" "$T/outline" 2>/dev/null </dev/null; }
is "$(o outline --target final --build-arg A=given | json - '[d["name"], d["description"], [[a["name"], a.get("description", ""), a.get("value", "")] for a in d["args"]]]')" \
    '["final", "is the last one", [["BASE", "is the image", "busybox"], ["VER", "the version", "1.35"], ["A", "describes A", "given"], ["B", "", ""]]]' "16.2, 16.4 arguments of the target" || o outline --target final
is "$(o outline --target final | json - '[[(s["name"], s.get("required", False)) for s in d["secrets"]], [(s["name"], s.get("required", False)) for s in d["ssh"]]]')" \
    '[[["tok", true], ["opt", false]], [["default", false], ["git", true]]]' "16.2 secrets and agents"
status 0 "16.2 as text" "$KILN" build --call=outline --target build "$T/outline"
like "$out" '^TARGET: +build' "16.2 header"
like "$out" '^BUILD ARG +VALUE +DESCRIPTION' "16.2 a table"
like "$out" '^SECRET +REQUIRED' "16.2 of secrets"
like "$out" '^tok +true' "16.2 required"
is "$(o targets | json - '[[t.get("name", ""), t.get("default", False), t.get("description", ""), t.get("base", ""), t.get("platform", "")] for t in d["targets"]]')" \
    '[["build", false, "compiles", "${BASE}:${VER}", ""], ["nope", false, "", "busybox:1.35", ""], ["final", false, "is the last one", "build", ""], ["", true, "", "scratch", "$BUILDPLATFORM"]]' "16.3 targets" || o targets
status 0 "16.3 as text" "$KILN" build --call=targets "$T/outline"
like "$out" '^TARGET +DESCRIPTION' "16.3 a table"
like "$out" '^\(default\)' "16.3 the default"

# ---- 14
mkdir -p "$T/bad"
while IFS='|' read -r opt re; do
    # shellcheck disable=SC2086
    refused "14 $opt" "$re" $opt <<<$'FROM busybox:1.35\nRUN true'
done <<'EOT'
--platform=a/b/c/d|failed to parse target platform
--ulimit=nope=1|ulimit
--ulimit=nofile=5:2|ulimit
--add-host=a=b|failed to parse IP|add-host
--network=nope|netmode|network
--shm-size=x|shm-size
--build-arg=SOURCE_DATE_EPOCH=nope|invalid SOURCE_DATE_EPOCH: nope
--build-arg=BUILDKIT_SYNTAX=some/frontend|frontend|syntax
EOT
printf '# syntax=example.com/other:1\nFROM scratch\nENV A=1\n' | dockerfile syn
nok "2.2.4 another frontend" kb syn
kb syn >/dev/null
like "$out" "example.com/other:1.*" "2.2.4 is named"
built "2.2.4 it can be overruled" syn --build-arg BUILDKIT_SYNTAX=docker/dockerfile:1.7-labs
printf '# syntax=docker/dockerfile:1@sha256:%064d\nFROM scratch\nENV A=1\n' 1 | dockerfile syn
built "2.2.4 the official one" syn
printf 'FROM scratch AS A\nCOPY f /\nFROM scratch AS b\nCOPY f /\nCOPY --from=a /f /g\n' | dockerfile ncf
touch "$T/ncf/f"
kb ncf
kb ncf --no-cache-filter a
is "$(grep -c ' cached$' <<<"$out")" 2 "14 --no-cache-filter: one stage" || diag "$out"
registry_down
done_testing
