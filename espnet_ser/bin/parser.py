"""The parser of every command: wrong use is an InputError, one line with the nearest valid name."""

import argparse
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from espnet_ser.corpus.record import Corpus
from espnet_ser.errors import InputError, unknown_name
from espnet_ser.evaluation.predictions import SELECTIONS
from espnet_ser.experiment.setup import Setup

MOST = 2**31 - 1  # the largest number that an option takes which has no limit of its own


class CommandParser(argparse.ArgumentParser):
    """An ``ArgumentParser`` without abbreviations that raises instead of printing its usage.

    >>> parser = CommandParser(prog="espnet-ser train")
    >>> _ = parser.add_argument("--stage", choices=("stage1", "ser"))
    >>> parser.parse_args(["--stage", "serr"])
    Traceback (most recent call last):
    espnet_ser.errors.InputError: --stage: unknown value 'serr' (did you mean 'ser'?); known: ser, stage1
    """

    def __init__(self, **options):
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Raises what argparse would print. Always an InputError."""
        raise InputError(f"{message} (--help lists the options)")

    def parse_args(self, args=None, namespace=None) -> argparse.Namespace:
        """As argparse's, but an unknown option gets the nearest name."""
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            options = [option for action in self._actions for option in action.option_strings]
            raise unknown_name("option", unknown[0], options)
        return parsed

    def _get_value(self, action: argparse.Action, text: str) -> object:
        if action.type is Path and not text:
            raise argparse.ArgumentError(action, "an empty name; name a file or a folder")
        return super()._get_value(action, text)

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            raise unknown_name("value", str(value), map(str, action.choices), where="/".join(action.option_strings))


def whole_number(least: int, most: int = MOST) -> Callable[[str], int]:
    """The type of an option that takes a whole number from ``least`` to ``most``.

    >>> whole_number(1)("0")
    Traceback (most recent call last):
    argparse.ArgumentTypeError: must be a whole number from 1, not '0'
    """

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most:
            to = "" if most == MOST else f" to {most}"
            shown = text if len(text) <= 20 else f"{text[:20]}..."
            raise argparse.ArgumentTypeError(f"must be a whole number from {least}{to}, not {shown!r}")
        return value

    return convert


def tag_name(text: str) -> str:
    """The type of an option that becomes part of a folder's name."""
    if not re.fullmatch(r"[A-Za-z0-9._-]*", text) or ".." in text:
        raise argparse.ArgumentTypeError(f"takes letters, digits, '.', '_' and '-', not {text!r}")
    return text


def add_datadir_options(parser: argparse.ArgumentParser) -> None:
    """Adds what stage 1 asks of every corpus: where its data directories go, and how fast they are made."""
    parser.add_argument("--datadir", type=Path, default=Path("data"), metavar="DIR", help="what stage 1 leaves")
    parser.add_argument("--nj", type=whole_number(1), default=4, help="processes that scan the audio (%(default)s)")


def add_corpus_options(parser: argparse.ArgumentParser) -> None:
    """Adds what stage 1 records of a corpus, for results and model cards."""
    parser.add_argument(
        "--corpus_name",
        type=_corpus_fact("name"),
        default="",
        help="what the corpus is called, for results and model cards; IEMOCAP's is known. Stage 1 records all four",
    )
    parser.add_argument("--corpus_lang", type=_corpus_fact("lang"), default="", help='its languages, e.g. en, or "en pt-BR"')
    parser.add_argument("--corpus_license", type=_corpus_fact("license"), default="", help="its licence, e.g. cc-by-4.0")
    parser.add_argument("--corpus_url", type=_corpus_fact("url"), default="", help="where it is described")


def corpus_of(args: argparse.Namespace) -> Corpus:
    """What the options of :func:`add_corpus_options` say."""
    return Corpus(args.corpus_name, args.corpus_lang, args.corpus_license, args.corpus_url)


def _corpus_fact(name: str) -> Callable[[str], str]:
    def fact(text: str) -> str:
        try:
            return getattr(Corpus(**{name: " ".join(text.split())}), name)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return fact


def add_recipe_options(parser: argparse.ArgumentParser) -> None:
    """Adds what stages 3 to 6 have in common: the system, the folds, and where things lie."""
    parser.add_argument("--system", required=True, help="a file of conf/systems")
    parser.add_argument("--folds", default="", help='folds to run, e.g. "1 2 3"; all if empty')
    add_place_options(parser)


def add_model_options(parser: argparse.ArgumentParser, of_model: str) -> None:
    """Adds which trained models tell, and where; ``of_model`` is the help on naming them."""
    parser.add_argument("--model", action="append", help=of_model)
    parser.add_argument(
        "--selection",
        choices=SELECTIONS,
        help="whose epoch counts, where a folder has several; default last, or dev if there is one",
    )
    parser.add_argument("--device", default="auto", help="auto (a GPU where there is one), cpu, cuda or cuda:N")


def add_place_options(parser: argparse.ArgumentParser) -> None:
    """Adds where things lie, whatever the system and the fold."""
    parser.add_argument("--conf", type=Path, default=Path("conf"), help="folder with systems/")
    parser.add_argument("--datadir", type=Path, default=Path("data"), help="what stage 1 leaves")
    parser.add_argument("--expdir", type=Path, default=Path("exp"), help="models and results")
    parser.add_argument("--tag", type=tag_name, default="", help="suffix of the system's folder in exp")
    parser.add_argument("--stage1_tag", type=tag_name, default="", help="suffix of the intermediate models' folder in exp")


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Adds what trainings have in common besides :func:`add_recipe_options`: with what, and how."""
    parser.add_argument("--dumpdir", type=Path, default=Path("dump"), help="what stage 2 leaves, and caches")
    parser.add_argument("--ssl", required=True, help="pretrained encoder: a folder or a hub name")
    parser.add_argument(
        "--stage1_config",
        type=Path,
        default=Path("conf/train_stage1.yaml"),
        help="ESPnet options of the intermediate finetuning",
    )
    parser.add_argument(
        "--stage2_config", type=Path, default=Path("conf/train_ser.yaml"), help="ESPnet options of SER finetuning"
    )
    parser.add_argument(
        "--stage1_args", default="", help='further ESPnet options of the intermediate finetuning, e.g. "--max_epoch 50"'
    )
    parser.add_argument("--stage2_args", default="", help="further ESPnet options of SER finetuning")
    add_token_options(parser)
    parser.add_argument(
        "--stage1_data",
        default="four",
        choices=("four", "all"),
        help="what the intermediate finetuning is trained on: four (the four classes) or all (every utterance of the "
        "training sessions)",
    )
    parser.add_argument("--seed", type=whole_number(0, 2**32 - 1), default=0, help="random seed")
    parser.add_argument("--ngpu", type=whole_number(0), default=0, help="GPUs per training, on each of its machines")
    parser.add_argument(
        "--dist_backend",
        default="nccl",
        choices=("nccl", "gloo"),
        help="how the processes of a training talk: nccl, or gloo, with which --ngpu N is N processes where there is no GPU",
    )
    parser.add_argument(
        "--cache",
        default="auto",
        choices=("auto", "none", "cnn", "prefix"),
        help="outputs of frozen layers to compute once, in dump/cache: auto (all that is constant), none, cnn, or prefix (with "
        "frozen: constant)",
    )
    parser.add_argument(
        "--save_every_min",
        type=whole_number(0),
        default=10,
        help="minutes between two checkpoints of a training, at least: what a sudden end may cost; each is three models large",
    )
    parser.add_argument(
        "--cache_dtype", default="float16", choices=("float16", "float32"), help="precision of the cache: float16 or float32"
    )


def add_token_options(parser: argparse.ArgumentParser) -> None:
    """Adds what the CTC head spells with."""
    parser.add_argument("--token_type", default="char", choices=("char", "bpe"), help="CTC targets: char or bpe")
    parser.add_argument("--nbpe", type=whole_number(1), default=100, help="number of BPE tokens")


def as_words(args: argparse.Namespace, add_options: Callable[[argparse.ArgumentParser], None]) -> list[str]:
    """The options of one of the functions above with the values that they have, for the command line of another command."""
    parser = CommandParser(add_help=False)
    add_options(parser)
    return [f"--{action.dest}={getattr(args, action.dest)}" for action in parser._actions]


def setup_of(args: argparse.Namespace) -> Setup:
    """The setup that :func:`add_recipe_options` and :func:`add_training_options` describe. Raises InputError when quotes do not
    match in one of the strings of options.
    """
    extras = {}
    for stage, option in (("stage1", "stage1_args"), ("ser", "stage2_args")):
        try:
            extras[stage] = tuple(shlex.split(getattr(args, option)))
        except ValueError as error:
            raise InputError(f"--{option} {getattr(args, option)!r}: {error}") from error
    return Setup(
        datadir=args.datadir,
        dumpdir=args.dumpdir,
        expdir=args.expdir,
        ssl=args.ssl,
        configs={"stage1": args.stage1_config, "ser": args.stage2_config},
        extras=extras,
        token=(args.token_type, args.nbpe),
        stage1_data=args.stage1_data,
        tag=args.tag,
        stage1_tag=args.stage1_tag,
        seed=args.seed,
        cache=args.cache,
        cache_dtype=args.cache_dtype,
        save_every_min=args.save_every_min,
        stage1_from=getattr(args, "stage1_from", ""),
    )
