"""A short cut of the fuzz run, and that it would find something."""

import os
import time

import fuzz
import numpy as np


def test_no_mutated_file_breaks_a_reader(tmp_path):
    number, broken = fuzz.fuzz(seed=7, most=300, seconds=120, keep=tmp_path / "broken")
    assert number == 300
    assert not broken, "\n".join(broken)
    assert not (tmp_path / "broken").exists()


def test_the_same_seed_gives_the_same_files():
    first, second = fuzz.inputs(3), fuzz.inputs(3)
    assert [next(first)[:2] for _ in range(40)] == [next(second)[:2] for _ in range(40)]


def raises(path):
    raise ValueError(path)


def dies(_):
    os.abort()


def hangs(_):
    time.sleep(60)


def takes_memory(_):
    np.ones(1 << 30)


def test_what_breaks_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(fuzz, "LONGEST_S", 1)
    readers = fuzz.Readers()
    told = [readers.fault(tmp_path, reader) for reader in (raises, dies, hangs, takes_memory, is_content)]
    readers.close()
    assert "ValueError" in told[0]
    assert "died of signal 6" in told[1]
    assert "still reading after 1 s" in told[2]
    assert "MemoryError" in told[3]
    assert told[4] is None


def is_content(_):
    pass
