"""What the registry adds to a call."""
from harness import SERVER, Row, pinned, run_json


def measure(b):
    runs = [run_json(pinned(SERVER, [b.build / 'tests/bench/bench_routed', b.build]),
                     'the routed call') for _ in range(b.rounds)]
    return [Row('routed call (look up, reference, start, next, release)', 'ns',
                [r['routed_ns'] / 1e9 for r in runs], 'the same stream without the registry',
                [r['direct_ns'] / 1e9 for r in runs], goal='at most 200 ns'),
            Row('decision of a policy (20 rules, the last one fits)', 'us',
                [(r['ruled_ns'] - r['routed_ns']) / 1e9 for r in runs], 'the routed call',
                [r['routed_ns'] / 1e9 for r in runs], goal='at most 5 us'),
            Row('decision on the call of a tool (1,000 rules about paths)', 'us',
                [r['called_ns'] / 1e9 for r in runs], 'one of 20 rules on an operation',
                [(r['ruled_ns'] - r['routed_ns']) / 1e9 for r in runs], goal='at most 5 us')]
