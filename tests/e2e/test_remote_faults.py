"""http-remote over a network that fails, to a host that dies: what is promised
is kept, what cannot be is said."""
import concurrent.futures
import contextlib
import gzip
import json
import random
import threading
import time

import pytest

from lib import configs, remote, wait, wire
from lib.host import TOKEN
from lib.proxy import ERRORS, GARBAGE, Proxy, answer, sick
from lib.remote import healthy, said, say_often, typed
from lib.tables import LIMIT
from lib.watch import View, watch
from lib.wire import Client
from lib.worker import Worker

pytestmark = pytest.mark.tsan
# A look at the remote may last as long, and is not the first thing to be late.
PATIENT = {'probe_ms': 60000}


@pytest.fixture
def proxied(new_host):
    """(pair, proxy): near reaches far through the proxy."""
    made = []

    def via(port):
        made.append(Proxy(port))
        return made[0].port
    pair = remote.Pair(new_host, via=via, retries=4)
    yield pair, made[0]
    made[0].stop()


@pytest.fixture
def proxied_stalls(new_host):
    """The same, and no turn ends by itself."""
    made = []

    def via(port):
        made.append(Proxy(port))
        return made[0].port
    yield remote.Pair(new_host, model=configs.stalls(), via=via, retries=4), made[0]
    made[0].stop()


def plain(near):
    """A client of one whose remote is made up: what it answers proves no document."""
    return Client(near.address('runtime'), TOKEN, recorded=False)


@pytest.mark.parametrize('seed', range(3))
def test_a_sick_network_loses_and_doubles_nothing(proxied, seed):
    pair, proxy = proxied
    worker = Worker.create(pair.v1)
    proxy.rng, proxy.fault = random.Random(seed), sick
    proxy.drop()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        acked = sum(pool.map(lambda n: say_often(pair, worker, 8, n), range(4)), [])
    for method, path, body in (('GET', '/v1/runtime', None), ('GET', '/v1/workers', None),
                               ('GET', worker.path, None),
                               ('GET', worker.path + '/transcript', None),
                               ('GET', worker.path + '/approvals', None),
                               ('POST', worker.path + '/cancel', None),
                               ('POST', '/v1/workers', {'display_name': 'x'}),
                               ('GET', '/v1/config-bundles', None)):
        for _ in range(4):
            typed(pair.v1.request(method, path, body))
    for _ in range(200):  # a connection that lasts spares others their faults
        if proxy.count.get('cut') and proxy.count.get('say'):
            break
        proxy.drop()
        typed(pair.v1.request('GET', '/v1/runtime'))
    proxy.heal()
    direct = Worker(pair.far.v1, '/v1', worker.id)
    wait.until(lambda: direct.get()['state'] == 'idle', what='the end of all turns')
    there = said(direct)
    assert set(acked) <= set(there), 'an acknowledged input is lost'
    assert len({c for c, _ in there}) == len(there), 'an input is there twice'
    assert proxy.count.get('cut') and proxy.count.get('say'), proxy.count
    healthy(pair)


@pytest.mark.parametrize('used_before', [False, True])
def test_a_cancel_without_an_answer_takes_no_second_turn(proxied_stalls, used_before):
    """The one answer that is lost may be that to a look at far: then once more."""
    pair, proxy = proxied_stalls
    for _ in range(10):
        proxy.heal()
        lost, losing = threading.Event(), threading.Event()

        def loses(lost=lost, losing=losing):
            if losing.is_set() and not lost.is_set():
                lost.set()
                return True
            return False
        proxy.fault = lambda rng, loses=loses: ('lose', loses)
        proxy.drop()
        worker = Worker.create(pair.v1)
        first, second = (worker.input(n, on_busy='queue')['turn_id'] for n in ('one', 'two'))
        if not used_before:
            proxy.drop()
        losing.set()
        code = typed(pair.v1.request('POST', worker.path + '/cancel'))
        direct = Worker(pair.far.v1, '/v1', worker.id)
        wait.until(lambda: direct.get()['turn']['turn_id'] == second, what='the second turn')
        ended = {e['data']['turn_id'] for e in direct.batch(worker.born, wait=0)['events']
                 if e['event'] in ('turn.cancel_requested', 'turn.ended')}
        assert ended == {first}
        if code == 'runtime_unavailable':
            return
    raise AssertionError('no answer to a cancel was lost')


@pytest.mark.parametrize('seed', range(3))
def test_a_watcher_sees_the_log_through_a_sick_network(new_host, seed):
    made = []

    def via(port):
        made.append(Proxy(port, seed=seed))
        return made[0].port
    pair = remote.Pair(new_host, model=configs.talks(n=60, delay_ms=4), via=via, retries=4)
    worker, proxy = Worker.create(pair.v1), made[0]
    direct = Worker(pair.far.v1, '/v1', worker.id)
    view = View()
    with worker.events(worker.born) as stream:
        proxy.fault = sick
        for i in range(3):
            direct.say(f'turn {i}')
            proxy.drop()
        for event in stream:
            view.take(event)
            if view.kinds.count('turn.ended') == 3:
                break
    proxy.heal()
    view.check_prefixes()
    whole = View()
    watch(direct, _from(whole, worker.born), lambda v: v.kinds.count('turn.ended') == 3)
    assert view.log == whole.log and not view.ends
    proxy.stop()


def _from(view, cursor):
    view.cursor = cursor
    return view


RUNTIME = gzip.compress(json.dumps({'runtime': {
    'instance_id': 'a', 'api_version': '1', 'status': 'ready'}}).encode(), mtime=0)
CODED = (b'HTTP/1.1 200 X\r\nContent-Type: application/json\r\nTransfer-Encoding: gzip, chunked'
         b'\r\n\r\n%x\r\n%s\r\n0\r\n\r\n' % (len(RUNTIME), RUNTIME))


@pytest.mark.parametrize('said', (*GARBAGE, *ERRORS, pytest.param(CODED, id='coded')))
def test_what_is_no_answer_is_said_to_be_none(new_host, said):
    proxy = Proxy(1, lambda rng: ('say', said))
    near = new_host(remote.near_config(remote.entry(f'http://127.0.0.1:{proxy.port}', retries=1,
                                                    **PATIENT)))
    for method, path, body in (('GET', '/v1/workers', None), ('GET', '/v1/workers/a', None),
                               ('POST', '/v1/workers', {}), ('GET', '/v1/workers/a/events', None),
                               ('DELETE', '/v1/workers/a', None), ('GET', '/v1/runtime', None)):
        r = near.v1.request(method, path, body)
        assert r.status in (502, 503) and r.code in ('remote_malformed', 'runtime_unavailable'), r
        for word in ('captive', 'sorry', 'page', str(proxy.port)):
            assert word not in r.text, r
    proxy.stop()


def test_an_answer_about_another_worker_is_none(new_host):
    other = {'worker_id': 'bob', 'state': 'idle', 'cursor': 'c1', 'capabilities': []}
    snapshot = {'worker': other, 'sequence': 1, 'in_flight': None}

    def reply(head, path):
        if path == b'/v1/runtime':
            body = {'runtime': {'instance_id': 'a', 'api_version': '1', 'status': 'ready'}}
        elif head.startswith(b'POST'):
            return answer(201, json.dumps({'worker': other}).encode(), 'application/json')
        elif b'text/event-stream' in head:
            text = f'id: c1\nevent: snapshot\ndata: {json.dumps(snapshot)}\n\n'
            return answer(200, text.encode(), 'text/event-stream')
        elif path.startswith(b'/v1/workers/ann/events'):
            body = {'events': [{'id': 'c1', 'event': 'snapshot', 'data': snapshot}]}
        else:
            body = {'worker': other}
        return answer(200, json.dumps(body).encode(), 'application/json')
    proxy = Proxy(1, lambda rng: ('talk', reply))
    near = new_host(remote.near_config(
        remote.entry(f'http://127.0.0.1:{proxy.port}', retries=0, **PATIENT)))
    v1, batch = plain(near), {'Accept': 'application/json'}
    for r in (v1.post('/v1/workers', {'worker_id': 'ann'}), v1.get('/v1/workers/ann'),
              v1.get('/v1/workers/ann/events'),
              v1.request('GET', '/v1/workers/ann/events?wait=0', headers=batch)):
        assert r.status == 502 and r.code == 'remote_malformed', r
        assert 'bob' not in r.text, r
    assert v1.ok('POST', '/v1/workers', {})['worker']['worker_id'] == 'bob'
    r = v1.post('/v1/workers', {'worker_id': 'b' * 10000})  # no id is so long
    assert r.status == 502, r
    proxy.stop()


@pytest.mark.parametrize('events', [0, 1])
@pytest.mark.parametrize('code, retryable', [('timeout', True), ('internal', False)])
def test_a_batch_that_the_remote_ends_early_is_not_the_whole(new_host, events, code, retryable):
    def reply(_, path):
        body = {'runtime': {'instance_id': 'a', 'api_version': '1', 'status': 'ready'}}
        if path.startswith(b'/v1/workers/w/events'):
            body = {'events': [{'id': 'c1', 'event': 'worker.stopped', 'data': {
                'sequence': 2, 'worker_id': 'w'}}] * events, 'cursor': f'c{events}',
                    'end': {'reason': 'error', 'code': code, 'retryable': retryable,
                            'cursor': f'c{events}'}}
        return answer(200, json.dumps(body).encode(), 'application/json')
    proxy = Proxy(1, lambda rng: ('talk', reply))
    near = new_host(remote.near_config(remote.entry(f'http://127.0.0.1:{proxy.port}', **PATIENT)))
    batch = plain(near).ok('GET', '/v1/workers/w/events?cursor=c0&wait=0',
                       headers={'Accept': 'application/json'})
    assert [e['id'] for e in batch['events']] == ['c1'] * events
    assert batch['end'] == {'reason': 'error', 'code': code, 'retryable': retryable,
                            'cursor': f'c{events}'}
    proxy.stop()


@pytest.mark.parametrize('known', [(), (700,)])
def test_events_of_a_later_version_are_gone_past(new_host, known):
    """More of them than a batch holds; those that are known come, and the end is reached."""
    def row(n):
        if n in known:
            return {'id': f'k{n}', 'event': 'worker.stopped', 'data': {
                'sequence': n, 'worker_id': 'w'}}
        return {'id': f'k{n}', 'event': 'audio.delta', 'data': {}}

    def reply(_, path):
        body = {'runtime': {'instance_id': 'a', 'api_version': '1', 'status': 'ready'}}
        if path.startswith(b'/v1/workers/w/events'):
            at = int(path.split(b'cursor=k')[1])
            rows = [row(n) for n in range(at + 1, min(at + LIMIT['YOI_HTTP_BATCH_MAX'], 710) + 1)]
            body = {'events': rows, 'cursor': rows[-1]['id'] if rows else f'k{at}', 'end': None}
        return answer(200, json.dumps(body).encode(), 'application/json')
    proxy = Proxy(1, lambda rng: ('talk', reply))
    near = new_host(remote.near_config(remote.entry(f'http://127.0.0.1:{proxy.port}', **PATIENT)))
    batch = plain(near).ok('GET', '/v1/workers/w/events?cursor=k0&wait=0',
                       headers={'Accept': 'application/json'})
    assert [e['id'] for e in batch['events']] == [f'k{n}' for n in known]
    assert (batch['cursor'], batch['end']) == ('k710', None)
    proxy.stop()


def test_nobody_there_is_said_at_once_and_hidden_from_nobody(new_host):
    port = remote.free_port()
    near = new_host(remote.near_config(remote.entry(f'http://127.0.0.1:{port}', retries=0,
                                                    **PATIENT), configs.embedded('own')))
    r = near.v1.get('/v1/workers')
    assert (r.status, r.code) == (503, 'runtime_unavailable') and str(port) not in r.text
    rows = {row['runtime_id']: row for row in near.api.ok('GET', '/api/runtimes')['runtimes']}
    assert rows['main']['runtime']['status'] == 'unreachable' and rows['main']['last_seen'] is None
    assert rows['main']['runtime']['capabilities'] == []
    assert rows['own']['runtime']['status'] == 'ready'
    assert near.metric('yoi_remote_requests_total', result='failed') > 0


def test_a_page_of_404_is_no_worker_that_is_not_there(new_host):
    """Pitfall: any remote 404 became worker_not_found."""
    proxy = Proxy(1, lambda rng: ('say', answer(404, b'{"detail":"not found"}',
                                                'application/json')))
    near = new_host(remote.near_config(remote.entry(f'http://127.0.0.1:{proxy.port}', retries=0,
                                                    **PATIENT)))
    assert near.v1.get('/v1/workers/a').code != 'worker_not_found'
    proxy.stop()


def test_one_slow_remote_delays_only_itself(new_host):
    proxy = Proxy(1, lambda rng: ('hang',))
    never = 600000  # so that whoever waits for it waits longer than a client here
    near = new_host(remote.near_config(
        remote.entry(f'http://127.0.0.1:{proxy.port}', 'slow', answer_ms=never,
                     host_keys={'deadline_ms': never}), configs.embedded()))
    worker = Worker.create(near.v1)
    assert worker.say('hello')['turn']['state'] == 'completed'
    lists = near.api.ok('GET', '/api/workers')['runtimes']
    assert [r['runtime_id'] for r in lists] == ['main', 'slow']
    assert lists[0]['workers'] and not lists[0]['diagnostics'] and lists[1]['diagnostics']
    assert near.v1.get(f'/v1/workers/{worker.id}').status == 200
    r = near.api.get('/api/runtimes/slow/workers?timeout=0.3')
    assert r.code in ('timeout', 'runtime_unavailable')
    proxy.stop()


def test_a_deadline_goes_along_and_gets_shorter(proxied):
    pair, proxy = proxied
    healthy(pair)
    proxy.fault = lambda rng: ('hang',)
    proxy.drop()
    begin = time.monotonic()
    r = pair.v1.request('GET', '/v1/workers', None, {'Yoi-Timeout-Ms': '400'})
    assert r.code in ('timeout', 'runtime_unavailable'), r
    assert time.monotonic() - begin < LIMIT['YOI_REMOTE_ANSWER_MS'] / 1000, 'it is much less'


# ---- a host that dies -------------------------------------------------------------

@pytest.fixture
def durable(new_host, tmp_path):
    return remote.Pair(new_host, runtime=configs.stored(tmp_path / 'store'),
                       model=configs.talks(n=40, delay_ms=4), retries=6)


@pytest.mark.parametrize('how', ['stop', 'crash'])
def test_a_watcher_outlives_the_remote(durable, how):
    pair = durable
    worker = Worker.create(pair.v1)
    view = _from(View(), worker.born)
    with worker.events(worker.born) as stream:
        for i in range(5):
            worker.input(f'turn {i}')
            while not view.text or view.kinds.count('turn.ended') < i:
                view.take(stream.next_event())
            getattr(pair.far, how)()
            pair.far.start()
            while view.kinds.count('turn.ended') <= i:
                event = stream.next_event()
                assert event is not None, view.ends
                view.take(event)
            healthy(pair)
    assert not view.ends
    whole = _from(View(), worker.born)
    direct = Worker(pair.far.v1, '/v1', worker.id)
    watch(direct, whole, lambda v: v.kinds.count('turn.ended') == 5)
    assert view.log == whole.log
    assert pair.status()['diagnostics'] == []


def test_a_followed_turn_ends_for_its_caller_whatever_dies(new_host, tmp_path):
    pair = remote.Pair(new_host, runtime=configs.stored(tmp_path / 'store'),
                       model=configs.stalls(), retries=6)
    worker = Worker.create(pair.v1)
    with worker.follow('hello') as stream:
        assert stream.next_event().kind == 'ack'
        stream.until('text.delta')
        pair.far.crash()
        pair.far.start()
        events = list(stream)
    assert [e.kind for e in events[-2:]] == ['turn.ended', 'end']
    assert events[-2].data['turn']['state'] == 'interrupted'
    assert events[-1].data['reason'] == 'turn_ended'


def test_health_says_the_truth_within_two_seconds(new_host):
    """Which is the pace of looks and the longest one: what a loaded machine adds is its own."""
    assert LIMIT['YOI_REMOTE_PROBE_MS'] + LIMIT['YOI_REMOTE_PROBE_LIMIT_MS'] < 2000
    pair = remote.Pair(new_host)
    healthy(pair)
    before = pair.api.ok('GET', '/api/runtimes/main')
    seen = before['last_seen']
    pair.far.crash()
    healthy(pair, 'unreachable')
    row = pair.api.ok('GET', '/api/runtimes/main')
    assert row['last_seen'] >= seen
    assert row['runtime']['diagnostics'][0]['code'] == 'runtime_unavailable'
    assert row['runtime']['display_name'] == before['runtime']['display_name'] != 'Another host'
    pair.far.start()
    wait.until(lambda: pair.status()['status'] != 'unreachable', what='a remote that is back')


def test_another_runtime_at_the_same_address_is_noticed(new_host):
    """Its workers are gone: whoever watched one is told; cursors are of no use."""
    pair = remote.Pair(new_host, probe_ms=2000)  # it is news for some seconds: to be seen
    healthy(pair)
    first = pair.status()['instance_id']
    worker = Worker.create(pair.v1, wid='same')
    with worker.events() as stream:
        assert stream.next_event().kind == 'snapshot'
        pair.far.crash()
        pair.far.start()
        assert stream.next_event().data['reason'] == 'worker_deleted'
    healthy(pair, 'degraded')
    runtime = pair.status()
    assert runtime['instance_id'] != first
    (said,) = runtime['diagnostics']
    assert (said['code'], said['count']) == ('remote_replaced', 1)
    healthy(pair)  # it was found again and again: it is the remote now
    assert pair.status()['diagnostics'] == [said]  # for people to see
    Worker.create(pair.v1, wid='same')
    assert pair.v1.get(f'{worker.path}/events?cursor={worker.born}').code == 'cursor_expired'


def test_a_new_instance_is_news_for_so_many_looks(new_host):
    """Two that answer in turn never are the remote, each time one look too early."""
    looks = LIMIT['YOI_REMOTE_ACCEPT_LOOKS']
    order = ['a'] + [x for x in 'bcbc' for _ in range(looks - 1)] + ['d'] * looks
    at, seen = [0], []
    asking = threading.Lock()  # no look comes between a question and its answer

    def reply(head, path):
        """Looks have no request id; who asks between them gets the same."""
        if path.endswith(b'/v1/runtime') and b'x-request-id' not in head.lower():
            with asking if at[0] else contextlib.nullcontext():  # the first question waits for it
                at[0] += 1
        runtime = {'instance_id': order[min(max(at[0], 1), len(order)) - 1], 'api_version': '1',
                   'status': 'ready'}
        return answer(200, json.dumps({'runtime': runtime}).encode(), 'application/json')
    proxy = Proxy(1, lambda rng: ('talk', reply))
    near = new_host(remote.near_config(
        remote.entry(f'http://127.0.0.1:{proxy.port}', probe_ms=100)))

    def last():
        with asking:
            runtime = near.api.ok('GET', '/api/runtimes/main')['runtime']
            seen.append((at[0], runtime['status']))
        return seen[-1][0] >= len(order) and runtime['status'] == 'ready'
    wait.until(last, 20, what='the last one is accepted')
    # behind the third answer that of the second, the first news, has been looked at
    assert {s for n, s in seen if 2 < n < len(order) - 1} == {'degraded'}, seen
    runtime = near.api.ok('GET', '/api/runtimes/main')['runtime']
    assert [d['count'] for d in runtime['diagnostics']] == [5] and runtime['instance_id'] == 'd'
    proxy.stop()


def test_what_was_refused_is_named(new_host):
    pair = remote.Pair(new_host)
    worker = Worker.create(pair.v1)
    for method, path, body, name in (
            ('POST', worker.path + '/input', {'content': 7}, 'content'),
            ('POST', worker.path + '/input', {'content': 'x', 'on_busy': 'wat'}, 'on_busy'),
            ('POST', '/v1/workers', {'displayname': 'x'}, 'displayname'),
            ('GET', '/v1/workers?state=wat', None, 'state')):
        r = pair.v1.request(method, path, body)
        assert r.code == 'invalid_request' and f"'{name}'" in r.error['message'], r
        assert name in r.error['details'].values(), r


@pytest.mark.parametrize('seed', range(3))
def test_a_delete_says_what_it_did(proxied, seed):
    """Whatever number of attempts it takes: of what never was, that it is not there."""
    pair, proxy = proxied
    made = [Worker.create(pair.v1) for _ in range(12)]
    for worker in made:
        worker.stop()

    def fault(rng):
        """But none that has a request overtaken by its own double."""
        found = sick(rng)
        return found if found[0] != 'double' else ('cut', 900)
    proxy.rng, proxy.fault = random.Random(seed), fault
    for n, worker in enumerate(made):
        there = n % 2 == 0
        proxy.drop()
        for tries in range(40):
            r = pair.v1.delete(worker.path if there else worker.path + 'x')
            if r.status == 204 or r.code == 'worker_not_found':
                break
        # An operation of ours that failed before this one may have deleted it.
        assert r.status in ((204, 404) if tries else (204,)) if there else r.status == 404, r
    assert pair.near.metric('yoi_remote_retries_total') > 0


def test_a_cursor_of_before_does_not_stop_who_watches(new_host):
    """Pitfall: a stale upstream cursor failed every watcher until a restart."""
    pair = remote.Pair(new_host)
    worker = Worker.create(pair.v1, wid='same')
    with worker.events() as stream:
        assert stream.next_event().kind == 'snapshot'
        pair.far.crash()
        pair.far.start()
        Worker.create(pair.far.v1, wid='same')
        event = stream.next_event()
    if event.kind == 'snapshot':  # else the worker was asked for before it was there again
        assert event.data['worker']['worker_id'] == 'same'
    else:
        assert event.data['reason'] == 'worker_deleted'
    with worker.events() as stream:
        assert stream.next_event().kind == 'snapshot'


def test_only_the_expected_instance_is_used(new_host):
    pair = remote.Pair(new_host, expect_instance='another', retries=0, **PATIENT)
    r = pair.v1.post('/v1/workers', {})
    assert (r.status, r.code) == (503, 'runtime_unavailable')
    assert pair.far.v1.ok('GET', '/v1/workers')['workers'] == []
    assert pair.status()['status'] == 'unreachable'


def test_the_token_of_the_remote_is_this_host_s_business(new_host):
    """A wrong one is no fault of the caller's; a new one needs no restart."""
    pair = remote.Pair(new_host, retries=0, start=False)
    pair.far.start()
    secret = pair.near.etc / 'far.token'
    secret.write_text('not-the-token-of-that-host\n')
    secret.chmod(0o600)
    pair.near.config['local'] = {'secrets': {**configs.SECRETS, 'far': {'file': 'far.token'}}}
    pair.near.start()
    r = pair.v1.get('/v1/workers')
    assert (r.status, r.code) == (503, 'runtime_unavailable') and 'token' in r.error['message']
    secret.write_text(remote.TOKEN + '\n')
    healthy(pair)
    assert pair.v1.get('/v1/workers').status == 200


def test_one_stream_of_the_remote_for_all_who_watch(new_host):
    pair = remote.Pair(new_host, model=configs.talks(n=30, delay_ms=2))
    worker = Worker.create(pair.v1)
    streams = [worker.events() for _ in range(10)]
    for s in streams:
        assert s.next_event().kind == 'snapshot'
    wait.until(lambda: pair.near.metric('yoi_remote_upstreams') == 1, what='one upstream')
    worker.input('go')
    seen = [[(e.id, e.kind, e.text) for e in s.until('turn.ended')] for s in streams]
    # Who is late has the message in the place of the last deltas of it, never one
    # that others did not have, and all else.
    most = max(seen, key=len)
    for events in seen:
        assert events == [e for e in most if e in events]
        assert all(e in events for e in most if e[1] != 'text.delta')
    for s in streams:
        s.close()
    wait.until(lambda: pair.near.metric('yoi_remote_upstreams') == 0, what='none')


def test_who_leaves_while_the_answer_comes_takes_nothing_along(new_host):
    """Its stream is given back on one loop while another one reads for it."""
    pair = remote.Pair(new_host)
    worker = Worker.create(pair.v1)
    address, fields = pair.near.address('runtime'), pair.v1.headers()
    data = wire.request_bytes('GET', f'{worker.path}/events?wait=30&cursor={worker.born}', fields)
    for n in range(150):
        socks = [wire.connect(address) for _ in range(5)]
        for sock in socks:
            sock.sendall(data)
        threading.Event().wait(n % 30 * 0.0001)  # to meet the answers
        for sock in socks:
            sock.close()
        assert pair.v1.get(worker.path).status == 200
