"""A long recording's emotions over time: the waveform in the colour of what is told, the posteriors below it."""

from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from espnet_ser.data.audio import SAMPLE_RATE
from espnet_ser.decisions import Moment
from espnet_ser.report.figures import COLOURS, drawn_name, figure_png, styled
from espnet_ser.windows import Window, shares

WIDE_INCHES, NARROW_INCHES = (9.0, 3.6), (3.6, 4.2)
"""Sizes for a screen and for a telephone's: text stays readable in both."""

_MARKERS = ("o", "^", "s", "D", "v", "P", "X")
_MAX_COLUMNS = 1200


def colour_of(index: int) -> str:
    """The colour of a model's class number ``index``, on the whole page."""
    return COLOURS[index % len(COLOURS)]


def spans(timeline: Sequence[Moment]) -> list[tuple[float, float]]:
    """The part of the recording that each moment stands for, in seconds: together they are the whole."""
    windows = [Window(round(m.start_s * SAMPLE_RATE), round(m.end_s * SAMPLE_RATE)) for m in timeline]
    return [(start / SAMPLE_RATE, end / SAMPLE_RATE) for start, end in shares(windows)]


def runs(timeline: Sequence[Moment]) -> list[tuple[float, float, str]]:
    """Start and end in seconds, and emotion, of each stretch in which the emotion stays the same.

    >>> moments = [Moment("sad", {}, 0.0, 4.0), Moment("sad", {}, 2.0, 6.0), Moment("angry", {}, 4.0, 8.0)]
    >>> runs(moments)
    [(0.0, 5.0, 'sad'), (5.0, 8.0, 'angry')]
    """
    found: list[tuple[float, float, str]] = []
    for (start_s, end_s), moment in zip(spans(timeline), timeline, strict=True):
        if found and found[-1][2] == moment.label:
            start_s = found.pop()[0]
        found.append((start_s, end_s, moment.label))
    return found


@styled
def timeline_png(waveform: np.ndarray, timeline: Sequence[Moment], inches: tuple[float, float] = WIDE_INCHES) -> bytes:
    """Draws the timeline of a recording.

    Args:
        waveform: float32 [num_samples], at 16 kHz.
        timeline: Its windows, at least two; all have the same classes.
        inches: Width and height.

    Returns:
        A PNG.
    """
    classes = list(timeline[0].scores)
    figure = Figure(figsize=inches)
    FigureCanvasAgg(figure)
    sound, curves = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.3))

    times_s, low, high = envelope(waveform)
    for start_s, end_s, label in runs(timeline):
        colour = colour_of(classes.index(label))
        part = (times_s >= start_s) & (times_s <= end_s)
        sound.axvspan(start_s, end_s, color=colour, alpha=0.15, linewidth=0)
        sound.fill_between(times_s[part], low[part], high[part], color=colour, linewidth=0.4)
    peak = max(float(np.abs(waveform).max()), 1e-6)
    sound.set(yticks=[], ylim=(-1.05 * peak, 1.05 * peak))
    sound.spines["left"].set_visible(False)

    middles_s = [(moment.start_s + moment.end_s) / 2 for moment in timeline]
    for index, name in enumerate(classes):
        percent = [100 * moment.scores[name] for moment in timeline]
        style = {"color": colour_of(index), "marker": _MARKERS[index % len(_MARKERS)], "markersize": 3.5, "linewidth": 1.4}
        curves.plot(middles_s, percent, markevery=max(1, len(timeline) // 30), **style)
    duration_s = len(waveform) / SAMPLE_RATE
    curves.set(xlim=(0, duration_s), ylim=(-3, 103), ylabel="posterior, %")
    curves.set_xlabel("minutes" if duration_s >= 100 else "seconds")
    if duration_s >= 100:
        curves.xaxis.set_major_formatter(FuncFormatter(lambda s, _: f"{int(s) // 60}:{int(s) % 60:02d}"))
        curves.xaxis.get_major_locator().set_params(steps=[1, 1.5, 3, 6, 10])
    curves.grid()
    if len(classes) <= len(COLOURS):  # of more, neither colours nor lines can be told apart
        # Handed over, as a legend leaves out what is labelled with an underscore first.
        names = map(drawn_name, classes)
        figure.legend(curves.lines, names, loc="outside upper center", ncols=7 if inches[0] > inches[1] else 2)
    return figure_png(figure)


def envelope(waveform: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times in seconds, lowest and highest samples there, for about as many columns as a screen has: each [columns]."""
    columns = min(_MAX_COLUMNS, len(waveform))
    starts = np.arange(columns) * len(waveform) // columns
    return starts / SAMPLE_RATE, np.minimum.reduceat(waveform, starts), np.maximum.reduceat(waveform, starts)
