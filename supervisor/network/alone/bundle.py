"""A bundle's config.json: what it asks for, and the path of its network namespace."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runtime.errors import CrecheError
from runtime.jsonio import loads
from supervisor.network.errors import NetworkError

_SAFE = re.compile(r"[^A-Za-z0-9_.-]")
_INDENT = re.compile(r"\{\r?\n([ \t]+)")


def name_of(bundle: str) -> str:
    """What its networks are called by: for people to recognize, and another one for another path.

    The bundle need not be there any more.
    """
    path = os.path.realpath(bundle)
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:8]
    return f"b-{_SAFE.sub('_', os.path.basename(path))[:40]}-{digest}"


def read(bundle: str) -> dict[str, Any]:
    """Its config.json. Raises NetworkError."""
    return _parsed(f"{bundle}/config.json", _text(f"{bundle}/config.json"))


def join(bundle: str, path: str) -> None:
    """Have its container run in the network namespace at `path`. Raises NetworkError."""
    _change(bundle, lambda config: _with(config, {"type": "network", "path": path}))


def leave(bundle: str, path: str) -> None:
    """Have its container run in one of its own, if it is `path` that is named; fine if not.

    Raises NetworkError.
    """

    def own(config: dict[str, Any]) -> dict[str, Any]:
        named = {"type": "network", "path": path} in config.get("linux", {}).get("namespaces", [])
        return _with(config, {"type": "network"}) if named else config

    if os.path.exists(f"{bundle}/config.json"):
        _change(bundle, own)


def _with(config: dict[str, Any], network: dict[str, str]) -> dict[str, Any]:
    """Its network namespace is that one, in the place that it had in the list."""
    linux = config.get("linux", {})
    found = [network if n.get("type") == "network" else n for n in linux.get("namespaces", [])]
    if network not in found:
        found.append(network)
    return {**config, "linux": {**linux, "namespaces": found}}


def _change(bundle: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Written as a whole, and indented as it was; not at all if nothing is to be changed."""
    file = f"{os.path.realpath(bundle)}/config.json"
    text = _text(file)
    before = _parsed(file, text)
    after = change(before)
    if after == before:
        return
    indent = _INDENT.match(text)
    new = Path(f"{file}.new")
    try:
        was = os.stat(file)
        written = json.dumps(after, indent=indent[1] if indent else None, ensure_ascii=False)
        new.write_text(written + "\n", "utf-8")
        os.chmod(new, was.st_mode & 0o7777)
        os.chown(new, was.st_uid, was.st_gid)
        os.replace(new, file)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise NetworkError(f"write {file}: {os.strerror(error.errno or 0)}") from None


def _text(file: str) -> str:
    try:
        return Path(file).read_text("utf-8")
    except OSError as error:
        raise NetworkError(f"read {file}: {os.strerror(error.errno or 0)}") from None
    except UnicodeDecodeError:
        raise NetworkError(f"read {file}: it is not UTF-8 text") from None


def _parsed(file: str, text: str) -> dict[str, Any]:
    try:
        config: Any = loads(text)
        linux = config.get("linux", {})
        namespaces = linux.get("namespaces", [])
        annotations = config.get("annotations", {})
        if not isinstance(annotations, dict) or not all(isinstance(n, dict) for n in namespaces):
            raise TypeError
    except CrecheError as error:
        raise NetworkError(f"read {file}: {error}") from None
    except (AttributeError, TypeError):
        raise NetworkError(f"read {file}: it is no configuration of a container") from None
    found: dict[str, Any] = config
    return found
