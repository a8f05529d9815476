"""Data by content: where audio lies does not count, what it holds does."""

from collections.abc import Iterable
from dataclasses import asdict

from espnet_ser.data.audio import audio_sha256
from espnet_ser.data.datadir import Example
from espnet_ser.data.sound_archive import file_of
from espnet_ser.utils.hashing import fingerprint


def data_identity(examples: Iterable[Example]) -> str:
    """A data directory by content: where the audio lies does not count, what it holds does."""
    return fingerprint([_content(example) for example in examples])


def corpus_sha256(examples: Iterable[Example]) -> str:
    """All of these utterances as one SHA-256 (hex): labels, words and audio, in whatever order and wherever they lie."""
    return fingerprint(sorted(fingerprint(_content(example)) for example in examples))


def _content(example: Example) -> dict[str, object]:
    """An utterance but for the place of its audio, which a data directory of another maker may not know the content of. Its
    samples follow from the file's bytes, up to the last bits that another decoder may give.
    """
    sha256 = example.sha256 or (audio_sha256(example.wav, example.segment) if file_of(example.wav).is_file() else "")
    content = asdict(example)
    further = content.pop("targets")
    return {**content, **further, "wav": None, "segment": None, "samples_sha256": None, "sha256": sha256}
