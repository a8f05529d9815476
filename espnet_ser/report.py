"""What people look at: RESULTS.md, confusion matrices and training curves."""

import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from espnet_ser.scoring import confusion_matrix
from espnet_ser.stamp import atomic_path

VERSIONED = ("espnet-ser", "espnet", "torch", "transformers")
SELECTION_NOTES = {
    "last": "after the last epoch",
    "cross": "epoch chosen on the held-out session's other speaker",
    "oracle": "best epoch on the test fold itself",
}


def results_markdown(results: Mapping, paper: Mapping[str, float], command: str, settings: Mapping[str, object]) -> str:
    """RESULTS.md of one system.

    Args:
        results: The content of ``results.json``.
        paper: The paper's figures for this system, on IEMOCAP.
        command: What made the results.
        settings: What else a reader must know of the run (encoder, seed, epochs, ...).

    Returns:
        Markdown: the table of folds, the summary, and an environments block.
    """
    starred = results["from_stage1"]
    names = {
        "gender_ua": "gender UA" + ("*" if "gender" in starred else ""),
        "style_ua": "style UA" + ("*" if "style" in starred else ""),
        "wer": "WER" + ("*" if "asr" in starred else ""),
    }
    shown = [name for name in names if results["summary"][name] is not None]
    selections = [name for name in SELECTION_NOTES if name in results["summary"]]
    header = [f"{metric} ({selection})" for selection in selections for metric in ("UA", "WA")] + [
        names[name] for name in shown
    ]
    rows = [["held-out fold", *header, "utterances"], ["---"] + ["---:"] * (len(header) + 1)]
    for fold, by in results["folds"].items():
        cells = [by[s][m] for s in selections for m in ("ua", "wa")] + [by[name] for name in shown]
        rows.append([fold, *map(_number, cells), str(by["n"])])
    columns = [results["summary"][s][m] for s in selections for m in ("ua", "wa")] + [
        results["summary"][name] for name in shown
    ]
    total = sum(by["n"] for by in results["folds"].values())
    rows.append(["**mean ± deviation**", *(f"**{_number(c['mean'])}** ± {_number(c['std'])}" for c in columns), ""])
    rows.append(["pooled", *(_number(c["pooled"]) for c in columns), str(total)])
    intervals = [" to ".join(map(_number, c["ci95"])) if "ci95" in c else "" for c in columns]
    rows.append(["95 % interval (pooled)", *intervals, ""])
    if paper:
        of_paper = [_number(paper.get(m)) for _ in selections for m in ("ua", "wa")] + [
            _number(paper.get(name)) for name in shown
        ]
        rows.append(["paper (IEMOCAP)", *of_paper, "5531"])
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    notes = [f"`{s}`: {SELECTION_NOTES[s]}." for s in selections]
    notes.append("UA: mean recall over classes; WA: accuracy; all in percent. Deviation: over folds (n - 1).")
    if starred:
        notes.append("`*` told by the stage-1 model, as in the paper's Table 3.")
    environment = "\n".join(f"- {key}: `{value}`" for key, value in {**settings, **describe_environment()}.items())
    figures = "![confusion matrix](figures/confusion.png)\n\n![training curves](figures/curves.png)"
    return (
        f"# {results['system']}\n\n{table}\n\n{' '.join(notes)}\n\n{figures}\n\n"
        f"## Environments\n\n- command: `{command}`\n{environment}\n"
    )


def describe_environment() -> dict[str, str]:
    """Date, machine and versions: what a figure must stand beside."""
    environment = {"date": date.today().isoformat(), "machine": f"{platform.system()} {platform.machine()}, {_processor()}"}
    environment["python"] = platform.python_version()
    for package in VERSIONED:
        try:
            environment[package] = version(package)
        except PackageNotFoundError:
            environment[package] = "not installed"
    environment["git commit"] = _git_commit()
    return environment


def plot_confusion(predictions: Sequence[Mapping], path: Path, title: str = "") -> None:
    """Draws the confusion matrix of pooled predictions, recalls in percent with counts, as PNG."""
    labels = sorted({line["ref"] for line in predictions} | {line["hyp"] for line in predictions})
    counts = confusion_matrix([line["ref"] for line in predictions], [line["hyp"] for line in predictions], labels)
    recalls = 100.0 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axes = plt.subplots(figsize=(1.6 + 1.1 * len(labels), 1.1 + 1.0 * len(labels)), layout="constrained")
    image = axes.imshow(recalls, cmap="Blues", vmin=0, vmax=100)
    for (row, column), recall in np.ndenumerate(recalls):
        colour = "white" if recall > 55 else "black"
        axes.text(column, row, f"{recall:.1f}\n({counts[row, column]})", ha="center", va="center", color=colour, fontsize=9)
    axes.set_xticks(range(len(labels)), labels)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("predicted")
    axes.set_ylabel("labelled")
    axes.set_title(title, fontsize=10)
    figure.colorbar(image, ax=axes, label="share of the row, %", shrink=0.8)
    _save(figure, path)


def plot_curves(histories: Mapping[str, Mapping[str, Sequence[Mapping]]], path: Path) -> None:
    """Draws loss and held-out scores over epochs, a line per fold, a row per stage, as PNG.

    Args:
        histories: Stage title -> fold -> records of ``history.jsonl``.
        path: The PNG.
    """
    stages = {title: folds for title, folds in histories.items() if any(folds.values())}
    figure, grid = plt.subplots(
        max(len(stages), 1), 2, figsize=(10, 3.4 * max(len(stages), 1)), squeeze=False, layout="constrained"
    )
    styles = {"ua": ("UA", "-"), "gender_ua": ("gender UA", "--"), "wer": ("WER", ":"), "style_ua": ("style UA", "-.")}
    for (title, folds), (losses, scores) in zip(stages.items(), grid, strict=False):
        for index, (fold, records) in enumerate(folds.items()):
            epochs, colour = [record["epoch"] for record in records], f"C{index}"
            losses.plot(epochs, [record["train"]["loss"] for record in records], color=colour, label=f"fold {fold}")
            losses.plot(epochs, [record["valid"]["loss"] for record in records], color=colour, linestyle="--")
            for name, (label, style) in styles.items():
                if records and name in records[-1]["valid"]:
                    values = [record["valid"].get(name, np.nan) for record in records]
                    scores.plot(epochs, values, color=colour, linestyle=style, label=label if index == 0 else None)
        losses.set(title=f"{title}: loss (solid: training, dashed: held out)", xlabel="epoch")
        scores.set(title=f"{title}: held-out scores, %", xlabel="epoch", ylim=(0, 105))
        losses.legend(fontsize=8)
        scores.legend(fontsize=8)
    _save(figure, path)


def _save(figure: plt.Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as beside:
        figure.savefig(beside, dpi=130)
    plt.close(figure)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown processor"


def _git_commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "not in a git checkout"
