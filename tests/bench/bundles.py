"""A bundle read: its shape, its references, no credential in it, and its digest."""
from harness import Row


def measure(b):
    runs = [b.run('bench_bundle') for _ in range(b.rounds)]

    def rate(what):
        return [1e15 / run[what] for run in runs]
    return [Row('bundle of a megabyte read and hashed, prose', 'MB/s', rate('prose_ns'),
                'its SHA-256 alone', rate('hash_ns'), goal='at least 100 MB'),
            Row('bundle of a megabyte read and hashed, rules', 'MB/s', rate('entries_ns'),
                'its SHA-256 alone', rate('hash_ns'))]
