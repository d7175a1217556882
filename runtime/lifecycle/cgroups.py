"""Who makes a container's cgroups: we ourselves, systemd, or nobody."""

from __future__ import annotations

from runtime.cgroups import compile_resources, resolve_paths
from runtime.errors import ConfigError, CrecheError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.cgroups import Layout
    from runtime.lifecycle.request import CreateRequest
    from runtime.state import State
    from runtime.systemd.scope import Scope

MANAGERS = ("cgroupfs", "systemd", "disabled")


def choose(request: CreateRequest, layout: Layout) -> tuple[Scope | None, dict[str, str]]:
    """The scope to be made, if systemd is to do it, and the directories there will be.

    Raises ConfigError, CrecheError; nothing is made yet.
    """
    linux = request.spec.get("linux", {})
    if request.cgroups == "systemd":
        from runtime.systemd.scope import Scope

        scope = Scope(request.spec, request.id, layout, request.log.warning)
        return scope, scope.paths
    if request.cgroups == "disabled":
        # A limit that is not kept is worse than an error.
        for write in compile_resources(linux.get("resources"), layout):
            raise ConfigError(write[3], "cannot be kept with --cgroup-manager disabled")
        return None, {}
    return None, resolve_paths(linux.get("cgroupsPath"), request.id, layout)


def stop_scope(state: State, warn: Callable[[str], None]) -> None:
    """Have systemd end the container's scope, if it has one.

    A manager that does not answer keeps nobody from deleting: it removes a scope by itself as soon
    as no process is left in it.
    """
    if "scope" not in state:
        return
    from runtime.systemd import scope

    try:
        scope.stop(*state["scope"])
    except CrecheError as error:
        warn(str(error))
