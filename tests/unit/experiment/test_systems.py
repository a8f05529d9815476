from argparse import Namespace

import pytest
from checkout import ROOT
from tiny import save_encoder

from espnet_ser.errors import InputError
from espnet_ser.experiment.systems import Finetuning, check_tag, list_systems, load_system, systems_of_table
from espnet_ser.model_io.build import build_untrained
from espnet_ser.tasks.ser import SERTask

CONF = ROOT / "conf"


@pytest.mark.parametrize("name", list_systems(CONF))
def test_every_system_is_named_after_what_it_trains(name):
    system = load_system(CONF, name)
    assert {"ua", "wa"} <= set(system.paper) or not system.rows
    assert set(system.ser.reversed) == ({name.removeprefix("adv_")} if name.startswith("adv_") else set())
    assert system.ser.surgery == name.endswith("_pcgrad")
    assert system.ser.encoder == ("cnn_lstm" if name == "cnn_lstm" else "ssl")
    if name.startswith("mtl_"):
        assert "_".join(system.ser.tasks) == name.replace("mtl_", "emotion_").removesuffix("_pcgrad")
    if "__" in name:
        intermediate, _, ser = name.partition("__")
        assert system.intermediate_name == intermediate
        assert "_".join(system.ser.tasks) == ser.replace("ser", "emotion")
        assert system.ser.trainable_layers == 8
        assert system.intermediate.trainable_layers == 12
    else:
        assert system.intermediate is None
        assert system.intermediate_name is None


def test_tables_list_their_systems_in_the_papers_order():
    assert systems_of_table(CONF, "1") == ["cnn_lstm", "stl_n0", "stl_n2", "stl_n4", "stl_n6", "stl_n8", "stl_n10", "stl"]
    assert [len(systems_of_table(CONF, table)) for table in ("1", "2", "3", "all")] == [8, 10, 10, 27]
    assert systems_of_table(CONF, "2")[0] == "stl"
    assert systems_of_table(CONF, "3")[-1] == "asr_gender_skip__ser_gender"
    for table in (1, 2, 3):
        rows = [load_system(CONF, name).rows[table] for name in systems_of_table(CONF, str(table))]
        assert rows == list(range(1, len(rows) + 1))
    with pytest.raises(InputError, match="unknown table '4'"):
        systems_of_table(CONF, "4")


def test_finetunings_that_differ_have_names_that_differ():
    stages = [
        Finetuning(("asr",)),
        Finetuning(("asr", "gender")),
        Finetuning(("asr", "gender"), skip_layer=4),
        Finetuning(("asr", "gender"), reversed=("gender",)),
        Finetuning(("asr",), trainable_layers=8),
        Finetuning(("asr", "gender"), surgery=True),
    ]
    assert len({stage.name for stage in stages}) == len(stages)


def test_two_stage_systems_share_four_intermediates():
    stages = {load_system(CONF, name).intermediate_name for name in list_systems(CONF)} - {None}
    assert stages == {"asr", "gender", "asr_gender", "asr_gender_skip"}


def test_layers_scale_with_the_encoder():
    ser, intermediate = Finetuning(("emotion",), 8), Finetuning(("asr", "gender"), 12, skip_layer=4)
    assert ser.model_options(12)["trainable_layers"] == 8
    assert ser.model_options(24)["trainable_layers"] == 16
    assert ser.model_options(6)["trainable_layers"] == 4
    assert [intermediate.model_options(n)["skip_layer"] for n in (12, 24, 6)] == [4, 8, 2]
    assert intermediate.model_options(12)["trainable_layers"] == 12


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "ser: {tasks: [emotion], trainable_layer: 8}",
            "unknown key of a finetuning 'trainable_layer' .did you mean 'trainable_layers'",
        ),
        ("ser: {tasks: [emotions]}", "unknown task 'emotions' .did you mean 'emotion'"),
        ("ser: {tasks: [gender]}", "must train emotion"),
        ("stage1: {tasks: [asr]}", "'ser' is missing"),
        ("ser: {tasks: [emotion], trainable_layers: 13}", "trainable_layers must be 0 to 12, not 13"),
        ("ser: {tasks: [emotion], trainable_layers: true}", "trainable_layers must be"),
        ("ser: {tasks: [emotion], skip_layer: true}", "skip_layer must be 0 to 12, not True"),
        ("ser: [emotion]", "a finetuning is a mapping"),
        ("ser: {tasks: [emotion, gender], reversed: [style]}", "reversed may name gender and style"),
        ("ser: {tasks: [emotion, asr], reversed: [asr]}", "reversed may name gender and style"),
        ("ser: {tasks: [emotion], reversed: gender}", "reversed must be a list of tasks"),
        ("ser: {tasks: [emotion, emotion]}", "tasks must be a list of tasks, each once"),
        ("ser: {tasks: []}", "at least one task"),
        ("ser: {tasks: [emotion], encoder: cnn_lst}", "unknown encoder 'cnn_lst' .did you mean 'cnn_lstm'"),
        ("ser: {tasks: [emotion], encoder: cnn_lstm, trainable_layers: 4}", "encoder cnn_lstm has none"),
        ("ser: {tasks: [emotion, asr], encoder: cnn_lstm}", "too few for the characters of asr"),
        ("ser: {tasks: [emotion], surgery: 1}", "surgery must be true or false"),
        ("ser: {tasks: [emotion]}\nrows: {4: 1}", "rows must be a mapping of tables"),
        ("ser: {tasks: [emotion]}\nrows: 1", "rows must be a mapping of tables"),
        ("ser: {tasks: [emotion]}\nsecond: {}", "unknown key 'second'"),
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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "stage1: {tasks: [gender], skip_layer: 4}\nser: {tasks: [emotion, gender]}",
            "give both finetunings the skip branch",
        ),
        (
            "stage1: {tasks: [gender], encoder: cnn_lstm}\nser: {tasks: [emotion]}",
            "two finetunings have different encoders",
        ),
        ("ser: {tasks: [emotion], surgery: true}", "surgery is of the gradients of several tasks"),
    ],
)
def test_finetunings_that_do_not_fit_together_are_refused(tmp_path, content, message):
    (tmp_path / "systems").mkdir()
    (tmp_path / "systems" / "mine.yaml").write_text(content)
    with pytest.raises(InputError, match=message):
        load_system(tmp_path, "mine")


def test_no_system_takes_the_folder_of_another(tmp_path):
    with pytest.raises(InputError, match="the folder of stl would be that of the system stl_n8"):
        check_tag(CONF, "stl", "n8")
    check_tag(CONF, "stl", "n9")
    (tmp_path / "systems").mkdir()
    for name in ("stage1", "table3"):
        (tmp_path / "systems" / f"{name}.yaml").write_text("ser: {tasks: [emotion]}")
        with pytest.raises(InputError, match="a folder of the recipe"):
            load_system(tmp_path, name)


def test_few_layers_of_a_shallow_encoder_are_never_none():
    assert [Finetuning(("emotion",), n).model_options(6)["trainable_layers"] for n in (0, 1, 2, 3, 5, 12)] == [0, 1, 1, 2, 3, 6]


def test_an_unknown_system_gets_the_nearest_name():
    with pytest.raises(InputError, match="unknown system 'asr_gender_skip_ser' .did you mean 'asr_gender_skip__ser'"):
        load_system(CONF, "asr_gender_skip_ser")


@pytest.mark.parametrize("name", list_systems(CONF))
def test_every_system_builds_what_its_file_says(name, tmp_path):
    system = load_system(CONF, name)
    encoder = save_encoder(
        tmp_path / "encoder", num_hidden_layers=12, hidden_size=8, num_attention_heads=2, intermediate_size=8
    )
    for stage in filter(None, (system.intermediate, system.ser)):
        args = Namespace(**{**SERTask.get_default_config(), **stage.model_options(12), "ssl": str(encoder)})
        args.reversed_tasks = args.reversed_tasks or []
        args.labels = {"emotion": ["a", "b", "c", "d"], "gender": ["f", "m"], "style": ["improvised", "scripted"]}
        args.token_list = ["<blank>", "A"]
        model = build_untrained(args)
        assert set(model.tasks) == set(stage.tasks)
        assert {task for task in model.tasks if getattr(model.heads[task], "reversal_scale", None)} == set(stage.reversed)
        assert model.gradient_surgery == stage.surgery
        if stage.encoder == "cnn_lstm":
            assert not hasattr(model.encoder, "wav2vec2")
            continue
        trained = {
            int(key.split(".layers.")[1].split(".")[0]) for key in model.shared_and_own_parameters()[0] if ".layers." in key
        }
        assert trained == set(range(12 - stage.trainable_layers, 12))
        assert not any("feature_extractor" in key for key in model.shared_and_own_parameters()[0])
        assert model.encoder.skip_layer == (4 if stage.skip_layer is not None and "gender" in stage.tasks else None)
