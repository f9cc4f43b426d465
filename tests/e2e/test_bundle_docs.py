"""The sessions of docs/bundles.md are what yoi-host bundle really says: each `$`
line is run in one shell in an empty folder, and its output is compared with what
stands below it, digests as DIGEST. The tables name every member there is."""
import json
import re
import subprocess

import pytest
from lib import configs, wait
from lib.host import BINARY, PLUGIN_PATH, ROOT, environment

PAGE = (ROOT / 'docs/bundles.md').read_text()


def session():
    """[(command, output)]"""
    found = []
    for text in re.findall(r'<!-- session -->\n+```console\n(.*?)```', PAGE, re.S):
        for part in re.split(r'^\$ ', text, flags=re.M)[1:]:
            command, _, output = part.partition('\n')
            found.append((command, output.strip('\n')))
    return found


@pytest.fixture(scope='module', name='folder')
def session_folder(tmp_path_factory):
    return tmp_path_factory.mktemp('session')


@pytest.fixture(scope='module', name='answers')
def run_session(folder, tmp_path_factory):
    script = '\n'.join(f"{command}\nprintf '\\n@@@@\\n'" for command, _ in session())
    done = subprocess.run(['bash', '-c', f'yoi-host() {{ {BINARY} "$@"; }}\nexec 2>&1\n{script}'],
                          cwd=folder, env=environment(tmp_path_factory.mktemp('env')),
                          stdout=subprocess.PIPE, check=False, timeout=wait.bound(60))
    said = re.sub(r'[0-9a-f]{64}', 'DIGEST', done.stdout.decode())
    return [part.strip('\n') for part in said.split('\n@@@@\n')[:-1]]


def test_there_is_a_session():
    verbs = {command.split()[2] for command, _ in session() if command.startswith('yoi-host')}
    assert verbs >= {'lint', 'build', 'digest', 'show', 'diff'}


@pytest.mark.parametrize('at', range(len(session())), ids=lambda i: session()[i][0][:40])
def test_the_answer_is_what_the_page_shows(answers, at):
    assert answers[at] == session()[at][1], f'it really is:\n{answers[at]}'


@pytest.mark.usefixtures('answers')
def test_the_config_of_the_page_makes_a_worker_of_it(folder):
    config = json.loads(re.search(r'<!-- config -->\n+```json\n(.*?)```', PAGE, re.S).group(1))
    # A script in place of the model; what it hears first is the system text.
    config['models'] = [configs.script()]
    (folder / 'yoi.json').write_text(json.dumps({'plugin_path': PLUGIN_PATH, **config}))
    done = subprocess.run([str(BINARY), 'chat', 'yoi.json', '--json'], cwd=folder, input=b'hello\n',
                          env=environment(folder / 'env'), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False, timeout=wait.bound(60))
    assert done.returncode == 0, done.stderr
    said = done.stdout.decode()
    assert '"id":"acme"' in said and 'You said: hello' in said


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
