"""Rules for names of network interfaces and for `linux.netDevices`."""

from __future__ import annotations

from runtime.errors import ConfigError
from runtime.jsonio import join_path, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.spec.types import NetDevice

_NAME_MAX = 15  # IFNAMSIZ without the NUL, linux/if.h


def check_device_name(name: str, path: str) -> None:
    """What dev_valid_name() of net/core/dev.c accepts. Raises ConfigError."""
    if (
        name in ("", ".", "..")
        or len(name.encode("utf-8", "surrogatepass")) > _NAME_MAX
        or any(c in "/:" or c.isspace() for c in name)
    ):
        raise ConfigError(path, f"invalid network device name {quote(name)}")


def check_net_devices(devices: dict[str, NetDevice]) -> None:
    """Raise ConfigError for a name that the kernel would refuse, or a new name given twice."""
    seen: dict[str, str] = {}
    for name, device in devices.items():
        path = join_path(("linux", "netDevices", name))
        check_device_name(name, path)
        target = device.get("name", name)
        check_device_name(target, f"{path}.name")
        # "%d" is the kernel's template for the next free number, and once at most.
        if "%" in target and (target.count("%") > 1 or "%d" not in target):
            raise ConfigError(f"{path}.name", f"invalid network device name {quote(target)}")
        if "%" not in target:
            if target in seen:
                raise ConfigError(
                    f"{path}.name", f"the same name in the container as for {quote(seen[target])}"
                )
            seen[target] = name
