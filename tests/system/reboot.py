"""What is there before the machine is booted again: `python -m tests.system.reboot`.

machine.sh runs it, starts `desperate`, for which creched has the machine booted again, and runs
test_reboot.py after that.
"""

from __future__ import annotations

from pathlib import Path

from tests.system import service
from tests.system.service import UNIT, Journal, outside

FORGOTTEN = Path("/var/lib/creche-boot-id")
"""The boot that is over."""

_SETTINGS = """
[supervisor]
reboot-command = ["/usr/bin/systemctl", "reboot"]
[networks.runc]
bridge = "runc0"
subnet = "192.168.10.0/24"
"""
_LASTING = '''
[container]
args = ["/bin/busybox", "sh", "-c", """
trap 'exit 0' TERM
while :; do sleep 9999 & wait $!; done
"""]
[network]
name = "runc"
'''
_DESPERATE = """
[workload]
start = "manual"
[restart]
policy = "on-failure"
delay = 0
limit = 1
on-limit = "reboot"
[container]
args = ["/bin/busybox", "false"]
"""


def boot_id() -> str:
    """Which boot of the machine this is."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def main() -> None:
    """Start the service for good with two workloads; one is then stopped by hand.

    It was the first and has the network's first address, which is not to be given away.
    """
    service.install()
    service.configure(_SETTINGS)
    service.declare({"by-hand": _LASTING, "desperate": _DESPERATE})
    with Journal() as journal:
        outside("systemctl", "enable", "--now", UNIT)
        journal.wait("started", workload="by-hand")
        service.declare({"lasting": _LASTING})
        journal.wait("started", workload="lasting")
        outside(service.HOME / "bin/crechectl", "stop", "--wait", "by-hand")
    FORGOTTEN.write_text(boot_id())


if __name__ == "__main__":
    main()
