"""Open a bundle: find the installed solution that made it, and bring its model back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from verticals.api.raw import pipeline_digests
from verticals.api.scorer import Scorer
from verticals.api.vertical import Vertical, load_vertical
from verticals.bundle import Bundle, check_solution, open_bundle
from verticals.errors import BundleError
from verticals.plugin import Setup


def open_scorer(
    path: str | Path,
    *,
    device: str = "auto",
    public_key: str | Path | None = None,
    resources: Mapping[str, str] | None = None,
) -> Scorer:
    """Verify a bundle, find the installed solution that made it, and bring its model back.

    With `public_key` the bundle must carry a valid signature by that key.
    Raises `BundleError`, `SignatureError` or `PluginError`.
    """
    bundle = open_bundle(path, public_key=public_key)
    vertical = load_vertical(_installed_name(bundle)).for_contract(
        bundle.contract, private=bundle.privacy is not None
    )
    _check_derived(bundle, vertical)
    _check_pipelines(bundle, vertical)
    contract = vertical.contract_with_derived(bundle.contract)
    privacy = bundle.privacy or {}
    setup = Setup(
        contract=contract,
        options=bundle.settings["options"],
        seed=bundle.settings["seed"],
        epsilon=privacy.get("epsilon"),
        delta=privacy.get("delta"),
        device=device,
        resources=dict(resources or {}),
    )
    model = vertical.loaded(bundle.state(), setup)
    return Scorer(bundle=bundle, vertical=vertical, model=model, contract=contract)


def _check_derived(bundle: Bundle, vertical: Vertical) -> None:
    """Refuse a bundle whose derived fields the installed code would derive in another way."""
    trained = bundle.manifest.extra.get("derived", [])
    installed = vertical.derived_facts()
    if trained != installed:
        changed = [
            str(item.get("name"))
            for item in (*trained, *installed)
            if item not in trained or item not in installed
        ]
        raise BundleError(
            f"the bundle was trained on other derived fields than {vertical.distribution} "
            f"{vertical.version} derives: {', '.join(dict.fromkeys(changed))}",
            hint=f"install {vertical.distribution} {bundle.solution['version']}, or train again",
        )


def _check_pipelines(bundle: Bundle, vertical: Vertical) -> None:
    """Refuse a bundle whose files the installed code would read in another way."""
    trained = bundle.manifest.extra.get("pipelines", {})
    installed = pipeline_digests(bundle.contract, vertical.readers)
    for name in sorted({*trained, *installed}):
        if trained.get(name) != installed.get(name):
            raise BundleError(
                f"the bundle was trained on field {name!r} prepared by the pipeline "
                f"{trained.get(name, 'none')}, and {vertical.distribution} {vertical.version} "
                f"prepares it by {installed.get(name, 'none')}",
                hint=f"install {vertical.distribution} {bundle.solution['version']}, or train "
                "again",
            )


def _installed_name(bundle: Bundle) -> str:
    """Return the name of the installed solution that reads a bundle."""
    from verticals import registry

    installed = registry.discover()
    infos = tuple(found.info for found in installed.solutions)
    name = str(bundle.solution["name"])
    if name not in {info.name for info in infos}:
        registry.refuse_unserved(installed, name, str(bundle.solution["distribution"]))
    return check_solution(bundle, infos).name
