"""crechectl: asks creched, and tells it what to do."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from supervisor.ctl.commands import BY_NAME, FAILED
from supervisor.ctl.parser import make_parser
from supervisor.ctl.problem import Problem


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    options = make_parser().parse_args(arguments)
    command = BY_NAME[options.command]
    module = importlib.import_module(f"supervisor.ctl.{command.module}")
    try:
        if command.alone:
            return int(module.run(options))
        from supervisor.ctl.client import Client

        socket = options.socket or os.environ.get("CRECHE_SOCKET")
        client = Client(socket or f"{options.root}/.creched/control.sock")
        try:
            return int(module.run(client, options))
        finally:
            client.close()
            sys.stdout.flush()
    except Problem as problem:
        print(f"crechectl: {problem}", file=sys.stderr)
        return problem.status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # `crechectl events | head`: nothing is wrong, and nothing more can be said.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
