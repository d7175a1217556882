"""What can go wrong, as few classes as callers need to tell apart.

A message is lower-case, has no full stop, and says what was attempted, on which path, and which
key of the configuration asked for it.
"""

import os


class CrecheError(Exception):
    """Base of every error that a command reports as one line and exit status 1."""


class ConfigError(CrecheError):
    """The configuration cannot be used.

    path: where in the document, as a JSON path (`process.args[0]`, `mounts[3].source`); "" is the
    whole document.
    """

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path
        self.message = message


class StateError(CrecheError):
    """The container is not in a state in which the request makes sense (runc's wording)."""


class NoSuchContainer(StateError):
    """No container has this id under this root."""

    def __init__(self) -> None:
        super().__init__("container does not exist")


class KernelError(CrecheError):
    """A system call failed.

    op: the call or what it was for; subject: the path or object; number: errno;
    key: the configuration's JSON path that asked for it, "" if none did; hint: a remedy or "".
    """

    def __init__(self, op: str, subject: str, number: int, key: str = "", hint: str = "") -> None:
        text = f"{op} {subject}" if subject else op
        text = f"{key}: {text}" if key else text
        super().__init__(f"{text}: {strerror(number)}" + (f" ({hint})" if hint else ""))
        self.op = op
        self.subject = subject
        self.number = number
        self.key = key
        self.hint = hint


class InitError(CrecheError):
    """The container's init reported this failure before it could execute the program.

    message: complete; number: errno or 0; kind: "" or a word a caller decides on ("exec").
    """

    def __init__(self, message: str, number: int = 0, kind: str = "") -> None:
        super().__init__(message)
        self.number = number
        self.kind = kind


def strerror(number: int) -> str:
    """The C library's text for an errno, with Go's lower-case first letter as runc prints it."""
    text = os.strerror(number)
    return text[:1].lower() + text[1:]
