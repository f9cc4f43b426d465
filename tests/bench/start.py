"""From nothing to ready, and sizes on disk."""
import hashlib
import pathlib
import re
import shutil
import subprocess
import tempfile

from harness import ROOT, Row, SERVER, pinned, run_json, skip

RUNS = 10
PINNED = {'dev.yoi.embedded': 'runtimes/embedded.so',
          'dev.yoi.model-openai': 'plugins/model-openai.so',
          'dev.yoi.ingress-http': 'plugins/ingress-http.so'}
GOAL = '20 ms'


def pins(b):
    return [{'id': name, 'digest': 'sha256:' + hashlib.sha256((b.build / file).read_bytes())
             .hexdigest()} for name, file in PINNED.items()]


def copy(b, home):
    """The program and its plugins, as files that no other process has mapped."""
    files = [b.build / 'yoi-host', *sorted(b.build.glob('runtimes/*.so')),
             *sorted(b.build.glob('plugins/*.so'))]
    out = []
    for file in files:
        out.append(pathlib.Path(home) / file.relative_to(b.build))
        out[-1].parent.mkdir(exist_ok=True)
        shutil.copy2(file, out[-1])
    return out


def ready(b, files, program, marker='msg=ready'):
    result = run_json(pinned(SERVER, [b.build / 'tests/bench/bench_start', RUNS, marker, *files,
                                      '--', *program]), 'the start')
    return [result[k] / 1e6 for k in ('min_us', 'p50_us', 'max_us')], result


def starts(b):
    rows = []
    with tempfile.TemporaryDirectory(prefix='yoi-bench-') as home:
        host = [b.build / 'yoi-host', b.config(home, 9)]
        node = shutil.which('node') or shutil.which('nodejs')
        ref = ()
        prompt = ROOT / 'bundles/builtin/prompts/companion.system.md'
        if node:
            ref = ('the plain Node server',
                   ready(b, [], [node, ROOT / 'tests/bench/plain.mjs', '9', prompt],
                         'listening')[0])
        else:
            skip('the start beside a plain Node server', 'node is not installed')
        warm, result = ready(b, [], host)
        rows += [Row('start to ready, warm', 'ms1', warm, *ref, goal=GOAL),
                 Row('start, ready and end: CPU', 'ms1', [result['cpu_us'] / 1e6])]
        files = copy(b, home)
        lonely = [files[0], b.config(home, 9, plugin_path=[f'{home}/runtimes', f'{home}/plugins'])]
        cold, result = ready(b, files, lonely)
        if result['resident']:
            skip('the cold start', f"{result['resident']} pages of our files stayed in the cache")
        else:
            rows.append(Row('start to ready, our files not in the page cache', 'ms1', cold))
        host[1] = b.config(home, 9, plugins=pins(b))
        check = subprocess.run([str(host[0]), 'check', str(host[1])], stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False)
        if check.returncode != 0:
            skip('the start with three pins', 'this build does not have plugins[].digest')
        else:
            rows.append(Row('start to ready, warm, three plugins pinned by digest', 'ms1',
                            ready(b, [], host)[0], *ref, goal=GOAL))
    return rows


def sizes(b):
    """With and without what `strip` takes away."""
    rows = []
    strip = shutil.which('strip')
    for file in [b.build / 'yoi-host', b.build / 'libyoi.so', *sorted(b.build.glob('*/*.so'))]:
        name = str(file.relative_to(b.build))
        if not re.fullmatch(r'(runtimes|plugins)/.*|[^/]*', name):
            continue
        with tempfile.TemporaryDirectory(prefix='yoi-bench-') as home:
            bare = pathlib.Path(home) / 'bare'
            subprocess.run([strip, '-o', str(bare), str(file)], check=True)
            rows.append(Row(f'size on disk: {name}, stripped', 'KB', [bare.stat().st_size],
                            'as built, with debug information', [file.stat().st_size]))
    return rows


def measure(b):
    return starts(b) + sizes(b)
