"""The benchmark: its corpus, its arithmetic, and that every row runs. Nothing here is timed."""

import importlib.util
import json
import sys

import numpy as np
import pytest
import torch
from checkout import ROOT
from tiny import save_encoder, tiny_wav2vec2
from torch.utils.flop_counter import FlopCounterMode

BENCHMARKS = ROOT / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import onnx_speed  # noqa: E402
import sharing  # noqa: E402
import speed  # noqa: E402
import startup  # noqa: E402
from corpus import computed_s, make_examples, padding_ratio, random_batches, representative, sample_durations  # noqa: E402
from floor import cnn_flops, floor_flops  # noqa: E402
from process import run_job  # noqa: E402
from rows import GOALS, ROWS  # noqa: E402
from run_row import measure  # noqa: E402
from table import report_markdown  # noqa: E402

from espnet_ser.errors import InputError  # noqa: E402


def test_lengths_are_those_of_iemocap():
    durations = sample_durations(5531)
    assert durations.mean() == pytest.approx(4.55, abs=0.01)
    assert durations.sum() / 3600 == pytest.approx(6.99, abs=0.02)
    assert (durations < 1).sum() == pytest.approx(27, abs=1)
    assert (durations > 15).sum() == pytest.approx(78, abs=1)
    assert durations.max() == 34.14
    assert np.array_equal(durations, sample_durations(5531))


def test_few_batches_stand_for_the_epoch(tmp_path):
    examples = make_examples(tmp_path, 2000)
    batches = random_batches(2000, 16)
    for pads in (True, False):
        chosen = representative(batches, examples, 10, pads)
        assert len(chosen) == 10
        assert all(batch in batches for batch in chosen)
        assert padding_ratio(chosen, examples, pads) == pytest.approx(padding_ratio(batches, examples, pads), rel=0.1)
        total_s, whole_s = (
            sum(examples[i].num_samples for batch in some for i in batch) / n for some, n in ((chosen, 160), (batches, 2000))
        )
        assert total_s == pytest.approx(whole_s, rel=0.05)
        assert chosen[0] == max(chosen, key=lambda batch: computed_s(batch, examples, pads))
    assert len(representative(batches, examples, 0)) == 125


def test_the_floor_counts_what_torch_counts():
    wav2vec2 = tiny_wav2vec2()
    wav2vec2.set_attn_implementation("eager")  # torch does not count its fused attention on a CPU
    config, num_samples = wav2vec2.config.to_dict(), 64000
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        wav2vec2(torch.randn(1, num_samples))
    assert floor_flops(config, num_samples, num_trainable_layers=0) == pytest.approx(counter.get_total_flops(), rel=0.01)
    # All layers trained: three times what lies above the CNN.
    cnn, _ = cnn_flops(config, num_samples)
    everything = floor_flops(config, num_samples, 0)
    assert floor_flops(config, num_samples, 6) == pytest.approx(cnn + 3 * (everything - cnn))
    assert floor_flops(config, num_samples, 6, "cnn") == pytest.approx(3 * (everything - cnn))
    # A cached prefix leaves the upper layers alone.
    layer = everything - floor_flops({**config, "num_hidden_layers": 5}, num_samples, 0)
    assert floor_flops(config, num_samples, 4, "prefix") == pytest.approx(3 * 4 * layer)
    assert floor_flops(config, num_samples, 0, "pooled") == 0


def test_the_exported_files_are_timed(tmp_path, capsys):
    encoder = save_encoder(tmp_path / "encoder")
    threads = torch.get_num_threads()
    onnx_speed.main(["--encoder", str(encoder), "--num_utts", "2", "--threads", str(threads)])
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if "onnx" in line]
    assert [row[0] for row in rows] == ["| model.onnx", "| model_int8.onnx"]
    assert float(rows[0][3].rstrip(" |")) < 1e-4 < float(rows[1][3].rstrip(" |"))


@pytest.mark.long
def test_trainings_share_a_machine(tmp_path, capsys):
    encoder = str(save_encoder(tmp_path / "encoder"))
    options = ["--rows", "ours_n0", "--at_a_time", "1", "2", "--steps", "1", "--num_utts", "32", "--seconds", "0.1"]
    sharing.main([*options, "--encoder", encoder])
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ours")]
    assert [row[1] for row in rows] == ["1", "2"]
    assert all(float(row[2]) > 0 for row in rows)


@pytest.mark.long
def test_a_training_that_fails_beside_others_ends_them_all(tmp_path):
    encoder = save_encoder(tmp_path / "encoder")
    (encoder / "model.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match="ours_n0, 2 at a time: "):
        sharing.main(["--rows", "ours_n0", "--at_a_time", "2", "--steps", "1", "--num_utts", "32", "--encoder", str(encoder)])


PACKAGE_OF = {"speechbrain_recipe": "speechbrain", "espnet_cls": "s3prl"}


@pytest.mark.parametrize("name", ROWS)
def test_every_row_trains(tmp_path, name):
    package = PACKAGE_OF.get(ROWS[name].kind)
    if package is not None and importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    job = {
        "row": name,
        "folder": str(tmp_path),
        "encoder": str(save_encoder(tmp_path / "encoder")),
        "options": [],
        "steps": 1,
        "num_utts": 8,
        "memory": "epoch",
        "min_seconds": 0.0,
        "seed": 0,
        "device": "cpu",
        "dtype": "float32",
        "threads": 1,
        "batch_size": 2,
        "result": str(tmp_path / "result.json"),
    }
    measure(job)
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["steps"] == 1
    assert result["utterances"] == 2 or ROWS[name].stage == "inference"
    assert 0 < result["loaded_gb"] <= result["steps_gb"] <= result["epoch_gb"]
    assert result["padding_of_epoch"] >= 1.0
    assert (result["flops"] == 0) == (name == "ours_n0_constant")
    # Our rows leave what they cache where the next one of their stage finds it.
    assert (tmp_path / "cache").exists() == (ROWS[name].cut is not None)


@pytest.mark.long
def test_a_training_is_watched_until_its_first_step(tmp_path, monkeypatch):
    job = {"folder": str(tmp_path), "encoder": str(save_encoder(tmp_path / "encoder")), "result": str(tmp_path / "result.json")}
    (tmp_path / "job.json").write_text(json.dumps(job))
    monkeypatch.setattr(sys, "argv", ["startup.py", str(tmp_path / "job.json")])
    monkeypatch.setattr(startup, "REPEATS", 1)
    monkeypatch.setattr(startup, "FLOOR", "pass")  # its imports are known to work
    startup.main()
    times = json.loads((tmp_path / "result.json").read_text())
    assert list(times) == ["floor", "help", "train, --cache none", "train, --cache auto"]
    assert all(value > 0 for command in times.values() for value in command.values())
    assert not list((tmp_path / "startup" / "exp").rglob("1epoch.pth"))


def fake_job(fits):
    """In place of :func:`process.run_job`: ours has 10 utterances per second and 1 GB, all others one and 2 GB."""

    def run(script, job, python, folder):
        if script == "machine.py":
            return {"flops_per_s": 1e11, "memory_gb": None, "environment": {"python": "3"}}
        if script == "scaling.py":
            return {"num_utts": job["num_utts"], "batches": 1, "opening_s": 1, "epoch_s": 1, "memory_gb": 1, "cache_gb": 1}
        if script == "startup.py":
            return {"floor": {"seconds": 4.0, "cpu_seconds": 5.0}, "train": {"seconds": 6.0, "cpu_seconds": 6.0}}
        if script != "run_row.py":
            return {}
        if job["batch_size"] > fits:
            return {"failure": "does not fit into 8.0 GB", "out_of_memory": True}
        ours = ROWS[job["row"]].kind == "ours"
        seconds, memory = (10.0, 1.0) if ours else (100.0, 2.0)
        result = {
            "steps": 1,
            "utterances": 100,
            "audio_s": 400.0,
            "seconds": seconds,
            "flops": 1e11,
            "cache_gb_per_utterance": 1e-4,
        }
        return result | {"padding_of_steps": 1.0, "padding_of_epoch": 1.5, "loaded_gb": 0.5, "steps_gb": memory}

    return run


def test_the_report_sets_ours_beside_theirs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(speed, "run_job", fake_job(fits=16))
    speed.main(["--output", str(tmp_path)])
    markdown = (tmp_path / "speed.md").read_text()
    assert markdown in capsys.readouterr().out
    for stage, (_, _, aim) in GOALS.items():
        assert f"(aim: {aim:g})" in markdown, stage
    assert markdown.count("10.0 times the plain loop's utterances per second") == 3
    assert markdown.count("0.50 of its peak memory over these steps") == 3
    assert "| stage1 | ours, CNN cached | 16 | 10 | 40 | 1.00 (1.50) | 1.00 | 0.50 | 0.01 | 10 % |" in markdown
    assert "times the utterances per second of SpeechBrain's IEMOCAP recipe: ours, live (stage1) 10;" in markdown
    # 5,531 utterances at one a second, 442,500 readings of an utterance at ten a second.
    assert "filling the cache of the CNN's output: 5531 s for 5531 utterances, once, 0.55 GB; 12.5 % of the time" in markdown
    assert "Table 3 (five folds of four intermediate models and ten systems), at these two rates: 860 h" in markdown
    assert "inference: emotion: 1.00 times the real-time factor of the encoder's forward pass (aim: 1.2)" in markdown
    assert "| train | 6.0 | 6.0 | 1.50 | 1.20 |" in markdown
    report = json.loads((tmp_path / "speed.json").read_text())
    assert list(report["rows"]) == list(ROWS)
    assert report_markdown(report) == markdown


def test_a_stages_rows_run_at_the_largest_batch_that_fits_the_hungriest(tmp_path, monkeypatch):
    monkeypatch.setattr(speed, "run_job", fake_job(fits=4))
    speed.main(["--output", str(tmp_path), "--rows", "plain_ser", "ours_ser_constant"])
    report = json.loads((tmp_path / "speed.json").read_text())
    assert {name: row["batch_size"] for name, row in report["rows"].items()} == dict.fromkeys(
        ["plain_ser", "fill_prefix", "ours_ser_constant"], 4
    )
    assert (
        "At a batch size of 16, plain transformers loop (ser) does not fit into 8.0 GB." in (tmp_path / "speed.md").read_text()
    )
    speed.main(["--output", str(tmp_path), "--rows", "plain_ser", "--batch_size", "16"])
    assert "- plain transformers loop (ser): does not fit into 8.0 GB" in (tmp_path / "speed.md").read_text()


@pytest.mark.parametrize(
    ("script", "failure"),
    [
        ("import json, sys\njson.dump({'a': 1}, open(json.load(open(sys.argv[1]))['result'], 'w'))", None),
        (
            "held = bytearray(10**9)\nheld[::4096] = b'1' * len(held[::4096])\nimport time\ntime.sleep(60)",
            "does not fit into 0.2 GB",
        ),
        ("import nonesuch", "ModuleNotFoundError: No module named 'nonesuch'"),
    ],
)
def test_a_process_says_why_it_failed(tmp_path, script, failure):
    (tmp_path / "script.py").write_text(script)
    job = {"device": "cpu", "threads": 1, "max_memory_gb": 0.2}
    result = run_job(str(tmp_path / "script.py"), job, sys.executable, tmp_path / "job")
    assert result.get("failure") == failure
    assert result.get("a") == (1 if failure is None else None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rows", "plain_serr"], "did you mean 'plain_ser'"),
        (["--batch_size", "0"], "--batch_size must be a whole number from 1"),
        (["--dtype", "bf16"], "--dtype bf16 needs --device cuda"),
        (["--encoder", "nowhere"], "no such encoder"),
    ],
)
def test_wrong_options_are_one_line(options, message):
    with pytest.raises(InputError, match=message):
        speed.main(options)
