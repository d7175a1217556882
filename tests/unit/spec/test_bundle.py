"""Finding config.json in a bundle, whatever lies there."""

import os
from pathlib import Path

import pytest

from runtime.errors import ConfigError
from runtime.jsonio import MAX_SIZE
from runtime.spec import default_spec, load_bundle, read_limited, render


def refused(bundle: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_bundle(str(bundle))
    return str(caught.value)


def test_reads(tmp_path: Path) -> None:
    spec = default_spec()
    (tmp_path / "config.json").write_text(render(spec))

    assert load_bundle(str(tmp_path)) == spec


def test_missing(tmp_path: Path) -> None:
    assert refused(tmp_path) == f"JSON specification file {tmp_path}/config.json not found"


def test_fifo_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")

    assert refused(tmp_path) == (
        f"open {tmp_path}/config.json: expected a regular file, found another kind"
    )


def test_directory(tmp_path: Path) -> None:
    (tmp_path / "config.json").mkdir()

    assert refused(tmp_path) == (
        f"open {tmp_path}/config.json: expected a regular file, found another kind"
    )


def test_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text(render(default_spec()))
    (tmp_path / "config.json").symlink_to("real.json")

    assert refused(tmp_path) == (
        f"open {tmp_path}/config.json: expected a regular file, found a symbolic link"
    )


def test_not_a_bundle(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert refused(tmp_path / "file") == f"open {tmp_path}/file/config.json: not a directory"


def test_too_large(tmp_path: Path) -> None:
    (tmp_path / "config.json").touch()
    os.truncate(tmp_path / "config.json", MAX_SIZE + 1)

    assert refused(tmp_path) == (
        f"config.json: expected at most {MAX_SIZE} bytes, found {MAX_SIZE + 1}"
    )


def test_names_the_file_where_there_is_no_path(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{,}")

    assert refused(tmp_path) == (
        "config.json: not valid JSON: expected property name in double quotes (line 1 column 2)"
    )


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    (tmp_path / "config.json").write_text("[]")

    refused(tmp_path)

    assert sorted(os.listdir("/proc/self/fd")) == before


def test_limit_of_a_pipe() -> None:
    """A pipe has no size to look at first."""
    reader, writer = os.pipe()
    os.write(writer, b"x" * 100)
    os.close(writer)
    try:
        with pytest.raises(ConfigError, match="read process file: expected at most 99 bytes"):
            read_limited(reader, "process file", limit=99)
    finally:
        os.close(reader)
