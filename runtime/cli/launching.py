"""What create, run and exec share: their flags and the rules for terminals."""

from __future__ import annotations

import os

from runtime.cli.options import FALSE_WORDS, TRUE_WORDS, Flag, parse_int
from runtime.errors import ConfigError, CrecheError, strerror

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from runtime.cli.call import Call
    from runtime.lifecycle.request import CreateRequest
    from runtime.spec.types import Spec

    T = TypeVar("T")

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


def cgroup_manager(call: Call) -> str:
    """Who is to make the cgroups, by runc's option or crun's. Raises CrecheError."""
    from runtime.lifecycle.cgroups import MANAGERS

    manager = call.options.text("cgroup-manager")
    if manager not in MANAGERS:
        expected = ", ".join(MANAGERS)
        raise CrecheError(f"invalid --cgroup-manager {manager!r}, expected one of: {expected}")
    return "systemd" if call.options.on("systemd-cgroup") else manager


def tolerates_missing_permission(call: Call) -> bool:
    """Whether cgroups that may not be made are left out: --rootless. Raises CrecheError.

    auto: for everybody but the host's root, as with runc.
    """
    given = call.options.text("rootless")
    if given in TRUE_WORDS or given in FALSE_WORDS:
        return given in TRUE_WORDS
    if given != "auto":
        raise CrecheError(f"invalid --rootless {given!r}, expected true, false or auto")
    from runtime.cgroups.setup import real_root

    return not real_root()


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


def stdio(preserved: int) -> list[int]:
    """The descriptors that become 0, 1, 2 and on inside; -1 for a standard one that is closed."""
    numbers = []
    for fd in range(3 + preserved):
        try:
            os.fstat(fd)
        except OSError as error:
            if fd >= 3:
                reason = strerror(error.errno or 0)
                raise CrecheError(
                    f"unable to stat preserved-fd {fd} (of {preserved}): {reason}"
                ) from None
            numbers.append(-1)
        else:
            numbers.append(fd)
    return numbers


def load_spec(call: Call, bundle: str) -> Spec:
    """The bundle's configuration, or the one that --config names. Raises ConfigError."""
    from runtime.spec import load_bundle

    other = call.flags.text("config")
    if not other:
        return load_bundle(bundle, call.log.warning)
    from runtime.spec import parse

    return read_document(other, lambda data: parse(data, call.log.warning))


def read_document(path: str, parse: Callable[[bytes], T]) -> T:
    """What parse makes of a file; "-" is standard input.

    Raises CrecheError; a ConfigError about the whole document names the file.
    """
    data = read_file(path)
    try:
        return parse(data)
    except ConfigError as error:
        if error.path:
            raise
        raise ConfigError("", f"{path}: {error.message}") from None


def read_file(path: str) -> bytes:
    """All of a file, or of a pipe such as /dev/fd/63; "-" is standard input. Raises CrecheError."""
    from runtime.spec import read_limited

    if path == "-":
        return read_limited(0, "standard input")

    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise CrecheError(f"open {path}: {strerror(error.errno or 0)}") from None
    try:
        return read_limited(fd, path)
    finally:
        os.close(fd)


def creation(call: Call, *, detach: bool) -> CreateRequest:
    """What the command line of create or run asks for, checked. Raises CrecheError."""
    from runtime.lifecycle.request import CreateRequest

    manager, tolerant = cgroup_manager(call), tolerates_missing_permission(call)
    bundle = bundle_directory(call)
    spec = load_spec(call, bundle)
    process = spec.get("process")
    socket = call.flags.text("console-socket")
    terminal = process is not None and process.get("terminal", False)
    check_terminal(call.program, terminal=terminal, detach=detach, socket=socket)
    listening = listen_fds()
    if listening and process is not None:
        # The program is the init of its namespace, or is told so (sd_listen_fds(3)).
        process["env"] = [*process.get("env", []), f"LISTEN_FDS={listening}", "LISTEN_PID=1"]
    notified = False
    if os.environ.get("NOTIFY_SOCKET"):
        from runtime.notify import pass_in

        notified = pass_in(spec, f"{call.root}/{call.id}")
    return CreateRequest(
        call.root,
        call.id,
        bundle,
        spec,
        call.log,
        stdio=stdio(preserved_fds(call)),
        console_socket=absolute(socket),
        pidfd_socket=absolute(call.flags.text("pidfd-socket")),
        pid_file=absolute(call.flags.text("pid-file")),
        no_pivot=call.flags.on("no-pivot"),
        no_new_keyring=call.flags.on("no-new-keyring"),
        notify=notified,
        tied=not detach,
        cgroups=manager,
        tolerant=tolerant,
    )
