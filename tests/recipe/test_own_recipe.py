"""A corpus of one's own as users bring it: a copy of egs/TEMPLATE, and egs/ravdess."""

import json
import shutil

import pytest
from checkout import ROOT, run
from mini import files_of
from own_corpus import tables, write_corpus
from ravdess_names import as_official, make_official

RAVDESS = ROOT.parent / "shared" / "data" / "ravdess_release"
QUICK = ["--stage1-args", "--max_epoch 1", "--stage2-args", "--max_epoch 1"]
MINI = ["--ssl", "conf/mini/encoder", "--stage1-config", "conf/mini/train_stage1.yaml"]
MINI += ["--stage2-config", "conf/mini/train_ser.yaml"]


def test_real_speech_of_the_worked_example_goes_through_every_stage(repository, tmp_path):
    if not RAVDESS.is_dir():
        pytest.skip(f"no real speech at {RAVDESS}")
    as_official(RAVDESS, tmp_path / "release")
    recipe = repository / "egs" / "ravdess"
    options = ["--folds_by", "5", "--folds", "2", "--system", "stl_n0", *MINI, *QUICK]
    result = run(recipe / "run.sh", "--corpus", "release", *options, cwd=tmp_path)
    assert "320 utterances of 10 actors" in result.stdout
    results = json.loads((recipe / "exp" / "stl_n0" / "results.json").read_text())
    assert (results["folds"]["2"]["n"], results["num_folds"]) == (64, 5)
    assert {part: by["classes"] for part, by in results["slices"]["style"].items()} == {"normal": 5, "strong": 4}


@pytest.mark.long
def test_a_copy_of_the_template_runs_and_needs_the_corpus_once(repository, tmp_path):
    recipe = repository / "egs" / "mine"
    shutil.copytree(repository / "egs" / "TEMPLATE", recipe, symlinks=True)
    make_official(tmp_path / "release")
    run("python3", ROOT / "egs" / "ravdess" / "local" / "ravdess.py", "release", "kaldi", cwd=tmp_path, PYTHONPATH=str(ROOT))
    options = ["--folds_by", "2", "--system", "stl_n0", *MINI, *QUICK]
    first = run(recipe / "run.sh", "--corpus", "kaldi", *options, cwd=tmp_path)
    assert "Successfully finished" in first.stdout
    assert json.loads((recipe / "exp" / "stl_n0" / "results.json").read_text())["num_folds"] == 2
    before = files_of(recipe / "exp") | files_of(recipe / "data")
    shutil.rmtree(tmp_path / "kaldi")
    again = run(recipe / "run.sh", *options)
    assert again.stdout.count("up to date") >= 4
    assert files_of(recipe / "exp") | files_of(recipe / "data") == before


def test_what_was_changed_in_the_folder_of_the_corpus_is_kept(repository, tmp_path):
    recipe = repository / "egs" / "changed"
    shutil.copytree(repository / "egs" / "TEMPLATE", recipe, symlinks=True)
    write_corpus(tmp_path / "kaldi", tables())
    for _ in range(2):
        run(recipe / "run.sh", "--corpus", "kaldi", "--folds_by", "2", "--stop_stage", "1", cwd=tmp_path)
    (recipe / "data/corpus/NOTES").write_text("mine")
    result = run(recipe / "run.sh", "--corpus", "kaldi", "--folds_by", "2", "--stop_stage", "1", cwd=tmp_path)
    assert "was changed: moved to" in result.stdout
    assert (recipe / "data/corpus.kept-1/NOTES").read_text() == "mine"
    assert sorted(path.name for path in (recipe / "data").glob("corpus*") if path.is_dir()) == ["corpus", "corpus.kept-1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no such data directory; egs/TEMPLATE/README.md says how to make one"),
        (["--corpus"], "option --corpus needs a value"),
        (["--corpus", "/no/such/folder"], "give a Kaldi data directory (with wav.scp)"),
        (["--folds_by", "0"], "or a number of folds from 2, not '0'"),
    ],
)
def test_wrong_use_is_one_clear_line(repository, arguments, message):
    recipe = repository / "egs" / "TEMPLATE"
    before = files_of(recipe)
    result = run(recipe / "run.sh", *arguments, check=False)
    assert result.returncode != 0
    assert message in result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    assert files_of(recipe) == before
