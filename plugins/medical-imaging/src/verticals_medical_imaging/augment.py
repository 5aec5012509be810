"""Augmentation declared in words: each row of a batch is changed by a draw of its own.

    flip,shift=0.1,rotate=10,zoom=0.1,brightness=0.2,contrast=0.2,noise=0.05,erase=0.25

Lengths are shares of the image's side, angles are degrees, and brightness, contrast and noise are
shares of the declared intensity range. A number is the largest change; each row draws from a
uniform distribution up to it (noise: the standard deviation). `flip` mirrors left and right with
chance 1/2: leave it out where the side of the body matters.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from verticals.errors import CallError

NONE = "none"
_HINT = "for example --option augment=flip,shift=0.1,rotate=10,brightness=0.1"
_LIMITS = {"shift": 0.5, "rotate": 180.0, "zoom": 0.5, "erase": 0.5}


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Say how far each change may go; 0 leaves it out."""

    flip: float = 0.0  # the chance of a mirror image
    shift: float = 0.0
    rotate: float = 0.0
    zoom: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    noise: float = 0.0
    erase: float = 0.0  # the side of a square that is blanked

    @property
    def moves(self) -> bool:
        """Tell whether pixels change their place."""
        return max(self.flip, self.shift, self.rotate, self.zoom) > 0


def parse_augmentation(text: str) -> Augmentation:
    """Read a declaration such as "flip,shift=0.1"; "none" changes nothing.

    >>> parse_augmentation("flip,rotate=10").rotate
    10.0

    Raises `CallError` for a word that is not known or a number that is out of range.
    """
    found: dict[str, float] = {}
    for word in text.replace(" ", "").split(","):
        if word in ("", NONE):
            continue
        name, _, number = word.partition("=")
        if name not in {item.name for item in dataclasses.fields(Augmentation)} or name in found:
            raise CallError(f"augmentation {word!r} is not known, or said twice", hint=_HINT)
        found[name] = _number(name, number)
    return Augmentation(**found)


def _number(name: str, text: str) -> float:
    """Return how far a change goes; raise `CallError` where that means nothing."""
    if name == "flip" and not text:
        return 0.5
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    limit = _LIMITS.get(name, 1.0)
    if not 0 <= value <= limit:
        raise CallError(
            f"augmentation {name} is {text!r}, expected a number from 0 to {limit:g}", hint=_HINT
        )
    return value


class Augment(nn.Module):
    """Change images (rows, channels, height, width) of 0 to 1 in training; else return them.

    Every row is changed by itself, so that gradients per row, and with them private training,
    stay possible. What a shift or turn leaves empty repeats the edge.
    """

    def __init__(self, declared: Augmentation) -> None:
        super().__init__()
        self.declared = declared

    def forward(self, images: Tensor) -> Tensor:
        """Return images of the same shape."""
        if not self.training or self.declared == Augmentation():
            return images
        if self.declared.moves:
            images = self._moved(images)
        images = self._toned(images)
        return self._erased(images) if self.declared.erase else images

    def _moved(self, images: Tensor) -> Tensor:
        """Flip, turn, zoom and shift by one affine map a row, bilinear."""
        said = self.declared
        angle = _spread(images) * math.radians(said.rotate)  # (rows,)
        scale = 1.0 + _spread(images) * said.zoom
        mirror = torch.where(torch.rand_like(angle) < said.flip, -1.0, 1.0)
        cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
        aspect = images.shape[-2] / images.shape[-1]
        # grid_sample measures each axis from -1 to 1, so that a turn needs the aspect ratio, and
        # a shift by a share of the side is twice that share.
        across = torch.stack([cosine * mirror, -sine * aspect, 2 * said.shift * _spread(images)])
        down = torch.stack([sine / aspect * mirror, cosine, 2 * said.shift * _spread(images)])
        theta = torch.stack([across, down]).permute(2, 0, 1)  # (rows, 2, 3)
        grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
        return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)

    def _toned(self, images: Tensor) -> Tensor:
        """Change contrast around the row's mean, then brightness, then add noise."""
        said = self.declared
        if said.contrast:
            mean = images.mean(dim=(1, 2, 3), keepdim=True)
            factor = 1.0 + said.contrast * _spread(images)[:, None, None, None]
            images = mean + (images - mean) * factor
        if said.brightness:
            images = images + said.brightness * _spread(images)[:, None, None, None]
        if said.noise:
            images = images + said.noise * torch.randn_like(images)
        return images

    def _erased(self, images: Tensor) -> Tensor:
        """Blank a square at a random place with the row's mean (DeVries & Taylor 2017)."""
        rows, columns = images.shape[-2:]
        half = self.declared.erase / 2
        y = torch.arange(rows, device=images.device) / rows
        x = torch.arange(columns, device=images.device) / columns
        centre_y = (_spread(images)[:, None] + 1) / 2  # (rows, 1)
        centre_x = (_spread(images)[:, None] + 1) / 2
        inside = ((y - centre_y).abs() <= half)[:, :, None] & ((x - centre_x).abs() <= half)[
            :, None, :
        ]
        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        return torch.where(inside[:, None], mean, images)


def _spread(images: Tensor) -> Tensor:
    """Draw one number from -1 to 1 for each row: (rows,)."""
    return torch.rand_like(images[:, 0, 0, 0]) * 2.0 - 1.0
