"""The package's front door."""

import subprocess
import sys

import pytest

import passerby


def test_every_public_name_is_there() -> None:
    for name in passerby.__all__:
        assert getattr(passerby, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        passerby.laod  # noqa: B018


@pytest.mark.parametrize("start", ["import passerby", "import passerby.cli"])
def test_nothing_heavy_is_loaded_before_it_is_needed(start: str) -> None:
    heavy = "{'torch', 'numpy', 'pyarrow', 'PIL', 'pydantic', 'yaml', 'timm', 'lightning', 'rich'}"
    code = f"import sys; {start}; sys.exit(', '.join({heavy} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
