"""The gallery of cases: samples with correct and wrong predictions, and the errors of single attributes."""

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
    "Decision",
    "choose_random",
    "choose_worst",
    "create_cards",
    "create_confusions",
    "encode_picture",
    "open_picture",
]

THUMBNAIL_PX = 280
MAX_DECISIONS = 10
Kind = Literal["correct", "false-positive", "missed", "unknown"]
ORDER: Sequence[Kind] = ("false-positive", "missed", "correct", "unknown")
ERRORS: Sequence[Kind] = ("false-positive", "missed")


@dataclass(frozen=True)
class Decision:
    """An attribute that a sample has or that is predicted for it.

    Args:
        name: Name of the attribute.
        kind: `unknown` for a prediction without a label.
        percent: Predicted probability.
    """

    name: str
    kind: Kind
    percent: int


@dataclass(frozen=True)
class Card:
    """A sample of the gallery.

    Args:
        source: The image as a data URI.
        alt: Alternative text.
        caption: File name.
        decisions: Errors first.
        hidden: Number of further decisions, all of them correct or unknown.
    """

    source: str
    alt: str
    caption: str
    decisions: Sequence[Decision]
    hidden: int


@dataclass(frozen=True)
class Confusion:
    """The confusion matrix of an attribute, and its worst errors.

    Args:
        name: Name of the attribute.
        description: Its description.
        tp: True positives.
        fn: False negatives.
        fp: False positives.
        tn: True negatives.
        missed: The false negatives with the lowest probability.
        false_positives: The false positives with the highest probability.
    """

    name: str
    description: str
    tp: int
    fn: int
    fp: int
    tn: int
    missed: Sequence[Card]
    false_positives: Sequence[Card]


# ---------------------------------------------------------------------- samples


def choose_random(evaluation: Evaluation, count: int, *, seed: int = 0) -> NDArray[np.int64]:
    """Indices of `count` samples drawn at random, in the order of the data."""
    n = len(evaluation)
    return np.sort(np.random.default_rng(seed).choice(n, min(count, n), replace=False)).astype(np.int64)


def choose_worst(evaluation: Evaluation, count: int) -> NDArray[np.int64]:
    """Indices of the samples with the largest mean cross-entropy over their known labels, largest first."""
    p = np.clip(evaluation.probs.astype(np.float64), 1e-7, 1 - 1e-7)
    loss = -np.where(evaluation.labels == 1, np.log(p), np.log1p(-p))
    known = evaluation.labels >= 0
    mean = (loss * known).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return np.argsort(-mean, kind="stable")[:count].astype(np.int64)


def create_cards(evaluation: Evaluation, indices: Sequence[int] | NDArray[np.int64]) -> list[Card]:
    """Create the cards of samples.

    Raises:
        DataError: If an image cannot be read below the evaluation's root.
    """
    return [_create_card(evaluation, int(i)) for i in indices]


def _create_card(evaluation: Evaluation, i: int) -> Card:
    decisions = _list_decisions(evaluation, i)
    shown = max(MAX_DECISIONS, sum(each.kind in ERRORS for each in decisions))
    names = {kind: ", ".join(d.name for d in decisions if d.kind == kind) or "none" for kind in ORDER}
    alt = (
        f"Correct: {names['correct']}. Missed: {names['missed']}. False positives: {names['false-positive']}."
    )
    return Card(
        _encode_sample(evaluation, i),
        alt,
        PurePosixPath(evaluation.images[i]).name,
        decisions[:shown],
        max(0, len(decisions) - shown),
    )


def _list_decisions(evaluation: Evaluation, i: int) -> list[Decision]:
    """All predicted and all missed attributes; true negatives are left out."""
    decisions = []
    for a, name in enumerate(evaluation.schema.names):
        predicted, label = bool(evaluation.decisions[i, a]), int(evaluation.labels[i, a])
        kind: Kind
        if predicted:
            kind = "correct" if label == 1 else "false-positive" if label == 0 else "unknown"
        elif label == 1:
            kind = "missed"
        else:
            continue
        decisions.append(Decision(name, kind, round(100 * float(evaluation.probs[i, a]))))
    return sorted(decisions, key=lambda each: ORDER.index(each.kind))


# ---------------------------------------------------------------------- images


def open_picture(path: Path) -> Image.Image:
    """Read an image for the page.

    Raises:
        DataError: If it cannot be read; the message names the options that help.
    """
    from passerby.images.decode import read_image

    try:
        return read_image(path)
    except ImageError as error:
        raise DataError(
            f"cannot show the images of the report: {error}; give their folder with --root, or leave them "
            "out with --no-images"
        ) from error


def encode_picture(picture: Image.Image) -> str:
    """An image as a data URI."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=82, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _encode_sample(evaluation: Evaluation, i: int) -> str:
    """The thumbnail of a sample, cropped to its box."""
    picture, box = open_picture(evaluation.root / evaluation.images[i]), evaluation.boxes[i]
    if box is not None:
        x0, y0, x1, y1 = (round(side) for side in box)
        picture = picture.crop((max(0, x0), max(0, y0), min(picture.width, x1), min(picture.height, y1)))
    picture.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    return encode_picture(picture)


# ---------------------------------------------------------------------- attributes


def create_confusions(evaluation: Evaluation, count: int, *, pictures: int = 3) -> list[Confusion]:
    """The attributes with the lowest mean accuracy among those that have positives and negatives.

    Args:
        evaluation: The evaluation.
        count: Number of attributes.
        pictures: Number of images per attribute and kind of error.
    """
    counts, scores = evaluation.scores, evaluation.scores.per_attribute_mA.tolist()
    both = [i for i in range(len(scores)) if counts.positives[i] and counts.negatives[i]]
    worst = sorted(both, key=lambda i: scores[i])[:count]
    return [_create_confusion(evaluation, a, pictures) for a in worst]


def _create_confusion(evaluation: Evaluation, a: int, pictures: int) -> Confusion:
    predicted, p = evaluation.decisions[:, a], evaluation.probs[:, a]
    labels = evaluation.labels[:, a]
    positive = labels == 1
    negative = (labels == 0) | ((labels == -1) & (evaluation.protocol.unknown == "negative"))
    missed, extra = np.flatnonzero(positive & ~predicted), np.flatnonzero(negative & predicted)
    worst_missed = missed[np.argsort(p[missed], kind="stable")][:pictures]
    worst_extra = extra[np.argsort(-p[extra], kind="stable")][:pictures]
    attribute = evaluation.schema[a]
    return Confusion(
        attribute.name,
        attribute.description,
        tp=int((positive & predicted).sum()),
        fn=len(missed),
        fp=len(extra),
        tn=int((negative & ~predicted).sum()),
        missed=[_create_error_card(evaluation, int(i), a) for i in worst_missed],
        false_positives=[_create_error_card(evaluation, int(i), a) for i in worst_extra],
    )


def _create_error_card(evaluation: Evaluation, i: int, a: int) -> Card:
    percent = round(100 * float(evaluation.probs[i, a]))
    name, predicted = evaluation.schema.names[a], bool(evaluation.decisions[i, a])
    alt = f"{name}: predicted probability {percent} %, label {'absent' if predicted else 'present'}"
    decision = Decision(name, "false-positive" if predicted else "missed", percent)
    return Card(
        _encode_sample(evaluation, i), alt, PurePosixPath(evaluation.images[i]).name, [decision], hidden=0
    )
