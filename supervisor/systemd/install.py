"""creched-install: puts what systemd needs to run creched where systemd looks for it.

The files come with the package (etc/ in the checkout, share/creche once it is installed). Programs
are named in them as /usr/bin/NAME, and get the paths that they have in this installation, a virtual
environment for example. Nothing is started or enabled; what is there of the same name is replaced.

The hook for other engines (docs/networks.md) only comes when it is asked for: by its annotation
whoever can set one, on CRI-O whoever may make a pod, chooses networks and ports of the host.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

TARGETS = {
    "systemd": "etc/systemd/system",
    "tmpfiles.d": "etc/tmpfiles.d",
    "sysusers.d": "etc/sysusers.d",
}
"""Directory of etc/ -> where its files go, below the root."""
HOOKS = {"hooks.d": "etc/containers/oci/hooks.d"}
"""The same of hooks for engines (oci-hooks(5))."""
PROGRAMS = ("creched", "creched-sweep", "crechectl", "creche-network")
NEXT = """\
To go on:
    systemd-sysusers && systemd-tmpfiles --create
    systemctl daemon-reload
    systemctl enable --now creched.service"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="creched-install",
        description="Installs creched's units and what else systemd needs; starts nothing.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--root", metavar="DIR", default="/", help="install below DIR (default: %(default)s)"
    )
    parser.add_argument(
        "--hooks",
        action="store_true",
        help="install the hook, too, by which podman and others give containers networks",
    )
    options = parser.parse_args(arguments)
    targets = TARGETS | HOOKS if options.hooks else TARGETS
    try:
        programs = os.path.dirname(os.path.abspath(sys.argv[0]))
        for path in install(Path(options.root), source(), programs, targets):
            print(path)
    except OSError as error:
        print(f"creched-install: {error.strerror}: {error.filename}", file=sys.stderr)
        return 1
    print(NEXT)
    return 0


def source() -> Path:
    """Where the files come from. Raises FileNotFoundError."""
    checkout = Path(__file__).parents[2] / "etc"
    for place in (Path(sys.prefix) / "share/creche", checkout):
        if (place / "systemd/creched.service").exists():
            return place
    raise FileNotFoundError(2, "no units of creche there", str(Path(sys.prefix) / "share/creche"))


def install(
    root: Path, place: Path, programs: str, targets: Mapping[str, str] = TARGETS
) -> Iterator[Path]:
    """Write every file; yields the paths. `programs`: the directory of our programs."""
    for kind, target in targets.items():
        for file in sorted((place / kind).iterdir()):
            path = root / target / file.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(adapted(file.read_text(), programs))
            path.chmod(0o644)
            yield path


def adapted(text: str, programs: str) -> str:
    """A unit or a hook with the paths that programs have here."""
    for name in PROGRAMS:
        text = re.sub(rf'(?<=[= "])/usr/bin/{name}(?=[\s"])', f"{programs}/{name}", text)
    return text


if __name__ == "__main__":
    sys.exit(main())
