from pathlib import Path

import pytest

from espnet_ser.errors import InputError
from espnet_ser.systems import Stage, list_systems, load_system

CONF = Path(__file__).parents[2] / "conf"


@pytest.mark.parametrize("name", list_systems(CONF))
def test_every_system_is_named_after_what_it_trains(name):
    system = load_system(CONF, name)
    assert {"ua", "wa"} <= set(system.paper)
    if "__" in name:
        stage1, _, ser = name.partition("__")
        assert system.stage1_name == stage1
        assert "_".join(system.ser.tasks) == ser.replace("ser", "emotion")
        assert system.ser.trainable_layers == 8
        assert system.stage1.trainable_layers == 12
    else:
        assert system.stage1 is None
        assert system.stage1_name is None


def test_two_stage_systems_share_four_first_stages():
    stages = {load_system(CONF, name).stage1_name for name in list_systems(CONF)} - {None}
    assert stages == {"asr", "gender", "asr_gender", "asr_gender_skip"}


def test_layers_scale_with_the_encoder():
    ser, stage1 = Stage(("emotion",), 8), Stage(("asr", "gender"), 12, skip=True)
    assert ser.model_options(12)["trainable_layers"] == 8
    assert ser.model_options(24)["trainable_layers"] == 16
    assert ser.model_options(6)["trainable_layers"] == 4
    assert [stage1.model_options(n)["skip_layer"] for n in (12, 24, 6)] == [4, 8, 2]
    assert stage1.model_options(12)["trainable_layers"] == 12


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "ser: {tasks: [emotion], trainable_layer: 8}",
            "unknown key of a stage 'trainable_layer' .did you mean 'trainable_layers'",
        ),
        ("ser: {tasks: [emotions]}", "unknown task 'emotions' .did you mean 'emotion'"),
        ("ser: {tasks: [gender]}", "must train emotion"),
        ("stage1: {tasks: [asr]}", "'ser' is missing"),
        ("ser: {tasks: [emotion], trainable_layers: 13}", "trainable_layers must be 0 to 12, not 13"),
        ("ser: {tasks: [emotion], trainable_layers: true}", "trainable_layers must be"),
        ("ser: {tasks: [emotion], skip: 4}", "skip must be true or false"),
        ("ser: [emotion]", "a stage is a mapping"),
        ("ser: {tasks: [emotion]}\nstage2: {}", "unknown key 'stage2'"),
        ("- ser", "not a mapping of names to values"),
        ("ser: {tasks: [emotion", "not YAML"),
    ],
)
def test_a_wrong_system_file_is_one_clear_line(tmp_path, content, message):
    (tmp_path / "systems").mkdir()
    (tmp_path / "systems" / "mine.yaml").write_text(content)
    with pytest.raises(InputError, match=message) as error:
        load_system(tmp_path, "mine")
    assert "mine.yaml" in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_system_gets_the_nearest_name():
    with pytest.raises(InputError, match="unknown system 'asr_gender_skip_ser' .did you mean 'asr_gender_skip__ser'"):
        load_system(CONF, "asr_gender_skip_ser")
