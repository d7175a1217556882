"""class Cgroup: one container's cgroups in all hierarchies, as one thing."""

from __future__ import annotations

import errno
import os
import time

from runtime.errors import CrecheError, KernelError, StateError

from . import freezer, kill, setup, tree, watch
from .devices import parse_list, writes_v1
from .layout import UNIFIED
from .writes import apply_writes, read_file, write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .devices import Rule
    from .writes import Write


class Cgroup:
    """paths: hierarchy name -> absolute directory, as from resolve_paths() or a saved state.

    create() takes hierarchies out of `paths` in which nothing can be made for lack of permission:
    save `paths` after it.
    """

    __slots__ = ("paths",)

    def __init__(self, paths: dict[str, str]) -> None:
        self.paths = dict(paths)

    # -- making ------------------------------------------------------------------------------

    def create(
        self,
        writes: Sequence[Write],
        devices: Sequence[Rule] | None = None,
        *,
        tolerant: bool = True,
        ours: bool = False,
    ) -> list[str]:
        """Make the cgroups and set their limits; all or nothing. Returns warnings.

        devices: None leaves devices alone. An existing cgroup is used if it is empty. tolerant:
        where there is no permission to make one the container goes without. ours: what is there
        already was made for this container (by systemd).
        Raises StateError for one that is not, KernelError for what the kernel refuses, ConfigError
        for device rules that version 1 cannot express.
        """
        v1_devices = self._holder("devices")
        device_writes = []
        if devices is not None and v1_devices:
            device_writes = writes_v1(devices)
        made: list[str] = []
        warnings: list[str] = []
        try:
            setup.make_all(self.paths, made, warnings, tolerant)
            if not ours:
                self._check_unused(made)
            setup.enable_controllers(self.paths, writes)
            apply_writes(self.paths, writes)
            if devices is not None:
                setup.limit_devices(self.paths, devices, device_writes)
        except BaseException:
            for directory in reversed(made):
                try:
                    os.rmdir(directory)
                except OSError:
                    pass
            raise
        return warnings

    def _check_unused(self, made: Sequence[str]) -> None:
        """runc's rule and words: somebody else's processes, or a freezer, would be shared.

        made: which of them were not there before.
        """
        found = [directory for directory in self.paths.values() if directory not in made]
        for directory in found:
            count = sum(1 for _pid in tree.procs(directory))
            if count:
                raise StateError(
                    f"container's cgroup is not empty: {count} process(es) found in {directory}"
                )
        if found and self.frozen():
            raise StateError("container's cgroup unexpectedly frozen")

    # -- using -------------------------------------------------------------------------------

    def join(self, pid: int, skip_unified: bool = False) -> None:
        """Put a process into every hierarchy, with all its threads.

        The first write takes the kernel 5 to 20 ms (an RCU grace period, for the lock against
        forks); unified_fd() and self_join_fds() are the way without. skip_unified: it was cloned
        into that one already. Raises KernelError (ENOENT: no such cgroup; ESRCH: no such process).
        """
        for name, directory in self.paths.items():
            if name == UNIFIED and skip_unified:
                continue
            try:
                write_file(directory, "cgroup.procs", str(pid))
            except OSError as error:
                hint = ""
                if error.errno == errno.EBUSY:
                    hint = "it has sub-cgroups with controllers, so that it may not hold processes"
                raise KernelError(
                    f"adding pid {pid} to cgroup", directory, error.errno or 0, hint=hint
                ) from None

    def self_join_fds(self) -> list[int]:
        """Descriptors by which a fresh child takes itself into each version 1 hierarchy.

        It writes b"0" to each, before it has a second thread, and closes them. That costs some
        20 us each: a single thread that moves itself needs no lock against forks (Linux 5.13,
        cgroup_procs_write_start), where join() waits for a grace period. The right to do so comes
        with the descriptor. Close-on-exec; the caller closes its copies.
        """
        fds: list[int] = []
        flags = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        for name, directory in self.paths.items():
            if name == UNIFIED:
                continue
            try:
                fds.append(os.open(directory + "/tasks", flags))
            except OSError as error:
                for fd in fds:
                    os.close(fd)
                raise KernelError("open", directory + "/tasks", error.errno or 0) from None
        return fds

    def unified_fd(self) -> int | None:
        """A descriptor for CLONE_INTO_CGROUP, close-on-exec; the caller closes it.

        None where there is no version 2 tree.
        """
        directory = self.paths.get(UNIFIED)
        if directory is None:
            return None
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            return os.open(directory, flags)
        except OSError as error:
            raise KernelError("open cgroup", directory, error.errno or 0) from None

    def apply(self, writes: Sequence[Write], devices: Sequence[Rule] | None = None) -> None:
        """Change limits of a live container. What is not named stays as it is.

        devices: the new rules in full; access that both old and new allow is never interrupted.
        """
        setup.enable_controllers(self.paths, writes)
        apply_writes(self.paths, writes)
        if devices is not None:
            holder = self._holder("devices")
            changes: list[tuple[str, str]] = []
            if holder:
                changes = writes_v1(devices, parse_list(read_file(holder, "devices.list")))
            setup.limit_devices(self.paths, devices, changes)

    def delegate(self, uid: int, gid: int) -> None:
        """Hand the version 2 cgroup to the container's root, for a cgroup namespace of its own.

        The files are those that the kernel calls safe to hand on. Never for version 1.
        """
        directory = self.paths.get(UNIFIED)
        if directory is None:
            return
        try:
            names = read_file("/sys/kernel/cgroup", "delegate").split()
        except FileNotFoundError:  # before Linux 4.15
            names = ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"]
        for name in ["", *names]:
            path = f"{directory}/{name}" if name else directory
            try:
                os.chown(path, uid, gid, follow_symlinks=False)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise KernelError("hand over cgroup", path, error.errno or 0) from None

    # -- freezing ----------------------------------------------------------------------------

    def _holder(self, controller: str) -> str | None:
        return setup.holder(self.paths, controller)

    def _unified_freezer(self) -> str | None:
        directory = self.paths.get(UNIFIED)
        if directory and os.path.exists(directory + "/cgroup.freeze"):
            return directory
        return None

    def freeze(self, timeout: float = freezer.FREEZE_TIMEOUT) -> None:
        """Stop all processes; returns when they have stopped. KernelError(ETIMEDOUT) if not."""
        directory = self._unified_freezer()
        try:
            if directory:
                freezer.freeze_v2(directory, timeout)
                return
            directory = self._holder("freezer")
            if directory:
                freezer.freeze_v1(directory, timeout)
                return
        except OSError as error:
            raise KernelError("freeze cgroup", directory or "", error.errno or 0) from None
        raise CrecheError("the container has no cgroup that can be frozen")

    def thaw(self) -> None:
        """Let all processes go on, whichever freezer holds them."""
        directory = self._holder("freezer")
        try:
            if directory and freezer.state_v1(directory) != "THAWED":
                freezer.thaw_v1(directory)
            directory = self._unified_freezer()
            if directory:
                freezer.thaw_v2(directory)
        except OSError as error:
            raise KernelError("thaw cgroup", directory or "", error.errno or 0) from None

    def frozen(self) -> bool:
        """Whether this cgroup itself was ordered to freeze (not one above it)."""
        directory = self.paths.get(UNIFIED)
        if directory:
            try:
                if read_file(directory, "cgroup.freeze").strip() == "1":
                    return True
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENODEV):
                    raise
        directory = self._holder("freezer")
        return bool(directory) and freezer.state_v1(directory or "") != "THAWED"

    # -- processes ---------------------------------------------------------------------------

    def _tracker(self) -> str | None:
        """The directory that tells which processes belong to the container."""
        if UNIFIED in self.paths:
            return self.paths[UNIFIED]
        return self._holder("freezer") or next(iter(self.paths.values()), None)

    def pids(self, recursive: bool = True) -> list[int]:
        """Processes in the container, sorted; none if the cgroup is gone."""
        directory = self._tracker()
        if directory is None:
            return []
        return sorted(pid for pid in tree.procs(directory, recursive) if pid > 0)

    def populated(self) -> bool:
        """Whether a process is left."""
        directory = self.paths.get(UNIFIED)
        if directory:
            value = freezer.event(directory, "populated")
            if value is not None:
                return value == "1"
        return bool(self.pids())

    def signal_all(self, number: int) -> None:
        """Send a signal to every process, frozen meanwhile so that none is forked unnoticed."""
        if number == kill.SIGKILL and self._kill_now():
            return
        hold = not self.frozen()
        if hold:
            try:
                self.freeze(2.0)
            except CrecheError:
                hold = False
        try:
            kill.signal(self.pids(), number)
        finally:
            if hold:
                self.thaw()
        if number == kill.SIGKILL:
            self._release_frozen()

    def _kill_now(self) -> bool:
        """By cgroup.kill. False where there is none."""
        directory = self.paths.get(UNIFIED)
        if directory is None:
            return False
        if not kill.kill_tree_v2(directory):
            return False
        self._release_frozen()
        return True

    def _release_frozen(self) -> None:
        """A version 1 freezer keeps even killed processes alive."""
        directory = self._holder("freezer")
        if directory:
            freezer.thaw_v1_below(directory)

    def kill_all(self, timeout: float = 10.0) -> bool:
        """SIGKILL for every process, and wait until none is left.

        False if some still are after timeout seconds: they hang in the kernel (state D).
        """
        deadline = time.monotonic() + timeout
        if self._kill_now():
            if not kill.wait_empty_v2(self.paths[UNIFIED], deadline):
                return False
        else:
            self.signal_all(kill.SIGKILL)
        # Version 1 again: a process may have been put there and not yet into the unified tree.
        rest = [path for name, path in self.paths.items() if name != UNIFIED]
        return kill.kill_until_empty(rest or list(self.paths.values()), deadline)

    # -- watching ----------------------------------------------------------------------------

    def oom_kills(self) -> int | None:
        """How many processes the OOM killer took here and below; None if nobody counts.

        Read it before remove().
        """
        return watch.oom_kills(self.paths)

    def events_files(self) -> dict[str, str]:
        """Files that wake an inotify watch (version 2) or an eventfd (version 1)."""
        return watch.events_files(self.paths)

    # -- removing ----------------------------------------------------------------------------

    def remove(self, timeout: float = 10.0) -> None:
        """Remove all directories and what the container made below them.

        Waits up to timeout seconds, by event where there is one, for processes that are on their
        way out. Fine if they are gone already. KernelError if one is still in use at the end; the
        others are removed nevertheless.
        """
        deadline = time.monotonic() + timeout
        directory = self.paths.get(UNIFIED)
        if directory:
            kill.wait_empty_v2(directory, deadline)
        failed: KernelError | None = None
        for directory in self.paths.values():
            try:
                tree.remove(directory, deadline)
            except KernelError as error:
                failed = failed or error
        if failed:
            raise failed
