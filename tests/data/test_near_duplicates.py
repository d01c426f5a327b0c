from __future__ import annotations

import io
import itertools

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageEnhance

from passerby.data.near_duplicates import (
    MAX_DISTANCE,
    NearDuplicates,
    NearPair,
    SimilarImages,
    compute_perceptual_hash,
)


def make_photo(seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (12, 8, 3), np.uint8)
    return Image.fromarray(noise).resize((96, 144), Image.Resampling.BICUBIC)


def compress(image: Image.Image) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=40)
    return Image.open(stream)


@pytest.mark.parametrize("seed", range(3))
def test_the_hash_is_that_of_imagehash(seed):
    photo = make_photo(seed)
    assert f"{compute_perceptual_hash(photo):016x}" == str(imagehash.phash(photo))


@pytest.mark.parametrize(
    "change",
    [
        compress,
        lambda photo: photo.resize((48, 72)),
        lambda photo: ImageEnhance.Brightness(photo).enhance(0.9),
        lambda photo: photo.convert("L"),
    ],
)
def test_a_changed_copy_is_near(change):
    for seed in range(5):
        a, b = compute_perceptual_hash(make_photo(seed)), compute_perceptual_hash(change(make_photo(seed)))
        assert (a ^ b).bit_count() <= MAX_DISTANCE


def test_other_images_are_not_near():
    hashes = [compute_perceptual_hash(make_photo(seed)) for seed in range(40)]
    assert all((a ^ b).bit_count() > MAX_DISTANCE for a, b in itertools.combinations(hashes, 2))


def test_an_image_of_one_colour_has_no_hash():
    assert compute_perceptual_hash(Image.new("RGB", (40, 90), "red")) is None


def find(hashes: list[int], splits: str, digests: str = "") -> NearDuplicates:
    """Splits by their first letters (`-`: in no split), digests as letters, by default all different."""
    images = [f"{i}.jpg" for i in range(len(hashes))]
    contents = digests or "".join(chr(97 + i) for i in range(len(hashes)))
    names = {"r": "train", "v": "val", "t": "test", "-": None}
    similar = SimilarImages(dict(zip(images, hashes, strict=True)), dict(zip(images, contents, strict=True)))
    return similar.find(images, [names[s] for s in splits])


def test_near_images_of_different_splits_are_found():
    found = find([0b0, 0b1111, 0b11111, 0xFF << 40], "rttt")
    assert found == NearDuplicates(2, [NearPair(("0.jpg", "1.jpg"), ("train", "test"), 4)])


def test_equal_hashes_are_near():
    assert find([7, 7], "rv") == NearDuplicates(2, [NearPair(("0.jpg", "1.jpg"), ("train", "val"), 0)])


@pytest.mark.parametrize("splits", ["rr", "r-", "--"])
def test_near_images_of_one_split_do_not_count(splits):
    assert find([0, 1], splits) == NearDuplicates(0, [])


def test_copies_do_not_count():
    assert find([5, 5], "rt", digests="aa") == NearDuplicates(0, [])
    # but a third image that looks like both does
    assert find([5, 5, 4], "rtr", digests="aab").images == 2


def test_the_most_similar_image_is_the_example():
    found = find([0b0, 0b111, 0b1], "rtt")
    assert found.examples[0] == NearPair(("0.jpg", "2.jpg"), ("train", "test"), 1)
    assert found.images == 3


def test_at_most_five_examples_are_named():
    hashes = [i << 8 for i in range(20) for _ in range(2)]
    found = find(hashes, "rt" * 20)
    assert found.images == 40
    assert len(found.examples) == 5


def test_counts_agree_with_a_loop_over_all_pairs():
    rng = np.random.default_rng(0)
    centres = rng.integers(0, 2**63, 30)
    hashes = [int(rng.choice(centres)) ^ (1 << int(rng.integers(60))) for _ in range(300)]
    splits = "".join(rng.choice(list("rvt-"), 300))
    digests = "".join(chr(200 + int(rng.integers(150))) for _ in range(300))
    hash_of = dict(zip(reversed(digests), reversed(hashes), strict=True))
    hashes = [hash_of[d] for d in digests]  # copies have the same hash
    member = {d: {s for e, s in zip(digests, splits, strict=True) if e == d and s != "-"} for d in digests}
    expected = {
        a
        for a, b in itertools.permutations(member, 2)
        if (hash_of[a] ^ hash_of[b]).bit_count() <= MAX_DISTANCE
        and any(s != t for s in member[a] for t in member[b])
    }
    assert find(hashes, splits, digests).images == len(expected) > 50
