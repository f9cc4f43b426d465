"""Many who watch one worker: memory of each, and how soon the last one knows."""
import json
import subprocess

from harness import Child, Row

SIZES = [(1000, 3, 40, 50), (10000, 2, 30, 300)]  # watchers, rounds at most, deltas, ms between
ROOT = '/api/runtimes/bench/workers'


def one(b, host, worker, n, deltas, pace):
    """(bytes each, CPU seconds per delta and watcher, result of the watchers)."""
    b.run('bench_http', host.port, 1, 0, 1, 201, 'POST', ROOT, f'{{"worker_id":"{worker}"}}')
    before = host.rss()
    crowd = Child(b.tool('bench_watch', host.port, f'{ROOT}/{worker}/events', n, 1, 0),
                  r'watching\n', stdin=subprocess.PIPE)
    try:
        each, cpu = (host.rss() - before) / n, host.cpu_s()
        say = f'mode=text chunks={deltas} delay={pace} stamp=1'
        b.run('bench_http', host.port, 1, 0, 1, 202, 'POST', f'{ROOT}/{worker}/input',
              f'{{"content":"{say}"}}')
        seen = json.loads(crowd.wait(r'(\{"watchers.*?\})\n').group(1))
        cpu = (host.cpu_s() - cpu) / (n * deltas)
        crowd.process.stdin.close()
        if crowd.process.wait(30) != 0 or seen['errors'] or seen['texts'] != 1 or \
           seen['stamps'] != deltas:
            raise SystemExit(f'bench: the watchers saw different things: {seen}')
    finally:
        crowd.stop()
    return each, cpu, seen


def measure(b):
    rows = []
    with b.provider() as provider:
        for n, rounds, deltas, pace in SIZES:
            runs = []
            for i in range(min(rounds, b.rounds)):
                with b.host(provider.port) as host:  # fresh: memory that was used is not given back
                    b.run('bench_turn', host.port, 'yoi', 8, 200)
                    runs.append(one(b, host, f'w{i}', n, deltas, pace))
            rows += [
                Row(f'{n:,} watchers of one worker: memory of each', 'B', [r[0] for r in runs],
                    goal='2 KiB'),
                Row(f'{n:,} watchers: CPU per event and watcher', 'us', [r[1] for r in runs]),
                Row(f'{n:,} watchers: from the provider to the last of them, p50', 'ms1',
                    [r[2]['fan_p50_us'] / 1e6 for r in runs]),
                Row(f'{n:,} watchers: from the provider to the last of them, p99', 'ms1',
                    [r[2]['fan_p99_us'] / 1e6 for r in runs])]
    return rows
