"""creche-network: networks for a bundle (`up`, `down`, `show`), and a hook for any OCI runtime."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from runtime import VERSION
from runtime.errors import CrecheError
from runtime.jsonio import loads
from supervisor.control.schema import plain
from supervisor.engine import DEFAULT_ROOT
from supervisor.network.alone import bundle as bundles
from supervisor.network.alone.annotation import KEY, attachments
from supervisor.network.alone.store import Alone
from supervisor.network.errors import NetworkError
from supervisor.settings import DEFAULT, read_settings
from supervisor.workload.errors import WorkloadError

_LARGEST = 16 << 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        if os.geteuid() != 0:
            raise NetworkError("must be run as root: it makes links and network namespaces")
        {"up": _up, "down": _down, "show": _show, "hook": _hook}[options.command](options)
    except (CrecheError, WorkloadError) as error:
        _tell(str(error))
        return 1
    except OSError as error:
        _tell(f"{error.filename or 'system call'}: {os.strerror(error.errno or 0)}")
        return 1
    return 0


def _alone(options: argparse.Namespace, declared: bool = True) -> Alone:
    """What is there. To remove something creched.toml is not needed, and may be of no use."""
    networks = read_settings(options.config).networks if declared else {}
    return Alone(os.path.abspath(options.root), networks, _tell)


def _up(options: argparse.Namespace) -> None:
    """A namespace with networks, which config.json names from then on."""
    alone = _alone(options)
    wanted = attachments(bundles.read(options.bundle).get("annotations", {}))
    if not wanted:
        raise NetworkError(f"{options.bundle}/config.json asks for no network: annotations.{KEY}")
    name = bundles.name_of(options.bundle)
    for line in alone.up(name, wanted):
        print(line)
    bundles.join(options.bundle, alone.path(name))


def _down(options: argparse.Namespace) -> None:
    """config.json first: nothing is to start in what is just going away."""
    alone = _alone(options, declared=False)
    name = bundles.name_of(options.bundle)
    bundles.leave(options.bundle, alone.path(name))
    alone.down(name)


def _show(options: argparse.Namespace) -> None:
    from supervisor.ctl.net import tables

    found = plain(_alone(options).view())
    if options.bundle is not None:
        name = bundles.name_of(options.bundle)
        found["interfaces"] = [i for i in found["interfaces"] if i["workload"] == name]
        found["leases"] = [lease for lease in found["leases"] if lease["workload"] == name]
        used = {each["network"] for each in found["interfaces"]}
        found["networks"] = [each for each in found["networks"] if each["name"] in used]
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        tables(found)


def _hook(options: argparse.Namespace) -> None:
    """Called by a runtime, with the container's state on standard input (runtime.md)."""
    state: Any = loads(sys.stdin.buffer.read(_LARGEST).decode("utf-8", "surrogateescape"))
    try:
        name = _container(str(state["id"]))
        if state["status"] == "stopped":
            _alone(options, declared=False).ended(name)
            return
        wanted = attachments(state.get("annotations") or {})
        pid = int(state["pid"])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise NetworkError("standard input: expected the state of a container") from None
    if wanted:
        _alone(options).up(name, wanted, pid)


def _container(identity: str) -> str:
    """What a container's networks are called by: a name of its own among files, however long."""
    good = identity.isascii() and len(identity) <= 200 and "/" not in identity
    if good and identity.isprintable() and identity[:1].isalnum():
        return f"c-{identity}"
    return bundles.name_of(f"/{identity!a}")


def _tell(text: str) -> None:
    print(f"creche-network: {text}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="creche-network",
        description="Networks of creched.toml for containers without creched: what the annotation "
        f"{KEY} of a config.json asks for.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--root",
        metavar="DIR",
        default=DEFAULT_ROOT,
        help="where it is kept what was made (default: %(default)s)",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help=f"where networks are declared (default: {DEFAULT}, if it is there)",
    )
    parser.add_argument("--version", action="version", version=f"creche-network {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, meaning in (
        ("up", "make them, and name their namespace in the bundle's config.json"),
        ("down", "remove them, and what `up` wrote into config.json"),
        ("show", "show them, of all containers or of one bundle"),
    ):
        one = commands.add_parser(name, help=meaning, description=meaning, allow_abbrev=False)
        one.add_argument("bundle", metavar="BUNDLE", nargs="?" if name == "show" else None)
        if name == "show":
            one.add_argument("--json", action="store_true", help="print JSON")
    commands.add_parser("hook", help="be a hook: createRuntime makes them, poststop removes them")
    return parser


if __name__ == "__main__":
    sys.exit(main())
