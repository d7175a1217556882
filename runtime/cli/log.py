"""Log lines as engines read them: logrus' text and JSON forms, to stderr or appended to --log.

An engine shows its user the `msg` of the last error line in the --log file, so the error goes
there as a record and to stderr as the bare message.
"""

from __future__ import annotations

import os
import sys
import time

from runtime.cli.options import quoted
from runtime.errors import CrecheError, strerror

FORMATS = ("text", "json")

# Characters that logrus' text form leaves without quotes.
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/@^+")


class Log:
    """Where diagnostics go. debugging: whether debug lines are written at all."""

    __slots__ = ("_fd", "_json", "debugging")

    def __init__(self) -> None:
        self._fd = 2
        self._json = False
        self.debugging = False

    def configure(self, path: str, form: str, *, debugging: bool) -> None:
        """Apply --log, --log-format and --debug. Raises CrecheError."""
        self.debugging = debugging
        if form not in FORMATS:
            raise CrecheError(f"invalid log-format: {form}")
        self._json = form == "json"
        if path and path != "/dev/stderr":
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
            try:
                self._fd = os.open(path, flags, 0o644)
            except OSError as error:
                raise CrecheError(f"open {path}: {strerror(error.errno or 0)}") from None

    @property
    def to_stderr(self) -> bool:
        """Whether lines go to stderr, that is, no --log was given."""
        return self._fd == 2

    def debug(self, text: str) -> None:
        """What the runtime is doing, in the order it does it; only with --debug."""
        if self.debugging:
            self._write("debug", text)

    def info(self, text: str) -> None:
        """Something worth knowing."""
        self._write("info", text)

    def warning(self, text: str) -> None:
        """Something that was ignored or did not work, and the command goes on."""
        self._write("warning", text)

    def error(self, text: str) -> None:
        """Why the command fails. With --log the bare message goes to stderr too."""
        self._write("error", text)
        if not self.to_stderr:
            put(2, text + "\n")

    def bare_error(self, text: str) -> None:
        """The same, but to stderr the bare message only, whether there is a --log or not."""
        if not self.to_stderr:
            self._write("error", text)
        put(2, text + "\n")

    def _write(self, level: str, text: str) -> None:
        caller = None
        if self.debugging and self._json:
            frame = sys._getframe(2)
            caller = (f"{frame.f_code.co_filename}:{frame.f_lineno}", frame.f_code.co_qualname)
        line = json_line(level, text, timestamp(), caller) if self._json else ""
        put(self._fd, line or text_line(level, text, timestamp()))


def put(fd: int, text: str) -> None:
    """Write as far as it goes: a full disk or a closed stderr changes nothing of a command."""
    try:
        write_all(fd, text)
    except OSError:
        return


def text_line(level: str, text: str, when: str) -> str:
    """logrus' text form. A message of plain characters only is not quoted."""
    message = text if text and all(char in _PLAIN for char in text) else quoted(text)
    return f'time="{when}" level={level} msg={message}\n'


def json_line(level: str, text: str, when: str, caller: tuple[str, str] | None = None) -> str:
    """logrus' JSON form: one compact object, keys sorted."""
    from _json import encode_basestring_ascii as encode

    where = f'"file":{encode(caller[0])},"func":{encode(caller[1])},' if caller else ""
    return f'{{{where}"level":"{level}","msg":{encode(text)},"time":"{when}"}}\n'


def timestamp() -> str:
    """Now, as RFC 3339 with the local offset (Z when that is none)."""
    now = time.localtime()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", now)
    offset = now.tm_gmtoff or 0
    if not offset:
        return stamp + "Z"
    hours, minutes = divmod(abs(offset) // 60, 60)
    return f"{stamp}{'-' if offset < 0 else '+'}{hours:02d}:{minutes:02d}"


def write_all(fd: int, text: str) -> None:
    """Write text to a descriptor, all of it. Raises OSError."""
    data = text.encode("utf-8", "surrogateescape")
    while data:
        data = data[os.write(fd, data) :]
