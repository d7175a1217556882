"""What all rows share: a bundle, its program, and a machine view in which every runtime can run.

The benchmarks run in a mount namespace of their own with cgroup v2 alone at /sys/fs/cgroup: that is
what machines have today, and the only layout that all peers know.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support import bundle

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
CGROUP_ROOT = Path("/sys/fs/cgroup")

# The profile that Debian's podman ships is Docker's default one, in the format before conditions
# (capabilities, architectures) have been decided.
PROFILE = Path("/usr/share/containers/seccomp.json")
_ARCHITECTURES = {
    "x86_64": ("amd64", "SCMP_ARCH_X86_64"),
    "aarch64": ("arm64", "SCMP_ARCH_AARCH64"),
}


class Scene:
    """A temporary directory with bundles in it."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.tag = f"bench-{os.getpid()}"
        self._first = base / "first"
        subprocess.run(["gcc", "-O2", "-static", "-o", self._first, HERE / "first.c"], check=True)

    def bundle(self, name: str, args: list[str], *, filtered: bool = True) -> Path:
        """A bundle as an engine would write it: `runc spec`'s configuration and Docker's filter."""
        path = self.base / name
        path.mkdir()
        shutil.copy(self._first, bundle.make_rootfs(_made(path / "rootfs")) / "bin/first")
        config: dict[str, Any] = copy.deepcopy(bundle.FULL)
        config["process"]["args"] = args
        # crun raises RLIMIT_MEMLOCK to load a device program, which takes CAP_SYS_RESOURCE.
        config["linux"].pop("resources")
        if filtered and PROFILE.exists():
            config["linux"]["seccomp"] = default_profile()
        (path / "config.json").write_text(json.dumps(config))
        return path

    def root(self, name: str) -> Path:
        """A state root."""
        path = self.base / f"root-{name}"
        path.mkdir(exist_ok=True, mode=0o700)
        return path


def default_profile() -> dict[str, Any]:
    """Docker's default profile for a container without further capabilities, on this machine."""
    document = json.loads(PROFILE.read_text())
    word, architecture = _ARCHITECTURES[os.uname().machine]
    calls = []
    for rule in document["syscalls"]:
        includes = rule.get("includes") or {}
        if includes.get("caps") or word not in includes.get("arches", [word]):
            continue
        kept = {key: rule[key] for key in ("names", "action", "args", "errnoRet") if rule.get(key)}
        calls.append(kept)
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 38,
        "architectures": [architecture],
        "syscalls": calls,
    }


def _made(path: Path) -> Path:
    path.mkdir()
    return path


@contextmanager
def scene() -> Iterator[Scene]:
    """Use once `enter()` has been called. Removes everything at the end."""
    base = Path(tempfile.mkdtemp(prefix="creche-bench-", dir="/run"))
    made = Scene(base)
    try:
        yield made
    finally:
        shutil.rmtree(base)
        for left in sorted(CGROUP_ROOT.rglob(f"*{made.tag}*"), reverse=True):
            if left.is_dir():
                left.rmdir()


def enter(argv: list[str]) -> None:
    """Start this program again in the machine view described above; returns in there."""
    if os.environ.get("CRECHE_BENCH_INSIDE"):
        return
    os.environ["CRECHE_BENCH_INSIDE"] = "1"
    script = 'mount -t cgroup2 none /sys/fs/cgroup && mount -t tmpfs none /run && exec "$@"'
    os.execvp(
        "unshare", ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", *argv]
    )
