"""Requests that no honest client sends: each gets its answer, the server stays.

What RFC 9112 leaves to the application is refused with 400 and a close, since
two readers of one stream of bytes must never see different requests in it.
After every probe the same server answers an ordinary request.
"""
import pytest

from lib import configs, wait, wire
from lib.tables import LIMIT
from lib.worker import Worker

HOST = 'HOSTNAME'
GET = f'GET /v1/runtime HTTP/1.1\r\nHost: {HOST}\r\n'
POST = f'POST /v1/workers HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n'


@pytest.fixture(scope='module')
def short(module_host):
    """A host with short deadlines; that of idle connections is one of a listener of its own,
    since a test may take any time from its connection to its first byte."""
    return module_host(configs.standard(ingresses=[
        configs.BROWSER, configs.ingress(configs.BROWSER, idle_ms=400),
        configs.ingress(configs.RUNTIME, header_ms=400, body_ms=400, write_ms=400)],
        loops=1))


def send(host, text, end=b'', seconds=20):
    """The answer to raw bytes and what came behind it."""
    address = host.address('runtime')
    data = text if isinstance(text, bytes) else text.encode('latin-1')
    data = data.replace(HOST.encode(), address.encode())
    auth = f'Authorization: Bearer {host.v1.token}\r\n'.encode()
    data = data.replace(b'\r\n', b'\r\n' + auth, 1) if data.startswith((b'GET', b'POST')) else data
    with wire.connect(address, seconds) as sock:
        sock.sendall(data + end)
        reader = wire.Reader(sock, seconds)
        r = wire.read_response(reader)
        r.rest = reader.rest() if r.header('connection') == 'close' else None
        return r


def still_there(host):
    host.v1.ok('GET', '/v1/runtime', status=200)


BAD = {
    'two-lengths': POST + 'Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x',
    'two-equal-lengths': POST + 'Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}',
    'a-list-of-lengths': POST + 'Content-Length: 2, 2\r\n\r\n{}',
    'both-framings': POST + 'Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n'
                            '2\r\n{}\r\n0\r\n\r\n',
    'both-framings-reversed': POST + 'Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n'
                                     '2\r\n{}\r\n0\r\n\r\n',
    'a-signed-length': POST + 'Content-Length: +2\r\n\r\n{}',
    'a-negative-length': POST + 'Content-Length: -2\r\n\r\n{}',
    'a-hexadecimal-length': POST + 'Content-Length: 0x2\r\n\r\n{}',
    'an-empty-length': POST + 'Content-Length:\r\n\r\n{}',
    'a-huge-length': POST + 'Content-Length: 99999999999999999999999\r\n\r\n',
    'an-unknown-coding': POST + 'Transfer-Encoding: gzip\r\n\r\n',
    'chunked-twice': POST + 'Transfer-Encoding: chunked, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n',
    'chunked-not-last': POST + 'Transfer-Encoding: chunked, gzip\r\n\r\n2\r\n{}\r\n0\r\n\r\n',
    'chunked-misspelt': POST + 'Transfer-Encoding: xchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n',
    'a-bad-chunk-size': POST + 'Transfer-Encoding: chunked\r\n\r\nz\r\n{}\r\n0\r\n\r\n',
    'a-negative-chunk': POST + 'Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n',
    'a-chunk-with-0x': POST + 'Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n',
    'a-chunk-without-its-end': POST + 'Transfer-Encoding: chunked\r\n\r\n2\r\n{}x0\r\n\r\n',
    'a-chunk-that-overflows': POST + 'Transfer-Encoding: chunked\r\n\r\n'
                                     'fffffffffffffffff\r\n{}\r\n0\r\n\r\n',
    'a-folded-line': GET + 'X-A: b\r\n c\r\n\r\n',
    'a-folded-line-with-a-tab': GET + 'X-A: b\r\n\tc\r\n\r\n',
    'a-space-before-the-colon': GET + 'X-A : b\r\n\r\n',
    'a-space-before-the-first-field': 'GET /v1/runtime HTTP/1.1\r\n Host: x\r\n\r\n',
    'a-nul-in-a-value': GET + 'X-A: b\0c\r\n\r\n',
    'a-nul-in-a-name': GET + 'X\0A: b\r\n\r\n',
    'a-bare-cr-in-a-value': GET + 'X-A: b\rc\r\n\r\n',
    'bare-line-feeds': f'GET /v1/runtime HTTP/1.1\nHost: {HOST}\n\n',
    'one-bare-line-feed': GET + 'X-A: b\nX-C: d\r\n\r\n',
    'a-field-without-a-colon': GET + 'nonsense\r\n\r\n',
    'an-empty-name': GET + ': b\r\n\r\n',
    'an-odd-name': GET + 'X(A): b\r\n\r\n',
    'no-host': 'GET /v1/runtime HTTP/1.1\r\nX-A: b\r\n\r\n',
    'two-hosts': GET + f'Host: {HOST}\r\n\r\n',
    'a-bad-host': 'GET /v1/runtime HTTP/1.1\r\nHost: a b\r\n\r\n',
    'an-unknown-method': GET.replace('GET', 'FROB') + '\r\n',
    'a-lower-case-method': GET.replace('GET', 'get') + '\r\n',
    'a-space-in-the-target': GET.replace('/v1/runtime', '/v1/run time') + '\r\n',
    'a-tab-in-the-target': GET.replace('/v1/runtime', '/v1/run\ttime') + '\r\n',
    'a-nul-in-the-target': GET.replace('/v1/runtime', '/v1/run\0time') + '\r\n',
    'an-unknown-version': GET.replace('HTTP/1.1', 'HTTP/1.2') + '\r\n',
    'version-two': GET.replace('HTTP/1.1', 'HTTP/2.0') + '\r\n',
    'version-nine': GET.replace('HTTP/1.1', 'HTTP/0.9') + '\r\n',
    'another-protocol': GET.replace('HTTP/1.1', 'ICE/1.0') + '\r\n',
    'a-lower-case-version': GET.replace('HTTP/1.1', 'http/1.1') + '\r\n',
    'no-version': f'GET /v1/runtime\r\nHost: {HOST}\r\n\r\n',
    'a-tls-hello': b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + b'\x00' * 200 + b'\r\n\r\n',
    'noise': bytes(range(128, 256)) * 4 + b'\r\n\r\n',
    'an-unknown-expectation': POST + 'Content-Length: 2\r\nExpect: 200-ok\r\n\r\n{}',
    'chunked-in-version-1.0': POST.replace('HTTP/1.1', 'HTTP/1.0')
                              + 'Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n',
}


@pytest.mark.parametrize('name', BAD)
def test_a_request_that_can_be_read_in_two_ways_is_refused_and_closed(host, name):
    r = send(host, BAD[name])
    assert r.status in (400, 413), r
    assert r.code in ('invalid_request', 'payload_too_large'), r
    assert r.header('connection') == 'close' and r.rest == b'', 'nothing behind it is a request'
    still_there(host)


def test_nothing_behind_a_close_is_answered(host):
    r = send(host, GET + 'Connection: close\r\n\r\n' + GET + '\r\n')
    assert r.status == 200 and r.rest == b''


def test_a_smuggled_request_is_never_answered(host):
    """Whoever believes in the other framing would see a second request here."""
    inner = GET + '\r\n'
    for text in (POST + f'Content-Length: {len(inner) + 5}\r\nTransfer-Encoding: chunked\r\n\r\n'
                 '0\r\n\r\n' + inner,
                 POST + f'Content-Length: 0\r\nContent-Length: {len(inner)}\r\n\r\n' + inner):
        r = send(host, text)
        assert r.status == 400 and r.rest == b'', r


def test_headers_over_their_limits_are_header_too_large(host):
    many = ''.join(f'X-{n}: y\r\n' for n in range(LIMIT['YOI_HTTP_HEADERS_MAX'] + 1))
    long_ = 'X-A: ' + 'y' * LIMIT['YOI_HTTP_HEADER_BYTES_MAX'] + '\r\n'
    target = '/v1/runtime?x=' + 'y' * (LIMIT['YOI_HTTP_TARGET_MAX'] + 1)
    for text in (GET + many + '\r\n', GET + long_ + '\r\n',
                 GET.replace('/v1/runtime', target) + '\r\n'):
        r = send(host, text)
        assert r.status == 431 and r.code == 'header_too_large', r
    still_there(host)


def test_a_header_without_an_end_is_cut_off_at_its_limit(host):
    with wire.connect(host.address('runtime')) as sock:
        sock.sendall(b'GET / HTTP/1.1\r\nX-A: ')
        sent = 0
        try:
            for _ in range(1000):
                sent += sock.send(b'y' * 4096)
        except OSError:
            pass
        else:
            reader = wire.Reader(sock)
            assert wire.read_response(reader).status == 431
    still_there(host)


@pytest.mark.parametrize('text', [b'', b'G', b'GET / HTTP/1.1\r\nHost: x\r\nX-A'])
def test_a_slow_header_is_request_timeout_and_a_silent_connection_is_closed(short, text):
    with wire.connect(short.address('runtime') if text else short.addresses['browser'][1]) as sock:
        sock.sendall(text)
        reader = wire.Reader(sock)
        if text:
            r = wire.read_response(reader)
            assert r.status == 408 and r.code == 'request_timeout'
        assert reader.rest() == b''
    still_there(short)


def test_a_header_that_drips_does_not_move_its_deadline(short):
    data = b'GET /v1/runtime HTTP/1.1\r\n' + b'X: y\r\n' * 1000
    with wire.connect(short.address('runtime')) as sock:
        status = []

        def drip():
            sock.settimeout(0.02)
            try:
                sock.sendall(data[drip.at:drip.at + 1])
                drip.at += 1
                got = sock.recv(4096)
            except TimeoutError:
                return False
            except OSError:
                return True
            status.append(got)
            return True
        drip.at = 0
        wait.until(drip, 10, 'the answer to a header that drips')
        assert not status or status[0] == b'' or b' 408 ' in status[0]
    still_there(short)


def test_a_slow_body_is_request_timeout(short):
    with wire.connect(short.address('runtime')) as sock:
        head = wire.request_bytes('POST', '/v1/workers', short.v1.headers(
            {'Content-Length': '100', 'Content-Type': 'application/json', 'Connection': None}))
        sock.sendall(head + b'{"display')
        reader = wire.Reader(sock)
        r = wire.read_response(reader)
        assert r.status == 408 and r.code == 'request_timeout' and reader.rest() == b''
    still_there(short)


def test_a_reader_that_takes_nothing_is_closed(short):
    """The kernel keeps what it took, so the look is at what the server counts."""
    worker = Worker.create(short.v1)
    for _ in range(8):
        worker.say('y' * 200000)

    def answers():
        return short.metric('yoi_http_request_duration_seconds_count', surface='runtime',
                            status='2xx')
    before = answers()
    one = wire.request_bytes('GET', worker.path + '/transcript',
                             short.v1.headers({'Connection': None}))
    with wire.socket.socket() as sock:
        sock.setsockopt(wire.socket.SOL_SOCKET, wire.socket.SO_RCVBUF, 2048)
        host, port = short.address('runtime').split(':')
        sock.connect((host, int(port)))
        sock.sendall(one * 8)  # whose answers no socket holds
        wait.until(lambda: answers() > before and
                   short.metric('yoi_http_connections', surface='runtime') == 0,
                   what='the end of a connection that reads nothing')
        reader = wire.Reader(sock)
        with pytest.raises((wire.Closed, ConnectionResetError)):
            for _ in range(8):
                wire.read_response(reader)
    still_there(short)


def test_a_pipeline_is_answered_in_order(host):
    with wire.connect(host.address('runtime')) as sock:
        reader = wire.Reader(sock)
        paths = ['/v1/runtime', '/v1/workers/nobody', '/v1/nothing'] * 20
        keep = host.v1.headers({'Connection': None})
        sock.sendall(b''.join(wire.request_bytes('GET', p, keep) for p in paths))
        got = [wire.read_response(reader).status for _ in paths]
    assert got == [200, 404, 404] * 20


def test_a_request_may_come_byte_by_byte(host):
    data = wire.request_bytes('GET', '/v1/runtime', host.v1.headers())
    with wire.connect(host.address('runtime')) as sock:
        for n in range(len(data)):
            sock.sendall(data[n:n + 1])
        assert wire.read_response(wire.Reader(sock)).status == 200


def test_an_expectation_is_met_before_the_body(host):
    body = b'{}'
    head = wire.request_bytes('POST', '/v1/workers', host.v1.headers(
        {'Expect': '100-continue'}, body))
    with wire.connect(host.address('runtime')) as sock:
        reader = wire.Reader(sock)
        sock.sendall(head)
        assert reader.until(b'\r\n\r\n').startswith(b'HTTP/1.1 100')
        sock.sendall(body)
        assert wire.read_response(reader).status == 201


def test_a_body_that_is_too_large_is_refused_instead_of_continued(host):
    head = wire.request_bytes('POST', '/v1/workers', host.v1.headers(
        {'Expect': '100-continue', 'Content-Length': '999999999',
         'Content-Type': 'application/json'}))
    with wire.connect(host.address('runtime')) as sock:
        sock.sendall(head)
        r = wire.read_response(wire.Reader(sock))
        assert r.status == 413 and r.code == 'payload_too_large' and not r.interim


def test_an_upgrade_is_ignored(host):
    r = send(host, GET + 'Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    assert r.status == 200
    still_there(host)


def test_connections_are_limited(new_host):
    few = new_host(configs.standard(ingresses=[
        configs.BROWSER, configs.ingress(configs.RUNTIME, connections=4)]))
    socks = [wire.connect(few.address('runtime')) for _ in range(4)]
    for sock in socks:
        sock.sendall(wire.request_bytes('GET', '/v1/runtime', few.v1.headers({'Connection': None})))
        assert wire.read_response(wire.Reader(sock)).status == 200
    with wire.connect(few.address('runtime')) as fifth:
        reader = wire.Reader(fifth)
        try:
            fifth.sendall(wire.request_bytes('GET', '/v1/runtime', few.v1.headers()))
            r = wire.read_response(reader)
            assert r.status == 429 and r.code == 'limit_reached'
        except (wire.Closed, ConnectionResetError, BrokenPipeError):
            pass
    for sock in socks:
        sock.close()
    wait.until(lambda: works(few), what='a place that is free again')


def works(host):
    try:
        return host.v1.get('/v1/runtime').status == 200
    except (wire.Closed, OSError):
        return False


def test_a_crowd_that_leaves_in_the_middle_leaves_nothing(host):
    for n in range(200):
        sock = wire.connect(host.address('runtime'))
        sock.sendall(wire.request_bytes('GET', '/v1/runtime', host.v1.headers())[:n])
        sock.close()
    still_there(host)
