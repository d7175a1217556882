"""Which tests run in the machine.

Emulation makes a test 15 to 40 times slower, so it is a selection: whatever depends on cgroup v2
with all its controllers or on the kernel of Debian 12 (6.1), and a cross-section of the rest.
"""

from __future__ import annotations

SLOWNESS = 5  # factor for deadlines of the tests; what waits for one of them hangs

# Path -> the tests that are run, with parameters where not all are wanted; none: the whole file.
INTEGRATION: dict[str, tuple[str, ...]] = {
    "tests/integration/test_cgroups.py": (),
    "tests/integration/test_delegation.py": (),
    "tests/integration/test_seccomp.py": (),
    "tests/integration/test_harness.py": (
        "test_the_session_has_left_the_machine",
        "test_a_container_runs_in_the_harness",
    ),
    "tests/integration/test_hooks.py": (
        "test_failure_has_status_and_output",
        "test_deadline_kills_everything",
        "test_deadline_against_one_who_ignores_signals[trio]",
        "test_daemon_of_a_successful_hook_lives_on[blocking]",
        "test_own_cgroup_while_running_none_after",
        "test_cgroups_that_the_hook_made_are_removed",
        "test_inside_an_init_without_proc_cgroup_and_imports",
    ),
    "tests/integration/test_cli.py": (
        "test_pause_and_resume",
        "test_exec_runs_and_reports",
        "test_stop_kills_what_does_not_listen",
    ),
    "tests/integration/test_runtime_namespaces.py": (
        "test_without_a_pid_namespace_kill_means_everybody",
        # Not with runc: its 1.1.5 leaves the cgroup behind here.
        "test_delete_ends_what_outlived_init[creche]",
        "test_ids_are_mapped[creche]",
    ),
    "tests/integration/test_runtime_mounts.py": (
        "test_what_runc_spec_mounts",
        "test_idmapped_mounts",
    ),
    "tests/integration/test_live_mounts.py": (
        "test_added_and_removed",
        "test_in_a_user_namespace",
    ),
    "tests/integration/test_walkthrough.py": (
        "test_run_memcached_from_the_export[creche]",
        "test_the_guides_config_seen_from_inside",
        "test_create_start_list_stop_delete[creche]",
        "test_a_network_made_by_hand[creche]",
    ),
    # Before Linux 6.15 the interpreter is sealed in a way of its own.
    "tests/attack/test_interpreter_file.py": (
        "test_the_interpreter_cannot_be_overwritten[run-script]",
        "test_the_interpreter_cannot_be_overwritten[exec-directly]",
    ),
    "tests/integration/test_supervisor_containers.py": (
        "test_out_of_memory_is_told_from_other_kills",
    ),
}

PARTS = ("integration", "service", "survival", "networks", "scopes", "checkpoint", "reboot")

COMMON = ("-q", "-o", "faulthandler_timeout=600", "--durations=10")


def arguments(part: str) -> list[str]:
    """Return pytest's arguments for a part."""
    if part != "integration":
        return [*COMMON, f"tests/system/test_{part}.py"]
    words = []
    for path, tests in INTEGRATION.items():
        words += [f"{path}::{test}" for test in tests] or [path]
    return [*COMMON, *words]
