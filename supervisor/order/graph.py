"""Who waits for whom, as a graph: cycles, and an order to start in. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Graph = Mapping[str, Iterable[str]]
"""Name -> names of what it needs. Names that are no keys are not there, which is no mistake."""


def find_cycle(needs: Graph, start: str) -> list[str] | None:
    """The way from `start` back to itself, `start` first and last; None if there is none."""
    parents: dict[str, str] = {}
    todo = [start]
    while todo:
        name = todo.pop()
        for needed in sorted(needs.get(name, ()), reverse=True):
            if needed == start:
                way = [start, name]
                while way[-1] != start:
                    way.append(parents[way[-1]])
                return way[::-1]
            if needed not in parents:
                parents[needed] = name
                todo.append(needed)
    return None


def cycles(needs: Graph) -> dict[str, list[str]]:
    """For everything that is part of a cycle, one that it is part of."""
    found = {name: find_cycle(needs, name) for name in needs}
    return {name: way for name, way in found.items() if way is not None}


def start_order(needs: Graph) -> list[str]:
    """Every name after all that it needs, and by name where that says nothing.

    Within a cycle, which is no order, it is begun anywhere.
    """
    order: list[str] = []
    opened: set[str] = set()
    for root in sorted(needs):
        todo = [(root, False)]
        while todo:
            name, ready = todo.pop()
            if ready:
                order.append(name)
            elif name in needs and name not in opened:
                opened.add(name)
                todo.append((name, True))
                todo += [(needed, False) for needed in sorted(needs[name], reverse=True)]
    return order
