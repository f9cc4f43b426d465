"""A proxy that is not well, between http-remote and the host that it asks.

Proxy(port) listens on a port of its own and hands every connection on, as its
`fault` says; fault(rng) is called for each connection and gives one of

  ('pass',)           hands on all bytes
  ('cut', n)          closes both sides after n bytes of answers
  ('delay', s)        waits so long before each piece of an answer
  ('double',)         sends the request on two connections, answers from the first
  ('refuse',)         closes before it reads anything
  ('say', bytes)      reads a request's head and answers with that
  ('talk', {path: bytes}, bytes)
                      is a server: for each request the answer to its path, or the last
  ('hang',)           reads and never answers, until the proxy ends

One thread per direction; a test has some hundred connections.
"""
import random
import select
import socket
import threading

PASS = ('pass',)


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
                       ('cut', rng.randrange(1, 200)), ('delay', 0.02), ('double',), ('refuse',),
                       ('say', rng.choice(GARBAGE)), ('say', rng.choice(ERRORS))])


class Proxy:
    def __init__(self, port, fault=lambda rng: PASS, seed=1):
        self.port_behind, self.fault, self.rng = port, fault, random.Random(seed)
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
        self.drop()

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
            self._talk(client, *fault[1:])
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
        behind = [socket.create_connection(('127.0.0.1', self.port_behind))
                  for _ in range(2 if fault[0] == 'double' else 1)]
        mine += behind
        with self.lock:
            self.open |= set(behind)
        left = fault[1] if fault[0] == 'cut' else None
        while True:
            ready = select.select([client, *behind], [], [], 60)[0]
            if not ready:
                return
            for s in ready:
                data = s.recv(65536)
                if not data and s in (client, behind[0]):
                    return
                if s is client:
                    for b in behind:
                        b.sendall(data)
                elif s is behind[0]:
                    if fault[0] == 'delay':
                        threading.Event().wait(fault[1])  # the fault itself
                    if left is not None:
                        data, left = data[:left], left - len(data)
                    client.sendall(data)
                    if left is not None and left <= 0:
                        return
                elif not data:
                    behind.remove(s)


    @staticmethod
    def _talk(client, answers, otherwise):
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
            path = head.split(b' ')[1]
            client.sendall(next((a for p, a in answers.items() if path.endswith(p)), otherwise))


def _shut(s):
    try:
        s.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


__all__ = ['ERRORS', 'GARBAGE', 'PASS', 'Proxy', 'answer', 'sick']
