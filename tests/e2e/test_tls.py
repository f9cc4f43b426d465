"""HTTPS: both surfaces, what is refused, hostile peers, and certificates that change."""
import concurrent.futures
import errno
import random
import socket
import ssl
import subprocess
import time

import pytest

from lib import configs, sample, wait, wire
from lib.host import TOKEN, Host, cpu_s, sockets
from lib.metrics import Metrics
from lib.pki import Authority, openssl, put
from lib.rekey import Rekeying
from lib.sse import Parser, Stream
from lib.wire import Address, Client
from lib.worker import Worker

TLS = {'certificate': 'secret:cert', 'key': 'secret:key', 'reload_ms': 100}
SECRETS = {**configs.SECRETS, 'cert': {'file': 'cert.pem'}, 'key': {'file': 'key.pem'}}


@pytest.fixture(scope='module')
def ca(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp('ca'))


@pytest.fixture(scope='module')
def leaf(ca):
    return ca.issue()


def config(**keys):
    limits = keys.pop('limits', {})
    return configs.standard(
        ingresses=[configs.ingress(configs.BROWSER, tls=TLS, **limits),
                   configs.ingress(configs.RUNTIME, tls=TLS, **limits)],
        local={'secrets': SECRETS}, **keys)


def given(host, certificate, key):
    put(host.etc / 'cert.pem', certificate)
    put(host.etc / 'key.pem', key)
    return host


def v1(host, context, source=None):
    return Client(Address(host.address('runtime'), context, source), TOKEN)


def api(host, context):
    return Client(Address(host.address('browser'), context))


@pytest.fixture(scope='module')
def served(module_host, leaf):
    return given(module_host(config(), start=False), *leaf).start()


@pytest.fixture(scope='module')
def short(module_host, leaf):
    """Short deadlines, each of listeners of its own, and one loop: a test may take any
    time for all else."""
    entries = [configs.ingress(entry, tls=TLS, **keys) for entry, keys in (
        (configs.RUNTIME, {'header_ms': 400, 'body_ms': 400}), (configs.RUNTIME, {'write_ms': 400}),
        (configs.BROWSER, {}), (configs.BROWSER, {'idle_ms': 400}))]
    return given(module_host(configs.standard(
        ingresses=entries, local={'secrets': SECRETS}, loops=1), start=False), *leaf).start()


# ---- it is the same API ------------------------------------------------------------------

def test_both_surfaces_over_tls(served, ca):
    context = ca.context()
    worker = Worker.create(v1(served, context))
    assert worker.say('hello')['turn']['state'] == 'completed'
    with Stream(v1(served, context), f'/v1/workers/{worker.id}/events',
                cursor=worker.born) as stream:
        assert stream.until('turn.ended')
    assert api(served, context).ok('GET', '/api/runtimes')['runtimes'][0]['runtime_id'] == 'main'
    assert 'YOI=https://127.0.0.1' in api(served, context).get('/').text
    Client(Address(served.address('runtime'), context)).refused('GET', '/v1/runtime', 401,
                                                                'unauthorized')


def test_curl_speaks_to_it_and_refuses_another_authority(served, ca, tmp_path):
    url = f'https://{served.address("browser")}/api/runtimes'
    done = subprocess.run(['curl', '-sS', '--max-time', '20', '--cacert', str(ca.file), url],
                          stdout=subprocess.PIPE, check=True)
    assert b'"main"' in done.stdout
    other = Authority(tmp_path / 'other')
    done = subprocess.run(['curl', '-sS', '--max-time', '20', '--cacert', str(other.file), url],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 60, done


@pytest.mark.parametrize('version', [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_12_and_13(served, ca, version):
    with wire.connect(Address(served.address('runtime'), ca.context(version, version))) as sock:
        assert sock.version() == version.name.replace('_', '.')
        assert sock.compression() is None


@pytest.mark.filterwarnings('ignore:ssl.TLSVersion.TLSv1_1')
def test_tls_11_is_refused(served, ca):
    context = ca.context()
    context.minimum_version = ssl.TLSVersion.TLSv1_1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers('DEFAULT@SECLEVEL=0')
    with pytest.raises(ssl.SSLError, match='(?i)alert.protocol.version'):
        wire.connect(Address(served.address('runtime'), context))
    assert v1(served, ca.context()).get('/v1/runtime').status == 200


@pytest.mark.parametrize('offer,chosen', [(['http/1.1'], 'http/1.1'), (['h2', 'http/1.1'],
                                          'http/1.1'), (None, None)])
def test_alpn_is_http_11(served, ca, offer, chosen):
    context = ca.context()
    if offer:
        context.set_alpn_protocols(offer)
    with wire.connect(Address(served.address('runtime'), context)) as sock:
        assert sock.selected_alpn_protocol() == chosen


def test_another_protocol_is_refused(served, ca):
    context = ca.context()
    context.set_alpn_protocols(['h2', 'imap'])
    with pytest.raises(ssl.SSLError, match='(?i)no.application.protocol'):
        wire.connect(Address(served.address('runtime'), context))


def test_an_origin_is_https(served, ca):
    client, address = api(served, ca.context()), served.address('browser')
    for origin, status in ((f'https://{address}', 201), (f'http://{address}', 403),
                           ('https://evil.example', 403)):
        r = client.post('/api/runtimes/main/workers', {}, headers={'Origin': origin})
        assert r.status == status, (origin, r)


def test_requests_behind_each_other_on_one_connection(served, ca):
    """Also those that come in one record, and while another is answered."""
    client = v1(served, ca.context())
    one = wire.request_bytes('GET', '/v1/runtime', client.headers({'Connection': None}))
    with wire.connect(client.address) as sock:
        reader = wire.Reader(sock)
        sock.sendall(one * 5)
        for _ in range(5):
            assert wire.read_response(reader).status == 200
        worker = Worker.create(client)
        say = wire.request_bytes(
            'POST', f'/v1/workers/{worker.id}/input?wait=20',
            client.headers({'Connection': None}, b'{"content":"x"}'), b'{"content":"x"}')
        sock.sendall(say)
        for _ in range(3):
            sock.sendall(one)
        for _ in range(4):
            assert wire.read_response(reader).status == 200
        sock.sendall(one)
        assert wire.read_response(reader).status == 200


def test_large_bodies_and_answers_in_many_records(served, ca):
    client = v1(served, ca.context())
    worker = Worker.create(client)
    text = 'x\u00e4' * 60000
    assert worker.say(text)['turn']['state'] == 'completed'
    items = client.ok('GET', f'/v1/workers/{worker.id}/transcript')['transcript']['items']
    assert text in str(items)


def test_the_end_is_a_close_notify(served, ca):
    client = v1(served, ca.context())
    with wire.connect(client.address) as sock:
        sock.sendall(wire.request_bytes('GET', '/v1/runtime', client.headers()))
        reader = wire.Reader(sock)
        assert wire.read_response(reader).status == 200
        # Without it the ssl module raises: the stream may have been cut.
        assert sock.suppress_ragged_eofs is True
        sock.suppress_ragged_eofs = False
        assert sock.recv(1) == b''


def test_a_client_that_closes_its_half_gets_its_answer(served, ca):
    """Its close_notify says that it sends no more, not that it reads no more."""
    client = v1(served, ca.context())
    worker = Worker.create(client)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    end = ca.context().wrap_bio(incoming, outgoing, server_hostname='localhost')
    with wire.connect(str(client.address)) as sock:
        def step(do):
            while True:
                try:
                    return do()
                except ssl.SSLWantReadError:
                    sock.sendall(outgoing.read())
                    data = sock.recv(65536)
                    incoming.write(data) if data else incoming.write_eof()
        step(end.do_handshake)
        end.write(wire.request_bytes('GET', f'/v1/workers/{worker.id}', client.headers()))
        with pytest.raises(ssl.SSLWantReadError):
            end.unwrap()
        assert step(lambda: end.read(65536)).startswith(b'HTTP/1.1 200 OK')


def test_tickets_resume_a_session(served, ca):
    context = ca.context(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)
    address = Address(served.address('runtime'), context)
    with wire.connect(address) as sock:
        session = sock.session
    host, port = address.split(':')
    with socket.create_connection((host, int(port))) as raw, \
            context.wrap_socket(raw, server_hostname='localhost', session=session) as sock:
        assert sock.session_reused


# ---- peers that mean no good -----------------------------------------------------------------

def test_plain_http_is_told_to_use_tls(served):
    r = wire.exchange(served.address('runtime'), b'GET /v1/runtime HTTP/1.1\r\nHost: x\r\n\r\n')
    assert r.status == 400 and r.code == 'invalid_request' and 'https://' in r.text
    assert r.header('connection') == 'close'


def rough(address, data, seconds=20.0):
    """Sends bytes, reads until the end; the end may be a reset."""
    with wire.connect(str(address), seconds) as sock:
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return wire.Reader(sock, seconds).rest()


def hello(ca):
    """A real ClientHello."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ca.context().wrap_bio(incoming, outgoing, server_hostname='localhost')
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def test_bytes_of_chance_are_no_handshake(served, ca):
    rng, real = random.Random(4711), hello(ca)
    for i in range(150):
        if i % 3 == 0:
            data = rng.randbytes(rng.randrange(1, 400))
        elif i % 3 == 1:
            data = bytearray(real)
            for _ in range(rng.randrange(1, 8)):
                data[rng.randrange(len(data))] = rng.randrange(256)
        else:
            data = real[:rng.randrange(1, len(real))] + rng.randbytes(rng.randrange(0, 40))
        rough(served.address('runtime'), bytes(data))
    for data in (b'\x16', b'\x16\x03\x01\xff\xff' + b'x' * 70000, b'\x80\x2e\x01\x03\x01' * 10,
                 b'\x15\x03\x03\x00\x02\x02\x28', b'\x17\x03\x03\x40\x00' + b'x' * 16384,
                 real + real, real[:5] + b'\xff' * 600):
        rough(served.address('runtime'), data)
    assert v1(served, ca.context()).get('/v1/runtime').status == 200
    wait.until(lambda: len(sockets(served.pid)) < 40, what='the connections are gone')


def test_broken_records_behind_a_good_handshake(served, ca):
    rng, client = random.Random(42), v1(served, ca.context())
    for size in (1, 5, 100, 20000):
        with wire.connect(client.address) as sock:
            sock.sendall(wire.request_bytes('GET', '/v1/runtime',
                                            client.headers({'Connection': None})))
            reader = wire.Reader(sock)
            assert wire.read_response(reader).status == 200
            with socket.socket(fileno=sock.detach()) as raw:
                raw.settimeout(wait.patience(20))
                try:  # the host may be faster to close than this is to send
                    raw.sendall(b'\x17\x03\x03' + min(size, 65535).to_bytes(2, 'big')
                                + rng.randbytes(size))
                    raw.shutdown(socket.SHUT_WR)
                    wire.Reader(raw).rest()
                except OSError as why:
                    assert why.errno in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN), why
    assert client.get('/v1/runtime').status == 200


@pytest.mark.parametrize('part', [b'', b'\x16', b'half'])
def test_a_slow_handshake_is_cut_at_the_deadline(short, ca, part):
    data = hello(ca)[:100] if part == b'half' else part
    begun = time.monotonic()
    with wire.connect(str(short.address('runtime'))) as sock:
        sock.sendall(data)
        assert wire.Reader(sock).rest() == b''
    assert time.monotonic() - begun >= 0.35


def test_a_handshake_byte_by_byte_is_cut_too(short, ca):
    data, begun = hello(ca), time.monotonic()
    with wire.connect(str(short.address('runtime'))) as sock:
        sock.settimeout(0.02)
        for byte in data:
            try:
                sock.sendall(bytes([byte]))
                if sock.recv(1) == b'':
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        else:
            raise AssertionError('nothing cut it')
    assert time.monotonic() - begun >= 0.35


def test_deadlines_hold_behind_the_handshake(short, ca):
    def shaken():
        try:
            return wire.connect(v1(short, ca.context()).address)
        except OSError:  # its handshake has that deadline too
            return None
    with wait.until(shaken, what='a handshake') as sock:
        sock.sendall(b'GET /v1/runtime HTTP/1.1\r\n')
        r = wire.read_response(wire.Reader(sock))
        assert r.status == 408 and r.code == 'request_timeout'
    with wire.connect(Address(short.addresses['browser'][1], ca.context())) as sock:  # idle
        assert wire.Reader(sock).rest() == b''


def test_a_reader_that_takes_nothing_is_closed(short, ca):
    client = Client(Address(short.addresses['runtime'][1], ca.context()), TOKEN)
    worker = Worker.create(client)
    for _ in range(8):
        worker.say('y' * 200000)

    def counted(name, **labels):
        text = api(short, ca.context()).get('/metrics').text
        return Metrics(text).sum(name, surface='runtime', **labels)

    def answers():
        return counted('yoi_http_request_duration_seconds_count', status='2xx')
    before = answers()
    get = wire.request_bytes('GET', f'/v1/workers/{worker.id}/transcript',
                             client.headers({'Connection': None}))
    with narrow(client, ca.context()) as sock:
        sock.sendall(get * 8)  # whose answers no socket holds
        wait.until(lambda: answers() > before and counted('yoi_http_connections') == 0,
                   what='the connection is closed')
        reader = wire.Reader(sock)
        with pytest.raises((wire.Closed, OSError)):
            for _ in range(8):
                wire.read_response(reader)


def narrow(client, context):
    """A TLS connection whose reader's window is the smallest: writes block within records."""
    host, port = client.address.split(':')
    raw = socket.socket()
    raw.settimeout(wait.patience(30))
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    raw.connect((host, int(port)))
    return context.wrap_socket(raw, server_hostname='localhost')


def test_an_answer_through_a_narrow_socket_is_whole(served, ca):
    context = ca.context()
    client = v1(served, context)
    worker = Worker.create(client)
    texts = [f'{i}' + '\u00e4\u2603' * 40000 for i in range(8)]
    for text in texts:
        worker.say(text)
    with narrow(client, context) as sock:
        sock.sendall(wire.request_bytes('GET', f'/v1/workers/{worker.id}/transcript',
                                        client.headers({'Connection': None})) * 2)
        reader = wire.Reader(sock, 60)
        for _ in range(2):
            items = wire.read_response(reader).json['transcript']['items']
            said = [i['content'][0]['text'] for i in items if i['role'] == 'user']
            assert said == texts


def test_a_stream_through_a_narrow_socket_is_whole(served, ca):
    context = ca.context()
    client = v1(served, context)
    worker = Worker.create(client)
    texts = [f'{i}' + '\u00e4\u2603' * 20000 for i in range(6)]
    for text in texts:
        worker.say(text)
    with narrow(client, context) as sock:
        sock.sendall(wire.request_bytes(
            'GET', f'/v1/workers/{worker.id}/events?cursor={worker.born}',
            client.headers({'Accept': 'text/event-stream'})))
        reader = wire.Reader(sock, 60)
        assert wire.read_head(reader).status == 200
        parser, seen = Parser(), []
        for piece in wire.chunks(reader):
            seen += parser.feed(piece)
            if sum(e.kind == 'turn.ended' for e in seen) == len(texts):
                break
    inputs = [e.data['content'] for e in seen if e.kind == 'input.accepted']
    assert len(inputs) == len(texts)
    assert all(text in str(content) for text, content in zip(texts, inputs))


def used_in_a_second(host):
    before, begun = cpu_s(host.pid), time.monotonic()
    wait.until(lambda: time.monotonic() - begun > 1, what='a second')
    return cpu_s(host.pid) - before


@pytest.mark.parametrize('where', sample.some(['idle', 'handling', 'streaming'], 1))
def test_asking_for_new_keys_without_reading_costs_the_asker_only(new_host, ca, leaf, where):
    """The host answers each, until the socket is full; then there is still more to read."""
    # A heartbeat that is sent, and blocked, would be a rest too; and the machine may be slow.
    slow = {'heartbeat_ms': 60000, 'write_ms': 600000, 'idle_ms': 600000}
    host = given(new_host(config(limits=slow, loops=1), start=False), *leaf).start()
    client = v1(host, ca.context())
    worker, other = Worker.create(client), Worker.create(client)
    kept, json, sse = {'Connection': None}, 'application/json', 'text/event-stream'
    events, body = f'/v1/workers/{worker.id}/events', b'{"content":"x"}'

    def get(path, accept=json):
        return wire.request_bytes('GET', path, client.headers({**kept, 'Accept': accept}))
    with Rekeying(host.address('runtime')) as peer:
        # A stream of before lets the kernel keep less of what is sent.
        peer.write(wire.request_bytes('POST', f'/v1/workers/{other.id}/input',
                                      client.headers({**kept, 'Accept': sse}, body), body))
        peer.until(b'\r\n0\r\n\r\n')
        if where == 'handling':
            peer.write(get(f'{events}?wait=60&cursor={worker.born}'))
        if where == 'streaming':
            peer.write(get(events, sse))
            peer.until(b'snapshot')
        asked = 0
        while peer.ask(200):
            asked += 200
            assert asked < 10_000_000, 'the host takes them without an end'
        wait.until(lambda: used_in_a_second(host) < 0.1, 30, 'the loop rests')
        assert worker.say('hello')['turn']['state'] == 'completed'
        wait.until(lambda: used_in_a_second(host) < 0.1, 30, 'the loop rests')
        # It reads after all, and nothing of what it was sent is missing or out of order.
        if where == 'idle':
            peer.write(get('/v1/runtime'))
            assert peer.until(b'\r\n\r\n').startswith(b'HTTP/1.1 200 OK')
        elif where == 'handling':
            assert b'input.accepted' in peer.until(b'"end":')
        else:
            assert b'input.accepted' in peer.until(b'event: turn.ended')


def test_200_handshakes_at_once(served, ca):
    context = ca.context()

    def one(_):
        return v1(served, context).get('/v1/runtime').status
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        assert list(pool.map(one, range(200))) == [200] * 200


def test_a_limit_is_told_over_tls(new_host, ca, leaf):
    host = given(new_host(config(limits={'connections': 2}, loops=1), start=False), *leaf).start()
    client = v1(host, ca.context())

    def told():
        try:
            with wire.connect(client.address) as third:
                return wire.read_response(wire.Reader(third))
        except (wire.Closed, OSError):  # it has a second for its handshake
            return None
    with wire.connect(client.address), wire.connect(client.address):
        r = wait.until(told, what='an answer to one connection more')
        assert r.status == 429 and r.error['details'] == {'limit': 'connections', 'max': 2}


def test_streams_over_tls_end_with_the_host(new_host, ca, leaf):
    host = given(new_host(config(), start=False), *leaf).start()
    client = v1(host, ca.context())
    worker = Worker.create(client)
    with Stream(client, f'/v1/workers/{worker.id}/events') as stream:
        stream.until('snapshot')
        host.signal()
        assert stream.until('end')[-1].data['reason'] == 'draining'
    host.stop()


# ---- what is said at the start -----------------------------------------------------------------

def refuses(tmp_path, certificate, key, *words, code=3, **keys):
    host = given(Host(tmp_path / 'h', config(**keys)), certificate, key)
    host.write()
    host.spawn()
    ended = host.wait_exit()
    assert ended == code, (ended, host.tail())
    for word in words:
        assert word in host.log, host.tail()
    assert 'PRIVATE KEY-----' not in host.log
    host.proc = None


def test_a_key_of_another_certificate(tmp_path, ca, leaf):
    refuses(tmp_path, leaf[0], ca.issue()[1], "'key' does not fit 'certificate'")


def test_an_rsa_key_for_an_ec_certificate(tmp_path, ca, leaf):
    refuses(tmp_path, leaf[0], ca.issue(rsa=True)[1], "'key' does not fit 'certificate'")


@pytest.mark.parametrize('certificate,words', [
    (b'nothing', "'certificate' has no certificate in PEM"),
    (b'-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
     "'certificate' has no certificate in PEM")])
def test_what_is_no_certificate(tmp_path, leaf, certificate, words):
    refuses(tmp_path, certificate, leaf[1], words)


def test_a_torn_chain(tmp_path, ca, leaf):
    refuses(tmp_path, leaf[0] + ca.file.read_bytes()[:-60], leaf[1],
            "'certificate' is malformed behind its first certificate")


def test_what_is_no_key(tmp_path, leaf):
    refuses(tmp_path, leaf[0], b'nothing', "'key' has no private key in PEM")


def test_a_key_with_a_passphrase(tmp_path, leaf):
    (tmp_path / 'plain.key').write_bytes(leaf[1])
    openssl('pkey', '-in', 'plain.key', '-aes256', '-passout', 'pass:secret', '-out', 'locked.key',
            folder=tmp_path)
    refuses(tmp_path, leaf[0], (tmp_path / 'locked.key').read_bytes(), "'key' has a passphrase")


def test_text_instead_of_a_secret(tmp_path, leaf):
    tls = {**TLS, 'key': 'key.pem'}
    host = Host(tmp_path / 'h', configs.standard(
        ingresses=[configs.ingress(configs.BROWSER, tls=tls)], local={'secrets': SECRETS}))
    given(host, *leaf).write()
    host.spawn()
    assert host.wait_exit() == 3 and "'tls.key' must be 'secret:NAME'" in host.log, host.tail()
    host.proc = None


def test_an_expired_certificate_is_a_warning(new_host, ca):
    host = given(new_host(config(), start=False), *ca.issue(expired=True)).start()
    assert host.entries(msg='certificate has expired', level='warn')
    with pytest.raises(ssl.SSLCertVerificationError, match='expired'):
        wire.connect(Address(host.address('runtime'), ca.context()))


# ---- another certificate -----------------------------------------------------------------------

def shown(host, ca):
    with wire.connect(Address(host.address('runtime'), ca.context())) as sock:
        return dict(pair for part in sock.getpeercert()['subject'] for pair in part)['commonName']


def test_a_certificate_changes_without_a_restart(new_host, ca):
    host = given(new_host(config(), start=False), *ca.issue('first')).start()
    client = v1(host, ca.context())
    worker = Worker.create(client)
    with Stream(client, f'/v1/workers/{worker.id}/events') as stream:
        stream.until('snapshot')
        given(host, *ca.issue('second'))
        wait.until(lambda: shown(host, ca) == 'second', what='the new certificate')
        assert worker.say('on')['turn']['state'] == 'completed'
        assert stream.until('turn.ended')  # an old connection goes on
    # several loops: each shows it, once both listeners have said so
    wait.until(lambda: len(host.entries(msg='certificate reloaded')) >= 2, what='both listeners')
    assert {shown(host, ca) for _ in range(20)} == {'second'}


def test_a_broken_certificate_changes_nothing(new_host, ca):
    host = given(new_host(config(), start=False), *ca.issue('first')).start()
    put(host.etc / 'cert.pem', b'half of a certif')
    host.line(lambda s: 'certificate stays as it was' in s and 'no certificate' in s,
              what='why it stays')
    assert shown(host, ca) == 'first'
    second = ca.issue('second')
    put(host.etc / 'cert.pem', second[0])  # the key comes later
    host.line(lambda s: 'certificate stays as it was' in s and 'does not fit' in s,
              what='why it stays')
    assert shown(host, ca) == 'first'
    put(host.etc / 'key.pem', second[1])
    wait.until(lambda: shown(host, ca) == 'second', what='the new certificate')
    (host.etc / 'key.pem').unlink()
    host.line(lambda s: 'secret stays as it was' in s, what='a file that is gone')
    assert shown(host, ca) == 'second'
    said = host.entries(msg='secret stays as it was')
    assert len(said) <= 2 and all('key.pem' not in e['error'] for e in said)  # once per listener
