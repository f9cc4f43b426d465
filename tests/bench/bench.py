#!/usr/bin/env python3
"""Measures what docs/benchmarks.md states, in one run on this machine.

bench.py --build DIR [--rounds 3] [--only PART,...] [--write]

Parts: routed turns requests watchers idle start scrub bundles isolated appends
store.
Every figure stands beside a reference that runs in the same minutes, several rounds each in
turn; the table has the median and the spread. All answers are looked at:
figures of wrong ones end the run. Nothing passes or fails by its time. The
table goes to the output, with --write also into docs/benchmarks.md; everything
to DIR/bench.json.
"""
import argparse
import json
import os
import pathlib
import platform
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import appends  # noqa: E402
import bundles  # noqa: E402
import idle  # noqa: E402
import isolated  # noqa: E402
import routed  # noqa: E402
import scrub  # noqa: E402
import singles  # noqa: E402
import start  # noqa: E402
import store  # noqa: E402
import turns  # noqa: E402
import watchers  # noqa: E402
from harness import ROOT, SKIPPED, Bench  # noqa: E402

PARTS = {'routed': routed, 'turns': turns, 'requests': singles, 'watchers': watchers,
         'idle': idle, 'start': start, 'scrub': scrub, 'bundles': bundles,
         'isolated': isolated, 'appends': appends, 'store': store}
BEGIN, END = '<!-- measured: begin -->', '<!-- measured: end -->'


def machine():
    cpu = re.search(r'model name\s*: (.*)', pathlib.Path('/proc/cpuinfo').read_text())
    return (f'{os.cpu_count()} cores ({cpu.group(1) if cpu else platform.machine()}), '
            f'Linux {platform.release().split("-")[0]}')


def table(rows):
    lines = [f'{machine()}, built with the default flags. Medians, in brackets the least and the '
             'greatest of the rounds.', '',
             '| what | measured | reference in the same run | | ratio | goal |',
             '|---|---|---|---|---|---|']
    lines += ['| ' + ' | '.join(r.cells()) + ' |' for r in rows]
    lines += [f'| {what} | **skipped**: {why} | | | | |' for what, why in SKIPPED]
    return '\n'.join(lines) + '\n'


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--build', default='build')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--only', default=','.join(PARTS))
    parser.add_argument('--write', action='store_true')
    options = parser.parse_args()
    names = options.only.split(',')
    if options.rounds < 1 or not set(names) <= set(PARTS):
        parser.error(f"parts are {', '.join(PARTS)}")
    if options.write and set(names) != set(PARTS):
        parser.error('--write wants all parts: the table is of one run')
    build, begin, rows = (ROOT / options.build).resolve(), time.monotonic(), []
    for name in names:
        rows += PARTS[name].measure(Bench(build, options.rounds))
    text = table(rows)
    sys.stdout.write('\n' + text)
    (build / 'bench.json').write_text(json.dumps(
        {'machine': machine(), 'seconds': round(time.monotonic() - begin, 1),
         'rounds': options.rounds, 'rows': [r.data() for r in rows],
         'skipped': [{'what': what, 'why': why} for what, why in SKIPPED]}, indent=1) + '\n')
    print(f'bench: {len(rows)} figures in {time.monotonic() - begin:.0f} s, '
          f'{build / "bench.json"}')
    for what, why in SKIPPED:
        print(f'bench: SKIPPED: {what}: {why}', file=sys.stderr)
    if options.write:
        doc = ROOT / 'docs/benchmarks.md'
        before, rest = doc.read_text().split(BEGIN)
        doc.write_text(before + BEGIN + '\n' + text + END + rest.split(END)[1])


if __name__ == '__main__':
    main()
