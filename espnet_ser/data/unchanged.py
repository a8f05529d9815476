"""Checks that data directories, audio and token lists are as the stages that made them left them."""

from collections.abc import Iterable
from pathlib import Path

from espnet_ser.data.audio import audio_sha256
from espnet_ser.data.datadir import Example
from espnet_ser.errors import InputError
from espnet_ser.layout import DATA_STAMP, TOKENS_STAMP
from espnet_ser.utils.stamp import Stamp


def verify_audio(examples: Iterable[Example]) -> None:
    """Makes sure that the audio is what stage 1 found, so that what is known of it holds. Raises InputError when a file is
    missing or has changed since.
    """
    from concurrent.futures import ThreadPoolExecutor

    known = [example for example in examples if example.sha256]
    try:
        with ThreadPoolExecutor() as pool:
            digests = list(pool.map(audio_sha256, [e.wav for e in known], [e.segment for e in known]))
    except OSError as error:
        raise InputError(f"{error.filename}: {error.strerror}; check the path, or run stage 1 again") from error
    for example, digest in zip(known, digests, strict=True):
        if digest != example.sha256:
            raise InputError(f"{example.wav} has changed since stage 1 read it: run stage 1 again")


def check_unchanged_data(datadir: Path, fold: str) -> None:
    """Makes sure that a fold's data directories are as stage 1 left them; without its stamp they are the user's own. Raises
    InputError when a file of them is missing or was changed since.
    """
    if not (datadir / DATA_STAMP).exists():
        return
    stamp = Stamp(datadir / DATA_STAMP)
    if changed := stamp.changed_outputs(below=f"fold{fold}/"):
        raise InputError(
            f"{datadir}: {'; '.join(changed[:3])}; run stage 1 again, or, if the change is meant, remove {stamp.path}: then "
            f"the data are yours"
        )


def token_identity(folder: Path, train: Iterable[Example]) -> dict[str, str]:
    """A fold's token list by content, shown to be made from that fold's training text and no other. Raises InputError when it
    is missing, has changed, or was made from a text that is not among the training transcripts.
    """
    if not (folder / "tokens.txt").is_file():
        raise InputError(f"{folder}/tokens.txt is missing: run stage 2, which makes it")
    stamp = Stamp(folder / TOKENS_STAMP)
    if changed := stamp.changed_outputs():
        raise InputError(f"{folder}: {'; '.join(changed)}; remove it and run stage 2 again, which makes it from training text")
    foreign = sorted(set(stamp.inputs().get("texts", [])) - {example.text for example in train})
    if foreign:
        raise InputError(
            f"{folder} was made from text that is not in this fold's training data ({foreign[0]!r}): run stage 2 again"
        )
    return stamp.output_sha256()
