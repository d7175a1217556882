"""Replaces creched by a new program in the same process: `crechectl reexec`.

execve(2) keeps the process: children stay children, and those that end meanwhile wait as zombies to
be asked how. What the new program needs besides the state root are descriptors; their numbers and
names it finds in a sealed memfd, of which the number stands in its environment.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import MutableMapping, Sequence
from typing import NoReturn

import trio

from runtime.errors import CrecheError, KernelError
from runtime.jsonio import dumps, loads

VARIABLE = "CRECHED_HANDED_OVER"
VERSION = 1
_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
_LIMIT = 16 << 20
_CHECK = 60.0


async def check() -> None:
    """Try whether the new program can start, with our options. Raises CrecheError with what it
    says: of its settings every mistake, otherwise the last line."""
    try:
        with trio.fail_after(_CHECK):
            tried = await trio.run_process(
                [*command(), *sys.argv[1:], "--check"],
                capture_stdout=True,
                capture_stderr=True,
                check=False,
            )
    except (OSError, trio.TooSlowError) as error:
        raise CrecheError(f"the new program cannot be run: {error}") from None
    if tried.returncode:
        said = tried.stderr.decode(errors="replace").strip()
        _, own, mistakes = said.rpartition("creched: ")
        last = said.splitlines()[-1] if said else f"exit status {tried.returncode}"
        told = "; ".join(mistakes.splitlines()) if own else last
        raise CrecheError(f"the new program does not start: {told}")


def command() -> list[str]:
    """The program that this process was started with, and its options up to the first of ours."""
    words = [sys.executable, *sys.orig_argv[1:]]
    own = len(sys.argv) - 1
    return words[: len(words) - own] if own else words


def replace(descriptors: dict[str, int], environment: Sequence[tuple[str, str]]) -> NoReturn:
    """Execute the program anew, with these descriptors. Raises KernelError if that fails.

    Signals are held back by then (supervisor/held.py), and handled by the new program.
    environment: variables that it gets besides this process's own.
    """
    memfd = _write(descriptors)
    passed = [memfd, *descriptors.values()]
    try:
        for fd in passed:
            os.set_inheritable(fd, True)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        variables = {**os.environ, **dict(environment), VARIABLE: str(memfd)}
        os.execve(sys.executable, [*command(), *sys.argv[1:]], variables)  # noqa: S606
    except OSError as error:
        for fd in passed:
            os.set_inheritable(fd, False)
        os.close(memfd)
        raise KernelError("execute", sys.executable, error.errno or 0) from None
    raise AssertionError("execve returned")


def taken_over(environment: MutableMapping[str, str]) -> tuple[tuple[str, int], ...] | None:
    """(name, descriptor) of what the program before us in this process has left; None: none was.

    The variable is removed; what it names is believed only if it is what `replace` makes, for this
    very process. Raises CrecheError if it is that and cannot be read.
    """
    text = environment.pop(VARIABLE, "")
    if not (text.isascii() and text.isdecimal()):
        return None
    memfd = int(text)
    try:
        if fcntl.fcntl(memfd, fcntl.F_GET_SEALS) != _SEALS:
            return None
        data = os.pread(memfd, _LIMIT, 0)
    except OSError:
        return None
    os.close(memfd)
    document = loads(data)
    if not isinstance(document, dict) or document.get("version") != VERSION:
        raise CrecheError("what the program before this one has left is of another version")
    if document["pid"] != os.getpid():
        return None
    found = tuple((str(name), int(fd)) for name, fd in document["descriptors"].items())
    for _, fd in found:
        os.set_inheritable(fd, False)
    return found


def _write(descriptors: dict[str, int]) -> int:
    document = {"version": VERSION, "pid": os.getpid(), "descriptors": descriptors}
    rest = memoryview(dumps(document).encode())
    memfd = os.memfd_create("creched", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    while rest:
        rest = rest[os.write(memfd, rest) :]
    fcntl.fcntl(memfd, fcntl.F_ADD_SEALS, _SEALS)
    return memfd
