import json
from dataclasses import replace
from pathlib import Path

import pytest
from report_maker import write

from espnet_ser.bin import report as command
from espnet_ser.errors import InputError
from espnet_ser.report.write import write_table_report
from espnet_ser.systems import load_system

CONF = Path(__file__).parents[2] / "conf"


@pytest.fixture(scope="module")
def expdir(tmp_path_factory):
    expdir = tmp_path_factory.mktemp("exp")
    for name in ("stl_n0", "stl", "asr_gender_skip__ser"):
        write(expdir / name, load_system(CONF, name))
    return expdir


def run(expdir, *argv):
    command.main(["--conf", str(CONF), "--expdir", str(expdir), *argv])


def rows_of(markdown):
    return {
        cells[1].strip("* "): [c.strip() for c in cells[2:-1]] for row in markdown.splitlines() if (cells := row.split("|"))[1:]
    }


def test_rows_stand_beside_the_papers_in_its_order(expdir, capsys):
    run(expdir, "--table", "3")
    text = (expdir / "table3" / "RESULTS.md").read_text()
    rows = rows_of(text)
    assert rows["asr_gender_skip__ser"] == [
        *("**62.50**", "50.00", "75.00", "68.75", "75.00*", "50.00*"),
        *("76.10", "74.94", "98.57*", "22.80*", "-13.60", "-6.19"),
    ]
    assert rows["asr__ser_asr (not finished)"] == [*["–"] * 6, "74.61", "73.55", "–", "23.36", "–", "–"]
    assert list(rows)[2:] == [
        "asr__ser (not finished)",
        "asr__ser_asr (not finished)",
        "asr__ser_gender (not finished)",
        "gender__ser (not finished)",
        "asr_gender__ser (not finished)",
        "asr_gender__ser_asr (not finished)",
        "asr_gender__ser_gender (not finished)",
        "asr_gender_skip__ser",
        "asr_gender_skip__ser_asr (not finished)",
        "asr_gender_skip__ser_gender (not finished)",
    ]
    assert "cannot be compared" in text
    assert "espnet-ser report --conf" in text
    assert "| **62.50** |" in capsys.readouterr().out


def test_results_of_all_systems_are_kept_together(expdir):
    run(expdir, "--table", "1", "--output", str(expdir / "one"))
    systems = json.loads((expdir / "one" / "results.json").read_text())["systems"]
    assert systems["stl"]["results"] == json.loads((expdir / "stl" / "results.json").read_text())
    assert systems["stl_n2"] == {"paper": {"ua": 63.94, "wa": 62.7}, "results": None}
    assert sorted(p.name for p in (expdir / "one" / "figures").iterdir()) == ["bars.png", "layers.png"]


def test_a_table_written_twice_has_the_same_bytes(expdir):
    contents = []
    for _ in range(2):
        run(expdir, "--table", "1")
        contents.append({p.name: p.read_bytes() for p in (expdir / "table1").rglob("*") if p.is_file()})
    assert contents[0] == contents[1]
    assert len(contents[0]) == 5


def test_a_table_of_which_nothing_is_finished_has_its_rows_and_no_figure(tmp_path):
    run(tmp_path, "--systems", "stl mtl_asr", "--tag", "x")
    rows = rows_of((tmp_path / "systems_x" / "RESULTS.md").read_text())
    assert "stl (not finished)" in rows
    assert "mtl_asr (not finished)" in rows
    assert list((tmp_path / "systems_x" / "figures").iterdir()) == []


def test_the_best_system_is_marked_and_a_row_without_paper_has_no_difference(tmp_path):
    better = write(tmp_path / "better", replace(load_system(CONF, "stl"), name="better", paper={}))
    worse = replace(better, name="worse", results={**better.results, "headline": "last"})
    write_table_report("Mine", [worse, better], tmp_path / "out", "a command")
    text = (tmp_path / "out" / "RESULTS.md").read_text()
    assert "| **better** | **62.50** | 50.00 | 75.00 | 68.75 |" in text
    assert "| worse | 62.50 | **50.00** | 75.00 | 62.50 |" in text
    assert rows_of(text)["better"][-6:] == ["–"] * 6


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--table", "4"], "unknown value '4'"),
        (["--systems", "stl_n1"], "did you mean"),
        (["--table", "3", "--systems", "stl"], "table 3"),
    ],
)
def test_wrong_names_are_told(tmp_path, argv, message):
    with pytest.raises(InputError, match=message):
        run(tmp_path, *argv)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"system": "stl_n0", "folds": {}, "summary": {}}'])
def test_results_that_are_not_are_named(tmp_path, content):
    (tmp_path / "stl").mkdir()
    (tmp_path / "stl" / "results.json").write_text(content)
    with pytest.raises(InputError, match=r"stl/results\.json"):
        run(tmp_path, "--systems", "stl")
