"""HTTP over asyncio, counted: what the driver sent is what the host has to count.

A Door is one surface. request() uses kept connections, stream() one of its
own. Ledger counts a request when the head of its answer has come; one that was
given up before is `unsure`, since nobody can know whether it was read whole.
"""
import asyncio
import json
import socket
import sys
import pathlib
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'e2e'))

from lib import sse  # noqa: E402

KEEP_S = 20      # the host closes an idle connection after 60
ANSWER_S = 60.0  # nothing that is asked here may take so long
HEAD_MAX = 65536


class Count:
    """Requests, answers that were errors, and requests without an answer."""

    def __init__(self):
        self.requests = self.errors = self.unsure = 0
        self.by_status = {}

    def answer(self, status):
        self.requests += 1
        self.errors += status >= 400
        self.by_status[status] = self.by_status.get(status, 0) + 1


class Answer:
    def __init__(self, status, headers, body=b''):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json['error']['code']

    def __repr__(self):
        return f'<{self.status} {self.body[:300]!r}>'


async def read_head(reader):
    raw = await reader.readuntil(b'\r\n\r\n')
    lines = raw.decode('latin-1').split('\r\n')
    pairs = (line.split(':', 1) for line in lines[1:] if line)
    return Answer(int(lines[0].split(' ')[1]), {k.lower(): v.strip() for k, v in pairs})


async def chunk(reader):
    """The next chunk of a body; empty at its end."""
    size = int((await reader.readuntil(b'\r\n'))[:-2], 16)
    data = await reader.readexactly(size + 2)
    return data[:-2]


async def read_body(reader, head):
    if head.headers.get('transfer-encoding') == 'chunked':
        parts = []
        while part := await chunk(reader):
            parts.append(part)
        return b''.join(parts)
    return await reader.readexactly(int(head.headers.get('content-length', 0)))


class Stream:
    """One event stream. `head.status` first, then events; None at its end."""

    def __init__(self, reader, writer, head):
        self.reader, self.writer, self.head = reader, writer, head
        self.parser, self.queue, self.over = sse.Parser(), [], False

    async def event(self, seconds=ANSWER_S):
        end = time.monotonic() + seconds
        while not self.queue and not self.over:
            data = await asyncio.wait_for(chunk(self.reader), max(0.01, end - time.monotonic()))
            self.over = not data
            self.queue += self.parser.feed(data)
        return self.queue.pop(0) if self.queue else None

    def close(self):
        self.writer.close()


class Door:
    """One surface: `path` is what stands before /workers."""

    def __init__(self, address, path, count, token=None):
        self.host, port = address.rsplit(':', 1)
        self.port, self.address, self.path, self.token = int(port), address, path, token
        self.count, self.idle = count, []

    def _bytes(self, method, target, body, headers):
        fields = {'Host': self.address, 'Accept': 'application/json', **(headers or {})}
        if self.token:
            fields['Authorization'] = f'Bearer {self.token}'
        data = b'' if body is None else json.dumps(body).encode()
        if body is not None:
            fields['Content-Type'] = 'application/json'
            fields['Content-Length'] = str(len(data))
        text = ''.join(f'{k}: {v}\r\n' for k, v in fields.items())
        return f'{method} {target} HTTP/1.1\r\n{text}\r\n'.encode() + data

    async def _connect(self):
        return await asyncio.open_connection(self.host, self.port, limit=1 << 22)

    async def _kept(self):
        while self.idle:
            reader, writer, since = self.idle.pop()
            if time.monotonic() - since < KEEP_S and not reader.at_eof():
                return reader, writer
            writer.close()
        return await self._connect()

    async def request(self, method, target, body=None, headers=None):
        reader, writer = await self._kept()
        self.count.unsure += 1
        try:
            writer.write(self._bytes(method, target, body, headers))
            answer = await asyncio.wait_for(read_head(reader), ANSWER_S)
            self.count.unsure -= 1
            self.count.answer(answer.status)
            answer.body = await asyncio.wait_for(read_body(reader, answer), ANSWER_S)
        except BaseException:
            writer.close()
            raise
        if answer.headers.get('connection') == 'close':
            writer.close()
        else:
            self.idle.append((reader, writer, time.monotonic()))
        return answer

    async def stream(self, method, target, body=None, cursor=None, headers=None):
        headers = {**(headers or {}), 'Accept': 'text/event-stream'}
        if cursor:
            headers['Last-Event-ID'] = cursor
        reader, writer = await self._connect()
        self.count.unsure += 1
        try:
            writer.write(self._bytes(method, target, body, headers))
            head = await asyncio.wait_for(read_head(reader), ANSWER_S)
            self.count.unsure -= 1
            self.count.answer(head.status)
            if head.status != 200:
                head.body = await read_body(reader, head)
                writer.close()
        except BaseException:
            writer.close()
            raise
        return Stream(reader, writer, head)

    async def stare(self, target, seconds):
        """Asks for a stream and never reads it."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        self.count.unsure += 1
        try:
            loop = asyncio.get_running_loop()
            await loop.sock_connect(sock, (self.host, self.port))
            await loop.sock_sendall(sock, self._bytes('GET', target, None,
                                                      {'Accept': 'text/event-stream'}))
            await asyncio.sleep(seconds)  # this is what it does
        finally:
            sock.close()

    def close(self):
        for _, writer, _ in self.idle:
            writer.close()
        self.idle = []
