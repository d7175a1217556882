"""The selection names tests that exist: found out here and not only once the machine has booted."""

from __future__ import annotations

import ast

import pytest

from tests.support.repository import REPOSITORY
from tests.system.parts import INTEGRATION


@pytest.mark.parametrize("path", INTEGRATION)
def test_selected_tests_exist(path: str) -> None:
    """Each name is a function of its file."""
    tree = ast.parse((REPOSITORY / path).read_text())
    there = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    wanted = {test.partition("[")[0] for test in INTEGRATION[path]}
    assert wanted <= there
