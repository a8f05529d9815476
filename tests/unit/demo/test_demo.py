"""What the page shows of a recording, and what it says of its models: no browser, and no Gradio."""

import html
import io
import re
import socket

import numpy as np
import pytest
import soundfile
from model_maker import make_model
from PIL import Image
from tiny_recipe import refused, run

from espnet_ser.data.audio import SAMPLE_RATE
from espnet_ser.demo import ports, serving
from espnet_ser.demo.about import what_is_told, what_was_heard
from espnet_ser.demo.answer import Answer, Answering, prediction_html
from espnet_ser.demo.examples import LONG, speak_examples
from espnet_ser.demo.ports import find_port
from espnet_ser.demo.timeline import COLOURS, NARROW_INCHES, WIDE_INCHES, class_colours, envelope, runs, spans, timeline_png
from espnet_ser.errors import InputError
from espnet_ser.inference.prediction import Decision, Moment, Prediction
from espnet_ser.inference.speech_emotion import SpeechEmotion

EMOTIONS = ["angry", "happy", "sad"]
HOSTILE = '<img src=x onerror="alert(1)">{{7*7}}${7*7}$x_1$'


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    labels = {"emotion": EMOTIONS, "gender": ["f", "m"], "style": ["improvised", "scripted"]}
    heard = {"speakers": ["A", "B", "C"], "sessions": ["1", "2"], "num_utts": 1234, "utts_sha256": "0"}
    make_model(root / "all", tasks=["emotion", "asr", "gender", "style"], labels=labels, trained_on=heard)
    make_model(root / "emotion", tasks=["emotion"], labels={"emotion": EMOTIONS})
    make_model(root / "gender", tasks=["gender"], labels={"gender": ["f", "m"]})
    return root


@pytest.fixture(scope="module")
def knows_all(models):
    return SpeechEmotion.from_pretrained(models / "all", device="cpu")


def noise(seconds, seed=0):
    """Of a level that changes from second to second, so that windows differ."""
    rng = np.random.default_rng(seed)
    levels = np.repeat(rng.uniform(0.01, 0.3, int(np.ceil(seconds))), SAMPLE_RATE)[: int(seconds * SAMPLE_RATE)]
    return (levels * rng.standard_normal(len(levels))).cumsum().astype(np.float32) / 100


def wav(folder, seconds, name="a.wav", **options):
    soundfile.write(folder / name, noise(seconds), SAMPLE_RATE, **options)
    return folder / name


def shown(answer):
    """The words of a piece of HTML."""
    return html.unescape(re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", answer))).strip()


def test_an_answer_is_what_speech_emotion_tells(tmp_path, knows_all):
    path = wav(tmp_path, 1.5)
    told = knows_all(path)
    answer = Answering(knows_all, 10)(path)
    text = shown(answer.prediction)
    assert text.startswith(told.label)
    for name, score in told.scores.items():
        assert f"{name} {100 * score:.1f} %" in text
        assert f"width: {100 * score:.2f}%" in answer.prediction
    gender = {"f": "female", "m": "male"}[told.gender.label]
    assert f"Voice {gender} ({100 * told.gender.scores[told.gender.label]:.1f} %)" in text
    assert f"Speech {told.style.label} ({100 * told.style.scores[told.style.label]:.1f} %)" in text
    assert f"Words {told.text or 'none recognised'} Length" in text
    assert text.endswith("Length 1.5 s")
    assert answer.timeline == ""


@pytest.mark.parametrize(
    ("name", "there", "not_there"), [("emotion", "angry", ("Voice", "Words")), ("gender", "Voice", ("angry", "Words"))]
)
def test_what_a_model_does_not_tell_is_not_on_the_page(tmp_path, models, name, there, not_there):
    answer = Answering(SpeechEmotion.from_pretrained(models / name, device="cpu"), 100)(wav(tmp_path, 40))
    text = shown(answer.prediction)
    assert there in text
    assert not any(word in text for word in (*not_there, "Speech", "None"))
    assert bool(answer.timeline) == (name == "emotion")


def test_a_long_recording_has_a_timeline(tmp_path, knows_all):
    path = wav(tmp_path, 37)
    told = knows_all(path)
    answer = Answering(knows_all, 100)(path)
    assert len(told.timeline) == 18
    assert "37.0 s, predicted in 18 windows of 4 s; here, their mean" in shown(answer.prediction)
    rows = [f"{start:.1f} {end:.1f} {label}" for start, end, label in runs(told.timeline)]
    assert shown(answer.timeline).endswith(" ".join(rows))
    assert answer.timeline.count("data:image/png;base64,") == 2


def test_a_stretch_lasts_as_long_as_the_emotion_and_stretches_make_up_the_whole():
    starts = ((0.0, "sad"), (2.0, "sad"), (4.0, "angry"), (5.0, "sad"))
    moments = [Moment(label, {}, start_s, start_s + 4.0) for start_s, label in starts]
    assert spans(moments) == [(0.0, 3.0), (3.0, 5.0), (5.0, 6.5), (6.5, 9.0)]
    assert runs(moments) == [(0.0, 5.0, "sad"), (5.0, 6.5, "angry"), (6.5, 9.0, "sad")]


def test_an_envelope_keeps_every_peak():
    waveform = np.zeros(100_000, np.float32)
    waveform[54_321], waveform[99_999] = 0.5, -0.25
    times_s, low, high = envelope(waveform)
    assert len(times_s) == len(low) == len(high) == 1200
    assert (low.min(), high.max()) == (-0.25, 0.5)
    assert times_s[high.argmax()] == pytest.approx(54_321 / 16_000, abs=0.01)
    assert len(envelope(np.zeros(10, np.float32))[0]) == 10


@pytest.mark.parametrize(
    ("num_classes", "inches"), [(1, WIDE_INCHES), (4, NARROW_INCHES), (7, WIDE_INCHES), (40, NARROW_INCHES)]
)
def test_a_timeline_is_drawn_in_the_classes_colours(num_classes, inches):
    classes = [HOSTILE, *(f"class{i}" for i in range(1, num_classes))]
    moments = [
        Moment(classes[i % num_classes], {c: float(c == classes[i % num_classes]) for c in classes}, 2.0 * i, 2.0 * i + 4)
        for i in range(60)
    ]
    png = timeline_png(noise(122), moments, inches)
    image = Image.open(io.BytesIO(png)).convert("RGB")
    assert image.width == round(150 * inches[0])
    assert len(png) < 120_000
    found = {"#{:02X}{:02X}{:02X}".format(*colour) for _, colour in image.getcolors(256)}
    assert set(COLOURS[:num_classes]) <= found


def test_of_more_classes_than_colours_the_likeliest_have_one_each():
    assert class_colours({"a": 0.2, "b": 0.8}) == {"a": COLOURS[0], "b": COLOURS[1]}
    scores = {f"c{i}": (20 - i) / 210 for i in range(20)}
    moment = Moment("c19", {**dict.fromkeys(scores, 0.0), "c19": 1.0}, 0.0, 4.0)
    colours = class_colours(scores, [moment])
    assert [name for name, colour in colours.items() if colour in COLOURS] == [*(f"c{i}" for i in range(6)), "c19"]
    assert len({colours[name] for name in colours}) == 8


def test_of_many_classes_the_likeliest_are_shown_first_and_none_is_lost():
    scores = {f"c{i}": (i + 1) / 210 for i in range(20)}
    answer = prediction_html(Prediction({"emotion": Decision("c19", scores)}, 1.0))
    first, _, more = answer.partition("<details>")
    assert re.findall("<bdi>(c[0-9]+)</bdi></span>", first) == [f"c{i}" for i in range(19, 9, -1)]
    assert re.findall("<bdi>(c[0-9]+)</bdi></span>", more) == [f"c{i}" for i in range(9, -1, -1)]
    assert "10 more, at most 4.8 % each" in more


def test_of_a_recording_without_speech_nothing_is_told_but_that(tmp_path, knows_all):
    soundfile.write(tmp_path / "silent.wav", np.zeros(40 * SAMPLE_RATE), SAMPLE_RATE)
    answer = Answering(knows_all, 100)(tmp_path / "silent.wav")
    assert shown(answer.prediction) == "No speech Nothing in these 40.0 s is louder than -60 dBFS. Is the microphone muted?"
    assert answer.timeline == ""


def test_no_text_is_taken_for_html():
    scores = {HOSTILE: 0.75, "<b>": 0.25}
    decision = Decision(HOSTILE, scores)
    prediction = Prediction({"emotion": decision, "gender": decision, "asr": HOSTILE}, 1.0)
    answer = prediction_html(prediction)
    assert "<img" not in answer
    assert "<b>" not in answer
    assert shown(answer).count(HOSTILE) == 4  # heading, bar, voice, words
    assert HOSTILE not in what_was_heard([{"speakers": [HOSTILE], "sessions": [HOSTILE], "num_utts": HOSTILE}])


def test_a_bad_recording_is_a_message_that_names_it_and_no_folder(tmp_path, knows_all):
    answering = Answering(knows_all, 10)
    (tmp_path / "bad.wav").write_text("this is text")
    (tmp_path / "<b>.wav").write_bytes(b"")
    messages = {
        tmp_path / "bad.wav": "bad.wav: not audio that libsndfile can read",
        tmp_path / "<b>.wav": "<b>.wav: empty: it holds no audio; copy or record the file again",
        tmp_path / "gone.wav": "gone.wav: no such file; check the path",
        wav(tmp_path, 11, "long.wav"): "long.wav: 11 s, and 10 s is the most here; cut it into parts",
        wav(tmp_path, 12, "long.ogg"): "long.ogg: 12 s, and 10 s is the most here; cut it into parts",
        wav(tmp_path, 0.01, "short.wav"): "short.wav: 160 samples at 16 kHz, too short: the encoder's first frame needs 400",
    }
    for path, message in messages.items():
        answer = answering(path)
        assert shown(answer.prediction).startswith(message)
        assert 'role="alert"' in answer.prediction
        assert str(tmp_path) not in answer.prediction
        assert answer.timeline == ""
    assert answering(None) == Answer("")


def test_a_header_that_promises_less_does_not_get_past_the_limit(tmp_path, knows_all, monkeypatch):
    path = wav(tmp_path, 11)
    monkeypatch.setattr(soundfile, "info", lambda _: type("Info", (), {"duration": 1.0}))
    assert "11 s, and 10 s is the most here" in Answering(knows_all, 10)(path).prediction


def test_the_page_says_what_is_told_and_what_was_heard(models, knows_all):
    assert what_is_told(knows_all) == "emotion (angry, happy, sad), gender, style and words"
    alone = SpeechEmotion.from_pretrained(models / "emotion", device="cpu")
    assert what_is_told(alone) == "emotion (angry, happy, sad)"
    assert what_was_heard(alone.trained_on) == "One model, trained on what it does not say."
    ours = "trained on 3 speakers (sessions 1, 2) in 1,234 utterances"
    assert what_was_heard(knows_all.trained_on) == f"One model, {ours}."
    assert what_was_heard([*knows_all.trained_on] * 2) == f"2 models, each {ours}."
    other = {"speakers": ["A", "B"], "sessions": [], "num_utts": 20}
    assert (
        what_was_heard([*knows_all.trained_on, other, None])
        == f"3 models: {ours}; trained on 2 speakers in 20 utterances; trained on what it does not say."
    )


def test_examples_differ_and_the_last_is_long_enough_for_a_timeline(tmp_path):
    examples = speak_examples(tmp_path)
    sounds = {name: soundfile.read(path) for name, path in examples.items()}
    assert {rate for _, rate in sounds.values()} == {16000}
    lengths_s = {name: len(samples) / 16000 for name, (samples, _) in sounds.items()}
    assert lengths_s.pop(LONG) == pytest.approx(45)
    assert list(examples)[-1] == LONG
    assert all(1 < seconds < 8 for seconds in lengths_s.values())
    assert lengths_s["fast, loud, bright"] < lengths_s["even"] < lengths_s["slow, soft, dull"]
    assert len({path.read_bytes() for path in examples.values()}) == 5


def test_a_taken_port_is_one_line_and_where_none_is_asked_for_the_next_is_taken(monkeypatch, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = refused(capsys, "demo", "--model", "nowhere/at-all", "--port", port, call=run)
        assert f"--port {port}: taken by another program; give another" in line
        monkeypatch.setattr(ports, "FIRST", port)
        monkeypatch.setattr(ports, "LAST", port + 20)
        assert port < find_port("127.0.0.1", None) <= port + 20
        monkeypatch.setattr(ports, "LAST", port)
        with pytest.raises(InputError, match=f"ports {port} to {port}: all taken"):
            find_port("127.0.0.1", None)


def test_without_gradio_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(serving, "find_spec", lambda _: None)
    assert refused(capsys, "demo", call=run).endswith("Gradio is not installed: pip install 'espnet-ser[demo]'")
