"""What is executed for a hook: its argv, environment and time limit, checked and encoded.

Pure. Both runners take their meaning of a hook from here.
"""

from __future__ import annotations

from hooks.errors import HookError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hooks.types import Hook


class Command:
    """A hook made ready for execve(2).

    stage, index, path: for messages. file, argv, env: what execve takes.
    cwd: working directory, for messages, directory: the same for chdir(2), None to stay.
    timeout: seconds, None for no limit.
    """

    __slots__ = (
        "argv",
        "cwd",
        "directory",
        "env",
        "file",
        "index",
        "path",
        "stage",
        "timeout",
    )

    def __init__(
        self,
        stage: str,
        index: int,
        path: str,
        file: bytes,
        argv: list[bytes],
        env: dict[bytes, bytes],
        cwd: str | None,
        timeout: float | None,
    ) -> None:
        self.stage = stage
        self.index = index
        self.path = path
        self.file = file
        self.argv = argv
        self.env = env
        self.cwd = cwd
        self.directory = None if cwd is None else encode(cwd)
        self.timeout = timeout


def prepare(
    stage: str, index: int, hook: Hook, cwd: str | None, default_timeout: float | None
) -> Command:
    """Check and encode one hook.

    args is the whole argv; without it argv is the path alone. env is the whole environment,
    nothing is inherited, a later duplicate wins, and a string that is no assignment is left out
    as it is none. default_timeout: seconds for a hook without one of its own; None: no limit.
    Raises HookError if there is nothing that could be executed.
    """
    path = hook["path"]
    if not path.startswith("/"):
        raise HookError(stage, index, path, "path is not absolute")
    args = hook.get("args") or [path]
    timeout = hook.get("timeout", default_timeout)
    if timeout is not None and timeout <= 0:
        raise HookError(stage, index, path, f"timeout must be greater than zero, not {timeout:g}")
    try:
        file, argv = encode(path), [encode(arg) for arg in args]
        entries = [encode(entry) for entry in hook.get("env") or ()]
    except UnicodeEncodeError:
        raise HookError(stage, index, path, "path, args or env are not UTF-8") from None
    if any(0 in text for text in (file, *argv, *entries)):
        raise HookError(stage, index, path, "path, args or env contain a NUL character")
    env: dict[bytes, bytes] = {}
    for entry in entries:
        name, assigned, value = entry.partition(b"=")
        if name and assigned:
            env[name] = value
    return Command(stage, index, path, file, argv, env, cwd, timeout)


def encode(text: str) -> bytes:
    """UTF-8 whatever the locale says: config.json is UTF-8, and so is what it names."""
    return text.encode("utf-8", "surrogateescape")


def seconds(duration: float) -> str:
    """`5s`, `0.5s`."""
    return f"{duration:g}s"
