"""Known secrets looked for in what models say, beside copying the same text."""
from harness import Row

SECRETS = (1, 100)


def measure(b):
    runs = [{n: b.run('bench_scrub', n) for n in (0, *SECRETS)} for _ in range(b.rounds)]

    def rate(n, what):
        return [1e15 / run[n][what] for run in runs]
    rows = []
    for n in SECRETS:
        named = f"{n} secret{'s' if n > 1 else ''} looked for in "
        rows += [Row(named + 'words', 'MB/s', rate(n, 'words_ns'), 'memcpy of the same',
                     rate(n, 'memcpy_ns'), goal='at least 500 MB' if n > 1 else ''),
                 Row(named + 'random letters', 'MB/s', rate(n, 'random_ns'),
                     'memchr without a hit', rate(n, 'memchr_ns'))]
    return rows + [Row(f"delta of six bytes, {n} secret{'' if n == 1 else 's'}", 'ns',
                       [run[n]['delta_ns'] / 1e9 for run in runs]) for n in (0, *SECRETS)]
