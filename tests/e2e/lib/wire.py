"""HTTP/1.1 over a raw socket, so that a test decides about every byte.

exchange() sends bytes and reads one response; Client adds what most tests
want: JSON bodies, headers, a connection per request. Nothing is retried and
nothing is repaired: what the server sent is what the test sees.

But for one thing: with YOI_E2E_SICK (lib/both.py) the network behind the server
fails on purpose, and a Client asks again, TRIES times at most, when the answer
is one of the typed errors that a network brings. A create or an input then goes
out with an idempotency key, as anybody's would who means to repeat it; and a create
whose first answer was lost may say 200, since the worker is there already.
"""
import json
import os
import socket
import threading
import uuid

from . import record
from .wait import patience

CRLF = b'\r\n'
READ_MAX = 64 << 20
TRIES = 30 if os.environ.get('YOI_E2E_SICK') else 1
TRY_S = 0.2  # from one try to the next
OF_A_NETWORK = ('runtime_unavailable', 'remote_malformed', 'timeout')  # retryable, all of them


class Closed(Exception):
    """The peer closed before a whole response."""


class Reader:
    """Buffered reads from a socket with a total time limit."""

    def __init__(self, sock, seconds=20.0):
        self.sock = sock
        self.sock.settimeout(patience(seconds))
        self.buf = b''
        self.total = 0

    def fill(self):
        data = self.sock.recv(65536)
        if not data:
            raise Closed(f'closed after {self.total} bytes, pending {self.buf[:200]!r}')
        self.total += len(data)
        assert self.total < READ_MAX, 'a response without end'
        self.buf += data

    def until(self, mark):
        while mark not in self.buf:
            self.fill()
        head, self.buf = self.buf.split(mark, 1)
        return head

    def exactly(self, n):
        while len(self.buf) < n:
            self.fill()
        head, self.buf = self.buf[:n], self.buf[n:]
        return head

    def rest(self):
        """Everything until the peer closes."""
        try:
            while True:
                self.fill()
        except (Closed, ConnectionResetError):
            head, self.buf = self.buf, b''
            return head


class Response:
    def __init__(self, status, reason, headers, body=b''):
        self.status, self.reason, self.headers, self.body = status, reason, headers, body

    def header(self, name):
        values = self.all(name)
        assert len(values) <= 1, f'{name} stands {len(values)} times'
        return values[0] if values else None

    def all(self, name):
        return [v for k, v in self.headers if k == name.lower()]

    @property
    def text(self):
        return self.body.decode('utf-8')

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        """The `error` member, after checking that the body is the one error shape."""
        body = self.json
        assert list(body) == ['error'], body
        error = body['error']
        assert {'code', 'message', 'request_id'} <= set(error), error
        assert set(error) <= {'code', 'message', 'request_id', 'details'}, error
        assert isinstance(error['message'], str) and error['message'], error
        assert isinstance(error['request_id'], str) and error['request_id'], error
        return error

    @property
    def code(self):
        return self.error['code']

    def __repr__(self):
        return f'<{self.status} {self.body[:500]!r}>'


def read_head(reader):
    head = reader.until(b'\r\n\r\n').decode('latin-1')
    lines = head.split('\r\n')
    version, status, *reason = lines[0].split(' ', 2)
    assert version == 'HTTP/1.1', lines[0]
    headers = []
    for line in lines[1:]:
        name, value = line.split(':', 1)
        assert name == name.strip(), line
        headers.append((name.lower(), value.strip()))
    return Response(int(status), reason[0] if reason else '', headers)


def chunks(reader):
    """The decoded pieces of a chunked body."""
    while True:
        size = int(reader.until(CRLF).split(b';')[0], 16)
        data = reader.exactly(size)
        assert reader.exactly(2) == CRLF
        if size == 0:
            return
        yield data


def read_response(reader, method='GET'):
    """One response; interim ones are skipped, but kept in .interim."""
    interim = []
    while True:
        r = read_head(reader)
        if r.status >= 200 or r.status == 101:
            break
        interim.append(r.status)
    r.interim = interim
    if method == 'HEAD' or r.status in (204, 304):
        return r
    if (r.header('transfer-encoding') or '').lower() == 'chunked':
        assert r.header('content-length') is None
        r.body = b''.join(chunks(reader))
    elif r.header('content-length') is not None:
        r.body = reader.exactly(int(r.header('content-length')))
    else:
        r.body = reader.rest()
    return r


def connect(address, seconds=20.0):
    """address: HOST:PORT or unix:PATH; an Address also says TLS and where from."""
    tls, source = getattr(address, 'tls', None), getattr(address, 'source', None)
    if address.startswith('unix:'):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(patience(seconds))
        sock.connect(address[5:])
        return sock
    host, port = address.rsplit(':', 1)
    sock = socket.create_connection((host.strip('[]'), int(port)), timeout=patience(seconds),
                                    source_address=source and (source, 0))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return tls.wrap_socket(sock, server_hostname='localhost') if tls else sock


def request_bytes(method, target, headers, body=b''):
    out = [f'{method} {target} HTTP/1.1'.encode('latin-1')]
    out += [f'{k}: {v}'.encode('utf-8') for k, v in headers]
    return CRLF.join(out) + b'\r\n\r\n' + body


def exchange(address, data, method='GET', seconds=20.0):
    """Sends raw bytes on a fresh connection and reads one response."""
    with connect(address, seconds) as sock:
        sock.sendall(data)
        return read_response(Reader(sock, seconds), method)


class Address(str):
    """An address with the ssl.SSLContext to use there, and the address to come from."""

    def __new__(cls, address, tls=None, source=None):
        self = super().__new__(cls, address)
        self.tls, self.source = tls, source
        return self


def _again(left, response):
    """True, after a while, when it is to be asked again."""
    if not left or response.status < 500 or response.code not in OF_A_NETWORK:
        return False
    threading.Event().wait(TRY_S)  # a caller's own patience
    return True


def _keyed(method, target, headers):
    """The fields, with a key where a repetition would do a thing twice."""
    path = target.split('?')[0]
    if TRIES == 1 or method != 'POST' or not path.endswith(('/workers', '/input')):
        return headers
    return {'Idempotency-Key': str(uuid.uuid4()), **(headers or {})}


class Client:
    """Requests to one surface. `token` is sent when there is one."""

    def __init__(self, address, token=None, recorded=True):
        self.address, self.token, self.recorded = address, token, recorded
        self.base = f'{"https" if getattr(address, "tls", None) else "http"}://{address}'

    def headers(self, headers=None, body=None):
        """The fields of a request; a value of None takes a default one away."""
        name = 'localhost' if self.address.startswith('unix:') else str(self.address)
        out = {'Host': name, 'Connection': 'close', 'Accept': 'application/json'}
        if self.token is not None:
            out['Authorization'] = f'Bearer {self.token}'
        if body is not None:
            out['Content-Type'] = 'application/json'
            out['Content-Length'] = str(len(body))
        out.update(headers or {})
        return [(k, v) for k, v in out.items() if v is not None]

    def open(self, method, target, body=None, headers=None, seconds=20.0):
        """Sends and reads the head only; the caller closes the socket."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body, ensure_ascii=False).encode('utf-8')
        data = request_bytes(method, target, self.headers(_keyed(method, target, headers), body),
                             body or b'')
        for left in reversed(range(TRIES)):
            sock = connect(self.address, seconds)
            try:
                sock.sendall(data)
                reader = Reader(sock, seconds)
                head = read_head(reader)
                if left and head.status >= 500:  # its body is looked at, and left where it was
                    head.body = reader.exactly(int(head.header('content-length')))
                    reader.buf = head.body + reader.buf
                if not _again(left, head):
                    return sock, reader, head
                sock.close()
            except BaseException:
                sock.close()
                raise
        raise AssertionError('not reached')

    def request(self, method, target, body=None, headers=None, seconds=20.0):
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body, ensure_ascii=False).encode('utf-8')
        data = request_bytes(method, target, self.headers(_keyed(method, target, headers), body),
                             body or b'')
        for left in reversed(range(TRIES)):
            response = exchange(self.address, data, method, seconds)
            if not _again(left, response):
                break
        record.answer(self, method, target, body, response)
        return response

    def get(self, target, **kw):
        return self.request('GET', target, **kw)

    def post(self, target, body=None, **kw):
        return self.request('POST', target, body, **kw)

    def delete(self, target, **kw):
        return self.request('DELETE', target, **kw)

    def ok(self, method, target, body=None, status=None, **kw):
        """The JSON of a request that must work."""
        r = self.request(method, target, body, **kw)
        right = (200, 201) if status == 201 and TRIES > 1 else (status,)
        assert r.status in right if status else 200 <= r.status < 300, \
            f'{method} {target}: {r!r}'
        return r.json if r.body else None

    def refused(self, method, target, status, code, body=None, **kw):
        """The error of a request that must not work."""
        r = self.request(method, target, body, **kw)
        assert r.status == status, f'{method} {target}: expected {status} {code}, got {r!r}'
        assert r.code == code, f'{method} {target}: expected {code}, got {r!r}'
        return r.error
