import json

import numpy as np
import onnx
import pytest
import torch
from exported import LABELS, model_of, settings
from packed_recipe import noise, posteriors

from espnet_ser.publish.onnx import FLOAT_FILE, INT8_FILE, export_onnx, measure, session

SKIP = {"tasks": ["emotion", "gender", "asr"], "labels": LABELS, "skip_layer": 4}


def run(exported, *batch):
    """Posteriors of a batch of waveforms, padded with noise: padding must not be looked at."""
    lengths = np.array([len(waveform) for waveform in batch])
    padded = np.random.default_rng(1).standard_normal((len(batch), max(lengths))).astype(np.float32)
    for row, waveform in zip(padded, batch, strict=True):
        row[: len(waveform)] = waveform
    return dict(zip([output.name for output in exported.get_outputs()], exported.run(None, feed(padded, lengths)), strict=True))


def feed(speech, num_samples):
    return {"speech": speech, "num_samples": num_samples}


@pytest.fixture(scope="module", params=["wav2vec2-base", "wav2vec2-large-lv60", "hubert-base"])
def exported(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    model, args = model_of(folder / "model", encoder_config=settings(request.param), **SKIP)
    export_onnx(model, args.labels, folder / "onnx")
    return model, args, folder / "onnx"


def test_scores_are_the_same_in_batches_of_any_size_and_length(exported):
    model, _, folder = exported
    session_ = session(folder / FLOAT_FILE)
    waveforms = [noise(seconds, seed) for seed, seconds in enumerate((0.05, 0.7, 1.3, 2.9, 0.2))]
    wanted = {task: torch.stack([posteriors(model, w, task) for w in waveforms]).numpy() for task in ("emotion", "gender")}
    assert np.ptp(wanted["emotion"], axis=0).max() > 0.01  # a hundred times what is let pass
    for chosen in ([0], [3], [0, 1, 2, 3, 4], [2, 4]):
        told = run(session_, *(waveforms[i] for i in chosen))
        assert told.keys() == {"emotion", "gender"}
        for task, scores in told.items():
            np.testing.assert_allclose(scores, wanted[task][chosen], atol=1e-4)


def test_int8_is_smaller_and_close(exported):
    model, _, folder = exported
    assert (folder / INT8_FILE).stat().st_size < (folder / FLOAT_FILE).stat().st_size
    session_ = session(folder / INT8_FILE)
    for seed, seconds in enumerate((0.7, 2.9)):
        waveform = noise(seconds, seed)
        scores = run(session_, waveform)["emotion"][0]
        assert scores.sum() == pytest.approx(1, abs=1e-5)
        assert np.abs(scores - posteriors(model, waveform, "emotion").numpy()).max() < 0.15
    nodes = {node.op_type for node in onnx.load(folder / INT8_FILE).graph.node}
    assert "MatMulInteger" in nodes


def test_class_names_go_with_the_file(exported):
    _, args, folder = exported
    for name in (FLOAT_FILE, INT8_FILE):
        assert json.loads(session(folder / name).get_modelmeta().custom_metadata_map["labels"]) == args.labels
    assert sorted(path.name for path in folder.iterdir()) == [FLOAT_FILE, INT8_FILE]


def test_accuracy_and_speed_are_measured(packed):
    model, args = packed.model()
    examples = packed.test_examples()
    measured = measure(model, args.labels, packed.folder / "onnx", examples)
    assert measured["num_utts"] == len(examples)
    assert measured[FLOAT_FILE]["largest_difference"] < 1e-4
    assert measured[FLOAT_FILE]["ua"] == measured["pytorch"]["ua"]
    assert measured[INT8_FILE]["largest_difference"] > measured[FLOAT_FILE]["largest_difference"]
    assert measured[INT8_FILE]["real_time_factor"] > 0
    recorded = json.loads((packed.folder / "onnx" / "measured.json").read_text())
    for name in ("pytorch", FLOAT_FILE, INT8_FILE):
        assert (recorded[name]["ua"], recorded[name]["wa"]) == (measured[name]["ua"], measured[name]["wa"])
    assert "espnet-ser pack --system" in recorded["command"]


def test_the_example_of_the_readme_runs(packed, tmp_path, monkeypatch, capsys):
    text = (packed.folder / "onnx" / "README.md").read_text()
    code = text.partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(packed.folder / "onnx")
    example = packed.test_examples()[0]
    exec(code.replace("speech.wav", str(example.wav)))
    model, args = packed.model()
    told = eval(capsys.readouterr().out)
    assert told.keys() == set(args.labels["emotion"])
