"""The table, as Markdown, and the machine it was measured on."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence

from tests.bench.measure import Effort, Row

_VERSIONS = ("runc", "crun", "conmon", "containerd")


def table(rows: Sequence[Row]) -> str:
    """One line for each row and peer."""
    lines = ["| what | unit | creche | peer | theirs | ratio | target | met |",
             "|---|---|---:|---|---:|---:|---:|---|"]  # fmt: skip
    for row in rows:
        if row.problem:
            lines.append(_line(row.what, "", "", "", row.problem, "", "", "?"))
            continue
        sign = "≥" if row.more_is_better else "≤"
        targets = dict(row.targets)
        found = []
        if row.goal is not None:
            found.append(("", "", "", f"{sign} {row.goal:g}", _yes(row.goal_met())))
        for peer, series in row.results.items():
            if peer != "creche":
                ratio, factor = row.ratio(peer), targets.get(peer)
                target = ("", "")
                if factor is not None:
                    target = (f"{sign} {factor:g} of theirs", _yes(row.met(peer, factor)))
                found.append((peer, str(series), "" if ratio is None else f"{ratio:.2f}", *target))
        head = (row.what, row.unit, str(row.results["creche"]))
        for cells in found or [("",) * 5]:
            lines.append(_line(*head, *cells))
            head = ("", "", "")
    return "\n".join(lines)


def _line(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def document(before: str, rows: str, below: str, machine_: str) -> str:
    """docs/benchmarks.md with other results: what lies between `<!-- NAME -->` and the next
    `<!-- end -->`. Raises ValueError if the marks are missing."""
    for name, made in (
        ("table", f"{rows}\n\n![the ratios, drawn](benchmarks.svg)"),
        ("profile", below),
        ("machine", machine_),
    ):
        begin, end = f"<!-- {name}: written by ./dev bench --write -->\n", "\n<!-- end -->"
        head, found, rest = before.partition(begin)
        _, closed, tail = rest.partition(end)
        if not found or not closed:
            raise ValueError(
                f"docs/benchmarks.md lacks the marks {begin.strip()} and {end.strip()}"
            )
        before = f"{head}{begin}\n{made}\n{end}{tail}"
    return before


def _yes(met: bool | None) -> str:
    return {None: "?", True: "yes", False: "no"}[met]


def machine(effort: Effort, seconds: float) -> str:
    """Processor, kernel, interpreter, peers, and how busy it was."""
    load, _, earlier = os.getloadavg()
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = int(file.readline().split()[1]) / (1 << 20)
    lines = [
        f"* {_processor()}, {os.cpu_count()} CPUs, {memory:.0f} GiB; load average at the end "
        f"{load:.1f}, {earlier:.1f} over the last quarter of an hour",
        f"* Linux {platform.release()}, Python {platform.python_version()}, cgroup v2",
        f"* {effort.rounds} rounds, {seconds:.0f} s in all",
    ]
    for program in _VERSIONS:
        if shutil.which(program):
            said = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
            found = re.search(r"\d+\.\d+(\.\d+)?", said)
            lines.append(f"* {program} {found[0] if found else '?'}")
    return "\n".join(lines)


def _processor() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()
