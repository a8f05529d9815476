from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from report_maker import line, predictions
from tiny import examples_of

from espnet_ser.corpus import record
from espnet_ser.corpus.counts import FOUR_CLASS
from espnet_ser.corpus.iemocap import EMOTIONS
from espnet_ser.corpus.record import Corpus
from espnet_ser.data.datadir import Example
from espnet_ser.evaluation.intervals import intervals
from espnet_ser.evaluation.results import summarise
from espnet_ser.publish.card_facts import IEMOCAP, OTHER, SYNTHETIC, CardFacts, origin_of
from espnet_ser.publish.model_card import model_card, without_places

LINES = [line(i, "angry", "angry") for i in range(9)] + [line(9 + i, "sad", "sad" if i < 3 else "angry") for i in range(4)]
MEASURED = {
    "num_utts": 13,
    "audio_s": 9.5,
    "threads": 1,
    "pytorch": {"ua": 87.5, "wa": 92.31},
    "model.onnx": {"ua": 87.5, "wa": 92.31, "largest_difference": 2e-6, "real_time_factor": 0.5},
    "model_int8.onnx": {"ua": 85.25, "wa": 90.1, "largest_difference": 0.02, "real_time_factor": 0.25},
}


@pytest.fixture
def facts(tmp_path):
    heard = {"sessions": ["2", "3"], "speakers": ["Ses02_F", "Ses02_M", "Ses03_F", "Ses03_M"], "num_utts": 16}
    return CardFacts(
        system="asr_gender_skip__ser",
        fold="1",
        encoder="facebook/wav2vec2-base",
        norm="group",
        labels={"emotion": ["angry", "happy", "neutral", "sad"]},
        trained_on={"intermediate": {**heard, "num_utts": 20}, "SER": heard},
        test=[example for example in examples_of(tmp_path) if example.session == "1"],
        corpus=record.IEMOCAP,
        origin=IEMOCAP,
        lines=LINES,
        results=summarise("asr_gender_skip__ser", predictions(), num_folds=5),
        settings={"max_epoch": 100, "seed": 0},
        command="/home/me/egs/iemocap/run.sh --iemocap /corpora/of\\ mine/IEMOCAP",
        exported={"emotion": ".", "asr": "heads/ctc"},
        left_out={"gender": "the skip branch"},
        measured=MEASURED,
        onnx=True,
    )


def test_the_hub_reads_its_header(facts):
    data = ModelCard(model_card(facts)).data
    assert (data.pipeline_tag, data.library_name, data.license) == ("audio-classification", "transformers", "other")
    assert "onnx" in data.tags


def intervals_of(lines):
    refs, hyps = ([each["emotion"][key] for each in lines] for key in ("ref", "hyp"))
    return intervals([refs], [hyps], [[each["speaker"] for each in lines]])


def test_it_names_what_the_model_has_heard_and_what_not(facts):
    card = model_card(facts)
    assert "| intermediate | 2, 3 | Ses02_F, Ses02_M, Ses03_F, Ses03_M | 20 |" in card
    assert "| SER | 2, 3 | Ses02_F, Ses02_M, Ses03_F, Ses03_M | 16 |" in card
    assert "| held out, not trained on | 1 | Ses01_F, Ses01_M | 8 |" in card
    assert "It was trained on 4 speakers" in card


def test_scores_stand_with_their_intervals(facts):
    card = model_card(facts)
    low, high = intervals_of(LINES)["ua"]["ci95"]
    assert f"| this model | 87.50 ({low:.2f} to {high:.2f}) | 92.31 (" in card
    assert "Predicted by the intermediate model: asr, gender." in card
    others = facts.results["summary"]["others"]["ua"]
    assert f"| others | {others['mean']:.2f} ± {others['std']:.2f} | {others['pooled']:.2f} | " in card
    assert "folds 1, 2 of 5" in card


def test_it_says_how_the_weights_were_chosen(facts):
    card = model_card(facts)
    assert "weights of the last of 100 epochs: no score chose them" in card
    assert "no estimate for new speakers" in card  # of the oracle's scores


def test_the_loss_of_int8_is_shown(facts):
    card = model_card(facts)
    assert "| ONNX, int8 | 85.25 | 90.10 | 0.02 | 0.25 |" in card
    assert "| ONNX, float32 | 87.50 | 92.31 | 2e-06 | 0.5 |" in card
    assert (
        "ONNX" not in model_card(replace(facts, measured=None, onnx=False)).partition("## Scores")[2].partition("## Limits")[0]
    )


def test_limits_licence_and_citation_are_there(facts):
    card = model_card(facts)
    assert "no ground for decisions about people" in card
    assert "averages this encoder's group norm over padding" in card
    assert "averages this encoder's group norm" not in model_card(replace(facts, norm="layer"))
    assert "https://sail.usc.edu/iemocap/" in card
    assert "gao2023twostage" in card
    assert "busso2008iemocap" in card
    assert "Not for plain transformers: gender (the skip branch)." in card


OTHERS = [
    (Corpus(), OTHER),
    (record.SYNTHETIC, SYNTHETIC),
    (Corpus("EmoDB", "de", "cc0-1.0", "https://huggingface.co/datasets/me/emodb"), OTHER),
]


@pytest.mark.parametrize(("corpus", "origin"), OTHERS)
def test_a_card_of_another_corpus_has_no_word_of_iemocap(facts, corpus, origin):
    card = model_card(replace(facts, corpus=corpus, origin=origin, command="egs/mine/run.sh"))
    for word in ("iemocap", "busso", "sail.usc.edu", "actors"):
        assert word not in card.lower()


def test_what_is_not_known_of_a_corpus_is_not_stated(facts):
    card = model_card(replace(facts, corpus=Corpus(), origin=OTHER))
    for fact in ("Corpus", "Language", "Licence of the corpus"):
        assert f"- {fact}: not stated\n" in card
    data = ModelCard(card).data
    assert (data.license, data.license_name, data.language, data.datasets) == ("unknown", None, None, None)
    assert {result.dataset_name for result in data.eval_results} == {"not stated"}


def test_what_is_known_of_a_corpus_is_on_the_card_and_in_its_header(facts):
    corpus = Corpus("Berlin \u60c5\u611f", "de en", "cc-by-4.0", "https://huggingface.co/datasets/me/emodb")
    card = model_card(replace(facts, corpus=corpus, origin=OTHER))
    assert "- Corpus: Berlin \u60c5\u611f (<https://huggingface.co/datasets/me/emodb>)\n- Language: de, en\n" in card
    assert "The licence of the corpus (cc-by-4.0) binds those who publish" in card
    data = ModelCard(card).data
    assert (data.license, data.language, data.datasets) == ("cc-by-4.0", ["de", "en"], ["me/emodb"])
    assert data.base_model == "facebook/wav2vec2-base"
    data = ModelCard(model_card(replace(facts, corpus=Corpus(license="Ours, v2", url="https://a.example/l")))).data
    assert (data.license, data.license_name, data.license_link) == ("other", "ours-v2", "https://a.example/l")
    assert ModelCard(model_card(replace(facts, encoder="mine"))).data.base_model is None
    card = model_card(replace(facts, encoder="facebook/wav2vec2-base@0b5b8e8"))
    assert "[facebook/wav2vec2-base](https://huggingface.co/facebook/wav2vec2-base), revision 0b5b8e8; its licence is" in card
    assert ModelCard(card).data.base_model == "facebook/wav2vec2-base"


def test_the_header_has_the_scores_of_the_model_and_of_the_system(facts):
    results = {(r.dataset_split, r.metric_type): r for r in ModelCard(model_card(facts)).data.eval_results}
    own, system = "fold 1, held out: this model", "folds 1, 2 of 5, each held out: the system's mean"
    assert list(results) == [(split, metric) for split in (own, system) for metric in ("recall", "accuracy")]
    wanted = intervals_of(LINES)["ua"]
    assert (results[own, "recall"].metric_value, results[own, "accuracy"].metric_value) == (87.5, 92.31)
    told = results[own, "recall"].metric_args
    assert told["interval_95_utterances"] == [round(float(end), 2) for end in wanted["ci95"]]
    assert told["num_folds"] == 1
    ua = facts.results["summary"][facts.results["headline"]]["ua"]
    assert results[system, "recall"].metric_value == round(ua["mean"], 2)
    told = results[system, "recall"].metric_args
    assert (told["num_folds"], told["pooled"], told["interval_95_utterances"]) == (2, ua["pooled"], ua["ci95"])
    assert {result.dataset_name for result in results.values()} == {"IEMOCAP"}


@pytest.mark.parametrize("name", ["a\n---\nlicense: mit", "---", "'\"", "- x: {y", "null", "<img src=x onerror=a>", "# | a"])
def test_no_name_breaks_the_header(facts, name):
    corpus = Corpus(" ".join(name.split()), "", " ".join(name.split()))
    labels = {"emotion": [name, "sad"]}
    changed = replace(facts, corpus=corpus, origin=OTHER, labels=labels, encoder=name, system=name, fold=name)
    card = ModelCard(model_card(changed))
    assert card.data.license == "other"
    assert card.data.eval_results[0].dataset_name == corpus.name
    assert card.data.model_name == f"{name}, fold {name}"
    assert "<img" not in card.text


def test_no_folder_of_whoever_trained_is_told(facts):
    card = model_card(facts)
    assert "`.../run.sh --iemocap .../IEMOCAP`" in card
    assert "/home/me" not in card
    assert "mine" not in card


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("egs/iemocap/run.sh --tag a", "egs/iemocap/run.sh --tag a"),
        ("run.sh --iemocap=/data/me/IEMOCAP", "run.sh --iemocap=.../IEMOCAP"),
        ("~/run.sh --stage1-args '--config /home/me/x.yaml'", ".../run.sh --stage1-args '--config .../x.yaml'"),
        ("run.sh --ssl facebook/wav2vec2-base", "run.sh --ssl facebook/wav2vec2-base"),
        ("run.sh --expdir /home/me/exp/ --nj 1", "run.sh --expdir .../ --nj 1"),
    ],
)
def test_paths_lose_their_folders(command, shown):
    assert without_places(command) == shown


def test_iemocap_is_told_by_its_counts(tmp_path):
    def examples(folder):
        cells = [
            (str(session), gender, emotion)
            for (session, gender), row in FOUR_CLASS.items()
            for emotion, count in zip(EMOTIONS, row, strict=True)
            for _ in range(count)
        ]
        return [
            Example(str(i), f"Ses0{s}_{g}", s, g, emotion, emotion[:3], "improvised", "", folder / "a" / "b.wav", 9, "")
            for i, (s, g, emotion) in enumerate(cells)
        ]

    whole = examples(tmp_path)
    assert origin_of(whole) == IEMOCAP
    assert origin_of(whole[1:]) == OTHER
    (tmp_path / ".synthetic.json").touch()
    assert origin_of(whole) == SYNTHETIC
    assert origin_of(examples(Path("/no/such/place"))) == IEMOCAP


def test_a_packed_fold_has_a_card_of_its_own_figures(packed):
    card = (packed.folder / "README.md").read_text()
    for speaker in ("Ses01_F", "Ses02_M", "Ses05_F"):
        assert speaker in card
    assert "does not have the published counts of IEMOCAP: it is a part of it" in card
    assert "- Corpus: IEMOCAP (<https://sail.usc.edu/iemocap/>)" in card
    assert "| held out, not trained on | 1 |" in card
    assert "the last of 3 epochs" in card
    assert ModelCard(card).data.pipeline_tag == "audio-classification"
