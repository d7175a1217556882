"""systemd's manager over D-Bus: calls, and the end of a job by its signal.

Source: org.freedesktop.systemd1(5).
"""

from __future__ import annotations

import os
import socket

from runtime.errors import CrecheError, strerror
from runtime.linux.files import read_text

from . import library

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any


NAME = "org.freedesktop.systemd1"
PATH = "/org/freedesktop/systemd1"
MANAGER = NAME + ".Manager"
TIMEOUT = 30.0  # seconds; a manager that takes longer hangs

NO_SUCH_UNIT = NAME + ".NoSuchUnit"
UNIT_EXISTS = NAME + ".UnitExists"

_SYSTEM_BUS = "/run/dbus/system_bus_socket"


class BusError(CrecheError):
    """What systemd or the bus answered; name: the D-Bus name of the error."""

    def __init__(self, operation: str, name: str, text: str) -> None:
        super().__init__(f"systemd: {operation}: {text or name}")
        self.name = name


def needs_user_manager() -> bool:
    """Whether the system's manager would not listen to us: only the host's root is its master."""
    return os.geteuid() != 0 or host_uid() != 0


def host_uid() -> int:
    """Our user id as seen from outside a user namespace (`podman unshare` makes us root in one)."""
    own = os.geteuid()
    for line in read_text("/proc/self/uid_map").splitlines():
        inside, outside, count = (int(word) for word in line.split())
        if inside <= own < inside + count:
            return outside + own - inside
    return own


class Manager:
    """A connection to the system's manager, or to that of the calling user. Close it."""

    def __init__(self, user: bool) -> None:
        """Raises CrecheError if there is no systemd or no bus, naming the remedy."""
        if not user and not os.path.isdir("/run/systemd/system"):
            raise CrecheError(
                "--systemd-cgroup: systemd does not run this machine (no /run/systemd/system); "
                "leave the option out to have cgroups made directly"
            )
        self._blocking: ModuleType = library.load()
        import jeepney

        self._jeepney: ModuleType = jeepney
        self._subscribed = False
        self._address = jeepney.DBusAddress(PATH, bus_name=NAME, interface=MANAGER)
        self._connection = self._connect(_user_bus() if user else _system_bus(), user)

    def _connect(self, path: str, user: bool) -> Any:
        remedy = (
            "log in, or keep the user's manager running: loginctl enable-linger"
            if user
            else "install and start dbus, or leave --systemd-cgroup out"
        )
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.settimeout(TIMEOUT)
            sock.connect(path)
            _authenticate(sock)
            sock.settimeout(None)
            return self._blocking.DBusConnection(sock)
        except OSError as error:
            sock.close()
            reason = strerror(error.errno) if error.errno else str(error)
            raise CrecheError(
                f"--systemd-cgroup: connect to D-Bus at {path}: {reason} ({remedy})"
            ) from None
        except BaseException:
            sock.close()
            raise

    def close(self) -> None:
        self._connection.close()

    def call(self, method: str, signature: str = "", body: tuple[Any, ...] = ()) -> tuple[Any, ...]:
        """Call a method of the manager; its answer. Raises BusError, CrecheError."""
        message = self._jeepney.new_method_call(
            self._address, method, signature or None, body if signature else ()
        )
        return self._ask(method, message)

    def _ask(self, operation: str, message: Any) -> tuple[Any, ...]:
        try:
            reply = self._connection.send_and_get_reply(message, timeout=TIMEOUT)
        except TimeoutError:
            raise CrecheError(f"systemd: {operation}: no answer in {TIMEOUT:g} seconds") from None
        except OSError as error:
            raise CrecheError(f"systemd: {operation}: {strerror(error.errno or 0)}") from None
        if reply.header.message_type is self._jeepney.MessageType.error:
            name = reply.header.fields.get(self._jeepney.HeaderFields.error_name, "")
            raise BusError(operation, str(name), str(reply.body[0]) if reply.body else "")
        body: tuple[Any, ...] = reply.body
        return body

    def property(self, name: str) -> Any:
        """A property of the manager."""
        message = self._jeepney.Properties(self._address).get(name)
        return self._ask(f"property {name}", message)[0][1]

    def version(self) -> int:
        """Such as 252."""
        digits = ""
        for char in str(self.property("Version")).removeprefix("systemd "):
            if not char.isdigit():
                break
            digits += char
        return int(digits or "0")

    def run_job(self, method: str, signature: str, body: tuple[Any, ...]) -> None:
        """Call a method that answers with a job, and wait until systemd says that it is through.

        Raises CrecheError with the job's result if that is not "done".
        """
        rule = self._jeepney.MatchRule(
            type="signal", interface=MANAGER, member="JobRemoved", path=PATH
        )
        bus = self._blocking.Proxy(self._jeepney.message_bus, self._connection, timeout=TIMEOUT)
        from collections import deque

        removed: deque[Any] = deque()
        with self._connection.filter(rule, queue=removed):
            try:
                # The one who asks for a job is told of its end; so is who subscribes.
                bus.AddMatch(rule)
            except (OSError, self._jeepney.DBusErrorResponse) as error:
                raise CrecheError(f"systemd: {method}: watch for jobs: {error}") from None
            if not self._subscribed:
                self.call("Subscribe")
                self._subscribed = True
            (job,) = self.call(method, signature, body)
            try:
                while True:
                    signal = self._connection.recv_until_filtered(removed, timeout=TIMEOUT)
                    _number, path, unit, result = signal.body
                    if path == job:
                        break
            except TimeoutError:
                raise CrecheError(
                    f"systemd: {method}: job not done in {TIMEOUT:g} seconds"
                ) from None
        if result != "done":
            raise CrecheError(f"systemd: {method}: unit {unit}: job ended with {result!r}")


def _authenticate(sock: socket.socket) -> None:
    """SASL EXTERNAL with the user id that the bus sees, which is the one outside a user namespace.

    jeepney would name the one inside.
    """
    sock.sendall(b"\0AUTH EXTERNAL " + str(host_uid()).encode().hex().encode() + b"\r\n")
    answer = b""
    while not answer.endswith(b"\r\n"):
        part = sock.recv(256)
        if not part or len(answer) > 4096:
            raise ConnectionError("the bus hung up")
        answer += part
    if not answer.startswith(b"OK "):
        raise ConnectionError(f"the bus refused us: {answer.decode('ascii', 'replace').strip()}")
    sock.sendall(b"BEGIN\r\n")


def _system_bus() -> str:
    return _path(os.environ.get("DBUS_SYSTEM_BUS_ADDRESS", ""), _SYSTEM_BUS)


def _user_bus() -> str:
    directory = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{host_uid()}"
    return _path(os.environ.get("DBUS_SESSION_BUS_ADDRESS", ""), f"{directory}/bus")


def _path(address: str, default: str) -> str:
    """The socket of a D-Bus address (`unix:path=/x,guid=...`); of several, the first such."""
    for entry in address.split(";"):
        transport, _, rest = entry.partition(":")
        for pair in rest.split(","):
            name, _, value = pair.partition("=")
            if transport == "unix" and name == "path" and value.startswith("/"):
                return value
            if transport == "unix" and name == "abstract" and value:
                return "\0" + value
    return default
