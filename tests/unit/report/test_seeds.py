"""Runs with several seeds next to each other."""

import json
import shutil

import pytest
import yaml
from report_maker import predictions
from tiny_recipe import CONF, refused, run

from espnet_ser.evaluation.results import summarise
from espnet_ser.report.seeds import seeds_markdown

RUN = {"command": "", "settings": {}, "environment": {}}


@pytest.fixture
def exp(tmp_path):
    """Runs of ``stl`` with seeds 1 and 2, each of two folds."""
    for seed in (1, 2):
        folder = tmp_path / "exp" / f"stl_seed{seed}"
        for fold in (1, 2):
            configure(folder / f"fold{fold}", seed=seed)
        write_results(folder)
    return tmp_path / "exp"


def configure(folder, **config):
    folder.mkdir(parents=True, exist_ok=True)
    content = {"ssl": None, "encoder": "cnn_lstm", "max_epoch": 3, "tasks": ["emotion"], **config}
    (folder / "config.yaml").write_text(yaml.safe_dump(content))


def write_results(folder, folds=("1", "2")):
    results = summarise("stl", {fold: lines for fold, lines in predictions().items() if fold in folds})
    (folder / "results.json").write_text(json.dumps(results))


def options(exp, *more, seeds="1 2"):
    return ("seeds", "--system", "stl", "--conf", CONF, "--expdir", exp, "--seeds", seeds, *more)


def test_runs_are_set_beside_each_other(exp, capsys):
    run(*options(exp, "--folds", "2 1"))
    assert "| mean ± deviation | " in capsys.readouterr().out.replace("**", "")
    results = json.loads((exp / "stl_seeds" / "results.json").read_text())
    assert list(results["seeds"]) == ["1", "2"]
    assert results["summary"]["last"]["ua"] == {"mean": 62.5, "std": 0.0}  # 75 and 50 in the folds of either
    assert results["summary"]["last"]["ua_pooled"] == {"mean": 75.0, "std": 0.0}
    text = (exp / "stl_seeds" / "RESULTS.md").read_text()
    assert "- seed: `1 2`\n" in text
    assert "- folds: `2 1`\n" in text


def test_what_a_rerun_moved_aside_does_not_count(exp):
    for seed in (1, 2):
        configure(exp / f"stl_seed{seed}" / "fold1.superseded-1", seed=7, max_epoch=1)
    run(*options(exp))


@pytest.mark.parametrize("fold", [1, 2])
def test_every_fold_must_have_the_seed_that_its_folder_says(exp, capsys, fold):
    configure(exp / "stl_seed2" / f"fold{fold}", seed=1)
    message = refused(capsys, *options(exp), call=run)
    assert f"{exp / 'stl_seed2' / f'fold{fold}'} was trained with seed 1, not 2" in message
    assert not (exp / "stl_seeds").exists()


def test_a_copy_of_a_run_is_no_second_seed(exp, capsys):
    shutil.copytree(exp / "stl_seed1", exp / "stl_seed3")
    assert "stl_seed3/fold1 was trained with seed 1, not 3" in refused(capsys, *options(exp, seeds="1 3"), call=run)


@pytest.mark.parametrize(("seed", "fold"), [(1, 2), (2, 1), (2, 2)])
def test_every_fold_must_differ_in_the_seed_alone(exp, capsys, seed, fold):
    configure(exp / f"stl_seed{seed}" / f"fold{fold}", seed=seed, max_epoch=4, aux_weight=0.2)
    message = refused(capsys, *options(exp), call=run)
    assert f"stl_seed{seed}/fold{fold} differs from {exp / 'stl_seed1' / 'fold1'} in aux_weight, max_epoch" in message


def test_runs_must_have_the_folds_asked_for_and_the_same_ones(exp, capsys):
    message = refused(capsys, *options(exp, "--folds", "1"), call=run)
    assert f"{exp / 'stl_seed1' / 'results.json'} is of folds 1 2, not 1" in message
    write_results(exp / "stl_seed2", folds=("1",))
    assert "stl_seed2/results.json is of folds 1, not 1 2" in refused(capsys, *options(exp), call=run)


def test_what_is_missing_is_named(exp, capsys):
    (exp / "stl_seed1" / "fold2" / "config.yaml").unlink()
    assert "stl_seed1/fold2/config.yaml" in refused(capsys, *options(exp), call=run)
    for fold in (1, 2):
        shutil.rmtree(exp / "stl_seed1" / f"fold{fold}")
    assert "stl_seed1/fold1/config.yaml" in refused(capsys, *options(exp), call=run)
    path = exp / "stl_seed2" / "results.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "folds": {}}))
    assert "stl_seed2/results.json: not the results of a system" in refused(capsys, *options(exp, seeds="2 1"), call=run)
    assert "stl_seed9/results.json is missing: run stage 6" in refused(capsys, *options(exp, seeds="1 9"), call=run)


@pytest.mark.parametrize("seeds", ["1", "1 1", "1 01", "1 two", ""])
def test_seeds_are_two_numbers_or_more(exp, capsys, seeds):
    assert "name two seeds or more, whole numbers, each once" in refused(capsys, *options(exp, seeds=seeds), call=run)


def test_options_that_would_say_nothing_are_refused(exp, capsys):
    for option in ("--datadir", "--stage1_tag"):
        assert f"unknown option '{option}'" in refused(capsys, *options(exp, option, "x"), call=run)


def test_an_unknown_deviation_is_shown_as_missing():
    scores = {"ua": {"mean": 50.0, "std": 2.0}, "wa": {"mean": 40.0, "std": 1.0}}
    scores |= {f"{name}_pooled": score for name, score in scores.items()}
    summary = {"last": scores, "gender_ua": None, "style_ua": None, "wer": {"mean": 9.0, "std": None}}
    of_seed = {"last": {"ua": 50.0, "ua_pooled": 50.0, "wa": 40.0, "wa_pooled": 40.0}, "gender_ua": None, "style_ua": None}
    seeds = {"1": {**of_seed, "wer": 9.0}, "2": {**of_seed, "wer": None}}
    text = seeds_markdown(
        {"system": "mine", "headline": "last", "folds": {"1": {"absent": {}}}, "seeds": seeds, "summary": summary}, {}, RUN
    )
    assert (
        "| **mean ± deviation** | **50.00 ± 2.00** | **50.00 ± 2.00** | **40.00 ± 1.00** | **40.00 ± 1.00** | **9.00 ± –** |"
        in text
    )
