"""The parser of every command: wrong use is an InputError, one line with the nearest valid name."""

import argparse
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
