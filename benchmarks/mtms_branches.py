"""Parameters and multiply-accumulates of one image for each branch of MTMS.

Counted like `passerby models`, from shapes only. A prediction computes the branches above its line, and those
below it only if parsing maps are requested.

    python benchmarks/mtms_branches.py
    python benchmarks/mtms_branches.py --backbone mobilenetv2_100 --size 128x96 --classes coarse
"""

from __future__ import annotations

import argparse

import torch
from torch.utils.flop_counter import FlopCounterMode

from passerby.models.complexity import create_shapes_only

PREDICTED = {
    "trunk": ("backbone",),
    "attributes, stage I": ("attributes1_tail", "attributes1"),
    "parsing, stage I: layers (input of the fusion)": ("parsing1_tail",),
    "attributes, stage II": ("attributes2",),
    "attribute relationship attention": ("attention",),
}
PARSED = {
    "parsing, stage I: map": ("parsing1",),
    "parsing, stage II: layers": ("parsing2_tail",),
    "parsing, stage II: map": ("parsing2",),
}


def main() -> None:
    """Print the table in Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--attributes", type=int, default=35)
    parser.add_argument("--classes", default="lip", help="lip, coarse or mask")
    parser.add_argument("--size", default="256x128", help="height x width")
    args = parser.parse_args()
    height, width = (int(side) for side in args.size.split("x"))
    model = create_shapes_only(
        "mtms",
        backbone=args.backbone,
        attributes=args.attributes,
        size_px=(height, width),
        arguments={"parsing_classes": args.classes},
    ).train()  # training computes all branches
    images = torch.empty(1, 3, height, width, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(images)
    modules = dict(model.named_children())
    found = counter.get_flop_counts()
    macs = {
        name: sum(found.get(f"{type(model).__name__}.{name}", {}).values()) // 2
        for name in modules
        if name != "backbone"
    }
    macs["backbone"] = counter.get_total_flops() // 2 - sum(macs.values())

    def count(branch: str, names: tuple[str, ...]) -> tuple[str, int, int]:
        parameters = sum(p.numel() for name in names for p in modules[name].parameters())
        return branch, parameters, sum(macs[name] for name in names)

    predicted = [count(*branch) for branch in PREDICTED.items()]
    parsed = [count(*branch) for branch in PARSED.items()]
    sums = ("**prediction**", *_add(predicted)), ("**with parsing maps**", *_add(predicted + parsed))
    print("| branch | parameters, M | GMACs |\n|---|---:|---:|")
    for branch, parameters, work in (*predicted, sums[0], *parsed, sums[1]):
        print(f"| {branch} | {parameters / 1e6:.3f} | {work / 1e9:.3f} |")


def _add(lines: list[tuple[str, int, int]]) -> tuple[int, int]:
    return sum(line[1] for line in lines), sum(line[2] for line in lines)


if __name__ == "__main__":
    main()
