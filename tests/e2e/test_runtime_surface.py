"""The runtime surface: shapes, statuses, headers of /v1."""
import re

import pytest

from lib import wire
from lib.tables import LIMIT, OPS
from lib.worker import Worker, fresh

TIME = re.compile(r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$')
UUID7 = re.compile(r'^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$')
WORKER_KEYS = {'worker_id', 'state', 'display_name', 'intent', 'profile', 'config_bundle',
               'capabilities', 'created_at', 'cursor'}
WORKER_MAY = {'turn', 'diagnostics', 'spec'}


def check_worker(worker, detail):
    assert WORKER_KEYS <= set(worker), WORKER_KEYS - set(worker)
    assert set(worker) <= WORKER_KEYS | WORKER_MAY, worker
    assert ('spec' in worker) == detail, worker
    assert TIME.match(worker['created_at'])
    assert worker['state'] in ('idle', 'running', 'awaiting_approval', 'stopped', 'corrupt')


def test_the_runtime_describes_itself(v1):
    body = v1.ok('GET', '/v1/runtime', status=200)
    assert list(body) == ['runtime']
    runtime = body['runtime']
    assert {'display_name', 'kind', 'version', 'api_version', 'instance_id', 'state_kind', 'status',
            'capabilities', 'limits', 'counts', 'diagnostics'} <= set(runtime)
    assert runtime['status'] == 'ready' and runtime['state_kind'] == 'memory'
    known = {op.id for op in OPS}
    assert set(runtime['capabilities']) <= known
    assert {'worker.create', 'worker.input', 'worker.events'} <= set(runtime['capabilities'])
    assert {op for op in known if op.startswith('bundle.')} <= set(runtime['capabilities'])
    assert len(runtime['diagnostics']) <= LIMIT['YOI_DIAGNOSTICS_MAX']


def test_a_runtime_never_says_its_id_on_its_own_surface(host, v1):
    worker = Worker.create(v1)
    worker.say('hello')
    for path in ('/v1/runtime', '/v1/workers', worker.path, worker.path + '/transcript'):
        assert 'runtime_id' not in v1.get(path).text, path
    with worker.events(cursor=None) as stream:
        assert 'runtime_id' not in stream.next_event().text


def test_instance_id_is_new_after_a_restart_of_a_memory_runtime(new_host):
    from lib import configs
    host = new_host(configs.standard())
    first = host.v1.ok('GET', '/v1/runtime')['runtime']['instance_id']
    assert host.v1.ok('GET', '/v1/runtime')['runtime']['instance_id'] == first
    host.restart()
    assert host.v1.ok('GET', '/v1/runtime')['runtime']['instance_id'] != first


def test_instance_id_is_the_store_s_own_where_there_is_one(new_host, tmp_path):
    from lib import configs
    host = new_host(configs.standard(runtimes=[configs.stored(tmp_path / 'store')]))
    first = host.v1.ok('GET', '/v1/runtime')['runtime']['instance_id']
    host.restart()
    assert host.v1.ok('GET', '/v1/runtime')['runtime']['instance_id'] == first


def test_answers_are_wrapped_by_noun_and_have_the_documented_members(v1):
    wid = fresh()
    r = v1.post('/v1/workers', {'worker_id': wid, 'display_name': 'Ada \u2603'})
    assert r.status == 201 and list(r.json) == ['worker']
    worker = r.json['worker']
    check_worker(worker, 'spec' in worker)
    assert worker['display_name'] == 'Ada \u2603' and worker['state'] == 'idle'
    assert worker['intent'] == {'kind': 'assistant'} or worker['intent']['kind'] == 'assistant'
    assert worker['profile'] == {'kind': 'runtime_default'}
    check_worker(v1.ok('GET', f'/v1/workers/{wid}')['worker'], detail=True)
    page = v1.ok('GET', '/v1/workers')
    assert set(page) == {'workers', 'next'}
    for row in page['workers']:
        check_worker(row, detail=False)


def test_the_resolved_spec_holds_no_path_address_or_secret(v1):
    spec = Worker.create(v1).get()['spec']
    assert spec['source'] == 'builtin' and spec['profile'] and spec['model']
    assert TIME.match(spec['resolved_at'])
    text = str(spec)
    assert '/' not in text.replace('://', '') or 'http' not in text
    assert '127.0.0.1' not in text and 'secret:' not in text


def test_a_worker_without_an_id_gets_a_fresh_uuid(v1):
    one, two = (v1.ok('POST', '/v1/workers', {}, status=201)['worker']['worker_id'] for _ in 'ab')
    assert one != two and UUID7.match(one) and UUID7.match(two) and one < two


def test_an_ack_has_sequence_cursor_state_and_the_turn(v1, worker):
    ack = worker.input('hello')
    assert set(ack) == {'turn_id', 'sequence', 'cursor', 'state'}
    assert isinstance(ack['sequence'], int) and ack['state'] == 'running'
    assert len(ack['cursor']) <= LIMIT['YOI_CURSOR_MAX']
    ack = worker.stop()
    assert ack['state'] == 'stopped'


def test_json_comes_as_utf8_json_with_a_length(v1):
    r = v1.get('/v1/runtime')
    assert r.header('content-type').replace(' ', '').lower() in (
        'application/json', 'application/json;charset=utf-8')
    assert r.header('content-length') == str(len(r.body))


def test_a_request_id_is_echoed_or_made(v1):
    assert v1.get('/v1/runtime', headers={'X-Request-Id': 'req-1.a_B'}).header('x-request-id') \
        == 'req-1.a_B'
    made = [v1.get('/v1/runtime').header('x-request-id') for _ in 'ab']
    assert all(made) and made[0] != made[1]
    r = v1.get('/v1/workers/nobody', headers={'X-Request-Id': 'req-2'})
    assert r.error['request_id'] == 'req-2' == r.header('x-request-id')
    bad = v1.get('/v1/runtime', headers={'X-Request-Id': 'x' * 4000}).header('x-request-id')
    assert bad and len(bad) <= LIMIT['YOI_REQUEST_ID_MAX']


def test_head_is_get_without_a_body(v1):
    r = v1.request('HEAD', '/v1/runtime')
    assert r.status == 200 and r.body == b'' and int(r.header('content-length')) > 0
    sock, reader, head = v1.open('HEAD', '/v1/runtime')
    with sock:
        assert head.status == 200 and reader.rest() == b''


@pytest.mark.parametrize('query,status,code', [
    ('limit=257', 400, 'limit_too_large'), ('limit=99999999999999999999', 400, None),
    ('limit=0', 400, 'invalid_request'), ('limit=-1', 400, 'invalid_request'),
    ('limit=%2B1', 400, 'invalid_request'), ('limit=01', 400, 'invalid_request'),
    ('limit=1x', 400, 'invalid_request'), ('limit=', 400, 'invalid_request'),
    ('limit=1&limit=2', 400, 'invalid_request'), ('wat=1', 400, 'invalid_request'),
    ('after=Not%20An%20Id', 400, None), ('state=sleeping', 400, 'invalid_request')])
def test_a_query_is_parsed_strictly(v1, query, status, code):
    r = v1.get('/v1/workers?' + query)
    assert r.status == status, r
    assert code is None or r.code == code, r


@pytest.mark.parametrize('body,code', [
    ({'worker_id': 'a', 'wat': 1}, 'invalid_request'),
    ({'worker_id': 7}, 'invalid_request'),
    ({'worker_id': ''}, None), ({'worker_id': 'A'}, 'invalid_identifier'),
    ({'worker_id': '-a'}, 'invalid_identifier'), ({'worker_id': 'a/b'}, 'invalid_identifier'),
    ({'worker_id': '../etc'}, 'invalid_identifier'), ({'worker_id': 'a\n'}, 'invalid_identifier'),
    ({'worker_id': 'x' * 65}, None), ({'worker_id': 'w\u00e4'}, 'invalid_identifier'),
    ({'spec': {}}, 'invalid_request'), ({'display_name': 'x' * 300}, 'invalid_request'),
    ({'intent': {'kind': 'task'}}, 'invalid_request'),
    ({'intent': {'kind': 'role'}}, 'invalid_request'),
    ({'intent': {'kind': 'wat'}}, 'invalid_request'),
    ({'intent': {'kind': 'assistant', 'more': 1}}, 'invalid_request'),
    ({'intent': 'assistant'}, 'invalid_request'),
    ({'intent': {'kind': 'task', 'objective': 'x' * 5000}}, None),
    ([], 'invalid_request'), ('text', 'invalid_request'), (None, None)])
def test_a_create_of_another_shape_is_refused(v1, body, code):
    before = len(v1.ok('GET', '/v1/workers?limit=256')['workers'])
    r = v1.post('/v1/workers', b'null' if body is None else body)
    assert r.status in (400, 413), r
    assert code is None or r.code == code, r
    assert len(v1.ok('GET', '/v1/workers?limit=256')['workers']) == before, 'left something behind'


@pytest.mark.parametrize('text', [
    b'{', b'', b'{"worker_id":"a"} x', b'{"worker_id":"a","worker_id":"b"}', b'{"a":01}',
    b'{"worker_id":"a\\u0000"}', b'{"display_name":"\xff\xfe"}', b'[' * 100 + b']' * 100,
    b'{"display_name":"\\ud800"}', b'\xef\xbb\xbf{}', b'{"display_name":"a\nb"}', b'{\'a\':1}',
    b'{"a":NaN}', b'{"a":1,}'])
def test_what_is_no_json_is_refused(v1, text):
    r = v1.post('/v1/workers', text)
    assert r.status == 400 and r.code in ('invalid_json', 'invalid_request'), r
    if text:
        assert r.code == 'invalid_json', r


@pytest.mark.parametrize('intent,shown', [
    ({'kind': 'task', 'objective': 'count to three'}, 'objective'),
    ({'kind': 'role', 'role': 'reviewer'}, 'role'),
    ({'kind': 'assistant', 'purpose': 'help'}, 'purpose')])
def test_an_intent_is_kept_and_shown_in_list_and_detail(v1, intent, shown):
    worker = Worker.create(v1, intent=intent)
    assert worker.get()['intent'][shown] == intent[shown]
    after = v1.ok('GET', f'/v1/workers?limit=1&after={worker.id[:-1]}')
    rows = v1.ok('GET', '/v1/workers?limit=256')['workers'] + after['workers']
    assert [w['intent'][shown] for w in rows if w['worker_id'] == worker.id]


@pytest.mark.parametrize('fields,status,code', [
    ({'profile': {'kind': 'named', 'value': 'companion'}}, 422, 'invalid_profile'),
    ({'profile': {'kind': 'builtin', 'value': 'nobody'}}, 422, 'invalid_profile'),
    ({'profile': {'kind': 'builtin'}}, 400, 'invalid_request'),
    ({'profile': {'kind': 'wat'}}, None, None),
    ({'profile': {}}, 400, 'invalid_request'),
    ({'config_bundle': {'id': 'b', 'digest': 'sha256:' + '0' * 64}}, 404, 'bundle_not_found'),
    ({'workspace': 'acme'}, 400, 'invalid_request'),
    ({'requested_capabilities': [{'name': 'mount:workspace'}]}, 422, 'grant_missing'),
    ({'requested_capabilities': [{'name': 'shell', 'reason': 'why not'}]}, 422, 'grant_missing')])
def test_what_cannot_be_enforced_is_refused_not_stored(v1, fields, status, code):
    r = v1.post('/v1/workers', {'worker_id': fresh('refused'), **fields})
    assert r.status == status or (status is None and r.status in (400, 422)), r
    assert code is None or r.code == code, r
    if code == 'grant_missing':
        assert fields['requested_capabilities'][0]['name'] in r.text


def test_the_builtin_profile_can_be_named(v1):
    worker = Worker.create(v1, profile={'kind': 'builtin', 'value': 'companion'})
    assert worker.get()['profile'] == {'kind': 'builtin', 'value': 'companion'}
    assert worker.get()['spec']['profile'] in ('companion', {'name': 'companion'}) or \
        'companion' in str(worker.get()['spec']['profile'])
    Worker.create(v1, requested_capabilities=[])


def test_a_create_body_over_its_limit_is_payload_too_large(v1):
    big = {'worker_id': fresh(), 'intent': {'kind': 'task', 'objective': 'x' * 70000}}
    r = v1.post('/v1/workers', big)
    assert r.status in (400, 413) and r.code in ('payload_too_large', 'invalid_request'), r
    body = b'{"display_name":"' + b'x' * (LIMIT['YOI_BODY_BYTES_MAX'] + 10) + b'"}'
    v1.refused('POST', '/v1/workers', 413, 'payload_too_large', body)


def test_the_surfaces_are_never_mixed(host):
    host.v1.refused('GET', '/api/runtimes', 404, 'not_found')
    host.v1.refused('GET', '/', 404, 'not_found')
    host.api.refused('GET', '/v1/runtime', 404, 'not_found')
    host.api.refused('GET', '/v1/workers', 404, 'not_found')


@pytest.mark.parametrize('path', ['/v1', '/v1/', '/v1/worker', '/v1/workers/', '/v1/workers/a/b',
                                  '/v1//workers', '/v1/workers/a/input/x', '/V1/workers',
                                  '/v1/runtime/', '/healthz/x', '/v1/workers/%2e%2e'])
def test_other_paths_are_not_found(v1, path):
    r = v1.get(path)
    assert r.status in (400, 404) and r.code in ('not_found', 'invalid_identifier'), r


@pytest.mark.parametrize('method,path', [
    ('PUT', '/v1/workers'), ('DELETE', '/v1/runtime'), ('PATCH', '/v1/workers/a'),
    ('GET', '/v1/workers/a/input'), ('POST', '/v1/workers/a/transcript'),
    ('OPTIONS', '/v1/workers')])
def test_a_known_method_in_the_wrong_place_says_which_are_allowed(v1, method, path):
    r = v1.request(method, path)
    assert r.status == 405 and r.code == 'method_not_allowed', r
    allowed = {m.strip() for m in r.header('allow').split(',')}
    assert method not in allowed
    have = {op.method for op in OPS if op.v1 and
            re.fullmatch(re.sub(r'\{\w+\}', '[^/]+', op.v1), path)}
    assert have <= allowed and allowed <= have | {'HEAD'}, (allowed, have)


def test_writes_want_json(v1, worker):
    for kind in ('text/plain', 'application/x-www-form-urlencoded', None):
        r = v1.post('/v1/workers', b'{}', headers={'Content-Type': kind})
        assert r.status == 415 and r.code == 'unsupported_media_type', (kind, r)
    r = v1.post('/v1/workers', b'{}', headers={'Content-Type': 'Application/JSON; charset=utf-8'})
    assert r.status == 201, r
    r = v1.post(worker.path + '/cancel')
    assert r.status == 202, 'no body, so no Content-Type is needed'


def test_a_chunked_body_is_a_body(v1):
    data = (f'POST /v1/workers HTTP/1.1\r\nHost: {v1.address}\r\n'
            f'Authorization: Bearer {v1.token}\r\nContent-Type: application/json\r\n'
            'Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n'
            '5\r\n{"dis\r\nf\r\nplay_name":"a"}\r\n0\r\n\r\n').encode()
    assert wire.exchange(v1.address, data, 'POST').status == 201


def test_one_connection_carries_many_requests(v1):
    with wire.connect(v1.address) as sock:
        reader = wire.Reader(sock)
        for _ in range(5):
            sock.sendall(wire.request_bytes('GET', '/v1/runtime', v1.headers({'Connection': None})))
            assert wire.read_response(reader).status == 200
        both = wire.request_bytes('GET', '/v1/runtime', v1.headers({'Connection': None}))
        sock.sendall(both + wire.request_bytes('GET', '/v1/workers/nobody', v1.headers()))
        assert [wire.read_response(reader).status for _ in 'ab'] == [200, 404]
        assert reader.rest() == b''
