"""create, start and delete as generators of steps: no I/O, no clock, no waiting.

A driver performs each step and sends its result back, or throws the exception that performing it
raised; the order, what is undone after a failure, and which hooks run then, stand only here.
`creche` drives them with blocking calls (blocking.py), `creched` from trio. Source:
runtime.md#lifecycle.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

    from runtime.criu.order import Order

    Steps = Generator["Step", object, None]


class Step:
    """Something for a driver to do. Subclasses say what; equality is by content, for tests."""

    __slots__: tuple[str, ...] = ()

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Step)
            and type(self) is type(other)
            and self._content() == other._content()
        )

    def __hash__(self) -> int:
        return hash((type(self), self._content()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self._content()}"

    def _content(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)


class SaveState(Step):
    """Write state.json with this status: creating, created, running or deleting."""

    __slots__ = ("status",)

    def __init__(self, status: str) -> None:
        self.status = status


class Launch(Step):
    """Make the cgroup and clone init (runtime/launch.py); the pid becomes part of the state."""

    __slots__ = ()


class Tell(Step):
    """Send init one message; state: with the state document of this status, or ""."""

    __slots__ = ("kind", "status")

    def __init__(self, kind: str, status: str = "") -> None:
        self.kind = kind
        self.status = status


class Expect(Step):
    """Receive init's next message; anything but this kind, warning or console is an error."""

    __slots__ = ("kind",)

    def __init__(self, kind: str) -> None:
        self.kind = kind


class RunHooks(Step):
    """Run the hooks of a stage that belong in the runtime's namespaces.

    status: what their state document says. keep_going: a failure is a warning, the rest still run.
    """

    __slots__ = ("keep_going", "stage", "status")

    def __init__(self, stage: str, status: str, keep_going: bool = False) -> None:
        self.stage = stage
        self.status = status
        self.keep_going = keep_going


class HandOver(Step):
    """Give the engine the pid file, the terminal, the pidfd it asked for."""

    __slots__ = ()


class Warn(Step):
    """Report a failure that changes nothing about what follows."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class Restore(Step):
    """Make the cgroup and have CRIU make the processes, from the images that `order` names."""

    __slots__ = ("order",)

    def __init__(self, order: Order) -> None:
        self.order = order


class ReleaseInit(Step):
    """Connect to init's start socket and tell it to run the program."""

    __slots__ = ()


class AwaitExec(Step):
    """Wait until the program runs (end of file) or init says why it does not; unlink the socket."""

    __slots__ = ()


class Kill(Step):
    """SIGKILL everything in the container, and wait until it is gone."""

    __slots__ = ()


class RemoveCgroup(Step):
    """Remove the container's cgroups."""

    __slots__ = ()


class RemoveState(Step):
    """Remove the state directory: from here on the id is free."""

    __slots__ = ()


def create(hooks: bool = True) -> Steps:
    """From a claimed id to a container whose init waits for start.

    hooks: whether there are any to be run on the way; without, nothing has to be waited for. Fails
    as if never attempted: whatever is there by then is destroyed, poststop hooks run.
    """
    try:
        yield SaveState("creating")
    except BaseException:
        yield from _give_back()
        raise
    try:
        yield Launch()
        yield SaveState("creating")
        if hooks:
            yield Tell("go")
            yield Expect("prepared")
            yield RunHooks("prestart", "creating")
            yield RunHooks("createRuntime", "creating")
            yield Tell("hooks-done", "creating")
        else:
            yield Tell("go-through")
        yield Expect("created")
        yield HandOver()
        yield SaveState("created")
    except BaseException:
        yield from _undo()
        raise


def restore(order: Order) -> Steps:
    """From a claimed id to a container that runs, out of a checkpoint. Fails as create does."""
    try:
        yield SaveState("creating")
    except BaseException:
        yield from _give_back()
        raise
    try:
        yield Restore(order)
        yield HandOver()
        yield SaveState("running")
        yield RunHooks("poststart", "running")
    except BaseException:
        yield from _undo()
        raise


def start() -> Steps:
    """From created to running. A failed poststart hook ends the container (specification 1.3)."""
    yield ReleaseInit()
    yield AwaitExec()
    yield from finish_start()


def finish_start() -> Steps:
    """The rest of start, for a program that runs already: whoever started it was killed then."""
    yield SaveState("running")
    try:
        yield RunHooks("poststart", "running")
    except BaseException:
        yield from _undo()
        raise


def destroy() -> Steps:
    """Whatever is left of a container goes; poststop hooks run before the id is free again.

    If processes or cgroups cannot be removed the state stays, and the next delete goes on.
    """
    try:
        yield SaveState("deleting")
    except Exception as error:  # noqa: BLE001 - nothing may keep the rest from being tried
        yield Warn(str(error))
    yield Kill()
    yield RemoveCgroup()
    yield RunHooks("poststop", "stopped", keep_going=True)
    yield RemoveState()


def _give_back() -> Steps:
    """The id, when there is nothing yet but its directory (the disk may be full)."""
    try:
        yield RemoveState()
    except Exception as error:  # noqa: BLE001 - the first error is the one to report
        yield Warn(f"clean up: {error}")


def _undo() -> Steps:
    """destroy, while an error is on its way up that must not be replaced by another."""
    try:
        yield from destroy()
    except Exception as error:  # noqa: BLE001 - nothing may keep the rest from being tried
        yield Warn(f"clean up: {error}")
