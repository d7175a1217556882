"""creched-sweep: ends what containers are left when creched is gone and does not come back.

The unit of the containers (creched-containers.service) runs it when it is stopped, and that is when
nobody needs it any more: neither `systemctl restart creched` nor a crash of creched stops it.
creched ends its containers itself when it is asked to stop, gracefully; here is what happens to
them if it cannot. Each is killed, its cgroup and state are removed, its poststop hooks run.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from runtime.errors import CrecheError, NoSuchContainer
from runtime.lifecycle import blocking
from runtime.state import list_ids

DEFAULT_ROOT = "/run/creche"
ANNOTATION = "org.creche.workload"
"""Marks a container as made by creched; its value is the workload directory."""


class _Log:
    """What runtime.lifecycle has to say."""

    def debug(self, text: str) -> None:
        """Nobody asked."""

    def warning(self, text: str) -> None:
        print(f"creched-sweep: {text}", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; 0 unless something could not be removed."""
    parser = argparse.ArgumentParser(
        prog="creched-sweep",
        description="Ends and removes the containers that a creched has left. Does nothing while "
        "one is running.",
        allow_abbrev=False,
    )
    parser.add_argument("--root", metavar="DIR", default=DEFAULT_ROOT, help="default: %(default)s")
    root = os.path.abspath(parser.parse_args(arguments).root)
    status = 0
    with _lock(f"{root}/.creched/lock") as free:
        for name in list_ids(root) if free else ():
            try:
                _remove(root, name)
            except (CrecheError, OSError) as error:
                print(f"creched-sweep: {name}: {error}", file=sys.stderr)
                status = 1
    return status


@contextmanager
def _lock(path: str) -> Iterator[bool]:
    """Whether no creched is there, nor comes before the end."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False  # there never was one, or it has cleared up itself
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(fd)


def _remove(root: str, name: str) -> None:
    try:
        container = blocking.open_container(root, name, _Log())
        if ANNOTATION in container.state["annotations"]:
            blocking.delete(container, force=True)
    except NoSuchContainer:
        return


if __name__ == "__main__":
    sys.exit(main())
