"""Bundles: what a model is shipped as. Weights, settings, contract, digests, signature; no code."""

from verticals.bundle.keys import (
    FileSigner,
    KeyRef,
    Signer,
    key_id,
    load_public_key,
    load_signer,
    new_keys,
)
from verticals.bundle.manifest import INFINITE, FileEntry, Manifest
from verticals.bundle.read import (
    Bundle,
    Verification,
    check_solution,
    open_bundle,
    verify_bundle,
)
from verticals.bundle.write import (
    BundleContents,
    BundleRef,
    PackedBundle,
    pack_bundle,
    refuse_place_of_bundle,
    sign_bundle,
    write_bundle,
)

__all__ = [
    "INFINITE",
    "Bundle",
    "BundleContents",
    "BundleRef",
    "FileEntry",
    "FileSigner",
    "KeyRef",
    "Manifest",
    "PackedBundle",
    "Signer",
    "Verification",
    "check_solution",
    "key_id",
    "load_public_key",
    "load_signer",
    "new_keys",
    "open_bundle",
    "pack_bundle",
    "refuse_place_of_bundle",
    "sign_bundle",
    "verify_bundle",
    "write_bundle",
]
