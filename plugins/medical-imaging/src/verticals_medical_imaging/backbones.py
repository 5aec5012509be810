"""What turns an image into features: a fixed scattering transform, a small net, or torchvision's.

A body maps images (rows, channels, height, width) of 0 to 1 to features (rows, `width`); `maps`
names its last layer with spatial maps, which Grad-CAM reads.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from verticals.errors import CallError
from verticals.table import Array

TORCHVISION = (
    "resnet18",
    "resnet34",
    "resnet50",
    "densenet121",
    "efficientnet_b0",
    "mobilenet_v3_small",
    "convnext_tiny",
)
NORMS = ("group", "batch")
_MOST_GROUPS = 32
_ROWS_AT_ONCE = 64  # of images in the scattering transform: its maps are many
_ANGLES = 8
_FLOOR = 1e-3  # of the logarithm: about the size of the transform's rounding in flat regions
_TINY = 1e-20  # under a root, whose slope at 0 would be no number
# Mean and spread of ImageNet's grey values, which published weights were trained with.
_MEAN, _SPREAD = 0.449, 0.226


class Body(nn.Module):
    """Name what every body has."""

    width: int
    maps: str = "last"


class Scattering(Body):
    """Scatter images by fixed Morlet wavelets: features that read no data at all.

    Order 0 to 2 of the scattering transform (Bruna & Mallat 2013, arXiv:1203.1513) with `scales`
    octaves and eight angles: moduli of wavelet responses, averaged over 2**scales pixels. It is
    stable to small deformations and has no weight, so that under privacy all of the budget goes
    to the linear head (Tramèr & Boneh 2021, arXiv:2011.11660).

    With `logarithm` the features are logarithms, normalised over each image, which makes them
    independent of brightness and contrast; without it they are normalised over each image in
    groups of channels.
    """

    psi: Tensor
    phi: Tensor

    def __init__(self, shape: tuple[int, int, int], *, scales: int, logarithm: bool) -> None:
        """Build the filters for images of `shape` (channels, height, width)."""
        super().__init__()
        channels, *size = shape
        self.step = 2**scales
        if min(size) < 2 * self.step:
            raise CallError(
                f"an image of {size[0]} by {size[1]} is too small for {scales} scales of the "
                f"scattering transform, expected sides of {2 * self.step} or more",
                hint="--option scales=1, or --option network=small",
            )
        self.scales = scales
        self.logarithm = logarithm
        self.size = tuple(size)
        self.margin = self.step  # mirrored on each side: 2.5 standard deviations of the window
        padded = [math.ceil(side / self.step) * self.step + 2 * self.margin for side in size]
        psi, phi = _wavelets(padded[0], padded[1], scales)
        self.register_buffer("psi", torch.from_numpy(psi), persistent=False)
        self.register_buffer("phi", torch.from_numpy(phi), persistent=False)
        orders = 1 + scales * _ANGLES + scales * (scales - 1) // 2 * _ANGLES**2
        maps = channels * orders
        places = math.prod(side // self.step for side in size)
        self.width = maps * places
        self.last = nn.GroupNorm(1 if logarithm else _groups(maps), maps, affine=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return (rows, width), of unit variance in each row."""
        parts = [self._scatter(part) for part in torch.split(images, _ROWS_AT_ONCE)]
        maps = torch.cat(parts)  # (rows, maps, height / step, width / step)
        if self.logarithm:
            maps = torch.log(maps.clamp(min=0.0) + _FLOOR)
        settled: Tensor = self.last(maps)
        return settled.flatten(1)

    def _scatter(self, images: Tensor) -> Tensor:
        """Return the averaged moduli of all orders: (rows, maps, height / step, width / step)."""
        rows, columns = (size - side for size, side in zip(self.phi.shape, self.size, strict=True))
        margins = (self.margin, columns - self.margin, self.margin, rows - self.margin)
        spectrum = torch.fft.fft2(functional.pad(images, margins, mode="reflect")).unsqueeze(2)
        found = [self._average(spectrum, 0)]
        for scale in range(self.scales):
            first = self._modulus(spectrum, 0, scale)  # (rows, channels, angles, height, width)
            found.append(self._average(first, scale))
            for coarser in range(scale + 1, self.scales):
                for angle in range(_ANGLES):
                    second = self._modulus(first[:, :, angle : angle + 1], scale, coarser)
                    found.append(self._average(second, coarser))
        return torch.cat(found, dim=2).flatten(1, 2)

    def _modulus(self, spectrum: Tensor, octave: int, scale: int) -> Tensor:
        """Return spectra of the moduli of all angles' responses at a scale.

        `spectrum` has every 2**`octave`-th pixel; the result, which varies slowly, has every
        2**`scale`-th.
        """
        filters = _folds(self.psi[scale], 2**octave) / 4 ** (scale - octave)
        response = torch.fft.ifft2(_folds(spectrum * filters, 2 ** (scale - octave)))
        modulus = (response.real**2 + response.imag**2 + _TINY).sqrt()  # twice as fast as abs
        spectra: Tensor = torch.fft.fft2(modulus)
        return spectra

    def _average(self, spectrum: Tensor, octave: int) -> Tensor:
        """Return what the averaging window leaves of an image, one pixel for each step."""
        factor = self.step // 2**octave
        window = _folds(self.phi, 2**octave) / factor**2
        small = torch.fft.ifft2(_folds(spectrum * window, factor)).real
        edge = self.margin // self.step
        high, wide = (side // self.step for side in self.size)
        kept: Tensor = small[..., edge : edge + high, edge : edge + wide]
        return kept


def _folds(spectrum: Tensor, factor: int) -> Tensor:
    """Return the sum of a spectrum's folds: `factor`² times that of every `factor`-th pixel."""
    if factor == 1:
        return spectrum
    rows, columns = spectrum.shape[-2:]
    tall = spectrum.reshape(*spectrum.shape[:-2], factor, rows // factor, columns).sum(dim=-3)
    return tall.reshape(*tall.shape[:-1], factor, columns // factor).sum(dim=-2)


def _wavelets(rows: int, columns: int, scales: int) -> tuple[Array, Array]:
    """Return the spectra of wavelets (scales, angles, rows, columns) and of the window."""
    psi = np.empty((scales, _ANGLES, rows, columns), dtype=np.float32)
    for scale in range(scales):
        for angle in range(_ANGLES):
            spread, turn = 0.8 * 2**scale, math.pi * angle / _ANGLES
            psi[scale, angle] = _spectrum(
                rows, columns, spread, turn, 0.75 * math.pi / 2**scale, 4 / _ANGLES
            )
    return psi, _spectrum(rows, columns, 0.8 * 2 ** (scales - 1), 0.0, 0.0, 1.0)


def _spectrum(
    rows: int, columns: int, spread: float, turn: float, frequency: float, slant: float
) -> Array:
    """Return the real spectrum of a periodic Morlet wavelet; frequency 0 gives a Gaussian."""
    wave = _gabor(rows, columns, spread, turn, frequency, slant)
    if frequency:  # a wavelet has no mean
        window = _gabor(rows, columns, spread, turn, 0.0, slant)
        wave = wave - wave.sum() / window.sum() * window
    return np.asarray(np.fft.fft2(wave).real, dtype=np.float32)


def _gabor(
    rows: int, columns: int, spread: float, turn: float, frequency: float, slant: float
) -> Array:
    """Return a Gaussian of this spread times a wave, made periodic: complex (rows, columns)."""
    total = np.zeros((rows, columns), dtype=np.complex128)
    cosine, sine = math.cos(turn), math.sin(turn)
    for below in range(-2, 3):
        for right in range(-2, 3):
            y, x = np.mgrid[
                below * rows : (below + 1) * rows, right * columns : (right + 1) * columns
            ]
            along, beside = y * cosine + x * sine, x * cosine - y * sine
            decay = (along**2 + (slant * beside) ** 2) / (2 * spread**2)
            total += np.exp(1j * frequency * along - decay)
    return total * slant / (2 * math.pi * spread**2)


def _groups(maps: int) -> int:
    """Return in how many groups of three channels or more a normalisation divides the maps."""
    return max(n for n in range(1, _MOST_GROUPS + 1) if maps % n == 0 and maps // n >= min(3, maps))


def scales_for(height: int, width: int) -> int:
    """Return how many octaves suit a size: so many that about 7 to 12 places a side are left."""
    return min(4, max(1, round(math.log2(min(height, width) / 8))))


class _Block(nn.Module):
    """Add to its input what two normalised convolutions make of it (He et al. 2016)."""

    def __init__(self, before: int, after: int, stride: int, *, norm: str, members: int) -> None:
        super().__init__()
        many, wide = members * before, members * after
        self.first = nn.Sequential(
            _norm(norm, many, members),
            nn.ReLU(),
            nn.Conv2d(many, wide, 3, stride, 1, bias=False, groups=members),
        )
        self.second = nn.Sequential(
            _norm(norm, wide, members),
            nn.ReLU(),
            nn.Conv2d(wide, wide, 3, 1, 1, bias=False, groups=members),
        )
        self.skip: nn.Module = nn.Identity()
        if stride > 1 or before != after:
            self.skip = nn.Sequential(
                nn.AvgPool2d(stride, ceil_mode=True), nn.Conv2d(many, wide, 1, groups=members)
            )

    def forward(self, maps: Tensor) -> Tensor:
        """Return (rows, members * after, height / stride, width / stride)."""
        changed: Tensor = self.skip(maps) + self.second(self.first(maps))
        return changed


class SmallResidual(Body):
    """A residual net for low resolution: three stages of one block, then mean and maximum.

    The maximum over places finds what is small, the mean what is spread out. `members` nets stand
    side by side, as groups of channels: an ensemble that sees each image once. Features are those
    of all members, one after the other.
    """

    def __init__(
        self, channels: int, *, base: int, norm: str, dropout: float = 0.0, members: int = 1
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, members * base, 5, 2, 2)
        self.stages = nn.Sequential(
            _Block(base, base, 1, norm=norm, members=members),
            _Block(base, 2 * base, 2, norm=norm, members=members),
            # At a quarter of the resolution, so that maps still say where something is.
            _Block(2 * base, 4 * base, 1, norm=norm, members=members),
        )
        wide = 4 * base * members
        self.width = 2 * wide
        self.last = nn.Sequential(_norm(norm, wide, members), nn.ReLU())
        self.dropout = nn.Dropout(dropout)

    def forward(self, images: Tensor) -> Tensor:
        """Return (rows, width)."""
        maps = self.last(self.stages(self.stem(images - 0.5)))
        pooled = torch.stack([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=2)
        features: Tensor = self.dropout(pooled.flatten(1))
        return features


def _norm(norm: str, channels: int, members: int) -> nn.Module:
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    return nn.GroupNorm(members * _groups(channels // members), channels)


class TorchvisionBody(Body):
    """One of torchvision's classifiers without its last layer; grey images are repeated.

    With `norm` "group", group normalisation stands in place of batch normalisation, as private
    training needs it.
    """

    def __init__(self, name: str, channels: int, *, norm: str = "group") -> None:
        super().__init__()
        import torchvision

        self.name = name
        self.norm = norm
        self.repeat = 3 if channels == 1 else 1
        self.model: nn.Module = torchvision.models.get_model(name, weights=None)
        place, last = [
            (path, module)
            for path, module in self.model.named_modules()
            if isinstance(module, nn.Linear)
        ][-1]
        self.width = last.in_features
        _replace(self.model, place, nn.Identity())
        if norm == "group":
            _group_norms(self.model)
        for module in self.model.modules():
            if getattr(module, "inplace", False):
                module.inplace = False  # gradients per row cannot follow what overwrites
        self.maps = "model.layer4" if hasattr(self.model, "layer4") else "model.features"

    def forward(self, images: Tensor) -> Tensor:
        """Return (rows, width)."""
        wide = images.expand(-1, 3, -1, -1) if self.repeat == 3 else images
        features: Tensor = self.model((wide - _MEAN) / _SPREAD)
        return features

    def load_weights(self, path: str | Path) -> None:
        """Take the weights of a safetensors file with torchvision's names.

        Statistics of batch normalisation are left out where it is replaced, and so is the last
        layer. Raises `CallError` where the file is not of this network.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        hint = f"give the state_dict of torchvision's {self.name} as a safetensors file"
        try:
            given = load_file(path)
        except (SafetensorError, OSError) as error:
            raise CallError(f"weights {str(path)!r} cannot be read: {error}", hint=hint) from error
        held = self.model.state_dict()
        fits = {k: v for k, v in given.items() if k in held and v.shape == held[k].shape}
        lacking = sorted(set(held) - set(fits))
        if lacking:
            raise CallError(
                f"weights {str(path)!r} lack {len(lacking)} of {len(held)} tensors of {self.name} "
                f"(first: {lacking[0]})",
                hint=hint,
            )
        self.model.load_state_dict(fits)


def _replace(model: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)


def _group_norms(model: nn.Module) -> None:
    """Put group normalisation, with the same names of weights, in place of batch normalisation."""
    for path, module in list(model.named_modules()):
        if isinstance(module, nn.BatchNorm2d):
            _replace(model, path, nn.GroupNorm(_groups(module.num_features), module.num_features))
