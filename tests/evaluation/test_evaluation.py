"""Evaluations: scores, files, score file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from passerby.comparison.aggregate import aggregate, format_markdown
from passerby.errors import DataError
from passerby.evaluation.evaluation import Evaluation
from passerby.evaluation.results import Result
from passerby.metrics.functional import METRICS

Make = Callable[..., Evaluation]


def test_scores_follow_the_protocol_by_hand(evaluation: Evaluation) -> None:
    """mA of the first attribute from its counts, unknown labels left out."""
    predicted, labels = evaluation.probs[:, 0] > 0.5, evaluation.labels[:, 0]
    tpr = (predicted & (labels == 1)).sum() / (labels == 1).sum()
    tnr = (~predicted & (labels == 0)).sum() / (labels == 0).sum()
    scores = evaluation.metrics()["per_attribute"]["Hat"]
    assert scores["mA"] == pytest.approx((tpr + tnr) / 2, abs=1e-6)
    assert (scores["positives"], scores["negatives"]) == ((labels == 1).sum(), (labels == 0).sum())


def test_the_repr_is_short(evaluation: Evaluation) -> None:
    n, mean = len(evaluation), evaluation.scores.mA
    text = repr(evaluation)
    assert text.startswith(f"Evaluation({evaluation.dataset} {evaluation.partition}/{evaluation.split}: mA ")
    assert f"mA {100 * mean:.2f}, accuracy " in text
    assert text.endswith(f"; {n} samples, 5 attributes)")
    assert repr(evaluation.scores).startswith(f"AttributeScores(mA {mean:.4f}, accuracy ")
    assert repr(evaluation.scores).endswith(f"; {n} rows, 5 attributes)")


def test_a_body_part_has_the_mean_of_its_attributes(make: Make) -> None:
    evaluation = make()
    names = evaluation.schema.names
    schema = replace(
        evaluation.schema,
        attributes=tuple(
            replace(a, body_part="head" if i else "bottom") for i, a in enumerate(evaluation.schema)
        ),
    )
    metrics = replace(evaluation, schema=schema).metrics()
    each = [metrics["per_attribute"][name]["mA"] for name in names]
    assert each[-1] is None  # no umbrella in the test split
    expected = {"head": sum(each[1:-1]) / len(each[1:-1]), "bottom": each[0]}
    assert metrics["mA_per_body_part"] == pytest.approx(expected, abs=1e-6)


def test_unknown_counts_as_no_only_on_request(make: Make) -> None:
    default, negative = make(), make(protocol="unknown-negative")
    unknown = (default.labels == -1).sum(axis=0)
    assert unknown.sum() > 0
    for i, name in enumerate(default.schema.names):
        before, after = (e.metrics()["per_attribute"][name]["negatives"] for e in (default, negative))
        assert after - before == unknown[i]


def test_a_lower_threshold_predicts_more(make: Make) -> None:
    assert make(protocol="threshold-0.2").decisions.sum() > make().decisions.sum()
    assert "threshold-0.2: positive if p > 0.2" in make(protocol="threshold-0.2").protocol_line


def test_the_protocol_line_states_how_the_epoch_was_chosen(evaluation: Evaluation) -> None:
    assert "epoch chosen by best mA on val, no EMA" in evaluation.protocol_line
    averaged = replace(evaluation, metadata={"ema": 0.999})
    assert "how the epoch was chosen is not recorded, EMA 0.999" in averaged.protocol_line


def test_metrics_are_plain_json(evaluation: Evaluation) -> None:
    metrics = evaluation.metrics()
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    assert set(metrics) == {*METRICS, "unmeasured", "per_attribute", "mA_per_body_part"}
    assert all(0 <= metrics[name] <= 1 for name in METRICS)


def test_an_attribute_without_positives_has_no_scores_and_is_named(evaluation: Evaluation) -> None:
    metrics = evaluation.metrics()
    assert metrics["unmeasured"] == ["Umbrella <open>"]
    scores = metrics["per_attribute"]["Umbrella <open>"]
    assert (scores["positives"], scores["negatives"]) == (0, 20 - (evaluation.labels[:, 4] < 0).sum())
    missing = [name for name, value in scores.items() if value is None]
    assert missing == ["mA", "tpr", "precision", "recall", "f1", "AP"]
    measured = [each["mA"] for name, each in metrics["per_attribute"].items() if name != "Umbrella <open>"]
    assert metrics["mA"] == pytest.approx(sum(measured) / 4, abs=1e-12)
    assert evaluation.list_remarks() == [
        "1 of 5 attributes lacks positives or negatives and is left out of mA: Umbrella <open>."
    ]


def test_the_literature_counts_it_as_zero(make: Make) -> None:
    evaluation = make(protocol="count-unmeasurable")
    metrics = evaluation.metrics()
    each = {name: scores["mA"] for name, scores in metrics["per_attribute"].items()}
    assert each["Umbrella <open>"] == metrics["per_attribute"]["Umbrella <open>"]["tnr"] / 2
    assert metrics["mA"] == pytest.approx(sum(each.values()) / 5, abs=1e-12)
    assert metrics["unmeasured"] == ["Umbrella <open>"]
    assert "unmeasured attributes counted as 0" in evaluation.protocol_line
    assert "counts as 0 in mA: Umbrella <open>." in evaluation.list_remarks()[0]


def test_an_attribute_and_samples_without_a_known_label_are_left_out(evaluation: Evaluation) -> None:
    labels = evaluation.labels.copy()
    labels[:, 4] = -1
    unknown = replace(evaluation, labels=labels)
    assert unknown.metrics()["per_attribute"]["Umbrella <open>"]["accuracy"] is None
    rest = replace(
        unknown,
        schema=replace(evaluation.schema, attributes=evaluation.schema.attributes[:4]),
        probs=evaluation.probs[:, :4],
        labels=labels[:, :4],
        thresholds=(0.5,) * 4,
    )
    assert unknown.summary() == rest.summary()
    labels = labels.copy()
    labels[:3] = -1
    assert replace(evaluation, labels=labels).list_remarks()[1] == (
        "3 of 20 samples have no known label and are left out of all scores."
    )
    labels[1:3] = evaluation.labels[1:3]
    assert replace(evaluation, labels=labels).list_remarks()[1] == (
        "1 of 20 samples has no known label and is left out of all scores."
    )


def test_an_evaluation_of_an_earlier_version_keeps_its_scores_under_their_own_protocol(
    make: Make, tmp_path: Path
) -> None:
    old = make(protocol="count-unmeasurable")
    old.write(tmp_path)
    values = json.loads((tmp_path / "evaluation.json").read_text())
    del values["metrics"]["unmeasured"]
    values["protocol"]["name"] = "default"
    (tmp_path / "evaluation.json").write_text(json.dumps(values))
    loaded = Evaluation.load(tmp_path)
    assert loaded.protocol.name == "count-unmeasurable"
    assert loaded.metrics() == old.metrics()


def test_files_round_trip(evaluation: Evaluation, tmp_path: Path) -> None:
    evaluation.write(tmp_path / "e")
    loaded = Evaluation.load(tmp_path / "e")
    assert sorted(p.name for p in (tmp_path / "e").iterdir()) == ["evaluation.json", "predictions.parquet"]
    assert loaded.metrics() == evaluation.metrics()
    assert loaded.images == evaluation.images
    assert loaded.identities == evaluation.identities
    assert loaded.boxes == evaluation.boxes
    assert loaded.root.resolve() == evaluation.root.resolve()
    np.testing.assert_array_equal(loaded.probs, evaluation.probs)
    np.testing.assert_array_equal(loaded.labels, evaluation.labels)
    assert replace(loaded, schema=evaluation.schema).schema == evaluation.schema


def test_predictions_have_a_row_per_sample(evaluation: Evaluation, tmp_path: Path) -> None:
    evaluation.write(tmp_path)
    table = pq.read_table(tmp_path / "predictions.parquet")
    assert table.num_rows == 20
    assert table.column_names[:4] == ["image", "identity", "box", "row"]
    assert {"prob:Hat", "label:Hat", "prob:Umbrella <open>"} <= set(table.column_names)
    assert table.column("row").to_pylist() == list(range(40, 60))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "evaluation.json").unlink(), "no file or folder at"),
        (lambda f: (f / "predictions.parquet").unlink(), "not a complete evaluation"),
        (lambda f: (f / "predictions.parquet").write_bytes(b"PAR1"), "not a complete evaluation"),
        (lambda f: (f / "evaluation.json").write_text("{}"), "not a complete evaluation"),
        (lambda f: (f / "evaluation.json").write_text('{"metadata": {}}'), "not a complete evaluation"),
    ],
)
def test_damaged_files_are_refused(
    evaluation: Evaluation, tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    evaluation.write(tmp_path)
    damage(tmp_path)
    with pytest.raises(DataError, match=message):
        Evaluation.load(tmp_path)


def test_scores_edited_by_hand_are_refused(evaluation: Evaluation, tmp_path: Path) -> None:
    evaluation.write(tmp_path)
    path = tmp_path / "evaluation.json"
    values = json.loads(path.read_text())
    values["metrics"]["mA"] += 0.01
    path.write_text(json.dumps(values))
    with pytest.raises(DataError, match="do not belong together"):
        Evaluation.load(tmp_path)


def test_the_score_file_carries_what_makes_scores_comparable(evaluation: Evaluation) -> None:
    result = evaluation.to_result()
    assert (result.partition, result.seed, result.input_size, result.commit) == (
        "official",
        3,
        (96, 48),
        "abcdef012345",
    )
    assert result.protocol["threshold"] == "p > 0.5"
    assert result.protocol["selection"] == "best mA on val"
    assert result.metrics["mA"] == evaluation.scores.mA
    assert evaluation.to_result(seed=8, variant="x").path.name == "baseline-mobilenetv2_100-x-seed8.json"


def test_five_crops_are_recorded_everywhere(evaluation: Evaluation, tmp_path: Path) -> None:
    five = replace(evaluation, five_crops=True)
    assert five.protocol_line == f"{evaluation.protocol_line}; mean of five crops"
    five.write(tmp_path / "five")
    assert json.loads((tmp_path / "five" / "evaluation.json").read_text())["details"]["five_crops"] is True
    assert Evaluation.load(tmp_path / "five").five_crops is True
    result = five.to_result()
    assert result.variant == "sb-five-crops"
    assert result.path.name == "baseline-mobilenetv2_100-sb-five-crops-seed3.json"
    named = five.to_result(variant="sb")  # the name is the caller's choice, the rules stay recorded
    assert named.variant == "sb"
    assert named.protocol["crops"] == "mean of five crops"
    assert "crops" not in evaluation.to_result().protocol
    both = aggregate([evaluation.to_result(), replace(named, seed=4)])
    assert len(both) == 2  # never averaged with scores of whole images
    assert "| default, mean of five crops |" in format_markdown(both)
    with pytest.raises(DataError, match="'variant'"):
        replace(five, metadata={k: v for k, v in five.metadata.items() if k != "variant"}).to_result()


def test_evaluation_folders_and_score_files_have_one_format(evaluation: Evaluation, tmp_path: Path) -> None:
    evaluation.write(tmp_path / "e")
    path = evaluation.write_result(tmp_path / "results")
    stored = Result.load(tmp_path / "e")
    assert stored == Result.load(tmp_path / "e" / "evaluation.json")
    assert replace(stored, details=None) == Result.load(path) == evaluation.to_result()
    assert stored.details is not None
    assert stored.details["metadata"] == evaluation.metadata
    assert stored.write(tmp_path / "again").read_text() == path.read_text()


def test_an_evaluation_without_provenance_is_read_but_gives_no_result(
    evaluation: Evaluation, tmp_path: Path
) -> None:
    replace(evaluation, metadata={}).write(tmp_path)
    values = json.loads((tmp_path / "evaluation.json").read_text())
    assert [key for key, value in values.items() if value is None and key != "commit"] == [
        *("model", "variant", "backbone", "pretraining", "seed", "epochs", "device", "seconds")
    ]
    assert Evaluation.load(tmp_path).metrics() == evaluation.metrics()
    with pytest.raises(DataError, match=r"'model'.*--result`, which takes --seed"):
        Result.load(tmp_path)


def test_a_score_file_needs_a_seed(evaluation: Evaluation) -> None:
    nameless = replace(evaluation, metadata={k: v for k, v in evaluation.metadata.items() if k != "seed"})
    with pytest.raises(DataError, match="'seed'"):
        nameless.to_result()


def test_what_no_attribute_can_measure_is_null_in_files_and_a_dash_in_tables(
    evaluation: Evaluation, tmp_path: Path
) -> None:
    negative = replace(evaluation, labels=np.zeros_like(evaluation.labels))
    metrics = negative.metrics()
    assert (metrics["mA"], metrics["mAP"], metrics["f1"]) == (None, None, 0)
    assert metrics["mA_per_body_part"] == dict.fromkeys(("head", "torso", "bottom", "all"))
    negative.write(tmp_path)
    assert Evaluation.load(tmp_path).metrics() == metrics
    result = Result.load(negative.write_result(tmp_path / "x.json"))
    assert result == negative.to_result()
    seeds = [result, replace(result, seed=7)]
    assert [aggregate(seeds)[0].format(name) for name in ("mA", "f1")] == ["–", "0.00 ± 0.00"]
    assert "| – | 0.00 | 0.00 | 0.00 | 0.00 | – |" in format_markdown(aggregate([result]))


def test_decisions_are_those_the_scores_count(evaluation: Evaluation) -> None:
    """A probability that equals a threshold in float32 is negative, in scores and decisions."""
    probs = np.full_like(evaluation.probs, 0.3)
    equal = replace(evaluation, probs=probs, thresholds=(0.3,) * 5, labels=np.ones_like(evaluation.labels))
    assert not equal.decisions.any()
    assert equal.scores.recall == 0
