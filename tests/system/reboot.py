"""What is there before the machine is booted again: `python -m tests.system.reboot`.

machine.sh runs it, reboots, and then runs test_reboot.py.
"""

from __future__ import annotations

from pathlib import Path

from tests.system import service
from tests.system.service import UNIT, Journal, outside

FORGOTTEN = Path("/var/lib/creche-boot-id")
"""The boot that is over."""
WORKLOADS = ("lasting", "by-hand")

_LASTING = '''
[container]
args = ["/bin/busybox", "sh", "-c", """
trap 'exit 0' TERM
while :; do sleep 9999 & wait $!; done
"""]
'''


def boot_id() -> str:
    """Which boot of the machine this is."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def main() -> None:
    """Start the service for good with two workloads; one is then stopped by hand."""
    service.install()
    service.declare(dict.fromkeys(WORKLOADS, _LASTING))
    with Journal() as journal:
        outside("systemctl", "enable", "--now", UNIT)
        for name in WORKLOADS:
            journal.wait("started", workload=name)
        outside(service.HOME / "bin/crechectl", "stop", "--wait", "by-hand")
    FORGOTTEN.write_text(boot_id())


if __name__ == "__main__":
    main()
