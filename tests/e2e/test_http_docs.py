"""docs/http.md and docs/errors.md say what the tables of ops.h say."""
import pathlib
import re

import pytest
from lib.tables import CODES, OPS, ROOT

TEXT = (pathlib.Path(ROOT) / 'docs/http.md').read_text()


def rows(columns):
    """The cells of every table row with so many columns, without backticks."""
    found = []
    for line in TEXT.splitlines():
        if line.startswith('|') and not re.fullmatch(r'[|\s-]+', line):
            cells = [c.strip().strip('`') for c in line.strip().strip('|').split('|')]
            if len(cells) == columns:
                found.append(cells)
    return found


def test_every_operation_stands_in_its_row():
    documented = {r[0]: r[1:] for r in rows(5) if '.' in r[0]}
    assert documented == {op.id: [op.method, op.v1, op.api, str(op.status)] for op in OPS}


def test_every_code_stands_in_its_row():
    documented = {r[1]: r[0] for r in rows(3) if r[0].isdigit()}
    assert documented == {c.name: str(c.status) for c in CODES}


PAGE = (pathlib.Path(ROOT) / 'docs/errors.md').read_text()
PARTS = dict(re.findall(r'^### (.*)\n((?:(?!#).*\n?)*)', PAGE, re.M))


def test_every_code_has_its_part_and_no_other_has():
    named = re.findall(r'^### (.*)$', PAGE, re.M)
    assert sorted(named) == sorted(c.name for c in CODES)


@pytest.mark.parametrize('code', CODES, ids=lambda c: c.name)
def test_a_code_is_told_with_status_cause_and_help(code):
    first = f'**{code.status}**, may be repeated. ' if code.retryable else f'**{code.status}.** '
    meaning, _, rest = PARTS[code.name].partition('\n*Usually:* ')
    assert meaning.startswith(first) and len(meaning) > len(first) + 15
    causes, _, todo = rest.partition('\n*What to do:* ')
    assert len(causes) > 10 and len(todo) > 5
