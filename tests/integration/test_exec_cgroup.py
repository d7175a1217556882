"""`exec --cgroup`, and where a process goes if the container's own cgroup takes none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime.cgroups import UNIFIED, discover
from runtime.cgroups.layout import parse_own
from tests.support.bundle import Bundle
from tests.support.runtimes import Runtime

pytestmark = pytest.mark.root

Bundles = Callable[..., Bundle]

IDLE = "while :; do sleep 1000 & wait; done"


class Entered:
    """A running container, its cgroups, and what a process that enters says about its own."""

    def __init__(self, creche: Runtime, container: str) -> None:
        self.creche = creche
        self.id = container
        state = json.loads((creche.root / container / "state.json").read_text())
        self.paths = {name: Path(path) for name, path in state["cgroup"].items()}
        self.init = parse_own(Path(f"/proc/{state['pid']}/cgroup").read_text())

    def where(self, *words: str) -> dict[str, str]:
        """Hierarchy -> path below the container's cgroup."""
        shown = self.creche.run(["exec", *words, self.id, "cat", "/proc/self/cgroup"]).ok().stdout
        own = parse_own(shown)
        assert own.keys() == self.init.keys()
        below = {}
        for name, path in own.items():
            assert path.startswith(self.init[name])
            below[name] = path.removeprefix(self.init[name])
        return below

    def refused(self, *words: str) -> str:
        return self.creche.run(["exec", *words, self.id, "true"]).failed(255).stderr


@pytest.fixture
def running(creche: Runtime, bundle: Bundles, container_id: str) -> Entered:
    creche.run(["run", "-d", "-b", bundle(sh=IDLE), container_id]).ok()
    return Entered(creche, container_id)


def test_by_default_the_containers_own(running: Entered) -> None:
    everywhere = dict.fromkeys(running.init, "")

    assert running.where() == everywhere
    assert running.where("--cgroup", "/") == everywhere
    assert running.where("--cgroup", "./") == everywhere


def test_a_path_for_all_hierarchies(running: Entered) -> None:
    for path in running.paths.values():
        (path / "sub/deep").mkdir(parents=True)
        for name in ("cpuset.cpus", "cpuset.mems"):
            for step in ("sub", "sub/deep"):
                if (path / step / name).exists():
                    (path / step / name).write_text((path / name).read_text())

    assert running.where("--cgroup", "sub/deep") == dict.fromkeys(running.init, "/sub/deep")


def test_a_path_for_single_controllers(running: Entered) -> None:
    names = [name for name in running.paths if name in ("cpu", "pids", "freezer")]
    if len(names) < 3:
        pytest.skip("needs separate version 1 hierarchies")
    for name in names:
        (running.paths[name] / "sub").mkdir()

    below = running.where("--cgroup", "cpu,pids:sub", "--cgroup", "freezer:/sub")

    assert {name for name, path in below.items() if path} == set(names)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--cgroup", ".."], "bad sub cgroup path: .."),
        (["--cgroup", "sub/../../x"], "bad sub cgroup path"),
        (["--cgroup", "nonexistent"], " adding pid "),
        (["--cgroup", "nonexistent"], "no such file or directory"),
        (["--cgroup", "whaaat:/"], "unknown controller whaaat"),
        (["--cgroup", ",:x"], "empty <controller> prefix"),
        (["--cgroup", "x", "--cgroup", "y"], "missing <controller>: prefix"),
        (["--cgroup", "cpu:/", "--cgroup", "cpu:/"], "controller cpu specified multiple times"),
    ],
)
def test_what_is_refused(running: Entered, words: list[str], message: str) -> None:
    assert message in running.refused(*words)


@pytest.fixture
def busy(
    creche: Runtime, bundle: Bundles, container_id: str, cgroup_name: str
) -> Iterator[Entered]:
    """Give a container whose processes are in a sub-cgroup, its own having given out controllers.

    That is what it could do itself where it may write to its cgroup. Below the root, because no
    other cgroup can hand controllers down while it holds processes.
    """
    top = Path(discover().hierarchies[UNIFIED].mountpoint)
    offered = (top / "cgroup.controllers").read_text().split()
    lent = (top / "cgroup.subtree_control").read_text().split()
    if not offered:
        pytest.skip("no controller is with cgroup v2 here")
    if not lent:
        (top / "cgroup.subtree_control").write_text(f"+{offered[0]}")
    patch = {"linux": {"cgroupsPath": f"/{cgroup_name}"}}
    creche.run(["run", "-d", "-b", bundle(patch, sh=IDLE), container_id]).ok()
    running = Entered(creche, container_id)
    own = running.paths[UNIFIED]
    (own / "sub").mkdir()
    for pid in (own / "cgroup.procs").read_text().split():
        (own / "sub/cgroup.procs").write_text(pid)
    given = (own / "cgroup.controllers").read_text().split()
    (own / "cgroup.subtree_control").write_text(f"+{given[0]}")
    yield running
    creche.run(["delete", "--force", container_id]).ok()
    if not lent:
        (top / "cgroup.subtree_control").write_text(f"-{offered[0]}")


def test_where_init_is_if_its_own_takes_no_process(busy: Entered) -> None:
    """cgroups(7), "no internal processes"."""
    assert busy.where() == {**dict.fromkeys(busy.init, ""), UNIFIED: "/sub"}


def test_not_if_another_place_was_asked_for(busy: Entered) -> None:
    assert "busy" in busy.refused("--cgroup", "unified:/")
    assert busy.where("--cgroup", "unified:sub")[UNIFIED] == "/sub"


def test_its_own_again_once_it_takes_processes(busy: Entered) -> None:
    control = busy.paths[UNIFIED] / "cgroup.subtree_control"
    control.write_text(" ".join(f"-{name}" for name in control.read_text().split()))

    assert busy.where()[UNIFIED] == ""
