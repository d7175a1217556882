"""`mounts add` and `mounts remove`: mounts of a container that runs, in its own mount namespace.

    caller                                      helper
      | opens what is to be bound                 |
      | ---- clone ------------------------------>|  enters the container's namespaces
      |<--- {"type": "made", "mount": ID} --------|  has the next one, attached nowhere yet
      |  notes it beside the state                |
      | ---- {"type": "go"} --------------------->|  attaches it
      |<--- {"type": "done"} ---------------------|

What fails is taken away again. Noted is the kernel's id of each mount: the image may rename what it
is mounted on, or put a link there, and only what was added is ever taken away. Whoever is killed in
between leaves a note, by which `mounts remove` finds what there is.
"""

from __future__ import annotations

import errno
import os

import runtime.linux.mounts as m
import runtime.linux.namespaces as ns
import runtime.linux.process as p
from runtime import lsm
from runtime.channel import Channel, ProtocolError, close_all, pair
from runtime.errors import ConfigError, CrecheError, InitError, KernelError, StateError
from runtime.execute import namespaces
from runtime.init import mounts
from runtime.init.become import become_root_inside, report
from runtime.init.rootfs import unescape
from runtime.init.seal import close_import_system
from runtime.jsonio import dumps, loads
from runtime.launch import open_outside
from runtime.lifecycle.container import init_error
from runtime.linux.files import read_text
from runtime.linux.paths import (
    PROC_SUPER_MAGIC,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    filesystem_type,
    openat2,
)
from runtime.state import open_init

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from runtime.lifecycle.container import Container
    from runtime.plan.types import MountOp

    # A destination as it was asked for, and the kernel's id of the mount; oldest first.
    Note = tuple[str, int]

NOTES = "mounts.json"
# Their instances need no path: one would be looked up inside, where the image decides what it is.
FILESYSTEMS = ("devpts", "mqueue", "ramfs", "sysfs", "tmpfs")
# Those that a mount, or a new instance of one of these filesystems, depends on.
_ENTERED = ns.CLONE_NEWUSER | ns.CLONE_NEWNS | ns.CLONE_NEWNET | ns.CLONE_NEWIPC
_TRIES = 64  # look-ups of a mount point that processes inside rename meanwhile


def add(container: Container, ops: Sequence[MountOp]) -> None:
    """Make the mounts, in their order: all of them, or none. CrecheError says which cannot be."""
    for op in ops:
        _check(op)
    lock = container.directory.hold("mounts")
    sources: dict[str, int] = {}
    try:
        notes = _load(container)
        init = _open_running(container)
        try:
            if os.geteuid() == 0:
                for op in ops:
                    if op["kind"] == "bind":
                        sources[op["key"]] = open_outside(op)
            _add(container, init, ops, sources, notes)
        finally:
            os.close(init)
    finally:
        close_all(list(sources.values()))
        os.close(lock)


def remove(container: Container, destinations: Sequence[str]) -> None:
    """Unmount what `add` mounted there; of several on one destination the last.

    Raises StateError, before anything is done, for a destination on which there is none.
    """
    lock = container.directory.hold("mounts")
    try:
        notes = _load(container)
        init = _open_running(container)
        try:
            left, chosen = list(notes), []
            for index, destination in enumerate(destinations):
                found = [note for note in left if note[0] == destination]
                if not found:
                    raise StateError(
                        f"mounts[{index}].destination: nothing that was added is mounted on "
                        f"{destination}"
                    )
                left.remove(found[-1])
                chosen.append(found[-1])
            chosen.sort(key=notes.index, reverse=True)
            _take_away(container, init, chosen, notes)
        finally:
            os.close(init)
    finally:
        os.close(lock)


def _check(op: MountOp) -> None:
    if op["kind"] == "remount" or op["copy_link"]:
        raise ConfigError(op["key"] + ".options", "only new mounts can be added and taken away")
    if op["kind"] == "cgroup" or (op["kind"] == "filesystem" and op["fstype"] not in FILESYSTEMS):
        raise ConfigError(
            op["key"] + ".type",
            f"{op['fstype']} cannot be added to a running container; bind mounts can, and "
            + ", ".join(FILESYSTEMS),
        )


def _open_running(container: Container) -> int:
    """A pidfd of init. Raises StateError."""
    if not namespaces(container.state["config"]) & ns.CLONE_NEWNS:
        raise StateError("the container has no mount namespace")
    running = container.status() in ("created", "running", "paused")
    init = open_init(container.state) if running else None
    if init is None:
        raise StateError("container not running")
    return init


def _load(container: Container) -> list[Note]:
    path = f"{container.directory.path}/{NOTES}"
    try:
        saved: Any = loads(read_text(path, nofollow=True))
        return [(str(destination), int(mount)) for destination, mount in saved]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise KernelError("read", path, error.errno or 0) from None
    except (ConfigError, TypeError, ValueError):
        raise StateError(f"{path} is damaged: what was added cannot be told any more") from None


def _save(container: Container, notes: list[Note]) -> None:
    container.directory.save_file(NOTES, dumps(notes).encode("utf-8", "surrogateescape"))


def _add(
    container: Container,
    init: int,
    ops: Sequence[MountOp],
    sources: dict[str, int],
    notes: list[Note],
) -> None:
    linux = container.state["config"].get("linux", {})
    label = lsm.usable(None, linux.get("mountLabel", ""), container.log.warning).mount
    before = len(notes)
    destinations = iter([op["destination"] for op in ops])

    def note(message: dict[str, object]) -> None:
        notes.append((next(destinations), _number(message)))
        _save(container, notes)

    try:
        _converse(container, init, lambda inside: inside.add(ops, sources, label), note)
    except BaseException:
        _undo(container, init, notes[before:], notes)
        raise


def _undo(container: Container, init: int, added: list[Note], notes: list[Note]) -> None:
    """After a failure that is already being reported."""
    try:
        if added:
            _take_away(container, init, added[::-1], notes)
    except CrecheError as error:
        container.log.warning(f"take the mounts away again: {error}")


def _take_away(container: Container, init: int, chosen: list[Note], notes: list[Note]) -> None:
    def note(message: dict[str, object]) -> None:
        number = _number(message)
        notes[:] = [entry for entry in notes if entry[1] != number]
        _save(container, notes)

    _converse(container, init, lambda inside: inside.remove(chosen), note)


def _number(message: dict[str, object]) -> int:
    number = message.get("mount")
    if (message["type"] != "made" and message["type"] != "gone") or not isinstance(number, int):
        raise ProtocolError("the process inside the container said something unknown")
    return number


def _converse(
    container: Container,
    init: int,
    act: Callable[[Inside], None],
    note: Callable[[dict[str, object]], None],
) -> None:
    """Send a helper inside to act; note() is told each step. Raises InitError, KernelError."""
    ours, theirs = pair()
    try:
        try:
            helper = ns.clone3(0)
        except OSError as error:
            raise KernelError("clone3", "", error.errno or 0) from None
        if helper == 0:
            ours.close()
            _help(Inside(theirs, init, namespaces(container.state["config"]) & _ENTERED), act)
        theirs.close()
        try:
            while True:
                received = ours.receive()
                if received is None:
                    raise InitError("the process that enters the container died")
                message, fds = received
                close_all(fds)
                if message["type"] == "done":
                    return
                if message["type"] == "error":
                    raise init_error(message)
                note(message)
                ours.send({"type": "go"})
        finally:
            ours.close()  # a helper that still waits for our word ends
            os.waitpid(helper, 0)
    finally:
        ours.close()
        theirs.close()


def _help(inside: Inside, act: Callable[[Inside], None]) -> None:
    """In the helper; never returns."""
    try:
        close_import_system()
        p.prctl(p.PR_SET_DUMPABLE, 0)
        os.umask(0o022)
        act(inside)
        inside.channel.send({"type": "done"})
    except BaseException as error:  # noqa: BLE001 - told to the caller
        report(inside.channel, error)
    finally:
        os._exit(0)


class Inside:
    """The helper. proc: the host's /proc/self, kept open, since what is at /proc inside is the
    image's choice. It stays outside the container's pid namespace and cgroup: nobody in there can
    see, stop or freeze it.
    """

    def __init__(self, channel: Channel, init: int, flags: int) -> None:
        self.channel = channel
        self.init = init
        self.flags = flags
        self.proc = -1
        self.root = -1

    def add(self, ops: Sequence[MountOp], sources: dict[str, int], label: str) -> None:
        """Make the mounts; without privilege their sources are still to be opened."""
        self._open_proc()
        if os.geteuid() != 0:
            # Only in a mount namespace that belongs to this user namespace may we clone mounts.
            self._setns(self.flags & ns.CLONE_NEWUSER)
            become_root_inside()
            ns.unshare(ns.CLONE_NEWNS)
            self.flags &= ~ns.CLONE_NEWUSER
            for op in ops:
                if op["kind"] == "bind":
                    sources[op["key"]] = open_outside(op)
        self._enter()
        for op in ops:
            if label and op["kind"] == "filesystem":
                op = {**op, "options": [*op["options"], ("context", label)]}
            source = sources.get(op["key"])
            tree = mounts.mount(self.root, op, source, announce=self._announce)
            if op["late_readonly"]:
                mounts.make_readonly(tree)

    def remove(self, chosen: Sequence[Note]) -> None:
        """Unmount; one that is gone already is as good."""
        self._open_proc()
        self._enter()
        for destination, mount in chosen:
            self._detach(destination, mount)
            self._say("gone", mount)

    def _open_proc(self) -> None:
        self.proc = os.open("/proc/self", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        if filesystem_type(self.proc) != PROC_SUPER_MAGIC:
            raise InitError("/proc is not a procfs")

    def _setns(self, flags: int) -> None:
        try:
            ns.setns(self.init, flags)
        except OSError as error:
            raise KernelError("enter the container", "", error.errno or 0) from None

    def _enter(self) -> None:
        self._setns(self.flags)
        if self.flags & ns.CLONE_NEWUSER:
            become_root_inside()
        self.root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def _announce(self, tree: int) -> None:
        self._say("made", self._mount_id(tree))

    def _say(self, kind: str, mount: int) -> None:
        self.channel.send({"type": kind, "mount": mount})
        received = self.channel.receive()
        if received is None or received[0]["type"] != "go":
            raise InitError("the runtime went away")

    def _mount_id(self, fd: int) -> int:
        """Which mount a descriptor is on (proc_pid_fdinfo(5)), as mountinfo numbers them."""
        for line in read_text(f"fdinfo/{fd}", self.proc).splitlines():
            name, _, value = line.partition(":")
            if name == "mnt_id":
                return int(value)
        raise InitError("the kernel does not number mounts")

    def _mount_point(self, mount: int) -> str | None:
        """Where a mount is now (proc_pid_mountinfo(5))."""
        for line in read_text("mountinfo", self.proc).splitlines():
            fields = line.split(" ")
            if fields[0] == str(mount):
                return unescape(fields[4])
        return None

    def _detach(self, destination: str, mount: int) -> None:
        flags = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
        for _ in range(_TRIES):
            path = self._mount_point(mount)
            if path is None:
                return
            try:
                fd = openat2(self.root, path, os.O_PATH | os.O_NOFOLLOW, flags)
            except OSError:
                continue
            try:
                if self._mount_id(fd) == mount:
                    os.fchdir(self.proc)
                    m.umount(f"fd/{fd}")
                    return
            except OSError as error:
                raise KernelError("unmount", destination, error.errno or 0) from None
            finally:
                os.close(fd)
        raise KernelError("unmount", destination, errno.EBUSY, hint="another mount lies over it")
