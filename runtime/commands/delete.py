"""creche delete ID."""

from __future__ import annotations

from runtime.cli.options import Command, Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli.call import Call

COMMAND = Command(
    "delete",
    "remove what is left of a stopped container",
    flags=(
        Flag("force, f", "kill it first if it runs; no error if it does not exist"),
        # crun's: the argument is a pattern, matched against the start of each id.
        Flag("regex, r", "the id is a regular expression", hidden=True),
    ),
    about="""\
   Removes the container's state and cgroups and runs its poststop hooks. A container
   that was created but not started is killed; one that runs needs --force.""",
)


def run(call: Call) -> int:
    """Delete the container, or all that match."""
    from runtime.errors import NoSuchContainer, StateError
    from runtime.lifecycle import blocking

    force = call.flags.on("force")
    names = matching(call.root, call.id) if call.flags.on("regex") else [call.id]
    for name in names:
        try:
            container = blocking.open_container(call.root, name, call.log)
        except NoSuchContainer:
            if force:
                continue
            raise
        except StateError as error:
            if not force:
                raise
            call.log.warning(str(error))
            blocking.discard(call.root, name, call.log)
            continue
        blocking.delete(container, force=force)
    return 0


def matching(root: str, pattern: str) -> list[str]:
    """The ids that a pattern matches from their start. Raises CrecheError."""
    import re

    from runtime.errors import CrecheError
    from runtime.state import list_ids

    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise CrecheError(f"--regex {pattern}: {error}") from None
    return sorted(name for name in list_ids(root) if expression.match(name))
