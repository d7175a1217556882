"""The ratios as bars on one logarithmic scale, with a line where both are equal: SVG."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

from tests.bench.measure import Row

_LEFT, _WIDTH, _STEP, _TOP = 330, 420, 26, 48
_LEAST, _MOST = 0.05, 5.0


def chart(rows: Sequence[Row]) -> str:
    """An SVG document; bars to the left of the middle line are faster or smaller than the peer."""
    bars = [
        # Of rates the inverse: so less is better in each bar.
        (f"{row.name} / {peer}", *((1 / r for r in pair) if row.more_is_better else pair))
        for row in rows
        for peer, factor in row.targets
        if (ratio := row.ratio(peer)) and (pair := (ratio, factor))
    ]
    height = _TOP + _STEP * len(bars) + 30
    one = _at(1.0)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _WIDTH + 90} {height}" '
        'font-family="sans-serif" font-size="13">',
        "<style>text{fill:#222}.b{fill:#2a7fb8}.w{fill:#c8642a}.l{stroke:#888}"
        "@media(prefers-color-scheme:dark){text{fill:#ddd}.b{fill:#5aa9dc}.w{fill:#e08a50}}</style>",
        f'<text x="{_LEFT}" y="18">less than the peer</text>',
        f'<text x="{one + 6:.0f}" y="18">more</text>',
        f'<text x="{_LEFT}" y="36" font-size="11">ratio, of rates the inverse; a tick marks the '
        "target</text>",
    ]
    for number, (label, ratio, factor) in enumerate(bars):
        y = _TOP + number * _STEP
        left, right = sorted((_at(ratio), one))
        kind = "b" if ratio <= 1 else "w"
        out += [
            f'<text x="{_LEFT - 8}" y="{y + 14}" text-anchor="end">{html.escape(label)}</text>',
            f'<rect class="{kind}" x="{left:.1f}" y="{y}" width="{max(right - left, 1):.1f}" '
            'height="18"/>',
            f'<line class="l" x1="{_at(factor):.1f}" x2="{_at(factor):.1f}" y1="{y - 2}" '
            f'y2="{y + 20}" stroke-width="2"/>',
            f'<text x="{_LEFT + _WIDTH + 10}" y="{y + 14}">{ratio:.2f}</text>',
        ]
    out.append(
        f'<line class="l" x1="{one:.1f}" x2="{one:.1f}" y1="{_TOP - 6}" y2="{height - 20}"/>'
    )
    return "\n".join([*out, "</svg>"]) + "\n"


def _at(ratio: float) -> float:
    """The place of a ratio on the scale."""
    bounded = min(max(ratio, _LEAST), _MOST)
    part = (math.log(bounded) - math.log(_LEAST)) / (math.log(_MOST) - math.log(_LEAST))
    return _LEFT + part * _WIDTH
