"""Decode image files of any common format to upright RGB, and load masks and parsing maps."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Callable
from functools import partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from passerby.errors import ImageError
from passerby.images import limits
from passerby.images.limits import FORMATS, check_file, check_pixels, limit_decoding, read_bytes
from passerby.images.missing_files import describe_similar

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.ImageFile import ImageFile


__all__ = [
    "BACKGROUND",
    "count_pixels",
    "load_map",
    "read_image",
    "read_size",
]

logger = logging.getLogger(__name__)

BACKGROUND = (255, 255, 255)
"""Default colour (RGB) behind transparent pixels: white."""

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPPING = {_UPRIGHT[orientation] for orientation in (5, 6, 7, 8)}
"""Turns that exchange width and height."""
_STRIP_PIXELS = 2**20
"""Pixels that are converted at a time where a conversion needs several copies."""

if "PILLOW_BLOCK_SIZE" not in os.environ:
    # The threads keep freed blocks of Pillow's 16 MiB; larger ones go back to the operating system.
    Image.core.set_block_size(64 * 2**20)  # type: ignore[attr-defined]  # not in the types


def read_image(
    source: str | Path | bytes | Image.Image, *, background: tuple[int, int, int] = BACKGROUND
) -> Image.Image:
    """Read an image of any common mode as upright RGB.

    Greyscale and palettes are expanded, 16-bit grey is scaled (not clipped) to 8 bits (with a warning if no
    value is above 255, as those of 8 bits in a file of 16 bits would be almost black), CMYK is converted,
    transparency is composited on `background`, EXIF orientation is applied (a damaged one is ignored), and
    the first frame of an animation is used. A PIL image passed as source is not changed. The result has no
    metadata, so that its orientation is not applied again.

    Args:
        source: A path, the bytes of a file, or a PIL image.
        background: Colour behind transparent pixels.

    Raises:
        ImageError: If the file is missing, no regular file, empty, truncated, corrupt, of a format other
            than in `limits.FORMATS`, or has more bytes than `limits.MAX_FILE_BYTES` or more pixels than
            `limits.MAX_PIXELS`; the message states the file and the reason.

    Example:
        >>> read_image(Image.new("L", (4, 6), 128)).getpixel((0, 0))
        (128, 128, 128)
    """
    try:
        with limit_decoding():
            if isinstance(source, Image.Image):
                return _to_upright_rgb(source, background, name=_name_of(source))
            with _open(source if isinstance(source, bytes) else read_bytes(source)) as image:
                return _to_upright_rgb(image, background, name=_name_of(source))
    except Exception as error:  # decoders raise arbitrary exceptions for damaged files
        raise ImageError(f"cannot read the image {_name_of(source)}: {_reason(error, source)}") from error


def read_size(path: str | Path) -> tuple[int, int]:
    """Width and height in pixels of the upright image that `read_image` returns, without decoding it.

    Raises:
        ImageError: As `read_image`, but not for many pixels or for damage that only decoding finds.
    """
    try:
        check_file(path)
        with Image.open(path, formats=FORMATS) as image:
            if image.format == "TIFF":  # Pillow returns the upright size
                return image.size
            return image.size[::-1] if _find_turn(image) in _SWAPPING else image.size
    except Exception as error:  # as in read_image
        raise ImageError(f"cannot read the image {path}: {_reason(error, path)}") from error


def count_pixels(path: str | Path) -> int:
    """Number of pixels of an image file; 0 if it is unreadable, which `read_image` will report."""
    try:
        return prod(read_size(path))
    except ImageError:
        return 0


def _name_of(source: object) -> str:
    if isinstance(source, (str, Path)):
        return str(source)
    if isinstance(source, bytes):
        return f"<{len(source)} bytes>"
    return str(getattr(source, "filename", "") or "<image>")


def _reason(error: Exception, source: object) -> str:
    if isinstance(error, FileNotFoundError):
        hint = describe_similar(source) if isinstance(source, (str, Path)) else ""
        return f"the file does not exist{hint}"
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return f"it has more than {limits.MAX_PIXELS} pixels; scale it down first"
    if isinstance(error, UnidentifiedImageError):
        return f"it is damaged, or in a format other than {', '.join(FORMATS)}"
    return str(error) or type(error).__name__


def _open(content: bytes) -> ImageFile:
    if not content:
        raise ImageError("the file is empty")
    return Image.open(io.BytesIO(content), formats=FORMATS)


def _to_upright_rgb(image: Image.Image, background: tuple[int, int, int], *, name: str) -> Image.Image:
    check_pixels(image.width, image.height)
    image.load()
    rgb, turn = _to_rgb(image, background, name=name), _find_turn(image)
    if turn is not None:
        rgb = rgb.transpose(turn)
    elif rgb is image:
        rgb = rgb.copy()
    rgb.info = {}
    return rgb


def _find_turn(image: Image.Image) -> Image.Transpose | None:
    """What makes an image upright by its EXIF orientation; None if that is damaged or missing."""
    try:
        return _UPRIGHT.get(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # parsers raise arbitrary exceptions for damaged data
        return None


def _to_rgb(image: Image.Image, background: tuple[int, int, int], *, name: str) -> Image.Image:
    if image.mode.startswith("I"):
        maxima: list[int] = []
        rgb = _convert_strips(image, partial(_from_16_bit, maxima=maxima))
        if 0 < max(maxima) <= 255:
            logger.warning(
                "%s: the highest of its 16-bit values is %d, so it is almost black; if the values are of 8 "
                "bits, convert it to 8-bit grey (mode L) first",
                name,
                max(maxima),
            )
        return rgb
    if image.mode == "F":
        raise ImageError("it contains floating-point numbers of unknown range; convert it to 8 bits first")
    if image.has_transparency_data:
        return _convert_strips(image, partial(_composite, background=background))
    return image if image.mode == "RGB" else image.convert("RGB")


def _convert_strips(image: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """Convert some rows at a time, which bounds the memory for copies."""
    out, rows = Image.new("RGB", image.size), max(_STRIP_PIXELS // image.width, 1)
    for top in range(0, image.height, rows):
        out.paste(convert(image.crop((0, top, image.width, min(top + rows, image.height)))), (0, top))
    return out


def _composite(image: Image.Image, *, background: tuple[int, int, int]) -> Image.Image:
    behind = Image.new("RGBA", image.size, (*background, 255))
    return Image.alpha_composite(behind, image.convert("RGBA")).convert("RGB")


def _from_16_bit(image: Image.Image, *, maxima: list[int]) -> Image.Image:
    """Grey of 16 bits as RGB; the highest value is appended to `maxima`."""
    values = np.asarray(image).astype(np.int64)
    maxima.append(int(values.max()))
    if values.min() < 0 or values.max() > 65535:
        extent = f"{values.min()} … {values.max()}"
        raise ImageError(f"expected grey values 0 … 65535, got {extent}; scale it to 8 or 16 bits first")
    values = (values + 128) // 257  # 65535 = 255 × 257, rounded
    return Image.fromarray(values.astype(np.uint8)).convert("RGB")


def load_map(path: str | Path) -> NDArray[np.uint8]:
    """Load a mask or a parsing map: one number per pixel.

    Args:
        path: A PNG (1 bit, 8-bit grey, or palette indices), or a `.mat` file with a matrix `groundtruth`
            (Clothing Co-Parsing).

    Raises:
        ImageError: If the file is damaged, contains colours instead of numbers, or numbers outside 0 … 255.

    Shape:
        (h, w) in 0 … 255. For a mask anything above 0 is the person.
    """
    path = Path(path)
    try:
        with limit_decoding():
            content = read_bytes(path)
            if path.suffix.lower() == ".mat":
                return _load_matrix(content)
            with _open(content) as image:
                check_pixels(image.width, image.height)
                if image.mode not in ("1", "L", "P"):
                    raise ImageError(f"expected one number per pixel (mode 1, L or P), got mode {image.mode}")
                return np.asarray(image).astype(np.uint8)
    except Exception as error:  # as in read_image
        raise ImageError(f"cannot read the map {path}: {_reason(error, path)}") from error


def _load_matrix(content: bytes) -> NDArray[np.uint8]:
    from scipy.io import loadmat, whosmat

    file: Any = io.BytesIO(content)  # accepted by SciPy, but not stated in its types
    shapes = {name: shape for name, shape, _ in whosmat(file)}
    if "groundtruth" not in shapes:
        raise ImageError("expected a matrix named 'groundtruth'")
    check_pixels(prod(shapes["groundtruth"]), 1)
    values: NDArray[Any] = np.asarray(loadmat(file, variable_names=["groundtruth"])["groundtruth"])
    if values.ndim != 2 or values.dtype.kind not in "biu":
        raise ImageError(f"expected a matrix of integers, got {values.dtype} of shape {values.shape}")
    if values.size and (values.min() < 0 or values.max() > 255):
        raise ImageError(f"expected numbers 0 … 255, got {values.min()} … {values.max()}")
    return values.astype(np.uint8)
