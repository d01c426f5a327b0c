"""Cost of all heat maps of a batch, compared with one forward pass and with the package grad-cam.

A baseline (linear head on the pooled features) and a batch of random images; Grad-CAM of all attributes.
The package `grad-cam` is called once per attribute, as usual, each time for the entire batch. The rounds
alternate. Targets: at most 2.5 times a forward pass without gradients, at least 30 times as fast as the
package.

    python benchmarks/heat_maps.py                    # ResNet-50, 256×192, 16 images, 35 attributes
    python benchmarks/heat_maps.py --skip-package     # compare with the forward pass only
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from models import parse_size
from passerby.explain.heat import compute_heat_maps
from passerby.inference.timing import compare_speed, measure, prepare_forward
from passerby.models import AttributeModel, create_model
from passerby.schema import Attribute, AttributeSchema

TARGET_OVER_FORWARD, TARGET_OVER_PACKAGE = 2.5, 30.0


class Logits(nn.Module):
    """A network that returns a tensor, as the package requires."""

    def __init__(self, model: AttributeModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the attributes."""
        return self.model(images).logits


def prepare_passerby(model: AttributeModel, images: Tensor) -> Callable[[], None]:
    """All maps, resized to the image size as in the package."""
    size = (images.shape[2], images.shape[3])

    def heat() -> None:
        compute_heat_maps(model, images, method="grad-cam").resize(size)

    return heat


def prepare_package(model: AttributeModel, images: Tensor) -> Callable[[], None]:
    """All maps by the package, attribute by attribute."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    def heat() -> None:
        with GradCAM(model=Logits(model), target_layers=[model.backbone]) as cam:
            for attribute in range(len(model.schema)):
                cam(images, [ClassifierOutputTarget(attribute)] * len(images))

    return heat


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure on one device."""
    schema = AttributeSchema("bench", tuple(Attribute(f"a{i}", "is there") for i in range(args.attributes)))
    model = create_model("baseline", schema=schema, backbone=args.backbone).to(args.device).eval()
    images = torch.randn(args.batch, 3, *args.size, device=args.device)
    forward, passerby = prepare_forward(model, images), prepare_passerby(model, images)
    over_forward = compare_speed(forward, passerby, seconds=args.seconds, device=args.device)
    report: dict[str, Any] = {
        "benchmark": "heat-maps",
        "backbone": args.backbone,
        "size_px": args.size,
        "batch": args.batch,
        "attributes": args.attributes,
        "device": args.device,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "over_forward": asdict(over_forward),
        "over_forward_target": TARGET_OVER_FORWARD,
    }
    if not args.skip_package:
        package = prepare_package(model, images)
        pairs = []
        for _ in range(args.rounds):
            package_s = measure(package, 1, args.device)
            pairs.append((measure(passerby, 3, args.device), package_s))
        report["package_s"] = [package_s for _, package_s in pairs]
        report["over_package"] = statistics.median(package_s / s for s, package_s in pairs)
        report["over_package_target"] = TARGET_OVER_PACKAGE
    return report


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--size", type=parse_size, default=(256, 192), help="height x width, pixels")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--attributes", type=int, default=35)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="duration of the comparison with the forward pass"
    )
    parser.add_argument("--rounds", type=int, default=2, help="rounds with the package")
    parser.add_argument("--skip-package", action="store_true")
    parser.add_argument("--json", action="store_true", help="print JSON only")
    args = parser.parse_args()
    report = run(args)
    if args.json:
        print(json.dumps(report, indent=1))
        return
    found = report["over_forward"]
    low, high = found["quartiles"]
    print(
        f"{args.attributes} maps of {args.batch} images: {found['ratio']:.2f} forward passes "
        f"[{low:.2f}, {high:.2f}], target ≤ {TARGET_OVER_FORWARD}"
    )
    if "over_package" in report:
        print(f"{report['over_package']:.0f} times as fast as grad-cam, target ≥ {TARGET_OVER_PACKAGE:.0f}")


if __name__ == "__main__":
    main()
