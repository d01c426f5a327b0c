"""Run a bundle over one split and score where it sees attributes."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from passerby.data.cache import PackedCache
from passerby.data.loader import BatchLoader
from passerby.data.manifest import Manifest
from passerby.errors import ConfigError, DataError, SchemaError
from passerby.evaluation.localization.ground_truth import Truth, TruthKind, create_truth
from passerby.evaluation.localization.measure import Measurer
from passerby.evaluation.localization.samples import MEASURES, LocalizationSamples, Measurement
from passerby.evaluation.localization.scores import LocalizationProtocol, LocalizationScores
from passerby.explain.boxes import Binarization, BoxMode
from passerby.explain.heat import Method

if TYPE_CHECKING:
    from passerby.bundle import Bundle

__all__ = ["evaluate_localization"]

Progress = Callable[[int, int], None]


def evaluate_localization(
    bundle: Bundle,
    manifest: Manifest,
    *,
    partition: str,
    split: str = "test",
    names: Mapping[str, str | Sequence[str]] | None = None,
    truth: TruthKind | None = None,
    method: Method | None = None,
    binarization: Binarization | None = None,
    boxes: BoxMode = "outer",
    min_area_px: int = 9,
    min_samples: int = 10,
    only_predicted: bool = False,
    insertion_deletion: int = 0,
    exclude_from_mean: Sequence[str] | None = None,
    batch_size: int = 16,
    cache: Path | None = None,
    device: str | None = None,
    on_unreadable: Literal["raise", "skip"] = "raise",
    workers: int = 2,
    resamples: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> LocalizationScores:
    """Score where a bundle sees attributes against where they are, at the size of its input.

    A **sample** is an attribute in a picture in which it is labelled yes and its truth has at least
    `min_area_px` pixels at the input's size. Where the manifest has no label of that very name (the model learnt
    from another data set), the pixels are the label. A sample counts whatever the model says of it, so that
    models are compared on the same samples. A heat map that is 0 everywhere has no box: IoU 0, and it
    counts.

    Of each sample: IoU of the box around the heat map's foreground with the box around the truth, IoU of
    foreground and true pixels, whether the hottest pixel lies on the truth (the pixels where they are known,
    else in the box), share of the heat inside the box and on the pixels. Of an attribute: the means, and the
    Pearson correlation of box IoU and probability. Intervals draw people: identities with all their pictures,
    or pictures with all their samples, of those that have a sample. The heat maps of the best and the worst
    samples of the mean are kept as `cases`.

    Paper:
        SSPNet (Shen et al., 2023), section 4.5 and Table 10: box IoU and correlation on the pixel labels of
        CCP ("PCS"), which it does not train on. It does not say which pictures count, whether only those that
        the model is right about, how maps are binarised, or at which size: those rules are ours.

    Args:
        bundle: The model.
        manifest: The data, with parsing maps whose classes are attributes, or with `boxes.json`.
        partition: Name of the partition.
        split: `train`, `val` or `test`.
        names: The truth's class or classes of each attribute, see
            `passerby.evaluation.localization.MAPPINGS`; of several the union counts. By default those of the
            same name.
        truth: `parsing` or `boxes`; by default `boxes` where `boxes.json` lies at the manifest's root.
        method: See `compute_heat_maps`; None takes the model's `heat_method`.
        binarization: Half of the maximum by default.
        boxes: `outer` (the paper's), or `components`: the union of a box around each piece of the foreground
            against the union of those around each piece of the truth (two boots).
        min_area_px: 9 by default, 3 × 3: what is smaller has lost its shape in the resizing, and a shift of
            one pixel takes more than half of its IoU.
        min_samples: Fewer, and an attribute has no interval and no part in a mean.
        only_predicted: Count only samples to which the model says yes (above the bundle's threshold).
        insertion_deletion: For how many samples an attribute, drawn by `seed`, insertion and deletion are computed, which
            takes two passes of 21 pictures each; 0 for none. A model that looks at masks or keypoints keeps
            them.
        exclude_from_mean: Attributes to score and to leave out of the means; by default, of drawn people, those that the
            whole person shows (sex, age, view).
        batch_size: Pictures at a time; their maps of all attributes at the input's size are in memory.
        cache: Folder of the packed picture caches, as for `evaluate`; None packs this split in a temporary
            folder.
        device: Such as `cpu` or `cuda`; None leaves the bundle where it is.
        on_unreadable: A picture that cannot be read stops the evaluation, or is left out and listed in `skipped`.
        workers: Threads that decode.
        resamples: Behind the intervals.
        seed: Of the draws.
        progress: Called with the number of pictures done and of all that have a sample.

    Raises:
        ManifestError: If there is no such partition, its split is empty, or there is no truth.
        SchemaError: If names fit neither the model nor the truth.
        DataError: If there is no sample, or no picture can be read.
        ConfigError: If an option is out of range.
        ImageError: If a picture cannot be read and `on_unreadable` is `raise`.
        ModelError: If the model shows no map of its own, and that was asked for.
    """
    method = method or bundle.model.heat_method
    _check_at_least(1, min_area_px=min_area_px, resamples=resamples)
    _check_at_least(0, insertion_deletion=insertion_deletion)
    _check_at_least(2, min_samples=min_samples)
    rule = binarization or Binarization()
    start = time.monotonic()
    if device is not None:
        bundle.to(device)
    bundle.model.eval()
    rows = manifest.split_rows(partition, split)
    with ExitStack() as stack:
        source, numbers, folder = manifest, rows, cache
        if folder is None:
            source, numbers = manifest.take(rows), np.arange(len(rows))
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="passerby-")))
        packed = PackedCache.build(
            source, bundle.preprocess, folder, on_unreadable=on_unreadable, workers=workers
        )
        known = create_truth(
            source,
            bundle.preprocess,
            parsing=packed.parsing,
            attributes=bundle.schema.names,
            names=names,
            boxes=boxes,
            kind=truth,
        )
        left_out = _choose_excluded(known, exclude_from_mean)
        counting, too_small = _find_samples(source, known, numbers[packed.valid[numbers]], min_area_px)
        chosen = _choose_insertion_deletion(counting, insertion_deletion, seed)
        measurer = Measurer(bundle, known, counting, method, rule, boxes, only_predicted, chosen)
        loader = _load(packed, source, counting, bundle, batch_size=batch_size, workers=workers)
        found = _measure_all(measurer, loader, progress)
        wanted = {manifest.images[row] for row in rows}
        skipped = [pair for pair in packed.unreadable if pair[0] in wanted]
    places = rows if cache is None else np.arange(len(manifest))
    samples = _collect(found, known, source, rows=places)
    cases = measurer.keeper.choose(
        source,
        names=samples.attributes,
        members=samples.find_members(min_samples, left_out),
        rows=places,
        resize=bundle.preprocess.resize,
    )
    protocol = LocalizationProtocol(
        truth=known.kind,
        method=method,
        binarization=str(rule),
        boxes=boxes,
        min_area_px=min_area_px,
        min_samples=min_samples,
        only_predicted=only_predicted,
        insertion_deletion=insertion_deletion,
    )
    return LocalizationScores(
        dataset=manifest.dataset,
        partition=partition,
        split=split,
        protocol=protocol,
        names=known.names,
        exclude_from_mean=left_out,
        of_paper=known.of_paper,
        samples=samples,
        too_small=too_small,
        input_size=(bundle.preprocess.height, bundle.preprocess.width),
        resamples=resamples,
        seed=seed,
        device=str(bundle.device),
        seconds=round(time.monotonic() - start, 3),
        skipped=skipped,
        metadata={**bundle.metadata, "model": bundle.model.name},
        cases=cases,
    )


def _check_at_least(least: int, **values: int) -> None:
    for name, value in values.items():
        if value < least:
            raise ConfigError(f"expected {name} of at least {least}, got {value}")


def _choose_excluded(truth: Truth, exclude_from_mean: Sequence[str] | None) -> tuple[str, ...]:
    if exclude_from_mean is None:
        return truth.exclude_from_mean
    if missing := [name for name in exclude_from_mean if name not in truth.names]:
        raise SchemaError(
            f"exclude_from_mean: {missing[0]!r} is none of the attributes with a truth: {', '.join(truth.names)}"
        )
    return tuple(exclude_from_mean)


def _find_samples(
    manifest: Manifest, truth: Truth, rows: NDArray[np.int64], min_area_px: int
) -> tuple[dict[int, tuple[int, ...]], dict[str, int]]:
    """The attributes of each row that count, and how many of each do not for their truth is too small.

    Rows without any are left out.
    """
    if not len(rows):
        raise DataError(
            "none of the pictures can be read; see that they lie below the manifest's root (--root), or have "
            "on_unreadable=raise (--on-unreadable raise) tell what is wrong with the first"
        )
    labels = manifest.labels
    asked = np.ones((len(rows), len(truth.names)), np.bool_)
    for number, name in enumerate(truth.names):
        if name in manifest.schema:
            asked[:, number] = labels[rows, manifest.schema.index(name)] == 1
    counts = np.stack([truth.count(int(row)) for row in rows])  # (N, A')
    enough = asked & (counts >= min_area_px)
    small = (asked & (counts > 0) & (counts < min_area_px)).sum(axis=0)
    if not enough.any():
        raise DataError(
            f"no picture counts: none of {', '.join(truth.names)} is labelled yes and has {min_area_px} true "
            "pixels; take another split, other names, or a smaller min_area_px (--min-area-px)"
        )
    counting = {
        int(row): tuple(np.flatnonzero(each).tolist())
        for row, each in zip(rows, enough, strict=True)
        if each.any()
    }
    return counting, dict(zip(truth.names, small.tolist(), strict=True))


def _choose_insertion_deletion(
    counting: Mapping[int, Sequence[int]], limit: int, seed: int
) -> frozenset[tuple[int, int]]:
    """For each attribute some samples, drawn by the seed and so the same for every model."""
    rows_of: dict[int, list[int]] = {}
    for row, attributes in counting.items():
        for attribute in attributes:
            rows_of.setdefault(attribute, []).append(row)
    return frozenset(
        (int(row), attribute)
        for attribute, rows in rows_of.items()
        for row in np.random.default_rng([seed, attribute]).permutation(rows)[:limit]
    )


def _load(
    packed: PackedCache,
    manifest: Manifest,
    counting: Mapping[int, Sequence[int]],
    bundle: Bundle,
    *,
    batch_size: int,
    workers: int,
) -> BatchLoader:
    """Batches of the rows that count; a model that lacks its guidance warns, as in `Bundle.predict_batch`."""
    model = bundle.model
    for kind in model.guidance:
        if getattr(packed, kind) is None:
            words = f"{model.name} looks at {kind} and got none: {model.without_guidance}"
            warnings.warn(words, stacklevel=3)
    return BatchLoader(
        packed,
        labels=manifest.labels,
        rows=np.array(list(counting), np.int64),
        batch_size=batch_size,
        workers=workers,
        guidance=model.guidance,
    )


def _measure_all(measurer: Measurer, loader: BatchLoader, progress: Progress | None) -> list[Measurement]:
    found: list[Measurement] = []
    done = 0
    for batch in loader:
        found += measurer.measure(batch)
        done += len(batch.rows)
        if progress is not None:
            progress(done, len(measurer.counting))
    if not found:
        raise DataError(
            "the model says yes to none of the samples; leave only_predicted (--only-predicted) out"
        )
    return found


def _collect(
    found: Sequence[Measurement], truth: Truth, manifest: Manifest, *, rows: NDArray[np.int64]
) -> LocalizationSamples:
    """The measurements as columns.

    Args:
        manifest: Whose rows were measured.
        rows: Their rows in the manifest that was given.
    """
    images, identities = manifest.images, manifest.identities
    return LocalizationSamples(
        attributes=tuple(truth.names),
        attribute=np.array([one.attribute for one in found], np.int64),
        images=[images[one.row] for one in found],
        identities=[identities[one.row] for one in found],
        rows=rows[[one.row for one in found]],
        probs=np.array([one.prob for one in found], np.float64),
        measures={name: np.array([one.measures[name] for one in found], np.float64) for name in MEASURES},
    )
