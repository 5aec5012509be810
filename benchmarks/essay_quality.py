"""How well essays are scored: ELLIPSE, five folds, frozen encoder and LoRA beside two ridges.

Data: ELLIPSE (Crossley et al. 2023), 1,500 essays of learners of English, Overall and six traits
in half points. `MCRMSE` is the mean over the six traits of the root mean squared error; `QWK` is
that of Overall after rounding to half points. QWK is printed twice: of the scores as they are, and
of scores widened to the spread of the human ones (fitted within the training folds), since
widening alone lifts QWK and costs RMSE.

LoRA adapts a second encoder from loosely fitted heads, and scores together with the frozen one, as
the product does. Each fold's scores are kept in `--scratch`, so that folds can be trained one by
one, or side by side, and read again.

The strength of each ridge is chosen by inner folds of the training part. Features and heads (which
layers, means and spreads, moments, kinds of words, text measures, their curves, word pieces,
proportional odds; about 60 variants) were compared on five folds of the same essays by other
permutations (seeds 0, 2 and 3), LoRA's settings on a fold of seed 0. So the folds here (seed 1) are
new, but for a first look at kernels of which the curves are a part, and the essays are not.
Features are cached in `--scratch`, and nowhere else.

    .venv/bin/python benchmarks/essay_quality.py [--scratch FOLDER]            # frozen encoder
    .venv/bin/python benchmarks/essay_quality.py --scratch FOLDER --lora 0 1 2 3 4 \
        --arithmetic bfloat16      # and LoRA, on these folds

Exits with 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from verticals.contract import Field, Target
from verticals.metrics import quadratic_weighted_kappa, rmse
from verticals.networks import heads
from verticals.table import Array
from verticals.training import TrainOptions, train_network, train_options
from verticals_student_assessment.essays.body import encoder_digest, encoder_folder, load_body
from verticals_student_assessment.essays.compose import reference_texts
from verticals_student_assessment.essays.networks import (
    FEATURES,
    LOOSE_RIDGE,
    TIGHT_RIDGE,
    EssayNetwork,
)
from verticals_student_assessment.essays.options import EssayOptions
from verticals_student_assessment.essays.text import TextEncoder

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data" / "edu_ellipse" / "essays.csv"
FROZEN_GOAL, LORA_GOAL, KAPPA_GOAL = 0.505, 0.49, 0.62
TRAITS = ("Cohesion", "Syntax", "Vocabulary", "Phraseology", "Grammar", "Conventions")
NAMES = ("Overall", *TRAITS)
LEVELS = tuple(f"{value:g}" for value in np.arange(1.0, 5.01, 0.5))
TARGETS = tuple(Target(name=name, column=name, kind="ordinal", values=LEVELS) for name in NAMES)
ESSAY = Field(name="essay", kind="text", column="full_text", settings={"windows": 8, "length": 256})
RIDGES = (10.0, 20.0)  # of the ordinal heads
PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0)  # of the linear ridges
INNER = 3

#: (train rows, test rows, penalty) -> scores of the test rows in points, (rows, 7).
Fit = Callable[[Array, Array, float], Array]


def main() -> int:
    """Print one line for each method and how it stands to the goals; return 1 if one is missed."""
    given = _arguments()
    if not given.data.is_file():
        print(f"skipped: {given.data} is not there")
        return 0
    torch.set_num_threads(given.threads)
    texts, human = read(given.data)
    fold = np.random.default_rng(given.fold_seed).permutation(len(texts)) % given.folds
    with tempfile.TemporaryDirectory() as folder:
        scratch = given.scratch or Path(folder)
        blocks, pooled, network, minutes = encoded(texts, scratch, given.arithmetic)
        return _compared(given, texts, human, fold, (blocks, pooled, network, minutes), scratch)


def _compared(
    given: argparse.Namespace,
    texts: list[str],
    human: Array,
    fold: Array,
    features: tuple[Array, Array, EssayNetwork, float],
    scratch: Path,
) -> int:
    blocks, pooled, network, minutes = features
    print(f"{len(texts)} essays, {given.folds} folds; features of the encoder {minutes:.1f} min")
    head = _head_fit(network, pooled, human)
    layers = pooled[:, : sum(network.groups[: len(network.groups) // 2])]
    methods: list[tuple[str, Fit, Sequence[float]]] = [
        ("frozen encoder, ordinal heads", head, RIDGES),
        ("ridge on mean layers of the encoder", _ridge_fit(_standard(layers), human), PENALTIES),
        ("ridge on TF-IDF", _ridge_fit(_tfidf(texts), human), PENALTIES),
    ]
    print(f"{'method':38} MCRMSE  RMSE   QWK  | widened: RMSE   QWK   minutes")
    found = [
        _report(name, fit, penalties, human, fold, given.folds) for name, fit, penalties in methods
    ]
    error, kappa = found[0]
    goals = [
        ("frozen encoder: MCRMSE", error, error <= FROZEN_GOAL, f"at most {FROZEN_GOAL}"),
        ("frozen encoder: QWK", kappa, kappa >= KAPPA_GOAL, f"at least {KAPPA_GOAL}"),
    ]
    if given.lora:
        error, kappa = _report_lora(given, network, blocks, pooled, human, fold, scratch)
        goals.append(("LoRA: MCRMSE", error, error <= LORA_GOAL, f"at most {LORA_GOAL}"))
        goals.append(("LoRA: QWK", kappa, kappa >= KAPPA_GOAL, f"at least {KAPPA_GOAL}"))
    print("elsewhere: ridge on frozen MiniLM layers QWK .58, MCRMSE .510; on TF-IDF .347 and .563")
    for name, value, met, goal in goals:
        print(f"{name} {value:.4f}, goal {goal}: {'met' if met else 'MISSED'}")
    return 0 if all(met for _, _, met, _ in goals) else 1


def read(path: Path) -> tuple[list[str], Array]:
    """Return texts and human scores (rows, 7) in points."""
    csv.field_size_limit(2**24)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["full_text"] for row in rows], np.array(
        [[float(row[name]) for name in NAMES] for row in rows]
    )


def encoded(
    texts: list[str], scratch: Path, arithmetic: str
) -> tuple[Array, Array, EssayNetwork, float]:
    """Return encoded texts, pooled features (cached), the scaled network, and minutes."""
    folder = encoder_folder({})
    encoder = TextEncoder(folder)
    blocks = encoder.encode(ESSAY, np.array(texts, dtype=object))
    network = EssayNetwork(
        load_body(folder), TARGETS, block="essay", chosen=EssayOptions(arithmetic=arithmetic)
    )
    network.fit_scale(encoder.encode(ESSAY, np.array(reference_texts(), dtype=object)))
    scratch.mkdir(parents=True, exist_ok=True)
    made = f"{encoder_digest(folder)[7:19]}-{arithmetic}-{len(network.direction[0])}-{len(texts)}"
    kept = scratch / f"essays-{made}.npz"
    if not kept.is_file():
        started = time.perf_counter()
        found = [
            network.pooled(torch.from_numpy(blocks[start : start + 50])).numpy()
            for start in range(0, len(blocks), 50)
        ]
        minutes = (time.perf_counter() - started) / 60
        np.savez(kept, pooled=np.concatenate(found), minutes=minutes)
    with np.load(kept) as held:
        return blocks, held["pooled"], network, float(held["minutes"])


def _head_fit(network: EssayNetwork, pooled: Array, human: Array) -> Fit:
    """Return the product's own training of ordinal heads on the frozen encoder's features."""
    with torch.no_grad():
        features = network._scaled(torch.from_numpy(pooled)).numpy()

    def fit(train: Array, test: Array, ridge: float) -> Array:
        _reset(network)
        options = dataclasses.replace(train_options({}, network, private=False), ridge=ridge)
        _train(network, {FEATURES: features[train]}, human[train], options)
        with torch.no_grad():
            return _points(network({FEATURES: torch.from_numpy(features[test])}))

    return fit


def _reset(network: EssayNetwork) -> None:
    fresh = EssayNetwork(network.body, TARGETS, block="essay", chosen=network.chosen)
    with torch.no_grad():
        network.direction.copy_(fresh.direction)
        network.threshold.copy_(fresh.threshold)


def _train(
    network: EssayNetwork, blocks: dict[str, Array], human: Array, options: TrainOptions
) -> None:
    labels = {name: (human[:, place] - 1) * 2 for place, name in enumerate(NAMES)}
    train_network(network, blocks, TARGETS, labels, options=options, seed=0, device="cpu")


def _points(raw: torch.Tensor) -> Array:
    columns = heads.scores(raw.float(), TARGETS)
    return np.stack([columns[name] for name in NAMES], axis=1)


def _ridge_fit(features: Array, human: Array) -> Fit:
    """Return ridge regression in its dual form on centred features."""
    gram = features @ features.T

    def fit(train: Array, test: Array, penalty: float) -> Array:
        centre = human[train].mean(axis=0)
        inside = gram[np.ix_(train, train)] + penalty * np.eye(len(train))
        return np.asarray(
            gram[np.ix_(test, train)] @ np.linalg.solve(inside, human[train] - centre) + centre
        )

    return fit


def _standard(features: Array) -> Array:
    """Return standardised columns, of unit norm in each layer; no label is read."""
    scaled = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-6)
    return np.asarray(scaled / np.sqrt(384.0))


def _tfidf(texts: list[str]) -> Array:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectors = TfidfVectorizer(ngram_range=(1, 2), min_df=3, sublinear_tf=True).fit_transform(texts)
    dense = vectors.toarray().astype(np.float32)
    return np.asarray(3.0 * (dense - dense.mean(axis=0)))


def _report(
    name: str, fit: Fit, penalties: Sequence[float], human: Array, fold: Array, folds: int
) -> tuple[float, float]:
    """Print a line; return MCRMSE, and QWK of the scores as they are."""
    started = time.perf_counter()
    plain, widened = np.zeros_like(human), np.zeros_like(human)
    for number in range(folds):
        train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        penalty, inside = _chosen(fit, penalties, human, train)
        plain[test] = fit(train, test, penalty)
        widened[test] = _widened(plain[test], inside, human[train])
    return _line(name, plain, widened, human, (time.perf_counter() - started) / 60)


def _chosen(
    fit: Fit, penalties: Sequence[float], human: Array, train: Array
) -> tuple[float, Array]:
    """Return the penalty of least inner error, and its scores of the inner held-out rows."""
    inner = np.arange(len(train)) % INNER
    best: tuple[float, float, Array] | None = None
    for penalty in penalties:
        found = np.zeros((len(train), len(NAMES)))
        for number in range(INNER):
            here = inner == number
            found[here] = fit(train[~here], train[here], penalty)
        error = _mean_error(found, human[train])
        if best is None or error < best[0]:
            best = (error, penalty, found)
    assert best is not None  # there are penalties
    return best[1], best[2]


def _widened(points: Array, inside: Array, human: Array) -> Array:
    """Widen scores about their mean as inner held-out scores must be to spread as human ones."""
    factor = human.std(axis=0) / inside.std(axis=0)
    return np.asarray(human.mean(axis=0) + (points - inside.mean(axis=0)) * factor)


def _mean_error(points: Array, human: Array) -> float:
    return float(np.sqrt(((points - human) ** 2).mean(axis=0))[1:].mean())


def _line(
    name: str, plain: Array, widened: Array, human: Array, minutes: float
) -> tuple[float, float]:
    """Print a line; return MCRMSE, and QWK of the scores as they are."""
    said = [
        f"{rmse(human[:, 0], points[:, 0]):.3f}  {_kappa(human[:, 0], points[:, 0]):.3f}"
        for points in (plain, widened)
    ]
    error = _mean_error(plain, human)
    print(f"{name:38} {error:.4f}  {said[0]}  |          {said[1]}   {minutes:.1f}", flush=True)
    return error, _kappa(human[:, 0], plain[:, 0])


def _kappa(human: Array, points: Array) -> float:
    rounded = np.clip(np.rint(points * 2), 2, 10)
    return quadratic_weighted_kappa(human * 2, rounded)


def _report_lora(
    given: argparse.Namespace,
    network: EssayNetwork,
    blocks: Array,
    pooled: Array,
    human: Array,
    fold: Array,
    scratch: Path,
) -> tuple[float, float]:
    """Adapt the encoder by LoRA from a trained head, on some folds; return MCRMSE and QWK."""
    head = _head_fit(network, pooled, human)
    frozen, adapted, total = np.zeros_like(human), np.zeros_like(human), 0.0
    for number in given.lora:
        train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        frozen[test] = head(train, test, TIGHT_RIDGE)
        settings = f"{given.arithmetic}-{given.epochs}-{given.rate:g}-{given.fold_seed}-{number}"
        kept = scratch / f"lora-{settings}.npz"
        if not kept.is_file():
            started = time.perf_counter()
            start = {name: item.clone() for name, item in network.state_dict().items()}
            head(train, test, LOOSE_RIDGE)
            start["adapted_direction"] = network.direction
            start["adapted_threshold"] = network.threshold
            points = _adapted(given, start, blocks, human, train, test)
            np.savez(kept, points=points, minutes=(time.perf_counter() - started) / 60)
        with np.load(kept) as held:
            adapted[test], minutes = held["points"], float(held["minutes"])
        total += minutes
        errors = [_mean_error(scores[test], human[test]) for scores in (frozen, adapted)]
        print(
            f"fold {number}: frozen {errors[0]:.4f}, LoRA {errors[1]:.4f}, {minutes:.0f} min",
            flush=True,
        )
    where = np.isin(fold, given.lora)
    error = kappa = 0.0
    for name, scores, minutes in (
        ("frozen encoder, these folds", frozen, 0.0),
        ("LoRA, these folds", adapted, total),
    ):
        points, label = scores[where], human[where]
        wide = label.mean(axis=0) + (points - points.mean(axis=0)) / points.std(axis=0) * label.std(
            axis=0
        )
        error, kappa = _line(name, points, wide, label, minutes)
    return error, kappa


def _adapted(
    given: argparse.Namespace,
    start: dict[str, torch.Tensor],
    blocks: Array,
    human: Array,
    train: Array,
    test: Array,
) -> Array:
    """Return the scores of the test rows by an encoder that was adapted to the training rows."""
    chosen = EssayOptions(arithmetic=given.arithmetic, tuning="lora")
    adapted = EssayNetwork(load_body(encoder_folder({})), TARGETS, block="essay", chosen=chosen)
    adapted.load_state_dict(start, strict=False)
    asked = {"epochs": given.epochs, "learning_rate": given.rate}
    options = train_options(asked, adapted, private=False)
    _train(adapted, {"essay": blocks[train]}, human[train], options)
    with torch.no_grad():
        return _points(adapted({"essay": torch.from_numpy(blocks[test])}))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--scratch", type=Path, help="keeps features; without it nothing is kept")
    parser.add_argument("--arithmetic", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--fold-seed", type=int, default=1)
    parser.add_argument("--lora", type=int, nargs="*", default=[], help="folds to adapt on")
    parser.add_argument("--epochs", type=int, default=3, help="of LoRA")
    parser.add_argument("--rate", type=float, default=1e-3, help="of learning, of LoRA")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
