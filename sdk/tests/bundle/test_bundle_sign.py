"""Signatures: who vouches for a bundle, and that nobody else seems to."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from verticals.bundle import (
    key_id,
    load_public_key,
    load_signer,
    new_keys,
    open_bundle,
    sign_bundle,
    verify_bundle,
    write_bundle,
)
from verticals.errors import BundleError, SignatureError
from verticals.strictjson import canonical_json, readable_json, sha256

AT = "2026-01-31T12:00:00+00:00"
LATER = "2027-01-31T12:00:00+00:00"


@pytest.fixture
def keys(tmp_path):
    return new_keys(tmp_path / "ada")


@pytest.fixture
def others(tmp_path):
    return new_keys(tmp_path / "eve")


def signature(bundle):
    return json.loads((bundle / "signature.json").read_bytes())


def test_new_keys_are_a_pair_that_only_the_owner_reads(keys, tmp_path):
    assert (keys.private_path, keys.public_path) == (tmp_path / "ada.key", tmp_path / "ada.pub")
    assert keys.private_path.stat().st_mode & 0o777 == 0o600
    public = load_public_key(keys.public_path)
    assert load_signer(keys.private_path).public_key == public
    assert keys.key_id == sha256(public) == key_id(public)
    assert b"BEGIN PRIVATE KEY" in keys.private_path.read_bytes()


def test_the_umask_cannot_open_a_private_key(tmp_path):
    mask = os.umask(0)
    try:
        made = new_keys(tmp_path / "x")
    finally:
        os.umask(mask)
    assert made.private_path.stat().st_mode & 0o777 == 0o600


def test_a_key_is_never_replaced(keys, tmp_path):
    before = keys.private_path.read_bytes()
    with pytest.raises(SignatureError, match="cannot be written: File exists"):
        new_keys(tmp_path / "ada")
    assert keys.private_path.read_bytes() == before
    keys.private_path.unlink()
    with pytest.raises(SignatureError, match=r"ada\.pub' cannot be written: File exists"):
        new_keys(tmp_path / "ada")
    assert not keys.private_path.exists()


def test_keys_can_go_into_a_folder_and_a_missing_one_is_an_error(tmp_path):
    assert new_keys(tmp_path).private_path == tmp_path / "verticals.key"
    with pytest.raises(SignatureError, match="cannot be written: No such file"):
        new_keys(tmp_path / "no" / "where")


def test_openssl_reads_the_keys(keys):
    for arguments in (["-in", keys.private_path], ["-pubin", "-in", keys.public_path]):
        command = ["openssl", "pkey", *map(str, arguments), "-noout", "-text"]
        try:
            shown = subprocess.run(command, capture_output=True, text=True, check=True)
        except FileNotFoundError:
            pytest.skip("openssl is not installed")
        assert "ED25519" in shown.stdout.upper()


def test_a_signed_bundle_says_by_whom(bundle, keys):
    digest = open_bundle(bundle).digest
    assert sign_bundle(bundle, keys.private_path) == keys.key_id
    found = verify_bundle(bundle)
    assert (found.signature, found.signed_by, found.trusted) == ("valid", keys.key_id, False)
    found = verify_bundle(bundle, public_key=keys.public_path)
    assert found.trusted
    assert found.digest == digest
    assert "signature.json" in found.files
    assert dataclasses.asdict(found)["signed_by"] == keys.key_id
    assert [item.name for item in bundle.parent.iterdir() if item.name.startswith(".")] == []


def test_a_bundle_can_be_signed_as_it_is_written(tmp_path, contents, keys):
    for signer in (keys.private_path, load_signer(keys.private_path)):
        write_bundle(tmp_path / "m", contents(), trained_at=AT, signer=signer)
        assert verify_bundle(tmp_path / "m", public_key=keys.public_path).trusted


def test_signing_twice_changes_nothing_and_another_key_is_refused(bundle, keys, others):
    sign_bundle(bundle, keys.private_path)
    before = (bundle / "signature.json").read_bytes()
    sign_bundle(bundle, keys.private_path)
    assert (bundle / "signature.json").read_bytes() == before
    with pytest.raises(SignatureError, match=f"already signed by {keys.key_id}"):
        sign_bundle(bundle, others.private_path)
    assert verify_bundle(bundle, public_key=keys.public_path).trusted


def test_a_damaged_bundle_is_not_signed(bundle, keys):
    (bundle / "settings.json").write_text("{}")
    with pytest.raises(BundleError, match="has changed"):
        sign_bundle(bundle, keys.private_path)
    assert not (bundle / "signature.json").exists()


def test_without_a_signature_a_demanded_key_is_refused(bundle, keys):
    with pytest.raises(SignatureError, match=f"bears no signature, expected one by {keys.key_id}"):
        verify_bundle(bundle, public_key=keys.public_path)


def test_a_stripped_signature_is_noticed(bundle, keys):
    sign_bundle(bundle, keys.private_path)
    (bundle / "signature.json").unlink()
    assert verify_bundle(bundle).signature == "absent"
    with pytest.raises(SignatureError, match="bears no signature"):
        open_bundle(bundle, public_key=keys.public_path)


def test_the_signature_of_another_key_is_not_the_demanded_one(bundle, keys, others):
    sign_bundle(bundle, others.private_path)
    message = f"bears a signature by {others.key_id}, expected one by {keys.key_id}"
    with pytest.raises(SignatureError, match=message):
        verify_bundle(bundle, public_key=keys.public_path)


def test_the_signature_of_another_bundle_is_false(tmp_path, bundle, contents, keys):
    other = tmp_path / "other"
    write_bundle(other, contents(training={}), trained_at=AT, signer=keys.private_path)
    (bundle / "signature.json").write_bytes((other / "signature.json").read_bytes())
    with pytest.raises(SignatureError, match="is false: the signature is not of this bundle"):
        verify_bundle(bundle)


def test_the_signature_vouches_for_the_time(bundle, keys):
    sign_bundle(bundle, keys.private_path)
    text = (bundle / "bundle.json").read_text()
    (bundle / "bundle.json").write_text(text.replace(AT, LATER))
    with pytest.raises(SignatureError, match="its time was changed"):
        verify_bundle(bundle)


def test_content_changed_with_its_digests_is_noticed(bundle, sealed, keys):
    sign_bundle(bundle, keys.private_path)
    sealed(bundle, lambda manifest: manifest["training"].update(epochs=9))
    with pytest.raises(SignatureError, match="is false"):
        verify_bundle(bundle)


def test_a_signature_for_something_else_is_none_of_a_bundle(bundle, keys):
    signer = load_signer(keys.private_path)
    opened = open_bundle(bundle)
    for message in (
        opened.digest.encode(),
        canonical_json({"digest": opened.digest, "trained_at": AT}),
        readable_json({"digest": opened.digest, "trained_at": AT}),
    ):
        forged = {
            "format": 1,
            "algorithm": "ed25519",
            "key_id": keys.key_id,
            "public_key": signer.public_key.hex(),
            "signature": signer.sign(message).hex(),
        }
        (bundle / "signature.json").write_bytes(readable_json(forged))
        with pytest.raises(SignatureError, match="is false"):
            verify_bundle(bundle)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key_id": "sha256:" + "0" * 64}, "names another key"),
        ({"public_key": "00"}, "expected 32 bytes"),
        ({"public_key": None}, "expected 32 bytes"),
        ({"public_key": "zz" * 32}, "expected 32 bytes"),
        ({"signature": ""}, "expected 64 bytes"),
        ({"signature": "00" * 64}, "is false"),
        ({"algorithm": "none"}, "is by 'none', expected ed25519"),
        ({"format": 2}, "is of format 2"),
        ({"format": True}, "is of format True"),
        ({"note": "x"}, "not in the form"),
    ],
)
def test_a_signature_of_another_shape_is_refused(bundle, keys, change, message):
    sign_bundle(bundle, keys.private_path)
    (bundle / "signature.json").write_bytes(readable_json({**signature(bundle), **change}))
    with pytest.raises(SignatureError, match=message):
        verify_bundle(bundle)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"[" * 9999, b"x" * 100_000])
def test_a_signature_that_is_no_json_is_refused(bundle, data):
    (bundle / "signature.json").write_bytes(data)
    with pytest.raises(SignatureError, match=r"signature\.json"):
        verify_bundle(bundle)


def test_a_flipped_byte_anywhere_in_the_signature_is_noticed(bundle, keys):
    sign_bundle(bundle, keys.private_path)
    whole = (bundle / "signature.json").read_bytes()
    for place in range(0, len(whole), 3):
        changed = bytearray(whole)
        changed[place] ^= 0x01
        (bundle / "signature.json").write_bytes(changed)
        with pytest.raises(SignatureError):
            verify_bundle(bundle)


# ---- keys that do not serve ------------------------------------------------------------------


def test_a_passphrase_protects_a_private_key(bundle, tmp_path):
    made = new_keys(tmp_path / "x", passphrase="correct horse")
    assert b"ENCRYPTED" in made.private_path.read_bytes()
    with pytest.raises(SignatureError, match=r"[Pp]assword"):
        sign_bundle(bundle, made.private_path)
    with pytest.raises(SignatureError, match="cannot be read") as caught:
        sign_bundle(bundle, made.private_path, passphrase="wrong horse")
    assert "horse" not in str(caught.value)
    assert sign_bundle(bundle, made.private_path, passphrase="correct horse") == made.key_id


def test_a_passphrase_too_many_is_an_error(keys):
    with pytest.raises(SignatureError, match=r"[Pp]assword"):
        load_signer(keys.private_path, passphrase="x")


def test_an_empty_passphrase_is_none(tmp_path):
    with pytest.raises(SignatureError, match="empty passphrase"):
        new_keys(tmp_path / "x", passphrase="")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o604, 0o666, 0o620, 0o602])
def test_a_private_key_that_others_can_read_is_refused(keys, mode):
    keys.private_path.chmod(mode)
    with pytest.raises(SignatureError, match=f"has mode {mode:04o}") as caught:
        load_signer(keys.private_path)
    assert caught.value.hint == f"chmod 600 '{keys.private_path}'"


def test_a_private_key_that_a_cluster_mounts_is_read(keys, tmp_path):
    keys.private_path.chmod(0o640)
    (tmp_path / "mounted").symlink_to(keys.private_path)
    assert key_id(load_signer(tmp_path / "mounted").public_key) == keys.key_id


def test_keys_of_another_algorithm_or_none_are_refused(tmp_path, bundle):
    pem, encoding = tmp_path / "ec.pem", serialization.Encoding.PEM
    other = ec.generate_private_key(ec.SECP256R1())
    pem.write_bytes(
        other.private_bytes(
            encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    pem.chmod(0o600)
    with pytest.raises(SignatureError, match="another algorithm"):
        sign_bundle(bundle, pem)
    pem.write_bytes(
        other.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    with pytest.raises(SignatureError, match="another algorithm"):
        verify_bundle(bundle, public_key=pem)
    pem.write_bytes(b"no key")
    with pytest.raises(SignatureError, match="cannot be read: expected a private key"):
        sign_bundle(bundle, pem)
    with pytest.raises(SignatureError, match="cannot be read: expected a public key"):
        verify_bundle(bundle, public_key=pem)
    with pytest.raises(SignatureError, match="cannot be read: No such file"):
        verify_bundle(bundle, public_key=tmp_path / "none")
    with pytest.raises(SignatureError, match="cannot be read: Is a directory"):
        sign_bundle(bundle, tmp_path)


def test_a_private_key_is_no_public_key(bundle, keys):
    with pytest.raises(SignatureError, match="cannot be read: expected a public key") as caught:
        verify_bundle(bundle, public_key=keys.private_path)
    secret = keys.private_path.read_text().splitlines()[1]
    assert secret not in str(caught.value)


class Card:
    """A signer whose key lives elsewhere."""

    def __init__(self, honest=True):
        self._key = ed25519.Ed25519PrivateKey.generate()
        self._shown = self._key if honest else ed25519.Ed25519PrivateKey.generate()

    @property
    def public_key(self):
        return self._shown.public_key().public_bytes_raw()

    def sign(self, message):
        return self._key.sign(message)


def test_a_key_may_live_elsewhere_but_must_be_its_own(bundle):
    with pytest.raises(SignatureError, match="does not verify"):
        sign_bundle(bundle, Card(honest=False))
    card = Card()
    assert sign_bundle(bundle, card) == key_id(card.public_key)
