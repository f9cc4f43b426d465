"""yoi-host-static: one program with all plugins in it, and no plugin folder."""
import json
import pathlib
import shutil
import subprocess

import pytest
from lib import configs, wait
from lib.host import BUILD, ROOT, environment
from lib.worker import Worker

STATIC = BUILD / 'yoi-host-static'


@pytest.fixture(name='program')
def lonely_program(tmp_path):
    """A copy of it in a folder of its own, so that nothing lies beside it."""
    (tmp_path / 'bin').mkdir()
    return shutil.copy(STATIC, tmp_path / 'bin' / 'yoi-host-static')


def test_a_conversation_without_any_plugin_folder(new_host, program):
    host = new_host(configs.standard(plugin_path=[]), start=False)
    host.argv[0] = str(program)
    host.start()
    worker = Worker.create(host.v1)
    for text in ('one', 'two'):
        assert worker.say(text)['message']['content'][0]['text'] == f'You said: {text}'
    maps = pathlib.Path(f'/proc/{host.pid}/maps').read_text()
    for path in (BUILD / 'runtimes', BUILD / 'plugins'):
        assert str(path) not in maps
    host.restart()
    assert host.api.ok('GET', '/api/runtimes')['runtimes'][0]['source']['plugin'] == \
        'dev.yoi.embedded'
    host.stop()


def test_the_default_config_needs_no_folder_either(program, tmp_path):
    done = subprocess.run([str(program), 'chat'], cwd=tmp_path, env=environment(tmp_path),
                          input='hello\n', stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False, timeout=wait.patience(60), universal_newlines=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_its_config_is_checked_as_any(program, tmp_path):
    config = configs.standard(plugin_path=[])
    config['runtimes'][0]['config'] = {'wrokers': 3}
    config['plugins'] = [{'id': 'dev.yoi.embedded', 'digest': 'sha256:' + 64 * '0'}]
    (tmp_path / 'yoi.json').write_text(json.dumps(config, indent=1))
    done = subprocess.run([str(program), 'check', 'yoi.json'], cwd=tmp_path, check=False,
                          env=environment(tmp_path), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=wait.patience(30),
                          universal_newlines=True)
    assert done.returncode == 1
    assert "'wrokers'" in done.stdout
    assert "'dev.yoi.embedded' is linked into the program: there is no file to pin" in done.stdout


def test_it_has_every_plugin_of_the_tree(program, tmp_path):
    ids = [json.loads(p.read_text())['id'] for d in ('runtimes', 'plugins')
           for p in (ROOT / d).glob('*/*.yoi.json')]
    config = {'plugin_path': [], 'plugins': [{'id': i} for i in ids]}
    (tmp_path / 'yoi.json').write_text(json.dumps(config))
    done = subprocess.run([str(program), 'check', 'yoi.json'], cwd=tmp_path, check=False,
                          env=environment(tmp_path), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=wait.patience(30),
                          universal_newlines=True)
    assert done.returncode == 0 and len(ids) >= 5, done.stdout


def test_the_ordinary_host_has_none(tmp_path):
    config = {'plugin_path': [], 'plugins': [{'id': 'dev.yoi.embedded'}]}
    (tmp_path / 'yoi.json').write_text(json.dumps(config))
    done = subprocess.run([str(BUILD / 'yoi-host'), 'check', 'yoi.json'], cwd=tmp_path, check=False,
                          env=environment(tmp_path), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=wait.patience(30),
                          universal_newlines=True)
    assert done.returncode == 1 and "no plugin has the id 'dev.yoi.embedded'" in done.stdout
