"""Seccomp: rules for a profile, its compilation by libseccomp, and loading the outcome."""

from .libseccomp import Filter, compile_filter
from .load import Prepared, load, prepare, supported_flags
from .rules import check, uses_notify

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
