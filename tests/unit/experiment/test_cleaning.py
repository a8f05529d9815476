"""``espnet-ser clean`` removes what nothing needs, and nothing else."""

import os
import shutil
import time

import pytest
from tiny_recipe import refused, run

from espnet_ser.data.frame_cache import list_caches
from espnet_ser.inference.find_models import find_models


def files_of(root):
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and path.name != ".lock"}


def make_old(root):
    for path in root.rglob("*"):
        os.utime(path, (time.time() - 7200,) * 2, follow_symlinks=False)


@pytest.fixture
def left(recipe):
    """A recipe with all kinds of what nothing needs, and with what its user put next to them."""
    every_epoch = ("--args", "--max_epoch 4 --keep_nbest_models 100 --optim_conf lr=3e-3")
    recipe.train("ser", "--seed", "1", *every_epoch, system="stl_n8")
    recipe.train("ser", *every_epoch, system="stl_n8")
    recipe.select("stl_n8")
    exp, cache = recipe.root / "exp", recipe.root / "dump/cache"
    recipe.cache = list_caches(cache)[0].folder
    shutil.copytree(recipe.cache, cache / "cnn-0123456789abcdef")
    (exp / "stl_n8/fold1/checkpoint.pth").write_bytes(b"of a run that was killed right after its end")
    (exp / "stl_n8/fold1/.latest.4321.0123abcd.pth").write_bytes(b"half")
    (recipe.root / "dump/.fold1.4321.0123abcd").mkdir()
    (recipe.root / "dump/.fold1.4321.0123abcd/text").write_bytes(b"half")
    (exp / "stl_n8/fold1.superseded-2").mkdir()
    for name in ("fold1.superseded-1/notes.txt", "fold1.superseded-2/1epoch.pth", "fold1.bak/1epoch.pth", "fold1/mine.pth"):
        (exp / "stl_n8" / name).parent.mkdir(exist_ok=True)
        (exp / "stl_n8" / name).write_text("mine")
    (cache / "cnn-0123456789abcdef/notes.txt").write_text("mine")
    (cache / "my cache").mkdir()
    make_old(recipe.root)
    return recipe


def test_what_nothing_needs_is_listed_and_then_removed_and_all_else_stays(left, capsys):
    where = ("--expdir", left.root / "exp", "--dumpdir", left.root / "dump")
    before, fold = files_of(left.root), left.root / "exp/stl_n8/fold1"
    run("clean", *where)
    told = capsys.readouterr().out
    assert files_of(left.root) == before
    for name, why in {
        "exp/stl_n8/fold1.superseded-1": "a model that was trained on other inputs",
        "exp/stl_n8/fold1/checkpoint.pth": "the training has finished",
        "exp/stl_n8/fold1/.latest.4321.0123abcd.pth": "a killed run was writing it",
        "dump/.fold1.4321.0123abcd": "a killed run was writing it",
        "dump/cache/cnn-0123456789abcdef": "a cache that no training here has used",
    }.items():
        assert f" MB  {left.root / name}  ({why})\n" in told
    assert "would be removed: give --dry_run false\n" in told
    run("clean", *where, "--dry_run", "false")
    after = files_of(left.root)
    assert all(before[path] == content for path, content in after.items())
    assert {str(path.relative_to(left.root)) for path, content in before.items() if content == b"mine"} == {
        str(path.relative_to(left.root)) for path, content in after.items() if content == b"mine"
    }
    gone = {str(path.relative_to(fold)) for path in before.keys() - after.keys() if path.is_relative_to(fold)}
    kept = {path.name for path in fold.glob("*epoch.pth")}
    assert gone == {"checkpoint.pth", ".latest.4321.0123abcd.pth", *({f"{n}epoch.pth" for n in range(1, 5)} - kept)}
    assert "4epoch.pth" in kept
    assert len(kept) < 4
    assert os.listdir(left.root / "exp/stl_n8/fold1.superseded-1") == ["notes.txt"]
    assert not (left.root / "dump/.fold1.4321.0123abcd").exists()
    assert [cache.folder for cache in list_caches(left.root / "dump/cache")] == [left.cache]
    capsys.readouterr()
    run("clean", *where, "--dry_run", "false")
    assert "nothing to remove" in capsys.readouterr().out
    left.train("ser", "--args", "--max_epoch 4 --keep_nbest_models 100 --optim_conf lr=3e-3", system="stl_n8")
    assert "up to date" in capsys.readouterr().out
    left.select("stl_n8")
    assert "predictions up to date" in capsys.readouterr().out


def test_what_was_written_lately_stays(left, capsys):
    for path in left.root.rglob("*"):
        os.utime(path, follow_symlinks=False)
    run("clean", "--expdir", left.root / "exp", "--dumpdir", left.root / "dump")
    told = capsys.readouterr().out
    assert "0123abcd" not in told
    assert "cnn-0123456789abcdef" not in told


def test_a_folder_without_experiments_is_one_line(tmp_path, capsys):
    assert "nowhere: no such folder; name with --expdir" in refused(capsys, "clean", "--expdir", tmp_path / "nowhere", call=run)


def test_of_a_link_to_another_disk_ours_is_removed_and_all_else_stays(left, tmp_path):
    """What is moved elsewhere and linked is cleaned as if it lay there; a link that only looks like ours leads to nobody's."""
    disk, exp = tmp_path / "disk", left.root / "exp"
    (disk / "mine").mkdir(parents=True)
    (disk / "mine/notes.txt").write_text("mine")
    (exp / "stl_n8/.cache.1.deadbeef").symlink_to(disk / "mine")
    (exp / "stl_n8/fold1.superseded-1/notes.txt").unlink()
    for path in (exp / "stl_n8/fold1.superseded-1", left.root / "dump/cache/cnn-0123456789abcdef"):
        shutil.move(path, disk / path.name)
        path.symlink_to(disk / path.name)
    (disk / "cnn-0123456789abcdef/notes.txt").unlink()
    make_old(left.root)
    run("clean", "--expdir", exp, "--dumpdir", left.root / "dump", "--dry_run", "false")
    assert (disk / "mine/notes.txt").read_text() == "mine"
    assert os.listdir(disk) == ["mine"]
    assert not [path for path in left.root.rglob("*") if path.is_symlink() and not path.exists()]
    assert not (exp / "stl_n8/.cache.1.deadbeef").is_symlink()


def test_folds_that_the_data_have_no_more_are_set_aside(recipe, capsys):
    """Of a split with more folds: an ensemble of the system's folds would count them."""
    recipe.train("ser", system="stl_n0")
    system = recipe.root / "exp/stl_n0"
    shutil.copytree(system / "fold1", system / "fold7", symlinks=True)
    shutil.copytree(system / "fold1", system / "fold01", symlinks=True)
    recipe.select("stl_n0")
    assert (
        f"{system}/fold7: the data have no fold 7 any more; moved to {system}/fold7.superseded-1\n" in capsys.readouterr().out
    )
    assert [model.source.name for model in find_models(system)] == ["fold1"]
    assert (system / "fold01").is_dir()


def test_a_damaged_configuration_is_one_line_that_says_what_to_do(left, capsys):
    (left.root / "exp/stl_n8/fold1/config.yaml").write_text("{")
    shown = refused(capsys, "clean", "--expdir", left.root / "exp", "--dumpdir", left.root / "dump", call=run)
    assert "config.yaml: not YAML" in shown
    assert shown.endswith("train this fold anew, or move its folder away")
