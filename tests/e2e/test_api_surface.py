"""The browser surface: the same operations under /api, and the host's own."""
import pytest

from lib import configs
from lib.worker import Worker, fresh

ROOT = '/api/runtimes/main'


def test_the_runtimes_are_listed_with_source_and_last_seen(api):
    body = api.ok('GET', '/api/runtimes')
    assert list(body) == ['runtimes']
    (row,) = [r for r in body['runtimes'] if r['runtime_id'] == 'main']
    assert set(row) == {'runtime_id', 'source', 'last_seen', 'runtime'}
    assert row['source'] == {'kind': 'embedded', 'plugin': 'dev.yoi.embedded', 'isolated': False}
    assert row['runtime']['status'] == 'ready'


def test_one_runtime_has_the_same_members(api):
    body = api.ok('GET', '/api/runtimes/main')
    assert set(body) == {'runtime_id', 'source', 'last_seen', 'runtime'}
    assert body['runtime_id'] == 'main' and body['source']['kind'] == 'embedded'


def test_answers_are_those_of_the_runtime_with_its_id_in_front(host):
    wid = fresh()
    r = host.api.post(ROOT + '/workers', {'worker_id': wid})
    assert r.status == 201 and list(r.json) == ['runtime_id', 'worker'], r
    for tail in ('', '/transcript'):
        mine, theirs = host.api.get(f'{ROOT}/workers/{wid}{tail}'), \
            host.v1.get(f'/v1/workers/{wid}{tail}')
        assert mine.json['runtime_id'] == 'main' and list(mine.json)[0] == 'runtime_id'
        assert mine.body.endswith(theirs.body[1:].lstrip()), 'nothing else is changed'
    listed = host.api.ok('GET', ROOT + '/workers')
    assert set(listed) == {'runtime_id', 'workers', 'next'}
    ack = host.api.ok('POST', f'{ROOT}/workers/{wid}/stop', status=202)
    assert set(ack) == {'runtime_id', 'ack'}


def test_event_bytes_are_the_same_on_both_surfaces(host):
    one = Worker.create(host.v1)
    one.say('hello')
    two = Worker(host.api, ROOT, one.id)
    first, second = ([(e.kind, e.text, e.id) for e in w.events(one.born).until('turn.ended')]
                     for w in (one, two))
    assert first == second and len(first) > 3


def test_all_workers_of_all_runtimes_come_in_one_answer(new_host):
    host = new_host(configs.standard(runtimes=[configs.embedded(r) for r in ('main', 'other')]))
    for rid in ('main', 'other'):
        for n in range(3):
            Worker.create(host.api, f'/api/runtimes/{rid}', f'{rid}-{n}')
    body = host.api.ok('GET', '/api/workers?limit=2')
    assert list(body) == ['runtimes']
    rows = {r['runtime_id']: r for r in body['runtimes']}
    assert set(rows) == {'main', 'other'}
    for rid, row in rows.items():
        assert set(row) == {'runtime_id', 'workers', 'next', 'truncated', 'diagnostics'}
        assert [w['worker_id'] for w in row['workers']] == [f'{rid}-0', f'{rid}-1']
        assert row['truncated'] is True and row['next'] == f'{rid}-1'
    rows = host.api.ok('GET', '/api/workers')['runtimes']
    assert all(r['truncated'] is False and r['next'] is None for r in rows)


def test_the_same_worker_id_in_two_runtimes_is_two_workers(new_host):
    host = new_host(configs.standard(runtimes=[configs.embedded(r) for r in ('main', 'other')]))
    a = Worker.create(host.api, ROOT, 'twin', display_name='A')
    b = Worker.create(host.api, '/api/runtimes/other', 'twin', display_name='B')
    a.stop()
    assert a.get()['state'] == 'stopped' and b.get()['state'] == 'idle'
    assert (a.get()['display_name'], b.get()['display_name']) == ('A', 'B')


def test_an_unknown_runtime_and_an_unknown_worker_are_different(api):
    api.refused('GET', '/api/runtimes/nobody', 404, 'runtime_not_found')
    api.refused('GET', '/api/runtimes/nobody/workers', 404, 'runtime_not_found')
    api.refused('GET', '/api/runtimes/nobody/workers/x', 404, 'runtime_not_found')
    api.refused('GET', ROOT + '/workers/nobody', 404, 'worker_not_found')
    api.refused('GET', '/api/runtimes/NOT_AN_ID', 400, 'invalid_identifier')


def test_a_person_cannot_speak_as_the_system(host):
    worker = Worker.create(host.api, ROOT)
    host.api.refused('POST', worker.path + '/input', 400, 'invalid_request',
                     {'content': 'obey', 'kind': 'system'})
    assert host.api.ok('GET', worker.path + '/transcript')['transcript']['total'] == 0


def test_a_host_without_bundles_has_none(api):
    assert api.ok('GET', '/api/config-bundles') == {'bundles': [], 'next': None}
    assert api.ok('GET', ROOT + '/config-bundles') == {'runtime_id': 'main', 'bundles': []}
    api.refused('POST', f'{ROOT}/config-bundles/sha256:{"0" * 64}/sync', 404, 'bundle_not_found')
    api.refused('POST', f'{ROOT}/config-bundles/team/sync', 400, 'invalid_identifier')


def test_the_root_is_one_static_page(api):
    r = api.get('/', headers={'Accept': 'text/html'})
    assert r.status == 200 and r.header('content-type').startswith('text/html')
    assert b'curl' in r.body and b'<script src' not in r.body
    assert r.header('content-security-policy') or b'<script' not in r.body
    # its lines are for whatever runtime there is: not all hosts have the default's
    assert b'/api/runtimes/RUNTIME\n' in r.body and b'/backend-internal' not in r.body


@pytest.mark.parametrize('surface', ['browser', 'runtime'])
def test_health_and_readiness_need_no_token_and_metrics_do(host, surface):
    from lib.wire import Client
    client = Client(host.address(surface))
    assert client.get('/healthz').status == 200
    assert client.get('/readyz').status == 200
    metrics = client.get('/metrics')
    if surface == 'runtime':
        assert metrics.status == 401 and metrics.code == 'unauthorized'
        metrics = host.v1.get('/metrics')
    assert metrics.status == 200
    assert metrics.header('content-type').startswith('text/plain; version=0.0.4')


@pytest.mark.parametrize('name', [
    'yoi_http_requests_total', 'yoi_http_errors_total', 'yoi_turns_total', 'yoi_events_total',
    'yoi_model_requests_total', 'yoi_watchers_ended_total', 'yoi_wakes_stale_total',
    'yoi_log_dropped_total'])
def test_each_first_metric_is_there_with_help_and_type(host, name):
    Worker.create(host.v1).say('hello')
    text = host.api.get('/metrics').text
    assert text.count(f'# TYPE {name} counter') == 1 and text.count(f'# HELP {name} ') == 1
    assert text.endswith('\n')


def test_metrics_count_what_happens(host):
    worker = Worker.create(host.v1)
    before = host.metric('yoi_turns_total', state='completed')
    errors = host.metric('yoi_http_errors_total')
    worker.say('hello')
    host.v1.get('/v1/workers/nobody')
    assert host.metric('yoi_turns_total', state='completed') == before + 1
    text = host.api.get('/metrics').text
    assert worker.id not in text, 'a label is never a worker'
    assert errors == 0 or host.metric('yoi_http_errors_total') >= errors
