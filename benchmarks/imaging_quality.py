"""Medical imaging on public sets: AUC, privacy, fairness between the sexes, coverage; seconds.

    .venv/bin/python benchmarks/imaging_quality.py [--data FOLDER] [--only NAME …] [--seeds N]

* breast, pneumonia: official splits at 28 pixels; every choice was made on the validation part.
  Nothing but `network` differs from the solution's defaults.
* private: pneumonia at ε = 8 for each image (no patients are known), with plain scattering.
* nih: five folds by patient; AUC over all images, DeLong by patient; the gap of the sexes with the
  verdict of the audit (its limit is .1 of AUC).
* coverage: 90 % sets on parts that are exchangeable with what they are fitted on (of pneumonia's
  training part, drawn at random; of nih, by patient). Each share must lie in the 95 % interval
  that is shown, of a binomial whose chance varies with the calibration part, in total and in each
  class. The official test part of pneumonia comes from elsewhere, so that no
  method can promise coverage there: it is printed and not judged.
* lesions: the demo as `verticals train` makes it, for each seed, then 400 new radiographs of 200
  patients. Of each method whose maps passed their tests, over the images with a lesion that the
  model marks, the share whose map has its strongest pixel in the lesion's box.
* small: the small residual network on the same splits, for comparison; only if named.

All runs go through `TorchAdapter`, contract, encoder and training loop. A linear head on fixed
features is a convex problem, so that seeds differ by rounding alone without privacy: the interval
beside a mean is that of the test images (DeLong). Exits with 1 if a goal is missed. Parts whose
data are absent are skipped.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import verticals
from verticals.api.scorer import Scorer
from verticals.contract import DataContract, bind, parse_contract, read_contract, resolve
from verticals.contract.model import GROUP
from verticals.evidence import open_evidence
from verticals.intervals import auc, wilson
from verticals.metrics import roc_auc
from verticals.plugin import Model, Setup
from verticals.table import Table
from verticals.torch_adapter import TorchAdapter
from verticals_medical_imaging.checks.intervals import largest_gap, level_for
from verticals_medical_imaging.demo import SIZE
from verticals_medical_imaging.finish import finish_for
from verticals_medical_imaging.saliency import pictured, saliency
from verticals_medical_imaging.saliency_tests import pointing_hits
from verticals_medical_imaging.solution import SOLUTION
from verticals_medical_imaging.synthesize import synthesize

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
MOST_SECONDS = 15 * 60
EPSILON = 8.0
COVERAGE = 0.9
SEX_LIMIT = 0.1
POINTING = 0.9
NEW_PATIENTS, NEW_SEED = 200, 10_000  # on whom maps are scored; the demo's own seed is 7
PNEUMONIA = """
solution: medical-imaging
name: pneumonia
targets:
  pneumonia: {column: label, kind: binary, positive: 1, negative: 0, favourable: 0}
decision: {target: pneumonia, cut: 0.5}
fields:
  image: {column: image, kind: image, size: [28, 28], bounds: [0, 255]}
"""

Parts = dict[str, Table]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """Hold one line of the result: what was measured, against which goal."""

    name: str
    estimate: float
    lower: float
    upper: float
    met: bool | None  # None: not judged
    note: str = ""


def fit(
    contract: DataContract, parts: Parts, seed: int, epsilon: float | None = None, **options: Any
) -> Model:
    """Train the solution."""
    setup = Setup(contract=contract, options=options, seed=seed, epsilon=epsilon, device="cpu")
    return TorchAdapter(SOLUTION).fit(parts, setup)


def official(folder: Path, name: str, declared: DataContract) -> tuple[DataContract, Parts]:
    """Return the contract and the official parts, bound; calibrate is empty."""
    arrays = np.load(folder / f"img_{name}" / f"{name}.npz")
    parts: Parts = {}
    contract = declared
    for part, short in (("train", "train"), ("validate", "val"), ("test", "test")):
        raw = Table(
            {
                "image": arrays[f"{short}_images"],
                "label": arrays[f"{short}_labels"][:, 0].astype(int),
            }
        )
        contract = resolve(declared, list(raw))
        parts[part] = bind(contract, raw).table
    return contract, {**parts, "calibrate": parts["train"].take([])}


def breast(folder: Path, seeds: int, network: str = "log-scattering") -> list[Outcome]:
    """Measure AUC on BreastMNIST: malignant against the rest."""
    contract = read_contract(ROOT / "examples" / "breast_ultrasound" / "contract.yaml")
    contract, parts = official(folder, "breastmnist", contract)
    return [on_test(f"breast, {network}", contract, parts, 0.87, max(seeds, 5), network=network)]


def pneumonia(folder: Path, seeds: int, network: str = "log-scattering") -> list[Outcome]:
    """Measure AUC on PneumoniaMNIST."""
    contract, parts = official(folder, "pneumoniamnist", parse_contract(PNEUMONIA))
    return [on_test(f"pneumonia, {network}", contract, parts, 0.965, seeds, network=network)]


def private(folder: Path, seeds: int) -> list[Outcome]:
    """Measure AUC on PneumoniaMNIST, trained with differential privacy for each image."""
    contract, parts = official(folder, "pneumoniamnist", parse_contract(PNEUMONIA))
    parts = {**parts, "validate": parts["validate"].take([])}
    name = f"pneumonia, ε = {EPSILON:g}, scattering"
    return [on_test(name, contract, parts, 0.94, seeds, EPSILON, network="scattering")]


def small(folder: Path, seeds: int) -> list[Outcome]:
    """Measure the small residual network on both official splits, without a goal."""
    found = [*breast(folder, seeds, "small"), *pneumonia(folder, seeds, "small")]
    return [dataclasses.replace(item, met=None) for item in found]


def on_test(
    name: str,
    contract: DataContract,
    parts: Parts,
    goal: float,
    seeds: int,
    epsilon: float | None = None,
    **options: Any,
) -> Outcome:
    """Train with each seed; compare the mean AUC on the test part with a goal."""
    test, target = parts["test"], contract.targets[0].name
    areas, mean = [], np.zeros(test.rows)
    for seed in range(seeds):
        score = fit(contract, parts, seed, epsilon, **options).predict(test)["score"]
        areas.append(roc_auc(test[target], score))
        mean += score / seeds
    interval = auc(mean, test[target])
    estimate = float(np.mean(areas))
    note = f"goal {goal:.3f}; {seeds} seeds {min(areas):.4f} to {max(areas):.4f}"
    return Outcome(
        name=name,
        estimate=estimate,
        lower=interval.lower or 0.0,
        upper=interval.upper or 1.0,
        met=estimate >= goal,
        note=note,
    )


def read_nih(folder: Path) -> tuple[DataContract, Table]:
    """Return the contract and the bound table of the NIH subset."""
    place = folder / "img_nih_cxr1000"
    with (place / "metadata.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = {name: np.array([row[name] for row in rows], dtype=object) for name in rows[0]}
    columns["file"] = np.load(place / "images_64.npz")["images"]
    raw = Table({**columns, "age": columns["age"].astype(float)})
    declared = read_contract(ROOT / "examples" / "chest_xray" / "contract.yaml")
    contract = resolve(declared, list(raw))
    return contract, bind(contract, raw).table


def by_patient(table: Table, label: np.ndarray, folds: int, seed: int) -> list[np.ndarray]:
    """Return the rows of each fold, patients whole."""
    from sklearn.model_selection import StratifiedGroupKFold

    split = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    return [test for _, test in split.split(np.zeros(table.rows), label, table[GROUP])]


def nih(folder: Path, seeds: int) -> list[Outcome]:
    """Measure AUC over five folds by patient, and the gap of the sexes."""
    contract, table = read_nih(folder)
    label, nobody = table["abnormal"], table.take([])
    areas, mean = [], np.zeros(table.rows)
    for seed in range(seeds):
        folds = []
        for test in by_patient(table, label, 5, seed):
            train = np.setdiff1d(np.arange(table.rows), test)
            parts = {"train": table.take(train), "validate": nobody, "calibrate": nobody}
            model = fit(contract, parts, seed, network="log-scattering")
            score = model.predict(table.take(test))["score"]
            folds.append(roc_auc(label[test], score))
            mean[test] += score / seeds
        areas.append(float(np.mean(folds)))
    whole = auc(mean, label, units=table[GROUP])
    overall = Outcome(
        name="nih, log-scattering, mean of folds",
        estimate=float(np.mean(areas)),
        lower=whole.lower or 0.0,
        upper=whole.upper or 1.0,
        met=bool(np.mean(areas) > 0.62),
        note=f"goal .620; {seeds} seeds {min(areas):.4f} to {max(areas):.4f}; "
        f"all images together {whole.estimate:.4f}",
    )
    sexes = [
        auc(mean[here], label[here], units=table[GROUP][here], level=level_for(2))
        for here in (table["sex"] == code for code in (0, 1))
    ]
    gap = largest_gap(sexes)
    verdict = _verdict(gap.lower or 0.0, gap.upper or 1.0)
    shown = ", ".join(f"{name} {item.estimate:.3f}" for name, item in zip("FM", sexes, strict=True))
    return [
        overall,
        Outcome(
            name="nih, AUC gap of the sexes",
            estimate=gap.estimate or 0.0,
            lower=gap.lower or 0.0,
            upper=gap.upper or 1.0,
            met=None,
            note=f"{shown}; limit {SEX_LIMIT}; verdict {verdict}",
        ),
    ]


def _verdict(lower: float, upper: float) -> str:
    if lower > SEX_LIMIT:
        return "gap"
    return "no material gap" if upper <= SEX_LIMIT else "insufficient evidence"


def coverage(folder: Path, seeds: int) -> list[Outcome]:
    """Measure the coverage of 90 % sets where it is promised, and where it is not."""
    contract, parts = official(folder, "pneumoniamnist", parse_contract(PNEUMONIA))
    pool, found = parts["train"], []
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(pool.rows)
        drawn = {
            "train": pool.take(order[:2708]),
            "validate": pool.take([]),
            "calibrate": pool.take(order[2708:3708]),
            "test": pool.take(order[3708:]),
        }
        model = fit(contract, drawn, seed, network="log-scattering")
        found += covered(f"pneumonia, seed {seed}", contract, model, drawn)
        elsewhere = {**drawn, "test": parts["test"]}
        shifted = covered(f"pneumonia elsewhere, seed {seed}", contract, model, elsewhere)
        found += [dataclasses.replace(item, met=None) for item in shifted]
    contract, table = read_nih(folder)
    for seed in range(seeds):
        folds = by_patient(table, table["abnormal"], 4, seed)
        drawn = {
            "train": table.take(np.sort(np.concatenate(folds[2:]))),
            "validate": table.take([]),
            "calibrate": table.take(folds[0]),
            "test": table.take(folds[1]),
        }
        model = fit(contract, drawn, seed, network="log-scattering")
        found += covered(f"nih, seed {seed}", contract, model, drawn)
    return found


def covered(name: str, contract: DataContract, model: Model, parts: Parts) -> list[Outcome]:
    """Compare the share of sets that hold the truth with the declared one: total, each class."""
    finish = finish_for(contract, None, {"coverage": COVERAGE})
    settings = finish.fit(model.predict(parts["calibrate"]), parts["calibrate"])
    said = finish.apply(model.predict(parts["test"]), settings)
    target = contract.targets[0]
    label, known = parts["test"][target.name], parts["calibrate"][target.name]
    truth = np.where(label == 1, target.positive, target.negative)
    held = np.array(
        [value in text.split("|") for value, text in zip(truth, said["set"], strict=True)]
    )
    found = []
    for what, classes in (("all", (0, 1)), ("positives", (1,)), ("negatives", (0,))):
        here = np.isin(label, classes)
        sizes = [
            (
                persons(parts["calibrate"], contract, known == k),
                persons(parts["test"], contract, label == k),
            )
            for k in classes
        ]
        lower, upper = band([(len(np.unique(a)), len(np.unique(b))) for a, b in sizes])
        owner = np.unique(persons(parts["test"], contract, here), return_inverse=True)[1]
        estimate = float((np.bincount(owner, held[here]) / np.bincount(owner)).mean())
        found.append(
            Outcome(
                name=f"{name}: {what}",
                estimate=estimate,
                lower=lower,
                upper=upper,
                met=lower <= estimate <= upper,
                note=f"n {owner.max() + 1}, abstained {said['abstained'][here].mean():.2f}",
            )
        )
    return found


def persons(table: Table, contract: DataContract, here: np.ndarray) -> np.ndarray:
    """Return whose each of these rows is; a row is its own person where none is known."""
    return table[GROUP][here].astype(str) if contract.group else np.flatnonzero(here)


def band(sizes: list[tuple[int, int]]) -> tuple[float, float]:
    """Return the 95 % interval of the share covered, for (calibrated, tested) in each class.

    Of n calibrated the coverage of a class is Beta(n + 1 - k, k), k = floor((n + 1) / 10), and
    the count in the test part binomial with that chance (Vovk 2012). Persons count as units.
    """
    random = np.random.default_rng(0)
    total = np.zeros(20_000)
    for calibrated, tested in sizes:
        rank = int((calibrated + 1) * (1 - COVERAGE) + 1e-9)
        chance = random.beta(calibrated + 1 - rank, rank, 20_000) if rank else np.ones(20_000)
        total += random.binomial(tested, chance)
    shares = total / sum(tested for _, tested in sizes)
    lower, upper = np.quantile(shares, [0.025, 0.975])
    return float(lower), float(upper)


def lesions(data: Path, seeds: int) -> list[Outcome]:
    """Play the pointing game on planted lesions; a method that failed its tests is not shown."""
    found, hits, boxes = [], 0, 0
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "bundle"
            verticals.train("medical-imaging", out=out, no_privacy=True, seed=seed)
            tested = open_evidence(f"{out}.evidence").tables["imaging.saliency"]
            shown = [str(m) for m in np.array(tested["method"])[np.array(tested["passed"])]]
            scorer = verticals.open(out, device="cpu")
        for method in shown:
            inside, of = pointed(scorer, seed, method)
            share = wilson(inside, of)
            hits, boxes = hits + inside, boxes + of
            found.append(
                Outcome(
                    name=f"lesions, seed {seed}: {method}",
                    estimate=share.estimate,
                    lower=share.lower,
                    upper=share.upper,
                    met=None,
                    note=f"{inside} of {of}",
                )
            )
    share = wilson(hits, boxes)
    goal = Outcome(
        name="lesions, shown maps of all seeds",
        estimate=share.estimate,
        lower=share.lower,
        upper=share.upper,
        met=hits >= POINTING * boxes,
        note=f"goal {POINTING:g}; {hits} of {boxes}",
    )
    return [*found, goal]


def pointed(scorer: Scorer, seed: int, method: str) -> tuple[int, int]:
    """Return hits and lesions among new radiographs that the model marks, one map each."""
    facts, pixels, boxes = synthesize(NEW_PATIENTS, 2, SIZE, NEW_SEED + seed)
    table = scorer.bind(Table({**facts, "image": pixels}))
    marked = np.asarray(scorer.columns(table)["decision"]) == 1
    rows = np.flatnonzero(marked & (boxes[:, 0] >= 0))
    explained, _ = pictured(scorer.model, table)
    maps = saliency(explained.take(rows), method).shown
    inside = pointing_hits(maps, boxes[rows])
    return int(inside.sum()), len(rows)


RUNS: Mapping[str, Callable[[Path, int], list[Outcome]]] = {
    "breast": breast,
    "pneumonia": pneumonia,
    "private": private,
    "nih": nih,
    "coverage": coverage,
    "lesions": lesions,
    "small": small,
}


def main() -> int:
    """Run the parts that are asked for, and print each line as it is known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--only", nargs="*", choices=tuple(RUNS), default=None)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    missed = 0
    for name in given.only or [item for item in RUNS if item != "small"]:
        start = time.perf_counter()
        try:
            found = RUNS[name](given.data, given.seeds)
        except FileNotFoundError as error:
            print(f"{name}: skipped, {error.filename} is absent; name its folder with --data")
            continue
        seconds = time.perf_counter() - start
        for item in found:
            word = {True: "met", False: "MISSED", None: "shown"}[item.met]
            shown = f"{item.estimate:.4f} ({item.lower:.4f} to {item.upper:.4f})"
            print(f"{item.name:44} {shown}  {word}; {item.note}", flush=True)
        missed += sum(item.met is False for item in found) + (seconds > MOST_SECONDS)
        print(f"{name}: {seconds / 60:.1f} minutes{', TOO SLOW' * (seconds > MOST_SECONDS)}\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
