"""Bad command lines of the recipes' scripts: one clear line, and nothing written."""

import os
import shutil
import subprocess

import pytest
from checkout import ROOT
from harness import shown_line, snapshot

OF_THE_RECIPE = ("egs", "utils", "conf/systems", "conf/train_ser.yaml", "conf/train_stage1.yaml", "espnet_ser")

CASES = {
    "run.sh: an unknown option": ("iemocap/run.sh", ["--stagee", "1"], "did you mean --stage?"),
    "run.sh: a value missing": ("iemocap/run.sh", ["--stage"], "option --stage needs a value"),
    "run.sh: a value forgotten": ("iemocap/run.sh", ["--nj", "--stage", "2"], "needs a value, but the option --stage follows"),
    "run.sh: an option with =": ("iemocap/run.sh", ["--nj=3"], "options are written '--nj VALUE'"),
    "run.sh: a word that is no option": (
        "iemocap/run.sh",
        ["two\nlines"],
        "no positional arguments are taken, got: $'two\\nlines'",
    ),
    "run.sh: an empty stage": ("iemocap/run.sh", ["--stage", ""], "--stage takes a whole number, not ''"),
    "run.sh: a stage in words": ("iemocap/run.sh", ["--stage", "one"], "--stage takes a whole number, not 'one'"),
    "run.sh: stage NaN": ("iemocap/run.sh", ["--stage", "nan"], "--stage takes a whole number, not 'nan'"),
    "run.sh: stage -1": ("iemocap/run.sh", ["--stage", "-1"], "--stage takes a whole number, not '-1'"),
    "run.sh: a stage of 30 digits": ("iemocap/run.sh", ["--stage", "9" * 30], "--stage takes a whole number"),
    "run.sh: a stage that is a command": ("iemocap/run.sh", ["--stage", "a[$(touch harm)]"], "--stage takes a whole number"),
    "run.sh: no stage to run": ("iemocap/run.sh", ["--stage", "5", "--stop_stage", "4"], "no stage to run"),
    "run.sh: stage 9": ("iemocap/run.sh", ["--stop_stage", "9"], "there are stages 1 to 8"),
    "run.sh: upload where to?": ("iemocap/run.sh", ["--stage", "8", "--stop_stage", "8"], "Give --hf_repo owner/name"),
    "run.sh: upload all folds": (
        "iemocap/run.sh",
        ["--stage", "8", "--stop_stage", "8", "--hf_repo", "a/b", "--pack_fold", "all"],
        "stage 8 uploads one fold's model; say which",
    ),
    "run.sh: a fold that is a command": (
        "iemocap/run.sh",
        ["--pack_fold", "`touch harm`"],
        "--pack_fold takes a fold's number",
    ),
    "run.sh: packing all seeds": (
        "iemocap/run.sh",
        ["--seeds", "1 2", "--stop_stage", "7"],
        "stages 7 and 8 are of one run",
    ),
    "run.sh: 0 jobs": ("iemocap/run.sh", ["--nj", "0"], "--nj takes 1 or more"),
    "run.sh: folds that are a command": ("iemocap/run.sh", ["--folds", "`touch harm`"], "--folds takes numbers separated by"),
    "run.sh: a tag of two lines": ("iemocap/run.sh", ["--tag", "a\nb"], "'_' and '-', not $'a\\nb'"),
    "run.sh: a tag that climbs": ("iemocap/run.sh", ["--tag", "../up"], "--tag takes letters, digits"),
    "run.sh: half a GPU": ("iemocap/run.sh", ["--ngpu", "0.5"], "--ngpu takes a whole number or auto, not '0.5'"),
    "run.sh: GPUs counted in octal": ("iemocap/run.sh", ["--ngpu", "08"], "--ngpu takes a whole number or auto, not '08'"),
    "run.sh: no training on a GPU": ("iemocap/run.sh", ["--jobs_per_gpu", "0"], "--jobs_per_gpu takes 1 or more"),
    "run.sh: no machine": ("iemocap/run.sh", ["--num_nodes", "0"], "--num_nodes takes 1 or more"),
    "run.sh: a table on two machines": ("iemocap/run.sh", ["--num_nodes", "2", "--table", "3"], "run on one machine each"),
    "run.sh: a seed twice": ("iemocap/run.sh", ["--seeds", "1 1"], "--seeds takes two numbers or more, each once"),
    "run.sh: no corpus": ("iemocap/run.sh", [], "where is the corpus? Give --iemocap DIR"),
    "run.sh: a corpus that is a command": ("iemocap/run.sh", ["--iemocap", "$(touch harm)"], "$(touch harm): 1 problem found"),
    "run.sh: an empty name for the data": ("iemocap/run.sh", ["--stage", "2", "--datadir", ""], "--datadir: an empty name"),
    "run.sh: an unknown system": ("iemocap/run.sh", ["--stage", "3", "--system", "asr_ser"], "did you mean 'asr__ser'"),
    "run_table.sh: which table?": ("iemocap/run_table.sh", [], "which table? Give --table 1, 2, 3 or all"),
    "run_table.sh: a table within a value": ("iemocap/run_table.sh", ["--tag", "x --table 3"], "which table? Give --table"),
    "run_table.sh: table 4": ("iemocap/run_table.sh", ["--table", "4"], "--table takes 1, 2, 3 or all, not '4'"),
    "mini run.sh: utterances in words": ("mini_iemocap/run.sh", ["--num_utts", "many"], "takes a whole number, not 'many'"),
    "mini run.sh: a number that climbs": (
        "mini_iemocap/run.sh",
        ["--num_utts", "../../9"],
        "takes a whole number, not '../../9'",
    ),
}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """The recipes, in a folder with a space in its name, without what is not read before a training."""
    target = tmp_path_factory.mktemp("checkout") / "my recipe"
    for name in OF_THE_RECIPE:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(
                source, target / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "exp", "data", "dump")
            )
        else:
            shutil.copy(source, target / name)
    return target


@pytest.mark.table("bad input")
@pytest.mark.parametrize("name", CASES)
def test_a_script_ends_in_one_clear_line(name, recipe, record_property):
    script, words, says = CASES[name]
    before = snapshot(recipe)
    environment = {**os.environ, "IEMOCAP": "", "PYTHONDONTWRITEBYTECODE": "1"}
    result = subprocess.run(
        [recipe / "egs" / script, *words], cwd=recipe, env=environment, capture_output=True, text=True, timeout=120
    )
    assert result.returncode != 0
    assert "Traceback" not in result.stdout + result.stderr
    first, *others = result.stderr.splitlines()
    assert not others or ("problem found" in first and all(line.startswith("  ") for line in others)), result.stderr
    record_property("shown", shown_line(" ".join(result.stderr.split()), recipe))
    assert says in result.stderr
    assert snapshot(recipe) == before
