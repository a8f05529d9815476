"""The parser of every command: wrong use is an InputError, one line with the nearest valid name."""

import argparse
from pathlib import Path
from typing import NoReturn

from espnet_ser.errors import InputError, unknown_name


class CommandParser(argparse.ArgumentParser):
    """An ``ArgumentParser`` without abbreviations that raises instead of printing its usage.

    >>> parser = CommandParser(prog="espnet-ser train")
    >>> _ = parser.add_argument("--stage", choices=("stage1", "ser"))
    >>> parser.parse_args(["--stage", "stage2"])
    Traceback (most recent call last):
    espnet_ser.errors.InputError: --stage: unknown value 'stage2' (did you mean 'stage1'?); known: ser, stage1
    """

    def __init__(self, **options):
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Raises what argparse would print.

        Raises:
            InputError: Always.
        """
        raise InputError(f"{message} (--help lists the options)")

    def parse_args(self, args=None, namespace=None) -> argparse.Namespace:
        """As argparse's, but an unknown option gets the nearest name."""
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            options = [option for action in self._actions for option in action.option_strings]
            raise unknown_name("option", unknown[0], options)
        return parsed

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            raise unknown_name("value", str(value), map(str, action.choices), where="/".join(action.option_strings))


def add_recipe_options(parser: argparse.ArgumentParser) -> None:
    """Adds what stages 3 to 6 have in common: the system, the folds, and where things lie."""
    parser.add_argument("--system", required=True, help="name of a file in conf/systems")
    parser.add_argument("--conf", type=Path, default=Path("conf"), help="the recipe's folder of configurations")
    parser.add_argument("--folds", default="", help="folds, separated by spaces; default all")
    parser.add_argument("--datadir", type=Path, default=Path("data"), help="what stage 1 left")
    parser.add_argument("--expdir", type=Path, default=Path("exp"), help="where models and results lie")
    parser.add_argument("--tag", default="", help="suffix of the system's experiment folder")
    parser.add_argument("--stage1_tag", default="", help="suffix of the stage-1 folder")
