"""Write a bundle: content to bytes, bytes to a manifest, and all of it to its place in one step."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from verticals.bundle.keys import FileSigner, Signer, key_id, load_signer, make_signature
from verticals.bundle.manifest import (
    ALL_FILES,
    CONTRACT,
    FORMAT,
    MANIFEST,
    PRIVACY,
    SETTINGS,
    SIGNATURE,
    WEIGHTS,
    build_manifest,
    check_epsilon,
)
from verticals.bundle.read import bundle_errors, named, parse_files, read_files
from verticals.bundle.tensors import pack_tensors
from verticals.contract import DataContract, dump_contract
from verticals.errors import BundleError, DataError, SignatureError
from verticals.files import Folder, refuse_place, write_folder, write_folders
from verticals.plugin import State
from verticals.strictjson import check_time, plain, readable_json, sha256


@dataclass(frozen=True, kw_only=True)
class BundleContents:
    """Hold everything that goes into a bundle but the time of training and the signature.

    `solution` has the texts name, distribution, version, summary, domain, intended_use and
    not_for, a whole number state_version and a list offers. `settings` is JSON; its key `state`
    is the settings of the model's state, and stays free where `state.settings` holds them.
    `shows` says for each file (contract.yaml, settings.json, weights.safetensors, privacy.json)
    whose data it shows, and at which epsilon: a number from 0, or "infinite" for a raw release.
    `outputs`, `split`, `training` and `extra` are JSON and go into the manifest.
    """

    solution: Mapping[str, Any]
    contract: DataContract
    state: State
    settings: Mapping[str, Any]
    shows: Mapping[str, tuple[str, float | str]]
    outputs: Sequence[Mapping[str, Any]] = ()
    split: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    training: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    privacy: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, kw_only=True)
class BundleRef:
    """Say where a bundle was written, and its digest."""

    path: Path
    digest: str


def write_bundle(
    path: str | Path,
    contents: BundleContents,
    *,
    trained_at: str,
    signer: str | Path | Signer | None = None,
) -> BundleRef:
    """Write a bundle, or replace one; a kill at any moment leaves the old or the new one.

    `trained_at` is ISO 8601 to the second with its zone; digest and weights do not depend on it.
    `signer` is the path of a private key, or anything that signs (see `Signer`).

    Raises `BundleError` if something that is no bundle stands at `path`, if the content cannot be
    written (weights that are not finite, settings that are no JSON, a file that `shows` does not
    speak of), or if the system refuses; `SignatureError` if the key cannot sign.
    """
    packed = pack_bundle(path, contents, trained_at=trained_at, signer=signer)
    with bundle_errors():
        write_folders((packed.folder,))
    return BundleRef(path=packed.folder.path, digest=packed.digest)


@dataclass(frozen=True, kw_only=True)
class PackedBundle:
    """Hold a bundle that is ready to be written (see `verticals.files`), and its digest."""

    folder: Folder
    digest: str


def pack_bundle(
    path: str | Path,
    contents: BundleContents,
    *,
    trained_at: str,
    signer: str | Path | Signer | None = None,
) -> PackedBundle:
    """Make every byte of a bundle, and write none; arguments and errors as `write_bundle`."""
    path = Path(path)
    what = named(path)
    with bundle_errors():
        check_time(trained_at, f"{what}: trained_at")
        files = _content(contents, what)
        files[MANIFEST] = build_manifest(
            _body(contents, files, what), trained_at=trained_at, what=f"{what}: {MANIFEST}"
        )
        bundle = parse_files(path, files)
        if bundle.contract != contents.contract:
            raise BundleError(
                f"{what}: contract {contents.contract.name!r} would not come back as it is",
                hint="verticals contract check CONTRACT shows how it is read",
            )
        if signer is not None:
            files[SIGNATURE] = make_signature(
                _signer(signer), digest=bundle.digest, trained_at=trained_at
            )
    folder = Folder(path=path, files=files, what=what, ours=is_bundle)
    return PackedBundle(folder=folder, digest=bundle.digest)


def refuse_place_of_bundle(path: str | Path) -> None:
    """Raise `BundleError` where no bundle can be written, since something else stands there."""
    try:
        refuse_place(Path(path), named(Path(path)), is_bundle)
    except DataError as error:
        raise BundleError(error.message, hint=error.hint) from error


def sign_bundle(
    path: str | Path, signer: str | Path | Signer, *, passphrase: str | bytes | None = None
) -> str:
    """Verify a bundle, sign it, and return the id of the key.

    What is written back in one step is what was verified, byte for byte, and the signature.

    Raises `BundleError` for a bundle that does not verify, `SignatureError` if the key cannot be
    read or if the bundle bears the signature of another key.
    """
    path = Path(path)
    what = named(path)
    key = _signer(signer, passphrase)
    with bundle_errors():
        files = read_files(path)
        bundle = parse_files(path, files)
        identity = key_id(key.public_key)
        signed_by = bundle.verification.signed_by
        if signed_by not in (None, identity):
            raise SignatureError(
                f"{what} is already signed by {signed_by}, expected nobody or {identity}",
                hint=f"remove {SIGNATURE} from the bundle first if that signature is to go",
            )
        signature = make_signature(key, digest=bundle.digest, trained_at=bundle.trained_at)
        write_folder(path, {**files, SIGNATURE: signature}, what=what, ours=is_bundle)
    return identity


def is_bundle(names: Collection[str]) -> bool:
    """Tell whether a folder with these names is a bundle, whole or damaged, and nothing else."""
    return MANIFEST in names and set(names) <= ALL_FILES


def _signer(signer: str | Path | Signer, passphrase: str | bytes | None = None) -> Signer:
    if isinstance(signer, str | Path):
        found: FileSigner = load_signer(signer, passphrase=passphrase)
        return found
    return signer


def _content(contents: BundleContents, what: str) -> dict[str, bytes]:
    settings = dict(contents.settings)
    if contents.state.settings:
        if settings.get("state"):
            raise DataError(f"{what}: settings has a key 'state' beside the settings of the state")
        settings["state"] = contents.state.settings
    settings.setdefault("state", {})
    files = {
        CONTRACT: dump_contract(contents.contract).encode("utf-8"),
        SETTINGS: readable_json(plain(settings, f"{what}: {SETTINGS}")),
        WEIGHTS: pack_tensors(contents.state.tensors, what=f"{what}: {WEIGHTS}"),
    }
    if contents.privacy is not None:
        files[PRIVACY] = readable_json(plain(contents.privacy, f"{what}: {PRIVACY}"))
    return files


def _body(contents: BundleContents, files: Mapping[str, bytes], what: str) -> dict[str, Any]:
    """Return the manifest without digest and time."""
    entries: dict[str, Any] = {}
    for name, data in files.items():
        if name not in contents.shows:
            raise DataError(f"{what}: `shows` does not say whose data {name} shows")
        text, epsilon = contents.shows[name]
        check_epsilon(epsilon, f"{what}: epsilon of {name}")
        entries[name] = {
            "sha256": sha256(data),
            "size": len(data),
            "shows": text,
            "epsilon": epsilon,
        }
    return {
        "format": FORMAT,
        "solution": contents.solution,
        "files": entries,
        "outputs": list(contents.outputs),
        "split": contents.split,
        "training": contents.training,
        "extra": contents.extra,
    }
