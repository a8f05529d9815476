"""From speech of any kind to what a trained model, or several of them as one, tell of it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from espnet_ser.data import ffmpeg
from espnet_ser.data.audio import SAMPLE_RATE, as_waveform, load_audio, load_stream
from espnet_ser.data.batches import compose_batches
from espnet_ser.data.sound_file import Segment
from espnet_ser.errors import InputError
from espnet_ser.evaluation.decoding import class_decision
from espnet_ser.inference.ensemble import Ensemble, LoadedModel, OutOfMemory, Outputs
from espnet_ser.inference.find_models import ModelSource, models_of
from espnet_ser.inference.level import is_loud_enough
from espnet_ser.inference.predict import BATCH_SAMPLES
from espnet_ser.inference.prediction import Decision, Moment, Prediction
from espnet_ser.inference.windows import Window, Windowing, check_batch_seconds, shares
from espnet_ser.tasks_table import MAIN_TASK, TASKS, of_kind
from espnet_ser.utils.machine import check_device_name

Audio = str | Path | np.ndarray | torch.Tensor | BinaryIO
"""A file's path; samples [num_samples], [num_samples, channels] or [channels, num_samples]; or a stream of a file's bytes."""

POOL_BATCHES = 4
"""Audio is read for so many batches at a time, whatever there is of it, and sorted by length among itself."""

_BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total_fmt} [{elapsed}<{remaining}]"


class _Recording(NamedTuple):
    name: str
    waveform: np.ndarray  # [num_samples], at 16 kHz
    windows: list[Window]


class SpeechEmotion:
    """Predicts emotion, and whatever else its models have heads for, from speech.

    Args:
        ensemble: The models.
        batch_seconds: Seconds of audio that are computed together, which bounds memory and has no effect on the result; what is
            longer in one piece is computed alone.

    Raises:
        InputError: For a batch of no length.
    """

    def __init__(self, ensemble: Ensemble, batch_seconds: float = BATCH_SAMPLES / SAMPLE_RATE):
        check_batch_seconds(batch_seconds)
        self._ensemble = ensemble
        self._batch_samples = max(1, round(batch_seconds * SAMPLE_RATE))

    @property
    def tasks(self) -> list[str]:
        """Which utterance tasks are predicted: ``emotion``, ``gender``, ..."""
        return list(self._ensemble.labels)

    @property
    def classes(self) -> dict[str, list[str]]:
        """Of each of :attr:`tasks`, its classes; none of a regression."""
        return {task: list(classes) for task, classes in self._ensemble.labels.items()}

    @property
    def transcribes(self) -> bool:
        """Whether words are predicted."""
        return self._ensemble.transcribes

    @property
    def trained_on(self) -> list[Mapping[str, object] | None]:
        """Of each model, ``sessions``, ``speakers`` and ``num_utts`` that it was trained on; None of one that does not say."""
        return list(self._ensemble.trained_on)

    @staticmethod
    def from_pretrained(
        model_tag: str | Path | Sequence[str | Path] | None = None,
        device: str = "auto",
        selection: str | None = None,
        batch_seconds: float = BATCH_SAMPLES / SAMPLE_RATE,
    ) -> "SpeechEmotion":
        """Loads a trained model, or several as an ensemble. What lies on this machine is loaded without a network.

        Args:
            model_tag: What stage 4 left for one fold (``exp/NAME/fold1``), or a zip, tar or tar.gz of it; a system's folder
                (``exp/NAME``), for an ensemble of the folds in it; a name, of ESPnet's model zoo or of the hub; a list of such.
                Default: the folds of the recipe's default system, in ``exp``.
            device: ``cpu``, ``cuda``, ``cuda:1``; or ``auto``, a GPU where there is one.
            selection: Whose epoch counts: ``last``, ``others``, ``dev`` or ``oracle``; see
                :func:`espnet_ser.inference.find_models.find_models`.
            batch_seconds: As for the class.

        Raises:
            InputError: When a model is missing, damaged, not to be trusted, or unlike the others; or there is no such device.
        """
        return SpeechEmotion.of_models(models_of(model_tag, selection), device, batch_seconds)

    @staticmethod
    def of_models(
        models: Sequence[ModelSource], device: str = "auto", batch_seconds: float = BATCH_SAMPLES / SAMPLE_RATE
    ) -> "SpeechEmotion":
        """As :meth:`from_pretrained`, of what :func:`espnet_ser.inference.find_models.models_of` has found."""
        device = _usable_device(device)
        return SpeechEmotion(Ensemble([LoadedModel.load(model, device) for model in models], device), batch_seconds)

    def __call__(
        self,
        audio: Audio | list[Audio],
        sampling_rate: int | None = None,
        embedding: bool = False,
        window_s: float | None = None,
        hop_s: float | None = None,
    ) -> Prediction | list[Prediction]:
        """Predict one recording, or each in a list, in order.

        Args:
            audio: WAV, FLAC, OGG, MP3 or whatever else libsndfile reads, or ffmpeg where there is one; or samples, nominally
                within -1 to 1. Channels are averaged; in an array the longer axis is time.
            sampling_rate: Of arrays, in Hz; files know theirs.
            embedding: Whether embeddings are wanted.
            window_s: Cut what is longer than so many seconds into windows of that length. Default: what is longer than
                :data:`espnet_ser.data.audio.LONGEST_WHOLE_S`, into windows of
                :data:`~espnet_ser.inference.windows.WINDOW_S`.
            hop_s: From one window to the next; default half a window.

        Returns:
            One prediction for each recording. Of one that was cut, posteriors and embedding are means over windows, each
            weighted by the part it stands for (:func:`espnet_ser.inference.windows.shares`), and the transcript is put together
            likewise.

        Raises:
            InputError: When a recording cannot be read, is too short for one frame, or holds NaN.
        """
        several = isinstance(audio, list | tuple)
        predictions = []
        for result in self.each(audio if several else [audio], sampling_rate, embedding, window_s, hop_s):
            if isinstance(result, InputError):
                raise result
            predictions.append(result)
        return predictions if several else predictions[0]

    def each(
        self,
        audio: Iterable[Audio | tuple[Path, Segment | None]],
        sampling_rate: int | None = None,
        embedding: bool = False,
        window_s: float | None = None,
        hop_s: float | None = None,
        progress: str | None = None,
    ) -> Iterator[Prediction | InputError]:
        """As a call, one after the other; a recording that cannot be read gives its error in its place.

        No more audio is in memory than a few batches and one recording, however many there are.

        Args:
            audio: As of a call, or a path and the segment of it that is meant.
            sampling_rate: As of a call.
            embedding: As of a call.
            window_s: As of a call.
            hop_s: As of a call.
            progress: Title of a progress bar, or None for none.
        """
        windowing = Windowing.of(window_s, hop_s)
        total = len(audio) if isinstance(audio, Sized) else None
        bar_options = {"bar_format": _BAR, "disable": None if progress else True, "mininterval": 1, "delay": 2}
        with tqdm(total=total, desc=progress, **bar_options) as bar:
            pool: list[_Recording | InputError] = []
            num_samples = 0
            for number, item in enumerate(audio):
                name = _name_of(item, f"audio[{number}]")
                try:
                    waveform = self._read(item, sampling_rate, name)
                except InputError as error:
                    pool.append(error)
                    bar.update()
                except MemoryError:
                    pool.append(InputError(f"{name}: too little memory to read it; cut it into parts"))
                    bar.update()
                else:
                    pool.append(_Recording(name, waveform, windowing.cut(len(waveform))))
                    num_samples += len(waveform)
                if num_samples >= POOL_BATCHES * self._batch_samples:
                    yield from self._predict(pool, embedding, bar)
                    pool, num_samples = [], 0
            yield from self._predict(pool, embedding, bar)

    def _read(self, audio: Audio | tuple, sampling_rate: int | None, name: str) -> np.ndarray:
        """[num_samples] at 16 kHz."""
        if isinstance(audio, torch.Tensor):
            audio = (audio.float() if audio.is_floating_point() else audio).detach().cpu().numpy()
        if isinstance(audio, str | Path | tuple):
            path, segment = audio if isinstance(audio, tuple) else (audio, None)
            waveform = load_audio(path, segment, decode=ffmpeg.decode)
        elif isinstance(audio, np.ndarray):
            if sampling_rate is None:
                raise InputError(f"{name}: an array; give its sampling_rate, in Hz")
            waveform = as_waveform(audio, sampling_rate, name)
        elif hasattr(audio, "read"):
            waveform = load_stream(audio, name, ffmpeg.decode)
        else:
            raise InputError(f"{name}: {type(audio).__name__} is no audio; give a path, a NumPy array, a tensor or a stream")
        least = self._ensemble.least_samples
        if len(waveform) < least:
            raise InputError(f"{name}: {len(waveform)} samples at 16 kHz, too short: the encoder's first frame needs {least}")
        return waveform

    def _predict(self, pool: Sequence[_Recording | InputError], embedding: bool, bar: tqdm) -> list[Prediction | InputError]:
        parts = [(recording, w) for recording in pool if isinstance(recording, _Recording) for w in recording.windows]
        outputs: list[Outputs | InputError | None] = [None] * len(parts)
        for batch in compose_batches([w.end - w.start for _, w in parts], None, self._batch_samples, shuffle=False):
            speech = [torch.from_numpy(recording.waveform[w.start : w.end]) for recording, w in (parts[i] for i in batch)]
            for index, each in zip(batch, self._outputs(speech), strict=True):
                outputs[index] = each
                bar.update(1 / len(parts[index][0].windows))
        in_order = iter(outputs)
        results: list[Prediction | InputError] = []
        for recording in pool:
            if isinstance(recording, InputError):
                results.append(recording)
                continue
            of_windows = list(islice(in_order, len(recording.windows)))
            error = next((each for each in of_windows if isinstance(each, InputError)), None)
            if error is None:
                results.append(self._prediction(recording, of_windows, embedding))
            else:
                results.append(InputError(f"{recording.name}: {error}"))
        return results

    def _outputs(self, speech: Sequence[torch.Tensor]) -> list[Outputs | InputError]:
        """What the models make of each waveform: of a batch for which there is too little memory, one after the other."""
        try:
            return self._ensemble.outputs(speech)
        except OutOfMemory as error:
            if len(speech) == 1:
                return [error]
        return [each for waveform in speech for each in self._outputs([waveform])]

    def _prediction(self, recording: _Recording, by_window: Sequence[Outputs], embedding: bool) -> Prediction:
        windows, parts = recording.windows, shares(recording.windows)
        weights = [end - start for start, end in parts]

        def mean(values: Sequence[np.ndarray]) -> np.ndarray:
            return np.average(values, axis=0, weights=weights)

        outputs = {task: self._output(task, mean([each.values[task] for each in by_window])) for task in self.tasks}
        timeline = []
        if MAIN_TASK in outputs and len(by_window) > 1:
            for window, each in zip(windows, by_window, strict=True):
                now = self._output(MAIN_TASK, each.values[MAIN_TASK])
                timeline.append(Moment(now.label, now.scores, window.start / SAMPLE_RATE, window.end / SAMPLE_RATE))
        # Of each window the frames that it stands for: model -> its whole path.
        of_windows = [
            [_part(path, w, part) for path in each.paths] for each, w, part in zip(by_window, windows, parts, strict=True)
        ]
        paths = [np.concatenate(of_model) for of_model in zip(*of_windows, strict=True)]
        if self.transcribes:
            outputs |= dict.fromkeys(of_kind("ctc"), self._ensemble.transcript(paths))
        return Prediction(
            outputs,
            duration_s=len(recording.waveform) / SAMPLE_RATE,
            speech=is_loud_enough(recording.waveform),
            timeline=tuple(timeline),
            embedding=mean([each.embedding for each in by_window]).astype(np.float32) if embedding else None,
        )

    def _output(self, task: str, values: np.ndarray) -> Decision | float:
        if TASKS[task].kind == "regression":
            return float(values[0])
        decision = class_decision(values.tolist(), self._ensemble.labels[task])
        return Decision(decision["hyp"], decision["scores"])


def _name_of(audio: Audio | tuple, place: str) -> str:
    """What errors call a recording: by its file, where it has one that is known."""
    if isinstance(audio, str | Path | tuple):
        return str(audio[0] if isinstance(audio, tuple) else audio)
    return str(getattr(audio, "name", place)) if hasattr(audio, "read") else place


def _part(path: np.ndarray, window: Window, part: tuple[float, float]) -> np.ndarray:
    """The frames of a window that lie in the part that it stands for."""
    frames_per_sample = len(path) / (window.end - window.start)
    start, end = (round((border - window.start) * frames_per_sample) for border in part)
    return path[start:end]


def _usable_device(name: str) -> str:
    """The device, ``auto`` being a GPU where there is one.

    Raises:
        InputError: When torch does not know it, or cannot compute there.
    """
    check_device_name(name)
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"device {name!r}: torch cannot compute there ({reason}); give auto, cpu, cuda or cuda:N") from error
    return name
