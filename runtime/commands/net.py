"""creche net up|down|show: networks of creched.toml for a bundle, without creched.

Networks are the supervisor's matter; this hands over to its program, which is a process of its own.
"""

from __future__ import annotations

import os
import sys

from runtime.cli.options import Command, Flag
from runtime.errors import CrecheError, strerror

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from runtime.cli.call import Call

PROGRAM = "creche-network"
REMEDY = "install the package creche with its dependencies (pip install creche)"

COMMAND = Command(
    "net",
    "make, remove and show the networks that a bundle asks for",
    args="up|down|show [bundle]",
    arity=(1, 2),
    flags=(
        Flag("config", "where networks are declared: creched.toml", "string"),
        Flag("json", "show: print JSON"),
    ),
    about="""\
   A bundle asks for them by the annotation org.creche.network of its config.json: the name of
   a network of creched.toml, or as JSON what [network] of a workload.toml may hold. "up" makes
   them and a network namespace, and names that in config.json; "down" takes all of it back.

       # {name} net up /containers/memcached
       # {name} run -b /containers/memcached -d mycontainer
       # {name} net down /containers/memcached""",
)


def run(call: Call) -> int:
    """Become the program. Raises CrecheError."""
    word, *bundle = call.args
    if word not in ("up", "down", "show"):
        raise CrecheError(f"expected up, down or show, found {word!r}")
    if not bundle and word != "show":
        raise CrecheError(f"net {word} needs the directory of a bundle")
    words = ["--root", call.root]
    if call.flags.text("config"):
        words += ["--config", call.flags.text("config")]
    words += [word, *(["--json"] if call.flags.on("json") else []), "--", *bundle]
    become(words)


def become(words: list[str]) -> NoReturn:
    """Execute the program with these words. Raises CrecheError."""
    looked = places()
    for place in looked:
        program = f"{place}/{PROGRAM}"
        if os.access(program, os.X_OK):
            try:
                os.execv(program, [program, *words])  # noqa: S606
            except OSError as error:
                raise CrecheError(f"execute {program}: {strerror(error.errno or 0)}") from None
    raise CrecheError(f"{PROGRAM} is not there: {REMEDY}. Looked in: {', '.join(looked)}")


def places() -> list[str]:
    """Where programs of this installation are: beside the package, the checkout's, the system's."""
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    found = [f"{package}/.venv/bin"]
    prefix, lib, _ = package.rpartition("/lib/")  # PREFIX/lib/python3.11/site-packages
    if lib:
        found.append(f"{prefix}/bin")
    return list(dict.fromkeys([*found, f"{sys.prefix}/bin", "/usr/local/bin", "/usr/bin"]))
