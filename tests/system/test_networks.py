"""Networks of a service: what the host has, over restarts, crashes and hands that meddle.

The host's network is that of the machine, so that names are the guide's: `runc0`, 192.168.10.101.
The tests build on one another, in this order: each start costs seconds in an emulated machine.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.support.waiting import wait_exit
from tests.system import service
from tests.system.service import STATE, UNIT, Journal, outside, show

pytestmark = pytest.mark.skipif(
    "CRECHE_TEST_MACHINE" not in os.environ,
    reason="needs the virtual machine that ./dev system boots",
)

SETTINGS = """
[networks.runc]
bridge = "runc0"
subnet = "192.168.10.0/24"
masquerade = true
"""
# memcached listens some time after it was started: the probe, which connects inside, tells when.
MEMCACHED = """
[restart]
policy = "always"
delay = 0
[container]
args = ["memcached", "-u", "nobody", "-l", "192.168.10.101"]
[network]
name = "runc"
address = "192.168.10.101"
publish = ["21121:11211/tcp"]
[ready]
on = "probe"
timeout = 0
[health]
tcp = "192.168.10.101:11211"
interval = "1s"
timeout = "60s"
start-period = "60s"
"""
BESIDE = '''
[container]
args = ["/bin/busybox", "sh", "-c", """
trap 'exit 0' TERM
while :; do sleep 9999 & wait $!; done
"""]
[network]
name = "runc"
'''
NAMESPACES = STATE / ".creched/namespaces"


@pytest.fixture(scope="module")
def journal(installed: None) -> Iterator[Journal]:
    """Start the service; give what it tells."""
    service.configure(SETTINGS)
    service.declare({"memcached": MEMCACHED, "beside": BESIDE})
    try:
        with Journal() as journal:
            outside("systemctl", "start", UNIT)
            journal.wait("ready", workload="memcached")
            journal.wait("started", workload="beside")
            yield journal
    finally:
        service.clear()


def ping(address: str) -> None:
    """The host reaches it."""
    outside("ping", "-n", "-c", "1", "-W", "60", address)


@pytest.fixture
def beyond() -> Iterator[tuple[str, ...]]:
    """Somebody beyond the host, 203.0.113.2 behind 203.0.113.1: the words that lead there."""
    outside("ip", "netns", "add", "beyond")
    words = ("ip", "netns", "exec", "beyond")
    try:
        outside("ip", "link", "add", "near", "type", "veth", "peer", "far", "netns", "beyond")
        outside("ip", "addr", "add", "203.0.113.1/24", "dev", "near")
        outside("ip", "link", "set", "near", "up")
        outside(*words, "ip", "addr", "add", "203.0.113.2/24", "dev", "far")
        outside(*words, "ip", "link", "set", "far", "up")
        yield words
    finally:
        outside("ip", "link", "delete", "near", check=False)
        outside("ip", "netns", "delete", "beyond")


def ask_memcached(*prefix: str, at: str = "192.168.10.101 11211") -> str:
    """Its answer to the guide's question, on the host or where the words of `prefix` lead."""
    question = f"printf 'version\\r\\nquit\\r\\n' | busybox nc {at}"
    return outside(*prefix, "busybox", "sh", "-c", question).stdout


def inside(name: str) -> tuple[str, ...]:
    """The words that lead into a workload's network namespace."""
    return "nsenter", f"--net=/run/creche/.creched/namespaces/{name}"


def namespace(name: str) -> int:
    """Which network namespace a workload has."""
    return os.stat(NAMESPACES / name).st_ino


def addresses(name: str) -> list[str]:
    """Those of its interface, the hardware's first."""
    ip = (*inside(name), "ip", "-brief")
    hardware = outside(*ip, "link", "show", "dev", "eth0").stdout.split()[2]
    return [hardware, *outside(*ip, "addr", "show", "dev", "eth0").stdout.split()[2:]]


def made() -> list[str]:
    """The links of the host that carry creched's mark."""
    lines = outside("ip", "-o", "link", "show").stdout.splitlines()
    return [line.split()[1] for line in lines if "alias creche:" in line]


def test_the_walk_through(journal: Journal) -> None:
    """The host pings it over runc0 and memcached answers; a workload beside it asks, too."""
    attached = journal.wait("network-attached", workload="memcached")
    assert attached["addresses"] == ["192.168.10.101/24"]
    assert "192.168.10.1/24" in outside("ip", "-br", "addr", "show", "dev", "runc0").stdout
    ping("192.168.10.101")
    assert ask_memcached().startswith("VERSION 1.")
    assert ask_memcached(*inside("beside")).startswith("VERSION 1.")
    assert len(made()) == 3  # the bridge, and a port of each


def test_a_container_that_is_restarted_keeps_its_network(journal: Journal) -> None:
    """The namespace with its addresses is another thing than the container."""
    before = namespace("memcached"), addresses("memcached")
    os.kill(journal.wait("started", workload="memcached")["pid"], signal.SIGKILL)
    again = journal.wait("started", 2, workload="memcached")["pid"]
    journal.wait("ready", 2, workload="memcached")
    assert (namespace("memcached"), addresses("memcached")) == before
    assert os.stat(f"/proc/{again}/ns/net").st_ino == before[0]
    assert ask_memcached().startswith("VERSION 1.")


def test_what_is_deleted_by_hand_is_restored(journal: Journal) -> None:
    """The bridge, which takes the ports' membership with it."""
    outside("ip", "link", "delete", "runc0")
    restored = journal.wait("network-restored")
    assert "runc0" in restored["message"]
    ping("192.168.10.101")
    assert ask_memcached(*inside("beside")).startswith("VERSION 1.")


def test_creched_restarted_killed_executed_anew(journal: Journal) -> None:
    """Its networks are not touched; what is deleted while nobody is there is restored then."""
    names = ("memcached", "beside")
    before = {name: (namespace(name), addresses(name)) for name in names}
    links = made()

    outside("systemctl", "restart", UNIT)
    main = int(show("MainPID"))
    journal.wait("adopted", workload="memcached")
    ping("192.168.10.101")

    # Stopped first: so the bridge goes while nobody is there, whatever is scheduled when.
    os.kill(main, signal.SIGSTOP)
    outside("ip", "link", "delete", "runc0")
    os.kill(main, signal.SIGKILL)
    wait_exit(main)
    journal.wait("adopted", 2, workload="memcached")
    ping("192.168.10.101")

    main = int(show("MainPID"))
    os.kill(main, signal.SIGUSR2)
    journal.wait("adopted", 3, workload="memcached")
    assert int(show("MainPID")) == main
    ping("192.168.10.101")

    assert {name: (namespace(name), addresses(name)) for name in names} == before
    assert sorted(made()) == sorted(links)
    assert ask_memcached(*inside("beside")).startswith("VERSION 1.")
    assert journal.all("network-trouble") == []


def test_ports_are_published_and_what_goes_out_is_masqueraded(
    journal: Journal, beyond: tuple[str, ...]
) -> None:
    """After all that. Beyond the host nobody knows the network: an answer needs the host's name."""
    assert ask_memcached(*beyond, at="203.0.113.1 21121").startswith("VERSION 1.")
    assert ask_memcached(at="127.0.0.1 21121").startswith("VERSION 1.")
    outside(*inside("beside"), "ping", "-n", "-c", "1", "-W", "60", "203.0.113.2")


def test_stop_removes_it_all(journal: Journal) -> None:
    """No link, no namespace; the leases stay."""
    outside("systemctl", "stop", UNIT)
    journal.wait("supervisor-stopped")
    assert made() == []
    assert outside("ip", "-br", "link", "show", "type", "veth").stdout == ""
    assert not NAMESPACES.exists()
    assert sorted(path.name for path in service.LEASES.iterdir()) == [
        "beside.json",
        "memcached.json",
    ]
    service.wait_gone()
