"""Turns: waiting, following, busy, cancel, stop, races, limits."""
import concurrent.futures
import time

import pytest

from lib import configs, wait
from lib.tables import TURN_ENDS
from lib.worker import Worker, text_of

pytestmark = pytest.mark.tsan
USAGE = {'input_tokens', 'output_tokens', 'cached_tokens', 'reasoning_tokens'}


@pytest.fixture(scope='module')
def stalling(module_host):
    return module_host(configs.standard(model=configs.stalls()))


@pytest.fixture
def stuck(stalling):
    """A worker whose turn runs and says nothing more."""
    worker = Worker.create(stalling.v1)
    worker.ack = worker.input('go')
    wait.until(lambda: in_flight(worker), what='text in flight')
    yield worker
    worker.stop()


def in_flight(worker):
    with worker.events() as stream:
        return stream.next_event().data['in_flight']


def all_events(worker, last='turn.ended'):
    with worker.events(worker.born) as stream:
        return stream.until(last)


def check_turn(turn, state=None, reason=None):
    assert {'turn_id', 'state', 'reason', 'started_at', 'ended_at', 'duration_ms', 'steps',
            'usage'} <= set(turn), turn
    if turn['state'] != 'running':
        assert (turn['state'], turn['reason']) in TURN_ENDS, turn
        assert turn['duration_ms'] >= 0 and turn['ended_at'] >= turn['started_at']
    assert turn['usage'] is None or set(turn['usage']) == USAGE, turn
    if state:
        assert (turn['state'], turn['reason']) == (state, reason), turn


# ---- waiting and following --------------------------------------------------

def test_an_input_that_is_waited_for_answers_with_turn_and_message(worker):
    out = worker.say('hello')
    check_turn(out['turn'], 'completed', 'stop')
    assert out['turn']['steps'] == 1
    message = out['message']
    assert message['role'] == 'assistant' and message['turn_id'] == out['turn']['turn_id']
    assert text_of(message) and message in worker.transcript()['items']


def test_a_wait_that_passes_answers_202_and_the_turn_goes_on(stalling):
    worker = Worker.create(stalling.v1)
    begin = time.monotonic()
    r = stalling.v1.post(worker.path + '/input?wait=1', {'content': 'go'})
    assert r.status == 202 and r.json['ack']['state'] == 'running', r
    assert time.monotonic() - begin > 0.9
    assert worker.get()['state'] == 'running'
    worker.stop()


@pytest.mark.parametrize('value', ['x', '-1', '', '1e3', '601', '%2B1', '01'])
def test_a_wait_is_parsed_strictly(v1, worker, value):
    r = v1.post(f'{worker.path}/input?wait={value}', {'content': 'x'})
    assert r.status == 400 and r.code in ('invalid_request', 'limit_too_large'), r
    assert worker.get()['state'] == 'idle'


def test_wait_zero_does_not_wait(stalling):
    worker = Worker.create(stalling.v1)
    assert stalling.v1.post(worker.path + '/input?wait=0', {'content': 'go'}).status == 202
    worker.stop()


def test_a_followed_input_is_the_ack_then_the_turn_then_the_end(host):
    worker = Worker.create(host.v1)
    with worker.follow('hello') as stream:
        events = list(stream)
    kinds = [e.kind for e in events]
    assert kinds[0] == 'ack' and events[0].id is None
    assert set(events[0].data) == {'ack'} and events[0].data['ack']['turn_id']
    assert kinds[-1] == 'end' and events[-1].id is None and kinds.count('end') == 1
    end = events[-1].data
    assert set(end) == {'reason', 'code', 'retryable', 'cursor'} and end['reason'] == 'turn_ended'
    assert end['cursor'] == [e.id for e in events if e.id][-1]
    for kind in ('turn.started', 'message.completed', 'turn.ended'):
        assert kinds.count(kind) == 1, kinds
    assert kinds.index('turn.started') < kinds.index('message.completed') < \
        kinds.index('turn.ended') == len(kinds) - 2
    said = ''.join(e.data['text'] for e in events if e.kind == 'text.delta')
    (message,) = [e for e in events if e.kind == 'message.completed']
    assert said == text_of(message.data['item'])


def test_a_refused_follow_is_an_error_body_not_a_stream(stuck):
    with stuck.follow('again') as stream:
        assert stream.head.status == 409 and stream.head.code == 'worker_busy'


def test_leaving_a_followed_turn_does_not_end_it(new_host):
    host = new_host(configs.standard(model=configs.talks(n=30, delay_ms=10)))
    worker = Worker.create(host.v1)
    stream = worker.follow('go')
    stream.until('text.delta')
    stream.close()
    wait.until(lambda: worker.get()['state'] == 'idle', what='the end of the turn')
    check_turn(worker.get()['turn'], 'completed', 'stop')


def test_two_turns_are_two_turns(worker):
    one, two = worker.say('one'), worker.say('two')
    assert one['turn']['turn_id'] != two['turn']['turn_id']
    assert [i['role'] for i in worker.transcript()['items']] == ['user', 'assistant'] * 2


# ---- busy -------------------------------------------------------------------

def test_a_second_input_while_one_runs_is_worker_busy(stuck):
    stuck.client.refused('POST', stuck.path + '/input', 409, 'worker_busy', {'content': 'and?'})
    assert stuck.transcript()['total'] == 1, 'the refused one left nothing'


def test_of_many_inputs_at_once_one_is_accepted(stalling):
    worker = Worker.create(stalling.v1)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda n: stalling.v1.post(
            worker.path + '/input', {'content': str(n)}).status, range(16)))
    assert sorted(got) == [202] + [409] * 15
    assert worker.transcript()['total'] == 1
    worker.stop()


# ---- cancel and stop --------------------------------------------------------

def test_a_cancelled_turn_ends_as_cancelled(stuck):
    ack = stuck.cancel('enough')
    assert ack['turn_id'] == stuck.ack['turn_id']
    events = all_events(stuck)
    kinds = [e.kind for e in events]
    assert kinds.count('turn.cancel_requested') == kinds.count('turn.ended') == 1
    asked = [e for e in events if e.kind == 'turn.cancel_requested'][0].data
    assert asked['reason'] == 'enough' and asked['principal'].startswith('token:')
    check_turn(events[-1].data['turn'], 'cancelled', 'cancel_requested')
    assert stuck.get()['state'] == 'idle'


def test_after_a_cancel_nothing_of_the_turn_is_seen_any_more(new_host):
    host = new_host(configs.standard(model=configs.talks(n=2000, delay_ms=50)))
    worker = Worker.create(host.v1)
    with worker.events() as stream:
        worker.input('go')
        stream.until('text.delta')
        worker.cancel()
        tail = stream.until('turn.cancel_requested')
        rest = stream.until('turn.ended')
        assert tail and {e.kind for e in rest} <= {'message.completed', 'turn.ended'}, rest


def test_a_cancel_without_a_turn_is_acknowledged_and_changes_nothing(worker):
    before = worker.get()['cursor']
    ack = worker.cancel()
    assert 'turn_id' not in ack or ack['turn_id'] is None
    assert ack['state'] == 'idle' and worker.get()['cursor'] == before


def test_a_second_cancel_is_acknowledged_and_adds_nothing(stuck):
    stuck.cancel('first')
    stuck.cancel('second')
    events = all_events(stuck)
    assert [e.data['reason'] for e in events if e.kind == 'turn.cancel_requested'] == ['first']


def test_a_worker_takes_input_after_a_cancel(stuck):
    stuck.cancel()
    wait.until(lambda: stuck.get()['state'] == 'idle', what='the end of the cancelled turn')
    assert stuck.input('again')['state'] == 'running'


def test_a_stop_ends_turn_and_worker(stuck):
    assert stuck.stop('closing time')['state'] == 'stopped'
    events = all_events(stuck, 'worker.stopped')
    kinds = [e.kind for e in events]
    assert kinds.count('turn.ended') == kinds.count('worker.stopped') == 1
    assert kinds.index('turn.ended') < kinds.index('worker.stopped')
    assert events[-1].data['reason'] == 'closing time'
    check_turn([e for e in events if e.kind == 'turn.ended'][0].data['turn'],
               'cancelled', 'worker_stopped')


def test_stop_is_terminal_and_a_late_verb_gets_the_stored_answer(worker):
    first = worker.stop('one')
    cursor = worker.get()['cursor']
    assert worker.stop('two') == first
    assert worker.cancel()['state'] == 'stopped'
    assert worker.get()['cursor'] == cursor, 'no event was added'
    assert worker.get()['state'] == 'stopped'


@pytest.mark.parametrize('verbs', [('cancel', 'stop'), ('stop', 'cancel'), ('stop', 'stop'),
                                   ('cancel', 'cancel')])
def test_two_verbs_at_once_end_the_turn_once(stalling, verbs):
    for _ in range(5):
        worker = Worker.create(stalling.v1)
        worker.input('go')
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda v, w=worker: getattr(w, v)(), verbs))
        if 'stop' in verbs:
            kinds = [e.kind for e in all_events(worker, 'worker.stopped')]
            assert kinds.count('worker.stopped') == 1
            assert worker.get()['state'] == 'stopped'
        else:
            kinds = [e.kind for e in all_events(worker)]
        assert kinds.count('turn.ended') == 1
        worker.stop()


def test_a_cancel_that_races_with_the_end_gives_exactly_one_end(host):
    ends = set()
    for n in range(20):
        worker = Worker.create(host.v1)
        with worker.events() as stream:
            worker.input(f'race {n}')
            worker.cancel()
            events = stream.until('turn.ended')
        kinds = [e.kind for e in events]
        turn = events[-1].data['turn']
        ends.add(turn['state'])
        assert kinds.count('turn.ended') == 1
        if 'turn.cancel_requested' in kinds:
            assert turn['state'] == 'cancelled', 'cancel was first, also when the model is done'
        else:
            assert turn['state'] == 'completed'
    assert ends <= {'completed', 'cancelled'}


@pytest.mark.parametrize('verb', ['cancel', 'stop'])
@pytest.mark.parametrize('body,status', [
    (None, 202), ({}, 202), ({'reason': 'r' * 1024}, 202), ({'reason': 'r' * 1025}, 400),
    ({'wat': 1}, 400), ({'reason': 7}, 400), ({'reason': ''}, 400), ([], 400)])
def test_cancel_and_stop_take_nothing_or_a_reason(v1, worker, verb, body, status):
    r = v1.post(f'{worker.path}/{verb}', body)
    assert r.status == status, r
    if status == 400:
        assert r.code in ('invalid_request', 'invalid_json'), r
        assert worker.get()['state'] == 'idle'


def test_events_of_a_turn_come_in_order_with_rising_sequences(worker):
    worker.say('one')
    worker.say('two')
    with worker.events(worker.born) as stream:
        events = stream.until('turn.ended') + stream.until('turn.ended')
    numbers = [e.data['sequence'] for e in events]
    assert numbers == sorted(set(numbers)) == list(range(numbers[0], numbers[0] + len(numbers)))
    kinds = [e.kind for e in events]
    assert kinds == ['input.accepted', 'turn.started', 'message.completed', 'turn.ended'] * 2


# ---- tools that nobody declared, and limits ---------------------------------

def test_an_undeclared_tool_gets_an_error_result_and_the_model_goes_on(new_host):
    host = new_host(configs.standard(model=configs.asks('no_such_tool', then='done')))
    worker = Worker.create(host.v1)
    out = worker.say('go')
    check_turn(out['turn'], 'completed', 'stop')
    assert out['turn']['steps'] == 2 and text_of(out['message']) == 'done'
    events = all_events(worker)
    kinds = [e.kind for e in events]
    assert 'tool.started' not in kinds
    (asked,) = [e.data for e in events if e.kind == 'tool.requested']
    (done,) = [e.data for e in events if e.kind == 'tool.completed']
    assert asked['call']['name'] == 'no_such_tool' and done['status'] == 'error'
    assert done['call_id'] == asked['call']['id']
    items = worker.transcript()['items']
    assert [i['role'] for i in items] == ['user', 'assistant', 'tool', 'assistant']
    assert items[1]['tool_calls'][0]['id'] == items[2]['tool_call_id'] == asked['call']['id']


def test_a_model_that_never_stops_asking_meets_the_step_limit(new_host):
    host = new_host(configs.standard(model=configs.asks('no_such_tool', then=None)))
    worker = Worker.create(host.v1)
    turn = worker.say('go')['turn']
    check_turn(turn, 'failed', 'step_limit')
    items = worker.transcript(('?limit=256'))['items']
    calls = [c['id'] for i in items for c in i.get('tool_calls') or []]
    results = [i['tool_call_id'] for i in items if i['role'] == 'tool']
    assert calls == results and len(set(calls)) == len(calls), 'every call has one result'
    assert worker.get()['state'] == 'idle'


def test_a_failed_model_ends_the_turn_as_failed_and_the_worker_lives(new_host):
    host = new_host(configs.standard(model=configs.fails()))
    worker = Worker.create(host.v1)
    out = worker.say('go')
    check_turn(out['turn'], 'failed', 'model_error')
    assert out['message'] is None
    assert out['turn']['error']['code'] == 'model_error'
    assert {'kind', 'retryable'} <= set(out['turn']['error']['details'])
    assert worker.get()['state'] == 'idle'
    assert in_flight(worker) is None, 'text of an aborted turn is gone'


# ---- deadlines --------------------------------------------------------------

@pytest.mark.parametrize('value', ['0', '-1', 'x', '', '1e9', '%2B1'])
def test_a_timeout_is_parsed_strictly(v1, value):
    r = v1.get(f'/v1/runtime?timeout={value}')
    assert r.status in (400, 200) and (r.status == 400 or value == '0'), r
    r = v1.get('/v1/runtime', headers={'Yoi-Timeout-Ms': 'soon'})
    assert r.status == 400 and r.code == 'invalid_request', r


def test_a_deadline_of_the_caller_is_no_limit_of_the_turn(host):
    worker = Worker.create(host.v1)
    with worker.follow('go', headers={'Yoi-Timeout-Ms': '60000'}) as stream:
        assert [e.kind for e in stream][-2] == 'turn.ended'
