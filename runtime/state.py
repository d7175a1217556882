"""What is known of a container between two commands: ROOT/ID/state.json, 0600 in a 0700 directory.

State is written before the act it announces, by writing a new file and renaming it over the old
one, so that a reader sees one or the other whatever is killed when.
"""

from __future__ import annotations

import binascii
import errno
import fcntl
import os
import stat

from runtime import startsocket
from runtime.errors import CrecheError, KernelError, NoSuchContainer, StateError, strerror
from runtime.jsonio import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NotRequired, TypeAlias, TypedDict

    from runtime.spec.types import Spec

    Runner: TypeAlias = tuple[int, int, str]

    class State(TypedDict):
        """pid and start_time identify init on the boot boot_id; cgroup: hierarchy -> directory.

        resctrl: groups that were made for it, in order.
        cgroup_planned: what is about to be made, and may still be somebody else's.
        status is the last one saved: creating, created, running or deleting. runner: pid, start
        time and cgroup of the process that saved it, which may be running hooks. hooks_ended: the
        stage whose hooks ran last, and how many of them have ended: who goes on runs the others.
        scope: systemd's unit that `cgroup` belongs to, and whether a user's manager has it.
        """

        version: int
        id: str
        ociVersion: str
        bundle: str
        rootfs: str
        created: str
        owner: str
        status: str
        pid: int
        start_time: int
        boot_id: str
        cgroup: dict[str, str]
        cgroup_planned: dict[str, str]
        resctrl: list[str]
        own_pid_namespace: bool
        annotations: dict[str, str]
        config: Spec
        runner: NotRequired[Runner]
        hooks_ended: NotRequired[tuple[str, int]]
        scope: NotRequired[tuple[str, bool]]


STATE_VERSION = 1
_ID_MAX = 255  # one path component
_ID_EXTRA = frozenset("_+-.")
_STATE_FILE = "state.json"
_TRACES_FILE = "traces.json"
# What `delete --force` needs to find a container again when its state is damaged.
_TRACES = (
    *("version", "id", "pid", "start_time", "boot_id"),
    *("cgroup", "cgroup_planned", "resctrl", "scope"),
)
_STATE_LIMIT = 64 << 20
_boot_id = ""
_CHECKSUM = b',"checksum":'


def check_id(container_id: str) -> None:
    """runc's rule ([\\w+-.]+ and neither `.` nor `..`); StateError otherwise."""
    allowed = all((char.isascii() and char.isalnum()) or char in _ID_EXTRA for char in container_id)
    if not container_id or not allowed or container_id in (".", ".."):
        raise StateError(f"invalid container ID format: {container_id!r}")
    if len(container_id) > _ID_MAX:
        raise StateError(f"invalid container ID: longer than {_ID_MAX} characters")


class StateDir:
    """The directory of one container. Its existence is the claim on the id."""

    __slots__ = ("_lock", "id", "path", "root")

    def __init__(self, root: str, container_id: str) -> None:
        check_id(container_id)
        self.root = root
        self.id = container_id
        self.path = f"{root}/{container_id}"
        self._lock = -1

    def create(self) -> None:
        """Claim the id: mkdir(2) is atomic. StateError if it is taken."""
        make_root(self.root)
        try:
            os.mkdir(self.path, 0o700)
        except FileExistsError:
            raise StateError("container with given ID already exists") from None
        except OSError as error:
            raise KernelError("make state directory", self.path, error.errno or 0) from None

    def exists(self) -> bool:
        return os.path.isdir(self.path)

    def has_state(self) -> bool:
        """Whether anything was ever saved: before that there is nothing but the directory."""
        return os.path.lexists(f"{self.path}/{_STATE_FILE}")

    def lock(self, wait: bool = True) -> bool:
        """Take the right to change this container; released by unlock or exit.

        wait: until nobody else has it; else False if somebody does. Raises NoSuchContainer if the
        directory is gone, also while waiting.
        """
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise NoSuchContainer from None
        except OSError as error:
            raise KernelError("open", self.path, error.errno or 0) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        if not os.fstat(fd).st_nlink:
            os.close(fd)
            raise NoSuchContainer
        self._lock = fd
        return True

    def unlock(self) -> None:
        if self._lock >= 0:
            # Not by closing alone: a process cloned meanwhile may still hold a copy (flock(2)).
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            os.close(self._lock)
            self._lock = -1

    def hold(self, name: str) -> int:
        """Wait for the lock of this name, beside the container's own; close what is returned.

        For what a poststart hook may do: whoever started the container holds that one, and waits
        for the hook. Raises KernelError.
        """
        path = f"{self.path}/{name}.lock"
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            fd = os.open(path, flags, 0o600)
        except OSError as error:
            raise KernelError("open", path, error.errno or 0) from None
        fcntl.flock(fd, fcntl.LOCK_EX)
        return fd

    def load(self) -> State:
        """The saved state. NoSuchContainer; StateError if the file is damaged, naming it."""
        path = f"{self.path}/{_STATE_FILE}"
        try:
            data = _read_state(path)
        except FileNotFoundError:
            if self.exists():
                raise StateError(
                    f"no state saved in {self.path} (delete --force removes it)"
                ) from None
            raise NoSuchContainer from None
        except OSError as error:
            reason = strerror(error.errno or 0)
            raise StateError(f"state file {path} cannot be read: {reason}") from None
        try:
            return decode(data)
        except CrecheError as error:
            raise StateError(f"state file {path} is damaged: {error}") from None

    def save(self, state: State, config: str = "") -> None:
        """Replace the saved state in one step. config: see encode(). KernelError names the file."""
        self.save_file(_STATE_FILE, encode(state, config))

    def save_traces(self, state: State) -> None:
        """Keep a second time, in a file that hardly ever changes, what the container consists of.

        Once it does: when init and its control groups are there. KernelError names the file.
        """
        kept = {key: state[key] for key in _TRACES if key in state}  # type: ignore[literal-required]
        self.save_file(_TRACES_FILE, encode(kept))  # type: ignore[arg-type]

    def traces(self) -> State | None:
        """What save_traces() kept, and no other key; None if it is not there or damaged.

        Also if it is another container's, or of another boot: nothing of it is alive then.
        """
        try:
            found = decode(_read_state(f"{self.path}/{_TRACES_FILE}"))
        except (OSError, CrecheError):
            return None
        ours = found.get("id") == self.id and found.get("boot_id") == boot_id()
        return found if ours else None

    def save_file(self, name: str, data: bytes) -> None:
        """Replace the state, or a file beside it, in one step. KernelError names it."""
        path = f"{self.path}/{name}"
        temporary = f"{path}.new"
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
            fd = os.open(temporary, flags, 0o600)
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(fd, view) :]
            finally:
                os.close(fd)
            os.rename(temporary, path)
        except OSError as error:
            try:
                os.unlink(temporary)
            except OSError:
                pass
            raise KernelError("save state", path, error.errno or 0) from None

    def remove(self) -> None:
        """Remove the directory and the files that creche puts there; fine if it is gone."""
        try:
            _empty(self.path)
            os.rmdir(self.path)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise KernelError("remove state", self.path, error.errno or 0) from None


def encode(state: State, config: str = "") -> bytes:
    """The bytes of a state file: one JSON object whose last key is a checksum of what precedes.

    A file that was damaged is then seen to be, in whatever place, and nothing in it is acted upon.
    config: the configuration's text, if the caller has it: it is nine tenths of a state.
    """
    kept = {key: value for key, value in state.items() if key != "config"} if config else state
    text = dumps(kept).removesuffix("}") + (f',"config":{config}' if config else "")
    data = text.encode("utf-8", "surrogateescape")
    return data + _CHECKSUM + b'"%08x"}' % binascii.crc32(data)


def decode(data: bytes) -> State:
    """The state that encode() made the bytes of. Raises CrecheError."""
    content, _, checksum = data.rpartition(_CHECKSUM)
    if checksum != b'"%08x"}' % binascii.crc32(content):
        raise CrecheError("its checksum is not that of its content")
    # As saved: a path may hold bytes that are no UTF-8.
    state = loads((content + b"}").decode("utf-8", "surrogateescape"), max_size=_STATE_LIMIT)
    if not isinstance(state, dict) or state.get("version") != STATE_VERSION:
        raise CrecheError(f"expected version {STATE_VERSION}")
    return state  # type: ignore[return-value]


def _read_state(path: str) -> bytes:
    """The bytes of a state file; never blocks, follows no link. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return os.read(fd, _STATE_LIMIT)
    finally:
        os.close(fd)


def _empty(directory: str, parent: int | None = None) -> None:
    """Remove everything in a directory; by descriptors, no link is followed.

    The one directory within it (runtime/notify.py) is mounted in the container.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(directory, flags, dir_fd=parent)
    try:
        for name in os.listdir(fd):
            try:
                os.unlink(name, dir_fd=fd)
            except IsADirectoryError:
                _empty(name, fd)
                os.rmdir(name, dir_fd=fd)
    finally:
        os.close(fd)


def make_root(root: str) -> None:
    """Make the root of all state, 0700; refuse one that somebody else owns or can write."""
    try:
        os.makedirs(root, 0o700, exist_ok=True)
        info = os.stat(root)
    except OSError as error:
        raise KernelError(
            "make", root, error.errno or 0, hint="choose another with --root"
        ) from None
    if info.st_uid not in (0, os.geteuid()) or (
        info.st_mode & 0o022 and not info.st_mode & stat.S_ISVTX
    ):
        raise StateError(f"state root {root} can be changed by other users (chmod 700 it)")


def list_ids(root: str) -> list[str]:
    """Every container id under root, sorted. Raises OSError if root cannot be listed."""
    with os.scandir(root) as entries:
        names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    return sorted(name for name in names if not name.startswith("."))


def process_start_time(pid: int) -> int | None:
    """Clock ticks after boot at which a live process started (proc_pid_stat(5), field 22).

    None if there is no such process or it is a zombie.
    """
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            text = os.read(fd, 4096).decode("utf-8", "replace")
        finally:
            os.close(fd)
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if not fields or fields[0] in ("Z", "X", "x") else int(fields[19])


def boot_id() -> str:
    """This boot's identity: pids of another boot mean nothing. Read once."""
    global _boot_id
    if not _boot_id:
        _boot_id = _read_boot_id()
    return _boot_id


def _read_boot_id() -> str:
    fd = os.open("/proc/sys/kernel/random/boot_id", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 64).decode().strip()
    finally:
        os.close(fd)


def init_alive(state: State) -> bool:
    """Whether the very process that was started is still there (no reused pid)."""
    if state["pid"] <= 0 or state["boot_id"] != boot_id():
        return False
    return process_start_time(state["pid"]) == state["start_time"]


def open_init(state: State) -> int | None:
    """A pidfd of init, or None if it is gone. The caller closes it."""
    if not init_alive(state):
        return None
    try:
        fd = os.pidfd_open(state["pid"])
    except ProcessLookupError:
        return None
    # Between the check and the open the pid may have been reused.
    if process_start_time(state["pid"]) != state["start_time"]:
        os.close(fd)
        return None
    return fd


def oci_state(state: State, status: str, pid: int) -> dict[str, object]:
    """The state document of runtime.md#state, which hooks get on standard input."""
    document: dict[str, object] = {
        "ociVersion": state["ociVersion"],
        "id": state["id"],
        "status": status,
        "pid": pid,
        "bundle": state["bundle"],
    }
    if state["annotations"]:
        document["annotations"] = state["annotations"]
    return document


def current_status(directory: StateDir, state: State) -> str:
    """creating, created, running, paused or stopped: what is true now, not what was saved.

    The start socket is removed when the program runs, so its presence tells created from running
    even if whoever ran `start` was killed half-way.
    """
    if not init_alive(state):
        return "stopped"
    if state["status"] == "creating":
        return "creating"
    if _frozen(state["cgroup"]):
        return "paused"
    return "created" if startsocket.waiting(directory.path) else "running"


def _frozen(paths: dict[str, str]) -> bool:
    from runtime.cgroups import Cgroup

    try:
        return Cgroup(paths).frozen()
    except (OSError, CrecheError):
        return False
