"""Rows about the command line: each start of a container by hand or by an engine."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from tests.bench.measure import Effort, Row, interleave
from tests.bench.peers import Peer, interpreter, running, runtimes
from tests.bench.scene import Scene


def cold_run(scene: Scene, effort: Effort) -> Row:
    """creche run, foreground, of a program that does nothing."""
    bundle = scene.bundle("cold", ["/bin/true"])
    cases = {name: functools.partial(_run, peer, bundle) for name, peer in runtimes(scene).items()}
    return Row(
        "cold run",
        "`run` of `true`, from the call to its end, warm page cache",
        "ms",
        interleave(cases, effort.rounds),
        (("runc", 0.7),),
    )


def _run(peer: Peer, bundle: Path) -> float:
    return peer.timed(("run", "-b", bundle, peer.new_id()))


def create_start_delete(scene: Scene, effort: Effort) -> Row:
    """What an engine does for each container."""
    bundle = scene.bundle("engine", ["/bin/true"])

    def case(peer: Peer) -> float:
        name = peer.new_id()
        return peer.timed(
            ("create", "-b", bundle, name), ("start", name), ("delete", "--force", name)
        )

    cases = {name: functools.partial(case, peer) for name, peer in runtimes(scene).items()}
    return Row(
        "create, start, delete",
        "three commands, as engines call them",
        "ms",
        interleave(cases, effort.rounds),
        (("runc", 0.7),),
    )


def small_commands(scene: Scene, effort: Effort) -> list[Row]:
    """state, kill and delete --force of a container that has ended."""
    bundle = scene.bundle("small", ["/bin/true"])
    peers = runtimes(scene)
    rows = []
    for word in ("state", "kill", "delete --force"):
        cases: dict[str, Callable[[], float]] = {
            name: functools.partial(_small, peer, bundle, word.split())
            for name, peer in peers.items()
        }
        cases["python3 -I -S"] = interpreter
        rows.append(
            Row(
                word,
                f"`{word}` of a container that has ended"
                if word == "state"
                else f"`{word}` of a container that waits for `start`",
                "ms",
                interleave(cases, effort.rounds),
                (("python3 -I -S", 2.0),),
            )
        )
    return rows


def _small(peer: Peer, bundle: Path, words: list[str]) -> float:
    """The command alone; making the container and removing it is not counted."""
    name = peer.new_id()
    peer.call("create", "-b", bundle, name)
    if words == ["state"]:
        peer.call("kill", name, "KILL")
    taken = peer.timed((*words, name))
    if words[0] != "delete":
        peer.call("delete", "--force", name)
    return taken


def cold_exec(scene: Scene, effort: Effort) -> Row:
    """exec into a running container."""
    peers = runtimes(scene)
    with running(scene, peers) as names:
        cases = {
            name: functools.partial(peer.timed, ("exec", names[name], "/bin/true"))
            for name, peer in peers.items()
        }
        results = interleave(cases, effort.rounds)
    return Row(
        "cold exec",
        "`exec` of `true`, from the call to its end",
        "ms",
        results,
        (("runc", 0.8),),
    )
