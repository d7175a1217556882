"""Who is told of whom, and what is said, as another implementation of DNS reads it (dnspython)."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.reversename
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from supervisor.network.model import Endpoint, Mode, Network
from supervisor.network.names import files, wire
from supervisor.network.names.book import Book
from supervisor.network.names.server import Responder
from supervisor.network.names.upstream import servers
from supervisor.settings import parse
from supervisor.workload.errors import WorkloadError

A = Network(
    "a", "cr-a", IPv4Network("10.1.0.0/24"), IPv6Network("fd01::/64"), IPv4Address("10.1.0.1"),
    IPv6Address("fd01::1"), dns=True,
)  # fmt: skip
B = Network("B", "cr-b", IPv4Network("10.2.0.0/24"), gateway=IPv4Address("10.2.0.1"), dns=True)
QUIET = replace(B, name="quiet", subnet=IPv4Network("10.3.0.0/24"), dns=False)
NETWORKS = {each.name: each for each in (A, B, QUIET)}


def endpoint(workload: str, network: str | None, v4: str, v6: str | None = None) -> Endpoint:
    """As a plan has it."""
    return Endpoint(
        workload, network, Mode.BRIDGE, f"/n/{workload}", "crv0", "eth0", None, IPv4Interface(v4),
        None if v6 is None else IPv6Interface(v6),
    )  # fmt: skip


BOOK = Book(
    [
        endpoint("Cache", "a", "10.1.0.2/24", "fd01::2/64"),
        endpoint("both", "a", "10.1.0.3/24", "fd01::3/64"),
        endpoint("both", "B", "10.2.0.3/24"),
        endpoint("db.old", "B", "10.2.0.4/24"),
        endpoint("l" * 64, "B", "10.2.0.5/24"),
        endpoint("mute", "quiet", "10.3.0.2/24"),
        endpoint("lan", None, "192.168.1.5/24"),
    ],
    NETWORKS,
)
OPEN = Book([endpoint("web", "a", "10.1.0.2/24", "fd01::2/64")], {"a": replace(A, masquerade=True)})
ANY = [str(kind) for kind in ("A", "AAAA", "PTR", "TXT", "MX", "ANY", "SOA")]


def ask(asker: str, name: str, kind: str = "A", book: Book = BOOK) -> list[str] | str | None:
    """What comes out: the answer's records, or how it ended if there are none; None: ask others."""
    question = dns.message.make_query(name, kind)
    query = wire.read(question.to_wire())
    responder = Responder()
    responder.turn(book)
    answer = responder.known(asker, query)
    if answer is None:
        return None
    told = dns.message.from_wire(responder.written(asker, query, answer, tcp=False))
    assert question.is_response(told)
    assert bool(told.flags & dns.flags.RA) is book.passes_on(asker)
    records = [record.to_text() for each in told.answer for record in each]
    assert all(each.ttl == 0 and each.name == question.question[0].name for each in told.answer)
    return sorted(records) or dns.rcode.to_text(told.rcode())


def test_who_is_told_of_whom() -> None:
    assert ask("both", "cache") == ["10.1.0.2"]
    assert ask("both", "CACHE", "AAAA") == ["fd01::2"]
    assert ask("both", "cache", "ANY") == ["10.1.0.2", "fd01::2"]
    assert ask("both", "cache.a.internal") == ["10.1.0.2"]
    assert ask("Cache", "both", "A") == ["10.1.0.3"]
    assert ask("both", "both", "A") == ["10.1.0.3", "10.2.0.3"]
    assert ask("both", "both.b.INTERNAL", "A") == ["10.2.0.3"]
    assert ask("both", "db.old") == ["10.2.0.4"]
    assert ask("both", "db.old.b.internal") == ["10.2.0.4"]
    for other in ("db.old.b.internal", "mute.quiet.internal", "lan", "mute", "nobody.a.internal"):
        assert ask("Cache", other) in ("NXDOMAIN", "REFUSED")


def test_there_but_not_of_that_kind() -> None:
    """No error, or a resolver that asks for both families takes the name for none (musl)."""
    assert ask("both", "both.b.internal", "AAAA") == "NOERROR"
    assert ask("both", "cache", "MX") == "NOERROR"
    assert ask("both", "a.internal", "SOA") == "NOERROR"
    assert ask("both", "x.cache.a.internal") == "NXDOMAIN"


def test_backwards() -> None:
    def back(asker: str, address: str) -> list[str] | str | None:
        return ask(asker, str(dns.reversename.from_address(address)), "PTR")

    assert back("both", "10.1.0.2") == ["Cache.a.internal."] == back("both", "fd01::2")
    assert back("both", "10.2.0.4") == ["db.old.b.internal."]
    assert back("both", "10.2.0.5") == "NXDOMAIN"  # a name of 64 letters is none in DNS
    assert back("both", "10.1.0.77") == "NXDOMAIN"
    assert back("Cache", "10.2.0.4") == "REFUSED"
    for odd in ("1.2.3", "x.1.2.3", "1.2.3.4.5", "01.1.1.10", "999.1.1.10"):
        assert ask("both", f"{odd}.in-addr.arpa", "PTR") == "REFUSED"
    assert ask("both", "1.2.ip6.arpa", "PTR") == "REFUSED"


def test_only_who_can_leave_asks_others() -> None:
    """CVE-2024-29018: what is said in questions leaves an internal network, too."""
    assert ask("both", "example.com") == "REFUSED"
    assert ask("web", "example.com", book=OPEN) is None
    assert ask("web", "example.com", "TXT", OPEN) is None
    assert ask("web", ".", "NS", OPEN) is None
    assert ask("web", "nobody", book=OPEN) == "NXDOMAIN"
    assert ask("web", "nobody.a.internal", book=OPEN) == "NXDOMAIN"
    assert ask("web", "web", book=OPEN) == ["10.1.0.2"]
    chaos = wire.read(dns.message.make_query("version.bind", "TXT", "CH").to_wire())
    responder = Responder()
    responder.turn(OPEN)
    assert responder.known("web", chaos) == wire.Answer(wire.Code.REFUSED)


def test_whose_address_it_is() -> None:
    """By the network that a question comes from: the same address may be there twice."""
    assert BOOK.asker("a", IPv4Address("10.1.0.2")) == "Cache"
    assert BOOK.asker("B", IPv4Address("10.1.0.2")) is None
    assert BOOK.asker("quiet", IPv4Address("10.3.0.2")) is None


def test_many_records_do_not_fit() -> None:
    """Who cannot take them is told to ask over TCP."""
    networks = {
        f"n{i}": replace(B, name=f"n{i}", subnet=IPv4Network(f"10.{i}.0.0/24")) for i in range(60)
    }
    book = Book([endpoint("a", f"n{i}", f"10.{i}.0.2/24") for i in range(60)], networks)
    for options, tcp, fits in ((-1, False, False), (0, False, True), (-1, True, True)):
        question = dns.message.make_query("a", "A", use_edns=options, payload=9000)
        query = wire.read(question.to_wire())
        answer = book.answer("a", "a", 1)
        assert answer is not None
        responder = Responder()
        told = dns.message.from_wire(responder.written("a", query, answer, tcp))
        assert bool(told.flags & dns.flags.TC) is not fits
        assert sum(map(len, told.answer)) == (60 if fits else 0)
        assert (told.edns == 0) is (options == 0)


def test_hosts_and_resolver() -> None:
    assert BOOK.own("both", ("mail.example.org", "both", "Both")).splitlines() == [
        "10.1.0.3\tmail.example.org",
        "fd01::3\tmail.example.org",
        "10.2.0.3\tmail.example.org",
    ]
    assert BOOK.own("both", ("both", "Both")) == ""
    assert BOOK.hosts("both").splitlines() == [
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "10.1.0.2\tCache Cache.a.internal",
        "fd01::2\tCache Cache.a.internal",
        "10.1.0.3\tboth both.a.internal",
        "fd01::3\tboth both.a.internal",
        "10.2.0.3\tboth both.b.internal",
        "10.2.0.4\tdb.old db.old.b.internal",
        f"10.2.0.5\t{'l' * 64} {'l' * 64}.b.internal",
    ]
    assert BOOK.resolver("both") == (
        "nameserver 10.1.0.1\nnameserver fd01::1\nnameserver 10.2.0.1\n"
        "search a.internal b.internal\n"
    )
    assert list(BOOK.used) == ["a", "B"]


def test_files_of_many_are_one(tmp_path: Path) -> None:
    """Whoever calls himself otherwise has one of his own; all stay the files that they are."""
    directory = tmp_path / "names"
    calls: dict[str, tuple[str, ...]] = {"two": ("second",)}
    networks = {"a": A}
    some = [endpoint(name, "a", f"10.1.0.{n}/24") for n, name in enumerate(("one", "two", "x"), 2)]

    def write(kept: files.Files, count: int) -> dict[str, tuple[int, str]]:
        kept.write(Book(some[:count], networks), lambda name: calls.get(name, ()))
        found = {path.name: path / "hosts" for path in directory.iterdir() if path.name[0] != "."}
        return {name: (path.stat().st_ino, path.read_text()) for name, path in found.items()}

    first = write(files.Files(str(directory)), 2)
    again = files.Files(str(directory))
    second = write(again, 3)
    assert [second[name][0] for name in first] == [first[name][0] for name in first]
    assert second["one"] == second["x"]
    assert second["two"][1] == "10.1.0.3\tsecond\n" + second["one"][1]
    calls["x"], calls["two"] = ("third",), ()
    third = write(again, 3)
    assert third["one"] == third["two"] == second["one"]
    assert third["x"][1].startswith("10.1.0.4\tthird\n")
    assert write(again, 1) == {"one": (first["one"][0], Book(some[:1], networks).hosts("one"))}
    assert write(again, 2) == dict.fromkeys(first, third["one"][:1] + first["one"][1:])
    assert directory.exists()
    again.write(Book(), lambda name: ())
    assert not directory.exists()


def test_what_a_container_mounts_itself_stays() -> None:
    linux = {"namespaces": [{"type": "mount"}]}
    mine = [{"destination": "/etc/hosts", "source": "/x", "type": "bind"}]
    found = files.mounted({"linux": linux, "mounts": mine}, "/d")
    assert [mount["destination"] for mount in found["mounts"]] == ["/etc/hosts", "/etc/resolv.conf"]
    assert found["mounts"][1]["source"] == "/d/resolv.conf"
    for whole in ("/etc", "etc/", "//etc"):
        config = {"linux": linux, "mounts": [{"destination": whole}]}
        assert files.mounted(config, "/d")["mounts"] == config["mounts"]
    for linux in ({}, {"namespaces": [{"type": "mount", "path": "/proc/1/ns/mnt"}]}):
        assert files.mounted({"linux": linux}, "/d") == {"linux": linux}
    assert len(files.mounted({"linux": {"namespaces": [{"type": "mount"}]}}, "/d")["mounts"]) == 2


def test_what_a_container_calls_itself() -> None:
    assert files.called({"hostname": "m", "domainname": "d.org"}) == ("m.d.org", "m")
    assert files.called({"hostname": "m"}) == ("m",)
    assert files.called({}) == files.called({"hostname": "x\n1.2.3.4 bank"}) == ()


def test_a_network_whose_name_is_none_in_dns() -> None:
    for name in ("a..b", "a.", "n" * 64):
        text = f'[networks."{name}"]\nbridge = "x0"\nsubnet = "10.0.0.0/24"\ndns = true\n'
        with pytest.raises(WorkloadError, match="dns"):
            parse(text.encode(), "c")


def test_the_hosts_resolvers() -> None:
    text = "# x\nnameserver 10.0.0.1\nnameserver nonsense\nnameserver\nnameserver fe80::1%eth0\n"
    assert servers(text) == ["10.0.0.1", "fe80::1%eth0"]
    assert servers("") == ["127.0.0.1"]
    assert len(servers("nameserver 1.1.1.1\n" * 9)) == 3


names = st.from_regex(rb"[\x00-\xff]{0,70}")
LOOP = b"\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01"


@given(st.binary(max_size=1500))
@example(LOOP)
@example(LOOP[:12] + b"\x01a\xc0\x0c\x00\x01\x00\x01")
@example(LOOP[:12])
@example(LOOP[:4] + b"\xff\xff" * 4)
def test_arbitrary_bytes(data: bytes) -> None:
    """Nothing but NoQueryError comes out of them, and whatever is said is DNS."""
    _heard(data)


@given(
    st.lists(st.binary(min_size=1, max_size=63), max_size=8).map(
        lambda labels: b"".join(bytes((len(each),)) + each for each in labels)
    ),
    st.integers(0, 0xFFFF), st.sampled_from([0, 1, 3, 255]), st.binary(max_size=40),
    st.integers(0, 2), st.integers(0, 0xFFFF),
)  # fmt: skip
def test_well_made_questions(
    name: bytes, kind: int, group: int, rest: bytes, more: int, flags: int
) -> None:
    head = b"\x12\x34" + flags.to_bytes(2, "big") + bytes((0, 1, 0, 0, 0, 0, 0, more))
    tail = b"\0" + kind.to_bytes(2, "big") + group.to_bytes(2, "big") + rest
    _heard(head + name + tail)


def _heard(data: bytes) -> None:
    try:
        query = wire.read(data)
    except wire.NoQueryError:
        assert len(data) < 12 or data[2] & 0x80
        return
    responder = Responder()
    for book in (BOOK, OPEN):
        responder.turn(book)
        for asker in book.askers:
            answer = responder.known(asker, query) or wire.Answer(wire.Code.SERVFAIL)
            told = responder.written(asker, query, answer, tcp=False)
            assert len(told) <= max(query.size, 12 + 255 + 4 + 11)
            read = dns.message.from_wire(told)
            assert read.id == query.id
            assert read.flags & dns.flags.QR


@given(st.ip_addresses())
def test_every_address_backwards(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    network = replace(A, subnet=IPv4Network("0.0.0.0/0"), subnet6=IPv6Network("::/0"))
    kind = "4" if address.version == 4 else "6"
    made = endpoint("x", "a", "10.9.9.9/24")
    made = (
        replace(made, address=IPv4Interface(f"{address}/24"))
        if kind == "4"
        else replace(made, address6=IPv6Interface(f"{address}/64"))
    )
    book = Book([made], {"a": network})
    assert ask("x", address.reverse_pointer, "PTR", book) == ["x.a.internal."]
