"""Seccomp: rules for a profile, its compilation by libseccomp, and loading the outcome."""

from .filter import Filter
from .load import Prepared, load, prepare, supported_flags
from .rules import check, uses_notify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = [
    "Filter",
    "Prepared",
    "check",
    "compile_filter",
    "load",
    "prepare",
    "supported_flags",
    "uses_notify",
]


def compile_filter(seccomp: "Mapping[str, Any]", path: str = "linux.seccomp") -> Filter:
    """As in libseccomp.py, which is imported by it: a filter may have been compiled before."""
    from .libseccomp import compile_filter as compiled

    return compiled(seccomp, path)
