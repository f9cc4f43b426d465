"""The tables of docs/bundles.md name every member there is."""
import json
import re

from lib.host import ROOT

PAGE = (ROOT / 'docs/bundles.md').read_text()


def members(schema):
    """The names that a schema knows, wherever they stand in it."""
    if isinstance(schema, list):
        return set().union(*map(members, schema))
    if not isinstance(schema, dict):
        return set()
    own = schema.get('properties', {})
    return set(own).union(*map(members, schema.values())) if isinstance(own, dict) else set()


def test_every_member_is_on_the_page():
    schema = json.loads((ROOT / 'bundles/bundle.schema.json').read_text())
    known = members(schema)
    assert len(known) > 30
    words = set(re.findall(r'\w+', PAGE))
    assert known <= words, known - words
