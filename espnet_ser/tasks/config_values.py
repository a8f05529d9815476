"""Values of a configuration, held to what the same options take on a command line: ESPnet's parser looks at none of them."""

import argparse
import math
from collections.abc import Mapping
from pathlib import Path

import yaml
from espnet2.utils.nested_dict_action import NestedDictAction

from espnet_ser.errors import InputError, unknown_name
from espnet_ser.train.espnet_patches import take_options_by


class MappingOption(NestedDictAction):
    """``--optim_conf lr=0.1`` or ``--optim_conf '{lr: 0.1}'``, read as data: ESPnet's own evaluates it as Python first."""

    def __call__(self, parser, namespace, values, option_strings=None):
        """Adds to what is set already.

        Raises:
            argparse.ArgumentError: When it is no mapping.
        """
        key, equals, value = values.partition("=")
        try:
            content = yaml.safe_load(value if equals else values)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise argparse.ArgumentError(self, f"{values!r} is not YAML") from error
        if equals and key.strip():
            for part in reversed(key.split(".")):
                content = {part: content}
        if not isinstance(content, dict):
            raise argparse.ArgumentError(self, f"{values!r} is no mapping; write key=value, or '{{key: value}}'")
        before = getattr(namespace, self.dest)
        setattr(namespace, self.dest, _merged(before if isinstance(before, dict) else {}, content))


def read_mappings_as_data(parser: argparse.ArgumentParser) -> None:
    """Lets every option that takes a mapping be a :class:`MappingOption`."""
    take_options_by(MappingOption, NestedDictAction, parser)


def check_values(parser: argparse.ArgumentParser, path: Path, config: Mapping[str, object]) -> None:
    """Stops at a value that the option of that name would not take. ``parser``: ESPnet's, with the defaults it has before it
    reads the configuration; ``config``: its content; every key is an option's. Raises InputError: names the key and what it
    takes.
    """
    for action in parser._actions:
        if action.dest in config:
            _check_value(parser, action, config[action.dest], path)


def _check_value(parser: argparse.ArgumentParser, action: argparse.Action, value: object, path: Path) -> None:
    where = f"{path}: {action.dest}"
    if value is None and action.default is None:
        return
    if isinstance(action, NestedDictAction):
        if not isinstance(value, dict):
            raise InputError(f"{where} takes a mapping, not {value!r}")
        return
    takes_list = action.nargs is not None or isinstance(action, argparse._AppendAction)
    if takes_list != isinstance(value, list) or isinstance(value, dict):
        raise InputError(f"{where} takes {'a list' if takes_list else 'one value'}, not {value!r}")
    if isinstance(action.nargs, int) and len(value) != action.nargs:
        raise InputError(f"{where} takes {action.nargs} values, not {len(value)}")
    for each in value if takes_list else [value]:
        if isinstance(each, list | dict):
            raise InputError(f"{where}: {each!r} is not one value")
        try:
            converted = parser._get_value(action, str(each))
        except Exception as error:  # each type of option has errors of its own
            message = error.message if isinstance(error, argparse.ArgumentError) else str(error)
            raise InputError(f"{where}: {message}") from error
        if isinstance(converted, float) and math.isnan(converted):
            raise InputError(f"{where}: {each!r} is no number")
        if action.choices is not None and converted not in action.choices:
            raise unknown_name(action.dest, str(each), map(str, action.choices), where=str(path))


def _merged(old: Mapping, new: Mapping) -> dict:
    shared = [key for key in old.keys() & new.keys() if isinstance(old[key], dict) and isinstance(new[key], dict)]
    return {**old, **new, **{key: _merged(old[key], new[key]) for key in shared}}
