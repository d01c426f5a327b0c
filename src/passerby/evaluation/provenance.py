"""The fields of a result: provenance of the model and rules of the score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from passerby.evaluation.commit import find_commit
from passerby.evaluation.protocols import Protocol, load_protocol

__all__ = ["FIVE_CROPS", "convert_evaluation", "describe_protocol_line", "describe_result"]

FIVE_CROPS = "mean of five crops"


def describe_result(
    metadata: Mapping[str, Any],
    *,
    dataset: str,
    partition: str,
    split: str,
    protocol: Protocol,
    thresholds: Sequence[float],
    input_size: Sequence[int],
    metrics: Mapping[str, Any],
    five_crops: bool,
    skipped: int,
) -> dict[str, Any]:
    """The fields of `Result`; None for those that the metadata of the bundle lacks.

    Args:
        metadata: Metadata of the bundle.
        dataset: Data set of the evaluation, as the following.
        partition: Name of the partition.
        split: `train`, `val` or `test`.
        protocol: The rules of the score.
        thresholds: The threshold of each attribute.
        input_size: Height and width in pixels.
        metrics: The scores.
        five_crops: Whether probabilities are means over five crops; the variant is `<variant>-five-crops`.
        skipped: Number of unreadable images.

    If not all samples were scored, the variant ends in `-limit-<number>`.
    """
    environment = metadata.get("environment") or {}
    variant, limit = metadata.get("variant"), metadata.get("limit")
    if variant:
        variant += ("-five-crops" if five_crops else "") + (f"-limit-{limit['samples']}" if limit else "")
    return {
        "model": metadata.get("model"),
        "variant": variant,
        "backbone": metadata.get("backbone"),
        "pretraining": metadata.get("pretraining"),
        "dataset": dataset,
        "partition": partition,
        "split": split,
        "input_size": tuple(input_size),
        "protocol": {
            **_describe_protocol(metadata, protocol, thresholds),
            "skipped_images": skipped,
            **({"crops": FIVE_CROPS} if five_crops else {}),
            **_describe_source(metadata, dataset),
            **_describe_parts(metadata),
        },
        "seed": metadata.get("seed"),
        "epochs": metadata.get("epochs"),
        "device": environment.get("device"),
        "commit": environment.get("commit") or find_commit(),
        "metrics": metrics,
        "seconds": metadata.get("seconds"),
    }


def _describe_protocol(
    metadata: Mapping[str, Any], protocol: Protocol, thresholds: Sequence[float]
) -> dict[str, Any]:
    return {
        "name": protocol.name,
        **_describe_thresholds(metadata, protocol, thresholds),
        "unknown": protocol.describe_unknown(),
        "selection": metadata.get("selection"),
        "best_epoch": metadata.get("best_epoch"),
        "ema": metadata.get("ema"),
    }


def _describe_thresholds(
    metadata: Mapping[str, Any], protocol: Protocol, thresholds: Sequence[float]
) -> dict[str, str]:
    """The thresholds in words; those of a calibrated bundle without numbers, which differ between seeds."""
    note = metadata.get("calibration")
    if note is None or protocol.threshold is not None:
        return {"threshold": protocol.describe_threshold(thresholds)}
    return {"threshold": "p > the attribute's own threshold", "calibration": note}


def _describe_source(metadata: Mapping[str, Any], dataset: str) -> dict[str, str]:
    """Training data and label map of a model that was trained on another data set."""
    source = metadata.get("dataset")
    return {
        **({"source": f"trained on {source}"} if source and source != dataset else {}),
        **({"label_map": metadata["label_map"]} if "label_map" in metadata else {}),
    }


def _describe_parts(metadata: Mapping[str, Any]) -> dict[str, str]:
    """The part of the training images and of the samples of the split that were used, if not all were."""
    subset, limit = metadata.get("train_subset"), metadata.get("limit")
    parts = {
        "train_subset": subset,
        "limit": f"{limit['samples']:,} of {limit['of']:,} samples, drawn at random" if limit else None,
    }
    return {name: text for name, text in parts.items() if text}


def describe_protocol_line(
    metadata: Mapping[str, Any], protocol: Protocol, thresholds: Sequence[float], *, five_crops: bool
) -> str:
    """The rules of the score and the selection of the model in one line, printed with every score."""
    selection, average = metadata.get("selection"), metadata.get("ema")
    parts = (
        protocol.describe(thresholds),
        f"epoch chosen by {selection}" if selection else "how the epoch was chosen is not recorded",
    )
    ema = f"EMA {average:g}" if isinstance(average, int | float) else "no EMA"
    further = ([FIVE_CROPS] if five_crops else []) + list(_describe_parts(metadata).values())
    return "; ".join((f"{'; '.join(parts)}, {ema}", *further))


def convert_evaluation(values: Mapping[str, Any]) -> dict[str, Any]:
    """The `evaluation.json` of passerby 0.1 in the current format.

    Args:
        values: Its values under the current names, see `passerby.migration.upgrade`.
    """
    five_crops = bool(values.get("five_crops", False))  # the first files lack it
    fields = describe_result(
        values["metadata"],
        dataset=values["dataset"],
        partition=values["partition"],
        split=values["split"],
        protocol=load_protocol(values["protocol"]),
        thresholds=values["thresholds"],
        input_size=values["input_size"],
        metrics=values["metrics"],
        five_crops=five_crops,
        skipped=len(values["skipped"]),
    )
    details = {key: values[key] for key in ("device", "seconds", "skipped", "root", "metadata", "schema")}
    return {**fields, "details": {**details, "five_crops": five_crops}}
