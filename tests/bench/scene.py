"""What all rows share: bundles, their program, and a machine view in which every runtime can run.

The benchmarks run in a mount namespace of their own with cgroup v2 alone at /sys/fs/cgroup: that is
what machines have today, and the only layout that all peers know. Orphans become children of a
process that ends whatever is left (tests/support/reaper.py).
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.times import Times
from tests.support import bundle
from tests.support.reaper import continue_below_a_reaper

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
    """A temporary directory with bundles in it, which share one root file system."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.tag = f"bench-{os.getpid()}"
        self.cgroups: list[str] = []
        """Names of control groups to be removed at the end, besides those with `tag` in them."""
        self.rootfs = base / "rootfs"
        self.rootfs.mkdir()
        bundle.make_rootfs(self.rootfs)
        program = self.rootfs / "bin/first"
        subprocess.run(["gcc", "-O2", "-static", "-o", program, HERE / "first.c"], check=True)
        self.profile = default_profile() if PROFILE.exists() else None

    def config(self, args: list[str]) -> dict[str, Any]:
        """As an engine would write it: `runc spec`'s configuration and Docker's filter."""
        config: dict[str, Any] = copy.deepcopy(bundle.FULL)
        config["process"]["args"] = args
        config["root"]["path"] = str(self.rootfs)
        # crun raises RLIMIT_MEMLOCK to load a device program, which takes CAP_SYS_RESOURCE.
        config["linux"].pop("resources")
        if self.profile is not None:
            config["linux"]["seccomp"] = self.profile
        return config

    def bundle(self, name: str, args: list[str], **more: Any) -> Path:
        """A bundle; `more`: further members of its configuration."""
        path = self.base / "bundles" / name
        path.mkdir(parents=True)
        (path / "config.json").write_text(json.dumps({**self.config(args), **more}))
        return path

    def times(self, name: str) -> Times:
        """A FIFO inside every container that `first` can write to; close it."""
        return Times(self.rootfs, name)

    def claim_creched(self, root: Path) -> None:
        """Have the control group removed at the end that a creched with this state root makes."""
        # As supervisor/engine.py names it.
        number = hashlib.sha256(str(root).encode()).hexdigest()[:12]
        self.cgroups.append(f"creched-{number}")

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


@contextmanager
def scene() -> Iterator[Scene]:
    """Use once `enter()` has been called. Removes everything at the end."""
    base = Path(tempfile.mkdtemp(prefix="creche-bench-", dir="/run"))
    base.chmod(0o755)
    made = Scene(base)
    try:
        yield made
    finally:
        shutil.rmtree(base, ignore_errors=True)
        for name in (f"*{made.tag}*", *made.cgroups):
            for left in CGROUP_ROOT.glob(f"**/{name}"):
                _remove(left)


def _remove(cgroup: Path) -> None:
    """With whatever is left in it."""
    try:
        (cgroup / "cgroup.kill").write_text("1")
        for _ in range(1000):
            if "populated 0" in (cgroup / "cgroup.events").read_text():
                break
            os.sched_yield()
    except OSError:
        pass
    for path, _, _ in os.walk(cgroup, topdown=False):
        try:
            os.rmdir(path)
        except OSError as error:
            print(f"left behind: {path}: {error.strerror}", file=sys.stderr)


def enter(argv: list[str]) -> None:
    """Start this program again in the machine view described above; returns in there.

    From then on SIGTERM ends it as Ctrl-C does, and so clears up.
    """
    if not os.environ.get("CRECHE_BENCH_INSIDE"):
        os.environ["CRECHE_BENCH_INSIDE"] = "1"
        script = "mount -t cgroup2 none /sys/fs/cgroup && mount -t tmpfs -o mode=755 none /run"
        script += ' && exec "$@"'
        words = ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", *argv]
        os.execvp("unshare", words)
    continue_below_a_reaper()

    def end(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
