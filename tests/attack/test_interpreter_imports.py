"""Nothing of the image is ever loaded into the runtime: no module, no codec, no library.

The image holds a namesake of every module of the standard library, of the runtime's own modules,
and of the libraries it uses or the C library might load, where an interpreter inside would find
them. Each module writes a marker when it runs; and nobody may even open one of these files, which
is seen with inotify(7).
"""

from __future__ import annotations

import copy
import ctypes
import os
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.attack.image import LIBRARY, TRAP, add_traps, write
from tests.attack.lab import Copy, Lab
from tests.support.bundle import PATH_VARIABLE, Bundle, Config
from tests.support.runtimes import Runtime

pytestmark = pytest.mark.root

_libc = ctypes.CDLL(None, use_errno=True)
_IN_ACCESS, _IN_OPEN = 0x1, 0x20


class Tripwire:
    """Notices whoever opens or reads one of these files or directories."""

    def __init__(self, fd: int, paths: dict[int, Path]) -> None:
        self.fd = fd
        self.paths = paths

    def events(self) -> list[str]:
        """Return what was opened since the last call."""
        found: list[str] = []
        while True:
            try:
                data = os.read(self.fd, 65536)
            except BlockingIOError:
                return found
            while data:
                watch, _, _, length = struct.unpack_from("iIII", data)
                name = data[16 : 16 + length].rstrip(b"\0")
                found.append(os.path.join(self.paths[watch], os.fsdecode(name)))
                data = data[16 + length :]


@contextmanager
def tripwire(paths: list[Path]) -> Iterator[Tripwire]:
    """Watch directories, with what is directly in them, and files."""
    fd = int(_libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK))
    assert fd >= 0
    try:
        watches = {}
        for path in paths:
            watch = _libc.inotify_add_watch(fd, os.fsencode(path), _IN_ACCESS | _IN_OPEN)
            assert watch >= 0, path
            watches[watch] = path
        yield Tripwire(fd, watches)
    finally:
        os.close(fd)


def trapped(lab: Lab, runtime: Copy, **options: Any) -> tuple[Bundle, list[Path]]:
    """A bundle full of traps, at the places where this copy of creche has its modules."""
    made = lab.bundle(**options)
    watched = add_traps(made.rootfs, LIBRARY, runtime.tree)
    for package in ("runtime", "hooks"):
        for path in (runtime.tree / package).rglob("*.py"):
            trap = made.rootfs / str(path).lstrip("/")
            write(trap, "raise SystemExit")
            if trap.parent not in watched:
                watched.append(trap.parent)
    return made, watched


def evidence(made: Bundle, wire: Tripwire) -> str:
    marker = made.rootfs / "marker"
    ran = marker.read_text() if marker.exists() else ""
    marker.unlink(missing_ok=True)
    return " ".join([ran, *wire.events()]).strip()


def _args(*words: str) -> Callable[[Config], object]:
    return lambda config: config["process"].update(args=list(words))


def _process(**values: Any) -> Callable[[Config], object]:
    return lambda config: config["process"].update(values)


def _linux(**values: Any) -> Callable[[Config], object]:
    return lambda config: config["linux"].update(values)


def _hook(stage: str, path: str) -> Callable[[Config], object]:
    return lambda config: config.update(hooks={stage: [{"path": path}]})


def _no_terminal(config: Config) -> None:
    config["process"]["terminal"] = True
    config["mounts"] = [mount for mount in config["mounts"] if mount["type"] != "devpts"]


_SECCOMP = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"]}
_NO_EXECVE = {**_SECCOMP, "syscalls": [{"names": ["execve"], "action": "SCMP_ACT_ERRNO"}]}

# What goes wrong in the container, or might ask for something there that was never needed before.
# The second of a pair: whether the program is expected to run.
RUNS: dict[str, tuple[Callable[[Config], object], bool]] = {
    "nothing": (_args("true"), True),
    "no home": (_process(args=["true"], env=[PATH_VARIABLE]), True),
    "another user": (_process(args=["true"], user={"uid": 1234, "gid": 4321}), True),
    "seccomp": (_linux(seccomp=_SECCOMP), True),
    "capability that cannot be had": (
        _process(capabilities={"permitted": ["CAP_KILL"], "ambient": ["CAP_KILL"]}),
        True,
    ),
    "missing program": (_args("/none"), False),
    "program not in the path": (_args("none"), False),
    "no path": (_process(args=["none"], env=[]), False),
    "directory as a program": (_args("/etc"), False),
    "text as a program": (_args("/text"), False),
    "missing script interpreter": (_args("/script"), False),
    "long argument": (_args("/bin/true", "x" * 200_000), False),
    "cwd is a file": (_process(cwd="/etc/passwd"), False),
    "cwd below a file": (_process(cwd="/etc/passwd/x"), False),
    "cwd outside": (_process(cwd="/proc/self/fd/0"), False),
    "no memory": (
        _process(rlimits=[{"type": "RLIMIT_AS", "soft": 4096, "hard": 4096}]),
        False,
    ),
    "no descriptors": (
        _process(args=["none"], rlimits=[{"type": "RLIMIT_NOFILE", "soft": 3, "hard": 3}]),
        False,
    ),
    "bad sysctl value": (_linux(sysctl={"net.ipv4.ip_forward": "x"}), False),
    "missing sysctl": (_linux(sysctl={"net.ipv4.no_such": "1"}), False),
    "mask that cannot be": (_linux(maskedPaths=["/loop/x"]), False),
    "seccomp forbids execve": (_linux(seccomp=_NO_EXECVE), False),
    "terminal without devpts": (_no_terminal, False),
    "createContainer hook fails": (_hook("createContainer", "/bin/false"), False),
    "createContainer hook is missing": (_hook("createContainer", "/no/such/hook"), False),
    "startContainer hook runs": (_hook("startContainer", "/bin/true"), True),
    "startContainer hook fails": (_hook("startContainer", "/bin/false"), False),
    "startContainer hook is missing": (_hook("startContainer", "/no/such/hook"), False),
    "startContainer hook is text": (_hook("startContainer", "/text"), False),
}
EXECS: dict[str, tuple[list[str], bool]] = {
    "nothing": (["ID", "true"], True),
    "another user": (["--user", "1234:4321", "ID", "true"], True),
    "capability": (["--cap", "CAP_SYS_ADMIN", "ID", "true"], True),
    "terminal": (["-t", "ID", "true"], True),
    "missing program": (["ID", "/none"], False),
    "program not in the path": (["ID", "none"], False),
    "no path": (["--env", "PATH=", "ID", "none"], False),
    "text as a program": (["ID", "/text"], False),
    "missing script interpreter": (["ID", "/script"], False),
    "missing cwd": (["--cwd", "/none/at/all", "ID", "true"], False),
    "cwd is a file": (["--cwd", "/etc/passwd", "ID", "true"], False),
    "cwd outside": (["--cwd", "/proc/self/fd/0", "ID", "true"], False),
}


def furnish(rootfs: Path) -> None:
    """Add what the cases stumble over."""
    (rootfs / "text").write_text("neither a script nor a binary\n")
    (rootfs / "script").write_text("#!/no/such/interpreter\n")
    for name in ("text", "script"):
        (rootfs / name).chmod(0o755)
    (rootfs / "loop").symlink_to("loop")


def test_run_loads_nothing_whatever_goes_wrong(lab: Lab) -> None:
    runtime = lab.creche()
    made, watched = trapped(lab, runtime, args=["/bin/true"])
    furnish(made.rootfs)
    original = made.config
    with tripwire(watched) as wire, (lab.host / "canary").open() as stdin:
        for case, (change, runs) in RUNS.items():
            made.config = copy.deepcopy(original)
            made.patch(change)
            result = runtime.run(["run", "-b", made, lab.name()], stdin=stdin.fileno())
            assert (result.rc == 0) == runs, f"{case}: {result.describe()}"
            assert not evidence(made, wire), case


def test_exec_loads_nothing_whatever_goes_wrong(lab: Lab) -> None:
    runtime = lab.creche()
    made, watched = trapped(lab, runtime, args=["/bin/sleep", "1000"])
    furnish(made.rootfs)
    name = lab.name()
    runtime.run(["run", "-d", "-b", made, name]).ok()
    with tripwire(watched) as wire:
        for case, (words, runs) in EXECS.items():
            args = [name if word == "ID" else word for word in words]
            result = runtime.run(["exec", *args])
            assert (result.rc == 0) == runs, f"{case}: {result.describe()}"
            assert not evidence(made, wire), case


def attack(lab: Lab, mutant: str | None, command: str) -> str:
    """A bare program name, looked up in the path, with no HOME given."""
    runtime = lab.creche(mutant)
    options: dict[str, Any] = {"args": ["true"] if command == "run" else ["sleep", "1000"]}
    made, watched = trapped(lab, runtime, **options)
    made.patch({"process": {"env": [PATH_VARIABLE]}})
    name = lab.name()
    if command == "exec":
        # By the unchanged runtime: the attack is on exec alone.
        lab.creche().run(["run", "-d", "-b", made, name]).ok()
    with tripwire(watched) as wire:
        words = ["run", "-b", str(made), name] if command == "run" else ["exec", name, "true"]
        runtime.run(words)
        return evidence(made, wire)


@pytest.mark.parametrize("command", ["run", "exec"])
def test_a_late_import_fails_and_finds_nothing(lab: Lab, command: str) -> None:
    # Even with such a mistake in the code, nothing of the image runs.
    assert attack(lab, "lazy-import", command) == ""


@pytest.mark.parametrize("command", ["run", "exec"])
def test_with_an_open_import_system_the_image_runs_as_root(lab: Lab, command: str) -> None:
    assert "warnings ran as 0" in attack(lab, "lazy-import-open", command)


@pytest.mark.parametrize("command", ["run", "exec"])
def test_through_the_name_service_a_library_is_loaded(lab: Lab, command: str) -> None:
    # docker's CVE-2019-14271.
    assert attack(lab, None, command) == ""
    assert "libnss_trap.so.2" in attack(lab, "name-service", command)


def hostile_environment(lab: Lab, runtime: Runtime) -> str:
    """Modules in the caller's directory and on its PYTHONPATH: evidence that one was loaded."""
    directory = lab.directory / f"{lab.name()}-modules"
    marker = lab.directory / f"{lab.name()}-marker"
    for name in ("ctypes", "sitecustomize", "runtime", "json", "errno"):
        write(directory / f"{name}.py", TRAP.format(marker=marker))
    result = subprocess.run(
        runtime.argv(["list"]),
        cwd=directory,
        env={"PYTHONPATH": str(directory), "PYTHONSTARTUP": str(directory / "json.py")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    ran = marker.read_text() if marker.exists() else ""
    assert ran or result.returncode == 0, result.stderr
    return ran


def test_the_callers_environment_chooses_no_modules(lab: Lab, creche: Runtime) -> None:
    assert hostile_environment(lab, lab.creche()) == ""
    assert hostile_environment(lab, creche) == ""
    assert "ran as" in hostile_environment(lab, lab.creche("not-isolated"))
