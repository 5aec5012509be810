"""What essay-scoring asks of a contract, said before anything is fitted."""

from __future__ import annotations

from itertools import pairwise

from verticals.contract import DataContract, Field, Target
from verticals.errors import ContractError
from verticals_student_assessment.essays.text import declared_windows


def check_contract(contract: DataContract) -> None:
    """Raise `ContractError` for a contract that essay-scoring cannot train.

    The model reads one text and nothing else; traits are ordinal with rising numbers as their
    levels; a second rater has the levels of a trait; prompts are texts.
    """
    others = [item.name for item in contract.inputs if item.kind != "text"]
    texts = [item for item in contract.inputs if item.kind == "text"]
    if len(texts) != 1 or others:
        named = f" ({', '.join(others)})" if others else ""
        raise ContractError(
            f"the contract has {len(texts)} text fields that the model reads and {len(others)} "
            f"others{named}, expected one text and nothing else",
            hint="give other fields `role: protected`, `role: stratum` or `role: ignore`",
        )
    declared_prompts(texts[0])
    declared_windows(texts[0])
    for target in contract.targets:
        check_levels(target)
    second_raters(contract)


def check_levels(target: Target) -> None:
    """Raise `ContractError` unless a trait is ordinal, with rising numbers as its levels."""
    if target.kind == "ordinal" and _rising(target.values):
        return
    raise ContractError(
        f"target {target.name!r} is {target.kind} with the levels {list(target.values)}, expected "
        "an ordinal one whose levels are rising numbers",
        hint="values: [1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5]; of letters write the points in the data",
    )


def second_raters(contract: DataContract) -> tuple[tuple[Field, Target], ...]:
    """Return each field of a second rater with its trait.

    A field with `settings: {second_rater_of: TRAIT}` is one; raises `ContractError` where there
    is no such trait, or its levels are not the trait's.
    """
    found = []
    for field in contract.fields:
        trait = field.settings.get("second_rater_of")
        if trait is None:
            continue
        target = next((item for item in contract.targets if item.name == trait), None)
        if target is None:
            named = ", ".join(item.name for item in contract.targets)
            raise ContractError(
                f"field {field.name!r} is a second rater of {trait!r}, which is no trait of the "
                f"contract; expected one of {named}",
                hint=f"second_rater_of: {contract.targets[0].name}" if contract.targets else "",
            )
        if field.levels != target.values:
            raise ContractError(
                f"field {field.name!r} is a second rater of {trait!r} and has the levels "
                f"{list(field.levels)}, expected those of the trait",
                hint=f"under {field.name}: kind: ordinal, levels: [{', '.join(target.values)}]",
            )
        found.append((field, target))
    return tuple(found)


def declared_prompts(field: Field) -> list[str]:
    """Return the prompts of a text field, none unless declared.

    Raises `ContractError` where they are no list of texts that say something.
    """
    given = field.settings.get("prompts")
    if given is None:
        return []
    if not isinstance(given, list | tuple):
        wrong = f"a {type(given).__name__}"
    else:
        bad = [n for n, item in enumerate(given) if not (isinstance(item, str) and item.strip())]
        if not bad:
            return list(given)
        wrong = f"prompt {bad[0] + 1} that is empty or no text"
    raise ContractError(
        f"field {field.name!r} has as its prompts {wrong}, expected a list of non-empty texts",
        hint='settings: {prompts: ["Should schools begin later?"]}',
    )


def _rising(values: tuple[str, ...]) -> bool:
    try:
        points = [float(value) for value in values]
    except ValueError:
        return False
    return len(points) > 1 and all(a < b for a, b in pairwise(points))
