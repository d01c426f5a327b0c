"""Importing the package for prediction stays cheap."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import sys
import passerby.{name}
print(sum(module.split(".")[0] == "passerby" for module in sys.modules), "torch" in sys.modules)
"""


@pytest.mark.parametrize(("name", "most"), [("bundle", 18), ("inference", 28)])
def test_imports_load_few_modules_and_no_torch(name: str, most: int) -> None:
    code = CODE.format(name=name)
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    count, has_torch = output.split()
    assert int(count) <= most
    assert has_torch == "False"
