"""What users get wrong about training is one clear line, and nothing is lost."""

import fcntl
import shutil

import pytest
from tiny import save_encoder
from tiny_recipe import SYSTEM, refused

from espnet_ser.data.datadir import read_datadir
from espnet_ser.errors import InputError
from espnet_ser.model_io.load import load_model


def test_a_stage_before_its_time_names_the_one_it_needs(recipe, capsys):
    assert "run stage 3" in refused(capsys, "ser", call=recipe.train)
    assert "run stage 4" in refused(capsys, call=recipe.select)
    shutil.rmtree(recipe.root / "dump")
    assert "run stage 2" in refused(capsys, "stage1", call=recipe.train)
    shutil.rmtree(recipe.datadir)
    assert "run stage 1" in refused(capsys, "stage1", call=recipe.train)
    assert not (recipe.root / "exp").exists()


def test_a_mistyped_option_leaves_the_finished_model_where_it_is(trained, capsys):
    folder = trained.root / "exp" / SYSTEM
    for wrong in ("--batch_sizes 3", "--skip_layer 9", "--optim_conf lrr=1", "--max_epoch 0"):
        refused(capsys, "ser", "--args", wrong, call=trained.train)
    assert [path.name for path in folder.glob("fold*")] == ["fold1"]
    assert (folder / "fold1" / "done.json").exists()


def test_stage_two_with_another_encoder_than_stage_one_is_refused(trained, tmp_path, capsys):
    other = save_encoder(tmp_path / "other", seed=5)
    message = refused(capsys, "ser", "--ssl", other, call=trained.train)
    assert "was trained on other inputs (encoder.weights: " in message


def test_a_fold_that_is_being_trained_is_not_trained_twice(recipe, capsys):

    folder = recipe.root / "exp/stage1/asr_gender_skip"
    folder.mkdir(parents=True)
    with open(folder / ".fold1.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another run is training here" in refused(capsys, "stage1", call=recipe.train)
    assert not (folder / "fold1").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("stage1", "--args", "--optim_conf lrr=0.1"), "unknown key of optim_conf 'lrr' (did you mean 'lr'?)"),
        (("stage1", "--args", "--freeze_param encodr"), "--freeze_param encodr: no parameter is called so"),
        (("stage1", "--args", "--output_dir x"), "--output_dir is set by the recipe"),
        (("stage1", "--args", "--max_epo 1"), "unknown ESPnet option '--max_epo'"),
        (("stage1", "--args", "--batch_size 0"), "--batch_size must be a whole number from 1"),
        (("stage1", "--args", "--valid_batch_size 0"), "--batch_size must be a whole number from 1"),
        (("stage1", "--args", "--batch_type numel --batch_bins 0"), "--batch_bins must be a whole number from 1"),
        (("stage1", "--args", "--batch_type sorted"), "--batch_type: unknown batch type 'sorted'; known: folded, numel"),
        (("stage1", "--args", "--recompute_above 0"), "--recompute_above must be above 0 (seconds), or none"),
        (("stage1", "--args", "--use_amp true"), "--use_amp true: mixed precision needs a GPU"),
        (("stage1", "--args", "--max_epoch x"), "max_epoch"),
        (("stage1", "--args", "--dropout 2"), "--dropout must be 0 to 1"),
        (("stage1", "--args", "--max_epochs 2"), "unknown ESPnet option '--max_epochs' (did you mean '--max_epoch'?)"),
        (("stage1", "--args", "--tasks emotion asr"), "--tasks is set by the recipe"),
        (("stage1", "--args", "--keep_nbest_models 0"), "--keep_nbest_models must be 1 or more, not 0"),
        (("stage1", "--args", "--trainable_layers 9"), "trainable_layers must be 0 to 6"),
        (("stage1", "--args", "--encoder_conf hidden_dropuot=0.1"), "did you mean 'hidden_dropout'"),
        (("stage1", "--folds", "2"), "unknown fold '2'"),
        (("stage1", "--args", "'"), "No closing quotation"),
    ],
)
def test_wrong_options_are_one_clear_line(recipe, capsys, arguments, message):
    assert message in refused(capsys, *arguments, call=recipe.train)


def test_an_unknown_key_in_the_configuration_gets_the_nearest_name(recipe, capsys):
    recipe.config.write_text("max_epoch: 2\nbatch_szie: 4\n")
    assert "train.yaml: unknown option 'batch_szie' (did you mean 'batch_size'?)" in refused(
        capsys, "stage1", call=recipe.train
    )
    recipe.config.write_text("optim: adamz\n")
    assert "unknown optim 'adamz' (did you mean 'adam'?)" in refused(capsys, "stage1", call=recipe.train)
    recipe.config.write_text("max_epoch: [")
    assert "train.yaml: not YAML" in refused(capsys, "stage1", call=recipe.train)


def test_numbers_may_be_written_as_people_write_them(recipe, capsys):
    recipe.config.write_text(recipe.config.read_text() + "grad_clip: .inf\n")
    for _ in range(2):
        recipe.train("stage1", "--args", "--max_epoch 1 --optim_conf lr=5e-5")
    args = load_model(recipe.root / "exp/stage1/asr_gender_skip/fold1")[1]
    assert args.optim_conf["lr"] == 5e-5
    assert args.grad_clip == float("inf")
    assert capsys.readouterr().out.count("up to date") == 1


def test_a_training_that_blows_up_is_not_taken_for_finished(recipe, capsys):
    message = refused(capsys, "stage1", "--args", "--optim_conf lr=1e20 --max_epoch 4", call=recipe.train)
    assert "take a lower learning rate" in message
    assert not (recipe.root / "exp/stage1/asr_gender_skip/fold1/done.json").exists()


@pytest.mark.parametrize("num_workers", [0, 2])
def test_audio_that_vanished_is_one_line_from_whichever_process_reads_it(recipe, capsys, num_workers):
    wav = read_datadir(recipe.datadir / "fold1" / "train")[0].wav
    wav.unlink()
    message = refused(capsys, "stage1", "--args", f"--num_workers {num_workers}", call=recipe.train)
    assert message.endswith(f"{wav}: No such file or directory; check the path, or run stage 1 again")


def test_missing_model_folder_is_one_clear_line(tmp_path):
    with pytest.raises(InputError, match=r"config\.yaml is missing"):
        load_model(tmp_path)
