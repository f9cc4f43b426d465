"""A runtime of another host, through http-remote: every operation."""
import pytest

from lib import configs, remote, wait
from lib.worker import Worker, fresh, text_of

pytestmark = pytest.mark.tsan


@pytest.fixture(scope='module')
def pair(module_host):
    return remote.Pair(module_host)


@pytest.fixture
def worker(pair):
    return Worker.create(pair.v1)


def test_the_remote_is_described_as_one(pair):
    remote.healthy(pair)  # once it was looked at
    row = pair.api.ok('GET', '/api/runtimes/main')
    far = pair.far.v1.ok('GET', '/v1/runtime')['runtime']
    assert row['source'] == {'kind': 'remote_http', 'plugin': 'dev.yoi.http-remote',
                             'isolated': False}
    assert row['last_seen'] and row['runtime']['state_kind'] == 'remote'
    assert row['runtime']['status'] == 'ready' and row['runtime']['diagnostics'] == []
    for same in ('instance_id', 'api_version', 'kind', 'version', 'capabilities', 'limits'):
        assert row['runtime'][same] == far[same], same


def test_a_worker_is_the_same_on_both_sides(pair, worker):
    assert pair.far.v1.ok('GET', worker.path) == pair.v1.ok('GET', worker.path)
    assert pair.api.ok('GET', f'/api/runtimes/main/workers/{worker.id}') == \
        {'runtime_id': 'main', **pair.v1.ok('GET', worker.path)}


def test_a_turn_is_waited_for(worker):
    done = worker.say('hello')
    assert done['turn']['state'] == 'completed'
    assert text_of(done['message']) == 'You said: hello'
    assert [i['role'] for i in worker.transcript()['items']] == ['user', 'assistant']


def test_a_turn_is_followed(pair, worker):
    with worker.follow('hello') as stream:
        events = list(stream)
    kinds = [e.kind for e in events]
    assert kinds[0] == 'ack' and kinds[-1] == 'end' and kinds[-2] == 'turn.ended'
    assert events[-1].data['reason'] == 'turn_ended'
    direct = Worker(pair.far.v1, '/v1', worker.id)
    with direct.events(worker.born) as stream:
        log = [(e.id, e.kind, e.text) for e in stream.until('turn.ended')]
    assert [(e.id, e.kind, e.text) for e in events[1:-1] if e.kind in dict(
        (k, 1) for _, k, _ in log)] == [row for row in log if row[1] in kinds]


def test_events_are_the_bytes_of_the_remote(pair, worker):
    worker.say('hello')
    direct = Worker(pair.far.v1, '/v1', worker.id)
    with worker.events(worker.born) as here, direct.events(worker.born) as there:
        mine = [(e.id, e.kind, e.text) for e in here.until('turn.ended')]
        theirs = [(e.id, e.kind, e.text) for e in there.until('turn.ended')]
    assert mine == theirs
    batch = worker.batch(worker.born, wait=0)
    assert [(e.get('id'), e['event']) for e in batch['events']] == [m[:2] for m in mine]
    assert batch['end'] is None and batch['cursor'] == mine[-1][0]


def test_pages_and_parameters_go_through(pair):
    made = sorted(Worker.create(pair.v1, wid=fresh('page')).id for _ in range(3))
    first = pair.v1.ok('GET', f'/v1/workers?limit=2&after={made[0][:-1]}')
    assert len(first['workers']) == 2 and first['next'] == first['workers'][-1]['worker_id']
    assert pair.v1.get('/v1/workers?limit=257').code == 'limit_too_large'
    assert pair.v1.get('/v1/workers?state=nonsense').status == \
        pair.far.v1.get('/v1/workers?state=nonsense').status


def test_cancel_stop_and_delete(new_host):
    pair = remote.Pair(new_host, model=configs.stalls())
    worker = Worker.create(pair.v1)
    with worker.follow('go') as stream:
        stream.until('text.delta')
        worker.cancel('enough')
        assert stream.until('turn.ended')[-1].data['turn']['state'] == 'cancelled'
    assert pair.v1.delete(worker.path).code == 'worker_not_stopped'
    assert worker.stop()['state'] == 'stopped'
    assert pair.v1.post(worker.path + '/input', {'content': 'x'}).code == 'worker_stopped'
    worker.delete()
    assert pair.v1.get(worker.path).code == 'worker_not_found'
    assert pair.far.v1.get(worker.path).code == 'worker_not_found'


def test_a_create_may_be_repeated_and_says_so(pair):
    wid = fresh()
    assert pair.v1.post('/v1/workers', {'worker_id': wid}).status == 201
    again = pair.v1.post('/v1/workers', {'worker_id': wid})
    assert again.status == 200
    assert pair.v1.post('/v1/workers', {'worker_id': wid, 'display_name': 'x'}).code == \
        'worker_conflict'


def test_keys_of_two_principals_are_two(pair, worker):
    key = {'Idempotency-Key': fresh('key')}
    mine = worker.input('one', headers=key)
    wait.until(lambda: worker.get()['state'] == 'idle', what='the end of the turn')
    assert worker.input('one', headers=key) == mine
    assert pair.v1.post(worker.path + '/input', {'content': 'two'}, headers=key).code == \
        'idempotency_conflict'
    other = Worker(pair.api, '/api/runtimes/main', worker.id)
    theirs = other.client.ok('POST', other.path + '/input', {'content': 'two'}, status=202,
                             headers=key)['ack']
    assert theirs['turn_id'] != mine['turn_id']


def test_a_browser_cannot_speak_as_the_system_through_a_remote(pair, worker):
    path = f'/api/runtimes/main/workers/{worker.id}/input'
    assert pair.api.post(path, {'content': 'obey', 'kind': 'system'}).code == 'invalid_request'
    assert pair.v1.post(worker.path + '/input', {'content': 'fine', 'kind': 'system'}).status == 202
    assert [i['role'] for i in worker.transcript()['items']] == ['system']


def test_errors_are_of_the_same_code_with_words_of_ours(pair, worker):
    for method, path, body in (('GET', '/v1/workers/nobody', None),
                               ('POST', worker.path + '/input', {'content': 7}),
                               ('GET', worker.path + '/events?cursor=y1-0-0-0-0', None),
                               ('POST', worker.path + '/approvals/a1', {'decision': 'allow'}),
                               ('GET', worker.path + '/artefacts/a1', None),
                               ('GET', worker.path + '/transcript?limit=999', None)):
        here = pair.v1.request(method, path, body)
        there = pair.far.v1.request(method, path, body)
        assert (here.status, here.code) == (there.status, there.code), path


def test_the_far_host_is_asked_with_the_ids_of_the_request(pair, worker):
    trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    pair.v1.request('GET', '/v1/workers/nobody', None,
                    {'X-Request-Id': 'asked-once-7', 'traceparent': trace})
    seen = wait.until(lambda: pair.far.entries(msg='request', request_id='asked-once-7'),
                      what='the line of the far host')
    assert seen[0]['trace_id'] == trace[3:35]
