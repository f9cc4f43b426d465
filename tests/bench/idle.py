"""Workers that nobody speaks to, and the list of them."""
from harness import Row

SIZES = (10000, 100000)
CLIENTS, PAGES = 32, 300
ROOT = '/api/runtimes/bench/workers'


def measure(b):
    rows = []
    for n in SIZES:
        with b.host() as host:
            empty = host.rss()
            made = b.run('bench_http', host.port, CLIENTS, 0, n, 201, 'POST', ROOT,
                         '{"worker_id":"w%"}')
            full = host.rss()
            page = b.run('bench_http', host.port, 1, 0, PAGES, 200, 'GET',
                         f'{ROOT}?limit=100&after=w5')
        rows += [Row(f'{n:,} idle workers: memory in all', 'MB', [full],
                     goal='300 MB' if n == SIZES[-1] else ''),
                 Row(f'{n:,} idle workers: memory of each', 'B', [(full - empty) / n]),
                 Row(f'{n:,} workers: creates a second on one core', '/s',
                     [n / made['seconds']]),
                 Row(f'{n:,} workers: page of 100 of the list, p50', 'ms',
                     [page['p50_us'] / 1e6])]
    return rows
