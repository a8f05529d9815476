"""Caches on disk: whole or not there, shared, and never mistaken for another."""

import json
import multiprocessing
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from tiny import examples_of

from espnet_ser.data.frame_cache import FrameCache, list_caches, remove_cache
from espnet_ser.errors import InputError

DIM = 3


def num_frames(example):
    return example.num_samples // 1000


def frames_of(example):
    """Of utterance ``..._F003`` as many frames as it has, all near 3."""
    return np.full((num_frames(example), DIM), int(example.utt[-3:]) + 0.25, dtype=np.float32)


def fill(cache, examples, compute=frames_of):
    computed = []

    def compute_all(missing):
        for example in reversed(missing):  # in whatever order
            computed.append(example.utt)
            yield example, compute(example)

    cache.add(examples, compute_all, num_frames, DIM)
    return sorted(computed)


@pytest.fixture
def examples(tmp_path):
    return examples_of(tmp_path / "corpus")


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_what_was_kept_is_found_again(tmp_path, examples, dtype):
    assert len(fill(FrameCache(tmp_path / "cache", dtype), examples)) == len(examples)
    again = FrameCache(tmp_path / "cache", dtype)
    assert again.missing(examples) == []
    for example in examples:
        assert again.frames(example).dtype == dtype
        assert np.array_equal(again.frames(example), frames_of(example))
    assert fill(again, examples) == []


def test_only_what_is_missing_is_computed(tmp_path, examples):
    first, second = FrameCache(tmp_path / "cache"), FrameCache(tmp_path / "cache")
    fill(first, examples[:5])
    assert fill(second, examples) == sorted(example.utt for example in examples[5:])
    assert fill(first, examples) == []
    assert np.array_equal(first.frames(examples[-1]), frames_of(examples[-1]))


def test_utterances_are_known_by_their_audio(tmp_path, examples):
    cache = FrameCache(tmp_path / "cache")
    fill(cache, examples[:1])
    renamed = replace(examples[0], utt="other", wav=tmp_path / "moved.wav")
    assert cache.missing([renamed]) == []
    assert cache.missing([replace(examples[0], sha256="other")]) != []


def test_a_part_that_was_not_finished_is_not_there(tmp_path, examples):
    def breaks_off(example):
        if example is examples[0]:
            raise KeyboardInterrupt
        return frames_of(example)

    with pytest.raises(KeyboardInterrupt):
        fill(FrameCache(tmp_path / "cache"), examples, breaks_off)
    assert not list((tmp_path / "cache").glob("*.npy"))
    assert len(fill(FrameCache(tmp_path / "cache"), examples)) == len(examples)
    (tmp_path / "cache" / "part-0000.json").unlink()  # as if killed between the two files
    assert len(fill(FrameCache(tmp_path / "cache"), examples)) == len(examples)


def test_values_beyond_half_precision_are_refused_and_nothing_is_left(tmp_path, examples):
    for wrong in (1e5, np.nan, np.inf):
        with pytest.raises(InputError, match="too much for a cache in float16"):
            fill(FrameCache(tmp_path / "cache"), examples, lambda example, wrong=wrong: frames_of(example) * wrong)
    assert not list((tmp_path / "cache").glob("part*"))


@pytest.mark.parametrize("damage", ["json", "short", "dtype", "no frames"])
def test_a_damaged_part_is_made_again(tmp_path, examples, damage, capsys):
    fill(FrameCache(tmp_path / "cache"), examples)
    path = tmp_path / "cache" / "part-0000"
    if damage == "json":
        path.with_suffix(".json").write_text("{")
    elif damage == "short":
        path.with_suffix(".npy").write_bytes(path.with_suffix(".npy").read_bytes()[:-10])
    elif damage == "dtype":
        np.save(path.with_suffix(".npy"), np.zeros((4, 3), dtype=np.float64))
    else:
        path.with_suffix(".npy").unlink()
    again = FrameCache(tmp_path / "cache")
    assert "part-0000: damaged (" in capsys.readouterr().out
    assert len(fill(again, examples)) == len(examples)
    assert np.array_equal(FrameCache(tmp_path / "cache").frames(examples[3]), frames_of(examples[3]))


@pytest.mark.parametrize("file", ["part-0000.npy", "part-0000.json"])
def test_a_flipped_bit_anywhere_is_noticed_and_what_it_damages_is_made_again(tmp_path, examples, file):
    fill(FrameCache(tmp_path / "whole"), examples)
    content = (tmp_path / "whole" / file).read_bytes()
    for place in range(0, len(content), 97):
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        shutil.copytree(tmp_path / "whole", tmp_path / "cache")
        flipped = bytes([content[place] ^ 1 << place % 8])
        (tmp_path / "cache" / file).write_bytes(content[:place] + flipped + content[place + 1 :])
        cache = FrameCache(tmp_path / "cache")
        fill(cache, examples)
        for example in examples:
            assert np.array_equal(cache.frames(example), frames_of(example)), place
    assert len(fill(FrameCache(tmp_path / "whole"), examples)) == 0


def test_of_an_utterance_that_is_damaged_the_others_are_not_made_again(tmp_path, examples, capsys):
    fill(FrameCache(tmp_path / "cache"), examples)
    path = tmp_path / "cache" / "part-0000.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 4
    path.write_bytes(content)
    assert len(fill(FrameCache(tmp_path / "cache"), examples)) == 1
    assert "cache: damaged frames of 1 utterances are made again" in capsys.readouterr().out
    assert fill(FrameCache(tmp_path / "cache"), examples) == []


def fill_and_count(folder, examples, queue):
    queue.put(len(fill(FrameCache(folder), examples)))


def test_jobs_that_want_the_same_compute_it_once(tmp_path, examples):
    queue = multiprocessing.Queue()
    jobs = [multiprocessing.Process(target=fill_and_count, args=(tmp_path / "cache", examples, queue)) for _ in range(4)]
    for job in jobs:
        job.start()
    counts = [queue.get(timeout=60) for _ in jobs]
    for job in jobs:
        job.join()
    assert sorted(counts) == [0, 0, 0, len(examples)]
    assert len(list((tmp_path / "cache").glob("part-*.npy"))) == 1


def test_caches_are_listed_and_removed(tmp_path, examples):
    fill(FrameCache(tmp_path / "caches" / "cnn-1"), examples[:2])
    fill(FrameCache(tmp_path / "caches" / "layer4-1"), examples)
    for name in ("not a cache", "cnn-mine"):  # other programs leave such files as well
        (tmp_path / "caches" / name).mkdir()
        (tmp_path / "caches" / name / ".lock").touch()
    listed = list_caches(tmp_path / "caches")
    assert [(cache.folder.name, cache.num_utts) for cache in listed] == [("layer4-1", len(examples)), ("cnn-1", 2)]
    size = sum(path.stat().st_size for path in (tmp_path / "caches" / "cnn-1").iterdir())
    assert listed[1].num_bytes == size
    remove_cache(listed[0].folder)
    assert [cache.folder.name for cache in list_caches(tmp_path / "caches")] == ["cnn-1"]
    assert json.loads((tmp_path / "caches" / "cnn-1" / "part-0000.json").read_text())["utterances"]
    (tmp_path / "caches/cnn-1/notes.txt").write_text("mine")
    remove_cache(tmp_path / "caches/cnn-1")
    assert [path.name for path in (tmp_path / "caches/cnn-1").iterdir()] == ["notes.txt"]
    (tmp_path / "disk").mkdir()
    (tmp_path / "caches/cnn-1/notes.txt").unlink()
    fill(FrameCache(tmp_path / "caches" / "cnn-1"), examples[:2])
    os.rename(tmp_path / "caches/cnn-1", tmp_path / "disk/cnn-1")
    (tmp_path / "caches/cnn-1").symlink_to(tmp_path / "disk/cnn-1")
    remove_cache(tmp_path / "caches/cnn-1")
    assert not (tmp_path / "caches/cnn-1").is_symlink()
    assert not list((tmp_path / "disk").iterdir())
