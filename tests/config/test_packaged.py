"""The recipes and suites of the package, by name."""

from pathlib import Path

import pytest
import yaml

from passerby.config import load_recipe, load_suite
from passerby.config.packaged import find_recipe, list_recipes, read_copy
from passerby.errors import ConfigError

RECIPES = Path(__file__).parents[2] / "recipes"
COPIED = (
    "baseline/own",
    "diaa/demo",
    "diaa/ablations/wider/full",
    "sspnet/ablations/peta-mobilenetv2-128x96/sspnet-r",
)


@pytest.fixture(autouse=True)
def _weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipes of the package name files of weights, which loading does not open."""
    monkeypatch.setenv("PASSERBY_WEIGHTS", "/weights")


def test_all_files_of_the_folder_are_found_by_name() -> None:
    found = list_recipes()
    assert {each.path.resolve() for each in found.values()} == set(RECIPES.resolve().rglob("*.yaml"))
    assert found["suites/peta-128x96"].path.name == "peta-128x96.yaml"
    assert {each.kind for name, each in found.items() if name.startswith("suites/")} == {"suite"}
    assert {each.kind for name, each in found.items() if not name.startswith("suites/")} == {"recipe"}


def test_every_recipe_describes_itself_in_one_sentence() -> None:
    for name, recipe in list_recipes().items():
        description = recipe.describe()
        assert len(description) > 5, name
        assert "\n" not in description, name
        assert not description.startswith("#"), name


def test_the_description_is_the_first_sentence_of_the_comment(tmp_path: Path) -> None:
    packaged = list_recipes()["baseline/own"]
    file = tmp_path / "one.yaml"
    one = type(packaged)("one", file)
    file.write_text(
        "# Eq. 5 of Li et al. Used, on\n# two lines. Another.\n#   passerby train\nseed: 1  # Not this.\n"
    )
    assert one.describe() == "Eq. 5 of Li et al. Used, on two lines."
    file.write_text("seed: 1\n")
    assert not one.describe()


def test_a_name_and_its_file_are_the_same_recipe() -> None:
    assert load_recipe("baseline/own") == load_recipe(RECIPES / "baseline" / "own.yaml")
    assert load_suite("suites/peta-128x96").runs == load_suite(RECIPES / "suites" / "peta-128x96.yaml").runs


def test_a_path_that_exists_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "baseline/own").mkdir(parents=True)  # a folder is no recipe
    assert find_recipe("baseline/own") == RECIPES / "baseline" / "own.yaml"
    (tmp_path / "baseline/own").rmdir()
    (tmp_path / "baseline/own").write_text("variant: mine")
    assert find_recipe("baseline/own") == Path("baseline/own")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("baseline/onw", "did you mean baseline/own"),
        ("recipes/baseline/own.yaml", r"did you mean baseline/own\?"),  # a path of the checkout
        ("own", r"did you mean baseline/own\?"),
        ("nothing/like/it.yaml", "in the package; `passerby recipes` lists all"),
        ("../recipes/baseline/own", "no recipe of that name"),
        ("suites/peta", "suites/peta is a suite; the command for it is `passerby suite suites/peta`"),
    ],
)
def test_a_name_that_the_package_lacks_is_an_error_with_near_ones(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        load_recipe(name)


def test_a_recipe_is_no_suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="baseline/own is a recipe; the command for it is `passerby train"):
        load_suite("baseline/own")


def test_extends_takes_a_path_next_to_the_file_or_a_name_of_the_package(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("extends: baseline/own\nseed: 7\n")
    assert load_recipe(mine) == load_recipe("baseline/own", ["seed=7"])
    (tmp_path / "baseline").mkdir()
    (tmp_path / "baseline/own").write_text("extends: baseline/demo\nvariant: nearer\n")
    assert load_recipe(mine).variant == "nearer"
    mine.write_text("extends: baseline/onw\n")
    with pytest.raises(ConfigError, match=r"to which .*mine.yaml refers, .* did you mean baseline/own"):
        load_recipe(mine)


@pytest.mark.parametrize("name", COPIED)
def test_a_copy_of_a_recipe_equals_it(name: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy.yaml"
    copy.write_text(read_copy(list_recipes()[name]), encoding="utf-8")
    assert load_recipe(copy) == load_recipe(name)


@pytest.mark.parametrize("name", [name for name in list_recipes() if name.startswith("suites/")])
def test_a_copy_of_a_suite_equals_it(name: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy.yaml"
    copy.write_text(read_copy(list_recipes()[name]), encoding="utf-8")
    assert load_suite(copy) == load_suite(name)


def test_a_copy_refers_to_packaged_recipes_by_name_and_leaves_other_paths() -> None:
    suite = read_copy(list_recipes()["suites/peta"])
    assert ".yaml" not in suite
    assert yaml.safe_load(read_copy(list_recipes()["suites/peta-128x96"]))["extends"] == "suites/peta"
    assert "manifest: own.parquet" in read_copy(list_recipes()["baseline/own"])
