"""creched.toml: strict, and wary of who could have written it."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.errors import CrecheError
from supervisor.control.server import page_listener
from supervisor.control.settings import Control, Http, group_id
from supervisor.settings import Settings, read_settings
from supervisor.workload.errors import WorkloadError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where it may lie."""
    tmp_path.chmod(0o755)
    path = tmp_path / "creched.toml"
    path.touch()
    path.chmod(0o644)
    return path


def test_whole(file: Path) -> None:
    """Every key."""
    file.write_text(
        '[control]\nread-only = "/run/x/r.sock"\ngroup = "adm"\n[http]\nlisten = "[::1]:80"\n'
    )
    assert read_settings(str(file)) == Settings(
        control=Control("/run/x/r.sock", "adm"), http=Http("[::1]:80")
    )


def test_empty(file: Path) -> None:
    """Everything may be left out."""
    assert read_settings(str(file)) == Settings()


def test_the_sample(file: Path) -> None:
    """The one in etc/, as it is and with its comments taken away."""
    sample = (Path(__file__).parents[3] / "etc" / "creched.toml").read_text()
    file.write_text(sample)
    assert read_settings(str(file)) == Settings()

    lines = [line.removeprefix("# ") for line in sample.splitlines() if "=" in line or "[" in line]
    file.write_text("\n".join(lines))
    assert read_settings(str(file)).http.listen == "127.0.0.1:9180"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[htp]", 'unknown key "htp"'),
        ("[http]\nlisten = 80", "http.listen: expected a non-empty string"),
        ('[control]\nread-only = "x"', "control.read-only: expected an absolute path"),
    ],
)
def test_mistakes(file: Path, text: str, message: str) -> None:
    """With the key, and what was expected."""
    file.write_text(text)
    with pytest.raises(WorkloadError) as error:
        read_settings(str(file))
    assert message.split(":")[0].split(" ")[-1].strip('"') in str(error.value)
    assert str(file) in str(error.value)


def test_others_could_have_written_it(file: Path) -> None:
    """Then it is not believed."""
    file.chmod(0o666)
    with pytest.raises(WorkloadError, match="writ"):
        read_settings(str(file))


def test_not_there(tmp_path: Path) -> None:
    """Named, it has to be there."""
    with pytest.raises(WorkloadError, match="does not exist"):
        read_settings(str(tmp_path / "none.toml"))


@pytest.mark.parametrize(
    "address",
    ["0.0.0.0:80", "192.168.1.1:80", "[::]:80", "localhost:80", "127.0.0.1", ":80", "::1:80",
     "127.0.0.1:99999", "127.0.0.1:-1", "127.0.0.1:x", ""],
)  # fmt: skip
def test_the_page_is_for_this_machine(address: str) -> None:
    """Nothing but a loopback address with a port."""
    with pytest.raises(CrecheError, match=r"127\.0\.0\.1:PORT"):
        page_listener(address)


def test_groups() -> None:
    """By name, by number; one that is not there with what to do about it."""
    assert group_id("root") == 0
    assert group_id("4711") == 4711
    with pytest.raises(CrecheError, match="groupadd"):
        group_id("no-such-group")
