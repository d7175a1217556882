"""A list of CNI plugins, and what each of them is told (SPEC.md, sections 1 and 3). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from runtime.errors import CrecheError
from runtime.jsonio import dumps, loads
from supervisor.network.errors import NetworkError
from supervisor.network.model import Publish

VERSIONS = ("0.3.0", "0.3.1", "0.4.0", "1.0.0")
_CHECKS = ("0.4.0", "1.0.0")
"""Those that know CHECK, and tell DEL what ADD has made."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
PORTS = "portMappings"


@dataclass(frozen=True, slots=True)
class Conflist:
    """`plugins` are objects as they were found, each with a `type`: the name of its program."""

    name: str
    version: str
    plugins: tuple[dict[str, Any], ...]
    no_check: bool = False

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises NetworkError, which does not name the file."""
        try:
            found = loads(data)
        except CrecheError as error:
            raise NetworkError(str(error)) from None
        return cls.from_json(found)

    @classmethod
    def from_json(cls, found: object) -> Self:
        """The same of a document. Raises NetworkError."""
        if not isinstance(found, dict):
            raise NetworkError("expected an object")
        name, version = found.get("name"), found.get("cniVersion")
        if not isinstance(name, str) or _NAME.fullmatch(name) is None:
            raise NetworkError(f"name: expected letters, digits, dots and dashes, found {name!r}")
        if version not in VERSIONS:
            known = ", ".join(VERSIONS)
            raise NetworkError(f"cniVersion: expected one of {known}, found {version!r}")
        plugins = found.get("plugins")
        if not isinstance(plugins, list) or not plugins:
            raise NetworkError("plugins: expected a list of at least one (is it a .conf file?)")
        for index, plugin in enumerate(plugins):
            if not isinstance(plugin, dict):
                raise NetworkError(f"plugins[{index}]: expected an object")
            kind, able = plugin.get("type"), plugin.get("capabilities", {})
            # Its program is looked for under that name.
            if not isinstance(kind, str) or _NAME.fullmatch(kind) is None:
                raise NetworkError(f"plugins[{index}].type: expected a name, found {kind!r}")
            if not isinstance(able, dict):
                raise NetworkError(f"plugins[{index}].capabilities: expected an object")
        no_check = found.get("disableCheck", False)
        if not isinstance(no_check, bool):
            raise NetworkError(f"disableCheck: expected true or false, found {no_check!r}")
        return cls(name, version, tuple(plugins), no_check)

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "name": self.name,
            "cniVersion": self.version,
            "plugins": list(self.plugins),
            "disableCheck": self.no_check,
        }

    @property
    def can_check(self) -> bool:
        """Whether its plugins may be asked whether all is as they have made it."""
        return self.version in _CHECKS and not self.no_check

    def able(self, capability: str) -> bool:
        """Whether one of its plugins has it."""
        return any(
            plugin.get("capabilities", {}).get(capability) is True for plugin in self.plugins
        )

    def request(
        self,
        plugin: Mapping[str, Any],
        command: str,
        previous: Mapping[str, Any] | None,
        runtime: Mapping[str, Any],
    ) -> bytes:
        """What a plugin reads on its standard input.

        previous: what came out of the one before it, or of all of them if this is no ADD.
        runtime: values of this attachment, of which it gets those that it has a capability for.
        """
        told = {key: value for key, value in plugin.items() if key != "capabilities"}
        told |= {"name": self.name, "cniVersion": self.version}
        able = plugin.get("capabilities", {})
        given = {key: value for key, value in runtime.items() if able.get(key) is True}
        if given:
            told["runtimeConfig"] = given
        if previous is not None and (command == "ADD" or self.version in _CHECKS):
            told["prevResult"] = dict(previous)
        return dumps(told).encode()


def port_mappings(publish: Sequence[Publish]) -> list[dict[str, Any]]:
    """Published ports as the capability `portMappings` has them (CONVENTIONS.md)."""
    return [
        {
            "hostPort": each.host_port,
            "containerPort": each.port,
            "protocol": each.protocol.value,
            **({} if each.host is None else {"hostIP": str(each.host)}),
        }
        for each in publish
    ]
