"""Bad input ends in one clear line, a status that is not 0, and nothing written."""

import os
import shutil

import bad_audio
import bad_commands
import bad_configs
import bad_corpus
import bad_data
import bad_predictions
import bad_results
import pytest
from harness import shown_line, told
from room import Room
from scored_folds import FOLDS, Folds
from tiny_recipe import CONF

PARTS = (bad_corpus, bad_audio, bad_configs, bad_data, bad_results, bad_predictions, bad_commands)
CASES = {name: case for part in PARTS for name, case in part.CASES.items()}


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Systems that have been trained, selected and, that of one finetuning, scored; made once."""
    root = tmp_path_factory.mktemp("made")
    for system in ("stl", "asr__ser"):
        folds = Folds(root / system, system)
        for fold in FOLDS:
            folds.environment(fold, torch="2.0")
        folds("select")
        if system == "stl":
            folds("score")
    return root


@pytest.fixture
def room(tmp_path, made, monkeypatch):
    (tmp_path / "room").mkdir()
    monkeypatch.chdir(tmp_path / "room")
    monkeypatch.setenv("PATH", f"{CONF.parent / 'utils'}{os.pathsep}{os.environ['PATH']}")
    yield Room(tmp_path / "room", made)
    shutil.rmtree(tmp_path / "room")


def test_there_are_many_cases_and_no_name_is_taken_twice():
    assert len(CASES) == sum(len(part.CASES) for part in PARTS)
    assert len(CASES) >= 80


@pytest.mark.table("bad input")
@pytest.mark.parametrize("name", CASES)
def test_ends_in_one_clear_line(name, room, capsys, record_property):
    case, says = CASES[name]
    line = told(case(room), room.root, capsys)
    record_property("shown", shown_line(line, room.root))
    assert says in line
