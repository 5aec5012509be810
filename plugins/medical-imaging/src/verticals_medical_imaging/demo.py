"""The demo: radiographs that are made up, behind a contract written by hand."""

from __future__ import annotations

from importlib.resources import files

from verticals.contract import DataContract, parse_contract
from verticals.table import Table
from verticals_medical_imaging.synthesize import synthesize

PATIENTS, IMAGES_EACH, SIZE, SEED = 210, 3, 40, 7


def demo() -> tuple[DataContract, Table]:
    """Return the contract and the raw table of 630 synthetic radiographs of 210 patients.

    The column `image` holds pixels, where a table of one's own names files.
    """
    text = files(__package__).joinpath("radiographs.yaml").read_text(encoding="utf-8")
    contract = parse_contract(text, source="radiographs.yaml")
    facts, pixels, _ = synthesize(PATIENTS, IMAGES_EACH, SIZE, SEED)
    return contract, Table({**facts, "image": pixels})
