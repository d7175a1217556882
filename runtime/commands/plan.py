"""creche plan: what a bundle's configuration is compiled to, without doing any of it."""

from __future__ import annotations

from runtime.cli.call import emit
from runtime.cli.launching import BUNDLE, bundle_directory
from runtime.cli.options import Command, Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli.call import Call

COMMAND = Command(
    "plan",
    "show what would be done to start a bundle's container",
    args="",
    arity=(0, 0),
    flags=(BUNDLE, Flag("json", "as JSON, complete")),
    about="""\
   The launch plan is compiled from config.json alone: namespaces, every mount in its
   order, devices, limits, capabilities, program. Nothing is created or changed, and no
   right is needed beyond reading the bundle.""",
)


def run(call: Call) -> int:
    """Compile and print."""
    from runtime.cgroups import discover
    from runtime.plan.compile import compile_plan
    from runtime.spec import load_bundle

    bundle = bundle_directory(call)
    spec = load_bundle(bundle, call.log.warning)
    plan = compile_plan(spec, discover(), bundle, call.log.warning)
    if call.flags.on("json"):
        from runtime.jsonio import dumps

        emit(dumps(plan, indent="  ") + "\n")
        return 0
    from runtime.cli.readable import readable

    emit(readable(plan))
    return 0
