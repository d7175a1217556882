"""`crechectl net`: networks, who is on them, and who has which address; as tables or drawn."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

from supervisor.ctl import table
from supervisor.ctl.client import Client
from supervisor.ctl.commands import DONE, USAGE
from supervisor.ctl.problem import Problem
from supervisor.ctl.words import clean
from supervisor.network.drawing import bits, facts, svg, words


def run(client: Client, options: argparse.Namespace) -> int:
    """Exit status 2 if the file for the drawing cannot be written."""
    if sum(map(bool, (options.json, options.draw, options.svg))) > 1:
        raise Problem("expected one of --json, --draw and --svg, found more", USAGE)
    found = client.get("networks")
    if options.json:
        print(json.dumps(found, indent=2))
    elif options.svg == "-":
        sys.stdout.write(svg(found))
    elif options.svg:
        _write(options.svg, svg(found))
    elif options.draw:
        _draw(found)
    else:
        tables(found)
    return DONE


def _write(path: str, text: str) -> None:
    """The whole file or none of it."""
    new = f"{path}.new"
    try:
        with open(new, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(new, path)
    except OSError as error:
        raise Problem(f"--svg: {error.filename or path}: {error.strerror}", USAGE) from None


def tables(found: dict[str, Any]) -> None:
    """A table of each kind that there is something of."""
    if not found["networks"] and not found["interfaces"]:
        print("there are no networks (creched.md: [networks.NAME])")
        return
    shown = (
        (("network", "bridge", "subnets", "gateway", "used by"), networks(found), ()),
        (
            ("workload", "interface", "network", "addresses", "mac", "published", "rate"),
            interfaces(found),
            (6,),
        ),
        (("lease of", "network", "addresses", "kind"), leases(found), ()),
    )
    first = True
    for columns, rows, numbers in shown:
        if rows:
            if not first:
                print()
            table.show(columns, rows, numbers)
            sys.stdout.flush()
            first = False


def networks(found: dict[str, Any]) -> list[list[str]]:
    """A line for each network."""
    return [
        _cells(each["name"], each["bridge"], each["subnets"], each["gateways"], each["users"])
        for each in found["networks"]
    ]


def interfaces(found: dict[str, Any]) -> list[list[str]]:
    """A line for each interface of a workload that is attached."""
    return [
        _cells(
            [each["workload"], *each["shared_by"]], each["interface"],
            each["network"] or each["mode"], each["addresses"], each["mac"], each["publish"],
            bits(each["rate"]) if each["rate"] else None,
        )
        for each in found["interfaces"]
    ]  # fmt: skip


def leases(found: dict[str, Any]) -> list[list[str]]:
    """A line for each lease: also of workloads that are not attached now."""
    return [
        _cells(
            each["workload"],
            each["network"],
            each["addresses"],
            ", ".join("fixed" if fixed else "auto" for fixed in dict.fromkeys(each["fixed"]))
            + ("" if each["attached"] else ", held"),
        )
        for each in found["leases"]
    ]


def _cells(*values: Any) -> list[str]:
    return [
        clean(" ".join(value) if isinstance(value, list) else value or "") or "-"
        for value in values
    ]


def _draw(found: dict[str, Any]) -> None:
    """A tree: the host, its networks, the interfaces on each."""
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

    tree = Tree(Text("host", style="bold"))
    for network in found["networks"]:
        said = "  ".join(clean(fact) for fact in facts(network))
        branch = tree.add(Text.assemble((clean(network["name"]), "bold"), "  ", said))
        for each in found["interfaces"]:
            if each["network"] == network["name"]:
                branch.add(_leaf(each))
    for each in found["interfaces"]:
        if each["network"] is None:
            tree.add(Text(clean(each["mode"]))).add(_leaf(each))
    # Lines are as long as they are: a drawing that is wrapped is none.
    width = None if sys.stdout.isatty() else 10_000
    Console(highlight=False, width=width).print(tree, no_wrap=True, overflow="ellipsis")


def _leaf(each: dict[str, Any]) -> Any:
    from rich.text import Text

    names = clean(", ".join([each["workload"], *each["shared_by"]]))
    link = f"{clean(each['link'])} ─ " if each["link"] else ""
    said = clean(words(each))
    return Text.assemble(link, clean(each["interface"]), "  ", (names, "green"), "  ", said)
