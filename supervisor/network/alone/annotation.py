"""What a config.json asks for: the annotation `org.creche.network`.

It holds the name of a network, or as JSON what [network] of a workload.toml may hold (an array of
such objects for several interfaces).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime.errors import CrecheError
from runtime.jsonio import loads
from supervisor.network.errors import NetworkError
from supervisor.network.model import Attachment, Mode
from supervisor.network.rules import LOOPBACK6
from supervisor.workload.errors import WorkloadError
from supervisor.workload.parse import parse_document
from supervisor.workload.sections.network import NETWORK, together

KEY = "org.creche.network"
MODES = (Mode.BRIDGE, Mode.MACVLAN)
"""Those that make something, without creched."""


def attachments(annotations: Mapping[str, Any]) -> tuple[Attachment, ...]:
    """What is asked for; () if nothing is. Raises NetworkError."""
    text = annotations.get(KEY)
    if text is None:
        return ()
    where = f"annotations.{KEY}"
    if not isinstance(text, str):
        raise NetworkError(f"{where}: expected a string")
    asked: Any = {"name": text}
    if text.lstrip()[:1] in ("{", "["):
        try:
            asked = loads(text)
        except CrecheError as error:
            raise NetworkError(f"{where}: {error}") from None
    try:
        made = parse_document({"network": asked}, where, (NETWORK,))["network"]
    except WorkloadError as error:
        raise NetworkError(str(error)) from None
    found: tuple[Attachment, ...] = tuple(made)
    for index, key, message in together(found):
        raise NetworkError(f"{where}: network[{index}].{key}: {message}")
    for each in found:
        if each.mode not in MODES:
            modes = " or ".join(f'"{mode}"' for mode in MODES)
            raise NetworkError(f'{where}: expected mode {modes}, found "{each.mode}"')
        for publish in each.publish:
            if publish.host == LOOPBACK6:  # a process that runs passes that on
                raise NetworkError(f"{where}: {publish} needs creched; 127.0.0.1 does not")
    return found
