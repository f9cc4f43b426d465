"""Turns: their CPU beside a plain Node server's, long answers, paced ones."""
import contextlib
import os
import pathlib
import shutil
import tempfile

from harness import ROOT, SERVER, Child, Row, of_server, pinned, skip

CLIENTS = 32
TURNS, TOOL_TURNS, NODE_TURNS = 16000, 8000, 5000
CHUNKS, LONG_TURNS = 2000, 40
PACED_CLIENTS, PACED_TURNS, PACED_CHUNKS = 100, 300, 20
PACE = 'stamp=1 first=30 delay=20'


@contextlib.contextmanager
def node(port, client):
    """The plain server with that HTTP client, or None where there is no node."""
    program = shutil.which('node') or shutil.which('nodejs')
    if not program:
        skip('the turn beside a plain Node server', 'node is not installed')
        yield None
        return
    child = Child(pinned(SERVER, [program, ROOT / 'tests/bench/plain.mjs', port,
                                  ROOT / 'bundles/builtin/prompts/companion.system.md', client]),
                  r'listening (\d+)\n',
                  env=dict(os.environ, NODE_ENV='production'))
    child.port = child.found.group(1)
    try:
        yield child
    finally:
        child.stop()


class Plain:
    """A plain Node server and what was measured of it."""

    def __init__(self, js, idle):
        self.js, self.idle, self.warm, self.cpu, self.runs = js, idle, 0, [], []


def rates(runs):
    return [r['turns'] / r['seconds'] for r in runs]


def short(b, provider):
    """32 clients: what a turn costs, how many there are, how long they take."""
    yoi, direct, cpu, nodes = [], [], [], []
    with contextlib.ExitStack() as stack:
        host = stack.enter_context(b.host(provider.port))
        idle = host.rss()
        b.run('bench_turn', host.port, 'yoi', CLIENTS, 1000)
        warm = host.rss()
        for client in ('fetch', 'http'):
            js = stack.enter_context(node(provider.port, client))
            if not js:
                break
            nodes.append(Plain(js, js.rss()))
            b.run('bench_turn', js.port, 'yoi', CLIENTS, NODE_TURNS)  # until it is compiled
        for _ in range(b.rounds):
            c, r = of_server(host, TURNS,
                             lambda: b.run('bench_turn', host.port, 'yoi', CLIENTS, TURNS))
            cpu, yoi = cpu + [c], yoi + [r]
            direct.append(b.run('bench_turn', provider.port, 'direct', CLIENTS, TURNS))
            for n in nodes:
                c, r = of_server(n.js, NODE_TURNS, lambda n=n: b.run(
                    'bench_turn', n.js.port, 'yoi', CLIENTS, NODE_TURNS))
                n.cpu.append(c)
                n.runs.append(r)
        for n in nodes:
            n.warm = n.js.rss()
    rows = [Row('turn, 32 clients: CPU of yoi-host', 'ms', cpu,
                'load and provider, per completion asked directly',
                [1 / r for r in rates(direct)], goal='at most 0.06 ms')]
    names = ('the plain Node server', "the plain Node server, with node:http's client")
    for n, name, goal in zip(nodes, names, ('at most 0.33x', '')):
        rows.append(Row('turn, 32 clients: CPU of yoi-host', 'ms', cpu, name, n.cpu, goal=goal))
    for n, name in zip(nodes, names):
        rows.append(Row('turns a second on one core, 32 clients', '/s', rates(yoi), name,
                        rates(n.runs), goal='10,000'))
    rows.append(Row('turns a second on one core, 32 clients', '/s', rates(yoi),
                    'completions asked directly', rates(direct), goal='10,000'))
    for name, key in (('p50', 'p50_us'), ('p99', 'p99_us')):
        rows.append(Row(f'turn, 32 clients: {name}', 'ms', [r[key] / 1e6 for r in yoi],
                        'the provider directly', [r[key] / 1e6 for r in direct]))
    rows.append(Row('memory (RSS) before the first turn', 'MB', [idle], *(
        (names[0], [nodes[0].idle]) if nodes else ()), goal='10 MB'))
    rows.append(Row('memory (RSS) after 1,000 turns', 'MB', [warm], *(
        (f'{names[0]}, after all turns', [nodes[0].warm]) if nodes else ()), goal='16 MB'))
    return rows


def with_tool(b, provider):
    """A turn that asks for a tool, gets its result and goes on: two generations and
    a call of a tool that answers at once (tests/plugins/hands)."""
    cpu, plain = [], []
    with tempfile.TemporaryDirectory(prefix='yoi-bench-') as home, contextlib.ExitStack() as stack:
        folder = pathlib.Path(home)
        shutil.copy(b.build / 'tests/hands/hands.so', folder)
        host = stack.enter_context(b.host(
            provider.port, plugin_path=[home, *(str(b.build / p) for p in ('runtimes', 'plugins'))],
            runtimes=[{'id': 'bench', 'plugin': 'dev.yoi.embedded',
                       'default_profile': 'builtin:coder'}],
            local={'mounts': {'workspace': {'path': home}}}))
        ask = ['bench_turn', host.port, 'yoi', CLIENTS]
        b.run(*ask, 1000, 8, 'mode=tool shape=file')
        for _ in range(b.rounds):
            cpu.append(of_server(host, TOOL_TURNS, lambda: b.run(
                *ask, TOOL_TURNS, 8, 'mode=tool shape=file'))[0])
            plain.append(of_server(host, TOOL_TURNS, lambda: b.run(*ask, TOOL_TURNS, 8))[0])
    return [Row('turn with one call of a tool, 32 clients: CPU of yoi-host', 'ms', cpu,
                'a turn of the same worker without a call', plain, goal='at most 0.12 ms')]


def long(b, provider):
    """One answer of 2,000 deltas, from one client: per delta."""
    n, cpu, time, direct = LONG_TURNS * CHUNKS, [], [], []
    with b.host(provider.port) as host:
        ask = [1, LONG_TURNS, CHUNKS, '']
        b.run('bench_turn', host.port, 'yoi', 1, 4, CHUNKS)
        for _ in range(b.rounds):
            c, r = of_server(host, n, lambda: b.run('bench_turn', host.port, 'yoi', *ask))
            cpu.append(c)
            time.append(r['seconds'] / n)
            direct.append(b.run('bench_turn', provider.port, 'direct', *ask)['seconds'] / n)
    return [Row('answer of 2,000 deltas: CPU of yoi-host per delta', 'us', cpu,
                'the provider asked directly, per delta', direct),
            Row('answer of 2,000 deltas: time per delta', 'us', time,
                'the provider asked directly, per delta', direct)]


def paced(b, provider):
    """100 turns in flight from a provider that takes its time."""
    ask = [PACED_CLIENTS, PACED_TURNS, PACED_CHUNKS, PACE]
    with b.host(provider.port) as host:
        b.run('bench_turn', host.port, 'yoi', CLIENTS, 500)
        pairs = [(b.run('bench_turn', host.port, 'yoi', *ask),
                  b.run('bench_turn', provider.port, 'direct', *ask)) for _ in range(b.rounds)]
    rows = []
    for what, key in (('request to first delta', 'first'), ('delta sent to delta read', 'late')):
        for name in ('p50', 'p99'):
            mine, ref = ([pair[i][f'{key}_{name}_us'] / 1e6 for pair in pairs] for i in (0, 1))
            rows.append(Row(f'100 paced turns in flight: {what}, {name}', 'ms', mine,
                            'the provider directly', ref))
    return rows


def measure(b):
    with b.provider() as provider:
        return (short(b, provider) + with_tool(b, provider) + long(b, provider) +
                paced(b, provider))
