"""``espnet-ser verify``: one flipped bit is found wherever it lies, and so is what was forged and stamped anew."""

import json
import shutil
from contextlib import contextmanager

import pytest
import yaml
from tiny_recipe import run
from whole_recipe import WholeRecipe, flip

from espnet_ser.bin import main as commands
from espnet_ser.errors import InputError
from espnet_ser.evaluation.predictions import epoch_path, read_predictions, write_predictions
from espnet_ser.utils.stamp import Stamp

SER = "exp/asr_gender_skip__ser"
INTERMEDIATE = "exp/stage1/asr_gender_skip"


def verify(*argv):
    """Exit status (0 or the last line on standard error)."""
    try:
        run("verify", *argv)
    except SystemExit as error:
        return error.code
    return 0


@contextmanager
def put_back(*paths):
    """Leaves these files as they were."""
    contents = {path: path.read_bytes() for path in paths}
    try:
        yield
    finally:
        for path, content in contents.items():
            path.write_bytes(content)


def wrong_lines(capsys):
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith(("ok: ", "WRONG: ")) for line in lines), lines
    return [line for line in lines if line.startswith("WRONG: ")]


def test_what_the_stages_left_is_in_order(scored, capsys):
    assert verify(scored.root / SER, scored.root / SER) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert last == f"all {len(lines)} things checked are as they were made"
    assert all(line.startswith("ok: ") for line in lines)
    assert len(lines) == len(set(lines)) >= 11


MODEL = ("latest.pth", "frozen.pth", "config.yaml", "done.json", "started.json", ".records.json", "environment.json")
MODEL += ("history.jsonl", "embeddings.npz")
FOLD = ("selected.json", "selection.json", *(f"predictions_{name}.jsonl" for name in ("last", "oracle")))
EPOCHS = [f"{SER}/fold1/epochs/predictions_000{epoch}.jsonl.gz" for epoch in (1, 2, 3)]
RESULTS = ("results.json", "run.json", "RESULTS.md", "report.html", ".scored.json", "figures/confusion.png")
DATA = ("utt2emotion", "text", "utt2spk", "spk2gender", "utt2gender", "utt2label", "utt2session", "utt2sha256", "wav.scp")
FILES = [
    *(f"{SER}/fold1/{name}" for name in (*MODEL, *FOLD)),
    *EPOCHS,
    *(f"{SER}/{name}" for name in RESULTS),
    *(f"{INTERMEDIATE}/fold1/{name}" for name in (*MODEL[:-1], "tokens/tokens.txt", "epochs/predictions_0001.jsonl.gz")),
    *(f"data/fold1/{part}/{name}" for part in ("train", "test") for name in DATA),
    "data/fold1/train_all/utt2label",
    "data/fold1/fold.json",
    "data/.prepare.json",
]


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_found(scored, capsys, name):
    path = scored.root / name
    for place, bit in ((0.0, 1), (0.37, 64), (0.5, 1), (1.0, 64)):
        with put_back(path):
            flip(path, place, bit)
            told = verify(scored.root / SER)
        wrong = wrong_lines(capsys)
        assert wrong, (place, bit)
        assert f"verify: error: {len(wrong)} of " in told
        assert told.endswith(" things checked are wrong")


def test_weights_that_a_selection_names_are_checked_where_they_are_kept(scored, capsys):
    folder = scored.root / SER / "fold1"
    chosen = json.loads((folder / "selection.json").read_text())["models"]["oracle"]
    path = folder / chosen["model"]
    with put_back(path):
        flip(path)
        assert verify(scored.root / SER) != 0
    is_last = path.name == "3epoch.pth"  # which is the model, and is named as that
    assert any(("latest.pth" if is_last else path.name) in line for line in wrong_lines(capsys))
    if not is_last:
        aside = path.rename(scored.root / "aside.pth")
        try:
            assert verify(scored.root / SER) == 0
        finally:
            aside.rename(path)


@pytest.mark.parametrize("name", [f"{SER}/fold1/frozen.pth", EPOCHS[1], f"{SER}/fold1/done.json", "data/fold1/test/text"])
def test_a_missing_file_is_found(scored, capsys, name):
    with put_back(scored.root / name):
        (scored.root / name).unlink()
        assert "wrong" in verify(scored.root / SER)
    assert wrong_lines(capsys)


def stamp_anew(path):
    stamp = Stamp(path)
    stamp.write(stamp.inputs(), [path.parent / name for name in stamp.output_sha256()])


def test_forged_predictions_are_found_whatever_their_stamp_says(scored, capsys):
    fold = scored.root / SER / "fold1"
    kept = [path for path in [*fold.glob("*.json*"), *(scored.root / SER).rglob("*")] if path.is_file()]
    with put_back(*kept):
        path = fold / "predictions_last.jsonl"
        lines = read_predictions(path)
        told = lines[1]["emotion"]
        told["hyp"] = next(emotion for emotion in told["scores"] if emotion != told["hyp"])
        write_predictions(path, lines)
        stamp_anew(fold / "selected.json")
        scored.score()
        capsys.readouterr()
        assert verify(scored.root / SER) != 0
        (wrong,) = wrong_lines(capsys)
        assert "predictions_last.jsonl, line 2: not what the model of the chosen epoch said" in wrong


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda results: results["summary"]["last"]["ua"].update(mean=99.9), "summary.last.ua.mean is 99.9, the predictions"),
        (lambda results: results["folds"]["1"].update(n=5), "folds.1.n is 5, the predictions give 8"),
        (lambda results: results["trace"].update(corpus="0" * 64), "trace.corpus is 000"),
        (lambda results: results.update(best=True), "best is True, the predictions give nothing"),
        (lambda results: results["folds"].update({"7": results["folds"]["1"]}), "without fold 7"),
    ],
)
def test_forged_scores_are_found_whatever_their_stamp_says(scored, capsys, edit, told):
    path, stamp = scored.root / SER / "results.json", scored.root / SER / ".scored.json"
    with put_back(path, stamp):
        results = json.loads(path.read_text())
        edit(results)
        path.write_text(json.dumps(results))
        stamp_anew(stamp)
        assert verify(scored.root / SER) != 0
    assert any(told in line for line in wrong_lines(capsys))


def test_labels_that_a_model_was_compared_with_are_those_of_the_data(scored, capsys):
    folder = scored.root / SER / "fold1"
    path = epoch_path(folder, 2)
    with put_back(path, folder / "done.json"):
        lines = read_predictions(path)
        lines[0]["emotion"]["ref"] = "sad" if lines[0]["emotion"]["ref"] != "sad" else "angry"
        write_predictions(path, lines)
        stamp_anew(folder / "done.json")
        assert verify(scored.root / SER) != 0
    assert any(f"epoch 2 was compared with other labels than {lines[0]['utt']} has" in line for line in wrong_lines(capsys))


def test_a_model_that_heard_what_it_is_tested_on_is_found(scored, capsys):
    folder = scored.root / INTERMEDIATE / "fold1"
    with put_back(folder / "config.yaml", folder / "done.json"):
        config = yaml.safe_load((folder / "config.yaml").read_text())
        config["trained_on"]["speakers"].append("Ses01_F")
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        stamp_anew(folder / "done.json")
        assert verify(scored.root / SER) != 0
    wrong = wrong_lines(capsys)
    assert any("tested on nothing that it was trained on" in line and "speaker Ses01_F" in line for line in wrong)
    assert any("is not what the training began with" in line for line in wrong)


def test_audio_is_read_where_that_is_asked_for(scored, capsys):
    wav = scored.release.wav("Ses03F_impro01_F000")
    with put_back(wav):
        flip(wav, place=0.9)
        assert verify(scored.root / SER) == 0
        capsys.readouterr()
        assert verify("--audio", scored.root / SER) != 0
    assert any(f"{wav} has changed" in line for line in wrong_lines(capsys))
    assert verify("--audio", scored.root / SER) == 0


def test_folders_may_move(scored, tmp_path, capsys):
    """All together as they are; apart, with a word on where things lie now."""
    moved = shutil.copytree(scored.root, tmp_path / "elsewhere", symlinks=True)
    aside = scored.root.rename(scored.root.with_name("aside"))
    try:
        assert verify(moved / SER) == 0
        results = (moved / SER).rename(tmp_path / "results")
        capsys.readouterr()
        assert verify(results) != 0
        assert any("say with --datadir where it lies now" in line for line in wrong_lines(capsys))
        assert verify(results, "--datadir", moved / "data") != 0
        assert any("say with --expdir whose stage1/ holds it now" in line for line in wrong_lines(capsys))
        assert verify(results, "--datadir", moved / "data", "--expdir", moved / "exp") == 0
    finally:
        aside.rename(scored.root)


def test_a_stage_1_model_trained_again_is_found(scored, capsys):
    folder = scored.root / INTERMEDIATE / "fold1"
    with put_back(folder / "latest.pth", folder / "done.json"):
        flip(folder / "latest.pth")
        stamp_anew(folder / "done.json")
        assert verify(scored.root / SER) != 0
    assert any("begins with its intermediate model" in line for line in wrong_lines(capsys))


def test_runs_with_several_seeds_and_a_table_are_held_against_their_members(scored, capsys):
    for seed in (1, 2):
        scored.run(3, system="stl_n0", seed=seed, tag=f"seed{seed}")
    exp = scored.root / "exp"
    where = ("--conf", scored.root / "conf", "--expdir", exp)
    run("seeds", "--system", "stl_n0", "--seeds", "1 2", *where)
    run("report", "--systems", "asr_gender_skip__ser", *where)
    capsys.readouterr()
    for folder in (exp / "stl_n0_seeds", exp / "systems"):
        assert verify(folder) == 0
        assert f"ok: {folder}/results.json: follows from its " in capsys.readouterr().out
    for path, inner in ((exp / "stl_n0_seeds" / "results.json", "summary"), (exp / "systems" / "results.json", "systems")):
        with put_back(path):
            results = json.loads(path.read_text())
            part = results[inner] if inner == "summary" else results[inner]["asr_gender_skip__ser"]["results"]["summary"]
            part["last"]["ua"]["mean"] += 1
            path.write_text(json.dumps(results))
            assert verify(path.parent) != 0
        assert any(f"{path}: follows from" in line and "last.ua.mean" in line for line in wrong_lines(capsys))
    with put_back(exp / "stl_n0_seed2" / "fold1" / "latest.pth"):
        flip(exp / "stl_n0_seed2" / "fold1" / "latest.pth")
        assert verify(exp / "stl_n0_seeds") != 0
    assert any("stl_n0_seed2/fold1: files of the model" in line for line in wrong_lines(capsys))


@pytest.mark.parametrize("folder", ["data", "exp/stage1/asr_gender_skip", "exp/no_such_system"])
def test_what_is_no_system_is_refused_or_found_wanting(scored, capsys, folder):
    told = verify(scored.root / folder)
    assert "Traceback" not in told
    assert "neither a system's folder nor a table's" in told or "are wrong" in told


def test_a_check_is_asked_for_by_folder():
    with pytest.raises(InputError, match="the following arguments are required: EXP"):
        commands.importlib.import_module("espnet_ser.bin.verify").main([])


def test_folds_whose_epochs_were_chosen_in_one_another_are_checked_together(tmp_path, capsys):
    whole = WholeRecipe(tmp_path / "run")
    whole.configure("ser", max_epoch=2)
    whole.run(folds_by="speaker", folds="1 2", system="stl_n0")
    folder = whole.root / "exp" / "stl_n0"
    assert verify(folder) == 0
    capsys.readouterr()
    chosen = json.loads((folder / "fold1" / "selection.json").read_text())["models"]["others"]["epoch"]
    for epoch in (1, 2):  # fold 2, which chooses for fold 1, is now predicted best at the other epoch
        path = epoch_path(folder / "fold2", epoch)
        lines = read_predictions(path)
        for line in lines:
            line["emotion"]["hyp"] = "none" if epoch == chosen else line["emotion"]["ref"]
        write_predictions(path, lines)
    stamp_anew(folder / "fold2" / "done.json")
    assert verify(folder) != 0
    told = f"selection.json: others is epoch {chosen}, which follows from nothing"
    assert any("fold1: predictions follow" in line and told in line for line in wrong_lines(capsys))
    (folder / "fold2").rename(whole.root / "aside")
    assert verify(folder) != 0
    wrong = wrong_lines(capsys)
    assert any("fold 2, which helped to choose the epochs, is not here" in line for line in wrong)
    assert any("fold 2 was scored, and" in line for line in wrong)
