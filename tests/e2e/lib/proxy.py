"""A proxy that is not well, between http-remote and the host that it asks.

Proxy(behind) listens on a port of its own, or on the Unix socket `at`, and hands
every connection on to the port or socket `behind`, as its `fault` says; fault(rng)
is called for each connection and gives one of

  ('pass',)           hands on all bytes
  ('cut', n)          closes both sides after n bytes of answers
  ('torn', n)         closes both sides after n bytes of requests
  ('delay', s)        waits so long before each piece of an answer
  ('double',)         sends the request on two connections, answers from the first
  ('again',)          the same, one behind the other: the second is on its way
                      when the first answer comes, and is not listened to
  ('lose', when)      hands on all bytes; when when() says so it hands on no answer,
                      and closes both sides
  ('refuse',)         closes before it reads anything
  ('say', bytes)      reads a request's head and answers with that
  ('talk', reply)     is a server: answers each request with reply(head, path)
  ('hang',)           reads and never answers, until the proxy ends

One thread per direction; a test has some hundred connections.
"""
import pathlib
import random
import socket
import threading

from . import wait

PASS = ('pass',)
AGAIN_S = 1.0  # for the answer to a request that is sent once more


def answer(status, body, kind='text/html'):
    return (f'HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n'
            '\r\n').encode() + body


GARBAGE = (b'\0\1\2 not HTTP at all\r\n\r\n', answer(200, b'<html>captive portal</html>'),
           answer(200, b'{"worker":7}', 'application/json'), answer(404, b'no such page'),
           answer(200, b'{"worker":', 'application/json'),
           answer(200, b'data: not JSON\n\n', 'text/event-stream'))
ERRORS = tuple(answer(status, b'<h1>sorry</h1>') for status in (500, 502, 503, 504))


def sick(rng):
    """Each connection has something, if only that it does not last."""
    lasts = ('cut', rng.randrange(1000, 20000))
    return rng.choice([lasts, lasts, ('cut', rng.randrange(1, 4000)),
                       ('cut', rng.randrange(1, 200)), ('torn', rng.randrange(1, 2000)),
                       ('delay', 0.02), ('double',), ('again',), ('refuse',),
                       ('say', rng.choice(GARBAGE)), ('say', rng.choice(ERRORS))])


def unwell(rng):
    """As sick() is, but so that a request that is sent eleven times gets its
    answer: what suites are put through that expect success."""
    lasts = ('cut', rng.randrange(2000, 60000))
    return rng.choice([lasts, lasts, lasts, ('cut', rng.randrange(1, 3000)),
                       ('torn', rng.randrange(1, 3000)), ('delay', 0.005), ('again',), ('again',),
                       ('refuse',), ('say', rng.choice(GARBAGE + ERRORS))])


class Proxy:
    def __init__(self, behind, fault=lambda rng: PASS, seed=1, at=None):
        self.behind, self.fault, self.rng, self.at = behind, fault, random.Random(seed), at
        if at:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(str(at))
            self.listener.listen(256)
        else:
            self.listener = socket.create_server(('127.0.0.1', 0), backlog=256)
            self.port = self.listener.getsockname()[1]
        self.lock, self.open, self.count, self.ended = threading.Lock(), set(), {}, False
        threading.Thread(target=self._accept, daemon=True).start()

    def heal(self):
        """From now on all is well, also for what is open: that is closed."""
        self.fault = lambda rng: PASS
        self.drop()

    def drop(self):
        """Closes every connection that is open."""
        with self.lock:
            for s in self.open:
                _shut(s)

    def stop(self):
        self.ended = True
        _shut(self.listener)
        self.listener.close()
        if self.at:
            pathlib.Path(self.at).unlink(missing_ok=True)
        self.drop()

    def _connect(self):
        if not isinstance(self.behind, int):
            s = socket.socket(socket.AF_UNIX)
            s.connect(str(self.behind))
            return s
        return socket.create_connection(('127.0.0.1', self.behind))

    def _accept(self):
        while not self.ended:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                fault = self.fault(self.rng)
                self.count[fault[0]] = self.count.get(fault[0], 0) + 1
            threading.Thread(target=self._serve, args=(client, fault), daemon=True).start()

    def _serve(self, client, fault):
        mine = [client]
        try:
            with self.lock:
                self.open.add(client)
            self._do(client, fault, mine)
        except OSError:
            pass  # whoever closed has what it wanted
        finally:
            with self.lock:
                self.open -= set(mine)
            for s in mine:
                s.close()

    def _do(self, client, fault, mine):
        if fault[0] == 'refuse':
            return
        if fault[0] == 'talk':
            self._talk(client, fault[1])
            return
        if fault[0] in ('say', 'hang'):
            head = b''
            while b'\r\n\r\n' not in head:
                data = client.recv(65536)
                if not data:
                    return
                head += data
            if fault[0] == 'say':
                client.sendall(fault[1])
            while client.recv(65536) and fault[0] == 'hang':
                pass
            return
        behind = []
        for _ in range({'double': 2}.get(fault[0], 1)):
            behind.append(self._keep(self._connect(), mine))
        left = fault[1] if fault[0] in ('cut', 'torn') else None
        asked, again = b'', None  # of ('again',): what is to be sent once more, and where
        while True:
            ready = wait.readable([client, *behind], 60)
            if not ready:
                return
            for s in ready:
                data = s.recv(65536)
                if not data and s in (client, behind[0]):
                    return
                if s is client:
                    asked += data if fault[0] == 'again' else b''
                    if fault[0] == 'torn':
                        data, left = data[:left], left - len(data)
                    for b in behind:
                        b.sendall(data)
                    if fault[0] == 'torn' and left <= 0:
                        return
                elif s is behind[0]:
                    if fault[0] == 'lose' and fault[1]():
                        return
                    if fault[0] == 'delay':
                        threading.Event().wait(fault[1])  # the fault itself
                    if asked:
                        again = again or self._keep(self._connect(), mine)
                        again.sendall(asked)
                        asked = b''
                        if wait.readable([again], AGAIN_S):
                            again.recv(1 << 20)
                    if fault[0] == 'cut':
                        data, left = data[:left], left - len(data)
                    client.sendall(data)
                    if fault[0] == 'cut' and left <= 0:
                        return
                elif not data:
                    behind.remove(s)

    def _keep(self, s, mine):
        mine.append(s)
        with self.lock:
            self.open.add(s)
        return s

    @staticmethod
    def _talk(client, reply):
        data = b''
        while True:
            while b'\r\n\r\n' not in data:
                more = client.recv(65536)
                if not more:
                    return
                data += more
            head, data = data.split(b'\r\n\r\n', 1)
            length = [int(line.split(b':')[1]) for line in head.split(b'\r\n')
                      if line.lower().startswith(b'content-length:')]
            while length and len(data) < length[0]:
                data += client.recv(65536)
            data = data[length[0]:] if length else data
            client.sendall(reply(head, head.split(b' ')[1]))


def _shut(s):
    try:
        s.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


__all__ = ['ERRORS', 'GARBAGE', 'PASS', 'Proxy', 'answer', 'sick', 'unwell']
