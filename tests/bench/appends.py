"""Appends to a store of files through the engine's seam, beside a plain file
with fdatasync, SQLite and LMDB, in turn on the same file system."""
import tempfile

from harness import Row, run_json, skip

ONE, EIGHT, MANY = 400, 1600, 12800  # records of a round, by how many write
WRITERS = ((1, ONE), (8, EIGHT), (64, MANY))
PEERS = (('bench_sqlite', 'SQLite (WAL, FULL)', 'libsqlite3-dev'),
         ('bench_lmdb', 'LMDB', 'liblmdb-dev'))
GOALS = {1: 'at least 0.9x', 64: 'at least 10x'}
BUSY = ['workers=2000', 'spread=1']
PASSES = ['checkpoint_bytes=1000000', 'checkpoint_ms=100', 'passes=2']
FLAT = 100000  # appends whose cost is compared, acknowledged before they are synced
WORKERS, EVENTS = (100, 100000), (10, 1000000)


class Folders:
    """Runs programs of the build, each in a new folder on its disk."""

    def __init__(self, b):
        self.b = b

    def run(self, name, *argv):
        with tempfile.TemporaryDirectory(prefix='store-', dir=self.b.build) as folder:
            argv = [self.b.build / 'tests/bench' / name, folder, *argv]
            return run_json([str(a) for a in argv], f'{name} {argv}')


def rate(run):
    return run['records'] / run['seconds']


def per(run, key):
    return run[key] / run['records']


def rounds(b, folders, peers):
    """{what: [a run of each round]}, all of them in turn."""
    runs = {}
    for _ in range(b.rounds):
        runs.setdefault('raw', []).append(folders.run('bench_store', 'raw', ONE))
        for writers, n in WRITERS:
            runs.setdefault(writers, []).append(folders.run('bench_store', 'store', writers, n))
        for name, _, _ in peers:
            for together, n in ((1, ONE), (64, MANY)):
                runs.setdefault((name, together), []).append(folders.run(name, n, together))
    return runs


def figures(runs, key):
    return [r[key] / 1e6 for r in runs]


def beside(runs, peers):
    raw, rows = runs['raw'], []
    for writers, _ in WRITERS:
        mine, what = runs[writers], f"appends of {writers} writer{'s' if writers > 1 else ''}"
        rows += [Row(f'{what}: acknowledged', '/s', [rate(r) for r in mine],
                     'one writer to a file, fdatasync each', [rate(r) for r in raw],
                     goal=GOALS.get(writers, '')),
                 Row(f'{what}: p50', 'ms', figures(mine, 'p50_us'),
                     'one writer to a file, fdatasync each', figures(raw, 'p50_us')),
                 Row(f'{what}: p99', 'ms', figures(mine, 'p99_us'),
                     'one writer to a file, fdatasync each', figures(raw, 'p99_us')),
                 Row(f'{what}: made durable together', 'rec',
                     [r['records'] / r['syncs'] for r in mine])]
    for name, title, _ in peers:
        for together in (1, 64):
            what = f"appends of {together} writer{'s' if together > 1 else ''}"
            ref = f"{title}, {together} a transaction"
            mine, theirs = runs[together], runs[(name, together)]
            rows += [Row(f'{what}: acknowledged', '/s', [rate(r) for r in mine], ref,
                         [rate(r) for r in theirs]),
                     Row(f'{what}: p99', 'ms', figures(mine, 'p99_us'), ref,
                         figures(theirs, 'p99_us'))]
    return rows


def bytes_of(runs, peers):
    """What a record costs the disk; with one that nobody counts, its space alone."""
    refs = [('raw', 'one writer to a file, fdatasync each', 1)]
    refs += [((name, n), f'{title}, {n} a transaction', n) for name, title, _ in peers
             for n in (1, 64)]
    rows = []
    for ref, title, writers in refs:
        what = f"append of 400 bytes, {writers} writer{'s' if writers > 1 else ''}"
        for key, name in (('written', 'written to the disk'), ('space', 'space on it')):
            mine, theirs = [[per(r, key) for r in runs[k]] for k in (writers, ref)]
            if all(mine) and all(theirs):
                rows.append(Row(f'{what}: {name}', 'B', mine, title, theirs))
    if not all(r['written'] for r in runs['raw']):
        skip('what was written to the disk', 'no disk counts it below the build directory')
    return rows


def checkpoints(b, folders):
    quiet, busy = [], []
    for _ in range(b.rounds):
        quiet.append(folders.run('bench_store', 'store', 64, MANY, *BUSY))
        busy.append(folders.run('bench_store', 'store', 64, MANY, *BUSY, *PASSES))
        assert busy[-1]['checkpoints'] >= 2, busy[-1]
    what, ref = 'appends of 64 writers to 2,000 workers, checkpoint after checkpoint', 'without any'
    return [Row(f'{what}: acknowledged', '/s', [rate(r) for r in busy], ref,
                [rate(r) for r in quiet]),
            Row(f'{what}: p99', 'ms', figures(busy, 'p99_us'), ref, figures(quiet, 'p99_us'))]


def flat(b, folders):
    """The cost of an append in stores of two sizes, the disk's waits not in it."""
    few, many, short, long = [], [], [], []
    for _ in range(min(b.rounds, 2)):
        for n, out in zip(WORKERS, (few, many)):
            out.append(folders.run('bench_store', 'store', 64, FLAT, 'relaxed=1', 'spread=1',
                                   'leave=1', f'workers={n}'))
        for n, out in zip(EVENTS, (short, long)):
            out.append(folders.run('bench_store', 'store', 1, FLAT, 'relaxed=1', 'leave=1',
                                   'data=64', 'checkpoint_bytes=4194304', f'records={n}'))
    return [Row(f'append, {WORKERS[1]:,} workers in the store: CPU', 'us',
                [per(r, 'cpu_s') for r in many], f'{WORKERS[0]:,} workers in it',
                [per(r, 'cpu_s') for r in few], goal='flat'),
            Row(f'append to a worker of {EVENTS[1]:,} records, its file included: CPU', 'us',
                [per(r, 'cpu_s') for r in long], f'to one of {EVENTS[0]:,}',
                [per(r, 'cpu_s') for r in short], goal='flat')]


def measure(b):
    folders, peers = Folders(b), []
    for peer in PEERS:
        if (b.build / 'tests/bench' / peer[0]).exists():
            peers.append(peer)
        else:
            skip(f'appends beside {peer[1]}', f'{peer[2]} is not installed')
    runs = rounds(b, folders, peers)
    return (beside(runs, peers) + bytes_of(runs, peers) + checkpoints(b, folders) +
            flat(b, folders))
