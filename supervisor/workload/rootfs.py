"""The embedded root: the host's /usr, read-only, under an otherwise private and nearly empty root.

It is made in creched's own directory, one for each workload, and needs no image and no download.
"""

from __future__ import annotations

import os
import shutil

MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
"""What is a symlink into /usr on a merged-/usr host, and a directory of its own on others."""

_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
_EMPTY = ("usr", "proc", "sys", "dev", "tmp", "run", "root", "etc", "var/tmp", "var/lib", "home")

Mounts = tuple[dict[str, object], ...]


def make(path: str) -> None:
    """Make the directory tree at `path` (not the mounts). Raises OSError."""
    # For every user of the container to enter and read, under creched.service's UMask=0077 as well.
    mask = os.umask(0o022)
    try:
        _make(path)
    finally:
        os.umask(mask)


def _make(path: str) -> None:
    os.makedirs(path, mode=0o755)
    for name in _EMPTY:
        os.makedirs(f"{path}/{name}", mode=0o755, exist_ok=True)
    for name, text in _FILES.items():
        with open(f"{path}/{name}", "x", encoding="ascii") as file:
            file.write(text)
    for name in MERGED:
        source = f"/{name}"
        if os.path.islink(source):
            os.symlink(os.readlink(source), f"{path}/{name}")
        elif os.path.isdir(source):
            os.mkdir(f"{path}/{name}", 0o755)


def mounts() -> Mounts:
    """The bind mounts that fill it, in config.json's terms."""
    sources = ["/usr"]
    sources += [f"/{n}" for n in MERGED if os.path.isdir(f"/{n}") and not os.path.islink(f"/{n}")]
    # Not recursive: what an administrator mounted below /usr is not asked for.
    filling: list[dict[str, object]] = [
        {
            "destination": source,
            "type": "bind",
            "source": source,
            "options": ["bind", "ro", "nosuid", "nodev"],
        }
        for source in sources
    ]
    for path, mode in (("/tmp", "1777"), ("/run", "755")):  # noqa: S108  inside the container
        options = ["nosuid", "nodev", f"mode={mode}", "size=65536k"]
        filling.append(
            {"destination": path, "type": "tmpfs", "source": "tmpfs", "options": options}
        )
    return tuple(filling)


def remove(path: str) -> None:
    """Remove what `make` made, and what a writable container left in it.

    Nothing is removed while something is mounted below: it could be the host's /usr.
    """
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        # mountinfo writes blanks and backslashes in octal (proc_pid_mountinfo(5), field 5).
        below = path.replace("\\", "\\134").replace(" ", "\\040") + "/"
        if any(line.split(" ", 5)[4].startswith(below) for line in file):
            return
    shutil.rmtree(path, ignore_errors=True)
