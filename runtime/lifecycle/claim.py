"""The first act of creating a container: its plan, its id, and what is known of it by then."""

from __future__ import annotations

import os
import time

from runtime import SPEC_VERSION
from runtime.cgroups import discover
from runtime.errors import KernelError
from runtime.lifecycle import cgroups
from runtime.lifecycle.container import Container
from runtime.linux.namespaces import FLAGS
from runtime.plan.compile import compile_plan
from runtime.state import STATE_VERSION, StateDir, boot_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cgroups import Layout
    from runtime.lifecycle.request import CreateRequest
    from runtime.plan.types import LaunchPlan
    from runtime.state import State


def claim(
    request: CreateRequest, layout: Layout | None = None, plan: LaunchPlan | None = None
) -> Container:
    """Compile the plan, then claim the id; nothing exists before both have succeeded.

    layout, plan: if the caller has them already. Raises ConfigError, StateError, KernelError.
    """
    spec = request.spec
    directory = StateDir(request.root, request.id)
    layout = layout or discover()
    plan = plan or compile_plan(spec, layout, request.bundle, request.log.warning)
    _check_rootfs(plan["rootfs"])
    scope, paths = cgroups.choose(request, layout)
    try:
        directory.create()
    except BaseException:
        if scope is not None:
            scope.close()
        raise
    state: State = {
        "version": STATE_VERSION,
        "id": request.id,
        "ociVersion": SPEC_VERSION,
        "bundle": request.bundle,
        "rootfs": plan["rootfs"],
        "created": _timestamp(time.time_ns()),
        "owner": "",
        "status": "creating",
        "pid": 0,
        "start_time": 0,
        "boot_id": boot_id(),
        # Ours only once launch() has made it: until then it may be anybody's, and nothing in
        # it may be killed. The paths are noted so that a crash leaves no empty directory.
        "cgroup": {},
        "cgroup_planned": paths,
        "resctrl": [],
        "own_pid_namespace": bool(plan["new"] & FLAGS["pid"]),
        "annotations": spec.get("annotations", {}),
        "config": spec,
    }
    if scope is not None:
        state["scope"] = (scope.unit.name, scope.user)
    container = Container(directory, state, request.log)
    container.plan = plan
    container.request = request
    container.layout = layout
    container.scope = scope
    return container


def _check_rootfs(path: str) -> None:
    """root.path must be a directory and no symbolic link. Raises KernelError."""
    try:
        fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        hint = "a symbolic link is not followed" if os.path.islink(path) else ""
        raise KernelError("open", path, error.errno or 0, "root.path", hint) from None
    os.close(fd)


def _timestamp(nanoseconds: int) -> str:
    """RFC 3339 in UTC with nanoseconds, trailing zeroes left out (Go's RFC3339Nano)."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    fraction = f"{rest:09d}".rstrip("0")
    return f"{text}.{fraction}Z" if fraction else f"{text}Z"
