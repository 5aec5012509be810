"""Fit items: the goal of size, peers side by side, and published estimates.

    .venv/bin/python benchmarks/irt_speed.py [--only large peers published] [--threads 2]

`large` fits 100,000 simulated students × 200 items (2PL) with standard errors and prints minutes,
memory and how well the parameters are recovered. `peers` fits 2,000 × 50 with this package, with
`mirt` (Python) and with `girth`, and prints times, errors against the truth, and what each gives
as standard error. `published` holds LSAT section 6 and the verbal aggression data against outputs
of R that others published; it needs the folders of ../shared/data and is skipped without them.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import os
import resource
import time
import warnings
from pathlib import Path

import numpy as np
import torch

from verticals_student_assessment.items.irt import (
    FitOptions,
    fit_items,
    score_persons,
    to_responses,
)
from verticals_student_assessment.items.item_fit import item_fit

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
GOAL_SECONDS, GOAL_CORRELATION = 60.0, 0.99


def simulated(persons, items, seed):
    """Return answers, slopes, intercepts and abilities of a 2PL test."""
    random = np.random.default_rng(seed)
    slopes = np.exp(random.normal(0.0, 0.3, items))
    intercepts = -slopes * random.normal(size=items)
    ability = random.normal(size=persons)
    answers = np.empty((persons, items), dtype=np.int8)
    for start in range(0, persons, 5_000):
        rows = slice(start, start + 5_000)
        chance = 1.0 / (1.0 + np.exp(-(ability[rows, None] * slopes + intercepts)))
        answers[rows] = random.random(chance.shape) < chance
    return answers, slopes, intercepts, ability


def large(_):
    """Fit 100,000 × 200 with standard errors."""
    answers, slopes, intercepts, ability = simulated(100_000, 200, 1)
    print(f"large: 100,000 × 200, 2PL, {torch.get_num_threads()} threads, load {os.getloadavg()}")
    start, worked = time.perf_counter(), time.process_time()
    data = to_responses(answers, [f"i{n}" for n in range(200)], 2)
    fit = fit_items(data)
    seconds, worked = time.perf_counter() - start, time.process_time() - worked
    values, errors = fit.bank.values, fit.bank.errors()
    truth = np.stack([slopes, intercepts], axis=1)
    away = (values[:, :2] - truth) / errors[:, :2]
    related = [np.corrcoef(values[:, n], truth[:, n])[0, 1] for n in (0, 1)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"  {seconds:.1f} s with standard errors by {fit.method} (goal {GOAL_SECONDS:g} s); "
        f"{worked:.1f} s of processor time"
    )
    print(f"  {fit.iterations} iterations, {fit.passes} E-steps, settled: {fit.converged}")
    print(f"  r of slopes {related[0]:.5f}, of intercepts {related[1]:.5f} (goal .99)")
    print(f"  sd of (estimate - truth) / error: {away.std(axis=0).round(3)} (1 is right)")
    print(f"  peak memory {peak:.0f} MB")
    start = time.perf_counter()
    scored = score_persons(fit.bank, answers).ability
    print(
        f"  EAP of all in {time.perf_counter() - start:.1f} s, r with the truth "
        f"{np.corrcoef(scored, ability)[0, 1]:.4f}"
    )


def peers(_):
    """Fit 2,000 × 50 with each package."""
    answers, slopes, intercepts, _ = simulated(2_000, 50, 2)
    names = [f"i{n}" for n in range(50)]
    truth = np.stack([slopes, intercepts], axis=1)
    whole = answers.astype(int)
    print(f"peers: 2,000 × 50, 2PL, 61 nodes, load {os.getloadavg()}")
    for name, run in (("verticals", ours), ("mirt (Python)", by_mirt), ("girth", by_girth)):
        try:
            run(whole[:200, :6], names[:6])  # imports and compiles
            start = time.perf_counter()
            found, errors, note = run(whole, names)
        except ImportError as error:
            print(f"  {name:14} not installed: {error}")
            continue
        seconds = time.perf_counter() - start
        miss = np.sqrt(((found - truth) ** 2).mean(axis=0))
        right = log_likelihood(found, answers)
        print(
            f"  {name:14} {seconds:7.2f} s  RMSE slope {miss[0]:.4f} intercept {miss[1]:.4f}  "
            f"log-likelihood {right:.4f}  mean error of slopes {errors}  {note}"
        )


def ours(answers, names):
    """Return estimates, the mean standard error of slopes, and a note, of this package."""
    fit = fit_items(to_responses(answers, names, 2))
    return fit.bank.values[:, :2], f"{fit.bank.errors()[:, 0].mean():.4f}", f"({fit.method})"


def by_mirt(answers, names):
    """Return the same of `mirt`, at the defaults of everything but the grid and the tolerance."""
    import mirt

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = mirt.fit_mirt(answers, model="2PL", n_quadpts=61, tol=1e-5, max_iter=2_000)
    slope, difficulty = (found.model.parameters[n] for n in ("discrimination", "difficulty"))
    error = np.mean(found.standard_errors["discrimination"])
    return np.stack([slope, -slope * difficulty], axis=1), f"{error:.4f}", f"({found.se_method})"


def by_girth(answers, names):
    """Return the same of `girth`, which has no standard errors but by bootstrap."""
    from girth import twopl_mml

    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        found = twopl_mml(answers.T)
    slope = found["Discrimination"]
    return np.stack([slope, -slope * found["Difficulty"]], axis=1), "none", ""


def log_likelihood(values, answers):
    """Return the marginal log-likelihood on 61 nodes, the same way for every package."""
    nodes = np.linspace(-6.0, 6.0, 61)
    weights = np.exp(-0.5 * nodes**2)
    z = nodes * values[:, :1] + values[:, 1:]
    right = -np.logaddexp(0.0, -z)
    logs = answers @ right + (1 - answers) @ (right - z) + np.log(weights / weights.sum())
    most = logs.max(axis=1, keepdims=True)
    return float((most[:, 0] + np.log(np.exp(logs - most).sum(axis=1))).sum())


def published(_):
    """Hold estimates against published outputs of R."""
    lsat, verbal = SHARED / "edu_lsat6_irt", SHARED / "edu_verbagg_irt"
    if not lsat.is_dir() or not verbal.is_dir():
        print("published: skipped, the evaluation data are not here")
        return
    answers = np.loadtxt(lsat / "edu_lsat6_irt.csv", delimiter=",", skiprows=1).astype(np.int8)
    data = to_responses(answers, [f"Q{n}" for n in range(1, 6)], 2)
    print("published: LSAT section 6, 2PL; R's mirt and ltm: log-likelihood -2466.653")
    fit = fit_items(data)
    print(f"  log-likelihood {fit.log_likelihood:.6f}")
    rows = (
        ("slope", fit.bank.slopes, "mirt .825 .723 .890 .689 .658"),
        ("intercept", fit.bank.intercepts[:, 0], "mirt 2.773 .990 .249 1.285 2.053"),
        ("error of slope", fit.bank.errors()[:, 0], "ltm .2581 .1867 .2326 .1852 .2100"),
    )
    for name, mine, theirs in rows:
        print(f"  {name:15}{np.round(mine, 4)}   {theirs}")
    chance = item_fit(fit.bank, answers).p_value
    print(f"  S-X2, p of item 1: {chance[0]:.4f}   mirt .7984")
    fit = fit_items(data, FitOptions(model="1PL"))
    print(
        "  1PL; R's ltm: -2466.938, slope .7551, difficulties -3.6153 -1.3224 -.3176 -1.7301"
        " -2.7802"
    )
    print(
        f"  log-likelihood {fit.log_likelihood:.4f}, slope {fit.bank.slopes[0]:.4f}, "
        f"difficulties {np.round(fit.bank.difficulties[:, 0], 4)}"
    )
    names, answers = verbal_aggression(verbal / "edu_verbagg_irt.csv")
    fit = fit_items(to_responses(answers, names, 2), FitOptions(model="Rasch"))
    print(
        "  verbal aggression, Rasch; R's eirm (lme4, Laplace), first four easiness: 1.22107 "
        ".56477 .08009 1.74879, errors .1611 .1525 .1505 .1738"
    )
    print(
        f"  easiness {np.round(fit.bank.intercepts[:4, 0], 5)}, errors "
        f"{np.round(fit.bank.errors()[:4, 1], 4)}, log-likelihood {fit.log_likelihood:.4f}"
    )


def verbal_aggression(path):
    """Return item names and (persons, items) answers, `perhaps` and `yes` taken together."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = list(dict.fromkeys(row["item"] for row in rows))
    persons = {name: place for place, name in enumerate(dict.fromkeys(r["id"] for r in rows))}
    answers = np.full((len(persons), len(names)), -1, dtype=np.int8)
    for row in rows:
        answers[persons[row["id"]], names.index(row["item"])] = row["r2"] == "Y"
    return names, answers


SECTIONS = {"large": large, "peers": peers, "published": published}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for name in arguments.only:
        SECTIONS[name](arguments)


if __name__ == "__main__":
    main()
