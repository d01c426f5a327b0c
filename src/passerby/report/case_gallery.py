"""The wall of pictures: whom the model saw, what it said, and where it was wrong."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from passerby.errors import DataError, ImageError
from passerby.evaluation.evaluation import Evaluation

__all__ = [
    "Card",
    "Confusion",
    "Verdict",
    "choose_random",
    "choose_worst",
    "create_cards",
    "create_confusions",
    "encode_picture",
    "open_picture",
]

THUMBNAIL_PX = 280
SHOWN_VERDICTS = 10
Kind = Literal["right", "extra", "missed", "unknown"]
ORDER: Sequence[Kind] = ("extra", "missed", "right", "unknown")


@dataclass(frozen=True)
class Verdict:
    """One attribute of one person: rightly seen, seen too much, missed, or seen where nobody knows."""

    name: str
    kind: Kind
    percent: int


@dataclass(frozen=True)
class Card:
    """One person on the wall.

    Args:
        source: The picture as a data URI.
        alt: The picture in words.
        caption: File name.
        verdicts: Wrong ones first.
        hidden: How many further verdicts are not shown, all of them right.
    """

    source: str
    alt: str
    caption: str
    verdicts: Sequence[Verdict]
    hidden: int


@dataclass(frozen=True)
class Confusion:
    """The decisions on one attribute, and the worst of them as pictures.

    Args:
        missed: People who have it, of whom the model is surest that they do not.
        extra: People who lack it, of whom the model is surest that they have it.
    """

    name: str
    description: str
    tp: int
    fn: int
    fp: int
    tn: int
    missed: Sequence[Card]
    extra: Sequence[Card]


def choose_random(evaluation: Evaluation, count: int, *, seed: int = 0) -> NDArray[np.int64]:
    """Positions of `count` people drawn at random, in the order of the data."""
    n = len(evaluation)
    return np.sort(np.random.default_rng(seed).choice(n, min(count, n), replace=False)).astype(np.int64)


def choose_worst(evaluation: Evaluation, count: int) -> NDArray[np.int64]:
    """Positions of the people with the largest mean cross-entropy over their known labels, worst first."""
    p = np.clip(evaluation.probs.astype(np.float64), 1e-7, 1 - 1e-7)
    loss = -np.where(evaluation.labels == 1, np.log(p), np.log1p(-p))
    known = evaluation.labels >= 0
    mean = (loss * known).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return np.argsort(-mean, kind="stable")[:count].astype(np.int64)


def create_cards(evaluation: Evaluation, positions: Sequence[int] | NDArray[np.int64]) -> list[Card]:
    """The cards of the people at these positions.

    Raises:
        DataError: If a picture cannot be read below the evaluation's root.
    """
    return [_create_card(evaluation, int(i)) for i in positions]


def _create_card(evaluation: Evaluation, i: int) -> Card:
    verdicts = _judge(evaluation, i)
    shown = max(SHOWN_VERDICTS, sum(v.kind in ("extra", "missed") for v in verdicts))
    name = PurePosixPath(evaluation.images[i]).name
    words = {kind: ", ".join(v.name for v in verdicts if v.kind == kind) or "nothing" for kind in ORDER}
    alt = f"Rightly seen: {words['right']}. Missed: {words['missed']}. Wrongly seen: {words['extra']}."
    return Card(_encode(evaluation, i), alt, name, verdicts[:shown], max(0, len(verdicts) - shown))


def _judge(evaluation: Evaluation, i: int) -> list[Verdict]:
    """Everything the model said yes to and everything it missed; rightly denied attributes are left out."""
    verdicts = []
    for a, name in enumerate(evaluation.schema.names):
        said, truth = bool(evaluation.decisions[i, a]), int(evaluation.labels[i, a])
        kind: Kind
        if said:
            kind = "right" if truth == 1 else "extra" if truth == 0 else "unknown"
        elif truth == 1:
            kind = "missed"
        else:
            continue
        verdicts.append(Verdict(name, kind, round(100 * float(evaluation.probs[i, a]))))
    return sorted(verdicts, key=lambda v: ORDER.index(v.kind))


def open_picture(path: Path) -> Image.Image:
    """A picture for the page.

    Raises:
        DataError: If it cannot be read; the message says how to do without.
    """
    from passerby.images.decode import read_image

    try:
        return read_image(path)
    except ImageError as error:
        raise DataError(
            f"the report shows pictures, but: {error}; say where they lie with --images, or leave them out "
            "with --no-pictures"
        ) from error


def encode_picture(picture: Image.Image) -> str:
    """A picture as a data URI."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=82, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _encode(evaluation: Evaluation, i: int) -> str:
    picture, box = open_picture(evaluation.root / evaluation.images[i]), evaluation.boxes[i]
    if box is not None:
        x0, y0, x1, y1 = (round(side) for side in box)
        picture = picture.crop((max(0, x0), max(0, y0), min(picture.width, x1), min(picture.height, y1)))
    picture.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    return encode_picture(picture)


def create_confusions(evaluation: Evaluation, count: int, *, pictures: int = 3) -> list[Confusion]:
    """The attributes with the lowest mean accuracy among those that have positives and negatives.

    Args:
        count: How many attributes.
        pictures: Of each kind of error, how many pictures.
    """
    scores = evaluation.scores.per_attribute_mA.tolist()
    both = [
        i for i in range(len(scores)) if evaluation.scores.positives[i] and evaluation.scores.negatives[i]
    ]
    worst = sorted(both, key=lambda i: scores[i])[:count]
    return [_confuse(evaluation, a, pictures) for a in worst]


def _confuse(evaluation: Evaluation, a: int, pictures: int) -> Confusion:
    said, p = evaluation.decisions[:, a], evaluation.probs[:, a]
    labels = evaluation.labels[:, a]
    yes = labels == 1
    no = (labels == 0) | ((labels == -1) & (evaluation.protocol.unknown == "negative"))
    missed, extra = np.flatnonzero(yes & ~said), np.flatnonzero(no & said)
    attribute = evaluation.schema[a]
    return Confusion(
        attribute.name,
        attribute.description,
        tp=int((yes & said).sum()),
        fn=len(missed),
        fp=len(extra),
        tn=int((no & ~said).sum()),
        missed=[
            _create_crop(evaluation, i, a) for i in missed[np.argsort(p[missed], kind="stable")][:pictures]
        ],
        extra=[
            _create_crop(evaluation, i, a) for i in extra[np.argsort(-p[extra], kind="stable")][:pictures]
        ],
    )


def _create_crop(evaluation: Evaluation, i: int, a: int) -> Card:
    percent = round(100 * float(evaluation.probs[i, a]))
    name, said = evaluation.schema.names[a], bool(evaluation.decisions[i, a])
    alt = f"{name}: the model gives {percent} %, the label says {'no' if said else 'yes'}"
    verdict = Verdict(name, "extra" if said else "missed", percent)
    return Card(_encode(evaluation, i), alt, PurePosixPath(evaluation.images[i]).name, [verdict], 0)
