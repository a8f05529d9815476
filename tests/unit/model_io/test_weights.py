import json
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import LAYER_NORM, examples_of, save_encoder, tiny_wav2vec2
from transformers import Wav2Vec2ForCTC, Wav2Vec2ForPreTraining

from espnet_ser.data.identity import data_identity
from espnet_ser.data.leakage import check_leak, describe_training_data
from espnet_ser.errors import InputError
from espnet_ser.model_io.encoder_folder import encoder_identity, num_layers, read_encoder_config, wants_normalized_waveform
from espnet_ser.model_io.hub import resolve_encoder
from espnet_ser.model_io.weights import build_encoder, load_pretrained_encoder, load_weights, read_weights


def fresh_encoder(folder):
    torch.manual_seed(99)
    return build_encoder(read_encoder_config(folder))


@pytest.mark.parametrize("kind", [{}, LAYER_NORM], ids=["group", "layer"])
@pytest.mark.parametrize("head", [None, Wav2Vec2ForPreTraining, Wav2Vec2ForCTC])
def test_pretrained_weights_are_loaded_whatever_heads_lie_beside(tmp_path, head, kind):
    config = tiny_wav2vec2(**kind).config
    model = tiny_wav2vec2(**kind) if head is None else head(config)
    model.save_pretrained(tmp_path)
    encoder = fresh_encoder(tmp_path)
    load_pretrained_encoder(encoder, tmp_path)
    expected = (model if head is None else model.wav2vec2).state_dict()
    assert encoder.state_dict().keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in encoder.state_dict().items())


def test_half_precision_weights_are_used_in_single_precision(tmp_path):
    save_encoder(tmp_path)
    halves = {name: tensor.half() for name, tensor in load_file(tmp_path / "model.safetensors").items()}
    save_file(halves, tmp_path / "model.safetensors", metadata={"format": "pt"})
    config = {**json.loads((tmp_path / "config.json").read_text()), "dtype": "float16"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    encoder = fresh_encoder(tmp_path)
    load_pretrained_encoder(encoder, tmp_path)
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}
    torch.testing.assert_close(
        encoder.feature_projection.projection.weight, tiny_wav2vec2().feature_projection.projection.weight, atol=1e-3, rtol=1e-3
    )


def test_a_parameter_that_the_pretrained_weights_lack_is_named(tmp_path):
    save_encoder(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["encoder.layers.3.attention.k_proj.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"encoder\.layers\.3\.attention\.k_proj\.weight"):
        load_pretrained_encoder(fresh_encoder(tmp_path), tmp_path)


def test_a_folder_without_weights_is_one_clear_line(tmp_path):
    save_encoder(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(InputError, match="cannot load the encoder's weights"):
        load_pretrained_encoder(fresh_encoder(tmp_path), tmp_path)


def test_loading_names_what_is_missing_and_what_has_another_shape():
    model = torch.nn.ModuleDict({"old": torch.nn.Linear(2, 3), "new": torch.nn.Linear(2, 2)})
    weights = {name: torch.ones_like(tensor) for name, tensor in model.state_dict().items()}
    extra = {**weights, "gone.weight": torch.ones(1)}
    assert load_weights(model, extra, fresh=["new."], source="x") == ["gone.weight", "new.bias", "new.weight"]
    assert torch.equal(model["old"].weight, torch.ones(3, 2))
    assert not torch.equal(model["new"].weight, torch.ones(2, 2))
    del weights["old.bias"]
    with pytest.raises(InputError, match=r"x: 1 of 4 parameters are missing: old\.bias"):
        load_weights(model, weights, source="x")
    weights["old.bias"] = torch.ones(7)
    with pytest.raises(InputError, match=r"old\.bias \[7\] instead of \[3\]"):
        load_weights(model, weights, source="x")


class Bomb:
    """Unpickles by making a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_weights_files_that_hold_code_are_refused_and_not_run(tmp_path):
    torch.save({"a": Bomb(tmp_path / "harm")}, tmp_path / "bomb.pth")
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(Bomb(tmp_path / "harm")))
    (tmp_path / "half.pth").write_bytes((tmp_path / "bomb.pth").read_bytes()[:100])
    torch.save({"a": "text"}, tmp_path / "text.pth")
    for name in ("bomb.pth", "raw.pth", "half.pth", "text.pth"):
        with pytest.raises(InputError, match=name):
            read_weights(tmp_path / name)
    assert not (tmp_path / "harm").exists()
    with pytest.raises(InputError, match="is missing"):
        read_weights(tmp_path / "nowhere.pth")


def test_what_a_model_was_trained_on_is_held_against_its_test_data(tmp_path):
    examples = examples_of(tmp_path, sessions=("1", "2", "3"))
    train = [e for e in examples if e.session != "1"]
    test = [e for e in examples if e.session == "1"]
    trained_on = describe_training_data(train)
    assert trained_on["sessions"] == ["2", "3"]
    assert trained_on["num_utts"] == len(train)
    check_leak(trained_on, test, "session", "model")
    with pytest.raises(InputError, match=r"model was trained on session 2, which this fold holds out"):
        check_leak(trained_on, [e for e in examples if e.session == "2"], "session", "model")
    # by speaker: the partner of the held-out speaker stays in training
    women = [e for e in examples if e.speaker != "Ses01_M"]
    check_leak(describe_training_data(women), [e for e in examples if e.speaker == "Ses01_M"], "speaker", "model")
    with pytest.raises(InputError, match="trained on speaker Ses01_F"):
        check_leak(describe_training_data(women), [e for e in examples if e.speaker == "Ses01_F"], "speaker", "model")
    for unknown in (None, {}, {"sessions": ["2"]}):
        with pytest.raises(InputError, match="does not say what it was trained on"):
            check_leak(unknown, test, "session", "model")


def test_identity_of_data_is_its_content_not_its_place(tmp_path):
    here, there = examples_of(tmp_path / "a"), examples_of(tmp_path / "b")
    assert data_identity(here) == data_identity(there)
    assert data_identity(here) != data_identity(here[1:])


def test_encoder_folders_say_what_they_are(tmp_path):
    save_encoder(tmp_path, do_normalize=False)
    assert num_layers(tmp_path) == 6
    assert wants_normalized_waveform(tmp_path) is False
    before = encoder_identity(tmp_path)
    assert set(before) == {"config", "weights", "normalize_waveform"}
    (tmp_path / "preprocessor_config.json").write_text("{}")  # transformers' own default
    assert wants_normalized_waveform(tmp_path) is True
    assert encoder_identity(tmp_path) != before
    for unknown in ('{"feature_extractor_type": "WhisperFeatureExtractor"}', '{"do_normalize": "false"}'):
        (tmp_path / "preprocessor_config.json").write_text(unknown)
        with pytest.raises(InputError, match="not true or false"):
            wants_normalized_waveform(tmp_path)
    for name in ("preprocessor_config.json", "processor_config.json"):
        settings = {"do_normalize": True, "sampling_rate": 8000}
        (tmp_path / name).write_text(json.dumps(settings if name[:3] == "pre" else {"feature_extractor": settings}))
        for is_said in (False, True):
            with pytest.raises(InputError, match=f"{name}: sampling_rate is 8000, and encoders are given 16000 Hz"):
                encoder_identity(tmp_path, is_said)
        (tmp_path / name).unlink()
    with pytest.raises(InputError, match="it is not known whether the encoder wants normalised waveforms"):
        encoder_identity(tmp_path)
    assert encoder_identity(tmp_path, is_waveform_said=True)["normalize_waveform"] is None
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match="not a transformers configuration"):
        read_encoder_config(tmp_path)


def test_encoders_that_are_nowhere_are_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "model.zip").write_bytes(b"PK")
    with pytest.raises(InputError, match="model.zip: not a folder; name one that transformers saved"):
        resolve_encoder(str(tmp_path / "model.zip"))
    for name in (str(tmp_path / "none"), "./none", "a/b/c", "bad name!"):
        with pytest.raises(InputError, match="--ssl"):
            resolve_encoder(name)
    with pytest.raises(InputError, match=r"no config\.json"):
        resolve_encoder(str(tmp_path))
    assert resolve_encoder(str(save_encoder(tmp_path))) == tmp_path


def test_other_architectures_are_refused():
    with pytest.raises(InputError, match="'bert' are not supported; known: wav2vec2, hubert, wavlm"):
        build_encoder({"model_type": "bert"})
    with pytest.raises(InputError, match="does not make a model"):
        build_encoder({"model_type": "wav2vec2", "hidden_size": 31, "num_attention_heads": 4})


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "before PyTorch 1.6"])
def test_checkpoints_with_older_names_are_loaded(tmp_path, is_zip):
    """As facebook/wav2vec2-base is on the hub: a pickle of tensors, a pretraining model, weight norm's former names."""
    model = Wav2Vec2ForPreTraining(tiny_wav2vec2().config)
    model.config.save_pretrained(tmp_path)
    former = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    state = {}
    for name, tensor in model.state_dict().items():
        for new, old in former.items():
            name = name.replace(new, old)
        state[name] = tensor
    assert any(name.endswith("weight_g") for name in state)
    torch.save(state, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=is_zip)
    encoder = fresh_encoder(tmp_path)
    load_pretrained_encoder(encoder, tmp_path)
    expected = model.wav2vec2.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in encoder.state_dict().items())


def test_an_encoder_in_the_former_format_runs_no_code(tmp_path):
    save_encoder(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    encoder = fresh_encoder(tmp_path)
    torch.save({"a": Bomb(tmp_path / "harm")}, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    with pytest.raises(InputError, match=r"pytorch_model\.bin: damaged, or not a file of weights"):
        load_pretrained_encoder(encoder, tmp_path)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("place", [0.2, 0.5, 0.8])
def test_a_flipped_bit_in_weights_is_noticed(tmp_path, place):
    torch.save({"a": torch.randn(100), "b": torch.randn(100)}, tmp_path / "weights.pth")
    assert read_weights(tmp_path / "weights.pth").keys() == {"a", "b"}
    content = bytearray((tmp_path / "weights.pth").read_bytes())
    values = content.index(torch.load(tmp_path / "weights.pth")["a"].numpy().tobytes()[:16])
    content[values + int(400 * place)] ^= 1
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(InputError, match="weights.pth: damaged, or not a file of weights .* does not match its checksum"):
        read_weights(tmp_path / "weights.pth")
