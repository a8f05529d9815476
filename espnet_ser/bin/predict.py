"""Tells emotion from audio; gender, style and words too, where the model has heads for them."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from espnet_ser.bin.parser import CommandParser, add_model_options
from espnet_ser.utils.say import say


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = CommandParser(
        prog="espnet-ser predict",
        description=__doc__,
        epilog="example: espnet-ser predict --model exp/asr_gender_skip__ser --format jsonl --output out.jsonl recordings",
    )
    of_audio = "files, folders, patterns in quotes ('a/**/*.wav'), lists (*.scp), or - for an audio file on standard input"
    of_model = (
        "a fold's folder, an archive of one, a system's folder (an ensemble of its folds), or a name of the model zoo or "
    )
    of_model += "the hub; several times for an ensemble; default exp/asr_gender_skip__ser"
    of_window = "seconds; what is longer is cut into windows of that length; default 4, for what is longer than 35"
    parser.add_argument("audio", nargs="+", metavar="AUDIO", help=of_audio)
    add_model_options(parser, of_model)
    parser.add_argument("--format", choices=("table", "jsonl", "csv", "kaldi"), default="table", help="kaldi is utt2emotion")
    parser.add_argument("--output", type=Path, help="file to write instead of printing")
    parser.add_argument("--embedding", type=Path, help="file for the embeddings, .npz or .ark")
    parser.add_argument("--window", type=float, help=of_window)
    parser.add_argument("--hop", type=float, help="seconds from one window to the next; default half a window")
    parser.add_argument("--batch_seconds", type=float, default=60.0, help="audio that is computed together; bounds memory")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Prints or writes the prediction for each recording.

    Raises:
        InputError: When a recording cannot be read. Of several, the others are predicted, and those are named at the end.
    """
    args = get_parser().parse_args(argv)
    from espnet_ser.data.audio_list import find_audio
    from espnet_ser.errors import CorpusError, InputError
    from espnet_ser.inference.find_models import models_of
    from espnet_ser.inference.level import SPEECH_DBFS
    from espnet_ser.inference.output_formats import FORMATS, Predicted, check_kaldi_ids, check_outputs, write_embeddings
    from espnet_ser.inference.windows import Windowing, check_batch_seconds
    from espnet_ser.tasks_table import MAIN_TASK
    from espnet_ser.utils.atomic import atomic_write
    from espnet_ser.utils.machine import check_device_name
    from espnet_ser.utils.signals import ended_while_computing

    Windowing.of(args.window, args.hop)
    check_batch_seconds(args.batch_seconds)
    check_device_name(args.device)
    check_outputs(args.output, args.embedding)
    models = models_of(args.model, args.selection)
    recordings = find_audio(args.audio)
    if args.format == "kaldi" or (args.embedding and args.embedding.suffix == ".ark"):
        check_kaldi_ids(recording.utt for recording in recordings)

    from espnet_ser.inference.speech_emotion import SpeechEmotion

    model = SpeechEmotion.of_models(models, args.device, args.batch_seconds)
    if args.format == "kaldi" and MAIN_TASK not in model.tasks:
        raise InputError(f"the model tells no {MAIN_TASK}, and --format kaldi nothing else; take another format")
    audio = [(path, segment) if path else sys.stdin.buffer for _, path, segment in recordings]
    wants = {"embedding": args.embedding is not None, "window_s": args.window, "hop_s": args.hop}
    with ended_while_computing():
        results = list(zip(recordings, model.each(audio, **wants, progress="predict"), strict=True))
    problems = [result for _, result in results if isinstance(result, InputError)]
    predicted = [Predicted(recording, result) for recording, result in results if not isinstance(result, InputError)]
    for silent in (each for each in predicted if not each.prediction.speech):
        say(f"{silent.where()[1]}: no speech: softer than {SPEECH_DBFS:g} dBFS throughout", file=sys.stderr)
    if predicted and args.embedding:
        write_embeddings(args.embedding, predicted)
    if predicted and args.output:
        # Half of a character, as names may hold that are no text, is spelt out.
        atomic_write(args.output, FORMATS[args.format](predicted).encode(errors="backslashreplace"))
    elif predicted:
        say(FORMATS[args.format](predicted), end="", flush=True)
    if problems:
        raise CorpusError(f"{len(results)} recordings", map(str, problems)) if len(results) > 1 else problems[0]
