"""What `creche spec` writes."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from runtime.jsonio import dumps
from runtime.spec import OCI_VERSION, default_spec, parse, render


def runc_spec(directory: Path, *options: str) -> dict[str, Any]:
    """The document of the installed runc, as a newer one would write it."""
    runc = shutil.which("runc") or shutil.which("runc", path="/usr/sbin:/sbin")
    if runc is None:
        pytest.skip("runc is not installed")
    subprocess.run([runc, "spec", "--bundle", str(directory), *options], check=True)
    config: dict[str, Any] = json.loads((directory / "config.json").read_text())
    config["ociVersion"] = OCI_VERSION
    # runc 1.1 still had it; it let every program keep the capabilities (CVE-2022-29162).
    config["process"]["capabilities"].pop("ambient", None)
    namespaces = config["linux"]["namespaces"]
    namespaces[:] = [n for n in namespaces if n["type"] != "cgroup"]
    return config


@pytest.mark.parametrize("rootless", [False, True])
def test_same_as_runc(tmp_path: Path, rootless: bool) -> None:
    """Byte for byte, hence with the same order of keys and the same layout."""
    theirs = runc_spec(tmp_path, *(["--rootless"] if rootless else []))
    uid, gid = tmp_path.stat().st_uid, tmp_path.stat().st_gid

    ours = default_spec(hostname="runc", rootless=rootless, uid=uid, gid=gid)

    assert render(ours) == dumps(theirs, indent="\t")


@pytest.mark.parametrize("rootless", [False, True])
@pytest.mark.parametrize("cgroup", [False, True])
def test_passes_its_own_checks(rootless: bool, cgroup: bool) -> None:
    spec = default_spec(rootless=rootless, cgroup_namespace=cgroup, uid=1000, gid=1000)
    warnings: list[str] = []

    assert parse(render(spec).encode(), warnings.append) == spec
    assert warnings == []


def test_name_and_cgroup_namespace() -> None:
    spec = default_spec(cgroup_namespace=True)

    assert spec["hostname"] == "creche"
    assert spec["linux"]["namespaces"][-1] == {"type": "cgroup"}
    assert "cgroup" not in str(default_spec()["linux"]["namespaces"])


def test_documents_share_nothing() -> None:
    first = default_spec()
    first["process"]["capabilities"]["bounding"].append("CAP_SYS_ADMIN")

    assert "CAP_SYS_ADMIN" not in render(default_spec())
    assert "CAP_SYS_ADMIN" not in first["process"]["capabilities"]["effective"]
