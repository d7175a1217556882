"""The last steps of a hook's own process, up to execve(2).

Imported by the blocking runner, which forks; run as a program by the trio runner, because a
process with threads and an event loop must not run Python between fork and execve. As a program
it is started `python -I -S -B` with an empty environment, so everything it needs is here, and it
imports only what is compiled into the interpreter. Its arguments arrive as the head of its
standard input (see `request`); what follows there is the container's state, left for the hook.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
else:
    import _signal

_CATCHABLE = [number for number in _signal.valid_signals() if number not in (9, 19)]

# What is written to the error descriptor: one letter, an errno, perhaps a text, a newline.
CGROUP = b"g"  # could not join the cgroup; the hook runs all the same
CHDIR = b"d"
PREPARE = b"p"  # before_exec raised
EXEC = b"e"
INTERPRETER = b"i"  # execve said ENOENT although the file is there: its interpreter is not


def become(
    file: bytes,
    argv: "list[bytes]",
    env: "dict[bytes, bytes]",
    cwd: "bytes | None",
    cgroup_fd: int,
    error_fd: int,
    before_exec: "Callable[[], None] | None" = None,
) -> None:
    """Turn this process into the hook; return only if that failed, having reported why.

    cgroup_fd: open for writing on cgroup.procs, or -1. error_fd: close-on-exec, so that the
    reader sees an end without a word when all went well. before_exec: called last of all, with
    nothing but execve after it, so that it may load a seccomp filter.

    Python ignores SIGPIPE and SIGXFSZ, and ignored signals stay so across execve; handlers and
    the mask of whoever called are none of the hook's business either.
    """
    try:
        os.setsid()
    except PermissionError:
        pass  # it leads a session already
    if cgroup_fd >= 0:
        try:
            os.write(cgroup_fd, b"0")
        except OSError as error:
            _report(error_fd, CGROUP, error)
    for number in _CATCHABLE:
        _signal.signal(number, 0)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
    step = CHDIR
    try:
        if cwd is not None:
            os.chdir(cwd)
        step = PREPARE
        if before_exec is not None:
            before_exec()
        step = EXEC
        os.execve(file, argv, env)  # noqa: S606  # this is what it is for
    except OSError as error:
        if step == EXEC and error.errno == 2 and _exists(file):
            step = INTERPRETER
        _report(error_fd, step, error)
    except Exception as error:  # noqa: BLE001  # there is no one else to tell
        _report(error_fd, step, error)


def _exists(file: bytes) -> bool:
    try:
        os.stat(file)
    except OSError:
        return False
    return True


def _report(error_fd: int, step: bytes, error: Exception) -> None:
    number = error.errno if isinstance(error, OSError) else None
    text = b"" if number else str(error).encode("utf-8", "backslashreplace")[:256]
    try:
        os.write(error_fd, step + b"%d " % (number or 0) + text.replace(b"\n", b" ") + b"\n")
    except OSError:
        pass  # the runner has gone


def request(
    file: bytes,
    argv: "list[bytes]",
    env: "dict[bytes, bytes]",
    cwd: "bytes | None",
    cgroup_fd: int,
    error_fd: int,
) -> bytes:
    """The head of the shim's standard input: ten digits of length, then fields that end in NUL,
    which no field can contain."""
    numbers = [b"%d" % cgroup_fd, b"%d" % error_fd, b"%d" % len(argv)]
    where = b"" if cwd is None else b"=" + cwd
    assignments = [name + b"=" + value for name, value in env.items()]
    body = b"\0".join([*numbers, where, file, *argv, *assignments])
    return b"%010d" % len(body) + body


def _read(count: int) -> bytes:
    """Exactly `count` bytes of standard input and not one of what follows."""
    data = b""
    while len(data) < count:
        more = os.read(0, count - len(data))
        if not more:
            os._exit(127)  # the runner died before it had said everything
        data += more
    return data


def main() -> None:
    """Read the request and become the hook."""
    cgroup_fd, error_fd, count, where, file, *rest = _read(int(_read(10))).split(b"\0")
    os.set_inheritable(int(error_fd), False)
    if int(cgroup_fd) >= 0:
        os.set_inheritable(int(cgroup_fd), False)
    argv = rest[: int(count)]
    env = dict(entry.split(b"=", 1) for entry in rest[int(count) :])
    cwd = where[1:] if where else None
    become(file, argv, env, cwd, int(cgroup_fd), int(error_fd))
    os._exit(127)


if __name__ == "__main__":
    # Never imported by that name; but without this an interrupt would print a traceback.
    sys.excepthook = lambda kind, value, trace: None
    main()
