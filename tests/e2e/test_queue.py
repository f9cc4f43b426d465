"""Inputs that wait for their turn, and inputs that interrupt one."""
import pytest

from lib import configs
from lib.worker import Worker, fresh

HOLDS = {'match': 'hold', 'steps': [{'say': 'holding '}, {'stall': True}]}


@pytest.fixture(scope='module')
def host(module_host):
    """A model that stalls when it is asked to hold, and else repeats what it hears."""
    return module_host(configs.standard(
        model=configs.script(answers=[HOLDS], steps=configs.ECHO),
        runtimes=[configs.embedded('main', config={'limits': {'queued_inputs': 3}})]))


@pytest.fixture
def busy(host):
    worker = Worker.create(host.v1)
    worker.held = worker.input('hold')['turn_id']
    yield worker
    worker.stop()


def turns(worker):
    """(turn_id, started, turn) of all that ended, from the history, in the order of their ends."""
    started, out = set(), []
    with worker.events(cursor=worker.born) as stream:
        while True:
            event = stream.next_event()
            if event.kind == 'turn.started':
                started.add(event.data['turn_id'])
            if event.kind == 'turn.ended':
                turn = event.data['turn']
                out.append((turn['turn_id'], turn['turn_id'] in started, turn))
            if event.kind == 'worker.stopped':
                return out


def test_queued_inputs_run_one_after_the_other(host, busy):
    first = busy.input('one', on_busy='queue')
    second = busy.input('two', on_busy='queue')
    assert first['state'] == 'running' and first['turn_id'] != busy.held
    shown = busy.get()
    assert shown['queued'] == 2 and shown['turn']['turn_id'] == busy.held
    with busy.follow('three', on_busy='queue') as stream:
        ack = stream.next_event()
        assert ack.kind == 'ack'
        busy.cancel()
        events = list(stream)
    mine = ack.data['ack']['turn_id']
    assert {e.data['turn_id'] for e in events if 'turn_id' in e.data} == {mine}
    assert [e.kind for e in events][0] == 'turn.started' and events[-1].kind == 'end'
    assert events[-1].data['reason'] == 'turn_ended'
    shown = busy.get()
    assert 'queued' not in shown and shown['state'] == 'idle'
    busy.stop()
    ended = turns(busy)
    assert [t[0] for t in ended] == [busy.held, first['turn_id'], second['turn_id'], mine]
    assert [t[2]['state'] for t in ended] == ['cancelled'] + 3 * ['completed']


def test_a_full_queue_says_when_to_come_again(host, busy):
    for n in range(3):
        busy.input(f'n{n}', on_busy='queue')
    r = host.v1.post(busy.path + '/input', {'content': 'x', 'on_busy': 'queue'})
    assert (r.status, r.code) == (429, 'queue_full'), r
    assert int(r.header('retry-after')) == 5
    host.v1.refused('POST', busy.path + '/input', 409, 'worker_busy', {'content': 'x'})
    limits = host.v1.ok('GET', '/v1/runtime')['runtime']['limits']
    assert limits['queued_inputs'] == 3


def test_an_interrupt_ends_the_turn_and_is_the_next(host, busy):
    waits = busy.input('later', on_busy='queue')
    out = busy.say('now', on_busy='interrupt')
    assert out['turn']['state'] == 'completed'
    assert 'now' in out['message']['content'][0]['text']
    busy.say('done?', on_busy='queue')
    busy.stop()
    ended = turns(busy)
    assert [t[0] for t in ended][:3] == [busy.held, out['turn']['turn_id'], waits['turn_id']]
    assert ended[0][2]['reason'] == 'cancel_requested'


def test_a_stop_ends_what_waits(host, busy):
    queued = [busy.input('x', on_busy='queue')['turn_id'] for _ in range(2)]
    ack = busy.stop()
    assert ack['turn_id'] == busy.held
    ended = turns(busy)
    assert [(t[0], t[1]) for t in ended] == [(busy.held, True)] + [(q, False) for q in queued]
    assert {t[2]['reason'] for t in ended} == {'worker_stopped'}
    assert [t[2]['started_at'] for t in ended[1:]] == [None, None]


def test_a_queued_input_is_replayed_by_its_key(host, busy):
    key = {'Idempotency-Key': fresh('key')}
    first = busy.input('x', on_busy='queue', headers=key)
    assert busy.input('x', on_busy='queue', headers=key) == first
    host.v1.refused('POST', busy.path + '/input', 409, 'idempotency_conflict',
                    {'content': 'x', 'on_busy': 'interrupt'}, headers=key)
    assert busy.get()['queued'] == 1


def test_a_shutdown_ends_what_waits(new_host):
    """Each gets its end before the host is gone, and its follower hears of it."""
    host = new_host(configs.standard(model=configs.stalls()))
    worker = Worker.create(host.v1)
    worker.input('go')
    with worker.follow('x', on_busy='queue') as stream:
        assert stream.next_event().kind == 'ack'
        host.stop()
        events = list(stream)
    assert [e.kind for e in events] == ['turn.ended', 'end'], events
    assert events[0].data['turn']['reason'] == 'shutting_down'
