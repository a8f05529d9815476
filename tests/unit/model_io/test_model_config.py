"""Every setting that a model is built from is checked before it is."""

from argparse import Namespace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from model_maker import change_config, make_model, model_config
from transformers import HubertConfig, Wav2Vec2Config, WavLMConfig

from espnet_ser.errors import InputError
from espnet_ser.model_io.build import build_structure
from espnet_ser.model_io.encoder_config import check_cost
from espnet_ser.model_io.load import load_model
from espnet_ser.model_io.model_config import check_model_config


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_model(
        tmp_path_factory.mktemp("models") / "model",
        tasks=["emotion", "gender"],
        labels={"emotion": ["angry", "happy"], "gender": ["f", "m"]},
        skip_layer=2,
    )


def test_what_training_writes_is_permitted(model):
    loaded, args = load_model(model)
    assert loaded.tasks == ["emotion", "gender"]
    assert (args.ssl, args.stage1_dir, args.cache_folder) == (None, None, None)


@pytest.mark.parametrize("key", sorted(model_config()))
def test_a_setting_that_is_missing_is_named(key):
    config = model_config()
    del config[key]
    with pytest.raises(InputError, match=f"^config: {key} is missing, and must be .*; train the model again$"):
        check_model_config(config, "config")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("encoder", "bert"),
        ("encoder", ["ssl"]),
        ("tasks", []),
        ("tasks", "emotion"),
        ("tasks", ["emotion", "emotion"]),
        ("tasks", [["emotion"]]),
        ("reversed_tasks", None),
        ("reversed_tasks", ["gender"]),
        ("reversal_scale", "1.0"),
        ("reversal_scale", float("nan")),
        ("dropout", 1.5),
        ("dropout", True),
        ("aux_weight", float("inf")),
        ("literal_eq", "false"),
        ("gradient_surgery", 0),
        ("labels", ["angry"]),
        ("labels", {}),
        ("labels", {"emotion": []}),
        ("labels", {"emotion": ["angry", "angry"]}),
        ("labels", {"emotion": ["angry", 1]}),
        ("labels", {"emotion": ["an\x1bgry"]}),
        ("labels", {"emotion": ["an\u202egry"]}),
        ("labels", {"emotion": ["very angry"]}),
        ("labels", {"emotion": ["a" * 251]}),
        ("token_list", None),
        ("token_list", ["A", "B"]),
        ("token_list", ["<blank>", "<unk>", ""]),
        ("token_list", ["<blank>", "<unk>", "a b"]),
        ("token_list", ["<blank>", "<unk>", "\x9b"]),
        ("encoder_config", None),
        ("encoder_conf", []),
        ("normalize_waveform", None),
        ("trainable_layers", -1),
        ("trainable_layers", 2.0),
        ("skip_layer", "2"),
        ("recompute_above", 0),
        ("recompute_above", float("inf")),
        ("trained_on", ["1"]),
        ("trained_on", {"sessions": "12", "speakers": []}),
    ],
)
def test_a_value_that_no_training_leaves_is_named(key, value):
    with pytest.raises(InputError, match=rf"^config: .*{key.split('_')[0]}") as error:
        check_model_config(model_config(**{key: value}), "config")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "bert"}, "'bert' are not supported"),
        ({"model_type": ["wav2vec2"]}, "are not supported"),
        ({"hidden_size": "32"}, "hidden_size must be a whole number from 1 to 8192"),
        ({"hidden_size": 33}, "does not make a model"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers must be a whole number from 1 to 128"),
        ({"num_hidden_layers": 5}, "holds parameters that config.yaml knows nothing of"),
        ({"num_hidden_layers": 7}, "parameters are missing"),
        ({"intermediate_size": 65}, "another shape"),
        ({"conv_stride": [0] * 7}, "conv_stride must be a list"),
        ({"conv_stride": [1] * 7}, "makes a frame of every 1 samples, expected 160 to 16,000"),
        ({"conv_dim": [32]}, "does not make a model"),
        ({"hidden_act": "xielu"}, "hidden_act must be one of"),
        ({"num_conv_pos_embedding_groups": 0}, "num_conv_pos_embedding_groups must be"),
        ({"add_adapter": True, "num_adapter_layers": 10**9}, "encoders with an adapter"),
        ({"layerdrop": -1}, "layerdrop must be a number from 0 to 1"),
    ],
)
def test_an_encoder_that_can_not_be_is_one_line(tmp_path, changes, message):
    folder = make_model(tmp_path / "model")
    change_config(folder, encoder_config={**model_config()["encoder_config"], **changes})
    with pytest.raises(InputError) as error:
        load_model(folder)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_published_encoders_are_in_proportion():
    large = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
    xls_r_2b = {"hidden_size": 1920, "num_hidden_layers": 48, "num_attention_heads": 16, "intermediate_size": 7680}
    for config in (Wav2Vec2Config(), Wav2Vec2Config(**xls_r_2b), HubertConfig(**large), WavLMConfig(**large)):
        check_cost(config, "config")


def test_what_transformers_would_do_beside_building_the_encoder_is_left_out(tmp_path):
    folder = make_model(tmp_path / "model")
    more = {"per_layer_config": {"0": {}}, "fusion_config": {"x": True}, "output_attentions": True, "to_dict": 1, "forward": 2}
    change_config(folder, encoder_config={**model_config()["encoder_config"], **more})
    config = load_model(folder)[0].encoder.wav2vec2.config
    assert config.to_dict is not None
    assert callable(config.to_dict)
    assert not config.output_attentions
    assert not hasattr(config, "forward")


def refusal(call, *arguments) -> str:
    """What a call says to an input that it refuses; nothing where it takes it."""
    try:
        call(*arguments)
    except InputError as error:
        return str(error)
    return ""


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from([*sorted(model_config()), "recompute_above", "trained_on"]), _values)
def test_any_value_is_permitted_or_refused_in_one_line(key, value):
    assert "\n" not in refusal(check_model_config, model_config(**{key: value}), "config")


@given(st.sampled_from(sorted(model_config()["encoder_config"])), _values)
def test_any_encoder_setting_makes_a_model_or_is_refused_in_one_line(key, value):
    config = model_config()
    config["encoder_config"][key] = value
    config = yaml.safe_load(yaml.safe_dump(config))
    check_model_config(config, "config")
    assert "\n" not in refusal(build_structure, Namespace(**config))
