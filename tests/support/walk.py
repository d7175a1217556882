"""Kill a command of creche at each of its steps, found by watching which functions it calls.

A copy of the packages gets a profiler (sys.setprofile) before anything else. It sees each function
of creche's return, in the command's own process and in those that are cloned from it, until they
become another program. So a walk needs no list of steps that somebody would have to keep: what the
code does is what is walked.
"""

from __future__ import annotations

import inspect
import os
import py_compile
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.attack.mutants import Change, Mutant, apply, copy_packages
from tests.support.runtimes import Argument, Runtime

# What has no effect on anything outside the process: nothing is to be seen of a death there.
PURE = ("cli", "errors", "jsonio", "plan", "spec", "seccomp/rules", "seccomp/tables", "linux")
_FLAG = "CRECHE_WALK"  # "record", or the point to die at

_PROFILER = '''
def walk() -> None:
    """Tell of each point on standard error, or die at one."""
    wanted = os.environ.get("{flag}", "")
    if not wanted:
        return
    top = os.path.dirname(os.path.dirname(os.path.realpath(__file__))) + "/"
    own, seen, pure = os.getpid(), set(), {pure!r}

    def profile(frame, event, argument):
        if event != "return":
            return
        code = frame.f_code
        if "<" in code.co_qualname or not code.co_flags & {optimized}:
            return  # a comprehension, or the body of a module or class
        if not code.co_filename.startswith(top):
            return
        module = code.co_filename[len(top):-3]
        if module.partition("/")[2].startswith(pure) or module == "runtime/start":
            return
        step = frame.f_locals.get("step", "") if code.co_name == "perform" else ""
        who = "command" if os.getpid() == own else "child"
        name = f"{{who}} {{module}}:{{code.co_qualname}} {{step!r}}".removesuffix(" ''")
        if name in seen:
            return
        seen.add(name)
        if wanted == "record":
            os.write(2, f"point {{name}}\\n".encode())
        elif wanted == name:
            os.kill(os.getpid(), 9)

    sys.setprofile(profile)
'''


class Walked(Runtime):
    """creche with the profiler in it."""

    def __init__(self, directory: Path, root: Path) -> None:
        super().__init__("creche", root)
        tree = directory / "walked"
        copy_packages(tree)
        profiler = _PROFILER.format(flag=_FLAG, pure=PURE, optimized=inspect.CO_OPTIMIZED)
        change = Change(
            "runtime/start.py",
            "    words = sys.argv[1:]\n    if len(words) > 1 and words[0] in",
            "    walk()\n    words = sys.argv[1:]\n    if len(words) > 1 and words[0] in",
        )
        define = Change("runtime/start.py", "\ndef run(package", f"{profiler}\n\ndef run(package")
        for path in apply(tree, Mutant("nothing, but it tells what it does", (change, define))):
            py_compile.compile(str(path), doraise=True)
        self._program = str(tree / "runtime/creche")

    def call(self, words: Sequence[Argument], flag: str, errors: Path) -> int:
        """Run a command; its exit status, or minus the signal."""
        environment = {"PATH": "/bin:/usr/bin", _FLAG: flag}
        with errors.open("wb") as file:
            done = subprocess.run(
                self.argv(words),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=file,
                timeout=60,
            )
        return done.returncode

    def points(self, words: Sequence[Argument], errors: Path) -> list[str]:
        """Run a command to its end and return the points that it passes, in order."""
        assert self.call(words, "record", errors) == 0, errors.read_text()
        lines = errors.read_text(errors="replace").splitlines()
        return [line.removeprefix("point ") for line in lines if line.startswith("point ")]


def evenly(points: Sequence[str], most: int) -> list[str]:
    """At most so many of the points, evenly spread; all of them if CRECHE_WALK_ALL is set."""
    if len(points) <= most or os.environ.get("CRECHE_WALK_ALL"):
        return list(points)
    return [points[index * len(points) // most] for index in range(most)]
