"""A store of files on the disk: its lines, what can happen to them, and
yoi-host store."""
import hashlib
import json
import os
import shutil
import subprocess

from . import configs, wait
from .host import BINARY, environment
from .worker import Worker


def _table():
    out = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0x82F63B78 if i & 1 else 0)
        out.append(i)
    return out


TABLE = _table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def seal(text):
    """A line from all that stands before its sum, with sum and line feed."""
    raw = text.encode()
    return raw + b',"crc":"%08x"}\n' % crc32c(raw)


def resealed(line, old, new):
    """A line with something in it changed, and a sum that is right again."""
    text = line.decode().rpartition(',"crc":')[0]
    assert old in text, (old, text)
    return seal(text.replace(old, new, 1))


def records(path):
    """The lines of a worker's file."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def config(root, **keys):
    """A runtime `main` that keeps its workers below a folder."""
    return configs.standard(runtimes=[{'id': 'main', 'plugin': 'dev.yoi.fs-store',
                                       'config': {'root': str(root), **keys}}])


def make(new_host, folder, names):
    """Workers with one turn in their files and one in the log, the second of
    them stopped; one more was removed. Killed."""
    host = new_host(config(folder / 'root', segment_bytes=65536))
    workers = [Worker.create(host.v1, wid=w) for w in [*names, 'dora']]
    for w in workers:
        w.say('first')
    workers[-1].stop()
    workers[-1].delete()
    host.restart()
    for name in names:
        Worker(host.v1, '/v1', name).say('second')
    Worker(host.v1, '/v1', names[1]).stop()
    host.kill()
    host.proc = None
    return Store(folder / 'root', folder / 'etc')


class Store:
    """A folder that yoi-host store is asked about."""

    def __init__(self, root, etc):
        self.root, self.etc = root, etc
        etc.mkdir(parents=True, exist_ok=True)
        (etc / 'runtime.token').write_text('x' * 32)
        (etc / 'yoi.json').write_text(json.dumps(config(root)))

    def copy(self, folder):
        shutil.copytree(self.root, folder / 'root', symlinks=True)
        return Store(folder / 'root', folder / 'etc')

    def argv(self, verb, *args):
        return [str(BINARY), 'store', verb, str(self.etc / 'yoi.json'), 'main', *args]

    def run(self, verb, *args, code=0, prefix=()):
        done = subprocess.run([*prefix, *self.argv(verb, *args)], cwd=self.etc,
                              env=environment(self.etc), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                              timeout=wait.patience(60), universal_newlines=True)
        assert code is None or done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done

    def json(self, verb, *args, code=0):
        return [json.loads(x) for x in self.run(verb, *args, '--json', code=code).stdout
                .splitlines()]

    def findings(self, verb='check', *args, code=0, least='warning'):
        """Of the severity `least` or worse."""
        levels = ['info', 'warning', 'error']
        return [x['finding'] for x in self.json(verb, *args, code=code) if 'finding' in x and
                levels.index(x['finding']['severity']) >= levels.index(least)]

    def hash(self):
        """All that is in the folder: names, modes, bytes."""
        out = hashlib.sha256()
        for path in sorted(self.root.rglob('*')):
            out.update(f'{path} {path.lstat().st_mode} '.encode())
            if path.is_symlink():
                out.update(os.readlink(path).encode())
            elif path.is_file():
                out.update(f'{path.stat().st_mtime_ns} '.encode() + path.read_bytes())
        return out.hexdigest()

    def worker(self, wid):
        return self.root / 'workers' / f'{crc32c(wid.encode()) & 255:02x}' / f'{wid}.jsonl'

    def segments(self):
        return sorted((self.root / 'log').glob('*.jsonl'))

    def backups(self):
        return sorted(self.root.glob('backup-*'))

    def records(self, wid, *args, code=0):
        return [json.loads(x) for x in self.run('cat', '--worker', wid, *args, code=code).stdout
                .splitlines()]
