"""One container's transient scope: made around a process, changed, stopped."""

from __future__ import annotations

import os

import runtime.linux.namespaces as ns
from runtime.cgroups import discover
from runtime.errors import CrecheError, KernelError
from runtime.linux.files import read_text

from . import annotations as annotated
from . import properties as props
from .bus import NO_SUCH_UNIT, UNIT_EXISTS, BusError, Manager, needs_user_manager
from .names import Unit, unit_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from runtime.cgroups import Layout
    from runtime.cgroups.devices import Rule
    from runtime.spec.types import Spec

    from .properties import Property, Resources


class Scope:
    """A scope that is about to be made, and the connection to the manager that makes it.

    systemd makes a scope only around a process, and the container's cgroup is to be there, with
    all its limits, before init is cloned into it. So a placeholder holds the scope meanwhile: a
    process that reads from a pipe. If we are killed it ends, and systemd removes a scope
    without processes.
    """

    __slots__ = (
        "_id", "_limits", "_modern", "_pipe", "_placeholder", "manager", "paths", "unit", "user",
    )  # fmt: skip

    def __init__(
        self, spec: Spec, container_id: str, layout: Layout, warn: Callable[[str], None]
    ) -> None:
        """Connects to systemd. Raises ConfigError, CrecheError; nothing is made yet."""
        linux = spec.get("linux", {})
        self.user = needs_user_manager()
        self.unit: Unit = unit_of(linux.get("cgroupsPath"), container_id, self.user)
        self.manager = Manager(self.user)
        self._pipe = -1
        self._placeholder = 0
        try:
            base = str(self.manager.property("ControlGroup")).rstrip("/")
            modern = layout.mode == "v2"
            self._limits = props.limits(
                linux.get("resources"), modern, self.manager.version()
            ) + annotated.properties(spec.get("annotations", {}), warn)
        except BaseException:
            self.manager.close()
            raise
        self._modern = modern
        self._id = container_id
        self.paths = {
            name: hierarchy.directory_of(base + self.unit.cgroup())
            for name, hierarchy in layout.hierarchies.items()
        }

    def start(self, devices: Sequence[Rule] | None) -> None:
        """Have the scope made, with the placeholder in it. Raises CrecheError."""
        self._park()
        found: list[Property] = [
            ("Description", ("s", f"container {self._id}")),
            ("Slice", ("s", self.unit.slice)),
            ("Delegate", ("b", True)),
            ("DefaultDependencies", ("b", False)),
            ("CollectMode", ("s", "inactive-or-failed")),
            ("CPUAccounting", ("b", True)),
            ("MemoryAccounting", ("b", True)),
            ("TasksAccounting", ("b", True)),
            ("IOAccounting" if self._modern else "BlockIOAccounting", ("b", True)),
        ]
        if devices is not None and not self._modern:
            found += props.devices(devices, read_text("/proc/devices"))
        given = {name for name, _value in self._limits}
        found = [item for item in found if item[0] not in given]
        found += [*self._limits, ("PIDs", ("au", [self._placeholder]))]
        order: tuple[Any, ...] = (self.unit.name, "replace", found, [])
        try:
            self._start_unit(order)
        except BaseException:
            self.release()
            raise

    def _start_unit(self, order: tuple[Any, ...]) -> None:
        for attempt in (1, 2):
            try:
                self.manager.run_job("StartTransientUnit", "ssa(sv)a(sa(sv))", order)
                return
            except BusError as error:
                if error.name != UNIT_EXISTS:
                    raise
                if attempt == 2:
                    raise CrecheError(
                        f"systemd has a unit {self.unit.name} already: stop it, or choose another "
                        "name in linux.cgroupsPath"
                    ) from None
                # What failed under that name and was never collected.
                _reset(self.manager, self.unit.name)

    def _park(self) -> None:
        reader, self._pipe = os.pipe2(os.O_CLOEXEC)
        try:
            pid = ns.clone3(0)
        except OSError as error:
            os.close(reader)
            raise KernelError("clone3", "", error.errno or 0) from None
        if pid == 0:
            os.close(self._pipe)
            os.read(reader, 1)
            os._exit(0)
        os.close(reader)
        self._placeholder = pid

    def attach(self, pid: int) -> None:
        """Have a process moved into the scope.

        A user's manager may do that where its user may not: between two parts of the tree of which
        only one is the user's, the kernel asks for rights to what is above both.
        """
        self.manager.call("AttachProcessesToUnit", "ssau", (self.unit.name, "", [pid]))

    def release(self) -> None:
        """The placeholder has done its duty."""
        if self._placeholder:
            try:
                os.write(self._pipe, b"!")  # init may still hold a copy, and delay the end of file
            except BrokenPipeError:
                pass
            os.close(self._pipe)
            os.waitpid(self._placeholder, 0)
            self._placeholder, self._pipe = 0, -1

    def abandon(self) -> None:
        """Undo start(): whatever is in the scope goes with it."""
        self.release()
        _stop(self.manager, self.unit.name)

    def close(self) -> None:
        """Let go of the connection; the scope stays."""
        self.release()
        self.manager.close()


def _reset(manager: Manager, unit: str) -> None:
    try:
        manager.call("ResetFailedUnit", "s", (unit,))
    except BusError as error:
        if error.name != NO_SUCH_UNIT:
            raise


def _stop(manager: Manager, unit: str) -> None:
    try:
        manager.run_job("StopUnit", "ss", (unit, "replace"))
    except BusError as error:
        if error.name != NO_SUCH_UNIT:
            raise
    _reset(manager, unit)


def stop(unit: str, user: bool) -> None:
    """Stop a container's scope; fine if systemd has none of that name any more."""
    manager = Manager(user)
    try:
        _stop(manager, unit)
    finally:
        manager.close()


def attach(unit: str, user: bool, pid: int, inner: str) -> None:
    """Have a process moved into a live scope; inner: a cgroup below the scope's own, or "".

    Raises CrecheError.
    """
    manager = Manager(user)
    try:
        manager.call("AttachProcessesToUnit", "ssau", (unit, inner, [pid]))
    finally:
        manager.close()


def change(unit: str, user: bool, before: Resources, after: Resources) -> None:
    """Give a live scope new limits, until it ends: those that differ. Raises CrecheError."""
    modern = discover().mode == "v2"
    manager = Manager(user)
    try:
        version = manager.version()
        found = props.changed(
            props.limits(before, modern, version), props.limits(after, modern, version)
        )
        if not found:
            return
        manager.call("SetUnitProperties", "sba(sv)", (unit, True, found))
        # It answers before it writes the files, and listens to us again only after that; what we
        # write ourselves has to come last.
        manager.property("Version")
    finally:
        manager.close()
