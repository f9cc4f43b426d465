"""Tools over a provider's wire: what it is told of them, asked for and sent back.

The provider is the mock of tests/mock, the tools are the real ones. One answer
asks for four calls at once: a file read, one written, a command, a page.
"""
import json

import pytest
from lib import configs, wait
from lib.host import merge
from lib.provider import Provider
from lib.worker import Worker, text_of

CODER = {'profile': {'kind': 'builtin', 'value': 'coder'}}


@pytest.fixture(scope='module', name='mock')
def a_provider(tmp_path_factory):
    provider = Provider(tmp_path_factory.mktemp('provider')).start()
    yield provider
    provider.stop()


@pytest.fixture(scope='module', name='place')
def a_workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp('workspace')
    (folder / 'a.txt').write_text('a is for apple\n')
    return folder


@pytest.fixture(scope='module', name='host')
def a_host(module_host, mock, place):
    return module_host(merge(configs.standard(model=configs.openai(mock.port)), {'local': {
        'mounts': {'workspace': {'path': str(place), 'mode': 'rw'}},
        'shell': {'workspace': {'commands': ['*']}},
        'network': {'workspace': [f'127.0.0.1:{mock.port}']}}}))


def asked(mock):
    """The body of the last request."""
    return json.loads(mock.last().partition('\r\n\r\n')[2])


def test_a_provider_is_told_of_the_tools_and_their_schemas(host, mock):
    worker = Worker.create(host.v1, **CODER)
    assert worker.say('mode=text')['turn']['state'] == 'completed'
    tools = {t['function']['name']: t['function'] for t in asked(mock)['tools']}
    assert {'fs_read', 'fs_write', 'shell_run', 'http_fetch', 'artefact_read'} <= set(tools)
    assert 'git_run' not in tools, 'there is no grant of it'
    assert 'path' in tools['fs_read']['parameters']['properties']
    assert all(t['description'] for t in tools.values())


def test_a_worker_without_tools_tells_of_none(host, mock):
    worker = Worker.create(host.v1)
    assert worker.say('mode=text')['turn']['state'] == 'completed'
    assert 'tools' not in asked(mock)


def test_one_call_goes_there_and_back(host, mock):
    worker = Worker.create(host.v1, **CODER)
    out = worker.say('mode=tool shape=file')
    assert (out['turn']['state'], out['turn']['steps']) == ('completed', 2)
    *_, call, result = asked(mock)['messages']
    assert call['tool_calls'][0]['function'] == {'name': 'fs_read',
                                                 'arguments': '{"path":"a.txt"}'}
    assert result['role'] == 'tool' and result['tool_call_id'] == call['tool_calls'][0]['id']
    assert 'a is for apple' in result['content']


def test_four_calls_at_once_two_of_them_allowed_by_a_person(host, mock, place):
    worker = Worker.create(host.v1, **CODER)
    worker.input(f'mode=tool shape=work port={mock.port}')
    path = worker.path + '/approvals'
    opened = wait.until(lambda: (lambda o: len(o) == 2 and o)(
        host.v1.ok('GET', path)['approvals']))
    assert [a['tool'] for a in opened] == ['fs_write', 'shell_run']
    assert not (place / 'b.txt').exists()
    for one in opened:
        host.v1.ok('POST', f"{path}/{one['approval_id']}", {'decision': 'allow'})
    wait.until(lambda: worker.get()['state'] == 'idle')
    turn = worker.get()['turn']
    assert (turn['state'], turn['steps']) == ('completed', 2)
    results = [m for m in asked(mock)['messages'] if m['role'] == 'tool']
    assert [m['tool_call_id'] for m in results] == [
        'call_fs_read', 'call_fs_write', 'call_shell_run', 'call_http_fetch']
    read, _, ran, fetched = (m['content'] for m in results)
    assert 'a is for apple' in read and (place / 'b.txt').read_text() == 'bee'
    assert fetched.startswith('200 application/json')
    if 'no sandbox' in ran:
        pytest.skip(ran)
    assert ran == 'a is for apple\nexit code 0'
    items = worker.transcript()['items']
    assert {text_of(i) for i in items if i['role'] == 'tool'} == {m['content'] for m in results}
