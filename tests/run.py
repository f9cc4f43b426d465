#!/usr/bin/env python3
"""Runs the tests and ends with one line: N passed, N failed.

run.py --build DIR [--soak-seconds N] GROUP...
groups: unit-core unit abi lint schema e2e openapi remote sick apart host tsan soak all

Unit tests are cmocka programs below DIR/tests/unit; each runs as a process of
its own with a time limit, in an empty directory. The black-box tests are
pytest's, with DIR handed over in YOI_BUILD. What they are answered is recorded
below DIR/exchanges; `openapi` holds docs/openapi.yaml to it. `remote` says the
suites of a runtime of http-remote, with each kind of runtime behind; `sick` says
them again over a network that fails, as the seed says. `apart` says those of
tools, policies and models with each of them in a process. `host` and `tsan`
are for other builds: of long proofs they take a part (lib/sample.py). `soak` is
the long ones, and `sick` with SOAK_SEEDS, beside two mixed loads of --soak-seconds
each: tests/soak on workers in memory, and tests/e2e/test_lives.py on workers in files.
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
UNIT_LIMIT_S = 120
SKIPPED = 77  # exit code of a checker that has nothing to check with
E2E_LIMIT_S = 900  # of one test, whatever it waits for; soak tests set their own
WORKERS = 2
SICK_SEED = 1  # of the network in `sick`
SOAK_SEEDS = range(2, 22)  # and in `soak`


def run_unit(path):
    """(name, passed, failed, output) of one cmocka program."""
    name = path.name if path.parent.name == 'unit' else f'{path.parent.name}/{path.name}'
    env = dict(os.environ, CMOCKA_MESSAGE_OUTPUT='STDOUT', YOI_BUILD=str(BUILD), YOI_ROOT=str(ROOT))
    with tempfile.TemporaryDirectory(prefix='yoi-unit-') as home:
        env['HOME'] = home
        try:
            done = subprocess.run([str(path)], cwd=home, env=env, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=UNIT_LIMIT_S, check=False)
            text, code = done.stdout.decode(errors='replace'), done.returncode
        except subprocess.TimeoutExpired as e:
            text, code = (e.stdout or b'').decode(errors='replace') + '\ntime limit\n', -1
    passed = len(re.findall(r'^\[       OK \]', text, re.M))
    failed = len(set(re.findall(r'^\[  FAILED  \] (\w+)$', text, re.M)))
    if code != 0 and failed == 0 or passed + failed == 0:
        failed += 1
        text += f'\n{name}: ended with {code}\n'
    return name, passed, failed, text


def unit(paths):
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        for name, ok, bad, text in pool.map(run_unit, sorted(paths)):
            passed, failed = passed + ok, failed + bad
            print(f'  unit {name}: {ok} passed' + (f', {bad} FAILED' if bad else ''), flush=True)
            if bad:
                print(text, flush=True)
    return passed, failed


def script(name, *argv):
    """A checker that is one test: exit 0 or not."""
    done = subprocess.run([sys.executable, str(ROOT / name), *argv], cwd=ROOT, check=False,
                          stdin=subprocess.DEVNULL)
    words = {0: 'passed', SKIPPED: 'SKIPPED'}
    print(f'  {name}: ' + words.get(done.returncode, 'FAILED'), flush=True)
    if done.returncode == SKIPPED:
        return 0, 0
    return (1, 0) if done.returncode == 0 else (0, 1)


def exchanges():
    """An empty folder for what the black-box tests are answered."""
    folder = BUILD / 'exchanges'
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def openapi():
    """Every recorded answer against the document."""
    name = 'tests/openapi/check.mjs'
    try:
        done = subprocess.run(['node', name, 'build/npm', 'docs/openapi.yaml',
                               str(BUILD / 'exchanges')], cwd=ROOT, check=False,
                              stdin=subprocess.DEVNULL)
        good = done.returncode == 0
    except FileNotFoundError:
        print('  openapi: there is no node; `make packages-test` brings it', flush=True)
        good = False
    print(f'  {name}: ' + ('passed' if good else 'FAILED'), flush=True)
    return (1, 0) if good else (0, 1)


def pytest(args, parallel=4, **extra):
    with tempfile.TemporaryDirectory(prefix='yoi-e2e-') as tmp:
        report = pathlib.Path(tmp) / 'report.xml'
        env = dict(os.environ, YOI_BUILD=str(BUILD), PYTHONDONTWRITEBYTECODE='1', **extra)
        subprocess.run([sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider',
                        '-n', str(parallel), f'--timeout={E2E_LIMIT_S}',
                        f'--junitxml={report}', f'--basetemp={tmp}/t', *args],
                       cwd=ROOT, env=env, stdin=subprocess.DEVNULL, check=False)
        if not report.exists():
            return 0, 1
        suites = xml.etree.ElementTree.parse(report).getroot().iter('testsuite')
        total = bad = skipped = 0
        for s in suites:
            total += int(s.get('tests'))
            bad += int(s.get('failures')) + int(s.get('errors'))
            skipped += int(s.get('skipped'))
        return (total - bad - skipped, bad) if total else (0, 1)


def remote(seeds=(None,), parallel=4):
    """The suites of a runtime, of one of another host. A seed: over a network
    that fails."""
    sys.path.insert(0, str(ROOT / 'tests/e2e'))
    from lib.both import SUITES, SUITES_OF_FILES
    return [sum(n) for n in zip(*(
        pytest([f'tests/e2e/test_{n}.py' for n in names] + ['-m', 'not soak'], parallel,
               YOI_E2E_REMOTE=behind, **({'YOI_E2E_SICK': str(seed)} if seed else {}))
        for seed in seeds
        for behind, names in (('embedded', SUITES), ('fs-store', SUITES_OF_FILES))))]


def mixed_load(seconds):
    """The one in memory: its output as it comes, its last line is its counts."""
    child = subprocess.Popen([sys.executable, str(ROOT / 'tests/soak/soak.py'), '--build',
                              str(BUILD), '--seconds', str(seconds)],
                             env=dict(os.environ, PYTHONDONTWRITEBYTECODE='1'),
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    found = None
    for raw in child.stdout:
        text = raw.decode(errors='replace').rstrip()
        found = re.fullmatch(r'(\d+) passed, (\d+) failed', text)
        if not found:
            print(f'  {text}', flush=True)
    child.wait()
    return (int(found.group(1)), int(found.group(2))) if found else (0, 1)


def soak(seconds):
    """All at the same time: they leave each other room, and take no figures."""
    lives = 'tests/e2e/test_lives.py'
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(mixed_load, seconds),
                pool.submit(pytest, [lives, '-m', 'soak', '-s'], 0, YOI_SOAK_SECONDS=str(seconds)),
                pool.submit(pytest, ['tests/e2e', '-m', 'soak', '-rP', f'--ignore={lives}'], 2),
                pool.submit(remote, SOAK_SEEDS, 2)]
        return [sum(n) for n in zip(*(j.result() for j in jobs))]


def group(name):
    base = BUILD / 'tests' / 'unit'
    if name == 'unit-core':
        return unit(p for p in base.glob('test_*') if p.is_file())
    if name == 'unit':
        return unit(p for p in base.rglob('test_*') if p.is_file())
    if name == 'abi':
        return script('tests/abi/check.py', '--build', str(BUILD))
    if name == 'lint':
        return script('tests/lint.py')
    if name == 'schema':
        return script('tests/schema/suite.py', '--build', str(BUILD))
    if name == 'e2e':
        return pytest(['tests/e2e', '-m', 'not soak'], YOI_RECORD=str(exchanges()))
    if name == 'openapi':
        return openapi()
    if name == 'host':  # e2e for another build: what is about pages is the same in each
        same = ('abi_check', 'lint', 'lib', 'docs', 'http_docs', 'openapi')
        skip = [f'--ignore=tests/e2e/test_{n}.py' for n in same]
        return pytest(['tests/e2e', '-m', 'not soak', *skip])
    if name == 'remote':
        return remote()
    if name == 'sick':
        return remote([SICK_SEED])
    if name == 'apart':
        sys.path.insert(0, str(ROOT / 'tests/e2e'))
        from lib.isolate import SUITES as of_plugins
        return pytest([f'tests/e2e/test_{n}.py' for n in of_plugins] + ['-m', 'not soak'],
                      YOI_ISOLATE='1')
    if name == 'tsan':
        return pytest(['tests/e2e', '-m', 'tsan and not soak'])
    if name == 'soak':
        return soak(SOAK_SECONDS)
    raise SystemExit(f'run.py: no such group: {name}')


if __name__ == '__main__':
    parser = argparse.ArgumentParser()
    parser.add_argument('--build', default='build')
    parser.add_argument('--soak-seconds', type=int, default=1800)
    parser.add_argument('groups', nargs='+')
    options = parser.parse_args()
    BUILD, SOAK_SECONDS = (ROOT / options.build).resolve(), options.soak_seconds
    everything = ['lint', 'abi', 'unit', 'schema', 'e2e', 'openapi', 'remote', 'sick', 'apart']
    names = everything if options.groups == ['all'] else options.groups
    if {'host', 'tsan'} & set(names):
        os.environ.setdefault('YOI_SAMPLE', '6')
    good = bad = 0
    for n in names:
        begin = time.monotonic()
        ok, ko = group(n)
        good, bad = good + ok, bad + ko
        print(f'{n}: {ok} passed, {ko} failed ({time.monotonic() - begin:.1f} s)', flush=True)
    print(f'{good} passed, {bad} failed')
    sys.exit(1 if bad else 0)
