"""Packages load their public names when these are first used."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import passerby

LAZY = (
    "passerby.evaluation.localization",
    "passerby.explain",
    "passerby.metrics",
    "passerby.report",
    "passerby.visualization",
)


@pytest.mark.parametrize("package", LAZY)
def test_every_public_name_loads(package: str) -> None:
    module = import_module(package)
    for name in module.__all__:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nothing'"):
        _ = module.nothing


@pytest.mark.parametrize("package", LAZY)
def test_no_public_name_is_that_of_a_module(package: str) -> None:
    """Importing the module would replace the name in the package."""
    folder = Path(passerby.__file__).parents[1] / package.replace(".", "/")
    assert not {path.stem for path in folder.glob("*.py")} & set(import_module(package).__all__)


def test_packages_load_no_torch() -> None:
    packages = (*LAZY, "passerby.evaluation", "passerby.comparison", "passerby.inference", "passerby.bundle")
    code = f"import sys, {', '.join(packages)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
