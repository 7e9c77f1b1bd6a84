#!/bin/bash
# The cache against a model: random edits of random small builds. A cached build is byte for byte what a forced one gives; a step only runs again
# when an input of it, or of what lies below, was changed; the printed reason names what was changed (spec/dockerfile.md 17).
. "$(dirname "$0")/../lang.sh"
kb_dir=$T/model
mkdir "$kb_dir"
cat >"$T/model.py" <<'PY'
import json, os, random, re, subprocess, sys

kiln, top, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
out = os.path.join(top, "out")
FILES = ["a", "b", "d/c", "d/e", "d/s/f", "x.txt", "y.txt"]


class Model:
    """What is on disk and in the Dockerfile; each line is (kind, text, what it reads)."""

    def __init__(self, rnd, ctx):
        self.rnd, self.ctx, self.n = rnd, ctx, 0
        self.content = {f: f for f in FILES}
        self.mode = {f: 0o644 for f in FILES}
        self.ignore, self.args, self.env = [], {"V": "1", "W": "1"}, {"E": "1"}
        self.lines = [self.line() for _ in range(rnd.randint(3, 5))]

    def line(self):
        self.n += 1
        n, r = self.n, self.rnd
        return r.choice([
            lambda: ("COPY", "COPY %s /c%d" % (f := r.choice(["a", "b", "d/c"]), n), [f]),
            lambda: ("COPY", "COPY d /d%d" % n, ["d/c", "d/e", "d/s/f"]),
            lambda: ("COPY", "COPY *.txt /t%d/" % n, ["x.txt", "y.txt"]),
            lambda: ("COPY", "COPY --chmod=0600 a d/ /m%d/" % n, ["a", "d/c", "d/e", "d/s/f"]),
            lambda: ("COPY", "COPY --link --exclude=s d /l%d/" % n, ["d/c", "d/e"]),
            lambda: ("COPY", "COPY . /all%d/" % n, list(FILES)),
            lambda: ("RUN", "RUN echo \"$V $E\" > /r%d; ls -R / > /dev/null 2>&1 || true" % n, ["V", "E"]),
            lambda: ("RUN", "RUN --mount=source=d,target=/mm cat /mm/* /mm/s/* > /b%d 2>/dev/null; true" % n, ["V", "E", "d/c", "d/e", "d/s/f"]),
        ])()

    def write(self):
        for f in FILES:
            p = os.path.join(self.ctx, f)
            os.makedirs(os.path.dirname(p), exist_ok=True)
            have = open(p).read() if os.path.exists(p) else None
            if have != self.content[f]:
                with open(p, "w") as o:
                    o.write(self.content[f])
            os.chmod(p, self.mode[f])
        with open(os.path.join(self.ctx, ".dockerignore"), "w") as o:
            o.write("Dockerfile\n.dockerignore\n" + "".join(i + "\n" for i in self.ignore))
        with open(os.path.join(self.ctx, "Dockerfile"), "w") as o:
            o.write("FROM busybox:1.35\nARG V\nENV E=%s\n%s\nARG W\n" % (self.env["E"], "\n".join(l[1] for l in self.lines)))

    def hidden(self, f):
        return any(f == i or f.startswith(i + "/") for i in self.ignore)

    def inputs(self, i):
        """Everything line i reads itself, as a value."""
        kind, text, reads = self.lines[i]
        v = [text]
        for r in reads:
            if r == "V":
                v.append(("V", self.args["V"]))
            elif r == "E":
                v.append(("E", self.env["E"]))
            elif not self.hidden(r):
                v.append((r, self.content[r], self.mode[r]))
        return tuple(v)

    def edit(self):
        """One random change; what a reason may call it."""
        r = self.rnd
        f = r.choice(FILES)
        what = r.choice(["content", "content", "mode", "mtime", "arg", "unused", "env", "ignore", "order", "line", "nothing", "back"])
        if what == "content":
            self.old = (f, self.content[f])
            self.content[f] = "%s-%d" % (f, r.randint(0, 5))
            return what, [f]
        if what == "mode":
            self.mode[f] ^= 0o111
            return what, [f]
        if what == "mtime":
            os.utime(os.path.join(self.ctx, f), (r.randint(1, 10 ** 9),) * 2)
            return what, []
        if what == "arg":
            self.args["V"] = str(r.randint(1, 3))
            return what, ["variable V"]
        if what == "unused":
            self.args["W"] = str(r.randint(1, 9))
            return what, []
        if what == "env":
            self.env["E"] = str(r.randint(1, 3))
            return what, ["variable E"]
        if what == "ignore":
            i = r.choice(["a", "d/e", "d/s", "x.txt"])
            self.ignore.remove(i) if i in self.ignore else self.ignore.append(i)
            return what, [i]
        if what == "order" and len(self.lines) > 1:
            i = r.randrange(len(self.lines) - 1)
            self.lines[i], self.lines[i + 1] = self.lines[i + 1], self.lines[i]
        if what == "line":
            self.lines[r.randrange(len(self.lines))] = self.line()
        if what == "back" and hasattr(self, "old"):
            self.content[self.old[0]] = self.old[1]
            return what, [self.old[0]]
        return what, None


def build(m, *more):
    cmd = [kiln, "build", "--progress=plain", "--build-arg", "SOURCE_DATE_EPOCH=1", "--build-arg", "V=" + m.args["V"], "--build-arg", "W=" + m.args["W"],
           "-o", "type=oci,dest=%s,tar=false,compression=uncompressed,rewrite-timestamp=true" % out, *more, m.ctx]
    subprocess.run(["rm", "-rf", out])
    p = subprocess.run(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if p.returncode:
        return None, None, p.stdout
    blob = lambda d: json.load(open(os.path.join(out, "blobs/sha256", d[7:])))
    man = blob(json.load(open(out + "/index.json"))["manifests"][0]["digest"])
    diffs = blob(man["config"]["digest"])["rootfs"]["diff_ids"]
    steps = {}
    for l in p.stdout.splitlines():
        if (g := re.match(r"#(\d+) \[(\d+)/\d+\] ", l)):
            steps[g[1]] = [int(g[2]) - 2, "done", ""]
        elif (g := re.match(r"#(\d+) (cached|run again: .*|first build.*|the cache is off.*)$", l)) and g[1] in steps:
            steps[g[1]][1 if g[2] == "cached" else 2] = g[2]
    return diffs, {s[0]: (s[1] != "cached", s[2]) for s in steps.values()}, p.stdout


def told(m, i, why, names, text):
    """By name; a mount by the step that took it from the context; the parent, when what changed below was built before and hit."""
    below = {r for l in m.lines[:i] for r in l[2]}
    return any(n in why or ("mount /mm" in why and "run again: file %s" % n in text) or ("parent changed" in why and n in below) for n in names)


bad = []
for seed in range(rounds // 10):
    rnd = random.Random(seed)
    ctx = os.path.join(top, "ctx%d" % seed)
    os.makedirs(ctx)
    m = Model(rnd, ctx)
    m.write()
    seen = set()             # (inputs of all lines up to here)
    previous = None
    for r in range(11):
        what, names = ("first", None) if r == 0 else m.edit()
        m.write()
        chain = [tuple(m.inputs(k) for k in range(i + 1)) for i in range(len(m.lines))]
        diffs, ran, text = build(m)
        where = "seed %d round %d (%s %s)" % (seed, r, what, names)
        if diffs is None:
            # A source that the ignore file hides is an error both ways.
            forced, _, text2 = build(m, "--no-cache")
            if forced is not None or "not found" not in text:
                bad.append("%s: the build failed\n%s" % (where, text))
            previous = None
            continue
        forced, _, text2 = build(m, "--no-cache")
        if diffs != forced:
            bad.append("%s: cached and forced differ\n%s\n%s\n%s" % (where, diffs, forced, text))
        first = True
        for i in range(len(m.lines)):
            again, why = ran.get(i, (True, ""))
            if again and chain[i] in seen:
                bad.append("%s: line %d ran though nothing was changed: %s\n%s" % (where, i, m.lines[i][1], text))
            # Only one thing was changed, and this is the first line that noticed: it has to say so.
            if again and first and previous and names and [l[1] for l in m.lines] == previous and not told(m, i, why, names, text):
                bad.append("%s: line %d has the reason '%s'\n%s" % (where, i, why, text))
            first = first and not again
        # The forced build has been kept as well.
        seen.update(chain)
        previous = [l[1] for l in m.lines]
print("%d rounds, %d found" % (rounds, len(bad)))
for b in bad[:4]:
    print(b)
sys.exit(bool(bad))
PY
start=$SECONDS
ok "17 forty random edits: a hit is what a forced build gives, a miss is justified, its reason names the input" python3 "$T/model.py" "$KILN" "$T" "${ROUNDS:-40}"
diag "$((SECONDS - start)) s"
registry_down
done_testing
