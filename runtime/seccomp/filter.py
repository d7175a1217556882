"""A compiled profile."""

from __future__ import annotations

from . import tables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class Filter:
    """A compiled profile.

    program: array of struct sock_filter; flags: for seccomp(2); warnings: for the log.
    """

    __slots__ = ("flags", "program", "warnings")

    def __init__(self, program: bytes, flags: int, warnings: list[str]) -> None:
        self.program = program
        self.flags = flags
        self.warnings = warnings

    @property
    def listener(self) -> bool:
        """Whether loading it yields a descriptor for the agent at `listenerPath`."""
        return bool(self.flags & tables.FLAG_NEW_LISTENER)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; the program in hexadecimal."""
        return {
            "program": self.program.hex(),
            "flags": self.flags,
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Filter:
        """The opposite of to_dict."""
        return cls(bytes.fromhex(data["program"]), data["flags"], list(data["warnings"]))
