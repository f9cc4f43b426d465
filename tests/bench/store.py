"""Workers in files, over HTTP: inputs beside the runtime without files, and
many workers: made, stopped, started, listed, read, killed."""
import os
import pathlib
import tempfile
import time

from harness import SERVER, Child, Row, pinned, run_json, skip
from singles import ended

WORKERS, CLIENTS = 100000, 32
INPUTS = ((1, 100), (8, 800), (64, 4000))  # clients, inputs of a round
READS, PAGES, STARTS = 1000, 300, 3
TAIL = 4000        # inputs that stand in the log only when the host is killed
LONG_S = 300       # what the last checkpoint of many workers may take
NEVER = {'checkpoint_bytes': 1 << 30, 'checkpoint_ms': 86400000}
INPUT = '{"content":"Say hello to the bench, please."}'
ROOT = '/api/runtimes/bench/workers'


def files_at(root, **config):
    return {'runtimes': [{'id': 'bench', 'plugin': 'dev.yoi.fs-store',
                          'config': {'root': str(root), **config}}]}


def create(b, host, first, n):
    return b.run('bench_http', host.port, CLIENTS, first, n, 201, 'POST', ROOT,
                 '{"worker_id":"w%"}')


def say(b, host, clients, first, n):
    return b.run('bench_http', host.port, clients, first, n, 202, 'POST', ROOT + '/w%/input',
                 INPUT)


# ---- inputs ---------------------------------------------------------------------
def inputs(b, home):
    """Each is the first of its worker, and its turn runs behind the acknowledgement."""
    runs = {}
    with b.provider() as provider, b.host(provider.port) as memory, \
            b.host(provider.port, **files_at(home / 'inputs')) as files:
        first = 0
        for _ in range(b.rounds):
            for clients, n in INPUTS:
                for host, name in ((files, 'files'), (memory, 'memory')):
                    create(b, host, first, n)
                    runs.setdefault((clients, name), []).append(say(b, host, clients, first, n))
                    if not ended(host, first + n - 1):
                        raise SystemExit('bench: a turn did not complete')
                first += n
    rows = []
    for clients, _ in INPUTS:
        mine, ref = runs[(clients, 'files')], runs[(clients, 'memory')]
        what = f"POST input (202) to fs-store, {clients} client{'s' if clients > 1 else ''}"
        rows.append(Row(f'{what}: acknowledged', '/s', [r['requests'] / r['seconds'] for r in mine],
                        'to embedded', [r['requests'] / r['seconds'] for r in ref]))
        for name in ('p50', 'p99'):
            rows.append(Row(f'{what}: {name} of the acknowledgement', 'ms',
                            [r[f'{name}_us'] / 1e6 for r in mine], 'to embedded',
                            [r[f'{name}_us'] / 1e6 for r in ref]))
    return rows


# ---- many workers ----------------------------------------------------------------
def fill(b, root):
    """Made over HTTP, and stopped in order: all of them are in files of their own."""
    with b.host(**files_at(root, durability='relaxed')) as host:
        made = create(b, host, 0, WORKERS)
        return [Row(f'{WORKERS:,} workers in files: creates a second on one core', '/s',
                    [WORKERS / made['seconds']]),
                Row(f'{WORKERS:,} workers in files: the end, with the last checkpoint', 's',
                    [host.end(LONG_S)])]


def tree(root):
    for folder, _, names in os.walk(root):
        yield from (pathlib.Path(folder) / name for name in names)


def space(root):
    sizes = [(s.st_size, s.st_blocks * 512) for s in map(os.stat, tree(root / 'workers'))]
    if len(sizes) != WORKERS:
        raise SystemExit(f'bench: {len(sizes)} files of {WORKERS} workers')
    index = (root / 'index.jsonl').stat().st_size
    return [Row('worker in files that was created: its file, in blocks', 'B',
                [sum(s[1] for s in sizes) / WORKERS], 'the bytes in it',
                [sum(s[0] for s in sizes) / WORKERS]),
            Row('worker in files: its line of the index', 'B', [index / WORKERS])]


def drop(root):
    """The pages of all files of the store; names and inodes stay."""
    for file in tree(root):
        fd = os.open(file, os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def start(b, home, root, dropped=()):
    """Starts that end in order, which leaves the same files behind."""
    program = [b.build / 'yoi-host', b.config(home, 9, **files_at(root))]
    result = run_json(pinned(SERVER, [b.build / 'tests/bench/bench_start', STARTS, 'msg=ready',
                                      *dropped, '--', *program]), 'the start')
    return [result[k] / 1e6 for k in ('min_us', 'p50_us', 'max_us')], result['resident']


def starts(b, home, root):
    ref = ('with an empty store', start(b, home, home / 'empty')[0])
    what = f'start to ready, {WORKERS:,} workers in files'
    rows = [Row(f'{what}, warm', 'ms1', start(b, home, root)[0], *ref, goal='2 s')]
    dropped = [root / 'index.jsonl', root / 'store.json', *sorted((root / 'log').iterdir())]
    cold, resident = start(b, home, root, dropped)
    if resident:
        skip('the cold start of the store', f'{resident} of its pages stayed in the cache')
    else:
        rows.append(Row(f'{what}, index and log not in the page cache', 'ms1', cold, *ref,
                        goal='5 s'))
    return rows


def get(b, host, count, target, first=0):
    return b.run('bench_http', host.port, 1, first, count, 200, 'GET', ROOT + target)


def started(b, root):
    """What a host has and does that has just found all workers."""
    with b.host(**files_at(root)) as host:
        full = host.rss()
        page = get(b, host, 1, '?limit=100')
        pages = get(b, host, PAGES, '?limit=100&after=w5')
        warm = get(b, host, READS, '/w%')
        drop(root)
        cold = get(b, host, READS, '/w%', WORKERS // 2)
    with b.host() as host:
        empty = host.rss()
    what = f'{WORKERS:,} workers in files'
    return [Row(f'{what}: memory after the start', 'MB', [full]),
            Row(f'{what}: memory of each', 'B', [(full - empty) / WORKERS]),
            Row(f'{what}: first page of 100 of the list', 'ms', [page['p50_us'] / 1e6]),
            Row(f'{what}: page of 100 of the list, p50', 'ms', [pages['p50_us'] / 1e6]),
            Row('GET of a worker that sleeps, its file in the page cache: p50', 'ms',
                [warm['p50_us'] / 1e6]),
            Row('GET of a worker that sleeps, its file not in the page cache: p50', 'ms',
                [cold['p50_us'] / 1e6]),
            Row('GET of a worker that sleeps, its file not in the page cache: p99', 'ms',
                [cold['p99_us'] / 1e6])]


# ---- after kill -9 -----------------------------------------------------------------
def log_bytes(root):
    """Lines of the log: behind the last there are zeros."""
    return sum(len(f.read_bytes().rstrip(b'\0')) for f in (root / 'log').iterdir())


def killed(b, home, root):
    """Turns that are in the log and in no worker's file, and then starts that read them."""
    config, took = files_at(root, durability='relaxed', **NEVER), []
    with b.provider() as provider, b.host(provider.port, **config) as host:
        say(b, host, CLIENTS, 0, TAIL)
        if not all(ended(host, n) for n in range(TAIL - CLIENTS, TAIL)):
            raise SystemExit('bench: a turn did not complete')
        host.kill()
    tail = log_bytes(root)
    program = pinned(SERVER, [b.build / 'yoi-host', b.config(home, 9, **config)])
    for _ in range(STARTS):
        begin = time.monotonic()
        host = Child(program, r'address=\S*?:(\d+).*msg=ready', 'stderr',
                     env=dict(os.environ, HOME=str(home)))
        took.append(time.monotonic() - begin)
        host.port = host.found.group(1)
        try:
            if not all(ended(host, n) for n in (0, TAIL - 1)):
                raise SystemExit('bench: a turn is not there after kill -9')
        finally:
            host.kill()
    return [Row(f'start to ready after kill -9, {WORKERS:,} workers and '
                f'{tail / 1e6:,.1f} MB of log', 'ms1', took, goal='2 s')]


def measure(b):
    with tempfile.TemporaryDirectory(prefix='store-', dir=b.build) as home:
        home = pathlib.Path(home)
        root = home / 'many'
        rows = inputs(b, home)
        rows += fill(b, root)
        rows += space(root) + starts(b, home, root) + started(b, root) + killed(b, home, root)
        begin = time.monotonic()
    print(f'bench: {WORKERS:,} workers removed in {time.monotonic() - begin:.0f} s', flush=True)
    return rows
