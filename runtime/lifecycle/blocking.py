"""The blocking driver of the lifecycle, and what commands call: create, start, delete, kill."""

from __future__ import annotations

import os

from runtime.errors import CrecheError, NoSuchContainer, StateError
from runtime.jsonio import dumps
from runtime.lifecycle import protocol as steps
from runtime.lifecycle.container import Container
from runtime.state import StateDir, open_init

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal

    from runtime.channel import Channel
    from runtime.criu.order import Order
    from runtime.lifecycle.protocol import Step, Steps
    from runtime.lifecycle.request import CreateRequest, Logger
else:
    import _signal  # signal imports enum, which takes longer than the command

SIGKILL = 9


def drive(container: Container, protocol: Steps) -> None:
    """Perform every step of a protocol; failures go back into it, and what it makes of them up."""
    try:
        step = next(protocol)
        while True:
            try:
                perform(container, step)
            except BaseException as error:  # noqa: BLE001 - thrown on, into the protocol
                step = protocol.throw(error)
            else:
                step = protocol.send(None)
    except StopIteration:
        return


def perform(container: Container, step: Step) -> None:
    """One step, blocking."""
    match step:
        case steps.SaveState():
            container.save(step.status)
        case steps.Launch():
            _launch(container)
        case steps.Tell():
            container.tell(step.kind, step.status)
        case steps.Expect():
            assert container.channel is not None
            while not container.understand(container.channel.receive(), step.kind):
                pass
        case steps.RunHooks():
            _run_hooks(container, step)
        case steps.HandOver():
            container.hand_over()
        case steps.Restore():
            _restore(container, step.order)
        case steps.ReleaseInit():
            container.release_init()
        case steps.AwaitExec():
            _await_exec(container)
        case steps.Kill():
            container.hang_up()
            container.kill_everything()
        case steps.RemoveCgroup():
            container.remove_cgroup()
        case steps.RemoveState():
            container.directory.remove()
        case steps.Warn():
            container.log.warning(step.text)
        case _:
            raise AssertionError(f"unknown step {step!r}")


def _launch(container: Container) -> None:
    # Only processes that launch pay for what init needs.
    from runtime.channel import pair
    from runtime.launch import Launch, launch

    request, plan = container.request, container.plan
    assert request is not None
    assert plan is not None
    ours, theirs = pair()
    listener = -1
    try:
        listener = container.listen()
        if request.notify:
            from runtime import notify

            notify.make_directory(container.directory.path)
        cgroup = container.planned_cgroup()
        order = Launch(
            plan,
            request.stdio,
            theirs.fileno(),
            listener,
            cgroup_mounts=container.cgroup_mounts(),
            no_pivot=request.no_pivot,
            keyring=container.keyring(),
            debug=bool(getattr(request.log, "debugging", False)),
            tied=request.tied,
            tolerant=request.tolerant,
            scope=container.scope,
        )
        launched = launch(order, cgroup, container.log.warning)
        container.own_cgroup(cgroup.paths)
        container.adopt_init(launched.pid)
        container.channel = ours
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
        if listener >= 0:
            os.close(listener)


def _restore(container: Container, order: Order) -> None:
    from runtime.criu.restore import restore

    def run_hooks() -> None:
        for stage in ("prestart", "createRuntime"):
            _run_hooks(container, steps.RunHooks(stage, "creating"))

    restore(container, order, run_hooks)


def _run_hooks(container: Container, step: steps.RunHooks) -> None:
    hooks = container.hooks(step.stage)
    if not hooks:
        return
    # Nor does anybody pay for hooks who has none.
    from hooks.blocking import run_hooks
    from hooks.errors import HookError

    container.log.debug(f"running {len(hooks)} {step.stage} hook(s)")
    state = dumps(container.hook_state(step.status)).encode()
    try:
        errors = run_hooks(
            step.stage,
            hooks,
            state,
            cwd=container.hook_directory(),
            keep_going=step.keep_going,
            first=container.hooks_ended(step.stage),
            ended=lambda count: container.note_hooks(step.stage, count),
        )
    except HookError as error:
        raise CrecheError(str(error)) from None
    for failed in errors:
        container.log.warning(str(failed))


def _await_exec(container: Container) -> None:
    channel: Channel | None = container.channel
    assert channel is not None
    while (received := channel.receive()) is not None:
        container.understand(received, "")
    container.program_runs()


# -- what commands call ----------------------------------------------------------------------


def create(request: CreateRequest) -> Container:
    """Create a container; its init waits for start. The caller closes the result."""
    from runtime.lifecycle.claim import claim  # of no use to the commands that come after

    container = claim(request)
    try:
        container.directory.lock()
        drive(container, steps.create(container.has_creation_hooks()))
        container.directory.unlock()
        return container
    except BaseException:
        container.close()
        raise


def restore(request: CreateRequest, order: Order) -> Container:
    """A container that runs on from a checkpoint. The caller closes the result."""
    from runtime.lifecycle.claim import claim

    container = claim(request)
    try:
        container.directory.lock()
        drive(container, steps.restore(order))
        container.directory.unlock()
        return container
    except BaseException:
        container.close()
        raise


def open_container(root: str, container_id: str, log: Logger) -> Container:
    """An existing container. Raises NoSuchContainer, StateError."""
    return Container.open(root, container_id, log)


def start(container: Container) -> None:
    """Run the program of a created container; StateError in runc's words otherwise."""
    container.lock()
    try:
        status = container.status()
        if status == "stopped":
            raise StateError("cannot start a container that has stopped")
        if status != "created":
            raise StateError("cannot start an already running container")
        if "process" not in container.state["config"]:
            raise StateError("cannot start a container whose configuration has no process")
        drive(container, steps.start())
    finally:
        container.directory.unlock()


def delete(container: Container, force: bool = False) -> None:
    """Remove a stopped or created container, or with force any."""
    if not force:
        check_deletable(container)
    else:
        # Before the lock: a create that hangs in a hook holds it, and must end first.
        container.kill_everything()
    try:
        container.lock()
    except NoSuchContainer:
        if force:
            return  # the create that we ended has cleaned up after itself
        raise
    try:
        if not force:
            check_deletable(container)  # it may have been started while we waited
        drive(container, steps.destroy())
    finally:
        container.directory.unlock()


def check_deletable(container: Container) -> None:
    """StateError, in runc's words, if it may still do something."""
    status = container.status()
    if status not in ("stopped", "created"):
        raise StateError(
            f"cannot delete container {container.directory.id} that is not stopped: {status}"
        )


def discard(root: str, container_id: str, log: Logger) -> None:
    """Remove a container whose state is not usable: what `delete --force` is for.

    Its processes and control groups are found again by the traces kept next to the state. What
    cannot be found that way is not guessed at: a warning says where to look. Raises StateError if
    processes cannot be killed, KernelError; what is left to do is then left for the next call.
    """
    directory = StateDir(root, container_id)
    traces = directory.traces()
    if traces is not None:
        container = Container(directory, traces, log)
        container.kill_everything()
        container.remove_cgroup()
        log.warning(
            f"container {container_id}: its processes and control groups are removed; "
            "its poststop hooks are not known and do not run"
        )
    elif directory.has_state():
        log.warning(
            f"container {container_id}: nothing tells what it consisted of; if it ran, its "
            "processes and control groups are still there (find /sys/fs/cgroup -type d "
            f"-name '*{container_id}*' shows them, unless linux.cgroupsPath names others; write 1 "
            "to cgroup.kill, or kill what cgroup.procs lists, then rmdir)"
        )
    directory.remove()


def kill(container: Container, number: int, everyone: bool = False) -> None:
    """Signal init; SIGKILL without a pid namespace of its own, or everyone: all processes."""
    pidfd = open_init(container.state)
    try:
        cgroup = container.cgroup()
        if everyone or (number == SIGKILL and not container.state["own_pid_namespace"]):
            if pidfd is None and not everyone and not cgroup.populated():
                raise StateError("container not running")
            cgroup.signal_all(number)
            return
        if pidfd is None:
            raise StateError("container not running")
        _signal.pidfd_send_signal(pidfd, number)
        if number == SIGKILL and cgroup.frozen():
            cgroup.thaw()  # a v1 freezer holds even the killed
    except ProcessLookupError:
        raise StateError("container not running") from None
    finally:
        if pidfd is not None:
            os.close(pidfd)


def pause(container: Container) -> None:
    """Freeze every process of the container."""
    status = container.status()
    if status not in ("running", "created"):
        raise StateError(
            "container not running" if status != "paused" else "container already paused"
        )
    container.cgroup().freeze()


def resume(container: Container) -> None:
    """Thaw a paused container."""
    if container.status() != "paused":
        raise StateError("container not paused")
    container.cgroup().thaw()


def end(container: Container) -> None:
    """The last act of a foreground run: whatever is left goes, with its poststop hooks."""
    try:
        container.directory.lock()
        drive(container, steps.destroy())
    except NoSuchContainer:
        pass  # somebody else has deleted it
    except CrecheError as error:
        container.log.warning(f"clean up: {error}")
    finally:
        container.close()
