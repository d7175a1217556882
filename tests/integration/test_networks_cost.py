"""What a workload's network costs, with 1 to 200 of them: printed, and compared with nothing."""

from __future__ import annotations

import socket
import statistics
import time
from pathlib import Path

import pytest
import trio

from supervisor.network.edge import Rules
from supervisor.network.naming import Names
from supervisor.network.service import Networks
from supervisor.settings import parse
from supervisor.workload.model import Workload
from supervisor.workload.parse import parse_settings

pytestmark = pytest.mark.root

STEPS = (1, 10, 50, 100, 200)


def declared(number: int, publish: bool) -> Workload:
    """One of many."""
    text = '[container]\nargs = ["true"]\n[network]\nname = "a"\n'
    if publish:
        text += f'publish = ["{10000 + number}:80", "{10000 + number}:80/udp"]\n'
    return Workload(f"w{number}", "/w", parse_settings(text.encode(), "w"), {})


@pytest.mark.parametrize("publish", [False, True])
def test_what_each_costs(tmp_path: Path, publish: bool) -> None:
    links = socket.if_nameindex()
    workloads = {f"w{n}": declared(n, publish) for n in range(STEPS[-1])}
    told: list[str] = []
    networks = Networks(
        str(tmp_path / "own"),
        str(tmp_path / "leases"),
        parse(b'[networks.a]\nsubnet = "10.83.0.0/16"\n', "c").networks,
        workloads.get,
        lambda event, **values: told.append(event),
        lambda *damage: pytest.fail(str(damage)),
        [Rules(Names(str(tmp_path / "own")))],
    )

    async def up_and_down() -> None:
        took = []
        for workload in workloads.values():
            began = time.perf_counter()
            await networks.attach(workload)
            took.append((time.perf_counter() - began) * 1000)
        for low, high in zip((0, *STEPS), STEPS, strict=False):
            print(f"attach {low + 1} to {high}: {statistics.median(took[low:high]):.1f} ms each")
        began = time.perf_counter()
        assert await networks.reconcile() == []
        print(f"look at all: {(time.perf_counter() - began) * 1000:.0f} ms")
        for name in workloads:
            networks.note({"event": "workload-removed", "workload": name})
        began = time.perf_counter()
        await networks.settle()
        print(f"remove all: {(time.perf_counter() - began) * 1000:.0f} ms")
        networks.close()

    trio.run(up_and_down)
    told = [each for each in told if each != "network-forwarding"]
    assert told == ["network-attached"] * STEPS[-1]
    assert socket.if_nameindex() == links
    assert list(tmp_path.glob("*/*")) == []
