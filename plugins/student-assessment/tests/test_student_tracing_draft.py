"""Drafts of contracts for knowledge-tracing, from a stranger's log of answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verticals.cli.main import run
from verticals.contract import bind, draft_contract, parse_contract, resolve, unreviewed
from verticals.contract.profile import profile
from verticals.data import read_table, write_table
from verticals.errors import ContractError
from verticals.table import Table
from verticals_student_assessment.tracing import draft as draft_module
from verticals_student_assessment.tracing.draft import refine
from verticals_student_assessment.tracing.draft_skills import in_order, separated
from verticals_student_assessment.tracing.features import tracing_features
from verticals_student_assessment.tracing.log_columns import find_columns, is_known_after
from verticals_student_assessment.tracing.roles import roles_of

SKILLS = ("adding", "taking away", "sharing")


def objects(values):
    return np.array(list(values), dtype=object)


def moments(rows):
    start = np.datetime64("2024-02-01T08:00:00")
    return objects(str(start + np.timedelta64(60 * n, "s")).replace("T", " ") for n in range(rows))


def plain(rows=600, students=40, items=30, seed=1):
    """Return a log of one row an answer, with an id for each, as many tools keep it."""
    random = np.random.default_rng(seed)
    who, what = random.integers(0, students, rows), random.integers(0, items, rows)
    chance = 1 / (
        1 + np.exp(-(np.linspace(-1, 1, students)[who] + np.linspace(1, -1, items)[what]))
    )
    return Table(
        {
            "order_id": np.arange(rows) + 5000,
            "user_id": who + 100,
            "problem_id": what + 900,
            "skill": objects(SKILLS[n % 3] for n in what),
            "correct": (random.random(rows) < chance).astype(np.int64),
            "start_time": moments(rows),
            "hint_count": random.integers(0, 4, rows),
            "ms_first_response": random.integers(900, 99_000, rows),
        }
    )


def tagged(rows=600):
    """Return a log whose rows have several tags and no id, under other names."""
    log = plain(rows, seed=2)
    tags = {0: "t1", 1: "t2", 2: "t1;t2", 3: "t3", 4: "t2;t3"}
    return Table(
        {
            "student": objects(f"s{n}" for n in log["user_id"]),
            "question": objects(f"q{n}" for n in log["problem_id"]),
            "tags": objects(tags[n % 5] for n in log["problem_id"]),
            "answered_at": log["start_time"],
            "is_correct": objects(log["correct"] == 1),
            "elapsed_time": log["ms_first_response"] / 10,
            "interaction": objects(f"x{n}" for n in range(rows)),
        }
    )


def one_row_a_skill(rows=400):
    """Return a log in which every second answer stands in two rows, one a skill."""
    log = plain(rows, seed=3)
    index = np.sort(np.concatenate([np.arange(rows), np.arange(0, rows, 2)]))
    second = np.append(False, index[1:] == index[:-1])
    taken = log.take(index)
    return Table(
        {
            "row_id": np.arange(len(index)),
            "pupil": taken["user_id"],
            "log_id": taken["order_id"],
            "exercise": taken["problem_id"],
            "kc": objects("reading" if twice else "counting" for twice in second),
            "outcome": objects("right" if n else "wrong" for n in taken["correct"]),
            "timestamp": taken["start_time"],
        }
    )


LOGS = {"plain": plain, "tagged": tagged, "one row a skill": one_row_a_skill}


def drafted(raw):
    draft = draft_contract(raw, solution="knowledge-tracing", name="log", refine=refine)
    return draft, parse_contract(draft.text)


def without(raw, *names):
    return Table({name: raw[name] for name in raw if name not in names})


def said(findings, *texts):
    return [line for line in findings if all(text in line for text in texts)]


def test_a_log_with_an_id_has_all_its_parts():
    raw = plain()
    draft, contract = drafted(raw)
    roles = roles_of(contract)
    assert (contract.id, contract.group, contract.time) == ("order_id", "user_id", "start_time")
    assert [entity.column for entity in contract.entities] == ["user_id", "order_id"]
    assert all(entity.owned for entity in contract.entities)
    assert (roles.cap, roles.recent) == (500, 50)
    assert roles.items == tuple(str(900 + n) for n in range(30))
    assert roles.skills == tuple(sorted(SKILLS))
    target = contract.target("right")
    assert (target.column, target.positive, target.negative) == ("correct", "1", "0")
    assert target.favourable == "1"
    assert contract.decision is not None
    assert contract.decision.cut == 0.5
    assert {field.name for field in contract.inputs} == {"item", "skills"}
    assert said(draft.findings, "'hint_count' is known only with the answer")
    assert said(draft.findings, "'ms_first_response' is known only with the answer")
    assert not said(draft.findings, "declare")


def test_guesses_and_what_was_read_are_marked():
    draft, contract = drafted(plain())
    assert unreviewed(contract) == (
        "item.categories",
        "skills.settings",
    )  # private training refuses
    assert "  student:  # a guess: check it" in draft.text
    assert "  interaction:  # a guess: check it" in draft.text
    assert "  item:  # a guess: check it" in draft.text
    settings_line = next(line for line in draft.text.splitlines() if "settings:" in line)
    assert settings_line.endswith("# read from the data")


def test_several_tags_in_one_value_and_other_names():
    draft, contract = drafted(tagged())
    roles = roles_of(contract)
    assert (contract.group, contract.time, contract.id) == ("student", "answered_at", "interaction")
    assert (roles.separator, roles.skills) == (";", ("t1", "t2", "t3"))
    assert roles.skill_codes("t2;t3") == (1, 2)
    assert contract.target("right").positive == "true"
    assert contract.field("elapsed_time").role == "ignore"
    assert said(draft.findings, "'tags' is taken as the skills", "parted by ';'")


def test_an_answer_in_several_rows_is_no_id():
    raw = one_row_a_skill()
    _, contract = drafted(raw)
    assert contract.entity("interaction").column == "log_id"
    assert contract.id == "row_id"
    assert contract.target("right").positive == "right"
    _, contract = drafted(without(raw, "row_id"))
    assert contract.entity("interaction").column == "log_id"
    assert contract.id == ""


@pytest.mark.parametrize("name", LOGS)
def test_a_draft_binds_and_derives(name):
    raw = LOGS[name]()
    _, contract = drafted(raw)
    bound = bind(resolve(contract, list(raw)), raw)
    assert not [note for note in bound.notes if note.kind == "undeclared"]
    assert tracing_features(contract).batch(bound.table).rows == raw.rows


@pytest.mark.parametrize("name", LOGS)
def test_a_draft_trains_as_it_is(name, tmp_path):
    write_table(tmp_path / "log.csv", LOGS[name](300))
    data, contract = str(tmp_path / "log.csv"), str(tmp_path / "c.yaml")
    call = ["contract", "draft", data, "--solution", "knowledge-tracing", "--out", contract]
    assert run(call) == 0
    assert run(["contract", "check", contract, "--data", data]) == 0
    call = ["train", "knowledge-tracing", "--contract", contract, "--data", data, "--device", "cpu"]
    quick = ["--option", "epochs=1", "--option", "least_steps=5", "--option", "bins=3"]
    assert run([*call, "--no-privacy", *quick, "--out", str(tmp_path / "model")]) == 0
    private = [*call, "--epsilon", "3", "--out", str(tmp_path / "private")]
    assert run(private) == 2  # what was read from the data is not reviewed


def test_a_file_is_drafted_as_the_table_is(tmp_path):
    write_table(tmp_path / "log.csv", tagged())
    _, from_file = drafted(read_table(tmp_path / "log.csv").table)
    _, from_table = drafted(tagged())
    assert from_file == from_table


def test_no_id_of_answers_is_made_up():
    draft, contract = drafted(without(plain(), "order_id"))
    assert [entity.name for entity in contract.entities] == ["student"]
    (line,) = said(draft.findings, "declare entities: {interaction:")
    assert "together tell the rows apart" in line


def test_an_attempt_that_holds_many_answers_is_no_interaction():
    raw = without(plain(), "order_id")
    draft, contract = drafted(Table({**raw, "attempt_id": raw["user_id"] * 7}))
    assert [entity.name for entity in contract.entities] == ["student"]
    assert said(draft.findings, "'attempt_id' has gaps, or stands with several")


def test_rows_that_may_be_one_answer_are_counted():
    raw = one_row_a_skill()
    draft, contract = drafted(without(raw, "log_id"))
    assert contract.entity("interaction").column == "row_id"
    assert said(draft.findings, "200 row(s) share student, time and item")
    draft, _ = drafted(raw)
    assert not said(draft.findings, "row(s) share student")


def test_an_order_is_no_time():
    draft, contract = drafted(without(plain(), "start_time"))
    assert contract.time == ""
    assert contract.entity("student").history is None
    assert said(draft.findings, "'order_id' may order the answers, but is no time", "time: COLUMN")


def test_a_time_in_numbers_is_told_and_not_read():
    raw = without(plain(), "start_time")
    epoch = 1_700_000_000_000 + np.arange(raw.rows) * 1000
    draft, contract = drafted(Table({**raw, "timestamp": epoch}))
    assert contract.time == ""
    assert contract.field("timestamp").role == "ignore"
    assert said(draft.findings, "'timestamp' holds no ISO 8601 times")


def test_of_two_times_the_start_is_the_time():
    raw = plain()
    draft, contract = drafted(Table({**raw, "end_time": raw["start_time"]}))
    assert contract.time == "start_time"
    assert contract.field("end_time").role == "ignore"
    odd = without(raw, "start_time")
    two = {"created_at": raw["start_time"], "updated_at": raw["start_time"]}
    draft, contract = drafted(Table({**odd, **two}))
    assert contract.time == ""
    assert said(draft.findings, "'created_at', 'updated_at' are times")


def test_without_skills_a_column_of_the_items_is_named():
    raw = without(plain(), "skill")
    draft, contract = drafted(raw)
    assert not [field for field in contract.fields if field.name == "skills"]
    assert said(draft.findings, "a copy of the item's column will do", "settings: {separator")
    chapter = objects(f"u{n % 4}" for n in raw["problem_id"])
    draft, contract = drafted(Table({**raw, "chapter": chapter}))
    assert said(draft.findings, "'chapter' has one value for each item")
    assert contract.field("chapter").role == "feature"


def test_what_is_missing_is_told():
    raw = plain()
    for name, declare in (
        ("user_id", "declare group:"),
        ("problem_id", "declare fields: {item:"),
        ("correct", "declare targets: {right:"),
    ):
        draft, contract = drafted(without(raw, name))
        assert said(draft.findings, declare), name
        assert contract.solution == "knowledge-tracing"


def test_a_partial_score_is_no_right_answer():
    raw = plain()
    draft, contract = drafted(
        Table({**raw, "correct": raw["correct"] * 0.75 + 0.1 * (raw["hint_count"] == 2)})
    )
    assert not [target for target in contract.targets if target.name == "right"]
    assert said(draft.findings, "'correct' has not two values")


def test_a_group_of_another_name_gives_way_to_the_student():
    raw = plain()
    draft, contract = drafted(
        Table({"student_class_id": raw["user_id"] // 10, **raw, "User": raw["user_id"]})
    )
    assert contract.group == "user_id"
    assert contract.field("user").role == "ignore"
    assert said(draft.findings, "'user_id' is taken as the group")


def test_names_of_parts_and_derived_fields_are_left_free():
    raw = plain()
    table = {
        **raw,
        "item_right": raw["user_id"] % 7 / 3,
        "right": objects("lr"[n % 2] for n in raw["user_id"]),
    }
    _, contract = drafted(Table(table))
    assert roles_of(contract).target == "right"
    assert contract.target("right").column == "correct"
    assert {field.column: field.name for field in contract.fields}["item_right"] != "item_right"
    tracing_features(contract)


def test_a_guessed_target_that_is_none_is_left_out():
    raw = plain()
    log = without(raw, "correct", "ms_first_response")
    school = objects("abc"[n % 3] for n in raw["user_id"])
    draft, contract = drafted(Table({**log, "class": school, "right": raw["correct"]}))
    assert [target.column for target in contract.targets] == ["right"]
    assert contract.field("class").role == "ignore"
    assert said(draft.findings, "'class' is not the target of a log")


def test_a_leak_is_left_out_where_the_target_is_new():
    raw = plain()
    marks = objects("full" if n else "none" for n in raw["correct"])
    draft, contract = drafted(
        Table({**without(raw, "correct"), "right": raw["correct"], "band": marks})
    )
    assert contract.field("band").role == "ignore"
    assert said(draft.findings, "'band' looks like a leak")


def test_of_many_items_the_most_frequent_are_listed(monkeypatch):
    monkeypatch.setattr(draft_module, "MOST_ITEMS", 12)
    draft, contract = drafted(plain())
    assert len(contract.field("item").categories) == 12
    assert said(draft.findings, "12 categories", "the most frequent of 30")


def test_more_items_than_a_category_has():
    _, contract = drafted(plain(rows=4000, items=1500))
    assert len(contract.field("item").categories) > 1000


def test_too_many_skills_are_not_listed(monkeypatch):
    monkeypatch.setattr(draft_module, "MOST_SKILLS_LISTED", 2)
    draft, contract = drafted(plain())
    assert not [field for field in contract.fields if field.settings]
    assert said(draft.findings, "'skill' has no skills that a contract can list")


def test_a_name_of_skills_goes_before_their_id():
    raw = plain()
    ids = np.array([SKILLS.index(name) for name in raw["skill"]])
    table = {"skill_id": ids, **without(raw, "skill"), "skill_name": raw["skill"]}
    _, contract = drafted(Table(table))
    assert contract.field("skills").column == "skill_name"
    assert contract.field("skill_id").role == "ignore"


@pytest.mark.parametrize(
    ("texts", "sign", "skills"),
    [
        (("a", "b", "a;b"), ";", ("a", "b")),
        (("a~~b", "b~~c", "a"), "~~", ("a", "b", "c")),
        (("1|2", "2", "10", "1"), "|", ("1", "2", "10")),
        (("a,b", "b,c", "c"), ",", ("a", "b", "c")),
        (
            ("Area, circle", "Angles, right", "Ratio"),
            ";",
            ("Angles, right", "Area, circle", "Ratio"),
        ),
        (("x;y", "z"), "~~", ("x;y", "z")),
        (("p;q", "r~~s", "t|u", "v,w", ";;;;"), ";;;;;", (";;;;", "p;q", "r~~s", "t|u", "v,w")),
        ((), ";", ()),
    ],
)
def test_a_separator_makes_parts_that_come_again(texts, sign, skills):
    assert separated(texts) == (sign, skills)


@given(st.lists(st.text("a;~|, \t1-.", max_size=6).map(str.strip).filter(bool), unique=True))
def test_no_skill_holds_the_separator(texts):
    sign, skills = separated(tuple(texts))
    assert not [name for name in skills if sign in name]
    assert sign.strip()
    assert in_order(skills) == skills


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("attempt_count", True),
        ("attempts", True),
        ("elapsed_time", True),
        ("time_taken", True),
        ("duration", True),
        ("response_time", True),
        ("user_answer", True),
        ("answer_text", True),
        ("first_action", True),
        ("score", True),
        ("seconds", True),
        ("opportunity", False),
        ("prior_question_elapsed_time", False),
        ("correct_answer", False),
        ("answer_type", False),
        ("time_limit", False),
        ("study_time", False),
        ("difficulty", False),
    ],
)
def test_what_is_known_only_with_the_answer(name, known):
    column = profile(name, np.arange(20) % 7)
    assert is_known_after(column) is known


def test_parts_are_found_under_other_names():
    raw = plain()
    for names in (
        ("Anon Student Id", "Problem Name", "KC (Default)", "Is Correct", "First Transaction Time"),
        ("studentid", "itemid", "KCs", "answered_correctly", "submitted_at"),
        ("learnerId", "TaskID", "Concept", "isCorrect", "DateTime"),
        ("child", "exercise_no", "standard", "item_score", "question_time"),
    ):
        old = ("user_id", "problem_id", "skill", "correct", "start_time")
        table = Table(
            {"order_id": raw["order_id"], **{n: raw[o] for n, o in zip(names, old, strict=True)}}
        )
        _, contract = drafted(table)
        found = find_columns(contract, table, {name: profile(name, table[name]) for name in table})
        assert (found.student, found.item, found.skills) == names[:3]
        assert contract.target("right").column == names[3]
        assert contract.time == names[4]
        roles_of(contract)


def test_a_table_of_something_else_is_left_as_it_is():
    random = np.random.default_rng(0)
    raw = Table(
        {"height": random.normal(size=60), "colour": objects(random.choice(["r", "g"], 60))}
    )
    draft, contract = drafted(raw)
    assert [field.name for field in contract.fields] == ["height", "colour"]
    assert not contract.entities
    assert len(said(draft.findings, "declare")) == 6


def test_a_table_of_nothing_but_parts_keeps_its_draft():
    raw = plain()
    draft, contract = drafted(Table({"user_id": raw["user_id"], "right": raw["correct"]}))
    assert contract.fields
    assert said(draft.findings, "declare fields: {item:")


NAMES = (
    *("id", "user_id", "student", "item", "problem_id", "skill", "skills", "tags", "correct"),
    *("right", "score", "attempt_id", "order", "time", "timestamp", "answer", "class", "x"),
    *("item_right", "response", "child"),
)
CELLS = st.sampled_from(
    ["", "a", "b", "a;b", "1", "0", "2.5", "NA", "true", "2024-01-01 10:00:00", None, 1, 0, 2.5]
)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_no_table_is_too_odd(data):
    names = data.draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1, max_size=7))
    rows = data.draw(st.integers(1, 14))
    raw = Table(
        {name: objects(data.draw(st.lists(CELLS, min_size=rows, max_size=rows))) for name in names}
    )
    draft, contract = drafted(raw)
    assert draft.findings
    try:
        bind(parse_contract(draft_contract(raw).text), raw)
    except ContractError:
        return  # the general draft does not fit these rows either
    bind(contract, raw)
