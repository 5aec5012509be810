"""Set down what the checks of imaging need beside the scores: five tables, without ids.

    imaging.declared     coverage, sensitivity, specificity             what the solution promises
    imaging.confounders  part, attribute, group, target, label, images, persons
    imaging.reliability  output, bin, images, persons, mean_score, share
    imaging.saliency     method, output, images, passed, reason, and what the tests measured
    imaging.map          method, row, column, image, map, images, persons

Reliability is that of the network's own probability, before the temperature: that of the
probability that is given out follows from the table `scores`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from verticals.collect import unit_index
from verticals.contract import group_of
from verticals.contract.model import DataContract, Target
from verticals.errors import ExplanationError
from verticals.finish import score_name
from verticals.plugin import Columns, Model
from verticals.table import Array, Table
from verticals_medical_imaging import measures

if TYPE_CHECKING:
    from verticals_medical_imaging.saliency import Explained
    from verticals_medical_imaging.saliency_tests import Verdict

#: Fields (role: ignore) that name a known lesion's box in pixels of the declared size, its ends
#: outside; missing or below 0 where there is none.
BOX = ("lesion_top", "lesion_left", "lesion_bottom", "lesion_right")

FEWEST_BOXES = 10  # known lesions, from which on a map that misses most of them fails
MOST_IMAGES = 32  # on which maps are tested
MOST_LARGE_IMAGES = 16  # the same where an image has more than `LARGE` pixels
LARGE = 128 * 128
FEWEST_PERSONS = 10  # below it no mean image is set down
MOST_CELLS = 48  # along each side of a mean image
_DRAWS = 8

Evidence = Callable[[Model, Mapping[str, Table]], Mapping[str, Table]]


def evidence_for(
    *,
    coverage: float | None = None,
    sensitivity: float | None = None,
    specificity: float | None = None,
) -> Evidence:
    """Return the function that makes imaging's tables; the numbers are what a solution promises."""

    def evidence(model: Model, parts: Mapping[str, Table]) -> Mapping[str, Table]:
        contract: DataContract | None = getattr(model, "contract", None)
        if contract is None:
            return {}
        audited = parts["test"]
        tables = {
            "imaging.declared": declared_table(coverage, sensitivity, specificity),
            "imaging.confounders": confounders_table(parts, contract),
            "imaging.reliability": reliability_table(model.predict(audited), audited, contract),
        }
        return {**tables, **saliency_tables(model, audited)}

    return evidence


def declared_table(
    coverage: float | None, sensitivity: float | None, specificity: float | None
) -> Table:
    """Return one row with what is promised, NaN where nothing is."""
    promised = {"coverage": coverage, "sensitivity": sensitivity, "specificity": specificity}
    return Table(
        {name: np.array([np.nan if value is None else value]) for name, value in promised.items()}
    )


def confounders_table(parts: Mapping[str, Table], contract: DataContract) -> Table:
    """Count images and persons of each part by audited group and label."""
    rows: list[tuple[str, str, str, str, str, int, int]] = []
    for part, table in parts.items():
        if part not in ("train", "test"):
            continue
        for target in _findings(contract, table):
            for attribute in contract.audited:
                if attribute.name in table:
                    group = group_of(attribute, table[attribute.name])
                    rows += [
                        (part, attribute.name, *counted)
                        for counted in _counted(group, target, table)
                    ]
    names = ("part", "attribute", "group", "target", "label", "images", "persons")
    return _table(names, rows, whole=("images", "persons"))


def reliability_table(columns: Columns, audited: Table, contract: DataContract) -> Table:
    """Return the reliability curve of each probability, in bins of about equal counts.

    Edges of bins are left out: they are scores of single persons.
    """
    rows: list[tuple[str, int, int, int, float, float]] = []
    unit = unit_index(audited)
    for target in _findings(contract, audited):
        truth = np.asarray(audited[target.name], dtype=float)
        for name, place in _probabilities(contract, target):
            score = np.asarray(columns[name], dtype=float)
            here = ~np.isnan(truth) & ~np.isnan(score)
            label = truth[here] if place is None else (truth[here] == place).astype(float)
            rows += [(name, *row) for row in _bins(score[here], label, unit[here])]
    names = ("output", "bin", "images", "persons", "mean_score", "share")
    return _table(names, rows, whole=("bin", "images", "persons"))


def saliency_tables(model: Model, audited: Table, *, seed: int = 0) -> dict[str, Table]:
    """Test the maps of each method on up to 32 audited images; empty where there are no maps.

    The images are spread over the upper half of the scores, as maps are shown for findings. Boxes
    of known lesions (`BOX`) are held against the most salient pixel. The mean map is that of the
    first method that passed, where the images are of ten persons or more.
    """
    from verticals_medical_imaging.saliency import METHODS, pictured
    from verticals_medical_imaging.saliency_tests import judge, pointing_hits

    try:
        explained, output = pictured(model, audited)
    except ExplanationError:
        return {}
    chosen = test_rows(model, audited, explained, output)
    explained, tested = explained.take(chosen), audited.take(chosen)
    boxes = known_boxes(tested)
    rows, passed = [], []
    for method in METHODS:
        try:
            found, verdict = judge(explained, method, draws=_DRAWS, seed=seed)
        except ExplanationError:  # no convolution, so no Grad-CAM
            continue
        hits = pointing_hits(found.shown, boxes)
        rows.append(_saliency_row(verdict, output, hits, float(np.mean(found.error))))
        passed += [found] if verdict.passed else []
    verdicts = Table({name: np.array([row[name] for row in rows]) for name in rows[0]})
    tables = {"imaging.saliency": verdicts}
    if passed:
        images = explained.pixels.mean(dim=1).double().cpu().numpy()
        mean = map_table(passed[0].method, images, passed[0].shown, unit_index(tested))
        tables.update({} if mean is None else {"imaging.map": mean})
    return tables


def map_table(method: str, images: Array, maps: Array, unit: Array) -> Table | None:
    """Return the mean image and the mean map, a row for each cell; None below ten persons.

    `images` (grey, 0..1) and `maps` are (rows, h, w), `unit` (rows,) persons. Each person weighs
    1: a plain mean would show the image of somebody who has most of them. The mean map is scaled
    so that its strongest cell is 1 or −1.
    """
    _, person, its = np.unique(unit, return_inverse=True, return_counts=True)
    if its.size < FEWEST_PERSONS:
        return None
    weight = 1 / (its[person] * its.size)
    image, mean = (_cells(np.tensordot(weight, grids, axes=1)) for grids in (images, maps))
    strongest = float(np.abs(mean).max())
    row, column = np.indices(image.shape).reshape(2, -1)
    return Table(
        {
            "method": np.full(image.size, method, dtype=object),
            "row": row,
            "column": column,
            "image": np.clip(image, 0, 1).reshape(-1),
            "map": (mean / strongest if strongest > 0 else mean).reshape(-1),
            "images": np.full(image.size, len(images), dtype=np.int64),
            "persons": np.full(image.size, its.size, dtype=np.int64),
        }
    )


def _cells(pixels: Array) -> Array:
    """Return means over near pixels, at most `MOST_CELLS` along each side."""
    shrink = min(1.0, MOST_CELLS / max(pixels.shape))
    for axis, side in enumerate(pixels.shape):
        count = max(1, round(side * shrink))
        starts = np.arange(count) * side // count
        sizes = np.diff(starts, append=side)
        shape = (-1, 1) if axis == 0 else (1, -1)
        pixels = np.add.reduceat(pixels, starts, axis=axis) / sizes.reshape(shape)
    return pixels


def test_rows(model: Model, table: Table, explained: Explained, output: str) -> Array:
    """Return the rows on which maps are tested: up to 32 (16 of large images), ascending."""
    size = int(np.prod(explained.pixels.shape[2:]))
    most = MOST_IMAGES if size <= LARGE else MOST_LARGE_IMAGES
    return _spread(_explained_scores(model, table, output), most)


def known_boxes(table: Table) -> Array:
    """Return (rows, 4) top, left, bottom, right of known lesions, NaN where none is known."""
    if any(name not in table for name in BOX):
        return np.full((table.rows, 4), np.nan)
    boxes = np.stack([np.asarray(table[name], dtype=float) for name in BOX], axis=1)
    return np.where(boxes < 0, np.nan, boxes)


def _saliency_row(verdict: Verdict, output: str, hits: Array, error: float) -> dict[str, Any]:
    correlation, drop = verdict.correlation, verdict.drop
    boxes, inside = int((~np.isnan(hits)).sum()), int(np.nansum(hits))
    astray = boxes >= FEWEST_BOXES and inside < boxes / 2
    told = f"its strongest pixel lies in {inside} of {boxes} known lesions, expected half or more"
    return {
        "method": verdict.method,
        "output": output,
        "images": verdict.images,
        "passed": verdict.passed and not astray,
        "reason": verdict.reason or (told if astray else ""),
        **_limits("correlation", correlation.estimate, correlation.lower, correlation.upper),
        **_limits("drop", drop.estimate, drop.lower, drop.upper),
        "p_value": _number(verdict.p_value),
        "completeness_error": error,
        "boxes": boxes,
        "hits": inside,
    }


def _limits(
    name: str, estimate: float | None, lower: float | None, upper: float | None
) -> dict[str, float]:
    found = {name: estimate, f"{name}_lower": lower, f"{name}_upper": upper}
    return {key: _number(value) for key, value in found.items()}


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)


def _explained_scores(model: Model, audited: Table, output: str) -> Array:
    """Return (rows,) what rows are ranked by: the explained probability, or the largest one."""
    columns = model.predict(audited)
    if output in columns:
        return np.asarray(columns[output], dtype=float)
    start = output.removeprefix("most probable ")
    classes = [np.asarray(columns[name]) for name in columns if name.startswith(f"{start}_")]
    return np.asarray(np.max(classes, axis=0))


def _spread(score: Array, most: int) -> Array:
    """Return up to `most` rows, evenly spaced over the half with the higher scores."""
    falling = np.argsort(-score, kind="stable")
    half = falling[: max(min(most, score.size), -(-score.size // 2))]
    places = np.linspace(0, half.size - 1, min(most, half.size)).round().astype(np.int64)
    return np.sort(half[places])


def _findings(contract: DataContract, table: Table) -> Iterator[Target]:
    for target in contract.targets:
        if target.kind in ("binary", "categorical") and target.name in table:
            yield target


def _probabilities(contract: DataContract, target: Target) -> list[tuple[str, int | None]]:
    """Return the name of each probability and the class that it speaks of (None: positive)."""
    if target.kind == "binary":
        return [(score_name(contract, target.name), None)]
    return [(f"{target.name}_{value}", place) for place, value in enumerate(target.values)]


def _counted(
    group: Array, target: Target, table: Table
) -> Iterator[tuple[str, str, str, int, int]]:
    """Yield group, target, label, images, persons of each cell that is not empty."""
    truth, unit = np.asarray(table[target.name], dtype=float), unit_index(table)
    if target.kind == "binary":
        labels = [target.negative or f"not {target.positive}", target.positive]
    else:
        labels = list(target.values)
    seen = np.array([bool(value) for value in group.tolist()], dtype=bool)
    for name in sorted({str(value) for value in group[seen]}):
        for place, label in enumerate(labels):
            here = seen & (group == name) & (truth == place)
            if here.any():
                yield name, target.name, label, int(here.sum()), int(np.unique(unit[here]).size)


def _bins(score: Array, label: Array, unit: Array) -> Iterator[tuple[int, int, int, float, float]]:
    place = measures.score_bins(score)
    for number in range(int(place.max(initial=-1)) + 1):
        here = place == number
        yield (
            number,
            int(here.sum()),
            int(np.unique(unit[here]).size),
            float(score[here].mean()),
            float(label[here].mean()),
        )


def _table(names: Sequence[str], rows: Sequence[tuple[Any, ...]], *, whole: Sequence[str]) -> Table:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    found: dict[str, Array] = {}
    for name, column in zip(names, columns, strict=True):
        text = bool(column) and isinstance(column[0], str)
        kind: Any = np.int64 if name in whole else object if text or not column else np.float64
        found[name] = np.array(column, dtype=kind)
    return Table(found, rows=len(rows))
