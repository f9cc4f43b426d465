"""Each keyword that a schema may have stands in the manual, and no other does."""
import json
import pathlib
import re
import subprocess

from lib.host import BUILD
from lib.tables import ROOT

ROOT = pathlib.Path(ROOT)
CODE = (ROOT / 'abi/sdk/schema/schema_compile.c').read_text()
KEYWORDS = set(re.findall(r'^    \{"([$\w]+)", read_\w+', CODE, re.M))
LIMITS = dict(re.findall(r'^#define (YOI_\w+) (\d+)',
                         (ROOT / 'abi/yoi/limits.h').read_text(), re.M))


def section():
    page = (ROOT / 'docs/write-a-plugin.md').read_text()
    return page.split('## What a schema can say')[1].split('\n## ')[0]


def test_the_table_in_the_docs_is_that_of_the_compiler():
    cells = [line.split('|')[2] for line in section().splitlines() if line.startswith('| ')][1:]
    named = re.findall(r'`([^`]+)`', ' '.join(cells))
    assert len(KEYWORDS) > 45 and len(named) == len(set(named))
    assert set(named) - {'true', 'false'} == KEYWORDS


def test_the_header_names_each_keyword():
    header = (ROOT / 'abi/sdk/schema.h').read_text().split('*/')[0]
    table = header.split('any value')[1].split('Not among them')[0]
    assert set(re.findall(r'[$\w]+', table)) >= KEYWORDS


def test_the_numbers_are_those_of_limits_h():
    for name in ('YOI_PATTERN_STATES_MAX', 'YOI_SCHEMA_NODES_MAX', 'YOI_SCHEMA_STEPS_MAX'):
        assert f'{int(LIMITS[name]):,}' in section(), name
    assert f'{LIMITS["YOI_SCHEMA_DEPTH_MAX"]} deep' in section()


def test_the_compiler_takes_each_keyword_and_nothing_else():
    """With a value that no keyword takes, one that is known complains otherwise."""
    lines = [json.dumps({'schema': {k: {'$x': 0}}, 'data': []}) for k in sorted(KEYWORDS)]
    lines += [json.dumps({'schema': {'Type': 'null'}, 'data': []})]
    done = subprocess.run([str(pathlib.Path(BUILD) / 'tests/schema/validate')], check=True,
                          input='\n'.join(lines).encode(), stdout=subprocess.PIPE)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    for keyword, answer in zip(sorted(KEYWORDS), answers):
        assert f"'{keyword}' is not enforced" not in answer.get('why', ''), keyword
    assert answers[-1]['why'] == "/Type: keyword 'Type' is not enforced here"
