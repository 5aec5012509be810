"""`verticals verify`, `sign` and `keys new`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from verticals.cli.output import json_option, print_json
from verticals.errors import CallError


@click.command("verify")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--bundle", type=click.Path(path_type=Path), help="PATH is an audit of this bundle: recompute."
)
@click.option("--evidence", type=click.Path(path_type=Path), help="Default: BUNDLE.evidence.")
@click.option(
    "--decisions",
    type=click.Path(path_type=Path),
    help="The record of human decisions that the audit counted.",
)
@click.option("--public-key", type=click.Path(path_type=Path), help="Demand a signature by it.")
@json_option
@click.pass_context
def verify_command(
    ctx: click.Context,
    path: Path,
    bundle: Path | None,
    evidence: Path | None,
    decisions: Path | None,
    public_key: Path | None,
    as_json: bool,
) -> int:
    """Verify a bundle's files and signature or, with --bundle, recompute an audit's numbers."""
    from verticals.bundle import verify_bundle

    if bundle is not None:
        from verticals.cli.main import outside_command

        if public_key is not None:
            verify_bundle(bundle, public_key=public_key)
        command = outside_command("verify-audit")
        if command is None:
            raise CallError(
                "recomputing an audit needs verticals-compliance, which is not installed",
                hint="pip install verticals-compliance",
            )
        arguments = [str(path), "--bundle", str(bundle)]
        arguments += ["--evidence", str(evidence)] if evidence else []
        arguments += ["--decisions", str(decisions)] if decisions else []
        arguments += ["--json"] if as_json else []
        code = command.main(args=arguments, prog_name="verticals verify", standalone_mode=False)
        return code if isinstance(code, int) else 0
    if (path / "audit.json").is_file():
        raise CallError(
            f"{path} is an audit, which is verified against its bundle",
            hint=f"verticals verify {path} --bundle BUNDLE",
        )
    found = verify_bundle(path, public_key=public_key)
    if as_json:
        print_json(dataclasses.asdict(found))
        return 0
    click.echo(f"{path}: {len(found.files)} files are as their digests say")
    click.echo(f"digest     {found.digest}")
    if found.signed_by is None:
        click.echo("signature  none")
    else:
        trust = "the key you gave" if found.trusted else "a key you have not vouched for"
        click.echo(f"signature  valid, by {found.signed_by} ({trust})")
    return 0


@click.command("sign")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--key", "key_file", required=True, type=click.Path(path_type=Path))
@json_option
def sign_command(bundle: Path, key_file: Path, as_json: bool) -> None:
    """Sign BUNDLE with an Ed25519 private key made by `verticals keys new`."""
    from verticals.bundle import sign_bundle

    identity = sign_bundle(bundle, key_file)
    if as_json:
        print_json({"bundle": str(bundle), "signed_by": str(identity)})
        return
    click.echo(f"signed {bundle} as {identity}")


@click.group("keys")
def keys_group() -> None:
    """Make a pair of signing keys."""


@keys_group.command("new")
@click.argument("prefix", type=click.Path(path_type=Path))
@json_option
def new_keys_command(prefix: Path, as_json: bool) -> None:
    """Write PREFIX.key (private, keep it) and PREFIX.pub (public, give it away)."""
    from verticals.bundle import new_keys

    made = new_keys(prefix)
    if as_json:
        print_json({name: str(value) for name, value in dataclasses.asdict(made).items()})
        return
    click.echo(f"private key  {made.private_path}  (keep it: it signs)")
    click.echo(f"public key   {made.public_path}  (give it away: it verifies)")
    click.echo(f"key id       {made.key_id}")
