"""All that came back, and where from: what tests of planted words search.

Seen() keeps texts as they came over the wire; find(words) says which of the
words, by name, stand in them, each with the text around it.
"""
import json

from . import wire

AROUND = 100  # characters before a word that was found


class Seen:
    def __init__(self):
        self.parts = []

    def add(self, where, data):
        self.parts.append((where, data if isinstance(data, str) else
                           data.decode('utf-8', errors='replace')))

    def response(self, where, r):
        """A lib.wire.Response, which is given back."""
        self.add(where, f'{r.status} {r.reason} {r.headers!r}\n')
        self.add(where, r.body)
        return r

    def raw(self, where, address, data):
        """One request on a connection of its own, and every byte of the answer."""
        with wire.connect(address) as sock:
            sock.sendall(data)
            self.add(where, wire.Reader(sock, 30).rest())

    def ask(self, client, method, path, body=None, headers=None, who=''):
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        fields = client.headers({**(headers or {}), 'Connection': 'close'}, body)
        self.raw(f'{who} {method} {path}', client.address,
                 wire.request_bytes(method, path, fields, body or b''))

    def find(self, words):
        return [(name, where, text[max(0, text.find(w) - AROUND):][:2 * AROUND + 40])
                for where, text in self.parts for name, w in words.items() if w in text]
