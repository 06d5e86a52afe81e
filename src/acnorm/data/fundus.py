"""A painted fundus photograph: retina, disc, vessels, macula, lesions, and the camera that took it.

Coordinates run from -1 to 1 across the image; the field of view is the disc of radius 0.95 around 0.
Everything is numpy, drawn from the generator that is passed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Domain = Literal["source", "target"]
Plane = NDArray[np.float32]  # [size, size]
Colours = NDArray[np.float32]  # [size, size, 3], 0..1

FIELD = 0.95


@dataclass(frozen=True)
class Lesion:
    """A kind of lesion: radius from and to, colour, opacity, and how tightly its members crowd together."""

    radius: tuple[float, float]
    colour: tuple[float, float, float]
    opacity: float
    spread: float


LESIONS = {
    "microaneurysm": Lesion((0.025, 0.04), (0.36, 0.05, 0.04), 0.75, 0.9),
    "haemorrhage": Lesion((0.05, 0.10), (0.30, 0.03, 0.03), 0.70, 0.9),
    "exudate": Lesion((0.03, 0.06), (0.98, 0.88, 0.45), 0.75, 0.3),
}

# mean number of lesions of each kind at the grades 0 to 4; the number itself is Poisson, so that grades overlap
GRADES = {
    "microaneurysm": (0.0, 3.0, 6.0, 9.0, 12.0),
    "haemorrhage": (0.0, 0.0, 2.0, 6.0, 12.0),
    "exudate": (0.0, 0.0, 1.5, 4.0, 10.0),
}


@dataclass(frozen=True)
class Camera:
    """How a domain sees the same eye: each value is a range from which a photograph draws."""

    cast: tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
    contrast: tuple[float, float]
    vignette: tuple[float, float]
    tilt: tuple[float, float]
    blur: tuple[float, float]
    noise: tuple[float, float]
    lesion_opacity: float
    lesion_size: float


CAMERAS: dict[Domain, Camera] = {
    "source": Camera(
        ((0.95, 1.05), (0.95, 1.05), (0.95, 1.05)),
        (0.9, 1.1),
        (0.2, 0.4),
        (0.0, 0.15),
        (0.0, 0.4),
        (0.01, 0.03),
        1.0,
        1.0,
    ),
    "target": Camera(
        ((0.70, 0.90), (0.95, 1.20), (1.2, 1.7)),
        (0.65, 0.9),
        (0.3, 0.6),
        (0.1, 0.35),
        (0.3, 0.7),
        (0.015, 0.04),
        0.9,
        0.95,
    ),
}


def paint_fundus(
    counts: dict[str, int], domain: Domain, size: int, rng: np.random.Generator, *, disc_side: int
) -> NDArray[np.uint8]:
    """Paint an eye with so many lesions of each kind; `disc_side` is -1 (disc on the left) or 1 (on the right).

    Returns uint8 [size, size, 3]; black outside the field of view.
    """
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    x, y = axis[None, :], axis[:, None]
    camera = CAMERAS[domain]
    disc = (disc_side * rng.uniform(0.45, 0.60), rng.uniform(-0.08, 0.08))
    eye = _retina(axis, rng)
    eye = _over(eye, (0.45, 0.17, 0.08), 0.5 * _blob(x, y, (-0.1 * disc_side, disc[1]), 0.22))
    eye = _over(eye, (0.45, 0.08, 0.05), 0.75 * _vessels(x, y, disc, disc_side, rng))
    eye = _over(eye, (0.98, 0.86, 0.55), 0.9 * _plateau(x, y, disc, rng.uniform(0.13, 0.17)))
    lesion_rng = rng.spawn(1)[0]  # a stream of its own: the camera does not change with the number of lesions
    for kind, number in counts.items():
        cover = _lesions(axis, LESIONS[kind], number, camera, disc, lesion_rng)
        eye = _over(eye, LESIONS[kind].colour, cover)
    photograph = _photograph(eye, x, y, camera, rng)
    photograph *= (x**2 + y**2 <= FIELD**2)[..., None]
    return np.asarray(np.rint(255 * photograph), dtype=np.uint8)


def _over(image: Colours, colour: tuple[float, float, float], cover: Plane) -> Colours:
    """Lay a colour over the image where `cover` (0..1) says so."""
    return image + cover[..., None] * (np.array(colour, dtype=np.float32) - image)


def _blob(x: Plane, y: Plane, centre: tuple[float, float], radius: float) -> Plane:
    return np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * radius**2))


def _plateau(x: Plane, y: Plane, centre: tuple[float, float], radius: float) -> Plane:
    """A disc with an edge that is soft over about a pixel at 64 pixels."""
    distance = np.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2)
    return np.asarray(0.5 - 0.5 * np.tanh((distance - radius) / 0.04), dtype=np.float32)


def _retina(axis: Plane, rng: np.random.Generator) -> Colours:
    """The background: a base colour of the person with slow, faint texture."""
    base = np.array((0.78, 0.40, 0.19)) * rng.uniform(0.85, 1.1, 3)
    waves = rng.uniform(1.0, 4.0, (6, 2)) * rng.choice((-1, 1), (6, 2))
    phases = waves[:, :1, None] * axis[None, None, :] + waves[:, 1:, None] * axis[None, :, None]
    texture = np.sin(phases * np.pi + rng.uniform(0, 2 * np.pi, (6, 1, 1))).mean(0)
    return np.asarray(base * (1 + 0.06 * texture[..., None]), dtype=np.float32)


def _vessels(x: Plane, y: Plane, disc: tuple[float, float], disc_side: int, rng: np.random.Generator) -> Plane:
    """Arcades as parabolas that open from the disc over the macula, and nasal ones that open the other way.

    The distance to a parabola f = 0 is |f| over the length of its gradient, to first order.
    """
    cover = np.zeros(np.broadcast_shapes(x.shape, y.shape), dtype=np.float32)
    for direction, curvature in ((-1, 0.9), (-1, 2.4), (1, 1.6), (1, 5.0)):
        bend = curvature * rng.uniform(0.75, 1.3)
        wobble = 0.03 * np.sin(rng.uniform(5, 9) * x + rng.uniform(0, 6.3))
        across = y - disc[1] + wobble
        along = direction * disc_side * (x - disc[0])
        distance = np.abs(along - bend * across**2) / np.sqrt(1 + (2 * bend * across) ** 2)
        width = rng.uniform(0.012, 0.022)
        cover = np.maximum(cover, np.exp(-(distance**2) / (2 * width**2)))
    return cover


def _lesions(
    axis: Plane,
    lesion: Lesion,
    number: int,
    camera: Camera,
    disc: tuple[float, float],
    rng: np.random.Generator,
) -> Plane:
    """How far lesions of one kind cover the retina, 0..1. Gaussian blobs are products of an x and a y profile."""
    if number == 0:
        return np.zeros((len(axis), len(axis)), dtype=np.float32)
    crowd = rng.uniform(-0.35, 0.35, 2) if lesion.spread < 0.9 else np.zeros(2)
    angle, distance = rng.uniform(0, 2 * np.pi, number), lesion.spread * 0.85 * np.sqrt(rng.uniform(0, 1, number))
    centre_x, centre_y = crowd[0] + distance * np.cos(angle), crowd[1] + distance * np.sin(angle)
    radius = camera.lesion_size * rng.uniform(*lesion.radius, number)
    opacity = camera.lesion_opacity * lesion.opacity * rng.uniform(0.6, 1.0, number)
    opacity *= np.hypot(centre_x - disc[0], centre_y - disc[1]) > 0.2  # the disc itself stays clear
    across = np.exp(-((axis[None] - centre_x[:, None]) ** 2) / (2 * radius[:, None] ** 2))
    down = np.exp(-((axis[None] - centre_y[:, None]) ** 2) / (2 * radius[:, None] ** 2))
    clear = np.prod(1 - opacity[:, None, None] * down[:, :, None] * across[:, None, :], axis=0)
    return np.asarray(1 - clear, dtype=np.float32)


def _photograph(eye: Colours, x: Plane, y: Plane, camera: Camera, rng: np.random.Generator) -> Colours:
    """Light, colour cast, contrast, blur and noise of the camera."""
    angle, tilt = rng.uniform(0, 2 * np.pi), rng.uniform(*camera.tilt)
    light = 1 - rng.uniform(*camera.vignette) * (x**2 + y**2) + tilt * (np.cos(angle) * x + np.sin(angle) * y)
    cast = np.array([rng.uniform(*limits) for limits in camera.cast])
    image = eye * light[..., None] * cast
    middle = image.mean((0, 1))
    image = middle + rng.uniform(*camera.contrast) * (image - middle)
    image = _blurred(image, rng.uniform(*camera.blur) * len(eye) / 64)
    image = image + rng.normal(0, rng.uniform(*camera.noise), image.shape)
    return np.asarray(np.clip(image, 0, 1), dtype=np.float32)


def _blurred(image: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """A Gaussian of `sigma` pixels along both axes, the border repeated."""
    reach = int(np.ceil(3 * sigma))
    if reach == 0:
        return image
    steps = np.arange(-reach, reach + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    weights /= weights.sum()
    for axis in (0, 1):
        margin = [(reach, reach) if axis == one else (0, 0) for one in range(3)]
        padded = np.pad(image, margin, mode="edge")
        length = image.shape[axis]
        image = sum(
            (weight * np.take(padded, range(start, start + length), axis) for start, weight in enumerate(weights)),
            start=np.zeros_like(image),
        )
    return image
