"""The solution item-response: demo, fit, load, scores, evidence, refusals."""

import json

import numpy as np
import pytest

import verticals
from verticals.contract import bind, group_of, parse_contract, resolve
from verticals.contract.model import MISSING
from verticals.errors import BundleError, CallError, ContractError, DataError, PrivacyError
from verticals.plugin import Setup
from verticals.table import Table
from verticals_student_assessment.items import evidence as measured
from verticals_student_assessment.items.demo import PLANTED, demo, simulate
from verticals_student_assessment.items.info import SOLUTION as INFO
from verticals_student_assessment.items.irt import score_persons
from verticals_student_assessment.items.small_counts import told_groups, told_persons
from verticals_student_assessment.items.solution import SOLUTION, fit_notes


@pytest.fixture(scope="module")
def shipped():
    contract, raw = demo()
    contract = resolve(contract, list(raw))
    return contract, bind(contract, raw).table


@pytest.fixture(scope="module")
def parts(shipped):
    table = shipped[1]
    nothing = table.take(slice(0, 0))
    train, test = table.take(slice(0, 1400)), table.take(slice(1400, None))
    return {"train": train, "validate": nothing, "calibrate": nothing, "test": test}


def setup_of(contract, **options):
    return Setup(contract=contract, options=options, device="cpu")


@pytest.fixture(scope="module")
def model(shipped, parts):
    return SOLUTION.fit(parts, setup_of(shipped[0]))


@pytest.fixture(scope="module")
def tables(model, parts):
    return SOLUTION.evidence(model, parts)


def test_demo_is_simulated_and_repeats(shipped):
    contract, table = shipped
    assert table.rows == 2000
    assert "simulated" in contract.source
    assert table["questions"].shape == (2000, 36)
    assert table["tasks"].shape == (2000, 4)
    again = simulate()[0]
    assert all(np.array_equal(again[name], demo()[1][name]) for name in again)
    assert (table["questions"] == MISSING).any()


def test_recovers_the_truth_of_the_demo(model, shipped):
    truth = simulate()[1]
    free = [n for n, name in enumerate(truth.names) if name not in {row[0] for row in PLANTED}]
    assert np.corrcoef(model.bank.slopes[free], truth.slopes[free])[0, 1] > 0.9
    steps = np.where(np.isfinite(truth.intercepts), truth.intercepts, np.nan)
    mine = np.where(np.isfinite(steps), model.bank.intercepts, np.nan)
    # The demo's population has mean −0.15: intercepts shift by as much, in each item's slope.
    gap = mine[free] - steps[free] + 0.15 * truth.slopes[free, None]
    assert np.nanstd(gap) < 0.15
    scored = model.predict(shipped[1])["ability"]
    assert np.corrcoef(scored, truth.ability)[0, 1] > 0.94


def test_planted_dif_is_there(shipped):
    """Among students of like ability, the planted question is harder for its group."""
    table, truth = simulate(40_000)
    for name, field, group, size in PLANTED:
        near = (np.abs(truth.ability) < 0.25) & (table[name] != 9)
        shares = [
            table[name][near & (table[field] == own)].mean()
            for own in dict.fromkeys([group, *table[field]])
        ]
        odds = np.log(np.array(shares) / (1 - np.array(shares)))
        assert odds[1] - odds[0] == pytest.approx(size, abs=0.25)


def test_outputs_follow_the_contract(model, shipped, parts):
    contract, _ = shipped
    outputs = SOLUTION.outputs(contract)
    names = ["ability", "ability_se", "answered", "level", "uncertain"]
    assert [item.name for item in outputs] == names
    scored = model.predict(parts["test"])
    assert list(scored) == names
    level = (scored["ability"][:, None] >= [-0.6, 0.6]).sum(axis=1)
    assert np.array_equal(scored["level"], level)
    near = np.abs(scored["ability"][:, None] - [-0.6, 0.6]).min(axis=1)
    assert np.array_equal(
        scored["uncertain"] == 1, near <= 1.959963984540054 * scored["ability_se"]
    )
    without = parse_contract(
        "solution: item-response\nname: t\nfields:\n"
        "  q: {columns: 'Q*', role: item, kind: ordinal, levels: [0, 1]}\n"
    )
    assert [item.name for item in SOLUTION.outputs(without)] == names[:3]


def test_nobody_is_placed_by_the_prior_alone(model, parts):
    few = parts["test"].take(slice(0, 60))
    blank = {name: np.array(few[name]) for name in ("questions", "tasks")}
    for codes in blank.values():
        codes[:20] = MISSING
    few = few.with_columns(blank)
    scored = model.predict(few)
    assert (scored["answered"][:20] == 0).all()
    assert np.isfinite(scored["ability"]).all()
    assert np.isnan(scored["level"][:20]).all()
    assert np.isfinite(scored["level"][20:]).all()
    assert (scored["uncertain"][:20] == 1).all()
    tables = SOLUTION.evidence(model, {"test": few})
    whole = tables["items.reliability"]["attribute"] == ""
    empirical = whole & (tables["items.reliability"]["coefficient"] == "empirical")
    assert tables["items.reliability"]["persons"][empirical].tolist() == [40]
    cuts = tables["items.classification"]
    assert set(cuts["persons"][cuts["attribute"] == ""]) == {40}


def test_comes_back_from_its_state_and_holds_no_rows(model, shipped, parts):
    contract, table = shipped
    state = model.state()
    json.dumps(dict(state.settings), allow_nan=False)
    for name, tensor in state.tensors.items():
        assert np.isfinite(tensor).all(), name
        assert table.rows not in tensor.shape
        assert 1400 not in tensor.shape
    again = SOLUTION.load(state, setup_of(contract))
    for name, column in model.predict(parts["test"]).items():
        assert np.array_equal(column, again.predict(parts["test"])[name], equal_nan=True)
    fewer = {**state.settings, "items": ["Q99", *state.settings["items"][1:]]}
    with pytest.raises(BundleError, match="'Q99' that the contract does not name"):
        SOLUTION.load(type(state)(tensors=state.tensors, settings=fewer), setup_of(contract))


def test_new_students_with_a_part_of_the_items(model, parts):
    few = parts["test"].take(slice(0, 50))
    part = np.array(few["questions"])
    part[:, 10:] = MISSING
    scored = model.predict(few.with_columns({"questions": part}))
    whole = model.predict(few)
    assert np.isfinite(scored["ability"]).all()
    assert (scored["ability_se"] > whole["ability_se"]).all()
    assert (scored["answered"] <= 14).all()


def test_options_are_heard(shipped, parts):
    contract, _ = shipped
    one = SOLUTION.fit(parts, setup_of(contract, model="1PL", scoring="WLE", omitted="wrong"))
    assert len(np.unique(one.bank.slopes)) == 1
    assert one.settings.scoring == "WLE"
    blank = parts["test"].take([0, 1])
    none = {
        "questions": np.full((2, 36), MISSING, dtype=np.int32),
        "tasks": np.full((2, 4), MISSING, dtype=np.int32),
    }
    scored = one.predict(blank.with_columns(none))
    assert np.isnan(scored["ability"]).all()
    assert np.isnan(scored["level"]).all()
    assert scored["uncertain"].tolist() == [1.0, 1.0]
    assert scored["answered"].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"guessing_prior": "much"}, "option guessing_prior is 'much'"),
        ({"points": "many"}, "option points is 'many'"),
        ({"points": True}, "option points is -1"),
        ({"not_reached": "right"}, "option not_reached is 'right'"),
    ],
)
def test_refuses_options(shipped, parts, options, message):
    with pytest.raises(CallError, match=message):
        SOLUTION.fit(parts, setup_of(shipped[0], **options))


def test_private_training_is_refused(shipped, parts, tmp_path):
    assert "private" not in INFO.offers
    with pytest.raises(PrivacyError, match="no private training") as caught:
        SOLUTION.fit(parts, Setup(contract=shipped[0], epsilon=3.0))
    assert "--no-privacy" in caught.value.hint
    with pytest.raises(PrivacyError, match="does not offer private training"):
        verticals.train("item-response", out=tmp_path / "b", epsilon=3.0)
    assert not (tmp_path / "b").exists()


def test_degenerate_items_are_dropped_and_noted(shipped, parts):
    contract, _ = shipped
    odd = np.array(parts["train"]["questions"])
    odd[:, 0], odd[:, 1] = 1, MISSING
    train = parts["train"].with_columns({"questions": odd})
    model = SOLUTION.fit({**parts, "train": train}, setup_of(contract))
    assert "Q01" not in model.bank.names
    assert "item 'Q01' is dropped: all answers are right" in model.notes
    assert "item 'Q02' is dropped: nobody answered it" in model.notes
    # What is left is scored by its own items.
    own = np.column_stack([parts["test"]["questions"][:, 2:], parts["test"]["tasks"]])
    expected = score_persons(model.bank, own).ability
    assert model.predict(parts["test"])["ability"] == pytest.approx(expected)
    notes = SOLUTION.evidence(model, {"test": parts["test"]})["items.notes"]["note"]
    assert any("Q01" in note for note in notes)
    odd[:] = 1
    train = train.with_columns({"questions": odd, "tasks": np.full((1400, 4), 2)})
    with pytest.raises(DataError, match="0 of 40 items can be learnt from \\('Q01' all answers"):
        SOLUTION.fit({**parts, "train": train}, setup_of(contract))


def test_answers_outside_the_categories_are_counted_not_scored(model, parts):
    few = parts["test"].take(slice(0, 60))
    odd = np.array(few["questions"])
    odd[:12, 3] = 2  # what binding gives for a value that is not declared
    odd[0] = odd[1] = MISSING
    tasks = np.array(few["tasks"])
    tasks[:2] = MISSING
    changed = few.with_columns({"questions": odd, "tasks": tasks})
    scored = model.predict(changed)
    missing = np.where(odd == 2, MISSING, odd)
    same = model.predict(changed.with_columns({"questions": missing}))
    assert np.array_equal(scored["ability"], same["ability"])
    notes = list(SOLUTION.evidence(model, {"test": changed})["items.notes"]["note"])
    assert "answers outside the declared categories, not counted: 10" in notes
    # Two students have no answer: a count below ten is not written out.
    assert any("students without any answer" in note and "fewer than 10" in note for note in notes)


def test_binding_notes_a_response_outside_its_categories(shipped):
    contract, raw = demo()
    bad = np.array(raw["Q01"])
    bad[:3] = 7
    notes = bind(contract, raw.with_columns({"Q01": bad})).notes
    assert [(note.kind, note.count) for note in notes] == [("undeclared", 3)]


def test_evidence_has_the_tables_and_no_row_for_each_person(tables, shipped):
    expected = {
        *("items.parameters", "items.responses", "items.fit", "items.information"),
        *("items.reliability", "items.classification", "items.model", "items.notes"),
        *("items.plot_curves", "items.plot_information", "items.plot_item_information"),
        *("items.dif_comparisons", "items.dif_items", "items.dif_counts", "items.plot_dif"),
    }
    assert expected <= set(tables)
    assert all(table.rows not in (600, 1400, 2000) for table in tables.values())


def test_parameters_and_their_errors_in_evidence(tables, model):
    found = tables["items.parameters"]
    bank = model.bank
    assert found["slope"] == pytest.approx(bank.slopes)
    place = 3
    where = bank.positions()[place]
    block = bank.covariance[np.ix_(where[:2], where[:2])]
    slope, step = bank.values[place, :2]
    by = np.array([step / slope**2, -1 / slope])
    assert found["threshold_1_se"][place] == pytest.approx(np.sqrt(by @ block @ by))
    assert np.isnan(found["threshold_2"][:36]).all()
    assert np.isfinite(found["threshold_3_se"][36:]).all()


def test_persons_of_a_parameter_are_those_it_was_fitted_to(tables, model, parts):
    train, everyone = parts["train"], sum(part.rows for part in parts.values())
    answered = (model.codes(train)[0] >= 0).sum(axis=0)
    told = tables["items.parameters"]["persons"]
    known = ~np.isnan(told)
    assert known.any()
    assert told[known].tolist() == answered[known].tolist()
    assert told[known].max() <= train.rows < everyone
    assert tables["items.reliability"]["persons"][0] == train.rows  # the marginal coefficient
    bank = model.bank
    codes = np.zeros((50, len(bank.names)), dtype=np.int64)
    codes[45:, 0] = codes[:5, 1] = -1  # five of the others, and five of the fit, did not answer
    told = measured.parameters_table(bank, codes[:30], among=codes)["persons"]
    assert np.isnan(told[:2]).all()
    assert set(told[2:]) == {30}


def test_small_counts_of_missing_answers_are_not_written_out(tables, model, parts):
    found = tables["items.responses"]
    assert np.isnan(found["omitted"]).any()
    shares = np.stack([found[name] for name in ("omitted", "not_reached", "undeclared")])
    counts = shares * 2000
    known = counts[~np.isnan(counts)]
    assert ((known == 0) | (known > 9.5)).all()
    assert (np.isnan(shares).sum(axis=0) % 3 == 0).all()  # all three, or none


def test_reliability_and_classification_by_group(tables):
    found = tables["items.reliability"]
    names = (found[name] for name in ("coefficient", "attribute", "group"))
    rows = set(zip(*names, strict=True))
    assert ("marginal", "", "") in rows
    assert ("empirical", "language", "other") in rows
    assert ("alpha", "sex", "male") in rows
    assert (found["estimate"] > 0.85).all()
    cuts = tables["items.classification"]
    assert set(cuts["cut"]) == {"basic (-0.6)", "proficient (0.6)"}
    assert ((cuts["accuracy"] > 0.85) & (cuts["accuracy"] < 1)).all()
    assert (cuts["consistency"] < cuts["accuracy"]).all()


def test_plots_keep_to_their_form(tables):
    columns = ["figure", "x_label", "y_label", "series", "style", "x", "y", "lower", "upper"]
    for name in ("items.plot_curves", "items.plot_information", "items.plot_item_information"):
        table = tables[name]
        assert list(table) == [*columns, "persons"]
        assert table.rows <= 4_000
        assert len(set(table["figure"])) <= 12
        lines = table["style"] == "line"
        assert (table["persons"][lines] == 0).all()
        assert np.isfinite(table["y"][lines]).all()
    points = tables["items.plot_curves"]["style"] == "points"
    assert (tables["items.plot_curves"]["persons"][points] >= 10).all()


def test_few_who_did_not_answer_do_not_follow_from_the_total():
    assert told_persons(np.array([100, 99, 91, 90, 0]), 100).tolist() == pytest.approx(
        [100, np.nan, np.nan, 90, 0], nan_ok=True
    )


@pytest.mark.parametrize(
    ("sizes", "rest", "told"),
    [
        ([50, 40], 0, [True, True]),
        ([50, 0, 40], 0, [True, False, True]),
        ([50, 9], 0, [False, False]),
        ([50, 9, 40], 0, [True, False, False]),
        ([50, 9, 40, 8], 0, [True, False, True, False]),
        ([50, 4, 40, 3], 0, [True, False, False, False]),
        ([50, 40], 3, [True, False]),
        ([50, 40], 30, [True, True]),
        ([50, 40, 5], 30, [True, True, False]),
    ],
)
def test_a_small_group_does_not_follow_from_the_others(sizes, rest, told):
    assert told_groups(sizes, rest) == told


def test_evidence_leaves_out_the_next_smallest_group(model, parts):
    test = parts["test"]
    language = np.array(test["language"])
    place = model.contract.audited[[f.name for f in model.contract.audited].index("language")]
    same = np.flatnonzero(group_of(place, language) == "same")
    other = np.flatnonzero(group_of(place, language) == "other")
    few = test.take(np.concatenate([same, other[:5]]))
    found = SOLUTION.evidence(model, {"test": few})["items.reliability"]
    assert "language" not in set(found["attribute"])
    assert "sex" in set(found["attribute"])


def test_new_data_alone_give_evidence_too(model, parts):
    tables = SOLUTION.evidence(model, {"test": parts["test"]})
    assert tables["items.parameters"].rows == 40
    assert np.isnan(tables["items.parameters"]["persons"]).all()  # those of the fit are elsewhere
    fitted = SOLUTION.evidence(model, parts)["items.fit"]
    assert (tables["items.fit"]["persons"] < fitted["persons"]).all()


def test_a_group_that_nobody_is_in_is_no_group(model, parts):
    fields = measured._group_fields(model.contract, parts["test"])
    assert {item.name: item.groups for item in fields} == {
        "sex": ("female", "male"),
        "language": ("same", "other"),
    }


def test_losses_are_per_answer(model, parts):
    few = parts["test"].take(slice(0, 5))
    losses = model.row_losses(few)
    assert losses.shape == (5,)
    assert ((losses > 0.2) & (losses < 1.5)).all()


def test_notes_of_a_wrong_key(shipped, parts):
    contract, _ = shipped
    odd = np.array(parts["train"]["questions"])
    odd[:, 4] = np.where(odd[:, 4] >= 0, 1 - odd[:, 4], MISSING)
    train = parts["train"].with_columns({"questions": odd})
    model = SOLUTION.fit({**parts, "train": train}, setup_of(contract))
    assert any("negative slope" in note and "'Q05'" in note for note in model.notes)


def test_items_of_another_kind_are_refused(parts):
    text = (
        "solution: item-response\nname: t\nfields:\n"
        "  q: {column: q, role: item, kind: numeric, bounds: [0, 1]}\n"
    )
    with pytest.raises(ContractError, match="field 'q' is an item of another kind"):
        SOLUTION.outputs(parse_contract(text))


def test_coarse_grids_are_noted():
    from dataclasses import replace

    from verticals_student_assessment.items.irt import FitOptions, fit_items, to_responses

    random = np.random.default_rng(0)
    ability = random.normal(size=(200, 1))
    answers = (random.random((200, 12)) < 1 / (1 + np.exp(-1.5 * ability))).astype(np.int8)
    data = to_responses(answers, [f"i{n}" for n in range(12)], 2)
    fit = fit_items(data, FitOptions(points=11, errors="none"))
    assert any("the grid is coarse" in note for note in fit_notes(fit))
    fine = fit_items(data, FitOptions(errors="none"))
    assert not fit_notes(fine)
    assert any("did not settle" in note for note in fit_notes(replace(fine, converged=False)))


def test_scores_of_a_bundle_need_the_items_only(tmp_path):
    contract, raw = demo()
    few = raw.take(slice(0, 400))
    done = verticals.train(
        "item-response", out=tmp_path / "b", contract=contract, data=few, no_privacy=True
    )
    scorer = verticals.open(done.bundle, device="cpu")
    items = [name for name in raw if name[0] in "QT"]
    scored = scorer.predict(Table({name: raw[name][:7] for name in ["student_id", *items]}))
    assert scored.rows == 7
    assert set(scored["level"]) <= {0.0, 1.0, 2.0}
