"""yoi-host bundle push and pull: the bytes that a runtime of files was given are the
ones that it gives, and nothing begins when something is wrong."""
import json
import subprocess

import pytest
from lib import configs, wait
from lib.host import BINARY, BUILD, environment
from lib.worker import Worker
from test_bundle_command import BUNDLES, SMALL, digest_of, write

@pytest.fixture(name='run')
def runner(tmp_path):
    (tmp_path / 'yoi.json').write_text(json.dumps(configs.standard(
        runtimes=[configs.stored('state')], ingresses=[configs.BROWSER])))
    (tmp_path / 'runtime.token').write_text('x' * 32)
    (tmp_path / 'runtime.token').chmod(0o600)

    def run(*args, code=0):
        done = subprocess.run([str(BINARY), 'bundle', *map(str, args)], cwd=tmp_path,
                              env=environment(tmp_path / 'env'), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                              timeout=wait.patience(60))
        assert done.returncode == code, (done.stdout, done.stderr)
        return done
    return run


DEFAULT = BUILD / 'bundles/default.json'


def test_what_was_pushed_is_pulled(run, tmp_path):
    data = DEFAULT.read_bytes()
    for _ in range(2):
        done = run('push', 'yoi.json', 'main', DEFAULT)
        assert done.stdout.decode() == f'{digest_of(data)} default 1\n'
    assert run('pull', 'yoi.json', 'main', digest_of(data)).stdout == data
    run('pull', 'yoi.json', 'main', digest_of(data), '-o', 'pulled.json')
    assert (tmp_path / 'pulled.json').read_bytes() == data


def test_several_are_pushed_folders_too(run, tmp_path):
    small = write(tmp_path / 'small', SMALL)
    done = run('push', 'yoi.json', 'main', small, BUNDLES / 'default', '--json')
    rows = [json.loads(line)['bundle'] for line in done.stdout.splitlines()]
    assert [(r['id'], r['profiles']) for r in rows] == [('small', ['reader']),
                                                        ('default', ['companion', 'coder'])]
    assert rows[1]['digest'] == digest_of(DEFAULT.read_bytes())
    for row in rows:
        assert digest_of(run('pull', 'yoi.json', 'main', row['digest']).stdout) == row['digest']


def test_a_worker_is_made_of_what_was_pushed(run, new_host, tmp_path):
    run('push', 'yoi.json', 'main', DEFAULT)
    host = new_host(configs.standard(runtimes=[configs.stored(tmp_path / 'state')]))
    ref = {'id': 'default', 'digest': digest_of(DEFAULT.read_bytes())}
    worker = Worker.create(host.v1, config_bundle=ref,
                           profile={'kind': 'named', 'value': 'companion'})
    assert worker.say('hello')['message']['content'][0]['text'] == 'You said: hello'
    spec = worker.get()['spec']
    assert (spec['source'], spec['bundle']) == ('bundle', ref)
    # Without a word on the profile it is the runtime's default, by its name.
    assert Worker.create(host.v1, config_bundle=ref).get()['spec']['profile'] == 'companion'


def test_one_that_is_not_there_is_said(run, tmp_path):
    done = run('pull', 'yoi.json', 'main', 'sha256:' + 64 * '0', '-o', 'x.json', code=3)
    assert b'cannot pull' in done.stderr and not (tmp_path / 'x.json').exists()


def test_nothing_begins_when_a_bundle_is_wrong(run, tmp_path):
    small = write(tmp_path / 'small', {**SMALL, 'tools.json': '['})
    done = run('push', 'yoi.json', 'main', DEFAULT, small, code=1)
    assert b'small/tools.json:1:2: ' in done.stderr
    assert not (tmp_path / 'state').exists()


def test_a_runtime_that_is_not_there_is_said(run):
    for args in (('push', 'yoi.json', 'mian', DEFAULT),
                 ('pull', 'yoi.json', 'mian', 'sha256:' + 64 * '0')):
        assert b"'mian'" in run(*args, code=3).stderr


def test_a_config_that_is_wrong_is_said(run, tmp_path):
    (tmp_path / 'yoi.json').write_text('{ "runtimse": [] }')
    assert b"yoi.json:1:3: unknown key 'runtimse'" in run('push', 'yoi.json', 'main', DEFAULT,
                                                          code=1).stderr
    assert b'cannot read config' in run('pull', 'none.json', 'main', 'sha256:' + 64 * '0',
                                        code=1).stderr


def test_a_store_that_a_host_runs_is_left_alone(run, new_host, tmp_path):
    new_host(configs.standard(runtimes=[configs.stored(tmp_path / 'state')]))
    assert b'cannot start' in run('push', 'yoi.json', 'main', DEFAULT, code=3).stderr
