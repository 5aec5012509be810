"""Name what is measured in plain words: one entry for each metric, rule status and verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from verticals_compliance.report.numerals import finite


@dataclass(frozen=True, kw_only=True)
class Metric:
    """Name a metric, say what it is in one phrase, and how its numbers are written."""

    title: str
    meaning: str
    style: str = "decimal"


def _table(**entries: tuple[str, str, str]) -> Mapping[str, Metric]:
    made = {
        name: Metric(title=title, meaning=meaning, style=style)
        for name, (title, meaning, style) in entries.items()
    }
    return MappingProxyType(made)


#: Measured for each group. "Favourable" is always meant from the person's side.
GROUP_METRICS = _table(
    selection_rate=(
        "Favourable decisions (selection rate)",
        "the share of the group that gets the favourable decision",
        "percent",
    ),
    tpr=(
        "Favourable decisions where the outcome was favourable (true positive rate)",
        "of those whose outcome was favourable, the share that gets the favourable decision, which "
        "is the positive one here",
        "percent",
    ),
    fpr=(
        "Favourable decisions where the outcome was unfavourable (false positive rate)",
        "of those whose outcome was unfavourable, the share that gets the favourable decision, "
        "which is the positive one here",
        "percent",
    ),
    ppv=(
        "Favourable outcomes among favourable decisions (precision)",
        "of those who get the favourable decision, the share whose outcome was favourable",
        "percent",
    ),
    accuracy=(
        "Decisions that match the outcome (accuracy)",
        "the share of decisions that agree with the recorded outcome",
        "percent",
    ),
    calibration_gap=(
        "Predicted minus observed (calibration gap)",
        "the mean predicted probability of the favourable outcome, minus its observed share",
        "decimal",
    ),
    mean_error=(
        "Predicted minus observed (mean error)",
        "the mean of prediction minus outcome",
        "decimal",
    ),
)

#: Measured over everybody. `meaning` says what a good value looks like; {value} stands for the
#: value of the outcome that the score is the probability of.
PERFORMANCE = _table(
    roc_auc=("Ranking (ROC AUC)", "0.5 is guessing, 1 ranks every pair rightly", "decimal"),
    gini=("Gini coefficient", "twice the AUC minus 1: 0 is guessing, 1 is perfect", "decimal"),
    ks=("Separation (KS)", "largest distance between the two score curves, 0 to 1", "decimal"),
    average_precision=(
        "Average precision",
        "area under precision and recall; guessing gives the share of {value}",
        "decimal",
    ),
    brier=("Brier score", "mean squared error of the probability: 0 is perfect", "decimal"),
    log_loss=("Log loss", "mean surprise at the outcome: 0 is perfect", "decimal"),
    calibration_slope=(
        "Calibration slope",
        "1 is ideal; below 1 the scores are too extreme, above 1 too timid",
        "decimal",
    ),
    calibration_intercept=(
        "Calibration intercept",
        "0 is ideal; below 0 the scores are too high on average, above 0 too low",
        "decimal",
    ),
    expected_calibration_error=(
        "Calibration error",
        "mean distance between predicted and observed shares: 0 is ideal",
        "decimal",
    ),
    accuracy=("Accuracy", "share of decisions that agree with the recorded outcome", "percent"),
    decision_rate=("Decision rate", "share of rows that are decided as {value}", "percent"),
    sensitivity=("Sensitivity", "of what was {value}, the share decided as such", "percent"),
    specificity=(
        "Specificity",
        "of what was not {value}, the share not decided as such",
        "percent",
    ),
    precision=("Precision", "of what is decided as {value}, the share that was so", "percent"),
    rate=("How often", "share of rows for which this yes-or-no output says yes", "percent"),
    rmse=("Root mean squared error", "in the units of the target: 0 is perfect", "significant"),
    mae=("Mean absolute error", "in the units of the target: 0 is perfect", "significant"),
    mean_error=("Mean error", "prediction minus outcome: 0 is unbiased", "significant"),
    r_squared=("Explained variance (R²)", "1 is perfect, 0 is as good as the mean", "decimal"),
    quadratic_weighted_kappa=(
        "Agreement (quadratic weighted kappa)",
        "1 is perfect agreement, 0 is chance",
        "decimal",
    ),
)

#: What a verdict on a disparity says, and on what it rests.
VERDICTS: Mapping[str, str] = MappingProxyType(
    {
        "gap": "a gap: the whole interval lies beyond what the policy tolerates",
        "no-material-gap": "no material gap: the whole interval lies within what the policy "
        "tolerates",
        "insufficient-evidence": "insufficient evidence: these data cannot tell a gap from none",
    }
)

ROLES: Mapping[str, str] = MappingProxyType(
    {
        "feature": "model input",
        "protected": "protected, audited",
        "stratum": "audited, not protected",
        "item": "item of the test",
        "ignore": "not used",
    }
)

KINDS: Mapping[str, str] = MappingProxyType(
    {"boolean": "yes or no", "numeric": "a number", "time": "a time", "text": "free text"}
)

PARTS: Mapping[str, str] = MappingProxyType(
    {
        "train": "training",
        "validate": "validation",
        "calibrate": "calibration",
        "test": "held out",
    }
)


_INITIALS = frozenset({"auc", "ema", "fpr", "ks", "psi", "roc", "tpr"})

_LATE = (
    "although there is a time: the model learnt from events later than those it is tested on, so "
    "that its figures are too good"
)

#: How the rows were split, by the word that a bundle records.
SPLITS: Mapping[str, str] = MappingProxyType(
    {
        "independent": "by a draw of its own for each row; no label was read",
        "random": "at random",
        "stratified": "at random, each part with the same share of every outcome",
        "time": "by time: the oldest rows train, the newest are held out",
        "group": "by group: rows that belong together are in one part",
        "independent, although there is a time": "by a draw of its own for each row or group, "
        f"{_LATE}; no label was read",
        "random, although there is a time": f"at random, {_LATE}",
        "stratified, although there is a time": f"at random, {_LATE}",
        "group, although there is a time": f"by whole groups, {_LATE}",
    }
)


def group_metric(name: str) -> Metric:
    """Return the words for a group metric; an unknown one is shown under its own name."""
    return GROUP_METRICS.get(name) or Metric(title=plain(name), meaning="")


def performance_metric(name: str, value: str = "") -> Metric:
    """Return the words for a performance metric; an unknown one is shown under its own name.

    `value` is what the score is the probability of: "positive" alone would not say whether that
    is good or bad for a person.
    """
    known = PERFORMANCE.get(name)
    if known is None:
        return Metric(title=plain(name), meaning="", style="significant")
    named = f"“{value}”" if value else "the positive value"
    return replace(known, meaning=known.meaning.replace("{value}", named))


def plain(name: str) -> str:
    """Turn a name out of a program into words: "max_grad_norm" gives "max grad norm"."""
    words = name.replace("_", " ").replace("-", " ").split()
    return " ".join(text.upper() if text in _INITIALS else text for text in words)


def sentence(text: str | None) -> str:
    """Begin with a capital and end with a full stop, unless the text already ends; "" for none."""
    text = (text or "").strip()
    if not text:
        return ""
    ended = text if text[-1] in ".!?:" else text + "."
    return ended[0].upper() + ended[1:]


def joined(items: list[str], last: str = "and") -> str:
    """Join words as a sentence does: "a, b and c"."""
    return (
        items[0]
        if len(items) == 1
        else f"{', '.join(items[:-1])} {last} {items[-1]}"
        if items
        else ""
    )


def coded(name: str, value: str) -> str:
    """Name a value: a word speaks for itself, a code needs the name of what it is a code of.

    >>> coded("Denied", "1"), coded("Denied", "rejected")
    ('Denied = 1', 'rejected')
    """
    wordy = any(letter.isalpha() for letter in value)
    return value if wordy and value not in ("true", "false") else f"{name} = {value}"


def plural(count: int, one: str, many: str = "") -> str:
    """Write a count with its noun: "1 rule", "3 rules"."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def style_of(value: object, metric: str = "") -> str:
    """Return how the number of a finding is written, from its metric."""
    known = GROUP_METRICS.get(metric) or PERFORMANCE.get(metric)
    if known is not None:
        return known.style
    size = abs(finite(value) or 0.0)
    return "decimal" if 0.001 <= size < 10 and size != round(size) else "significant"
