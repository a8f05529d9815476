import errno
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from checkout import VALIDATOR
from release_maker import edit, make_release, tone, write_wav

from espnet_ser.bin.prepare import get_parser, main
from espnet_ser.corpus import prepare as datadirs
from espnet_ser.data.datadir import read_datadir, validate_datadir, write_datadir
from espnet_ser.data.unchanged import check_unchanged_data
from espnet_ser.errors import CorpusError, InputError
from espnet_ser.experiment.folds import fold_names, read_fold
from espnet_ser.utils.atomic import replace_folder


@pytest.fixture
def release(tmp_path):
    return make_release(tmp_path / "release", dialogs=("F_impro01",), turns=7, oddities=False)


def prepare(release, datadir, *options):
    main(["--iemocap", str(release.root), "--datadir", str(datadir), "--nj", "1", *options])


def snapshot(folder):
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_ino) for path in [folder, *folder.rglob("*")]}


def test_every_folder_is_written(release, tmp_path, capsys):
    prepare(release, tmp_path / "data")
    parts = [f"fold{k}/{part}" for k in range(1, 6) for part in ("train", "test", "train_all")]
    for name in ("all", "four_class", *parts):
        validate_datadir(tmp_path / "data" / name)
    everything = read_datadir(tmp_path / "data" / "all")
    assert len(everything) == 70
    assert {example.emotion for example in everything} == {"happy", "sad", "angry", "neutral", "fru", "xxx"}
    four_class = [example for example in everything if example.label in ("neu", "hap", "exc", "sad", "ang")]
    assert read_datadir(tmp_path / "data" / "four_class") == four_class
    assert {example.session for example in read_datadir(tmp_path / "data" / "fold3" / "test")} == {"3"}
    assert len(read_datadir(tmp_path / "data" / "fold3" / "train_all")) == 56
    assert everything[1].text == "IT'S ABOUT JOBS IT'S FINE"
    assert "total" in capsys.readouterr().out


def test_a_fold_says_who_is_where(release, tmp_path):
    prepare(release, tmp_path / "data")
    fold = json.loads((tmp_path / "data" / "fold2" / "fold.json").read_text())
    assert (fold["number"], fold["by"]) == (2, "session")
    assert fold["test_sessions"] == ["2"]
    assert fold["test_speakers"] == ["Ses02_F", "Ses02_M"]
    assert fold["train_sessions"] == ["1", "3", "4", "5"]
    assert len(fold["train_speakers"]) == 8
    assert fold["num_test"] == len(read_datadir(tmp_path / "data" / "fold2" / "test"))
    assert fold["num_train"] == len(read_datadir(tmp_path / "data" / "fold2" / "train"))


def test_ten_folds_by_speaker_and_none_left_when_going_back(release, tmp_path):
    prepare(release, tmp_path / "data", "--folds_by", "speaker")
    assert len(list((tmp_path / "data").glob("fold*"))) == 10
    assert {example.speaker for example in read_datadir(tmp_path / "data" / "fold10" / "test")} == {"Ses05_M"}
    train_all = read_datadir(tmp_path / "data" / "fold10" / "train_all")
    assert {example.speaker for example in train_all if example.session == "5"} == {"Ses05_F"}
    prepare(release, tmp_path / "data")
    assert len(list((tmp_path / "data").glob("fold*"))) == 5


def test_a_second_run_changes_nothing(release, tmp_path, capsys):
    prepare(release, tmp_path / "data")
    before = snapshot(tmp_path / "data")
    capsys.readouterr()
    prepare(release, tmp_path / "data")
    assert snapshot(tmp_path / "data") == before
    assert capsys.readouterr().out.endswith("data: up to date\n")


@pytest.mark.parametrize(
    "change",
    [
        lambda release, data: edit(release.transcripts(), "Excuse me", "Pardon me"),
        lambda release, data: edit(release.labels(), "\tneu\t", "\tsad\t"),
        lambda release, data: write_wav(release.wav(), tone(900)),
        lambda release, data: (data / "all" / "text").write_text("edited by hand"),
        lambda release, data: (data / "fold1" / "test" / "wav.scp").unlink(),
        lambda release, data: (data / ".prepare.json").write_text("{"),
    ],
)
def test_a_change_in_the_release_or_the_outputs_rebuilds(release, tmp_path, change, capsys):
    data = tmp_path / "data"
    prepare(release, data)
    change(release, data)
    prepare(release, data)
    assert "data: written" in capsys.readouterr().out.splitlines()[-1]
    fresh = tmp_path / "fresh"
    prepare(release, fresh)
    files = [path.relative_to(fresh) for path in fresh.rglob("*") if path.is_file()]
    there = [path.relative_to(data) for path in data.rglob("*") if path.is_file()]
    assert sorted(files) == sorted(path for path in there if path != Path("all.kept-1/text"))
    for file in files:
        assert (data / file).read_bytes() == (fresh / file).read_bytes(), file


def test_other_peoples_files_in_the_folder_stay(release, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "notes.txt").write_text("mine")
    prepare(release, tmp_path / "data", "--folds_by", "speaker")
    prepare(release, tmp_path / "data")
    assert sorted(os.listdir(tmp_path / "data")) == sorted(
        [".prepare.json", "all", "corpus.json", "fold1", "fold2", "fold3", "fold4", "fold5", "four_class", "notes.txt"]
    )
    before = snapshot(tmp_path / "data")
    prepare(release, tmp_path / "data")
    assert snapshot(tmp_path / "data") == before


@pytest.mark.parametrize("mine", [True, False])
def test_a_full_disk_leaves_what_was_there(release, tmp_path, monkeypatch, mine):
    data = tmp_path / "data"
    prepare(release, data, "--folds_by", "speaker")
    if mine:
        (data / "notes.txt").touch()
    before = snapshot(data)
    written = []

    def write_until_full(folder, examples):
        if len(written) == 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(folder)
        write_datadir(folder, examples)

    monkeypatch.setattr(datadirs, "write_datadir", write_until_full)
    with pytest.raises(InputError, match="data: cannot write: No space left on device"):
        prepare(release, data)
    after = snapshot(data)
    before.pop(str(data))
    after.pop(str(data))  # in a folder with others' files we build inside it, so its own time changes
    assert after == before
    assert sorted(os.listdir(tmp_path)) == ["data", "release"]


def test_the_first_run_leaves_nothing_when_it_fails(release, tmp_path, monkeypatch):
    def fail(fold):
        raise KeyboardInterrupt

    monkeypatch.setattr(datadirs, "describe_fold", fail)
    with pytest.raises(KeyboardInterrupt):
        prepare(release, tmp_path / "data")
    assert os.listdir(tmp_path) == ["release"]


def test_a_killed_runs_leftovers_are_cleared(release, tmp_path):
    (tmp_path / "data" / ".new.4321.0123abcd" / "all").mkdir(parents=True)
    (tmp_path / "data" / ".new.4321.0123abcd" / "all" / "junk").touch()
    prepare(release, tmp_path / "data")
    assert sorted(os.listdir(tmp_path)) == ["data", "release"]
    assert not (tmp_path / "data" / "all" / "junk").exists()


def test_a_bad_release_writes_nothing(release, tmp_path):
    release.wav().unlink()
    with pytest.raises(CorpusError, match="no such file"):
        prepare(release, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_small_release_told_to_be_full_is_refused(release, tmp_path):
    with pytest.raises(CorpusError, match="count of utterances: expected 10039, found 70"):
        prepare(release, tmp_path / "data", "--check_counts", "full")


def test_a_data_folder_behind_a_link_is_written_through_it(release, tmp_path):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "scratch" / "data")
    prepare(release, tmp_path / "data")
    assert (tmp_path / "data").is_symlink()
    validate_datadir(tmp_path / "scratch" / "data" / "all")


@pytest.mark.skipif(not VALIDATOR.is_file(), reason=f"NOT HELD TO KALDI'S RULES: {VALIDATOR} is absent")
@pytest.mark.parametrize("name", ["a b", "it's \u4f60"])
def test_kaldis_own_checks_pass_in_awkward_folders(tmp_path, name):
    release = make_release(tmp_path / name / "release")
    prepare(release, tmp_path / name / "data")
    for part in ("all", "fold1/train"):
        command = [VALIDATOR, "--no-feats", tmp_path / name / "data" / part]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr


def test_help_shows_an_example(capsys):
    with pytest.raises(SystemExit) as caught:
        get_parser().parse_args(["--help"])
    assert caught.value.code == 0
    assert "example: espnet-ser prepare --iemocap" in capsys.readouterr().out


def test_files_that_are_not_ours_are_never_replaced(release, tmp_path):
    foreign = tmp_path / "data" / "all" / "thesis.txt"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("years of work")
    with pytest.raises(InputError, match=r"thesis\.txt: not made by stage 1, and would be lost; move .*data/all else"):
        prepare(release, tmp_path / "data")
    assert foreign.read_text() == "years of work"
    assert not (tmp_path / "data" / "fold1").exists()


@pytest.mark.parametrize("stamped", [True, False], ids=["stage 1 has run", "it has not"])
def test_a_folder_of_somebody_elses_is_refused_before_anything_is_replaced(release, tmp_path, stamped):
    data = tmp_path / "data"
    if stamped:
        prepare(release, data)
    mine = data / "fold6/train/text"
    mine.parent.mkdir(parents=True)
    mine.write_text("a year of typing")
    before = snapshot(data / "fold1") if stamped else {}
    with pytest.raises(InputError, match=r"fold6/train/text: not made by stage 1, and would be lost; move .*data/fold6 else"):
        prepare(release, data, "--folds_by", "speaker")
    assert mine.read_text() == "a year of typing"
    assert (snapshot(data / "fold1") if stamped else {}) == before
    prepare(release, data)  # five folds want no such name
    assert mine.read_text() == "a year of typing"


def test_what_was_edited_in_our_folders_is_moved_aside(release, tmp_path, capsys):
    data = tmp_path / "data"
    prepare(release, data, "--folds_by", "speaker")
    edited = {"all/text": "corrected by hand", "fold7/fold.json": "{}", "fold1/train/notes.txt": "mine", "all/.nfs000": ""}
    for number in (1, 2):
        for name, content in edited.items():
            if (data / name).parent.is_dir():
                (data / name).write_text(content)
        prepare(release, data, *([] if number == 1 else ["--folds_by", "speaker"]))
        told = f"data: all/.nfs000, all/text: not as it was written here; kept in {data}/all.kept-{number}"
        assert told in capsys.readouterr().out
        assert (data / f"all.kept-{number}/text").read_text() == "corrected by hand"
        assert (data / f"fold1.kept-{number}/train/notes.txt").read_text() == "mine"
    assert (data / "fold7.kept-1/fold.json").read_text() == "{}"
    validate_datadir(data / "all")


def test_what_people_put_beside_our_folders_stays_and_is_no_fold(release, tmp_path):
    data, other = tmp_path / "data", tmp_path / "other"
    prepare(release, data)
    for name in ("fold1.bak", "fold1 (copy)", "fold2_old", "foldings"):
        shutil.copytree(data / "fold1", data / name)
    shutil.move(data / "fold3", other / "fold3")
    (data / "fold3").symlink_to(other / "fold3")
    for name in ("notes.txt", ".DS_Store", "._all", "all~"):
        (data / name).write_text("mine")
    assert fold_names(data) == ["1", "2", "3", "4", "5"]
    edit(release.transcripts(), "Excuse me", "Pardon me")
    prepare(release, data)
    assert (data / "fold3").is_symlink()
    assert read_datadir(other / "fold3/train") == read_datadir(data / "fold3/train")
    assert "PARDON ME" in (other / "fold3/train/text").read_text()
    assert [path.name for path in other.iterdir()] == ["fold3"]
    for name in ("fold1.bak", "fold1 (copy)", "fold2_old", "foldings"):
        assert "EXCUSE ME" in (data / name / "train/text").read_text()
    assert fold_names(data) == ["1", "2", "3", "4", "5"]
    shutil.copytree(data / "fold1", data / "fold6")
    with pytest.raises(InputError, match=r"fold6/fold.json: that of fold 1, copied\? Move .*fold6 out of"):
        read_fold(data, "6")


def test_data_that_were_edited_are_trained_on_only_where_they_are_the_users_own(release, tmp_path):
    data = tmp_path / "data"
    prepare(release, data)
    edit(data / "fold2/train/text", "EXCUSE ME", "PARDON ME")
    check_unchanged_data(data, "1")
    for change in (lambda: None, lambda: (data / ".prepare.json").write_text("{")):
        change()
        with pytest.raises(InputError, match=r"run stage 1 again, or, if the change is meant, remove .*prepare.json"):
            check_unchanged_data(data, "2")
    (data / ".prepare.json").unlink()
    check_unchanged_data(data, "2")
    with pytest.raises(InputError, match="fold2/train/text: not made by stage 1, and would be lost"):
        prepare(release, data)


def test_a_run_that_was_killed_between_two_folders_goes_on(release, tmp_path, monkeypatch):
    data = tmp_path / "data"
    prepare(release, data)
    edit(release.transcripts(), "Excuse me", "Pardon me")
    replaced = []

    def replace_two(tmp, final):
        if len(replaced) == 2:
            raise KeyboardInterrupt
        replaced.append(final)
        replace_folder(tmp, final)

    with monkeypatch.context() as patch:
        patch.setattr(datadirs, "replace_folder", replace_two)
        with pytest.raises(KeyboardInterrupt):
            prepare(release, data)
    prepare(release, data)
    prepare(release, tmp_path / "fresh")
    assert sorted(os.listdir(data)) == sorted(os.listdir(tmp_path / "fresh"))
    assert (data / ".prepare.json").read_bytes() == (tmp_path / "fresh/.prepare.json").read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--folds_by", "sesion"], "--folds_by: unknown value 'sesion' .did you mean 'session'"),
        (["--datadr", "x"], "unknown option '--datadr' .did you mean '--datadir'"),
        (["--nj", "x"], "--nj: must be a whole number from 1, not 'x'"),
        ([], "the following arguments are required: --iemocap"),
    ],
)
def test_wrong_options_are_one_line_with_the_nearest_name(options, message):
    with pytest.raises(InputError, match=message) as error:
        main(["--iemocap", "x", *options] if options else [])
    assert "\n" not in str(error.value)
