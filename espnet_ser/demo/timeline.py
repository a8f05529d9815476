"""A long recording's emotions over time: the waveform in the colour of the predicted emotion, the posteriors below it."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from espnet_ser.data.audio import SAMPLE_RATE
from espnet_ser.inference.prediction import Moment
from espnet_ser.inference.windows import Window, shares
from espnet_ser.report.figures import COLOURS, drawn_name, figure_png, num_columns, plt, styled

WIDE_INCHES, NARROW_INCHES = (9.0, 3.6), (3.6, 4.2)  # sizes for a screen and for a telephone's: text stays readable in both

_MARKERS = ("o", "^", "s", "D", "v", "P", "X")
_OTHERS = "#9AA0A6"
"""Of classes that have no colour of their own."""

_KEY_INCHES, _LETTER_INCHES, _LINE_INCHES = 0.55, 0.075, 0.18  # of a legend
_MAX_COLUMNS = 1200


def class_colours(scores: Mapping[str, float], timeline: Sequence[Moment] = ()) -> dict[str, str]:
    """The colour of each class on the whole page; where there are more classes than colours, the likeliest have theirs.
    ``scores``: class -> posterior, of the whole; ``timeline``: its windows: a class counts by the highest posterior that it has
    anywhere.
    """
    highest = {name: max([score, *(moment.scores[name] for moment in timeline)]) for name, score in scores.items()}
    if len(scores) > len(COLOURS):
        coloured = set(sorted(highest, key=highest.__getitem__, reverse=True)[: len(COLOURS)])
    else:
        coloured = set(scores)
    colours = iter(COLOURS)
    return {name: next(colours) if name in coloured else _OTHERS for name in scores}


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
@plt.style.context({"figure.dpi": 150, "font.size": 9, "legend.fontsize": 8})  # for a screen
def timeline_png(waveform: np.ndarray, timeline: Sequence[Moment], inches: tuple[float, float] = WIDE_INCHES) -> bytes:
    """Draws the timeline of a recording. ``waveform``: float32 [num_samples], at 16 kHz; ``timeline``: its windows, at least
    two; all have the same classes; ``inches``: width and height; it is higher where its legend takes more than a line. Returns
    a PNG.
    """
    width, height = inches
    colours = class_colours(timeline[0].scores, timeline)
    # Others first, so that they lie below; a legend has them once.
    classes = sorted(colours, key=lambda name: colours[name] != _OTHERS)
    named = [name for name in classes if colours[name] != _OTHERS]
    names = [drawn_name(name) for name in named] + (["others"] if len(named) < len(classes) else [])
    columns = max(1, min(len(names), int(width / (_KEY_INCHES + _LETTER_INCHES * max(map(num_columns, names))))))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(width, height + _LINE_INCHES * (rows - 1)))
    FigureCanvasAgg(figure)
    sound, curves = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.3))

    times_s, low, high = envelope(waveform)
    for start_s, end_s, label in runs(timeline):
        colour = colours[label]
        part = (times_s >= start_s) & (times_s <= end_s)
        sound.axvspan(start_s, end_s, color=colour, alpha=0.15, linewidth=0)
        sound.fill_between(times_s[part], low[part], high[part], color=colour, linewidth=0.4)
    peak = max(float(np.abs(waveform).max()), 1e-6)
    sound.set(yticks=[], ylim=(-1.05 * peak, 1.05 * peak))
    sound.spines["left"].set_visible(False)

    middles_s = [(moment.start_s + moment.end_s) / 2 for moment in timeline]
    lines = {}
    for name in classes:
        percent = [100 * moment.scores[name] for moment in timeline]
        colour, key = colours[name], name if colours[name] != _OTHERS else None
        marker = _MARKERS[named.index(name) % len(_MARKERS)] if key is not None else ""
        style = {"color": colour, "marker": marker, "markersize": 3.5, "linewidth": 1.4 if key is not None else 0.7}
        lines[key] = curves.plot(middles_s, percent, markevery=max(1, len(timeline) // 30), **style)[0]
    duration_s = len(waveform) / SAMPLE_RATE
    curves.set(xlim=(0, duration_s), ylim=(-3, 103), ylabel="posterior, %")
    curves.set_xlabel("minutes" if duration_s >= 100 else "seconds")
    if duration_s >= 100:
        curves.xaxis.set_major_formatter(FuncFormatter(lambda s, _: f"{int(s) // 60}:{int(s) % 60:02d}"))
        curves.xaxis.get_major_locator().set_params(steps=[1, 1.5, 3, 6, 10])
    curves.grid()
    # Handed over, as a legend leaves out what is labelled with an underscore first.
    handles = [lines[name] for name in (*named, *([None] if None in lines else []))]
    figure.legend(handles, names, loc="outside upper center", ncols=columns)
    return figure_png(figure)


def envelope(waveform: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times in seconds, lowest and highest samples there, for about as many columns as a screen has: each [columns]."""
    columns = min(_MAX_COLUMNS, len(waveform))
    starts = np.arange(columns) * len(waveform) // columns
    return starts / SAMPLE_RATE, np.minimum.reduceat(waveform, starts), np.maximum.reduceat(waveform, starts)
