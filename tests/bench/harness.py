"""What the measurements share: processes on cores, their cost, rows of the table.

A row is one figure with its values over several rounds, and beside it what it
is compared with, measured in turn with it in the same rounds. The host, or the
server that stands in its place, has core 0; load and provider have core 1.
"""
import contextlib
import json
import os
import pathlib
import re
import selectors
import signal
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
START_LIMIT_S = 20
RUN_LIMIT_S = 120
SERVER, LOAD = 0, 1
SKIPPED = []  # (what, why): said loudly, in the table and at the end


def pinned(core, argv):
    prefix = ['taskset', '-c', str(core)] if (os.cpu_count() or 1) > 1 else []
    return prefix + [str(a) for a in argv]


def skip(what, why):
    SKIPPED.append((what, why))
    print(f'bench: SKIPPED: {what}: {why}', flush=True)


class Child:
    """A child process that says where it listens; stopped by its pid."""

    def __init__(self, argv, pattern, stream='stdout', **kw):
        self.process = subprocess.Popen(argv, stdin=kw.pop('stdin', subprocess.DEVNULL),
                                        **{stream: subprocess.PIPE}, **kw)
        self.pipe = getattr(self.process, stream)
        self.text = ''
        self.found = self.wait(pattern, START_LIMIT_S)

    def wait(self, pattern, seconds=RUN_LIMIT_S):
        """Reads on until the pattern stands in what was said since the last wait."""
        os.set_blocking(self.pipe.fileno(), False)
        end, text = time.monotonic() + seconds, ''
        with selectors.DefaultSelector() as sel:
            sel.register(self.pipe, selectors.EVENT_READ)
            while time.monotonic() < end:
                sel.select(end - time.monotonic())
                part = os.read(self.pipe.fileno(), 65536)
                text += part.decode(errors='replace')
                found = re.search(pattern, text, re.S)
                if found:
                    return found
                if not part:
                    break
        self.stop()
        raise SystemExit(f'bench: {self.process.args}: no /{pattern}/ in:\n{text}')

    @property
    def pid(self):
        return self.process.pid

    def cpu_s(self):
        return cpu_s(self.pid)

    def rss(self):
        return rss(self.pid)

    def end(self, seconds):
        """Ends in order, within that time; how long it took."""
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(seconds) != 0:
            raise SystemExit(f'bench: {self.process.args} ended with {self.process.returncode}')
        return time.monotonic() - begin

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def cpu_s(pid):
    """User and system time of a process, in nanoseconds' detail where the kernel tells."""
    total = 0
    for task in pathlib.Path(f'/proc/{pid}/task').iterdir():
        try:
            total += int((task / 'schedstat').read_text().split()[0])
        except (OSError, ValueError, IndexError):
            fields = pathlib.Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')
    return total / 1e9


def rss(pid):
    status = pathlib.Path(f'/proc/{pid}/status').read_text()
    return int(re.search(r'VmRSS:\s+(\d+)', status).group(1)) * 1024


def run_json(argv, what):
    done = subprocess.run(argv, stdout=subprocess.PIPE, check=False, stdin=subprocess.DEVNULL,
                          timeout=RUN_LIMIT_S)
    if done.returncode != 0:
        raise SystemExit(f'bench: {what} had errors: {done.stdout.decode()}')
    return json.loads(done.stdout)


class Bench:
    """The build under test, and what is started from it."""

    def __init__(self, build, rounds):
        self.build, self.rounds = build, rounds

    def tool(self, name, *argv):
        return pinned(LOAD, [self.build / 'tests/bench' / name, *argv])

    def run(self, name, *argv):
        return run_json(self.tool(name, *argv), f'{name} {argv}')

    @contextlib.contextmanager
    def provider(self):
        child = Child(pinned(LOAD, [self.build / 'tests/mock/provider']), r'listening (\d+)\n')
        child.port = child.found.group(1)
        try:
            yield child
        finally:
            child.stop()

    def config(self, home, port, **keys):
        """A config file: one runtime, the browser surface, the provider at `port`."""
        file = pathlib.Path(home) / 'host.json'
        file.write_text(json.dumps({
            'plugin_path': [str(self.build / 'runtimes'), str(self.build / 'plugins')],
            'loops': 1, 'log': {'level': 'info'},
            'runtimes': [{'id': 'bench', 'plugin': 'dev.yoi.embedded'}],
            'models': [{'name': 'main', 'plugin': 'dev.yoi.model-openai',
                        'config': {'base_url': f'http://127.0.0.1:{port}/v1', 'model': 'bench'}}],
            'ingress': [{'plugin': 'dev.yoi.ingress-http', 'surface': 'browser',
                         'listen': '127.0.0.1:0'}], **keys}))
        return file

    @contextlib.contextmanager
    def host(self, port=9, core=SERVER, **keys):
        with tempfile.TemporaryDirectory(prefix='yoi-bench-') as home:
            child = Child(pinned(core, [self.build / 'yoi-host',
                                          self.config(home, port, **keys)]),
                          r'surface=browser address=\S*?:(\d+).*msg=ready', 'stderr',
                          env=dict(os.environ, HOME=home))
            child.port = child.found.group(1)
            try:
                yield child
            finally:
                child.stop()


def of_server(server, count, run):
    """(CPU seconds of the server per thing, the load's result)."""
    before = server.cpu_s()
    result = run()
    return (server.cpu_s() - before) / count, result


# ---- rows --------------------------------------------------------------------
UNITS = {'ns': (1e9, '{:,.0f} ns'), 'us': (1e6, '{:,.1f} us'), 'ms': (1e3, '{:,.3f} ms'),
         'ms1': (1e3, '{:,.1f} ms'), 'MB': (1e-6, '{:,.1f} MB'), 'KB': (1e-3, '{:,.0f} KB'),
         'B': (1, '{:,.0f} bytes'), '/s': (1, '{:,.0f} a second'), 's': (1, '{:,.2f} s'),
         'MB/s': (1e-6, '{:,.0f} MB a second'),
         'rec': (1, '{:,.1f} records')}


def shown(values, unit):
    """The median, and least and greatest where there are more than one."""
    scale, text = UNITS[unit]
    values = [v * scale for v in values]
    middle = text.format(statistics.median(values))
    if len(values) < 2:
        return middle
    number = text.split(' ')[0]
    return f'{middle} ({number.format(min(values))} to {number.format(max(values))})'


class Row:
    """One figure. Values are in seconds, bytes or per second, whatever is shown."""

    def __init__(self, what, unit, values, ref=None, ref_values=(), ref_unit=None, goal='',
                 ratio=None):
        self.what, self.unit, self.values, self.goal = what, unit, list(values), goal
        self.ref, self.ref_values, self.ref_unit = ref, list(ref_values), ref_unit or unit
        self.ratio = ratio
        if ref and ratio is None and statistics.median(self.ref_values):
            self.ratio = statistics.median(self.values) / statistics.median(self.ref_values)
        print(f'bench: {what}: {shown(self.values, unit)}' +
              (f'; {ref}: {shown(self.ref_values, self.ref_unit)}' if ref else ''), flush=True)

    def cells(self):
        return [self.what, shown(self.values, self.unit), self.ref or '',
                shown(self.ref_values, self.ref_unit) if self.ref else '',
                f'{self.ratio:.2f}x' if self.ratio is not None else '', self.goal]

    def data(self):
        base = {'B': 'bytes', 'KB': 'bytes', 'MB': 'bytes', '/s': 'per second', 'rec': 'records'}
        out = {'what': self.what, 'unit': base.get(self.unit, 'seconds'),
               'values': self.values, 'median': statistics.median(self.values), 'goal': self.goal}
        if self.ref:
            out['reference'] = {'what': self.ref, 'values': self.ref_values,
                                'median': statistics.median(self.ref_values)}
            out['ratio'] = self.ratio
        return out
