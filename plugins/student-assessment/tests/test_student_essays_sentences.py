"""Sentence attributions that add up, their deletion test, and gaming probes, on a toy model."""

import numpy as np
import pytest

from verticals.contract import DataContract, Field, Target
from verticals.errors import CallError
from verticals_student_assessment.essays.measures import sentences_of
from verticals_student_assessment.essays.probes import (
    PROBES,
    one_each,
    padded,
    probes_table,
    repeated,
    shuffled,
    strayed,
)
from verticals_student_assessment.essays.sentences import deletion_table, sentence_values

VALUES = ("1", "2", "3", "4", "5")
ESSAY = "A good one. A bad one. One more. Good good. And good. The end? Good!"


class Toy:
    """Count the word good, with less and less effect, and the words."""

    def __init__(self):
        field = Field(name="essay", kind="text", column="t")
        targets = tuple(
            Target(name=name, column=name, kind="ordinal", values=VALUES)
            for name in ("style", "length")
        )
        self.contract = DataContract(
            solution="essay-scoring", name="t", fields=(field,), targets=targets
        )

    def predict_texts(self, texts):
        good = np.array([(text or "").lower().count("good") for text in texts], dtype=float)
        words = np.array([len((text or "").split()) for text in texts], dtype=float)
        return {"style": 5 - 4 * np.exp(-good / 3), "length": 1 + np.minimum(words / 50, 4)}


def essays(count=30, seed=0):
    random = np.random.default_rng(seed)
    made = [
        " ".join(random.choice(["It is good.", "It is so.", "We ran."], 9)) for _ in range(count)
    ]
    return np.array(made, dtype=object)


@pytest.mark.parametrize("text", ["", "One.", "A good one. A bad one. Good.", ESSAY, "good " * 9])
def test_values_add_up(text):
    found = sentence_values(Toy(), text, draws=4)
    assert found.values.shape == (len(sentences_of(text)), 2)
    assert found.base + found.values.sum(axis=0) == pytest.approx(found.score)
    assert found.exact == (len(found.sentences) <= 5)


def test_exact_values_by_hand():
    found = sentence_values(Toy(), "Good. Good. Bad.")
    worth = [4 * (1 - np.exp(-count / 3)) for count in range(3)]
    assert found.values[:, 0] == pytest.approx([worth[2] / 2, worth[2] / 2, 0.0])


def test_sampled_values_are_near_the_exact_ones(monkeypatch):
    from verticals_student_assessment.essays import sentences

    exact = sentence_values(Toy(), "Good. Good good. Bad. Good. Word.")
    monkeypatch.setattr(sentences, "MOST_EXACT", 0)
    sampled = sentence_values(Toy(), "Good. Good good. Bad. Good. Word.", draws=200)
    assert not sampled.exact
    assert sampled.values == pytest.approx(exact.values, abs=0.06)


def test_neighbours_are_taken_together_beyond_64_sentences():
    text = "Good. " * 1001
    found = sentence_values(Toy(), text, draws=2)
    assert "".join(found.sentences) == text
    assert len(found.sentences) == 64
    assert {len(sentences_of(item)) for item in found.sentences} == {15, 16}
    assert found.base + found.values.sum(axis=0) == pytest.approx(found.score)


def test_long_essays_are_not_audited():
    texts = essays(12)
    texts[3] = texts[3] * 20
    assert 3 in one_each(texts, np.arange(12), 12)
    assert 3 not in one_each(texts, np.arange(12), 12, longest=200)
    found = probes_table(Toy(), texts, np.arange(12), longest=200)
    assert set(found["persons"]) == {11}
    assert set(deletion_table(Toy(), texts, np.arange(12), longest=200)["persons"]) == {11}


def test_odd_draws_are_refused():
    with pytest.raises(CallError, match="draws is 3"):
        sentence_values(Toy(), ESSAY, draws=3)


def test_deletion_moves_the_score_more_where_values_are_large():
    texts = essays()
    found = deletion_table(Toy(), texts, np.arange(len(texts)))
    assert found["trait"].tolist() == ["style", "length"]
    assert found["lower"][0] > 0
    assert found["top_change"][0] > found["random_change"][0]
    assert found["additivity_error"].max() < 1e-9


def test_deletion_of_a_model_without_signal_shows_none():
    class Noise(Toy):
        def predict_texts(self, texts):
            random = [np.random.default_rng(len(text or "") * 7).random() for text in texts]
            return {"style": np.array(random), "length": np.ones(len(texts))}

    found = deletion_table(Noise(), essays(seed=3), np.arange(30))
    assert abs(found["difference"][1]) < 1e-9


def test_few_persons_give_no_table():
    texts = essays(9)
    assert deletion_table(Toy(), texts, np.arange(9)).rows == 0
    assert probes_table(Toy(), texts, np.arange(9)).rows == 0
    twice = np.repeat(np.arange(9), 2)
    assert probes_table(Toy(), essays(18), twice).rows == 0


def test_one_essay_a_person_and_no_empty_one():
    texts = np.array(["A. B.", "C. D.", None, "E.", "F. G."], dtype=object)
    assert one_each(texts, np.array([0, 0, 1, 2, 3]), 9).tolist() == [0, 4]
    assert one_each(essays(50), np.arange(50), 10).size == 10


def test_probes_change_texts_as_they_say():
    random = np.random.default_rng(0)
    assert padded(ESSAY, random).startswith(ESSAY)
    assert repeated(ESSAY, random).split() == ESSAY.split() * 2
    assert sorted(shuffled(ESSAY, random).split()) == sorted(ESSAY.split())
    astray = strayed(ESSAY, random)
    assert astray.startswith("A good one. A bad one. One more. Good good.")
    assert "And good" not in astray
    assert len(sentences_of(astray)) == len(sentences_of(ESSAY))


def test_gain_of_a_model_that_counts_words():
    texts = essays(40)
    found = probes_table(Toy(), texts, np.arange(40))
    assert set(found["probe"]) == set(PROBES)
    rows = {
        (probe, trait): (change, low)
        for probe, trait, change, low in zip(
            found["probe"], found["trait"], found["change"], found["lower"], strict=True
        )
    }
    assert rows["padding", "length"][1] > 0.5
    assert rows["repetition", "style"][0] > 0
    assert rows["shuffled sentences", "length"][0] == 0
    assert rows["off-topic half", "style"][0] < 0
    assert found["persons"].max() == 32
