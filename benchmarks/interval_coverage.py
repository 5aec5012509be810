"""Measure how often intervals hold the truth: ours, their alternatives, and fairlearn's.

    python benchmarks/interval_coverage.py [--draws 4000] [--peer-draws 20] [--seed 0]

Tables. The gap between groups: the share of samples in which the interval of max − min
(and of min / max) holds the true value, over group sizes from 30, rates from .02 to .98, and two,
three and five groups, without and with a true gap. The same by enumeration of all samples for two
groups, without Monte Carlo error. The area under the ROC curve, against DeLong's intervals, over
areas from .5 to .99999 and several shapes; its worst shape by enumeration; and with rows in units.
`docs/decisions/0003-intervals-for-disparities.md` quotes the output.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
from scipy import special, stats

from verticals import intervals
from verticals.intervals import simultaneous_z
from verticals.intervals.disparity import _pair_differences, _pair_ratios
from verticals.intervals.rates import exact_limits

LEVEL = 0.95
RATES = (0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 0.9, 0.98)
Limits = Callable[[np.ndarray, np.ndarray, float], tuple[np.ndarray, np.ndarray]]


def wilson_limits(x, n, z):
    rate = x / n
    centre = (rate + z * z / 2 / n) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(rate * (1 - rate) / n + (z / 2 / n) ** 2)
    return np.where(x == 0, 0, centre - half), np.where(x == n, 1, centre + half)


def jeffreys_limits(x, n, z):
    error = stats.norm.sf(z)
    low = special.betaincinv(x + 0.5, n - x + 0.5, error)
    high = special.betaincinv(x + 0.5, n - x + 0.5, 1 - error)
    return np.where(x == 0, 0, low), np.where(x == n, 1, high)


METHODS: dict[str, Limits] = {
    "MOVER, Wilson (Newcombe)": wilson_limits,
    "MOVER, Jeffreys": jeffreys_limits,
    "MOVER, Clopper–Pearson (ours)": exact_limits,
}


def sizes_of(groups: int) -> list[tuple[int, ...]]:
    spread = tuple(int(n) for n in np.geomspace(30, 2000, groups))
    return [
        (30,) * groups,
        (100,) * groups,
        (1000,) * groups,
        (30, *(1000,) * (groups - 1)),
        (1000, *(30,) * (groups - 1)),
        spread,
    ]


def cases() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield what is true, group sizes and rates."""
    for groups in (2, 3, 5):
        for sizes, rate in product(sizes_of(groups), RATES):
            n = np.array(sizes)
            yield "no gap", n, np.full(groups, rate)
            yield "one group at half", n, np.array([rate] * (groups - 1) + [rate / 2])
            step = 0.2 if rate < 0.8 else -0.2
            yield "spread over .2", n, np.linspace(rate, rate + step, groups)


def bounds(x, n, limits: Limits) -> tuple[np.ndarray, ...]:
    """Return lower and upper of difference and ratio, by any limits of a rate."""
    k = x.shape[-1]
    low, high = limits(x, n, simultaneous_z(LEVEL, k))
    _, lower, upper = _pair_differences(x / n, low, high)
    below, above = _pair_ratios(x / n, low, high)
    one = np.eye(k, dtype=bool)
    return (
        np.maximum(lower.max((-1, -2)), 0),
        upper.max((-1, -2)),
        np.clip(np.where(one, 1, below).min((-1, -2)), 0, 1),
        np.clip(np.where(one, 1, above).min((-1, -2)), 0, 1),
    )


def gaps(draws: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in METHODS}
    worst: dict[str, tuple[float, str]] = dict.fromkeys(METHODS, (1.0, ""))
    for truth, n, p in cases():
        x = rng.binomial(n, p, size=(draws, n.size))
        gap, ratio = np.ptp(p), p.min() / p.max()
        for name, limits in METHODS.items():
            lower, upper, below, above = bounds(x, n, limits)
            held = ((lower <= gap + 1e-12) & (gap <= upper + 1e-12)).mean()
            also = ((below <= ratio + 1e-12) & (ratio <= above + 1e-12)).mean()
            found[name].append((held, also, (upper - lower).mean()))
            if min(held, also) < worst[name][0]:
                worst[name] = (min(held, also), f"{truth}, n = {tuple(map(int, n))}, p = {p}")
    print(f"\n## Gap between groups: {len(found[name])} cases, {draws} samples each\n")
    print("| interval | least, difference | least, ratio | mean | cases below .94 | mean width |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, rows in found.items():
        held, also, width = np.array(rows).T
        print(
            f"| {name} | {held.min():.3f} | {also.min():.3f} | {held.mean():.3f} "
            f"| {np.mean(np.minimum(held, also) < 0.94):.1%} | {width.mean():.3f} |"
        )
    for name, (share, where) in worst.items():
        print(f"least of {name}: {share:.3f} at {where}")


def enumerated() -> None:
    grid = np.linspace(0.02, 0.98, 33)
    print("\n## Two groups, every sample enumerated: least coverage over 1,089 pairs of rates\n")
    print("| sizes | " + " | ".join(METHODS) + " |\n| --- |" + " ---: |" * len(METHODS))
    for sizes in ((30, 30), (30, 45), (50, 50), (30, 100), (100, 100), (30, 1000)):
        x = np.stack(np.meshgrid(*(np.arange(n + 1) for n in sizes), indexing="ij"), -1)
        pmf = [stats.binom.pmf(np.arange(n + 1)[:, None], n, grid) for n in sizes]
        cells = []
        for limits in METHODS.values():
            lower, upper, *_ = bounds(x, np.array(sizes), limits)
            shares = []
            for a, b in product(range(grid.size), repeat=2):
                gap = abs(grid[a] - grid[b])
                held = (lower <= gap + 1e-12) & (gap <= upper + 1e-12)
                shares.append(pmf[0][:, a] @ held @ pmf[1][:, b])
            cells.append(f"{min(shares):.3f}")
        print(f"| {sizes[0]}, {sizes[1]} | " + " | ".join(cells) + " |")


def peer(draws: int, seed: int) -> None:
    """Without any gap: does the interval of the largest difference hold zero?"""
    from fairlearn.metrics import MetricFrame, selection_rate

    rng = np.random.default_rng(seed)
    print(f"\n## No gap: share of {draws} samples whose interval of the difference holds zero\n")
    print("| groups | rate | fairlearn, bootstrap of max − min | ours | time of fairlearn / ours |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for groups, rate in product((2, 3, 5), (0.1, 0.5)):
        theirs, ours, clocks = 0, 0, [0.0, 0.0]
        for draw in range(draws):
            labels = np.repeat(np.arange(groups), 200)
            chosen = (rng.random(labels.size) < rate).astype(int)
            start = time.perf_counter()
            frame = MetricFrame(
                metrics=selection_rate,
                y_true=chosen,
                y_pred=chosen,
                sensitive_features=labels,
                n_boot=100,
                ci_quantiles=[0.025, 0.975],
                random_state=draw,
            )
            low, _ = frame.difference_ci(method="between_groups")
            middle = time.perf_counter()
            x = np.bincount(labels, chosen)
            found = intervals.disparity_difference(x, np.full(groups, 200))
            clocks[0] += middle - start
            clocks[1] += time.perf_counter() - middle
            if abs(found.estimate - frame.difference()) > 1e-12:
                raise SystemExit("fairlearn and ours differ in the estimate")
            theirs += low <= 0
            ours += found.lower <= 0
        print(
            f"| {groups} | {rate} | {theirs / draws:.2f} | {ours / draws:.2f} "
            f"| {clocks[0] / clocks[1]:.0f} |"
        )


def delong(scores, labels):
    """Return DeLong's variance and its intervals, plain and on the logit scale, as peers."""
    high, low = np.sort(scores[labels == 1]), np.sort(scores[labels == 0])
    above = (np.searchsorted(low, high) + np.searchsorted(low, high, "right")) / 2 / low.size
    below = 1 - (np.searchsorted(high, low) + np.searchsorted(high, low, "right")) / 2 / high.size
    area = above.mean()
    error = np.sqrt(above.var(ddof=1) / high.size + below.var(ddof=1) / low.size)
    plain = (max(area - 1.96 * error, 0), min(area + 1.96 * error, 1))
    if not 0 < area < 1 or error == 0:
        return plain, (area, area)
    logit, error = np.log(area / (1 - area)), error / (area * (1 - area))
    return plain, tuple(1 / (1 + np.exp(-(logit + z * error))) for z in (-1.96, 1.96))


AREA_SIZES = ((10, 10), (10, 300), (30, 30), (300, 30), (100, 1000), (500, 500))
AREAS = (0.5, 0.7, 0.9, 0.97, 0.99, 0.999, 0.99999)
SHAPES = (
    "normal, 1",
    "normal, 3",
    "normal, 1/3",
    "exponential",
    "misplaced",
    "cut in 2",
    "cut in 5",
)


def sample(shape: str, area: float, m: int, n: int, rng):
    """Return m scores of positives, n of negatives, and their true area.

    `misplaced` puts a share of the positives below every negative: at that area no shape varies
    more. `cut` rounds normal scores to 2 or 5 values, which changes the area.
    """
    kind, _, detail = shape.partition(", ")
    if kind == "normal":
        spread = {"1": 1.0, "3": 3.0, "1/3": 1 / 3}[detail]
        centre = stats.norm.ppf(area) * np.hypot(1, spread)
        return rng.normal(centre, spread, m), rng.normal(0, 1, n), area
    if kind == "exponential":
        return rng.exponential(area / (1 - area), m), rng.exponential(1, n), area
    if kind == "misplaced":
        return np.where(rng.random(m) < 1 - area, -1.0, 1.0), rng.random(n) - 0.5, area
    centre = stats.norm.ppf(area) * np.sqrt(2)
    cuts = np.array([centre / 2]) if kind.endswith("2") else np.linspace(-1, centre + 1, 4)
    share = [np.diff(np.r_[0, stats.norm.cdf(cuts - shift), 1]) for shift in (centre, 0)]
    true = float(share[0] @ (np.cumsum(share[1]) - share[1] / 2))
    found = [np.searchsorted(cuts, rng.normal(shift, 1, k)) for shift, k in ((centre, m), (0, n))]
    return found[0].astype(float), found[1].astype(float), true


def areas(draws: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = ("DeLong", "DeLong, logit scale", "score, DeLong variance (ours)")
    rows = []
    for (m, n), area, shape in product(AREA_SIZES, AREAS, SHAPES):
        labels = np.repeat([1.0, 0.0], [m, n])
        found = []
        for _ in range(draws):
            high, low, true = sample(shape, area, m, n, rng)
            scores = np.concatenate([high, low])
            ours = intervals.auc(scores, labels)
            for lower, upper in (*delong(scores, labels), (ours.lower, ours.upper)):
                found.append((lower - 1e-12 <= true <= upper + 1e-12, upper - lower))
        rows.append(np.array(found, dtype=float).reshape(draws, 3, 2).mean(0))
    held, width = np.moveaxis(np.array(rows), 2, 0)  # (cases, intervals) each
    near = np.array([area >= 0.99 for _, area, _ in product(AREA_SIZES, AREAS, SHAPES)])
    print(f"\n## Area under the ROC curve: {len(rows)} cases, {draws} samples each\n")
    print("| interval | least | mean | cases below .94 | mean width | from .99 |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for at, name in enumerate(names):
        share = held[:, at]
        print(
            f"| {name} | {share.min():.3f} | {share.mean():.3f} | {np.mean(share < 0.94):.0%} "
            f"| {width[:, at].mean():.3f} | {width[near, at].mean():.3f} |"
        )


def worst_shape() -> None:
    """By enumeration: a share of the positives below every negative, ten negatives for each."""
    print("\n## A share of positives misplaced, every sample enumerated: coverage\n")
    print("| positives | least | mean | lower limit, none misplaced | one |\n|" + " ---: |" * 5)
    for m in (10, 30, 100, 300):
        limits = []
        for count in range(m + 1):
            high = np.where(np.arange(m) < count, -1.0, 20.0 * m)
            found = intervals.auc(
                np.concatenate([high, np.arange(10.0 * m)]), np.repeat([1.0, 0.0], [m, 10 * m])
            )
            limits.append((found.lower, found.upper))
        lower, upper = np.array(limits).T
        shares = np.concatenate([np.linspace(0.05, 5, 200) / m, np.linspace(5 / m, 0.5, 200)])
        held = [
            stats.binom.pmf(np.arange(m + 1), m, share)
            @ ((lower <= 1 - share + 1e-9) & (1 - share - 1e-9 <= upper))
            for share in shares
        ]
        print(f"| {m} | {min(held):.3f} | {np.mean(held):.3f} | {lower[0]:.3f} | {lower[1]:.3f} |")


def areas_by_unit(draws: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    print(f"\n## Area with rows in units: {draws} samples each\n")
    print("| units × rows | alike | area | coverage | mean width |\n|" + " ---: |" * 5)
    for (units, each), alike, area in product(
        ((30, 4), (100, 5), (40, 25)), (0.1, 0.7), (0.5, 0.9, 0.99, 0.999)
    ):
        unit = np.repeat(np.arange(units), each)
        labels = (unit % 3 == 0).astype(float)
        centre = stats.norm.ppf(area) * np.sqrt(2)
        held, width = 0, 0.0
        for _ in range(draws):
            shared = np.sqrt(alike) * rng.normal(size=units)[unit]
            own = np.sqrt(1 - alike) * rng.normal(size=unit.size)
            found = intervals.auc(centre * labels + shared + own, labels, units=unit)
            held += found.lower <= area <= found.upper
            width += found.upper - found.lower
        print(f"| {units} × {each} | {alike} | {area} | {held / draws:.3f} | {width / draws:.3f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=4000)
    parser.add_argument("--peer-draws", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    gaps(given.draws, given.seed)
    enumerated()
    peer(given.peer_draws, given.seed)
    areas(max(given.draws // 4, 1), given.seed)
    worst_shape()
    areas_by_unit(max(given.draws // 10, 1), given.seed)


if __name__ == "__main__":
    main()
