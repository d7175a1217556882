"""What checkpoint and restore share on the command line."""

from __future__ import annotations

from runtime.cli.launching import absolute
from runtime.cli.options import Flag, parse_int
from runtime.errors import CrecheError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli.call import Call
    from runtime.criu.order import Order

IMAGES = Flag(
    "image-path", "directory of the images (default: checkpoint, in the current one)", "string"
)
COMMON_FLAGS = (
    IMAGES,
    Flag("work-path", "directory for logs and temporary files (default: the images')", "string"),
    Flag("tcp-established", "allow established TCP connections"),
    Flag("ext-unix-sk", "allow connections to Unix sockets outside"),
    Flag("shell-job", "allow a program that shares its session with a shell"),
    Flag("file-locks", "allow file locks"),
    Flag("lazy-pages", "transfer memory when it is used (userfaultfd)"),
    Flag("manage-cgroups-mode", "cgroups: soft (default), full, strict or ignore", "string"),
    Flag("empty-ns", "make a namespace, but not what is in it: network", "list"),
    Flag("auto-dedup", "remove from the images what is in memory already"),
)

# Flag -> option of CRIU.
_OPTIONS = {
    "tcp-established": "tcp_established",
    "tcp-skip-in-flight": "tcp_skip_in_flight",
    "link-remap": "link_remap",
    "ext-unix-sk": "ext_unix_sk",
    "shell-job": "shell_job",
    "file-locks": "file_locks",
    "lazy-pages": "lazy_pages",
    "auto-dedup": "auto_dedup",
}


def order_of(call: Call, known: frozenset[str]) -> Order:
    """The common flags, checked. known: names of the command's flags. Raises CrecheError."""
    from runtime.criu.messages import CGROUP_MODES
    from runtime.criu.order import Order
    from runtime.linux.namespaces import CLONE_NEWNET

    flags = call.flags
    order = Order(
        absolute(flags.text("image-path") or "checkpoint"), absolute(flags.text("work-path"))
    )
    order.flags = {
        option: True for name, option in _OPTIONS.items() if name in known and flags.on(name)
    }
    mode = flags.text("manage-cgroups-mode")
    if mode not in CGROUP_MODES:
        raise CrecheError(
            f"invalid manage-cgroups-mode value: {mode!r}, expected soft, full, strict or ignore"
        )
    order.cgroups = CGROUP_MODES[mode]
    for kind in flags.many("empty-ns"):
        if kind != "network":
            raise CrecheError(f"invalid --empty-ns {kind!r}: only network is possible")
        order.empty_ns |= CLONE_NEWNET
    return order


def page_server(text: str) -> tuple[str, int] | None:
    """ADDRESS:PORT of --page-server, or None for "". Raises CrecheError."""
    if not text:
        return None
    address, _, port = text.rpartition(":")
    number = parse_int(port)
    if not address or number is None or not 0 < number < 65536:
        raise CrecheError(f"invalid --page-server {text!r}, expected ADDRESS:PORT")
    return address.strip("[]"), number
