"""Who is given which address, and who keeps it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.network.errors import NetworkError
from supervisor.network.leases import Leases
from supervisor.network.model import Attachment, Network
from supervisor.settings import parse
from supervisor.store.files import Documents
from supervisor.workload.parse import parse_settings

SMALL = '[networks.a]\nsubnet = "10.0.0.0/29"\nsubnet6 = "fd00::/64"\n'


def network(text: str = SMALL) -> Network:
    """The network `a`."""
    return parse(text.encode(), "c").networks["a"]


def attachment(text: str = "") -> Attachment:
    """To it."""
    return parse_settings(f'[network]\nname = "a"\n{text}'.encode(), "w").network[0]


def give(leases: Leases, name: str, text: str = "", active: tuple[str, ...] = ()) -> list[str]:
    """What a workload gets."""
    found = leases.give(name, [(attachment(text), network())], active)
    return [str(address) for address in found["a"].addresses]


def test_the_lowest_that_is_free() -> None:
    leases = Leases()
    assert give(leases, "x") == ["10.0.0.2", "fd00::2"]
    assert give(leases, "y") == ["10.0.0.3", "fd00::3"]
    leases.forget("x")
    assert give(leases, "z") == ["10.0.0.2", "fd00::2"]


def test_the_same_over_a_hundred_restarts(tmp_path: Path) -> None:
    names = [f"w{number}" for number in range(5)]
    expected: dict[str, list[str]] = {}
    for round_ in range(100):
        leases = Leases(Documents(str(tmp_path), True, lambda *told: pytest.fail(str(told))))
        leases.load()
        order = names[round_ % 5 :] + names[: round_ % 5]
        found = {name: give(leases, name) for name in order}
        expected = expected or found
        assert found == expected


def test_nobody_gets_what_another_has_fixed() -> None:
    leases = Leases()
    assert give(leases, "x", 'address = "10.0.0.2"') == ["10.0.0.2", "fd00::2"]
    assert give(leases, "y") == ["10.0.0.3", "fd00::3"]
    with pytest.raises(NetworkError, match=r"network.address: 10.0.0.2 is that of workload x"):
        give(leases, "z", 'address = "10.0.0.2"')


def test_who_has_one_by_chance_gives_way_unless_it_runs() -> None:
    leases = Leases()
    give(leases, "x")
    with pytest.raises(NetworkError, match="is that of workload x"):
        give(leases, "y", 'address = "10.0.0.2"', active=("x",))
    assert give(leases, "y", 'address = "10.0.0.2"')[0] == "10.0.0.2"
    assert give(leases, "x")[0] == "10.0.0.3"


def test_a_subnet_that_is_given_out() -> None:
    leases = Leases()
    for number in range(5):
        give(leases, f"w{number}")
    with pytest.raises(NetworkError, match=r"every address of 10.0.0.0/29, .* is given out"):
        give(leases, "more")
    assert "more" not in leases.held


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('address = "10.0.0.1"', "is the gateway"),
        ('address = "10.0.0.7"', "is no address of a host in 10.0.0.0/29"),
        ('address = "10.0.1.2"', "is no address of a host in 10.0.0.0/29"),
        ('address6 = "fd01::2"', "is no address of a host in fd00::/64"),
    ],
)
def test_an_address_that_cannot_be(text: str, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        give(Leases(), "x", text)


def test_a_damaged_file_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"a": {"addresses": ["nonsense"], "fixed": [false]}}\n')
    told: list[str] = []
    leases = Leases(Documents(str(tmp_path), True, lambda *why: told.append(why[2])))
    leases.load()
    assert leases.held == {}
    assert "nonsense" in told[0]


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["give", "forget"]))))
def test_never_the_same_twice(steps: list[tuple[str, str]]) -> None:
    leases = Leases()
    has: dict[str, list[str]] = {}
    for name, what in steps:
        if what == "forget":
            leases.forget(name)
            has.pop(name, None)
        else:
            found = give(leases, name)
            assert has.setdefault(name, found) == found
    everything = [address for found in has.values() for address in found]
    assert len(everything) == len(set(everything))
