#!/usr/bin/env python3
"""Builds and runs every fuzz target, for a while each.

fuzz.py [--seconds N] [NAME...]

A target is tests/fuzz/fuzz_NAME.c with an LLVMFuzzerTestOneInput. Its first
lines, up to an empty one, say what it is linked with, relative to the root of
the tree:

  /* sources: abi/sdk/core abi/sdk/http/sse.c; libs: -lcjson; flags: -DX=1

A folder stands for the .c files in it, and libyoi for the folders that the
Makefile puts into that library. It is built with clang's libFuzzer and
the address and undefined-behaviour sanitizers, starts from the inputs in
tests/fuzz/corpus/NAME/, and writes to build/fuzz/NAME/ only: `corpus` keeps
what it learnt, `finding-*` are inputs to run the program with. One line per
target; exit 1 when there is a finding or a target cannot be built.
"""
import argparse
import concurrent.futures
import hashlib
import os
import pathlib
import re
import shlex
import subprocess
import sys
import threading

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
OUT = ROOT / 'build' / 'fuzz'
BUILD_LIMIT_S = 300
CORES = os.cpu_count() or 1  # targets at a time, each being one process
INPUT_BYTES_MAX = 65536
INPUT_LIMIT_S = 10  # one input; everything is linear, so this is a hang
MEMORY_MB = 1024
FLAGS = ['-std=c11', '-O1', '-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all',
         '-fno-omit-frame-pointer', '-D_GNU_SOURCE', '-Iabi', '-I.', '-Wall', '-Wextra', '-Werror']
LOCK, OBJECTS = threading.Lock(), {}  # who compiles what: an object's lock, under that of the table


def libyoi():
    """The folders of the library, as the Makefile has them."""
    return re.search(r'^LIBYOI_DIRS = (.*)$', (ROOT / 'Makefile').read_text(encoding='utf-8'),
                     re.MULTILINE).group(1).split()


def settings(target):
    """What the first lines of a target say."""
    head = target.read_text(encoding='utf-8').split('\n *\n', 1)[0].replace('\n *', '')
    if not head.startswith('/* sources: '):
        raise SystemExit(f'fuzz.py: {target.name}: the first lines do not name its sources')
    found = dict(re.findall(r'(sources|libs|flags): ([^;]*)', head))
    sources = []
    names = found['sources'].replace('*/', ' ').split()
    for name in [folder for n in names for folder in (libyoi() if n == 'libyoi' else [n])]:
        path = ROOT / name
        sources += sorted(path.glob('*.c')) if path.is_dir() else [path]
    return sources, shlex.split(found.get('flags', '')), shlex.split(found.get('libs', ''))


def stale(out, sources):
    """Whether something that a file is made of is newer, or it is not there."""
    newest = max(p.stat().st_mtime for p in
                 [pathlib.Path(__file__), *sources, *ROOT.glob('abi/**/*.h'),
                  *(h for s in sources for h in s.parent.glob('*.h'))])
    return not out.exists() or out.stat().st_mtime <= newest


def compiler(arguments):
    """The compiler's words, empty when it succeeded."""
    done = subprocess.run(['clang', *arguments], cwd=ROOT, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=BUILD_LIMIT_S, check=False)
    return '' if done.returncode == 0 else done.stdout.decode(errors='replace') or 'clang failed'


def compiled(source, flags):
    """The object of a source, and the compiler's words. Targets share it: it is
    made by the first that needs it, while others wait."""
    shared = hashlib.sha256('\0'.join([*FLAGS, *flags]).encode()).hexdigest()[:16]
    place = source.relative_to(ROOT) if source.is_relative_to(ROOT) else source.relative_to('/')
    out = OUT / 'obj' / shared / place.with_suffix('.o')
    with LOCK:
        lock = OBJECTS.setdefault(out, threading.Lock())
    with lock:
        if not stale(out, [source]):
            return out, ''
        out.parent.mkdir(parents=True, exist_ok=True)
        return out, compiler([*FLAGS, '-fsanitize=fuzzer-no-link', *flags, '-c', str(source),
                              '-o', str(out)])


def build(target):
    """The program, built anew when something it may depend on is newer; or the
    compiler's words."""
    name = target.stem[len('fuzz_'):]
    sources, flags, libs = settings(target)
    missing = [s for s in sources if not s.is_file()]
    if missing:
        return None, f'no such source: {missing[0].relative_to(ROOT)}'
    out = OUT / name / 'fuzz'
    out.parent.mkdir(parents=True, exist_ok=True)
    if not stale(out, [target, *sources]):
        return out, ''
    objects = []
    for source in [target, *sources]:
        found, words = compiled(source, flags)
        if words:
            return None, words
        objects.append(str(found))
    words = compiler([*FLAGS, '-fsanitize=fuzzer', '-o', str(out), *objects, '-lpthread', *libs])
    return (None, words) if words else (out, '')


def run(name, program, seconds):
    """(findings, runs, output): a finding is an input that libFuzzer kept."""
    folder = OUT / name
    (folder / 'corpus').mkdir(exist_ok=True)
    for old in folder.glob('finding-*'):
        old.unlink()
    seeds = ROOT / 'tests' / 'fuzz' / 'corpus' / name
    command = [str(program), f'-max_total_time={seconds}', f'-timeout={INPUT_LIMIT_S}',
               f'-rss_limit_mb={MEMORY_MB}', f'-max_len={INPUT_BYTES_MAX}',
               f'-artifact_prefix={folder}/finding-', '-print_final_stats=1', '-verbosity=0',
               str(folder / 'corpus')]
    if seeds.is_dir():
        command.append(str(seeds))
    limit = seconds + 60
    try:
        done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=limit, check=False)
        text, code = done.stdout.decode(errors='replace'), done.returncode
    except subprocess.TimeoutExpired as e:
        text, code = (e.stdout or b'').decode(errors='replace') + f'\nno end after {limit} s', -1
    count = re.search(r'number_of_executed_units: (\d+)', text)
    findings = sorted(p.relative_to(ROOT) for p in folder.glob('finding-*'))
    if code != 0 and not findings:
        findings = [f'exit {code}']
    return findings, int(count.group(1)) if count else 0, text


def fuzz(target, seconds):
    """(whether all is well, what to say) of one target: built, then run."""
    name = target.stem[len('fuzz_'):]
    program, words = build(target)
    if program is None:
        return False, f'fuzz {name}: cannot be built\n{words}'
    findings, runs, text = run(name, program, seconds)
    if findings:
        return False, f'{text[-6000:]}\nfuzz {name}: FINDING {", ".join(map(str, findings))}'
    return True, f'fuzz {name}: {runs} inputs in {seconds} s, no finding'


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--seconds', type=int, default=20)
    parser.add_argument('names', nargs='*')
    options = parser.parse_args()
    targets = sorted((ROOT / 'tests' / 'fuzz').glob('fuzz_*.c'))
    if options.names:
        targets = [t for t in targets if t.stem[len('fuzz_'):] in options.names]
    if not targets:
        raise SystemExit('fuzz.py: no such target')
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(CORES) as pool:
        for good, words in pool.map(lambda target: fuzz(target, options.seconds), targets):
            print(words, flush=True)
            bad += not good
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
