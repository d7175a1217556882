"""Fixtures for every test, and the two promises about tests that need root.

A test marked ``root`` is skipped, with the reason, where it cannot run; where it runs, it leaves
nothing behind, and the ``_nothing_left`` fixture fails it otherwise.
"""

from __future__ import annotations

import gc
import itertools
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import hypothesis
import pytest

from tests.support.bundle import BUSYBOX, Bundle, Patch, make_bundle
from tests.support.export import MEMCACHED, write_export
from tests.support.isolation import PREFIX, Session, can_isolate
from tests.support.leaks import Snapshot
from tests.support.network import HandMadeNetwork, hand_made_network
from tests.support.reaper import continue_below_a_reaper, exits
from tests.support.runtimes import Runtime
from tests.support.waiting import SLOWNESS

# Nothing fails by how long it took: the machine may be busy with something else.
hypothesis.settings.register_profile("creche", deadline=None)
hypothesis.settings.load_profile("creche")

_HANGS, _HANGS_SLOW = 300.0 * SLOWNESS, 900.0 * SLOWNESS  # seconds
_numbers = itertools.count(1)
_session_key = pytest.StashKey[Session]()
_refusal_key = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Leave for a private machine before the first test (tests/support/isolation.py)."""
    if can_isolate() and not config.option.collectonly:
        exits.listen(continue_below_a_reaper())
        _end_tidily_on_sigterm()
        session = Session()
        try:
            session.enter()
        except OSError as error:  # root of a container, for example
            config.stash[_refusal_key] = f"root may not do here what it needs: {error}"
        else:
            config.stash[_session_key] = session


def _end_tidily_on_sigterm() -> None:
    """Let fixtures clear up when somebody, or a time limit, ends the session."""
    own = os.getpid()

    def end(number: int, _frame: FrameType | None) -> None:
        if os.getpid() == own:
            signal.signal(number, signal.SIG_IGN)  # once more, and it would interrupt the clearing
            pytest.exit("SIGTERM", returncode=128 + number)
        signal.signal(number, signal.SIG_DFL)  # a process that a test has forked
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, end)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Go back and clear up."""
    session = config.stash.get(_session_key, None)
    if session is not None:
        session.leave()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the tests that need root where there is none, and say why."""
    reason = config.stash.get(_refusal_key, "")
    if reason:
        pass
    elif sys.platform != "linux":
        reason = f"needs Linux, this is {sys.platform}"
    elif not can_isolate():
        reason = "needs root: it makes namespaces, mounts and control groups"
    elif not BUSYBOX.exists():
        reason = "needs Debian's busybox-static for a root file system"
    else:
        return
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_collection_finish() -> None:
    """Spare the collections around each test (tests/support/leaks.py) what stays to the end."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Count, and give each reason for a skip once."""
    stats: dict[str, list[Any]] = terminalreporter.stats
    names = ("passed", "failed", "error", "skipped", "xfailed", "xpassed")
    counts = ", ".join(f"{len(stats[name])} {name}" for name in names if stats.get(name))
    reasons: Counter[str] = Counter()
    for report in stats.get("skipped", ()):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[reason.removeprefix("Skipped: ")] += 1
    terminalreporter.section("counts")
    terminalreporter.write_line(counts or "no test ran")
    for reason, number in reasons.most_common():
        terminalreporter.write_line(f"  skipped {number}: {reason}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Turn a test that hangs into one that fails. Nothing is measured: the limit is far off."""
    limit = _HANGS_SLOW if item.get_closest_marker("slow") else _HANGS
    if (marker := item.get_closest_marker("limit")) is not None:
        limit = marker.args[0] * SLOWNESS

    def give_up(_number: int, _frame: FrameType | None) -> None:
        pytest.fail(f"hangs: no end after {limit} s")

    previous = signal.signal(signal.SIGALRM, give_up)
    # Again and again: clearing up after a test that hangs may hang as well.
    signal.setitimer(signal.ITIMER_REAL, limit, limit)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@pytest.fixture(autouse=True)
def _nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a root test that leaves anything behind (tests/support/leaks.py lists the kinds)."""
    if request.node.get_closest_marker("root") is None:
        yield
        return
    exits.forget()
    before = Snapshot.take(request.config.stash[_session_key])
    yield
    leaks = before.leaked()
    assert not leaks, "the test left behind:\n" + "\n".join(leaks)


@pytest.fixture
def cgroup_name(request: pytest.FixtureRequest) -> str:
    """Give a name that the tests may use for a control group of their own, below the root."""
    session = request.config.stash[_session_key]
    return f"{session.name}-{next(_numbers)}"


@pytest.fixture
def container_id() -> str:
    """Give a container id that no other test uses."""
    return f"{PREFIX}{next(_numbers)}"


@pytest.fixture
def bundle(tmp_path: Path) -> Callable[..., Bundle]:
    """Give a maker of bundles: ``bundle(patch, sh="…")``; arguments as for ``make_bundle``."""

    def make(patch: Patch = None, **options: Any) -> Bundle:
        name = options.pop("name", f"bundle{next(_numbers)}")
        return make_bundle(tmp_path / name, patch, **options)

    return make


def _runtime(name: str, tmp_path: Path) -> Iterator[Runtime]:
    runtime = Runtime(name, tmp_path / f"{name}-root")
    if not runtime.available:
        pytest.skip(f"{name} is not installed")
    # runc refuses to list containers in a directory that is not there.
    runtime.root.mkdir(mode=0o700)
    yield runtime
    runtime.clean()
    left = sorted(entry.name for entry in runtime.root.iterdir())
    assert not left, f"{name} left state behind: {left}"


@pytest.fixture
def creche(tmp_path: Path) -> Iterator[Runtime]:
    """Give creche's command line with a private state directory."""
    yield from _runtime("creche", tmp_path)


@pytest.fixture
def runc(tmp_path: Path) -> Iterator[Runtime]:
    """Give runc's command line, to compare with."""
    yield from _runtime("runc", tmp_path)


@pytest.fixture(params=["creche", "runc"])
def runtime(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Runtime]:
    """Give each runtime in turn: what a test states has to hold for both."""
    yield from _runtime(request.param, tmp_path)


@pytest.fixture(scope="session")
def export_tar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a tar with memcached in it, as ``docker export`` would write it."""
    if not MEMCACHED.exists() or shutil.which("ldd") is None:
        pytest.skip("needs Debian's memcached")
    return write_export(tmp_path_factory.mktemp("export") / "memcached.tar")


@pytest.fixture
def network() -> Iterator[HandMadeNetwork]:
    """Give a bridge, a veth pair and a namespace, made by hand with ip(8)."""
    if shutil.which("ip") is None:
        pytest.skip("needs Debian's iproute2")
    made = hand_made_network(next(_numbers) % 200)
    made.up()
    yield made
    made.down()
