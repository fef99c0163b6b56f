"""Each augmentation in PyTorch on a batch beside what one writes: a loop over its images, or torch's own sampling."""

import inspect

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dlcheck.augmentation import reference
from dlcheck.augmentation import torch as ours
from dlcheck.augmentation.checks import EIGENVALUES, EIGENVECTORS

CUDA = pytest.param(
    "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
)
BATCH = {"cpu": (32, 3, 128, 160), "cuda": (512, 3, 256, 320)}
CROP = 112
GREY = torch.tensor([0.299, 0.587, 0.114])
LIGHT = torch.tensor(EIGENVALUES), torch.tensor(EIGENVECTORS)


def one_flip(image, g):
    return image.flip(-1) if torch.rand((), generator=g) < 0.5 else image


def one_crop(image, g):
    top, left = (int(torch.randint(n - CROP + 1, (), generator=g)) for n in image.shape[1:])
    return image[:, top : top + CROP, left : left + CROP]


def one_jitter(image, g):
    grey = GREY.to(image)
    for step in torch.randperm(3, generator=g).tolist():
        f = 0.6 + 0.8 * torch.rand((), generator=g).to(image)
        shades = (image * grey[:, None, None]).sum(0)
        image = (f * image + (1 - f) * (0.0, shades.mean(), shades)[step]).clamp(0, 1)
    return image


def one_light(image, g):
    values, vectors = (part.to(image) for part in LIGHT)
    return image + (vectors @ (values * 0.1 * torch.randn(3, generator=g).to(image)))[:, None, None]


def one_noise(image, g):
    return image + 0.1 * torch.randn(image.shape, generator=g).to(image)


def translated(images, g):
    moved = torch.roll(images, (8, -5), (-2, -1))
    moved[..., :8, :] = 0
    moved[..., -5:] = 0
    return moved


def rotated(images, g):
    height, width = images.shape[-2:]
    c, s = np.cos(np.pi / 6), np.sin(np.pi / 6)
    theta = images.new_tensor([[c, -s * height / width, 0], [s * width / height, c, 0]]).expand(len(images), 2, 3)
    grid = F.affine_grid(theta, images.shape, align_corners=False)
    return F.grid_sample(images, grid, mode="nearest", align_corners=False)


def resized(images, g):
    return F.interpolate(images, (64, 80), mode="bilinear", antialias=True)


def looped(one):
    return lambda images, g: torch.stack([one(image, g) for image in images])


INSTEAD = {
    "horizontal_flip": looped(one_flip),
    "random_crop": looped(one_crop),
    "translate": translated,
    "rotate": rotated,
    "color_jitter": looped(one_jitter),
    "pca_lighting": looped(one_light),
    "gaussian_noise": looped(one_noise),
    "resize_shorter_side": resized,
}
SETTINGS = {
    "horizontal_flip": {"p": 0.5},
    "random_crop": {"size": CROP},
    "translate": {"dy": 8, "dx": -5},
    "rotate": {"degrees": 30.0},
    "color_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4},
    "pca_lighting": {"std": 0.1, "eigenvalues": LIGHT[0], "eigenvectors": LIGHT[1]},
    "gaussian_noise": {"std": 0.1},
    "resize_shorter_side": {"size": 64},
}


def called(name, code, device):
    """The function of a batch and of a generator."""
    if code == "compiled":
        return torch.compile(INSTEAD[name])
    if code == "instead":
        return INSTEAD[name]
    function = inspect.unwrap(getattr(ours, name))
    draws = "generator" in inspect.signature(function).parameters
    return lambda images, g: function(images, **SETTINGS[name], **({"generator": g} if draws else {}))


def finished(device):
    if device == "cuda":
        torch.cuda.synchronize()


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("code", ["ours", "instead", "compiled"])
@pytest.mark.parametrize("name", INSTEAD)
def test_forward(benchmark, name, code, device):
    if code == "compiled" and "loop" in INSTEAD[name].__qualname__:
        pytest.skip("a loop of random choices is not compiled")
    function, images = called(name, code, device), torch.rand(BATCH[device], device=device)
    # as in a loop the numbers are drawn on the CPU: each draw on an accelerator would have to be waited for
    generator = torch.Generator(device if code == "ours" else "cpu").manual_seed(0)
    benchmark.group = f"{name} forward, {device}"

    def run():
        with torch.no_grad():
            function(images, generator)
        finished(device)

    run()
    benchmark(run)


REFERENCE = {
    "horizontal_flip": {"p": 0.5},
    "random_crop": {"size": CROP},
    "pca_lighting": {"std": 0.1, "eigenvalues": EIGENVALUES, "eigenvectors": EIGENVECTORS},
}


@pytest.mark.parametrize("code", ["reference", "torch float64"])
@pytest.mark.parametrize("name", INSTEAD)
def test_reference(benchmark, name, code):
    image = np.random.default_rng(0).random((3, 128, 160))
    benchmark.group = f"{name} of one image, float64, cpu"
    if code == "reference":
        function, settings = getattr(reference, name), {**SETTINGS[name], **REFERENCE.get(name, {})}
        draws = {"rng": np.random.default_rng(0)} if "rng" in inspect.signature(function).parameters else {}
        benchmark(lambda: function(image, **settings, **draws))
    else:
        function, tensor = called(name, "ours", "cpu"), torch.tensor(image)
        benchmark(lambda: function(tensor, torch.Generator().manual_seed(0)))
