"""The mini recipe with its trainings on a real Slurm: whatever happens to them, the results are those of a local run."""

import contextlib
import json
import signal
import time

import pytest
from mini import outcome
from two_nodes import OPTIONS, Recipe, kill, processes_of

SYSTEM = [*OPTIONS, "--folds", "1 2", "--system", "asr__ser", "--stage", "3"]
TABLE = [*OPTIONS, "--folds", "1", "--table", "3", "--stage", "3"]


@pytest.fixture(scope="module")
def expected(prepared):
    return prepared.local("run.sh", SYSTEM)


def assert_same(found, expected):
    assert sorted(found) == sorted(expected)
    assert [name for name in expected if found[name] != expected[name]] == []


def training_at_epoch(cluster, row, epochs):
    """The name and node of a job that trains a model of ``row``, once it has done some epochs; None before."""
    for path in row.glob("fold*/history.jsonl"):
        if path.read_text().count("\n") >= epochs and not (path.parent / "done.json").exists():
            number = path.parent.name[len("fold") :]
            for job, (state, node, title) in cluster.jobs().items():
                is_it = title.endswith(f"train.fold{number}") or (
                    title.endswith(".ESPNET_SER_JOB") and job.endswith(f"_{number}")
                )
                if state == "RUNNING" and is_it and title.startswith(f"{row.name}-"):
                    return job, node
    return None


def caught(process, recipe, cluster, row, epochs=2):
    """Waits for such a job."""
    while not (found := training_at_epoch(cluster, row, epochs)):
        assert process.poll() is None, recipe.said()
        time.sleep(0.1)
    return found


def test_folds_as_arrays_give_the_local_results(recipe, cluster, expected):
    process = recipe.start("run.sh", SYSTEM, "slurm")
    titles = set()
    while process.poll() is None:
        titles |= {(job.split("_")[1], title) for job, (_, _, title) in cluster.jobs().items()}
        time.sleep(0.5)
    assert process.returncode == 0, recipe.said()
    assert titles == {(n, f"{row}-train.ESPNET_SER_JOB") for n in "12" for row in ("asr", "asr__ser")}
    assert_same(outcome(recipe.folder), expected)


def test_a_requeued_job_and_one_whose_node_goes_down_resume_exactly(recipe, cluster, expected):
    process = recipe.start("run.sh", SYSTEM, "slurm")
    first, _ = caught(process, recipe, cluster, recipe.exp / "stage1" / "asr")
    cluster.call("scontrol", "requeue", first)
    second, node = caught(process, recipe, cluster, recipe.exp / "asr__ser")
    cluster.node(node, "down")
    try:
        assert process.wait(timeout=1200) == 0, recipe.said()
    finally:
        cluster.node(node, "resume")
    for job, row in ((first, "stage1/asr"), (second, "asr__ser")):
        log = recipe.exp / row / "log" / f"train.{job.split('_')[1]}.log"
        assert log.read_text().count("\n# Started at ") == 2
    assert_same(outcome(recipe.folder), expected)


def test_an_interrupted_driver_cancels_its_jobs_and_the_same_command_goes_on(recipe, cluster, expected):
    process = recipe.start("run.sh", SYSTEM, "slurm")
    caught(process, recipe, cluster, recipe.exp / "stage1" / "asr")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=120) in (85, 143), recipe.said()
    assert cluster.jobs() == {}
    recipe.run("run.sh", SYSTEM, "slurm")
    assert_same(outcome(recipe.folder), expected)


def test_a_failing_fold_is_named_and_the_other_is_trained(recipe):
    options = [*OPTIONS, "--folds", "1 2", "--system", "stl_n8", "--stage", "4"]
    broken = recipe.folder / "data" / "fold2" / "train" / "utt2emotion"
    good = broken.read_bytes()
    broken.write_bytes(b"nonsense\n")
    try:
        process = recipe.start("run.sh", options, "slurm")
        assert process.wait(timeout=600) != 0
    finally:
        broken.write_bytes(good)
    assert "slurm.pl: job failed, log is in " in recipe.said()
    assert "train.2.log (1 of 2 failed: 2)" in recipe.said()
    assert "utt2emotion" in recipe.said()
    assert (recipe.exp / "stl_n8" / "fold1" / "done.json").exists()
    assert not (recipe.exp / "stl_n8" / "fold2" / "done.json").exists()


def test_two_nodes_train_one_model_as_two_processes_do(recipe, cluster):
    one = ["--num_utts", "120", "--folds", "1", "--system", "asr__ser", "--stage", "3", "--dist_backend", "gloo"]
    one += ["--stage1-args", "--max_epoch 2", "--stage2-args", "--max_epoch 2"]
    here = trained(recipe.local("run.sh", [*one, "--ngpu", "2"]))
    process = recipe.start("run.sh", [*one, "--ngpu", "0", "--num_nodes", "2"], "slurm")
    nodes = set()
    while process.poll() is None:
        nodes |= {node for _, node, _ in cluster.jobs().values()}
        time.sleep(0.5)
    assert process.returncode == 0, recipe.said()
    assert "n[1-2]" in nodes
    assert_same(trained(outcome(recipe.folder)), here)


def trained(found):
    """Of what a run has left, weights and predictions: its configurations say how many processes there were."""
    return {name: content for name, content in found.items() if name.endswith((".pth", ".jsonl", ".npz", ".jsonl.gz"))}


def test_a_table_survives_a_killed_job_and_a_lost_node(recipe, cluster):
    assert_survives(recipe, cluster, TABLE)
    results = json.loads((recipe.exp / "asr__ser" / "results.json").read_text())
    assert set(results["folds"]) == {"1"}


@pytest.mark.long
def test_the_whole_table_survives_them_too(cluster, tmp_path):
    with contextlib.closing(Recipe(tmp_path, cluster)) as recipe:
        assert_survives(recipe, cluster, ["--table", "3", "--ngpu", "0"])
        found = [json.loads(path.read_text()) for path in sorted(recipe.exp.glob("*__ser*/results.json"))]
    assert len(found) == 10
    assert all(set(results["folds"]) == set("12345") for results in found)


def assert_survives(recipe, cluster, options):
    """Of a table's jobs one is killed, and one node is lost with what runs on it."""
    expected = recipe.local("run_table.sh", options)
    process = recipe.start("run_table.sh", options, "slurm")
    job, _ = caught(process, recipe, cluster, recipe.exp / "stage1" / "asr_gender")
    kill(processes_of(job))
    _, node = caught(process, recipe, cluster, recipe.exp / "asr__ser_gender")
    cluster.lose(node)
    try:
        assert process.wait(timeout=3 * 3600) == 0, recipe.said()
    finally:
        cluster.start(node)
    logs = "".join(path.read_text() for path in recipe.exp.glob("**/log/*.log"))
    assert f"job {job} died: killed by signal 9" in logs
    assert_same(outcome(recipe.folder), expected)
