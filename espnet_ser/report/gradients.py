"""How far the tasks' gradients agree (Sec. 2.2), as a table and a plot."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from espnet_ser.report.figures import plt, save_figure, styled
from espnet_ser.report.grid import MISSING, Grid, grid_markdown
from espnet_ser.report.markdown import environments_markdown

NUM_COLUMNS = 40
"""Most columns of the plot: measurements are averaged into so many periods of the training."""


def cosines_over_training(records_by_fold: Sequence[Sequence[Mapping]]) -> dict[str, dict[str, np.ndarray]]:
    """Measurements of all folds, as arrays.

    Args:
        records_by_fold: For each fold, its lines of ``gradients.jsonl``, in order.

    Returns:
        Pair of tasks -> part of the encoder -> cosines [folds, measurements]; NaN where a task had no gradient.
    """
    length = min(len(records) for records in records_by_fold)
    first = records_by_fold[0][0]["cosines"]
    return {
        pair: {
            part: np.array(
                [[_value(record["cosines"][pair][part]) for record in records[:length]] for records in records_by_fold]
            )
            for part in parts
        }
        for pair, parts in first.items()
    }


def gradients_markdown(title: str, cosines: Mapping[str, Mapping[str, np.ndarray]], run: Mapping) -> str:
    """A table for each pair of tasks: mean cosine, in the first and last third of the training, and how often below zero.

    Args:
        title: What was trained.
        cosines: From :func:`cosines_over_training`.
        run: ``command``, ``settings`` and ``environment``.
    """
    sections = []
    for pair, parts in cosines.items():
        rows = []
        for part, values in parts.items():
            third = max(1, values.shape[1] // 3)
            known = values[~np.isnan(values)]
            conflicts = f"{100 * np.mean(known < 0):.1f}" if known.size else MISSING
            means = [_mean(chosen) for chosen in (values, values[:, :third], values[:, -third:])]
            rows.append((part_name(part), *means, conflicts))
        header = ("part of the encoder", "mean cosine", "first third", "last third", "conflicts, %")
        grid = Grid(pair.replace(", ", " and "), header, tuple(rows))
        sections.append(f"## {grid.caption}\n\n{grid_markdown(grid)}")
    body = "\n\n".join(sections)
    return (
        f"# Gradients of {title}\n\n{body}\n\n"
        "Cosine similarity between the gradients of two tasks' weighted losses with respect to the shared parameters, on "
        "training batches; 'all': of all trained parameters of the encoder at once. Below zero the tasks pull apart: a "
        "conflict. The gradient of a reversed task is the one that reaches the encoder.\n\n"
        f"![cosines](gradients.png)\n\n{environments_markdown(run)}\n"
    )


@styled
def plot_gradients(cosines: Mapping[str, Mapping[str, np.ndarray]], path: Path) -> None:
    """Draws, for each pair of tasks, the cosine in each layer over the training.

    Args:
        cosines: From :func:`cosines_over_training`.
        path: The PNG.
    """
    parts = list(next(iter(cosines.values())))
    figure, rows = plt.subplots(len(cosines), 1, figsize=(7, (1.2 + 0.24 * len(parts)) * len(cosines)), squeeze=False)
    for (pair, by_part), axes in zip(cosines.items(), rows[:, 0], strict=True):
        values = np.stack([by_part[part] for part in parts], axis=1)  # [folds, parts, measurements]
        periods = np.array_split(np.arange(values.shape[2]), min(NUM_COLUMNS, values.shape[2]))
        image = np.array([[_nanmean(values[:, row, period]) for period in periods] for row in range(len(parts))])
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


def _value(cosine: float | None) -> float:
    return np.nan if cosine is None else cosine


def _nanmean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else np.nan


def _mean(values: np.ndarray) -> str:
    mean = _nanmean(values)
    return MISSING if np.isnan(mean) else f"{mean:+.3f}"
