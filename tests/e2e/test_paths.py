"""Paths in a plugin's config start from the folder of the config, wherever the
host was started: what is served, what is kept, what yoi-host store looks at."""
import json
import subprocess

import pytest

from lib import configs, wait
from lib.host import BINARY, environment
from lib.worker import Worker


def store(cwd, *args, code=0):
    done = subprocess.run([str(BINARY), 'store', *map(str, args)], cwd=cwd, check=False,
                          env=environment(cwd), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=wait.patience(30),
                          universal_newlines=True)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done


@pytest.fixture(name='kept')
def kept_host(new_host):
    """Its config is in etc/, its working directory is home/."""
    host = new_host(configs.standard(runtimes=[configs.stored('state/main')]))
    Worker.create(host.v1, wid='ann').say('hello')
    return host


def test_a_store_lies_beside_the_config(kept):
    assert (kept.etc / 'state/main/store.json').is_file()
    assert not (kept.folder / 'home/state').exists()
    kept.restart()
    assert Worker(kept.v1, '/v1', 'ann').transcript()['total'] == 2


def test_a_verb_finds_it_from_any_folder(kept, tmp_path):
    root = str(kept.etc / 'state/main')
    held = store(tmp_path, 'stat', kept.file, 'main', code=3)
    assert 'the store is held by process' in held.stderr and f"root '{root}'" in held.stderr
    kept.stop()
    elsewhere = tmp_path / 'elsewhere'
    for cwd, name in ((kept.etc, 'yoi.json'), (elsewhere, kept.file),
                      (kept.folder / 'home', '../etc/yoi.json')):
        cwd.mkdir(exist_ok=True)
        said = json.loads(store(cwd, 'stat', name, 'main', '--json').stdout)
        assert said['workers'] == 1 and said['root'].endswith('/etc/state/main')
        assert (cwd / said['root']).samefile(root), 'what is shown is what is meant'
    assert not (elsewhere / 'state').exists()


def test_what_cannot_be_opened_is_named_as_it_was_looked_for(new_host):
    host = new_host(configs.standard(runtimes=[configs.stored('state/main')]), start=False,
                    allow_log=['.'])
    (host.etc / 'state').write_text('no folder')
    host.write()
    host.spawn()
    assert host.wait_exit() == 3
    host.proc = None
    assert f"{host.etc}/state/main" in host.log, host.log


def test_an_absolute_path_is_taken_as_it_is(new_host, tmp_path):
    new_host(configs.standard(runtimes=[configs.stored(tmp_path / 'far/away')]))
    assert (tmp_path / 'far/away/store.json').is_file()


def test_a_plugin_that_knows_nothing_of_it_gets_them_whole(tmp_path):
    """Also one of a stranger: its manifest says `"format": "path"`."""
    (tmp_path / 'etc').mkdir()
    entry = {'id': 'a', 'plugin': 'dev.yoi.test.offline', 'config': {'file': 'a/../b', 'text': 'a'}}
    path = tmp_path / 'etc/yoi.json'
    path.write_text(json.dumps({'plugin_path': configs.PLUGIN_PATH, 'runtimes': [entry]}))
    said = json.loads(store(tmp_path, 'stat', path, 'a', '--json').stdout.splitlines()[0])
    assert said['config'] == {'file': f'{tmp_path}/etc/a/../b', 'text': 'a'}


def test_records_of_another_program_lie_beside_the_config(new_host):
    entry = {'id': 'archive', 'plugin': 'dev.yoi.local-compat', 'config': {'root': 'records'}}
    host = new_host(configs.standard(runtimes=[configs.embedded(), entry]), start=False)
    (host.etc / 'records').mkdir()
    (host.etc / 'records/w1.json').write_text(json.dumps(
        {'worker_id': 'w1', 'created_at': '2026-06-26T00:00:00Z', 'items': []}))
    host.start()
    assert [w['worker_id'] for w in
            host.api.ok('GET', '/api/runtimes/archive/workers')['workers']] == ['w1']


def test_an_empty_path_is_refused_where_it_stands(tmp_path):
    path = tmp_path / 'yoi.json'
    path.write_text(json.dumps({'plugin_path': configs.PLUGIN_PATH,
                                'runtimes': [configs.stored('')]}, indent=1))
    done = subprocess.run([str(BINARY), 'check', str(path)], cwd=tmp_path, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=wait.patience(30))
    line = 1 + path.read_text().splitlines().index('    "root": ""')
    assert done.returncode == 1
    assert f'{path}:{line}:'.encode() in done.stdout and b'expected a path' in done.stdout
