"""[[alerts]]: somebody is told, once for each incident, and nobody is held up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.supervised import Creched

pytestmark = pytest.mark.root


def workload(script: str, alert: str, restart: str = "") -> str:
    """Files its output; alerts as given."""
    return (
        f'[restart]\ndelay = "10ms"\njitter = 0\nfactor = 1\n{restart}\n'
        f'[stop]\ntimeout = "100ms"\n[logs]\nto = "file"\n{alert}\n'
        f"[container]\nargs = ['busybox', 'sh', '-c', '''{script}''']\n"
    )


def test_a_crash_loop_is_told_once(creched: Creched, tmp_path: Path) -> None:
    """Its first failure and its giving up, each with the event and the last lines."""
    told = tmp_path / "told"
    told.mkdir()
    run = f"cat > {told}/$CRECHE_WORKLOAD-$CRECHE_ALERT.$$"
    alert = f'[[alerts]]\non = ["failed", "gave-up"]\nrun = ["/bin/sh", "-c", "{run}"]\n'
    creched.add("a", workload("echo the end; exit 3", alert, 'limit = 3\nwindow = "1h"'))
    creched.start("--once")

    assert creched.finish() == 1
    assert len(creched.find("exited", "a")) == 4
    files = sorted(told.iterdir())
    assert [path.name.partition(".")[0] for path in files] == ["a-failed", "a-gave-up"]
    assert all(path.read_text().endswith("}\n") for path in files)  # whole lines
    first, last = (json.loads(path.read_text()) for path in files)
    assert (first["alert"], first["workload"]) == ("failed", "a")
    assert first["event"]["event"] == "restart-scheduled"
    assert first["last"] == ["the end"]
    assert last["event"]["event"] == "gave-up"
    assert [event["alert"] for event in creched.find("alerted", "a")] == ["failed", "gave-up"]


def test_it_has_recovered(creched: Creched, tmp_path: Path) -> None:
    """Told when it has been ready for a while."""
    alert = (
        '[[alerts]]\non = ["recovered"]\nsettle = "300ms"\nrun = ["/bin/sh", "-c", '
        f'"cat > {tmp_path}/told"]\n'
    )
    script = (
        "trap exit TERM; test -e /tmp/x/second || { touch /tmp/x/second; exit 3; }; "
        "sleep 1000 & wait"
    )
    shared = tmp_path / "shared"
    shared.mkdir()
    mount = (
        f'[[container.mounts]]\ndestination = "/tmp/x"\nsource = "{shared}"\noptions = ["bind"]\n'
    )
    creched.add("a", workload(script, alert) + mount)
    creched.start()

    creched.wait_for("alerted", "a")
    assert json.loads((tmp_path / "told").read_text())["alert"] == "recovered"
    creched.hurry()
    creched.finish()


def test_programs_that_misbehave(creched: Creched) -> None:
    """One that is not there, one that fails, one that never ends: told, killed, and that is all."""
    alerts = "".join(
        f'[[alerts]]\non = ["gave-up"]\ntimeout = "200ms"\nrun = {json.dumps(run)}\n'
        for run in (
            ["/no/such/program"],
            ["/bin/sh", "-c", "echo broken >&2; exit 7"],
            ["/bin/sh", "-c", "sleep 1000 & sleep 1000"],
        )
    )
    creched.add("a", workload("exit 3", alerts, 'policy = "never"'))
    creched.start("--once")

    assert creched.finish() == 1
    messages = sorted(event["message"] for event in creched.find("alert-failed", "a"))
    assert len(messages) == 3
    assert any("exit status 7" in message and "broken" in message for message in messages)
    assert any("timed out" in message for message in messages)
    assert any("/no/such/program" in message for message in messages)
