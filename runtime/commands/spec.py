"""creche spec: write a config.json to start from."""

from __future__ import annotations

import os

from runtime.cli.call import KNOWN_NAMES
from runtime.cli.log import write_all
from runtime.cli.options import Command, Flag
from runtime.errors import CrecheError, strerror

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli.call import Call

ABOUT = """\
   Writes config.json into the bundle: a shell on a terminal, with few capabilities and
   a read-only root. It is meant to be edited, for example

       # sed -i 's;"sh";"/hello";' config.json

   It is never overwritten: remove it first."""

COMMAND = Command(
    "spec",
    "write a configuration to start from",
    args="",
    arity=(0, 0),
    flags=(
        Flag("bundle, b", "the bundle's directory (default: the current directory)", "string"),
        Flag("rootless", "for a user without root's rights: a user namespace, no cgroups"),
    ),
    about=ABOUT,
)


def run(call: Call) -> int:
    """Write config.json unless it exists."""
    from runtime.spec.default import default_spec, render

    bundle = call.flags.text("bundle")
    path = os.path.join(bundle, "config.json") if bundle else "config.json"
    document = default_spec(
        hostname=call.program if call.program in KNOWN_NAMES else "creche",
        # The one tree of cgroup v2: only there the namespace hides the host's cgroups.
        cgroup_namespace=os.path.exists("/sys/fs/cgroup/cgroup.controllers"),
        rootless=call.flags.on("rootless"),
        uid=os.geteuid(),
        gid=os.getegid(),
    )
    text = render(document)
    try:
        # O_EXCL: also refuses a dangling link, and nobody can slip in a file in between.
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        raise CrecheError(f"File {path} exists. Remove it first") from None
    except OSError as error:
        raise CrecheError(f"open {path}: {strerror(error.errno or 0)}") from None
    try:
        write_all(fd, text)
    except OSError as error:
        raise CrecheError(f"write {path}: {strerror(error.errno or 0)}") from None
    finally:
        os.close(fd)
    return 0
