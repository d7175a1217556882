"""What another creched.toml means for its networks, and who is on them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from supervisor.network.leases import misfit
from supervisor.network.model import Attachment, Network
from supervisor.network.settings import NETWORK, conflicts
from supervisor.workload.diff import Effect, KeyChange

Attached = Mapping[str, Sequence[Attachment]]
"""Workloads that are attached now, with the attachments that are declared for them."""


class NetworkAction(StrEnum):
    """What is done about one network."""

    ADD = "add"
    REMOVE = "remove"
    APPLY = "apply"  # to what runs
    RESTART = "restart"  # those on it
    REFUSE = "refuse"  # it stays as it was


@dataclass(frozen=True, slots=True)
class NetworkStep:
    """One network. `restarts`: the workloads that are restarted for it. `reason`: of a refusal."""

    network: str
    action: NetworkAction
    keys: tuple[KeyChange, ...] = ()
    restarts: tuple[str, ...] = ()
    reason: str = ""

    def to_json(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "network": self.network,
            "action": self.action.value,
            "keys": [key.to_json() for key in self.keys],
            "restarts": list(self.restarts),
            "reason": self.reason or None,
        }


def decide(
    old: Mapping[str, Network], new: Mapping[str, Network], attached: Attached
) -> tuple[NetworkStep, ...]:
    """A step for each network that is another one, by name."""
    users = _users(attached)
    refused = {}
    for name in old.keys() | new.keys():
        reason = _refusal(old.get(name), new.get(name), users.get(name, {}))
        if reason:
            refused[name] = reason
    _spread(refused, old, new)
    return tuple(
        step
        for name in sorted(old.keys() | new.keys())
        if (step := _step(name, old.get(name), new.get(name), users.get(name, {}), refused))
    )


def outcome(
    old: Mapping[str, Network], new: Mapping[str, Network], steps: Sequence[NetworkStep]
) -> dict[str, Network]:
    """The networks that there are once the steps are taken."""
    refused = {step.network for step in steps if step.action is NetworkAction.REFUSE}
    found = {name: network for name, network in new.items() if name not in refused}
    return found | {name: old[name] for name in refused if name in old}


def _users(attached: Attached) -> dict[str, dict[str, Attachment]]:
    """By network and workload."""
    found: dict[str, dict[str, Attachment]] = {}
    for workload in sorted(attached):
        for attachment in attached[workload]:
            if attachment.name is not None:
                found.setdefault(attachment.name, {})[workload] = attachment
    return found


def _refusal(
    old: Network | None, new: Network | None, users: Mapping[str, Attachment]
) -> str | None:
    """Why it has to stay as it is: who is on it cannot go along, not by a restart either."""
    if old is None or not users or old == new:
        return None
    names = ", ".join(users)
    if new is None:
        return f"cannot be removed: {names} would be without; stop them, or have them leave it"
    if new.bridge != old.bridge:
        return f"bridge cannot be another one while {names} are on it; stop them first"
    for workload, attachment in users.items():
        wrong = misfit(attachment, new)
        if wrong is not None:
            return f"does not fit {workload}, which is on it: network.{wrong[0]}: {wrong[1]}"
    return None


def _spread(
    refused: dict[str, str], old: Mapping[str, Network], new: Mapping[str, Network]
) -> None:
    """Refuse, too, what is in the way of a network that stays as it was."""
    while True:
        staying = [old[name] for name in refused if name in old]
        found = {
            name: f"{why}, which stays as it was"
            for name, network in new.items()
            if name not in refused
            for other in staying
            for why in conflicts(other, network)
        }
        if not found:
            return
        refused |= found


def _step(
    name: str,
    old: Network | None,
    new: Network | None,
    users: Mapping[str, Attachment],
    refused: Mapping[str, str],
) -> NetworkStep | None:
    if old == new:
        return None
    keys = () if old is None or new is None else tuple(_keys(old, new))
    if name in refused:
        return NetworkStep(name, NetworkAction.REFUSE, keys, reason=refused[name])
    if old is None:
        return NetworkStep(name, NetworkAction.ADD)
    if new is None:
        return NetworkStep(name, NetworkAction.REMOVE)
    if users and any(key.effect is Effect.RESTART for key in keys):
        return NetworkStep(name, NetworkAction.RESTART, keys, tuple(users))
    return NetworkStep(name, NetworkAction.APPLY, keys)


def _keys(old: Network, new: Network) -> Iterator[KeyChange]:
    for field in NETWORK.fields:
        was, now = getattr(old, field.key), getattr(new, field.key)
        if was != now:
            effect = Effect.APPLY if field.live else Effect.RESTART
            yield KeyChange(f"networks.{new.name}.{field.key}", effect, _text(was), _text(now))


def _text(value: object) -> str | None:
    return str(value).lower() if isinstance(value, bool) else None if value is None else str(value)
