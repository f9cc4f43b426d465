#!/usr/bin/env python3
"""Measures what docs/benchmarks.md states, in one run on this machine.

bench.py --build DIR [--turns N] [--write]

Everything is a ratio to a reference that runs in the same minute: a routed
call beside a bare call through the same table, a turn beside asking the
provider directly. yoi-host has one core to itself (with one loop); the load
and the provider share the other. --write puts the table into
docs/benchmarks.md. Nothing here passes or fails by its time, only by errors.
"""
import argparse
import json
import os
import pathlib
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
CLIENTS = 32
START_LIMIT_S = 10
BEGIN, END = '<!-- measured: begin -->', '<!-- measured: end -->'


def pinned(core, argv):
    prefix = ['taskset', '-c', str(core)] if (os.cpu_count() or 1) > 1 else []
    return prefix + [str(a) for a in argv]


class Child:
    """A child process that says where it listens; stopped by its pid."""

    def __init__(self, argv, pattern, stream, **kw):
        out = {'stdout': subprocess.PIPE} if stream == 'stdout' else {'stderr': subprocess.PIPE}
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, **out, **kw)
        pipe = getattr(self.process, stream)
        begin = time.monotonic()
        self.text = ''
        for raw in pipe:
            self.text += raw.decode(errors='replace')
            found = re.search(pattern, self.text, re.S)
            if found:
                self.found = found
                return
            if time.monotonic() - begin > START_LIMIT_S:
                break
        self.stop()
        raise SystemExit(f'bench.py: {argv[0]} did not start:\n{self.text}')

    def cpu_s(self):
        stat = pathlib.Path(f'/proc/{self.process.pid}/stat').read_text()
        fields = stat.rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    def rss_mb(self):
        status = pathlib.Path(f'/proc/{self.process.pid}/status').read_text()
        return int(re.search(r'VmRSS:\s+(\d+)', status).group(1)) / 1024

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def run_json(argv, what):
    done = subprocess.run(argv, stdout=subprocess.PIPE, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise SystemExit(f'bench.py: {what} had errors: {done.stdout.decode()}')
    return json.loads(done.stdout)


def routed(build):
    r = run_json(pinned(0, [build / 'tests/bench/bench_routed', build]), 'the routed call')
    return [('routed call (look up, reference, start, next, release)', f"{r['routed_ns']:.0f} ns",
             'the same stream without the registry', f"{r['direct_ns']:.0f} ns",
             f"{r['routed_ns'] / r['direct_ns']:.1f}x", 'at most 200 ns')]


def turns(build, count):
    load = build / 'tests/bench/bench_turn'
    provider = Child(pinned(1, [build / 'tests/mock/provider']), r'listening (\d+)', 'stdout')
    port = provider.found.group(1)
    with tempfile.TemporaryDirectory(prefix='yoi-bench-') as home:
        config = pathlib.Path(home) / 'host.json'
        config.write_text(json.dumps({
            'plugin_path': [str(build / 'runtimes'), str(build / 'plugins')], 'loops': 1,
            'log': {'level': 'info'},
            'runtimes': [{'id': 'bench', 'plugin': 'dev.yoi.embedded'}],
            'models': [{'name': 'main', 'plugin': 'dev.yoi.model-openai',
                        'config': {'base_url': f'http://127.0.0.1:{port}/v1', 'model': 'bench'}}],
            'ingress': [{'plugin': 'dev.yoi.ingress-http', 'surface': 'browser',
                         'listen': '127.0.0.1:0'}]}))
        host = None
        try:
            host = Child(pinned(0, [build / 'yoi-host', config]),
                         r'surface=browser address=\S*?:(\d+).*msg=ready', 'stderr',
                         env=dict(os.environ, HOME=home))
            idle = host.rss_mb()
            run_json(pinned(1, [load, host.found.group(1), 'yoi', CLIENTS, 1000]), 'warming up')
            warm = host.rss_mb()
            cpu = host.cpu_s()
            y = run_json(pinned(1, [load, host.found.group(1), 'yoi', CLIENTS, count]), 'turns')
            cpu = (host.cpu_s() - cpu) / y['turns'] * 1000
            d = run_json(pinned(1, [load, port, 'direct', CLIENTS, count]), 'the provider')
        finally:
            if host:
                host.stop()
            provider.stop()
    rate, direct = y['turns'] / y['seconds'], d['turns'] / d['seconds']
    return [
        ('turn, 32 clients, one core: CPU of yoi-host', f'{cpu:.3f} ms',
         'load and provider, per direct completion', f"{1000 / direct:.3f} ms",
         f'{cpu / (1000 / direct):.1f}x', 'at most 0.06 ms'),
        ('turns a second, 32 clients, one core', f'{rate:,.0f}',
         'completions a second, asked directly', f'{direct:,.0f}', f'{rate / direct:.2f}x',
         '10,000'),
        ('turn, 32 clients: p50 and p99', milliseconds(y), 'the provider directly', milliseconds(d),
         f"{y['p50_us'] / max(1, d['p50_us']):.1f}x", ''),
        ('memory (RSS) before the first turn, after 1,000', f'{idle:.1f} and {warm:.1f} MB', '', '',
         '', '10 and 16 MB'),
    ]


def milliseconds(result):
    return f"{result['p50_us'] / 1000:.2f} and {result['p99_us'] / 1000:.2f} ms"


def table(rows):
    cpu = re.search(r'model name\s*: (.*)', pathlib.Path('/proc/cpuinfo').read_text())
    head = (f'{os.cpu_count()} cores ({cpu.group(1) if cpu else platform.machine()}), '
            f'Linux {platform.release().split("-")[0]}, built with the default flags.')
    lines = [head, '', '| what | measured | reference in the same run | | ratio | goal |',
             '|---|---|---|---|---|---|']
    return '\n'.join(lines + ['| ' + ' | '.join(r) + ' |' for r in rows]) + '\n'


if __name__ == '__main__':
    parser = argparse.ArgumentParser()
    parser.add_argument('--build', default='build')
    parser.add_argument('--turns', type=int, default=40000)
    parser.add_argument('--write', action='store_true')
    options = parser.parse_args()
    where = (ROOT / options.build).resolve()
    text = table(routed(where) + turns(where, options.turns))
    sys.stdout.write(text)
    if options.write:
        doc = ROOT / 'docs/benchmarks.md'
        before, rest = doc.read_text().split(BEGIN)
        doc.write_text(before + BEGIN + '\n' + text + END + rest.split(END)[1])
