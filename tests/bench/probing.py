"""One container of creched's, and programs in it: `python -m tests.bench.probing BASE`.

For each line on standard input `true` runs in the container, as a health probe does, by way of the
launcher; answered is how many milliseconds that took. BASE holds the directory `workloads`, with
one workload. Ends with its standard input.
"""

from __future__ import annotations

import sys
import time

import trio

from supervisor.engine import Engine
from supervisor.workload.directory import read_all


async def main(base: str) -> None:
    """Until standard input ends."""
    (workload,), _ = read_all(f"{base}/workloads", f"{base}/scratch")
    async with Engine(f"{base}/root", state=f"{base}/state") as engine:
        container = engine.container(workload, lambda *_, **__: None)
        await container.create()
        try:
            await container.start()
            inside = container.inside()
            plan = inside.prepare(["/bin/true"])
            async with trio.lowlevel.FdStream(0) as asked:
                print("ready", flush=True)
                while await asked.receive_some():
                    began = time.monotonic_ns()
                    ran = await inside.run(plan, 0)
                    took = time.monotonic_ns() - began
                    if ran.exit.code:
                        raise RuntimeError(f"true: {ran.exit}")
                    print(took / 1e6, flush=True)
        finally:
            await container.delete()


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
