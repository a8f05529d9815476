"""The job scripts of cluster/ on a real Slurm."""

import json
import subprocess

from two_nodes import OPTIONS, wait_until

HERE = ["--gres=none", "--mem=2G", "--output=job.%a.%j.txt"]


def submitted(recipe, cluster, *words):
    """The id of a job that was submitted from the repository's folder."""
    done = subprocess.run(
        ["sbatch", "--parsable", *HERE, *words],
        cwd=recipe.folder.parents[1],
        env={**cluster.env, "recipe": "egs/mini_iemocap"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def said(recipe):
    return "\n".join(path.read_text() for path in recipe.folder.parents[1].glob("job.*.txt"))


def test_folds_that_are_told_of_their_time_limit_queue_again_and_the_rest_follows(recipe, cluster):
    options = [*OPTIONS, "--system", "stl_n8"]
    folder = recipe.exp / "stl_n8"
    id_ = submitted(recipe, cluster, "--array=1-2", "cluster/fold.sh", *options)
    wait_until((folder / "fold2" / "history.jsonl").exists, seconds=600)
    cluster.call("scancel", "--batch", "--signal=TERM", f"{id_}_2")  # as --signal=B:TERM@60 does
    wait_until(lambda: not cluster.jobs(), seconds=900)
    assert (folder / "fold1" / "done.json").exists(), said(recipe)
    assert (folder / "fold2" / "done.json").exists(), said(recipe)
    assert said(recipe).count("stopped by SIGTERM") == 1, said(recipe)

    submitted(recipe, cluster, "cluster/system.sh", *options, "--folds", "1 2")
    wait_until(lambda: not cluster.jobs(), seconds=900)
    assert set(json.loads((folder / "results.json").read_text())["folds"]) == {"1", "2"}, said(recipe)

    submitted(recipe, cluster, "cluster/table.sh", *OPTIONS, "--folds", "1", "--stage", "3", "--systems", "stl_n8")
    wait_until(lambda: not cluster.jobs(), seconds=900)
    assert set(json.loads((folder / "results.json").read_text())["folds"]) == {"1"}, said(recipe)
    assert (recipe.exp / "systems" / "RESULTS.md").exists(), said(recipe)


def test_a_fold_needs_an_array(recipe, cluster):
    submitted(recipe, cluster, "cluster/fold.sh")
    wait_until(lambda: "fold.sh: which fold? Submit it as an array" in said(recipe))
