"""Reading configurations: YAML mappings, by the safe loader, with one line for whatever is wrong."""

import json
from pathlib import Path

import yaml

from espnet_ser.errors import InputError


def read_yaml_mapping(path: Path, missing: str) -> dict:
    """Reads a file that holds a mapping of names to numbers, text, lists and further mappings.

    Args:
        path: The file.
        missing: What to do when there is no such file.

    Raises:
        InputError: When it is missing, no YAML, or holds anything else.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing: {missing}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        json.dumps(content)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not YAML: {str(error).splitlines()[0]}") from error
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: only numbers, text, lists and mappings can be set: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise InputError(f"{path}: not a mapping of names to values")
    return content
