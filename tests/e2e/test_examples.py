"""What the documents show is what there is.

A code block behind `<!-- file: PATH -->` is that file (or, with `from: TEXT`,
its end from that text on; when there is no such file in the tree, the block
is written as one for the commands that follow). Blocks behind `<!-- run -->`
are run one after another in one folder, with YOI naming the tree.
"""
import json
import pathlib
import re
import shutil
import socket
import subprocess

import pytest
from lib import wait
from lib.host import BUILD, ROOT, environment

DOCS = sorted(p.relative_to(ROOT) for p in [ROOT / 'README.md', *(ROOT / 'docs').glob('*.md')]
              if p.exists())
SANITIZED = 'san' in BUILD.name


def blocks(doc, mark):
    """(argument, text) of each marked code block of a document."""
    text = (ROOT / doc).read_text()
    return re.findall(r'<!-- %s:? ?(.*?) ?-->\n+```\w*\n(.*?)```' % mark, text, re.S)


@pytest.mark.parametrize('doc', DOCS, ids=str)
def test_a_file_that_is_shown_is_the_file(doc):
    for argument, text in blocks(doc, 'file'):
        name, _, begin = argument.partition(' from: ')
        path = ROOT / name
        if '/' not in name and not path.exists():
            continue
        whole = path.read_text()
        at = whole.index(begin) if begin else 0
        assert text == whole[at:], f'{doc} shows another {name}'


@pytest.mark.skipif(SANITIZED, reason='the commands link without a sanitizer')
@pytest.mark.parametrize('doc', [d for d in DOCS if blocks(d, 'run')], ids=str)
def test_commands_that_are_shown_work(doc, tmp_path):
    for argument, text in blocks(doc, 'file'):
        name = argument.partition(' from: ')[0]
        if '/' not in name:
            (tmp_path / name).write_text(text)
        else:
            for source in (ROOT / name).parent.iterdir():
                shutil.copy(source, tmp_path)
    env = dict(environment(tmp_path), YOI=str(ROOT))
    for _, text in blocks(doc, 'run'):
        text = text.replace('$YOI/build', str(BUILD)).replace('127.0.0.1:38800', '127.0.0.1:0')
        done = subprocess.run(['bash', '-euc', text], cwd=tmp_path, env=env, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=wait.bound(60))
        assert done.returncode == 0, f'{text}\n{done.stdout.decode()}'


def test_the_crash_that_is_shown_loses_nothing(tmp_path):
    (text,) = [text for _, text in blocks('docs/start.md', 'crash')]
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = str(free.getsockname()[1])
    (tmp_path / 'build').symlink_to(BUILD)
    config = (ROOT / 'docs/examples/durable.json').read_text().replace('38800', port)
    (tmp_path / 'durable.json').write_text(config)
    text = text.replace('cp docs/examples/durable.json .',
                        "trap 'kill $host' EXIT").replace('38800', port)
    done = subprocess.run(['bash', '-uc', text], cwd=tmp_path, env=environment(tmp_path),
                          check=False, stdout=subprocess.PIPE, timeout=wait.bound(60))
    created, said, transcript = (json.loads(t) for t in
                                 re.split(r'(?<=})\s*(?={"runtime_id)', done.stdout.decode()))
    assert created['worker']['worker_id'] == 'ada'
    assert said['turn']['state'] == 'completed'
    assert [i['role'] for i in transcript['transcript']['items']] == ['user', 'assistant']


def run_minimal(program, tmp_path):
    done = subprocess.run([str(program), str(BUILD)], cwd=tmp_path, env=environment(tmp_path),
                          check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=wait.bound(30))
    assert done.returncode == 0, done.stderr.decode()
    item = json.loads(done.stdout)['item']
    assert item['content'] == [{'type': 'text', 'text': 'You said: hello'}]


def test_the_minimal_application_prints_its_answer(tmp_path):
    run_minimal(BUILD / 'examples/minimal', tmp_path)


@pytest.mark.skipif(SANITIZED, reason='the command links without a sanitizer')
def test_an_application_builds_as_the_page_says(tmp_path):
    page = (ROOT / 'docs/embed.md').read_text()
    command = re.search(r'```sh\n(gcc .*?)```', page, re.S).group(1)
    shutil.copy(ROOT / 'docs/examples/minimal.c', tmp_path / 'app.c')
    command = command.replace('$YOI/build', str(BUILD)).replace('$YOI', str(ROOT))
    subprocess.run(['bash', '-euc', command], cwd=tmp_path, check=True, timeout=wait.bound(60))
    run_minimal(tmp_path / 'a.out', tmp_path)


def test_the_minimal_application_writes_no_file(tmp_path):
    """Embedded alone and no ingress: nothing outside the process."""
    environment(tmp_path)
    before = sorted(str(p) for p in pathlib.Path(tmp_path).rglob('*'))
    run_minimal(BUILD / 'examples/minimal', tmp_path)
    assert sorted(str(p) for p in pathlib.Path(tmp_path).rglob('*')) == before


def make(*args):
    done = subprocess.run(['make', '-n', '-B', *args], cwd=ROOT, stdout=subprocess.PIPE, check=True,
                          timeout=wait.bound(60))
    return done.stdout.decode()


def test_make_core_needs_no_http_library():
    """What it would run names none of them, for a build from nothing."""
    commands = make('core')
    assert 'yoi-host' in commands and 'embedded.so' in commands
    for other in ('-lcurl', '-lssl', '/usr/share/llhttp/', 'abi/sdk/http/', 'ingress-http.so',
                  'model-openai.so'):
        assert other not in commands


def test_make_help_names_every_target():
    text = (ROOT / 'Makefile').read_text()
    phony = re.search(r'^\.PHONY: ((?:.*\\\n)*.*)', text, re.M).group(1).replace('\\', '').split()
    told = subprocess.run(['make', 'help'], cwd=ROOT, stdout=subprocess.PIPE, check=True,
                          timeout=wait.bound(60)).stdout.decode()
    inner = {'help', 'core-binaries', 'test-binaries', 'packages-bench', 'packages-run',
             'packages-test'}
    for target in set(phony) - inner:
        assert re.search(r'\b%s\b' % target, told), f'{target} is not in make help'
