"""An event stream as WHATWG reads it, and a client that cuts the line.

Parser is fed bytes in pieces of any size and gives events; an event that the
stream ended in is lost, as the standard says. Stream is one connection; with
`cut` it closes after so many bytes of the body, wherever that falls.
"""
import json
import time

from . import record, wait, wire


class Event:
    def __init__(self, kind, data, id_):
        self.kind, self.text, self.id = kind, data, id_

    @property
    def data(self):
        return json.loads(self.text)

    def __repr__(self):
        return f'<{self.kind} id={self.id!r} {self.text[:300]}>'


class Parser:
    """HTML standard, 9.2.6. `last_id` is what a browser would send next."""

    def __init__(self):
        self.buf = b''
        self.first = True
        self.skip_lf = False
        self.last_id = ''
        self.retry = None
        self.comments = 0
        self._clear()

    def _clear(self):
        self.kind, self.lines, self.id = '', [], None

    def feed(self, data):
        self.buf += data
        if self.first:
            if len(self.buf) < 3 and b'\xef\xbb\xbf'.startswith(self.buf):
                return
            self.first = False
            if self.buf.startswith(b'\xef\xbb\xbf'):
                self.buf = self.buf[3:]
        while True:
            if self.skip_lf and self.buf:
                self.skip_lf = False
                if self.buf[:1] == b'\n':
                    self.buf = self.buf[1:]
            ends = [i for i in (self.buf.find(b'\r'), self.buf.find(b'\n')) if i >= 0]
            if not ends:
                return
            i = min(ends)
            line, self.skip_lf = self.buf[:i], self.buf[i:i + 1] == b'\r'
            self.buf = self.buf[i + 1:]
            event = self._line(line.decode('utf-8'))
            if event is not None:
                yield event

    def _line(self, line):
        if line == '':
            event = None
            if self.lines:
                event = Event(self.kind or 'message', '\n'.join(self.lines), self.id)
            self._clear()
            return event
        if line.startswith(':'):
            self.comments += 1
            return None
        name, _, value = line.partition(':')
        value = value[1:] if value.startswith(' ') else value
        if name == 'event':
            self.kind = value
        elif name == 'data':
            self.lines.append(value)
        elif name == 'id' and '\0' not in value:
            self.id = self.last_id = value
        elif name == 'retry' and value.isascii() and value.isdigit():
            self.retry = int(value)
        return None


class Stream:
    """One event-stream response. Iterate it, or call next_event()."""

    def __init__(self, client, target, method='GET', body=None, headers=None, cursor=None,
                 cut=None, seconds=20.0):
        headers = dict(headers or {})
        headers.setdefault('Accept', 'text/event-stream')
        if cursor is not None:
            headers['Last-Event-ID'] = cursor
        self.sock, self.reader, self.head = client.open(method, target, body, headers, seconds)
        self.parser, self.queue, self.cut, self.raw = Parser(), [], cut, b''
        self.ended = False
        self.seconds = seconds
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.asked = (client, method, target, body)
        self.events, self.recorded = [], False
        if self.head.status != 200:
            try:
                self.head.body = self._error_body()
                record.answer(*self.asked, self.head)
            finally:
                self.recorded = True
                self.close()
            return
        kind = self.head.header('content-type')
        assert kind.split(';')[0] == 'text/event-stream', kind
        if (self.head.header('transfer-encoding') or '').lower() == 'chunked':
            self.pieces = wire.chunks(self.reader)
        else:
            self.pieces = self._plain()
        # Over a network that fails the snapshot may be late: a test means what it
        # does to come after it.
        if wire.TRIES > 1 and method == 'GET' and cursor is None and cut is None:
            self._fill()

    def _error_body(self):
        n = self.head.header('content-length')
        return self.reader.exactly(int(n)) if n is not None else self.reader.rest()

    def _plain(self):
        if self.reader.buf:
            data, self.reader.buf = self.reader.buf, b''
            yield data
        while True:
            try:
                self.reader.fill()
            except wire.Closed:
                return
            data, self.reader.buf = self.reader.buf, b''
            yield data

    @property
    def last_id(self):
        return self.parser.last_id

    def _fill(self):
        """Reads until there is an event, or the end."""
        until_s = self._until()
        while not self.queue and not self.ended:
            self._more(until_s)

    def _until(self):
        """From now on, not from the begin of the stream: a test may have done much else."""
        return time.monotonic() + wait.patience(self.seconds)

    def _more(self, until_s):
        # heartbeats keep a socket's own time limit from passing
        assert time.monotonic() < until_s, f'nothing that was waited for: {self.raw[-500:]!r}'
        try:
            data = next(self.pieces)
        except StopIteration:
            self.ended = True
            return
        if self.cut is not None and len(self.raw) + len(data) >= self.cut:
            data = data[:self.cut - len(self.raw)]
            self.ended = True
        self.raw += data
        for event in self.parser.feed(data):
            self.queue.append(event)
            self.events.append((event.id, event.kind, event.text))

    def next_event(self):
        """The next event, None when the stream is over."""
        self._fill()
        return self.queue.pop(0) if self.queue else None

    def __iter__(self):
        while True:
            event = self.next_event()
            if event is None:
                return
            yield event

    def refused(self, *status):
        """The code of a stream that is refused with one of these statuses. Over a network
        that fails it may have begun before that was known: its first event is the end."""
        if self.head.status == 200 and wire.TRIES > 1:
            first = self.next_event()
            assert first.kind == 'end' and first.data['reason'] == 'error', first
            return first.data['code']
        assert self.head.status in status, self.head
        return self.head.code

    def until(self, kind):
        """Events up to and with the first of that kind."""
        seen = []
        for event in self:
            seen.append(event)
            if event.kind == kind:
                return seen
        raise AssertionError(f'stream over without {kind!r}: {seen}')

    def wait_comment(self):
        """Reads until one more comment line (a heartbeat) arrived."""
        have, until_s = self.parser.comments, self._until()
        while self.parser.comments == have and not self.ended:
            self._more(until_s)
        return self.parser.comments > have

    def close(self):
        self.sock.close()
        if not self.recorded:
            self.recorded = True
            record.answer(*self.asked, self.head, self.events)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
