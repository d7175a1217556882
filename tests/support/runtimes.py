"""Call a runtime's command line: creche's, or a peer's to compare with."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tests.support.waiting import DEADLINE

REPOSITORY = Path(__file__).resolve().parents[2]
CRECHE = REPOSITORY / "runtime" / "creche"
PATH_VARIABLE = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

Argument = str | os.PathLike[str]


@dataclass(frozen=True)
class Result:
    """What a command answered."""

    argv: list[str]
    rc: int
    stdout: str
    stderr: str

    def ok(self) -> Result:
        """Insist on success."""
        assert self.rc == 0, self.describe()
        return self

    def failed(self, rc: int | None = None) -> Result:
        """Insist on failure, with this exit status if one is given."""
        assert self.rc != 0 if rc is None else self.rc == rc, self.describe()
        return self

    def json(self) -> Any:
        """Parse stdout."""
        return json.loads(self.stdout)

    def describe(self) -> str:
        """Return everything about the call, for a failure's message."""
        words = " ".join(self.argv)
        return f"{words}\nexit status {self.rc}\nstdout: {self.stdout}\nstderr: {self.stderr}"


class Runtime:
    """One runtime with a private state directory."""

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self.root = root
        self._program = str(CRECHE) if name == "creche" else shutil.which(name, path=PATH_VARIABLE)

    @property
    def available(self) -> bool:
        """Say whether the program is there."""
        return self._program is not None and os.access(self._program, os.X_OK)

    def argv(self, args: Sequence[Argument]) -> list[str]:
        """Return the words of a call, for tests that start it themselves."""
        assert self._program is not None, f"{self.name} is not installed"
        return [self._program, "--root", str(self.root), *(os.fspath(word) for word in args)]

    def run(
        self,
        args: Sequence[Argument],
        *,
        stdin: bytes | int = subprocess.DEVNULL,
        env: Mapping[str, str] | None = None,
        cwd: Argument | None = None,
        pass_fds: Sequence[int] = (),
        timeout: float = DEADLINE,
    ) -> Result:
        """Call the runtime and wait for it.

        The output goes to files, so that a detached container that keeps its stdout neither delays
        the end nor dies of SIGPIPE afterwards.
        """
        argv = self.argv(args)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            with tempfile.TemporaryFile() as source:
                if isinstance(stdin, bytes):
                    source.write(stdin)
                    source.seek(0)
                done = subprocess.run(
                    argv,
                    stdin=source if isinstance(stdin, bytes) else stdin,
                    stdout=out,
                    stderr=err,
                    env=_environment(env),
                    cwd=cwd,
                    pass_fds=pass_fds,
                    timeout=timeout,
                )
            return Result(argv, done.returncode, _content(out), _content(err))

    def popen(self, args: Sequence[Argument], **options: Any) -> subprocess.Popen[bytes]:
        """Start the runtime and return at once; stdout and stderr are pipes if not given."""
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        options["env"] = _environment(options.get("env"))
        return subprocess.Popen(self.argv(args), **options)

    def state(self, container: str) -> Any:
        """Return the parsed answer of ``state``."""
        return self.run(["state", container]).ok().json()

    def status(self, container: str) -> str:
        """Return the status that ``state`` shows."""
        return str(self.state(container)["status"])

    def pid(self, container: str) -> int:
        """Return the container's init as the host numbers it."""
        return int(self.state(container)["pid"])

    def exists(self, container: str) -> bool:
        """Say whether the container is known."""
        return self.run(["state", container]).rc == 0

    def clean(self) -> None:
        """Force-delete every container that a test left in the private state directory."""
        if not self.root.is_dir():
            return
        for container in sorted(entry.name for entry in self.root.iterdir()):
            self.run(["delete", "--force", container])

    def __str__(self) -> str:
        return self.name


def _environment(env: Mapping[str, str] | None) -> dict[str, str]:
    return {"PATH": PATH_VARIABLE} if env is None else dict(env)


def _content(file: IO[bytes]) -> str:
    # pread, because the container writes through the same file description and its offset.
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), size, 0).decode(errors="replace")
