"""Run creched as it is, and kill it right after one of its effects: `python -m` this module.

An effect is a system call that changes something outside the process: a write, a rename, a signal,
a program that is started. A profiler (sys.setprofile) sees each of them return, so nobody has to
keep a list of steps. Between two effects nothing can be seen from outside; who is killed after each
has been killed at every state that a kill can leave.

A point is an effect's caller in creche's code, its name and its count, as in
`supervisor.store.files:replace rename 3`. Points count from the moment that a file is there.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import Counter
from pathlib import Path
from types import FrameType

CALLS = frozenset(
    {
        "posix.write", "posix.writev", "posix.pwrite", "posix.truncate", "posix.ftruncate",
        "posix.open", "posix.mkdir", "posix.rmdir", "posix.rename", "posix.replace", "posix.unlink",
        "posix.remove", "posix.link", "posix.symlink", "posix.mkfifo", "posix.chmod",
        "posix.fchmod", "posix.chown", "posix.fchown", "posix.kill", "posix.killpg",
        "posix.posix_spawn", "posix.waitid", "posix.waitpid", "fcntl.flock", "_io.open",
        "_signal.pidfd_send_signal", "_posixsubprocess.fork_exec", "socket.send", "socket.sendall",
        "socket.sendto", "socket.sendmsg", "socket.bind", "socket.connect", "FileIO.write",
    }
)  # fmt: skip
"""Built-in functions by module and name, methods by their class."""
_OPENS = ("posix.open", "_io.open")
_OURS = ("supervisor/", "runtime/", "hooks/")
_TOP = str(Path(__file__).parents[2]) + "/"
_FAR = 12  # frames from an effect in a library to who has called that


class Walk:
    """points: told of each point; begin: the path of a file; die: the point to be killed after."""

    def __init__(self, points: int, begin: str, die: str) -> None:
        self._points = points
        self._begin = begin
        self._die = die
        self._begun = False
        self._seen: Counter[str] = Counter()
        self._creating = threading.local()

    def start(self) -> None:
        """From now on, in all threads."""
        sys.addaudithook(self._audit)
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)

    def _audit(self, event: str, arguments: tuple[object, ...]) -> None:
        """Whether the file that is about to be opened may be made or emptied by that."""
        if event == "open":
            flags = arguments[2]
            making = os.O_CREAT | os.O_TRUNC
            self._creating.now = isinstance(flags, int) and bool(flags & making)

    def _profile(self, frame: FrameType, event: str, argument: object) -> None:
        if event != "c_return":
            return
        call = _name(argument)
        if call not in CALLS:
            return
        if call in _OPENS and not getattr(self._creating, "now", False):
            return
        caller = _caller(frame)
        if not caller or not (self._begun or os.path.exists(self._begin)):
            return
        self._begun = True
        what = f"{caller} {call.partition('.')[2]}"
        self._seen[what] += 1
        point = f"{what} {self._seen[what]}"
        if not self._die:
            os.write(self._points, f"{point}\n".encode())
        elif point == self._die:
            os.kill(os.getpid(), signal.SIGKILL)


def _name(function: object) -> str:
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", "")
    return f"{module}.{name}" if module else name


def _caller(frame: FrameType | None) -> str:
    """The nearest function of ours; "" if there is none before the event loop."""
    for _ in range(_FAR):
        if frame is None or frame.f_code.co_filename.endswith("/trio/_core/_run.py"):
            return ""
        path = frame.f_code.co_filename.removeprefix(_TOP)
        if path.startswith(_OURS):
            return f"{path[:-3].replace('/', '.')}:{frame.f_code.co_qualname}"
        frame = frame.f_back
    return ""


def main() -> int:
    """FILE for points, BEGIN, POINT or "" to record; the rest is for creched."""
    from supervisor import creched

    path, begin, die, *arguments = sys.argv[1:]
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    Walk(os.open(path, flags, 0o600), begin, die).start()
    return creched.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
