import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from checkout import ROOT
from report_maker import RUN, predictions, write

from espnet_ser.bin import report as command
from espnet_ser.errors import InputError
from espnet_ser.evaluation.results import summarise
from espnet_ser.experiment.systems import load_system
from espnet_ser.report.markdown import results_markdown
from espnet_ser.report.system import SystemReport
from espnet_ser.report.write import write_table_report

CONF = ROOT / "conf"


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
        *(
            "1, 2",
            "12",
            "**62.50**",
            "75.00",
            "50.00",
            "75.00",
            "**68.75**",
            "75.00",
            "62.50",
            "75.00",
            "75.00*",
            "50.00*",
            "33.33*",
        ),
        *("76.10", "74.94", "98.57*", "22.80*", "-13.60", "-6.19"),
    ]
    assert rows["asr__ser_asr (not finished)"] == [*["–"] * 13, "74.61", "73.55", "–", "23.36", "–", "–"]
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


@pytest.mark.parametrize("corpus", [{}, {"name": "RAVDESS", "lang": "en"}])
def test_the_papers_figures_do_not_stand_beside_those_of_another_corpus(expdir, tmp_path, corpus):
    for name in ("stl", "asr_gender_skip__ser"):
        write(tmp_path / name, load_system(CONF, name), run={**RUN, "corpus": corpus})
    run(tmp_path, "--table", "3")
    for path in (*tmp_path.rglob("RESULTS.md"), *tmp_path.rglob("report.html")):
        text = re.sub("<style>.*</style>", "", path.read_text(), flags=re.DOTALL)
        assert "iemocap" not in text.lower()
        assert not re.search("paper's (row|figures)|[|] paper", text)
    rows = rows_of((tmp_path / "table3" / "RESULTS.md").read_text())
    assert set(rows["asr__ser_asr (not finished)"]) == {"–"}
    assert "-13.60" not in rows["asr_gender_skip__ser"]


def test_results_of_all_systems_are_kept_together(expdir):
    run(expdir, "--table", "1", "--output", str(expdir / "one"))
    systems = json.loads((expdir / "one" / "results.json").read_text())["systems"]
    assert systems["stl"]["results"] == json.loads((expdir / "stl" / "results.json").read_text())
    assert systems["stl_n2"] == {"paper": {"ua": 63.94, "wa": 62.7}, "results": None}
    assert sorted(p.name for p in (expdir / "one" / "figures").iterdir()) == [
        "bars.pdf",
        "bars.png",
        "layers.pdf",
        "layers.png",
    ]


def test_a_table_written_twice_has_the_same_bytes(expdir):
    contents = []
    for _ in range(2):
        run(expdir, "--table", "1")
        contents.append({p.name: p.read_bytes() for p in (expdir / "table1").rglob("*") if p.is_file()})
    assert contents[0] == contents[1]
    figures = ["bars.pdf", "bars.png", "layers.pdf", "layers.png"]
    assert sorted(contents[0]) == [".report.json", "RESULTS.md", *figures, "report.html", "results.json"]


def test_a_table_of_which_nothing_is_finished_has_its_rows_and_no_figure(tmp_path):
    run(tmp_path, "--systems", "stl mtl_asr", "--tag", "x")
    rows = rows_of((tmp_path / "systems_x" / "RESULTS.md").read_text())
    assert "stl (not finished)" in rows
    assert "mtl_asr (not finished)" in rows
    assert list((tmp_path / "systems_x" / "figures").iterdir()) == []
    assert "paper" not in (tmp_path / "systems_x" / "RESULTS.md").read_text()  # of which corpus the scores will be is not known


def table_of(folder, *reports):
    write_table_report("Mine", reports, folder, "a command")
    return (folder / "RESULTS.md").read_text()


def row(folder, name, **options):
    """A scored row that the paper does not have."""
    return write(folder / name, replace(load_system(CONF, "stl"), name=name, paper={}), **options)


def scaled(report, points):
    """The same system with so many points more of headline UA."""
    summary = report.results["summary"]
    last = {**summary["last"], "ua": {**summary["last"]["ua"], "mean": summary["last"]["ua"]["mean"] + points}}
    return replace(report, results={**report.results, "summary": {**summary, "last": last}})


def test_the_best_of_systems_that_are_alike_is_marked_and_without_the_papers_rows_there_is_no_difference(tmp_path):
    text = table_of(tmp_path / "out", row(tmp_path, "worse"), scaled(row(tmp_path, "better"), 5.0))
    assert "| **better** | 1, 2 | 12 | **67.50** | 75.00 | 50.00 | 75.00 | **68.75** | 75.00 | 62.50 | 75.00 |" in text
    assert "| worse | 1, 2 | 12 | **62.50** | 75.00 | 50.00 | 75.00 | **68.75** | 75.00 | 62.50 | 75.00 |" in text
    assert "paper" not in text
    text = table_of(tmp_path / "out", row(tmp_path, "alone"), write(tmp_path / "stl", load_system(CONF, "stl")))
    assert rows_of(text)["alone"][-6:] == ["–"] * 6
    assert "No system is marked" not in text
    assert "Rows differ in how" not in text
    assert (tmp_path / "out" / "report.html").read_text().count("best UA") == 1


def test_rows_with_constant_layers_below_are_marked_in_tables_and_of_themselves(tmp_path):
    def with_frozen(name, frozen):
        made = row(tmp_path, name)
        return replace(made, run={**made.run, "settings": {**made.run["settings"], "frozen": frozen}})

    marked, usual = with_frozen("a", "constant"), with_frozen("b", "alive")
    text = table_of(tmp_path / "out", marked, usual, row(tmp_path, "c"))
    assert {"a†", "b", "c"} <= rows_of(text).keys()
    assert "- `†` `frozen: constant`: layers that were not trained had neither masks nor dropout" in text
    assert "†" in (tmp_path / "out" / "report.html").read_text()
    assert ["frozen: constant" in results_markdown(each, []) for each in (marked, usual)] == [True, False]


def test_a_wer_of_100_is_told_of(tmp_path):
    made = row(tmp_path, "a")
    assert "stayed on blanks" not in results_markdown(made, [])
    folds = {**made.results["folds"], "2": {**made.results["folds"]["2"], "wer": 100.0}}
    silent = replace(made, results={**made.results, "folds": folds})
    assert "A WER of 100.00 (`a`) is nearly always that of empty transcripts" in results_markdown(silent, [])


def test_no_system_is_the_best_of_rows_over_other_folds(tmp_path):
    rows = [row(tmp_path, "a"), row(tmp_path, "b"), row(tmp_path, "c", folds=("1",))]
    text = table_of(tmp_path / "out", *rows)
    assert "| c | 1 | 8 |" in text
    assert (
        "No system is marked as the best: rows differ in folds: `1 (8 utterances)` of `c`, else `1, 2 (12 utterances)`." in text
    )
    page = (tmp_path / "out" / "report.html").read_text()
    assert "best UA" not in page
    assert "No system is marked as the best" in page


def test_a_selection_that_a_system_lacks_is_a_gap_and_one_that_all_lack_is_no_column(tmp_path):
    lacking = row(tmp_path, "b", selections=("last", "oracle"))
    text = table_of(tmp_path / "out", row(tmp_path, "a"), lacking)
    assert "| b | 1, 2 | 12 | **62.50** | 75.00 | – | 75.00 | **68.75** | 75.00 | – | 75.00 |" in text
    text = table_of(tmp_path / "out", lacking)
    assert "| UA (last) | pooled UA (last) | UA (oracle) | WA (last) |" in text
    assert "- `others` is left out: it needs" in text


def test_settings_that_differ_between_rows_are_named_but_not_those_that_systems_are_about(tmp_path):
    settings = {
        "encoder": "tiny",
        "seed": 0,
        "tasks": ["emotion"],
        "intermediate: max_epoch": 8,
        "intermediate: tasks": ["asr"],
    }
    changes = {
        "a": {},
        "b": {"seed": 1, "tasks": ["emotion", "asr"], "intermediate: tasks": ["gender"]},
        "c": {"encoder": "cnn_lstm"},
        "d": {"intermediate: max_epoch": 4},
    }
    rows = [row(tmp_path, name, run={"command": "", "settings": settings | change}) for name, change in changes.items()]
    text = table_of(tmp_path / "out", *rows)
    expected = (
        "Rows differ in how they were trained: `seed` `1` of `b`, else `0`; `intermediate: max_epoch` `4` of `d`, else `8`."
    )
    assert expected in text
    assert "**a**" in text  # the first of equals


def test_only_rows_of_table_1_stand_in_the_figure_of_layers():
    for name, layers in (("stl", 12), ("stl_n4", 4), ("cnn_lstm", None), ("mtl_asr", None)):
        assert SystemReport.of(load_system(CONF, name), Path(), None, {}).layers == layers
    mine = replace(load_system(CONF, "stl"), name="mine", rows={}, paper={})
    assert SystemReport.of(mine, Path(), None, {}).layers is None


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


def broken_results():
    """Whole results with one thing broken in each."""
    good = summarise("stl", predictions())
    yield "{"
    yield "[]"
    yield {}
    yield {"system": "stl_n0", "folds": {}, "summary": {}}
    yield {"system": "stl", "folds": {}, "summary": {}}
    yield {**good, "summary": {}}
    yield {**good, "summary": []}
    yield {**good, "folds": {}}
    yield {**good, "folds": {"1": {}}}
    yield {**good, "headline": "best"}
    yield {**good, "slices": {"style": {"acted": {"n": 1}}}}
    yield {**good, "summary": {**good["summary"], "last": {"ua": {"mean": "high"}}}}
    yield {**good, "summary": {name: value for name, value in good["summary"].items() if name != "wer"}}
    yield json.dumps(good).replace("62.5", "NaN")
    for part, broken in (
        ("macro_f1", None),
        ("per_class", {"sad": {"recall": "high", "precision": 1.0, "f1": 1.0, "support": 1}}),
        ("confusion", {"labels": ["angry", "sad"], "counts": [[1, 2], [3]]}),
        ("confusion", {"labels": ["angry", 3], "counts": [[1, 2], [3, 4]]}),
        ("speakers", {"Ses01_F": {"fold": 1, "n": 1, "classes": 1, "ua": 1.0, "wa": 1.0}}),
        ("ua", {**good["summary"]["last"]["ua"], "ci95_speakers": [1.0]}),
    ):
        yield {**good, "summary": {**good["summary"], "last": {**good["summary"]["last"], part: broken}}}
    yield {**good, "folds": {fold: {**by, "absent": {"emotion": [3]}} for fold, by in good["folds"].items()}}


@pytest.mark.parametrize("content", list(broken_results()))
def test_results_that_are_not_are_named(tmp_path, content):
    (tmp_path / "stl").mkdir()
    (tmp_path / "stl" / "results.json").write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(InputError, match=r"stl/results\.json"):
        run(tmp_path, "--systems", "stl")


@pytest.mark.parametrize("content", ["{", "[]", '{"settings": 3}', '{"command": ["a"]}', '{"scored_with": null}'])
def test_a_run_that_is_not_is_named(tmp_path, content):
    write(tmp_path / "stl", load_system(CONF, "stl"))
    (tmp_path / "stl" / "run.json").write_text(content)
    with pytest.raises(InputError, match=r"stl/run\.json.*run stage 6 again"):
        run(tmp_path, "--systems", "stl")


def test_a_run_without_settings_is_shown(tmp_path):
    write(tmp_path / "stl", load_system(CONF, "stl"))
    (tmp_path / "stl" / "run.json").write_text("{}")
    run(tmp_path, "--systems", "stl")
    assert "command: <" not in (tmp_path / "systems" / "RESULTS.md").read_text()
    assert "<dt>command</dt><dd><code>not recorded</code></dd>" in (tmp_path / "systems" / "report.html").read_text()
