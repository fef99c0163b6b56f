"""The changes of images that the notes name, as one writes them down, for images (H, W) or (3, H, W)."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Generator = np.random.Generator


def rotated(image: Array, degrees: float) -> Array:
    """Rotated about the centre, nearest pixels, black outside."""
    height, width = image.shape[-2:]
    angle = np.deg2rad(degrees)
    i, j = np.arange(height)[:, None] - (height - 1) / 2, np.arange(width) - (width - 1) / 2
    y = np.rint(j * np.sin(angle) + i * np.cos(angle) + (height - 1) / 2).astype(int)
    x = np.rint(j * np.cos(angle) - i * np.sin(angle) + (width - 1) / 2).astype(int)
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    return np.where(inside, image[..., np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)], 0.0)


def shifted(image: Array, dy: int, dx: int) -> Array:
    """Moved by whole pixels, black where nothing comes from."""
    height, width = image.shape[-2:]
    i, j = np.arange(height)[:, None] - dy, np.arange(width) - dx
    inside = (i >= 0) & (i < height) & (j >= 0) & (j < width)
    return np.where(inside, image[..., i % height, j % width], 0.0)


def changed(image: Array, size: int, rng: Generator) -> dict[str, Array]:
    """An image (3, H, W) after each change that the notes name, drawn at random, cropped to size x size."""
    height, width = image.shape[-2:]
    top, left = rng.integers(height - size + 1), rng.integers(width - size + 1)
    window = image[:, top : top + size, left : left + size]
    factor, light = rng.uniform(0.5, 1.5), rng.normal(0, 0.1, 3)
    dy, dx = rng.integers(1 - size, size, 2)
    return {
        "crop": window,
        "flip": window[..., ::-1],
        "translation": shifted(window, int(dy), int(dx)),
        "rotation": rotated(window, float(rng.uniform(-180, 180))),
        "colour": factor * window + (1 - factor) * window.mean(axis=0),
        "light": window + light[:, None, None],
    }
