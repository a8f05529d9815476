import ast
import re

import numpy as np
import pytest
import soundfile
import torch
from exported import ENCODERS, LABELS, model_of, settings
from model_maker import TOKENS, make_model
from packed_recipe import no_network, noise, posteriors, waveforms
from transformers import (
    AutoProcessor,
    HubertForCTC,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    Wav2Vec2Processor,
    pipeline,
)

from espnet_ser.data.tokens import BPETokenizer, CharTokenizer, collapse
from espnet_ser.inference.speech_emotion import SpeechEmotion
from espnet_ser.model_io.load import load_model
from espnet_ser.publish.huggingface import _transformers_tokenizer, export_classifier, export_ctc, why_not


def scores(folder, waveform):
    with no_network():
        classify = pipeline("audio-classification", str(folder))
        return {result["label"]: result["score"] for result in classify({"raw": waveform, "sampling_rate": 16000})}


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("name", ENCODERS)
def test_pipeline_gives_the_same_scores(tmp_path, name, normalize):
    changes = {"encoder_config": settings(name), "normalize_waveform": normalize}
    model, args = model_of(tmp_path / "model", tasks=["emotion", "gender"], labels=LABELS, **changes)
    seen = []
    for task in args.tasks:
        export_classifier(model, task, args.labels[task], tmp_path / task)
        for seconds in (0.3, 1.1):
            waveform = 3 * noise(seconds, seed=int(10 * seconds)) + 0.5
            wanted = posteriors(model, waveform, task).tolist()
            told = scores(tmp_path / task, waveform)
            assert told == pytest.approx(dict(zip(LABELS[task], wanted, strict=True)), abs=1e-5)
            seen.append(max(wanted))
    assert max(seen) - min(seen) > 0.001  # a hundred times what is let pass


@pytest.mark.parametrize("name", ENCODERS)
def test_ctc_gives_the_same_frames_and_words(tmp_path, name):
    model, args = model_of(tmp_path / "model", encoder_config=settings(name))
    export_ctc(model, args.tokenizer, tmp_path / "ctc")
    with no_network():
        kind = HubertForCTC if name.startswith("hubert") else Wav2Vec2ForCTC
        exported = kind.from_pretrained(tmp_path / "ctc").eval()
        processor = Wav2Vec2Processor.from_pretrained(tmp_path / "ctc")
        transcribe = pipeline("automatic-speech-recognition", str(tmp_path / "ctc"))
    texts = set()
    for seed in range(3):
        waveform = noise(1.0 + seed, seed)
        with torch.no_grad():
            logits = exported(**processor(waveform, sampling_rate=16000, return_tensors="pt")).logits[0]
            ours = model.logits(torch.from_numpy(waveform)[None], torch.tensor([len(waveform)]))["asr"][0]
        torch.testing.assert_close(logits, ours, atol=1e-5, rtol=1e-4)
        text = args.tokenizer.ids_to_text(collapse(ours.argmax(-1).tolist()))
        assert processor.batch_decode(logits.argmax(-1)[None]) == [text]
        assert transcribe({"raw": waveform, "sampling_rate": 16000})["text"] == text
        texts.add(text)
    assert len(texts) > 1


@pytest.mark.parametrize("tokens", [TOKENS, [*TOKENS, "|", "'"]])
def test_its_tokenizer_spells_as_ours_does(tmp_path, tokens):
    ours = CharTokenizer(tokens)
    make_model(tmp_path / "model", token_list=tokens)
    model, args = load_model(tmp_path / "model")
    export_ctc(model, args.tokenizer, tmp_path / "ctc")
    theirs = AutoProcessor.from_pretrained(tmp_path / "ctc").tokenizer
    rng = np.random.default_rng(0)
    for length in [0, 1, 2, *range(3, 60)]:
        ids = rng.integers(0, len(tokens), length).repeat(rng.integers(1, 4, length)).tolist()
        assert theirs.decode(ids) == ours.ids_to_text(collapse(ids))
    for text in ("A BAB", "B Z A"):
        assert theirs(text).input_ids == ours.text_to_ids(text)
    assert theirs.pad_token_id == 0


def test_a_waveform_is_prepared_as_it_was_for_training(tmp_path):
    for normalize in (True, False):
        model, args = load_model(make_model(tmp_path / f"model{normalize}", normalize_waveform=normalize))
        export_classifier(model, "emotion", args.labels["emotion"], tmp_path / f"{normalize}")
        extractor = Wav2Vec2FeatureExtractor.from_pretrained(tmp_path / f"{normalize}")
        assert (extractor.do_normalize, extractor.sampling_rate, extractor.return_attention_mask) == (normalize, 16000, True)


def test_what_transformers_cannot_express_is_said(tmp_path):
    skip = {"tasks": ["emotion", "gender", "asr"], "labels": LABELS, "skip_layer": 4}
    model, args = load_model(make_model(tmp_path / "skip", **skip))
    assert why_not(model, "emotion") is None
    assert why_not(model, "asr", args.tokenizer) is None
    assert "sees layer 4" in why_not(model, "gender")
    tokens, _ = BPETokenizer.train(["A BAB", "BA AB"], 7)
    assert "SentencePiece" in why_not(model, "asr", BPETokenizer(tokens))
    cnn_lstm, _ = load_model(make_model(tmp_path / "cnn_lstm", encoder="cnn_lstm", tasks=["emotion"]))
    assert "none of transformers'" in why_not(cnn_lstm, "emotion")


def test_a_packed_fold_tells_and_writes_as_its_models(packed):
    emotion, args = packed.model()
    intermediate, stage1_args = packed.intermediate()
    with no_network():
        classify = pipeline("audio-classification", str(packed.folder))
        transcribe = pipeline("automatic-speech-recognition", str(packed.folder / "heads" / "ctc"))
    for waveform in waveforms(packed.test_examples())[:4]:
        wanted = dict(zip(args.labels["emotion"], posteriors(emotion, waveform, "emotion").tolist(), strict=True))
        told = {result["label"]: result["score"] for result in classify({"raw": waveform, "sampling_rate": 16000})}
        assert told == pytest.approx(wanted, abs=1e-5)
        with torch.no_grad():
            path = (
                intermediate.logits(torch.from_numpy(waveform)[None], torch.tensor([len(waveform)]))["asr"][0]
                .argmax(-1)
                .tolist()
            )
        text = stage1_args.tokenizer.ids_to_text(collapse(path))
        assert transcribe({"raw": waveform, "sampling_rate": 16000})["text"] == text
    assert not (packed.folder / "heads" / "gender").exists()  # its head has the skip branch


@pytest.fixture
def recordings(tmp_path):
    """Files of several rates and channels, whose lengths are no whole numbers of anything."""
    rng = np.random.default_rng(1)
    files = {}
    for rate, channels, seconds in ((8000, 1, 1.2345), (16000, 2, 0.9), (44100, 1, 1.3), (48000, 2, 1.71)):
        levels = np.repeat(rng.uniform(0.02, 0.4, int(10 * seconds) + 1), rate // 10)[: int(rate * seconds)]
        samples = (levels[:, None] * rng.standard_normal((len(levels), channels))).astype(np.float32)
        files[rate] = tmp_path / f"{rate}.wav"
        soundfile.write(files[rate], samples, rate, subtype="FLOAT")
    return files


def test_the_examples_of_a_card_give_what_this_package_gives_whatever_the_rate(packed, recordings, capsys):
    ours = SpeechEmotion.from_pretrained([packed.folder / "espnet" / "ser", packed.folder / "espnet" / "stage1"], device="cpu")
    blocks = re.findall("```python\n(.*?)```", (packed.folder / "README.md").read_text(), re.DOTALL)
    blocks += re.findall("```python\n(.*?)```", (packed.folder / "onnx" / "README.md").read_text(), re.DOTALL)
    read, emotion, words, onnx = (
        block.replace("THIS_REPOSITORY", str(packed.folder)).replace("model_int8.onnx", f"{packed.folder}/onnx/model.onnx")
        for block in blocks
    )
    capsys.readouterr()
    for path in recordings.values():
        told = ours(path)
        names: dict = {}
        printed = []
        for block in (read, emotion, words, onnx):
            with no_network():
                exec(block.replace("speech.wav", str(path)), names)
            printed.append(capsys.readouterr().out)
        scores = {result["label"]: result["score"] for result in ast.literal_eval(printed[1])}
        assert scores == pytest.approx(told.scores, abs=1e-5)
        assert ast.literal_eval(printed[2]) == [told.text]
        assert ast.literal_eval(printed[3]) == pytest.approx(told.scores, abs=1e-4)


def test_words_are_separated_by_one_space_and_unknown_tokens_left_out():
    theirs = _transformers_tokenizer(CharTokenizer(TOKENS))
    assert theirs.decode([3, 2, 0, 2, 1, 4]) == "A B"
