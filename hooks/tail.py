"""The last bytes a program wrote, in bounded memory, and how they are shown.

A hook is not trusted to be brief: one that prints a gigabyte without a newline must not make the
runtime grow (containerd CVE-2022-31030 was that). Nor is it trusted to be polite: what it prints
ends up in terminals and logs, so nothing but printable characters gets through.
"""

KEEP = 64 * 1024  # bytes kept per stream
SHOW = 4 * 1024  # bytes of these that appear in a message


class Tail:
    """Keeps the last `limit` bytes of a stream, in at most twice that much memory."""

    __slots__ = ("_kept", "limit", "total")

    def __init__(self, limit: int = KEEP) -> None:
        self.limit = limit
        self.total = 0
        self._kept = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the stream."""
        self.total += len(chunk)
        self._kept += chunk[-self.limit :]
        if len(self._kept) > 2 * self.limit:
            del self._kept[: -self.limit]

    def value(self) -> bytes:
        """The last `limit` bytes, or all of them if there were fewer."""
        return bytes(self._kept[-self.limit :])


def show(data: bytes, total: int, limit: int = SHOW) -> str:
    """The end of a stream as one printable line.

    data: its last bytes; total: how many bytes there were in all. Trailing newlines go; what was
    left out at the front is counted in brackets.
    """
    end = data.rstrip(b"\r\n")
    part = end[-limit:]
    left_out = total - len(data) + len(end) - len(part)
    if left_out:
        # Do not begin in the middle of a UTF-8 sequence: it would show as an escape.
        begin = 0
        while begin < min(3, len(part)) and part[begin] & 0xC0 == 0x80:
            begin += 1
        part = part[begin:]
        left_out += begin
    text = printable(part)
    return f"[{left_out} earlier bytes left out] {text}" if left_out else text


def printable(data: bytes) -> str:
    """UTF-8 text with everything else escaped: control characters (newlines too, so that a record
    stays one line), bytes that are no UTF-8, and invisible characters that reorder text."""
    text = data.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join([char if char.isprintable() else _escape(char) for char in text])


def _escape(char: str) -> str:
    short = _SHORT.get(char)
    if short is not None:
        return short
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
