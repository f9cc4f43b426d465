"""Hard clients of HTTP: slow, greedy, in a hurry, gone; the server stays up.

What is malformed stands in test_hostile.py; here it is well-formed and hard.
The deadlines of the listener are 300 ms, so that slow clients are met within
the bounds of a test; that of idle connections is one of a listener of its own,
since a test may take any time between a connection and what it sends. The
runtime is the one that fails on request, since it also is late, silent or
endless on request.
"""
import concurrent.futures
import itertools
import socket
import time

import pytest

from lib import configs, wait, wire
from lib.host import TOKEN
from lib.sse import Stream

FAST = {'header_ms': 300, 'body_ms': 300, 'write_ms': 300, 'heartbeat_ms': 100}
IDLE_MS = 900
V1 = f'Host: a\r\nAuthorization: Bearer {TOKEN}\r\n'
JSON = 'Content-Type: application/json\r\n'


def faulty_host(new, ingress=None, **keys):
    return new(configs.standard(
        runtimes=[configs.faulty('faulty', deadline_ms=5000)],
        ingresses=[configs.BROWSER, configs.ingress(configs.BROWSER, idle_ms=IDLE_MS),
                   configs.ingress(configs.RUNTIME, runtime='faulty', **FAST, **(ingress or {}))],
        **keys))


@pytest.fixture(scope='module')
def quick(module_host):
    return faulty_host(module_host)


@pytest.fixture
def at(quick):
    """The address; afterwards the server must still answer."""
    yield quick.address('runtime')
    assert quick.v1.get('/v1/runtime').status == 200
    assert quick.alive()


def send(address, text, n=1):
    """n responses on one connection, and what came behind them."""
    with wire.connect(address) as sock:
        sock.sendall(text if isinstance(text, bytes) else text.encode('latin-1'))
        reader = wire.Reader(sock)
        return [wire.read_response(reader) for _ in range(n)], reader.rest()


GET = f'GET /v1/runtime HTTP/1.1\r\n{V1}'
POST = f'POST /v1/workers HTTP/1.1\r\n{V1}{JSON}'
CHUNKED = POST + 'Transfer-Encoding: chunked\r\n\r\n'
@pytest.mark.parametrize('text,status,code', [
    (GET + 'X: ' + 'x' * 16384 + '\r\n\r\n', 431, 'header_too_large'),
    (GET + 'X: y\r\n' * 70 + '\r\n', 431, 'header_too_large'),
    (GET + 'X: y\r\n' * 1_000_000, 431, 'header_too_large'),
    (GET.replace('runtime', 'x' * 9000) + '\r\n', 431, 'header_too_large'),
    ('GET /' + 'x' * 70000, 431, 'header_too_large'),
    (POST + 'Content-Length: 70000\r\n\r\n', 413, 'payload_too_large'),
    (POST + 'Content-Length: 99999999999999999999\r\n\r\n', 413, 'payload_too_large'),
    (CHUNKED + 'fffffff\r\n', 413, 'payload_too_large')],
    ids=['field', 'fields', 'endless', 'target', 'line', 'length', 'huge length', 'chunk'])
def test_what_is_too_large_is_refused_before_it_is_read(at, text, status, code):
    with wire.connect(at) as sock:
        try:
            sock.sendall(text.encode())
        except (ConnectionResetError, BrokenPipeError):
            pass
        r = wire.read_response(wire.Reader(sock))
    assert r.status == status and r.code == code, r


def test_a_request_may_come_byte_by_byte(quick):
    body = b'{"worker_id":"idle"}'
    data = wire.request_bytes('POST', '/api/runtimes/faulty/workers',
                              quick.api.headers(None, body), body)
    with wire.connect(quick.address('browser')) as sock:
        for i in range(len(data)):
            sock.sendall(data[i:i + 1])
        assert wire.read_response(wire.Reader(sock)).status == 201


# ---- many requests on a connection -----------------------------------------

def numbered(path, n, more=''):
    return f'GET {path} HTTP/1.1\r\n{V1}X-Request-Id: n{n}\r\n{more}\r\n'


def test_pipelined_requests_are_answered_in_order(at):
    paths = ['/v1/runtime', '/v1/workers/idle', '/v1/nothing', '/v1/workers/late']
    sent = [numbered(paths[n % (4 if n % 20 == 3 else 3)], n) for n in range(100)]
    answers, _ = send(at, ''.join(sent) + numbered('/v1/runtime', 100, 'Connection: close\r\n'),
                      101)
    assert [r.header('x-request-id') for r in answers] == [f'n{n}' for n in range(101)]
    assert {r.status for r in answers} == {200, 404}


def test_bodies_stand_between_pipelined_requests(at):
    body = '{"worker_id":"idle"}'
    one = f'{POST}Content-Length: {len(body)}\r\n\r\n{body}'
    chunked = f'{CHUNKED}{len(body):x}\r\n{body}\r\n0\r\nTrailer: x\r\n\r\n'
    answers, _ = send(at, (one + chunked) * 5 + numbered('/v1/runtime', 1, 'Connection: close\r\n'),
                      11)
    assert [r.status for r in answers] == [201] * 10 + [200]


def test_a_refused_request_with_its_body_does_not_end_the_connection(at):
    wrong = POST.replace('application/json', 'text/plain') + 'Content-Length: 2\r\n\r\n{}'
    answers, _ = send(at, wrong + numbered('/v1/runtime', 2, 'Connection: close\r\n'), 2)
    assert [r.status for r in answers] == [415, 200]


def test_http_1_0_is_answered_and_closed(at):
    (r,), rest = send(at, GET.replace('1.1', '1.0').replace('Host: a\r\n', '') + '\r\n')
    assert r.status == 200 and rest == b''


def test_other_forms_of_a_target(at):
    (r,), _ = send(at, GET.replace('/v1', 'http://other:1/v1') + 'Connection: close\r\n\r\n')
    assert r.status == 200
    (r,), _ = send(at, f'OPTIONS * HTTP/1.1\r\n{V1}Connection: close\r\n\r\n')
    assert r.status == 405 and r.header('allow')
    (r,), rest = send(at, f'CONNECT a:443 HTTP/1.1\r\n{V1}\r\nGET / HTTP/1.1\r\n\r\n')
    assert r.status == 405 and rest == b''


def test_a_client_that_shuts_its_side_gets_its_answer(at):
    with wire.connect(at) as sock:
        sock.sendall(numbered('/v1/workers/late', 1).encode())
        sock.shutdown(socket.SHUT_WR)
        reader = wire.Reader(sock)
        assert wire.read_response(reader).status == 200 and reader.rest() == b''


# ---- Expect -----------------------------------------------------------------

def expecting(length):
    return f'{POST}Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n'


@pytest.mark.parametrize('text,status', [
    (expecting(70000), 413), (expecting(2).replace('/v1/workers', '/v1/nothing'), 404),
    (expecting(2).replace('Bearer', 'Basic'), 401),
    (expecting(2).replace('application/json', 'text/plain'), 415)])
def test_a_body_that_is_not_wanted_is_not_asked_for(at, text, status):
    (r,), rest = send(at, text)
    assert r.status == status and r.interim == [] and rest == b''


# ---- slow clients -------------------------------------------------------------

def drip(address, first, then, every=0.05):
    """Sends `then` byte by byte, and again, until an answer comes; how long that took."""
    begin = time.monotonic()
    with wire.connect(address) as sock:
        sock.sendall(first.encode())
        reader = wire.Reader(sock)
        sock.settimeout(every)
        for byte in itertools.islice(itertools.cycle(then.encode()), 900):
            try:
                reader.buf = sock.recv(65536)
                break
            except TimeoutError:
                sock.sendall(bytes([byte]))
        assert reader.buf, 'a slow client is let be'
        sock.settimeout(wait.patience(5))
        return wire.read_response(reader), time.monotonic() - begin


def test_a_header_has_a_deadline_as_a_whole(at):
    r, took = drip(at, 'GET /v1/runtime HTTP/1.1\r\n', 'X: y\r\n')
    assert r.status == 408 and r.code == 'request_timeout' and took >= 0.3


def test_a_body_has_a_deadline_as_a_whole(at):
    r, took = drip(at, POST + 'Content-Length: 1000\r\n\r\n', ' ')
    assert r.status == 408 and r.code == 'request_timeout' and took >= 0.3
    r, _ = drip(at, CHUNKED, '1\r\n \r\n')
    assert r.status == 408


def test_an_idle_connection_is_closed_without_a_word(quick):
    _, address = quick.addresses['browser']
    begin = time.monotonic()
    with wire.connect(address) as sock:
        assert wire.Reader(sock).rest() == b''
    assert time.monotonic() - begin >= IDLE_MS / 1000

    def ask():
        with wire.connect(address) as sock:
            reader = wire.Reader(sock)
            sock.sendall(numbered('/healthz', 1).encode())
            assert wire.read_response(reader).status == 200
            assert reader.rest() == b''
            return True
    wait.until(lambda: in_time(ask), what='a request before it is idle for too long')


def test_waiting_for_an_answer_is_not_idling(quick):
    client = wire.Client(quick.addresses['browser'][1])

    def ask():
        return client.get('/api/runtimes/faulty/workers/hang?timeout=1.5')
    r = wait.until(lambda: in_time(ask), what='a request before it is idle for too long')
    assert r.status == 504 and r.code == 'timeout'


def in_time(ask):
    """None when the connection was closed instead: as may be, while nothing was sent."""
    try:
        return ask()
    except (wire.Closed, OSError):
        return None


def test_a_reader_that_takes_nothing_is_closed(quick, at):
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        host, port = at.rsplit(':', 1)
        sock.connect((host, int(port)))
        before, begin = quick.metric('yoi_http_streams_total', surface='runtime'), time.monotonic()
        sock.sendall(f'GET /v1/workers/events-100000/events HTTP/1.1\r\n{V1}'
                     'Accept: text/event-stream\r\n\r\n'.encode())
        # Nothing is read: the kernel keeps some of it, and the server knows the end.
        wait.until(lambda: quick.metric('yoi_http_streams_total', surface='runtime') > before and
                   quick.metric('yoi_http_streams', surface='runtime') == 0,
                   what='the end of a stream whose reader stalls')
        assert time.monotonic() - begin >= FAST['write_ms'] / 1000
        with pytest.raises((wire.Closed, ConnectionResetError)):
            reader = wire.Reader(sock)
            wire.read_head(reader)
            for _ in wire.chunks(reader):
                pass
    assert quick.v1.get('/v1/workers/idle').status == 200


def test_a_slow_reader_that_reads_gets_everything(quick, at):
    """Its socket is full now and then. It may not be stopped for write_ms, which a loaded
    machine does: so these are the usual ones."""
    with Stream(quick.api, '/api/runtimes/faulty/workers/events-10000/events') as stream:
        events = []
        for event in stream:
            events.append(event)
            if len(events) % 50 == 0:
                time.sleep(0.005)  # slow, that is
    assert len(events) == 10001 and events[-1].kind == 'end'
    assert [e.id for e in events[:-1]] == [f'c-{n}' for n in range(1, 10001)]


# ---- streams -------------------------------------------------------------------

def test_a_quiet_stream_gets_its_head_and_comments(quick, at):
    with Stream(quick.v1, '/v1/workers/hang/events') as stream:
        assert stream.head.status == 200
        assert stream.wait_comment() and stream.wait_comment()
        assert stream.parser.retry == 1000


def test_a_stream_leaves_the_connection_for_the_next_request(at):
    events = f'GET /v1/workers/events-3/events HTTP/1.1\r\n{V1}\r\n'
    answers, _ = send(at, events + numbered('/v1/runtime', 2)
                      + events.replace('1.1', '1.0') + numbered('/v1/runtime', 3), 3)
    assert answers[0].body.count(b'event: ') == 4 and answers[1].status == 200
    assert answers[2].body == answers[0].body and answers[2].header('connection') == 'close'


def test_a_head_of_a_stream_is_a_head(at):
    _, answer = send(at, f'HEAD /v1/workers/hang/events HTTP/1.1\r\n{V1}Connection: close\r\n\r\n',
                     0)
    assert answer.startswith(b'HTTP/1.1 200 ') and answer.endswith(b'\r\n\r\n')
    assert b'text/event-stream' in answer and b'retry' not in answer


def test_watchers_that_leave_make_room(new_host):
    host = faulty_host(new_host, {'streams': 2})
    path = '/v1/workers/hang/events'
    with Stream(host.v1, path), Stream(host.v1, path):
        with Stream(host.v1, path) as third:
            assert third.head.status == 429 and third.head.code == 'limit_reached'
        assert host.v1.get('/v1/workers/idle').status == 200

    def again():
        with Stream(host.v1, path) as stream:
            return stream.head.status == 200
    wait.until(again, 5, 'a place for a watcher')


# ---- a runtime that does not keep to one line ------------------------------------

@pytest.mark.parametrize('worker', ['lines', 'no-object'])
def test_a_result_that_is_no_line_of_json_is_internal(quick, at, worker):
    for client, path in ((quick.v1, '/v1'), (quick.api, '/api/runtimes/faulty')):
        client.refused('GET', f'{path}/workers/{worker}', 500, 'internal')


def test_an_event_of_two_lines_ends_the_stream_and_makes_no_frame(quick, at):
    with Stream(quick.v1, '/v1/workers/events-2.frame/events') as stream:
        events = list(stream)
    assert [e.kind for e in events] == ['text.delta', 'text.delta', 'end']
    assert events[-1].data['code'] == 'internal'
    path = '/v1/workers/events-2.frame/events?wait=2'
    batch = quick.v1.ok('GET', path, headers={'Accept': 'application/json'})
    assert [e['event'] for e in batch['events']] == ['text.delta'] * 2


# ---- limits of a listener ----------------------------------------------------------

def test_above_the_limit_of_connections_there_is_limit_reached(new_host):
    host = faulty_host(new_host, {'connections': 3})
    address = host.address('runtime')
    held = [wire.connect(address) for _ in range(3)]
    try:
        for sock in held:  # it is accepted once it is answered
            sock.sendall(numbered('/healthz', 1).encode())
            assert wire.read_response(wire.Reader(sock)).status == 200
        with wire.connect(address) as sock:
            reader = wire.Reader(sock)
            r = wire.read_response(reader)
            assert r.status == 429 and r.code == 'limit_reached' and reader.rest() == b''
    finally:
        for sock in held:
            sock.close()
    wait.until(lambda: host.v1.get('/v1/runtime').status == 200, 5, 'a place for a connection')


def test_without_descriptors_it_sheds_connections_and_recovers(new_host):
    host = faulty_host(new_host)
    host.stop()
    host.allow_log.append('no descriptor left')
    host.argv = ['/usr/bin/prlimit', '--nofile=64:64', '--', *host.argv]
    host.start()
    address = host.address('runtime')
    held = []
    try:
        for _ in range(120):
            held.append(wire.connect(address))
        host.line(lambda s: 'no descriptor left' in s, 10, 'what happened')
    finally:
        for sock in held:
            sock.close()

    def answers():
        try:
            return host.v1.get('/v1/runtime').status == 200
        except (wire.Closed, OSError):
            return False
    wait.until(answers, 10, 'an answer after the storm')


def test_many_hostile_clients_at_once_delay_nobody(quick, at):
    texts = [GET + 'X: a\r\n b\r\n\r\n', CHUNKED + 'zz\r\n', GET.replace('\r\n', '\n') + '\n',
             POST + 'Content-Length: 1000\r\n\r\n{', '\x16\x03\x01\x02\x00\x01' + 'x' * 100]

    def hostile(n):
        with wire.connect(at) as sock:
            sock.sendall(texts[n % len(texts)].encode('latin-1')[:n % 97 + 1])
        return 1
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(hostile, n) for n in range(400)]
        for _ in range(50):
            assert quick.v1.get('/v1/workers/idle').status == 200
        assert sum(job.result() for job in jobs) == 400


# ---- the end -------------------------------------------------------------------------

def test_a_drain_ends_connections_in_every_state(new_host):
    host = faulty_host(new_host)
    address = host.address('runtime')
    idle, half = wire.connect(address), wire.connect(address)
    half.sendall(b'GET /v1/runtime HT')
    hung = wire.connect(address)
    hung.sendall(numbered('/v1/workers/hang', 1).encode())
    with Stream(host.v1, '/v1/workers/hang/events') as stream:
        assert stream.head.status == 200
        host.stop(10)
        for sock in (idle, half, hung):
            sock.settimeout(wait.patience(5))
            try:
                sock.recv(65536)
            except ConnectionResetError:
                pass
            sock.close()
