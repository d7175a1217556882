"""The table, as Markdown, and the machine it was measured on."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence

from tests.bench.measure import Row

_VERSIONS = ("runc", "crun", "bwrap", "conmon", "containerd")


def table(rows: Sequence[Row]) -> str:
    """One line for each row and peer."""
    lines = ["| what | unit | creche | peer | theirs | ratio | target | met |",
             "|---|---|---:|---|---:|---:|---:|---|"]  # fmt: skip
    for row in rows:
        targets = dict(row.targets)
        first = True
        for peer, series in row.results.items():
            if peer == "creche":
                continue
            ratio, factor = row.ratio(peer), targets.get(peer)
            sign = "≥" if row.more_is_better else "≤"
            lines.append(
                "| "
                + " | ".join(
                    [
                        row.what if first else "",
                        row.unit if first else "",
                        str(row.results["creche"]) if first else "",
                        peer,
                        str(series),
                        "" if ratio is None else f"{ratio:.2f}",
                        "" if factor is None else f"{sign} {factor:g}",
                        "" if factor is None else _yes(row.met(peer, factor)),
                    ]
                )
                + " |"
            )
            first = False
        if first:
            lines.append(f"| {row.what} | {row.unit} | {row.results['creche']} | | | | | |")
    return "\n".join(lines)


def _yes(met: bool | None) -> str:
    return {None: "?", True: "yes", False: "no"}[met]


def machine() -> str:
    """Processor, kernel, interpreter, peers, and how busy it was."""
    lines = [
        f"* {_processor()}, {os.cpu_count()} CPUs visible; load average at the end "
        f"{os.getloadavg()[0]:.1f}",
        f"* Linux {platform.release()}, Python {platform.python_version()}",
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
