"""yoi-host as a child process, in a home of its own.

Host(folder, config).start() writes the config, starts the binary with a
scrubbed environment in its own process group, and waits for `msg=ready`. The
`msg=listening` lines give the addresses, since every listener asks for port 0.
stop() sends SIGTERM to that one process, wants exit code 0 within the bound,
kills the group otherwise, and looks through the log. restart() is stop and
start over the same folder.
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import threading

from . import isolate, logs, schema, wait
from .wire import Client

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get('YOI_BUILD') or ROOT / 'build').resolve()
BINARY = BUILD / 'yoi-host'
PLUGIN_PATH = [str(BUILD / d) for d in ('runtimes', 'plugins', 'tests/plugins')]
TOKEN = 'tok-3b1f6a0c94e84d0f9e1d7c5a2b8f4e6d'

SANITIZERS = {
    'ASAN_OPTIONS': 'detect_leaks=1:halt_on_error=1:exitcode=97:detect_stack_use_after_return=1',
    'LSAN_OPTIONS': 'exitcode=97',
    'UBSAN_OPTIONS': 'halt_on_error=1:print_stacktrace=1:exitcode=98',
    'TSAN_OPTIONS': 'halt_on_error=1:second_deadlock_stack=1:exitcode=66',
}


def environment(folder, extra=None):
    """What a child sees: nothing of the caller's but the sanitizers' needs."""
    for name in ('home', 'tmp'):
        (folder / name).mkdir(parents=True, exist_ok=True)
    env = {'PATH': '/usr/local/bin:/usr/bin:/bin', 'LANG': 'C.UTF-8',
           'HOME': str(folder / 'home'), 'TMPDIR': str(folder / 'tmp'), **SANITIZERS}
    env.update(extra or {})
    return {k: v for k, v in env.items() if v is not None}


def merge(base, changes):
    """Objects are merged, all else is replaced; None takes a key away."""
    out = dict(base)
    for key, value in changes.items():
        if value is None:
            out.pop(key, None)
        elif isinstance(value, dict) and isinstance(out.get(key), dict):
            out[key] = merge(out[key], value)
        else:
            out[key] = value
    return out


class Child:
    """A program whose output is kept line by line."""

    def __init__(self, argv, folder, env=None, name='child'):
        self.argv, self.folder, self.name = [str(a) for a in argv], folder, name
        self.env = environment(folder, env)
        self.lines, self.changed = [], threading.Condition()
        self.proc, self.pass_fds = None, ()

    def spawn(self, **kw):
        self.lines = []
        assert os.access(self.argv[0], os.X_OK), f'{self.argv[0]} is not built'
        self.proc = subprocess.Popen(
            self.argv, cwd=self.folder / 'home', env=self.env, start_new_session=True,
            stdin=kw.pop('stdin', subprocess.DEVNULL), stdout=kw.pop('stdout', subprocess.PIPE),
            stderr=subprocess.STDOUT, pass_fds=self.pass_fds, **kw)
        self.reader = threading.Thread(target=self._read, args=(self.proc,), daemon=True)
        self.reader.start()
        return self

    def _read(self, proc):
        for raw in proc.stdout:
            with self.changed:
                self.lines.append(raw.decode('utf-8', errors='replace').rstrip('\n'))
                self.changed.notify_all()
        with self.changed:
            self.lines.append(None)
            self.changed.notify_all()

    @property
    def pid(self):
        return self.proc.pid

    @property
    def log(self):
        with self.changed:
            return '\n'.join(line for line in self.lines if line is not None)

    def line(self, test, seconds=20.0, what='a line'):
        """Waits for the first line for which test(line) is true."""
        at, found = 0, []

        def look():
            nonlocal at
            while at < len(self.lines):
                text, at = self.lines[at], at + 1
                if text is None or test(text):
                    found.append(text)
                    return True
            return False

        with self.changed:
            if not self.changed.wait_for(look, wait.patience(seconds)):
                self.kill()
                raise AssertionError(f'{self.name}: no {what}; log:\n{self.tail()}')
        if found[0] is None:
            raise AssertionError(f'{self.name} ended ({self.proc.wait()}) without {what}; '
                                 f'log:\n{self.tail()}')
        return found[0]

    def tail(self):
        return '\n'.join(line for line in self.lines[-60:] if line is not None)

    def alive(self):
        return self.proc is not None and self.proc.poll() is None

    def kill(self):
        """Ends the process and whatever it started; its group is its own."""
        if self.proc is None:
            return
        try:
            os.killpg(self.proc.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.proc.wait()

    def wait_exit(self, seconds=20.0):
        try:
            code = self.proc.wait(wait.patience(seconds))
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f'{self.name} does not end; log:\n{self.tail()}') from None
        self.reader.join(wait.patience(5))
        return code


class Host(Child):
    def __init__(self, folder, config=None, env=None, args=None, allow_log=()):
        """config: a dict, the text of a config, or None for no file at all."""
        folder = pathlib.Path(folder)
        self.etc = folder / 'etc'
        self.etc.mkdir(parents=True, exist_ok=True)
        self.config, self.allow_log = config, list(allow_log)
        self.file = None if config is None else self.etc / 'yoi.json'
        argv = [BINARY, *(args if args is not None else [])]
        super().__init__(argv + ([self.file] if self.file else []), folder, env, 'yoi-host')
        self.addresses, self.signalled = {}, False

    def write(self):
        if self.file is not None:
            given = isinstance(self.config, str)
            config = self.config if given else isolate.apart(self.config, BUILD)
            self.file.write_text(config if given else json.dumps(config, indent=1))
        token = self.etc / 'runtime.token'
        token.write_text(TOKEN + '\n')
        token.chmod(0o600)

    def start(self, seconds=20.0):
        self.write()
        self.spawn()
        self.line(lambda s: logs.parse(s).get('msg') == 'ready', seconds, 'msg=ready')
        for entry in map(logs.parse, self.log.splitlines()):
            if entry.get('msg') == 'listening':
                self.addresses.setdefault(entry['surface'], []).append(entry['address'])
        # What the host runs with is what an editor takes without a mark.
        if self.config is not None:
            assert not schema.errors(self.config)
        return self

    def signal(self, number=signal.SIGTERM):
        """Asks it to end; a second time would mean: at once."""
        self.signalled = True
        self.proc.send_signal(number)

    def stop(self, seconds=25.0, code=0):
        """SIGTERM, exit code, log. Idempotent."""
        if self.proc is None:
            return
        if self.alive() and not self.signalled:
            self.signal()
        ended = self.wait_exit(seconds)
        self.crashed()
        self.check_log()
        assert ended == code, f'yoi-host ended with {ended}; log:\n{self.tail()}'

    def crash(self):
        """SIGKILL, to be started again."""
        self.kill()
        self.crashed()

    def crashed(self):
        """It has ended by itself; what is known of that life is forgotten."""
        self.reader.join(wait.patience(5))
        self.proc, self.addresses, self.signalled = None, {}, False

    def check_log(self):
        bad = logs.findings(self.log, self.allow_log)
        assert not bad, 'in the log:\n' + '\n'.join(bad[:20]) + '\n---\n' + self.tail()

    def restart(self):
        self.stop()
        return self.start()

    def address(self, surface):
        assert surface in self.addresses, f'no {surface} listener; log:\n{self.tail()}'
        return self.addresses[surface][0]

    @property
    def v1(self):
        """A client of the runtime surface, with the token."""
        return Client(self.address('runtime'), TOKEN, self.recorded)

    @property
    def api(self):
        """A client of the browser surface."""
        return Client(self.address('browser'), recorded=self.recorded)

    @property
    def recorded(self):
        """Its answers prove docs/openapi.yaml. Those of test plugins do not, but
        for the one that has no workers and says nothing of itself."""
        config = json.dumps(self.config).replace('dev.yoi.test.null', '')
        return 'dev.yoi.test.' not in config

    def entries(self, **match):
        """Log entries whose fields have these values."""
        return [e for e in map(logs.parse, self.log.splitlines())
                if e and all(e.get(k) == v for k, v in match.items())]

    def metric(self, name, **labels):
        """The value of one metric line; 0 when it is not there."""
        for line in self.api.get('/metrics').text.splitlines():
            if line.startswith('#') or not line.strip():
                continue
            head, _, value = line.rpartition(' ')
            have = dict(logs.re.findall(r'(\w+)="([^"]*)"', head))
            if head.split('{')[0] == name and all(have.get(k) == v for k, v in labels.items()):
                return float(value)
        return 0.0


def descriptors(pid):
    """What the open descriptors of a process are."""
    out = []
    for fd in pathlib.Path(f'/proc/{pid}/fd').iterdir():
        try:
            out.append(os.readlink(fd))
        except FileNotFoundError:
            continue
    return out


def sockets(pid):
    return [d for d in descriptors(pid) if d.startswith('socket:')]


def cpu_s(pid):
    """Seconds of CPU time of a process."""
    fields = open(f'/proc/{pid}/stat').read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def dropped(plugin, folder, name=None):
    """Copies a built plugin into a drop-in folder."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / (name or f'{plugin}.so')
    for d in PLUGIN_PATH:
        source = pathlib.Path(d) / f'{plugin}.so'
        if source.exists():
            shutil.copyfile(source, target)
            target.chmod(0o644)
            return target
    raise AssertionError(f'{plugin}.so is not built')
