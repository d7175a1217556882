"""What a container's init and a process that `exec` adds have in common, from console to execve."""

from __future__ import annotations

import os

import runtime.linux.process as p
from runtime import lsm
from runtime.channel import Channel
from runtime.errors import CrecheError, InitError, KernelError
from runtime.init import console, credentials, program
from runtime.seccomp import agent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.plan.types import ProcessPlan
    from runtime.seccomp import Prepared


def become(
    plan: ProcessPlan,
    slave: int,
    filtered: bool,
    warn: Callable[[str], None],
) -> tuple[str, dict[str, str]]:
    """Terminal, user, directory; returns the program's path and its environment.

    slave: the terminal, or -1. filtered: a seccomp filter follows, for which CAP_SYS_ADMIN is kept
    where it needs it. After this, only turn_into() may follow.
    """
    if slave >= 0:
        console.take(slave, plan["uid"])
        os.close(slave)
    credentials.set_attributes(plan)
    credentials.own_stdio(plan["uid"])
    keep = filtered and not plan["no_new_privileges"]
    credentials.change_user(plan, keep, warn)
    program.enter_cwd(plan["cwd"])
    env = program.environment(plan)
    return program.find(plan["args"][0], env), env


def turn_into(
    plan: ProcessPlan,
    path: str,
    env: dict[str, str],
    filter_: Prepared | None,
    channel: Channel,
) -> None:
    """The last act: default signals, limits, the filter, execve(2). Returns only by raising.

    Nothing but capset(2) and execve(2) is called once the filter holds, so that a profile may
    forbid all the rest (but write and read, if it has a listener to hand over).
    """
    credentials.reset_signals()
    credentials.set_limits(plan)
    if filter_ is not None:
        try:
            listener = filter_.install()
            if listener is not None:
                agent.offer(channel.fileno(), listener)
            if not plan["no_new_privileges"]:
                credentials.drop_sys_admin(plan)
        except OSError as error:
            raise KernelError("load filter", "", error.errno or 0, "linux.seccomp") from None
    program.execute(path, plan["args"], env)


def report(channel: Channel, error: BaseException) -> None:
    """Tell the driver what happened; it may be gone, and then nobody wants to know."""
    number, kind = 0, ""
    if isinstance(error, InitError):
        number, kind = error.number, error.kind
    elif isinstance(error, KernelError):
        number = error.number
    known = isinstance(error, CrecheError)
    text = str(error) if known else f"{type(error).__name__}: {error}"
    try:
        channel.send({"type": "error", "text": text[:8192], "errno": number, "kind": kind})
    except OSError:
        pass


def become_root_inside() -> None:
    """Root of the user namespace, if its maps have one; files made from here on belong to it."""
    try:
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        p.prctl(p.PR_SET_DUMPABLE, 0)
    except OSError as error:
        raise KernelError(
            "become root of the user namespace", "", error.errno or 0, "linux.uidMappings",
            "containerID 0 must be mapped",
        ) from None  # fmt: skip


def join_keyring(name: str, label: str = "", proc: int = -1) -> None:
    """A session keyring of the container's own; kernels without keys have nothing to leak.

    label: the SELinux label it gets; proc: a procfs of our own, needed for that alone.
    """
    if label:
        lsm.label_keys(label, proc)
    try:
        p.join_session_keyring(name)
    except OSError:
        pass
    if label:
        lsm.label_keys("", proc)
