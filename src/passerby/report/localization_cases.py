"""The best and the worst cases of localisation: heat map, predicted and true boxes over the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from passerby.evaluation.localization.cases import Case, Kind, LocalizationCases
from passerby.images.placement import resize_image
from passerby.report.case_gallery import encode_picture, open_picture
from passerby.types import Box, Preprocess
from passerby.visualization.overlay import draw_bar, draw_boxes, draw_overlay

__all__ = ["CaseCard", "create_case_cards", "draw_legend"]

CASE_PX, LINE_PX = 320, 4
GREY = "#808080"  # instead of an image
SWATCH_PX = (44, 28)


@dataclass(frozen=True)
class CaseCard:
    """A best or worst case.

    Args:
        sources: The image, unless images are left out, and the heat map over it, as data URIs.
        alt: Alternative text.
        attribute: Name of the attribute.
        iou: Box IoU in per cent.
        percent: Predicted probability.
        caption: File name.
        has_heat: Whether the heat map has a value above 0.
    """

    sources: Sequence[str]
    alt: str
    attribute: str
    iou: int
    percent: int
    caption: str
    has_heat: bool


def create_case_cards(cases: LocalizationCases, kind: Kind, pictures: int) -> list[CaseCard]:
    """Create the cards of the best or the worst cases.

    Args:
        cases: The stored cases.
        kind: `best` or `worst`.
        pictures: Number of cases; 0 for all of them on grey instead of their images.

    Raises:
        DataError: If an image cannot be read.
    """
    available = cases.best if kind == "best" else cases.worst
    return [_create_card(cases, case, with_picture=pictures > 0) for case in available[: pictures or None]]


def _create_card(cases: LocalizationCases, case: Case, *, with_picture: bool) -> CaseCard:
    height, width = case.heat.shape
    scale = CASE_PX / max(height, width)
    size = Preprocess(max(1, round(height * scale)), max(1, round(width * scale)), resize=cases.resize)
    picture = (
        resize_image(open_picture(cases.root / case.image), size, case.crop)
        if with_picture
        else np.asarray(Image.new("RGB", (size.width, size.height), GREY))
    )
    drawn = [draw_overlay(picture, case.heat.astype(np.float32))]
    if with_picture:
        drawn.insert(0, Image.fromarray(picture))
    iou, percent = round(100 * case.box_iou), round(100 * case.prob)
    return CaseCard(
        sources=[encode_picture(_draw_both_boxes(each, case)) for each in drawn],
        alt=f"{case.attribute}: predicted and true box, IoU {iou} %; predicted probability {percent} %",
        attribute=case.attribute,
        iou=iou,
        percent=percent,
        caption=PurePosixPath(case.image).name,
        has_heat=bool(case.heat.any()),
    )


def _draw_both_boxes(image: Image.Image, case: Case) -> Image.Image:
    """Draw the predicted boxes, and the true boxes over them."""
    x, y = image.width / case.heat.shape[1], image.height / case.heat.shape[0]
    for boxes, dashed in ((case.found, False), (case.truth, True)):
        scaled = [Box(box.x0 * x, box.y0 * y, box.x1 * x, box.y1 * y) for box in boxes]
        image = draw_boxes(image, scaled, width_px=LINE_PX, dashed=dashed)
    return image


def draw_legend() -> list[tuple[str, str]]:
    """Swatches of the lines and colours of the cases, each with its meaning."""
    blank, box = Image.new("RGB", SWATCH_PX, GREY), [Box(0, 0, *SWATCH_PX)]
    entries = [
        (draw_boxes(blank, box, width_px=LINE_PX), "predicted box, around the foreground of the heat map"),
        (draw_boxes(blank, box, width_px=LINE_PX, dashed=True), "ground truth"),
        (draw_bar(2 * SWATCH_PX[0], SWATCH_PX[1]), "heat map, from 0 to its peak, or to 3 × its mean"),
    ]
    return [(encode_picture(image), meaning) for image, meaning in entries]
