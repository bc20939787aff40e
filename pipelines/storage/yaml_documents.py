"""YAML read without surprises: numbers exact, dates as written, duplicate keys refused.

Put here how text becomes plain values. What they mean is apply.py.
"""

import re
from decimal import Decimal
from typing import Any

import yaml

from transforms.errors import EntityInvalid


class _Loader(yaml.SafeLoader):
    """SafeLoader with Decimals for floats and plain strings for dates."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:float")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
# YAML 1.2's floats, so that 1e3 is a number too; not .inf nor .nan.
_Loader.add_implicit_resolver("!decimal", re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$"), list("-+.0123456789"))


def _decimal(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Decimal:
    return Decimal(loader.construct_scalar(node))


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    loader.flatten_mapping(node)
    pairs = [(loader.construct_object(key, deep=True), loader.construct_object(value, deep=True)) for key, value in node.value]
    seen: set[Any] = set()
    for (key, _), (key_node, _) in zip(pairs, node.value, strict=True):
        if not isinstance(key, str):
            raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is not a string", key_node.start_mark)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
        seen.add(key)
    return dict(pairs)


_Loader.add_constructor("!decimal", _decimal)
_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def yaml_document(text: str | bytes) -> Any:
    """The plain value of a YAML text (bytes are UTF-8): mappings, lists, strings, int, Decimal, bool, None.

    Raises:
        EntityInvalid: It is not YAML; the message names line and column, or the byte that is not UTF-8.
    """
    try:
        text = text if isinstance(text, str) else text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise EntityInvalid(f"the file is not text in UTF-8: {error.reason} at byte {error.start}") from None
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        raise EntityInvalid(f"the file is not valid YAML{where}: {error.problem}") from None
    except yaml.YAMLError as error:
        raise EntityInvalid(f"the file is not valid YAML: {error}") from None
