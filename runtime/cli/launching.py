"""What create, run and exec share: their flags and the rules for terminals."""

from __future__ import annotations

import os

from runtime.cli.options import Flag, parse_int
from runtime.errors import CrecheError, strerror

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli.call import Call

BUNDLE = Flag("bundle, b", "the bundle's directory (default: the current directory)", "string")
CONSOLE_SOCKET = Flag(
    "console-socket", "Unix socket that is sent the master of the container's terminal", "string"
)
PIDFD_SOCKET = Flag("pidfd-socket", "Unix socket that is sent a pidfd of the process", "string")
PID_FILE = Flag("pid-file", "write the process id to this file", "string")
PRESERVE_FDS = Flag(
    "preserve-fds", "hand on this many descriptors after stdin, stdout and stderr", "int"
)
DETACH = Flag("detach, d", "return as soon as the process runs")

CREATE_FLAGS = (
    BUNDLE,
    # crun's: the configuration under another name.
    Flag("config", "file to read in place of the bundle's config.json", "string", hidden=True),
    CONSOLE_SOCKET,
    PIDFD_SOCKET,
    PID_FILE,
    Flag("no-pivot", "move the root mount in place of pivot_root(2), for a rootfs on a ramdisk"),
    Flag("no-new-keyring", "stay in the caller's session keyring"),
    PRESERVE_FDS,
)

ABOUT_ID = """\
   <container-id> names the new container: letters, digits and _ + - . only. No other
   container under the same --root may have it."""


def refuse_unsupported(call: Call) -> None:
    """Fail for what the command line may ask and this version cannot do."""
    if call.options.on("systemd-cgroup"):
        raise CrecheError(
            "not yet supported: --systemd-cgroup; leave it out to have cgroups made directly"
        )
    manager = call.options.text("cgroup-manager")
    if manager != "cgroupfs":
        raise CrecheError(f"not yet supported: --cgroup-manager {manager}; use cgroupfs")


def bundle_directory(call: Call) -> str:
    """The absolute path of the bundle. Raises CrecheError if it is no directory we may enter."""
    given = call.flags.text("bundle") or "."
    try:
        # Entered and resolved by the kernel: ".." behind a symbolic link means what it means.
        here = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.chdir(given)
            return os.getcwd()
        finally:
            os.fchdir(here)
            os.close(here)
    except OSError as error:
        raise CrecheError(f"chdir {given}: {strerror(error.errno or 0)}") from None


def check_terminal(program: str, *, terminal: bool, detach: bool, socket: str) -> None:
    """Refuse a terminal that nobody would hold, and a socket that nothing would be sent to."""
    if terminal and detach and not socket:
        raise CrecheError(
            f"cannot allocate tty if {program} will detach without setting console socket"
        )
    if socket and not (terminal and detach):
        raise CrecheError(f"cannot use console socket if {program} will not detach or allocate tty")


def preserved_fds(call: Call) -> int:
    """How many descriptors from 3 on to hand over: --preserve-fds and those of LISTEN_FDS.

    Socket activation (sd_listen_fds(3)) is meant for us only if LISTEN_PID says so, or, as runc
    has it, if it is not set.
    """
    count = call.flags.number("preserve-fds")
    if count < 0:
        raise CrecheError(f"--preserve-fds must not be negative, got {count}")
    return count + listen_fds()


def listen_fds() -> int:
    """The number of sockets passed to this process by socket activation."""
    environ = os.environ
    number = parse_int(environ.get("LISTEN_FDS", ""))
    owner = environ.get("LISTEN_PID", "")
    if number is None or not 0 < number < 1024 or owner not in {"", str(os.getpid())}:
        return 0
    return number


def absolute(path: str) -> str:
    """A path of the command line, which is relative to the caller's directory; "" stays."""
    return os.path.abspath(path) if path else ""


def creation(call: Call, *, detach: bool) -> CreateRequest:
    raise NotImplementedError
