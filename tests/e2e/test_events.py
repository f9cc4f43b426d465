"""Event streams: snapshot, cursors, resume, expiry, heartbeats, batches."""
import concurrent.futures
import random
import socket
import threading
import time

import pytest

from lib import attack, configs, sse, wait, wire
from lib.tables import DURABLE, LIVE, LIMIT
from lib.watch import View, watch, watch_cut
from lib.worker import Worker, text_of

pytestmark = pytest.mark.tsan


@pytest.fixture(scope='module')
def talking(module_host):
    """A host whose model says 150 pieces with a little time between them."""
    return module_host(configs.standard(model=configs.talks(n=150, delay_ms=2)))


@pytest.fixture(scope='module')
def stalling(module_host):
    return module_host(configs.standard(model=configs.stalls()))


def ended(n=1):
    return lambda view: view.kinds.count('turn.ended') >= n


# ---- the stream itself ------------------------------------------------------

def test_a_stream_has_the_headers_that_proxies_and_browsers_need(worker):
    with worker.events() as stream:
        head = stream.head
        assert head.header('content-type').startswith('text/event-stream')
        assert head.header('cache-control') in ('no-store', 'no-cache')
        assert head.header('x-accel-buffering') == 'no'
        assert stream.next_event().kind == 'snapshot'
        assert stream.parser.retry == LIMIT['YOI_HTTP_RETRY_MS']
        assert stream.raw.count(b'retry:') == 1


def test_without_a_cursor_a_stream_begins_with_a_snapshot(worker):
    worker.say('hello')
    with worker.events() as stream:
        first = stream.next_event()
        assert first.kind == 'snapshot' and set(first.data) == {'worker', 'sequence', 'in_flight'}
        assert first.id == worker.get()['cursor'] == first.data['worker']['cursor']
        assert first.data['in_flight'] is None and first.data['worker']['state'] == 'idle'
        assert '"transcript":' not in first.text and 'hello' not in first.text
        worker.input('more')
        second = stream.next_event()
        assert second.kind == 'input.accepted'
        assert second.data['sequence'] == first.data['sequence'] + 1


def test_a_snapshot_shows_the_text_in_flight(stalling):
    worker = Worker.create(stalling.v1)
    with worker.follow('go') as follow:
        follow.until('text.delta')
        with worker.events() as stream:
            flight = stream.next_event().data['in_flight']
            assert set(flight) == {'turn_id', 'step', 'text', 'reasoning'}
            assert flight['text'] and flight['step'] == 1
            worker.cancel()
            stream.until('turn.ended')
    with worker.events() as stream:
        assert stream.next_event().data['in_flight'] is None
    worker.stop()


def test_every_event_is_one_of_the_table_and_one_line_of_json(worker):
    with worker.events() as stream:
        worker.input('hello')
        for event in stream.until('turn.ended'):
            assert event.kind in DURABLE | LIVE | {'snapshot'}, event
            assert '\n' not in event.text and isinstance(event.data, dict)
            if event.kind in DURABLE:
                assert event.id and isinstance(event.data['sequence'], int) and event.data['at']
            elif event.kind in LIVE:
                assert event.data['turn_id'] and event.data['step'] >= 1
            if event.id:
                assert len(event.id) <= LIMIT['YOI_CURSOR_MAX'] and event.id.isascii()


def test_the_history_is_replayed_from_the_first_cursor(worker):
    worker.say('one')
    worker.say('two')
    view = watch(worker, View(), lambda v: True)  # the snapshot
    assert view.log == []
    view.cursor = worker.born
    watch(worker, view, ended(2))
    again = View()
    again.cursor = worker.born
    watch(worker, again, ended(2))
    assert view.log == again.log and len({i for i, _, _ in view.log}) == len(view.log)


def test_every_cursor_of_the_history_resumes_behind_itself(worker):
    worker.say('one')
    worker.say('two')
    whole = View()
    whole.cursor = worker.born
    watch(worker, whole, ended(2))
    for n, (cursor, _, _) in enumerate(whole.log[:-1]):
        part = View()
        part.cursor = cursor
        watch(worker, part, lambda v, n=n: len(v.log) >= len(whole.log) - n - 1)
        assert part.log == whole.log[n + 1:]


def test_history_and_live_join_without_a_gap(talking):
    worker = Worker.create(talking.v1)
    worker.say('before')
    view = View()
    view.cursor = worker.born
    with worker.events(view.cursor) as stream:
        for event in stream.until('turn.ended'):
            view.take(event)
        worker.input('now')
        for event in stream.until('turn.ended'):
            view.take(event)
    numbers = [wire.json.loads(text)['sequence'] for _, _, text in view.log]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    view.check_prefixes()


class Talk(attack.Talk):
    """Says more until all have joined."""

    def stream_on(self):
        while not self.server.owner.joined.wait(0.01):
            self.piece({'content': 'more \u00e4\u2603\U0001f600 '})
        self.piece({'content': 'and no more'}, 'stop')


@pytest.fixture
def talker():
    server = attack.Server(Talk)
    server.joined = threading.Event()
    yield server
    server.joined.set()
    server.close()


def test_watchers_that_join_at_any_time_have_the_whole_text(new_host, talker):
    host = new_host(configs.standard(model=configs.openai(talker.port)))
    worker, here = Worker.create(host.v1), set()

    def join(n):
        def done(view):
            here.add(n)
            return ended()(view)
        return watch(worker, View(), done)

    with concurrent.futures.ThreadPoolExecutor(10) as pool, worker.events() as stream:
        worker.input('stream')
        jobs = []
        for n in range(10):
            stream.until('text.delta')
            jobs.append(pool.submit(join, n))
        wait.until(lambda: len(here) == 10 or any(j.done() for j in jobs), what='all to join')
        talker.joined.set()
        views = [job.result() for job in jobs]
    for view in views:
        view.check_prefixes()
        (key,) = view.whole
        assert len(view.text[key]) > 100
        assert view.text[key] == next(iter(views[0].text.values()))


def test_a_cursor_inside_a_message_that_has_finished_gets_it_whole(talking):
    worker = Worker.create(talking.v1)
    with worker.events() as stream:
        worker.input('go')
        middle = [e for e in stream.until('text.delta') if e.id][-1]
        for _ in range(20):
            middle = stream.until('text.delta')[-1]
        stream.until('turn.ended')
    assert middle.id, 'a frame has a cursor'
    view = View()
    view.cursor = middle.id
    watch(worker, view, ended())
    assert 'message.completed' in view.kinds and view.whole
    (text,) = view.text.values()
    assert text == text_of(worker.transcript()['items'][-1])


# ---- cuts -------------------------------------------------------------------

def check_cuts(host, cuts, seed):
    """One uncut watcher and one that is cut, over as many turns as it takes."""
    rng = random.Random(seed)
    worker, done, turns = Worker.create(host.v1), 0, 0
    cut_view, uncut = View(), View()
    cut_view.cursor = uncut.cursor = worker.born
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        while done < cuts:
            turns += 1
            live = rng.random() < 0.7
            job = pool.submit(watch, worker, uncut, ended(turns))
            if live:
                worker.input(f'turn {turns}')
            else:
                worker.say(f'turn {turns}')
            done += watch_cut(worker, cut_view, ended(turns), seed + turns)
            job.result()
    assert cut_view.log == uncut.log, f'seed {seed}'
    assert cut_view.text == uncut.text and len(uncut.text) == turns, f'seed {seed}'
    assert not [e for v in (cut_view, uncut) for e in v.ends]
    cut_view.check_prefixes()
    uncut.check_prefixes()
    said = [text_of(i) for i in worker.transcript()['items'] if i['role'] == 'assistant']
    assert list(uncut.text.values())[:len(said)] == said


def test_a_stream_cut_at_50_random_points_and_resumed_is_the_uncut_one(talking):
    check_cuts(talking, 50, seed=20260626)


@pytest.mark.soak
@pytest.mark.parametrize('seed', range(5))
def test_a_stream_cut_at_500_random_points_and_resumed_is_the_uncut_one(talking, seed):
    check_cuts(talking, 500, seed=7000 * seed)


def check_every_byte(worker, step):
    """A replay that is cut after k bytes, for every k, and then resumed."""
    with worker.events(worker.born) as stream:
        stream.until('turn.ended')
        length = len(stream.raw)
    whole = watch_from(worker)
    for k in range(1, length, step):
        view = View()
        view.cursor = worker.born
        with worker.events(view.cursor, cut=k) as stream:
            for event in stream:
                view.take(event)
        if not ended()(view):
            watch(worker, view, ended())
        assert view.log == whole.log, k
        assert view.text == whole.text, k


def watch_from(worker):
    view = View()
    view.cursor = worker.born
    return watch(worker, view, ended())


def test_the_line_cut_at_every_seventh_byte_loses_nothing(worker):
    worker.say('hello')
    check_every_byte(worker, 7)


@pytest.mark.soak
def test_the_line_cut_at_every_byte_loses_nothing(worker):
    worker.say('hello')
    check_every_byte(worker, 1)


# ---- cursors ----------------------------------------------------------------

def test_the_header_wins_over_the_query_since_browsers_repeat_the_url(worker):
    worker.say('hello')
    now = worker.get()['cursor']
    target = f'{worker.path}/events?cursor={worker.born}'
    with sse.Stream(worker.client, target, cursor=now) as stream:
        worker.input('more')
        assert stream.next_event().kind == 'input.accepted'
    with sse.Stream(worker.client, target) as stream:
        assert stream.next_event().kind == 'input.accepted'


def test_an_empty_last_event_id_is_none(worker):
    with worker.events(cursor='') as stream:
        assert stream.next_event().kind == 'snapshot'


@pytest.mark.parametrize('cursor', [
    'x', '0', '-1', '1', 'null', '%00', 'a' * 161, '..', '0.0.0.0', '%2B1', '%20'])
def test_a_cursor_of_another_shape_is_invalid(v1, worker, cursor):
    with sse.Stream(v1, f'{worker.path}/events?cursor={cursor}') as stream:
        assert stream.refused(400, 410) in ('invalid_request', 'cursor_expired')


def odd(cursor):
    """Changed spellings of a good cursor: none of them is a cursor."""
    yield cursor + ' '
    yield cursor + '0x'
    yield cursor[:-1]+ '+' + cursor[-1]
    yield cursor + '.'
    yield '+' + cursor
    yield '0' + cursor
    yield cursor[:len(cursor) // 2]
    if cursor.upper() != cursor:
        yield cursor.upper()


def test_a_cursor_is_parsed_strictly(v1, worker):
    worker.say('hello')
    for text in odd(worker.get()['cursor']):
        with worker.events(cursor=text.replace(' ', '\t')) as stream:
            if text.strip() == worker.get()['cursor']:
                continue  # white space around a field value is no part of it
            assert stream.refused(400, 410), text


def test_a_cursor_of_another_worker_is_refused(v1):
    a, b = Worker.create(v1), Worker.create(v1)
    for worker in (a, b):
        worker.say('hello')  # b's history reaches as far, so only the worker differs
    with b.events(cursor=a.get()['cursor']) as stream:
        assert stream.refused(400, 410) in ('cursor_expired', 'invalid_request')


def test_a_cursor_from_before_a_restart_has_expired(new_host):
    host = new_host(configs.standard())
    worker = Worker.create(host.v1, wid='same')
    worker.say('hello')
    old = worker.get()['cursor']
    host.restart()
    worker = Worker.create(host.v1, wid='same')
    worker.say('hello')
    with worker.events(cursor=old) as stream:
        assert stream.refused(410) == 'cursor_expired'
    with worker.events() as stream:
        assert stream.next_event().kind == 'snapshot', 'the way on'


# ---- heartbeats, limits, slow readers ---------------------------------------

def test_a_silent_stream_has_heartbeats_also_of_a_stopped_worker(new_host):
    host = new_host(configs.standard(ingresses=[
        configs.BROWSER, configs.ingress(configs.RUNTIME, heartbeat_ms=300)]))
    worker = Worker.create(host.v1)
    worker.stop()
    with worker.events(seconds=5) as stream:
        stream.next_event()
        assert stream.wait_comment() and stream.wait_comment()


def test_watchers_of_a_runtime_are_limited(new_host):
    host = new_host(configs.standard(runtimes=[
        configs.embedded('main', config={'limits': {'watchers': 2}})]))
    worker = Worker.create(host.v1)
    with worker.events() as a, worker.events() as b:
        a.next_event(), b.next_event()
        with worker.events() as third:
            assert third.head.status == 429 and third.head.code == 'limit_reached'
    wait.until(lambda: opens(worker), what='a place that is free again')


def opens(worker):
    with worker.events() as stream:
        return stream.head.status == 200


def test_streams_of_a_listener_are_limited(new_host):
    host = new_host(configs.standard(ingresses=[
        configs.BROWSER, configs.ingress(configs.RUNTIME, streams=2)]))
    worker = Worker.create(host.v1)
    with worker.events() as a, worker.events() as b:
        a.next_event(), b.next_event()
        with worker.events() as third:
            assert third.head.status == 429 and third.head.code == 'limit_reached'
            assert third.head.header('retry-after')
        assert worker.get()['state'] == 'idle', 'other requests are no streams'


def test_a_reader_that_never_reads_delays_nobody(talking):
    worker = Worker.create(talking.v1)
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    host, port = talking.v1.address.split(':')
    with slow:
        slow.connect((host, int(port)))
        slow.sendall(wire.request_bytes('GET', worker.path + '/events', talking.v1.headers(
            {'Accept': 'text/event-stream'})))
        with worker.events() as fast:
            fast.next_event()
            for _ in range(3):
                worker.input('go')
                fast.until('turn.ended')


def test_a_hundred_watchers_see_the_same_bytes(talking):
    worker = Worker.create(talking.v1)
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        def one(_):
            view = View()
            with worker.events(worker.born) as stream:
                for event in stream:
                    view.take(event)
                    if ended()(view):
                        return view
            raise AssertionError('over too early')
        jobs = [pool.submit(one, n) for n in range(100)]
        worker.input('go')
        views = [job.result() for job in jobs]
    assert all(v.log == views[0].log and v.text == views[0].text for v in views)


# ---- batches ----------------------------------------------------------------

def test_a_batch_holds_the_same_events(worker):
    worker.say('hello')
    whole = watch_from(worker)
    batch = worker.batch(cursor=worker.born, wait=0)
    events = [e for e in batch['events'] if e['event'] in DURABLE]
    assert [(e['id'], e['event']) for e in events] == [(i, k) for i, k, _ in whole.log]
    assert [e['data'] for e in events] == [wire.json.loads(t) for _, _, t in whole.log]


def test_batches_with_a_limit_give_the_whole_log(worker):
    worker.say('one')
    worker.say('two')
    got, cursor = [], worker.born
    for _ in range(100):
        batch = worker.batch(cursor=cursor, wait=0, limit=3)
        assert len(batch['events']) <= 3
        if not batch['events']:
            break
        got += [e['id'] for e in batch['events'] if e['event'] in DURABLE]
        cursor = batch['cursor']
    whole = View()
    whole.cursor = worker.born
    watch(worker, whole, ended(2))
    assert got == [i for i, _, _ in whole.log]


def test_a_batch_that_waits_is_answered_by_the_next_event(worker):
    cursor = worker.get()['cursor']
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        job = pool.submit(worker.batch, cursor, 20)
        worker.stop('now')
        events = job.result()['events']
    assert [e['event'] for e in events][:1] == ['worker.stopped']


def test_a_batch_without_news_is_empty_and_keeps_the_cursor(worker):
    cursor = worker.get()['cursor']
    batch = worker.batch(cursor=cursor, wait=0)
    assert batch['events'] == [] and batch['cursor'] == cursor


def union(worker, limit, wait=0):
    """All events by batches of a limit, until two in a row say nothing new."""
    got, cursor, empty = [], worker.born, 0
    for _ in range(2000):
        batch = worker.batch(cursor=cursor, wait=wait, limit=limit)
        assert len(batch['events']) <= limit and batch['end'] is None
        assert batch['cursor'] is not None
        if batch['events']:
            assert batch['cursor'] == batch['events'][-1]['id']
        empty = 0 if batch['events'] else empty + 1
        got += batch['events']
        cursor = batch['cursor']
        if empty == 2:
            return got
    raise AssertionError('batches without end')


@pytest.mark.parametrize('limit', [1, 2, 256])
def test_the_union_of_batches_is_the_log(worker, limit):
    """Also one event at a time: each has an id of its own, so each moves the cursor."""
    for text in ('one', 'two', 'three'):
        worker.say(text)
    got = union(worker, limit)
    whole = View()
    whole.cursor = worker.born
    watch(worker, whole, ended(3))
    assert [(e['id'], e['event']) for e in got if e['event'] in DURABLE] == [
        (i, k) for i, k, _ in whole.log]
    ids = [e['id'] for e in got]
    assert len(set(ids)) == len(ids), 'an event came twice'


def test_a_batch_has_all_that_there_is(new_host, tmp_path):
    """Also what is read from a file, in several pieces, up to the limit."""
    host = new_host(configs.standard(runtimes=[configs.stored(tmp_path / 'store')]))
    worker = Worker.create(host.v1)
    for i in range(100):
        worker.say(f'turn {i}')
    for _ in range(2):
        cursor, sizes = worker.born, []
        while not sizes or sizes[-1]:
            batch = worker.batch(cursor=cursor, wait=0)
            sizes.append(len(batch['events']))
            cursor = batch['cursor']
        assert cursor == worker.get()['cursor']
        assert sizes[0] == LIMIT['YOI_HTTP_BATCH_MAX'] and len(sizes) <= 4, sizes
        host.restart()
        born, worker = worker.born, Worker(host.v1, '/v1', worker.id)
        worker.born = born


def test_a_batch_without_a_cursor_begins_with_a_snapshot(worker):
    worker.say('hello')
    batch = worker.batch(wait=0)
    assert [e['event'] for e in batch['events']] == ['snapshot']
    assert worker.batch(cursor=batch['cursor'], wait=0)['events'] == []


@pytest.mark.parametrize('wait_s', [0, 0.3])
def test_a_batch_is_over_when_its_wait_is(worker, wait_s):
    begun = time.monotonic()
    batch = worker.batch(cursor=worker.get()['cursor'], wait=wait_s)
    assert batch['events'] == [] and batch['end'] is None
    assert time.monotonic() - begun >= wait_s


@pytest.mark.parametrize('limit', [1, 256])
def test_the_limit_of_a_batch_may_be_its_edges(worker, limit):
    assert worker.batch(cursor=worker.born, wait=0, limit=limit)['cursor']


def test_a_batch_ends_with_the_worker(worker):
    worker.stop('over')
    cursor = worker.get()['cursor']
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        job = pool.submit(worker.batch, cursor, 20)
        # it waits: another request of the same worker is answered meanwhile
        assert worker.get()['state'] == 'stopped'
        worker.delete()
        try:
            batch = job.result()
        except AssertionError:  # it came after the delete
            worker.client.refused('GET', worker.path, 404, 'worker_not_found')
            return
    assert batch['end'] is None or batch['end']['reason'] == 'worker_deleted'
    worker.client.refused('GET', worker.path + f'/events?wait=0&cursor={cursor}', 404,
                          'worker_not_found', headers={'Accept': 'application/json'})


def test_a_batch_of_a_foreign_cursor_is_expired(v1, worker):
    other = Worker.create(v1)
    for cursor, status, code in ((other.born, 410, 'cursor_expired'),):
        error = v1.refused('GET', f'{worker.path}/events?wait=0&cursor={cursor}', status, code,
                           headers={'Accept': 'application/json'})
        assert error['message']


def test_leaving_a_batch_that_waits_leaves_nothing(host, worker):
    target = f'{worker.path}/events?wait=30&cursor={worker.get()["cursor"]}'
    socks = []
    for _ in range(5):
        sock = wire.connect(host.address('runtime'))
        sock.sendall(wire.request_bytes('GET', target, host.v1.headers()))
        socks.append(sock)
    def waiting():
        return host.metric('yoi_http_streams', surface='runtime')
    wait.until(lambda: waiting() >= 5, what='five that wait')
    for sock in socks:
        sock.close()
    wait.until(lambda: waiting() == 0, what='they are gone')
    assert worker.say('still here')['turn']['state'] == 'completed'


@pytest.mark.parametrize('query', ['wait=x', 'limit=0', 'limit=257', 'wait=-1', 'wat=1', 'limit=x'])
def test_a_batch_is_asked_for_strictly(v1, worker, query):
    r = v1.get(f'{worker.path}/events?{query}')
    assert r.status == 400 and r.code in ('invalid_request', 'limit_too_large'), r
