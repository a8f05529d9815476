"""Text that a shell would run does no harm, in whatever file or name or option it stands."""

import os
import subprocess

import pytest
from checkout import ROOT
from release_maker import edit, make_release

from espnet_ser.bin.prepare import main as prepare
from espnet_ser.bin.tokens import main as make_tokens
from espnet_ser.data.datadir import read_datadir
from espnet_ser.errors import CorpusError, InputError

HOSTILE = "$(touch harm) `touch harm` ; touch harm | touch harm & \\ \"'*?{}<>~#! \u202e\x1b[2J \u4f60"
HOSTILE_NAME = HOSTILE.replace("\x1b", "").replace("\u202e", "")


@pytest.fixture(autouse=True)
def _nothing_is_run(tmp_path, monkeypatch):
    """Whatever runs a command that stands in a text makes a file here."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    yield
    assert os.listdir(tmp_path / "here") == []


def release_below(folder):
    return make_release(folder / "release", dialogs=("F_impro01",), turns=7, oddities=False)


def test_transcripts_and_folders_that_hold_commands_are_read_as_text(tmp_path):
    root = tmp_path / HOSTILE_NAME
    release = release_below(root)
    edit(release.transcripts(), "Excuse me.", f"Excuse {HOSTILE} me.")
    prepare(["--iemocap", str(release.root), "--datadir", str(root / "data"), "--nj", "1"])
    texts = {example.text for example in read_datadir(root / "data" / "all")}
    assert any(text.startswith("EXCUSE TOUCH HARM TOUCH HARM") and text.endswith(" ME") for text in texts)
    assert all(set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ' ") for text in texts)
    command = [ROOT / "utils" / "validate_data_dir.sh", "--no-feats", root / "data" / "fold1" / "train"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    make_tokens(["--datadir", str(root / "data"), "--dumpdir", str(root / "dump"), "--folds", "1"])
    assert (root / "dump" / "fold1" / "tokens_char" / "tokens.txt").is_file()


@pytest.mark.parametrize("name", ["Ses01F_impro01;touch harm", "Ses01F_impro$(touch harm)", "Ses01F_impro01\nSes01F_impro02"])
def test_a_dialog_whose_name_holds_a_command_is_refused(tmp_path, name):
    release = release_below(tmp_path)
    release.labels().rename(release.labels().with_name(f"{name}.txt"))
    with pytest.raises(CorpusError, match="no labelled utterance; expected files like Ses01F_impro01.txt"):
        prepare(["--iemocap", str(release.root), "--datadir", str(tmp_path / "data"), "--nj", "1"])
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("ending", ["\n", "\u2028", " |", "\x85"])
def test_a_folder_that_wav_scp_can_not_hold_is_refused(tmp_path, ending):
    release = release_below(tmp_path / f"a{ending}b")
    if ending == " |":  # a path within is no command; only the end of a line of wav.scp can be one
        prepare(["--iemocap", str(release.root), "--datadir", str(tmp_path / "data"), "--nj", "1"])
        return
    with pytest.raises(InputError, match=r"wav\.scp cannot hold the path .* rename the file") as error:
        prepare(["--iemocap", str(release.root), "--datadir", str(tmp_path / "data"), "--nj", "1"])
    assert str(error.value).isprintable()
    assert not (tmp_path / "data").exists()


def recipe(*options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "IEMOCAP": ""}
    command = [ROOT / "egs" / "iemocap" / "run.sh", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=os.getcwd())


NUMBERS = (
    "stage",
    "stop_stage",
    "seed",
    "nj",
    "nbpe",
    "ngpu",
    "num_nodes",
    "folds",
    "seeds",
    "table",
    "tag",
    "stage1_tag",
)
NUMBERS += ("pack_fold",)


@pytest.mark.parametrize("option", NUMBERS)
def test_options_of_the_recipe_are_no_arithmetic(tmp_path, option):
    """Bash runs what stands in the index of an array where it expects a number."""
    harm = tmp_path / "here" / "harm"
    result = recipe("--iemocap", str(tmp_path), f"--{option}", f"a[$(touch '{harm}')]")
    assert result.returncode == 1
    assert f"Error: --{option} takes" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_options_of_the_recipe_are_words_and_no_commands(tmp_path):
    """All at once, up to the stage that finds no release under such a name."""
    command = f"$(touch '{tmp_path}/here/harm') \\e[2J"
    texts = ("iemocap", "system", "ssl", "conf", "stage1_config", "stage2_config", "stage1_args", "stage2_args")
    texts += ("folds_by", "check_counts", "stage1_data", "token_type", "cache", "cache_dtype", "dumpdir", "expdir")
    options = [word for name in texts for word in (f"--{name}", command)]
    result = recipe(*options, "--stop_stage", "1", "--datadir", str(tmp_path / "data"))
    assert result.returncode == 1
    assert "espnet-ser prepare: error: --check_counts: unknown value" in result.stderr
    assert "\x1b" not in result.stdout + result.stderr
