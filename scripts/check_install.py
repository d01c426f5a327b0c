"""Check that torch, torchvision (its compiled operators included) and timm work together."""

import sys

ADVICE = """
torch, torchvision and timm were installed but do not work together:

    {error}

Usually the two come from different builds (a CPU-only torch with a torchvision made for another build).
Remove the environment and install again with uv, which keeps them consistent:

    rm -rf .venv && make test
"""


def main() -> int:
    """Import the three, call a compiled operator, build a network."""
    try:
        import timm
        import torch
        import torchvision

        boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 2.0]])
        kept = torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8]), 0.5)
        if kept.tolist() != [0]:
            raise RuntimeError(f"torchvision.ops.nms kept {kept.tolist()}, expected [0]")
        timm.create_model("test_resnet", num_classes=1)
    except Exception as error:
        print(ADVICE.format(error=f"{type(error).__name__}: {error}"), file=sys.stderr)
        return 1
    versions = ", ".join(f"{module.__name__} {module.__version__}" for module in (torch, torchvision, timm))
    print(f"installed: {versions}; they work together")
    return 0


if __name__ == "__main__":
    sys.exit(main())
