"""Full disks, read-only folders, files that vanish, two runs at once: the cause is named, nothing half-written stays."""

import json
import os
import re
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from checkout import ROOT
from disk_stages import STAGES, Prepare, Report, Score, Seeds, Select
from harness import assert_one_line, exit_of, shown_line, snapshot
from room import Room

from espnet_ser.bin.main import main
from espnet_ser.utils.locks import locked

WRITTEN_BESIDE = re.compile(r"\.(building|drawing|old)$|/\.[^/]+\.\d+\.[0-9a-f]{8}(\.|$)")
"""Names that things have before they are renamed."""


@contextmanager
def mounted(folder: Path, num_bytes: int):
    """A file system of its own, so small that it fills up."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={num_bytes}", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"NO FULL DISK TRIED: mounting is not permitted here ({done.stderr.strip()})")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def small(tmp_path):
    """A disk of 16 MB."""
    with mounted(tmp_path / "disk", 16 << 20) as folder:
        yield folder


def fill(folder: Path, but: int = 0) -> Path:
    """Leaves so many bytes free, in whole pages."""
    filler = folder / "filler"
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize - but
    filler.write_bytes(bytes(max(0, free)))
    return filler


def set_read_only(folder: Path, yes: bool) -> None:
    subprocess.run(["mount", "-o", f"remount,{'ro' if yes else 'rw'}", folder], check=True)


def refused(argv, capsys) -> str:
    code, said = exit_of(argv, capsys)
    assert code == 1, said
    assert_one_line(said)
    return said


def succeeds(argv, capsys) -> None:
    code, said = exit_of(argv, capsys)
    assert code == 0, said


def name_of(stage):
    return stage.__doc__.rstrip(".")


def is_whole(path: str) -> bool:
    """Whether a file can be read to its end by whoever reads its kind."""
    content = Path(path).read_bytes()
    if Path(path).name.startswith("._"):  # what macOS leaves, and so does the release
        return True
    if path.endswith(".jsonl"):
        return all(json.loads(line) for line in content.splitlines()) and content.endswith(b"\n")
    if path.endswith(".json"):
        return bool(json.loads(content))
    if path.endswith(".png"):
        return content.endswith(b"IEND\xaeB`\x82")
    if path.endswith(".pdf"):
        return content.endswith(b"%%EOF\n")
    if path.endswith(".html"):
        return content.rstrip().endswith(b"</html>")
    return not path.endswith((".md", ".txt", "text", "wav.scp")) or content.endswith(b"\n")


def assert_whole(folder: Path) -> set[str]:
    """Nothing half-written is below a folder; returns the names of the files."""
    names = [path for path, (_, content) in snapshot(folder).items() if content is not None]
    assert not [name for name in names if WRITTEN_BESIDE.search(name)]
    assert not [name for name in names if not is_whole(name)]
    return set(names)


def new(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.mark.table("disk")
@pytest.mark.parametrize(
    ("stage", "share"),
    [
        pytest.param(stage, share, id=f"{name_of(stage)}, the disk full {when}")
        for stage in STAGES
        for share, when in enumerate(("from the beginning", "after a third", "after two thirds"))
    ],
)
def test_the_disk_is_full(stage, share, tmp_path, small, capsys, record_property):
    made = stage(tmp_path, small)
    before = set(snapshot(small))
    filler = fill(small, but=used_by(stage, tmp_path, capsys) * share // 3)
    said = refused(made.argv, capsys)
    record_property("shown", shown_line(said.strip(), small, tmp_path))
    assert "No space left on device" in said
    assert before <= set(snapshot(small)), "something was lost"
    assert_whole(small)
    filler.unlink()
    succeeds(made.argv, capsys)
    succeeds(made.argv, capsys)
    assert_whole(small)


def used_by(stage, root, capsys) -> int:
    """Bytes that a stage writes, on a disk that is large enough."""
    with mounted(root / "large", 64 << 20) as disk:
        (root / "elsewhere").mkdir()
        made = stage(root / "elsewhere", disk)
        before = os.statvfs(disk).f_bavail
        succeeds(made.argv, capsys)
        return (before - os.statvfs(disk).f_bavail) * os.statvfs(disk).f_frsize


@pytest.mark.table("disk")
@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: f"{name_of(stage)}, read-only")
def test_the_folder_is_read_only(stage, tmp_path, small, capsys, record_property):
    made = stage(tmp_path, small)
    before = snapshot(small)
    set_read_only(small, True)
    try:
        record_property("shown", shown_line(refused(made.argv, capsys).strip(), small, tmp_path))
        assert snapshot(small) == before
    finally:
        set_read_only(small, False)
    succeeds(made.argv, capsys)
    set_read_only(small, True)
    try:
        if stage not in (Report, Seeds):  # which write anew
            succeeds(made.argv, capsys)
    finally:
        set_read_only(small, False)


@pytest.mark.table("disk")
@pytest.mark.parametrize("full", [True, False], ids=["the cache's disk is full", "the cache's folder is read-only"])
def test_the_cache_cannot_be_written(full, tmp_path, small, capsys, record_property):
    room = Room(new(tmp_path / "room"), tmp_path / "made")
    argv = room.training("--dumpdir", small / "dump", "--cache", "cnn")
    filler = fill(small, but=5 * 4096)  # enough for folders and locks
    if not full:
        filler.unlink()
        set_read_only(small, True)
    code, said = exit_of(argv, capsys)
    line = said.splitlines()[-1]  # the training has begun, and said so
    record_property("shown", shown_line(line, small, tmp_path))
    assert code == 1
    assert_one_line(line + "\n")
    assert f"error: {small}/dump/cache/cnn-" in line
    assert ("No space left on device" if full else "Read-only file system") in line
    assert not [*small.rglob("*.npy"), *small.rglob("part-*.json")]
    if full:
        filler.unlink()
    else:
        set_read_only(small, False)
    succeeds(argv, capsys)
    assert list(small.rglob("part-0000.npy"))


@pytest.mark.table("disk")
@pytest.mark.parametrize("name", ["wav.scp", "utt2emotion", "utt2spk"])
def test_a_file_of_a_data_directory_is_removed_between_stages(name, tmp_path, capsys, record_property):
    made = Prepare(tmp_path, tmp_path)
    succeeds(made.argv, capsys)
    (made.output / "fold1" / "train" / name).unlink()
    argv = ("tokens", "--datadir", made.output, "--dumpdir", tmp_path / "dump")
    said = refused(argv, capsys)
    record_property("shown", shown_line(said.strip(), tmp_path))
    assert not (tmp_path / "dump").exists()
    succeeds(made.argv, capsys)
    succeeds(argv, capsys)


@pytest.mark.table("disk")
def test_audio_vanishes_while_a_release_is_read(tmp_path, capsys, monkeypatch, record_property):
    from espnet_ser.data import audio

    made, checked = Prepare(tmp_path, tmp_path), audio.checked_sound

    @contextmanager
    def checked_and_removed(file, path, *more):
        with checked(file, path, *more) as sound:
            yield sound
        path.unlink()

    monkeypatch.setattr(audio, "checked_sound", checked_and_removed)
    said = refused(made.argv, capsys)
    record_property("shown", shown_line(" ".join(said.split()), tmp_path))
    assert "no such file; check the path" in said
    assert not made.output.exists()


@pytest.mark.table("disk")
def test_audio_vanishes_between_stage_1_and_training(tmp_path, capsys, record_property):
    room = Room(new(tmp_path / "room"), tmp_path / "made")
    argv = room.training()
    wav = next(path for path in sorted((room.root / "wav").iterdir()) if "Ses02" in path.name)
    content = wav.read_bytes()
    wav.unlink()
    record_property("shown", shown_line(refused(argv, capsys).strip(), tmp_path))
    assert not (room.root / "exp").exists()
    wav.write_bytes(content)
    succeeds(argv, capsys)


@pytest.mark.table("disk")
@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: f"{name_of(stage)}, twice at once")
def test_two_runs_at_once(stage, tmp_path, capsys, record_property):
    made = stage(tmp_path, tmp_path)
    command = [sys.executable, "-m", "espnet_ser", *map(str, made.argv)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    runs = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = [run.communicate(timeout=300)[1] for run in runs]
    for run, line in zip(runs, said, strict=True):
        assert run.returncode == 0 or assert_one_line(line) is None, line
    assert 0 in [run.returncode for run in runs]
    record_property("shown", "; ".join(shown_line(line.strip(), tmp_path) or "done" for line in said))
    alone = assert_whole(tmp_path)
    succeeds(made.argv, capsys)
    assert assert_whole(tmp_path) == alone


def test_the_small_disk_does_fill_up(small):
    fill(small)
    with pytest.raises(OSError, match="No space left on device"):
        (small / "more").write_bytes(b"x")


@pytest.mark.table("disk")
@pytest.mark.parametrize("stage", [Select, Score], ids=lambda stage: f"{name_of(stage)}, another run in the same folder")
def test_a_run_waits_for_the_one_that_has_the_folder(stage, tmp_path, record_property):
    made = stage(tmp_path, tmp_path)
    run = threading.Thread(target=main, args=([str(word) for word in made.argv],))
    before = snapshot(made.output)
    with locked(made.output / "stl"):
        run.start()
        run.join(2)
        assert run.is_alive(), "did not wait"
        assert snapshot(made.output) == before
    run.join(60)
    assert not run.is_alive()
    assert snapshot(made.output) != before
    record_property("shown", "waits, then goes on")
