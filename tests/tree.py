#!/usr/bin/env python3
# tests/tree.py - a tar archive as sorted lines, so that a test can say what a tree should be.
#
#   tree.py FILE.tar [PREFIX]     entries below PREFIX, named relative to it: "path type mode uid:gid [content]"
#
# Type: f d l(ink) c b p. A hard link is shown as the file it is, its link count does not count. Content: short plain text as it is
# (newlines as $), otherwise size and the start of its SHA-256; "-> target" of a symbolic link. TIMES=1 adds the mtime.
import hashlib
import os
import sys
import tarfile

KIND = {tarfile.DIRTYPE: "d", tarfile.SYMTYPE: "l", tarfile.CHRTYPE: "c", tarfile.BLKTYPE: "b", tarfile.FIFOTYPE: "p"}


def clean(name):
    return "/".join(p for p in name.split("/") if p not in ("", "."))


def content(data):
    if len(data) <= 60 and all(b == 10 or 32 <= b < 127 for b in data):
        return '"' + data.decode().replace("\n", "$") + '"'
    return "%d:%s" % (len(data), hashlib.sha256(data).hexdigest()[:12])


def lines(path, prefix):
    rows = {}
    with tarfile.open(path, errorlevel=0) as tar:
        for m in tar:
            name = clean(m.name)
            if prefix:
                if name != prefix and not name.startswith(prefix + "/"):
                    continue
                name = name[len(prefix):].lstrip("/") or "."
            of = tar.getmember(m.linkname) if m.islnk() else m
            row = "%s %s %04o %d:%d" % (name or ".", KIND.get(of.type, "f"), of.mode & 0o7777, of.uid, of.gid)
            if os.environ.get("TIMES"):
                row += " @%s" % of.pax_headers.get("mtime", str(int(of.mtime)))
            if of.issym():
                row += " -> " + of.linkname
            elif of.isreg():
                row += " " + content(tar.extractfile(of).read())
            rows[name] = row
    return [rows[k] for k in sorted(rows, key=lambda s: s.encode(errors="surrogateescape"))]


if not os.path.exists(sys.argv[1]):
    sys.exit("there is no " + sys.argv[1])
sys.stdout.reconfigure(errors="surrogateescape")
print("\n".join(lines(sys.argv[1], clean(sys.argv[2]) if len(sys.argv) > 2 else "")))
