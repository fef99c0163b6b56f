"""The augmentations: against SciPy, Pillow and torch's own, batches image by image, and code as people write it."""

import inspect

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import ndimage

from dlcheck import registry
from dlcheck.augmentation import reference
from dlcheck.augmentation import torch as ours
from dlcheck.augmentation.checks import BRIGHT, EIGENVALUES, EIGENVECTORS, GLARE, MID
from dlcheck.conformance.check import judge
from dlcheck.conformance.targets import adapt
from dlcheck.evidence import numerics

CUDA = pytest.param(
    "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
)
ANGLES = (10.0, 33.0, 90.0, 180.0, -47.3, 250.0)
PHOTO = np.random.default_rng(0).random((3, 6, 8))


def seeded(seed=0, device="cpu"):
    return torch.Generator(device).manual_seed(seed)


def near(actual, expected, dtype="float64", roundings=32):
    """Whether values from 0 to 1 differ by some roundings at most."""
    allowed = numerics.roundings(np.ones_like(expected), dtype, roundings)
    return actual.shape == expected.shape and bool(np.all(np.abs(actual - expected) <= allowed))


def report(component, code, device="cpu"):
    known = registry.components()[component]
    return judge(known, adapt(known, code, device=device), examples=5)


# --- the reference ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("degrees", ANGLES)
def test_rotation_agrees_with_scipy_and_pillow(degrees):
    def rotated(**conventions):
        return reference.rotate(PHOTO, degrees, **conventions)

    def pillow(resample):
        channels = [Image.fromarray(c.astype(np.float32)).rotate(degrees, resample) for c in PHOTO]
        return np.stack([np.asarray(c, np.float64) for c in channels])

    inside, blended = (
        np.stack([ndimage.rotate(c, degrees, reshape=False, order=1, mode=mode) for c in PHOTO])
        for mode in ("constant", "grid-constant")
    )
    assert near(rotated(interpolation="bilinear_inside"), inside)
    assert near(rotated(interpolation="bilinear"), blended)
    assert near(rotated(interpolation="bilinear_clamped"), pillow(Image.Resampling.BILINEAR), "float32")
    assert near(rotated(), pillow(Image.Resampling.NEAREST), "float32")


def test_a_positive_angle_is_counter_clockwise():
    assert np.array_equal(reference.rotate(PHOTO[:, :, :6], 90), np.rot90(PHOTO[:, :, :6], 1, (1, 2)))
    assert np.array_equal(
        reference.rotate(PHOTO[:, :, :6], 90, direction="clockwise"), np.rot90(PHOTO[:, :, :6], -1, (1, 2))
    )


RESIZED = {
    "antialias": {"mode": "bilinear", "antialias": True},
    "half_pixel": {"mode": "bilinear"},
    "align_corners": {"mode": "bilinear", "align_corners": True},
    "nearest": {"mode": "nearest"},
    "nearest_centre": {"mode": "nearest-exact"},
    "bicubic": {"mode": "bicubic", "antialias": True},
}


@pytest.mark.parametrize("size", [1, 2, 5, 6, 7, 13])
@pytest.mark.parametrize("method", RESIZED)
def test_resizing_agrees_with_torch(method, size):
    found = reference.resize_shorter_side(PHOTO, size, resampling=method)
    assert found.shape == (3, size, size * 8 // 6)
    expected = F.interpolate(torch.tensor(PHOTO)[None], found.shape[1:], **RESIZED[method])[0].numpy()
    assert near(found, expected, roundings=64)


def test_longer_side_is_cut_or_rounded():
    image = np.ones((1, 3, 8))
    assert reference.resize_shorter_side(image, 4).shape == (1, 4, 10)
    assert reference.resize_shorter_side(image, 4, rounding="nearest").shape == (1, 4, 11)


@pytest.mark.parametrize(("dy", "dx"), [(1, 2), (-2, 1), (0, -3), (6, 0), (-9, 20)])
def test_translation_is_that_of_scipy(dy, dx):
    expected = ndimage.shift(PHOTO, (0, dy, dx), order=0, cval=0.25)
    assert np.array_equal(reference.translate(PHOTO, dy, dx, 0.25), expected)


def test_jitter_by_hand():
    class Chosen:
        """The largest factors, in the given order."""

        def permutation(self, n):
            return np.arange(n)

        def uniform(self, low, high, size):
            return np.full(size, high)

    grey_mean = np.mean(np.einsum("chw,c->hw", MID * 1.5, (0.299, 0.587, 0.114)))
    expected = np.clip(1.2 * 1.5 * MID - 0.2 * grey_mean, 0, 1)
    grey = np.einsum("chw,c->hw", expected, (0.299, 0.587, 0.114))
    expected = np.clip(1.4 * expected - 0.4 * grey, 0, 1)
    assert near(reference.color_jitter(MID, Chosen(), 0.5, 0.2, 0.4), expected)


READS = [
    ("horizontal_flip", PHOTO, {"p": 0.3}),
    ("random_crop", PHOTO, {"size": (3, 5), "padding": 1}),
    ("random_crop", PHOTO, {"size": 5, "padding": 2, "border": "reflect"}),
    ("color_jitter", GLARE, {"brightness": 0.3, "saturation": 0.5}),
    ("color_jitter", MID, {"brightness": 0.15, "contrast": 0.3, "saturation": 0.5, "order": "fixed"}),
    ("color_jitter", BRIGHT, {"brightness": 0.9, "brightness_kind": "shift"}),
    ("color_jitter", BRIGHT, {"contrast": 0.8, "pivot": "channel_means", "clipping": "none"}),
    ("gaussian_noise", BRIGHT, {"std": 0.2, "clipping": "unit"}),
]


@pytest.mark.parametrize(("name", "image", "settings"), READS)
def test_draws_are_read_back(name, image, settings):
    rng = np.random.default_rng(1)
    samples = np.stack([getattr(reference, name)(image, rng, **settings) for _ in range(200)])
    rebuilt, drawn = getattr(reference, f"{name}_read")(samples, image, **settings)
    assert near(rebuilt, samples)
    assert drawn
    assert all(
        np.all(law(values) <= 1.0) if callable(law) else set(values) <= set(law) for values, law in drawn.values()
    )


def test_factors_read_back_are_those_drawn():
    rng = np.random.default_rng(2)
    factors = rng.uniform(0.7, 1.3, (100, 1))
    samples = np.clip(factors[..., None, None] * BRIGHT, 0, 1)
    _, drawn = reference.color_jitter_read(samples, BRIGHT, brightness=0.3)
    assert near(drawn["brightness"][0], factors[:, 0])


def test_noise_hidden_by_clipping_keeps_its_law():
    from dlcheck.evidence.draws import judge_drawn

    rng, image = np.random.default_rng(3), np.array([[[0.0, 1.0, 0.3]]])
    samples = np.stack([reference.gaussian_noise(image, rng, 0.5, clipping="unit") for _ in range(2000)])
    _, drawn = reference.gaussian_noise_read(samples, image, 0.5, clipping="unit")
    assert all(test.passed for test in judge_drawn(drawn))


# --- ours in torch ---------------------------------------------------------------------------------------------------

DRAWN = {
    "horizontal_flip": lambda image, g: ours.horizontal_flip(image, 0.5, g),
    "random_crop": lambda image, g: ours.random_crop(image, (3, 4), g, 1),
    "color_jitter": lambda image, g: ours.color_jitter(image, 0.4, 0.4, 0.4, g),
    "pca_lighting": lambda image, g: ours.pca_lighting(
        image, 0.5, torch.tensor(EIGENVALUES), torch.tensor(EIGENVECTORS), g
    ),
    "gaussian_noise": lambda image, g: ours.gaussian_noise(image, 0.1, g),
}
FIXED = {
    "translate": lambda image: ours.translate(image, 2, -1, 0.5),
    "rotate": lambda image: ours.rotate(image, 33.0, 0.5),
    "resize_shorter_side": lambda image: ours.resize_shorter_side(image, 4),
    "ten_crop": lambda image: ours.ten_crop(image, 4),
    "center_crop": lambda image: ours.center_crop(image, 5),
}


@pytest.mark.parametrize("name", FIXED)
def test_a_batch_is_its_images(name):
    batch = torch.rand(4, 3, 6, 8, generator=seeded(), dtype=torch.float64)
    assert torch.equal(FIXED[name](batch), torch.stack([FIXED[name](image) for image in batch]))


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("name", DRAWN)
def test_each_image_of_a_batch_has_its_own_draw(name, device):
    batch = torch.tensor(PHOTO, device=device).expand(40, -1, -1, -1)
    drawn = DRAWN[name](batch, seeded(1, device))
    assert len(torch.unique(drawn.flatten(1), dim=0)) > 1
    assert torch.equal(drawn, DRAWN[name](batch, seeded(1, device)))
    assert not torch.equal(drawn, DRAWN[name](batch, seeded(2, device)))


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("name", DRAWN)
def test_the_generator_alone_decides(name, device):
    image = torch.tensor(PHOTO, device=device)
    torch.manual_seed(1)
    first = DRAWN[name](image, seeded())
    torch.manual_seed(2)
    # a generator on the CPU serves images on any device
    assert torch.equal(first, DRAWN[name](image, seeded()))
    assert first.device == image.device


def law_of_a_batch(name, samples, image, **settings):
    from dlcheck.evidence.draws import judge_drawn

    rebuilt, drawn = getattr(reference, f"{name}_read")(samples, image, **settings)
    return near(rebuilt, samples) and all(test.passed for test in judge_drawn(drawn))


@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_draws_within_a_batch_follow_the_law(device):
    def drawn(name, image, *settings):
        batch = torch.tensor(image, device=device).expand(2000, -1, -1, -1)
        return getattr(ours, name)(batch, *settings).cpu().numpy()

    assert law_of_a_batch("horizontal_flip", drawn("horizontal_flip", PHOTO, 0.2, seeded()), PHOTO, p=0.2)
    assert law_of_a_batch("random_crop", drawn("random_crop", PHOTO, 4, seeded(), 1), PHOTO, size=4, padding=1)
    jittered = drawn("color_jitter", GLARE, 0.3, 0.0, 0.5, seeded())
    assert law_of_a_batch("color_jitter", jittered, GLARE, brightness=0.3, saturation=0.5)
    assert law_of_a_batch("gaussian_noise", drawn("gaussian_noise", MID, 0.1, seeded()), MID, std=0.1)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float16, torch.bool])
def test_what_moves_pixels_keeps_their_bits(dtype):
    image = torch.randint(0, 2 if dtype == torch.bool else 200, (2, 3, 5, 6), generator=seeded()).to(dtype)
    assert torch.equal(ours.horizontal_flip(image, 1.0, seeded()), image.flip(-1))
    assert torch.equal(ours.translate(image, 1, -2)[..., 1:, :-2], image[..., :-1, 2:])
    assert torch.equal(ours.rotate(image, 180.0), image.flip(-1, -2))
    assert torch.equal(ours.random_crop(image, (5, 6), seeded()), image)
    assert ours.random_crop(image, 3, seeded(), 2).dtype == dtype


def test_images_without_pixels_or_batches_without_images():
    empty = torch.zeros(0, 3, 4, 5)
    assert ours.horizontal_flip(empty, 0.5, seeded()).shape == empty.shape
    assert ours.random_crop(empty, 2, seeded()).shape == (0, 3, 2, 2)
    assert ours.translate(empty, 1, 1).shape == ours.rotate(empty, 20.0).shape == empty.shape
    assert ours.translate(torch.zeros(3, 0, 5), 1, 1).shape == ours.rotate(torch.zeros(3, 0, 5), 9.0).shape == (3, 0, 5)
    assert ours.color_jitter(empty, 0.1, 0.1, 0.1, seeded()).shape == empty.shape


def test_halves_are_resized():
    image = torch.tensor(PHOTO, dtype=torch.float16)
    assert near(
        ours.resize_shorter_side(image, 4).double().numpy(),
        ours.resize_shorter_side(image.double(), 4).numpy(),
        "float16",
    )


# --- AlexNet ---------------------------------------------------------------------------------------------------------


def test_ten_crop_is_corners_middle_and_their_mirrors():
    crops = reference.ten_crop(PHOTO, 4)
    starts = [(0, 0), (0, 4), (2, 0), (2, 4), (1, 2)]
    expected = [PHOTO[:, i : i + 4, j : j + 4] for i, j in starts]
    assert np.array_equal(crops, [*expected, *(crop[..., ::-1] for crop in expected)])
    assert np.array_equal(ours.ten_crop(torch.tensor(PHOTO), 4).numpy(), crops)


def test_test_views_agree_and_have_the_published_size():
    image = np.random.default_rng(4).random((3, 300, 400))
    found = reference.alexnet_test_views(image)
    assert found.shape == (10, 3, 224, 224)
    assert near(ours.alexnet_test_views(torch.tensor(image)).numpy(), found, roundings=64)
    assert ours.alexnet_test_views(torch.rand(2, 3, 40, 50), size=16, shorter_side=20).shape == (2, 10, 3, 16, 16)


def test_training_views_are_crops_of_the_resized_square_plus_light():
    square = reference.center_crop(reference.resize_shorter_side(PHOTO, 5), 5)
    batch = torch.tensor(PHOTO).expand(300, -1, -1, -1)
    light = torch.tensor(EIGENVALUES), torch.tensor(EIGENVECTORS)
    views = ours.alexnet_training_view(batch, *light, seeded(), size=4, shorter_side=5).numpy()
    rng = np.random.default_rng(5)
    numbers = {"size": 4, "shorter_side": 5}
    one_by_one = [reference.alexnet_training_view(PHOTO, EIGENVALUES, EIGENVECTORS, rng, **numbers) for _ in range(300)]
    theirs = np.stack(one_by_one)
    windows = [square[:, i : i + 4, j : j + 4] for i in (0, 1) for j in (0, 1)]
    windows = np.stack([*windows, *(window[..., ::-1] for window in windows)])
    for found in (views, theirs):
        residual = found[:, None] - windows
        uniform = np.ptp(residual, axis=(3, 4)).max(axis=2)
        assert near(uniform.min(axis=1), np.zeros(300))
        assert set(uniform.argmin(axis=1)) == set(range(8))


def test_principal_colours_agree_and_rebuild_the_covariance():
    images = np.random.default_rng(6).random((5, 3, 4, 4)) * np.array([1.0, 0.5, 0.25])[:, None, None]
    values, vectors = reference.principal_colours(images)
    assert np.all(np.diff(values) < 0)
    assert near(vectors @ np.diag(values) @ vectors.T, np.cov(np.moveaxis(images, 1, 0).reshape(3, -1), bias=True))
    same_values, same_vectors = ours.principal_colours(torch.tensor(images))
    assert near(same_values.numpy(), values)
    assert near(np.abs(same_vectors.numpy() * vectors).sum(axis=0), np.ones(3), roundings=256)


# --- wrong arguments -------------------------------------------------------------------------------------------------

WRONG = [
    ("horizontal_flip", (PHOTO[0],), {"p": 0.5}, r"image must have shape \(C, H, W\), not \(6, 8\)"),
    ("horizontal_flip", (PHOTO,), {"p": 1.5}, "p must be from 0 to 1, not 1.5"),
    ("random_crop", (PHOTO,), {"size": 7}, r"size must be at most that of the padded image \(6, 8\), not \(7, 7\)"),
    ("random_crop", (PHOTO,), {"size": 0}, "size must be >= 1, not 0"),
    ("random_crop", (PHOTO,), {"size": 2, "padding": -1}, "padding must be >= 0, not -1"),
    ("translate", (PHOTO,), {"dy": 0.5, "dx": 0}, "dy must be an integer, not float"),
    ("translate", (PHOTO,), {"dy": 1, "dx": 0, "fill": "black"}, "fill must be a number, not str"),
    ("rotate", (PHOTO,), {"degrees": float("nan")}, "degrees must be finite, not nan"),
    ("resize_shorter_side", (PHOTO,), {"size": 2.0}, "size must be an integer, not float"),
    ("resize_shorter_side", (np.zeros((3, 0, 4)),), {"size": 2}, r"image must have pixels, not shape \(3, 0, 4\)"),
    ("color_jitter", (PHOTO[:2],), {"brightness": 0.1}, r"image must have shape \(3, H, W\), not \(2, 6, 8\)"),
    ("color_jitter", (PHOTO,), {"contrast": -0.1}, "contrast must be >= 0, not -0.1"),
    ("gaussian_noise", (PHOTO,), {"std": -1.0}, "std must be >= 0, not -1.0"),
    ("pca_lighting", (PHOTO,), {"std": -1.0}, "std must be >= 0, not -1.0"),
    ("pca_lighting", (PHOTO,), {"eigenvalues": np.ones(2)}, r"eigenvalues and eigenvectors must have shapes \(3,\)"),
]


@pytest.mark.parametrize(("name", "arrays", "settings", "words"), WRONG)
def test_wrong_arguments_are_told_in_the_same_words(name, arrays, settings, words):
    if name == "color_jitter":
        settings = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, **settings}
    if name == "pca_lighting":
        settings = {"std": 0.1, "eigenvalues": EIGENVALUES, "eigenvectors": EIGENVECTORS, **settings}
    draws = "generator" in inspect.signature(getattr(ours, name)).parameters
    with pytest.raises((TypeError, ValueError), match=words):
        getattr(reference, name)(*arrays, **settings, **({"rng": np.random.default_rng(0)} if draws else {}))
    tensors = {key: torch.tensor(value) if isinstance(value, np.ndarray) else value for key, value in settings.items()}
    with pytest.raises((TypeError, ValueError), match=words):
        getattr(ours, name)(*map(torch.tensor, arrays), **tensors, **({"generator": seeded()} if draws else {}))


def test_colours_of_whole_numbers_are_refused():
    image = torch.zeros(3, 4, 4, dtype=torch.uint8)
    with pytest.raises(TypeError, match="image must hold floating-point numbers, not uint8"):
        ours.color_jitter(image, 0.1, 0.1, 0.1, seeded())
    with pytest.raises(TypeError, match=r"image must be a torch.Tensor, not ndarray"):
        ours.gaussian_noise(PHOTO, 0.1, seeded())
    with pytest.raises(ValueError, match="pivot must be 'grey_mean' or 'channel_means', not 'black'"):
        reference.color_jitter(MID, np.random.default_rng(0), 0.1, pivot="black")
    with pytest.raises(TypeError, match="image must hold real numbers, not complex128"):
        reference.translate(PHOTO * 1j, 1, 1)
