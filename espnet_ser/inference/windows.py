"""Long recordings in windows that overlap: the emotions of each in turn are a timeline of the whole.

A model is trained on utterances, and its mean over frames blurs what changes in the course of a recording. So what is longer
than any utterance that IEMOCAP has to train on (34.14 s) is predicted window by window. By default a window is about as long as
IEMOCAP's utterances are on average (4.55 s), and overlaps its neighbours by half: what lies at the edge of one lies in the
middle of another.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from espnet_ser.data.audio import LONGEST_WHOLE_S, MAX_DURATION_S, SAMPLE_RATE
from espnet_ser.errors import InputError

WINDOW_S = 4.0
"""Length of a window where none is given; from one to the next it is half a window."""

MIN_WINDOW_S, MIN_HOP_S = 0.1, 0.01
"""No encoder makes a frame of much less, and an hour is cut into no more than 360,000 windows."""


_MAX_BATCH_S = 1e6


class Window(NamedTuple):
    """A part of a recording, in samples: from ``start`` up to, not including, ``end``."""

    start: int
    end: int


class Windowing(NamedTuple):
    """How recordings are cut.

    Attributes:
        window: Length of a window, in samples.
        hop: From the start of one to that of the next, in samples.
        longest_whole: Recordings of up to so many samples are not cut.
    """

    window: int
    hop: int
    longest_whole: int

    @classmethod
    def of(cls, window_s: float | None = None, hop_s: float | None = None) -> "Windowing":
        """Windows as they are asked for, in seconds.

        Args:
            window_s: Length; recordings are then cut wherever they are longer than that.
            hop_s: From one to the next; half a window where it is not given.

        Raises:
            InputError: For windows that are too short, too long, or leave gaps.

        >>> Windowing.of(2.0)
        Windowing(window=32000, hop=16000, longest_whole=32000)
        >>> Windowing.of().longest_whole
        560000
        """
        asked = window_s is not None or hop_s is not None
        window_s = WINDOW_S if window_s is None else window_s
        if not MIN_WINDOW_S <= window_s <= MAX_DURATION_S:
            raise InputError(f"a window of {window_s} s: give {MIN_WINDOW_S} to {MAX_DURATION_S} s")
        hop_s = window_s / 2 if hop_s is None else hop_s
        if not MIN_HOP_S <= hop_s <= window_s:
            raise InputError(f"a hop of {hop_s} s: give {MIN_HOP_S} s to a whole window, here {window_s} s")
        window = round(window_s * SAMPLE_RATE)
        return cls(window, round(hop_s * SAMPLE_RATE), window if asked else round(LONGEST_WHOLE_S * SAMPLE_RATE))

    def cut(self, num_samples: int) -> list[Window]:
        """The windows of a recording, in order: all equally long, the last one ending where the recording does.

        >>> Windowing(window=4, hop=2, longest_whole=4).cut(9)
        [Window(start=0, end=4), Window(start=2, end=6), Window(start=4, end=8), Window(start=5, end=9)]
        """
        if num_samples <= max(self.longest_whole, self.window):
            return [Window(0, num_samples)]
        last = num_samples - self.window
        return [Window(start, start + self.window) for start in (*range(0, last, self.hop), last)]


def shares(windows: Sequence[Window]) -> list[tuple[float, float]]:
    """The part of a recording that each window stands for, in samples: where two overlap, each has its half of that.

    Together they are the recording, each moment once. So they are the weights of a mean over the windows.

    >>> shares([Window(0, 4), Window(2, 6), Window(3, 7)])
    [(0, 3.0), (3.0, 4.5), (4.5, 7)]
    """
    borders = [windows[0].start, *((before.end + after.start) / 2 for before, after in pairwise(windows)), windows[-1].end]
    return list(pairwise(borders))


def check_batch_seconds(seconds: float) -> None:
    """Checks how many seconds of audio are to be computed together.

    Raises:
        InputError: For a batch of no length, or one without end.
    """
    if not 0 < seconds <= _MAX_BATCH_S:
        raise InputError(f"batches of {seconds:g} s: give a number above 0, at most {_MAX_BATCH_S:g}")
