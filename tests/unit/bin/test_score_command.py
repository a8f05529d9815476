"""``espnet-ser score`` on folds whose trainings only left what a training leaves."""

import shutil

import pytest
from scored_folds import FOLDS, Folds
from tiny_recipe import refused


@pytest.fixture
def stl(tmp_path):
    return Folds(tmp_path, "stl")


@pytest.fixture
def two_finetunings(tmp_path):
    return Folds(tmp_path, "asr__ser")


def test_what_people_put_beside_folds_and_into_reports_is_not_counted_and_stays(stl, capsys):
    stl("select")
    stl("score")
    scores, base = stl.results(), stl.root / "exp/stl"
    for name in ("fold1.bak", "fold1 (copy)", "fold1_old", "folder"):
        shutil.copytree(stl.folder("1"), base / name)
    shutil.copytree(stl.data("1"), stl.root / "data/fold1 (copy)")
    shutil.move(stl.folder("2"), stl.root / "elsewhere")
    stl.folder("2").symlink_to(stl.root / "elsewhere")
    for place in (base, base / "figures", stl.folder("1"), stl.folder("1") / "epochs"):
        for name in ("notes.txt", ".DS_Store", "._x", ".nfs0001", "predictions_0001 (copy).jsonl.gz"):
            (place / name).write_text("mine")
    (base / "RESULTS.md").write_text(f"{stl.text()}\n- my notes\n")
    (base / "figures/confusion.png").write_text("redrawn by hand")
    before = {path for path in stl.root.rglob("*") if path.is_file()}
    (stl.folder("1") / "selected.json").unlink()
    stl("select")
    stl("score")
    assert stl.results() == scores
    assert "my notes" not in stl.text()
    assert "my notes" in (base / "RESULTS.md.kept-1").read_text()
    assert (base / "figures/confusion.png.kept-1").read_text() == "redrawn by hand"
    assert f"RESULTS.md: not as it was written here; kept in {base}/RESULTS.md.kept-1" in capsys.readouterr().out
    assert before <= set(stl.root.rglob("*"))
    assert stl.folder("2").is_symlink()


def test_scores_are_those_of_the_folds_asked_and_say_so(stl):
    stl("select")
    stl("score")
    assert stl.results()["summary"]["last"]["ua"] == {
        "mean": 75.0,
        "std": 0.0,
        "pooled": 75.0,
        "ci95": [75.0, 75.0],
        "ci95_speakers": [75.0, 75.0],  # all speakers alike
    }
    assert "Headline (`last`), folds 1-3 of 3: UA mean over folds **75.00 ± 0.00**; pooled **75.00**," in stl.text()
    stl("score", "1 3")
    assert list(stl.results()["folds"]) == ["1", "3"]
    assert "Headline (`last`), folds 1, 3 of 3: " in stl.text()
    stl("score", "2")
    assert "Headline (`last`), fold 2 of 3: UA **75.00**," in stl.text()


def test_nothing_is_written_again_when_nothing_has_changed(stl):
    stl("select")
    stl("score")
    before = {path: path.stat().st_mtime_ns for path in (stl.root / "exp").rglob("*")}
    stl("score")
    assert before == {path: path.stat().st_mtime_ns for path in (stl.root / "exp").rglob("*")}
    stl.environment("1", torch="1.2.3")
    stl("score")
    assert "torch 1.2.3" in stl.text()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"dropout": 0.5}, "config.dropout 0.5, {first} with 0.1"),
        ({"optim_conf": {"lr": 0.01}}, "config.optim_conf.lr 0.01, {first} with 0.001"),
        ({"scheduler_conf": {"T_max": 2}}, "config.scheduler_conf.T_max 2, {first} with unset"),
        ({"seed": 1}, "seed 1, {first} with 0"),
        ({"train_set": "train_all"}, "data train_all, {first} with train"),
    ],
)
@pytest.mark.parametrize("stage", ["ser", "stage1"])
def test_folds_that_were_trained_differently_are_not_pooled(two_finetunings, capsys, stage, changes, told):
    two_finetunings.finetune(stage, "3", **changes)
    if stage == "stage1":
        two_finetunings.finetune("ser", "3")
    two_finetunings("select")
    message = refused(capsys, "score", call=two_finetunings)
    first, third = (two_finetunings.folder(fold, stage) for fold in "13")
    assert f"{third} was trained with {told.format(first=first)}: scores of different systems are not pooled" in message
    two_finetunings("score", "1 2")
    two_finetunings("score", "3")


def test_epochs_of_all_folds_must_have_been_chosen_together(stl, capsys):
    shutil.rmtree(stl.folder("3"))
    stl("select", "1 2")
    apart = [(stl.folder(fold) / name).read_bytes() for fold in "12" for name in ("selected.json",)]
    stl.train("3")
    stl("select")
    for fold, content in zip("12", apart, strict=True):
        (stl.folder(fold) / "selected.json").write_bytes(content)
    stl("score", "1 2")
    assert "chosen together; run stage 5 again" in refused(capsys, "score", call=stl)


def test_a_fold_trained_again_after_its_epochs_were_chosen_is_refused(stl, capsys):
    stl("select")
    kept = {
        path.name: path.read_bytes() for path in stl.folder("2").glob("*") if path.name.startswith(("select", "predictions"))
    }
    stl.finetune("ser", "2", weights="of a second training")
    assert f"{stl.folder('2')}: not run yet; run stage 5 again" in refused(capsys, "score", call=stl)
    for name, content in kept.items():
        (stl.folder("2") / name).write_bytes(content)
    message = refused(capsys, "score", call=stl)
    assert (
        f"{stl.folder('2')}: its epochs were chosen from other models or data than are here now; run stage 5 again" in message
    )
    stl("select")
    stl("score")


def test_a_stage_1_trained_again_is_refused(two_finetunings, capsys):
    two_finetunings("select")
    two_finetunings("score")
    two_finetunings.finetune("stage1", "2", weights="of a second training")
    assert "another intermediate model than is here now: run stage 4 again" in refused(capsys, "score", call=two_finetunings)
    two_finetunings.finetune("ser", "2")
    two_finetunings("select")
    two_finetunings("score")


def test_reports_say_with_what_folds_were_trained_and_where_they_differ(two_finetunings):
    for fold in FOLDS:
        two_finetunings.environment(fold, date="2026-01-01", machine="one" if fold != "2" else "two", torch="2.11.0")
    two_finetunings("select")
    two_finetunings("score")
    machine = "one (fold 1 3), two (fold 2)"
    made = two_finetunings.results("run.json")
    assert made["trained_with"] == {"date": "2026-01-01", "machine": machine, "torch": "2.11.0"}
    assert {"date", "machine", "torch", "git commit"} <= made["scored_with"].keys()
    assert (
        f"- trained with: `date 2026-01-01; machine {machine}; torch 2.11.0`\n- scored with: `date " in two_finetunings.text()
    )


def test_a_damaged_record_of_machine_and_versions_is_named(stl, capsys):
    stl("select")
    (stl.folder("2") / "environment.json").write_text("[]")
    assert "fold2/environment.json: not a record" in refused(capsys, "score", call=stl)


def test_settings_of_stage_1_are_shown_where_they_differ_or_matter(two_finetunings):
    for fold in FOLDS:
        two_finetunings.finetune("stage1", fold, train_set="train_all", max_epoch=7)
        two_finetunings.finetune("ser", fold)
    two_finetunings("select")
    two_finetunings("score")
    intermediate = {
        key: value for key, value in two_finetunings.results("run.json")["settings"].items() if key.startswith("intermediate: ")
    }
    assert intermediate == {
        "intermediate: data": "all utterances",
        "intermediate: max_epoch": 7,
        "intermediate: optim_conf": {"lr": 0.001},
        "intermediate: tasks": ["asr"],
    }
    assert "- intermediate: max_epoch: `7`" in two_finetunings.text()
