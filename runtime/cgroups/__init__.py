"""Control groups: where they are, what is written into them, and one container's set of them."""

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
