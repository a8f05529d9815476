"""Which recordings hold no speech: by their level alone."""

import json

import numpy as np
import pytest
import soundfile
from model_maker import make_model
from tiny_recipe import run

from espnet_ser.inference.level import is_loud_enough

RATE = 16000


def noise(rms, seconds=1.0):
    return (rms * np.random.default_rng(0).standard_normal(round(seconds * RATE))).astype(np.float32)


def click(seconds):
    samples = np.zeros(round(seconds * RATE), np.float32)
    samples[100] = 0.02
    return samples


SILENT = {
    "digital silence": np.zeros(RATE, np.float32),
    "a constant offset": np.full(RATE, 0.5, np.float32),
    "an offset with the last bit toggling": np.tile([0.25, 0.25 + 2**-15], RATE // 2).astype(np.float32),
    "dither of 16 bits": noise(2**-15),
    "a soft hiss": noise(0.0005),
    "one soft click": click(3.0),
    "digital silence of 30 ms": np.zeros(480, np.float32),
}
LOUD = {
    "quiet speech": noise(0.003),
    "a second of it in a minute of silence": np.concatenate([np.zeros(59 * RATE, np.float32), noise(0.003)]),
    "a tenth at the very end": np.concatenate([np.zeros(RATE + 77, np.float32), noise(0.003, 0.1)]),
    "clipped": np.sign(noise(1.0)),
    "clipped on one side": np.maximum(noise(0.5), 0),
    "a quiet sound on an offset": 0.9 + noise(0.003),
    "30 ms": noise(0.1, 0.03),
}


@pytest.mark.parametrize("name", SILENT)
def test_silence_is_none(name):
    assert not is_loud_enough(SILENT[name])


@pytest.mark.parametrize("name", LOUD)
def test_what_may_be_speech_passes(name):
    assert is_loud_enough(LOUD[name])


def test_the_threshold_is_60_db_below_full_scale():
    square = np.tile([1.0, -1.0], RATE // 2).astype(np.float32)
    assert is_loud_enough(0.00101 * square)
    assert not is_loud_enough(0.00099 * square)


def test_predict_marks_recordings_without_speech_in_every_format(tmp_path, capsys):
    model = make_model(tmp_path / "model", tasks=["emotion"], labels={"emotion": ["happy", "sad"]})
    soundfile.write(tmp_path / "a.wav", np.zeros(RATE), RATE)
    soundfile.write(tmp_path / "b.wav", noise(0.05), RATE)
    outputs = {}
    for name in ("jsonl", "csv", "table"):
        run("predict", "--model", model, "--format", name, tmp_path / "a.wav", tmp_path / "b.wav")
        outputs[name], problems = capsys.readouterr()
        assert f"{tmp_path / 'a.wav'}: no speech: softer than -60 dBFS throughout" in problems
        assert "b.wav" not in problems
    told = [json.loads(line) for line in outputs["jsonl"].splitlines()]
    assert [line["speech"] for line in told] == [False, True]
    assert all(line["label"] in line["scores"] for line in told)
    header, *rows = (line.split(",") for line in outputs["csv"].splitlines())
    assert [row[header.index("speech")] for row in rows] == ["false", "true"]
    header, silent, loud = outputs["table"].splitlines()
    assert header.endswith("speech")
    assert silent.endswith("none: too soft")
    assert not loud.endswith("soft")
