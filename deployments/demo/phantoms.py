"""Pixel data that looks like something: smooth bodies in noise, the same on every run."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

AIR = -1000
WATER = 0
BONE = 700


@lru_cache(maxsize=8)
def _grid(rows: int, columns: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    y = np.linspace(-1, 1, rows, dtype=np.float32)[:, np.newaxis]
    x = np.linspace(-1, 1, columns, dtype=np.float32)[np.newaxis, :]
    return y, x


@lru_cache(maxsize=8)
def _noise(rows: int, columns: int) -> NDArray[np.int16]:
    return np.random.default_rng(20).normal(0, 12, (rows, columns)).astype(np.int16)


def slice_of_body(rows: int, columns: int, position: float, turn: int) -> NDArray[np.int16]:
    """Return an axial slice in Hounsfield units: a body, two lungs and a spine.

    `position` runs from 0 (feet) to 1 (head) and shapes the organs; `turn` shifts the noise, so that
    no two slices are the same.
    """
    y, x = _grid(rows, columns)
    height = np.sin(np.pi * (0.15 + 0.7 * position))
    image = np.full((rows, columns), AIR, dtype=np.int16)
    image[(x / 0.85) ** 2 + (y / 0.62) ** 2 < 1] = WATER + 40
    lung = 0.2 + 0.25 * height
    for side in (-0.38, 0.38):
        image[((x - side) / 0.3) ** 2 + ((y + 0.05) / lung) ** 2 < 1] = AIR + 180
    image[(x / 0.13) ** 2 + ((y + 0.02) / 0.2) ** 2 < height] = WATER + 60
    image[(x / 0.1) ** 2 + ((y - 0.42) / 0.1) ** 2 < 1] = BONE
    image += np.roll(_noise(rows, columns), (turn * 37, turn * 11), axis=(0, 1))
    return image


def projection(rows: int, columns: int, turn: int) -> NDArray[np.uint16]:
    """Return a radiograph of 12 stored bits: lungs dark, ribs as bands."""
    y, x = _grid(rows, columns)
    body = 2600 * np.exp(-((x / 0.8) ** 4) - ((y / 1.1) ** 4))
    lungs = sum(
        900 * np.exp(-(((x - side) / 0.28) ** 4) - (((y + 0.1) / 0.6) ** 4)) for side in (-0.42, 0.42)
    )
    ribs = 120 * np.cos(18 * (y - 0.35 * x**2)) * np.exp(-((x / 0.75) ** 6))
    noise = np.roll(_noise(rows, columns), turn * 53, axis=0)
    return np.clip(300 + body - lungs + ribs + noise, 0, 4095).astype(np.uint16)


def beating_fan(rows: int, columns: int, frames: int) -> NDArray[np.uint8]:
    """Return the frames of an ultrasound cine: a fan of speckle with a chamber that beats."""
    y, x = _grid(rows, columns)
    depth = np.hypot(x, y + 1)
    fan = (depth < 1.9) & (np.abs(x) < 0.75 * (y + 1))
    speckle = np.abs(_noise(rows, columns)) * 3 + 60
    cine = np.zeros((frames, rows, columns), dtype=np.uint8)
    for frame in range(frames):
        radius = 0.3 + 0.08 * np.sin(2 * np.pi * frame / max(frames, 1))
        chamber = (x / radius) ** 2 + (y / (radius * 1.4)) ** 2 < 1
        tissue = np.roll(speckle, frame * 3, axis=1) * (2.2 - depth)
        cine[frame] = np.clip(np.where(chamber, 8, tissue), 0, 255) * fan
    return cine


def coloured_map(rows: int, columns: int, turn: int) -> NDArray[np.uint8]:
    """Return an RGB picture as a workstation captures it: a map in colours on black."""
    y, x = _grid(rows, columns)
    inside = (x / 0.7) ** 2 + (y / 0.85) ** 2 < 1
    waves = [np.cos(4 * x + phase + turn) * np.sin(3 * y - phase) for phase in (0.0, 2.1, 4.2)]
    picture = np.stack([(wave * 110 + 128) * inside for wave in waves], axis=-1)
    return picture.astype(np.uint8)
