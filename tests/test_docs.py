"""Navigation, generated pages and YAML examples of the docs; `make docs` builds the site and checks links."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
import yaml

from passerby.cli import app
from passerby.config import Recipe
from passerby.config.suite import SuiteSection

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
GENERATED = {"reference/cli.md", "reference/recipe-keys.md", "reference/suite-keys.md"}


class Loader(yaml.SafeLoader):
    """Accepts the tags of mkdocs.yml."""


Loader.add_multi_constructor("", lambda loader, suffix, node: None)


@pytest.fixture
def reference() -> ModuleType:
    """The hook that makes pages of the reference."""
    for name in ("mkdocs", "griffe"):
        pytest.importorskip(name, reason="the site needs the dependency group docs")
    spec = importlib.util.spec_from_file_location("reference", DOCS / "_hooks" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def list_nav(entry: Any) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    entries = entry.values() if isinstance(entry, dict) else entry
    return [page for each in entries for page in list_nav(each)]


def test_navigation_lists_each_page_once() -> None:
    config = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader=Loader)
    listed = list_nav(config["nav"])
    assert len(listed) == len(set(listed))
    assert set(listed) == {path.relative_to(DOCS).as_posix() for path in PAGES} | GENERATED


def test_command_page_has_every_option(reference: ModuleType) -> None:
    page = "\n".join(reference.list_commands())
    group = typer.main.get_command(app)
    top = group.make_context("passerby", [], resilient_parsing=True)
    for name in group.list_commands(top):
        command = group.get_command(top, name)
        section = re.split(
            r"^## ", page.split(f"## passerby {name}\n", 1)[1], maxsplit=1, flags=re.MULTILINE
        )[0]
        for option in command.params:
            assert option.opts[0] in section or option.name in section, f"{name} {option.name}"


@pytest.mark.parametrize("model", [Recipe, SuiteSection])
def test_key_page_has_every_key(reference: ModuleType, model: Any) -> None:
    page = "\n".join(reference.list_keys(model, "Keys", ""))
    sections = dict(reference.find_sections(model))
    keys = [
        name for part in (model, *sections.values()) for name in part.model_fields if name not in sections
    ]
    missing = [key for key in keys if f"\n`{key}` · " not in page and f"## {key}" not in page]
    assert not missing


EXAMPLES = [
    pytest.param(text, id=f"{path.relative_to(DOCS)}-{i}")
    for path in PAGES
    for i, text in enumerate(re.findall(r"```yaml\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL))
]


@pytest.mark.parametrize("text", EXAMPLES)
def test_keys_of_yaml_examples_exist(text: str) -> None:
    values = yaml.safe_load(text)
    if "suite" in values:
        SuiteSection.model_validate(values)
        return
    if not values.keys() & Recipe.model_fields.keys():
        return  # a label map
    for name, section in values.items():
        if name == "extends":
            continue
        assert name in Recipe.model_fields
        keys = getattr(Recipe.model_fields[name].annotation, "model_fields", {})
        assert not isinstance(section, dict) or section.keys() <= keys.keys()
