"""Every route of ops.h is reached on its surface, and no other.

EXPECTED names each operation that is answered today, with the body that it
takes; ABSENT the codes of those that an idle worker, or a host without bundles,
has nothing for. A new row of the table without an entry fails.
"""
import pytest

from lib import configs
from lib.tables import CODE, FIELDS, OPS
from lib.wire import Client
from lib.worker import Worker, fresh

EXPECTED = {
    'runtime.describe': None, 'worker.create': {}, 'worker.list': None, 'worker.get': None,
    'worker.input': {'content': 'hi'}, 'worker.cancel': None, 'worker.stop': None,
    'worker.delete': None, 'worker.transcript': None, 'worker.events': None,
    'worker.approvals': None, 'worker.approve': {'decision': 'allow'}, 'worker.artefact': None,
    'host.ready': None, 'host.metrics': None, 'host.runtimes': None, 'host.runtime': None,
    'host.workers': None, 'host.bundles': None, 'host.bundle_status': None,
    'host.bundle_sync': None, 'bundle.put': {}, 'bundle.have': None, 'bundle.get': None,
    'bundle.list': None, 'bundle.delete': None}
ABSENT = {'bundle.put': 'bundle_digest_mismatch', 'bundle.have': 'bundle_not_found',
          'bundle.get': 'bundle_not_found', 'bundle.delete': 'bundle_not_found',
          'worker.approve': 'approval_not_found', 'worker.artefact': 'artefact_not_found',
          'host.bundle_sync': 'bundle_not_found'}
BASE = {'worker.input': {'content': 'x'}, 'worker.approve': {'decision': 'allow'}}
ROUTES = [(op, surface) for op in OPS for surface in ('runtime', 'browser')
          if (op.v1 if surface == 'runtime' else op.api)]


def understood(op, r):
    if op.id not in ABSENT:
        return r.status == op.status
    code = CODE[ABSENT[op.id]]
    return r.status == code.status and (op.method == 'HEAD' or r.code == code.name)


def path_of(op, worker):
    return (op.v1 or op.api).replace('{id}', worker.id).replace('{sub}', '1')


def test_every_operation_has_a_test():
    ids = {op.id for op in OPS}
    assert set(EXPECTED) == ids


@pytest.mark.parametrize('op,surface', ROUTES, ids=lambda v: getattr(v, 'id', v))
def test_a_route_is_reached(host, op, surface):
    client = host.v1 if surface == 'runtime' else host.api
    root = '/v1' if surface == 'runtime' else '/api/runtimes/main'
    worker = Worker.create(client, root)
    if op.id == 'worker.delete':
        worker.stop()
    path = (op.v1 if surface == 'runtime' else op.api).replace('{rid}', 'main') \
        .replace('{id}', worker.id).replace('{sub}', 'sha256:' + '0' * 64)
    body = EXPECTED.get(op.id)
    if op.id == 'worker.events':
        path += '?wait=0'
    r = client.request(op.method, path, body)
    assert understood(op, r), r
    if op.method == 'GET':
        assert client.request('HEAD', path).status == r.status


@pytest.mark.parametrize('op', [o for o in OPS if o.v1 and not o.api and o.scope == 'RUNTIME'],
                         ids=lambda o: o.id)
def test_what_the_browser_surface_does_not_have_is_not_found(host, op):
    path = op.v1.replace('/v1', '/api/runtimes/main', 1).replace('{sub}', 'sha256:' + '0' * 64)
    if path == '/api/runtimes/main/runtime':
        host.api.refused('GET', path, 404, 'not_found')
    elif op.id == 'bundle.list':  # there it is the host that answers, of its own bundles
        assert host.api.ok('GET', path) == {'runtime_id': 'main', 'bundles': []}
    else:
        r = host.api.request(op.method, path, {} if op.method == 'PUT' else None)
        assert r.status in (404, 405, 501), r


BY_SYMBOL = {op.symbol: op for op in OPS}
QUERY = [f for f in FIELDS if f.place == 'QUERY']
BODY = [f for f in FIELDS if f.place == 'BODY']
VALUES = {'limit': '1', 'after': 'a', 'state': 'idle', 'start': '0', 'cursor': None}


@pytest.mark.parametrize('field', QUERY, ids=lambda f: f'{f.op}-{f.name}')
def test_every_query_field_of_the_table_is_understood(host, field):
    op = BY_SYMBOL[field.op]
    worker = Worker.create(host.v1)
    client = host.v1 if op.v1 else host.api
    value = VALUES[field.name] or worker.get()['cursor']
    if (op.id, field.name) == ('bundle.list', 'after'):
        value = 'sha256:' + '0' * 64
    path = path_of(op, worker) + f'?{field.name}={value}'
    if op.id == 'worker.events':
        path += '&wait=0'
    assert understood(op, client.get(path))
    if field.type == 'INTEGER':
        r = client.get(path.replace(f'={value}', '=x'))
        assert (r.status, r.code) == (400, 'invalid_request'), r


@pytest.mark.parametrize('field', BODY, ids=lambda f: f'{f.op}-{f.name}')
def test_every_body_field_of_the_table_is_checked(host, field):
    """A value of another type is refused: the field is looked at, so not ignored."""
    op = BY_SYMBOL[field.op]
    worker = Worker.create(host.v1)
    body = dict(BASE.get(op.id, {}), **{field.name: True})
    r = host.v1.request(op.method, path_of(op, worker), body)
    assert (r.status, r.code) == (400, 'invalid_request'), r


@pytest.mark.parametrize('field', [f for f in BODY if f.type == 'STRING'],
                         ids=lambda f: f'{f.op}-{f.name}')
def test_every_string_has_its_length(host, field):
    op = BY_SYMBOL[field.op]
    worker = Worker.create(host.v1)
    for text in ('', 'x' * (field.maximum + 1)):
        body = dict(BASE.get(op.id, {}), **{field.name: text})
        r = host.v1.request(op.method, path_of(op, worker), body)
        assert r.status == 400 and r.code in ('invalid_request', 'invalid_identifier'), (text, r)


def test_capabilities_are_what_is_answered(host):
    """No operation is announced that is refused, and none is refused that is announced."""
    said = set(host.v1.ok('GET', '/v1/runtime')['runtime']['capabilities'])
    answered = {op.id for op in OPS if op.scope == 'RUNTIME'}
    assert said == answered


def test_a_surface_without_the_runtime_is_refused_at_start(new_host):
    host = new_host(configs.standard(ingresses=[
        configs.ingress(configs.RUNTIME, runtime='nobody')]), start=False)
    host.write()
    host.spawn()
    assert host.wait_exit() > 0 and 'nobody' in host.log, host.log
    host.proc = None


def test_two_runtime_surfaces_show_two_runtimes(new_host):
    host = new_host(configs.standard(
        runtimes=[configs.embedded('main'), configs.embedded('other')],
        ingresses=[configs.RUNTIME, configs.ingress(configs.RUNTIME, runtime='other')]))
    one, two = (Client(a, host.v1.token) for a in host.addresses['runtime'])
    wid = fresh()
    Worker.create(one, wid=wid)
    two.refused('GET', f'/v1/workers/{wid}', 404, 'worker_not_found')
    assert one.ok('GET', '/v1/runtime')['runtime']['instance_id'] != \
        two.ok('GET', '/v1/runtime')['runtime']['instance_id']
