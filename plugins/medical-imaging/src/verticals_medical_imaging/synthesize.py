"""Make up chest radiographs: synthetic, from geometry and noise alone, of nobody.

They are for demonstrations and tests: what they hold is known, so that a finding, its place and a
difference between groups can be checked against the truth. They say nothing of how a model does
on patients.

Planted: a lesion is a bright disc with a soft edge in a lung field, of a radius of 6 to 11 % of
the image's side, at one place in all images of a patient that show it. 45 % of the patients have
one, and it is visible in 80 % of their images. Nothing else is tied to it: sex, age, view,
manufacturer and site are drawn apart from it. Every image has small hard bright dots
(calcifications), which mean nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from verticals.table import Array, Table

SEXES = ("female", "male")
VIEWS = ("PA", "AP")
MANUFACTURERS = ("Arca", "Borealis")
SITES = ("north", "south")
NO_BOX = -1  # all four numbers of the box of an image without a lesion

_ILL, _SHOWN = 0.45, 0.8
_DOTS = 3


@dataclass(frozen=True, kw_only=True)
class _Scene:
    """Hold what each image shows; arrays are (images,) or (images, 1, 1) to draw with."""

    patient: Array
    male: Array
    age: Array
    anterior: Array  # True: taken AP, which makes the heart look larger
    second: Array  # True: of the second manufacturer
    south: Array
    lesion: Array
    centre: Array  # (images, 2) of the lesion: y, x from -1 to 1
    radius: Array


def synthesize(
    patients: int, images_per_patient: int, size: int, seed: int
) -> tuple[Table, Array, Array]:
    """Return facts, pixels and lesion boxes of made-up radiographs, by the seed alone.

    The facts have the columns image_id, patient, sex, age, view, manufacturer, site and lesion (0
    or 1). Pixels are uint8 of (images, size, size). A box is (top, left, bottom, right), ends
    excluded, or -1 four times. Sizes from 24 upwards are meant.
    """
    random = np.random.default_rng(seed)
    scene = _draw_scene(random, patients, images_per_patient)
    pixels = _expose(random, scene, _anatomy(random, scene, size))
    names = np.array([f"P{number:04d}" for number in scene.patient], dtype=object)
    facts = {
        "image_id": np.array([f"I{number:05d}" for number in range(len(names))], dtype=object),
        "patient": names,
        "sex": np.array(SEXES, dtype=object)[scene.male.astype(int)],
        "age": scene.age,
        "view": np.array(VIEWS, dtype=object)[scene.anterior.astype(int)],
        "manufacturer": np.array(MANUFACTURERS, dtype=object)[scene.second.astype(int)],
        "site": np.array(SITES, dtype=object)[scene.south.astype(int)],
        "lesion": scene.lesion.astype(np.int64),
    }
    return Table(facts), pixels, _boxes(scene, size)


def _draw_scene(random: np.random.Generator, patients: int, each: int) -> _Scene:
    """Draw patients, then their images."""
    patient = np.repeat(np.arange(patients), each)
    images = len(patient)
    lesion = (random.random(patients) < _ILL)[patient] & (random.random(images) < _SHOWN)
    side = random.choice([-1.0, 1.0], patients)
    centre = np.stack(
        [random.uniform(-0.45, 0.3, patients), side * random.uniform(0.32, 0.58, patients)], axis=1
    )
    return _Scene(
        patient=patient,
        male=(random.random(patients) < 0.5)[patient],
        age=np.clip(random.normal(56, 17, patients), 18, 95).astype(np.int64)[patient],
        anterior=random.random(images) < 0.4,
        second=random.random(images) < 0.5,
        south=(random.random(patients) < 0.35)[patient],
        lesion=lesion,
        centre=centre[patient] + random.normal(0, 0.02, (images, 2)),
        radius=random.uniform(0.12, 0.22, patients)[patient],  # the side is 2
    )


def _grid(size: int) -> tuple[Array, Array]:
    """Return y and x of each pixel's middle, from -1 to 1: (1, size, size)."""
    line = (np.arange(size) + 0.5) / size * 2.0 - 1.0
    y, x = np.meshgrid(line, line, indexing="ij")
    return y[None], x[None]


def _wide(values: Array) -> Array:
    return np.asarray(values)[:, None, None]


def _soft(distance: Array, edge: float) -> Array:
    """Return 1 inside (distance below 1), 0 outside, with a smooth edge."""
    return np.asarray(1.0 / (1.0 + np.exp(np.clip((distance - 1.0) / edge, -30, 30))))


def _ellipse(y: Array, x: Array, centre: tuple[Array, Array], half: tuple[Array, Array]) -> Array:
    """Return the distance from an ellipse's centre in units of its half axes."""
    return np.asarray(np.hypot((y - centre[0]) / half[0], (x - centre[1]) / half[1]))


def _anatomy(random: np.random.Generator, scene: _Scene, size: int) -> Array:
    """Return how much of the beam is stopped, 0 to about 1: (images, size, size)."""
    images = len(scene.patient)
    y, x = _grid(size)
    patients = int(scene.patient.max()) + 1

    def own(low: float, high: float) -> Array:
        """Draw one number a patient, for all of their images."""
        return _wide(random.uniform(low, high, patients)[scene.patient])

    turn = _wide(random.normal(0, 0.04, images))  # the patient leans
    y, x = y + turn * x, x - turn * y
    build = own(0.9, 1.05) + 0.04 * _wide(scene.male)
    body = _soft(_ellipse(y, x, (np.array(0.1), np.array(0.0)), (build * 1.2, build * 0.98)), 0.05)
    picture = 0.62 * body
    top = own(-0.12, -0.02)
    for side in (-1.0, 1.0):
        centre = (top, np.array(side * 0.44))
        lung = _soft(_ellipse(y, x, centre, (own(0.66, 0.76), build * 0.33)), 0.06)
        ribs = np.sin((y * own(9.0, 11.0) + 2.4 * x * x) * np.pi * 0.5 + own(0, 6.3))
        picture = picture - lung * (0.42 - 0.07 * np.maximum(ribs, 0) ** 2)
    picture = picture + 0.22 * _soft(np.abs(x) / own(0.09, 0.13), 0.2) * body  # spine
    large = own(0.24, 0.32) * (1.0 + 0.18 * _wide(scene.anterior)) + 0.0006 * _wide(scene.age)
    heart = _soft(_ellipse(y, x, (own(0.22, 0.3), np.array(0.14)), (large * 1.1, large)), 0.08)
    picture = picture + 0.3 * heart
    picture = picture + 0.3 * _soft((1.75 - y - 0.25 * x * x) / own(1.1, 1.2), 0.03) * body
    for _ in range(_DOTS):
        where = (_wide(random.uniform(-0.6, 0.6, images)), _wide(random.uniform(-0.7, 0.7, images)))
        half = np.array(max(0.03, 1.0 / size))
        picture = picture + 0.25 * _soft(_ellipse(y, x, where, (half, half)), 0.05)
    centre = (_wide(scene.centre[:, 0]), _wide(scene.centre[:, 1]))
    disc = _soft(_ellipse(y, x, centre, (_wide(scene.radius), _wide(scene.radius))), 0.18)
    strength = own(0.18, 0.34) * _wide(scene.lesion)
    return np.asarray(picture + strength * disc)


def _expose(random: np.random.Generator, scene: _Scene, stopped: Array) -> Array:
    """Turn what is stopped into grey values, as each machine and site does: uint8."""
    images = len(stopped)
    second, south = _wide(scene.second), _wide(scene.south)
    contrast = np.where(second, 0.78, 0.95) - 0.06 * _wide(scene.anterior)
    level = np.where(second, 0.16, 0.06) + 0.03 * south + _wide(random.normal(0, 0.02, images))
    noise = np.where(second, 0.045, 0.025) * (1.0 + 0.2 * south)
    grey = level + contrast * stopped + noise * random.standard_normal(stopped.shape)
    return np.asarray(np.clip(np.rint(grey * 255.0), 0, 255), dtype=np.uint8)


def _boxes(scene: _Scene, size: int) -> Array:
    """Return (images, 4) int64: the square around each lesion, inside the image."""
    centre = (scene.centre + 1.0) / 2.0 * size
    radius = (scene.radius / 2.0 * size)[:, None]
    low = np.clip(np.floor(centre - radius), 0, size).astype(np.int64)
    high = np.clip(np.ceil(centre + radius), 0, size).astype(np.int64)
    boxes = np.concatenate([low, high], axis=1)
    return np.where(scene.lesion[:, None], boxes, NO_BOX)
