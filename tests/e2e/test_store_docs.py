"""The session of docs/store.md is what yoi-host store really says: each `$`
line is run in one shell over a store of three workers in /srv/yoi, and its output,
with numbers and times as N, is compared with what stands below it."""
import json
import re
import subprocess

import pytest
from lib import store as files
from lib import wait
from lib.host import BINARY, ROOT, environment

PAGE = (ROOT / 'docs/store.md').read_text()


def session():
    """[(command, output)]"""
    text = re.search(r'<!-- session -->\n+```console\n(.*?)```', PAGE, re.S).group(1)
    return [(part.split('\n')[0], '\n'.join(part.split('\n')[1:]).strip('\n'))
            for part in re.split(r'^\$ ', text, flags=re.M)[1:]]


def known(text):
    text = re.sub(r'[0-9a-f]{8}-[0-9a-f-]{27}', 'UUID', text)
    text = re.sub(r'\d+', 'N', text)
    return re.sub(r'^(\S+) +', r'\1 ', text, flags=re.M)


@pytest.fixture(scope='module', name='answers')
def run_session(module_host, tmp_path_factory):
    folder = tmp_path_factory.mktemp('session')
    made = files.make(module_host, folder / 'made', ['ann', 'ben', 'cleo'])
    (folder / 'state').mkdir()
    made.root.rename(folder / 'state/main')
    (folder / 'yoi.json').write_text(json.dumps(files.config('state/main')))
    (folder / 'runtime.token').write_text('x' * 32)
    script = '\n'.join(f"{command}\nprintf '\\n@@@@\\n'" for command, _ in session())
    done = subprocess.run(['bash', '-c', f'yoi-host() {{ {BINARY} "$@"; }}\nexec 2>&1\n{script}'],
                          cwd=folder, env=environment(folder), stdout=subprocess.PIPE,
                          check=False, timeout=wait.bound(60))
    said = done.stdout.decode().replace(str(folder), '/srv/yoi')
    return [part.strip('\n') for part in said.split('\n@@@@\n')[:-1]]


def test_there_is_a_session():
    verbs = {command.split()[2] for command, _ in session() if command.startswith('yoi-host')}
    assert verbs == {'check', 'repair', 'compact', 'export', 'cat', 'stat'}


@pytest.mark.parametrize('at', range(len(session())), ids=lambda i: session()[i][0])
def test_the_answer_is_what_the_page_shows(answers, at):
    assert known(answers[at]) == known(session()[at][1]), f'it really is:\n{answers[at]}'
