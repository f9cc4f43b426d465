"""A reload, and plugins that run in processes of their own.

A process keeps what its config gave it. When another config gives it something
else it is another process; when not, it is the same one.
"""
import copy
import re

import pytest

from lib import configs, reload, wait
from lib.host import merge
from lib.worker import Worker, text_of

BEGUN = 'a plugin runs in a process of its own'


@pytest.fixture(name='host')
def _host(new_host, tmp_path):
    """A worker may read in `given`, by a tool in a process."""
    for name in ('given', 'other'):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'a').write_text(f'of {name}\n')
    model = configs.script(
        answers=[{'step': 0, 'steps': [{'call': {'name': 'fs_read', 'arguments': {'path': 'a'}}}]}],
        steps=[{'say': 'done'}])
    return new_host(merge(configs.standard(model=model), {
        'plugins': [{'id': 'dev.yoi.tool-fs', 'isolation': 'process'}],
        'local': {'mounts': {'workspace': {'path': str(tmp_path / 'given'), 'mode': 'ro'}}}}))


def read(host):
    worker = Worker.create(host.v1, profile={'kind': 'builtin', 'value': 'coder'})
    worker.say('read it')
    (told,) = [text_of(i) for i in worker.transcript()['items'] if i['role'] == 'tool']
    return told


def begun(host, n):
    """Whether n processes were begun for the tool; a line may come after its answer."""
    wait.until(lambda: len(host.entries(msg=BEGUN)) >= n, what=f'{n} processes')
    return len(host.entries(msg=BEGUN)) == n


def changed(host, folder=None, mode='ro', **keys):
    config = {**copy.deepcopy(host.config), **keys}
    if folder:
        config['local']['mounts']['workspace'] = {'path': str(folder), 'mode': mode}
    return config


def test_the_same_words_keep_the_process(host):
    assert 'of given' in read(host) and begun(host, 1)
    assert reload.good(host, changed(host))['replaced'] == ''
    assert 'of given' in read(host) and begun(host, 1)


def test_another_folder_under_the_name_is_another_process(host, tmp_path):
    assert 'of given' in read(host)
    reload.good(host, changed(host, tmp_path / 'other'))
    assert 'of other' in read(host) and begun(host, 2)


def test_another_way_into_the_folder_is_another_process(host, tmp_path):
    assert 'of given' in read(host)
    reload.good(host, changed(host, tmp_path / 'given', 'rw'))
    assert 'of given' in read(host) and begun(host, 2)


@pytest.mark.parametrize('begin', ['process', 'none'])
def test_isolation_itself_can_be_reloaded(host, begin):
    end = 'none' if begin == 'process' else 'process'
    for isolation in (begin, end):
        config = changed(host, plugins=[{'id': 'dev.yoi.tool-fs', 'isolation': isolation}])
        reload.good(host, config)
        assert 'of given' in read(host)
    (pid,) = [host.proc.pid]
    text = open(f'/proc/{pid}/maps', encoding='utf-8').read()
    assert begun(host, 1) and re.search('tool-fs', text)
