"""creche --version, creche version."""

from __future__ import annotations

import sys

from runtime import SPEC_VERSION, VERSION
from runtime.cli.call import emit
from runtime.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli.call import Call

COMMAND = Command("version", "print the version", args="", arity=(0, 0))


def run(call: Call) -> int:
    """Print the version: engines read the first three lines."""
    python = ".".join(str(part) for part in sys.version_info[:3])
    lines = [
        f"{call.program} version {VERSION}",
        f"commit: v{VERSION}",
        f"spec: {SPEC_VERSION}",
        f"python: {python}",
    ]
    seccomp = libseccomp_version()
    if seccomp:
        lines.append(f"libseccomp: {seccomp}")
    emit("\n".join(lines) + "\n")
    return 0


def libseccomp_version() -> str:
    """The version of the libseccomp that would be used, "" if there is none."""
    from runtime.linux import foreign as ctypes

    class Version(ctypes.Structure):
        _fields_ = [(name, ctypes.c_uint) for name in ("major", "minor", "micro")]

    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        return ""
    library.seccomp_version.restype = ctypes.c_void_p
    version = Version.from_address(library.seccomp_version())
    return f"{version.major}.{version.minor}.{version.micro}"
