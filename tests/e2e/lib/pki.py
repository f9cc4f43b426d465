"""Certificates of a test, made by the openssl command in the test's own folder."""
import os
import ssl
import subprocess


def openssl(*args, folder):
    done = subprocess.run(['openssl', *map(str, args)], cwd=folder, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60)
    assert done.returncode == 0, done.stdout.decode()


class Authority:
    def __init__(self, folder, name='test CA'):
        self.folder, self.count = folder, 0
        folder.mkdir(parents=True, exist_ok=True)
        self.file, self.key = folder / 'ca.pem', folder / 'ca.key'
        openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
                '-keyout', self.key, '-out', self.file, '-days', 2, '-subj', f'/CN={name}',
                folder=folder)

    def issue(self, common='localhost', expired=False, rsa=False):
        """(certificate, key) as PEM bytes, for localhost and 127.0.0.1."""
        self.count += 1
        base = self.folder / f'leaf{self.count}'
        key, request, out = (base.with_suffix(s) for s in ('.key', '.csr', '.pem'))
        extensions = base.with_suffix('.ext')
        extensions.write_text('subjectAltName=DNS:localhost,IP:127.0.0.1\n')
        kind = ['rsa:2048'] if rsa else ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256']
        openssl('req', '-new', '-newkey', *kind, '-nodes', '-keyout', key, '-out', request,
                '-subj', f'/CN={common}', folder=self.folder)
        days = ['-days', '-1'] if expired else ['-days', '1']
        openssl('x509', '-req', '-in', request, '-CA', self.file, '-CAkey', self.key,
                '-CAcreateserial', '-out', out, '-extfile', extensions, *days, folder=self.folder)
        return out.read_bytes(), key.read_bytes()

    def context(self, low=None, high=None):
        """Of a client that trusts this authority and nobody else."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.file)
        if low:
            context.minimum_version = low
        if high:
            context.maximum_version = high
        return context


def put(path, data):
    """Replaces a secret's file at once: nobody sees half of it."""
    fresh = path.with_name(path.name + '.new')
    fresh.write_bytes(data)
    fresh.chmod(0o600)
    os.replace(fresh, path)
