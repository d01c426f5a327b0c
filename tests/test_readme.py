"""The commands, Python examples, links and tables of README and docs work and agree with the files."""

import json
import os
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from typer.testing import CliRunner

import passerby
from passerby.cli import app
from passerby.comparison.aggregate import aggregate, format_markdown
from passerby.comparison.attribute_table import create_attribute_table
from passerby.comparison.localization_comparison import LocalizationComparison
from passerby.comparison.run_comparison import Comparison
from passerby.comparison.stored import format_comparison
from passerby.config import load_recipe
from passerby.data.formats.pa100k import SCHEMA
from passerby.evaluation.score_files import COMPARISON_SUFFIX, load_results
from passerby.types import Preprocess

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
RESULTS = ROOT / "results"


def read(page: str | Path) -> str:
    """The text of a page."""
    return (ROOT / page).read_text(encoding="utf-8")


README = read("README.md")


def name_page(value: object) -> str:
    """Its path in the repository, as the id of a test."""
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else str(value)


def read_block(heading: str) -> str:
    """The first shell block below a heading."""
    section = README.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    found = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert found, f"no shell block below {heading!r}"
    return found[1]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that commands refer to, with an untrained model in the place of the demo's."""
    for name in ("recipes", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    recipe = load_recipe(ROOT / "recipes" / "baseline" / "demo.yaml")
    model = passerby.create_model("baseline", schema=SCHEMA, pretrained=False, **recipe.model.arguments)
    size = Preprocess(recipe.input.height, recipe.input.width)
    passerby.Bundle(model, size, thresholds=(0.5,) * len(SCHEMA), metadata={}).save(
        tmp_path / "demo/run/bundle"
    )
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=name_page)
def test_generated_tables_have_an_end_line(page: Path) -> None:
    """`scripts/fill_tables.py` needs it."""
    marks = re.findall(r"^<!-- (made by `[^`\n]+`|end) -->$", read(page), re.MULTILINE)
    assert all(mark.startswith("made by") for mark in marks[::2])
    assert marks[1::2] == ["end"] * (len(marks) // 2)
    assert len(marks) % 2 == 0


@pytest.mark.slow
def test_commands_for_your_own_data_run_as_printed(checkout: Path) -> None:
    tools = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        ["sh", "-e", "-c", read_block("Your own data")],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "shop/photos/customer239.jpg" in done.stdout
    labels = (checkout / "shop" / "labels.csv").read_text().splitlines()
    assert any(",," in line or line.endswith(",") for line in labels), "no unknown labels in the example"
    manifest = passerby.Manifest.load(checkout / "shop.parquet")
    assert (manifest.labels == -1).any()
    assert list((checkout / "runs" / "shop").rglob("*-seed0.json"))


@pytest.mark.parametrize("page", ["README.md", "docs/how-to/localize.md"])
def test_python_examples_run(
    page: str, checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    blocks = re.findall(r"```python\n(.*?)```", read(page), re.DOTALL)
    assert blocks
    Image.new("RGB", (60, 120), "teal").save(checkout / "photo.jpg")
    monkeypatch.chdir(checkout)
    names: dict[str, object] = {}
    for block in blocks:  # a block may use the names of earlier ones
        exec(compile(block, page, "exec"), names)
        assert capsys.readouterr().out
    assert list(checkout.glob("where.*"))


@pytest.mark.parametrize("page", PAGES, ids=name_page)
def test_python_examples_import_existing_names(page: Path) -> None:
    for module, names in re.findall(r"^ *from (passerby[\w.]*) import (.+)$", read(page), re.MULTILINE):
        for name in names.split(","):
            assert hasattr(import_module(module), name.strip()), f"{module}.{name.strip()}"


@pytest.mark.parametrize("page", PAGES, ids=name_page)
def test_linked_files_exist(page: Path) -> None:
    generated = {"cli.md", "recipe-keys.md", "suite-keys.md"}
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)[^)]*\)", read(page)):
        assert (page.parent / target).exists() or Path(target).name in generated, target


@pytest.mark.parametrize("page", PAGES, ids=name_page)
def test_named_repository_files_exist(page: Path) -> None:
    folders = "benchmarks|scripts|examples|recipes|docs|src|tests"
    for path in re.findall(rf"(?<![\w/.-])(?:{folders})/[\w./-]*\w", read(page)):
        assert (ROOT / path).exists(), path


# ---------------------------------------------------------------------- tables


def test_table_of_scores_matches_files() -> None:
    assert format_markdown(aggregate(load_results([RESULTS]))) in read("docs/results/index.md")


STORED = re.compile(
    r"^<!-- made by `passerby compare(?:-localization)? results/(\S+) --markdown` -->$", re.MULTILINE
)


def test_stored_comparisons_are_found() -> None:
    marks = [read(page).count("<!-- made by `passerby compare") for page in PAGES]
    assert [len(STORED.findall(read(page))) for page in PAGES] == marks
    assert sum(marks) > 20


@pytest.mark.parametrize(
    ("page", "name"), [(page, name) for page in PAGES for name in STORED.findall(read(page))], ids=name_page
)
def test_comparison_matches_file(page: Path, name: str) -> None:
    path = RESULTS / name
    of_scores = path.name.endswith(COMPARISON_SUFFIX)
    stored = Comparison.load(path) if of_scores else LocalizationComparison.load(path)
    assert format_comparison(stored) in read(page)
    if isinstance(stored, LocalizationComparison):
        check_box_ious(stored, path.parent)
        return
    scores = {(r.variant, r.seed): r.metrics for r in load_results([path.parent])}
    for run in stored.runs:
        assert run.scores["mA"] == tuple(scores[run.variant, seed]["mA"] for seed in run.seeds)


def check_box_ious(stored: LocalizationComparison, folder: Path) -> None:
    """The IoU of each run and seed are those of a score file in the folder of the comparison."""
    noted = []
    for path in folder.rglob("*.localization.json"):
        columns = json.loads(path.read_text(encoding="utf-8"))["per_attribute"]
        noted.append(pytest.approx({name: each["box_iou"]["value"] for name, each in columns.items()}))
    for run in stored.runs:
        for seed in range(len(run.seeds)):
            assert {name: each["box_iou"][seed] for name, each in run.scores.items()} in noted


QUICK = re.compile(r"^<!-- made by `((?:passerby results results/|python docs/_hooks/summary_table).*)` -->$")


@pytest.mark.parametrize(
    ("page", "command"),
    [(page, mark[1]) for page in PAGES for line in read(page).splitlines() if (mark := QUICK.match(line))],
    ids=name_page,
)
def test_short_table_matches_results(page: Path, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    program, *words = shlex.split(command)
    if program == "passerby":
        done = CliRunner().invoke(app, words)
        output, failed = done.stdout, done.exit_code
    else:
        process = subprocess.run(
            [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False
        )
        output, failed = process.stdout, process.returncode
    assert not failed, output
    assert f"<!-- made by `{command}` -->\n{output}<!-- end -->\n" in read(page)


@pytest.mark.slow
def test_table_of_geometric_parsing_matches_results() -> None:
    script = ROOT / "benchmarks" / "geometric_parsing.py"
    done = subprocess.run(
        [sys.executable, str(script), "--table"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("| IoU |")
    assert done.stdout in read("docs/how-to/annotate.md")


def test_table_by_attribute_matches_file() -> None:
    score = "results/ablations-128x96/peta/man-mobilenetv2_100-8-epochs-man-full-seed0.json"
    table = create_attribute_table(aggregate(load_results([ROOT / score])))
    assert table.format_markdown() in read("docs/models/man.md")


# ---------------------------------------------------------------------- README


def test_readme_is_a_landing_page() -> None:
    assert len(README.splitlines()) <= 120
    for rows in re.findall(r"(?:^\|.*\n)+", README, re.MULTILINE):
        assert rows.count("\n") <= 7
        assert rows.split("\n", 1)[0].count("|") <= 7
