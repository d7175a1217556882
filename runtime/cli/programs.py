"""Running one of the host's programs and reading what it prints (ps(1))."""

from __future__ import annotations

import os

from runtime.errors import CrecheError

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def find_program(name: str) -> str:
    """The path of a program; engines may call without PATH. Raises CrecheError."""
    for directory in (os.environ.get("PATH") or DEFAULT_PATH).split(":"):
        path = f"{directory or '.'}/{name}"
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    raise CrecheError(f'exec: "{name}": executable file not found in $PATH')


def output_of(argv: list[str]) -> str:
    """Run a program to its end; what it printed. Raises CrecheError if it fails."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        pid = os.posix_spawn(
            find_program(argv[0]), argv, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, writer, 1)]
        )
    finally:
        os.close(writer)
    chunks = []
    with open(reader, "rb", buffering=0) as pipe:
        while chunk := pipe.read(65536):
            chunks.append(chunk)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    text = b"".join(chunks).decode("utf-8", "surrogateescape")
    if status:
        raise CrecheError(f"{argv[0]} failed with status {status}: {text}".rstrip(": \n"))
    return text
