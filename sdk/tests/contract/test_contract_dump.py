from __future__ import annotations

import dataclasses
import string
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verticals.contract import (
    DataContract,
    Decision,
    Field,
    Target,
    canonical,
    contract_digest,
    dump_contract,
    parse_contract,
    validate_contract,
)

texts = st.text(max_size=12).filter(lambda text: text == "" or text.strip() != "")
named = st.text(min_size=1, max_size=12).filter(lambda text: text.strip() != "")
values = st.lists(
    st.one_of(named, st.integers().map(str), st.sampled_from(["true", "NO", "null", "~", "-"]))
    .map(canonical)
    .filter(bool),
    min_size=2,
    max_size=4,
    unique=True,
).map(tuple)
numbers = st.floats(allow_nan=False, allow_infinity=False)
pairs = st.tuples(numbers, numbers).filter(lambda pair: pair[0] < pair[1])
json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**9), 10**9), numbers, st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=150), inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def fields(draw, name: str, column: str) -> Field:
    kind = draw(st.sampled_from(["numeric", "categorical", "ordinal", "boolean", "text"]))
    given: dict = {"label": draw(texts), "unit": draw(texts), "reason": draw(texts)}
    if kind == "numeric":
        given["bounds"] = draw(pairs)
        given["monotone"] = draw(st.sampled_from(["", "increasing"]))
        given["drafted"] = draw(st.sampled_from([(), ("bounds",)]))
    if kind == "categorical":
        given["categories"] = draw(values)
        if draw(st.booleans()):
            labels = st.lists(
                named,
                unique=True,
                min_size=len(given["categories"]),
                max_size=len(given["categories"]),
            )
            given["category_labels"] = tuple(draw(labels))
        given["role"] = draw(st.sampled_from(["feature", "protected", "ignore"]))
        given["also_feature"] = given["role"] == "protected" and draw(st.booleans())
    if kind == "ordinal":
        given["levels"] = draw(values)
    if kind == "text":
        settings_ = draw(st.dictionaries(st.text(max_size=150), json, max_size=2))
        given["settings"] = MappingProxyType(settings_)
    given["background"] = MappingProxyType(
        draw(st.dictionaries(named.map(canonical).filter(bool), numbers, max_size=2))
    )
    derived = kind != "categorical" and draw(st.booleans())
    if derived:
        given["reads"] = draw(st.sampled_from([(), ("@group", "terminal")]))
    return Field(name=name, kind=kind, column="" if derived else column, **given)


@st.composite
def contracts(draw) -> DataContract:
    columns = draw(st.lists(named, min_size=5, max_size=5, unique=True))
    name = st.text(string.ascii_lowercase + string.digits + "_", max_size=8)
    names = [f"x{n}{draw(name)}" for n in range(3)]
    targets = ()
    decision = None
    if draw(st.booleans()):
        both = draw(values)
        targets = (
            Target(
                name="y",
                column=columns[3],
                kind="binary",
                positive=both[0],
                negative=both[1],
                favourable=both[1],
                meaning=draw(texts),
            ),
        )
        decision = Decision(target="y", rate=draw(st.floats(0.01, 0.99)))
    return DataContract(
        solution=draw(named),
        name=draw(named),
        description=draw(texts),
        id=columns[4],
        targets=targets,
        decision=decision,
        fields=tuple(
            draw(fields(name, column)) for name, column in zip(names, columns, strict=False)
        ),
    )


@settings(deadline=None, max_examples=60)
@given(contracts())
def test_a_contract_survives_being_written_and_read(contract):
    validate_contract(contract)
    text = dump_contract(contract)
    again = parse_contract(text)
    assert again == contract
    assert dump_contract(again) == text


@pytest.mark.parametrize(
    "label",
    [
        "NO",
        "yes",
        "null",
        "~",
        "1",
        "-1.5e3",
        "a: b",
        "a #b",
        "- a",
        "it's",
        '"q"',
        "\\",
        " a ",
        "é",
    ],
)
def test_text_that_yaml_could_take_for_something_else_survives(label):
    field = Field(name="a", kind="text", column="A", label=label)
    contract = DataContract(solution="s", name="n", fields=(field,))
    assert parse_contract(dump_contract(contract)) == contract


@pytest.mark.parametrize(
    "label", ["a\nb", "tab\there", "\x7f", "\u2028", "\ufeff", "\U0001f600", "\xa0"]
)
def test_odd_characters_survive(label):
    field = Field(name="a", kind="categorical", column=label, categories=("x", "y"), label=label)
    contract = DataContract(solution="s", name="n", fields=(field,))
    assert parse_contract(dump_contract(contract)) == contract


def test_keys_longer_than_yaml_likes_survive():
    odd = "\U000e0001" * 200  # each is written as ten characters
    field = Field(
        name="a",
        kind="categorical",
        column="A",
        categories=(odd, "y"),
        category_labels=("tags", "y"),
        settings=MappingProxyType({"k" * 3000: 1}),
    )
    contract = DataContract(solution="s", name="n", fields=(field,))
    assert parse_contract(dump_contract(contract)) == contract


def test_the_text_is_one_that_people_read():
    contract = DataContract(
        solution="credit-scoring",
        name="cards",
        id="ID",
        targets=(
            Target(name="default", column="DEFAULT", kind="binary", positive="1", favourable="0"),
        ),
        decision=Decision(target="default", cut=0.5),
        fields=(
            Field(
                name="limit",
                kind="numeric",
                column="LIMIT_BAL",
                bounds=(10000, 1000000.0),
                scale="log",
                unit="NT$",
            ),
            Field(
                name="sex",
                kind="categorical",
                column="SEX",
                role="protected",
                categories=("1", "NO"),
                category_labels=("male", "not known"),
            ),
        ),
    )
    assert dump_contract(contract) == (
        "solution: credit-scoring\n"
        "name: cards\n"
        "id: ID\n"
        "targets:\n"
        "  default:\n"
        "    column: DEFAULT\n"
        "    kind: binary\n"
        "    positive: 1\n"
        "    favourable: 0\n"
        "decision: {target: default, cut: 0.5}\n"
        "fields:\n"
        "  limit:\n"
        "    column: LIMIT_BAL\n"
        "    kind: numeric\n"
        "    bounds: [10000, 1000000]\n"
        "    scale: log\n"
        "    unit: NT$\n"
        "  sex:\n"
        "    column: SEX\n"
        "    kind: categorical\n"
        "    role: protected\n"
        '    categories: {1: male, "NO": not known}\n'
    )


def test_the_digest_changes_with_any_value_and_with_nothing_else():
    text = "solution: s\nname: n\nfields:\n  a: {column: A, kind: numeric, bounds: [0, 1]}\n"
    contract = parse_contract(text)
    other = parse_contract("# why\n" + text.replace("[0, 1]", "[0.0, 1.0]"))
    assert contract_digest(contract) == contract_digest(other)
    assert contract_digest(contract).startswith("sha256:")
    assert len(contract_digest(contract)) == 7 + 64
    changed = dataclasses.replace(contract, licence="MIT")
    assert contract_digest(changed) != contract_digest(contract)
