"""A TLS 1.3 client that asks for new keys, which the ssl module cannot: libssl by ctypes.

Its records go through memory, so that the test decides what is sent and what is read, and that
a peer that takes nothing stops neither.
"""
import ctypes
import ctypes.util
import select
import socket

from .wait import patience

UPDATE_REQUESTED = 1


def library():
    ssl = ctypes.CDLL(ctypes.util.find_library('ssl'))
    pointer, number, size = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
    for name, result, *arguments in (
            ('TLS_client_method', pointer), ('SSL_CTX_new', pointer, pointer),
            ('SSL_CTX_free', None, pointer), ('SSL_new', pointer, pointer),
            ('SSL_free', None, pointer), ('SSL_set_bio', None, pointer, pointer, pointer),
            ('SSL_set_connect_state', None, pointer), ('SSL_do_handshake', number, pointer),
            ('SSL_key_update', number, pointer, number),
            ('SSL_write', number, pointer, size, number),
            ('SSL_read', number, pointer, size, number),
            ('BIO_s_mem', pointer), ('BIO_new', pointer, pointer),
            ('BIO_read', number, pointer, size, number),
            ('BIO_write', number, pointer, size, number)):
        function = getattr(ssl, name)
        function.restype, function.argtypes = result, arguments
    return ssl


class Rekeying:
    """Trusts whoever answers: who that is, is not what it is for."""

    def __init__(self, address):
        self.ssl, self.queued, self.end = library(), b'', False
        host, port = address.split(':')
        self.sock = socket.socket()
        self.sock.settimeout(patience(20))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        self.sock.connect((host, int(port)))
        self.sock.setblocking(False)
        self.context = self.ssl.SSL_CTX_new(self.ssl.TLS_client_method())
        self.tls = self.ssl.SSL_new(self.context)
        self.incoming, self.outgoing = (self.ssl.BIO_new(self.ssl.BIO_s_mem()) for _ in range(2))
        self.ssl.SSL_set_bio(self.tls, self.incoming, self.outgoing)
        self.ssl.SSL_set_connect_state(self.tls)
        while self.ssl.SSL_do_handshake(self.tls) != 1:
            self.exchange()
        self.send()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()
        self.ssl.SSL_free(self.tls)
        self.ssl.SSL_CTX_free(self.context)

    def send(self):
        """Sends what the socket takes; whether that was all."""
        data = ctypes.create_string_buffer(65536)
        while (n := self.ssl.BIO_read(self.outgoing, data, len(data))) > 0:
            self.queued += data.raw[:n]
        try:
            while self.queued:
                self.queued = self.queued[self.sock.send(self.queued):]
        except BlockingIOError:
            return False
        return True

    def exchange(self):
        """Waits for bytes of the peer and takes them, sending what is queued meanwhile."""
        self.send()
        readable, writable, _ = select.select([self.sock], [self.sock] if self.queued else [], [],
                                              patience(20))
        assert readable or writable, 'nothing came'
        if not readable:
            return
        data = self.sock.recv(65536)
        self.end = not data
        self.ssl.BIO_write(self.incoming, data, len(data))

    def write(self, data):
        assert self.ssl.SSL_write(self.tls, data, len(data)) == len(data)
        return self.send()

    def ask(self, times):
        """Asks the peer to change its keys, which it does by a record of its own each time;
        whether the socket took all that."""
        for _ in range(times):
            assert self.ssl.SSL_key_update(self.tls, UPDATE_REQUESTED) == 1
            assert self.ssl.SSL_do_handshake(self.tls) == 1
        return self.send()

    def until(self, mark):
        """All that comes up to `mark`."""
        seen = b''
        while mark not in seen:
            piece = self.read()
            assert piece, f'it ended after {seen[-200:]!r}'
            seen += piece
        return seen

    def read(self):
        """The next bytes; empty at the end."""
        data = ctypes.create_string_buffer(65536)
        while (n := self.ssl.SSL_read(self.tls, data, len(data))) <= 0:
            if self.end:
                return b''
            self.exchange()
        return data.raw[:n]
