"""TLS for tests: an authority of one's own, and a front that speaks for a server."""
import socket
import ssl
import subprocess
import threading

from . import wait


def openssl(folder, *args):
    subprocess.run(['openssl', *args], cwd=folder, check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Authority:
    """Signs certificates; `file` is what its clients trust."""

    def __init__(self, folder):
        folder.mkdir()
        self.folder, self.file = folder, folder / 'ca.pem'
        openssl(folder, 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
                '-nodes', '-days', '2', '-subj', '/CN=test authority', '-keyout', 'ca.key',
                '-out', 'ca.pem')

    def certificate(self, name):
        """(certificate, key) for "IP:..." or "DNS:..."."""
        openssl(self.folder, 'req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
                '-nodes', '-subj', '/CN=test', '-keyout', 'key.pem', '-out', 'request.pem')
        (self.folder / 'names').write_text(f'subjectAltName={name}\n')
        openssl(self.folder, 'x509', '-req', '-in', 'request.pem', '-CA', 'ca.pem', '-CAkey',
                'ca.key', '-CAcreateserial', '-days', '2', '-extfile', 'names', '-out', 'cert.pem')
        return self.folder / 'cert.pem', self.folder / 'key.pem'


class Front:
    """Takes TLS on a port of its own and passes the plain bytes on, both ways."""

    def __init__(self, target, certificate, key):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.target, self.handshakes, self.versions = target, 0, set()
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.ending, self.end = socket.socketpair()
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def _accept(self):
        while self.listener in wait.readable([self.listener, self.ending]):
            thread = threading.Thread(target=self._serve, args=[self.listener.accept()[0]],
                                      daemon=True)
            self.threads.append(thread)
            thread.start()

    def _serve(self, plain):
        plain.settimeout(30)
        try:
            outer = self.context.wrap_socket(plain, server_side=True)
        except OSError:
            plain.close()
            return
        self.handshakes += 1
        self.versions.add(outer.version())
        with outer, socket.create_connection(('127.0.0.1', self.target)) as inner:
            try:
                self._pass(outer, inner)
            except OSError:
                pass

    def _pass(self, outer, inner):
        while True:
            ready = wait.readable([outer, inner, self.ending])
            if self.ending in ready:
                return
            for source, sink in ((outer, inner), (inner, outer)):
                if source not in ready:
                    continue
                data = source.recv(65536)
                while source is outer and outer.pending():
                    data += source.recv(65536)
                if not data:
                    return
                sink.sendall(data)

    def close(self):
        self.end.close()
        for thread in self.threads:
            thread.join()
        self.listener.close()
        self.ending.close()
