"""Signals by name or number, as `kill` and configurations write them."""

from __future__ import annotations

from runtime.errors import CrecheError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal

# The kernel's largest signal number.
LAST = 64


def parse_signal(text: str) -> int:
    """The number of a signal: 9, KILL, SIGKILL, kill, RTMIN+3, RTMAX-1; 0 only asks.

    Raises CrecheError.
    """
    if text.isascii() and text.isdigit() and len(text) < 4:
        number = int(text)
        if number <= LAST:
            return number
        raise CrecheError(f'unknown signal "{text}": numbers go from 0 to {LAST}')
    name = text.upper()
    name = name[3:] if name.startswith("SIG") else name
    base, plus, offset = name, "", ""
    for sign in ("+", "-"):
        if sign in name:
            base, plus, offset = name.partition(sign)
    number = 0
    if base.isascii() and base.isalnum() and not base.startswith("_"):
        found = getattr(_signal, f"SIG{base}", 0)
        # SIG_BLOCK and the like are excluded by isalnum; handlers are not integers here.
        number = found if isinstance(found, int) else 0
    if plus:
        counted = offset.isascii() and offset.isdigit() and len(offset) < 3
        if not counted or base not in {"RTMIN", "RTMAX"}:
            number = 0
        else:
            number += int(offset) if plus == "+" else -int(offset)
            number = number if _signal.SIGRTMIN <= number <= _signal.SIGRTMAX else 0
    if not 0 < number <= LAST:
        raise CrecheError(f'unknown signal "{text}"')
    return number
