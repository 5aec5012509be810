"""Maps of what in an image moves a score: expected gradients, and Grad-CAM.

Both explain raw scores (log-odds), from the network and what it reads alone. Baselines are made
of the image itself or declared, never of other rows: maps show nobody else's image, and cost no
privacy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from verticals.contract.model import DataContract, Target
from verticals.errors import CallError, ExplanationError
from verticals.finish import score_name
from verticals.plugin import Columns
from verticals.table import Array, Table

METHODS = ("expected-gradients", "grad-cam")
BASELINES = ("median",)
#: What an image is compared with, by how its findings are declared to look.
BASELINE_OF = MappingProxyType(
    {"either": ("median",), "brighter": ("darker",), "darker": ("brighter",)}
)
DRAWS = 32

#: A network may name the convolution that Grad-CAM reads; else it is the last one.
LAYER_ATTRIBUTE = "saliency_layer"

_ROWS_AT_ONCE = 64
_MEDIAN_ROWS, _MEDIAN_SIDE = 16, 64  # at once, and the side beyond which images are made smaller


@dataclass(frozen=True, kw_only=True, eq=False)
class Explained:
    """Hold a network, what it reads, and which raw score of each row is explained.

    `weights` stand in the place of the network's own where they are given; `kinds` are the
    baselines.
    """

    network: nn.Module
    blocks: Mapping[str, Tensor]  # block -> (rows, …)
    image: str  # the block with the image: (rows, channels, height, width), 0..1
    outputs: Tensor  # (rows,) which column of the raw scores
    weights: Mapping[str, Tensor] | None = None
    kinds: tuple[str, ...] = BASELINES

    @property
    def pixels(self) -> Tensor:
        """Return (rows, channels, height, width)."""
        return self.blocks[self.image]

    @property
    def rows(self) -> int:
        """Return the number of images."""
        return self.pixels.shape[0]

    def take(self, rows: slice | Array) -> Explained:
        """Return some of the rows."""
        index = rows if isinstance(rows, slice) else torch.as_tensor(rows)
        blocks = {name: block[index] for name, block in self.blocks.items()}
        return replace(self, blocks=blocks, outputs=self.outputs[index])

    def with_pixels(self, pixels: Tensor) -> Explained:
        """Return the same rows with other pixels."""
        return replace(self, blocks={**self.blocks, self.image: pixels})

    def score(self) -> Tensor:
        """Return (rows,) the explained raw scores."""
        weights = {} if self.weights is None else dict(self.weights)
        raw: Tensor = functional_call(self.network, weights, (dict(self.blocks),))
        return raw.gather(1, self.outputs[:, None])[:, 0]


@dataclass(frozen=True, kw_only=True, eq=False)
class Saliency:
    """Hold a map of each image; above 0 is what raises the score.

    `error` is by how much the map's sum misses the score less that of the baselines, in log-odds;
    NaN for Grad-CAM, whose maps add up to nothing.
    """

    method: str
    values: Array  # (rows, height, width)
    score: Array  # (rows,)
    base: Array  # (rows,) mean score of the baselines, NaN for Grad-CAM
    error: Array  # (rows,)

    @property
    def shown(self) -> Array:
        """Return the maps as they are printed and tested: gradients smoothed over near pixels."""
        if self.method != "expected-gradients":
            return self.values
        return smoothed(self.values, max(1.0, min(self.values.shape[1:]) / 32))


def saliency(explained: Explained, method: str, *, draws: int = DRAWS, seed: int = 0) -> Saliency:
    """Return the maps of a method by name; raise `CallError` for an unknown one."""
    if method == "expected-gradients":
        made = baselines(explained.pixels, explained.kinds)
        return expected_gradients(explained, made, draws=draws, seed=seed)
    if method == "grad-cam":
        return grad_cam(explained)
    raise CallError(f"method is {method!r}, expected one of {', '.join(METHODS)}")


def expected_gradients(
    explained: Explained, baselines: Tensor, *, draws: int = DRAWS, seed: int = 0
) -> Saliency:
    """Return gradient Shapley values of the pixels (Erion et al., Nature MI 3, 2021).

    The mean over baselines b and places a of (x − b) · gradient at b + a (x − b). `baselines` is
    (baselines, rows, channels, height, width). Each baseline has `draws` / baselines places, one in
    each of as many equal steps, drawn by the seed: the mean is that of uniform draws, with less
    noise. With one baseline these are integrated gradients (Sundararajan et al., ICML 2017). The
    channels of a pixel are added up.

    Raises `CallError` where `draws` is no multiple of the number of baselines.
    """
    steps, rest = divmod(draws, baselines.shape[0])
    if rest or not steps:
        raise CallError(f"draws is {draws}, expected a multiple of {baselines.shape[0]} baselines")
    random = np.random.default_rng(seed)
    places = (np.arange(steps) + random.random((baselines.shape[0], steps))) / steps
    parts = []
    with quiet(explained.network):
        for rows in _chunks(explained.rows):
            here = explained.take(rows)
            parts.append(_gradients(here, baselines[:, rows], places))
    values, score, base = (np.concatenate(part) for part in zip(*parts, strict=True))
    error = np.abs(values.sum((1, 2)) - (score - base))
    return Saliency(method="expected-gradients", values=values, score=score, base=base, error=error)


def grad_cam(explained: Explained) -> Saliency:
    """Return Grad-CAM maps (Selvaraju et al., ICCV 2017), not negative, at the image's size.

    Channels of the last convolution, weighted by the mean gradient of the score in each. The
    layer is `network.saliency_layer` (its name) where the network declares one.

    Raises `ExplanationError` where there is no such layer, or its output is no picture.
    """
    layer = convolution(explained.network)
    parts = []
    with quiet(explained.network):
        for rows in _chunks(explained.rows):
            parts.append(_activation(explained.take(rows), layer))
    values, score = (np.concatenate(part) for part in zip(*parts, strict=True))
    nothing = np.full(len(score), np.nan)
    return Saliency(method="grad-cam", values=values, score=score, base=nothing, error=nothing)


def baselines(pixels: Tensor, kinds: tuple[str, ...] = BASELINES) -> Tensor:
    """Return (kinds, rows, channels, height, width): what a pixel is compared with.

    `median` is the image itself without its details: each pixel the median of a window of two
    ninths of the shorter side, which takes away spots, bright or dark, that fill less than half
    of it and keeps the edges of what is larger. `darker` and `brighter` are the 35 % and 65 %
    quantiles of that window: bright spots then go even where they fill up to 65 % of it, and dark
    ones stay; they are for findings that are declared to be brighter, or darker, than what is
    around them. `blurred` is it under a Gaussian of a twentieth of
    that side. `grey` is the middle of the declared range, `black` its lower end. A network that
    never saw a flat or much blurred image may take one for a finding; the median is like those it
    saw (`docs/reference/imaging-outputs.md`).
    """
    made = {
        "median": lambda: _quantile(pixels, 0.5),
        "darker": lambda: _quantile(pixels, 0.35),
        "brighter": lambda: _quantile(pixels, 0.65),
        "blurred": lambda: _gaussian(pixels, min(pixels.shape[2:]) / 20),
        "grey": lambda: torch.full_like(pixels, 0.5),
        "black": lambda: torch.zeros_like(pixels),
    }
    unknown = [kind for kind in kinds if kind not in made]
    if unknown or not kinds:
        raise CallError(f"baselines are {list(kinds)}, expected some of {', '.join(made)}")
    return torch.stack([made[kind]() for kind in kinds])


def convolution(network: nn.Module) -> nn.Module:
    """Return the layer that Grad-CAM reads; raise `ExplanationError` where there is none."""
    named: dict[str, nn.Module] = dict(network.named_modules())
    declared = getattr(network, LAYER_ATTRIBUTE, None)
    if declared is not None:
        if declared in named:
            return named[declared]
        raise ExplanationError(
            f"the network names {declared!r} as its {LAYER_ATTRIBUTE}, which is no layer of it"
        )
    found = [module for module in named.values() if isinstance(module, nn.Conv2d)]
    if not found:
        raise ExplanationError(
            "the network has no convolution, expected one for Grad-CAM",
            hint="use --method expected-gradients",
        )
    return found[-1]


def shuffled(network: nn.Module, seed: int) -> dict[str, Tensor]:
    """Return the network's weights, each tensor's entries in random order; the network is kept."""
    random = torch.Generator().manual_seed(seed)
    found = {}
    for name, weight in network.named_parameters():
        order = torch.randperm(weight.numel(), generator=random).to(weight.device)
        found[name] = weight.detach().reshape(-1)[order].reshape(weight.shape)
    return found


def smoothed(values: Array, width: float) -> Array:
    """Return maps (rows, height, width) under a Gaussian of some pixels, mirrored at the edges."""
    tensor = torch.from_numpy(np.array(values, dtype=np.float32))[:, None]
    return np.asarray(_gaussian(tensor, width)[:, 0].numpy(), dtype=np.float64)


def pictured(model: Any, table: Table, target: str = "") -> tuple[Explained, str]:
    """Return the rows of a bound table as a model reads them, and the output that is explained.

    That is the log-odds of the named target (else of the decided one, else of the first): of a
    binary target's positive value, of a categorical one's most probable class in each row.

    Raises `ExplanationError` where the model shows no network or reads no image, `CallError` for
    a target that is unknown or of another kind.
    """
    network = getattr(model, "network", None)
    encoder = getattr(model, "encoder", None)
    if not isinstance(network, nn.Module) or encoder is None:
        raise ExplanationError("the model shows no network, so that there are no maps of it")
    shapes = encoder.inputs.shapes
    images = [
        encoder.inputs.where[name][0]
        for name, field in encoder.inputs.fields.items()
        if field.kind == "image"
    ]
    if len(images) != 1 or len(shapes[images[0]]) != 3:
        raise ExplanationError(
            f"the network reads {len(images)} images, expected one of (channels, height, width)"
        )
    contract = model.contract
    chosen = _explained_target(contract, target)
    outputs, name = _explained_output(contract, chosen, model.predict(table), table.rows)
    found = explained_rows(network, encoder.encode(table), images[0], outputs)
    field = next(item for item in encoder.inputs.fields.values() if item.kind == "image")
    return replace(found, kinds=BASELINE_OF[field.settings.get("findings", "either")]), name


def explained_rows(
    network: nn.Module, blocks: Mapping[str, Array], image: str, outputs: Array
) -> Explained:
    """Return encoded rows, on the device of the network, ready to be explained."""
    first = next(network.parameters(), None)
    device = torch.device("cpu") if first is None else first.device
    return Explained(
        network=network,
        blocks={
            name: torch.from_numpy(np.array(block, dtype=np.float32)).to(device)
            for name, block in blocks.items()
        },
        image=image,
        outputs=torch.from_numpy(np.array(outputs, dtype=np.int64)).to(device),
    )


def _explained_target(contract: DataContract, name: str) -> Target:
    decided = contract.decision.target if contract.decision is not None else ""
    wanted = name or decided or contract.targets[0].name
    known = [item for item in contract.targets if item.kind in ("binary", "categorical")]
    for item in known:
        if item.name == wanted:
            return item
    names = ", ".join(item.name for item in known) or "(none)"
    raise CallError(f"target {wanted!r} is no finding of the contract, expected one of {names}")


def _explained_output(
    contract: DataContract, target: Target, columns: Columns, rows: int
) -> tuple[Array, str]:
    """Return (rows,) columns of the raw scores, and what they are called."""
    start = 0
    for item in contract.targets:
        if item.name == target.name:
            break
        start += {"binary": 1, "numeric": 1, "ordinal": len(item.values) - 1}.get(
            item.kind, len(item.values)
        )
    if target.kind == "binary":
        return np.full(rows, start), score_name(contract, target.name)
    names = [f"{target.name}_{value}" for value in target.values]
    chances = np.stack([np.asarray(columns[name]) for name in names], axis=1)
    return start + chances.argmax(axis=1), f"most probable {target.name}"


# ---- one chunk of rows -----------------------------------------------------------------------


def _gradients(here: Explained, baselines: Tensor, places: Array) -> tuple[Array, Array, Array]:
    """Return values (rows, h, w), scores (rows,) and mean baseline scores (rows,)."""
    pixels = here.pixels
    total = torch.zeros_like(pixels)
    base = torch.zeros(here.rows, dtype=torch.float64)
    for baseline, its in zip(baselines, places, strict=True):
        with torch.no_grad():
            base += here.with_pixels(baseline).score().double().cpu()
        for place in its.tolist():
            point = (baseline + place * (pixels - baseline)).detach().requires_grad_()
            (gradient,) = torch.autograd.grad(here.with_pixels(point).score().sum(), point)
            total += gradient * (pixels - baseline)
    with torch.no_grad():
        score = here.score().double().cpu()
    values = (total / places.size).sum(dim=1).double().cpu()
    return values.numpy(), score.numpy(), (base / len(baselines)).numpy()


def _activation(here: Explained, layer: nn.Module) -> tuple[Array, Array]:
    """Return maps (rows, h, w) and scores (rows,)."""
    kept: list[Tensor] = []

    def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
        kept.append(output)

    handle = layer.register_forward_hook(keep)
    try:
        # The pixels ask for a gradient, as a frozen network's weights do not.
        score = here.with_pixels(here.pixels.detach().requires_grad_()).score()
    finally:
        handle.remove()
    if len(kept) != 1 or kept[0].ndim != 4:
        raise ExplanationError(
            "the layer for Grad-CAM gives no picture of each image, expected one",
            hint=f"name another layer in the network's {LAYER_ATTRIBUTE}, or use another method",
        )
    (gradient,) = torch.autograd.grad(score.sum(), kept[0])
    weight = gradient.mean(dim=(2, 3), keepdim=True)
    small = torch.relu((weight * kept[0]).sum(dim=1, keepdim=True)).detach()
    size = tuple(here.pixels.shape[2:])
    large = functional.interpolate(small, size=size, mode="bilinear", align_corners=False)
    return large[:, 0].double().cpu().numpy(), score.detach().double().cpu().numpy()


def _quantile(pixels: Tensor, share: float) -> Tensor:
    """Return quantiles of near pixels; large images are made smaller for it, and large again."""
    size, channels = tuple(pixels.shape[2:]), pixels.shape[1]
    shrink = min(1.0, _MEDIAN_SIDE / min(size))
    small_size = tuple(round(side * shrink) for side in size)
    reach = max(1, round(min(small_size) / 9))
    window = 2 * reach + 1
    parts = []
    for start in range(0, len(pixels), _MEDIAN_ROWS):
        part = pixels[start : start + _MEDIAN_ROWS]
        small = part if shrink == 1 else functional.interpolate(part, small_size, mode="area")
        padded = functional.pad(small, [reach] * 4, mode="reflect")
        near = functional.unfold(padded, window).reshape(len(part), channels, window**2, -1)
        rank = 1 + int(share * (window**2 - 1))  # 0.5: the lower median
        middle = near.kthvalue(rank, dim=2).values.reshape(len(part), channels, *small_size)
        parts.append(
            middle if shrink == 1 else functional.interpolate(middle, size, mode="bilinear")
        )
    return torch.cat(parts) if parts else pixels


def _gaussian(pixels: Tensor, width: float) -> Tensor:
    for dim in (2, 3):
        reach = min(int(np.ceil(3 * width)), pixels.shape[dim] - 1)  # as far as a mirror reaches
        steps = torch.arange(-reach, reach + 1, dtype=pixels.dtype, device=pixels.device)
        kernel = torch.exp(-((steps / width) ** 2) / 2)
        shape = [1, 1, 1, 1]
        shape[dim] = len(kernel)
        weights = (kernel / kernel.sum()).reshape(shape).repeat(pixels.shape[1], 1, 1, 1)
        pad = [0, 0, reach, reach] if dim == 2 else [reach, reach, 0, 0]
        padded = functional.pad(pixels, pad, mode="reflect") if reach else pixels
        pixels = functional.conv2d(padded, weights, groups=pixels.shape[1])
    return pixels


def _chunks(rows: int) -> Iterator[slice]:
    for start in range(0, rows, _ROWS_AT_ONCE):
        yield slice(start, start + _ROWS_AT_ONCE)


@contextmanager
def quiet(network: nn.Module) -> Iterator[None]:
    """Score as when predicting (no dropout), and leave the network as it was."""
    was = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(was)
