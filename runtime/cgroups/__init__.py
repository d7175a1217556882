"""Control groups: where they are, what is written into them, and one container's set of them."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .devices import compile_devices
    from .layout import UNIFIED, Hierarchy, Layout, discover
    from .manager import Cgroup
    from .paths import resolve_paths
    from .resources import compile_resources

__all__ = [
    "UNIFIED",
    "Cgroup",
    "Hierarchy",
    "Layout",
    "compile_devices",
    "compile_resources",
    "discover",
    "resolve_paths",
]

_HOMES = {
    "UNIFIED": "layout",
    "Cgroup": "manager",
    "Hierarchy": "layout",
    "Layout": "layout",
    "compile_devices": "devices",
    "compile_resources": "resources",
    "discover": "layout",
    "resolve_paths": "paths",
}


def __getattr__(name: str) -> object:
    """Import a module with the first thing that is asked of it: `kill` compiles no limits."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = f"{__name__}.{_HOMES[name]}"
    value: object = getattr(__import__(home, fromlist=[name]), name)
    globals()[name] = value
    return value
