"""Which workload has which address of a network: the same one as long as the workload is declared.

Addresses are given out in order, the lowest that is free. Who has one keeps it over restarts of
the workload, of creched and of the machine: each is written down before it is used.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from supervisor.network.errors import NetworkError
from supervisor.network.model import Address, Attachment, Network, Subnet
from supervisor.network.settings import usable
from supervisor.store.files import Documents


@dataclass(frozen=True, slots=True)
class Lease:
    """A workload's addresses on one network, in the order of its subnets; whether each is fixed."""

    addresses: tuple[Address, ...]
    fixed: tuple[bool, ...]


@dataclass(slots=True)
class Leases:
    """By workload, then network. `documents` None: nothing is written down."""

    documents: Documents | None = None
    held: dict[str, dict[str, Lease]] = field(default_factory=dict)

    def load(self) -> None:
        """What earlier creched gave out; what cannot be read is set aside. Raises OSError."""
        if self.documents is None:
            return
        for name in list(self.documents.names()):
            document = self.documents.load(name)
            if document is None:
                continue
            try:
                self.held[name] = {str(net): _read(found) for net, found in document.items()}
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                self.documents.set_aside(name, f"it holds no leases: {error}")

    def give(
        self,
        workload: str,
        wanted: Iterable[tuple[Attachment, Network]],
        active: Iterable[str] = (),
    ) -> dict[str, Lease]:
        """The workload's leases, by network; those it has no more are given up.

        An address that is fixed for it and another has by chance is taken away from that one,
        unless it is `active`. Raises NetworkError, OSError; then nothing has changed.
        """
        others = {name: held for name, held in self.held.items() if name != workload}
        before = self.held.get(workload, {})
        busy = set(active)
        made: dict[str, Lease] = {}
        robbed: dict[str, dict[str, Lease]] = {}
        for attachment, network in wanted:
            taken = {
                address: (name, fixed)
                for name, held in others.items()
                if network.name in held
                for address, fixed in zip(*_pair(held[network.name]), strict=True)
            }
            lease, from_whom = _lease(attachment, network, before.get(network.name), taken, busy)
            made[network.name] = lease
            for name in from_whom:
                left = dict(robbed.get(name, others[name]))
                del left[network.name]
                robbed[name] = left
        for name, left in robbed.items():
            self._keep(name, left)
        if made != before:
            self._keep(workload, made)
        return made

    def forget(self, workload: str) -> None:
        """It is not declared any more. Raises OSError."""
        if self.held.pop(workload, None) is not None and self.documents is not None:
            self.documents.remove(workload)

    def _keep(self, workload: str, leases: dict[str, Lease]) -> None:
        if self.documents is not None:
            os.makedirs(self.documents.directory, 0o700, exist_ok=True)
            self.documents.save(workload, {name: _written(lease) for name, lease in leases.items()})
        self.held[workload] = leases


def _pair(lease: Lease) -> tuple[tuple[Address, ...], tuple[bool, ...]]:
    return lease.addresses, lease.fixed


def _lease(
    attachment: Attachment,
    network: Network,
    before: Lease | None,
    taken: Mapping[Address, tuple[str, bool]],
    active: set[str],
) -> tuple[Lease, set[str]]:
    """One workload's on one network, and from whom it has been taken."""
    if (wrong := misfit(attachment, network)) is not None:
        raise NetworkError(f"network.{wrong[0]}: {wrong[1]}")
    addresses: list[Address] = []
    fixed: list[bool] = []
    robbed: set[str] = set()
    for subnet in network.subnets:
        asked = attachment.address if subnet.version == 4 else attachment.address6
        gateway = network.gateway if subnet.version == 4 else network.gateway6
        key = "address" if subnet.version == 4 else "address6"
        if asked is not None:
            wanted = ip_address(str(asked))
            owner, is_fixed = taken.get(wanted, ("", False))
            if owner and (is_fixed or owner in active):
                raise NetworkError(f"network.{key}: {wanted} is that of workload {owner}")
            robbed |= {owner} - {""}
            addresses.append(wanted)
        else:
            has = next((a for a in before.addresses if a in subnet), None) if before else None
            stays = has is not None and has not in taken and has != gateway
            addresses.append(
                has if stays and has is not None else _free(subnet, gateway, taken, network)
            )
        fixed.append(asked is not None)
    return Lease(tuple(addresses), tuple(fixed)), robbed


def misfit(attachment: Attachment, network: Network) -> tuple[str, str] | None:
    """The key of an address that cannot be one of `network`, and why."""
    for key, asked, subnet, gateway in (
        ("address", attachment.address, network.subnet, network.gateway),
        ("address6", attachment.address6, network.subnet6, network.gateway6),
    ):
        if asked is None:
            continue
        wanted = ip_address(str(asked))
        if subnet is None:
            family = "subnet" if key == "address" else "subnet6"
            return key, f"network {network.name} has no {family}"
        if not usable(subnet, wanted):
            return key, (
                f"{wanted} is no address of a host in {subnet}, the subnet of network "
                f"{network.name}"
            )
        if wanted == gateway:
            return key, f"{wanted} is the gateway of network {network.name}"
    return None


def _free(
    subnet: Subnet, gateway: Address | None, taken: Mapping[Address, object], network: Network
) -> Address:
    """The lowest that nobody has."""
    for index in range(1, min(subnet.num_addresses, len(taken) + 4)):
        address = subnet[index]
        if address != gateway and address not in taken and usable(subnet, address):
            return address
    raise NetworkError(
        f"network.name: every address of {subnet}, the subnet of network {network.name}, is given "
        "out; choose a larger one"
    )


def _written(lease: Lease) -> dict[str, Any]:
    return {"addresses": [str(a) for a in lease.addresses], "fixed": list(lease.fixed)}


def _read(document: Any) -> Lease:
    addresses = tuple(ip_address(str(each)) for each in document["addresses"])
    fixed = tuple(bool(each) for each in document["fixed"])
    if len(addresses) != len(fixed):
        raise ValueError("addresses and fixed differ in number")
    return Lease(addresses, fixed)
