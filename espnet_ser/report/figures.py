"""Figures for a paper, as PNG and PDF: as wide as a column or a page, in 8 points; the same numbers give the same bytes."""

import io
import itertools
import unicodedata
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from espnet_ser.errors import one_line
from espnet_ser.evaluation.metrics import METRICS, confusion_matrix, score_names
from espnet_ser.report.fonts import use_fonts
from espnet_ser.report.projection import project
from espnet_ser.tasks_table import auxiliary
from espnet_ser.utils.atomic import atomic_write

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette, which the colour-blind can tell apart."""

PAPER_COLOUR = "#D55E00"
COLUMN, PAGE = 3.3, 7.0  # widths in inches: of a column of a paper in two columns, and of both

_MARKERS = ("o", "^", "s", "D", "v", "P", "X", "*")
_DASHES = ("-", "--", "-.", ":")
_MAX_NAME = 32
_MAX_LEGEND = 24
_MAX_INCHES = 60  # of a side: wider pictures than 65,536 dots cannot be drawn, and far smaller ones fill the memory
_MAX_FOLDS = 6
_CELL, _LINE, _LETTER = 0.43, 0.15, 0.075  # inches: a cell with its number, a line of text, a letter
styled = plt.style.context(
    [
        "default",
        {
            "axes.prop_cycle": matplotlib.cycler(color=COLOURS),
            "axes.spines.right": False,
            "axes.spines.top": False,
            "axes.titlesize": "medium",
            "axes.linewidth": 0.6,
            "figure.dpi": 240,
            "font.size": 8,
            "legend.fontsize": "medium",
            "legend.frameon": False,
            "lines.linewidth": 1.0,
            "lines.markersize": 3.5,
            "grid.alpha": 0.35,
            "grid.linewidth": 0.5,
            "figure.constrained_layout.use": True,
            "text.parse_math": False,  # a name is drawn as it is spelt, dollar signs too
        },
    ]
)
"""Decorates a function that draws: every figure of the project looks alike, whatever the user's matplotlibrc."""


@styled
def plot_confusion(decisions: Sequence[Mapping], path: Path, title: str = "") -> None:
    """Draws a confusion matrix, recalls in percent with counts. ``decisions``: each with a reference ``ref`` and a prediction
    ``hyp``, of all folds.
    """
    refs, hyps = ([each[key] for each in decisions] for key in ("ref", "hyp"))
    labels = sorted({*refs, *hyps})
    counts = confusion_matrix(refs, hyps, labels)
    recalls = 100.0 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = list(map(drawn_name, labels))
    longest = _LETTER * max(map(num_columns, names), default=0)
    margin, below = longest + 2 * _LINE, 2 * _LINE + _LINE * (title.count("\n") + 1)
    has_numbers = margin + _CELL * len(labels) <= PAGE
    side = max(COLUMN - margin, _CELL * len(labels)) if has_numbers else max(PAGE, _LINE * len(labels))
    upright = longest > side / len(labels)
    size = (side + margin + (0 if has_numbers else 0.8), side + below + (longest if upright else _LINE))
    figure, axes = plt.subplots(figsize=[min(inches, _MAX_INCHES) for inches in size])
    image = axes.imshow(recalls, cmap="Blues", vmin=0, vmax=100)
    if has_numbers:
        for (row, column), recall in np.ndenumerate(recalls):
            colour = "white" if recall > 55 else "black"
            axes.text(column, row, f"{recall:.1f}\n({counts[row, column]})", ha="center", va="center", color=colour)
    else:
        figure.colorbar(image, ax=axes, label="share of the row, %", shrink=0.8)
    axes.set_xticks(range(len(labels)), names, rotation=90 if upright else 0)
    axes.set_yticks(range(len(labels)), names)
    axes.set(xlabel="predicted", ylabel="labelled", title=title)
    axes.spines[:].set_visible(False)
    save_figure(figure, path)


@styled
def plot_curves(histories: Mapping[str, Mapping[str, Sequence[Mapping]]], path: Path) -> None:
    """Draws loss and held-out scores over epochs, a line per fold, a row per finetuning. ``histories``: title of a finetuning
    -> fold -> records of ``history.jsonl``; ``path``: the PNG; the PDF lies next to it.
    """
    stages = {title: folds for title, folds in histories.items() if any(folds.values())}
    figure, grid = plt.subplots(max(len(stages), 1), 2, figsize=(PAGE, 2.3 * max(len(stages), 1)), squeeze=False)
    names = ["ua", *(spec.score(next(iter(METRICS[spec.kind]))) for spec in auxiliary())]
    styles = dict(zip(names, itertools.cycle(_DASHES), strict=False))
    for (title, folds), (losses, scores) in zip(stages.items(), grid, strict=False):
        for index, (fold, records) in enumerate(folds.items()):
            epochs, colour = [record["epoch"] for record in records], f"C{index % len(COLOURS)}"
            losses.plot(epochs, [record["train"]["loss"] for record in records], color=colour, label=f"fold {fold}")
            losses.plot(epochs, [record["valid"]["loss"] for record in records], color=colour, linestyle="--")
            for name, style in styles.items():
                if records and name in records[-1]["valid"]:
                    values = [record["valid"].get(name, np.nan) for record in records]
                    scores.plot(
                        epochs, values, color=colour, linestyle=style, label=score_names()[name] if index == 0 else None
                    )
        losses.set(title=f"{title}: loss (solid: training, dashed: held out)", xlabel="epoch")
        scores.set(title=f"{title}: held-out scores, %", xlabel="epoch", ylim=(0, 105))
        for axes in (losses, scores):
            axes.grid()
            axes.xaxis.get_major_locator().set_params(integer=True)
            if axes.has_data() and len(folds) <= _MAX_LEGEND:
                axes.legend(ncols=2)
    save_figure(figure, path)


@styled
def plot_layers(scores: Mapping[int, Mapping | None], paper: Mapping[int, float], path: Path) -> None:
    """Draws UA over the number of finetuned Transformer layers, with the paper's line (its Table 1). ``scores``: layers ->
    ``{"mean", "std", "ci95", ...}``; None where the system has not been scored. A deviation that is not known (None) is not
    drawn; ``paper``: layers -> the paper's UA; ``path``: the PNG; the PDF lies next to it.
    """
    figure, axes = plt.subplots(figsize=(COLUMN, 2.4))
    ours = {layers: score for layers, score in sorted(scores.items()) if score is not None}
    spread = [np.nan if score["std"] is None else score["std"] for score in ours.values()]
    axes.errorbar(
        list(ours), [s["mean"] for s in ours.values()], spread, marker="o", capsize=3, label="ours, deviation over folds"
    )
    if paper:
        values = [paper[n] for n in sorted(paper)]
        axes.plot(sorted(paper), values, color=PAPER_COLOUR, marker="D", linestyle="--", label="paper (IEMOCAP)")
    axes.set(xlabel="finetuned Transformer layers, from the top", ylabel="UA, %")
    axes.set_xticks(sorted({*scores, *paper}))
    axes.grid()
    axes.legend(loc="lower right")
    save_figure(figure, path)


@styled
def plot_bars(scores: Mapping[str, Mapping | None], paper: Mapping[str, float], path: Path) -> None:
    """Draws each system's mean UA over folds, the pooled one with its 95 % interval over utterances, and the paper's UA. Bars
    start at 0, so that their lengths compare; a system that has not been scored keeps its place. ``scores``: system ->
    ``{"mean", "pooled", "ci95", ...}``, in the order to show; None where it has not been scored; ``paper``: system -> the
    paper's UA; ``path``: the PNG; the PDF lies next to it.
    """
    names = [drawn_name(name) + ("" if score else " (not finished)") for name, score in scores.items()]
    width = COLUMN if _LETTER * max(map(num_columns, names)) < COLUMN / 2 else PAGE
    figure, axes = plt.subplots(
        figsize=(width, min(0.9 + (2 * _LINE if width == COLUMN else 0) + 0.2 * len(scores), _MAX_INCHES))
    )
    for place, (name, score) in enumerate(scores.items()):
        if score is not None:
            axes.barh(place, score["mean"], height=0.62, color="#9CC3DF", label="ours, mean over folds")
            axes.text(1.0, place, f"{score['mean']:.2f}", va="center")
            if score.get("ci95"):
                low, high = score["ci95"]
                axes.plot([low, high], [place, place], color=COLOURS[0], linewidth=1.8, label="ours, pooled, 95 % interval")
                axes.plot(score["pooled"], place, "o", color=COLOURS[0], markersize=3.5)
        if name in paper:
            axes.plot(paper[name], place, "D", color=PAPER_COLOUR, markersize=4, label="paper (IEMOCAP)")
    axes.set_yticks(range(len(scores)), names)
    axes.set(xlabel="UA, %", xlim=(0, 100), ylim=(len(scores) - 0.4, -0.6))
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=3 if width == PAGE else 1)
    save_figure(figure, path)


@styled
def plot_embeddings(folds: Mapping[str, tuple[np.ndarray, Mapping[str, Sequence[str]]]], path: Path) -> None:
    """Draws embeddings in two dimensions: a column for each of the first six folds (each is another model), a row for each task
    whose classes colour them, if known. ``folds``: fold -> embeddings float [num_utterances, dim], and task -> each utterance's
    class (``''`` if unknown); ``path``: the PNG; the PDF lies next to it.
    """
    tasks = next(iter(folds.values()))[1]
    names = {task: sorted({label for _, labels in folds.values() for label in labels[task]}) for task in tasks}
    names = {task: known for task, known in names.items() if known != [""]}
    folds = dict(list(folds.items())[:_MAX_FOLDS])
    size = (COLUMN if len(folds) < 3 else PAGE, (1.5 if len(folds) < 5 else 1.1) * len(names) + _LINE)
    figure, grid = plt.subplots(len(names), len(folds), figsize=size, squeeze=False)
    for column, (fold, (embeddings, labels)) in enumerate(folds.items()):
        points = project(embeddings)
        for axes, (task, known) in zip(grid[:, column], names.items(), strict=True):
            of_points = labels[task]
            for index, label in enumerate(known):
                chosen = points[[of_point == label for of_point in of_points]]
                style = {"marker": _MARKERS[index % len(_MARKERS)], "color": f"C{index % len(COLOURS)}"}
                axes.scatter(chosen[:, 0], chosen[:, 1], s=4, alpha=0.6, linewidths=0, **style)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(True)
        grid[0, column].set_title(f"fold {fold}")
    for axes, task in zip(grid[:, 0], names, strict=True):
        axes.set_ylabel(task)
    for axes, known in zip(grid[:, -1], names.values(), strict=True):
        if len(known) <= _MAX_LEGEND:
            # Handed over, as a legend leaves out what is labelled with an underscore first.
            axes.legend(axes.collections, map(drawn_name, known), loc="upper left", bbox_to_anchor=(1, 1), markerscale=2)
    save_figure(figure, path)


def drawn_name(name: str) -> str:
    """A name as it stands in a figure: as it is spelt, and cut where it would push the figure aside.

    >>> drawn_name("$x$"), drawn_name("a" * 40)
    ('$x$', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…')
    """
    name = one_line(name)
    return name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}…"


def num_columns(name: str) -> int:
    """About how wide a name is drawn, in Latin letters: those of East Asia are twice as wide."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in name)


def save_figure(figure: plt.Figure, path: Path) -> None:
    """Writes a figure as PNG to ``path`` and as PDF next to it, and closes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, figure_png(figure))
    pdf = io.BytesIO()
    # Text stays text, which publishers ask for; matplotlib cannot embed every other font than its own as such.
    as_text = len(use_fonts(figure)) == 1
    with _missing_glyphs_said(), plt.rc_context({"pdf.fonttype": 42 if as_text else 3}):
        figure.savefig(pdf, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
    atomic_write(path.with_suffix(".pdf"), pdf.getvalue())
    plt.close(figure)


@contextmanager
def _missing_glyphs_said() -> Iterator[None]:
    """Without matplotlib's warnings: :func:`use_fonts` has said which letters no font has, and what helps."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        yield


def figure_png(figure: plt.Figure) -> bytes:
    """A figure as PNG in 256 colours, at a third of the size, with neither date nor version in it."""
    from PIL import Image

    use_fonts(figure)
    with _missing_glyphs_said():
        figure.canvas.draw()
    image = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3])
    png = io.BytesIO()
    image.quantize(256, dither=Image.Dither.NONE).save(png, format="PNG", optimize=True)
    return png.getvalue()
