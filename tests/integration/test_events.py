"""`events`: what it prints, when, and that it ends by itself; compared with runc's."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.cgroups import Hierarchy, discover, stats
from runtime.cgroups.layout import parse_own
from tests.support.bundle import Bundle
from tests.support.runtimes import Runtime
from tests.support.waiting import DEADLINE, read_until, wait_exit

pytestmark = pytest.mark.root

Bundles = Callable[..., Bundle]

IDLE = "while :; do sleep 1000 & wait; done"
MIB = 1 << 20
LITTLE_MEMORY = {"linux": {"resources": {"memory": {"limit": 20 * MIB, "swap": 20 * MIB}}}}
EAT = ["dd", "if=/dev/zero", "of=/dev/null", "bs=60M", "count=1"]

# Left out when it is zero, which depends on what a container happened to do.
OMITTED = {"cache", "total", "percpu", "percpu_kernel", "percpu_user", "usage", "max"}


class Events:
    """A running `events`, read line by line."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._data = b""

    def line(self) -> Any:
        assert self.process.stdout is not None
        if b"\n" not in self._data:
            self._data += read_until(self.process.stdout.fileno(), b"\n")
        line, _newline, self._data = self._data.partition(b"\n")
        return json.loads(line)

    def until(self, kind: str) -> Any:
        while (event := self.line())["type"] != kind:
            pass
        return event

    def end(self) -> tuple[int, list[Any], str]:
        """Wait for its own end; the status, the lines that were left, and its stderr."""
        out, err = self.process.communicate(timeout=DEADLINE)
        lines = (self._data + out).splitlines()
        return self.process.returncode, [json.loads(line) for line in lines], err.decode()


@pytest.fixture
def events() -> Iterator[Callable[..., Events]]:
    """Give a way to start ``events`` that is ended with the test."""
    started: list[Events] = []

    def start(runtime: Runtime, *words: str) -> Events:
        started.append(Events(runtime.popen(["events", *words])))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


def shape(value: Any) -> Any:
    """Keys in their order, and kinds of values, without what may be left out."""
    if isinstance(value, dict):
        return [
            (key, shape(entry))
            for key, entry in value.items()
            if key not in OMITTED or isinstance(entry, dict)
        ]
    return [shape(entry) for entry in value[:1]] if isinstance(value, list) else type(value)


def test_statistics_have_runcs_shape(
    creche: Runtime, runc: Runtime, bundle: Bundles, container_id: str
) -> None:
    shapes = []
    for runtime in (creche, runc):
        container = f"{container_id}-{runtime.name}"
        patch = {"linux": {"resources": {"pids": {"limit": 20}}}}
        runtime.run(["run", "-d", "-b", bundle(patch, sh=IDLE), container]).ok()
        text = runtime.run(["events", "--stats", container]).ok().stdout

        assert text.startswith(f'{{"type":"stats","id":"{container}","data":{{')
        assert text.count("\n") == 1
        assert text.endswith("\n")
        shapes.append(shape(json.loads(text)))
        runtime.run(["delete", "--force", container]).ok()

    assert shapes[0] == shapes[1]


def test_the_numbers_are_runcs(runc: Runtime, bundle: Bundles, container_id: str) -> None:
    """Of the same frozen container, read by both."""
    runc.run(["run", "-d", "-b", bundle(LITTLE_MEMORY, sh=IDLE), container_id]).ok()
    runc.run(["pause", container_id]).ok()
    own = parse_own(Path(f"/proc/{runc.pid(container_id)}/cgroup").read_text())
    paths = {
        name: Hierarchy(name, each.mountpoint, each.root, own[name]).own_directory()
        for name, each in discover().hierarchies.items()
    }

    def read() -> tuple[Any, Any]:
        theirs = runc.run(["events", "--stats", container_id]).ok().json()["data"]
        ours = json.loads(json.dumps(stats.collect(paths)))
        for data in (ours, theirs):
            data["memory"].pop("raw")
            data["memory"].pop("kernel")
            # runc 1.1 reads version 2 where it is alone; a controller may be in it beside others.
            if "hugetlb" not in paths:
                data.pop("hugetlb")
        return ours, theirs

    # The kernel adds up some for each CPU now and then, whether anything runs or not: once more.
    for _ in range(50):
        ours, theirs = read()
        if ours == theirs:
            break
    assert ours == theirs
    runc.run(["resume", container_id]).ok()


def test_a_line_every_interval_until_the_container_ends(
    runtime: Runtime, bundle: Bundles, container_id: str, events: Callable[..., Events]
) -> None:
    runtime.run(["run", "-d", "-b", bundle(sh=IDLE), container_id]).ok()
    stream = events(runtime, "--interval", "20ms", container_id)

    for _ in range(3):
        event = stream.line()
        assert (event["type"], event["id"]) == ("stats", container_id)
        assert event["data"]["pids"]["current"] >= 1
    runtime.run(["delete", "--force", container_id]).ok()

    assert stream.end()[0] == 0


def test_it_ends_long_before_the_interval_is_over(
    creche: Runtime, bundle: Bundles, container_id: str, events: Callable[..., Events]
) -> None:
    """Not a look every now and then: the test would hang for a day."""
    creche.run(["run", "-d", "-b", bundle(sh=IDLE), container_id]).ok()
    stream = events(creche, "--interval=24h", container_id)

    creche.run(["kill", container_id, "KILL"]).ok()

    # It may have come too late to see a live one.
    status, lines, stderr = stream.end()
    assert lines == []
    assert status == 0 or "is not running" in stderr


def test_out_of_memory(
    runtime: Runtime, bundle: Bundles, container_id: str, events: Callable[..., Events]
) -> None:
    runtime.run(["run", "-d", "-b", bundle(LITTLE_MEMORY, sh=IDLE), container_id]).ok()
    stream = events(runtime, "--interval", "50ms", container_id)
    stream.until("stats")  # from here on it listens

    runtime.run(["exec", container_id, *EAT]).failed()

    assert stream.until("oom") == {"type": "oom", "id": container_id}
    runtime.run(["delete", "--force", container_id]).ok()
    status, _lines, _stderr = stream.end()
    assert status == 0


def test_init_itself_out_of_memory(
    creche: Runtime, bundle: Bundles, container_id: str, events: Callable[..., Events]
) -> None:
    """The event and the end come at once; the event is not lost."""
    made = bundle(LITTLE_MEMORY, args=EAT)
    creche.run(["create", "-b", made, container_id]).ok()
    stream = events(creche, "--interval", "50ms", container_id)
    stream.until("stats")

    creche.run(["start", container_id])

    status, lines, _stderr = stream.end()
    assert status == 0
    assert {"type": "oom", "id": container_id} in lines


def test_a_container_that_ends_in_peace_has_no_oom(
    runtime: Runtime, bundle: Bundles, container_id: str, events: Callable[..., Events]
) -> None:
    """The end of a version 1 cgroup wakes the same eventfd."""
    runtime.run(["run", "-d", "-b", bundle(sh=IDLE), container_id]).ok()
    stream = events(runtime, "--interval", "20ms", container_id)
    stream.until("stats")

    runtime.run(["delete", "--force", container_id]).ok()

    _status, lines, _stderr = stream.end()
    assert [event for event in lines if event["type"] == "oom"] == []


def test_of_a_paused_container(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    runtime.run(["run", "-d", "-b", bundle(sh=IDLE), container_id]).ok()
    runtime.run(["pause", container_id]).ok()

    assert runtime.run(["events", "--stats", container_id]).ok().json()["type"] == "stats"
    runtime.run(["resume", container_id]).ok()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--interval", "0s"], "duration interval must be greater than 0"),
        (["--interval=-1s"], "duration interval must be greater than 0"),
        (["--interval", "soon"], "invalid value"),
    ],
)
def test_what_it_refuses(
    runtime: Runtime, bundle: Bundles, container_id: str, words: list[str], message: str
) -> None:
    runtime.run(["create", "-b", bundle(sh=IDLE), container_id]).ok()

    assert message in runtime.run(["events", *words, container_id]).failed(1).stderr


def test_of_a_stopped_container(runtime: Runtime, bundle: Bundles, container_id: str) -> None:
    runtime.run(["create", "-b", bundle(), container_id]).ok()
    pid = runtime.pid(container_id)
    runtime.run(["start", container_id]).ok()
    wait_exit(pid)

    result = runtime.run(["events", "--stats", container_id]).failed(1)

    assert f"container with id {container_id} is not running" in result.stderr


def test_a_reader_that_has_gone_is_an_error(
    creche: Runtime, bundle: Bundles, container_id: str, events: Callable[..., Events]
) -> None:
    creche.run(["run", "-d", "-b", bundle(sh=IDLE), container_id]).ok()
    stream = events(creche, "--interval", "10ms", container_id)
    assert stream.process.stdout is not None
    stream.process.stdout.close()

    assert stream.process.wait(timeout=DEADLINE) == 1
    assert stream.process.stderr is not None
    assert b"broken pipe" in stream.process.stderr.read()
    stream.process.stderr.close()
