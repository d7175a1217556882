"""Arbitrary documents and files through the real command line: one line, and nothing is left.

Neither a traceback nor an "internal error"; no control group, mount, file or process; never more
than 256 MiB. What only reads is fuzzed in tests/unit/test_fuzz.py, much more of it.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.state import decode, encode
from tests.support.bundle import FULL, Bundle
from tests.support.inside import cgroups_named, launched, message
from tests.support.mountinfo import mounts
from tests.support.runtimes import Result, Runtime
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.root

Bundles = Callable[..., Bundle]

MEMORY = 256 << 20  # bytes
DOCUMENTS = 40
STATES = 24
PROCESSES = 24
# The same in each run: what a run has shown the next one can repeat.
CHANCE = random.Random(20260101)

ODD: list[Any] = [
    None, True, -1, 0, 1, 7.5, 2**31, 2**32, 2**63, 2**64, "", "x", "..", "/proc/self/fd/0", "a\nb",
    "/" + "x" * 5000, "0-3,7", [], ["x"], [None], {}, {"x": 1}, [[[]]], "\u00e9\u202e", "CAP_X",
]  # fmt: skip


def places(value: Any, keys: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where in a document there is something to be changed."""
    if keys:
        yield keys
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        yield from places(item, (*keys, key))


def mutated(document: Any) -> Any:
    """A copy with one to three values replaced or removed."""
    document = json.loads(json.dumps(document))
    for _ in range(CHANCE.randint(1, 3)):
        *parents, last = CHANCE.choice(list(places(document)))
        here = document
        for key in parents:
            here = here[key]
        if CHANCE.random() < 0.3:
            del here[last]
        else:
            here[last] = CHANCE.choice(ODD)
    return document


def decent(result: Result, *, statuses: tuple[int, ...] = (0, 1)) -> None:
    """What every answer has to be."""
    assert result.rc in statuses, result.describe()
    for word in ("Traceback", "internal error", '.py"', 'File "'):
        assert word not in result.stderr, result.describe()
    if result.rc:
        assert result.stderr.count("level=error") == 1, result.describe()


class Scene:
    """A bundle to put documents into, and what the machine looked like before."""

    def __init__(self, creche: Runtime, made: Bundle) -> None:
        self.creche = creche
        self.made = made
        self.files = self._files()
        self.mounts = mounts()

    def _files(self) -> list[str]:
        return sorted(str(path) for path in self.made.rootfs.rglob("*"))

    def create(self, data: bytes, name: str) -> Result:
        """Create a container from these bytes; if that works, delete it."""
        (self.made.path / "config.json").write_bytes(data)
        result = self.creche.run(["create", "-b", self.made, name])
        decent(result)
        if result.rc == 0:
            self.creche.run(["delete", "--force", name]).ok()
        else:
            # Mount points are made before what fails may be known; nothing before that.
            assert list(self.creche.root.iterdir()) == []
        assert cgroups_named(name) == []
        assert mounts() == self.mounts
        return result


@pytest.fixture
def scene(creche: Runtime, bundle: Bundles) -> Scene:
    """Give a bundle with an empty root file system."""
    return Scene(creche, bundle(rootfs=False))


def test_mutated_documents(scene: Scene, container_id: str) -> None:
    """The root stays the bundle's, and no hook is there: nothing else may be anybody's."""
    base = {**FULL, "root": {"readonly": True}}
    accepted = 0
    for _ in range(DOCUMENTS):
        config = mutated(base)
        if isinstance(config, dict):
            config["root"] = {"path": "rootfs"}
            config.pop("hooks", None)
        accepted += scene.create(json.dumps(config).encode(), container_id).rc == 0

    assert 0 < accepted < DOCUMENTS


DOCUMENTS_OF_BYTES = {
    "nothing": b"",
    "noise": random.Random(7).randbytes(4096),
    "zeroes": bytes(4096),
    "deep": b'{"a":' * 100_000,
    "deep arrays": b"[" * 1_000_000,
    "huge number": b'{"ociVersion": ' + b"9" * 1_000_000 + b"}",
    "huge exponent": b'{"ociVersion": 1e999999999}',
    "lone surrogate": b'{"ociVersion": "1.0.2", "hostname": "\\ud800"}',
    "surrogates in UTF-8": b'{"ociVersion": "\xed\xa0\x80"}',
    "NaN": b'{"ociVersion": NaN}',
    "the same key twice": b'{"ociVersion": "1.0.2", "ociVersion": "1.0.2"}',
    "byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"ociVersion": "1.0.2"}'.encode("utf-16"),
    "many keys": b"{" + b",".join(b'"k%d": 0' % n for n in range(200_000)) + b"}",
    "a long string": b'{"ociVersion": "' + b"x" * (8 << 20) + b'"}',
}


@pytest.mark.parametrize("what", DOCUMENTS_OF_BYTES)
def test_bytes(scene: Scene, container_id: str, what: str) -> None:
    result = scene.create(DOCUMENTS_OF_BYTES[what], container_id).failed(1)

    assert len(result.stderr) < 2000
    assert scene._files() == scene.files


# Size ---------------------------------------------------------------------------------------------

MEASURE = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, capture_output=True, text=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, done.returncode)
print(done.stderr)
"""


def measured(creche: Runtime, *words: str) -> tuple[int, int, str]:
    """Peak memory in bytes, status, and standard error of a command."""
    argv = [sys.executable, "-I", "-S", "-c", MEASURE, *creche.argv(words)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=DEADLINE)
    numbers, _, errors = done.stdout.partition("\n")
    kilobytes, status = numbers.split()
    return int(kilobytes) * 1024, int(status), errors


def sparse(scene: Scene) -> None:
    with (scene.made.path / "config.json").open("wb") as file:
        file.truncate(100 << 20)


def of_many(scene: Scene, key: str, entry: Any) -> None:
    *parents, last = key.split(".")
    here: Any = scene.made.config
    for name in parents:
        here = here.setdefault(name, {})
    here[last] = [entry] * 100_000
    scene.made.write()


TOO_MUCH: dict[str, Callable[[Scene], object]] = {
    "100 MB": sparse,
    "mounts": lambda s: of_many(s, "mounts", {"destination": "/m", "type": "tmpfs"}),
    "devices": lambda s: of_many(s, "linux.devices", {"path": "/dev/x", "type": "p"}),
    "masked paths": lambda s: of_many(s, "linux.maskedPaths", "/proc/x"),
    "variables": lambda s: of_many(s, "process.env", "A=b"),
    "hooks": lambda s: of_many(s, "hooks.poststop", {"path": "/bin/true"}),
    "sysctls": lambda s: (
        s.made.patch({"linux": {"sysctl": {f"net.x{n}": "1" for n in range(100_000)}}}) and None
    ),
}


@pytest.mark.parametrize("what", TOO_MUCH)
def test_too_much(scene: Scene, container_id: str, what: str) -> None:
    TOO_MUCH[what](scene)
    peak, status, errors = measured(scene.creche, "create", "-b", str(scene.made), container_id)

    assert status == 1, errors
    assert peak < MEMORY
    assert "at most" in errors or what == "sysctls"
    assert "Traceback" not in errors
    assert list(scene.creche.root.iterdir()) == []
    assert cgroups_named(container_id) == []
    assert mounts() == scene.mounts


@pytest.mark.parametrize("kind", ["fifo", "directory", "link", "device"])
def test_a_config_that_is_no_file(scene: Scene, container_id: str, kind: str) -> None:
    path = scene.made.path / "config.json"
    path.unlink()
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case "link":
            path.symlink_to("/etc/passwd")
        case _:
            os.mknod(path, 0o20600, os.makedev(1, 5))
    result = scene.creche.run(["create", "-b", scene.made, container_id]).failed(1)
    decent(result)

    assert "config.json: expected a regular file" in message(result)


# What running containers are asked ----------------------------------------------------------------


def test_processes_of_exec(
    creche: Runtime, bundle: Bundles, container_id: str, tmp_path: Path
) -> None:
    launched(creche, container_id, bundle(args=["/bin/sleep", "1000"]))
    path = tmp_path / "process.json"
    process = {**FULL["process"], "args": ["/bin/true"], "user": {"uid": 0, "gid": 0, "umask": 18}}
    for _ in range(PROCESSES):
        path.write_text(json.dumps(mutated(process)))
        result = creche.run(["exec", "--process", str(path), container_id])
        decent(result, statuses=(0, 255))

    assert creche.status(container_id) == "running"


def test_resources_of_update(creche: Runtime, bundle: Bundles, container_id: str) -> None:
    launched(creche, container_id, bundle(args=["/bin/sleep", "1000"]))
    resources = {
        "memory": {"limit": 64 << 20, "reservation": 32 << 20},
        "cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0"},
        "pids": {"limit": 50},
    }
    for _ in range(PROCESSES):
        document = json.dumps(mutated(resources)).encode()
        decent(creche.run(["update", "-r", "-", container_id], stdin=document))

    assert creche.status(container_id) == "running"


def damaged(data: bytes) -> bytes:
    """A state file as a bad disk might leave it."""
    at = CHANCE.randrange(len(data))
    match CHANCE.randrange(4):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + bytes([data[at] ^ 1 << CHANCE.randrange(8)]) + data[at + 1 :]
        case 2:
            return data[:at] + data[at + CHANCE.randint(1, 64) :]
        case _:
            return CHANCE.randbytes(at % 512)


COMMANDS: list[list[str]] = [
    ["state"], ["start"], ["kill"], ["pause"], ["resume"], ["ps"], ["delete"], ["exec"], ["update"],
]  # fmt: skip


def test_damaged_states(creche: Runtime, bundle: Bundles, container_id: str) -> None:
    """Each command says so, `list` shows the others, and `delete --force` removes it."""
    made = bundle(args=["/bin/sleep", "1000"])
    launched(creche, container_id, made)
    data = (creche.root / container_id / "state.json").read_bytes()
    assert encode(decode(data)) == data
    broken = creche.root / "broken"
    for number in range(STATES):
        broken.mkdir(mode=0o700)
        (broken / "state.json").write_bytes(damaged(data))
        (command,) = COMMANDS[number % len(COMMANDS)]
        result = creche.run([command, "broken", *(["/bin/true"] if command == "exec" else [])])
        decent(result, statuses=(1, 255))
        assert "state.json is damaged" in message(result)
        shown = creche.run(["list"]).ok()
        assert container_id in shown.stdout
        assert "load container broken" in shown.stderr
        creche.run(["delete", "--force", "broken"]).ok()
        assert not broken.exists()

    assert creche.status(container_id) == "running"
