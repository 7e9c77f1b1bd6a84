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
printf 'ARG P\nFROM --platform=${P:-linux/amd64} scratch AS amd64\n' >"$T/lint/Global"
is "$(found lint -f "$T/lint/Global")" "" "15.2 a global ARG without a value is declared"
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
refused "1 a bad configuration decides before the text" 'invalid check option' <<<$'# check=foo=1\nFOO'
unlike "$out" 'unknown instruction' "1 which is not looked at"
refused "1 a frontend of others decides before the text" "asks for the frontend 'foo/bar'" <<<$'# syntax=foo/bar\nFOO'
unlike "$out" 'unknown instruction' "1 which may be in another language"
refused "15.1 a bad configuration" 'invalid check option' <<<$'# check=foo=1\nFROM scratch'
like "$out" 'Dockerfile:1' "19.2 row 8: with its line"
refused "15.1 a bad argument" 'failed to parse build-arg:BUILDKIT_DOCKERFILE_CHECK' --build-arg BUILDKIT_DOCKERFILE_CHECK=error=x <<<'FROM scratch'
refused "15.1 a bad boolean" 'failed to parse check option' <<<$'# check=error=maybe\nFROM scratch'
printf '# check=experimental=InvalidDefinitionDescription\n# base is\nARG foo=1\n# other thing\nFROM scratch AS x\n' >"$T/lint/Dockerfile"
is "$(found lint)" "$(printf 'InvalidDefinitionDescription 3\nInvalidDefinitionDescription 5')" "15.2 an experimental rule"
printf 'FROM busybox:1.35 AS broken\nENV A=${X:?boom}\n' >"$T/lint/Dockerfile"
status 1 "16.1 an error while checking" "$KILN" build --call=check "$T/lint"
like "$out" 'X: boom' "16.1 is told"
is "$("$KILN" build --call=check,format=json "$T/lint" 2>/dev/null </dev/null | json - '[d["buildError"]["message"].find("boom") > 0, d["sources"][0]["language"]]')" '[true, "Dockerfile"]' "16.1 in JSON too"
is "$("$KILN" build --call=check,format=json "$T/lint" 2>/dev/null </dev/null | json - 'd["sources"][0]["data"]' | tr -d '"' | base64 -d | cmp - "$T/lint/Dockerfile" && echo same)" same "16.1 the file itself is there as base64"
printf 'FROM busybox:1.35 AS ok\nCMD x\nFROM scratch AS other\nCMD y\n' >"$T/lint/Dockerfile"
is "$(found lint --target ok)" 'JSONArgsRecommended 2' "16.1 the target's closure only"
status 0 "16.1 ignorestatus" "$KILN" build --call=check,ignorestatus=true "$T/lint"
printf 'FROM busybox:1.35\nHEALTHCHECK CMD x\nSHELL ["/bin/sh","-c"]\nCMD x\nENV PUBLIC_TOKEN=1 TOKENS=1 KEYS=2 MY_KEY_FILE=1\nARG A\nRUN echo $A $UNKNOWN\nCOPY <<E /x\n$A\nE\nEXPOSE $PORTS\nWORKDIR /a\nWORKDIR b\n' >"$T/lint/Dockerfile"
is "$(found lint)" "" "15.2 what is no finding"

# ---- 16.1 as SARIF, and a file that does not parse
printf 'FROM scratch AS B\nMAINTAINER m\xc3\xa9\nENV \xc3\xa9=1 API_KEY=x\nRUN apt-get update\nENV B=${A:?no}\n' >"$T/lint/a b:c"
sarif() { "$KILN" build --call=check,format=sarif -f "$T/lint/$1" "$T/lint" 2>/dev/null </dev/null; }
sarif "a b:c" >"$T/sarif"
cat >"$T/sarif.py" <<'EOT'
import json, sys
d = json.load(open(sys.argv[1]))
assert d["version"] == "2.1.0" and d["$schema"].endswith("sarif-2.1.0.json") and len(d["runs"]) == 1
run = d["runs"][0]
rules = run["tool"]["driver"]["rules"]
assert run["tool"]["driver"]["name"] and run["columnKind"] == "unicodeCodePoints"
assert len({r["id"] for r in rules}) == len(rules) and all(r["shortDescription"]["text"] for r in rules)
assert all(r["defaultConfiguration"]["level"] in ("note", "warning", "error") for r in rules)
for r in run["results"]:
    where = r["locations"][0]["physicalLocation"]
    g = where["region"]
    assert rules[r["ruleIndex"]]["id"] == r["ruleId"] and r["level"] == rules[r["ruleIndex"]]["defaultConfiguration"]["level"]
    assert where["artifactLocation"]["uri"] == run["artifacts"][where["artifactLocation"]["index"]]["location"]["uri"]
    assert not set(where["artifactLocation"]["uri"].removeprefix("file://")) & set(" :")
    assert g["startLine"] > 0 and g.get("endLine", g["startLine"]) >= g["startLine"]
    print(r["ruleId"], r["level"], g["startLine"], g.get("startColumn", "-"), g.get("endLine", "-"), g.get("endColumn", "-"))
EOT
same "16.1 SARIF 2.1.0: rules, results, places in characters" "$(python3 "$T/sarif.py" "$T/sarif" 2>&1)" <<'EOT'
StageNameCasing warning 1 17 1 18
MaintainerDeprecated warning 2 1 2 14
SecretsUsedInArgOrEnv warning 3 9 3 18
PackageListsKept note 4 1 4 19
UndefinedVar warning 5 5 5 15
BuildError error 5 5 - -
EOT
is "$(sarif "a b:c" | sha256sum)" "$(sha256sum <"$T/sarif")" "16.1 the same bytes again"
status 125 "16.3 SARIF is for findings" "$KILN" build --call=targets,format=sarif "$T/lint"
printf 'FROM scratch\nRUNN x\nCOPY --frm=a b c\nFRM y\n' >"$T/lint/bad"
status 1 "16.1 a file that does not parse" "$KILN" build --check -f "$T/lint/bad" "$T/lint"
is "$(grep -cE '^error: .*bad:[234]:[16]: unknown' <<<"$out")" 3 "16.1 each error with its place" || diag "$out"
is "$("$KILN" build --call=check,format=json -f "$T/lint/bad" "$T/lint" 2>/dev/null </dev/null | json - '[d["buildError"]["message"], d["buildError"]["location"]["ranges"][0]["start"]["line"], d["warnings"], len(d["sources"])]')" \
    '["unknown instruction: RUNN", 2, [], 1]' "16.1 buildError and its line"
sarif bad >"$T/sarif"
same "16.1 all of them in SARIF" "$(python3 "$T/sarif.py" "$T/sarif" 2>&1)" <<'EOT'
BuildError error 2 1 - -
BuildError error 3 6 - -
BuildError error 4 1 - -
EOT
printf '# hadolint global ignore=DL4000\nFROM scratch\nMAINTAINER me\n# hadolint ignore=DL3000,DL3025\nWORKDIR rel\nCMD x\n' >"$T/lint/Dockerfile"
is "$(found lint)" 'JSONArgsRecommended 6' "15.1 comments for hadolint"

# ---- ours, where the files or the command line decide
mkdir -p "$T/ours/bin" "$T/ours/.git/objects/pack"
printf '#!/bin/sh\r\necho\r\n' | tee "$T/ours/entry.sh" "$T/ours/hidden.sh" >"$T/ours/bin/run"
printf '#!/bin/sh\necho \r\n' >"$T/ours/good.sh"
printf 'a\r\n' >"$T/ours/text"
chmod +x "$T/ours/bin/run" "$T/ours/text"
echo hidden.sh >"$T/ours/.dockerignore"
echo ref >"$T/ours/.git/HEAD"
truncate -s 120M "$T/ours/.git/objects/pack/p.pack"
printf 'FROM scratch AS a\nCOPY entry.sh good.sh /\nFROM scratch AS b\nCOPY --exclude=.git . /\nFROM scratch AS c\n# check=skip=CarriageReturnInScript\nCOPY . /\nFROM busybox:1.35\nCOPY entry.sh text /\nRUN sed -i "s/\\\\r//" /entry.sh\nFROM scratch\nCOPY --from=a /entry.sh /\nADD bin /\n' >"$T/ours/Dockerfile"
same "scripts that will not start, the history in a large context" "$(found ours)" <<'EOT'
CarriageReturnInScript 13
CarriageReturnInScript 2
CarriageReturnInScript 4
CarriageReturnInScript 4
HistoryCopied 7
EOT
status 0 "advice is no failure of a check" "$KILN" build --check "$T/ours"
like "$out" "'bin/run' ends in CR LF" "the script is named"
unlike "$out" 'hidden.sh' "one that the ignore file hides is not"
status 0 "a build says so, too" "$KILN" build --progress=plain --target c "$T/ours"
like "$out" 'warning: HistoryCopied: The context is over 100 MB' "and where .git belongs"
# Patterns: what they match is opened, too; what they match nothing for is told (9.2 rule 5, 19.1).
mkdir -p "$T/ours/docs"
touch "$T/ours/docs/a.md" "$T/ours/package.json"
printf 'hidden.sh\ndocs/a.md\n' >"$T/ours/.dockerignore"
printf 'FROM scratch\nCOPY *.sh b*n /s/\nCOPY docs/[a-z].md /\nCOPY *.jsn /\nCOPY yarn.lock* package.jsn* none-of-*-these /\nCOPY --parents ./*.jsn docs/./[a-z].md **/[a-z].md b*n/./s?ub/*.jsn **/run */*.md none-of* /\nCOPY h*.sh /\n# check=skip=PatternMatchesNothing\nCOPY *.jsn /\n' >"$T/ours/Wild"
same "what patterns match, and do not" "$(found ours -f "$T/ours/Wild")" <<'EOT'
CarriageReturnInScript 2
CarriageReturnInScript 2
CarriageReturnInScript 6
PatternMatchesNothing 3
PatternMatchesNothing 4
PatternMatchesNothing 6
PatternMatchesNothing 6
PatternMatchesNothing 6
PatternMatchesNothing 6
PatternMatchesNothing 7
EOT
built "patterns, in a build" ours -f "$T/ours/Wild"
like "$out" "'docs/\[a-z\].md' matches nothing: 'docs/a.md' is hidden by .dockerignore:2: docs/a.md" "the line that hides what would match"
like "$out" "'\*.jsn' matches nothing \(did you mean 'package.json'" "the name that nearly matches"
like "$out" "'entry.sh' ends in CR LF" "scripts that a pattern matches"
printf '{}' >"$T/named.json"
mkdir "$T/named" && mv "$T/named.json" "$T/named/package.json"
printf 'FROM busybox:1.35 AS build\nRUN mkdir -p /out/e && touch /out/app.class\nFROM scratch\nCOPY --from=build /out/*.clas /out/a* /out/lock* /a/\nCOPY --from=build /out/e/* /b/\nCOPY --from=other *.jsn /c/\n# check=skip=PatternMatchesNothing\nCOPY --from=build /out/?.x /a/\nCOPY --from=busybox:1.35 /etc/paswd[x] /d/\nCOPY --parents --from=build /out/./**/*.clas /o?t/./*.class /ou[x]/./* **/app.clas? lib/** out/lock* /f/\nCOPY --parents --exclude=*.class --from=build out/./*.class /g/\n' >"$T/ours/Stage"
built "patterns that match nothing in a stage, an image, a named context" ours -f "$T/ours/Stage" --build-context "other=$T/named" --build-arg BUILDKIT_DOCKERFILE_CHECK='error=true'
same "are told when they are looked for" "$(grep -o "PatternMatchesNothing: .*" <<<"$out")" <<'EOT'
PatternMatchesNothing: '/out/*.clas' matches nothing in the stage 'build' (did you mean '/out/app.class'?)
PatternMatchesNothing: '/out/e/*' matches nothing in the stage 'build'
PatternMatchesNothing: '*.jsn' matches nothing in the context 'other' (did you mean 'package.json'?)
PatternMatchesNothing: '/etc/paswd[x]' matches nothing in the image 'busybox:1.35' (did you mean '/etc/passwd'?)
PatternMatchesNothing: '/out/./**/*.clas' matches nothing in the stage 'build'
PatternMatchesNothing: '/ou[x]/./*' matches nothing in the stage 'build'
PatternMatchesNothing: 'lib/**' matches nothing in the stage 'build'
EOT
truncate -s 1M "$T/ours/.git/objects/pack/p.pack"
is "$(found ours --target c)" "" "a small context may have its history"
truncate -s 120M "$T/ours/.git/objects/pack/p.pack"
echo .git >>"$T/ours/.dockerignore"
is "$(found ours --target c)" "" "one that is ignored is not there"
printf 'FROM scratch\nARG PLAIN\nENV A=$PLAIN\n' >"$T/ours/Dockerfile"
is "$(found ours --build-arg PLAIN=glpat-abcdefghij0123456789)" "SecretValue 2" "a build argument with the form of a token"
is "$(found ours --build-arg PLAIN=glpat-short)" "" "and one without"
status 0 "the check" "$KILN" build --check --build-arg PLAIN=glpat-abcdefghij0123456789 "$T/ours"
unlike "$out" 'abcdefghij' "does not show it"
printf 'FROM scratch\nENV A=AKIAIOSFODNN7EXAMPLE\n' >"$T/ours/Dockerfile"
status 0 "a key in the file" "$KILN" build --check "$T/ours"
like "$out" 'This ENV holds what looks like an AWS access key' "is told"
unlike "$out" 'AKIA' "and not shown"

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
dockerfile mounts <<'EOT'
ARG A=1 I=expanded
FROM busybox:1.35
ARG A=own I
RUN --mount=TYPE=Secret,target=/x/by-target,required=T --mount=type=secret,source=by-source --mount=type=secret,id=$I --mount=type=bind,id=no,target=/y --mount=type=ssh,required=False true
EOT
is "$("$KILN" build --call=outline,format=json "$T/mounts" 2>/dev/null </dev/null | json - '[[(s["name"], s.get("required", False)) for s in d["secrets"] + d["ssh"]], [(a["name"], a["value"], a["location"]["ranges"][0]["start"]["line"]) for a in d["args"]]]')" \
    '[[["by-target", true], ["by-source", false], ["expanded", false], ["default", false]], [["I", "expanded", 1], ["A", "own", 3]]]' "16.2, 8.6 ids as RUN sees them; an ARG with a default of its own stands where it is" || "$KILN" build --call=outline "$T/mounts"
printf 'ARG U=1 B=2 A=$B C=$A\nARG C=$L L=9\nFROM busybox:$C\n' >"$T/mounts/Dockerfile"
is "$("$KILN" build --call=outline,format=json --build-arg C=1.35 "$T/mounts" 2>/dev/null </dev/null | json - '[a["name"] for a in d["args"]]')" \
    '["A", "B", "C"]' "16.2 what a default mentions, all the way up; not what comes below it"
mkdir -p "$T/args"
python3 -c 'for i in range(45000): print(f"ARG G{i}=$G{i - 1}")
print("FROM scratch")
for i in range(45000): print(f"ARG A{i}=1 G{i}")' >"$T/args/Dockerfile"
is "$(timeout 20 "$KILN" build --call=outline "$T/args" 2>&1 </dev/null | wc -l)" 90002 "16.2 very many arguments are listed in no time"
mkdir -p "$T/near"
awk 'BEGIN { print "FROM scratch"; for (i = 0; i < 8000; i++) print "ENV some_variable_with_a_long_name_" i "_=x"
    for (i = 0; i < 8000; i++) print "LABEL l=$same_variable_with_a_long_name_" i }' >"$T/near/Dockerfile"
status 1 "15.2, 19.1 very many unknown variables that look like very many known ones" timeout 20 "$KILN" build --check "$T/near"
like "$out" "some_variable_with_a_long_name_0_?" "19.1 the first of them are told what they were meant to be"
is "$(grep -c "usage of undefined variable '.same_variable" <<<"$out")" 8000 "15.2 all of them are found"
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
