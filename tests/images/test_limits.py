"""Image files are hostile: special files, sizes, formats that start programs, and memory across threads."""

from __future__ import annotations

import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image
from scipy.io import savemat

import passerby
from passerby.errors import ImageError
from passerby.images import decode, limits
from passerby.images.decode import count_pixels, load_map, read_image, read_size

READERS: list[Callable[[Path], Any]] = [read_image, read_size, load_map]
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n%%EndComments\n(%pipe%touch x) (w) file\n%%EOF\n"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.new("L", (30, 20), 7).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


# ---------------------------------------------------------------------- special files


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path.name)  # the address is limited to about a hundred characters


def link_to_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("make", "got"),
    [
        (make_pipe, "a named pipe"),
        (make_socket, "a socket"),
        (link_to_device, "a device"),
        (Path.mkdir, "a folder"),
    ],
)
def test_only_regular_files_are_read(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    read: Callable[[Path], Any],
    make: Callable[[Path], None],
    got: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "special.jpg"
    make(path)
    with pytest.raises(ImageError, match=rf"special\.jpg: expected a regular file, got {got}$"):
        read(path)


@pytest.mark.parametrize("read", READERS)
def test_a_link_to_a_file_is_followed_and_one_to_itself_is_an_error(
    photo: Path, read: Callable[[Path], Any]
) -> None:
    link, loop = photo.with_name("link.png"), photo.with_name("loop.png")
    link.symlink_to(photo)
    loop.symlink_to(loop)
    np.testing.assert_array_equal(np.asarray(read(link)), np.asarray(read(photo)))
    with pytest.raises(ImageError, match=r"loop\.png: .*[Tt]oo many"):
        read(loop)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs the files of Linux in /proc")
@pytest.mark.parametrize("read", READERS)
def test_a_file_without_size_is_not_opened(read: Callable[[Path], Any]) -> None:
    with pytest.raises(ImageError, match="the file is empty"):
        read(Path("/proc/self/mem"))  # endless, of size 0


# ---------------------------------------------------------------------- size of the file


@pytest.mark.parametrize("read", READERS)
def test_a_larger_sparse_file_is_refused_before_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], Any]
) -> None:
    path = tmp_path / "sparse.jpg"
    with path.open("wb") as file:
        file.truncate(3 * 2**30)
    monkeypatch.setattr(Path, "open", None)
    with pytest.raises(ImageError, match=r"at most 536,870,912 bytes, got 3,221,225,472; scale it down"):
        read(path)


def test_the_limit_of_bytes_can_be_set(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = photo.stat().st_size
    monkeypatch.setattr(limits, "MAX_FILE_BYTES", size)
    assert limits.read_bytes(photo) == photo.read_bytes()
    assert limits.check_file(photo) == size
    monkeypatch.setattr(limits, "MAX_FILE_BYTES", size - 1)
    with pytest.raises(ImageError, match=f"at most {size - 1} bytes, got {size}"):
        read_image(photo)


def test_no_more_is_read_than_was_checked(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content, check = photo.read_bytes(), limits.check_file

    def check_and_grow(path: str | Path) -> int:
        size = check(path)
        photo.write_bytes(content + bytes(1000))
        return size

    monkeypatch.setattr(limits, "check_file", check_and_grow)
    assert limits.read_bytes(photo) == content


# ---------------------------------------------------------------------- pixels


@pytest.mark.parametrize("read", [read_image, load_map])
def test_the_limit_of_pixels_can_be_set(
    photo: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], Any]
) -> None:
    monkeypatch.setattr(limits, "MAX_PIXELS", 600)
    read(photo)
    monkeypatch.setattr(limits, "MAX_PIXELS", 599)
    with pytest.raises(ImageError, match=r"photo\.png: it has 30 × 20 pixels, more than the 599 allowed"):
        read(photo)


def test_a_matrix_is_refused_by_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    savemat(tmp_path / "a.mat", {"groundtruth": np.zeros((20, 30), np.uint8)})
    monkeypatch.setattr(limits, "MAX_PIXELS", 599)
    monkeypatch.setattr("scipy.io.loadmat", None)
    with pytest.raises(ImageError, match="more than the 599 allowed"):
        load_map(tmp_path / "a.mat")


def test_pixels_are_counted_without_decoding(photo: Path) -> None:
    assert count_pixels(photo) == 600
    assert count_pixels(photo.with_name("gone.png")) == 0


# ---------------------------------------------------------------------- across threads


class Meter:
    """Counts the pixels that are being converted at a time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lock, self.now, self.peak, self.convert = threading.Lock(), 0, 0, decode._to_rgb
        monkeypatch.setattr(decode, "_to_rgb", self)

    def __call__(self, image: Image.Image, background: tuple[int, int, int], *, name: str) -> Image.Image:
        pixels = image.width * image.height
        with self.lock:
            self.now += pixels
            self.peak = max(self.peak, self.now)
        time.sleep(0.005)  # lets other threads come this far
        with self.lock:
            self.now -= pixels
        return self.convert(image, background, name=name)


@pytest.mark.parametrize(("allowed", "peak"), [(600, 600), (1199, 600), (1200, 1200), (1800, 1800)])
def test_all_threads_together_decode_no_more_than_the_limit(
    photo: Path, monkeypatch: pytest.MonkeyPatch, allowed: int, peak: int
) -> None:
    monkeypatch.setattr(limits, "MAX_PIXELS", allowed)
    meter = Meter(monkeypatch)
    with ThreadPoolExecutor(6) as pool:
        read = list(pool.map(read_image, [photo] * 24))
    assert len(read) == 24
    assert 600 <= meter.peak <= peak
    assert limits._taken == 0


def test_files_above_the_limit_of_large_ones_are_read_one_at_a_time(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LARGE_FILE_BYTES", photo.stat().st_size - 1)
    meter = Meter(monkeypatch)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(read_image, [photo] * 12))
    assert meter.peak == 600


def test_a_block_counts_until_its_end_and_does_not_wait_for_itself(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_PIXELS", 600)
    with limits.limit_decoding():
        read_image(photo)
        assert limits._taken == 600
        load_map(photo)
        with limits.limit_decoding():
            read_image(photo)
        assert limits._taken == 1800
    assert limits._taken == 0


def test_an_error_gives_the_pixels_back(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:5000])
    with pytest.raises(ImageError, match="truncated"):
        read_image(tmp_path / "a.png")
    assert limits._taken == 0


@pytest.mark.parametrize(("given", "expected"), [(None, 64 * 2**20), ("1m", 2**20)])
def test_freed_images_return_to_the_operating_system_unless_the_user_decides(
    given: str | None, expected: int
) -> None:
    variables = {name: value for name, value in os.environ.items() if name != "PILLOW_BLOCK_SIZE"}
    if given is not None:
        variables["PILLOW_BLOCK_SIZE"] = given
    code = "from passerby.images.decode import Image; print(Image.core.get_block_size())"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=variables
    )
    assert int(result.stdout) == expected


# ---------------------------------------------------------------------- formats


@pytest.mark.parametrize("read", READERS)
def test_eps_in_a_jpg_is_refused_without_starting_ghostscript(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], Any]
) -> None:
    program = tmp_path / "gs"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)  # found again
    assert shutil.which("gs") == str(program)
    path = tmp_path / "photo.jpg"
    path.write_bytes(EPS)
    expected = (
        r"photo\.jpg: it is damaged, or in a format other than AVIF, BMP, GIF, JPEG, PNG, PPM, TIFF, WEBP$"
    )
    with pytest.raises(ImageError, match=expected):
        read(path)
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("name", ["PCX", "TGA", "ICO", "SGI", "DDS", "JPEG2000"])
def test_other_formats_of_pillow_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "photo.png"
    Image.new("RGB", (16, 16), (200, 100, 50)).save(path, format=name)
    with pytest.raises(ImageError, match="in a format other than"):
        read_image(path)


def test_each_format_is_read_whatever_the_name(tmp_path: Path) -> None:
    path = tmp_path / "photo.data"
    for name in limits.FORMATS:
        Image.new("RGB", (16, 16), (200, 100, 50)).save(path, format=name)
        assert read_image(path).size == read_size(path) == (16, 16), name


def test_the_formats_are_those_of_the_suffixes_that_are_listed() -> None:
    known = Image.registered_extensions()
    assert {known[suffix] for suffix in limits.IMAGE_SUFFIXES} == set(limits.FORMATS)


def test_every_file_is_opened_with_the_list_of_formats() -> None:
    calls = []
    for path in Path(passerby.__file__).parent.rglob("*.py"):
        calls += re.findall(r"\bImage\.open\((?:[^()]|\([^()]*\))*\)", path.read_text(encoding="utf-8"))
    assert calls
    assert [call for call in calls if "formats=FORMATS" not in call] == []
