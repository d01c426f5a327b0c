"""The chapter of an evaluation of localisation."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from passerby.errors import DataError
from passerby.evaluation.evaluation import Evaluation
from passerby.evaluation.localization.cases import Case, LocalizationCases
from passerby.evaluation.localization.samples import MEASURES, LocalizationSamples
from passerby.evaluation.localization.scores import LocalizationProtocol, LocalizationScores
from passerby.report.charts import draw_confidence, draw_sizes
from passerby.report.inputs import load_sources
from passerby.report.page import create_report
from passerby.types import Box

SIZE = (64, 48)
NAMES = ("Hat", "Open<Umbrella>", "Female", "Rare")
COUNTS = (30, 20, 20, 3)
RED = (220, 30, 30)

Make = Callable[..., LocalizationScores]


def create_case(samples: LocalizationSamples, i: int, *, empty: bool = False) -> Case:
    heat = np.zeros(SIZE, np.uint8)
    if not empty:
        heat[8:24, 8:24] = 255
    return Case(
        image=samples.images[i],
        row=int(samples.rows[i]),
        crop=None,
        attribute=samples.attributes[samples.attribute[i]],
        prob=float(samples.probs[i]),
        box_iou=float(samples.measures["box_iou"][i]),
        found=() if empty else (Box(8, 8, 24, 24),),
        truth=(Box(16, 16, 40, 56),),
        heat=heat,
    )


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Scores of 73 samples and three cases with red images."""

    def create(*, masks: bool = False, cases: bool = True, **changes: object) -> LocalizationScores:
        rng = np.random.default_rng(0)
        attribute = np.repeat(np.arange(len(NAMES)), COUNTS)
        count = len(attribute)
        measures = {name: rng.random(count) for name in MEASURES}
        for name in ("insertion", "deletion", *(() if masks else ("mask_iou", "mask_energy", "mask_share"))):
            measures[name] = np.full(count, np.nan)
        samples = LocalizationSamples(
            attributes=NAMES,
            attribute=attribute,
            images=[f"images/{i}.png" for i in range(count)],
            identities=[None] * count,
            rows=np.arange(count),
            probs=rng.random(count),
            measures=measures,
        )
        (tmp_path / "people" / "images").mkdir(parents=True, exist_ok=True)
        for i in (0, 5, 31):
            Image.new("RGB", (24, 32), RED).save(tmp_path / "people" / samples.images[i])
        kept = LocalizationCases(
            (create_case(samples, 0), create_case(samples, 31)),
            (create_case(samples, 5, empty=True),),
            tmp_path / "people",
            "stretch",
        )
        scores = LocalizationScores(
            dataset="toy",
            partition="own",
            split="test",
            protocol=LocalizationProtocol(
                "parsing" if masks else "boxes", "grad-cam-p", "max:0.5", "outer", 9, 10, False, 0
            ),
            names={name: (name,) for name in NAMES} | {"Hat": ("cap", "hat")},
            exclude_from_mean=("Female",),
            of_paper=("Hat",),
            samples=samples,
            too_small={"Hat": 4},
            input_size=SIZE,
            resamples=20,
            seed=0,
            device="cpu",
            seconds=1.0,
            metadata={"model": "sspnet", "backbone": "tiny", "variant": "s"},
            cases=kept if cases else None,
        )
        return replace(scores, **changes) if changes else scores

    return create


def find_pictures(html: str) -> list[Image.Image]:
    return [
        Image.open(io.BytesIO(base64.b64decode(data)))
        for data in re.findall(r"data:image/jpeg;base64,([^\"]+)", html)
    ]


def test_scores_are_in_the_table(make: Make) -> None:
    scores = make()
    html = create_report([], [], [scores])
    for found in (*scores.per_attribute.values(), scores.mean):
        for name in ("box_iou", "pointing", "box_energy", "empty"):
            assert f">{100 * found[name].value:.1f}" in html
        assert f">{found['pcc'].value:.2f}".replace("-", "−") in html
    low, high = scores.mean["box_iou"].low, scores.mean["box_iou"].high
    assert f"95 % interval {100 * low:.1f} to {100 * high:.1f}" in html
    assert "Mean of 2" in html
    assert "Mean of 1 of SSPNet’s" in html
    assert "ground truth: cap, hat" in html
    excluded = min(
        html.index("Female</span><small>excluded"), html.index("Rare</span><small>too few samples")
    )
    assert html.index("Open&lt;Umbrella&gt;</span>") < excluded  # attributes of the mean come first
    assert "4 samples have too small a region and do not count." in html
    assert "grad-cam-p, foreground max:0.5" in html
    assert "sspnet · tiny · s" in html


def test_only_measured_scores_have_a_column(make: Make) -> None:
    assert ">Mask</th>" not in create_report([], [], [make()])
    html = create_report([], [], [make(masks=True)])
    assert ">Mask</th>" in html
    assert "Mask IoU" in html
    assert ">Insert.</th>" not in html


def test_cases_are_drawn_over_their_pictures(make: Make) -> None:
    html = create_report([], [], [make()])
    photo, heat, *_, last = find_pictures(html)[3:]  # after the legend
    assert photo.size == heat.size == last.size == (240, 320)
    inside, outside = (20 * 5, 20 * 5), (44 * 5, 4 * 5)
    assert np.abs(np.subtract(photo.getpixel(outside), RED)).max() < 12
    assert np.ptp(heat.getpixel(outside)) < 30  # the image is grey where there is no heat
    assert np.ptp(heat.getpixel(inside)) > 50
    blue = np.asarray(photo.getpixel((16 * 5, 8 * 5 + 3)), int)
    assert blue[2] > 200 > blue[0]  # the upper line of the predicted box
    assert min(photo.getpixel((16 * 5 + 3, 16 * 5 + 3))) > 200  # a dash of the true box
    assert len(find_pictures(html)) == 3 + 2 * 3
    assert "Hat: predicted and true box, IoU" in html
    assert html.count("· empty heat map") == 1


def test_without_pictures_heat_maps_are_on_grey(make: Make, tmp_path: Path) -> None:
    scores = make()
    for picture in (tmp_path / "people" / "images").iterdir():
        picture.unlink()
    with pytest.raises(DataError, match=r"--root.*--no-images"):
        create_report([], [], [scores])
    html = create_report([], [], [scores], pictures=0)
    pictures = find_pictures(html)[3:]
    assert len(pictures) == 3
    assert all(np.ptp(picture.getpixel((230, 8))) < 6 for picture in pictures)


def test_number_of_pictures(make: Make) -> None:
    assert create_report([], [], [make()], pictures=1).count('class="case"') == 2


def test_missing_cases_are_explained(make: Make) -> None:
    html = create_report([], [], [make(cases=False)])
    assert "No best and worst cases are stored with these scores" in html
    assert "<img" not in html
    empty = LocalizationCases((), (), Path(), "stretch")
    html = create_report([], [], [replace(make(), cases=empty, exclude_from_mean=NAMES)])
    assert "No attribute has the 10 samples required for the mean" in html
    assert "Mean of" not in html


def test_pictures_are_cropped_and_padded_as_the_input(make: Make) -> None:
    scores = make()
    assert scores.cases is not None
    case = replace(
        scores.cases.best[0], crop=(0.0, 0.0, 24.0, 16.0), found=(), truth=(), heat=np.zeros(SIZE, np.uint8)
    )
    cases = replace(scores.cases, best=(case,), worst=(), resize="pad")
    photo = find_pictures(create_report([], [], [replace(scores, cases=cases)]))[3]
    column = np.asarray(photo, int)[:, 120]
    assert (column[:70].max(), column[250:].max()) < (20, 20)  # 24 × 16 in 240 × 320: 160 rows in the middle
    assert np.abs(column[100:220] - RED).max() < 12


def test_a_chapter_per_evaluation(make: Make, evaluation: Evaluation) -> None:
    scores = make()
    other = replace(scores, metadata={**scores.metadata, "model": "man"})
    html = create_report([], [evaluation], [scores, other], pictures=0)
    assert html.count('id="l0"') == html.count('id="l1"') == 1
    assert "man · tiny · s on toy, own, test" in html
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', html)) <= set(ids)
    assert html.count("<summary>Model: ") == 2
    same = replace(scores, metadata={k: evaluation.metadata[k] for k in ("model", "backbone", "variant")})
    assert "<summary>Model: " not in create_report([], [evaluation], [same], pictures=0)


# ---------------------------------------------------------------------- sources


def test_scores_are_found_below_a_run(make: Make, run: Path, evaluation: Evaluation) -> None:
    make().write(run / "localization")
    evaluation.write(run / "test")
    runs, evaluations, localizations, *_ = load_sources([run, run / "localization"])
    assert (len(runs), len(evaluations), len(localizations)) == (1, 1, 1)
    assert load_sources([run / "localization"]).runs == []
    evaluation.write(run / "localization")  # both in one folder
    assert [len(each) for each in load_sources([run / "localization"])] == [0, 1, 1, 0, 0]
    moved = load_sources([run / "localization"], images=run)
    assert moved.localizations[0].cases is not None
    assert moved.localizations[0].cases.root == run


def test_damaged_cases_are_refused(make: Make, tmp_path: Path) -> None:
    make().write(tmp_path / "localization")
    (tmp_path / "localization" / "cases" / "best-02.png").unlink()
    with pytest.raises(DataError, match=r"no complete cases.*best-02\.png.*evaluate-localization"):
        load_sources([tmp_path / "localization"])


# ---------------------------------------------------------------------- charts


def test_only_some_samples_are_drawn() -> None:
    probs = np.linspace(0, 1, 5000)
    chart = draw_confidence("c", probs, probs)
    assert "600 of 5,000 drawn" in chart.caption
    assert chart.svg.count("<use") < 5000
    assert draw_confidence("c", probs, probs).svg == chart.svg
    assert "drawn)" not in draw_confidence("c", probs[:9], probs[:9]).caption


def test_chart_of_a_single_attribute() -> None:
    assert "var(--a)" in draw_sizes("s", [0.01], [0.9]).svg
