"""Sizes on the command line: `64M`, `1.5g`, `4096`, as Docker's go-units reads them."""

from __future__ import annotations

_POWERS = "kmgtp"


def parse_size(text: str) -> int:
    """Bytes; a unit is a power of 1024 (k, m, g, t, p; followed by b or ib or nothing).

    Raises ValueError with what is wrong.
    """
    at = len(text)
    while at and text[at - 1] not in "0123456789. ":
        at -= 1
    number, suffix = text[:at].removesuffix(" "), text[at:].lower()
    if not number.replace(".", "", 1).isdigit() or not number.isascii() or len(number) > 40:
        raise ValueError(f"invalid size: '{text}'")
    scale = 1
    if suffix and suffix != "b":
        if suffix[0] not in _POWERS or suffix[1:] not in ("", "b", "ib"):
            raise ValueError(f"invalid suffix: '{suffix}'")
        scale = 1 << 10 * (_POWERS.index(suffix[0]) + 1)
    whole, _point, fraction = number.partition(".")
    # In whole numbers: a float would be off above 2**53.
    size = int(whole + fraction) * scale // int("1" + "0" * len(fraction))
    if size >= 1 << 63:
        raise ValueError(f"invalid size: '{text}' is too large")
    return size
