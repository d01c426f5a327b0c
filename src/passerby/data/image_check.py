"""Read every image of a manifest: unreadable ones; content, size and perceptual hash of the others."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from passerby.data.copies import hash_content
from passerby.data.manifest import Manifest
from passerby.data.near_duplicates import compute_perceptual_hash
from passerby.errors import ImageError
from passerby.images.decode import read_image
from passerby.images.limits import limit_decoding, read_bytes

__all__ = ["ImageCheck", "check_images"]


@dataclass(frozen=True)
class ImageCheck:
    """Result of reading every image.

    Args:
        unreadable: Image and reason.
        digests: Hash of the bytes of each readable image, by path.
        sizes: Width and height in pixels, by path.
        hashes: Perceptual hash, by path; none for an image of almost one colour.
    """

    unreadable: list[tuple[str, str]] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    hashes: dict[str, int] = field(default_factory=dict)

    @property
    def duplicates(self) -> list[list[str]]:
        """Groups of images whose files are identical, largest group first."""
        groups: defaultdict[str, list[str]] = defaultdict(list)
        for image, digest in self.digests.items():
            groups[digest].append(image)
        return sorted((g for g in groups.values() if len(g) > 1), key=len, reverse=True)


def check_images(
    manifest: Manifest, *, workers: int | None = None, progress: Callable[[int, int], None] | None = None
) -> ImageCheck:
    """Decode every existing image.

    Args:
        manifest: Any manifest; an image of several persons is read once.
        workers: Number of threads; by default one per core.
        progress: Called with the number of images done and the total.
    """
    images = [p for p in dict.fromkeys(manifest.images) if (manifest.root / p).is_file()]
    check = ImageCheck()
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        read = pool.map(_read, (manifest.root / image for image in images))
        for done, (image, result) in enumerate(zip(images, read, strict=True), 1):
            if isinstance(result, str):
                check.unreadable.append((image, result))
            else:
                check.digests[image], check.sizes[image] = result.digest, result.size
                if result.perceptual_hash is not None:
                    check.hashes[image] = result.perceptual_hash
            if progress is not None:
                progress(done, len(images))
    return check


@dataclass(frozen=True, slots=True)
class _Read:
    digest: str
    size: tuple[int, int]
    perceptual_hash: int | None


@limit_decoding()
def _read(path: Path) -> _Read | str:
    """The properties of an image, or the reason if it cannot be read."""
    try:
        content = read_bytes(path)
    except (ImageError, OSError) as error:
        return str(error)
    try:
        image = read_image(content)
    except ImageError as error:
        return str(error).partition(": ")[2]
    return _Read(hash_content(content), image.size, compute_perceptual_hash(image))
