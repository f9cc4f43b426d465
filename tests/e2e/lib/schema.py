"""The config's JSON Schema, as an editor applies it.

It is made anew from the tables, so that whoever adds a key meets one test that
asks for its documentation, and not all that use the key.
"""
import functools
import json
import pathlib
import re
import sys

import jsonschema

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

import config_schema as tables  # noqa: E402

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/', re.S)


def plain(text):
    """A config as JSON: without its comments."""
    return json.loads(_TOKEN.sub(lambda m: m[0] if m[0][0] == '"' else ' ', text))


@functools.lru_cache(maxsize=None)
def validator():
    return jsonschema.Draft7Validator(tables.make())


def errors(config):
    """What an editor marks in a config, a dict or its text."""
    if isinstance(config, str):
        config = plain(config)
    return [f'/{"/".join(map(str, e.absolute_path))}: {e.message}'
            for e in validator().iter_errors(config)]
