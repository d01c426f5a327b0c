"""Decode image files of any common format to upright RGB, and load masks and parsing maps."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from passerby.errors import ImageError
from passerby.images.missing_files import describe_similar

if TYPE_CHECKING:
    from numpy.typing import NDArray


__all__ = [
    "BACKGROUND",
    "MAX_PIXELS",
    "load_map",
    "read_image",
    "read_size",
]

BACKGROUND = (255, 255, 255)
"""Default colour (RGB) behind transparent pixels: white."""

MAX_PIXELS = 80_000_000
"""Images with more pixels are refused before they are decompressed (Pillow itself warns slightly later)."""

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


def read_image(
    source: str | Path | bytes | Image.Image, *, background: tuple[int, int, int] = BACKGROUND
) -> Image.Image:
    """Read an image of any common mode as upright RGB.

    Greyscale and palettes are expanded, 16-bit grey is scaled (not clipped) to 8 bits, CMYK is converted,
    transparency is composited on `background`, EXIF orientation is applied, and the first frame of an
    animation is used. A PIL image passed as source is not changed.

    Args:
        source: A path, the bytes of a file, or a PIL image.
        background: Colour behind transparent pixels.

    Raises:
        ImageError: If the file is missing, empty, truncated, corrupt, of an unknown format or larger than
            `MAX_PIXELS`; the message states the file and the reason.

    Example:
        >>> read_image(Image.new("L", (4, 6), 128)).getpixel((0, 0))
        (128, 128, 128)
    """
    try:
        if isinstance(source, Image.Image):
            return _to_upright_rgb(source, background)
        content = source if isinstance(source, bytes) else Path(source).read_bytes()
        if not content:
            raise ImageError("the file is empty")
        with Image.open(io.BytesIO(content)) as image:
            return _to_upright_rgb(image, background)
    except Exception as error:  # decoders raise arbitrary exceptions for damaged files
        raise ImageError(f"cannot read the image {_name_of(source)}: {_reason(error, source)}") from error


def read_size(path: str | Path) -> tuple[int, int]:
    """Width and height in pixels of the upright image that `read_image` returns, without decoding it.

    Raises:
        ImageError: If the file is missing, empty, corrupt or of an unknown format; the message states it.
    """
    try:
        with Image.open(path) as image:
            is_rotated = image.getexif().get(_ORIENTATION_TAG) in (5, 6, 7, 8)
            if is_rotated and image.format != "TIFF":  # for TIFF, Pillow returns the upright size
                return image.height, image.width
            return image.size
    except Exception as error:  # as in read_image
        raise ImageError(f"cannot read the image {path}: {_reason(error, path)}") from error


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
        return f"it has more than {MAX_PIXELS} pixels; scale it down first"
    if isinstance(error, UnidentifiedImageError):
        return "it is damaged, or not an image format that Pillow supports"
    return str(error) or type(error).__name__


def _to_upright_rgb(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    if image.width * image.height > MAX_PIXELS:
        size = f"{image.width} × {image.height}"
        raise ImageError(f"it has {size} pixels, more than the {MAX_PIXELS} allowed; scale it down first")
    if not image.width * image.height:
        raise ImageError("it has no pixels")
    image.load()
    turn = _UPRIGHT.get(image.getexif().get(_ORIENTATION_TAG, 1))
    rgb = _to_rgb(image, background)
    if turn is not None:
        return rgb.transpose(turn)
    return rgb.copy() if rgb is image else rgb


def _to_rgb(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    if image.mode.startswith("I"):
        return _from_16_bit(image).convert("RGB")
    if image.mode == "F":
        raise ImageError("it contains floating-point numbers of unknown range; convert it to 8 bits first")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        behind = Image.new("RGBA", image.size, (*background, 255))
        return Image.alpha_composite(behind, rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _from_16_bit(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        extent = f"{values.min()} … {values.max()}"
        raise ImageError(f"expected grey values 0 … 65535, got {extent}; scale it to 8 or 16 bits first")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))  # 65535 = 255 × 257, rounded


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
        if path.suffix.lower() == ".mat":
            values = _load_matrix(path)
        else:
            with Image.open(path) as image:
                if image.mode not in ("1", "L", "P"):
                    raise ImageError(f"expected one number per pixel (mode 1, L or P), got mode {image.mode}")
                values = np.asarray(image)
    except Exception as error:  # as in read_image
        raise ImageError(f"cannot read the map {path}: {_reason(error, path)}") from error
    return values.astype(np.uint8)


def _load_matrix(path: Path) -> NDArray[Any]:
    from scipy.io import loadmat

    content = loadmat(path, variable_names=["groundtruth"])
    if "groundtruth" not in content:
        raise ImageError("expected a matrix named 'groundtruth'")
    values: NDArray[Any] = np.asarray(content["groundtruth"])
    if values.ndim != 2 or values.dtype.kind not in "biu":
        raise ImageError(f"expected a matrix of integers, got {values.dtype} of shape {values.shape}")
    if values.size and (values.min() < 0 or values.max() > 255):
        raise ImageError(f"expected numbers 0 … 255, got {values.min()} … {values.max()}")
    return values
