"""creched as systemd runs it: installed, started and watched from outside the tests' namespaces.

The test session has mounts and a network of its own (tests/support/isolation.py), so systemd's
sockets, the journal and /run are those of process 1.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from tests.support.repository import REPOSITORY
from tests.support.waiting import DEADLINE, wait_for, wait_readable

UNIT = "creched.service"
HOLDER = "creched-containers.service"
SLICE = Path("/sys/fs/cgroup/system.slice")
CGROUP = SLICE / UNIT
CONTAINERS = SLICE / HOLDER
WORKLOADS = Path("/etc/creche/workloads")
SETTINGS = Path("/etc/creche/creched.toml")
LEASES = Path("/var/lib/creche/leases")
STATE = Path("/proc/1/root/run/creche")
HOME = Path("/usr/lib/creche")
_WHEELS = Path("/share/creche/wheels")
_DROP_IN = Path("/proc/1/root/run/systemd/system/creched.service.d/slow.conf")
# An emulated machine may take a minute to import what creched needs, and to get round to a task.
_SLOW = """\
[Service]
TimeoutStartSec=infinity
WatchdogSec=40s
"""

Event = dict[str, Any]


def outside(*words: str | os.PathLike[str], check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a program in the namespaces of process 1."""
    done = subprocess.run(
        ["nsenter", "--target", "1", "--mount", "--net", "--uts", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    if check and done.returncode:
        raise AssertionError(f"{words}: status {done.returncode}: {done.stdout}{done.stderr}")
    return done


def show(name: str) -> str:
    """Return a property of the unit."""
    return outside("systemctl", "show", "--value", "-p", name, UNIT).stdout.strip()


def install() -> None:
    """Install programs and units as docs/systemd.md says, from wheels, without a network."""
    if (HOME / "bin/creched").exists():
        return
    outside("python3", "-m", "venv", "--without-pip", HOME)
    outside(
        *("env", f"PYTHONPATH={_WHEELS}/pip", HOME / "bin/python", "-m", "pip", "install"),
        *("--quiet", "--no-index", "--find-links", _WHEELS, "--no-compile", "creche"),
    )
    packages = next((HOME / "lib").glob("python3*")) / "site-packages"
    for where in (REPOSITORY / ".venv/lib" / packages.parent.name / "site-packages", REPOSITORY):
        _take_byte_code(where, packages)
    outside(HOME / "bin/creched-install")
    outside("systemd-sysusers", "creche.conf")
    outside("systemd-tmpfiles", "--create", "creche.conf")
    _DROP_IN.parent.mkdir(parents=True)
    _DROP_IN.write_text(_SLOW)
    outside("systemctl", "daemon-reload")


def _take_byte_code(where: Path, target: Path) -> None:
    """What stage.py has made on the other machine: compiling it here takes minutes."""
    caches = [where / "__pycache__"]  # modules that are a file
    for package in target.iterdir():
        caches += (where / package.name).rglob("__pycache__")
    for cache in caches:
        place = target / cache.parent.relative_to(where)
        if cache.is_dir() and place.is_dir():
            shutil.copytree(cache, place / cache.name, dirs_exist_ok=True)


def crechectl(*words: str) -> str:
    """What it says; it has to succeed."""
    return outside(HOME / "bin/crechectl", *words).stdout


def replace_module(name: str, change: Callable[[str], str]) -> Callable[[], None]:
    """Install another version of one of our modules; gives what puts the old one back."""
    path = next((HOME / "lib").glob("python3*")) / "site-packages" / name
    old = path.read_text()
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
        compiled.unlink()  # it is used whatever the source is
    path.write_text(change(old))

    def put_back() -> None:
        path.write_text(old)

    return put_back


def declare(workloads: Mapping[str, str | Path]) -> None:
    """Make workload directories; a workload is its text, or a sample to copy."""
    for name, source in workloads.items():
        if isinstance(source, Path):
            shutil.copytree(source, WORKLOADS / name)
        else:
            (WORKLOADS / name).mkdir()
            (WORKLOADS / name / "workload.toml").write_text(source)


def change(name: str, text: str) -> None:
    """Replace a workload's file by another one."""
    new = WORKLOADS / name / ".new"
    new.write_text(text)
    new.rename(WORKLOADS / name / "workload.toml")


def configure(text: str) -> None:
    """Write creched.toml, which nobody else may write."""
    SETTINGS.write_text(text)
    SETTINGS.chmod(0o644)


def clear() -> None:
    """Stop it, and remove all workloads, its settings and what it remembers."""
    outside("systemctl", "stop", UNIT, check=False)
    SETTINGS.unlink(missing_ok=True)
    for directory in WORKLOADS.iterdir():
        shutil.rmtree(directory)
    shutil.rmtree(STATE / ".creched", ignore_errors=True)
    shutil.rmtree("/var/lib/creche", ignore_errors=True)


class Journal:
    """Follows what the unit writes to the journal; the events are its lines of JSON.

    From now on, or the `whole` of this boot.
    """

    def __init__(self, *, whole: bool = False) -> None:
        self.events: list[Event] = []
        self.other: list[str] = []
        self._rest = b""
        now = outside("journalctl", "--lines=1", "--show-cursor", "--quiet").stdout
        words = ["journalctl", "--follow", "--lines=all", "--output=json", f"--unit={UNIT}"]
        cursor = now.rpartition("-- cursor: ")[2].strip()
        words.append("--boot" if whole else f"--after-cursor={cursor}")
        self._process = subprocess.Popen(
            ["nsenter", "--target", "1", "--mount", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def read(self) -> None:
        """Wait for more, and take it in."""
        assert self._process.stdout is not None
        fd = self._process.stdout.fileno()
        assert wait_readable(fd), f"nothing new in the journal; so far:\n{self.tell()}"
        chunk = os.read(fd, 1 << 16)
        assert chunk, "journalctl has ended"
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            entry = json.loads(line)
            message = entry.get("MESSAGE")
            if not isinstance(message, str):  # a list of bytes: not text
                message = bytes(message or ()).decode(errors="replace")
            if message.startswith("{") and entry.get("SYSLOG_IDENTIFIER") == "creched":
                self.events.append(json.loads(message))
            else:
                self.other.append(message)

    def wait(self, name: str, count: int = 1, **fields: Any) -> Event:
        """Wait for the ``count``-th event with this name and these fields."""
        while len(found := self.all(name, **fields)) < count:
            self.read()
        return found[count - 1]

    def catch_up(self) -> None:
        """Wait for what has happened so far."""
        last = json.loads(crechectl("events", "--tail", "1", "--json"))
        self.wait(last["event"], seq=last["seq"], run=last["run"])

    def all(self, name: str, **fields: Any) -> list[Event]:
        """Return the events with this name and these fields so far."""
        return [
            event
            for event in self.events
            if event["event"] == name
            and all(event.get(key) == value for key, value in fields.items())
        ]

    def tell(self) -> str:
        """Return all that was read, for a failure's message."""
        return "\n".join([*self.other, *(json.dumps(event) for event in self.events)])


def cgroups() -> Iterator[Path]:
    """Yield the cgroups below the units', their own included."""
    for top in (CGROUP, CONTAINERS):
        for path, _, _ in os.walk(top):
            yield Path(path)


def wait_gone() -> None:
    """Wait until both units' cgroups are removed: the containers' is stopped after creched's."""
    wait_for(lambda: next(cgroups(), None) is None, SLICE)


def processes(group: Path) -> list[int]:
    """Return the processes in one cgroup."""
    return [int(word) for word in (group / "cgroup.procs").read_text().split()]


def status_of(pid: int | str) -> dict[str, str]:
    """/proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def commands(wanted: Callable[[str], bool]) -> list[str]:
    """Return the command lines on the whole machine for which ``wanted`` holds."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            line = words.replace(b"\0", b" ").decode(errors="replace").strip()
            if wanted(line):
                found.append(line)
    return found
