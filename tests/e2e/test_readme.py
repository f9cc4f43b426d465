"""The README's curl session is what a host really answers.

Each `$` line of the session is run in one shell, against a host of the
default config's shape, and its output is compared with what stands below it:
JSON by its shape (members, types, and the words that are no ids or times),
event streams by their events in order, all else by its words.
"""
import json
import re
import subprocess

import pytest
from lib import configs, sse, wait
from lib.host import ROOT, environment

README = (ROOT / 'README.md').read_text()
# Values that stay the same from run to run.
WORDS = {'event', 'kind', 'state', 'role', 'reason', 'code', 'type', 'worker_id', 'runtime_id',
         'display_name', 'name'}


def session():
    """[(command, output)] of the README."""
    text = re.search(r'<!-- session -->\n+```console\n(.*?)```', README, re.S).group(1)
    found = []
    for part in re.split(r'^\$ ', text, flags=re.M)[1:]:
        lines = part.split('\n')
        n = 1
        while lines[n - 1].endswith('\\'):
            n += 1
        found.append(('\n'.join(lines[:n]), '\n'.join(lines[n:]).strip('\n')))
    return found


def shape(value, key=''):
    if isinstance(value, dict):
        return {k: shape(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [shape(v) for v in value]
    if isinstance(value, str):
        return value if key in WORDS else 'text'
    return type(value).__name__


def known(text):
    """The output as something to compare."""
    if re.search(r'^(id|event|data|retry):', text, re.M):
        out = []
        for event in sse.Parser().feed(text.encode() + b'\n\n'):
            row = (event.kind, shape(event.data))
            if row != (out or [None])[-1]:
                out.append(row)
        return out
    try:
        return shape(json.loads(text))
    except ValueError:
        return re.sub(r'\d+', 'N', text)


@pytest.fixture(scope='module', name='answers')
def run_session(module_host, tmp_path_factory):
    host = module_host(configs.standard(
        model=configs.script({'say': 'Good morning to you.'}),
        runtimes=[configs.embedded('backend-internal')], ingresses=[configs.BROWSER]))
    folder = tmp_path_factory.mktemp('session')
    script = '\n'.join(f"{command}\nprintf '\\n@@@@\\n'" for command, _ in session())
    script = script.replace('127.0.0.1:38800', host.address('browser'))
    done = subprocess.run(['bash', '-uc', script], cwd=folder, env=environment(folder),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                          timeout=wait.bound(60))
    return [part.strip('\n') for part in done.stdout.decode().split('\n@@@@\n')[:-1]]


def test_there_is_a_session():
    assert len(session()) >= 5


@pytest.mark.parametrize('at', range(len(session())), ids=lambda i: session()[i][0].split('\n')[0])
def test_the_answer_is_what_the_readme_shows(answers, at):
    shown = session()[at][1]
    assert known(answers[at]) == known(shown), f'it really is:\n{answers[at]}'
