"""A release in IEMOCAP's layout, spoken by espeak-ng.

The licence lets nobody share the corpus, so tests, the mini recipe and speed tests speak a release of their own. Emotion is in
the prosody alone; on the default release, a linear classifier of utterance statistics gets 77 to 80 % unweighted accuracy,
leaving one session out.
"""

import io
import json
import os
import random
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from tqdm import tqdm

from espnet_ser.errors import InputError
from espnet_ser.layout import SYNTHETIC_STAMP
from espnet_ser.synthetic.espeak import SAMPLE_RATE, Prosody, SpeechRequest, speak_many
from espnet_ser.synthetic.files import APPLE_DOUBLE, Span, evaluation_text, rater_files, transcription_text
from espnet_ser.synthetic.plan import Dialog, Turn, plan_release
from espnet_ser.utils.atomic import disk_errors_as_input_errors
from espnet_ser.utils.locks import locked
from espnet_ser.utils.replacing import temporary_folder

# Reserved for the corpus: an encoder pretrained on these voices would have met the test speakers.
SPEAKER_VOICES = {
    (1, "F"): "en-us+f1",
    (1, "M"): "en-us+m1",
    (2, "F"): "en-us+f3",
    (2, "M"): "en-us+m3",
    (3, "F"): "en-us+f5",
    (3, "M"): "en-us+m7",
    (4, "F"): "en-us+Annie",
    (4, "M"): "en-us+max",
    (5, "F"): "en-us+linda",
    (5, "M"): "en-us+rob",
}
_STAMP_VERSION = 2  # raise it when the same arguments give other bytes
_STRENGTH = 2.0
# Rate (words/min), pitch, range, gain (dB), tilt (dB/octave), word gap (10 ms): what an emotion adds to the speaker's own,
# times _STRENGTH, and the deviation from utterance to utterance. A speaker's own deviates by half as much.
_HAPPY = np.array([15, 12, 25, 2, 0.5, 0])
_SAD = np.array([-30, -10, -20, -4, -1.5, 2])
_ANGRY = np.array([20, 2, 15, 5, 2, 0])
_OFFSETS = {
    "neu": 0 * _HAPPY,
    "hap": 0.9 * _HAPPY,
    "exc": 1.1 * _HAPPY,
    "sad": _SAD,
    "ang": _ANGRY,
    "fru": 0.5 * _ANGRY + 0.3 * _SAD,
    "fea": 0.4 * _SAD + 0.4 * _HAPPY,
    "sur": 0.4 * _HAPPY + 0.3 * _ANGRY,
    "dis": 0.3 * _ANGRY,
    "oth": 0.3 * _HAPPY,
    "xxx": 0.2 * (_HAPPY + _SAD + _ANGRY),
    None: 0 * _HAPPY,
}
_DEVIATION = np.array([15, 8, 15, 3, 1, 1])
_NEUTRAL = np.array([170, 45, 50, 0, 0, 1])
_MIN_RATE_WPM = 110
_SNR_DB = (10, 25)
_PAUSE_S = (0.2, 1.5)


def synthesize_release(output: str | Path, num_utts: int = 480, seed: int = 0, nj: int = 1, audio: str = "speech") -> bool:
    """Make a release. It appears whole or not at all; the same arguments give the same bytes, whatever ``nj``.

    Args:
        output: The folder to make; it holds ``Session1`` to ``Session5``.
        num_utts: Number of labelled utterances, 20 to 10,039. The last gives every published count of IEMOCAP.
        seed: Another seed gives another release.
        nj: Number of processes that speak.
        audio: ``speech``, or ``noise``: noise of the planned lengths, made in a fraction of the time, for speed tests.

    Returns:
        True if it was made, False if ``output`` already holds it.

    Raises:
        InputError: If an argument is out of range, ``output`` holds anything else, or espeak-ng is missing.
    """
    output = Path(output).resolve()
    if audio not in ("speech", "noise"):
        raise InputError(f"audio {audio!r}: must be 'speech' or 'noise'")
    stamp = {"version": _STAMP_VERSION, "num_utts": num_utts, "seed": seed, "audio": audio}
    if _already_made(output, stamp):
        return False
    dialogs = plan_release(num_utts, seed)
    turns = [turn for dialog in dialogs for turn in dialog.turns if turn.has_audio]
    sounds = _noises(turns, seed) if audio == "noise" else _sounds(turns, seed, nj)

    with disk_errors_as_input_errors(output.parent), _building_beside(output) as building:
        if _already_made(output, stamp):
            return False  # by another process, in the meantime
        with tqdm(total=len(turns), desc="speaking", unit="utt", mininterval=2, disable=None) as progress:
            for dialog in dialogs:
                _write_dialog(building, dialog, sounds, progress)
        (building / SYNTHETIC_STAMP).write_text(json.dumps(stamp) + "\n")
        building.rename(output)
    return True


@contextmanager
def _building_beside(output: Path) -> Iterator[Path]:
    """A folder to build in, for one process at a time; gone at the end unless it was renamed."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with locked(output.parent), temporary_folder(output) as building:
        yield building


def _already_made(output: Path, stamp: dict) -> bool:
    if not os.path.lexists(output):
        return False
    if output.is_dir() and not any(output.iterdir()):
        return False
    try:
        found = json.loads((output / SYNTHETIC_STAMP).read_text())
    except (OSError, ValueError):
        raise InputError(f"{output} exists and is not a synthetic release: choose another folder or remove it") from None
    if found != stamp:
        raise InputError(f"{output} holds another release ({found}, not {stamp}): choose another folder or remove it")
    return True


def prosody_of(turn: Turn, seed: int) -> Prosody:
    """How a turn is spoken: the speaker's own way, plus the emotion's, plus what varies from turn to turn. ``seed``: the
    release's, which makes the speakers.
    """
    speaker_rng = np.random.default_rng([seed % 2**32, turn.session, ord(turn.gender)])
    rng = np.random.default_rng(turn.seed)
    speaker = speaker_rng.standard_normal(len(_DEVIATION)) / 2
    values = _NEUTRAL + _STRENGTH * _OFFSETS[turn.label] + _DEVIATION * (speaker + rng.standard_normal(len(_DEVIATION)))
    rate_wpm, pitch, pitch_range, gain_db, tilt_db, word_gap = map(float, values)
    return Prosody(max(rate_wpm, _MIN_RATE_WPM), pitch, pitch_range, word_gap, gain_db, tilt_db, snr_db=rng.uniform(*_SNR_DB))


def _sounds(turns: list[Turn], seed: int, nj: int) -> Iterator[np.ndarray]:
    """The sound of each turn: speech, or a breath where it has no word. Voices are checked at once."""
    requests = [
        SpeechRequest(
            turn.words,
            SPEAKER_VOICES[turn.session, turn.gender],
            prosody_of(turn, seed),
            turn.seed,
            None if turn.num_samples is None else turn.num_samples / SAMPLE_RATE,
        )
        for turn in turns
        if turn.words
    ]
    spoken = speak_many(requests, nj)
    return (_fitted(next(spoken), turn) if turn.words else _noise(turn, prosody_of(turn, seed)) for turn in turns)


def _noises(turns: list[Turn], seed: int) -> Iterator[np.ndarray]:
    return (_noise(turn, prosody_of(turn, seed)) for turn in turns)


def _fitted(samples: np.ndarray, turn: Turn) -> np.ndarray:
    """Pad speech with near silence, or cut its end, to the planned length."""
    missing = (turn.num_samples or len(samples)) - len(samples)
    if missing <= 0:
        return samples[: turn.num_samples]
    hush = 1e-3 * np.random.default_rng(turn.seed).standard_normal(missing, dtype=np.float32)
    return np.concatenate([hush[: missing // 2], samples, hush[missing // 2 :]])


def _noise(turn: Turn, prosody: Prosody) -> np.ndarray:
    """Noise that comes and goes about as often as syllables would."""
    num_samples = turn.num_samples or int((0.6 + len(turn.words) / 15) * SAMPLE_RATE)
    rng = np.random.default_rng(turn.seed)
    times_s = np.arange(num_samples, dtype=np.float32) / SAMPLE_RATE
    envelope = 1 + np.sin(np.float32(2 * np.pi * max(prosody.rate_wpm, 80) / 60) * times_s)
    level = np.float32(10 ** ((-30 + prosody.gain_db) / 20))
    return level * envelope * rng.standard_normal(num_samples, dtype=np.float32)


def _write_dialog(release: Path, dialog: Dialog, sounds: Iterator[np.ndarray], progress: tqdm) -> None:
    session_dir = release / f"Session{dialog.session}"
    evaluation_dir, transcription_dir = session_dir / "dialog" / "EmoEvaluation", session_dir / "dialog" / "transcriptions"
    wav_dir = session_dir / "sentences" / "wav" / dialog.name
    for folder in (evaluation_dir, transcription_dir, wav_dir):
        folder.mkdir(parents=True, exist_ok=True)

    rng = random.Random(dialog.seed + 3)
    spans: dict[str, Span] = {}
    now_s = round(rng.uniform(1, 10), 4)
    for turn in dialog.turns:
        duration_s = 1.0
        if turn.has_audio:
            samples = next(sounds)
            duration_s = len(samples) / SAMPLE_RATE
            _write_wav(wav_dir / f"{turn.utt}.wav", samples)
            progress.update()
        spans[turn.utt] = (now_s, now_s + duration_s)
        now_s += duration_s + rng.uniform(*_PAUSE_S)

    texts = {
        evaluation_dir / f"{dialog.name}.txt": evaluation_text(dialog, spans),
        transcription_dir / f"{dialog.name}.txt": transcription_text(dialog, spans),
        **{evaluation_dir / path: text for path, text in rater_files(dialog).items()},
    }
    for path, text in texts.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="ascii", newline="\n")
    if dialog.session == 1:
        wav_path = wav_dir / f"{dialog.turns[0].utt}.wav"
        for path in (evaluation_dir / f"{dialog.name}.txt", transcription_dir / f"{dialog.name}.txt", wav_path):
            path.with_name(f"._{path.name}").write_bytes(APPLE_DOUBLE)


def _write_wav(path: Path, samples: np.ndarray) -> None:
    content = io.BytesIO()  # the wave module, when it cannot write to a full disk, says so twice more as it goes
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(np.round(np.clip(samples, -1, 1) * (2**15 - 1)).astype("<i2").tobytes())
    path.write_bytes(content.getvalue())
