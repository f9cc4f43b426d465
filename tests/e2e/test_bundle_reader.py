"""The reader of bundles: what it refuses, where, why, and what it lets pass.

tests/bundles/invalid.json is a list of bundles with one thing wrong each: a
patch of base.json, pairs of a JSON pointer and a value (alone: it is taken out;
behind the last element: it is added), or a whole text. tests/bundles/read.c is
the program that is asked.
"""
import copy
import hashlib
import json
import pathlib
import subprocess

import jsonschema

from lib.host import BUILD
from lib.tables import ROOT

ROOT = pathlib.Path(ROOT)
BASE = json.loads((ROOT / 'tests/bundles/base.json').read_text())
INVALID = json.loads((ROOT / 'tests/bundles/invalid.json').read_text())
SCHEMA = json.loads((ROOT / 'bundles/bundle.schema.json').read_text())
FORBIDDEN = 'bundle_forbidden_content'


def read(*bundles):
    """What the reader says of each: texts, bytes, or values to write."""
    texts = [b if isinstance(b, bytes) else (b if isinstance(b, str) else json.dumps(b)).encode()
             for b in bundles]
    done = subprocess.run([str(pathlib.Path(BUILD) / 'tests/bundles/read')], check=True,
                          input=b''.join(b'%d\n%s' % (len(t), t) for t in texts),
                          stdout=subprocess.PIPE, timeout=120)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(texts)
    return answers


def place(value, pointer):
    """The container and the key of what is at a pointer."""
    *way, last = [p.replace('~1', '/').replace('~0', '~') for p in pointer.split('/')[1:]]
    for key in way:
        value = value[int(key)] if isinstance(value, list) else value[key]
    return value, int(last) if isinstance(value, list) else last


def put(bundle, pointer, value):
    at, key = place(bundle, pointer)
    if isinstance(at, list) and key == len(at):
        at.append(value)
    else:
        at[key] = value


def patched(case):
    if 'text' in case:
        return case['text']
    bundle = copy.deepcopy(BASE)
    for pointer, *value in case['patch']:
        if value:
            put(bundle, pointer, value[0])
        else:
            at, key = place(bundle, pointer)
            del at[key]
    return bundle


# ---- the corpus ------------------------------------------------------------------
def test_the_base_of_the_corpus_is_a_bundle():
    text = (ROOT / 'tests/bundles/base.json').read_bytes()
    answer, = read(text)
    assert answer == {'findings': [], 'profiles': ['companion'],
                      'digest': 'sha256:' + hashlib.sha256(text).hexdigest()}


def test_each_invalid_bundle_is_refused_by_its_rule_at_its_place():
    assert len(INVALID) >= 150 and len({c['name'] for c in INVALID}) == len(INVALID)
    wrong = []
    for case, answer in zip(INVALID, read(*map(patched, INVALID))):
        found = (answer.get('code'), (answer.get('details') or {}).get('rule'),
                 (answer.get('details') or {}).get('pointer'))
        if found != (case['code'], case['rule'], case['pointer']):
            wrong.append((case['name'], found, answer['findings']))
        for finding in answer['findings']:
            assert finding['message'] and finding['line'] > 0 and finding['column'] > 0, case
    assert not wrong, "\n".join(map(str, wrong))


# ---- the schema for editors ---------------------------------------------------------
# What a schema cannot say, or says less strictly: what refers to what, what is a
# place or a secret, days of the calendar, order of subtags, length in bytes, what the
# matcher of rules wants. And of texts that are no JSON there is no value to ask about.
BEYOND_SHAPE = {'json', 'dangling', 'unused', 'duplicate', 'repeated', 'rules', 'created-at',
                'language', 'label', 'text', 'argument-pattern', 'path-glob', 'path.cache',
                'path.parent', 'path.session', 'endpoint.private'}


def fit_schema(values):
    """Asked of sdk/schema, whose patterns are ECMA-262's: `$` is the end."""
    done = subprocess.run([str(pathlib.Path(BUILD) / 'tests/schema/validate')], check=True,
                          timeout=120, stdout=subprocess.PIPE,
                          input=(json.dumps({'schema': SCHEMA, 'data': values}) + '\n').encode())
    return json.loads(done.stdout)['valid']


def test_what_the_schema_refuses_the_reader_refuses_and_all_rules_of_shape_are_in_it():
    cases = [case for case in INVALID if case['rule'] != 'json']
    values = [json.loads(case['text']) if 'text' in case else patched(case) for case in cases]
    passed = {}
    for case, fits in zip(cases, fit_schema(values)):
        if fits:
            passed.setdefault(case['rule'], []).append(case['name'])
    assert set(passed) <= BEYOND_SHAPE, {r: passed[r] for r in set(passed) - BEYOND_SHAPE}
    built = [json.loads(path.read_text()) for path in sorted((ROOT / 'bundles').glob('*.json'))]
    assert all(fit_schema([BASE] + [b for b in built if b.get('schema') == 'yoi.bundle/1']))
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def names(schema, where=''):
    """Every member that a schema knows, by the place of its object."""
    for name, sub in schema.get('properties', {}).items():
        yield f'{where}/{name}'
        yield from names(sub, f'{where}/{name}')
        yield from names(sub.get('items', {}), f'{where}/{name}/0')


def test_schema_and_reader_know_the_same_members():
    """An odd value at each of them is refused for what it is, never as unknown."""
    bundles, pointers = [], []
    for pointer in names(SCHEMA):
        bundle = copy.deepcopy(BASE)
        put(bundle, pointer.replace('/rules/0/rate', '/rules/2/rate')
            .replace('/rules/0/above', '/rules/3/above'), [[]])
        bundles.append(bundle)
        pointers.append(pointer)
    for pointer, answer in zip(pointers, read(*bundles)):
        rules = {f['rule'] for f in answer['findings']}
        assert rules and 'unknown-member' not in rules, pointer
    assert len(pointers) > 70
