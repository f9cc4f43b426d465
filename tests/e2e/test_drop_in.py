"""Folders whose runtimes are registered by being there."""
import json

import pytest

from lib import configs
from lib.host import BUILD, PLUGIN_PATH, dropped

PLUGINS = [p for p in PLUGIN_PATH if 'tests' not in p]


def config(**keys):
    return configs.standard(plugin_path=PLUGINS, drop_in=['runtimes.d'], **keys)


def runtimes(host):
    return {r['runtime_id']: r for r in host.api.ok('GET', '/api/runtimes')['runtimes']}


@pytest.fixture
def folder(new_host):
    """A host that is not started yet, with an empty drop-in folder."""
    host = new_host(config(), start=False)
    (host.etc / 'runtimes.d').mkdir()
    yield host


def test_what_is_dropped_in_is_listed_and_routed_to_and_gone_when_it_is_removed(folder):
    host, path = folder, folder.etc / 'runtimes.d'
    host.start()
    assert set(runtimes(host)) == {'main'}
    plugin = dropped('faulty', path, 'whatever.so')
    host.restart()
    rows = runtimes(host)
    assert set(rows) == {'main', 'faulty'}, 'under the id of its manifest, not of its file'
    assert rows['faulty']['source'] == {'kind': 'plugin', 'plugin': 'dev.yoi.test.faulty',
                                        'isolated': False}
    host.api.ok('GET', '/api/runtimes/faulty/workers/idle')
    host.api.refused('GET', '/api/runtimes/faulty/workers/store_error', 500, 'store_error')
    plugin.unlink()
    host.restart()
    assert set(runtimes(host)) == {'main'}
    host.api.refused('GET', '/api/runtimes/faulty', 404, 'runtime_not_found')


def fails(host, *words):
    host.write()
    host.spawn()
    assert host.wait_exit() == 1, host.log
    for word in words:
        assert word in host.log, host.log
    host.proc = None


def test_a_file_that_is_no_plugin_is_named(folder):
    bad = folder.etc / 'runtimes.d' / 'bad.so'
    bad.write_bytes(b'\x7fELF but not really')
    fails(folder, 'bad.so')


def test_a_plugin_of_another_kind_is_named(folder):
    dropped('model-script', folder.etc / 'runtimes.d')
    fails(folder, 'model-script.so', 'runtime')


def test_an_id_that_is_taken_is_refused(folder):
    dropped('faulty', folder.etc / 'runtimes.d')
    folder.config = config(runtimes=[configs.embedded('main'), configs.embedded('faulty')])
    fails(folder, 'faulty')


def test_other_files_are_left_alone(folder):
    (folder.etc / 'runtimes.d' / 'README').write_text('not a plugin')
    folder.start()
    assert set(runtimes(folder)) == {'main'}


def test_a_folder_that_is_missing_is_named(new_host):
    fails(new_host(config(), start=False), 'runtimes.d')


def test_a_folder_that_everybody_may_write_to_is_refused(folder):
    path = folder.etc / 'runtimes.d'
    dropped('faulty', path)
    path.chmod(0o777)
    fails(folder, 'runtimes.d')


def test_manifest_of_every_runtime_in_the_tree_names_its_drop_in_id():
    for path in (BUILD.parent / 'runtimes').glob('*/*.yoi.json'):
        assert json.loads(path.read_text())['runtime_id'], path
