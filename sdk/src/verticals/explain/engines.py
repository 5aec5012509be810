"""Shapley values of any scoring function, with one player for each field of the contract.

The game of a row x is `v(S) = mean over background points b of f(x on S, b elsewhere)`, in the
scale of the raw scores (Lundberg & Lee 2017; interventional, fields independent of one another).

`exact` enumerates all coalitions; `sampled` averages antithetic permutations and gives standard
errors (Mitchell, Cooper, Frank & Holmes 2022, section 3); `shap-permutation` and `shap-exact`
run the same game through the shap library.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from verticals.errors import CallError, ExplanationError
from verticals.explain.attributions import Attributions, checked
from verticals.plugin import Inputs
from verticals.table import Array

Blocks = Mapping[str, Array]
Score = Callable[[Blocks], Array]  # blocks of (rows, ...) -> (rows, outputs)

METHODS = ("exact", "sampled", "shap-exact", "shap-permutation")
MOST_EXACT_FIELDS = 14
_ROWS_AT_ONCE = 65_536


@dataclass(frozen=True, kw_only=True)
class Game:
    """Hold one attribution problem: rows to explain, background points, and the function."""

    score: Score
    blocks: Blocks  # rows to explain
    background: Blocks  # the points they are compared with
    players: tuple[tuple[str, slice], ...]  # field -> its place
    fields: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def rows(self) -> int:
        """Return the number of rows to explain."""
        return len(next(iter(self.blocks.values())))

    @property
    def points(self) -> int:
        """Return the number of background points."""
        return len(next(iter(self.background.values())))

    def mixed(self, row: Array, point: Array, present: Array) -> Array:
        """Score rows whose absent fields come from the background.

        `row` and `point` are (n,) indices and `present` (n, players) booleans; the result is
        (n, outputs). Bounded memory: at most 65,536 mixed rows stand in memory at once.
        """
        parts = []
        for start in range(0, len(row), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            mixed = {name: block[point[part]] for name, block in self.background.items()}
            for position, (block, where) in enumerate(self.players):
                here = present[part, position]
                if mixed[block].ndim == 2:
                    mixed[block][here, where] = self.blocks[block][row[part][here], where]
                else:
                    mixed[block][here] = self.blocks[block][row[part][here]]
            parts.append(np.asarray(self.score(mixed), dtype=np.float64))
        return np.concatenate(parts) if parts else np.zeros((0, len(self.outputs)))

    def paths(self, orders: Array, points: Array) -> Array:
        """Score every row as fields join in each order: (orders, rows, fields + 1, outputs).

        First all fields are those of the order's background point, in the end the row's own.
        """
        return np.stack([self._path(*pair) for pair in zip(orders, points, strict=True)])

    def _path(self, order: Array, point: int) -> Array:
        count, rows = len(self.fields), self.rows
        rank = np.empty(count, dtype=np.int64)
        rank[order] = np.arange(count)
        present = rank[None, :] < np.arange(count + 1)[:, None]  # (steps, players)
        return self.mixed(
            np.repeat(np.arange(rows), count + 1),
            np.full(rows * (count + 1), point),
            np.tile(present, (rows, 1)),
        ).reshape(rows, count + 1, -1)


@dataclass(frozen=True, kw_only=True)
class LayeredGame:
    """Hold the same problem for a model whose first layer adds up what each field contributes.

    A field that joins then changes one sum, and not the whole encoding: the game is the same, its
    price is that of the layers after the first.
    """

    beyond: Callable[[Array], Array]  # (n, units) sums of contributions -> (n, outputs)
    contributions: Array  # (rows, fields, units) of the rows to explain
    background: Array  # (points, fields, units)
    fields: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def rows(self) -> int:
        """Return the number of rows to explain."""
        return len(self.contributions)

    @property
    def points(self) -> int:
        """Return the number of background points."""
        return len(self.background)

    def paths(self, orders: Array, points: Array) -> Array:
        """Score every row as fields join in each order, as `Game.paths`."""
        start = self.background[points]  # (orders, fields, units)
        steps, units = len(self.fields) + 1, start.shape[2]
        at_once = max(1, _ROWS_AT_ONCE // (steps * len(orders)))
        parts = []
        for begin in range(0, self.rows, at_once):
            joined = self.contributions[None, begin : begin + at_once] - start[:, None]
            path, row = np.ogrid[: joined.shape[0], : joined.shape[1]]
            sums = np.empty((*joined.shape[:2], steps, units), dtype=joined.dtype)
            sums[:, :, 0] = start.sum(axis=1)[:, None]
            ordered = joined[path[..., None], row[..., None], orders[:, None]]
            np.cumsum(ordered, axis=2, out=sums[:, :, 1:])
            sums[:, :, 1:] += sums[:, :, :1]
            scores = np.asarray(self.beyond(sums.reshape(-1, units)), dtype=np.float64)
            parts.append(scores.reshape(*sums.shape[:3], -1))
        if not parts:
            return np.zeros((len(orders), 0, steps, len(self.outputs)))
        return np.concatenate(parts, axis=1)


def make_game(
    score: Score, blocks: Blocks, background: Blocks, inputs: Inputs, outputs: Sequence[str]
) -> Game:
    """Set up the attribution problem, with the fields in the order of the encoded inputs."""
    return Game(
        score=score,
        blocks=blocks,
        background=background,
        players=tuple(inputs.where.values()),
        fields=tuple(inputs.where),
        outputs=tuple(outputs),
    )


def explain_game(
    game: Game, *, method: str = "sampled", draws: int = 64, seed: int = 0
) -> Attributions:
    """Solve an attribution problem by the named method.

    `draws` is the number of antithetic permutation pairs for each row (`sampled`).
    Raises `CallError` for an unknown method and `ExplanationError` where `exact` is asked of more
    than 14 fields.
    """
    if method == "exact":
        return _exact(game)
    if method == "sampled":
        return explain_paths(game, draws=draws, seed=seed)
    if method in ("shap-exact", "shap-permutation"):
        return _shap(game, method=method, seed=seed)
    raise CallError(
        f"unknown attribution method {method!r}, expected one of {', '.join(METHODS)}",
        hint="verticals explain --help",
    )


def explain_alone(game: Game) -> Attributions:
    """Return attributions of a model that reads one field: all of a score is that field's.

    Exact, at the price of one score for each row and background point.
    Raises `CallError` where the game has several fields.
    """
    if len(game.fields) != 1:
        raise CallError(f"the game has {len(game.fields)} fields, expected one")
    raw = np.asarray(game.score(game.blocks), dtype=np.float64)
    base = np.asarray(game.score(game.background), dtype=np.float64).mean(axis=0)
    return checked(
        outputs=game.outputs,
        fields=game.fields,
        values=(raw - base)[:, :, None],
        base=base,
        raw=raw,
        method="exact: the model reads one field",
    )


def _exact(game: Game) -> Attributions:
    """Enumerate every coalition: 2**fields evaluations for each row and background point."""
    count = len(game.fields)
    if count > MOST_EXACT_FIELDS:
        raise ExplanationError(
            f"exact attributions of {count} fields need 2**{count} evaluations a row, expected "
            f"at most {MOST_EXACT_FIELDS} fields",
            hint="use the method 'sampled', which gives standard errors",
        )
    coalitions = (np.arange(2**count)[:, None] >> np.arange(count)) & 1 == 1  # (2**m, m)
    value = np.zeros((game.rows, len(coalitions), len(game.outputs)))
    rows = np.arange(game.rows)
    for position, present in enumerate(coalitions):
        scores = game.mixed(
            np.repeat(rows, game.points),
            np.tile(np.arange(game.points), game.rows),
            np.broadcast_to(present, (game.rows * game.points, count)),
        )
        value[:, position] = scores.reshape(game.rows, game.points, -1).mean(axis=1)
    sizes = coalitions.sum(axis=1)
    phi = np.zeros((game.rows, len(game.outputs), count))
    for player in range(count):
        without = np.flatnonzero(~coalitions[:, player])
        weight = np.array(
            [
                math.factorial(size) * math.factorial(count - size - 1) / math.factorial(count)
                for size in sizes[without]
            ]
        )
        gain = value[:, without + (1 << player)] - value[:, without]  # (rows, 2**(m-1), outputs)
        phi[:, :, player] = np.einsum("rco,c->ro", gain, weight)
    return checked(
        outputs=game.outputs,
        fields=game.fields,
        values=phi,
        base=value[0, 0] if game.rows else np.zeros(len(game.outputs)),
        raw=value[:, -1],
        method="exact: all coalitions over the declared background",
    )


def explain_paths(game: Game | LayeredGame, *, draws: int, seed: int = 0) -> Attributions:
    """Average the gains along random orders and their reverses, one background point each.

    Every row is compared with the same points, so that base and attributions add up exactly.
    Raises `CallError` for fewer than 2 draws.
    """
    if draws < 2:
        raise CallError(f"draws is {draws}, expected at least 2 for a standard error")
    count, rows = len(game.fields), game.rows
    random = np.random.default_rng(seed)
    total = np.zeros((rows, len(game.outputs), count))
    squares = np.zeros_like(total)
    base = np.zeros(len(game.outputs))
    raw = np.zeros((rows, len(game.outputs)))
    drawn = np.array([random.permutation(count) for _ in range(draws)])
    at_once = max(1, _ROWS_AT_ONCE // (2 * (count + 1) * max(rows, 1)))  # draws
    for begin in range(0, draws, at_once):
        some = drawn[begin : begin + at_once]
        both = np.stack([some, some[:, ::-1]], axis=1).reshape(-1, count)
        points = np.repeat(np.arange(begin, begin + len(some)) % game.points, 2)
        values = game.paths(both, points)  # (2 * draws, rows, fields + 1, outputs)
        gains = np.moveaxis(np.diff(values, axis=2), 2, 3) / 2.0
        place = np.argsort(both, axis=1)[:, None, None]  # where each field joined
        paired = np.take_along_axis(gains, place, axis=3)  # (2 * draws, rows, outputs, fields)
        paired = paired[0::2] + paired[1::2]
        total += paired.sum(axis=0)
        squares += (paired**2).sum(axis=0)
        raw = values[-1, :, -1]
        base += values[1::2, :1, 0].sum(axis=(0, 1)) / draws
    mean = total / draws
    variance = np.maximum(squares / draws - mean**2, 0.0) * draws / (draws - 1)
    return checked(
        outputs=game.outputs,
        fields=game.fields,
        values=mean,
        base=base,
        raw=raw,
        method=f"sampled: {draws} antithetic permutation pairs over the declared background",
        standard_error=np.sqrt(variance / draws),
    )


def _shap(game: Game, *, method: str, seed: int) -> Attributions:
    """Run the same game through shap: a row is a vector of references to its own fields.

    shap sees integers: a reference -1 - k is background point k, and r is row r. That keeps one
    player for each field, whatever its encoded width.
    """
    import shap

    count = len(game.fields)

    def score(references: Array) -> Array:
        references = np.asarray(references)
        present = references >= 0
        row = references.max(axis=1).clip(min=0)
        point = (-1 - references.min(axis=1)).clip(min=0)
        values = game.mixed(row.astype(np.int64), point.astype(np.int64), present)
        return values[:, 0] if values.shape[1] == 1 else values

    points = np.repeat((-1 - np.arange(game.points))[:, None], count, axis=1)
    masker = shap.maskers.Independent(points, max_samples=game.points)
    explainer = (
        shap.explainers.Exact(score, masker)
        if method == "shap-exact"
        else shap.explainers.Permutation(score, masker, seed=seed)
    )
    rows = np.repeat(np.arange(game.rows)[:, None], count, axis=1)
    found = explainer(
        rows, max_evals=max(10 * (2 * count + 1), 2 ** min(count, MOST_EXACT_FIELDS) + 1)
    )
    values = np.asarray(found.values).reshape(game.rows, count, len(game.outputs))
    base = np.asarray(found.base_values).reshape(game.rows, len(game.outputs))
    raw = game.mixed(
        np.arange(game.rows),
        np.zeros(game.rows, dtype=np.int64),
        np.ones((game.rows, count), dtype=bool),
    )
    return checked(
        outputs=game.outputs,
        fields=game.fields,
        values=np.moveaxis(values, 1, 2),
        base=base[0] if game.rows else np.zeros(len(game.outputs)),
        raw=raw,
        method=f"{method}: shap {shap.__version__} over the declared background",
    )
