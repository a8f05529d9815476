"""A corpus as long as IEMOCAP's four classes, of noise: what a step costs depends on lengths alone.

IEMOCAP's 5,531 utterances of four classes last 6.99 h together, 4.55 s on average and 34.14 s at most; 27 are shorter than 1 s
and 78 longer than 15 s. A log-normal distribution above 0.44 s, clipped to that maximum, has all of these figures.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import norm

from espnet_ser.data.audio import SAMPLE_RATE
from espnet_ser.data.datadir import Example

NUM_UTTS = 5531
HELD_OUT_UTTS = NUM_UTTS // 5
"""A session's."""

OFFSET_S, LOG_MEDIAN, LOG_DEVIATION, LONGEST_S = 0.44, 1.1822, 0.6819, 34.14
CHARACTERS_PER_S = 12.0
LABELS = {"emotion": ["angry", "happy", "neutral", "sad"], "gender": ["f", "m"]}
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ'"


def sample_durations(num_utts: int, seed: int = 0) -> np.ndarray:
    """Durations in seconds: [num_utts], in random order, as many of each length as the distribution has."""
    quantiles = norm.ppf((np.arange(num_utts) + 0.5) / num_utts)
    durations = OFFSET_S + np.exp(LOG_MEDIAN + LOG_DEVIATION * quantiles)
    return np.random.default_rng(seed).permutation(np.minimum(durations, LONGEST_S))


def make_examples(folder: Path, num_utts: int, seed: int = 0) -> list[Example]:
    """The utterances, their audio not yet on disk (see :func:`write_audio`)."""
    rng = np.random.default_rng([seed, 1])
    examples = []
    for index, duration_s in enumerate(sample_durations(num_utts, seed)):
        gender, utt = "fm"[index % 2], f"Ses01_{'FM'[index % 2]}-{index:06d}"
        letters = rng.choice(list(ALPHABET), size=int(duration_s * CHARACTERS_PER_S))
        emotion = LABELS["emotion"][int(rng.integers(4))]
        examples.append(
            Example(
                utt=utt,
                speaker=utt.partition("-")[0],
                session="1",
                gender=gender,
                emotion=emotion,
                label=emotion[:3],
                style="improvised",
                text=" ".join("".join(letters[start : start + 5]) for start in range(0, len(letters), 5)),
                wav=folder / f"{utt}.wav",
                num_samples=int(duration_s * SAMPLE_RATE),
                sha256=f"{utt}-{seed}",
            )
        )
    return examples


def write_audio(examples: Iterable[Example]) -> None:
    """Noise of each utterance's length, as 16-bit WAV; what is there already stays."""
    import soundfile

    for example in examples:
        if not example.wav.is_file():
            example.wav.parent.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(int(example.utt[-6:])).standard_normal(example.num_samples)
            soundfile.write(example.wav, 0.05 * noise, SAMPLE_RATE, subtype="PCM_16")


def total_s(examples: Iterable[Example]) -> float:
    """Seconds of audio."""
    return sum(example.num_samples for example in examples) / SAMPLE_RATE


def random_batches(num_utts: int, batch_size: int, seed: int = 0) -> list[list[int]]:
    """An epoch of shuffled batches, as ``DataLoader(shuffle=True)`` draws them."""
    order = np.random.default_rng([seed, 2]).permutation(num_utts).tolist()
    return [order[start : start + batch_size] for start in range(0, num_utts, batch_size)]


def computed_s(batch: Sequence[int], examples: Sequence[Example], pads: bool = True) -> float:
    """Seconds of audio that are computed for a batch: padded to its longest utterance where the trainer pads."""
    lengths = [examples[index].num_samples for index in batch]
    return (len(lengths) * max(lengths) if pads else sum(lengths)) / SAMPLE_RATE


def padding_ratio(batches: Iterable[Sequence[int]], examples: Sequence[Example], pads: bool = True) -> float:
    """Seconds that are computed over seconds of audio."""
    batches = list(batches)
    audio_s = total_s(examples[index] for batch in batches for index in batch)
    return sum(computed_s(batch, examples, pads) for batch in batches) / audio_s


def representative(
    batches: Sequence[Sequence[int]], examples: Sequence[Example], steps: int, pads: bool = True
) -> list[list[int]]:
    """A few batches that stand for an epoch; all of them for ``steps`` 0.

    The epoch's full batches (all but a rest at its end), sorted by computed length, are cut into as many strata as there are to
    be steps. Of each the batch whose computed length is nearest to the stratum's mean is taken, so that the time of the few is
    to that of all as their numbers are. The longest comes first: what does not fit into memory shows at once.
    """
    full = batches[:-1] if len(batches[-1]) < len(batches[0]) else batches
    ordered = sorted(full, key=lambda batch: -computed_s(batch, examples, pads))
    if steps == 0 or steps >= len(ordered):
        return [list(batch) for batch in ordered]
    chosen = []
    for stratum in np.array_split(np.arange(len(ordered)), steps):
        lengths = [computed_s(ordered[index], examples, pads) for index in stratum]
        nearest = int(np.argmin(np.abs(np.array(lengths) - np.mean(lengths))))
        chosen.append(list(ordered[stratum[nearest]]))
    return chosen
