"""The plan in numbers, and its check against a run's logs."""

import json
import sys
from datetime import datetime, timedelta

import pytest
from checkout import ROOT

BENCHMARKS = ROOT / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import plan  # noqa: E402
import plan_check  # noqa: E402
from costs import Costs  # noqa: E402

from espnet_ser.errors import InputError  # noqa: E402
from espnet_ser.schedule.simulation import simulate  # noqa: E402

CONF = BENCHMARKS.parent / "conf"
RATE = 2e12
ROWS = {
    name: {"utterances": 100, "seconds": 0.5, "flops": 0.5 * RATE, "cache_gb_per_utterance": 0.001}
    for name in ("ours_stage1", "ours_stage2", "ours_full", "ours_n0", "fill_cnn")
}


@pytest.fixture(scope="module")
def costs():
    return Costs(ROWS, epochs=10)


def test_times_are_operations_over_the_measured_rate(costs):
    assert costs.training_s("ser", 8) == pytest.approx(costs.training_flops(8) / RATE)
    # Layers cost alike: a trained one three forward passes (LayerDrop apart), a frozen one a pass, in training alone.
    assert costs.training_flops(8) - costs.training_flops(4) == pytest.approx(costs.training_flops(4) - costs.training_flops(0))
    assert costs.training_flops(0) < costs.training_flops(8) < costs.training_flops(12) < 3 * costs.training_flops(0)
    assert Costs(ROWS, epochs=20).training_s("stage1", 12) == pytest.approx(2 * costs.training_s("stage1", 12))
    assert costs.cache_gb() == pytest.approx(5.531)


def test_models_are_counted_as_torch_counts_them(costs):
    whole = 94_371_712  # wav2vec2-base without heads
    assert costs.model_gb("ser", 0) == pytest.approx(4e-9 * whole)
    cnn = 4_200_448
    assert costs.model_gb("ser", 12) == pytest.approx(4e-9 * (2 * (whole - cnn) + cnn))
    assert costs.model_gb("stage1", 12) == pytest.approx(4e-9 * whole)


def test_a_table_is_the_trainings_that_the_recipe_would_run(costs):
    table = plan.Table(costs, CONF, "3")
    assert len(table.trainings) == 5 * (4 + 10)
    assert list(table.trainings.values()).count(("stage1", 12)) == 20
    trainings_s = 20 * costs.training_s("stage1", 12) + 50 * costs.training_s("ser", 8)
    assert table.hours_on(1) == pytest.approx((trainings_s + costs.filling_s()) / 3600)  # one cache for all
    chain_s = costs.training_s("stage1", 12) + costs.training_s("ser", 8) + costs.filling_s()
    assert table.hours_on(1000) == pytest.approx(chain_s / 3600)
    assert table.hours_on(1000) < table.hours_on(16) < table.hours_on(4) < table.hours_on(1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "speed.json"),
        ("[]", "not the speed.json"),
        (json.dumps({"rows": {}}), "not measured: fill_cnn, ours_full, "),
    ],
)
def test_what_is_no_benchmark_is_refused(text, message, tmp_path):
    path = tmp_path / "speed.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=message):
        plan.main([str(path)])


def write_log(path, began_s, took_s, code=0):
    began = datetime(2026, 2, 27, 23, 0, 0) + timedelta(seconds=began_s)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"# train\n# Started at {began.strftime('%a %b %d %H:%M:%S UTC %Y')}\n#\n"
        f"# Ended (code {code}) at {began.strftime('%a %b %d %H:%M:%S UTC %Y')}, elapsed time {took_s:.0f} seconds\n"
    )


SECONDS = {"stage1": 5000.0, "ser": 700.0, "select": 7.0, "score": 3.0}


@pytest.fixture
def run_of_table(tmp_path):
    """Logs of a run of two folds that went exactly as one that is played through."""
    systems = plan_check.table_systems(CONF, "3", ["asr__ser", "asr__ser_asr"])
    setup = plan_check.Setup(tmp_path, tmp_path, tmp_path, "", {}, {})
    jobs = plan_check.table_jobs(systems, ["1", "2"], setup, [], [])
    for job in simulate(jobs, lambda job: SECONDS[plan_check.kind_of(job)], 2, 100):
        write_log(job.log, job.started_s, job.ended_s - job.started_s)
    return tmp_path, jobs


def test_a_run_is_found_in_its_logs(run_of_table, capsys):
    expdir, _ = run_of_table
    plan_check.main([str(expdir), "--table", "3", "--systems", "asr__ser asr__ser_asr", "--folds", "1 2", "--machines", "2"])
    lines = capsys.readouterr().out.splitlines()[2:]
    assert [line.split(" | ")[2:] for line in lines] == [["6410", "0 %", "1.00 |"]] * 3


def test_a_log_that_stands_for_no_job_is_refused(run_of_table):
    _, jobs = run_of_table
    write_log(jobs[0].log, 0, 3, code=1)
    with pytest.raises(InputError, match="ended well 0 times"):
        plan_check.read_run(jobs[0].log)
    jobs[0].log.unlink()
    with pytest.raises(InputError, match="was this table run there"):
        plan_check.read_run(jobs[0].log)


def test_what_was_not_measured_is_left_out(tmp_path, capsys):
    path = tmp_path / "speed.json"
    path.write_text(json.dumps({"rows": {name: ROWS[name] for name in ("ours_stage1", "ours_stage2", "fill_cnn")}}))
    plan.main([str(path), "--tflops"])
    printed = capsys.readouterr().out
    assert "emotion, n = 8" in printed
    assert "emotion, n = 0" not in printed
    assert [line.split(" | ")[0] for line in printed.splitlines() if "as measured" in line] == ["| 3"]
