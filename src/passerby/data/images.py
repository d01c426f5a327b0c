"""From a file of any common kind to the uint8 input of a network, and the same way for masks and keypoints.

Keypoints count pixels by their centres: (0, 0) is the middle of the top left pixel. A box counts pixels by
their sides: (0, 0, w, h) is the whole picture.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from PIL import Image, UnidentifiedImageError

from passerby.errors import DataError, ImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from passerby.types import Preprocess

__all__ = [
    "BACKGROUND",
    "MAX_PIXELS",
    "Placement",
    "compute_placement",
    "load_map",
    "normalise",
    "read_image",
    "read_size",
    "resize_image",
    "resize_map",
    "restore_heat",
    "restore_map",
]

BoxTuple: TypeAlias = tuple[float, float, float, float]

BACKGROUND = (255, 255, 255)
"""The colour (RGB) that shows through transparent pixels unless told otherwise: white, as on a page."""

MAX_PIXELS = 80_000_000
"""Pictures with more pixels are refused before they are unpacked (PIL itself warns a little later)."""

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


# ---------------------------------------------------------------------- reading


def read_image(
    source: str | Path | bytes | Image.Image, *, background: tuple[int, int, int] = BACKGROUND
) -> Image.Image:
    """Read a picture of any common mode as upright RGB.

    Greyscale and palettes are expanded, 16-bit grey is scaled (not clipped) to 8 bits, CMYK is converted,
    transparency is composited on `background`, EXIF orientation is applied; of an animation the first frame
    is taken. A picture given as PIL image is not changed.

    Args:
        source: A path, the bytes of a file, or a PIL image.
        background: Colour behind transparent pixels.

    Raises:
        ImageError: If the file is missing, empty, truncated, corrupt, of an unknown kind or larger than
            `MAX_PIXELS`; the message names the file and the reason.

    Example:
        >>> read_image(Image.new("L", (4, 6), 128)).getpixel((0, 0))
        (128, 128, 128)
    """
    name = _name_of(source)
    try:
        if isinstance(source, Image.Image):
            return _to_upright_rgb(source, background)
        content = source if isinstance(source, bytes) else Path(source).read_bytes()
        if not content:
            raise ImageError("the file is empty")
        with Image.open(io.BytesIO(content)) as image:
            return _to_upright_rgb(image, background)
    except Exception as error:  # decoders raise nearly anything on a damaged file
        raise ImageError(f"cannot read the picture {name}: {_reason(error)}") from error


def read_size(path: str | Path) -> tuple[int, int]:
    """Width and height in pixels of what `read_image` would give, upright, without decoding the pixels.

    Raises:
        ImageError: If the file is missing, empty, corrupt or of an unknown kind; the message names it.
    """
    try:
        with Image.open(path) as image:
            on_its_side = image.getexif().get(_ORIENTATION_TAG) in (5, 6, 7, 8)
            if on_its_side and image.format != "TIFF":  # of a TIFF, PIL itself gives the upright size
                return image.height, image.width
            return image.size
    except Exception as error:  # as in read_image
        raise ImageError(f"cannot read the picture {path}: {_reason(error)}") from error


def _name_of(source: object) -> str:
    if isinstance(source, (str, Path)):
        return str(source)
    if isinstance(source, bytes):
        return f"<{len(source)} bytes>"
    return str(getattr(source, "filename", "") or "<image>")


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return f"it unpacks to more than {MAX_PIXELS} pixels; scale it down first"
    if isinstance(error, UnidentifiedImageError):
        return "it is damaged, or no picture of a kind that PIL knows"
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
        raise ImageError("it holds floating-point numbers of unknown range; scale it to 8 bits first")
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
    """Load a mask or a parsing map: one number a pixel.

    Args:
        path: A PNG (1 bit, 8-bit grey, or palette, whose indices are taken), or a `.mat` file with a
            matrix `groundtruth` (Clothing Co-Parsing).

    Raises:
        ImageError: If the file is damaged, has colours instead of numbers, or has numbers beyond 0 … 255.

    Shape:
        (h, w) in 0 … 255. For a mask anything above 0 is the person.
    """
    path = Path(path)
    try:
        if path.suffix.lower() == ".mat":
            values = _matrix_of(path)
        else:
            with Image.open(path) as image:
                if image.mode not in ("1", "L", "P"):
                    raise ImageError(f"expected one number a pixel (mode 1, L or P), got mode {image.mode}")
                values = np.asarray(image)
    except Exception as error:  # as in read_image
        raise ImageError(f"cannot read the map {path}: {_reason(error)}") from error
    return values.astype(np.uint8)


def _matrix_of(path: Path) -> NDArray[Any]:
    from scipy.io import loadmat

    content = loadmat(path, variable_names=["groundtruth"])
    if "groundtruth" not in content:
        raise ImageError("expected a matrix named 'groundtruth'")
    values: NDArray[Any] = np.asarray(content["groundtruth"])
    if values.ndim != 2 or values.dtype.kind not in "biu":
        raise ImageError(f"expected a matrix of whole numbers, got {values.dtype} of shape {values.shape}")
    if values.size and (values.min() < 0 or values.max() > 255):
        raise ImageError(f"expected numbers 0 … 255, got {values.min()} … {values.max()}")
    return values


# ---------------------------------------------------------------------- placing


@dataclass(frozen=True, slots=True)
class Placement:
    """Which part of a picture goes to which part of the input.

    Args:
        source: The part of the picture: left, top, right, bottom in pixels.
        target: The rectangle of the input that it fills: left, top, right, bottom in whole pixels.
    """

    source: BoxTuple
    target: tuple[int, int, int, int]

    @property
    def target_size(self) -> tuple[int, int]:
        """Width and height of the filled rectangle."""
        return (self.target[2] - self.target[0], self.target[3] - self.target[1])

    def map_keypoints(self, keypoints: NDArray[np.float32]) -> NDArray[np.float32]:
        """Keypoints (…, 3) of x, y in pixels of the picture and score, as pixels of the input.

        Example:
            >>> Placement((0, 0, 10, 10), (0, 0, 20, 20)).map_keypoints(np.float32([[4.5, 4.5, 1]])).tolist()
            [[9.5, 9.5, 1.0]]
        """
        x0, y0, x1, y1 = self.source
        width, height = self.target_size
        scale = np.array([width / (x1 - x0), height / (y1 - y0)])
        mapped = np.array(keypoints, dtype=np.float32)
        mapped[..., :2] = (keypoints[..., :2] + 0.5 - (x0, y0)) * scale + self.target[:2] - 0.5
        return mapped


def compute_placement(
    size: tuple[int, int], preprocess: Preprocess, box: BoxTuple | None = None
) -> Placement:
    """Where a picture, or a box of it, comes to lie in the input.

    A box that leaves the picture is clipped to it: no pixels are invented around the person.

    Args:
        size: Width and height of the picture in pixels.
        preprocess: Size of the input; `stretch` fills it, `pad` keeps the aspect ratio, centred.
        box: Left, top, right, bottom in pixels, fractions allowed; None for the whole picture.

    Raises:
        DataError: If the box lies outside of the picture.

    Example:
        >>> from passerby.types import Preprocess
        >>> compute_placement((100, 100), Preprocess(256, 192, resize="pad")).target
        (0, 32, 192, 224)
    """
    width, height = size
    x0, y0, x1, y1 = (0.0, 0.0, width, height) if box is None else box
    source = (max(x0, 0.0), max(y0, 0.0), min(x1, width), min(y1, height))
    if not (source[2] > source[0] and source[3] > source[1]):
        raise DataError(f"expected a box that overlaps the picture of {width} × {height} pixels, got {box}")
    if preprocess.resize == "stretch":
        return Placement(source, (0, 0, preprocess.width, preprocess.height))
    w, h = source[2] - source[0], source[3] - source[1]
    scale = min(preprocess.width / w, preprocess.height / h)
    w_px = min(max(round(w * scale), 1), preprocess.width)
    h_px = min(max(round(h * scale), 1), preprocess.height)
    left, top = (preprocess.width - w_px) // 2, (preprocess.height - h_px) // 2
    return Placement(source, (left, top, left + w_px, top + h_px))


def resize_image(
    image: Image.Image, preprocess: Preprocess, box: BoxTuple | None = None
) -> NDArray[np.uint8]:
    """Cut out a box (clipped to the picture) and resize it, bilinear with antialiasing.

    Args:
        image: An RGB picture, as from `read_image`.
        preprocess: Size of the input and whether to stretch or to pad with zeros.
        box: Left, top, right, bottom in pixels; None for the whole picture.

    Raises:
        DataError: If the picture is not RGB, or the box lies outside of it.

    Shape:
        (H, W, 3) uint8.

    Example:
        >>> from passerby.types import Preprocess
        >>> resize_image(Image.new("RGB", (50, 120), "red"), Preprocess(128, 96)).shape
        (128, 96, 3)
    """
    if image.mode != "RGB":
        raise DataError(f"expected a picture of mode RGB, got {image.mode}; use read_image")
    placement = compute_placement(image.size, preprocess, box)
    pixels = _cut(image, placement, Image.Resampling.BILINEAR)
    return _placed(pixels, preprocess, placement)


def resize_map(
    values: NDArray[np.uint8], preprocess: Preprocess, box: BoxTuple | None = None
) -> NDArray[np.uint8]:
    """Put a mask or parsing map through the same way as its picture, nearest neighbour, zero around it.

    Shape:
        values: (h, w), of the size of the picture. Returns (H, W).

    Raises:
        DataError: If the box lies outside of the map.
    """
    image = Image.fromarray(values)
    placement = compute_placement(image.size, preprocess, box)
    pixels = _cut(image, placement, Image.Resampling.NEAREST)
    return _placed(pixels, preprocess, placement)


def restore_map(
    values: NDArray[np.uint8], size: tuple[int, int], preprocess: Preprocess
) -> NDArray[np.uint8]:
    """Bring a mask or parsing map from the input of a network back to its picture, nearest neighbour.

    Args:
        size: Width and height of the picture in pixels.
        preprocess: How the picture became the input.

    Shape:
        values: (H, W), as `preprocess` says. Returns (h, w) of the picture.

    Example:
        >>> from passerby.types import Preprocess
        >>> padded = np.uint8([[0, 1, 2, 0], [0, 3, 4, 0]])
        >>> restore_map(padded, (2, 2), Preprocess(2, 4, resize="pad")).tolist()
        [[1, 2], [3, 4]]
    """
    left, top, right, bottom = compute_placement(size, preprocess).target
    part = Image.fromarray(np.ascontiguousarray(values[top:bottom, left:right]))
    return np.asarray(part.resize(size, Image.Resampling.NEAREST))


def restore_heat(
    values: NDArray[np.float32], size: tuple[int, int], preprocess: Preprocess
) -> NDArray[np.float32]:
    """Bring heat maps from the input of a network back to its picture, bilinear; padding is cut off.

    Args:
        size: Width and height of the picture in pixels.
        preprocess: How the picture became the input.

    Shape:
        values: (A, H, W), as `preprocess` says. Returns (A, h, w) of the picture.

    Example:
        >>> from passerby.types import Preprocess
        >>> padded = np.float32([[[9, 1, 3, 9]]])
        >>> restore_heat(padded, (4, 2), Preprocess(1, 4, resize="pad"))[0, 0].tolist()
        [1.0, 1.5, 2.5, 3.0]
    """
    left, top, right, bottom = compute_placement(size, preprocess).target
    restored = np.empty((len(values), size[1], size[0]), np.float32)
    for heat, given in zip(restored, values, strict=True):
        part = Image.fromarray(np.ascontiguousarray(given[top:bottom, left:right], np.float32))
        heat[:] = np.asarray(part.resize(size, Image.Resampling.BILINEAR))
    return restored


def _cut(image: Image.Image, placement: Placement, how: Image.Resampling) -> NDArray[np.uint8]:
    # Cropping first keeps the filter from reaching over the side of the box into what lies beside the person.
    x0, y0, x1, y1 = placement.source
    left, top = math.floor(x0), math.floor(y0)
    outer = (left, top, math.ceil(x1), math.ceil(y1))
    if outer != (0, 0, *image.size):
        image = image.crop(outer)
    inner = (x0 - left, y0 - top, x1 - left, y1 - top)
    return np.asarray(image.resize(placement.target_size, how, inner))


def _placed(pixels: NDArray[np.uint8], preprocess: Preprocess, placement: Placement) -> NDArray[np.uint8]:
    if placement.target_size == (preprocess.width, preprocess.height):
        return pixels
    out = np.zeros((preprocess.height, preprocess.width, *pixels.shape[2:]), np.uint8)
    left, top, right, bottom = placement.target
    out[top:bottom, left:right] = pixels
    return out


def normalise(images: Tensor, preprocess: Preprocess, *, out: Tensor | None = None) -> Tensor:
    """Turn uint8 pixels into the float input of a network: value / 255, minus mean, divided by std.

    Args:
        images: Pixels as they leave a loader.
        preprocess: Mean and standard deviation.
        out: A float32 tensor of the same shape, of any memory format, to write to; on a CPU reusing one is
            several times faster than a fresh one each batch.

    Raises:
        DataError: If the images are not uint8 (N, 3, H, W) or (3, H, W), or `out` does not fit them.

    Shape:
        images: (N, 3, H, W) uint8, on any device; returns the same shape in float32, same device.

    Example:
        >>> import torch
        >>> from passerby.types import Preprocess
        >>> plain = Preprocess(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
        >>> normalise(torch.tensor([0, 255]).to(torch.uint8).expand(1, 3, 1, 2), plain)[0, 0].tolist()
        [[-1.0, 1.0]]
    """
    import torch

    if images.dtype != torch.uint8 or images.ndim not in (3, 4) or images.shape[-3] != 3:
        raise DataError(f"expected uint8 images (N, 3, H, W), got {images.dtype} {tuple(images.shape)}")
    mean = torch.tensor(preprocess.mean, device=images.device).mul_(255).view(3, 1, 1)
    std = torch.tensor(preprocess.std, device=images.device).mul_(255).view(3, 1, 1)
    if out is None:
        out = torch.empty_like(images, dtype=torch.float32)
    elif out.shape != images.shape or out.dtype != torch.float32:
        raise DataError(f"expected out float32 {tuple(images.shape)}, got {out.dtype} {tuple(out.shape)}")
    return out.copy_(images).sub_(mean).div_(std)
