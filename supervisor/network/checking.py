"""What is wrong between workloads and networks, found without making any: `crechectl check`."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence

from supervisor.network.leases import misfit
from supervisor.network.model import Address, Attachment, Mode, Network
from supervisor.workload.errors import Problem, WorkloadError
from supervisor.workload.files import open_directory
from supervisor.workload.layers import Merged, read_layer
from supervisor.workload.lines import Path
from supervisor.workload.model import Workload
from supervisor.workload.parse import written
from supervisor.workload.source import SETTINGS, read_source


def check(workloads: Sequence[Workload], networks: Mapping[str, Network]) -> Iterator[Problem]:
    """Mistakes of workloads, as creched would find them at their start; by workload."""
    taken: dict[tuple[str, Address], str] = {}
    for workload in sorted(workloads, key=lambda each: each.name):
        for index, attachment in enumerate(workload.settings.network):
            for key, message in _mistakes(workload.name, attachment, networks, taken):
                yield _placed(workload, index, key, message)
            for key, message in _shared(attachment, workloads):
                yield _placed(workload, index, key, message)


def _mistakes(
    name: str,
    attachment: Attachment,
    networks: Mapping[str, Network],
    taken: dict[tuple[str, Address], str],
) -> Iterator[tuple[str, str]]:
    if attachment.name is None:
        return
    network = networks.get(attachment.name)
    if network is None:
        close = difflib.get_close_matches(attachment.name, networks, 1, 0.6)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(networks) or 'none'}"
        yield "name", f"there is no network {attachment.name}; {hint}"
        return
    if (wrong := misfit(attachment, network)) is not None:
        yield wrong
    if attachment.mtu is not None and attachment.mtu > network.mtu:
        yield "mtu", f"{attachment.mtu} is more than the {network.mtu} of {network.name}"
    for key, address in (("address", attachment.address), ("address6", attachment.address6)):
        if address is None:
            continue
        other = taken.setdefault((network.name, address), name)
        if other != name:
            yield key, f"{address} is that of workload {other}"


def _shared(attachment: Attachment, workloads: Sequence[Workload]) -> Iterator[tuple[str, str]]:
    owner = attachment.workload
    if owner is None:
        return
    other = next((each for each in workloads if each.name == owner), None)
    if other is None:
        close = difflib.get_close_matches(owner, [each.name for each in workloads], 1, 0.6)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        yield "workload", f"there is no workload {owner} that is in order{hint}"
    elif not other.settings.network or other.settings.network[0].mode in (
        Mode.HOST,
        Mode.NAMESPACE,
    ):
        yield "workload", f"{owner} has no network namespace to share"


def _placed(workload: Workload, index: int, key: str, message: str) -> Problem:
    """With file and line, where its files can still be read."""
    file, path = f"{workload.directory}/{SETTINGS}", _path(None, index, key)
    try:
        fd = open_directory(workload.directory, workload.directory)
        try:
            source = read_source(fd, workload.directory)
        finally:
            os.close(fd)
        layers = [
            read_layer(data, f"{workload.directory}/{name}")
            for name, data in source.files()
            if name.endswith(".toml")
        ]
        merged = Merged(layers)
        path = _path(merged.document.get("network"), index, key)
        file, line = merged.place(path)
    except (OSError, WorkloadError):
        line = None
    return Problem(file, written(path), message, line)


def _path(network: object, index: int, key: str) -> Path:
    return ("network", index, key) if isinstance(network, list) else ("network", key)
