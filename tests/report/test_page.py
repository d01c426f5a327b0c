"""The report: complete, self-contained, escaped, with the right samples."""

from __future__ import annotations

import base64
import io
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import passerby.report as report
from passerby.errors import DataError
from passerby.evaluation.evaluation import Evaluation
from passerby.report.case_gallery import choose_random, choose_worst, create_cards, create_confusions
from passerby.report.charts import Line, draw_lines, draw_rarity, draw_reliability
from passerby.report.inputs import Run, load_sources
from passerby.report.page import create_report, write_report
from passerby.report.svg import COLOURS
from toy_evaluations import make_result

Make = Callable[..., Evaluation]
VOID = {"meta", "link", "img", "br", "wbr", "input", "hr"}


class Reader(HTMLParser):
    """Check that tags nest, and collect ids, addresses and tag names."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href"):
                (self.links if (value or "").startswith("#") else self.addresses).append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


def test_the_page_is_self_contained(evaluation: Evaluation, run: Path) -> None:
    html = create_report([Run.load(run)], [evaluation])
    reader = read(html)
    assert all(address.startswith("data:") for address in reader.addresses)
    assert not {"script", "iframe", "object"} & reader.tags
    assert "url(http" not in html
    assert "@import" not in html
    assert len(reader.ids) == len(set(reader.ids))
    assert {link[1:] for link in reader.links} <= set(reader.ids)


def test_scores_protocol_and_model_are_stated(evaluation: Evaluation, run: Path) -> None:
    html = create_report([Run.load(run)], [evaluation])
    for value in evaluation.summary().values():
        assert f"{100 * value:.1f}" in html
    assert "positive if p &gt; 0.5, unknown labels ignored; epoch chosen by best mA on val" in html
    assert (
        "1 of 5 attributes lacks positives or negatives and is left out of mA: Umbrella &lt;open&gt;." in html
    )
    assert "epoch 9 was selected" in html
    assert "baseline · mobilenetv2_<wbr>100 · sb" in html


def test_names_and_recipes_are_escaped(evaluation: Evaluation, run: Path) -> None:
    html = create_report([Run.load(run)], [evaluation], title="<i>mine</i>")
    assert "Umbrella &lt;open&gt;" in html
    assert "<open>" not in html
    assert "&lt;b&gt;not bold&lt;/b&gt;" in html
    assert "<i>mine" not in html


def test_the_same_input_gives_the_same_page(evaluation: Evaluation, run: Path) -> None:
    assert create_report([Run.load(run)], [evaluation]) == create_report([Run.load(run)], [evaluation])


def test_other_protocols_are_stated(make: Make) -> None:
    html = create_report([], [make(protocol="threshold-0.45")])
    assert "The protocol is threshold-0.45" in html
    assert "The protocol is" not in create_report([], [make()])
    assert "so the scores are optimistic" in create_report([], [make(split="val")])


def test_five_crops_are_stated(evaluation: Evaluation) -> None:
    five = replace(evaluation, five_crops=True, metadata={**evaluation.metadata, "seed": 4})
    html = create_report([], [evaluation, five], pictures=0)
    assert "drawn, official, test, five crops, seed 4" in html
    assert html.count("; mean of five crops.") == 1
    assert "mean ± standard deviation" not in html  # they differ in more than the seed


def test_pictures_can_be_left_out(evaluation: Evaluation) -> None:
    html = create_report([], [evaluation], pictures=0)
    assert "<img" not in html
    assert "Random samples" not in html
    assert "The hardest attributes" in html


def test_missing_pictures_are_rejected(evaluation: Evaluation, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"--root.*--no-images"):
        create_report([], [replace(evaluation, root=tmp_path)])


def test_a_report_of_a_run(run: Path) -> None:
    html = create_report([Run.load(run)], [])
    assert read(html).tags >= {"svg", "figure"}
    assert "<title>run – passerby report</title>" in html


def test_an_empty_report_is_rejected() -> None:
    with pytest.raises(DataError, match="got none"):
        create_report([], [])


def test_mean_and_standard_deviation_over_seeds(make: Make) -> None:
    one, two = make(seed=0), make(seed=1)
    two = replace(two, metadata={**two.metadata, "seed": 4})
    html = create_report([], [one, two], pictures=2)
    low, high = one.scores.mA, two.scores.mA
    assert f"{50 * (low + high):.1f} ± {100 * abs(high - low) / 2**0.5:.2f}" in html
    assert "mean ± standard deviation" not in create_report([], [one, make(split="val")], pictures=0)
    read(html)


# ---------------------------------------------------------------------- sources


def test_evaluations_below_a_run_are_found(evaluation: Evaluation, run: Path) -> None:
    evaluation.write(run / "test")
    runs, evaluations, localizations, *_ = load_sources([run, run / "test"])
    assert localizations == []
    assert [r.name for r in runs] == ["run"]
    assert len(evaluations) == 1
    assert runs[0].best_epoch == 9
    assert runs[0].column("val_mA")[0] == list(range(1, 13))


def test_score_files_are_shown_once_and_as_a_table_without_predictions(
    make: Make, run: Path, tmp_path: Path
) -> None:
    evaluation = make()
    evaluation.write(run / "test")
    for seed in (3, 4):
        replace(evaluation, metadata={**evaluation.metadata, "seed": seed}).write_result(tmp_path / "results")
    make_result().write(tmp_path / "results")
    sources = load_sources([run, tmp_path / "results", tmp_path, *(tmp_path / "results").rglob("*.json")])
    assert [len(each) for each in sources] == [1, 1, 0, 0, 2]
    assert sorted(result.seed for result in sources.results) == [0, 4]
    html = create_report(*sources[:3], results=sources.results, pictures=0)
    read(html)
    assert '<h2 id="s-h">Score files</h2>' in html
    assert f"{100 * evaluation.scores.mA:.2f}" in html  # seed 4
    assert "80.00" in html  # the other score file
    assert "drawn official/test, protocol default: 1 of 5 attributes lacks positives or negatives" in html
    only = create_report([], [], results=[make_result(), make_result(seed=1)])
    assert "baseline · mobilenetv2_<wbr>100 · sb</h1>" in only
    assert "80.00 ± 0.00" in only


def test_comparisons_in_a_folder_are_shown_and_other_files_are_not(
    evaluation: Evaluation, run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    evaluation.write(run / "test")
    evaluation.write(run / "teacher-predictions" / "train")
    stored = Path(__file__).parents[2] / "results" / "peta-128x96" / "peta" / "passerby.comparison.json"
    shutil.copy(stored, tmp_path / "a.comparison.json")
    (tmp_path / "notes.json").write_text("no JSON")
    sources = load_sources([tmp_path])
    assert [len(each) for each in sources] == [1, 1, 0, 1, 0]
    assert caplog.messages == []
    load_sources([tmp_path, run / "recipe.yaml"])
    assert caplog.messages[0].startswith(f"left out: {run / 'recipe.yaml'}: expected a folder of")


def test_a_foreign_file_with_the_name_of_a_comparison_is_left_out(
    evaluation: Evaluation, run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    foreign = tmp_path / "folder" / "y.comparison.json"
    foreign.parent.mkdir()
    foreign.write_text("{}")
    with pytest.raises(DataError, match=r"y\.comparison\.json is no comparison"):  # there is nothing else
        load_sources([foreign.parent])
    evaluation.write(run / "test")
    assert [len(each) for each in load_sources([tmp_path])] == [1, 1, 0, 0, 0]
    assert [message.split(" is no")[0] for message in caplog.messages] == [f"left out: {foreign}"]
    with pytest.raises(DataError, match=r"y\.comparison\.json is no comparison"):
        load_sources([run, foreign])


def test_other_folders_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a folder of `passerby train`"):
        load_sources([tmp_path])


@pytest.mark.parametrize("text", ["", "epoch,val_mA\n", "epoch,val_mA\n0,many\n", "step,val_mA\n0,0.5\n"])
def test_a_damaged_log_is_rejected(run: Path, text: str) -> None:
    (run / "logs" / "metrics.csv").write_text(text)
    with pytest.raises(DataError, match=r"metrics\.csv"):
        Run.load(run)


def test_missing_values_are_left_out(run: Path) -> None:
    (run / "logs" / "metrics.csv").write_text("epoch,val_mA\n0,0.5\n1,nan\n2,\n3,0.7\n")
    assert Run.load(run).column("val_mA") == ([1.0, 4.0], [0.5, 0.7])
    assert Run.load(run).column("lr") == ([], [])


# ---------------------------------------------------------------------- samples


def test_random_samples_depend_on_the_seed(evaluation: Evaluation) -> None:
    first = choose_random(evaluation, 6, seed=1)
    assert first.tolist() == choose_random(evaluation, 6, seed=1).tolist()
    assert first.tolist() != choose_random(evaluation, 6, seed=2).tolist()
    assert len(choose_random(evaluation, 500)) == len(set(choose_random(evaluation, 500).tolist())) == 20


def test_worst_samples(evaluation: Evaluation) -> None:
    probs = np.full_like(evaluation.probs, 0.5)
    labels = np.zeros_like(evaluation.labels)
    probs[7], probs[3], probs[5] = 0.9, 0.8, 1.0
    labels[5] = -1  # unknown labels have no error
    changed = replace(evaluation, probs=probs, labels=labels)
    assert choose_worst(changed, 2).tolist() == [7, 3]


def test_decisions_of_a_card(evaluation: Evaluation) -> None:
    probs, labels = evaluation.probs.copy(), evaluation.labels.copy()
    probs[0] = (0.9, 0.8, 0.1, 0.7, 0.2)
    labels[0] = (1, 0, 1, -1, 0)
    card = create_cards(replace(evaluation, probs=probs, labels=labels), [0])[0]
    assert [(d.name, d.kind, d.percent) for d in card.decisions] == [
        ("RedShirt", "false-positive", 80),
        ("Skirt", "missed", 10),
        ("Hat", "correct", 90),
        ("Bag", "unknown", 70),
    ]
    assert card.alt == "Correct: Hat. Missed: Skirt. False positives: RedShirt."
    picture = Image.open(io.BytesIO(base64.b64decode(card.source.split(",")[1])))
    assert picture.size == (48, 96)


def test_pictures_are_cropped_to_boxes(evaluation: Evaluation) -> None:
    card = create_cards(evaluation, [1])[0]  # odd rows have a box of height 90
    picture = Image.open(io.BytesIO(base64.b64decode(card.source.split(",")[1])))
    assert picture.size == (48, 90)


def test_confusions_count_every_known_label(evaluation: Evaluation) -> None:
    confusions = create_confusions(evaluation, 3)
    scores = evaluation.metrics()["per_attribute"]
    assert [c.name for c in confusions] == sorted(
        (n for n in scores if scores[n]["positives"]), key=lambda n: scores[n]["mA"]
    )[:3]
    for c in confusions:
        i = evaluation.schema.index(c.name)
        assert c.tp + c.fn + c.fp + c.tn == (evaluation.labels[:, i] >= 0).sum()
        assert c.tp + c.fn == scores[c.name]["positives"]
        assert len(c.missed) == min(3, c.fn)
        assert [card.decisions[0].kind for card in c.false_positives] == ["false-positive"] * min(3, c.fp)


# ---------------------------------------------------------------------- charts


def test_colours_are_variables() -> None:
    chart = draw_lines(
        "x", [Line("a", [1, 2], [1, 2]), Line("b", [1], [3], "b")], x="epoch", y="loss", caption="L"
    )
    assert not any(colour in chart.svg for colour in COLOURS.values())
    used = set(re.findall(r"#[0-9a-f]{6}\b", chart.svg))
    assert used == set(), f"colours that are no variables: {used}"
    assert "var(--a)" in chart.svg
    assert chart.svg.startswith("<svg")
    assert 'role="img"' in chart.svg


def test_calibration_of_perfect_and_wrong_probabilities() -> None:
    rng = np.random.default_rng(0)
    p = rng.random((4000, 3)).astype(np.float32)
    labels = (rng.random(p.shape) < p).astype(np.int8)
    assert error_of(draw_reliability("a", p, labels).caption) < 2
    assert error_of(
        draw_reliability("a", np.full_like(p, 0.9), np.zeros_like(labels)).caption
    ) == pytest.approx(90)
    assert error_of(draw_reliability("a", p, np.full_like(labels, -1)).caption) == 0


def error_of(caption: str) -> float:
    return float(re.findall(r"[\d.]+", caption)[0])


def test_chart_of_attributes_without_positives() -> None:
    assert "<svg" in draw_rarity("r", [0.0, 0.5, 1.0], [0.0, 0.9, 0.4]).svg


def test_the_file_is_written_atomically(tmp_path: Path) -> None:
    write_report(tmp_path / "deep" / "r.html", "<p>ü</p>")
    assert (tmp_path / "deep" / "r.html").read_text(encoding="utf-8") == "<p>ü</p>"
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["r.html"]


# ---------------------------------------------------------------------- style


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("background", ["paper", "card", "well"])
@pytest.mark.parametrize("text", ["ink", "soft", "a", "correct", "false-positive", "missed", "unknown"])
def test_text_has_contrast(scheme: int, background: str, text: str) -> None:
    """WCAG 2 AA: at least 4.5 to 1."""
    style = (Path(report.__file__).parent / "style.css").read_text()
    block = re.findall(r":root \{.*?\}", style, re.DOTALL)[scheme]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
    dark, light = sorted((luminance(colours[text]), luminance(colours[background])))
    assert (light + 0.05) / (dark + 0.05) >= 4.5
