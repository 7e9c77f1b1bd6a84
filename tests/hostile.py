#!/usr/bin/env python3
"""Hostile images: hostile.py BUSYBOX-LAYOUT OUT CANARY writes OUT/<case>/ (an OCI layout or a tar) and OUT/list.

A line of OUT/list is: case <TAB> verdict <TAB> sentence. Verdicts: "bad" (must be refused), "any" (refused or accepted,
harmless in any case), "good EXPRESSION" (must be accepted; EXPRESSION over the listing of the merged tree, see tests/t/7040-hostile.t). Tar headers are written by
hand, since no library writes such things. Rules are those of spec/threats.md 2 to 6.
"""
import base64
import gzip
import hashlib
import io
import json
import os
import shutil
import struct
import sys
import tarfile

BASE, OUT, CANARY = sys.argv[1:4]
CASES = []
MT = "application/vnd.oci.image."


def header(name, size=0, kind=b"0", mode=0o644, uid=0, gid=0, link=b"", magic=b"ustar\x0000", raw=None, dev=(0, 0)):
    """One header block. name and link are bytes; raw: {offset: bytes} written over it; the checksum is right."""
    name = name.encode() if isinstance(name, str) else name
    link = link.encode() if isinstance(link, str) else link
    def number(v, width):
        if isinstance(v, bytes):
            return v.ljust(width, b"\0")
        if v < 0 or v >= 8 ** (width - 1):
            return ((1 << (8 * width - 1)) | v if v >= 0 else (1 << (8 * width)) + v).to_bytes(width, "big")
        return b"%0*o\0" % (width - 1, v)
    h = bytearray(512)
    h[0:100] = name[:100].ljust(100, b"\0")
    h[100:108] = number(mode, 8)
    h[108:116] = number(uid, 8)
    h[116:124] = number(gid, 8)
    h[124:136] = number(size, 12)
    h[136:148] = number(1000000000, 12)
    h[156:157] = kind
    h[157:257] = link[:100].ljust(100, b"\0")
    h[257:265] = magic
    h[329:337] = number(dev[0], 8)
    h[337:345] = number(dev[1], 8)
    for at, b in (raw or {}).items():
        h[at:at + len(b)] = b
    if not raw or 148 not in raw:
        h[148:156] = b" " * 8
        h[148:156] = b"%06o\0 " % sum(h)
    return bytes(h)


def pad(data):
    return data + b"\0" * (-len(data) % 512)


def entry(name, data=b"", **kw):
    size = kw.pop("size", len(data))
    return header(name, size=size, **kw) + pad(data)


def directory(name, **kw):
    return header(name, kind=b"5", mode=kw.pop("mode", 0o755), **kw)


def symlink(name, to):
    return header(name, kind=b"2", mode=0o777, link=to)


def pax(records, kind=b"x"):
    body = b""
    for k, v in records:
        k = k.encode() if isinstance(k, str) else k
        v = v.encode() if isinstance(v, str) else v
        n = len(k) + len(v) + 3
        while len(b"%d" % n) + len(k) + len(v) + 3 != n:
            n = len(b"%d" % n) + len(k) + len(v) + 3
        body += b"%d %s=%s\n" % (n, k, v)
    return paxraw(body, kind)


def paxraw(body, kind=b"x"):
    return header("PaxHeaders/x", size=len(body), kind=kind) + pad(body)


END = b"\0" * 1024


class Layout:
    """An OCI layout on busybox, plus layers."""

    def __init__(self, name):
        self.dir = f"{OUT}/{name}"
        self.name = name
        shutil.copytree(BASE, self.dir)
        top = json.load(open(f"{self.dir}/index.json"))
        self.manifest = self.read(top["manifests"][0]["digest"])
        self.config = self.read(self.manifest["config"]["digest"])

    def read(self, digest):
        return json.load(open(f"{self.dir}/blobs/sha256/{digest[7:]}"))

    def put(self, raw):
        d = hashlib.sha256(raw).hexdigest()
        with open(f"{self.dir}/blobs/sha256/{d}", "wb") as f:
            f.write(raw)
        return {"digest": "sha256:" + d, "size": len(raw)}

    def add(self, tar, diff=None, media=MT + "layer.v1.tar", blob=None):
        d = self.put(tar if blob is None else blob)
        self.manifest["layers"].append(dict(d, mediaType=media))
        self.config["rootfs"]["diff_ids"].append(diff or "sha256:" + hashlib.sha256(tar).hexdigest())
        self.config["history"].append({"created": "2023-06-10T00:00:00Z", "created_by": "hostile " + self.name})

    def finish(self, config_raw=None, manifest_raw=None, manifest_size=None, index=None):
        raw = config_raw if config_raw is not None else json.dumps(self.config).encode()
        self.manifest["config"] = dict(self.put(raw), mediaType=MT + "config.v1+json")
        raw = manifest_raw if manifest_raw is not None else json.dumps(self.manifest).encode()
        d = dict(self.put(raw), mediaType=MT + "manifest.v1+json")
        if manifest_size is not None:
            d["size"] = manifest_size
        d["annotations"] = {"org.opencontainers.image.ref.name": "1", "io.containerd.image.name": f"hostile.test/{self.name}:1"}
        self.index({"schemaVersion": 2, "manifests": [d]} if index is None else index(d))

    def index(self, doc):
        json.dump(doc, open(f"{self.dir}/index.json", "w"))


def case(name, verdict, sentence):
    CASES.append((name, verdict, sentence))
    return Layout(name)


def tar_case(name, verdict, sentence, tar, *more):
    """The layers tar, *more on busybox."""
    i = case(name, verdict, sentence)
    for t in (tar,) + more:
        i.add(t)
    i.finish()


def good(expression):
    return "good " + expression


# ---- format (E1-E8)
tar_case("e1-lrzip", "bad", "E1: what begins like another compression is not given to a program", b"LRZI" + b"\0" * 42)
tar_case("e1-cpio", "bad", "E1: cpio is refused", b"070701" + b"0" * 104 + b"x\0" + b"\0" * 400)
tar_case("e1-zip", "bad", "E1: zip is refused", b"PK\x03\x04" + b"\0" * 1020)
tar_case("e1-text", "bad", "E1: mtree is refused", b"#mtree\n/set type=file\n./a mode=0644\n" + b" " * 475)
tar_case("e4-checksum", "bad", "E4: a bad checksum is not skipped", header("a", raw={148: b"000001\0 "}) + entry("b", b"x") + END)
tar_case("e4-header-cut", "bad", "E4: a cut header", entry("a", b"x") + header("b")[:300])
tar_case("e4-data-cut", "bad", "E4: cut data", header("a", size=5000) + b"x" * 1024)
tar_case("e4-pax-length", "bad", "E4: a PAX record with a wrong length", paxraw(b"99 path=a\n") + entry("b") + END)
tar_case("e4-pax-equals", "bad", "E4: a PAX record without =", paxraw(b"10 pathab\n") + entry("b") + END)
tar_case("e4-pax-newline", "bad", "E4: a PAX record without its newline", paxraw(b"10 path=abc") + entry("b") + END)
tar_case("e4-pax-nul", "bad", "E4: NUL in a PAX path", pax([("path", b"a\0b")]) + entry("b") + END)
tar_case("e4-octal", "bad", "E4: a size that is no number", header("a", raw={124: b"12z4567890\0\0"}) + END)
tar_case("e4-negative", "bad", "E4: a negative size", header("a", size=-1) + END)
tar_case("e4-huge", "bad", "E4/E8: a size beyond every budget", header("a", size=(1 << 63) - 600) + END)
tar_case("e8-budget", "bad", "E8: more announced than may be unpacked, before anything is written", header("a", size=100 << 40) + b"x" * 512)
tar_case("e4-pax-uid", "bad", "E4: a PAX uid that is no number", pax([("uid", "12x")]) + entry("a") + END)
tar_case("e4-pax-size", "bad", "E4: a PAX size that is no number", pax([("size", "-5")]) + entry("a") + END)
tar_case("e4-pax-alone", "bad", "E4: an extension header without an entry", pax([("path", "a")]) + END)
tar_case("e5-global", good("'g' not in names and 'real' in names"), "E5: a global path is not honoured", pax([("path", "g")], kind=b"g") + entry("real") + END)
tar_case("e5-size", good("size('a') == 3"), "E5: the PAX size overrides the header's", pax([("size", "3")]) + header("a", size=0) + pad(b"abc") + END)
tar_case("e6-bytes", good("b'caf\\xe9' in rawnames"), "E6: names are bytes", pax([("path", b"caf\xe9")]) + entry("x") + END)
tar_case("e7-one-zero", good("'a' in names"), "E7: one zero block ends it", entry("a") + b"\0" * 512)
tar_case("e7-after", good("'late' not in names"), "E7: what follows the end is not read", entry("a") + END + entry("late") + END)
tar_case("z-members", "bad", "a gzip layer that is cut", b"")
shutil.rmtree(f"{OUT}/z-members")
i = Layout("z-members")
t = entry("a", b"x" * 100000) + END
i.add(t, media=MT + "layer.v1.tar+gzip", blob=gzip.compress(t)[:-10])
i.finish()
i = case("z-crc", "bad", "a gzip layer whose checksum is wrong")
z = bytearray(gzip.compress(t))
z[-6] ^= 1
i.add(t, media=MT + "layer.v1.tar+gzip", blob=bytes(z))
i.finish()
i = case("z-two-members", good("'a' in names"), "a gzip layer of two members")
i.add(t, media=MT + "layer.v1.tar+gzip", blob=gzip.compress(t[:5000]) + gzip.compress(t[5000:]))
i.finish()
i = case("z-twice", "bad", "E2: only one compression is removed")
i.add(gzip.compress(t), media=MT + "layer.v1.tar+gzip", blob=gzip.compress(gzip.compress(t)))
i.finish()

# ---- names and kinds (P10, E9-E14)
tar_case("e9-dotdot", "bad", "E9: '..' in a name", entry("a/../../x", b"x") + END)
tar_case("e9-dotdot2", "bad", "E9: '..' that ends where it began", entry("a/../b", b"x") + END)
tar_case("e9-absolute", good("'abs/x' in names"), "absolute names are relative to the layer", entry("/abs/x") + END)
tar_case("e10-root-link", "bad", "E10: the root as a link", symlink("./", CANARY) + entry("x") + END)
tar_case("e10-root-file", "bad", "E10: the root as a file", header(".", kind=b"0") + END)
tar_case("e10-root-mode", good("'.' not in names or mode('.') == 'drwx--x--x'"), "E10: the root's mode is applied", directory("./", mode=0o711) + END)
tar_case("p10-long", "bad", "P10: a path that is too long", pax([("path", "a/" * 2100 + "b")]) + entry("x") + END)
tar_case("p10-component", "bad", "P10: a component that is too long", pax([("path", "c" * 256)]) + entry("x") + END)
tar_case("link-abs", good("True"), "E11: writing through a link stays inside", symlink("esc", CANARY) + entry("esc/owned", b"x") + END)
tar_case("link-lower", good("True"), "E11: also through a link of a lower layer", symlink("esc", CANARY) + END, entry("esc/owned", b"x") + END)
tar_case("link-up", good("True"), "E11: also through one that climbs", symlink("esc", "../../../../../../.." + CANARY) + entry("esc/owned", b"x") + END)
tar_case("link-file", good("type('esc') == '-'"), "P5: a link in the way is replaced, not followed", symlink("esc", CANARY + "/file") + entry("esc", b"x") + END)
tar_case("link-dir", good("type('esc') == 'd'"), "E11: a link in the way of a directory", symlink("esc", CANARY) + directory("esc") + END)
tar_case("link-empty", "bad", "a link without a target", symlink("esc", "") + END)
tar_case("parent-file", "bad", "E11: a file as a parent", entry("f", b"x") + entry("f/x", b"x") + END)
tar_case("hard-missing", "bad", "a hard link to nothing", header("h", kind=b"1", link="nothing") + END)
tar_case("hard-self", "bad", "a hard link to itself", header("h", kind=b"1", link="h") + END)
tar_case("hard-later", "bad", "a hard link to a later file", header("h", kind=b"1", link="z") + entry("z") + END)
tar_case("hard-dir", "bad", "a hard link to a directory", directory("d") + header("h", kind=b"1", link="d") + END)
tar_case("hard-up", "bad", "a hard link that climbs", header("h", kind=b"1", link="../../../../../../../.." + CANARY + "/file") + END)
tar_case("hard-host", "bad", "a hard link to a file of the host", header("h", kind=b"1", link=CANARY + "/file") + END)
tar_case("hard-through", "bad", "a hard link through a link to the host", symlink("esc", CANARY) + header("h", kind=b"1", link="esc/file") + END)
tar_case("hard-write", good("size('a') == 1 and size('b') == 2"), "E13: a later entry has an inode of its own", entry("a", b"1") + header("b", kind=b"1", link="a") + entry("b", b"22") + END)
tar_case("twice", good("size('a') == 2"), "E13: the later of two wins", entry("a", b"1") + entry("a", b"22") + END)
tar_case("device", good("'dev-c' not in names and 'dev-b' not in names"), "devices are not created", header("dev-c", kind=b"3", dev=(1, 3)) + header("dev-b", kind=b"4", dev=(8, 0)) + END)
tar_case("device-00", good("'etc/passwd' in names"), "a 0:0 device hides nothing", directory("etc") + header("etc/passwd", kind=b"3", dev=(0, 0)) + END)
for k in b"DMN9":
    tar_case("kind-" + chr(k), "bad", f"entries of type {chr(k)}", header("k", kind=bytes([k])) + END)
tar_case("fifo", good("type('p') == 'p'"), "a fifo is not waited on", header("p", kind=b"6") + END)
tar_case("link-data", "bad", "E14: data on a link", header("l", kind=b"2", link="x", size=512) + b"x" * 512 + END)
tar_case("dir-gone", good("type('d') == '-'"), "E12: a directory in the way of a file", directory("d") + entry("d/x") + entry("d", b"x") + END)
tar_case("deep", good("True"), "P9: a deep tree", b"".join(pax([("path", "n/" * n)]) + directory("x") for n in range(1, 1200, 60)) + END)

# ---- whiteouts (E15-E18)
tar_case("wh-empty", "bad", "E16: a whiteout of nothing", entry(".wh.") + END)
tar_case("wh-dot", "bad", "E16: a whiteout of '.'", entry("etc/.wh..") + END)
tar_case("wh-dotdot", "bad", "E16: a whiteout of '..'", entry("etc/.wh...") + END)
tar_case("wh-dir", "bad", "E16: a whiteout that is a directory", directory(".wh.x") + END)
tar_case("wh-link", "bad", "E16: a whiteout that is a link", symlink(".wh.x", CANARY) + END)
tar_case("wh-inside", "bad", "E16: a whiteout as a parent", entry(".wh.x/y") + END)
tar_case("wh-same", good("'both' in names"), "E17: a file of the same layer stays", entry("both") + entry(".wh.both") + END)
tar_case("wh-same2", good("'both' in names"), "E17: in either order", entry(".wh.both") + entry("both") + END)
tar_case("wh-opaque", good("'etc/passwd' not in names and 'etc/new' in names"), "E17: an opaque directory", entry("etc/new") + entry("etc/.wh..wh..opq") + END)
tar_case("wh-reserved", good("not any('.wh.' in n for n in names)"), "E15: other names of that kind are dropped", entry(".wh..wh.aufs") + entry(".wh..wh.plnk") + END)
tar_case("wh-through", good("True"), "E18: a whiteout through a link deletes nothing outside", symlink("esc", CANARY) + entry("esc/.wh.file") + END)

# ---- owners, modes, xattrs, times (E19-E23)
tar_case("uid-minus", "bad", "E19: an uid that means 'unchanged'", entry("a", uid=0xffffffff) + END)
tar_case("uid-wrap", "bad", "E19: an uid that wraps to 0", entry("a", uid=1 << 32) + END)
tar_case("uid-big", good("owner('a') == '3000000000/0'"), "E20: an owner outside the map is kept", entry("a", uid=3000000000) + END)
tar_case("mode", good("mode('a') == '-rwsrwsrwt'"), "E21: only permission bits", entry("a", mode=0o177777) + END)
for n, key, value in (
    ("overlay-opaque", "user.overlay.opaque", "y"),
    ("overlay-redirect", "trusted.overlay.redirect", "/root"),
    ("overlay-whiteout", "user.overlay.whiteout", ""),
    ("fuse-opaque", "user.fuseoverlayfs.opaque", "y"),
    ("override", "user.containers.override_stat", "0:0:4755"),
    ("selinux", "security.selinux", "system_u"),
    ("kiln", "user.kiln.owner", "0:0"),
):
    for spelling in ("SCHILY.xattr.", "LIBARCHIVE.xattr."):
        v = value if spelling[0] == "S" else "eQ=="
        tar_case(f"xattr-{n}-{spelling[0].lower()}", good("'etc/passwd' in names"), f"E22: {spelling}{key} has no effect",
                 pax([(spelling + key, v)]) + directory("etc") + END)
tar_case("times", "any", "E23: times beyond all bounds", pax([("mtime", "99999999999999999999")]) + entry("a") + pax([("mtime", "-99999999999999")]) + entry("b") + END)

# ---- documents (M)
i = case("m-diffid", "bad", "M8, K5: a layer whose diff ID is not what the config claims")
i.add(entry("a") + END, diff="sha256:" + "1" * 64)
i.finish()
i = case("m-count", "bad", "M8: more layers than diff IDs")
i.add(entry("a") + END)
i.config["rootfs"]["diff_ids"].pop()
i.finish()
i = case("m-size", "bad", "M2: a manifest of another size")
i.finish(manifest_size=17)
i = case("m-digest-path", "bad", "P11: a digest that is a path")
i.manifest["layers"][0]["digest"] = "sha256:../../../../../.." + CANARY + "/file"
i.finish()
i = case("m-digest-algo", "bad", "M1: a digest of no known kind")
i.manifest["layers"][0]["digest"] = "md5:" + "0" * 32
i.finish()
i = case("m-blob-bytes", "bad", "M2: a blob of other bytes than its name says")
i.add(entry("a", b"m-blob-bytes") + END)
i.finish()
with open(f"{i.dir}/blobs/sha256/{i.manifest['layers'][-1]['digest'][7:]}", "r+b") as f:
    f.seek(600)
    f.write(b"evil")
i = case("m-blob-missing", "bad", "a blob that is not there")
i.add(entry("a", b"m-blob-missing") + END)
i.finish()
os.unlink(f"{i.dir}/blobs/sha256/{i.manifest['layers'][-1]['digest'][7:]}")
i = case("m-blob-fifo", "bad", "P7: a blob that is a fifo is not waited on")
i.add(entry("a", b"m-blob-fifo") + END)
i.finish()
p = f"{i.dir}/blobs/sha256/{i.manifest['layers'][-1]['digest'][7:]}"
os.unlink(p)
os.mkfifo(p)
i = case("m-blob-link", "bad", "P1: a blob that is a link out of the layout")
i.add(entry("a", b"m-blob-link") + END)
i.finish()
p = f"{i.dir}/blobs/sha256/{i.manifest['layers'][-1]['digest'][7:]}"
os.rename(p, f"{CANARY}/../m-blob-link")
os.symlink(f"{CANARY}/../m-blob-link", p)
i = case("m-json", "bad", "a config that is no JSON")
i.finish(config_raw=b'{"architecture":')
i = case("m-json-type", "bad", "a manifest that is a list")
i.finish(manifest_raw=b"[]")
for n, member, value in (("os", "os", "lin\x1bux"), ("variant", "variant", "v\x9b1"), ("version", "os.version", "1\x07")):
    i = case("m-platform-" + n, "bad", f"M: a platform that nobody can name ({member})")
    i.config[member] = value
    i.finish()
i = case("m-deep", "bad", "M4: JSON that nests without end")
i.finish(config_raw=b"[" * 100000 + b"]" * 100000)
i = case("m-media", "any", "a layer of an unknown kind")
i.manifest["layers"][0]["mediaType"] = "application/x-evil"
i.finish()
i = case("m-index-deep", "bad", "M6: indexes in indexes")
def nest(d):
    for _ in range(10):
        d = dict(i.put(json.dumps({"schemaVersion": 2, "mediaType": MT + "index.v1+json", "manifests": [d]}).encode()), mediaType=MT + "index.v1+json")
    return {"schemaVersion": 2, "manifests": [d]}
i.finish(index=nest)
i = case("m-index-self", "bad", "M6: an index that holds itself again")
def again(d):
    inner = dict(i.put(json.dumps({"schemaVersion": 2, "mediaType": MT + "index.v1+json", "manifests": []}).encode()), mediaType=MT + "index.v1+json")
    outer = dict(i.put(json.dumps({"schemaVersion": 2, "mediaType": MT + "index.v1+json", "manifests": [inner, inner]}).encode()), mediaType=MT + "index.v1+json")
    return {"schemaVersion": 2, "manifests": [dict(outer, annotations=d["annotations"])]}
i.finish(index=again)
i = case("m-urls", "bad", "M7: the addresses of a layer are not fetched")
i.add(entry("a", b"m-urls") + END)
i.manifest["layers"][-1]["urls"] = [f"file://{CANARY}/file", "http://169.254.169.254/"]
i.finish()
os.unlink(f"{i.dir}/blobs/sha256/{i.manifest['layers'][-1]['digest'][7:]}")
i = case("m-data", "bad", "M7: data in a descriptor does not stand for a blob of other bytes")
i.add(entry("a", b"m-data") + END)
d = i.manifest["layers"][-1]
d["data"] = base64.b64encode(entry("a", b"M-DATA") + END).decode()
i.finish()
with open(f"{i.dir}/blobs/sha256/{d['digest'][7:]}", "wb") as f:
    f.write(entry("a", b"M-DATA") + END)
i = case("m-both", "bad", "M5: a manifest that is an index, too")
i.manifest["manifests"] = []
i.finish()
i = case("m-schema", "bad", "M5: a schema that nobody knows")
i.manifest["schemaVersion"] = 3
i.finish()
i = case("m-type", "bad", "M5: a document that calls itself something else")
i.manifest["mediaType"] = MT + "index.v1+json"
i.finish()
i = case("m-rootfs", "bad", "M8: a root that is not made of layers")
i.config["rootfs"]["type"] = "disk"
i.finish()
i = case("m-env-bare", "bad", "M9: a variable without a value does not get the builder's")
i.config.setdefault("config", {})["Env"] = ["HOME"]
i.finish()
i = case("m-env-builder", good("True"), "M9: variables of the image do not reach the builder")
i.config.setdefault("config", {})["Env"] = ["PATH=/bin", "LD_PRELOAD=" + CANARY + "/file", "LD_AUDIT=" + CANARY + "/file", "TMPDIR=" + CANARY, "HOME=" + CANARY,
                                            "KILN_ROOT=" + CANARY, "XDG_RUNTIME_DIR=" + CANARY, "http_proxy=http://127.0.0.1:1"]
i.finish()
for n, d in (("up", "../../../../../../../.." + CANARY + "/made"), ("abs", CANARY + "/made"), ("link", "/esc/made")):
    i = case("m-workdir-" + n, "any" if n == "link" else good("True"), "M10: WorkingDir and Volumes are made inside")
    i.add(symlink("esc", CANARY) + END)
    i.config.setdefault("config", {}).update(WorkingDir=d, Volumes={d + "/v": {}})
    i.finish()
for n, v in (("from", "FROM scratch"), ("again", "ONBUILD RUN true"), ("nul", "RUN a\0b"), ("open", "RUN <<E"), ("nonsense", "\x1b[31mX"), ("number", 7)):
    i = case("m-onbuild-" + n, "bad", "M11: a trigger is parsed as strictly as a Dockerfile")
    i.config.setdefault("config", {})["OnBuild"] = [v]
    i.finish()
i = case("m-onbuild-many", "bad", "M11: more triggers than there may be")
i.config.setdefault("config", {})["OnBuild"] = ["ENV A=b"] * 1001
i.finish()
i = case("m-config-type", "bad", "M12: another kind of artifact")
i.finish(manifest_raw=json.dumps(dict(i.manifest, config=dict(i.put(json.dumps(i.config).encode()), mediaType="application/vnd.cncf.helm.config.v1+json"))).encode())
i = case("m-config-big", "bad", "M3: a config that is too big")
i.finish(config_raw=json.dumps(dict(i.config, author="x" * (9 << 20))).encode())
for n, raw in (("bom", b"\xef\xbb\xbf{}"), ("twice", b'{"os":"linux","os":"linux"}'), ("after", b"{} {}"), ("utf8", b'{"os":"\xff"}'), ("nul", b'{"os":"a\\u0000"}')):
    i = case("m-json-" + n, "bad", "M4: a config whose JSON is not strict")
    i.finish(config_raw=raw)
i = case("m-big", "bad", "M3: a manifest that is too big")
i.finish(manifest_raw=json.dumps(dict(i.manifest, annotations={"a": "x" * (5 << 20)})).encode())

# ---- roots that trap the set-up of a step (C): accepted or refused, nothing outside is touched
tar_case("root-etc-link", "any", "C: /etc is a link out", entry(".wh.etc") + END, symlink("etc", CANARY) + END)
tar_case("root-resolv-link", "any", "C: /etc/resolv.conf is a link out", directory("etc") + symlink("etc/resolv.conf", CANARY + "/file") + symlink("etc/hosts", CANARY + "/file") + END)
tar_case("root-proc-link", "any", "C: /proc, /sys and /dev are links out", b"".join(entry(".wh." + d) for d in ("proc", "sys", "dev")) + END,
         b"".join(symlink(d, CANARY) for d in ("proc", "sys", "dev")) + END)
tar_case("root-dev-file", "any", "C: /dev is a file", entry(".wh.dev") + END, entry("dev", b"x") + END)
tar_case("root-passwd-fifo", "any", "P7: /etc/passwd is a fifo", directory("etc") + entry("etc/.wh.passwd") + END, header("etc/passwd", kind=b"6") + END)

# ---- docker-archive
CASES.append(("docker-up", "bad", "a docker archive whose layer is a path out"))
os.mkdir(f"{OUT}/docker-up")
with tarfile.open(f"{OUT}/docker-up/image.tar", "w") as tar:
    def member(name, data):
        ti = tarfile.TarInfo(name)
        ti.size = len(data)
        tar.addfile(ti, io.BytesIO(data))
    member("manifest.json", json.dumps([{"Config": "c.json", "RepoTags": ["hostile.test/docker-up:1"], "Layers": ["../../../../../.." + CANARY + "/file"]}]).encode())
    member("c.json", json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "0" * 64]}}).encode())

with open(f"{OUT}/list", "w") as f:
    for name, verdict, sentence in CASES:
        f.write(f"{name}\t{verdict}\t{sentence}\n")
