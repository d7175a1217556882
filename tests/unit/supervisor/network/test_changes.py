"""What another creched.toml means: decided without a kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.network.accepted import FILE, Accepted
from supervisor.network.changes import NetworkStep, decide, outcome
from supervisor.network.model import Attachment, Network
from supervisor.settings import parse
from supervisor.workload.parse import parse_settings

A = '[networks.a]\nbridge = "a0"\nsubnet = "10.0.0.0/24"\n'
B = '[networks.b]\nsubnet = "10.1.0.0/24"\n'


def networks(text: str) -> dict[str, Network]:
    """Of a creched.toml."""
    return dict(parse(text.encode(), "c").networks)


def on(name: str, more: str = "") -> tuple[Attachment, ...]:
    """Attachments of a workload on one network."""
    return parse_settings(f'[network]\nname = "{name}"\n{more}'.encode(), "w").network


def steps(old: str, new: str, **attached: tuple[Attachment, ...]) -> list[NetworkStep]:
    return list(decide(networks(old), networks(new), attached))


def words(found: list[NetworkStep]) -> list[str]:
    return [f"{step.network}: {step.action}" for step in found]


def test_nothing_added_and_removed() -> None:
    assert steps(A, A, web=on("a")) == []
    assert words(steps(A, A + B, web=on("a"))) == ["b: add"]
    assert words(steps(A + B, A, web=on("a"))) == ["b: remove"]


@pytest.mark.parametrize(
    ("text", "action", "restarts"),
    [
        ("isolate = true", "apply", ()),
        ("masquerade = true", "apply", ()),
        ("dns = true", "apply", ()),
        ("mtu = 1400", "restart", ("db", "web")),
        ('gateway = "10.0.0.9"', "restart", ("db", "web")),
    ],
)
def test_which_key_does_what(text: str, action: str, restarts: tuple[str, ...]) -> None:
    """To those who are on it; with nobody there everything applies at once."""
    (step,) = steps(A, A + text, web=on("a"), db=on("a"), other=on("b"))
    assert (step.action, step.restarts) == (action, restarts)
    assert [key.key for key in step.keys] == [f"networks.a.{text.split()[0]}"]
    (step,) = steps(A, A + text)
    assert (step.action, step.restarts) == ("apply", ())


def test_another_subnet() -> None:
    """Its gateway with it; and whose address is fixed has to fit."""
    new = A.replace("10.0.0", "10.9.0")
    (step,) = steps(A, new, web=on("a"))
    assert (step.action, step.restarts) == ("restart", ("web",))
    assert [(key.key, key.old, key.new) for key in step.keys] == [
        ("networks.a.subnet", "10.0.0.0/24", "10.9.0.0/24"),
        ("networks.a.gateway", "10.0.0.1", "10.9.0.1"),
    ]
    (step,) = steps(A, new, web=on("a", 'address = "10.0.0.7"'))
    assert step.action == "refuse"
    assert "does not fit web, which is on it: network.address: 10.0.0.7 is no" in step.reason


def test_what_is_in_use_stays() -> None:
    """And so what would be in its way is refused, too."""
    found = steps(A, B.replace("10.1", "10.0"), web=on("a"))
    assert words(found) == ["a: refuse", "b: refuse"]
    assert "cannot be removed: web would be without" in found[0].reason
    assert "overlaps with 10.0.0.0/24 of network a, which stays as it was" in found[1].reason
    assert outcome(networks(A), networks(B.replace("10.1", "10.0")), found) == networks(A)
    found = steps(A, A.replace("a0", "a1"), web=on("a"))
    assert "bridge cannot be another one while web are on it" in found[0].reason
    assert words(steps(A, A.replace("a0", "a1"))) == ["a: apply"]


def test_what_is_in_use_is_kept(tmp_path: Path) -> None:
    """For the next creched, by the rules of creched.toml; a damaged file is told of."""
    told: list[str] = []
    kept = Accepted(str(tmp_path), lambda *words: told.append(words[2]))
    assert kept.load() is None
    wanted = networks(A + 'mtu = 1400\nisolate = true\nsubnet6 = "fd00::/64"\n' + B)
    kept.save(wanted)
    assert kept.load() == wanted
    for damaged in (b"", b"[]", b'{"a": {"bridge": "/"}}', b'{"a": 1}', b"\xff", b'{"a": {}}'):
        (tmp_path / FILE).write_bytes(damaged)
        assert kept.load() is None
    assert len(told) == 6
    kept.forget()
    kept.forget()
    assert list(tmp_path.iterdir()) == []
