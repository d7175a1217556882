"""creche mounts add|remove ID FILE."""

from __future__ import annotations

from runtime.cli.options import Command
from runtime.errors import CrecheError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli.call import Call

COMMAND = Command(
    "mounts",
    "add mounts to a running container, or take them away",
    args="add|remove <container-id> <file>",
    arity=(3, 3),
    about="""\
   The file is a JSON array like the configuration's mounts; - is standard input. Bind
   mounts can be added, and new instances of tmpfs and other filesystems that need no
   device: all in the file, or none. A source that is relative starts at the bundle. Of
   what is to be removed only the destination matters; nothing but what was added so is
   unmounted. crun has this command, runc has not.

       # echo '[{"destination": "/data", "source": "/srv/data", "options": ["rbind"]}]' |
             {name} mounts add mycontainer -""",
)


def run(call: Call) -> int:
    """Add or remove."""
    from runtime.cli.launching import read_document
    from runtime.lifecycle.blocking import open_container
    from runtime.livemounts import add, remove
    from runtime.plan.mounts import compile_mount, normalise
    from runtime.spec import parse_mounts

    action, container_id, path = call.args
    if action not in ("add", "remove"):
        raise CrecheError(f"mounts: expected add or remove, found {action!r}")
    container = open_container(call.root, container_id, call.log)
    config = container.state["config"]
    mounts = read_document(path, lambda data: parse_mounts(data, config, call.log.warning))
    if action == "remove":
        remove(container, [normalise(mount["destination"]) for mount in mounts])
        return 0
    linux, bundle = config.get("linux", {}), container.state["bundle"]
    warn = call.log.warning
    ops = [compile_mount(i, mount, linux, bundle, warn) for i, mount in enumerate(mounts)]
    add(container, ops)
    return 0
