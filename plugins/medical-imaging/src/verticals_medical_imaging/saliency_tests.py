"""Tests that a map must pass before it is shown.

A map that looks the same for a network with shuffled weights explains the image and not the
network (Adebayo et al., NeurIPS 2018). A map whose salient pixels move the score no more than
others marks the wrong place. Neither test says that a map is right.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from verticals.intervals import Interval, mean
from verticals.table import Array
from verticals_medical_imaging.saliency import (
    DRAWS,
    Explained,
    Saliency,
    baselines,
    quiet,
    saliency,
    shuffled,
)

MOST_ALIKE = 0.7  # rank correlation with maps of shuffled weights: half of the variance shared
LEVEL = 0.05  # of the deletion test
FEWEST_IMAGES = 5
SHUFFLES = 3
FRACTIONS = (0.02, 0.05, 0.1, 0.2)  # of the pixels that are taken out
SHIFTS = 9  # masks of the same shape elsewhere, for each image
PERMUTATIONS = 9999


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Say what the tests of one method gave; `reason` is empty where they were passed."""

    method: str
    images: int
    correlation: Interval
    drop: Interval  # log-odds: lost by salient pixels less by the same mask elsewhere
    p_value: float | None
    reason: str

    @property
    def passed(self) -> bool:
        """Tell whether the method's maps may be shown."""
        return not self.reason


def judge(
    explained: Explained, method: str, *, draws: int = DRAWS, seed: int = 0
) -> tuple[Saliency, Verdict]:
    """Return a method's maps of some images, and whether they passed both tests."""
    found = saliency(explained, method, draws=draws, seed=seed)
    correlation = randomisation(explained, found, draws=draws, seed=seed)
    drop, p_value = deletion(explained, found, seed=seed)
    verdict = Verdict(
        method=method,
        images=explained.rows,
        correlation=correlation,
        drop=drop,
        p_value=p_value,
        reason=_reason(explained.rows, correlation, p_value),
    )
    return found, verdict


def randomisation(
    explained: Explained, found: Saliency, *, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """Measure how alike the maps are to those of shuffled weights, −1..1; near 0 is good.

    The mean over images and shuffles of the absolute rank correlation: a map turned into its
    negative is the same map. Images whose map is flat are left out.
    """
    own = _midranks(found.shown)
    kept = own.std(axis=1) > 0
    alike = np.zeros(explained.rows)
    for shuffle in range(SHUFFLES):
        other = replace(explained, weights=shuffled(explained.network, seed + 1 + shuffle))
        maps = saliency(other, found.method, draws=draws, seed=seed).shown
        alike += np.abs(_correlations(own, _midranks(maps))) / SHUFFLES
    return mean(alike[kept])


def deletion(
    explained: Explained, found: Saliency, *, seed: int = 0
) -> tuple[Interval, float | None]:
    """Measure how much more the score falls without salient pixels than without others.

    The most salient pixels (2 to 20 %) are replaced by the median of those near; so are as many
    elsewhere: the same mask, shifted around the edges to 9 random places, so that its shape alone
    explains nothing. The p-value exchanges each image's mask with its shifted ones.
    """
    rows, height, width = found.values.shape
    if rows == 0:
        return mean(np.zeros(0)), None
    random = np.random.default_rng(seed)
    order = _order(found.shown, random)  # (rows, h, w): 0 is the most salient
    offsets = random.integers(1, height * width, (rows, SHIFTS))
    lost = np.zeros((rows, 1 + SHIFTS))
    without = baselines(explained.pixels, ("median",))[0]
    before = _scores(explained)
    for place in range(1 + SHIFTS):
        moved = order if place == 0 else _shifted(order, offsets[:, place - 1])
        for fraction in FRACTIONS:
            gone = torch.from_numpy(moved < fraction * height * width)[:, None]
            pixels = torch.where(gone.to(without.device), without, explained.pixels)
            lost[:, place] += before - _scores(explained.with_pixels(pixels))
    lost /= len(FRACTIONS)
    return mean(lost[:, 0] - lost[:, 1:].mean(axis=1)), _exchange_p(lost, random)


def pointing_hits(maps: Array, boxes: Array) -> Array:
    """Return (rows,) 1.0 where the most salient pixel lies in the box, 0.0 where not, NaN without.

    The pointing game (Zhang et al., IJCV 126, 2018), without a margin. `boxes` is (rows, 4): top,
    left, bottom, right in pixels of the map, ends outside; NaN or below 0 where none is known.
    """
    most = maps.reshape(maps.shape[0], -1).argmax(axis=1)
    row, column = np.divmod(most, maps.shape[2])
    top, left, bottom, right = np.asarray(boxes, dtype=float).T
    inside = (row >= top) & (row < bottom) & (column >= left) & (column < right)
    known = (np.asarray(boxes, dtype=float) >= 0).all(axis=1)
    return np.where(known, inside.astype(float), np.nan)


def _reason(rows: int, correlation: Interval, p_value: float | None) -> str:
    """Say why maps may not be shown; the whole interval of the correlation must be low."""
    if rows < FEWEST_IMAGES:
        return f"{rows} images, {FEWEST_IMAGES} needed to test the method"
    if correlation.estimate is None:
        return "the maps are flat"
    # Without limits all images agree to the last digit.
    alike = correlation.estimate if correlation.upper is None else correlation.upper
    if alike > MOST_ALIKE:
        return (
            f"maps of shuffled weights are too much alike: rank correlation up to {alike:.2f}, "
            f"expected at most {MOST_ALIKE:g}"
        )
    if p_value is None or p_value > LEVEL:
        return (
            "salient pixels move the score no more than others: p = "
            f"{1.0 if p_value is None else p_value:.3g}, expected at most {LEVEL:g}"
        )
    return ""


@torch.no_grad()
def _scores(explained: Explained) -> Array:
    with quiet(explained.network):
        parts = [
            explained.take(slice(start, start + 256)).score().double().cpu().numpy()
            for start in range(0, explained.rows, 256)
        ]
    return np.concatenate(parts)


def _order(maps: Array, random: np.random.Generator) -> Array:
    """Return each pixel's place from the most salient one; pixels that tie in random order."""
    flat = maps.reshape(maps.shape[0], -1)
    chance = random.random(flat.shape)
    falling = np.lexsort((chance, -flat), axis=1)
    order = np.empty_like(falling)
    np.put_along_axis(order, falling, np.arange(flat.shape[1])[None, :], axis=1)
    return order.reshape(maps.shape)


def _shifted(order: Array, offsets: Array) -> Array:
    """Roll each map by its own offset, down and to the right, around the edges."""
    down, right = np.divmod(offsets, order.shape[2])
    return np.stack(
        [
            np.roll(one, (int(by), int(across)), axis=(0, 1))
            for one, by, across in zip(order, down, right, strict=True)
        ]
    )


def _exchange_p(lost: Array, random: np.random.Generator) -> float:
    """Return the share of exchanges in which the first column does as well; (b + 1) / (B + 1)."""
    above = lost - lost.mean(axis=1, keepdims=True)
    rows, masks = lost.shape
    drawn = above[np.arange(rows), random.integers(0, masks, (PERMUTATIONS, rows))].mean(axis=1)
    beyond = int((drawn >= above[:, 0].mean() - 1e-12).sum())
    return (beyond + 1) / (PERMUTATIONS + 1)


def _midranks(maps: Array) -> Array:
    """Return (rows, pixels) the rank of each pixel; pixels that tie share theirs."""
    flat = maps.reshape(maps.shape[0], -1)
    ranks = np.empty(flat.shape)
    for place, values in enumerate(flat):
        _, code, count = np.unique(values, return_inverse=True, return_counts=True)
        ranks[place] = (np.cumsum(count) - (count - 1) / 2)[code]
    return ranks


def _correlations(first: Array, second: Array) -> Array:
    """Return (rows,) the correlation of each row of two arrays, 0 where one is constant."""
    a = first - first.mean(axis=1, keepdims=True)
    b = second - second.mean(axis=1, keepdims=True)
    scale = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return np.asarray((a * b).sum(axis=1) / np.where(scale > 0, scale, 1.0))
