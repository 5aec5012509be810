"""What a text shows without the encoder, for a linear head: curves of its measures, its pieces.

* Curves: pairs of cosine and sine in random directions of the measures, whose products approach the
  Gaussian kernel (Rahimi & Recht 2007), in orthogonal blocks (Yu et al. 2016): a head that is
  linear in them follows any smooth function of the measures, such as "longer is better, up to a
  point".
* Pieces: how often each token and each pair of neighbours is there, log(1 + count), hashed into a
  fixed number of columns (Weinberger et al. 2009) and brought to length 1.

Both are fixed before any text is seen, so private training spends nothing on them. Two texts differ
by at most 2 in the curves and by at most 2 in the pieces, times the weights below.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from verticals.table import Array

CURVES = 512  # directions, a cosine and a sine of each
PIECES = 4096  # a power of two
_WIDTH = 1.25  # of the kernel, in units of the measures, which run from −1 to 1
#: Weights beside groups of encoder features of length about 1; chosen with width and sizes on other
#: folds than those that `benchmarks/essay_quality.py` reports.
_CURVES_WEIGHT, _PIECES_WEIGHT = 1.7, 2.0
_SEED = 5
_FLOOR = 0.1
_MODULUS, _PRIME, _GOLDEN, _BITS = 2**31 - 1, 65_599, 2_654_435_761, 32


def directions(measures: int) -> Array:
    """Return (measures, CURVES) directions, drawn once and kept in the bundle; float32."""
    random = np.random.default_rng(_SEED)
    blocks = []
    for _ in range(math.ceil(CURVES / measures)):
        turned, _ = np.linalg.qr(random.normal(size=(measures, measures)))
        lengths = np.sqrt(random.chisquare(measures, measures))  # those of Gaussian directions
        blocks.append(turned * lengths)
    drawn = np.concatenate(blocks, axis=1)[:, :CURVES] / _WIDTH
    return np.asarray(drawn, dtype=np.float32)


def curves(measures: Tensor, directions: Tensor) -> Tensor:
    """Return (rows, 2 CURVES) of measures (rows, measures), each row of the same length."""
    turned = measures @ directions
    weight = _CURVES_WEIGHT / math.sqrt(directions.shape[1])
    return torch.cat([turned.cos(), turned.sin()], dim=1) * weight


def pieces(tokens: Tensor) -> Tensor:
    """Return (rows, PIECES) of token ids (rows, windows, length), negative where there is none.

    A row without any token is 0; overlapping windows count what they share twice.
    """
    ids = tokens.long()
    here = ids >= 0
    both = here[:, :, 1:] & here[:, :, :-1]
    pairs = ids[:, :, :-1] * _PRIME + ids[:, :, 1:] + 1
    found = torch.zeros(len(ids), PIECES, device=ids.device)
    for keys, held in ((ids, here), (pairs, both)):
        rows = torch.nonzero(held)[:, 0]
        places = _bucket(keys[held])
        found.index_put_((rows, places), torch.ones(len(rows), device=ids.device), accumulate=True)
    told = found.log1p()
    # One token alone has the length log 2: the floor is for texts without any.
    unit: Tensor = told / told.norm(dim=1, keepdim=True).clamp(min=_FLOOR)
    return unit * _PIECES_WEIGHT


def _bucket(keys: Tensor) -> Tensor:
    """Return the column of each key: the highest bits of a multiplication by the golden ratio."""
    mixed = (keys % _MODULUS) * _GOLDEN % 2**_BITS
    places: Tensor = mixed >> (_BITS - PIECES.bit_length() + 1)
    return places
