"""Draw the block diagram of each model for the docs.

    python scripts/draw_model_figures.py

A model is a list of boxes and arrows, with ";" between them. Box: name, column, row, columns wide, kind, text
("|" starts a new line; a loss is red). Arrows: a > b > c, and "a,b > c" for one from each.
"""

from __future__ import annotations

import re
from itertools import pairwise, product
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

IMAGES = Path(__file__).parents[1] / "docs" / "images"
COLUMN, ROW, WIDTH, HEIGHT = 100, 98, 86, 68  # pixels: from box to box, and the size of a box
COLOURS = {"data": "#eeeeee", "net": "#d5e5f7", "own": "#fde3c3", "output": "#d8efd3", "note": "none"}
STAGES = """image 0 0 1 data image|256×192; s1 1 0 1 net stage 1|H/4; s2 2 0 1 net stage 2|H/8;
s3 3 0 1 net stage 3|H/16; s4 4 0 1 net stage 4|H/32; image > s1 > s2 > s3 > s4"""
MODELS = {
    "baseline": """image 0 0 1 data image|256×192; net 1 0 2 net backbone|any timm network;
mean 3 0 1 net features|H/32; pool 4 0 1 own mean over|positions; linear 5 0 1 own linear|W, b;
out 6 0 1 output logits; image > net > mean > pool > linear > out; labels 0 1 1 data labels;
loss 1 1 6 output loss: cross-entropy|Strong Baseline: rare positives weigh more;
labels,out > loss""",
    "man": """image 0 0 1 data image|256×256; s1 1 0 1 net stage 1|H/4; s2 2 0 1 net stage 2|H/8;
s3 3 0 1 net stage 3|H/16; product 4 0 1 own features|× mask; mean 5 0 1 own mean over|positions;
image > s1 > s2 > s3 > product > mean; mask 0 1 1 data person|mask;
small 3 1 2 own mask resized to H/16|0 or 1; mask > small > product; h1 0 2 1 own full body|4 dense;
h2 1 2 1 own head|4 dense; h3 2 2 1 own upper|4 dense; h4 3 2 1 own lower|4 dense;
h5 4 2 1 own footwear|4 dense; h6 5 2 1 own accessory|4 dense; h7 6 2 1 own action|4 dense;
out 0 3 7 output logits of all tasks|loss: cross-entropy / number of classes of the category;
mean > h1,h2,h3,h4,h5,h6,h7 > out""",
    "mtms": """I 1 -0.55 3 note stage I; II 4 -0.55 3 note stage II; image 0 1 1 data image|256×128;
shared 1 1 1 net shared|layers|H/4, H/8; xa 2 0 1 own attributes|H/8; xt 2 1 1 own trunk|H/8;
xp 2 2 1 own parsing|H/8; a1 3 0 1 output maps A₁|mean: s₁|loss; mean 3 1 1 own mean of|all three;
p1 3 2 1 output parsing|map|loss; deep 4 1 1 net shared|layers|H/16; ba 5 1 1 own attributes|H/16;
bp 5 2 1 own parsing|H/16; relation 5 0 1 own relation|attention; out 6 0 1 output maps A₂|mean: s₂|loss;
p2 6 2 1 output parsing|map|loss; image > shared > xa,xt,xp; xt > mean > deep > ba > relation > out; xp > p1;
xa > a1 > relation; xa,xp > mean; deep > bp > p2""",
    "da-har": """image 0 0 1 data image|256×192; s1 1 0 1 net stage 1|H/4|× mask m₁;
s2 2 0 1 net stage 2|H/8|× mask m₂; s3 3 0 1 net stage 3|H/16|× mask m₃; s4 4 0 1 net stage 4|H/32;
image > s1 > s2 > s3 > s4; pool 5 0 1 own mean over|positions; main 6 0 1 own linear|main;
s4 > pool > main > out; fusion 2 1 3 own fusion at H/16|256 channels; s2,s3,s4 > fusion;
mask 2 2 2 own person mask m|loss on the masks; product 4 2 1 own features|× mask m;
attention 5 2 1 own attention ×|confidence; side 6 2 1 own linear|side;
fusion > mask > product > attention > side > out; fusion > product; out 6 1 1 output logits:|mean|loss;
note1 0 1 2 note m₁, m₂, m₃: coarse masks,|learned from labels alone;
note2 0 2 2 note m: fine mask, learned|from person masks""",
    "diaa": """STAGES; pool 5 0 1 own mean over|positions; primary 5 2 1 own primary|classifier|loss $L_w$;
a3 3 1 1 own attention ×|confidence; a4 4 1 1 own attention ×|confidence;
c3 3 2 1 own classifier|on maps|loss $L_b$; c4 4 2 1 own classifier|on maps|loss $L_b$;
mean 3 3 3 own mean of the three logits; out 6 3 1 output logits; s4 > pool > primary > mean > out;
s3 > a3 > c3 > mean; s4 > a4 > c4 > mean;
note1 0 2 3 note $L_w$: weighted focal loss|$L_b$: cross-entropy, weighted by the|change of predictions""",
    "sspnet": """STAGES; p1 1 1 1 own P1|H/4; p2 2 1 1 own P2|H/8; p3 3 1 1 own P3|H/16;
p4 4 1 1 own 1×1 conv|H/32; s1 > p1; s2 > p2; s3 > p3 > p2 > p1; s4 > p4 > p3;
afss 1 2 3 own AFSS: one level per group,|the best mA in training;
ple 4 2 3 own PLE: features at the locations|of the group's body part; p1,p2,p3 > afss > ple;
g1 3 3 1 own head|linear; g2 4 3 1 own torso|linear; g3 5 3 1 own bottom|linear; g4 6 3 1 own all|linear;
out 3 4 4 output logits|loss: weighted cross-entropy of each group; ple > g1,g2,g3,g4 > out;
note 0 3 3 note locations: rows (R),|keypoints (K) or|sampled points (S)""",
    "passerby": """STAGES; pool 5 0 1 own mean over|positions; linear 5 1 1 own linear|W, b;
e3 3 1 1 own evidence|pooling|Σ a · e; e4 4 1 1 own evidence|pooling|Σ a · e;
sum 3 2 3 own sum of the three logits; out 6 2 1 output logits; s3 > e3; s4 > e4; s4 > pool > linear;
e3,e4,linear > sum > out;
note 0 1 3 note e: evidence of each position|a: its attention, with a learned|prior, sums to 1;
labels 0 3 3 data labels, and mean|probability of four teachers;
both 3 3 4 output loss: 0.3 · L(labels)|+ 0.7 · L(teachers); labels > both; out > both""",
}
Box = tuple[float, float, float, str, list[str]]  # centre x and y, half the width, kind, lines of text


def read(text: str) -> tuple[dict[str, Box], list[tuple[Box, Box]]]:
    """The boxes by name, and the two ends of each arrow."""
    boxes: dict[str, Box] = {}
    pairs: list[tuple[str, str]] = []
    for item in re.split(r";\s+", text.replace("STAGES", STAGES)):
        if " > " in item:
            for start, end in pairwise(item.split(" > ")):
                pairs += product(start.split(","), end.split(","))
        else:
            name, column, row, columns, kind, label = item.split(" ", 5)
            half = (COLUMN * (float(columns) - 1) + WIDTH) / 2
            boxes[name] = COLUMN * float(column) + half, -ROW * float(row), half, kind, label.split("|")
    return boxes, [(boxes[start], boxes[end]) for start, end in pairs]


def draw_box(axes: Axes, box: Box) -> None:
    """A box and its text; a note has no box."""
    x, y, half, kind, lines = box
    if kind != "note":
        corner, style = (x - half, y - HEIGHT / 2), "round,pad=0,rounding_size=6"
        axes.add_patch(
            FancyBboxPatch(corner, 2 * half, HEIGHT, boxstyle=style, fc=COLOURS[kind], ec="#444444")
        )
    for i, line in enumerate(lines):
        red = kind != "note" and "loss" in "".join(lines[: i + 1])
        height = y + 19 * ((len(lines) - 1) / 2 - i)
        axes.text(x, height, line, ha="center", va="center", size=10.5, color="#b00020" if red else "black")


def draw_arrow(axes: Axes, start: Box, end: Box) -> None:
    """An arrow: straight if the boxes share a row or a column, else with two corners."""
    (x0, y0, half0, *_), (x1, y1, half1, *_) = start, end
    right, down = (1 if x1 > x0 else -1), (-1 if y1 < y0 else 1)
    leave, side, edge = y0 + down * HEIGHT / 2, x1 - right * half1, y1 - down * HEIGHT / 2
    if y0 == y1:
        path = [(x0 + right * half0, y0), (side, y1)]
    elif abs(x1 - x0) < max(half0, half1):
        path = [(x0 if half0 <= half1 else x1, y) for y in (leave, edge)]
    elif right < 0 or abs(y1 - y0) > ROW:
        bus = edge - down * (ROW - HEIGHT) / 2
        path = [(x0, leave), (x0, bus), (x1, bus), (x1, edge)]
    else:
        bus = side - (COLUMN - WIDTH) / 2
        path = [(x0 + half0, y0), (bus, y0), (bus, y1), (side, y1)]
    if len(path) > 2:
        axes.plot(*zip(*path[:-1], strict=True), color="#444444", lw=1.2)
    head = {"arrowstyle": "-|>", "color": "#444444", "shrinkA": 0, "shrinkB": 0, "lw": 1.2}
    axes.annotate("", path[-1], path[-2], arrowprops=head)


def draw(model: str, text: str) -> None:
    """Write the diagram of a model."""
    boxes, arrows = read(text)
    top, bottom = (extreme(y for _, y, *_ in boxes.values()) for extreme in (max, min))
    width, height = 7 * COLUMN, top - bottom + HEIGHT + 16
    figure = Figure(
        figsize=(width / 96, height / 96), facecolor="white"
    )  # 96 pixels per inch, as in browsers
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-7, width - 7), ylim=(bottom - HEIGHT / 2 - 8, top + HEIGHT / 2 + 8))
    axes.set_axis_off()
    for start, end in arrows:
        draw_arrow(axes, start, end)
    for box in boxes.values():
        draw_box(axes, box)
    with mpl.rc_context({"svg.hashsalt": model}):  # the same file in every run
        figure.savefig(IMAGES / f"model-{model}.svg", metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    for name, text in MODELS.items():
        draw(name, text)
