"""Hosts in a row, in a ring, over TLS and Unix sockets."""
import json
import re

import pytest

from lib import configs, remote, schema, wait
from lib.bundle import Bundle
from lib.host import ROOT
from lib.pki import Authority
from lib.proxy import Proxy, answer
from lib.tables import LIMIT
from lib.worker import Worker, text_of

HOPS = LIMIT['YOI_HOPS_MAX']


def url(port):
    return f'http://127.0.0.1:{port}'


def relay(new_host, port, to, **config):
    """A host that shows at `port` what it reaches at `to`."""
    surface = configs.ingress(configs.RUNTIME, listen=f'127.0.0.1:{port}')
    return new_host(remote.near_config(remote.entry(url(to), **config),
                                       ingresses=[configs.BROWSER, surface]))


# ---- in a row ---------------------------------------------------------------------

def test_three_hosts_in_a_row(new_host):
    ports = [remote.free_port() for _ in range(2)]
    last = new_host(remote.far_config(ports[0]))
    relay(new_host, ports[1], ports[0])
    first = new_host(remote.near_config(remote.entry(url(ports[1]))))
    worker = Worker.create(first.v1)
    assert text_of(worker.say('hello')['message']) == 'You said: hello'
    with worker.follow('again') as stream:
        assert [e.kind for e in stream][-2:] == ['turn.ended', 'end']
    direct = Worker(last.v1, '/v1', worker.id)
    assert direct.transcript() == worker.transcript()
    with worker.events(worker.born) as here, direct.events(worker.born) as there:
        for _ in range(2):
            mine = [(e.id, e.kind, e.text) for e in here.until('turn.ended')]
            assert mine == [(e.id, e.kind, e.text) for e in there.until('turn.ended')]
    runtime = first.api.ok('GET', '/api/runtimes/main')['runtime']
    assert (runtime['status'], runtime['state_kind']) == ('ready', 'remote')
    assert runtime['instance_id'] == last.v1.ok('GET', '/v1/runtime')['runtime']['instance_id']
    trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    r = first.v1.request('GET', '/v1/workers/nobody', None,
                         {'X-Request-Id': 'over-three', 'traceparent': trace})
    assert r.code == 'worker_not_found' and r.error['request_id'] == 'over-three'
    line = wait.until(lambda: last.entries(msg='request', request_id='over-three'), what='a line')
    assert line[0]['trace_id'] == trace[3:35]


def test_a_bundle_goes_to_the_last_of_three(new_host, tmp_path):
    ports = [remote.free_port() for _ in range(2)]
    last = new_host(remote.far_config(ports[0]))
    relay(new_host, ports[1], ports[0])
    bundle = Bundle()
    (tmp_path / 'b.json').write_bytes(bundle.raw)
    first = new_host(remote.near_config(remote.entry(url(ports[1])),
                                        bundles=[str(tmp_path / 'b.json')]))
    states = first.api.ok('GET', '/api/runtimes/main/config-bundles')['bundles']
    assert [b['status'] for b in states] == ['missing']
    worker = first.v1.ok('POST', '/v1/workers', {'config_bundle': bundle.ref}, 201)['worker']
    assert worker['config_bundle'] == bundle.ref
    states = first.api.ok('GET', '/api/runtimes/main/config-bundles')['bundles']
    assert [b['status'] for b in states] == ['available']
    got = first.v1.get(bundle.path)
    assert got.status == 200 and got.body == bundle.raw
    assert last.v1.get(bundle.path).body == bundle.raw
    assert first.v1.request('HEAD', bundle.path).status == 200
    assert first.v1.delete(bundle.path).code == 'bundle_in_use'


def test_a_workspace_is_kept_to_over_hosts(new_host):
    """Also where somebody who sees all watches the same worker already."""
    port = remote.free_port()
    far = new_host(remote.far_config(port))
    near = new_host(remote.near_config(remote.entry(url(port))))
    made, mine = {}, {'Yoi-Workspace': 'acme'}
    for name in ('acme', 'zeta'):
        bundle = Bundle(id=f'{name}-default', workspace_id=name)
        assert far.v1.request('PUT', bundle.path, bundle.raw).status == 201
        made[name] = Worker.create(near.v1, config_bundle=bundle.ref)
    listed = near.v1.ok('GET', '/v1/workers', headers=mine)['workers']
    assert [w['worker_id'] for w in listed] == [made['acme'].id]
    assert near.v1.get(made['acme'].path, headers=mine).status == 200
    with made['acme'].events() as all_, made['acme'].events(headers=mine) as part:
        assert [e.kind for e in (all_.next_event(), part.next_event())] == 2 * ['snapshot']
    other = made['zeta']
    with other.events() as watched:
        watched.until('snapshot')
        for cursor in (None, other.born):
            with other.events(cursor, headers=mine) as stream:
                assert stream.head.status == 404
    for path in ('', '/transcript', '/approvals'):
        near.v1.refused('GET', other.path + path, 404, 'worker_not_found', headers=mine)
    near.v1.refused('POST', other.path + '/input', 404, 'worker_not_found', {'content': 'x'},
                    headers=mine)


# ---- in a ring --------------------------------------------------------------------

@pytest.mark.parametrize('n', [1, 2, 3])
def test_hosts_in_a_ring_find_each_other_out(new_host, n):
    ports = [remote.free_port() for _ in range(n)]
    hosts = [relay(new_host, ports[i], ports[(i + 1) % n], retries=0) for i in range(n)]
    def answer_of(host):
        """Once a look around the ring was not too slow."""
        r = host.v1.get('/v1/workers')
        return r if r.status < 400 or r.code != 'timeout' else None
    for host in hosts:
        r = wait.until(lambda h=host: answer_of(h), what='an answer')
        assert r.status >= 400 and r.code in ('invalid_request', 'runtime_unavailable'), r
        row = host.api.ok('GET', '/api/runtimes/main')['runtime']
        assert row['status'] == 'unreachable' and row['capabilities'] == []
        assert host.alive()


def test_the_ninth_host_in_a_row_refuses(new_host):
    pair = remote.Pair(new_host)
    assert pair.v1.request('GET', '/v1/workers', None, {'Yoi-Hops': str(HOPS - 1)}).status == 200
    r = pair.v1.request('GET', '/v1/workers', None, {'Yoi-Hops': str(HOPS)})
    assert r.code == 'invalid_request' and r.error['details'] == {'hops': HOPS}


@pytest.mark.parametrize('version', ['2', 1, None])
def test_a_runtime_of_another_version_is_not_used(new_host, version):
    said = {'runtime': {'instance_id': 'i', **({'api_version': version} if version else {})}}
    page = answer(200, json.dumps(said).encode(), 'application/json')
    proxy = Proxy(1, lambda rng: ('talk', lambda head, path: page))
    near = new_host(remote.near_config(remote.entry(url(proxy.port), retries=0,
                                                    probe_ms=60000)))
    r = near.v1.post('/v1/workers', {})
    assert r.code == 'remote_malformed', r
    assert near.api.ok('GET', '/api/runtimes/main')['runtime']['status'] == 'unreachable'
    proxy.stop()


# ---- TLS and Unix sockets ----------------------------------------------------------

@pytest.fixture(scope='module')
def ca(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp('ca'))


def secured(new_host, ca, port):
    surface = configs.ingress(configs.RUNTIME, listen=f'127.0.0.1:{port}',
                              tls={'certificate': 'secret:pem', 'key': 'secret:key'})
    secrets = {**configs.SECRETS, 'pem': {'file': 'site.pem'}, 'key': {'file': 'site.key'}}
    host = new_host(configs.standard(ingresses=[configs.BROWSER, surface],
                                     local={'secrets': secrets}), start=False)
    for name, data in zip(('site.pem', 'site.key'), ca.issue()):
        (host.etc / name).write_bytes(data)
        (host.etc / name).chmod(0o600)
    return host.start()


def test_tls_with_an_authority_of_ones_own(new_host, ca):
    port = remote.free_port()
    secured(new_host, ca, port)
    near = new_host(remote.near_config(
        remote.entry(f'https://localhost:{port}', ca_file=str(ca.file)),
        remote.entry(f'https://localhost:{port}', 'doubts', retries=0)))
    assert Worker.create(near.v1).say('hello')['turn']['state'] == 'completed'
    r = near.api.get('/api/runtimes/doubts/workers')
    assert r.code == 'runtime_unavailable' and 'secure' in r.error['message'], r


def test_a_unix_socket(new_host):
    surface = configs.ingress(configs.RUNTIME, listen='unix:far.sock')
    far = new_host(configs.standard(ingresses=[configs.BROWSER, surface]))
    near = new_host(remote.near_config(
        remote.entry('http://far', socket=str(far.etc / 'far.sock'))))
    assert Worker.create(near.v1).say('hello')['turn']['state'] == 'completed'
    far.crash()
    r = near.v1.get('/v1/workers')
    assert r.code == 'runtime_unavailable' and 'far.sock' not in r.text


# ---- the example ---------------------------------------------------------------------

def test_the_example_of_two_hosts(new_host):
    """docs/examples: the near one beside the one that it speaks to."""
    def read(name):
        text = (ROOT / 'docs/examples' / name).read_text()
        return json.loads(re.sub(r'/\*.*?\*/|^\s*//.*?$|(?<=,)\s*//.*?$', '', text,
                                 flags=re.S | re.M))
    port, near, far = remote.free_port(), read('two-hosts.json'), read('runtime-process.json')
    assert not schema.errors(near)
    far.update(plugin_path=configs.PLUGIN_PATH, models=[configs.script()], drain_ms=500)
    far['ingress'][0]['listen'] = f'127.0.0.1:{port}'
    far['local']['secrets'].pop('llm')
    near.update(plugin_path=configs.PLUGIN_PATH, drain_ms=500)
    near['ingress'][0]['listen'] = '127.0.0.1:0'
    near['runtimes'][1]['config']['base_url'] = url(port)
    new_host(far)
    host = new_host(near, start=False)
    (host.etc / 'gpu-box.token').write_text(remote.TOKEN + '\n')
    (host.etc / 'gpu-box.token').chmod(0o600)
    host.start()
    worker = Worker.create(host.api, '/api/runtimes/gpu-box')
    assert text_of(worker.say('hello')['message']) == 'You said: hello'
    rows = host.api.ok('GET', '/api/workers')['runtimes']
    assert [len(r['workers']) for r in rows] == [1, 0]
