"""What CI and the matrix of engines make of pytest's results."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.engines import matrix
from tests.support.results import (
    FAILED,
    KNOWN,
    PASSED,
    Outcome,
    failed,
    next_suffix,
    read_part,
    reasons,
    recovered,
    total,
)

_TESTS = """\
import os
import pytest

def test_good(): pass
@pytest.mark.parametrize("runtime", ["runc"])
def test_with(runtime): pass
def test_known(): pytest.xfail("it has to")
def test_skipped(): pytest.skip("no reason")
def test_bad(): assert "AGAIN" in os.environ

@pytest.fixture
def untidy():
    yield
    assert "AGAIN" in os.environ

def test_untidy(untidy): pass
"""


def _pytest(directory: Path, name: str, *words: str, **environment: str) -> None:
    (directory / "test_it.py").write_text(_TESTS)
    results = f"--junitxml={directory}/results/{name}.xml"
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir=."]
    subprocess.run(
        [*argv, results, *words],
        cwd=directory,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
    )


def test_a_second_run_corrects_the_first(tmp_path: Path) -> None:
    """With the names that pytest itself takes, and what skipped tests said."""
    _pytest(tmp_path, "it", "test_it.py")
    first = read_part(tmp_path / "results")
    assert failed(first) == ["test_it.py::test_bad", "test_it.py::test_untidy"]
    assert total(first) == "2 passed, 2 failed, 2 skipped"
    assert reasons(first) == ["failed as expected 1: it has to", "skipped 1: no reason"]

    _pytest(tmp_path, "it.again1", *failed(first), AGAIN="1")
    second = read_part(tmp_path / "results")
    assert total(second) == "4 passed, 0 failed, 2 skipped"
    assert set(second) == set(first)
    assert recovered(tmp_path / "results") == failed(first)


def test_a_third_run_corrects_the_second(tmp_path: Path) -> None:
    results = tmp_path / "results"
    _pytest(tmp_path, "it", "test_it.py")
    assert next_suffix(results) == ".again1"
    _pytest(tmp_path, "it.again1", "test_it.py::test_bad", AGAIN="1")
    assert failed(read_part(results)) == ["test_it.py::test_untidy"]
    assert next_suffix(results) == ".again2"
    _pytest(tmp_path, "it.again2", "test_it.py::test_untidy", AGAIN="1")
    assert total(read_part(results)) == "4 passed, 0 failed, 2 skipped"
    assert recovered(results) == ["test_it.py::test_bad", "test_it.py::test_untidy"]


def test_a_pytest_that_did_not_end_is_a_failure(tmp_path: Path) -> None:
    assert total(read_part(tmp_path / "none")) == "0 passed, 1 failed, 0 skipped"
    (tmp_path / "it.xml").write_text("<testsuites><testsuite>")
    assert failed(read_part(tmp_path)) == ["it"]
    _pytest(tmp_path, "../it.again1", "test_it.py", AGAIN="1")
    assert failed(read_part(tmp_path)) == []


def test_the_matrix() -> None:
    def name(check: str) -> str:
        return f"tests/engines/test_podman.py::test_{check}"

    table = matrix.rows(
        {
            name("run[creche]"): Outcome(PASSED),
            name("run[runc]"): Outcome(PASSED),
            name("bad_program[creche-missing]"): Outcome(FAILED),
            name("bad_program[runc-missing]"): Outcome(PASSED),
            name("privileged[creche]"): Outcome(PASSED),
            name("privileged[runc]"): Outcome(KNOWN),
            name("alone[creche]"): Outcome(PASSED),
            "tests/engines/test_podman.py::test_of_no_runtime": Outcome(FAILED),
        }
    )
    assert matrix.worse(table) == [("podman", "bad program: missing")]
    assert matrix.lines(table) == [
        "engine  check                 creche   runc",
        "podman  alone                 passed   -",
        "podman  bad program: missing  failed   passed",
        "podman  privileged            passed   known",
        "podman  run                   passed   passed",
        "worse than runc: podman: bad program: missing",
        "equal to runc or better: 3 of 4",
    ]
