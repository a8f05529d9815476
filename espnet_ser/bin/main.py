"""The ``espnet-ser`` command: finds the subcommand, and turns users' errors into one line."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from espnet_ser.errors import CorpusError, InputError, one_line, unknown_name
from espnet_ser.utils.machine import fill_in_environment
from espnet_ser.utils.signals import unwound_by_signals
from espnet_ser.version import __version__

COMMANDS = {
    "synthesize": "speak a small release with espeak-ng, laid out as IEMOCAP",
    "prepare": "intermediate: data directories and folds from a release",
    "folds": "stage 1 for a corpus of your own: folds of a Kaldi data directory",
    "tokens": "stage 2: token lists from each fold's training text; fetches the encoder",
    "train": "stages 3 and 4: finetune one fold",
    "launch": "the same on several machines, through espnet2.bin.launch",
    "select": "stage 5: held-out predictions, by each way of choosing the epoch",
    "score": "stage 6: scores, tables and figures of a system",
    "pack": "stage 7: a trained fold for ESPnet's model zoo, transformers and ONNX, with its card",
    "upload": "stage 8: a packed fold to the Hugging Face hub",
    "table": "train and score the systems of a table, many jobs at a time",
    "report": "set a table's systems next to the paper's figures, in Markdown and HTML",
    "seeds": "runs of one system with several seeds next to each other",
    "verify": "recompute scores and check every hash of what was made",
    "compare": "a paired test between two systems",
    "gradients": "how far the tasks' gradients agree, per layer, over training",
    "cache": "list or remove caches of what is frozen",
    "clean": "list or remove what trainings have left and nothing needs any more",
    "predict": "tell emotion from audio files with a trained model",
    "demo": "a web page that tells emotion from what is uploaded or recorded",
    "systems": "list the systems of the tables",
    "progress": "show how far trainings are",
}


def get_parser() -> argparse.ArgumentParser:
    """The parser of the command itself."""
    listing = "\n".join(f"  {name:12} {purpose}" for name, purpose in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="espnet-ser",
        description="Speech emotion recognition with wav2vec 2.0.",
        epilog=f"commands:\n{listing}\n\nexample: espnet-ser prepare --iemocap IEMOCAP_full_release --datadir data",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"espnet-ser {__version__}")
    parser.add_argument("command", help="one of those below; 'espnet-ser COMMAND --help' says more")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    parser.error = _wrong_use  # instead of the usage and a line
    return parser


def _wrong_use(message: str) -> NoReturn:
    raise InputError(f"{message} (--help lists the commands)")


@unwound_by_signals()
def main(argv: Sequence[str] | None = None) -> None:
    """Runs a subcommand; exits with 1 and one line on standard error when the user has something to fix."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may hold bytes that are no text
    name = "espnet-ser"
    os.environ["MPLBACKEND"] = "agg"  # figures go to files, whatever a notebook hands to its children
    try:
        fill_in_environment()
        args = get_parser().parse_args(argv)
        if args.command not in COMMANDS:
            raise unknown_name("command", args.command, COMMANDS)
        name = f"espnet-ser {args.command}"
        # The module is looked up only now: `espnet-ser --help` should not wait for torch.
        importlib.import_module(f"espnet_ser.bin.{args.command}").main(args.arguments)
    except InputError as error:
        # From a process that reads audio, the error comes with that process's traceback before it.
        message = str(error).rpartition("espnet_ser.errors.InputError: ")[2].rstrip()
        sys.exit(f"{name}: error: {message if isinstance(error, CorpusError) else one_line(message)}")
    except BrokenPipeError:  # `espnet-ser systems | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:  # the disk, a path or a permission, wherever it was met
        if error.errno is None:
            raise
        where = "" if error.filename is None else f"{error.filename}: "
        sys.exit(f"{name}: error: {one_line(where)}{error.strerror}; check the path, the disk and its permissions")


if __name__ == "__main__":
    main()
