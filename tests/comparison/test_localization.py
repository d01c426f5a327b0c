"""Comparisons of localisation: arithmetic by hand, seeds, samples, names, tables, the file."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from passerby.comparison.localization_comparison import LocalizationComparison
from passerby.comparison.localization_runs import load_localizations
from passerby.comparison.localization_tables import format_markdown
from passerby.comparison.paired_localization import compare_localization
from passerby.errors import ConfigError, DataError
from passerby.evaluation.localization.scores import LocalizationScores
from passerby.evaluation.score_files import load_results

Make = Callable[..., LocalizationScores]

LOW = {"Hat": [0.2, 0.4, 0.0, 0.6], "[b]Boots": [0.1, 0.3]}  # means 0.3 and 0.2
HIGH = {"Hat": [0.4, 0.4, 0.2, 0.8], "[b]Boots": [0.2, 0.2]}  # means 0.45 and 0.2
RISING = {"Hat": [0.1, 0.2, 0.3, 0.4], "[b]Boots": [0.1, 0.2]}


# ---------------------------------------------------------------------- arithmetic


def test_means_and_differences_by_hand(make: Make) -> None:
    found = compare_localization([make(LOW), make(HIGH, variant="full")], scores=["box_iou", "empty"])
    one, other = found.runs
    assert one.differences is None
    assert other.differences is not None
    assert one.scores["Hat"]["box_iou"] == pytest.approx([0.3])
    assert found.average(one, "box_iou", found.mean_of) == pytest.approx([0.25])
    assert found.average(other, "box_iou", found.mean_of) == pytest.approx([0.325])
    hat, mean = other.differences.per_attribute["Hat"]["box_iou"], other.differences.mean["box_iou"]
    assert hat.difference == pytest.approx(0.15)
    assert 0 <= hat.low < hat.high < 0.201  # no sample differs by less than 0, or by more than 0.2
    assert mean.difference == pytest.approx(0.075)
    assert other.differences.mean_of_paper["box_iou"] == hat  # Table 10 has hats alone of these
    assert other.differences.mean["empty"].difference == pytest.approx(-0.25 / 2)
    assert (found.mean_of, found.of_paper) == (("Hat", "[b]Boots"), ("Hat",))
    assert (found.counts, found.n_clusters) == ({"Hat": 4, "[b]Boots": 2}, 4)


def test_correlations_by_hand(make: Make) -> None:
    rising = make(RISING)
    falling = make(RISING, probs={"Hat": [0.4, 0.3, 0.2, 0.1], "[b]Boots": [0.1, 0.2]}, variant="falling")
    found = compare_localization([rising, falling], resamples=200)
    assert found.scores == ("box_iou", "pcc")
    assert [run.scores["Hat"]["pcc"][0] for run in found.runs] == pytest.approx([1, -1])
    differences = found.runs[1].differences
    assert differences is not None
    hat = differences.per_attribute["Hat"]["pcc"]
    assert (hat.difference, hat.low, hat.high, hat.share_not_above) == pytest.approx((-2, -2, -2, 1))
    assert differences.mean["pcc"].difference == pytest.approx(-1)
    same = differences.mean["box_iou"]
    assert (same.difference, same.low, same.high, same.share_not_above) == (0, 0, 0, 1)


def test_the_same_samples_are_drawn_for_all_runs_and_seeds(make: Make) -> None:
    def shift(by: float, **facts: Any) -> LocalizationScores:
        return make({name: [iou + by for iou in each] for name, each in LOW.items()}, **facts)

    scores = [shift(0), shift(0.1, seed=1), shift(0.2, variant="b"), shift(0.3, variant="b", seed=1)]
    found = compare_localization(scores, scores=["box_iou"], resamples=100)
    differences = found.runs[1].differences
    assert differences is not None
    for interval in (*differences.mean.values(), differences.per_attribute["Hat"]["box_iou"]):
        assert (interval.difference, interval.low, interval.high) == pytest.approx((0.2, 0.2, 0.2))
        assert interval.share_not_above == 0


def test_seeds_are_averaged(make: Make) -> None:
    scores = [make(HIGH, seed=5), make(LOW, seed=2), make(RISING, variant="full")]
    found = compare_localization(scores)
    one = found.runs[0]
    assert one.seeds == (2, 5)
    assert one.commits == ("abc", "abc")
    assert one.scores["Hat"]["box_iou"] == pytest.approx((0.3, 0.45))
    differences = found.runs[1].differences
    assert differences is not None
    assert differences.per_attribute["Hat"]["box_iou"].difference == pytest.approx(0.25 - 0.375)
    assert differences.mean["box_iou"].difference == pytest.approx((0.25 + 0.15) / 2 - (0.25 + 0.325) / 2)
    with pytest.raises(DataError, match=r"baseline · net · sb: the same recipe has seeds \[1, 1\]"):
        compare_localization([make(LOW, seed=1), make(HIGH, seed=1), make(LOW, variant="full")])


def test_a_correlation_that_one_run_lacks_leaves_the_mean_of_all(make: Make) -> None:
    unseen = {"Hat": RISING["Hat"], "[b]Boots": [0.0, 0.0]}
    found = compare_localization(
        [make(RISING), make(HIGH, variant="b"), make(unseen, variant="c", probs=RISING)]
    )
    assert math.isnan(found.runs[2].scores["[b]Boots"]["pcc"][0])
    assert found.find_measured("pcc", found.mean_of) == ["Hat"]
    assert found.find_measured("box_iou", found.mean_of) == ["Hat", "[b]Boots"]
    for run in found.runs:
        assert found.average(run, "pcc", found.mean_of) == run.scores["Hat"]["pcc"]
    differences = found.runs[2].differences
    assert differences is not None
    assert "pcc" not in differences.per_attribute["[b]Boots"]
    assert differences.per_attribute["Hat"]["pcc"] == differences.mean["pcc"]
    assert "PCC is over 1 of them: not every run has a value for [b]Boots." in format_markdown(found)


def test_a_score_that_no_run_has_is_not_compared(make: Make) -> None:
    flat = {"Hat": [0.0] * 4, "[b]Boots": [0.0] * 2}
    found = compare_localization([make(flat), make(flat, variant="b")], scores=["pcc", "insertion"])
    differences = found.runs[1].differences
    assert differences is not None
    assert not differences.mean
    assert not differences.per_attribute
    assert format_markdown(found).count("| mean of 0 |") == 2
    head = next(line for line in format_markdown(found).splitlines() if line.startswith("| run"))
    assert head == "| run | IoU | mask IoU | PCC | pointing | energy | empty ↓ | insertion |"


def test_few_samples_and_excluded_attributes(make: Make) -> None:
    few = {"protocol": {"min_samples": 3}}
    found = compare_localization([make(LOW), make(HIGH, variant="b", **few)])
    assert found.mean_of == ("Hat",)  # the stricter rule counts
    differences = found.runs[1].differences
    assert differences is not None
    assert set(differences.per_attribute) == {"Hat"}
    found = compare_localization([make(LOW), make(HIGH, variant="b", exclude_from_mean=("Hat",))])
    assert (found.exclude_from_mean, found.mean_of, found.of_paper) == (("Hat",), ("[b]Boots",), ())
    assert "| Hat (excluded) | 4 |" in format_markdown(found)
    assert "SSPNet" not in format_markdown(found)


def test_a_score_of_some_samples_has_an_interval_where_these_are_enough(make: Make) -> None:
    some = {"measures": {"insertion": [0.5, math.nan, math.nan, math.nan, 0.5, 0.7]}}
    one, other = make(LOW, **some), make(HIGH, variant="b", **some)
    found = compare_localization([one, other], scores=["insertion"])
    differences = found.runs[1].differences
    assert differences is not None
    assert set(differences.per_attribute) == {"[b]Boots"}
    assert differences.mean["insertion"].difference == 0
    assert found.average(found.runs[0], "insertion", found.mean_of) == pytest.approx([0.55])


def test_insertion_and_deletion_are_compared_on_the_same_samples(make: Make) -> None:
    def make_partial(
        ious: dict[str, list[float]], insertion: list[float], **facts: Any
    ) -> LocalizationScores:
        return make(ious, measures={"insertion": insertion, "deletion": insertion}, **facts)

    nan = math.nan
    one = make_partial(LOW, [0.5, 0.3, nan, nan, 0.5, 0.7])
    fewer, others = [0.5, nan, nan, nan, 0.5, 0.7], [0.5, nan, nan, 0.3, 0.5, 0.7]
    for measured, message in (
        (fewer, "got 4 and 3, of which 1 are"),
        (others, "got 4 and 4, of which 2 are"),
    ):
        wrong = make_partial(HIGH, measured, variant="b")
        for score in ("insertion", "deletion"):
            with pytest.raises(
                DataError, match=rf"{score} of the same samples, {message} .* --insertion-deletion and --"
            ):
                compare_localization([one, wrong], scores=[score])
        compare_localization([one, wrong], resamples=2)  # box IoU is of all samples


def test_samples_with_an_empty_map_in_one_run_are_left_out_of_all(make: Make) -> None:
    cold = {"Hat": [0.0, 0.4, 0.4, 0.4], "[b]Boots": HIGH["[b]Boots"]}
    one = make(HIGH, measures={"insertion": [0.9, 0.3, 0.5, math.nan, 0.5, 0.7]})
    other = make(cold, variant="b", measures={"insertion": [math.nan, 0.4, 0.6, math.nan, 0.5, 0.7]})
    found = compare_localization([one, other], scores=["insertion"], resamples=50)
    assert [run.scores["Hat"]["insertion"] for run in found.runs] == [
        pytest.approx((0.4,)),
        pytest.approx((0.5,)),
    ]
    differences = found.runs[1].differences
    assert differences is not None
    assert differences.per_attribute["Hat"]["insertion"].difference == pytest.approx(0.1)


def test_lower_is_better_where_the_heading_states_it(make: Make) -> None:
    insertion_deletion = {"measures": {"insertion": [0.5] * 6, "deletion": [0.5] * 6}}
    scores = ["insertion", "deletion"]
    found = compare_localization(
        [make(HIGH, **insertion_deletion), make(HIGH, variant="b", **insertion_deletion)], scores=scores
    )
    words = format_markdown(found)
    assert "| energy | empty ↓ | insertion | deletion ↓ |" in words
    assert "For a heading with ↓, less is better." in words


def test_identities_are_drawn_with_all_their_samples(make: Make) -> None:
    people = {"identities": ["p", "p", "q", "q"]}
    found = compare_localization([make(LOW, **people), make(HIGH, variant="b", **people)], resamples=400)
    assert found.n_clusters == 2
    differences = found.runs[1].differences
    assert differences is not None
    hat = differences.per_attribute["Hat"]["box_iou"]  # p gains 0.1, q gains 0.2
    assert (hat.difference, hat.low, hat.high) == pytest.approx((0.15, 0.1, 0.2))


def test_progress_counts_the_models(make: Make) -> None:
    seen: list[tuple[int, int]] = []
    scores = [make(LOW), make(LOW, seed=1), make(HIGH, variant="b")]
    compare_localization(scores, resamples=2, progress=lambda done, of: seen.append((done, of)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resamples": 0}, "at least one resample, got 0"),
        ({"scores": []}, "got none"),
        ({"scores": ["pcc", "pcc"]}, "distinct scores among box_iou, mask_iou, pcc"),
        ({"scores": ["box_share"]}, "got box_share"),
    ],
)
def test_options_out_of_range(make: Make, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compare_localization([make(LOW), make(HIGH, variant="b")], **options)


# ---------------------------------------------------------------------- which runs, and which samples


def test_the_order_of_samples_does_not_matter(make: Make) -> None:
    one, other = make(LOW), make(HIGH, variant="b")
    order = np.random.default_rng(0).permutation(len(other.samples))
    shuffled = replace(
        other.samples,
        attribute=other.samples.attribute[order],
        images=[other.samples.images[i] for i in order],
        identities=[other.samples.identities[i] for i in order],
        rows=other.samples.rows[order],
        probs=other.samples.probs[order],
        measures={name: each[order] for name, each in other.samples.measures.items()},
    )
    mixed = replace(other, samples=shuffled)
    assert repr(compare_localization([one, mixed])) == repr(compare_localization([one, other]))


def test_other_samples_are_refused(make: Make) -> None:
    one, fewer = make(LOW), {"Hat": LOW["Hat"], "[b]Boots": [0.1]}
    message = (
        r"baseline sb at 16×12 and man full at 32×24: expected the same samples, got 6 and 5, of which 1 are "
        r"in one only, such as \[b\]Boots of 1\.png; .* same label map, input size, min_area_px"
    )
    with pytest.raises(DataError, match=message):
        compare_localization([one, make(fewer, model="man", variant="full", input_size=(32, 24))])
    with pytest.raises(ConfigError, match="one rule for boxes, got 'outer' and 'components'"):
        compare_localization([one, make(HIGH, variant="b", protocol={"boxes": "components"})])
    with pytest.raises(DataError, match="got partition 'own' and 'other'"):
        compare_localization([one, replace(one, partition="other")])
    with pytest.raises(DataError, match="expected the same classes for Hat, got hat and hat, cap"):
        compare_localization([one, replace(one, names={**one.names, "Hat": ("hat", "cap")})])


def test_models_of_another_input_size_may_have_the_same_samples(make: Make) -> None:
    found = compare_localization([make(LOW), make(HIGH, input_size=(32, 24))])
    assert "| 32×24 | 32.50<br>" in format_markdown(found)  # they differ in nothing else


def test_rules_distinguish_runs(make: Make) -> None:
    scores = [make(LOW), make(HIGH, protocol={"method": "native"})]
    found = compare_localization(scores, baseline="native")
    assert [run.protocol["method"] for run in found.runs] == ["native", "grad-cam-p"]
    lines = format_markdown(found).splitlines()
    assert lines[0] == (
        "ccp own/test · baseline · net · sb · pretraining imagenet · 16×12 · 3 epochs · trained on peta "
        "random-0 · epoch by best mA on val · no EMA · foreground max:0.5 · one outer box · truth: the "
        "classes of the pixels · samples: labelled yes, whatever is predicted, with at least 9 true pixels · "
        "means over attributes with at least 2 samples · 1 seed"
    )
    assert any(line.startswith("| grad-cam-p |") for line in lines)


def test_the_baseline_is_named_by_variant_model_or_title(make: Make) -> None:
    scores = [make(LOW), make(HIGH, model="man", variant="full"), make(LOW, model="man", variant="focal")]
    assert compare_localization(scores, resamples=2).runs[0].variant == "sb"  # the first
    for name, variant in {"focal": "focal", "baseline": "sb", "man · net · full": "full"}.items():
        found = compare_localization(scores, baseline=name, resamples=2)
        assert found.runs[0].variant == variant
        assert len(found.runs) == 3
    for name, matches in {"man": "several runs", "other": "no run"}.items():
        message = rf"'{name}' is the name of {matches}\. Available: 'baseline · net · sb', 'man"
        with pytest.raises(ConfigError, match=message):
            compare_localization(scores, baseline=name)
    with pytest.raises(DataError, match=r"at least two runs to compare, got 1 \(baseline · net · sb\)"):
        compare_localization([make(LOW), make(HIGH, seed=1)])
    with pytest.raises(DataError, match="at least two runs to compare, got 0"):
        compare_localization([])


def test_the_facts_of_a_run_must_be_recorded(make: Make) -> None:
    with pytest.raises(
        DataError, match="a score of baseline on ccp: result field 'variant': expected a name"
    ):
        compare_localization([make(LOW), make(HIGH, variant=None)])
    plain = [make(LOW, dataset=None, partition=None, environment=None), make(HIGH, variant="b")]
    found = compare_localization(plain, resamples=2)
    assert found.runs[0].commits == (None,)
    assert "| sb |" in format_markdown(found)


# ---------------------------------------------------------------------- tables and files


def test_the_tables(make: Make) -> None:
    scores = [make(LOW), make(LOW, seed=1), make(HIGH, model="man", variant="full")]
    shared, words, *tables = format_markdown(compare_localization(scores, resamples=1000)).split("\n\n")
    assert shared.startswith("ccp own/test · net · pretraining imagenet")
    assert words.startswith("Means over 2 attributes, in per cent, ± standard deviation over seeds; PCC")
    assert "95 % interval over 1,000 paired resamples of 4 identities or images (seed 0)" in words
    means, title, iou, other_title, pcc = tables
    lines = means.splitlines()
    assert lines[0] == "| run | IoU | mask IoU | PCC | pointing | energy | empty ↓ |"
    assert lines[2] == "| uniform baseline | 10.00 | 5.00 | – | 5.00 | 10.00 | – |"
    assert lines[3].startswith(
        "| baseline · sb · 2 seeds | 25.00 ± 0.00 | 12.50 ± 0.00 | 1.000 ± 0.000 | 12.50 ± 0.00 | 6.25 ± 0.00"
    )
    assert lines[4].startswith("| man · full · 1 seed | 32.50<br>+7.50 [")
    assert "<br>≤ 0: " in lines[4]
    assert (title, other_title) == ("IoU by attribute:", "PCC by attribute:")
    lines = iou.splitlines()
    assert lines[0] == "| attribute | n | uniform | baseline · sb · 2 seeds | man · full · 1 seed |"
    assert lines[2].startswith("| Hat | 4 | 10.00 | 30.00 ± 0.00 | 45.00<br>+15.00 [")
    assert lines[3].startswith("| [b]Boots | 2 | 10.00 | 20.00 ± 0.00 | 20.00<br>+0.00 [")
    assert lines[4].startswith("| mean of 2 |  | 10.00 | 25.00 ± 0.00 | 32.50<br>+7.50 [")
    assert lines[5].startswith("| 1 of SSPNet's |  | 10.00 | 30.00 ± 0.00 | 45.00<br>+15.00 [")
    assert "≤ 0" not in iou
    lines = pcc.splitlines()
    assert lines[0] == "| attribute | n | baseline · sb · 2 seeds | man · full · 1 seed |"
    assert lines[3] == "| [b]Boots | 2 | 1.000 ± 0.000 | – |"  # a constant has no correlation
    assert lines[4].startswith("| mean of 1 |  | 1.000 ± 0.000 | 1.000<br>+0.000 [")


def test_boxes_have_no_masks(make: Make) -> None:
    boxes = {
        "protocol": {"truth": "boxes"},
        "measures": {name: [math.nan] * 6 for name in ("mask_iou", "mask_energy", "mask_share")},
    }
    found = compare_localization([make(LOW, **boxes), make(HIGH, variant="b", **boxes)], resamples=2)
    lines = format_markdown(found).splitlines()
    assert "| run | IoU | PCC | pointing | energy | empty ↓ |" in lines
    assert "| uniform baseline | 10.00 | – | 10.00 | 10.00 | – |" in lines  # the pixel has to lie in the box


def test_the_file_round_trips(make: Make, tmp_path: Path) -> None:
    unseen = {"Hat": RISING["Hat"], "[b]Boots": [0.0, 0.0]}
    found = compare_localization([make(LOW), make(unseen, variant="b"), make(HIGH, variant="b", seed=1)])
    path = tmp_path / "x.localization-comparison.json"
    found.write(path)
    again = LocalizationComparison.load(path)
    assert repr(again) == repr(found)
    assert format_markdown(again) == format_markdown(found)
    assert ".png" not in path.read_text()  # nothing of a sample
    with pytest.raises(ConfigError, match=r"ends in \.localization-comparison\.json"):
        found.write(tmp_path / "x.json")
    with pytest.raises(DataError, match=r"`passerby compare-localization .*` prints it"):
        load_results([path])
    with pytest.raises(DataError, match="no score files"):
        load_results([tmp_path])


def test_damaged_files_are_refused(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "x.localization-comparison.json"
    compare_localization([make(LOW), make(HIGH, variant="b")]).write(path)
    text = path.read_text()

    def damage(change: Callable[[dict[str, Any]], Any], message: str) -> None:
        values = json.loads(text)
        change(values)
        path.write_text(json.dumps(values))
        with pytest.raises(DataError, match=f"is no comparison of localisation.*{message}"):
            LocalizationComparison.load(path)

    damage(lambda v: v.update(version=2), "expected version 1")
    damage(lambda v: v.pop("n_clusters"), "expected the fields runs, scores")
    damage(lambda v: v["runs"].pop(), "then the other runs")
    damage(lambda v: v["runs"].reverse(), "baseline without differences")
    damage(lambda v: v["runs"][1].update(differences=None), "differences for every other run")
    damage(lambda v: v["runs"][1].pop("commits"), "commits")
    damage(lambda v: v["runs"][1]["scores"].pop("Hat"), "the scores of Hat")
    damage(lambda v: v["runs"][1]["scores"]["Hat"].update(pcc=[]), "one score per seed")
    damage(
        lambda v: v["runs"][1]["scores"]["Hat"].update(box_iou=[0.46]), "differences that match the scores"
    )
    damage(lambda v: v["mean_of"].append("Bag"), "attributes that have samples")
    damage(lambda v: v["scores"].append("mA"), "known scores")
    mean = lambda v: v["runs"][1]["differences"]["mean"]  # noqa: E731
    damage(lambda v: mean(v)["box_iou"].update(difference=0.2), "differences that match the scores")
    damage(lambda v: mean(v)["box_iou"].update(low=None), "finite differences")
    damage(lambda v: v["runs"][1].update(differences=[]), "indices")
    path.write_text("[]")
    with pytest.raises(DataError, match="expected a JSON object"):
        LocalizationComparison.load(path)


def test_scores_are_found_in_files_and_folders(make: Make, tmp_path: Path) -> None:
    one, other = make(LOW), make(HIGH, variant="b")
    file = one.write(tmp_path / "results" / "ccp" / "a.localization.json")
    other.write(tmp_path / "out")  # as `evaluate-localization --out`
    (tmp_path / "results" / "x.comparison.json").write_text("{}")
    found = load_localizations([tmp_path / "results", file, tmp_path / "out"])
    assert [each.metadata["variant"] for each in found] == ["sb", "b"]
    assert [each.metadata["variant"] for each in load_localizations([tmp_path])] == ["b", "sb"]
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "results" / "x.comparison.json"):
        with pytest.raises(DataError, match=r"no score|stored comparison"):
            load_localizations([path])
    with pytest.raises(DataError, match=r"`passerby compare-localization .* prints it"):
        load_localizations([tmp_path / "x.localization-comparison.json"])
    with pytest.raises(DataError, match="no file or folder at"):
        load_localizations([tmp_path / "gone.localization.json"])
    file.with_suffix(".parquet").unlink()
    with pytest.raises(DataError, match=r"no samples at .*a\.localization\.parquet; .* --result .*a\.local"):
        load_localizations([tmp_path])
