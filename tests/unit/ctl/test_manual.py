"""The man pages: made from the tables, and formatted without a complaint."""

from __future__ import annotations

import subprocess

import pytest

from supervisor.documents import DOCS
from supervisor.manual import PAGES


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_current(name: str) -> None:
    """`python -m supervisor.documents` writes them."""
    assert (DOCS / "man" / name).read_text() == PAGES[name]()


@pytest.mark.parametrize("name", PAGES)
def test_pages_can_be_read(name: str) -> None:
    """By man, with its warnings on."""
    path = str(DOCS / "man" / name)
    done = subprocess.run(
        ["man", "--warnings", "-l", path],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "80"},
    )
    assert done.stderr == ""
    assert "SEE ALSO" in done.stdout
    assert "\\-" not in done.stdout
