"""Evaluate a bundle on one split."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from passerby.data.label_map import BoundLabelMap, LabelMap
from passerby.data.manifest import Manifest
from passerby.errors import ConfigError, DataError, SchemaError
from passerby.evaluation.evaluation import Evaluation
from passerby.evaluation.loading import Loading
from passerby.evaluation.protocols import load_protocol
from passerby.inference.predictor import Predictor
from passerby.parsing import MASK_CLASSES, are_within, read_masks
from passerby.types import Batch

if TYPE_CHECKING:
    from torch import Tensor

    from passerby.bundle import Bundle
    from passerby.metrics import ParsingScores

__all__ = ["evaluate", "match_attributes"]

DEFAULT_LOADING = Loading()
FIVE_CROPS = "five-crops"


def evaluate(
    bundle: Bundle,
    manifest: Manifest,
    *,
    partition: str,
    split: str = "test",
    protocol: str = "default",
    tta: Sequence[str] = (),
    label_map: LabelMap | None = None,
    limit: int | None = None,
    loading: Loading = DEFAULT_LOADING,
) -> Evaluation:
    """Predict all samples of one split and score the predictions.

    The parsing maps of a model that makes some are scored as well, if the manifest has maps of the same
    classes (or masks, for a model whose only classes are background and person).

    Args:
        bundle: The model. Without a label map all its attributes must be in the manifest, which may have
            more.
        manifest: The data.
        partition: Name of the partition.
        split: `train`, `val` or `test`.
        protocol: See `passerby.evaluation.protocols`.
        tta: `("five-crops",)` averages over the four corners and the centre of each image, see
            `passerby.Predictor`; parsing maps are those of the uncropped images. The evaluation records it.
        label_map: For a model of another data set: how the manifest's attributes follow from the model's.
            Only the attributes that it maps are scored.
        limit: Score at most this many samples of the split, drawn at random with a fixed seed, for a
            first look. The evaluation records it.
        loading: How images are loaded. Without a cache they are packed in a temporary folder if the model
            takes auxiliary inputs, or its parsing maps are scored.

    Raises:
        SchemaError: If the manifest lacks an attribute of the bundle, or the label map does not fit.
        ManifestError: If there is no such partition, or its split is empty.
        ImageError: If an image cannot be read and `loading.on_unreadable` is `raise`.
        DataError: If no image can be read.
        ConfigError: If there is no such protocol or test-time augmentation, or the limit is below 1.
    """
    rules = load_protocol(protocol)
    bound, manifest = match_attributes(bundle.schema.names, manifest, label_map)
    thresholds = rules.choose_thresholds(bundle.thresholds)
    rows, part = _draw_rows(manifest.split_rows(partition, split), limit)
    if loading.device is not None:
        bundle.to(loading.device)
    predictor = _create_predictor(bundle, tta)
    start = time.monotonic()
    skipped: list[tuple[str, str]] = []
    kept, probs, parsing = _predict(predictor, manifest, rows, loading, skipped)
    if bound is not None:
        probs, thresholds = bound.map_probabilities(probs, thresholds)
    chosen = manifest.take(kept)
    return Evaluation(
        dataset=manifest.dataset,
        partition=partition,
        split=split,
        protocol=rules,
        thresholds=thresholds,
        schema=manifest.schema,
        images=chosen.images,
        identities=chosen.identities,
        boxes=chosen.boxes(),
        rows=kept,
        probs=probs,
        labels=chosen.labels,
        root=manifest.root,
        input_size=(bundle.preprocess.height, bundle.preprocess.width),
        device=str(bundle.device),
        seconds=round(time.monotonic() - start, 3),
        skipped=skipped,
        parsing=parsing,
        five_crops=FIVE_CROPS in predictor.tta,
        metadata=_describe_provenance(bundle) | ({} if bound is None else {"label_map": bound.title}) | part,
    )


def _draw_rows(
    rows: NDArray[np.int64], limit: int | None
) -> tuple[NDArray[np.int64], dict[str, dict[str, int]]]:
    """At most `limit` of the rows, ascending, and what to record of it; nothing if these are all."""
    if limit is None or limit >= len(rows):
        return rows, {}
    if limit < 1:
        raise ConfigError(f"expected a limit of at least 1 sample, got {limit}")
    chosen = np.random.default_rng(0).permutation(rows)[:limit]
    return np.sort(chosen), {"limit": {"samples": limit, "of": len(rows)}}


def match_attributes(
    names: tuple[str, ...], manifest: Manifest, label_map: LabelMap | None
) -> tuple[BoundLabelMap | None, Manifest]:
    """Bind a label map to the attributes of a model, and restrict a manifest to those that can be scored.

    Args:
        names: Attributes of the model.

    Raises:
        SchemaError: If the manifest lacks an attribute, or the label map does not fit.
    """
    if label_map is None:
        return None, _fit_attributes(manifest, names)
    bound = label_map.bind(names, manifest.schema.names)
    return bound, _fit_attributes(manifest, bound.names)


def _create_predictor(bundle: Bundle, tta: Sequence[str]) -> Predictor:
    predictor = Predictor(bundle, tta=tta)
    if set(predictor.tta) - {FIVE_CROPS}:
        raise ConfigError(
            f"expected tta=('{FIVE_CROPS}',) or none for an evaluation, got {tuple(tta)}: score files record "
            "no other test-time augmentation"
        )
    return predictor


def _fit_attributes(manifest: Manifest, names: tuple[str, ...]) -> Manifest:
    """The manifest with exactly these attributes, in this order."""
    if names == manifest.schema.names:
        return manifest
    missing = [name for name in names if name not in manifest.schema]
    if missing:
        raise SchemaError(
            f"the model has {len(names)} attributes, of which the manifest {manifest.dataset!r} lacks "
            f"{len(missing)} ({', '.join(missing[:5])}); evaluate on a manifest that has them all, or map "
            "the model's attributes to those of the manifest (--label-map, label_map=…)"
        )
    return manifest.select_attributes(names)


def _describe_provenance(bundle: Bundle) -> dict[str, object]:
    """The bundle's metadata; model and backbone come from the model itself if the metadata lacks them."""
    own = {"model": bundle.model.name, "backbone": bundle.model.arguments.get("backbone")}
    return {**bundle.metadata, **{k: bundle.metadata.get(k) or v for k, v in own.items()}}


def _find_truth(bundle: Bundle, manifest: Manifest) -> str | None:
    """The kind of ground truth for the model's parsing maps, if these rows have one."""
    classes = bundle.model.parsing_classes
    if not classes:
        return None
    if classes == MASK_CLASSES:
        return "masks" if any(manifest.paths("mask")) else None
    if not are_within(manifest.parsing_classes, classes) or not any(manifest.paths("parsing")):
        return None
    return "parsing"


# ---------------------------------------------------------------------- predicting


def _predict(
    predictor: Predictor,
    manifest: Manifest,
    rows: NDArray[np.int64],
    loading: Loading,
    skipped: list[tuple[str, str]],
) -> tuple[NDArray[np.int64], NDArray[np.float32], dict[str, ParsingScores]]:
    """Rows of the readable images, their probabilities, and the scores of the parsing maps by stage."""
    from passerby.evaluation.split_batches import load_rows
    from passerby.metrics import ParsingScores

    model = predictor.bundle.model
    truth = _find_truth(predictor.bundle, manifest.take(rows))
    guidance = tuple(dict.fromkeys((*model.guidance, *([truth] if truth else []))))
    batches = load_rows(
        manifest,
        rows,
        predictor.bundle.preprocess,
        guidance=guidance,
        loading=loading,
        skipped=skipped,
    )
    counts: dict[str, Tensor] = {}
    kept: list[NDArray[np.int64]] = []
    probs: list[NDArray[np.float32]] = []
    with closing(batches):
        for batch in batches:
            if truth:
                scores, maps = predictor.parse_batch(batch.images, batch.guidance)
                _count_pixels(counts, maps, batch, truth, classes=len(model.parsing_classes))
            else:
                scores = predictor.predict_batch(batch.images, batch.guidance)
            probs.append(scores.cpu().numpy())
            kept.append(batch.rows.numpy())
            if loading.progress is not None:
                loading.progress(sum(map(len, kept)), len(rows))
    if not kept:
        raise DataError(f"none of the {len(rows)} images could be read; check --root")
    parsing = {
        stage: ParsingScores.from_counts(each, model.parsing_classes) for stage, each in counts.items()
    }
    return np.concatenate(kept), np.concatenate(probs), parsing


def _count_pixels(
    counts: dict[str, Tensor], maps: dict[str, Tensor], batch: Batch, truth: str, *, classes: int
) -> None:
    """Add the confusion counts of a batch of parsing maps, by stage."""
    from passerby.metrics import count_parsing

    true = getattr(batch.guidance, truth)
    true = read_masks(true) if truth == "masks" else true  # (N, H, W)
    for stage, predicted in maps.items():
        found = count_parsing(predicted.cpu(), true, classes=classes)
        counts[stage] = counts[stage] + found if stage in counts else found
