"""Single requests: GET beside nginx, create, input."""
import contextlib
import hashlib
import json
import pathlib
import shutil
import socket
import tempfile
import urllib.request

from harness import SERVER, Child, Row, cpu_s, of_server, pinned, skip

CLIENTS, GETS, CREATES = 32, 40000, 10000
ROOT = '/api/runtimes/bench/workers'
NGINX = '''daemon off; worker_processes 1; pid {home}/pid; error_log stderr notice;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 100000000;
  client_body_temp_path {home}/a; proxy_temp_path {home}/b; fastcgi_temp_path {home}/c;
  uwsgi_temp_path {home}/d; scgi_temp_path {home}/e;
  server {{
    listen 127.0.0.1:{port};
    location / {{ default_type application/json; return 200 '{body}'; }}
  }}
}}
'''


@contextlib.contextmanager
def nginx(size):
    """One nginx worker that answers `size` bytes, or None where there is none."""
    program = shutil.which('nginx') or shutil.which('nginx', path='/usr/sbin:/usr/local/sbin')
    if not program:
        skip('GET beside nginx', 'nginx is not installed')
        yield None
        return
    with tempfile.TemporaryDirectory(prefix='yoi-nginx-') as home:
        port = free_port()
        file = pathlib.Path(home) / 'nginx.conf'
        file.write_text(NGINX.format(home=home, port=port, body='x' * size))
        child = Child(pinned(SERVER, [program, '-p', home, '-e', 'stderr', '-c', file]),
                      r'start worker process (\d+)', 'stderr')
        child.port, master = str(port), child.pid
        child.worker = int(child.found.group(1))
        child.cpu_s = lambda: cpu_s(child.worker)
        try:
            assert pathlib.Path(f'/proc/{child.worker}/stat').read_text().rsplit(')', 1)[1] \
                .split()[1] == str(master)
            yield child
        finally:
            child.stop()


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def get(b, host):
    url = f'http://127.0.0.1:{host.port}{ROOT}/w1'
    with urllib.request.urlopen(url, timeout=10) as answer:
        size = len(answer.read())
    mine, theirs, p99, their_p99 = [], [], [], []
    with nginx(size) as web:
        for i in range(b.rounds + 1):
            c, r = of_server(host, GETS, lambda: b.run('bench_http', host.port, CLIENTS, 0, GETS,
                                                       200, 'GET', f'{ROOT}/w1'))
            if i > 0:  # the first round warms up
                mine, p99 = mine + [c], p99 + [r['p99_us'] / 1e6]
            if not web:
                continue
            c, r = of_server(web, GETS, lambda: b.run('bench_http', web.port, CLIENTS, 0, GETS,
                                                      200, 'GET', '/w1'))
            if i > 0:
                theirs, their_p99 = theirs + [c], their_p99 + [r['p99_us'] / 1e6]
    ref = f"nginx, return 200 of the same {size:,} bytes" if theirs else None
    return [Row('GET of a worker: CPU', 'us', mine, ref, theirs),
            Row('GET of a worker, 32 clients: p99', 'ms', p99, ref, their_p99)]


def create_and_input(b, host):
    """Every create makes a new worker; every input is the first of one of them."""
    create, post, turn = [], [], []
    for i in range(b.rounds):
        start = 1 + i * CREATES
        c, r = of_server(host, CREATES, lambda: b.run(
            'bench_http', host.port, CLIENTS, start, CREATES, 201, 'POST', ROOT,
            '{"worker_id":"w%"}'))
        create.append((c, r))
        c, r = of_server(host, CREATES, lambda: b.run(
            'bench_http', host.port, CLIENTS, start, CREATES, 202, 'POST', ROOT + '/w%/input',
            '{"content":"Say hello to the bench, please."}'))
        post.append((c, r))
        turn.append(ended(host, start + CREATES - 1))
    assert all(turn), 'a turn did not complete'
    return [Row('create: CPU', 'us', [c for c, _ in create]),
            Row('create, 32 clients: p50', 'ms', [r['p50_us'] / 1e6 for _, r in create]),
            Row('POST input (202): CPU, most of its turn included', 'us', [c for c, _ in post]),
            Row('POST input (202), 32 clients: p50 of the acknowledgement', 'ms',
                [r['p50_us'] / 1e6 for _, r in post])]


def create_of_bundle(b, host):
    """The same create, in turn without a bundle and with one that is there."""
    bundle = b.build / 'bundles/default.json'
    digest = 'sha256:' + hashlib.sha256(bundle.read_bytes()).hexdigest()
    of = {'id': json.loads(bundle.read_text())['id'], 'digest': digest}
    plain, bundled, n = [], [], CREATES // 2
    for i in range(b.rounds + 1):
        for name, more, out in (('p', {}, plain), ('b', {'config_bundle': of}, bundled)):
            body = json.dumps({'worker_id': f'{name}{i}-%', **more})
            c, _ = of_server(host, n, lambda: b.run(
                'bench_http', host.port, CLIENTS, 1, n, 201, 'POST', ROOT, body))
            if i > 0:  # the first round warms up, and brings the bundle there
                out.append(c)
    return [Row('create with a bundle that is there: CPU', 'us', bundled, 'create without one',
                plain, goal='at most 1.2x')]


def ended(host, n):
    """The last worker's turn has completed: a long poll from its birth."""
    url = f'http://127.0.0.1:{host.port}{ROOT}/w{n}'
    for _ in range(10):
        with urllib.request.urlopen(url, timeout=10) as answer:
            worker = json.load(answer)['worker']
        if worker['turn']['state'] != 'running':
            return worker['turn']['state'] == 'completed'
        poll = urllib.request.Request(f"{url}/events?wait=5&cursor={worker['cursor']}",
                                      headers={'Accept': 'application/json'})
        urllib.request.urlopen(poll, timeout=15).close()
    return False


def measure(b):
    with b.provider() as provider, \
            b.host(provider.port, bundles=[str(b.build / 'bundles/default.json')]) as host:
        rows = create_and_input(b, host)
        rows += create_of_bundle(b, host)
        return get(b, host) + rows
