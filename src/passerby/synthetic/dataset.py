"""Write a folder of drawn pedestrians in the format that `passerby prepare table` reads."""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from passerby.data.domain import ABOUT_FILE, SYNTHETIC_PEOPLE
from passerby.data.formats.dataset_files import CLASSES_FILE
from passerby.errors import ConfigError, DataError
from passerby.parsing import LIP_CLASSES
from passerby.synthetic.config import ATTRIBUTES, SynthConfig
from passerby.synthetic.person import SyntheticPerson, draw_person

__all__ = ["get_split", "write_dataset"]

COLUMNS = ("image", "identity", "camera", "split", *ATTRIBUTES, "mask", "parsing", "keypoints")
# Of twenty identities, twelve are train, three val and five test; the first three are one of each.
SPLIT_CYCLE = tuple({"r": "train", "v": "val", "t": "test"}[letter] for letter in "rtvrrtrrtrvrrtrrtrvr")
CHUNK = 32

Row = tuple[dict[str, str], dict[str, list[float]], list[list[float]]]


def get_split(identity: int) -> str:
    """Split of an identity, independent of the size of the data set: 60 % train, 15 % val, 25 % test.

    Example:
        >>> [get_split(i) for i in range(4)]
        ['train', 'test', 'val', 'train']
    """
    return SPLIT_CYCLE[identity % len(SPLIT_CYCLE)]


def write_dataset(
    out: Path,
    count: int,
    config: SynthConfig | None = None,
    *,
    seed: int = 0,
    image_format: Literal["jpg", "png"] = "jpg",
    overwrite: bool = False,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Draw people and write images, labels and annotations to a folder.

    The folder contains `people.csv` (image, identity, camera, split, the 26 attributes as 1, 0 or empty for
    unknown, mask, parsing, 51 numbers of COCO keypoints), `images/`, `masks/` (8-bit PNG, 0 and 255),
    `parsing/` (8-bit PNG, Look-Into-Person class 0 … 19, named in `classes.txt`), `boxes.json` (tight
    box of each visible attribute: left, top, right, bottom), `keypoints_mpii.json` (16 × x, y, score) and
    `synth.json` (seed, options and domain). It is written under a temporary name and renamed when complete,
    so an interrupted run leaves no partial data set.

    Args:
        out: The folder; must be absent or empty unless `overwrite`.
        count: Number of images.
        config: Appearance of the people.
        seed: Seed of people, cameras and scenes; a larger data set begins with the images of a smaller one.
        image_format: `jpg` (quality 92, 4:4:4) or `png` (lossless).
        overwrite: Replace a non-empty folder that `synth` wrote.
        workers: Number of processes; the result does not depend on it.
        progress: Called with the number of images drawn and the total.

    Returns:
        The folder.

    Raises:
        ConfigError: If count, workers or format are out of range.
        DataError: If the folder exists and must not be replaced.
    """
    out = Path(out)
    if count < 1 or workers < 1 or image_format not in ("jpg", "png"):
        raise ConfigError(
            f"expected count ≥ 1, workers ≥ 1 and format jpg or png, "
            f"got {count}, {workers} and {image_format!r}"
        )
    _check_replaceable(out, overwrite)
    config = config or SynthConfig()
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        for name in ("images", "masks", "parsing"):
            (temporary / name).mkdir(parents=True)
        write = partial(_write_chunk, temporary, config, seed, image_format)
        chunks = [range(i, min(i + CHUNK, count)) for i in range(0, count, CHUNK)]
        rows: list[Row] = []
        for chunk in _map(write, chunks, workers):
            rows += chunk
            if progress:
                progress(len(rows), count)
        _write_tables(temporary, rows)
        (temporary / "parsing" / CLASSES_FILE).write_text("\n".join(LIP_CLASSES) + "\n", encoding="utf-8")
        about = {
            "generator": 1,
            "domain": SYNTHETIC_PEOPLE,
            "seed": seed,
            "count": count,
            "config": asdict(config),
            "attributes": ATTRIBUTES,
        }
        (temporary / ABOUT_FILE).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        if out.exists():
            shutil.rmtree(out)
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return out


def _check_replaceable(out: Path, overwrite: bool) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (overwrite and (out / ABOUT_FILE).is_file()):
        raise DataError(
            f"expected a new or empty folder, but {out} contains files; choose another, "
            f"or replace a data set written by synth with --overwrite"
        )


def _map(write: Callable[[range], list[Row]], chunks: list[range], workers: int) -> Iterator[list[Row]]:
    if workers == 1 or len(chunks) == 1:
        yield from map(write, chunks)
        return
    with ProcessPoolExecutor(min(workers, len(chunks)), multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(write, chunks)


def _write_chunk(
    folder: Path, config: SynthConfig, seed: int, image_format: str, indices: range
) -> list[Row]:
    return [_write_person(folder, f"{i:06d}", image_format, draw_person(config, seed, i)) for i in indices]


def _write_person(folder: Path, stem: str, image_format: str, person: SyntheticPerson) -> Row:
    image, mask, parsing = f"images/{stem}.{image_format}", f"masks/{stem}.png", f"parsing/{stem}.png"
    options: dict[str, Any] = (
        {"quality": 92, "subsampling": 0} if image_format == "jpg" else {"compress_level": 4}
    )
    Image.fromarray(person.image).save(folder / image, **options)
    Image.fromarray(person.mask * np.uint8(255)).save(folder / mask)
    Image.fromarray(person.parsing).save(folder / parsing)
    row = {
        "image": image,
        "identity": f"{person.identity:06d}",
        "camera": str(person.camera),
        "split": get_split(person.identity),
        "mask": mask,
        "parsing": parsing,
        "keypoints": " ".join(f"{v:.2f}" for v in person.keypoints_coco.ravel().tolist()),
    }
    row |= {
        name: ("" if v < 0 else str(v)) for name, v in zip(ATTRIBUTES, person.labels.tolist(), strict=True)
    }
    boxes = {name: list(box.as_xyxy()) for name, box in person.boxes.items()}
    return row, boxes, [[round(v, 2) for v in point] for point in person.keypoints_mpii.tolist()]


def _write_tables(folder: Path, rows: list[Row]) -> None:
    with (folder / "people.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(row for row, _, _ in rows)
    boxes = {row["image"]: boxes for row, boxes, _ in rows}
    keypoints = {row["image"]: points for row, _, points in rows}
    for name, content in (("boxes.json", boxes), ("keypoints_mpii.json", keypoints)):
        lines = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in content.items())
        (folder / name).write_text("{\n" + lines + "\n}\n", encoding="utf-8")
