"""Reading configurations: YAML mappings, by the safe loader, with one line for whatever is wrong."""

import json
from pathlib import Path

import yaml

from espnet_ser.errors import InputError
from espnet_ser.utils.bounded import read_small_file

MAX_BYTES = 4 << 20
MAX_DEPTH = 30
_MAX_NUMBER_LENGTH = 100


class PlainLoader(yaml.SafeLoader):
    """PyYAML's safe loader, for files that spell out what they hold. It takes no anchors and aliases, by which a few lines
    stand for more than any memory holds; no tags, which ask for other types than those that YAML sees itself; no key twice in
    one mapping, of which one would be lost; no endless nesting.
    """

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: object) -> yaml.Node:
        """Reads a value, and those within it."""
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise self._error("anchors and aliases (& and *) are not taken: write the value out", event)
        if getattr(event, "tag", None) not in (None, "!"):
            raise self._error(f"tags are not taken, such as {event.tag[:80]!r}", event)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(f"nested deeper than {MAX_DEPTH} levels", event)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(node, yaml.ScalarNode) and not node.tag.endswith(":str") and len(node.value) > _MAX_NUMBER_LENGTH:
            raise self._error(f"a number of {len(node.value)} characters", event)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """Makes a mapping of what was read."""
        mapping = super().construct_mapping(node, deep=deep)
        if len(mapping) < len(node.value):
            keys = [key.value for key, _ in node.value]
            twice = next((key for key in keys if keys.count(key) > 1), keys[0])
            raise self._error(f"the key {str(twice)[:80]!r} stands twice in one mapping", node)
        return mapping

    @staticmethod
    def _error(problem: str, at: yaml.Event | yaml.Node) -> yaml.YAMLError:
        return yaml.YAMLError(f"{problem} (line {at.start_mark.line + 1})")


def read_yaml_mapping(path: Path, missing: str) -> dict:
    """Reads a file that holds a mapping of names to numbers, text, lists and further mappings. ``missing``: what to do when
    there is no such file. Raises InputError when it is missing, no YAML, too large, or holds anything else.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing: {missing}")
    content = read_small_file(path, MAX_BYTES)
    try:
        content = yaml.load(content.decode(), Loader=PlainLoader)
        json.dumps(content)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not YAML: {str(error).splitlines()[0]}") from error
    except (TypeError, ValueError, LookupError, RecursionError) as error:
        raise InputError(f"{path}: only numbers, text, lists and mappings can be set: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise InputError(f"{path}: not a mapping of names to values")
    return content
