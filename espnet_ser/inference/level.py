"""Whether a recording is loud enough to hold speech.

Classifiers put silence into a class as surely as speech. This tells the two apart by level alone: it is no detector of voices,
and music or noise above the threshold pass for speech.
"""

import numpy as np

from espnet_ser.data.audio import SAMPLE_RATE

SPEECH_DBFS = -60.0
"""A recording whose loudest tenth of a second is softer holds no speech: 60 dB below full scale, 33 steps of 16 bits."""

_FRAME = SAMPLE_RATE // 10


def is_loud_enough(waveform: np.ndarray) -> bool:
    """Whether some tenth of a second of a waveform has a level of :data:`SPEECH_DBFS` or more. The level is the root mean
    square about the mean of that time, so that a constant offset is silence. ``waveform``: float32 [num_samples], at 16 kHz; of
    less than a tenth of a second, all of it counts.

    >>> is_loud_enough(np.zeros(16000, np.float32)), is_loud_enough(np.tile([0.01, -0.01], 8000))
    (False, True)
    """
    size = min(_FRAME, len(waveform))
    frames = waveform[: len(waveform) // size * size].reshape(-1, size)  # [frames, samples]
    last = waveform[-size:]
    loudest = max(float(frames.std(axis=1, dtype=np.float64).max()), float(last.std(dtype=np.float64)))
    return loudest >= 10 ** (SPEECH_DBFS / 20)
