"""The public namespace of the package: complete, documented, loaded only when used."""

import pydoc
import subprocess
import sys
from pathlib import Path

import pytest

import passerby

HEAVY = "{'torch', 'numpy', 'pyarrow', 'PIL', 'pydantic', 'yaml', 'timm', 'lightning', 'rich'}"


def run(code: str) -> str:
    """The output of Python code in a new process."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def count_own_modules(code: str) -> int:
    """Number of modules of this package that the code imports."""
    return int(run(f"{code}; import sys; print(sum(m.startswith('passerby') for m in sys.modules))"))


@pytest.mark.parametrize("name", passerby.__all__)
def test_public_name_exists_and_has_a_docstring(name: str) -> None:
    value = getattr(passerby, name)
    assert value is not None
    assert name == "__version__" or value.__doc__


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        passerby.laod  # noqa: B018


def test_dir_lists_the_public_names_only() -> None:
    assert dir(passerby) == sorted(passerby.__all__)
    assert len(set(passerby.__all__)) == len(passerby.__all__)


def test_star_import_gives_the_public_names() -> None:
    assert run("from passerby import *; print(load.__name__, list_models.__name__)") == "load list_models"


def test_help_lists_the_public_names() -> None:
    text = pydoc.render_doc(passerby, renderer=pydoc.plaintext)
    assert "bundle = passerby.load(" in text
    assert passerby.__version__ in text
    for name in passerby.__all__:
        assert name == "__version__" or name in text, name


def test_api_page_lists_the_public_names() -> None:
    page = (Path(__file__).parents[1] / "docs/reference/api/index.md").read_text(encoding="utf-8")
    for name in passerby.__all__:
        assert name == "__version__" or f"`{name}`" in page, name


@pytest.mark.parametrize("start", ["import passerby", "import passerby.cli"])
def test_heavy_packages_are_loaded_only_when_used(start: str) -> None:
    assert run(f"import sys; {start}; print(*({HEAVY} & set(sys.modules)))") == ""


def test_a_name_loads_few_modules() -> None:
    assert count_own_modules("import passerby") <= 4
    load = count_own_modules("import passerby; passerby.load")
    assert load <= 45
    assert count_own_modules("import passerby.inference") <= load + 15
