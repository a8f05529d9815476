import io
import json
import shutil
import socket
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import soundfile
import torch
from model_maker import make_model

import espnet_ser
from espnet_ser.data.audio import as_waveform
from espnet_ser.errors import InputError
from espnet_ser.evaluation.predictions import predictions_path, read_predictions
from espnet_ser.inference.ensemble import Outputs, consensus
from espnet_ser.inference.find_models import ModelSource, find_models
from espnet_ser.inference.speech_emotion import POOL_BATCHES, SpeechEmotion
from espnet_ser.model_io import hub

EVERY_HEAD = {
    "tasks": ["emotion", "asr", "gender", "style"],
    "labels": {"emotion": ["angry", "happy", "sad"], "gender": ["f", "m"], "style": ["improvised", "scripted"]},
    "skip_layer": 2,
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Models with every head, of a system with three folds; and one that tells emotion alone."""
    root = tmp_path_factory.mktemp("models")
    for fold in (1, 2, 3):
        make_model(root / "system" / f"fold{fold}", seed=fold, **EVERY_HEAD)
    make_model(root / "emotion", seed=4, tasks=["emotion"], labels={"emotion": EVERY_HEAD["labels"]["emotion"]})
    return root


@pytest.fixture(scope="module")
def one(models):
    return SpeechEmotion.from_pretrained(models / "system" / "fold1", device="cpu")


@pytest.fixture(scope="module")
def speech():
    """Two seconds at 16 kHz of something between a voice and a siren."""
    t = np.arange(32000) / 16000
    rng = np.random.default_rng(0)
    x = np.sin(2 * np.pi * (200 + 80 * np.sin(2 * np.pi * 2 * t)) * t) + 0.3 * np.sin(2 * np.pi * 900 * t)
    return (0.2 * x * (1.2 + np.sin(2 * np.pi * 3 * t)) + 0.005 * rng.standard_normal(len(t))).astype(np.float32)


def bursts(num, seconds=0.3):
    rng = np.random.default_rng(7)
    lengths = rng.integers(800, int(16000 * seconds), num)
    return [(rng.uniform(0.01, 0.3) * rng.standard_normal(n)).cumsum().astype(np.float32) / 50 for n in lengths]


def values(prediction):
    return [*prediction.scores.values(), *prediction.gender.scores.values(), *prediction.style.scores.values()]


def test_predictions_are_those_of_stage_5(recipe):
    recipe.train("ser", "--cache", "none", system="mtl_asr_gender")
    recipe.select("mtl_asr_gender")
    folder = recipe.root / "exp" / "mtl_asr_gender" / "fold1"
    lines = {line["utt"]: line for line in read_predictions(predictions_path(folder, "last"))}
    wavs = {path.stem: path for path in (recipe.root / "wav").glob("*.wav") if path.stem in lines}
    assert len(wavs) == len(lines) == 8
    told = dict(zip(wavs, SpeechEmotion.from_pretrained(folder)(list(wavs.values())), strict=True))
    for utt, line in lines.items():
        assert told[utt].label == line["emotion"]["hyp"]
        assert told[utt].scores == pytest.approx(line["emotion"]["scores"], abs=1e-5)
        assert told[utt].gender.label == line["gender"]["hyp"]
        assert told[utt].gender.scores == pytest.approx(line["gender"]["scores"], abs=1e-5)
        assert told[utt].text == line["asr"]["hyp"]
        assert told[utt].style is None
    angry = {round(line["emotion"]["scores"]["angry"], 4) for line in lines.values()}
    assert len(angry) > 4, "they are all alike: nothing was compared"


def test_what_is_told_is_whole(one, speech):
    told = one(speech, 16000, embedding=True)
    assert list(told.scores) == EVERY_HEAD["labels"]["emotion"]
    assert told.label == max(told.scores, key=told.scores.get)
    for scores in (told.scores, told.gender.scores, told.style.scores):
        assert sum(scores.values()) == pytest.approx(1)
    assert told.gender.label in ("f", "m")
    assert isinstance(told.text, str)
    assert (told.duration_s, told.timeline) == (2.0, ())
    assert (told.embedding.shape, told.embedding.dtype) == ((32,), np.float32)
    assert one(speech, 16000).embedding is None
    assert one.tasks == ["emotion", "gender", "style"]


def test_neither_the_budget_of_a_batch_nor_the_company_changes_a_result(models, one):
    audio = bursts(25)
    alone = [one(x, 16000, embedding=True) for x in audio]
    for batch_seconds in (0.001, 0.5, 60):
        told = SpeechEmotion.from_pretrained(models / "system" / "fold1", "cpu", batch_seconds=batch_seconds)
        for here, there in zip(told(audio, 16000, embedding=True), alone, strict=True):
            assert values(here) == pytest.approx(values(there), abs=1e-5)
            assert here.text == there.text
            np.testing.assert_allclose(here.embedding, there.embedding, atol=1e-4)
    assert len({tuple(np.round(values(each), 4)) for each in alone}) == len(alone), "they are all alike: nothing was compared"


@pytest.mark.parametrize(("name", "subtype"), [("a.flac", "PCM_16"), ("a.ogg", "VORBIS"), ("a.mp3", None), ("a.wav", "PCM_24")])
@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (44100, 2)])
def test_whatever_the_file_says_about_the_same(tmp_path, one, speech, name, subtype, rate, channels):
    import soxr

    x = soxr.resample(speech, 16000, rate)
    soundfile.write(tmp_path / name, np.stack([x] * channels, axis=1), rate, subtype=subtype)
    assert values(one(tmp_path / name)) == pytest.approx(values(one(speech, 16000)), abs=0.02)


def test_an_array_is_what_its_file_is(tmp_path, one, speech):
    whole = np.round(speech * 32768)
    soundfile.write(tmp_path / "a.wav", whole.astype(np.int16), 16000)
    expected = values(one(tmp_path / "a.wav"))
    arrays = [
        whole.astype(np.int16),
        whole.astype(np.int32) * 65536,
        (whole / 32768).astype(np.float32),
        whole / 32768,
        torch.from_numpy(whole / 32768),
        torch.from_numpy(whole.astype(np.int16)),
        np.stack([whole / 32768] * 8),
        np.stack([whole / 32768] * 8, axis=1),
        torch.from_numpy(np.stack([whole / 16384, np.zeros_like(whole)])),
    ]
    for array in arrays:
        assert values(one(array, 16000)) == pytest.approx(expected, abs=1e-6)
    with open(tmp_path / "a.wav", "rb") as stream:
        assert values(one(stream)) == pytest.approx(expected, abs=1e-6)
    assert one(speech, 32000).duration_s == 1.0
    assert values(one(speech, 32000)) != pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("promised", [0xFFFFFFFF, 0x7FFFF024])
def test_a_wav_that_was_piped_is_as_long_as_it_is(one, speech, promised):
    wav = io.BytesIO()
    soundfile.write(wav, speech, 16000, format="WAV")
    content = bytearray(wav.getvalue())
    at = content.index(b"data") + 4
    content[at : at + 4] = promised.to_bytes(4, "little")
    assert one(io.BytesIO(content)).duration_s == 2.0
    content[at : at + 4] = (64002).to_bytes(4, "little")
    with pytest.raises(InputError, match="truncated: the header promises 64002 bytes of audio, 64000 found"):
        one(io.BytesIO(content))


def test_integers_become_what_a_file_of_them_is_read_as():
    assert as_waveform(np.array([0, 128, 255], dtype=np.uint8), 16000, "x").tolist() == [-1.0, 0.0, 127 / 128]
    assert as_waveform(np.array([-32768, 0, 16384], dtype=np.int16), 16000, "x").tolist() == [-1.0, 0.0, 0.5]
    assert as_waveform(np.array([-(2**31), 0, 2**30], dtype=np.int32), 16000, "x").tolist() == [-1.0, 0.0, 0.5]


@pytest.mark.parametrize(
    ("array", "rate", "message"),
    [
        (np.zeros(1000), None, r"audio\[0\]: an array; give its sampling_rate, in Hz"),
        (np.zeros(1000), 0, "a sample rate of 0 Hz"),
        (np.zeros(1000), 16000.5, "a sample rate of 16000.5 Hz, where whole 1000 to 768000 are possible"),
        (np.zeros(1000), float("nan"), "a sample rate of nan Hz"),
        (np.zeros(1000), "16000", "a sample rate of '16000' Hz"),
        (np.zeros(0), 16000, "empty"),
        (np.zeros((2, 0)), 16000, "empty"),
        (np.zeros(1), 16000, "1 samples at 16 kHz, too short: the encoder's first frame needs 400"),
        (np.zeros(399), 16000, "399 samples at 16 kHz, too short"),
        (np.array([0.0] * 999 + [np.nan]), 16000, "1 of its 1000 samples are NaN or infinite"),
        (np.array([[0.0, np.inf]] * 999), 16000, "999 of its 1998 samples are NaN or infinite"),
        (torch.full((1000,), 1e30), 16000, "1000 of its 1000 samples are NaN or infinite, or as good as that"),
        (np.zeros((1, 1, 1000)), 16000, r"an array of shape \[1, 1, 1000\]"),
        (np.zeros((100, 1000)), 16000, r"an array of shape \[100, 1000\].*give several waveforms as a list"),
        (np.array(1.0), 16000, r"an array of shape \[\]"),
        (np.zeros(1000, dtype=np.int64), 16000, "an array of int64, where audio is floating point, int16, int32 or uint8"),
        (np.zeros(1000, dtype=bool), 16000, "an array of bool"),
        (np.zeros(1000, dtype=complex), 16000, "an array of complex128"),
        (np.array(["a"] * 1000), 16000, "an array of <U1"),
        (np.zeros(3_601_000, dtype=np.float16), 1000, "3601 s, and 3600 s is the most"),
        (5, 16000, "int is no audio; give a path, a NumPy array, a tensor or a stream"),
    ],
)
def test_an_array_that_is_no_audio_is_refused_in_one_line(one, array, rate, message):
    with pytest.raises(InputError, match=message) as caught:
        one(array, rate)
    assert "\n" not in str(caught.value)


def test_an_error_stands_in_its_place_among_the_others(one, speech):
    audio = [speech, speech[:100], speech[:8000]]
    first, second, third = one.each(audio, 16000)
    assert values(first) == pytest.approx(values(one(speech, 16000)), abs=1e-5)
    assert "audio[1]: 100 samples" in str(second)
    assert third.duration_s == 0.5
    with pytest.raises(InputError, match=r"audio\[1\]: 100 samples"):
        one(audio, 16000)
    assert one([], 16000) == []


def test_no_more_audio_is_read_than_a_few_batches(models, speech):
    one = SpeechEmotion.from_pretrained(models / "emotion", "cpu", batch_seconds=2.0)
    read = 0

    def many():
        nonlocal read
        for _ in range(5 * POOL_BATCHES):
            read += 1
            yield speech

    results = one.each(many(), 16000)
    for number, _ in enumerate(results):
        assert read <= number + POOL_BATCHES
    assert read == 5 * POOL_BATCHES


def test_an_ensemble_is_the_mean_of_its_folds(models, speech):
    folds = [models / "system" / f"fold{fold}" for fold in (1, 2, 3)]
    each = [SpeechEmotion.from_pretrained(fold, "cpu")(speech, 16000, embedding=True) for fold in folds]
    for source in (models / "system", str(models / "system"), folds):
        told = SpeechEmotion.from_pretrained(source, "cpu")(speech, 16000, embedding=True)
        assert values(told) == pytest.approx(np.mean([values(prediction) for prediction in each], axis=0), abs=1e-6)
        np.testing.assert_allclose(told.embedding, np.concatenate([prediction.embedding for prediction in each]), atol=1e-5)
        assert told.text == consensus([prediction.text for prediction in each])
    assert np.std([values(prediction) for prediction in each], axis=0).max() > 0.01, "they are all alike: nothing was compared"


def test_a_head_that_one_model_has_is_that_models(models, speech):
    both = [models / "emotion", models / "system" / "fold1"]
    emotion, every = (SpeechEmotion.from_pretrained(model, "cpu")(speech, 16000) for model in both)
    told = SpeechEmotion.from_pretrained(both, "cpu")(speech, 16000)
    assert (emotion.gender, emotion.style, emotion.text) == (None, None, None)
    assert told.gender.scores == pytest.approx(every.gender.scores, abs=1e-6)
    assert told.text == every.text
    assert told.scores["sad"] == pytest.approx((emotion.scores["sad"] + every.scores["sad"]) / 2, abs=1e-6)


def test_a_intermediate_tells_gender_and_words_and_no_emotion(trained):
    wav = next((trained.root / "wav").glob("*.wav"))
    intermediate = trained.root / "exp" / "stage1" / "asr_gender_skip" / "fold1"
    told = SpeechEmotion.from_pretrained(intermediate)(wav)
    assert (told.label, told.scores, told.timeline) == (None, None, ())
    assert told.gender.label in ("f", "m")
    assert told.text is not None
    system = trained.root / "exp" / "asr_gender_skip__ser"
    together = SpeechEmotion.from_pretrained([system, intermediate])(wav)
    assert together.scores == pytest.approx(SpeechEmotion.from_pretrained(system)(wav).scores, abs=1e-6)
    assert together.gender.scores == pytest.approx(told.gender.scores, abs=1e-6)


def test_models_that_know_other_classes_are_no_ensemble(tmp_path, models):
    other = make_model(tmp_path / "other", tasks=["emotion"], labels={"emotion": ["angry", "happy", "neutral"]})
    with pytest.raises(InputError, match=r"other: its classes of emotion are angry, happy, neutral, .*no ensemble"):
        SpeechEmotion.from_pretrained([models / "emotion", other])
    with pytest.raises(InputError, match="no model"):
        SpeechEmotion.from_pretrained([])


def test_the_transcript_of_several_is_the_one_in_the_middle():
    assert consensus(["NO", "I KNOW", "I KNOWS", "I NOW"]) == "I KNOW"
    assert consensus(["", "", "YES"]) == ""
    assert consensus(["B", "A"]) == "B"


def test_a_long_recording_has_a_timeline_and_counts_each_moment_once(one, speech):
    long = np.concatenate([speech, 0.3 * speech[::-1], speech[8000:]])  # 5.5 s
    told = one(long, 16000, embedding=True, window_s=2.0)
    spans = [(0.0, 2.0), (1.0, 3.0), (2.0, 4.0), (3.0, 5.0), (3.5, 5.5)]
    assert [(moment.start_s, moment.end_s) for moment in told.timeline] == spans
    alone = [one(long[int(start * 16000) : int(end * 16000)], 16000, embedding=True) for start, end in spans]
    for moment, window in zip(told.timeline, alone, strict=True):
        assert moment.label == window.label
        assert moment.scores == pytest.approx(window.scores, abs=1e-5)
    weights = [1.5, 1.0, 1.0, 0.75, 1.25]  # the borders are 0, 1.5, 2.5, 3.5, 4.25 and 5.5 s
    expected = np.average([values(window) for window in alone], axis=0, weights=weights)
    assert values(told) == pytest.approx(expected, abs=1e-5)
    mean = np.average([window.embedding for window in alone], axis=0, weights=weights)
    np.testing.assert_allclose(told.embedding, mean, atol=1e-4)
    assert np.std([values(window) for window in alone], axis=0).max() > 1e-3, "they are all alike: nothing was compared"


def test_only_what_is_longer_than_any_utterance_is_cut_unasked(one, speech):
    assert one(np.tile(speech, 17), 16000).timeline == ()  # 34 s
    assert len(one(np.tile(speech, 18), 16000).timeline) == 17


class Spelling:
    """Stands for models that spell what the samples say: a token for every 320 of them."""

    labels: dict = {}
    transcribes = True
    least_samples = 400

    def outputs(self, speech):
        paths = [np.rint(waveform.numpy()[::320]).astype(int) for waveform in speech]
        return [Outputs({}, [path], np.zeros(1)) for path in paths]

    def transcript(self, paths):
        return " ".join(str(token) for token in paths[0])


def test_the_transcript_of_windows_says_everything_once():
    tokens = np.arange(500)
    waveform = np.repeat(tokens, 320).astype(np.float32)
    told = SpeechEmotion(Spelling())(waveform, 16000, window_s=1.28, hop_s=0.64)
    assert told.text.split() == [str(token) for token in tokens]
    assert told.label is None


def test_a_folder_is_loaded_without_a_network(models, one, speech, monkeypatch):
    def refuse(*_args, **_options):
        raise AssertionError("a connection was asked for")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    told = SpeechEmotion.from_pretrained(models / "system" / "fold1", "cpu")(speech, 16000)
    assert values(told) == pytest.approx(values(one(speech, 16000)), abs=1e-6)


def test_an_archive_says_what_its_folder_says(tmp_path, models, one, speech):
    folder = models / "system" / "fold1"
    with zipfile.ZipFile(tmp_path / "fold1.zip", "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
    told = SpeechEmotion.from_pretrained(tmp_path / "fold1.zip", "cpu")(speech, 16000)
    assert values(told) == pytest.approx(values(one(speech, 16000)), abs=1e-6)
    with pytest.raises(InputError, match="an archive, which holds one epoch's weights; leave the selection"):
        SpeechEmotion.from_pretrained(tmp_path / "fold1.zip", selection="oracle")


def test_a_name_that_is_no_path_is_fetched(models, monkeypatch):
    asked = []

    def fetch_model(name, cache_dir=None):
        asked.append(name)
        return models / "system"

    monkeypatch.setattr(hub, "fetch_model", fetch_model, raising=False)
    assert find_models("someone/a_model") == [ModelSource(models / "system" / f"fold{fold}", None) for fold in (1, 2, 3)]
    assert asked == ["someone/a_model"]
    for name in (models / "nowhere", str(models / "nowhere"), "./nowhere"):
        with pytest.raises(InputError, match="nowhere: no such model"):
            find_models(name)
    with pytest.raises(InputError, match="an empty name"):
        find_models("")
    assert asked == ["someone/a_model"]


def test_folds_that_a_rerun_moved_aside_do_not_count_and_unfinished_ones_are_named(tmp_path, models):
    system = shutil.copytree(models / "system", tmp_path / "system", symlinks=True)
    (system / "fold2").rename(system / "fold2.superseded-1")
    assert [source.name for source, _ in find_models(system)] == ["fold1", "fold3"]
    (system / "fold3" / "config.yaml").unlink()
    with pytest.raises(InputError, match=r"fold3: config.yaml is missing; train the model first"):
        SpeechEmotion.from_pretrained(system)


def test_the_epochs_of_a_selection_are_those_that_stage_5_chose(tmp_path, trained):
    folder = shutil.copytree(trained.root / "exp" / "asr_gender_skip__ser" / "fold1", tmp_path / "fold1", symlinks=True)
    record = json.loads((folder / "selection.json").read_text())
    chosen = record["models"]["oracle"]["epoch"]
    assert find_models(folder, "oracle") == [ModelSource(folder, folder / f"{chosen}epoch.pth")]
    assert find_models(folder) == [ModelSource(folder, None)]
    assert SpeechEmotion.from_pretrained(folder, selection="oracle").tasks == ["emotion"]
    with pytest.raises(InputError, match=r"chooses no epoch by others"):  # there is a single fold
        find_models(folder, "others")


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (None, "selection.json is missing: run stage 5"),
        ("[]", "selection.json: not what stage 5 writes"),
        ('{"models": {}}', "chooses no epoch by oracle"),
        ('{"models": {"oracle": {"epoch": 3, "model": null, "sha256": null}}}', "the weights of epoch 3, which oracle"),
        ('{"models": {"oracle": {"epoch": 3, "model": "../x.pth", "sha256": "0"}}}', "not what stage 5 writes"),
        ('{"models": {"oracle": {"epoch": 1, "model": "1epoch.pth", "sha256": "0"}}}', "not the weights that stage 5"),
        ('{"models": {"oracle": {"epoch": 2, "model": "2epoch.pth", "sha256": "0"}}}', "2epoch.pth: missing, or not"),
    ],
)
def test_a_selection_whose_weights_are_not_there_is_refused(tmp_path, record, message):
    folder = make_model(tmp_path / "fold1")
    if record is not None:
        (folder / "selection.json").write_text(record)
    with pytest.raises(InputError, match=message):
        find_models(folder, "oracle")
    with pytest.raises(InputError, match="unknown selection 'best'"):
        find_models(folder, "best")


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta", "cpu:x"])
def test_a_device_that_is_none_is_refused_in_one_line(models, device):
    with pytest.raises(InputError, match=f"device '{device}': (torch cannot compute there|neither a CPU)") as caught:
        SpeechEmotion.from_pretrained(models / "emotion", device)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_a_batch_of_no_length_is_refused(one, seconds):
    with pytest.raises(InputError, match="give a number above 0"):
        SpeechEmotion(Spelling(), seconds)


def test_a_gpu_that_is_too_small_is_told_in_one_line(one, speech, monkeypatch):
    def logits(*_args):
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")

    (model,) = one._ensemble._models
    monkeypatch.setattr(model.network, "logits", logits)
    with pytest.raises(InputError, match="out of memory: take fewer seconds in a batch"):
        one(speech, 16000)


def test_the_spectrogram_baseline_says_what_is_too_short_for_it(tmp_path, speech):
    model = make_model(tmp_path / "fold1", encoder="cnn_lstm", tasks=["emotion"], labels={"emotion": ["angry", "sad"]})
    told = SpeechEmotion.from_pretrained(model)
    assert told(speech[:1520], 16000).label in ("angry", "sad")
    with pytest.raises(InputError, match="1519 samples at 16 kHz, too short: the encoder's first frame needs 1520"):
        told(speech[:1519], 16000)


def test_the_package_offers_it_and_does_not_load_torch_before(tmp_path):
    assert espnet_ser.SpeechEmotion is SpeechEmotion
    with pytest.raises(AttributeError, match="no attribute 'SpeechEmotions'"):
        _ = espnet_ser.SpeechEmotions
    code = "import espnet_ser, sys; print(espnet_ser.__version__, sorted({'torch', 'numpy'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"{espnet_ser.__version__} []\n"


def test_every_result_moves_the_bar_and_windows_move_it_by_parts(one, speech, monkeypatch):
    moved = []

    class Bar:
        def __init__(self, total, desc, **_options):
            moved.append((total, desc))

        def __enter__(self):
            return self

        def __exit__(self, *_error):
            pass

        def update(self, n=1):
            moved.append(n)

    monkeypatch.setattr("espnet_ser.inference.speech_emotion.tqdm", Bar)
    list(one.each([speech, speech[:10], speech[:16000]], 16000, window_s=1.0, progress="predict"))
    assert moved[0] == (3, "predict")
    assert sorted(moved[1:]) == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1, 1])
