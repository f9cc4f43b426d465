"""abi/yoi/ops.h as data, so that a new row without a test fails a test."""
import collections
import os
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[3]

Op = collections.namedtuple('Op', 'symbol number id scope method v1 api status idempotent')
Field = collections.namedtuple('Field', 'op name type place minimum maximum')
Code = collections.namedtuple('Code', 'symbol number name status yoi_status retryable')
EventKind = collections.namedtuple('EventKind', 'symbol number name cls')


def _rows(text, table):
    """The X(...) rows of one macro table, as lists of bare words."""
    body = re.search(r'#define ' + table + r'\(X\)(.*?[^\\])\n', text, re.S).group(1)
    body = body.replace('\\\n', ' ')
    for row in re.findall(r'X\(((?:"[^"]*"|[^()"])*)\)', body):
        words = re.findall(r'"[^"]*"|[^,\s]+', row)
        yield [w[1:-1] if w.startswith('"') else w for w in words]


def _number(words):
    return [int(w) if re.fullmatch(r'\d+', w) else w for w in words]


TEXT = (ROOT / 'abi/yoi/ops.h').read_text()
LIMITS_TEXT = (ROOT / 'abi/yoi/limits.h').read_text()
OPS = [Op(*_number(r)) for r in _rows(TEXT, 'YOI_OPS')]
FIELDS = [Field(*_number(r)) for r in _rows(TEXT, 'YOI_OP_FIELDS')]
CODES = [Code(*_number(r)) for r in _rows(TEXT, 'YOI_CODES')]
EVENTS = [EventKind(*_number(r)) for r in _rows(TEXT, 'YOI_EVENTS')]
TURN_ENDS = [tuple(r) for r in _rows(TEXT, 'YOI_TURN_ENDS')]
MODEL_ERRORS = dict((r[0], r[1] == '1') for r in _rows(TEXT, 'YOI_MODEL_ERRORS'))
CODE = {c.name: c for c in CODES}
# A hard build (make HARD=1) has smaller ones.
HARD = 'hard' in pathlib.Path(os.environ.get('YOI_BUILD') or 'build').name
HARD_TEXT = (ROOT / 'abi/sdk/hard.h').read_text() if HARD else ''
LIMIT = {k: int(v) for k, v in
         re.findall(r'^#define (YOI_\w+) (\d+)', LIMITS_TEXT + HARD_TEXT, re.M)}
DURABLE = {e.name for e in EVENTS if e.cls == 'DURABLE'}
LIVE = {e.name for e in EVENTS if e.cls == 'LIVE'}
