from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet_ser.data.audio import SAMPLE_RATE
from espnet_ser.errors import InputError
from espnet_ser.inference.windows import Window, Windowing, shares


def test_what_is_no_longer_than_any_utterance_of_iemocap_is_not_cut():
    assert Windowing.of().cut(round(34.14 * SAMPLE_RATE)) == [Window(0, 546240)]
    windows = Windowing.of().cut(36 * SAMPLE_RATE)
    assert windows[:2] == [Window(0, 64000), Window(32000, 96000)]
    assert windows[-1] == Window(32 * SAMPLE_RATE, 36 * SAMPLE_RATE)
    assert len(windows) == 17


def test_windows_that_are_asked_for_cut_whatever_is_longer():
    assert Windowing.of(1.0).cut(16000) == [Window(0, 16000)]
    assert Windowing.of(1.0).cut(16001) == [Window(0, 16000), Window(1, 16001)]
    assert Windowing.of(hop_s=1.0).cut(5 * SAMPLE_RATE) == [Window(0, 64000), Window(16000, 80000)]


@given(st.integers(1, 5000), st.integers(1, 300), st.integers(1, 300), st.integers(0, 2000))
def test_windows_cover_a_recording_and_are_equally_long(num_samples, window, hop, longest_whole):
    hop = min(hop, window)
    windows = Windowing(window, hop, longest_whole).cut(num_samples)
    assert windows[0].start == 0
    assert windows[-1].end == num_samples
    assert all(0 < after.start - before.start <= hop for before, after in pairwise(windows))
    assert {end - start for start, end in windows} == {num_samples if len(windows) == 1 else window}
    parts = shares(windows)
    assert (parts[0][0], parts[-1][1]) == (0, num_samples)
    assert all(before[1] == after[0] for before, after in pairwise(parts))
    assert all(w.start <= start < end <= w.end for w, (start, end) in zip(windows, parts, strict=True))
    assert sum(end - start for start, end in parts) == num_samples


@pytest.mark.parametrize(
    ("window_s", "hop_s", "message"),
    [
        (0.0, None, "a window of 0.0 s: give 0.1 to 3600 s"),
        (float("nan"), None, "a window of nan s"),
        (float("inf"), None, "a window of inf s"),
        (-4.0, None, "a window of -4.0 s"),
        (4.0, 0.0, "a hop of 0.0 s: give 0.01 s to a whole window, here 4.0 s"),
        (4.0, 5.0, "a hop of 5.0 s"),
        (None, 4.1, "a hop of 4.1 s"),
        (4.0, float("nan"), "a hop of nan s"),
    ],
)
def test_windows_that_are_none_or_leave_gaps_are_refused(window_s, hop_s, message):
    with pytest.raises(InputError, match=message):
        Windowing.of(window_s, hop_s)
