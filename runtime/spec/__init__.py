"""config.json: read, checked and typed; nothing here makes a system call but load_bundle.

A Spec (runtime/spec/types.py) has the document's own shape with only the keys that are known.
Nothing is defaulted: a missing key is a missing key. Refusals are ConfigError with the JSON path.
"""

from __future__ import annotations

from runtime.errors import ConfigError
from runtime.jsonio import loads
from runtime.spec import document
from runtime.spec.bundle import CONFIG_NAME, read_config, read_limited
from runtime.spec.default import OCI_VERSION, default_spec, render
from runtime.spec.dialect import modernise, modernise_process
from runtime.spec.process import check_process
from runtime.spec.resources import check_resources
from runtime.spec.rules import check_mounts, check_spec
from runtime.spec.schema import validate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.spec.types import Mount, Process, Resources, Spec

__all__ = [
    "CONFIG_NAME",
    "OCI_VERSION",
    "default_spec",
    "load_bundle",
    "parse",
    "parse_mounts",
    "parse_process",
    "parse_resources",
    "read_limited",
    "render",
]


def _ignore(message: str) -> None:
    pass


def parse(data: bytes, warn: Callable[[str], None] = _ignore) -> Spec:
    """A whole config.json. warn: is told, one line each, what is ignored or out of date."""
    spec: Spec = validate(document.CONFIG, modernise(loads(data), warn), warn)
    check_spec(spec, warn)
    return spec


def load_bundle(bundle: str, warn: Callable[[str], None] = _ignore) -> Spec:
    """Read and check config.json of a bundle directory."""
    data = read_config(bundle)
    try:
        return parse(data, warn)
    except ConfigError as error:
        if error.path:
            raise
        raise ConfigError("", f"{CONFIG_NAME}: {error.message}") from None


def parse_process(data: bytes, warn: Callable[[str], None] = _ignore) -> Process:
    """A process object alone, as for `exec --process`; its messages' paths begin at `process`."""
    process: Process = validate(
        document.PROCESS, modernise_process(loads(data), warn), warn, "process"
    )
    check_process(process, "process", warn)
    return process


def parse_resources(data: bytes) -> Resources:
    """A linux.resources object alone, as for `update --resources`; paths begin at `resources`.

    Keys may be in any case: `{"CPU": {"Cpus": "1"}}` is what callers written in Go send.
    """
    resources: Resources = validate(
        document.RESOURCES, loads(data), _ignore, "resources", fold=True
    )
    check_resources(resources, "resources")
    return resources


def parse_mounts(data: bytes, spec: Spec, warn: Callable[[str], None] = _ignore) -> list[Mount]:
    """A mounts array alone, for a container that was made from spec; paths begin at `mounts`."""
    mounts: list[Mount] = validate(document.MOUNTS, loads(data), warn, "mounts")
    kinds = [entry["type"] for entry in spec.get("linux", {}).get("namespaces", [])]
    check_mounts(mounts, kinds, warn)
    return mounts
