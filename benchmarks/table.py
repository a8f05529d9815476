"""The benchmark's report in Markdown."""

from collections.abc import Iterable, Mapping

from corpus import HELD_OUT_UTTS, NUM_UTTS
from rows import GOALS, INFERENCE_GOAL, MEMORY_GOAL, ROWS, STAGES, STARTUP_GOAL

from espnet_ser.report.grid import MISSING, Grid, code_markdown, grid_markdown, text_markdown

TRAINING_UTTS, EPOCHS = NUM_UTTS - HELD_OUT_UTTS, 100
HIDDEN_SIZE, SCALING_SIZE = 768, 64


def report_markdown(report: Mapping) -> str:
    """The tables, the ratios that were aimed at, and with what all was measured.

    Args:
        report: As ``speed.json`` holds it.
    """
    settings = report["settings"]
    sections = ["# Speed and memory of training", _introduction(report), grid_markdown(_rows_grid(report))]
    if failures := [f"{_title(name)}: {row['failure']}" for name, row in report["rows"].items() if "failure" in row]:
        sections.append("Not measured, or not all of it:\n\n" + _bullets(failures))
    for large in report["too_large"]:
        sections.append(f"At a batch size of {large['batch_size']}, {_title(large['row'])} {large['failure']}.")
    if lines := [*_goal_lines(report["rows"]), *_peer_lines(report["rows"])]:
        sections.append("## Ours against theirs\n\n" + _bullets(lines))
    if report["startup"]:
        sections.append(f"## Start-up\n\n{_startup_text()}\n\n{grid_markdown(_startup_grid(report['startup']))}")
    if lines := [*_filling_lines(report["rows"]), *_hours_lines(report["rows"])]:
        sections.append(f"## What a corpus costs\n\n{_bullets(lines)}")
    if report["scaling"]:
        sections.append(f"## Growth with the corpus\n\n{_scaling_text()}\n\n{grid_markdown(_scaling_grid(report['scaling']))}")
    facts = {"command": report["command"], **report["environment"], **_shown(settings)}
    facts |= {"matrix products": f"{report['flops_per_s'] / 1e12:.3f} TFLOP/s"}
    versions: dict[str, str] = {}
    for row in report["rows"].values():
        versions |= row.get("versions", {})
    facts |= versions
    sections.append("## Environments\n\n" + _bullets(f"{name}: {code_markdown(str(value))}" for name, value in facts.items()))
    return "\n\n".join(sections) + "\n"


def _introduction(report: Mapping) -> str:
    settings = report["settings"]
    of_epoch = f"{settings['steps']} steps that stand for an epoch" if settings["steps"] else "one epoch"
    return (
        f"In {settings['dtype']} on the {settings['device']}, {settings['threads']} threads; the rows of a stage have the same "
        f"batch size; {of_epoch} of {settings['num_utts']} utterances of noise, their lengths distributed as "
        f"IEMOCAP's. Padding: seconds computed over seconds of audio, of these steps (of the whole epoch). "
        f"Peak: of the process (on a GPU, of its tensors) over these steps; before: when training began. Floor: operations "
        f"that must be done, over the fastest matrix products that this machine showed in this run; its share of the time is "
        f"what is left of it."
    )


def _rows_grid(report: Mapping) -> Grid:
    header = ["stage", "who", "batch", "utterances/s", "audio s/s", "padding", "peak GB", "before GB", "TFLOP/s"]
    header.append("share of floor")
    with_epoch = any("epoch_gb" in row for row in report["rows"].values())
    if with_epoch:
        header.insert(7, "peak GB, largest batch")
    rows = []
    for name in sorted(report["rows"], key=lambda name: list(STAGES).index(ROWS[name].stage)):
        row = report["rows"][name]
        cells = [MISSING] * 8
        if "seconds" in row:
            rate = row["flops"] / row["seconds"]
            cells = [
                MISSING if ROWS[name].stage == "inference" else str(row["batch_size"]),
                f"{rate_of(row):.3g}",
                f"{row['audio_s'] / row['seconds']:.3g}",
                MISSING if ROWS[name].kind == "filling" else f"{row['padding_of_steps']:.2f} ({row['padding_of_epoch']:.2f})",
                f"{row['steps_gb']:.2f}",
                f"{row['loaded_gb']:.2f}",
                f"{rate / 1e12:.3g}" if rate else MISSING,
                f"{100 * rate / report['flops_per_s']:.0f} %" if rate else MISSING,
            ]
        if with_epoch:
            cells.insert(5, f"{row['epoch_gb']:.2f}" if "epoch_gb" in row else MISSING)
        rows.append((ROWS[name].stage, ROWS[name].title, *cells))
    return Grid("", tuple(header), tuple(rows))


def rate_of(row: Mapping) -> float:
    """Utterances per second."""
    return row["utterances"] / row["seconds"]


def _goal_lines(rows: Mapping) -> Iterable[str]:
    for stage, (ours, theirs, goal) in GOALS.items():
        mine, other = rows.get(ours, {}), rows.get(theirs, {})
        if "seconds" in mine and "seconds" in other:
            memory = " and ".join(
                f"{mine[key] / other[key]:.2f} of its peak memory over {what}"
                for key, what in (("steps_gb", "these steps"), ("epoch_gb", "the largest batch"))
                if key in mine and key in other
            )
            faster = rate_of(mine) / rate_of(other)
            yield f"{STAGES[stage]}: {faster:.1f} times the plain loop's utterances per second (aim: {goal:g}), {memory}"
    ours, bare, goal = INFERENCE_GOAL
    if "seconds" in rows.get(ours, {}) and "seconds" in rows.get(bare, {}):
        real_time = {name: rows[name]["seconds"] / rows[name]["audio_s"] for name in (ours, bare)}
        slower = real_time[ours] / real_time[bare]
        yield f"{STAGES['inference']}: {slower:.2f} times the real-time factor of the encoder's forward pass (aim: {goal:g})"
    if rows:
        yield f"Of peak memory the aim is {MEMORY_GOAL:g}; what is loaded before training begins is part of it."


def _peer_lines(rows: Mapping) -> Iterable[str]:
    for peer in ("speechbrain", "espnet_cls"):
        if "seconds" in rows.get(peer, {}):
            speeds = [
                f"{_title(name)} {rate_of(row) / rate_of(rows[peer]):.2g}"
                for name, row in rows.items()
                if ROWS[name].kind == "ours" and "seconds" in row
            ]
            if speeds:
                yield f"times the utterances per second of {ROWS[peer].title}: {'; '.join(speeds)}"


def _filling_lines(rows: Mapping) -> Iterable[str]:
    for name, row in rows.items():
        if ROWS[name].kind == "filling" and "seconds" in row:
            seconds = NUM_UTTS / rate_of(row)
            line = f"{ROWS[name].title.removeprefix('ours, ')}: {seconds:.0f} s for {NUM_UTTS} utterances, once"
            line += f", {NUM_UTTS * row['cache_gb_per_utterance']:.2f} GB"
            reader = rows.get(GOALS[ROWS[name].stage][0], {})
            if "seconds" in reader:
                training = EPOCHS * TRAINING_UTTS / rate_of(reader)
                line += f"; {100 * seconds / training:.1f} % of the time of {EPOCHS} epochs that read it"
            yield line


def _hours_lines(rows: Mapping) -> Iterable[str]:
    hours = {
        stage: EPOCHS * TRAINING_UTTS / rate_of(rows[ours]) / 3600
        for stage, (ours, _, _) in GOALS.items()
        if "seconds" in rows.get(ours, {})
    }
    for stage, value in hours.items():
        yield f"{EPOCHS} epochs over {TRAINING_UTTS} utterances (four sessions), held-out scores apart: {stage} {value:.3g} h"
    if {"stage1", "ser"} <= hours.keys():
        table = 5 * (4 * hours["stage1"] + 10 * hours["ser"])
        yield f"Table 3 (five folds of four intermediate models and ten systems), at these two rates: {table:.3g} h"


def _startup_text() -> str:
    return (
        "From launch until the model is given its first batch, of a corpus of eight utterances; the floor is to import torch "
        f"and transformers and to load the encoder (aim: {STARTUP_GOAL:g} times that). With caches, the first of three runs "
        "fills them. The fastest run of each, by the clock and in the time of all cores."
    )


def _startup_grid(commands: Mapping) -> Grid:
    floor = commands["floor"]
    rows = [
        (name, f"{times['seconds']:.1f}", f"{times['cpu_seconds']:.1f}", *(f"{times[k] / floor[k]:.2f}" for k in floor))
        for name, times in commands.items()
    ]
    return Grid("", ("command", "s", "CPU s", "of the floor's s", "of its CPU s"), tuple(rows))


def _scaling_text() -> str:
    return (
        "Batches of cached frames alone, no encoder. Memory: what the process grows by; the cache is mapped, so that the system"
        f" takes its pages back when it needs them. Frames are of {SCALING_SIZE} values; the last column is for {HIDDEN_SIZE}."
    )


def _scaling_grid(sizes: Iterable[Mapping]) -> Grid:
    header = ("utterances", "batches", "opening s", "epoch s", "µs/utterance", "memory GB", f"cache GB at {HIDDEN_SIZE}")
    rows = [
        (
            str(size["num_utts"]),
            str(size["batches"]),
            f"{size['opening_s']:.3f}",
            f"{size['epoch_s']:.3f}",
            f"{1e6 * size['epoch_s'] / size['num_utts']:.0f}",
            f"{size['memory_gb']:.2f}",
            f"{size['cache_gb'] * HIDDEN_SIZE / SCALING_SIZE:.2f}",
        )
        for size in sizes
        if "failure" not in size
    ]
    return Grid("", header, tuple(rows))


def _title(name: str) -> str:
    return f"{ROWS[name].title} ({ROWS[name].stage})"


def _shown(settings: Mapping) -> dict[str, object]:
    return {"memory limit": f"{settings['max_memory_gb']:.1f} GB", "seed": settings["seed"]}


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {text_markdown(line) if '`' not in line else line}" for line in lines)
