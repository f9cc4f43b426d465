"""A worker of another host: an operation, and a stream, with and without us between."""
import contextlib
import json
import pathlib
import tempfile
import urllib.request

from harness import LOAD, Child, Row
from singles import free_port

COUNT, CHUNKS = 5000, 100000
TURNS, SIZE = 100, 500  # of the history: 100 turns, each of 100 pieces of 500 bytes
RUNTIME = {'plugin': 'dev.yoi.ingress-http', 'surface': 'runtime', 'runtime': 'bench',
           'insecure': True}
BROWSER = {'plugin': 'dev.yoi.ingress-http', 'surface': 'browser', 'listen': '127.0.0.1:0'}


def entry(port):
    return {'id': 'bench', 'plugin': 'dev.yoi.http-remote',
            'config': {'base_url': f'http://127.0.0.1:{port}'}}


@contextlib.contextmanager
def far(b, provider):
    """A host with a worker `w`, shown at .runtime_port too."""
    port = free_port()
    surfaces = [BROWSER, {**RUNTIME, 'listen': f'127.0.0.1:{port}'}]
    with b.host(provider.port, ingress=surfaces) as host:
        host.runtime_port = port
        b.run('bench_http', host.port, 1, 0, 1, 201, 'POST', '/api/runtimes/bench/workers',
              '{"worker_id":"w"}')
        yield host


def operations(b, host):
    mine, theirs = [], []
    with tempfile.TemporaryDirectory(prefix='yoi-bench-') as home:
        file = pathlib.Path(home) / 'near.json'
        file.write_text(json.dumps({
            'plugin_path': [str(b.build / 'runtimes')], 'loops': 1, 'log': {'level': 'error'},
            'runtimes': [entry(host.runtime_port)], 'models': [], 'ingress': []}))
        for _ in range(b.rounds):
            mine.append(b.run('bench_remote', 'call', file, b.build, 'bench', 'w', COUNT))
            theirs.append(b.run('bench_remote', 'curl',
                                f'http://127.0.0.1:{host.runtime_port}/v1/workers/w', COUNT))
    return [Row('worker.get of a remote: p50', 'us', [r['p50_ns'] / 1e9 for r in mine],
                'the same request with libcurl', [r['p50_ns'] / 1e9 for r in theirs],
                goal='at most 1.3x')]


def live(b, host, url):
    """Deltas a second at one who watches there, while the worker of far speaks."""
    child = Child(b.tool('bench_remote', 'stream', url, 1), r'watching\n')
    try:
        b.run('bench_http', host.port, 1, 0, 1, 202, 'POST',
              '/api/runtimes/bench/workers/w/input',
              f'{{"content":"mode=text chunks={CHUNKS}","on_busy":"queue"}}')
        return CHUNKS / json.loads(child.wait(r'(\{"bytes.*?\})\n').group(1))['seconds']
    finally:
        child.stop()


def replay(b, url, cursor):
    """Bytes a second of a long history."""
    done = b.run('bench_remote', 'stream', f'{url}?cursor={cursor}', TURNS)
    return done['bytes'] / done['seconds']


def history(host):
    """A worker that has said much; the cursor of its birth."""
    root = f'http://127.0.0.1:{host.port}/api/runtimes/bench/workers'

    def post(path, body):
        asked = urllib.request.Request(root + path, json.dumps(body).encode(),
                                       {'Content-Type': 'application/json'})
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return json.load(answer)
    born = post('', {'worker_id': 'old'})['worker']['cursor']
    for _ in range(TURNS):
        said = post('/old/input?wait=30', {'content': f'mode=text chunks=100 size={SIZE}'})
        assert said['turn']['state'] == 'completed', said
    return born


def streams(b, host):
    said, direct, read, direct_read = [], [], [], []
    root, born = '/api/runtimes/bench/workers', history(host)
    with b.host(core=LOAD, runtimes=[entry(host.runtime_port)], models=[]) as near:
        here, there = (f'http://127.0.0.1:{h.port}{root}' for h in (near, host))
        for _ in range(b.rounds):
            said.append(live(b, host, here + '/w/events'))
            direct.append(live(b, host, there + '/w/events'))
            read.append(replay(b, here + '/old/events', born))
            direct_read.append(replay(b, there + '/old/events', born))
    return [Row('stream of a remote worker: deltas', '/s', said, 'of the same worker, directly',
                direct, goal='at least 0.9x'),
            Row('history of a remote worker, as a stream', 'MB/s', read, 'directly', direct_read)]


def measure(b):
    with b.provider() as provider, far(b, provider) as host:
        return operations(b, host) + streams(b, host)
