"""Give the test session a machine of its own, so that no mistake reaches the one it runs on.

The pytest process itself leaves for a new mount, network and UTS namespace before the first test,
while it still has a single thread, and moves into control groups of its own. What a test mounts,
configures or forgets then ends with the session:

* every mount is shared as on a machine with systemd, but with peers inside the session only, so a
  container whose mounts wander out is seen, and the real mount table cannot be touched;
* /run is an empty tmpfs: state directories, ``ip netns add``, sockets;
* the network has nothing but a loopback interface. It is "the host's side" of network tests;
* orphans become children of a process that reaps them (tests/support/reaper.py), so that nothing
  can hide by daemonising.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import struct
import sys
from pathlib import Path

from runtime import kept, pack
from runtime.seccomp import saved
from tests.support.mountinfo import cgroup_mounts, cgroup_of

PREFIX = "crt-"

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUTS = 0x04000000
_CLONE_NEWNET = 0x40000000
_MS_NOSUID, _MS_NODEV = 2, 4
_MS_BIND = 0x1000
_MS_REC, _MS_PRIVATE, _MS_SHARED = 0x4000, 1 << 18, 1 << 20
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1

_libc = ctypes.CDLL(None, use_errno=True)


def can_isolate() -> bool:
    """Say whether tests that need root can run here."""
    return sys.platform == "linux" and os.geteuid() == 0


def _check(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, fstype: str | None, flags: int, data: str = "") -> None:
    """Call mount(2)."""
    kind = fstype.encode() if fstype else None
    result = _libc.mount(
        source.encode(), target.encode(), kind, ctypes.c_ulong(flags), data.encode()
    )
    _check(result, f"mount {source} on {target}")


def unshare(flags: int) -> None:
    """Call unshare(2)."""
    _check(_libc.unshare(flags), "unshare")


def loopback_up() -> None:
    """Switch on the loopback interface of the current network namespace (netdevice(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        request = struct.pack("16sH22x", b"lo", 0)
        (flags,) = struct.unpack_from("H", fcntl.ioctl(sock, _SIOCGIFFLAGS, request), 16)
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", flags | _IFF_UP))


class Session:
    """The namespaces and control groups of one pytest process."""

    def __init__(self) -> None:
        self.name = f"{PREFIX}{os.getpid()}"
        self.cgroups: dict[str, Path] = {}
        self.outside: dict[str, str] = {}
        self._came_from: dict[str, Path] = {}

    def enter(self) -> None:
        """Leave the machine's namespaces and control groups. Not undone but by exiting."""
        self.outside = {
            kind: os.readlink(f"/proc/self/ns/{kind}") for kind in ("mnt", "net", "uts")
        }
        unshare(_CLONE_NEWNS | _CLONE_NEWNET | _CLONE_NEWUTS)
        mount("none", "/", None, _MS_REC | _MS_PRIVATE)
        mount("none", "/", None, _MS_REC | _MS_SHARED)
        mount("tmpfs", "/run", "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=755")
        # What mount(8) and ip-netns(8) make once and leave for good: it is no test's leak.
        os.mkdir("/run/mount", 0o755)
        os.mkdir("/run/netns", 0o755)
        mount("/run/netns", "/run/netns", None, _MS_BIND)
        _keep_interpreter()
        socket.sethostname(self.name)
        loopback_up()
        self._enter_cgroups()

    def _enter_cgroups(self) -> None:
        own = cgroup_of()
        mounted = cgroup_mounts()
        for hierarchy, top in mounted.items():
            if hierarchy not in own:
                continue
            came_from = parent = top / own[hierarchy].lstrip("/")
            if list(mounted) == [""] and parent != top:
                # Version 2 alone: our own group has us in it, so it cannot hand controllers on.
                # Runtimes put their containers beside their caller for the same reason.
                parent = parent.parent
            _sweep(parent)
            directory = parent / self.name
            try:
                directory.mkdir()
                if hierarchy == "" or hierarchy == "cpuset":
                    _inherit_cpuset(parent, directory)
                leaf = directory
                if hierarchy == "" and _has_controllers(directory):
                    # cgroup v2 gives controllers only to children of a group without processes.
                    leaf = directory / "main"
                    leaf.mkdir()
                (leaf / "cgroup.procs").write_text(str(os.getpid()))
            except OSError as error:
                print(f"tests stay in {parent}: {error}", file=sys.stderr)
                _remove_tree(directory)
                continue
            self.cgroups[hierarchy] = directory
            self._came_from[hierarchy] = came_from

    def leave(self) -> None:
        """Move back to where pytest came from and remove the session's control groups."""
        for hierarchy, came_from in self._came_from.items():
            (came_from / "cgroup.procs").write_text(str(os.getpid()))
            _remove_tree(self.cgroups[hierarchy])


def _keep_interpreter() -> None:
    """Make what creche would keep from its first command on, until the next boot."""
    try:
        os.close(kept.open_kept(os.path.realpath(sys.executable)))
        os.mkdir(saved.DIRECTORY, 0o700)
        os.mkdir(pack.DIRECTORY, 0o700)
    except OSError as error:
        print(f"creche seals its interpreter at each start here: {error}", file=sys.stderr)


def _has_controllers(directory: Path) -> bool:
    return bool((directory / "cgroup.controllers").read_text().split())


def _inherit_cpuset(parent: Path, directory: Path) -> None:
    """Copy CPUs and memory nodes: a new v1 cpuset has none and takes no process (cpuset(7))."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        source, target = parent / name, directory / name
        if source.exists() and target.exists() and not target.read_text().strip():
            target.write_text(source.read_text())


def _remove_tree(directory: Path) -> None:
    """Remove an empty control group and all below it; what still holds a process stays."""
    for path, _, _ in os.walk(directory, topdown=False):
        try:
            os.rmdir(path)
        except OSError as error:
            print(f"left behind: {path}: {error}", file=sys.stderr)


def _sweep(parent: Path) -> None:
    """Remove what a session that was killed had to leave, if no process is left in it."""
    for directory in parent.glob(f"{PREFIX}[0-9]*"):
        number = directory.name.removeprefix(PREFIX)
        if not number.isdecimal() or Path(f"/proc/{number}").exists():
            continue
        if any(
            procs.read_text().strip()
            for procs in directory.rglob("cgroup.procs")
            if procs.is_file()
        ):
            continue
        _remove_tree(directory)


def kill_and_reap(pid: int) -> None:
    """End a child of this process or an orphan; the child is collected, an orphan by the reaper."""
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass
