"""The best and the worst cases of localisation: heat map, found box and true box over the picture."""

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
GREY = "#808080"  # in place of a picture
SWATCH_PX = (44, 28)


@dataclass(frozen=True)
class CaseCard:
    """A best or worst case.

    Args:
        sources: The picture if it is shown, and the heat map over it, as data URIs.
        alt: Both in words.
        attribute: Name.
        iou: Of the boxes, per cent.
        percent: The model's probability.
        caption: File name.
        has_heat: Whether the map is above 0 anywhere.
    """

    sources: Sequence[str]
    alt: str
    attribute: str
    iou: int
    percent: int
    caption: str
    has_heat: bool


def create_case_cards(cases: LocalizationCases, kind: Kind, pictures: int) -> list[CaseCard]:
    """The cards of the best or the worst cases.

    Args:
        pictures: How many, with their pictures; 0 for all of them on grey.

    Raises:
        DataError: If a picture cannot be read.
    """
    every = cases.best if kind == "best" else cases.worst
    return [_create_card(cases, case, with_picture=pictures > 0) for case in every[: pictures or None]]


def _create_card(cases: LocalizationCases, case: Case, *, with_picture: bool) -> CaseCard:
    height, width = case.heat.shape
    scale = CASE_PX / max(height, width)
    size = Preprocess(max(1, round(height * scale)), max(1, round(width * scale)), resize=cases.resize)
    ground = (
        resize_image(open_picture(cases.root / case.image), size, case.crop)
        if with_picture
        else np.asarray(Image.new("RGB", (size.width, size.height), GREY))
    )
    drawn = [draw_overlay(ground, case.heat.astype(np.float32))]
    if with_picture:
        drawn.insert(0, Image.fromarray(ground))
    iou, percent = round(100 * case.box_iou), round(100 * case.prob)
    return CaseCard(
        sources=[encode_picture(_draw_both(each, case)) for each in drawn],
        alt=f"{case.attribute}: found and true box, IoU {iou} %; the model gives {percent} %",
        attribute=case.attribute,
        iou=iou,
        percent=percent,
        caption=PurePosixPath(case.image).name,
        has_heat=bool(case.heat.any()),
    )


def _draw_both(image: Image.Image, case: Case) -> Image.Image:
    """The found boxes, and the true ones over them."""
    x, y = image.width / case.heat.shape[1], image.height / case.heat.shape[0]
    for boxes, dashed in ((case.found, False), (case.truth, True)):
        placed = [Box(box.x0 * x, box.y0 * y, box.x1 * x, box.y1 * y) for box in boxes]
        image = draw_boxes(image, placed, width_px=LINE_PX, dashed=dashed)
    return image


def draw_legend() -> list[tuple[str, str]]:
    """What lines and colours mean, drawn as they are in the cases."""
    blank, whole = Image.new("RGB", SWATCH_PX, GREY), [Box(0, 0, *SWATCH_PX)]
    entries = [
        (draw_boxes(blank, whole, width_px=LINE_PX), "found: around the foreground of the heat map"),
        (draw_boxes(blank, whole, width_px=LINE_PX, dashed=True), "true"),
        (draw_bar(2 * SWATCH_PX[0], SWATCH_PX[1]), "heat, each map from 0 to its peak, or to 3 × its mean"),
    ]
    return [(encode_picture(image), words) for image, words in entries]
