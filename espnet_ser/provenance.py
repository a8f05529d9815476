"""Which speech a model has heard, and the refusal to test it on that.

Stage 1 is inside the fold: an encoder that was finetuned on the held-out session, if only for ASR, has seen the test data.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from math import inf
from pathlib import Path

from espnet_ser.data.audio import audio_sha256
from espnet_ser.data.datadir import Example
from espnet_ser.data.sound_archive import file_of
from espnet_ser.encoder_folder import read_encoder_config
from espnet_ser.errors import InputError
from espnet_ser.spelling import loose_spelling, plain_spelling, spelt_alike
from espnet_ser.stamp import Stamp, fingerprint
from espnet_ser.yaml_mapping import read_yaml_mapping

OURS = "espnet_ser"
"""Under which key of ``config.json`` stage 7 keeps what a model was trained on."""

_SHOWN = 3
_SHARED = (
    ("utt", "utterance id", "run stage 1 again, which keeps them apart"),
    ("wav", "audio file", "list it once, or run stage 1 again"),
    ("sha256", "audio, byte for byte", "leave one of the two out, or give both the same speaker"),
    ("samples_sha256", "audio, sample for sample", "leave one of the two out, or give both the same speaker"),
)
"""What utterances of both sides may have in common: field, what it is called, and what to do."""

MAX_NAMES_BYTES = 300_000
"""Of all speakers, and of all sessions, as JSON: each model's ``config.yaml`` lists those that it was trained on."""

DATA_STAMP = ".prepare.json"
"""What stage 1 leaves in its folder: all that the data directories were made from, and what is in them."""

TOKENS_STAMP = ".tokens.json"
"""What stage 2 leaves beside a token list: the texts it was made from."""


def data_identity(examples: Iterable[Example]) -> str:
    """A data directory by content: where the audio lies does not count, what it holds does."""
    return fingerprint([_content(example) for example in examples])


def corpus_sha256(examples: Iterable[Example]) -> str:
    """All of these utterances as one SHA-256 (hex): labels, words and audio, in whatever order and wherever they lie."""
    return fingerprint(sorted(fingerprint(_content(example)) for example in examples))


def _content(example: Example) -> dict[str, object]:
    """An utterance but for the place of its audio, which a data directory of another maker may not know the content of.

    Its samples follow from the file's bytes, up to the last bits that another decoder may give.
    """
    sha256 = example.sha256 or (audio_sha256(example.wav, example.segment) if file_of(example.wav).is_file() else "")
    return {**asdict(example), "wav": None, "segment": None, "samples_sha256": None, "sha256": sha256}


def describe_training_data(examples: Iterable[Example]) -> dict[str, object]:
    """Which speech a model was trained on: kept in its ``config.yaml``, wherever it goes."""
    examples = list(examples)
    return {
        "sessions": sorted({example.session for example in examples}),
        "speakers": sorted({example.speaker for example in examples}),
        "num_utts": len(examples),
        "utts_sha256": fingerprint(sorted(example.utt for example in examples)),
    }


def encoder_trained_on(folder: Path) -> dict[str, list[str]] | None:
    """What an encoder that stage 7 exported says it was trained on, wherever its folder lies; None for a public one.

    Its ``config.json`` says so, and the models that were packed beside it.

    Returns:
        ``{"sessions": [...], "speakers": [...]}``.

    Raises:
        InputError: When what it says cannot be read.
    """
    ours = read_encoder_config(folder).get(OURS)
    records = [(folder / "config.json", ours.get("trained_on") if isinstance(ours, dict) else ours)]
    for path in (folder / "config.yaml", *sorted(folder.glob("espnet/*/config.yaml"))):
        if path.is_file():
            model = read_yaml_mapping(path, missing="copy the model again")
            records += [(path, model.get(key)) for key in ("trained_on", "pretrained_on")]
    known = []
    for path, record in records:
        if record is None:
            continue
        lists = [record.get(key) for key in ("sessions", "speakers")] if isinstance(record, Mapping) else [None]
        if not all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in lists):
            raise InputError(f"{path}: does not say what it was trained on as stage 7 does; copy the model again")
        known.append(record)
    return all_of(*known)


def all_of(*trained_on: Mapping | None) -> dict[str, list[str]] | None:
    """What several trainings, one after another, have seen: sessions and speakers; None where nothing is known of any.

    >>> all_of({"sessions": ["1"], "speakers": ["b"]}, None, {"sessions": ["1"], "speakers": ["a"]})
    {'sessions': ['1'], 'speakers': ['a', 'b']}
    """
    known = [record for record in trained_on if record]
    if not known:
        return None
    return {key: sorted({name for record in known for name in record[key]}) for key in ("sessions", "speakers")}


def refuse_endless_names(examples: Iterable[Example], where: object) -> None:
    """Stops at more speakers and sessions than a trained model's ``config.yaml`` has room for.

    Args:
        examples: All that may be trained on.
        where: Named in errors.

    Raises:
        InputError: Says how many characters there are.
    """
    examples = list(examples)
    for kind in ("speaker", "session"):
        names = {getattr(example, kind) for example in examples}
        num_bytes = len(json.dumps(sorted(names)))
        if num_bytes > MAX_NAMES_BYTES:
            raise InputError(
                f"{where}: the names of {len(names):,} {kind}s take {num_bytes:,} bytes, at most {MAX_NAMES_BYTES:,} can be "
                f"kept with a model; give them shorter ones"
            )


def refuse_leak(
    trained_on: Mapping | None,
    test: Iterable[Example],
    by: str,
    source: object,
    remedy: str = "train stage 1 for this very fold",
) -> None:
    """Stops a model that was trained on what it is to be tested on.

    Args:
        trained_on: From :func:`describe_training_data`.
        test: The held-out utterances.
        by: What folds leave out, ``session`` or ``speaker``.
        source: The model, named in errors.
        remedy: What to do about it.

    Raises:
        InputError: When a held-out speaker (or, for folds by session, session) was trained on, or nothing is known of it.
    """
    if not trained_on or not {"sessions", "speakers"} <= set(trained_on):
        raise InputError(f"{source} does not say what it was trained on, so it cannot be shown to be free of the test data")
    test = list(test)
    for kind in ("session", "speaker") if by == "session" else ("speaker",):
        known = set(map(plain_spelling, trained_on[f"{kind}s"]))
        shared = sorted(name for name in {getattr(example, kind) for example in test} if plain_spelling(name) in known)
        if shared:
            raise InputError(
                f"{source} was trained on {kind} {', '.join(shared)}, which this fold holds out for testing; {remedy}"
            )


def refuse_trained_encoder(folder: Path, test: Iterable[Example]) -> dict[str, list[str]] | None:
    """Stops an encoder that stage 7 exported from a model trained on what is to be tested on.

    Speakers count. A session is but a number, and that of another corpus is another session.

    Args:
        folder: As transformers saved it.
        test: The held-out utterances.

    Returns:
        From :func:`encoder_trained_on`.

    Raises:
        InputError: When a held-out speaker was trained on.
    """
    if known := encoder_trained_on(folder):
        refuse_leak(known, test, "speaker", f"the encoder {folder}", "take an encoder, or the model of a fold, that was not")
    return known


def refuse_shared_speech(train: Iterable[Example], test: Iterable[Example]) -> None:
    """Stops a training on held-out speech under whatever name.

    Raises:
        InputError: When an utterance id, an audio file, the content of one or its samples are on both sides, or a speaker under
            two spellings.
    """
    train, test = list(train), list(test)
    speakers = spelt_alike({example.speaker for example in test}, {example.speaker for example in train})
    if speakers:
        shown = ", ".join(f"{name!a} and {other!a}" for name, other in speakers[:_SHOWN])
        raise InputError(
            f"speakers held out and trained on differ in spelling alone ({shown}): write one speaker's id alike everywhere, or "
            "give two people ids that differ in more than case or characters that nobody sees; then run stage 1 again"
        )
    for field, kind, remedy in _SHARED:
        if field == "wav":
            _refuse_shared_parts(train, test, kind, remedy)
            continue
        held_out = {str(value): example.utt for example in test if (value := getattr(example, field))}
        pairs = [(example.utt, held_out[value]) for example in train if (value := str(getattr(example, field))) in held_out]
        if pairs:
            more = f" ({len(pairs)} such pairs)" if len(pairs) > 1 else ""
            raise InputError(
                f"training utterance {pairs[0][0]} and held-out utterance {pairs[0][1]} have the same {kind}{more}: {remedy}"
            )


def _refuse_shared_parts(train: Iterable[Example], test: Iterable[Example], shared: str, remedy: str) -> None:
    """Stops a training on a moment of a file that is held out too."""
    held_out: dict[str, list[Example]] = {}
    for example in test:
        held_out.setdefault(str(example.wav), []).append(example)
    for example in train:
        start_s, end_s = _span(example)
        for other in held_out.get(str(example.wav), ()):
            other_start_s, other_end_s = _span(other)
            if start_s < other_end_s and other_start_s < end_s:
                if example.segment and other.segment:
                    shared = f"audio from {max(start_s, other_start_s):g} to {min(end_s, other_end_s):g} s of {example.wav}"
                    remedy = "let folds hold out whole recordings (utt2session, utt2fold), or correct segments"
                raise InputError(
                    f"training utterance {example.utt} and held-out utterance {other.utt} have the same {shared}: {remedy}"
                )


def _span(example: Example) -> tuple[float, float]:
    return (0.0, inf) if example.segment is None else (example.segment.start_s, example.segment.end_s)


def alike_speakers(train: Iterable[Example], test: Iterable[Example]) -> str:
    """Says which held-out speakers may be trained on under another id: one that differs in zeros or marks; '' for none."""
    held_out, others = ({example.speaker for example in examples} for examples in (test, train))
    pairs = spelt_alike(held_out, others, loose_spelling)
    if not pairs:
        return ""
    shown = ", ".join(f"{name} and {other}" for name, other in pairs[:_SHOWN])
    return f"{shown} are held out and trained on: if that is one speaker, write the id alike and run stage 1 again"


def verify_audio(examples: Iterable[Example]) -> None:
    """Makes sure that the audio is what stage 1 found, so that what is known of it holds.

    Raises:
        InputError: When a file is missing or has changed since.
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


def refuse_changed_data(datadir: Path, fold: str) -> None:
    """Makes sure that a fold's data directories are as stage 1 left them; without its stamp they are the user's own.

    Raises:
        InputError: When a file of them is missing or was changed since.
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
    """A fold's token list by content, shown to be made from that fold's training text and no other.

    Raises:
        InputError: When it is missing, has changed, or was made from a text that is not among the training transcripts.
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
