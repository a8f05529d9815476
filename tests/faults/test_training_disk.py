"""A training whose disk fills up, becomes read-only or is shared: one clear line, nothing corrupt, and the rerun succeeds."""

import os
import subprocess
from pathlib import Path

import pytest
from account import account
from tiny_recipe import Recipe, refused

SYSTEM = "stl_n8"
STEP_KB = 100
"""About a third of the tiny model's weights: a disk that fills up at each of a training's files in turn."""


@pytest.fixture
def disk(tmp_path):
    """A file system of its own, 30 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=30m", "tmpfs", folder], capture_output=True).returncode != 0:
        pytest.skip("file systems cannot be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def recipe(disk):
    return Recipe(disk)


def fill(disk: Path, free_kb: int) -> Path:
    """A file that takes all but so much of a file system."""
    filler = disk / "filler"
    status = os.statvfs(disk)
    filler.write_bytes(b"0" * (status.f_bavail * status.f_frsize - free_kb * 1024))
    return filler


def train(recipe, *options):
    recipe.train("ser", "--cache", "none", *options, system=SYSTEM)


def left_over(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".*") if path.is_file() and path.suffix != ".lock"]


@pytest.mark.table("disk")
@pytest.mark.parametrize("free_kb", [20 + STEP_KB * step for step in range(11)], ids="training, {} kB free".format)
def test_a_training_on_a_full_disk(recipe, disk, capsys, record_property, free_kb):
    folder = recipe.root / "exp" / SYSTEM / "fold1"
    train(recipe)
    whole = account(folder)
    folder.rename(disk / "whole")
    filler = fill(disk, free_kb)
    line = refused(capsys, call=lambda: train(recipe))
    assert "No space left on device" in line
    record_property("shown", line.replace(str(recipe.root), "..."))
    assert not (folder / "done.json").exists()
    assert left_over(folder) == []
    filler.unlink()
    train(recipe)
    assert account(folder) == whole


@pytest.mark.table("disk")
def test_training_into_a_read_only_folder(recipe, disk, capsys, record_property):
    train(recipe, "--args", "--max_epoch 1")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    try:
        line = refused(capsys, call=lambda: train(recipe))
    finally:
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    assert "Read-only file system" in line
    record_property("shown", line.replace(str(recipe.root), "..."))
    train(recipe)


@pytest.mark.table("disk")
def test_two_trainings_at_once_in_one_folder(tmp_path, capsys, monkeypatch, record_property):
    from espnet_ser.train.trainer import SERTrainer

    recipe = Recipe(tmp_path)
    report, lines = SERTrainer._report.__func__, []

    def start_a_second(cls, epoch, *more):
        if not lines:
            lines.append(refused(capsys, call=lambda: train(recipe)))
        report(cls, epoch, *more)

    monkeypatch.setattr(SERTrainer, "_report", classmethod(start_a_second))
    train(recipe)
    assert "another run is training here; wait for it" in lines[0]
    record_property("shown", lines[0].replace(str(recipe.root), "..."))
    assert (tmp_path / "exp" / SYSTEM / "fold1" / "done.json").exists()


@pytest.mark.table("disk")
@pytest.mark.parametrize("gone", ["one held-out file", "one training file"])
def test_audio_is_removed_under_a_training(tmp_path, capsys, monkeypatch, record_property, gone):
    from espnet_ser.train.trainer import SERTrainer

    recipe = Recipe(tmp_path)
    report = SERTrainer._report.__func__
    session = "1" if "held-out" in gone else "2"
    wav = next((tmp_path / "wav").glob(f"Ses0{session}*.wav"))
    content = wav.read_bytes()

    def remove(cls, epoch, *more):
        report(cls, epoch, *more)
        wav.unlink(missing_ok=True)

    monkeypatch.setattr(SERTrainer, "_report", classmethod(remove))
    line = refused(capsys, call=lambda: train(recipe))
    assert f"{wav}: no such file" in line
    record_property("shown", line.replace(str(recipe.root), "..."))
    monkeypatch.undo()
    wav.write_bytes(content)
    train(recipe)
