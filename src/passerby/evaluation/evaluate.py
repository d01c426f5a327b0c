"""Run a bundle over one split."""

from __future__ import annotations

import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from passerby.data.cache import PackedCache
from passerby.data.loader import BatchLoader
from passerby.data.manifest import Manifest
from passerby.errors import DataError, SchemaError
from passerby.evaluation.evaluation import Evaluation
from passerby.evaluation.protocols import load_protocol
from passerby.evaluation.translation import Translation
from passerby.images.decode import read_image
from passerby.images.placement import resize_image
from passerby.metrics import ParsingScores, count_parsing
from passerby.parsing import MASK_CLASSES, are_within, read_masks
from passerby.types import Batch, Preprocess

if TYPE_CHECKING:
    from torch import Tensor

    from passerby.bundle import Bundle

__all__ = ["evaluate"]

Images = NDArray[np.uint8]
Progress = Callable[[int, int], None]


def evaluate(
    bundle: Bundle,
    manifest: Manifest,
    *,
    partition: str,
    split: str = "test",
    protocol: str = "default",
    five_crops: bool = False,
    translation: Translation | None = None,
    batch_size: int = 128,
    cache: Path | None = None,
    device: str | None = None,
    on_unreadable: Literal["raise", "skip"] = "raise",
    workers: int = 2,
    progress: Progress | None = None,
) -> Evaluation:
    """Predict every person of one split and score the predictions.

    The parsing maps of a model that makes some are scored, too, if the manifest has maps of the same classes,
    or masks where the model knows no others.

    Args:
        bundle: The model; without a translation its attributes must all be in the manifest, which may have
            more.
        manifest: The data.
        partition: Name of the partition.
        split: `train`, `val` or `test`.
        protocol: See `passerby.evaluation.protocols`.
        five_crops: Average over the four corners and the centre of each picture, see
            `passerby.bundle.FiveCrops`; parsing maps are those of the whole picture. The evaluation says so.
        translation: For a model that learnt from another data set: which of its attributes are which of the
            manifest's; see `passerby.evaluation.load_translation`. Only those are scored.
        batch_size: Pictures at a time.
        cache: Folder of the packed picture caches, shared with training: the whole manifest is packed there
            if it is not yet. None decodes the pictures of this split on the fly; for a model that looks at
            masks, parsing maps or keypoints, or whose parsing is scored, it packs them in a temporary folder.
        device: Such as `cpu` or `cuda`; None leaves the bundle where it is.
        on_unreadable: A picture that cannot be read stops the evaluation, or is left out and listed in `skipped`.
        workers: Threads that decode.
        progress: Called with the number of pictures done and of all.

    Raises:
        SchemaError: If the manifest lacks an attribute of the bundle.
        ManifestError: If there is no such partition, or its split is empty.
        ImageError: If a picture cannot be read and `on_unreadable` is `raise`.
        ConfigError: If there is no such protocol.
    """
    rules = load_protocol(protocol)
    manifest = _fit_attributes(manifest, translation.names if translation else bundle.schema.names)
    thresholds = rules.choose_thresholds(bundle.thresholds)
    if translation is not None:
        thresholds = translation.translate_thresholds(thresholds)
    rows = manifest.split_rows(partition, split)
    if device is not None:
        bundle.to(device)
    if five_crops:
        from passerby.bundle import FiveCrops

        bundle = FiveCrops.of(bundle)
    truth = _find_truth(bundle, manifest.take(rows))
    guidance = tuple(dict.fromkeys((*bundle.model.guidance, *truth)))
    start = time.monotonic()
    skipped: list[tuple[str, str]] = []
    with ExitStack() as stack:
        if cache is None and not guidance:
            pieces = [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
            keep_going = skipped if on_unreadable == "skip" else None
            batches: Iterable[Batch] = _decode(
                manifest, pieces, preprocess=bundle.preprocess, workers=workers, skipped=keep_going
            )
        else:
            source, numbers, folder = manifest, rows, cache
            if folder is None:
                source, numbers = manifest.take(rows), np.arange(len(rows))
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="passerby-")))
            packed = PackedCache.build(
                source, bundle.preprocess, folder, on_unreadable=on_unreadable, workers=workers
            )
            wanted = {manifest.images[row] for row in rows}
            skipped += [pair for pair in packed.unreadable if pair[0] in wanted]
            batches = BatchLoader(
                packed,
                labels=source.labels,
                rows=numbers,
                batch_size=batch_size,
                workers=workers,
                guidance=guidance,
            )
        kept, probs, parsing = _predict(bundle, batches, len(rows), progress, truth=truth)
        if cache is None and guidance:
            kept = rows[kept]
    if translation is not None:
        probs = translation.translate(probs)
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
        five_crops=five_crops,
        metadata=_describe_provenance(bundle) | ({"label_map": translation.title} if translation else {}),
    )


def _fit_attributes(manifest: Manifest, names: tuple[str, ...]) -> Manifest:
    """The manifest with exactly these attributes, in this order."""
    if names == manifest.schema.names:
        return manifest
    missing = [name for name in names if name not in manifest.schema]
    if missing:
        raise SchemaError(
            f"{len(names)} attributes are to be scored, the manifest {manifest.dataset!r} lacks "
            f"{len(missing)} of them ({', '.join(missing[:5])}); evaluate on a manifest that has them all, "
            "or say which of the model's attributes are which of the manifest's (--names, translation=…)"
        )
    return manifest.select_attributes(names)


def _describe_provenance(bundle: Bundle) -> dict[str, object]:
    """The bundle's metadata, with model and backbone from the model itself where the metadata is silent."""
    own = {"model": bundle.model.name, "backbone": bundle.model.arguments.get("backbone")}
    return {**bundle.metadata, **{k: bundle.metadata.get(k) or v for k, v in own.items()}}


def _find_truth(bundle: Bundle, manifest: Manifest) -> tuple[str, ...]:
    """The kind of guidance that the model's parsing maps can be compared with, if these rows have it."""
    classes = bundle.model.parsing_classes
    if not classes:
        return ()
    if classes == MASK_CLASSES:
        return ("masks",) if any(manifest.paths("mask")) else ()
    if not are_within(manifest.parsing_classes, classes) or not any(manifest.paths("parsing")):
        return ()
    return ("parsing",)


def _predict(
    bundle: Bundle,
    batches: Iterable[Batch],
    total: int,
    progress: Progress | None,
    *,
    truth: tuple[str, ...],
) -> tuple[NDArray[np.int64], NDArray[np.float32], dict[str, ParsingScores]]:
    counts: dict[str, Tensor] = {}
    rows: list[NDArray[np.int64]] = []
    probs: list[NDArray[np.float32]] = []
    done = 0
    for batch in batches:
        if truth:
            scores, maps = bundle.parse_batch(batch.images, batch.guidance)
            true = getattr(batch.guidance, truth[0])
            true = read_masks(true) if truth[0] == "masks" else true  # (N, H, W)
            for stage, predicted in maps.items():
                found = count_parsing(predicted.cpu(), true, classes=len(bundle.model.parsing_classes))
                counts[stage] = counts[stage] + found if stage in counts else found
        else:
            scores = bundle.predict_batch(batch.images, batch.guidance)
        probs.append(scores.cpu().numpy())
        rows.append(batch.rows.numpy())
        done += len(batch.rows)
        if progress is not None:
            progress(done, total)
    if not done:
        raise DataError(f"none of the {total} pictures could be read; check --root")
    names = bundle.model.parsing_classes
    parsing = {stage: ParsingScores.from_counts(each, names) for stage, each in counts.items()}
    return np.concatenate(rows), np.concatenate(probs), parsing


def _decode(
    manifest: Manifest,
    batches: list[NDArray[np.int64]],
    *,
    preprocess: Preprocess,
    workers: int,
    skipped: list[tuple[str, str]] | None,
) -> Iterator[Batch]:
    """Decode in threads, one batch ahead of the network; unreadable pictures go to `skipped` if given."""
    import torch

    images, boxes, labels = manifest.images, manifest.boxes(), manifest.labels
    with ThreadPoolExecutor(max(1, workers)) as pool:
        waiting: deque[list[Future[Images]]] = deque()
        upcoming = iter(batches)
        for numbers in batches:
            for ahead in islice(upcoming, 2 - len(waiting)):
                jobs = [(manifest.root / images[row], preprocess, boxes[row]) for row in ahead]
                waiting.append([pool.submit(_decode_one, *job) for job in jobs])
            good, pictures = [], []
            for row, future in zip(numbers, waiting.popleft(), strict=True):
                try:
                    pictures.append(future.result())
                    good.append(row)
                except DataError as error:
                    if skipped is None:
                        pool.shutdown(cancel_futures=True)
                        raise
                    skipped.append((images[row], str(error)))
            if good:
                read = torch.from_numpy(np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2)))
                yield Batch(read, torch.from_numpy(labels[good]), torch.tensor(good))


def _decode_one(path: Path, preprocess: Preprocess, box: tuple[float, float, float, float] | None) -> Images:
    picture: Images = resize_image(read_image(path), preprocess, box)
    return picture
