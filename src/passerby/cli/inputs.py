"""Inputs of the commands, checked before anything slow is imported or loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from passerby.bundle import Bundle
    from passerby.data.manifest import Manifest
    from passerby.schema import AttributeSchema
    from passerby.types import Preprocess

__all__ = ["BundleFacts", "Inputs", "inspect_bundle"]


@dataclass(frozen=True, slots=True)
class BundleFacts:
    """What the configuration of a bundle states; its weights are not read, and torch is not imported.

    Args:
        path: Local path of the bundle.
        device: Device to load it on.
    """

    path: Path
    device: str
    schema: AttributeSchema
    preprocess: Preprocess
    metadata: Mapping[str, Any]

    def load(self) -> Bundle:
        """Load the bundle."""
        from passerby.bundle import load

        return load(self.path, device=self.device)


def inspect_bundle(bundle: str, device: str) -> BundleFacts:
    """Read the configuration of a bundle, and check the device.

    Raises:
        BundleError: If there is no such bundle, or it is damaged.
        ConfigError: If this machine lacks the device.
    """
    from passerby.bundle.hub import locate
    from passerby.bundle.storage import read_config
    from passerby.devices import check_device
    from passerby.errors import BundleError, SchemaError
    from passerby.migration import upgrade
    from passerby.schema import AttributeSchema
    from passerby.types import Preprocess

    check_device(device)
    path = locate(bundle)
    config = read_config(path)
    try:
        schema = AttributeSchema.from_dict(config["schema"])
        preprocess = Preprocess.from_dict(config["preprocess"])
        return BundleFacts(path, device, schema, preprocess, upgrade(dict(config["metadata"])))
    except (KeyError, TypeError, ValueError, AttributeError, SchemaError) as error:
        raise BundleError(
            f"{path}: the configuration is incomplete ({type(error).__name__}: {error}); copy the bundle "
            "again"
        ) from error


@dataclass(frozen=True, slots=True)
class Inputs:
    """A bundle, and the data to run it on."""

    bundle: BundleFacts
    manifest: Manifest
    partition: str
