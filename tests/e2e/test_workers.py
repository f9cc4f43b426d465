"""Workers: create, replay, conflict, pages, states, delete, reuse."""
import concurrent.futures

import pytest

from lib import configs
from lib.worker import Worker, fresh


@pytest.fixture(scope='module')
def stalling(module_host):
    """A host whose model says a little and then nothing more."""
    return module_host(configs.standard(model=configs.stalls()))


def listed(client, query=''):
    """All worker ids, page by page."""
    out, after = [], ''
    for _ in range(100):
        page = client.ok('GET', f'/v1/workers?{query}' + (f'&after={after}' if after else ''))
        out += [w['worker_id'] for w in page['workers']]
        after = page['next']
        if after is None:
            return out
        assert page['workers'][-1]['worker_id'] == after
    raise AssertionError('pages without end')


def test_create_with_an_id_is_idempotent(v1):
    wid = fresh()
    body = {'worker_id': wid, 'display_name': 'Ada', 'intent': {'kind': 'role', 'role': 'critic'}}
    first = v1.post('/v1/workers', body)
    assert first.status == 201
    again = v1.post('/v1/workers', body)
    assert again.status == 200 and again.json == first.json
    spelled = {'profile': {'kind': 'runtime_default'}, **body}
    assert v1.post('/v1/workers', spelled).status == 200, 'a default spelled out is the same'


def test_another_request_under_a_taken_id_is_a_conflict(v1):
    wid = fresh()
    Worker.create(v1, wid=wid, display_name='Ada')
    v1.refused('POST', '/v1/workers', 409, 'worker_conflict', {'worker_id': wid})
    v1.refused('POST', '/v1/workers', 409, 'worker_conflict',
               {'worker_id': wid, 'display_name': 'Ada '})
    assert v1.ok('GET', f'/v1/workers/{wid}')['worker']['display_name'] == 'Ada'


def test_a_replayed_create_is_answered_before_any_other_check(new_host):
    host = new_host(configs.standard(runtimes=[
        configs.embedded('main', config={'limits': {'workers': 2}})]))
    body = {'worker_id': 'one'}
    assert host.v1.post('/v1/workers', body).status == 201
    Worker.create(host.v1, wid='two')
    host.v1.refused('POST', '/v1/workers', 429, 'limit_reached', {'worker_id': 'three'})
    assert host.v1.post('/v1/workers', body).status == 200, 'full, but this one is here already'
    Worker(host.v1, '/v1', 'one').stop()
    assert host.v1.post('/v1/workers', body).status == 200, 'stopped, but still the same request'
    assert listed(host.v1) == ['one', 'two'], 'a refused create leaves nothing'


def test_many_creates_of_one_id_at_once_make_one_worker(v1):
    wid = fresh()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda _: v1.post('/v1/workers', {'worker_id': wid}).status, range(24)))
    assert sorted(got) == [200] * 23 + [201]


def test_pages_are_in_byte_order_and_lose_nothing(new_host):
    host = new_host(configs.standard())
    ids = sorted(['b', 'a', 'a.b', 'a-b', 'a_b', 'a0', '0', 'z9', 'ab', 'a.'] +
                 [f'n{i}' for i in range(23)], key=str.encode)
    for wid in reversed(ids):
        Worker.create(host.v1, wid=wid)
    for limit in (1, 3, 10, 33, 34, 256):
        assert listed(host.v1, f'limit={limit}') == ids
    assert listed(host.v1) == ids
    page = host.v1.ok('GET', '/v1/workers?limit=33')
    assert page['next'] is None, 'the last page says so at once'
    gone = host.v1.ok('GET', '/v1/workers?after=n5555&limit=1')
    assert gone['workers'][0]['worker_id'] == 'n6', 'after need not exist'


def test_a_list_is_filtered_by_state(stalling):
    client = stalling.v1
    idle, running, stopped = (Worker.create(client, wid=fresh(n)) for n in ('s1', 's2', 's3'))
    running.input('go')
    stopped.stop()
    for worker, state in ((idle, 'idle'), (running, 'running'), (stopped, 'stopped')):
        ids = listed(client, f'state={state}')
        assert worker.id in ids
        others = {idle.id, running.id, stopped.id} - {worker.id}
        assert not others & set(ids), state
    assert listed(client, 'state=corrupt') == []
    running.stop()


def test_a_page_of_filtered_workers_goes_on_behind_those_left_out(v1, new_host):
    host = new_host(configs.standard())
    for n in range(9):
        worker = Worker.create(host.v1, wid=f'w{n}')
        if n % 3 == 0:
            worker.stop()
    assert listed(host.v1, 'state=stopped&limit=1') == ['w0', 'w3', 'w6']
    assert listed(host.v1, 'state=idle&limit=2') == ['w1', 'w2', 'w4', 'w5', 'w7', 'w8']


def test_delete_needs_a_stopped_worker(stalling):
    worker = Worker.create(stalling.v1)
    stalling.v1.refused('DELETE', worker.path, 409, 'worker_not_stopped')
    worker.input('go')
    stalling.v1.refused('DELETE', worker.path, 409, 'worker_not_stopped')
    worker.stop()
    worker.delete()
    for method, path in (('GET', worker.path), ('DELETE', worker.path),
                         ('GET', worker.path + '/transcript'), ('GET', worker.path + '/events')):
        stalling.v1.refused(method, path, 404, 'worker_not_found')


def test_a_deleted_id_may_be_used_again_and_is_another_worker(v1):
    worker = Worker.create(v1, display_name='first')
    worker.say('hello')
    old = worker.get()['cursor']
    worker.stop()
    worker.delete()
    again = Worker.create(v1, wid=worker.id, display_name='second')
    assert again.get()['display_name'] == 'second'
    assert v1.ok('GET', again.path + '/transcript')['transcript']['total'] == 0
    assert again.born.split('.')[0] != old or again.born != old
    with again.events(cursor=old) as stream:
        assert stream.refused(410) == 'cursor_expired'


def test_watchers_of_a_deleted_worker_are_told(v1):
    worker = Worker.create(v1)
    with worker.events() as stream:
        assert stream.next_event().kind == 'snapshot'
        worker.stop()
        stream.until('worker.stopped')
        worker.delete()
        end = stream.until('end')[-1]
        assert end.data['reason'] == 'worker_deleted' and end.id is None
        assert stream.next_event() is None


@pytest.mark.parametrize('method,tail,body', [
    ('GET', '', None), ('DELETE', '', None), ('POST', '/input', {'content': 'x'}),
    ('POST', '/cancel', None), ('POST', '/stop', None), ('GET', '/transcript', None),
    ('GET', '/events', None)])
def test_an_unknown_worker_is_worker_not_found(v1, method, tail, body):
    v1.refused(method, '/v1/workers/nobody' + tail, 404, 'worker_not_found', body)


@pytest.mark.parametrize('wid', ['A', '-a', '.a', '%20', 'a%2Fb', 'a%00', 'x' * 65, '%ff', 'a%2'])
def test_an_id_of_other_letters_is_invalid_identifier(v1, wid):
    r = v1.get('/v1/workers/' + wid)
    assert (r.status, r.code) in ((400, 'invalid_identifier'), (400, 'invalid_request')), r


def test_capabilities_follow_the_state(stalling):
    worker = Worker.create(stalling.v1)
    idle = set(worker.get()['capabilities'])
    assert {'worker.input', 'worker.stop', 'worker.transcript', 'worker.events'} <= idle
    assert not {'worker.delete', 'worker.approve', 'worker.cancel'} & idle
    worker.input('go')
    running = set(worker.get()['capabilities'])
    assert {'worker.cancel', 'worker.input'} <= running, 'with on_busy it takes input'
    worker.stop()
    stopped = set(worker.get()['capabilities'])
    assert 'worker.delete' in stopped
    assert not {'worker.input', 'worker.cancel', 'worker.stop'} & stopped
    assert {'worker.get', 'worker.transcript'} <= stopped


def test_a_worker_shows_its_running_turn_then_its_last_one(stalling):
    worker = Worker.create(stalling.v1)
    assert not worker.get().get('turn')
    ack = worker.input('go')
    turn = worker.get()['turn']
    assert turn['turn_id'] == ack['turn_id'] and turn['state'] == 'running'
    assert turn['ended_at'] is None if 'ended_at' in turn else True
    worker.stop()
    turn = worker.get()['turn']
    assert (turn['state'], turn['reason']) == ('cancelled', 'worker_stopped')


def test_the_runtime_counts_its_workers(new_host):
    host = new_host(configs.standard())
    for n in range(3):
        Worker.create(host.v1, wid=f'w{n}')
    counts = host.v1.ok('GET', '/v1/runtime')['runtime']['counts']
    assert counts['workers'] == 3, counts
    w = Worker(host.v1, '/v1', 'w0')
    w.stop()
    w.delete()
    assert host.v1.ok('GET', '/v1/runtime')['runtime']['counts']['workers'] == 2
