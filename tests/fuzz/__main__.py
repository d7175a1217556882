"""Feed arbitrary bytes to what reads bytes, guided by coverage, and stop at the first crash.

    python -m tests.fuzz [SECONDS] [TARGET...]

Each target runs in a process of its own, for SECONDS (60) each; what it has found out is kept in
.cache/fuzz/TARGET and gone on with the next time. A crash is an exception other than CrecheError,
more than 1 GiB of memory, or an input that takes longer than 10 seconds.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["runtime"]):
    from runtime.cgroups import Hierarchy, Layout, compile_resources
    from runtime.errors import CrecheError
    from runtime.plan.compile import compile_plan
    from runtime.plan.process import compile_process
    from runtime.spec import default_spec, parse, parse_process, parse_resources, render
    from runtime.state import decode, encode

from tests.support.repository import REPOSITORY
from tests.unit.spec.full import FULL

CORPUS = REPOSITORY / ".cache/fuzz"
LAYOUT = Layout({name: Hierarchy(name, f"/cg/{name}", "/", "/") for name in ("pids", "cpu")}, [])


def quiet(_: str) -> None:
    """A log that nobody reads."""


def config(data: bytes) -> None:
    compile_plan(parse(data, quiet), LAYOUT, "/bundle", quiet)


def process(data: bytes) -> None:
    compile_process(parse_process(data, quiet))


def resources(data: bytes) -> None:
    compile_resources(parse_resources(data), LAYOUT, quiet, "resources")


def state(data: bytes) -> None:
    decode(data)


Target = Callable[[bytes], None]
# Each with what to begin from.
TARGETS: dict[str, tuple[Target, list[bytes]]] = {
    "config": (config, [render(default_spec()).encode(), json.dumps(FULL).encode()]),
    "process": (process, [json.dumps(FULL["process"]).encode()]),
    "resources": (resources, [json.dumps(FULL["linux"]["resources"]).encode()]),
    "state": (state, [encode({"version": 1, "id": "x", "pid": 7})]),  # type: ignore[typeddict-item]
}


def one(name: str, seconds: str) -> None:
    """Fuzz one target; ends the process."""
    target, seeds = TARGETS[name]
    directory = CORPUS / name
    directory.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds):
        (directory / f"seed{number}").write_bytes(seed)

    def survives(data: bytes) -> None:
        try:
            target(data)
        except CrecheError as error:
            assert str(error)

    options = [f"-max_total_time={seconds}", "-rss_limit_mb=1024", "-timeout=10", "-verbosity=0"]
    options += ["-max_len=65536", f"-artifact_prefix={directory}-", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], str(directory), *options], survives)
    atheris.Fuzz()


def main() -> int:
    """Each target in turn; the number of those that crashed."""
    words = sys.argv[1:]
    if words[:1] == ["--one"]:
        one(words[1], words[2])
    seconds = words.pop(0) if words and words[0].isdecimal() else "60"
    crashed = 0
    for name in words or TARGETS:
        if name not in TARGETS:
            sys.exit(f"there is no target {name!r}: {', '.join(TARGETS)}")
        print(f"fuzz: {name}, {seconds} seconds", flush=True)
        argv = [sys.executable, "-m", "tests.fuzz", "--one", name, seconds]
        crashed += subprocess.run(argv, cwd=Path(REPOSITORY)).returncode != 0
    print(f"fuzz: {crashed} of {len(words or TARGETS)} targets crashed")
    return crashed


if __name__ == "__main__":
    sys.exit(main())
