"""What the claims on augmentation rest on: judges that fail, a generator that keeps to its data."""

import numpy as np
import pytest
from scipy import ndimage

from dlcheck.augmentation import claims, experiments, transforms
from dlcheck.conformance.oracle import Reference
from dlcheck.registry import components, faults


@pytest.mark.parametrize(
    ("judge", "component", "fault"),
    [
        (claims.flip_involution.judge, "horizontal_flip", "flip-never"),
        (claims.resize_then_crop.judge, "resize_shorter_side", "resize-longer-side"),
        (claims.gaussian_noise.judge, "gaussian_noise", "noise-std-squared"),
    ],
)
def test_claims_are_not_confirmed_by_a_mistaken_implementation(judge, component, fault):
    mistaken = Reference(components()[component], fault=faults()[fault])
    assert not judge(mistaken).confirmed


def test_a_shift_that_goes_too_far_is_found():
    mistaken = Reference(components()["translate"], fault=faults()["translate-doubled"])
    assert claims._shifted_out(mistaken, (4, 4, 3, 0))
    assert not claims._shifted_out(Reference(components()["translate"]), (4, 4, 3, 0))


def test_transforms_are_those_of_scipy():
    image = np.random.default_rng(0).random((5, 7))
    expected = ndimage.rotate(image, 33.0, reshape=False, order=1, mode="grid-constant")
    nearest = transforms.rotated(image, 33.0)
    assert np.corrcoef(nearest[1:-1, 1:-1].ravel(), expected[1:-1, 1:-1].ravel())[0, 1] > 0.5
    assert np.array_equal(transforms.rotated(image[:, :5], 90.0), np.rot90(image[:, :5]))
    assert np.array_equal(transforms.shifted(image, 2, -3), ndimage.shift(image, (2, -3), order=0))


def test_published_sizes_come_from_224_alone():
    fitting = [n for n in range(11, 513) if claims.alexnet_values(n, 2) == claims.PUBLISHED]
    assert fitting == [224]
    assert claims.alexnet_values(227, 0)["conv2"] == claims.PUBLISHED["conv2"]


def test_generated_images_have_the_moments_of_their_class():
    rng = np.random.default_rng(1)
    images, labels = rng.normal(size=(400, 3)) * [1.0, 2.0, 0.0] + 5, np.arange(400) % 2
    images[labels == 1] += 10
    made, named = experiments.generate(images, labels, 8000, rng)
    for k in (0, 1):
        own, new = images[labels == k], made[named == k]
        # six standard errors
        assert np.all(np.abs(new.mean(axis=0) - own.mean(axis=0)) < 6 * new.std(axis=0) / len(new) ** 0.5)
