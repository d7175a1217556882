"""Equal parts of documents are one object: what a thousand workloads share is kept once."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from supervisor.launching import Plan
from supervisor.shared import Pool
from supervisor.workload import directory
from tests.support import bundle
from tests.unit.supervisor.test_workload_directory import add

MOST_PER_WORKLOAD = 12 << 10
"""Bytes that Python holds for a workload that differs from others in its name and program. It was
7.9 KiB when this was written."""

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_what_is_shared_is_equal_and_in_the_same_order(value: Any) -> None:
    """Whatever it is; and once more, when its parts are known."""
    pool = Pool()
    for _ in range(2):
        assert json.dumps(pool.share(value)) == json.dumps(value)


def test_numbers_that_are_equal_but_not_the_same_stay_apart() -> None:
    """1, 1.0 and True are one key of a dictionary, but not one value of a document."""
    pool = Pool()

    assert [json.dumps(pool.share([each])) for each in (1, 1.0, True)] == ["[1]", "[1.0]", "[true]"]


def test_parts_of_different_documents_are_one_object() -> None:
    """Down to the second table within tables."""
    pool = Pool()
    one, two = (
        pool.share({"args": [name], "linux": {"seccomp": {"syscalls": ["read"]}, "path": name}})
        for name in ("a", "b")
    )

    assert one["linux"]["seccomp"] is two["linux"]["seccomp"]
    assert one["args"] != two["args"]


def test_what_all_have_in_common_outlives_what_each_has_alone() -> None:
    """Only so many parts are remembered."""
    pool = Pool(kept=8)
    documents = [
        pool.share({"linux": {"seccomp": ["read"], "path": [number]}}) for number in range(100)
    ]

    assert len({id(document["linux"]["seccomp"]) for document in documents}) == 1


def test_memory_of_a_workload_is_small(tmp_path: Path) -> None:
    """Its configuration and plan, where hundreds of rules are the same for all."""
    calls = [{"names": [f"call{n}"], "action": "SCMP_ACT_ALLOW"} for n in range(400)]
    seccomp = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": calls}
    for number in range(40):
        path = add(tmp_path, f"w{number}", "")
        config = {**bundle.FULL, "linux": {**bundle.FULL["linux"], "seccomp": seccomp}}
        config["process"] = {**config["process"], "args": [f"program{number}"]}
        (path / "config.json").write_text(json.dumps(config))
        (path / "config.json").chmod(0o644)
    tracemalloc.start()
    try:
        good, bad = directory.read_all(str(tmp_path), "/scratch")
        plans = [Plan(json.loads(json.dumps(workload.config))) for workload in good]
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert not bad
    assert len(plans) == 40
    assert held / 40 < MOST_PER_WORKLOAD
