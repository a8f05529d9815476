"""How far the tasks' gradients agree (Sec. 2.2), as a table and a plot."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from espnet_ser.report.figures import COLUMN, plt, save_figure, styled
from espnet_ser.report.grid import MISSING, Grid, grid_markdown
from espnet_ser.report.markdown import environments_markdown

NUM_COLUMNS = 40  # most columns of the plot: measurements are averaged into so many periods of the training

Cosines = Mapping[str, Mapping[str, Mapping[str, Sequence[float | None]]]]
"""Pair of tasks -> part of the encoder -> fold -> cosine at each measurement; None where a task had no gradient."""


def cosines_over_training(records_by_fold: Mapping[str, Sequence[Mapping]]) -> Cosines:
    """Measurements of all folds, by what was measured. ``records_by_fold``: fold -> its lines of ``gradients.jsonl``, in order,
    at least one.
    """
    first = next(iter(records_by_fold.values()))[0]["cosines"]
    return {
        pair: {
            part: {fold: [record["cosines"][pair][part] for record in records] for fold, records in records_by_fold.items()}
            for part in parts
        }
        for pair, parts in first.items()
    }


def over_periods(by_fold: Mapping[str, Sequence[float | None]], num_periods: int) -> np.ndarray:
    """Means over equal periods of the training, first within each fold, then over folds. A fold's measurements are placed by
    its own share of the training, as folds need not be equally long. ``by_fold``: fold -> cosine at each measurement;
    ``num_periods``: into how many periods to cut the training. Returns float [num_periods]; NaN where nothing was measured.

    >>> over_periods({"1": [0.25, 0.75], "2": [0.0, 0.0, 0.0, 1.0]}, 2).tolist()
    [0.125, 0.625]
    """
    means = np.full((len(by_fold), num_periods), np.nan)
    for fold, cosines in enumerate(by_fold.values()):
        values = np.array(cosines, dtype=float)  # None becomes NaN
        periods = (2 * np.arange(len(values)) + 1) * num_periods // (2 * len(values))  # of (index + 0.5) / count
        means[fold] = [_nanmean(values[periods == period]) for period in range(num_periods)]
    return np.array([_nanmean(column) for column in means.T])


def gradients_markdown(title: str, cosines: Cosines, run: Mapping) -> str:
    """A table for each pair of tasks: mean cosine, in the first and last third of the training, and how often below zero.
    ``cosines``: from :func:`cosines_over_training`; ``run``: ``command``, ``settings`` and ``environment``.
    """
    sections = []
    for pair, parts in cosines.items():
        rows = []
        for part, by_fold in parts.items():
            values = np.concatenate([np.array(cosines_of_fold, dtype=float) for cosines_of_fold in by_fold.values()])
            known = values[~np.isnan(values)]
            conflicts = f"{100 * np.mean(known < 0):.1f}" if known.size else MISSING
            first, _, last = over_periods(by_fold, 3)
            means = (over_periods(by_fold, 1)[0], first, last)
            rows.append((part_name(part), *(MISSING if np.isnan(mean) else f"{mean:+.3f}" for mean in means), conflicts))
        header = ("part of the encoder", "mean cosine", "first third", "last third", "conflicts, %")
        grid = Grid(pair.replace(", ", " and "), header, tuple(rows))
        sections.append(f"## {grid.caption}\n\n{grid_markdown(grid)}")
    body = "\n\n".join(sections)
    return (
        f"# Gradients of {title}\n\n{body}\n\n"
        "Cosine similarity between the gradients of two tasks' weighted losses with respect to the shared parameters, on "
        "training batches; 'all': of all trained parameters of the encoder at once. Means are within each fold, then over "
        "folds. Below zero the tasks pull apart: a conflict, counted over all measurements. The gradient of a reversed task is "
        "the one that reaches the encoder.\n\n"
        f"![cosines](gradients.png)\n\n{environments_markdown(run)}\n"
    )


@styled
def plot_gradients(cosines: Cosines, path: Path) -> None:
    """Draws, for each pair of tasks, the cosine in each layer over the training. ``cosines``: from
    :func:`cosines_over_training`; ``path``: the PNG; the PDF lies next to it.
    """
    parts = list(next(iter(cosines.values())))
    figure, rows = plt.subplots(len(cosines), 1, figsize=(COLUMN, (0.7 + 0.14 * len(parts)) * len(cosines)), squeeze=False)
    for (pair, by_part), axes in zip(cosines.items(), rows[:, 0], strict=True):
        # With no more periods than the shortest fold has measurements, every fold has a say in each.
        num_periods = min(NUM_COLUMNS, *map(len, by_part[parts[0]].values()))
        image = np.stack([over_periods(by_part[part], num_periods) for part in parts])  # [parts, periods]
        largest = max(0.05, float(np.nanmax(np.abs(image), initial=0.0)))
        drawn = axes.imshow(image, aspect="auto", cmap="RdBu", vmin=-largest, vmax=largest, extent=(0, 100, len(parts), 0))
        axes.set_yticks(np.arange(len(parts)) + 0.5, [part_name(part) for part in parts])
        axes.set(title=pair.replace(", ", " and "), xlabel="share of the training, %")
        figure.colorbar(drawn, ax=axes, label="cosine")
    save_figure(figure, path)


def part_name(part: str) -> str:
    """What to call a part of the encoder.

    >>> part_name("3"), part_name("input")
    ('layer 3', 'input')
    """
    return f"layer {part}" if part.isdigit() else part


def _nanmean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else np.nan
