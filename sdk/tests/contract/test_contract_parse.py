from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verticals.contract import Decision, parse_contract, read_contract
from verticals.errors import ContractError

DESIGN = """\
solution: credit-scoring
name: taiwan-cards
id: customer_id
group: null
time: null
targets:
  default: {column: default, kind: binary, positive: 1, favourable: 0, meaning: defaults}
decision: {target: default, cut: 0.5}
fields:
  limit:     {column: LIMIT_BAL, kind: numeric, bounds: [10000, 1000000], scale: log,
              monotone: decreasing, label: Credit limit, unit: NT$}
  education: {column: EDUCATION, kind: categorical, categories: [1, 2, 3, 4], missing: [0, 5, 6]}
  sex:       {column: SEX, role: protected, kind: categorical, categories: {1: male, 2: female}}
  age:       {column: AGE, role: protected, kind: numeric, bounds: [18, 100], bands: [25, 40, 62]}
  site:      {column: hospital, role: stratum, kind: categorical, categories: [A, B, NO]}
  photo:     {column: path, kind: image, size: [224, 224]}
  essay:     {column: text, kind: text}
  items:     {columns: "Q*", role: item, kind: ordinal, levels: [0, 1]}
"""
SMALL = """\
solution: s
name: n
fields:
  age: {column: AGE, kind: numeric, bounds: [0, 1]}
"""


def refusal(text: str) -> ContractError:
    with pytest.raises(ContractError) as caught:
        parse_contract(text, source="c.yaml")
    assert caught.value.hint
    assert "\n" not in caught.value.message
    return caught.value


def small(field: str) -> str:
    return f"solution: s\nname: n\nfields:\n  age: {field}\n"


def test_the_contract_of_the_design_is_read_whole():
    contract = parse_contract(DESIGN)
    assert (contract.solution, contract.id, contract.group) == (
        "credit-scoring",
        "customer_id",
        "",
    )
    assert contract.decision == Decision(target="default", cut=0.5)
    target = contract.target("default")
    assert (target.positive, target.negative, target.favourable) == ("1", "", "0")
    limit = contract.field("limit")
    assert limit.bounds == (10000.0, 1000000.0)
    assert (limit.scale, limit.monotone, limit.title, limit.unit) == (
        "log",
        "decreasing",
        "Credit limit",
        "NT$",
    )
    assert contract.field("education").missing == ("0", "5", "6")
    assert contract.field("sex").categories == ("1", "2")
    assert contract.field("sex").category_labels == ("male", "female")
    assert contract.field("age").bands == (25.0, 40.0, 62.0)
    assert contract.field("site").categories == ("A", "B", "NO")
    assert contract.field("photo").size == (224, 224)
    assert contract.field("items").columns == ("Q*",)
    assert [field.name for field in contract.inputs] == [
        "limit",
        "education",
        "photo",
        "essay",
        "items",
    ]
    assert [field.name for field in contract.audited] == ["sex", "age", "site"]


def test_values_are_canonical_text_and_no_stays_text():
    contract = parse_contract(
        small('{column: A, kind: categorical, categories: [1.0, NO, True, "02", 03, yes, 1e3]}')
    )
    assert contract.fields[0].categories == ("1", "NO", "true", "02", "03", "yes", "1e3")


def test_a_category_without_label_keeps_its_value_as_label():
    contract = parse_contract(small("{column: A, kind: categorical, categories: {1: one, 2: }}"))
    assert contract.fields[0].category_labels == ("one", "2")


def test_an_ignored_field_needs_no_kind():
    contract = parse_contract(SMALL + "  memo: {column: MEMO, role: ignore}\n")
    assert contract.field("memo").kind == "text"


def test_derived_fields_settings_and_backgrounds_are_read():
    contract = parse_contract(
        SMALL
        + "  speed:\n    kind: numeric\n    bounds: [0, 9]\n    reads: ['@group']\n"
        + "    background: {1: 0.5, 2: 0.5}\n"
        + "    settings: {a: [1, 2.5, null, true, x], b: {c: '1'}}\n"
    )
    field = contract.field("speed")
    assert field.reads == ("@group",)
    assert dict(field.background) == {"1": 0.5, "2": 0.5}
    assert dict(field.settings) == {"a": [1, 2.5, None, True, "x"], "b": {"c": "1"}}


def test_every_violation_is_listed_with_line_key_value_and_what_was_expected():
    text = (
        DESIGN.replace("kind: text", "kind: txt")
        .replace("[18, 100]", "[100, 18]")
        .replace("target: default, cut: 0.5", "target: defualt, cut: 0.5")
    )
    error = refusal(text)
    assert error.violations == (
        "line 8, decision.target: is 'defualt', expected a target: default",
        "line 14, fields.age.bounds: is [100, 18], which is upside down: expected lower < upper",
        "line 17, fields.essay.kind: is txt, the nearest is 'text', expected one of numeric, "
        "categorical, boolean, ordinal, time, text, image, sequence",
    )
    assert error.message == f"c.yaml {error.violations[0]} (and 2 more)"


def test_an_unknown_key_names_the_nearest_known_one_and_hides_no_other_violation():
    error = refusal(small("{column: A, kind: numeric, bound: [0, 1], monotone: up}"))
    assert len(error.violations) == 2
    assert error.violations[0].startswith("line 4, fields.age.bound: is an unknown key")
    assert "'bounds'" in error.violations[0]
    assert "monotone: is up" in error.violations[1]


def test_duplicate_keys_are_errors_at_every_level():
    text = DESIGN.replace("name: taiwan-cards", "name: a\nname: b")
    text = text.replace("role: stratum", "role: stratum, role: item")
    text += "  essay: {column: other, kind: text}\n"
    lines = [violation.split(":")[0] for violation in refusal(text).violations]
    assert lines == ["line 3, name", "line 16, fields.site.role", "line 20, fields.essay"]
    assert "is given twice, first in line 2" in refusal(text).violations[0]


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("{column: A, kind: numeric, bounds: [0, .inf]}", "bounds: is .inf, expected a finite"),
        ("{column: A, kind: numeric, bounds: [0, .nan]}", "bounds: is .nan, expected a finite"),
        ("{column: A, kind: numeric, bounds: [0, 1e999]}", "expected a finite number"),
        ("{column: A, kind: numeric, bounds: [0]}", "is [0], expected [lower, upper]"),
        ("{column: A, kind: numeric, bounds: 5}", "bounds: is 5, expected a list"),
        ("{column: A, kind: numeric, bounds: ['0', 1]}", "is '0', expected a number"),
        ("{column: A, kind: numeric, bounds: {a: 1}}", "is a map, expected a list"),
        ("{column: [A], kind: text}", "column: is [A], expected a text"),
        ("{column: A, kind: image, size: [2.5, 2]}", "size: is 2.5, expected a whole number"),
        (
            "{column: A, kind: boolean, role: protected, also_feature: yes}",
            "is yes, expected true or false",
        ),
        ("{column: A, kind: categorical, categories: a}", "categories: is a, expected a list"),
        ("{column: A, kind: numerical}", "kind: is numerical, the nearest is 'numeric'"),
        ("{column: A, kind: text, settings: 3}", "settings: is 3, expected a map"),
        ("{column: A, kind: text, settings: {a: 1, a: 2}}", "settings: names a key twice"),
        ("{column: A, kind: text, settings: {a: .nan}}", "expected a finite number"),
        ("{column: A, kind: text, background: {a: b}}", "background: is b, expected a number"),
        ("{column: A, kind: text, background: {1: 1, 1.0: 2}}", "names a value twice"),
        ("{column: A, kind: text, [a]: 2}", "has [a] as a key, expected a text"),
        ("{kind: text}", "age.column: is missing"),
        ("3", "fields.age: is 3, expected a map"),
        ("", "fields.age: is empty, expected a map"),
    ],
)
def test_a_value_of_the_wrong_shape_is_one_violation(field, said):
    error = refusal(small(field))
    assert len(error.violations) == 1, error.violations
    assert said in error.violations[0]
    assert error.violations[0].startswith("line 4, fields.age")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "c.yaml: is empty, expected a map"),
        ("# only a comment\n", "is empty"),
        ("--- ~\n", "is empty"),
        ("[1, 2]", "line 1: is [1, 2], expected a map"),
        ("just words", "line 1: is just words, expected a map"),
        ("a: [1, 2\nb: 3\n", "is not valid YAML"),
        ("a: b: c\n", "is not valid YAML"),
        ("\ta: 1\n", "is not valid YAML"),
        ("a: \x01\n", "is not valid YAML"),
        ('a: "\\UFFFFFFFF"\n', "is not valid YAML"),
        ("name: &x 1\n", "anchor or an alias"),
        ("name: *x\n", "anchor or an alias"),
        ("name: !!python/object:os.system x\n", "uses the tag"),
        ("a: 1\n---\nb: 2\n", "holds a second document"),
        ("a: " + "[" * 100 + "]" * 100, "nested deeper than"),
        ("a: " + "[" * 50_000, "nested deeper than"),
        ("x" * ((1 << 20) + 1), "characters, expected at most"),
    ],
)
def test_text_that_is_no_contract_is_one_clear_error(text, said):
    error = refusal(text)
    assert said in error.message
    assert len(error.violations) == 1


def test_syntax_errors_name_their_line():
    assert refusal("solution: s\nname: 'open\n").message.startswith("c.yaml line 3: is not valid")


@settings(deadline=None, max_examples=150)
@given(st.text(alphabet="ab:[]{}&*!|>%@`'\"\\#,-?~ \n\t\x00é1.", max_size=40))
def test_no_text_ends_in_anything_but_a_contract_error(text):
    with pytest.raises(ContractError):
        parse_contract(text)


@settings(deadline=None, max_examples=100)
@given(st.integers(0, len(DESIGN) - 1), st.sampled_from(":[]{}'\"\n -#0é\x00"))
def test_a_changed_character_gives_a_contract_or_a_contract_error(place, character):
    text = DESIGN[:place] + character + DESIGN[place + 1 :]
    try:
        found = parse_contract(text).fields
    except ContractError as error:
        found = error.violations
    assert found


def test_files_are_read_with_or_without_a_byte_order_mark(tmp_path):
    path = tmp_path / "contract.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + DESIGN.replace("\n", "\r\n").encode())
    assert read_contract(path) == parse_contract(DESIGN)


def test_files_that_cannot_be_read_are_clear_errors(tmp_path):
    with pytest.raises(ContractError, match="does not exist") as caught:
        read_contract(tmp_path / "none.yaml")
    assert "contract draft" in caught.value.hint
    with pytest.raises(ContractError, match="cannot be read"):
        read_contract(tmp_path)
    path = tmp_path / "gbk.yaml"
    path.write_bytes("name: 信用\n".encode("gbk"))
    with pytest.raises(ContractError, match=r"gbk.yaml: is not UTF-8: byte 6 is 0xd0"):
        read_contract(path)


def test_a_wide_contract_is_read_within_seconds():
    fields = "".join(
        f"  f{n}: {{column: A{n}, kind: categorical, categories: [1, 2]}}\n" for n in range(300)
    )
    begin = time.process_time()
    contract = parse_contract(f"solution: s\nname: n\nfields:\n{fields}")
    assert len(contract.fields) == 300
    assert time.process_time() - begin < 5
