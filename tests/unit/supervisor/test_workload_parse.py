"""What a workload.toml may say, and exactly what is said of one that is wrong."""

from __future__ import annotations

import pytest

from supervisor.policy import OnLimit, Policy, When
from supervisor.workload.errors import WorkloadError
from supervisor.workload.model import Settings
from supervisor.workload.parse import parse_settings
from supervisor.workload.sections import SECTIONS
from supervisor.workload.sections.container import Container, Mount
from supervisor.workload.sections.hooks import Hook, Hooks
from supervisor.workload.sections.stop import Stop

DURATION = 'a duration: seconds, or a string such as "500ms", "2s", "5m", "1h"'
SIZE = 'a size of at least 4096 bytes: bytes, or a string such as "64M" or "1G"'
STATUS = 'an exit status from 0 to 255 or a signal such as "SIGTERM"'
ARGS = "a non-empty array, each a string without NUL"
C = '[container]\nargs = ["a"]\n'

MISTAKES = [
    # Not TOML at all
    ("[restart\n", "w:1: not TOML: expected ']' at the end of a table declaration"),
    ("[restart]\npolicy = never\n", "w:2: not TOML: invalid value"),
    ("a = 1\na = 2\n", "w:2: not TOML: cannot overwrite a value"),
    ("a = nope", "w:1: not TOML: invalid value"),
    ("\n\n\udcff", "w:3: not UTF-8 text"),
    # Keys and tables
    ("[restrat]\n", "w:1: restrat: unknown key; did you mean 'restart'?"),
    (
        "[flavour]\n",
        "w:1: flavour: unknown key: expected one of "
        + ", ".join(section.name for section in SECTIONS),
    ),
    ("[restart]\npolcy = 'never'\n", "w:2: restart.polcy: unknown key; did you mean 'policy'?"),
    (
        "[restart]\n\nreset_after = 1\n",
        "w:3: restart.reset_after: unknown key; did you mean 'reset-after'?",
    ),
    ("[stop]\nsignals = 'TERM'\n", "w:2: stop.signals: unknown key; did you mean 'signal'?"),
    (
        "[stop]\nwhen = 1\n",
        "w:2: stop.when: unknown key: expected one of signal, timeout",
    ),
    ("restart = 3\n", "w:1: restart: expected a table, found 3"),
    ("[[restart]]\n", "w:1: restart: expected a table, found [a table]"),
    ("hooks = 'x'\n", 'w:1: hooks: expected a table, found "x"'),
    # [restart]
    (
        "[restart]\npolicy = 'sometimes'\n",
        'w:2: restart.policy: expected one of "never", "on-failure", "on-abnormal", "always", '
        'found "sometimes"',
    ),
    (
        "[restart]\npolicy = true\n",
        'w:2: restart.policy: expected one of "never", "on-failure", "on-abnormal", "always", '
        "found true",
    ),
    ("[restart]\ndelay = 'soon'\n", f'w:2: restart.delay: expected {DURATION}, found "soon"'),
    ("[restart]\ndelay = -1\n", f"w:2: restart.delay: expected {DURATION}, found -1"),
    ("[restart]\ndelay = nan\n", f"w:2: restart.delay: expected {DURATION}, found nan"),
    ("[restart]\ndelay = true\n", f"w:2: restart.delay: expected {DURATION}, found true"),
    ("[restart]\ndelay = '5 m'\n", f'w:2: restart.delay: expected {DURATION}, found "5 m"'),
    ("restart.max = '99999d'\n", f'w:1: restart.max: expected {DURATION}, found "99999d"'),
    (
        "[restart]\nfactor = 0.5\n",
        "w:2: restart.factor: expected a number from 1 to 100, found 0.5",
    ),
    (
        "[restart]\nfactor = inf\n",
        "w:2: restart.factor: expected a number from 1 to 100, found inf",
    ),
    ("[restart]\njitter = 2\n", "w:2: restart.jitter: expected a number from 0 to 1, found 2"),
    (
        "[restart]\nlimit = 1.5\n",
        "w:2: restart.limit: expected a whole number from 0 to 1000000, found 1.5",
    ),
    (
        "[restart]\nlimit = -1\n",
        "w:2: restart.limit: expected a whole number from 0 to 1000000, found -1",
    ),
    (
        "[restart]\nlimit = true\n",
        "w:2: restart.limit: expected a whole number from 0 to 1000000, found true",
    ),
    (
        "[restart]\non-limit = 'halt'\n",
         'w:2: restart.on-limit: expected one of "fail", "cooldown", "stop-group", "run", '
        '"stop-supervisor", "reboot", found "halt"',
    ),
    (
        "[restart]\nsuccess = 3\n",
        f"w:2: restart.success: expected an array, each {STATUS}, found 3",
    ),
    (
        "[restart]\nsuccess = [0, 256]\n",
        f"w:2: restart.success[1]: expected {STATUS}, found 256",
    ),
    (
        "[restart]\nsuccess = ['SIGWHAT']\n",
        f'w:2: restart.success[0]: expected {STATUS}, found "SIGWHAT"',
    ),
    (
        "[restart]\nmax = 5\ndelay = '10s'\n",
        "w:3: restart.delay: expected at most restart.max (5 s), found 10 s",
    ),
    (
        "[restart]\nlimit = 1\nwindow = 0\n",
        "w:3: restart.window: expected more than 0 together with restart.limit, found 0",
    ),
    # [stop]
    ("[stop]\nsignal = 'KILLL'\n", 'w:2: stop.signal: expected a signal such as "SIGTERM", '
     'found "KILLL"'),
    ("[stop]\nsignal = 0\n", 'w:2: stop.signal: expected a signal such as "SIGTERM", found 0'),
    ("[stop]\ntimeout = [1]\n", f"w:2: stop.timeout: expected {DURATION}, found [1]"),
    # [hooks]
    ("[hooks]\ntimeout = 'x'\n", f'w:2: hooks.timeout: expected {DURATION}, found "x"'),
    (C + "[[hooks.poststrat]]\n", "w:3: hooks.poststrat: unknown key; did you mean 'poststart'?"),
    (C + "[[hooks.prestart]]\n", "w:3: hooks.prestart[0]: path is missing: expected a non-empty "
     "string"),
    (C + "[hooks.prestart]\n", "w:3: hooks.prestart: expected an array of tables, found a table"),
    (
        C + "[[hooks.poststop]]\npath='/x'\n[[hooks.poststop]]\npath='/x'\nargs=[]\n",
        f"w:7: hooks.poststop[1].args: expected {ARGS}, found []",
    ),
    (
        C + "[[hooks.poststop]]\npath='/x'\nenv={A=1}\n",
        "w:5: hooks.poststop[0].env.A: expected a string without NUL, found 1",
    ),
    (
        "[[hooks.prestart]]\npath='/x'\n",
        "w:1: hooks.prestart: hooks go together with [container]; a config.json holds its own",
    ),
    # [container]
    ("[container]\n", f"w:1: container: args is missing: expected {ARGS}"),
    ("[container]\nargs = 'sh'\n", f'w:2: container.args: expected {ARGS}, found "sh"'),
    ("[container]\nargs = []\n", f"w:2: container.args: expected {ARGS}, found []"),
    (
        '[container]\nargs = ["a", 1]\n',
        "w:2: container.args[1]: expected a string without NUL, found 1",
    ),
    (
        '[container]\nargs = ["a\\u0000b"]\n',
        'w:2: container.args[0]: expected a string without NUL, found "a\\x00b"',
    ),
    (C + "rootfs = ''\n", 'w:3: container.rootfs: expected a non-empty string, found ""'),
    (
        C + "env = {'A=B' = 'c'}\n",
        'w:3: container.env.A=B: expected a variable name without "=", found "A=B"',
    ),
    (C + "env = ['A=B']\n", 'w:3: container.env: expected a table of strings, found ["A=B"]'),
    (
        C + "user = 'nobody'\n",
        'w:3: container.user: expected a numeric "uid" or "uid:gid", found "nobody"',
    ),
    (
        C + "user = '4294967295'\n",
        'w:3: container.user: expected a numeric "uid" or "uid:gid", found "4294967295"',
    ),
    (
        C + "cwd = 'tmp'\n",
        'w:3: container.cwd: expected an absolute path without "..", found "tmp"',
    ),
    (
        C + "hostname = '-x'\n",
        "w:3: container.hostname: expected a host name of letters, digits, dots and dashes, "
        'found "-x"',
    ),
    (
        C + "network = 'bridge'\n",
        'w:3: container.network: expected one of "none", "host", found "bridge"',
    ),
    (C + "read-only = 1\n", "w:3: container.read-only: expected true or false, found 1"),
    (C + "memory = '64X'\n", f'w:3: container.memory: expected {SIZE}, found "64X"'),
    (C + "memory = 1\n", f"w:3: container.memory: expected {SIZE}, found 1"),
    (C + "cpus = 0\n", "w:3: container.cpus: expected a number from 0.01 to 4096, found 0"),
    (
        C + "pids = 0\n",
        "w:3: container.pids: expected a whole number from 1 to 4194304, found 0",
    ),
    (
        C + "capabilities = ['NET ADMIN']\n",
        'w:3: container.capabilities[0]: expected a capability such as "CAP_NET_BIND_SERVICE", '
        'found "NET ADMIN"',
    ),
    (
        C + "terminal = true\n",
        "w:3: container.terminal: unknown key: expected one of rootfs, args, env, user, cwd, "
        "hostname, network, read-only, capabilities, memory, oom-group, cpus, pids, mounts",
    ),
    (
        C + "[[container.mounts]]\nsource = '/a'\n",
        'w:3: container.mounts[0]: destination is missing: expected an absolute path without ".."',
    ),
    (
        C + "[[container.mounts]]\ndestination = '/a/../b'\n",
        'w:4: container.mounts[0].destination: expected an absolute path without "..", '
        'found "/a/../b"',
    ),
    (
        C + "mounts = ['x']\n",
        'w:3: container.mounts[0]: expected a table, found "x"',
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_mistakes_are_named_with_line_key_expected_and_found(text: str, message: str) -> None:
    """One mistake, one message, word for word."""
    with pytest.raises(WorkloadError) as caught:
        parse_settings(text.encode("utf-8", "surrogateescape"), "w")

    assert str(caught.value) == message


def test_every_mistake_is_reported_in_order() -> None:
    """Nobody has to mend them one by one."""
    text = "[stop]\ntimeout = 'x'\n[restart]\npolicy = 1\nfoo = 2\n"
    with pytest.raises(WorkloadError) as caught:
        parse_settings(text.encode(), "w")

    assert [(problem.line, problem.key) for problem in caught.value.problems] == [
        (2, "stop.timeout"),
        (4, "restart.policy"),
        (5, "restart.foo"),
    ]


def test_text_inside_strings_is_no_key() -> None:
    """A line in a multi-line string that looks like a key does not lead the line count astray."""
    text = '[container]\nargs = ["a", """\nmemory = 5\n[stop]\n"""]\nmemory = 1\n'
    with pytest.raises(WorkloadError) as caught:
        parse_settings(text.encode(), "w")

    assert caught.value.problems[0].line == 6


def test_empty_file_means_the_defaults() -> None:
    """An empty workload.toml beside a config.json is enough."""
    assert parse_settings(b"", "w") == Settings()
    assert Settings().restart == Policy()


def test_everything_that_can_be_said() -> None:
    """Each key arrives where it belongs."""
    text = """
    [restart]
    policy = "always"
    delay = "500ms"
    factor = 3
    max = "5m"
    jitter = 0.5
    reset-after = "1h"
    limit = 4
    window = "1d"
    on-limit = "stop-supervisor"
    success = [3, "SIGTERM", "HUP"]
    [stop]
    signal = "INT"
    timeout = 2.5
    [hooks]
    timeout = 7
    [[hooks.poststop]]
    path = "clean"
    args = ["clean", "-f"]
    env = { A = "b" }
    timeout = "3s"
    [container]
    rootfs = "root"
    args = ["/bin/true", "é"]
    env = { LANG = "C.UTF-8" }
    user = "1:2"
    cwd = "/tmp"
    hostname = "box"
    network = "host"
    read-only = false
    capabilities = ["net_raw"]
    memory = "1G"
    cpus = 1.5
    pids = 7
    [[container.mounts]]
    destination = "/data"
    source = "/srv"
    options = ["bind"]
    """
    assert parse_settings(text.encode(), "w") == Settings(
        restart=Policy(
            When.ALWAYS, 0.5, 3, 300, (), 0.5, 3600, 4, 86400, OnLimit.STOP_SUPERVISOR,
            success=frozenset({3, -15, -1}),
        ),
        stop=Stop(2, 2.5),
        hooks=Hooks(7, (("poststop", (Hook("clean", ("clean", "-f"), (("A", "b"),), 3.0),)),)),
        container=Container(
            args=("/bin/true", "é"),
            rootfs="root",
            env=(("LANG", "C.UTF-8"),),
            user=(1, 2),
            cwd="/tmp",
            hostname="box",
            network="host",
            read_only=False,
            capabilities=("CAP_NET_RAW",),
            memory=1 << 30,
            cpus=1.5,
            pids=7,
            mounts=(Mount("/data", "/srv", "bind", ("bind",)),),
        ),
    )  # fmt: skip


def test_a_user_may_be_a_number() -> None:
    """And is then his own group."""
    settings = parse_settings((C + "user = 5\n").encode(), "w")

    assert settings.container is not None
    assert settings.container.user == (5, 5)
