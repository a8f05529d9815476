"""What the page shows of a recording, as HTML.

Texts come from models, files and people: all pass through :func:`espnet_ser.characters.escape`.
"""

import base64
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from espnet_ser.characters import escape
from espnet_ser.data import ffmpeg
from espnet_ser.data.audio import SAMPLE_RATE, load_audio
from espnet_ser.demo.timeline import NARROW_INCHES, WIDE_INCHES, class_colours, runs, timeline_png
from espnet_ser.errors import InputError
from espnet_ser.inference.level import SPEECH_DBFS
from espnet_ser.inference.prediction import Decision, Prediction
from espnet_ser.inference.speech_emotion import SpeechEmotion
from espnet_ser.tasks_table import MAIN_TASK, TaskSpec, auxiliary

_MANY_CLASSES = 10  # of more classes the likeliest are shown first


class Answer(NamedTuple):
    """Two parts of the page, in HTML: the prediction for the whole recording, and of a long one its timeline."""

    prediction: str
    timeline: str = ""


class Answering:
    """Answers for recordings. ``max_seconds``: longer recordings are refused."""

    def __init__(self, speech_emotion: SpeechEmotion, max_seconds: float):
        self._speech_emotion = speech_emotion
        self.max_seconds = max_seconds

    def __call__(self, path: str | Path | None) -> Answer:
        """The answer for an audio file; a problem with it is an answer too. No file, no answer."""
        if path is None:
            return Answer("")
        try:
            waveform = self._read(Path(path))
            prediction = self._speech_emotion(waveform, SAMPLE_RATE)
        except InputError as error:
            # Where the page keeps its files is nobody's business.
            message = str(error).replace(str(path), Path(path).name).replace("audio[0]", Path(path).name)
            return Answer(f'<div class="ser-problem" role="alert">{escape(message)}</div>')
        return Answer(prediction_html(prediction), timeline_html(prediction, waveform) if prediction.speech else "")

    def _read(self, path: Path) -> np.ndarray:
        """float32 [num_samples] at 16 kHz."""
        try:
            seconds = soundfile.info(str(path)).duration
        except (soundfile.SoundFileError, OSError):
            seconds = 0.0  # load_audio says what is wrong with it
        if seconds <= self.max_seconds:
            waveform = load_audio(path, decode=ffmpeg.decode)
            seconds = len(waveform) / SAMPLE_RATE  # headers may promise less
        if seconds > self.max_seconds:
            raise InputError(f"{path}: {seconds:.0f} s, and {self.max_seconds:g} s is the most here; cut it into parts")
        return waveform


def prediction_html(prediction: Prediction) -> str:
    """What is predicted of the whole: emotion with its bars, voice and kind of speech, words; only what the models predict. Of
    a recording without speech, that there is none.
    """
    length = f"{prediction.duration_s:.1f} s"
    if not prediction.speech:
        silent = f"Nothing in these {length} is louder than {SPEECH_DBFS:g} dBFS. Is the microphone muted?"
        return f'<div class="ser-prediction" role="status"><p class="ser-label">No speech</p><p>{silent}</p></div>'
    parts = []
    if prediction.label is not None:
        colours = class_colours(prediction.scores, prediction.timeline)
        key = f'<span class="ser-key" style="background: {colours[prediction.label]}"></span>'
        parts.append(f'<p class="ser-label">{key}<bdi>{escape(prediction.label)}</bdi></p>')
        parts.append(_bars(prediction.outputs[MAIN_TASK], colours))
    facts = [
        (spec.field, spec.title, _SHOWN[spec.kind](prediction.outputs[spec.name], spec))
        for spec in auxiliary()
        if spec.name in prediction.outputs
    ]
    if prediction.timeline:
        windows = prediction.timeline
        length += f", predicted in {len(windows)} windows of {windows[0].end_s - windows[0].start_s:g} s; here, their mean"
    facts.append(("length", "Length", length))
    items = "".join(f'<dt>{title}</dt><dd class="ser-{name}">{text}</dd>' for name, title, text in facts)
    return f'<div class="ser-prediction" role="status">{"".join(parts)}<dl>{items}</dl></div>'


def _class_html(decision: Decision, spec: TaskSpec) -> str:
    name = escape(spec.shown.get(decision.label, decision.label))
    return f"<bdi>{name}</bdi> ({_percent(decision.scores[decision.label])})"


def _words_html(text: str, _: TaskSpec) -> str:
    return f"<q>{escape(text)}</q>" if text.strip() else "<i>none recognised</i>"


_SHOWN: Mapping[str, Callable[..., str]] = {
    "classes": _class_html,
    "regression": lambda value, _: f"{value:.2f}",
    "ctc": _words_html,
}
"""Kind of task -> what is shown of its output, in HTML."""


def timeline_html(prediction: Prediction, waveform: np.ndarray) -> str:
    """The timeline as a figure, for wide and narrow screens, and as a table; nothing where there is none."""
    if not prediction.timeline:
        return ""
    stretches = runs(prediction.timeline)
    said = escape("; ".join(f"{start_s:.0f} to {end_s:.0f} s {label}" for start_s, end_s, label in stretches))
    wide, narrow = (_data_url(timeline_png(waveform, prediction.timeline, size)) for size in (WIDE_INCHES, NARROW_INCHES))
    figure = (
        f'<picture><source media="(max-width: 640px)" srcset="{narrow}"><img src="{wide}" alt="Timeline: {said}"></picture>'
    )
    rows = "".join(
        f"<tr><td>{start_s:.1f}</td><td>{end_s:.1f}</td><td><bdi>{escape(label)}</bdi></td></tr>"
        for start_s, end_s, label in stretches
    )
    head = "<tr><th>from, s</th><th>to, s</th><th>emotion</th></tr>"
    table = f"<details><summary>As a table</summary><table><thead>{head}</thead><tbody>{rows}</tbody></table></details>"
    return f'<div class="ser-timeline"><h2>Over time</h2>{figure}{table}</div>'


def _bars(decision: Decision, colours: Mapping[str, str]) -> str:
    """A bar for each class, in the models' order; of many classes the likeliest, and the others on demand."""
    rows = {}
    for name, score in decision.scores.items():
        chosen = " ser-is-predicted" if name == decision.label else ""
        fill = f'<span style="width: {100 * score:.2f}%; background: {colours[name]}"></span>'
        cells = f'<span class="ser-name"><bdi>{escape(name)}</bdi></span><span class="ser-track">{fill}</span>'
        rows[name] = f'<li class="ser-bar{chosen}">{cells}<span class="ser-value">{_percent(score)}</span></li>'
    names = list(rows)
    if len(names) > _MANY_CLASSES:
        names = sorted(rows, key=decision.scores.__getitem__, reverse=True)
    shown, more = ("".join(rows[name] for name in part) for part in (names[:_MANY_CLASSES], names[_MANY_CLASSES:]))
    bars = f'<ul class="ser-bars" aria-label="emotions">{shown}</ul>'
    if more:
        count = len(names) - _MANY_CLASSES
        summary = f"{count} more, at most {_percent(decision.scores[names[_MANY_CLASSES]])} each"
        bars += f'<details><summary>{summary}</summary><ul class="ser-bars" aria-label="further emotions">{more}</ul></details>'
    return bars


def _percent(score: float) -> str:
    return f"{100 * score:.1f} %"


def _data_url(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
