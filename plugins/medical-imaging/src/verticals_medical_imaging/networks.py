"""Networks for images: which body, how it is normalised and augmented, and what stands behind it.

`small`, `scattering`, `log-scattering`, or a name of `backbones.TORCHVISION`. A body that is frozen
reads each image once: `ImageNetwork.prepare` turns rows into features before the first step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from verticals.contract import Target
from verticals.errors import CallError
from verticals.networks import heads
from verticals.networks.mlp import MemberHeads
from verticals.plugin import Inputs, Setup
from verticals.table import Array
from verticals_medical_imaging.augment import NONE, Augment, Augmentation, parse_augmentation
from verticals_medical_imaging.backbones import (
    NORMS,
    TORCHVISION,
    Body,
    Scattering,
    SmallResidual,
    TorchvisionBody,
    scales_for,
)

#: The networks that the option `network` names.
NETWORKS = ("small", "scattering", "log-scattering", *TORCHVISION)
#: What `augment=auto` means where training is not private and the body learns. No mirror images:
#: in most of radiology left and right differ.
USUAL_AUGMENTATION = "shift=0.1,rotate=10,zoom=0.1,brightness=0.1,contrast=0.2,noise=0.02"
#: The resource that holds a backbone's weights: `--resource backbone=FILE.safetensors`.
BACKBONE = "backbone"

_FEATURES = "@features"  # a block that stands for the image, once it was prepared
_PREPARED_ROWS = 256
_GAIN = 10.0  # the norm of frozen features: large beside the bias's column, which is 1


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """Say which network to build; raise `CallError` for a value that means nothing.

    `enlarge` scales low-resolution images up before the body. `frozen` trains the head alone.
    `base` (channels of the first stage), `members` (an ensemble) and `dropout` are of the network
    `small`; `scales` is of the scattering transforms, 0 meaning as the size suggests.
    """

    network: str = "small"
    norm: str = "group"
    augment: str = "auto"
    frozen: bool = False
    enlarge: int = 1
    base: int = 16
    members: int = 1
    dropout: float = 0.0
    scales: int = 0

    def __post_init__(self) -> None:
        """Check every value."""
        for name, choices in (("network", NETWORKS), ("norm", NORMS)):
            if getattr(self, name) not in choices:
                _refuse(name, getattr(self, name), f"one of {', '.join(choices)}")
        for name, least, most in (
            ("enlarge", 1, 16),
            ("base", 1, 256),
            ("members", 1, 64),
            ("scales", 0, 6),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                _refuse(name, value, f"a whole number from {least} to {most}")
        if not isinstance(self.frozen, bool):
            _refuse("frozen", self.frozen, "true or false")
        if not isinstance(self.dropout, int | float) or not 0 <= self.dropout < 1:
            _refuse("dropout", self.dropout, "a share from 0 to below 1")
        if self.frozen and self.network == "small":
            _refuse("frozen", True, "false, as no weights for the network small can be given")

    @property
    def fixed(self) -> bool:
        """Tell whether the body has nothing to learn."""
        return self.frozen or self.network in ("scattering", "log-scattering")

    def augmentation(self, *, private: bool) -> Augmentation:
        """Return the declared augmentation; `auto` is none under privacy or for a frozen body."""
        if self.augment == "auto":
            return parse_augmentation(NONE if private or self.fixed else USUAL_AUGMENTATION)
        declared = parse_augmentation(str(self.augment))
        if self.fixed and declared != Augmentation():
            _refuse("augment", self.augment, f"none, as the body of {self.network} is frozen")
        return declared


def _refuse(name: str, value: object, expected: str) -> None:
    raise CallError(
        f"option {name} is {value!r}, expected {expected}",
        hint="verticals describe medical-imaging",
    )


def network(inputs: Inputs, targets: Sequence[Target], options: Mapping[str, Any]) -> ImageNetwork:
    """Return the network that the options name, for training without privacy, or to be filled."""
    return build_network(inputs, targets, options)


def network_for(inputs: Inputs, targets: Sequence[Target], setup: Setup) -> ImageNetwork:
    """Return the network of a setup: its resource `backbone` is read, and privacy is heeded."""
    return build_network(
        inputs,
        targets,
        setup.options,
        private=setup.private,
        backbone=setup.resources.get(BACKBONE),
    )


def build_network(
    inputs: Inputs,
    targets: Sequence[Target],
    options: Mapping[str, Any],
    *,
    private: bool = False,
    backbone: str | Path | None = None,
) -> ImageNetwork:
    """Build a network from options, and fill its body from a local safetensors file if given.

    What the network computes follows from the options alone: `private` only turns the usual
    augmentation off, and `backbone` only sets first weights.

    Raises `CallError` for options, inputs or weights that do not fit.
    """
    known = NetworkOptions.__dataclass_fields__
    chosen = NetworkOptions(**{name: options[name] for name in known if name in options})
    block, shape = _image_block(inputs)
    body = _body(chosen, shape)
    if backbone is not None:
        if not isinstance(body, TorchvisionBody):
            raise CallError(
                f"the resource {BACKBONE} is given, but network {chosen.network} takes no weights",
                hint=f"--option network=resnet18, or leave --resource {BACKBONE}=… out",
            )
        body.load_weights(backbone)
    table = inputs.shapes.get("table", (0,))[0]
    return ImageNetwork(
        body,
        heads.width(targets),
        block=block,
        table=table,
        chosen=chosen,
        augment=chosen.augmentation(private=private),
    )


def _image_block(inputs: Inputs) -> tuple[str, tuple[int, int, int]]:
    """Return the block of the one image, and its shape (channels, height, width)."""
    images = [name for name, shape in inputs.shapes.items() if len(shape) == 3]
    others = [name for name in inputs.shapes if name not in images and name != "table"]
    if len(images) != 1 or others:
        raise CallError(
            f"the contract has {len(images)} image fields that the model reads"
            f"{f' and blocks {others}' if others else ''}, expected one image, and tabular fields",
            hint="give fields that the model must not read `role: ignore`",
        )
    channels, height, width = inputs.shapes[images[0]]
    return images[0], (channels, height, width)


def _body(chosen: NetworkOptions, shape: tuple[int, int, int]) -> Body:
    channels, height, width = (shape[0], *(side * chosen.enlarge for side in shape[1:]))
    if chosen.network == "small":
        return SmallResidual(
            channels,
            base=chosen.base,
            norm=chosen.norm,
            dropout=chosen.dropout,
            members=chosen.members,
        )
    if chosen.members > 1:
        _refuse("members", chosen.members, f"1 for network {chosen.network}")
    if chosen.network in TORCHVISION:
        return TorchvisionBody(chosen.network, channels, norm=chosen.norm)
    return Scattering(
        (channels, height, width),
        scales=chosen.scales or scales_for(height, width),
        logarithm=chosen.network == "log-scattering",
    )


class ImageNetwork(nn.Module):
    """Map an image, and tabular fields if any, to raw scores (rows, width).

    Training with several members returns (rows, members, width), so that each is held to the
    targets by itself. `train_options` are defaults for `verticals.training`; `saliency_layer`
    names the layer that Grad-CAM reads.
    """

    def __init__(
        self,
        body: Body,
        width: int,
        *,
        block: str,
        table: int,
        chosen: NetworkOptions,
        augment: Augmentation,
    ) -> None:
        super().__init__()
        self.body = body
        self.block = block
        self.fixed = chosen.fixed
        self.members = chosen.members
        self.enlarge = chosen.enlarge
        self.saliency_layer = f"body.{body.maps}"
        self.augment = Augment(augment)
        columns = body.width // self.members + table
        self.head: nn.Module = nn.Linear(columns, width)
        if self.members > 1:
            self.head = MemberHeads(self.members, columns, width)
        self.train_options: Mapping[str, Any] = _LEARNING
        if self.fixed:
            self.train_options = _FIXED
            nn.init.zeros_(self.head.get_parameter("weight"))
            for parameter in body.parameters():
                parameter.requires_grad_(False)

    def train(self, mode: bool = True) -> ImageNetwork:
        """Set the mode; a frozen body stays as it scores, so that it keeps no statistics."""
        super().train(mode)
        if self.fixed:
            self.body.eval()
        return self

    def forward(self, blocks: Mapping[str, Tensor]) -> Tensor:
        """Return raw scores of rows as they are encoded, or as `prepare` left them."""
        features = blocks.get(_FEATURES)
        if features is None:
            features = self.features(blocks[self.block])
        parts = features.reshape(len(features), self.members, -1)  # (rows, members, columns)
        if "table" in blocks:
            table = blocks["table"][:, None].expand(-1, self.members, -1)
            parts = torch.cat([parts, table], dim=2)
        if self.members == 1:
            raw: Tensor = self.head(parts[:, 0])
            return raw
        raw = self.head(parts)
        return raw if self.training else raw.mean(dim=1)

    def features(self, images: Tensor) -> Tensor:
        """Return what the body makes of images: (rows, columns of all members)."""
        images = self.augment(images)
        if self.enlarge > 1:
            images = functional.interpolate(
                images, scale_factor=self.enlarge, mode="bilinear", align_corners=False
            )
        found: Tensor = self.body(images)
        if self.fixed:  # all rows of one norm, so that none is clipped before another
            found = functional.layer_norm(found, found.shape[1:]) * (_GAIN * found.shape[1] ** -0.5)
        return found

    def prepare(self, blocks: Mapping[str, Array]) -> dict[str, Array]:
        """Return encoded rows with features in place of the image, where the body is frozen.

        Each row's features depend on that row and on the frozen body alone, so they may stand for
        it in training, under privacy too.
        """
        if not self.fixed:
            return dict(blocks)
        kept = {name: block for name, block in blocks.items() if name != self.block}
        images, device = blocks[self.block], self.head.get_parameter("weight").device
        features = np.empty((len(images), self.body.width), dtype=np.float32)
        was = self.training
        self.eval()
        with torch.no_grad():
            for start in range(0, len(images), _PREPARED_ROWS):
                part = torch.from_numpy(
                    np.ascontiguousarray(images[start : start + _PREPARED_ROWS])
                )
                features[start : start + len(part)] = self.features(part.to(device)).cpu().numpy()
        self.train(was)
        return {**kept, _FEATURES: features}


# A linear head on fixed features is a convex problem: whole batches, a Gaussian prior, and under
# privacy few large steps, averaged.
_FIXED: Mapping[str, Any] = {
    "optimizer": "adam",
    "learning_rate": 0.06,
    "epochs": 200,
    "batch_size": 8192,
    "ridge": 2.5,
    "private": {
        "optimizer": "sgd",
        "learning_rate": 3.0,
        "momentum": 0.9,
        "steps": 100,
        "batch_size": 8192,
        "average": 0.5,
        "ridge": 0.0,
    },
}
_LEARNING: Mapping[str, Any] = {
    "learning_rate": 3e-3,
    "weight_decay": 0.05,
    "epochs": 30,
    "least_steps": 200,
    "batch_size": 64,
    "warmup": 0.05,
    "ema": 0.98,
    "clip": 1.0,
    "private": {
        "learning_rate": 2e-3,
        "weight_decay": 0.0,
        "steps": 60,
        "batch_size": 64,
        "ema": 0.0,
        "average": 0.3,
    },
}
