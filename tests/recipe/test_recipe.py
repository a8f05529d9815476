"""The recipes as users run them: run.sh, from a copy of the repository, on speech."""

import gzip
import json
import random
import shutil
import signal
import time

import pytest
from checkout import MINI_OPTIONS, ROOT, copy_of_repository, run
from mini import MiniRun, files_of, outcome
from sklearn.metrics import balanced_accuracy_score

RAVDESS = ROOT.parent / "shared" / "data" / "ravdess_release"
QUICK = ["--stage1-args", "--max_epoch 1", "--stage2-args", "--max_epoch 1"]


def read_ua(path):
    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    return balanced_accuracy_score([line["emotion"]["ref"] for line in lines], [line["emotion"]["hyp"] for line in lines])


def test_mini_recipe_learns_on_held_out_speakers(mini):
    recipe, result = mini
    assert "Successfully finished. [elapsed=" in result.stdout.splitlines()[-1]
    results = json.loads((recipe / "exp" / "asr_gender_skip__ser" / "results.json").read_text())
    assert set(results["folds"]) == {"1", "2"}
    assert results["summary"]["last"]["ua"]["mean"] > 40  # chance: 25
    assert results["summary"]["gender_ua"]["mean"] > 75  # chance: 50
    assert results["summary"]["cer"]["mean"] < 40  # 32 when this was written
    assert (recipe / "exp" / "asr_gender_skip__ser" / "figures" / "confusion.png").stat().st_size > 5000
    assert "epoch 8/8" in result.stdout  # progress


def test_data_directories_pass_the_validator(mini):
    recipe, _ = mini
    for folder in ["all", "four_class", *(f"fold{k}/{part}" for k in range(1, 6) for part in ("train", "test", "train_all"))]:
        assert (
            "successfully validated"
            in run(recipe / "utils" / "validate_data_dir.sh", "--no-feats", recipe / "data" / folder).stdout
        )


def test_a_finished_recipe_does_nothing_when_run_again(mini):
    recipe, _ = mini
    before = files_of(recipe / "exp") | files_of(recipe / "data") | files_of(recipe / "dump")
    result = run(recipe / "run.sh", *MINI_OPTIONS)
    assert result.stdout.count("up to date") >= 4
    assert files_of(recipe / "exp") | files_of(recipe / "data") | files_of(recipe / "dump") == before


def test_a_recipe_that_was_killed_goes_on_to_the_same_results(mini, real_path, monkeypatch):
    """One kill, of a training; tests/faults/run.sh tries many, in every stage."""
    monkeypatch.setenv("PATH", real_path)
    recipe, _ = mini
    expected = outcome(recipe)
    shutil.rmtree(recipe / "exp" / "asr_gender_skip__ser")
    killed = MiniRun(recipe, recipe / "killed.txt", MINI_OPTIONS)
    while not (recipe / "exp" / "asr_gender_skip__ser" / "fold1" / "history.jsonl").exists():
        assert killed.process.poll() is None, killed.said()
        time.sleep(0.05)
    time.sleep(random.uniform(0.0, 5.0))
    killed.kill_all()
    killed.close()
    assert killed.process.returncode == -signal.SIGKILL
    run(recipe / "run.sh", *MINI_OPTIONS)
    found = outcome(recipe)
    assert sorted(found) == sorted(expected)
    assert [name for name in expected if found[name] != expected[name]] == []


def test_stages_can_be_run_one_after_the_other_on_real_speech(repository, mini):
    if not RAVDESS.is_dir():
        pytest.skip(f"no real speech at {RAVDESS}")
    recipe = repository / "egs" / "iemocap"
    options = ["--ssl", recipe / "conf" / "mini" / "encoder", "--stage2-config", "conf/mini/train_ser.yaml", "--folds", "2"]
    options += ["--stage1-config", "conf/mini/train_stage1.yaml", *QUICK]
    # a folder given from where the recipe is called
    run(recipe / "run.sh", "--iemocap", RAVDESS.name, "--stop-stage", "3", *options, cwd=RAVDESS.parent)
    assert not (recipe / "exp" / "asr_gender_skip__ser").exists()
    run(recipe / "run.sh", "--stage", "4", "--stop-stage", "6", *options)
    results = json.loads((recipe / "exp" / "asr_gender_skip__ser" / "results.json").read_text())
    assert results["folds"]["2"]["n"] == 56


def test_a_table_trains_what_its_systems_share_once_and_goes_on_where_it_stopped(mini):
    recipe, _ = mini
    options = ["--num_utts", "240", "--systems", "asr__ser asr__ser_asr", "--folds", "1", *QUICK]
    first = run(recipe / "run_table.sh", *options)
    assert first.stdout.count("stage1/asr fold 1: started") == 1
    for name in ("asr__ser fold 1", "asr__ser_asr fold 1"):
        assert first.stdout.count(f"{name}: started") == 1
    table = (recipe / "exp" / "systems" / "RESULTS.md").read_text()
    for system in ("asr__ser", "asr__ser_asr"):
        ua = json.loads((recipe / "exp" / system / "results.json").read_text())["summary"]["last"]["ua"]["mean"]
        assert f"{ua:.2f}" in next(line for line in table.splitlines() if f" {system} " in line.replace("*", ""))
    assert "</html>" in (recipe / "exp" / "systems" / "report.html").read_text()
    shutil.rmtree(recipe / "exp" / "asr__ser_asr")
    second = run(recipe / "run_table.sh", *options)
    assert second.stdout.count("fold 1: started") == 1
    assert "asr__ser_asr fold 1: started" in second.stdout


@pytest.mark.long
def test_one_speaker_can_be_held_out_and_other_folds_choose_the_epoch(mini):
    recipe, _ = mini
    places = [option for kind in ("data", "dump", "exp") for option in (f"--{kind}dir", recipe / f"{kind}_by_speaker")]
    options = ["--folds_by", "speaker", "--system", "stl_n0", "--folds", "1 2", "--stage2_args", "--max_epoch 2"]
    run(recipe / "run.sh", "--num_utts", "240", *places, *options)
    folder = recipe / "exp_by_speaker" / "stl_n0"
    results = json.loads((folder / "results.json").read_text())
    assert results["headline"] == "last"
    assert set(results["summary"]) >= {"last", "others", "oracle"}
    selections = [json.loads((folder / f"fold{k}" / "selection.json").read_text()) for k in (1, 2)]
    epochs = [[read_ua(folder / f"fold{k}" / "epochs" / f"predictions_000{e}.jsonl.gz") for e in (1, 2)] for k in (1, 2)]
    for selection, other in zip(selections, reversed(epochs), strict=True):
        assert selection["models"]["others"]["epoch"] == (2 if other[1] >= other[0] else 1)


@pytest.mark.long
def test_several_seeds_of_a_single_stage_system_are_run_and_set_beside_each_other(mini):
    recipe, _ = mini
    result = run(
        recipe / "run.sh", "--num_utts", "240", "--system", "stl_n0", "--folds", "1", "--seeds", "1 2", "--stage", "3", *QUICK
    )
    assert result.stdout.count("stl_n0 has no intermediate finetuning") == 2
    runs = [json.loads((recipe / "exp" / f"stl_n0_seed{seed}" / "results.json").read_text()) for seed in (1, 2)]
    assert [result["summary"]["wer"] for result in runs] == [None, None]
    both = json.loads((recipe / "exp" / "stl_n0_seeds" / "results.json").read_text())
    means = [result["summary"]["last"]["ua"]["mean"] for result in runs]
    assert both["summary"]["last"]["ua"]["mean"] == pytest.approx(sum(means) / 2, abs=0.005)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--table", "4"], "--table takes 1, 2, 3 or all, not '4'"),
        (["--table", "3", "--seeds", "1 2"], "--seeds runs one system"),
        (["--table", "3", "--stop_stage", "4"], "stages 3 to 6 run together"),
        (["--table", "3", "--stop_stage", "3"], "stages 3 to 6 run together"),
        (["--seeds", "1 1"], "--seeds takes two numbers or more, each once"),
        (["--systems", "stl asr_ser", "--stage", "3"], "did you mean 'asr__ser'"),
        ([], "where is the corpus? Give --iemocap DIR"),
        (["--iemocap", "/no/such/corpus"], "/no/such/corpus"),
        (["--stagee", "1"], "did you mean --stage"),
        (["--stage", "x"], "--stage takes a whole number"),
        (["--stage", "5", "--stop_stage", "4"], "no stage to run"),
        (["--stop_stage", "9"], "there are stages 1 to 8"),
        (["--system", "asr_ser", "--stage", "3"], "did you mean 'asr__ser'"),
        (["--stage", "2"], "run stage 1"),
        (["--stage", "2", "--datadir", "$(touch harm)"], "run stage 1"),
        (["positional"], "no positional arguments"),
    ],
)
def test_wrong_use_is_one_clear_line_and_nothing_is_written(repository, arguments, message, tmp_path):
    recipe = copy_of_repository(tmp_path) / "egs" / "iemocap"
    before = files_of(recipe)
    result = run(recipe / "run.sh", *arguments, check=False, IEMOCAP="")
    assert result.returncode != 0
    assert message in result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    assert files_of(recipe) == before


def test_a_failing_training_shows_its_reason(mini):
    recipe, _ = mini
    options = ["--num_utts", "240", "--system", "stl", "--folds", "1", "--tag", "wrong", "--stage", "4"]
    result = run(recipe / "run.sh", *options, "--stage2-args", "--batch_sizes 3", check=False)
    assert result.returncode != 0
    assert "run.pl: " in result.stderr
    assert "did you mean '--batch_size'" in result.stderr
