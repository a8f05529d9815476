"""Speech to try the page with: spoken by espeak-ng as the page starts, in ways that differ in prosody alone."""

from pathlib import Path

import numpy as np
import soundfile

from espnet_ser.synthetic.espeak import SAMPLE_RATE, Prosody, SpeechRequest, speak_many

# No speaker of the synthetic corpus has these voices.
_WAYS = {
    "even": ("en-us+f2", Prosody(170, 45, 50, 1, 0, 0, 25)),
    "fast, loud, bright": ("en-us+m2", Prosody(215, 50, 80, 0, 10, 4, 25)),
    "slow, soft, dull": ("en-us+f4", Prosody(115, 28, 12, 5, -8, -3, 25)),
    "high and lively": ("en-us+m4", Prosody(198, 70, 98, 0, 4, 1, 25)),
}
_TEXT = "I know what you want. We need the money today."
_MORE = "They want it now. Well, this is my house. Open the door again."
LONG = "45 s of all four"
_LONG_S = 45.0
_PAUSE_S = 0.35


def speak_examples(folder: Path) -> dict[str, Path]:
    """Speaks the examples into a folder: how each is spoken -> its WAV. The last is long enough for a timeline. Raises
    InputError when there is no espeak-ng.
    """
    texts = (_TEXT, _MORE)
    requests = [SpeechRequest(text, voice, how, seed=1) for voice, how in _WAYS.values() for text in texts]
    spoken = list(speak_many(requests))
    turns = {name: spoken[i * len(texts) : (i + 1) * len(texts)] for i, name in enumerate(_WAYS)}
    examples = {name: _write(folder / f"{name.replace(', ', '-').replace(' ', '-')}.wav", [turns[name][0]]) for name in turns}
    examples[LONG] = _write(folder / "long.wav", _filled(list(turns.values())))
    return examples


def _filled(ways: list[list[np.ndarray]]) -> list[np.ndarray]:
    """The ways one after the other, each for its part of the time, with its sentences again and again."""
    pause = np.zeros(round(_PAUSE_S * SAMPLE_RATE), dtype=np.float32)
    parts = []
    for sentences in ways:
        turn = np.concatenate([part for sentence in sentences for part in (sentence, pause)])
        parts.append(np.resize(turn, round(_LONG_S * SAMPLE_RATE / len(ways))))
    return parts


def _write(path: Path, parts: list[np.ndarray]) -> Path:
    soundfile.write(path, np.concatenate(parts), SAMPLE_RATE, subtype="PCM_16")
    return path
