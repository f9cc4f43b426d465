"""What a process of its own adds to a call of a plugin."""
from harness import Row, run_json


def measure(b):
    runs = [run_json([b.build / 'tests/bench/bench_isolated', b.build], 'an isolated plugin')
            for _ in range(b.rounds)]
    rows = []
    for name, what in (('decide', 'decision of a policy'), ('call', 'call of a tool')):
        rows.append(Row(f'{what} in a process of its own, beyond the same here', 'us',
                        [(r[f'{name}_apart_ns'] - r[f'{name}_ns']) / 1e9 for r in runs],
                        'a message to a process and back', [r['bare_ns'] / 1e9 for r in runs],
                        goal='at most 15 us'))
    return rows
