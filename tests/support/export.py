"""Make a tar like the one ``docker export`` writes: Debian's memcached and what it needs."""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
from pathlib import Path

MEMCACHED = Path("/usr/bin/memcached")
MEMCACHE_UID = 11211

_PASSWD = (
    "root:x:0:0:root:/root:/bin/sh\n"
    f"memcache:x:{MEMCACHE_UID}:{MEMCACHE_UID}:Memcached:/nonexistent:/bin/false\n"
)
_GROUP = f"root:x:0:\ntty:x:5:\nmemcache:x:{MEMCACHE_UID}:\n"
_DIRECTORIES = (
    *("bin", "dev", "etc", "lib", "mnt", "proc", "root"),
    *("run", "sbin", "sys", "tmp", "usr/bin", "var"),
)


def libraries(program: Path) -> list[Path]:
    """Return the shared objects a program of this machine is loaded with, the loader included."""
    listing = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    return [Path(match) for match in re.findall(r"(/\S+) \(0x", listing)]


def write_export(tar_path: Path) -> Path:
    """Write the archive: names without a leading slash, as ``docker export`` writes them."""
    with tarfile.open(tar_path, "w") as tar:
        made: set[str] = set()
        for name in _DIRECTORIES:
            _add_directory(tar, Path(name), made)
        # Docker leaves this file in every container; the guide's readers see it in their tar.
        _add_text(tar, ".dockerenv", "")
        _add_text(tar, "etc/passwd", _PASSWD)
        _add_text(tar, "etc/group", _GROUP)
        _add_text(tar, "etc/hostname", "memcached\n")
        _add_text(tar, "etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n")
        for path in (MEMCACHED, *libraries(MEMCACHED), Path("/bin/busybox")):
            member = path.relative_to("/")
            _add_directory(tar, member.parent, made)
            tar.add(path.resolve(), str(member), filter=_owned_by_root)
        for applet in ("sh", "cat", "nc", "id", "mount", "touch", "ls", "sleep", "ip", "ping"):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type = tarfile.SYMTYPE
            link.linkname = "busybox"
            tar.addfile(link)
    return tar_path


def _owned_by_root(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = "root"
    return info


def _add_directory(tar: tarfile.TarFile, name: Path, made: set[str]) -> None:
    for path in (*reversed(name.parents), name):
        if str(path) in made or str(path) == ".":
            continue
        made.add(str(path))
        info = tarfile.TarInfo(str(path))
        info.type = tarfile.DIRTYPE
        info.mode = 0o1777 if str(path) == "tmp" else 0o755
        tar.addfile(info)


def _add_text(tar: tarfile.TarFile, name: str, text: str) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(text.encode())
    info.mode = 0o644
    tar.addfile(info, io.BytesIO(text.encode()))
