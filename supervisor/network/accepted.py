"""The networks that are in use, as creched keeps them for the next one.

creched.toml may say something else by then; but what was made by an old declaration has to be
looked after until it may be changed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from runtime.errors import CrecheError
from runtime.jsonio import dumps, loads
from supervisor.network.model import Network
from supervisor.network.settings import NETWORK
from supervisor.store import files
from supervisor.workload.kinds import Mismatch

FILE = "networks.json"
"""In ROOT/.creched."""


class Accepted:
    """One file. `damage` is told of one that cannot be used."""

    def __init__(self, own: str, damage: files.Damage) -> None:
        self._path = f"{own}/{FILE}"
        self._damage = damage

    def load(self) -> dict[str, Network] | None:
        """What an earlier creched has left; None if there is nothing that can be used."""
        try:
            document: Any = loads(files.read(self._path).decode())
            return {str(name): _read(str(name), found) for name, found in document.items()}
        except FileNotFoundError:
            return None
        except (OSError, ValueError, AttributeError, TypeError, KeyError, CrecheError) as error:
            self._damage(self._path, self._path, f"it holds no networks: {error}")
            return None

    def save(self, networks: Mapping[str, Network]) -> None:
        """Raises OSError."""
        document = {name: _written(network) for name, network in networks.items()}
        files.replace(self._path, (dumps(document) + "\n").encode(), durable=False)

    def forget(self) -> None:
        """Nothing of them is left. Raises OSError."""
        try:
            os.unlink(self._path)
        except FileNotFoundError:
            pass


def _written(network: Network) -> dict[str, Any]:
    values = {field.key: getattr(network, field.key) for field in NETWORK.fields}
    return {
        key: value if isinstance(value, int) else str(value)
        for key, value in values.items()
        if value is not None
    }


def _read(name: str, found: dict[str, Any]) -> Network:
    """By the same rules as in creched.toml."""
    try:
        values = {
            field.key: field.kind.parse(found[field.key])
            for field in NETWORK.fields
            if field.key in found
        }
    except Mismatch as wrong:
        raise ValueError(str(wrong)) from None
    return Network(name, **values)  # type: ignore[arg-type]
