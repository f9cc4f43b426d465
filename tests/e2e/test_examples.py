"""The example application, what `make core` needs, and what `make help` says."""
import json
import pathlib
import re
import subprocess

from lib import wait
from lib.host import BUILD, ROOT, environment


def run_minimal(program, tmp_path):
    done = subprocess.run([str(program), str(BUILD)], cwd=tmp_path, env=environment(tmp_path),
                          check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=wait.patience(30))
    assert done.returncode == 0, done.stderr.decode()
    item = json.loads(done.stdout)['item']
    assert item['content'] == [{'type': 'text', 'text': 'You said: hello'}]


def test_the_minimal_application_prints_its_answer(tmp_path):
    run_minimal(BUILD / 'examples/minimal', tmp_path)


def test_the_minimal_application_writes_no_file(tmp_path):
    """Embedded alone and no ingress: nothing outside the process."""
    environment(tmp_path)
    before = sorted(str(p) for p in pathlib.Path(tmp_path).rglob('*'))
    run_minimal(BUILD / 'examples/minimal', tmp_path)
    assert sorted(str(p) for p in pathlib.Path(tmp_path).rglob('*')) == before


def test_the_token_that_an_example_has_one_make_is_its_owners_alone(tmp_path):
    text = (ROOT / 'docs/examples/runtime-process.json').read_text()
    (command,) = re.findall(r':  (.* > runtime\.token\)?) \*/', text)
    subprocess.run(['sh', '-euc', f'umask 022; {command}'], cwd=tmp_path, check=True,
                   timeout=wait.bound(30))
    made = tmp_path / 'runtime.token'
    assert made.stat().st_mode & 0o777 == 0o600 and len(made.read_text()) > 40


def make(*args):
    done = subprocess.run(['make', '-n', '-B', *args], cwd=ROOT, stdout=subprocess.PIPE, check=True,
                          timeout=wait.patience(60))
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
                          timeout=wait.patience(60)).stdout.decode()
    inner = {'help', 'core-binaries', 'test-binaries', 'packages-bench', 'packages-run',
             'packages-test', 'packages-deb', 'packages-deb-check'}
    for target in set(phony) - inner:
        assert re.search(r'\b%s\b' % target, told), f'{target} is not in make help'
