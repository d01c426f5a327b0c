"""Every kind of image becomes upright 8-bit RGB or a named error; maps and masks are read as they are."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from scipy.io import savemat
from torchvision.transforms import v2

from passerby.data.normalise import normalise
from passerby.errors import DataError, ImageError
from passerby.images import decode
from passerby.images.decode import load_map, read_image, read_size
from passerby.types import Preprocess


def smooth_photo(width: int = 60, height: int = 90) -> Image.Image:
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x * 255 // (width - 1), y * 255 // (height - 1), (x + y) % 256], -1)
    return Image.fromarray(pixels.astype(np.uint8))


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


# ---------------------------------------------------------------------- kinds of images


def test_path_string_bytes_and_pil_image_give_the_same_image(tmp_path: Path) -> None:
    path = saved(smooth_photo(), tmp_path / "a.png")
    want = np.asarray(smooth_photo())
    for source in (path, str(path), path.read_bytes(), smooth_photo()):
        result = read_image(source)
        assert result.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(result), want)


def test_size_of_what_is_no_image_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"nothing")
    with pytest.raises(ImageError, match=r"cannot read the image .*a\.jpg: it is damaged"):
        read_size(tmp_path / "a.jpg")
    with pytest.raises(ImageError, match=r"b\.jpg: the file does not exist"):
        read_size(tmp_path / "b.jpg")


@pytest.mark.parametrize("read", [read_image, read_size, load_map])
def test_a_missing_file_of_a_similar_name_is_named(tmp_path: Path, read: Callable[[Path], object]) -> None:
    (tmp_path / "A.JPG").write_bytes(b"nothing")
    with pytest.raises(
        ImageError, match=r"does not exist \(found A\.JPG: same name in another letter case\)"
    ):
        read(tmp_path / "a.jpg")


def test_the_callers_image_is_neither_changed_nor_shared() -> None:
    own = smooth_photo()
    read_image(own).paste((0, 0, 0), (0, 0, 60, 90))
    np.testing.assert_array_equal(np.asarray(own), np.asarray(smooth_photo()))


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "webp", "gif"])
def test_file_types(tmp_path: Path, suffix: str) -> None:
    options = {"lossless": True} if suffix == "webp" else {}
    path = saved(Image.new("RGB", (8, 9), (200, 100, 50)), tmp_path / f"a.{suffix}", **options)
    assert read_image(path).getpixel((4, 4)) == (200, 100, 50)


def test_one_bit_and_grey() -> None:
    assert read_image(Image.new("1", (2, 2), 1)).getpixel((0, 0)) == (255, 255, 255)
    assert read_image(Image.new("L", (2, 2), 77)).getpixel((0, 0)) == (77, 77, 77)


@pytest.mark.parametrize("suffix", ["png", "tiff", "pgm"])
def test_sixteen_bit_grey_is_scaled_and_not_clipped(tmp_path: Path, suffix: str) -> None:
    values = np.array([[0, 257 * 10, 257 * 128 + 100, 257 * 128 + 200, 65535]], np.uint16)
    path = saved(Image.fromarray(values), tmp_path / f"a.{suffix}")
    got = np.asarray(read_image(path))
    np.testing.assert_array_equal(got[0, :, 0], [0, 10, 128, 129, 255])
    assert (got == got[..., :1]).all()


def test_sixteen_bit_big_endian(tmp_path: Path) -> None:
    content = struct.pack(">2H", 0x4000, 0xC000)
    image = Image.frombytes("I;16B", (2, 1), content)
    assert [read_image(image).getpixel((x, 0))[0] for x in (0, 1)] == [64, 191]


def test_sixteen_bit_colour_png_is_scaled(tmp_path: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    pixel = zlib.compress(b"\x00" + struct.pack(">3H", 65535, 32768, 256))
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")
    assert read_image(data).getpixel((0, 0)) == (255, 128, 1)


def test_grey_of_32_bits_and_floats_are_refused_with_advice() -> None:
    wide = Image.fromarray(np.array([[0, 70000]], np.int32))
    with pytest.raises(ImageError, match=r"0 … 65535, got 0 … 70000.*scale"):
        read_image(wide)
    with pytest.raises(ImageError, match="floating-point"):
        read_image(Image.new("F", (2, 2), 0.5))


def test_palette_with_and_without_transparency(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    plain = read_image(saved(image, tmp_path / "plain.png"))
    assert [plain.getpixel((x, 0)) for x in (0, 1)] == [(255, 0, 0), (0, 0, 255)]
    holes = read_image(saved(image, tmp_path / "holes.png", transparency=1))
    assert [holes.getpixel((x, 0)) for x in (0, 1)] == [(255, 0, 0), (255, 255, 255)]


def test_alpha_is_composited_on_the_stated_colour() -> None:
    image = Image.new("RGBA", (1, 1), (100, 0, 0, 0))
    assert read_image(image).getpixel((0, 0)) == decode.BACKGROUND == (255, 255, 255)
    assert read_image(image, background=(1, 2, 3)).getpixel((0, 0)) == (1, 2, 3)
    half = read_image(Image.new("LA", (1, 1), (0, 128)), background=(200, 200, 200)).getpixel((0, 0))
    assert half[0] == pytest.approx(200 * 127 / 255, abs=1)
    assert read_image(Image.new("RGBA", (1, 1), (9, 8, 7, 255))).getpixel((0, 0)) == (9, 8, 7)


def test_colour_key_of_a_png_without_alpha(tmp_path: Path) -> None:
    path = saved(Image.new("RGB", (2, 2), (5, 6, 7)), tmp_path / "a.png", transparency=(5, 6, 7))
    assert read_image(path).getpixel((0, 0)) == (255, 255, 255)


def test_cmyk_jpeg(tmp_path: Path) -> None:
    path = saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), tmp_path / "a.jpg", quality=95)
    red, green, blue = read_image(path).getpixel((8, 8))
    assert red > 240
    assert max(green, blue) < 15


def test_ycbcr() -> None:
    red = read_image(Image.new("RGB", (2, 2), (255, 0, 0)).convert("YCbCr")).getpixel((0, 0))
    assert red[0] > 250
    assert max(red[1:]) < 5


def test_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    path = saved(frames[0], tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert read_image(path).getpixel((0, 0)) == (255, 0, 0)


# EXIF 2.3, tag Orientation: the visual side of the stored 0th row, and of the 0th column.
SIDES = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "tiff"])
def test_exif_orientation(tmp_path: Path, orientation: int, suffix: str) -> None:
    pixels = np.zeros((32, 16, 3), np.uint8)
    pixels[:8, :8] = (255, 0, 0)  # stored: row 0, column 0
    pixels[:8, -8:] = (0, 255, 0)  # stored: row 0, last column
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(Image.fromarray(pixels), tmp_path / f"a.{suffix}", exif=exif)
    got = np.asarray(read_image(path)).astype(int)
    row_side, column_side = SIDES[orientation]
    opposite = {"top": "bottom", "bottom": "top", "left": "right", "right": "left"}
    assert got.shape[:2] == ((32, 16) if orientation < 5 else (16, 32))
    assert read_size(path) == got.shape[1::-1]

    def corner(*sides: str) -> np.ndarray:
        return got[0 if "top" in sides else -1, 0 if "left" in sides else -1]

    assert np.abs(corner(row_side, column_side) - (255, 0, 0)).max() < 30
    assert np.abs(corner(row_side, opposite[column_side]) - (0, 255, 0)).max() < 30


def test_the_result_has_no_metadata(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    xmp = b'<x tiff:Orientation="6"/>'
    path = saved(smooth_photo(), tmp_path / "a.jpg", exif=exif, xmp=xmp, dpi=(9, 9), comment="hello")
    with Image.open(path) as opened:
        for source in (path, opened, opened.convert("L")):
            result = read_image(source)
            assert result.size == (90, 60)
            assert result.info == {}
            assert dict(result.getexif()) == {}
        assert opened.getexif()[0x0112] == 6  # the caller's is not changed
        assert opened.size == (60, 90)
    assert read_image(read_image(path)).size == (90, 60)


def damage_exif(content: bytes) -> dict[str, bytes]:
    """Damaged versions of EXIF data; all begin as Pillow expects."""
    entry = content.index(b"\x01\x12")
    return {
        "cut in the header": content[:9],
        "cut in the entry": content[: entry + 6],
        "no TIFF header": content[:6] + b"XX" + content[8:],
        "offset outside": content[:10] + b"\xff\xff\xff\xf0" + content[14:],
        "wrong type": content[: entry + 2] + b"\x00\x02" + content[entry + 4 :],
        "unknown type": content[: entry + 2] + b"\xff\xff" + content[entry + 4 :],
        "orientation 0": content[: entry + 8] + b"\x00\x00" + content[entry + 10 :],
        "orientation 9": content[: entry + 8] + b"\x00\x09" + content[entry + 10 :],
        "noise": content[:6] + bytes(range(7, 200, 3)),
    }


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", ["JPEG", "MPO", "PNG", "WEBP"])
def test_damaged_exif_counts_as_orientation_1(kind: str) -> None:
    tag = Image.Exif()
    tag.endian = ">"
    tag[0x0112] = 6
    options = {"lossless": True} if kind == "WEBP" else {}
    if kind == "MPO":
        options = {"save_all": True, "append_images": [smooth_photo()]}

    def write(exif: bytes) -> bytes:
        buffer = io.BytesIO()
        smooth_photo().save(buffer, kind, exif=exif, **options)
        return buffer.getvalue()

    intact = tag.tobytes()
    assert intact.startswith(b"Exif\0\0MM")
    assert read_image(write(intact)).size == (90, 60)
    want = np.asarray(read_image(write(b"")))
    for name, exif in damage_exif(intact).items():
        content = write(exif)
        assert exif[6:] in content, name
        got = read_image(content)
        np.testing.assert_array_equal(np.asarray(got), want, err_msg=name)


def test_damaged_exif_in_a_text_of_a_png_counts_as_orientation_1(tmp_path: Path) -> None:
    texts = PngInfo()
    texts.add_text("Raw profile type exif", "\nexif\n  8\nno digits\n")
    path = saved(smooth_photo(), tmp_path / "a.png", pnginfo=texts)
    assert read_image(path).size == read_size(path) == (60, 90)
    with Image.open(path) as opened:
        assert read_image(opened).size == (60, 90)


# ---------------------------------------------------------------------- damaged files


def jpeg_bytes() -> bytes:
    buffer = io.BytesIO()
    smooth_photo(200, 300).save(buffer, "JPEG")
    return buffer.getvalue()


def png_bytes() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"not an image at all", "in a format other than AVIF, BMP"),
        (jpeg_bytes()[: len(jpeg_bytes()) // 2], "truncated"),
        (jpeg_bytes()[:40], "cannot read"),
        (png_bytes()[: len(png_bytes()) // 2], "truncated"),
        (png_bytes()[:200] + bytes(50) + png_bytes()[250:], "broken PNG|cannot read"),
    ],
    ids=["empty", "text", "half JPEG", "JPEG header", "half PNG", "PNG with zeros"],
)
def test_damaged_files_are_named_with_the_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "holiday photo.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"holiday photo\.jpg: .*") as caught:
        read_image(path)
    assert caught.match(reason)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.png: the file does not exist"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(ImageError, match="cannot read the image"):
        read_image(tmp_path)


def huge_png(side: int) -> bytes:
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 1000) + b"IDAT" + zlib.compress(bytes(1000))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [9_000, 12_000, 60_000])
def test_decompression_bombs_are_refused_before_unpacking(side: int) -> None:
    with pytest.raises(ImageError, match="80000000"):
        read_image(huge_png(side))


# ---------------------------------------------------------------------- maps


def test_masks_of_one_bit_grey_and_palette(tmp_path: Path) -> None:
    values = np.array([[0, 1, 1], [1, 0, 0]], np.uint8)
    one_bit = saved(Image.fromarray(values.astype(bool)), tmp_path / "bit.png")
    np.testing.assert_array_equal(load_map(one_bit), values)
    grey = saved(Image.fromarray(values * 19), tmp_path / "grey.png")
    np.testing.assert_array_equal(load_map(grey), values * 19)
    palette = Image.fromarray(values + 4)
    palette.putpalette([0, 0, 0] * 256)
    indices = load_map(saved(palette.convert("P"), tmp_path / "palette.png"))
    assert indices.dtype == np.uint8
    coloured = Image.new("P", (3, 2))
    coloured.putpalette([9, 9, 9, 8, 8, 8])
    coloured.putpixel((1, 0), 1)
    np.testing.assert_array_equal(load_map(saved(coloured, tmp_path / "c.png")), [[0, 1, 0], [0, 0, 0]])


def test_clothing_co_parsing_matrix(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.uint8).reshape(3, 4) * 5
    savemat(tmp_path / "a.mat", {"groundtruth": values})
    np.testing.assert_array_equal(load_map(tmp_path / "a.mat"), values)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ({"other": np.zeros((2, 2))}, "groundtruth"),
        ({"groundtruth": np.zeros((2, 2))}, "integers"),
        ({"groundtruth": np.zeros((2, 2, 2), np.uint8)}, "integers"),
        ({"groundtruth": np.full((2, 2), 300, np.uint16)}, "0 … 255"),
    ],
)
def test_wrong_matrices(tmp_path: Path, content: dict[str, np.ndarray], match: str) -> None:
    savemat(tmp_path / "a.mat", content)
    with pytest.raises(ImageError, match=match):
        load_map(tmp_path / "a.mat")


def test_damaged_and_coloured_maps(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="one number per pixel"):
        load_map(saved(smooth_photo(), tmp_path / "colour.png"))
    (tmp_path / "a.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    with pytest.raises(ImageError, match=r"cannot read the map .*a\.mat"):
        load_map(tmp_path / "a.mat")
    with pytest.raises(ImageError, match="does not exist"):
        load_map(tmp_path / "gone.png")


# ---------------------------------------------------------------------- normalisation


def test_normalise_agrees_with_torchvision() -> None:
    pixels = torch.randint(
        0, 256, (3, 3, 7, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    preprocess = Preprocess()
    want = v2.functional.normalize(pixels.float() / 255, list(preprocess.mean), list(preprocess.std))
    got = normalise(pixels, preprocess)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-6)
    assert torch.equal(normalise(pixels[0], preprocess), got[0])
    buffer = torch.empty_like(got, memory_format=torch.channels_last)
    assert normalise(pixels, preprocess, out=buffer) is buffer
    assert torch.equal(buffer, got)


def test_normalise_refuses_other_types_and_shapes() -> None:
    with pytest.raises(DataError, match="uint8"):
        normalise(torch.zeros(1, 3, 4, 4), Preprocess())
    with pytest.raises(DataError, match=r"\(N, 3, H, W\)"):
        normalise(torch.zeros(1, 4, 4, 3, dtype=torch.uint8), Preprocess())
    with pytest.raises(DataError, match="out"):
        normalise(torch.zeros(1, 3, 4, 4, dtype=torch.uint8), Preprocess(), out=torch.zeros(1, 3, 4, 5))


@pytest.mark.realdata
def test_real_maps_fit_their_photos() -> None:
    if "PASSERBY_DATA" not in os.environ:
        pytest.skip("PASSERBY_DATA is not set")
    root = Path(os.environ["PASSERBY_DATA"])
    for path in sorted((root / "peta" / "masks").iterdir())[::1900]:
        values = load_map(path)
        assert values.shape[::-1] == read_image(root / "peta" / "images" / f"{path.stem}.jpg").size
        assert values.max() <= 1
    for path in sorted((root / "ccp" / "annotations" / "pixel-level").glob("*.mat"))[::150]:
        values = load_map(path)
        assert values.shape[::-1] == read_image(root / "ccp" / "photos" / f"{path.stem}.jpg").size
        assert 0 < values.max() <= 58


@pytest.mark.parametrize("mode", ["I", "I;16", "I;16B"])
def test_8_bit_values_in_a_16_bit_image_are_warned_of(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    content = np.array([200, 0], {"I": "=i4", "I;16": "<u2", "I;16B": ">u2"}[mode]).tobytes()
    assert read_image(Image.frombytes(mode, (2, 1), content)).getpixel((0, 0)) == (1, 1, 1)
    assert caplog.messages == [
        "<image>: the highest of its 16-bit values is 200, so it is almost black; if the values are of 8 "
        "bits, convert it to 8-bit grey (mode L) first"
    ]
    caplog.clear()
    read_image(Image.new(mode, (2, 1)))  # black
    read_image(Image.frombytes("I;16", (2, 1), np.array([256, 0], "<u2").tobytes()))
    assert caplog.messages == []
