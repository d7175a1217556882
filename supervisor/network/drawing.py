"""A drawing of networks and who is on them, as SVG: `crechectl net --svg` and the status page.

Made from the document of `GET /networks`. Colours are attributes, not a style sheet: the page's
Content-Security-Policy lets none be in it. (No dataclasses here: `crechectl` has to start quickly.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

_LINE = 18
_PAD = 12
_LETTER = 7.3
"""Width of a letter of 12 px; cautiously, as fonts differ."""
_LEFT, _BETWEEN, _RIGHT = 300, 150, 420
_MARGIN = 20
_STYLE = {
    "network": ("#e7f0fb", "#3b6ea8"),
    "workload": ("#eaf6ec", "#3d8a4d"),
}


def words(interface: dict[str, Any]) -> str:
    """What is said of an interface in a line: addresses, ports, rate."""
    parts = [" ".join(interface["addresses"])]
    parts += [f"published {each}" for each in interface["publish"]]
    if interface["rate"]:
        parts.append(f"at most {bits(interface['rate'])}")
    return ", ".join(part for part in parts if part)


def bits(rate: int) -> str:
    """As it is written in workload.toml: `100mbit`."""
    for factor, unit in ((10**9, "g"), (10**6, "m"), (10**3, "k")):
        if rate % factor == 0:
            return f"{rate // factor}{unit}bit"
    return f"{rate}bit"


def facts(network: dict[str, Any]) -> list[str]:
    """What is said of a network, a line each."""
    lines = [f"bridge {network['bridge']}"]
    lines += [
        f"{subnet}, gateway {gateway}"
        for subnet, gateway in zip(network["subnets"], network["gateways"], strict=True)
    ]
    said = [key for key in ("masquerade", "isolate", "dns") if network[key]]
    return [*lines, ", ".join(said)] if said else lines


def svg(found: dict[str, Any]) -> str:
    """Networks on the left, workloads on the right, a line for each interface between them."""
    left = [(each["name"], f"network {each['name']}", facts(each)) for each in found["networks"]]
    left += [
        (f"/{mode}", mode, [])
        for mode in sorted({i["mode"] for i in found["interfaces"] if i["network"] is None})
    ]
    owned: dict[str, list[dict[str, Any]]] = {}
    for each in found["interfaces"]:
        owned.setdefault(each["workload"], []).append(each)
    right = [(name, _title(name, some), _lines(some)) for name, some in owned.items()]
    places, left_end = _stack(left)
    others, right_end = _stack(right)
    height = max(left_end, right_end, 3 * _MARGIN)
    width = 2 * _MARGIN + _LEFT + _BETWEEN + _RIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="DejaVu Sans Mono, monospace" font-size="12">',
        "<title>Networks of creched</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    x = _MARGIN + _LEFT
    for name, some in owned.items():
        for each in some:
            start = places.get(each["network"] or f"/{each['mode']}")
            if start is not None:  # or the network is one that nobody knows any more
                parts.append(_curve(x, start, x + _BETWEEN, others[name]))
    parts += _boxes("network", _MARGIN, _LEFT, left)
    parts += _boxes("workload", x + _BETWEEN, _RIGHT, right)
    if not left:
        parts.append(_text(_MARGIN, 2 * _MARGIN, "there are no networks", width))
    return "\n".join([*parts, "</svg>"]) + "\n"


_Box = tuple[str, str, list[str]]


def _title(name: str, some: Sequence[dict[str, Any]]) -> str:
    sharing = some[0]["shared_by"]
    return f"{name} (with {', '.join(sharing)})" if sharing else name


def _lines(some: Sequence[dict[str, Any]]) -> list[str]:
    lines = []
    for each in some:
        lines.append(f"{each['interface']} {' '.join(each['addresses'])}".rstrip())
        lines += [f"  published {publish}" for publish in each["publish"]]
        if each["rate"]:
            lines.append(f"  at most {bits(each['rate'])}")
    return lines


def _height(box: _Box) -> int:
    return 2 * _PAD + _LINE * (1 + len(box[2]))


def _stack(boxes: Sequence[_Box]) -> tuple[dict[str, int], int]:
    """The height of the middle of each box, and where the last one ends."""
    y = _MARGIN
    middles = {}
    for box in boxes:
        middles[box[0]] = y + _height(box) // 2
        y += _height(box) + _MARGIN
    return middles, y


def _boxes(kind: str, x: int, width: int, boxes: Sequence[_Box]) -> Iterator[str]:
    ground, line = _STYLE[kind]
    y = _MARGIN
    for box in boxes:
        yield (
            f'<rect x="{x}" y="{y}" width="{width}" height="{_height(box)}" rx="8" '
            f'fill="{ground}" stroke="{line}"/>'
        )
        at = y + _PAD + _LINE - 5
        yield _text(x + _PAD, at, box[1], width - 2 * _PAD, bold=True)
        for text in box[2]:
            at += _LINE
            yield _text(x + _PAD, at, text, width - 2 * _PAD)
        y += _height(box) + _MARGIN


def _curve(x1: int, y1: int, x2: int, y2: int) -> str:
    middle = (x1 + x2) // 2
    return (
        f'<path d="M {x1} {y1} C {middle} {y1} {middle} {y2} {x2} {y2}" fill="none" '
        'stroke="#6b7785" stroke-width="1.5"/>'
    )


def _text(x: int, y: int, text: str, width: int, bold: bool = False) -> str:
    most = int(width / _LETTER)
    shown = text if len(text) <= most else text[: most - 1] + "…"
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x}" y="{y}"{weight} xml:space="preserve">{_escaped(shown)}</text>'


def _escaped(text: str) -> str:
    """Nothing in it is markup, and no character is one that XML does not have."""
    printable = "".join(
        char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text
    )
    for char, name in (("&", "amp"), ("<", "lt"), (">", "gt"), ('"', "quot"), ("'", "#39")):
        printable = printable.replace(char, f"&{name};")
    return printable
