"""Ed25519 keys and signatures: who vouches for a bundle, and for which moment.

A signature covers the digest of a bundle and the time of its training. What is signed starts with
a prefix that no other use of the key can produce, so that a signature made for something else is
never one of a bundle.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from verticals.errors import DataError, SignatureError
from verticals.files import system_errors
from verticals.strictjson import canonical_json, parse_json, readable_json, sha256, shown

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_DOMAIN = b"verticals bundle signature 1\x00"
_ALGORITHM = "ed25519"
_KEYS = {"format", "algorithm", "key_id", "public_key", "signature"}
_MAX_KEY_BYTES = 64 * 1024
_MAY_NOT = stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP  # group read is how clusters mount secrets


class Signer(Protocol):
    """Sign with a private key that may live elsewhere: a file, a card, a key service."""

    @property
    def public_key(self) -> bytes:
        """Return the raw Ed25519 public key, 32 bytes."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the Ed25519 signature of a message, 64 bytes."""
        ...


@dataclass(frozen=True, kw_only=True)
class KeyRef:
    """Say where a new pair of keys lies; `key_id` is the fingerprint of the public key."""

    private_path: Path
    public_path: Path
    key_id: str


@dataclass(frozen=True, kw_only=True)
class FileSigner:
    """Sign with a private key that was read from a file."""

    public_key: bytes
    sign: Callable[[bytes], bytes]


def key_id(public_key: bytes) -> str:
    """Return the fingerprint by which a raw public key is known."""
    return sha256(public_key)


def new_keys(prefix: str | Path, *, passphrase: str | bytes | None = None) -> KeyRef:
    """Make a pair of keys: `PREFIX.key` (private, mode 0600, PKCS 8) and `PREFIX.pub`.

    Where `prefix` is a folder the files are `verticals.key` and `verticals.pub` in it. With a
    passphrase the private key is encrypted.

    Raises `SignatureError` if one of the files exists (a key is never replaced) or the system
    refuses.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    place = Path(prefix)
    place = place / "verticals" if place.is_dir() else place
    private_path = place.with_name(f"{place.name}.key")
    public_path = place.with_name(f"{place.name}.pub")
    secret = _passphrase(passphrase)
    lock = serialization.BestAvailableEncryption(secret) if secret else None
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        lock or serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    _create(private_path, private, 0o600)
    try:
        _create(public_path, public, 0o644)
    except SignatureError:
        with suppress(OSError):
            private_path.unlink()
        raise
    return KeyRef(
        private_path=private_path,
        public_path=public_path,
        key_id=key_id(key.public_key().public_bytes_raw()),
    )


def load_signer(path: str | Path, *, passphrase: str | bytes | None = None) -> FileSigner:
    """Read a private key for signing.

    Raises `SignatureError` if the file cannot be read, is open to other users, is no Ed25519
    private key in PEM, or needs another passphrase.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    path = Path(path)
    data, mode = _read_key(path, "private key")
    if sys.platform != "win32" and mode & _MAY_NOT:
        raise SignatureError(
            f"private key '{path}' has mode {mode:04o}, expected one that shuts other users out",
            hint=f"chmod 600 '{path}'",
        )
    key = _loaded(lambda: load_pem_private_key(data, _passphrase(passphrase)), path, "private")
    if not isinstance(key, Ed25519PrivateKey):
        raise SignatureError(f"private key '{path}' is of another algorithm, expected Ed25519")
    return _file_signer(key)


def load_public_key(path: str | Path) -> bytes:
    """Read a public key and return its 32 raw bytes.

    Raises `SignatureError` if the file cannot be read or is no Ed25519 public key in PEM.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    path = Path(path)
    data, _ = _read_key(path, "public key")
    key = _loaded(lambda: load_pem_public_key(data), path, "public")
    if not isinstance(key, Ed25519PublicKey):
        raise SignatureError(f"public key '{path}' is of another algorithm, expected Ed25519")
    return key.public_bytes_raw()


def make_signature(signer: Signer, *, digest: str, trained_at: str) -> bytes:
    """Return the bytes of `signature.json`; raise `SignatureError` if the signer signs falsely."""
    public_key, message = signer.public_key, _message(digest, trained_at)
    signature = signer.sign(message)
    if not _is_valid(public_key, signature, message):
        raise SignatureError("the signer returned a signature that its public key does not verify")
    return readable_json(
        {
            "format": 1,
            "algorithm": _ALGORITHM,
            "key_id": key_id(public_key),
            "public_key": public_key.hex(),
            "signature": signature.hex(),
        }
    )


def check_signature(data: bytes, *, digest: str, trained_at: str, what: str) -> bytes:
    """Return the raw public key by which a `signature.json` is valid for this digest and time.

    Raises `SignatureError` for any other signature, one that was made for another bundle included.
    """
    try:
        found = parse_json(data, what=what, max_bytes=_MAX_KEY_BYTES)
    except DataError as error:
        raise SignatureError(error.message) from error
    if not isinstance(found, dict) or set(found) != _KEYS or readable_json(found) != data:
        raise SignatureError(f"{what} is not in the form in which a signature is written")
    if type(found["format"]) is not int or found["format"] != 1:
        raise SignatureError(f"{what} is of format {shown(found['format'])}, expected 1")
    if found["algorithm"] != _ALGORITHM:
        raise SignatureError(f"{what} is by {shown(found['algorithm'])}, expected {_ALGORITHM}")
    public_key = _unhex(found["public_key"], 32, f"{what}: public_key")
    signature = _unhex(found["signature"], 64, f"{what}: signature")
    if found["key_id"] != key_id(public_key):
        raise SignatureError(f"{what} names another key than the one that it holds")
    if not _is_valid(public_key, signature, _message(digest, trained_at)):
        raise SignatureError(
            f"{what} is false: the signature is not of this bundle, or its time was changed"
        )
    return public_key


def _message(digest: str, trained_at: str) -> bytes:
    return _DOMAIN + canonical_json({"digest": digest, "trained_at": trained_at})


def _is_valid(public_key: bytes, signature: bytes, message: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _unhex(value: Any, size: int, where: str) -> bytes:
    try:
        found = bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        found = b""
    if len(found) != size or found.hex() != value:
        raise SignatureError(f"{where} is {shown(value)}, expected {size} bytes in hexadecimal")
    return found


def _file_signer(key: Ed25519PrivateKey) -> FileSigner:
    return FileSigner(public_key=key.public_key().public_bytes_raw(), sign=key.sign)


def _loaded(load: Callable[[], object], path: Path, kind: str) -> object:
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        return load()
    except TypeError as error:  # a passphrase that is missing, or one too many
        raise SignatureError(f"{kind} key '{path}': {error}") from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SignatureError(
            f"{kind} key '{path}' cannot be read: expected a {kind} key in PEM and, "
            "where it is encrypted, its passphrase"
        ) from error


def _passphrase(value: str | bytes | None) -> bytes | None:
    secret = value.encode("utf-8") if isinstance(value, str) else value
    if secret == b"":
        raise SignatureError("an empty passphrase is given, expected one that protects, or none")
    return secret


def _read_key(path: Path, kind: str) -> tuple[bytes, int]:
    """Return the bytes and the mode of one and the same file."""
    try:
        with system_errors(f"{kind} '{path}'", "read"), path.open("rb") as file:
            return file.read(_MAX_KEY_BYTES), stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    except DataError as error:
        raise SignatureError(
            error.message, hint="verticals keys new PREFIX makes a pair"
        ) from error


def _create(path: Path, data: bytes, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    try:
        with system_errors(f"key '{path}'", "written"):
            descriptor = os.open(path, flags, mode)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
    except DataError as error:
        raise SignatureError(error.message, hint="choose another prefix") from error
