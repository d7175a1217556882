"""How a hook ended, and runc's words for it."""


class HookResult:
    """How one hook ended.

    status: its exit status, None if a signal killed it or it never ran.
    signal: the number of that signal, else None. core: whether it dumped core.
    duration: seconds from start to end. stdout, stderr: the last bytes it wrote, at most
    hooks.tail.KEEP each; stdout_total, stderr_total: how many bytes there were.
    """

    __slots__ = (
        "core",
        "duration",
        "signal",
        "status",
        "stderr",
        "stderr_total",
        "stdout",
        "stdout_total",
    )

    def __init__(
        self,
        status: int | None = None,
        signal: int | None = None,
        core: bool = False,
        duration: float = 0.0,
        stdout: bytes = b"",
        stderr: bytes = b"",
        stdout_total: int | None = None,
        stderr_total: int | None = None,
    ) -> None:
        self.status = status
        self.signal = signal
        self.core = core
        self.duration = duration
        self.stdout = stdout
        self.stderr = stderr
        self.stdout_total = len(stdout) if stdout_total is None else stdout_total
        self.stderr_total = len(stderr) if stderr_total is None else stderr_total

    def describe(self) -> str:
        """`exit status 3`, `signal: killed`, as Go's ProcessState and therefore runc says it."""
        if self.signal is not None:
            name = _SIGNALS.get(self.signal, f"signal {self.signal}")
            return f"signal: {name}" + (" (core dumped)" if self.core else "")
        if self.status is None:
            return "exit status unknown"
        return f"exit status {self.status}"


# Go's syscall.Signal.String for Linux. Callers look for some of these literally, such as
# "bad system call" for a hook that seccomp killed.
_SIGNALS = {
    1: "hangup",
    2: "interrupt",
    3: "quit",
    4: "illegal instruction",
    5: "trace/breakpoint trap",
    6: "aborted",
    7: "bus error",
    8: "floating point exception",
    9: "killed",
    10: "user defined signal 1",
    11: "segmentation fault",
    12: "user defined signal 2",
    13: "broken pipe",
    14: "alarm clock",
    15: "terminated",
    16: "stack fault",
    24: "CPU time limit exceeded",
    25: "file size limit exceeded",
    26: "virtual timer expired",
    27: "profiling timer expired",
    29: "I/O possible",
    30: "power failure",
    31: "bad system call",
}
