"""The process: start, drain, signals, ports, and what it does not touch."""
import fcntl
import pathlib
import shutil
import signal
import subprocess
import threading
import time

import pytest

from lib import configs, wait, wire
from lib.host import BINARY, PLUGIN_PATH, TOKEN, descriptors, environment, sockets
from lib.wire import Client
from lib.worker import Worker

SANITIZED = wait.SLOW > 1


# ---- the end ----------------------------------------------------------------

@pytest.mark.tsan
@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_host_in_order_with_exit_code_0(new_host, number):
    host = new_host(configs.standard())
    Worker.create(host.v1).say('hello')
    host.signal(number)
    assert host.wait_exit() == 0
    host.stop()


@pytest.mark.tsan
def test_a_drain_lets_a_turn_end(new_host):
    host = new_host(configs.standard(model=configs.talks(n=60, delay_ms=10), drain_ms=60000))
    worker = Worker.create(host.v1)
    with worker.follow('go') as stream:
        stream.until('text.delta')
        host.signal()
        events = list(stream)
    assert [e.data['turn']['state'] for e in events if e.kind == 'turn.ended'] == ['completed']
    assert events[-1].kind == 'end'
    host.stop()


@pytest.mark.tsan
def test_a_drain_cancels_what_does_not_end_and_tells_the_watchers(new_host):
    host = new_host(configs.standard(model=configs.stalls(), drain_ms=400))
    worker, other = Worker.create(host.v1), Worker.create(host.v1)
    with worker.follow('go') as stream, other.events() as idle:
        stream.until('text.delta')
        idle.next_event()
        host.signal()
        (ended,) = [e for e in stream if e.kind == 'turn.ended']
        assert (ended.data['turn']['state'], ended.data['turn']['reason']) == \
            ('cancelled', 'shutting_down')
        end = idle.until('end')[-1].data
        assert end['reason'] == 'draining' and end['retryable'] is True and end['cursor']
        assert host.wait_exit() == 0
    host.stop()


def test_a_second_signal_ends_it_at_once(new_host):
    host = new_host(configs.standard(model=configs.stalls(), drain_ms=600000))
    worker = Worker.create(host.v1)
    worker.input('go')
    address = host.address('runtime')
    host.signal()
    wait.until(lambda: not accepts(address), what='the end of accepting')
    host.signal()
    assert host.wait_exit() in (128 + signal.SIGTERM, -signal.SIGTERM)
    host.proc = None


def accepts(address):
    try:
        wire.connect(address).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize('mode', ['late', 'hang'])
def test_a_runtime_that_drains_badly_does_not_hold_the_process(new_host, mode):
    host = new_host(configs.standard(runtimes=[
        configs.embedded('main'), configs.faulty('f', config={'drain': mode})], drain_ms=600))
    host.stop()


def test_streams_in_every_state_do_not_hold_the_process(new_host):
    host = new_host(configs.standard(
        runtimes=[configs.embedded('main'), configs.faulty('f')],
        ingresses=[configs.BROWSER, configs.ingress(configs.RUNTIME, runtime='f')]))
    socks = []
    for name in ('hang', 'deaf', 'trickle-1000', 'wakes', 'events-100000'):
        sock = wire.connect(host.address('runtime'))
        sock.sendall(wire.request_bytes('GET', f'/v1/workers/{name}/events', host.v1.headers(
            {'Accept': 'text/event-stream'})))
        socks.append(sock)
    host.v1.ok('GET', '/v1/workers/idle')
    host.stop()
    for sock in socks:
        sock.close()


def test_a_closed_connection_does_not_end_it(new_host):
    host = new_host(configs.standard(model=configs.talks(n=50, delay_ms=2)))
    for _ in range(10):
        worker = Worker.create(host.v1)
        stream = worker.follow('go')
        stream.sock.setsockopt(wire.socket.SOL_SOCKET, wire.socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
        stream.close()
    host.v1.ok('GET', '/v1/runtime')


def test_a_stopped_and_restarted_host_serves_again(new_host):
    host = new_host(configs.standard())
    for _ in range(2):
        assert Worker.create(host.v1).say('hello')['turn']['state'] == 'completed'
        host.restart()
    assert host.v1.ok('GET', '/v1/workers')['workers'] == [], 'memory is memory'


# ---- the start --------------------------------------------------------------

def test_listening_comes_before_ready_and_both_are_one_line_each(host):
    kinds = [e.get('msg') for e in host.entries() if e.get('msg') in ('listening', 'ready')]
    assert kinds == ['listening', 'listening', 'ready']


def test_a_port_that_is_taken_is_said_so(new_host):
    first = new_host(configs.standard())
    address = first.address('browser')
    second = new_host(configs.standard(ingresses=[
        configs.ingress(configs.BROWSER, listen=address)]), start=False)
    second.write()
    second.spawn()
    assert second.wait_exit() > 0
    assert 'in use' in second.log.lower() and address in second.log, second.log
    assert 'msg=ready' not in second.log
    second.proc = None
    assert first.api.get('/healthz').status == 200


def test_a_config_that_does_not_exist_is_said_so(tmp_path):
    done = run('serve', str(tmp_path / 'nothing.json'), folder=tmp_path)
    assert done.returncode == 1 and 'nothing.json' in done.stdout


def test_a_wrong_config_is_refused_with_every_finding(new_host):
    host = new_host('{ "plugin_path": ["x"],\n  "runtimes": [{"id": "A"}],\n  "wat": 1 }',
                    start=False)
    host.write()
    host.spawn()
    assert host.wait_exit() == 1
    assert 'wat' in host.log and ':2:' in host.log and ':3:' in host.log, host.log
    host.proc = None


def run(*args, folder, env=None, stdin=b'', seconds=60, prefix=()):
    """A short-lived yoi-host; its output is one text."""
    done = subprocess.run([*prefix, str(BINARY), *args], cwd=folder, env=environment(folder, env),
                          input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=wait.patience(seconds), check=False)
    done.stdout = done.stdout.decode('utf-8')
    assert 'Sanitizer' not in done.stdout, done.stdout
    return done


def bindable(port):
    with wire.socket.socket() as sock:
        sock.setsockopt(wire.socket.SOL_SOCKET, wire.socket.SO_REUSEADDR, 1)
        try:
            sock.bind(('127.0.0.1', port))
        except OSError:
            return False
        return True


def free_within(port, seconds):
    """Whether somebody keeps the port shows at the start: it is among those of the
    kernel's clients, who may also take it meanwhile."""
    end = time.monotonic() + seconds
    while not bindable(port) and time.monotonic() < end:
        threading.Event().wait(0.05)  # a caller's own patience


def test_without_a_config_the_default_serves(new_host):
    with open('/tmp/yoi-port-38800.lock', 'w', encoding='ascii') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        free_within(38800, 20)
        host = new_host(None, start=False, env={'OPENAI_API_KEY': 'changes-nothing-alone'})
        try:
            host.start()
        except AssertionError:
            assert host.wait_exit() == 3, host.log
            assert '127.0.0.1:38800' in host.log and 'address in use' in host.log
            host.proc = None
            return
        assert host.addresses == {'browser': ['127.0.0.1:38800']}
        rows = host.api.ok('GET', '/api/runtimes')['runtimes']
        assert [r['runtime_id'] for r in rows] == ['backend-internal']
        worker = Worker.create(host.api, '/api/runtimes/backend-internal')
        spec = worker.get()['spec']
        assert spec['profile'] and 'companion' in str(spec['profile'])
        out = worker.say('hello')
        said = out['message']['content'][0]['text']
        assert out['turn']['state'] == 'completed'
        assert 'no language model' in said and \
            'OPENAI_BASE_URL=http://127.0.0.1:11434/v1 make run' in said, said
        host.stop()


# ---- what it does not touch --------------------------------------------------

def files_below(folder):
    return {str(p.relative_to(folder)): (p.stat().st_size, p.stat().st_mtime_ns)
            for p in pathlib.Path(folder).rglob('*')}


def quiet_config(**keys):
    return {'plugin_path': PLUGIN_PATH, 'runtimes': [configs.embedded()], 'ingress': [],
            'models': [configs.script()], **keys}


def test_embedded_alone_and_no_ingress_opens_no_socket_and_writes_no_file(new_host, tmp_path):
    host = new_host(quiet_config())
    before = files_below(tmp_path)
    held = descriptors(host.pid)
    assert not sockets(host.pid), held
    writable = [d for d in held if d.startswith('/') and d != '/dev/null']
    assert not writable, writable
    assert listening_inodes(host.pid) == set()
    host.stop()
    assert files_below(tmp_path) == before


def listening_inodes(pid):
    """Sockets of /proc/net that this process holds."""
    mine = {d[8:-1] for d in sockets(pid)}
    found = set()
    for name in ('tcp', 'tcp6', 'udp', 'udp6', 'unix'):
        for line in pathlib.Path(f'/proc/{pid}/net/{name}').read_text().splitlines()[1:]:
            found |= mine & set(line.split())
    return found


@pytest.mark.skipif(SANITIZED, reason='a sanitizer writes and traces for itself')
def test_a_whole_conversation_without_ingress_makes_no_socket_and_no_file(tmp_path):
    """Each system call of the process and its threads is seen by strace, so nothing hides
    between two looks."""
    strace = shutil.which('strace')
    if not strace:
        pytest.skip('strace is not here')
    config = tmp_path / 'yoi.json'
    config.write_text(wire.json.dumps(quiet_config()))
    trace = tmp_path / 'trace'
    done = run('chat', str(config), '--json', folder=tmp_path, stdin=b'hello\nagain\n', prefix=(
        strace, '-f', '-qq', '-e', 'trace=socket,socketpair,open,openat,creat,mkdir,mkdirat,rename,'
        'unlink,unlinkat,bind,connect', '-o', str(trace)))
    if 'ptrace' in done.stdout and done.returncode:
        pytest.skip('this machine lets nobody trace')
    assert done.returncode == 0, done.stdout
    assert 'You said: hello' in done.stdout and 'You said: again' in done.stdout
    calls = trace.read_text()
    assert 'openat(' in calls, 'strace saw nothing'
    for line in calls.splitlines():
        assert ' socket' not in line and 'bind(' not in line and 'connect(' not in line, line
        assert 'O_CREAT' not in line and 'creat(' not in line and 'mkdir' not in line, line
        assert 'rename' not in line and 'unlink' not in line, line
        if 'O_WRONLY' in line or 'O_RDWR' in line:
            assert '/dev/null' in line or '/dev/tty' in line, line


def test_a_host_with_an_ingress_does_open_sockets(host):
    """The look of the test above finds what it looks for."""
    assert sockets(host.pid)
    assert listening_inodes(host.pid)


def test_no_descriptor_is_left_behind(new_host):
    host = new_host(configs.standard())

    def round_():
        worker = Worker.create(host.v1)
        worker.say('hello')
        with worker.events() as stream:
            stream.next_event()
        worker.stop()
        worker.delete()
        host.v1.get('/v1/nothing')

    round_()
    wait.until(lambda: len(descriptors(host.pid)) < 60, what='a settled process')
    count = len(descriptors(host.pid))
    for _ in range(20):
        round_()
    wait.until(lambda: len(descriptors(host.pid)) <= count, what='descriptors as at first')


def test_the_token_is_not_on_the_command_line_nor_in_the_log(host):
    line = pathlib.Path(f'/proc/{host.pid}/cmdline').read_bytes()
    assert TOKEN.encode() not in line and TOKEN not in host.log


def test_logs_can_be_json(new_host):
    host = new_host(configs.standard(log={'format': 'json'}))
    Client(host.address('runtime'), TOKEN).get('/v1/workers/nobody')
    host.stop()
    lines = host.log.splitlines()
    assert len(lines) >= 5
    for line in lines:
        entry = wire.json.loads(line)
        assert {'time', 'level', 'msg'} <= set(entry), entry
