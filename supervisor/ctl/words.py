"""Numbers and texts as people read them."""

from __future__ import annotations


def clean(text: object) -> str:
    """Programs choose some of these texts: no control character reaches the terminal."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in str(text)
    )


def problem(found: dict[str, object]) -> str:
    """A mistake in a file: `FILE:LINE: KEY: MESSAGE`, the parts that are not known left out."""
    where = found["file"] if found["line"] is None else f"{found['file']}:{found['line']}"
    return clean(": ".join(str(part) for part in (where, found["key"], found["message"]) if part))


def span(seconds: float) -> str:
    """A length of time, in its two largest units: `0 s`, `3 min 20 s`, `2 d 5 h`."""
    if seconds < 0.9995:
        return f"{max(0.0, seconds) * 1000:.0f} ms" if seconds > 0.0005 else "0 s"
    if seconds < 10:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    whole = round(seconds)
    units = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    for index, (size, name) in enumerate(units):
        if whole >= size:
            rest = whole % size // units[index + 1][0] if size > 1 else 0
            more = f" {rest} {units[index + 1][1]}" if rest else ""
            return f"{whole // size} {name}{more}"
    return "0 s"


def size(count: float) -> str:
    """Bytes: `0 B`, `1.4 MiB`, `320 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024 or unit == "TiB":
            break
        count /= 1024
    return f"{count:.1f} {unit}" if unit != "B" and count < 10 else f"{count:.0f} {unit}"


def ending(exit: dict[str, object]) -> str:
    """How a run ended: `exit status 3`, `SIGSEGV (core dumped)`, `killed for lack of memory`."""
    import signal

    code, number = exit.get("code"), exit.get("signal")
    if exit.get("cause") == "oom":
        return "killed for lack of memory"
    if exit.get("text"):
        return clean(exit["text"])
    if code is not None:
        return f"exit status {code}"
    if isinstance(number, int):
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        return name + (" (core dumped)" if exit.get("core") else "")
    return "not known"
