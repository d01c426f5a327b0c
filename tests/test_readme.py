"""What the README tells a newcomer to type does what it says."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import passerby
from passerby.comparison.aggregate import aggregate, format_markdown
from passerby.comparison.attribute_table import create_attribute_table
from passerby.comparison.localization_comparison import LocalizationComparison
from passerby.comparison.run_comparison import Comparison
from passerby.config import load_recipe
from passerby.data.formats.pa100k import SCHEMA
from passerby.evaluation.score_files import COMPARISON_SUFFIX, load_results
from passerby.types import Preprocess

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def read_block(heading: str) -> str:
    """The first shell block below a heading."""
    section = README.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    found = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert found, f"no shell block below {heading!r}"
    return found[1]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What the README's commands refer to, with an untrained model where `make demo` leaves its own."""
    for name in ("recipes", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    recipe = load_recipe(ROOT / "recipes" / "baseline" / "demo.yaml")
    model = passerby.create_model("baseline", schema=SCHEMA, pretrained=False, **recipe.model.arguments)
    size = Preprocess(recipe.input.height, recipe.input.width)
    passerby.Bundle(model, size, thresholds=(0.5,) * len(SCHEMA), metadata={}).save(
        tmp_path / "demo/run/bundle"
    )
    return tmp_path


@pytest.mark.parametrize(
    "page", sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")]), ids=lambda p: p.name
)
def test_every_table_that_a_command_makes_has_its_end(page: Path) -> None:
    """So that `scripts/fill_tables.py` finds them."""
    marks = re.findall(r"^<!-- (made by `[^`\n]+`|end) -->$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert all(mark.startswith("made by") for mark in marks[::2])
    assert marks[1::2] == ["end"] * (len(marks) // 2)
    assert len(marks) % 2 == 0


@pytest.mark.slow
def test_data_of_ones_own_from_prepare_to_predict_exactly_as_printed(checkout: Path) -> None:
    tools = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        ["sh", "-e", "-c", read_block("Your own data")],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "shop/photos/customer239.jpg" in done.stdout
    labels = (checkout / "shop" / "labels.csv").read_text().splitlines()
    assert any(",," in line or line.endswith(",") for line in labels), "no unknown labels in the example"
    manifest = passerby.Manifest.load(checkout / "shop.parquet")
    assert (manifest.labels == -1).any()
    assert list((checkout / "runs" / "shop").rglob("*-seed0.json"))


@pytest.mark.parametrize("page", ["README.md", "docs/localizing.md"])
def test_the_python_examples_run(
    page: str, checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    Image.new("RGB", (60, 120), "teal").save(checkout / "photo.jpg")
    monkeypatch.chdir(checkout)
    names: dict[str, object] = {}
    for block in blocks:  # later ones go on with the names of earlier ones
        exec(compile(block, page, "exec"), names)
        assert capsys.readouterr().out
    assert list(checkout.glob("where.*"))


def test_the_table_of_scores_is_made_from_the_files() -> None:
    page = (ROOT / "docs" / "scores.md").read_text(encoding="utf-8")
    assert format_markdown(aggregate(load_results([ROOT / "results"]))) in page


def test_pictures_and_pages_that_the_readme_names_are_there() -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


STORED = re.compile(
    r"^<!-- made by `passerby compare(?:-localization)? results/(\S+) --markdown` -->$", re.MULTILINE
)


def test_every_stored_comparison_that_a_page_shows_is_looked_at() -> None:
    pages = [README, *(page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md"))]
    marks = [page.count("<!-- made by `passerby compare") for page in pages]
    assert [len(STORED.findall(page)) for page in pages] == marks
    assert marks[0] > 0
    assert sum(marks) > 20


@pytest.mark.parametrize(
    ("page", "name"),
    [
        (page, name)
        for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
        for name in STORED.findall(page.read_text(encoding="utf-8"))
    ],
    ids=lambda value: value.name if isinstance(value, Path) else value,
)
def test_the_comparison_of_a_page_is_made_from_its_file(page: Path, name: str) -> None:
    path = ROOT / "results" / name
    of_scores = path.name.endswith(COMPARISON_SUFFIX)
    stored = Comparison.load(path) if of_scores else LocalizationComparison.load(path)
    assert stored.format_markdown() in page.read_text(encoding="utf-8")
    if isinstance(stored, LocalizationComparison):
        check_box_ious(stored, path.parent)
        return
    scores = {(r.variant, r.seed): r.metrics for r in load_results([path.parent])}
    for run in stored.runs:
        assert run.scores["mA"] == tuple(scores[run.variant, seed]["mA"] for seed in run.seeds)


def check_box_ious(stored: LocalizationComparison, folder: Path) -> None:
    """The IoU of each run and seed are those of a score that lies beside the comparison."""
    noted = []
    for path in folder.rglob("*.localization.json"):
        columns = json.loads(path.read_text(encoding="utf-8"))["per_attribute"]
        noted.append(pytest.approx({name: each["box_iou"]["value"] for name, each in columns.items()}))
    for run in stored.runs:
        for seed in range(len(run.seeds)):
            assert {name: each["box_iou"][seed] for name, each in run.scores.items()} in noted


def test_the_table_of_geometric_parsing_is_that_of_its_results() -> None:
    script = ROOT / "benchmarks" / "geometric_parsing.py"
    done = subprocess.run(
        [sys.executable, str(script), "--table"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("| IoU |")
    assert done.stdout in (ROOT / "docs" / "annotating.md").read_text(encoding="utf-8")


def test_the_table_by_attribute_is_made_from_its_file() -> None:
    score = ROOT / "results" / "peta" / "man-mobilenetv2_100-8-epochs-man-full-seed0.json"
    table = create_attribute_table(aggregate(load_results([score])))
    assert table.format_markdown() in (ROOT / "docs" / "man.md").read_text(encoding="utf-8")
