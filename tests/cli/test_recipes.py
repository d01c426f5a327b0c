"""`passerby recipes`: the list, one recipe, a copy."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from passerby.cli import app
from passerby.config import load_recipe
from passerby.config.packaged import list_recipes
from passerby.errors import ConfigError

runner = CliRunner()


def run(*words: str, width: int = 80) -> str:
    environment = {"COLUMNS": str(width)}
    return runner.invoke(app, ["recipes", *words], env=environment, catch_exceptions=False).output


def test_a_wide_terminal_has_whole_descriptions() -> None:
    output = run("man", width=200)
    assert "…" not in output
    for name, recipe in list_recipes().items():
        if name.startswith("man/"):
            assert " ".join(recipe.describe().split()) in output


@pytest.mark.parametrize("words", [(), ("man",), ("sspnet/",), ("suites",)])
def test_the_list_fits_eighty_columns_and_has_a_description_for_each(words: tuple[str, ...]) -> None:
    lines = run(*words).splitlines()
    assert max(map(len, lines)) <= 80
    names = {line.split()[0] for line in lines if line.startswith("  ") and line[2] != " "}
    folder = words[0].rstrip("/") + "/" if words else ""
    assert names == {
        name for name in list_recipes() if name.startswith(folder) and (words or "/ablations/" not in name)
    }


def test_the_list_without_a_folder_counts_the_ablations() -> None:
    count = sum("/ablations/" in name for name in list_recipes())
    assert f"{count} ablations are not shown" in run()


def test_json_has_all_with_whole_descriptions() -> None:
    values = json.loads(run("--json"))
    assert [each["name"] for each in values] == list(list_recipes())
    assert {each["kind"] for each in values} == {"recipe", "suite"}
    assert all(Path(each["path"]).is_file() for each in values)
    assert [each["name"] for each in json.loads(run("baseline/own", "--json"))] == ["baseline/own"]


def test_one_is_printed_or_copied(tmp_path: Path) -> None:
    copy = tmp_path / "new" / "my.yaml"
    text = run("diaa/demo")
    assert "extends: baseline/demo\n" in text
    assert run("diaa/demo", "--out", str(copy)) == f"Wrote {copy}\n"
    assert copy.read_text(encoding="utf-8") == text
    assert load_recipe(copy) == load_recipe("diaa/demo")


def test_a_copy_overwrites_nothing(tmp_path: Path) -> None:
    mine = tmp_path / "my.yaml"
    mine.write_text("mine")
    for target in (mine, tmp_path):
        with pytest.raises(ConfigError, match="exists and is not overwritten"):
            run("baseline/own", "--out", str(target))
    assert mine.read_text() == "mine"
    with pytest.raises(ConfigError, match="choose another --out"):
        run("baseline/own", "--out", str(mine / "below.yaml"))


@pytest.mark.parametrize("words", [(), ("man",)])
def test_only_one_can_be_copied(words: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--out: expected the name of one recipe"):
        run(*words, "--out", str(tmp_path / "my.yaml"))


def test_an_unknown_name_is_an_error_with_near_ones() -> None:
    with pytest.raises(ConfigError, match=r"no recipe, suite or folder onw .* did you mean baseline/own\?"):
        run("onw")
