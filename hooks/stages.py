"""The six kinds of hook: when and where each runs, and what its failure means.

Source: runtime-spec 1.3, config.md "POSIX-platform Hooks" and runtime.md "Lifecycle".
"""


class Stage:
    """One kind of hook, one row of the table below.

    name: the key in config.json. command: the operation that runs it.
    namespaces: whose namespaces the program runs in, "runtime" or "container".
    resolved_in: in whose file system `path` is looked up, "runtime" or "container".
    status: what `status` says in the state that the program reads.
    directory: its working directory: "bundle", "rootfs" (of the container, seen from inside its
    mount namespace before the root changes) or "/".
    failure: "destroy": the command fails, the container is destroyed, poststop hooks run;
    "warn": the failure is logged, the remaining hooks still run, the command succeeds.
    """

    __slots__ = (
        "command",
        "directory",
        "failure",
        "name",
        "namespaces",
        "resolved_in",
        "status",
    )

    def __init__(
        self,
        name: str,
        command: str,
        namespaces: str,
        resolved_in: str,
        status: str,
        directory: str,
        failure: str,
    ) -> None:
        self.name = name
        self.command = command
        self.namespaces = namespaces
        self.resolved_in = resolved_in
        self.status = status
        self.directory = directory
        self.failure = failure

    @property
    def keep_going(self) -> bool:
        """Whether the hooks after a failed one still run."""
        return self.failure == "warn"


# In the order in which they happen in a container's life. `prestart` is deprecated but runs
# where it always ran, before createRuntime.
STAGES = (
    Stage("prestart", "create", "runtime", "runtime", "creating", "bundle", "destroy"),
    Stage("createRuntime", "create", "runtime", "runtime", "creating", "bundle", "destroy"),
    Stage("createContainer", "create", "container", "runtime", "creating", "rootfs", "destroy"),
    Stage("startContainer", "start", "container", "container", "created", "/", "destroy"),
    Stage("poststart", "start", "runtime", "runtime", "running", "bundle", "destroy"),
    Stage("poststop", "delete", "runtime", "runtime", "stopped", "bundle", "warn"),
)

BY_NAME = {stage.name: stage for stage in STAGES}
