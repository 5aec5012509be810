"""Train a solution from contract and data to a bundle with its evidence beside it."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verticals.api.acceptance import refuse_contract, refuse_targets
from verticals.api.budget import divide_budget, what_files_show
from verticals.api.evidence_run import measure
from verticals.api.privacy_form import check_record
from verticals.api.raw import load_raw, pipeline_digests, with_files
from verticals.api.scores import raw_columns
from verticals.api.split_run import parts_of, split_contract, split_kind
from verticals.api.vertical import (
    Vertical,
    load_vertical,
    merged_options,
    refuse_unbounded_reads,
)
from verticals.bundle import (
    BundleContents,
    load_signer,
    pack_bundle,
    refuse_place_of_bundle,
)
from verticals.contract import (
    DataContract,
    bind,
    read_contract,
    resolve,
    unreviewed,
    validate_contract,
)
from verticals.data import Shares, fingerprint
from verticals.errors import CallError, DataError, PrivacyError
from verticals.evidence import refuse_place_of_evidence
from verticals.files import write_folders
from verticals.plugin import Setup
from verticals.table import Table

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """Say where training left its bundle and evidence, and what it noticed on the way."""

    bundle: Path
    digest: str
    evidence: Path
    evidence_digest: str
    rows: Mapping[str, int]
    privacy: Mapping[str, Any] | None
    notes: tuple[str, ...]


def train(
    solution: str,
    *,
    out: str | Path,
    contract: DataContract | str | Path | None = None,
    data: Any = None,
    epsilon: float | None = None,
    delta: float | None = None,
    no_privacy: bool = False,
    max_grad_norm: float = 1.0,
    seed: int = 0,
    device: str = "auto",
    options: Mapping[str, Any] | None = None,
    shares: Shares | None = None,
    random_split: int = 0,
    skip_bad: bool = False,
    key: bytes | None = None,
    sign: str | Path | None = None,
    resume: bool = False,
    encoding: str | None = None,
    resources: Mapping[str, str] | None = None,
    ledger: str | Path | None = None,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train a solution and write a bundle to `out` and its evidence to `out + ".evidence"`.

    Without `contract` and `data` the solution's own demo data are used. Exactly one of `epsilon`
    (train privately, and spend at most that) and `no_privacy` must be given. `key` keys the hash
    of ids and the fingerprint of the data; without it neither is stored. A contract with a time is
    split by it; `random_split=2` (asking twice) splits at random all the same. `skip_bad` leaves
    out rows whose files cannot be used, and lists them. `resume` continues from the checkpoint
    that an interrupted call with the same arguments left beside `out`.

    Raises `CallError`, `ContractError`, `DataError`, `PrivacyError`, `TrainingError`,
    `PluginError` (a fault of the solution's own code), `EvidenceError` or `BundleError`. Neither
    bundle nor evidence is written before both are ready.
    """
    _check_privacy_choice(epsilon, delta, no_privacy)
    # Before hours are spent:
    signer = load_signer(sign) if sign is not None else None
    refuse_place_of_bundle(out)
    refuse_place_of_evidence(f"{out}.evidence")
    if ledger is not None:
        _check_ledger(Path(ledger))
    vertical = load_vertical(solution)
    private = epsilon is not None
    if private and "private" not in vertical.info.offers:
        raise PrivacyError(
            f"solution {solution!r} does not offer private training",
            hint=f"verticals train {solution} --no-privacy …",
        )
    merged = merged_options(vertical, options or {}, private=private)
    declared, table, notes, narrowed = _bound_data(
        vertical, contract, data, encoding, skip_bad, merged
    )
    strict = merged.get("beyond_unit") == "refuse"
    vertical = vertical.for_contract(declared, private=private, strict=strict)
    if private:
        _check_reviewed(declared)
        refuse_unbounded_reads(declared, vertical.features)
    full = vertical.contract_with_derived(declared)
    refuse_contract(vertical, full, merged)
    derived = vertical.derive(table)
    scored, unscored = vertical.scored_rows(derived, full)
    derived = derived.take(scored)
    demo_shares = getattr(vertical.solution, "demo_shares", {}) if contract is None else {}
    share = shares or Shares(**demo_shares)
    split_by = split_contract(full, random_split, vertical.split_by)
    parts, shared = parts_of(derived, split_by, seed, share, private=private)
    left_out = (*narrowed, *unscored, *_left_out_notes(vertical, full))
    shared = (*left_out, *vertical.feature_notes(table), *shared)
    checkpoint = _checkpoint_folder(Path(out), resume=resume)
    budget = divide_budget(epsilon, full, vertical)
    setup = Setup(
        contract=full,
        options=merged,
        seed=seed,
        epsilon=budget.training,
        delta=delta,
        max_grad_norm=max_grad_norm,
        device=device,
        checkpoint=str(checkpoint),
        resources=dict(resources or {}),
        progress=progress,
    )
    finish = vertical.finish_for(full, budget.decision, merged)
    model, state = vertical.fitted(parts, setup)
    trained_privacy = state.settings.get("privacy")
    check_record(
        trained_privacy,
        who=vertical.named,
        epsilon=budget.training,
        delta=delta,
        unit="group" if full.group else "row",
        most=parts["train"].rows,
    )
    privacy = budget.total(trained_privacy)
    raw = raw_columns(vertical, full, model, finish, parts["calibrate"])
    with vertical.running("finish"):
        finished = dict(finish.fit(raw, parts["calibrate"]))
    kept = {name: value for name, value in state.settings.items() if name != "privacy"}
    settings = {"options": merged, "finish": finished, "seed": seed}
    rows = {name: part.rows for name, part in parts.items()}
    contents = BundleContents(
        solution=solution_texts(vertical),
        contract=declared,
        state=dataclasses.replace(state, settings=kept),
        settings=settings,
        shows=what_files_show(declared, finish, vertical, trained_privacy, budget),
        outputs=[dataclasses.asdict(item) for item in finish.outputs],
        split={
            "seed": seed,
            "shares": dataclasses.asdict(share),
            "rows": rows,
            "by": split_kind(split_by, private=private, although=bool(full.time)),
            "fingerprint": fingerprint(table, key=key) if key else "",
        },
        training=_training_facts(setup, state.settings, vertical),
        privacy=privacy,
        extra=_extra(vertical, declared),
    )
    bundle = pack_bundle(
        Path(out),
        contents,
        trained_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        signer=signer,
    )
    evidence = measure(
        bundle_digest=bundle.digest,
        vertical=vertical,
        contract=full,
        model=model,
        parts=parts,
        finish=finish,
        finish_settings=finished,
        state_settings=state.settings,
        private=private,
        fingerprint=contents.split["fingerprint"],
        notes=shared,
    ).packed(f"{out}.evidence")
    # Evidence first: where a bundle stands, its evidence does.
    write_folders((evidence.folder, bundle.folder))
    _remove_checkpoint(checkpoint)
    if ledger is not None:
        _write_ledger(Path(ledger), solution, bundle.digest, contents)
    return TrainingResult(
        bundle=Path(out),
        digest=bundle.digest,
        evidence=evidence.folder.path,
        evidence_digest=evidence.digest,
        rows=rows,
        privacy=privacy,
        notes=(*notes, *shared),
    )


def solution_texts(vertical: Vertical) -> dict[str, Any]:
    """Return what a bundle says of the solution that made it."""
    info = vertical.info
    return {
        "name": info.name,
        "distribution": vertical.distribution,
        "version": vertical.version,
        "state_version": info.state_version,
        "summary": info.summary,
        "domain": info.domain,
        "intended_use": info.intended_use,
        "not_for": info.not_for,
        "offers": sorted(info.offers),
    }


def _check_privacy_choice(epsilon: float | None, delta: float | None, no_privacy: bool) -> None:
    if epsilon is None and not no_privacy:
        raise CallError(
            "neither --epsilon nor --no-privacy is given, expected one of them",
            hint="add `--epsilon 3` to train with differential privacy, or `--no-privacy`",
        )
    if epsilon is not None and no_privacy:
        raise CallError(
            f"both --epsilon {epsilon:g} and --no-privacy are given, expected one of them",
            hint="leave one of them out",
        )
    if delta is not None and epsilon is None:
        raise CallError(f"--delta {delta:g} is given without --epsilon", hint="add `--epsilon 3`")


def _bound_data(
    vertical: Vertical,
    contract: DataContract | str | Path | None,
    data: Any,
    encoding: str | None,
    skip_bad: bool,
    options: Mapping[str, Any],
) -> tuple[DataContract, Table, tuple[str, ...], tuple[str, ...]]:
    """Return the contract as the options narrow it, the bound table, and notes on both."""
    name = vertical.info.name
    if (contract is None) != (data is None):
        given, lacking = ("--contract", "--data") if data is None else ("--data", "--contract")
        raise CallError(
            f"{given} is given without {lacking}, expected both or neither (demo data)",
            hint=f"verticals contract draft data.csv --solution {name}",
        )
    if contract is None:
        declared, shipped = vertical.demo()
        validate_contract(declared)
        loaded = with_files(declared, shipped, Path.cwd(), vertical.readers, skip_bad=skip_bad)
    else:
        declared = contract if isinstance(contract, DataContract) else read_contract(contract)
        validate_contract(declared)
        if declared.solution and declared.solution != name:
            raise CallError(
                f"contract {declared.name!r} is for solution {declared.solution!r}, "
                f"expected {name!r}",
                hint=f"verticals train {declared.solution} …",
            )
        refuse_targets(vertical.info, declared)
        loaded = load_raw(
            declared, data, readers=vertical.readers, encoding=encoding, skip_bad=skip_bad
        )
    declared, narrowed = vertical.narrowed(resolve(declared, list(loaded.table)), options)
    bound = bind(declared, loaded.table)
    if bound.table.rows == 0:
        raise DataError("the data have 0 rows, expected at least one", hint="")
    notes = tuple(note.text for note in bound.notes)
    return declared, bound.table, (*loaded.notes, *notes), narrowed


def _check_reviewed(contract: DataContract) -> None:
    open_marks = unreviewed(contract)
    if open_marks:
        raise PrivacyError(
            f"contract {contract.name!r} still has {len(open_marks)} value(s) read from the data "
            f"({', '.join(open_marks[:5])}{', …' if len(open_marks) > 5 else ''}), expected "
            "declared ones for private training",
            hint="review each value and take it out of its field's `drafted:` list",
        )


def _extra(vertical: Vertical, contract: DataContract) -> dict[str, Any]:
    """Return what scoring must hold to: derived fields as declared, pipelines of files by hash."""
    extra: dict[str, Any] = {}
    if vertical.features is not None:
        extra["derived"] = vertical.derived_facts()
    pipelines = pipeline_digests(contract, vertical.readers)
    return {**extra, "pipelines": pipelines} if pipelines else extra


def _left_out_notes(vertical: Vertical, contract: DataContract) -> tuple[str, ...]:
    """Say which derived fields private training left out."""
    if not vertical.left_out:
        return ()
    names = ", ".join(item.name for item in vertical.left_out)
    unit = contract.group or "the row itself"
    return (
        f"{len(vertical.left_out)} derived fields are left out, as they read rows beyond the unit "
        f"of privacy ({unit}): {names}",
    )


def _training_facts(
    setup: Setup, settings: Mapping[str, Any], vertical: Vertical
) -> dict[str, Any]:
    facts = dict(settings.get("training", {}))
    facts.pop("history", None)
    if vertical.left_out:
        facts["left_out"] = [item.name for item in vertical.left_out]
    return {"seed": setup.seed, "options": dict(setup.options), **facts}


def _checkpoint_folder(out: Path, *, resume: bool) -> Path:
    """Return the folder for resumable progress; an old one is dropped unless `resume`."""
    folder = out.with_name(f"{out.name}.checkpoint")
    if not resume:
        _remove_checkpoint(folder)
    elif not folder.is_dir():
        raise CallError(
            f"--resume is given but there is no checkpoint {folder}",
            hint="start without --resume",
        )
    return folder


def _remove_checkpoint(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def _check_ledger(path: Path) -> None:
    from verticals.ledger import check

    check(path)


def _write_ledger(path: Path, solution: str, digest: str, contents: BundleContents) -> None:
    from verticals.ledger import append

    privacy = contents.privacy or {}
    seeded = privacy.get("unsafe_noise_seed") is not None  # then no epsilon holds
    append(
        path,
        "training",
        {
            "solution": solution,
            "bundle": digest,
            "contract": contents.contract.name,
            "data_fingerprint": contents.split["fingerprint"],
            "epsilon": None if seeded else privacy.get("epsilon"),
            "delta": privacy.get("delta"),
        },
    )
