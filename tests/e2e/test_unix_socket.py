"""Both surfaces on Unix sockets: who may connect, what is left over, what callers see."""
import os
import signal
import socket
import stat
import subprocess

import pytest

from lib import configs, wait, wire
from lib.host import TOKEN, Host
from lib.sse import Stream
from lib.wire import Client
from lib.worker import Worker

BROWSER = configs.ingress(configs.BROWSER, listen='unix:web.sock')
RUNTIME = configs.ingress(configs.RUNTIME, listen='unix:run/v1.sock')


def both(**keys):
    return configs.standard(ingresses=[BROWSER, RUNTIME], **keys)


@pytest.fixture
def served(new_host):
    host = new_host(both(), start=False)
    (host.etc / 'run').mkdir(mode=0o700)
    return host.start()


def test_both_surfaces_serve_on_sockets_of_their_own(served):
    web, v1 = served.etc / 'web.sock', served.etc / 'run' / 'v1.sock'
    assert served.address('browser') == f'unix:{web}'
    assert served.address('runtime') == f'unix:{v1}'
    for path in (web, v1):
        assert stat.S_ISSOCK(path.stat().st_mode) and path.stat().st_mode & 0o777 == 0o600
    worker = Worker.create(served.v1)
    assert worker.say('hello')['turn']['state'] == 'completed'
    assert served.api.ok('GET', '/api/runtimes')['runtimes'][0]['runtime_id'] == 'main'
    with Stream(served.v1, f'/v1/workers/{worker.id}/events', cursor=worker.born) as stream:
        assert stream.until('turn.ended')
    served.stop()
    assert not web.exists() and not v1.exists()


def test_curl_speaks_to_it(served):
    done = subprocess.run(
        ['curl', '-sS', '--max-time', '20', '--unix-socket', str(served.etc / 'web.sock'),
         'http://localhost/api/runtimes'], stdout=subprocess.PIPE, check=True)
    assert b'"main"' in done.stdout


def test_a_token_is_needed_there_too(served):
    Client(served.address('runtime')).refused('GET', '/v1/runtime', 401, 'unauthorized')
    assert served.v1.token == TOKEN and served.v1.get('/v1/runtime').status == 200


@pytest.mark.parametrize('name,status', [('localhost', 200), ('localhost:81', 200),
                                         ('127.0.0.1', 200), ('evil.example', 403),
                                         ('localhost.evil.example', 403)])
def test_host_is_checked_for_whoever_sits_behind_a_proxy(served, name, status):
    assert served.api.get('/api/runtimes', headers={'Host': name}).status == status


def test_an_insecure_runtime_surface_may_be_a_socket(new_host):
    host = new_host(configs.standard(ingresses=[
        configs.ingress(configs.RUNTIME, listen='unix:v1.sock', token=None, insecure=True)]))
    assert Client(host.address('runtime')).get('/v1/runtime').status == 200


def test_no_answer_shows_the_path(served):
    seen = [served.api.get(path).text for path in ('/', '/api/runtimes', '/metrics', '/readyz')]
    seen += [served.v1.get(path).text for path in ('/v1/runtime', '/v1/nothing', '/metrics')]
    for text in seen:
        assert '.sock' not in text and str(served.etc) not in text, text
    assert 'YOI=http://localhost/api' in seen[0]


def test_what_a_killed_host_left_is_replaced(served):
    path = served.etc / 'web.sock'
    before = path.stat().st_ino
    os.kill(served.pid, signal.SIGKILL)
    served.wait_exit()
    assert path.exists()
    with pytest.raises(ConnectionRefusedError):
        wire.connect(f'unix:{path}')
    served.start()
    assert served.api.get('/readyz').status == 200
    assert path.stat().st_ino != before or path.stat().st_mode & 0o777 == 0o600


def fails(host, *words):
    host.write()
    host.spawn()
    code = host.wait_exit()
    assert code == 3, (code, host.tail())
    for word in words:
        assert word in host.log, host.tail()
    host.proc = None


def test_a_socket_that_answers_is_in_use(served, new_host, tmp_path):
    config = configs.standard(ingresses=[
        configs.ingress(configs.BROWSER, listen=f'unix:{served.etc}/web.sock')])
    fails(Host(tmp_path / 'second', config), 'web.sock', 'address in use')
    assert served.api.get('/readyz').status == 200


@pytest.mark.parametrize('kind', ['file', 'folder', 'link'])
def test_what_is_no_socket_stays(new_host, kind):
    host = new_host(configs.standard(ingresses=[BROWSER]), start=False)
    path = host.etc / 'web.sock'
    if kind == 'file':
        path.write_text('precious')
    elif kind == 'folder':
        path.mkdir()
    else:
        path.symlink_to(host.etc / 'elsewhere')
    fails(host, 'the path is not a socket')
    assert os.path.lexists(path) and not (host.etc / 'elsewhere').exists()
    assert kind != 'file' or path.read_text() == 'precious'


def test_a_folder_that_others_may_write_to_is_refused(new_host):
    host = new_host(both(), start=False)
    (host.etc / 'run').mkdir()
    (host.etc / 'run').chmod(0o777)
    fails(host, 'others may write to the folder of the socket')
    assert not (host.etc / 'web.sock').exists()  # nothing is left of the one that was bound


def test_the_end_leaves_what_another_made(served):
    path = served.etc / 'web.sock'
    path.unlink()
    other = socket.socket(socket.AF_UNIX)
    other.bind(str(path))
    served.stop()
    assert path.exists()
    other.close()


def test_a_path_that_is_too_long_is_a_finding(new_host, tmp_path):
    config = configs.standard(ingresses=[configs.ingress(configs.BROWSER,
                                                         listen='unix:' + 'a' * 108)])
    host = Host(tmp_path / 'long', config)
    host.write()
    host.spawn()
    assert host.wait_exit() == 1 and 'at most 107 bytes' in host.log
    host.proc = None


def test_a_watcher_that_reads_nothing_holds_little_there(new_host):
    """Streams that go on while their reader sleeps, on both kinds of sockets."""
    host = new_host(configs.standard(
        model=configs.talks(400, 1), ingresses=[RUNTIME_HERE, configs.BROWSER]))
    worker = Worker.create(host.v1)
    with Stream(host.v1, f'/v1/workers/{worker.id}/events', cursor=worker.born) as sleeper:
        assert worker.say('go')['turn']['state'] == 'completed'
        events = sleeper.until('turn.ended')  # it wakes up and misses nothing durable
    assert [e.kind for e in events if e.kind in ('turn.started', 'turn.ended')] == [
        'turn.started', 'turn.ended']
    wait.until(lambda: host.v1.get('/v1/runtime').status == 200, what='the host goes on')


RUNTIME_HERE = configs.ingress(configs.RUNTIME, listen='unix:v1.sock', write_ms=600000)
