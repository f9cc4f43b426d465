"""Idempotency keys: one key, one effect, the same answer."""
import concurrent.futures

import pytest

from lib import configs
from lib.worker import Worker, fresh


def key(name):
    return {'Idempotency-Key': name}


@pytest.fixture(scope='module')
def stalling(module_host):
    return module_host(configs.standard(model=configs.stalls()))


def test_a_create_with_a_key_is_made_once(v1):
    k = key(fresh('key'))
    first = v1.post('/v1/workers', {'display_name': 'x'}, headers=k)
    again = v1.post('/v1/workers', {'display_name': 'x'}, headers=k)
    assert (first.status, again.status) == (201, 200)
    assert first.json == again.json


def test_another_body_under_a_used_key_is_a_conflict(v1):
    k = key(fresh('key'))
    assert v1.post('/v1/workers', {'display_name': 'x'}, headers=k).status == 201
    v1.refused('POST', '/v1/workers', 409, 'idempotency_conflict', {'display_name': 'y'}, headers=k)


def test_an_input_with_a_key_is_accepted_once(v1, worker):
    k = key(fresh('key'))
    first = v1.ok('POST', worker.path + '/input', {'content': 'hi'}, status=202, headers=k)['ack']
    again = v1.post(worker.path + '/input', {'content': 'hi'}, headers=k)
    assert again.status == 202, again
    for name in ('turn_id', 'sequence', 'cursor'):
        assert again.json['ack'][name] == first[name]
    assert len([i for i in worker.transcript()['items'] if i['role'] == 'user']) == 1
    v1.refused('POST', worker.path + '/input', 409, 'idempotency_conflict', {'content': 'ho'},
               headers=k)


def test_a_replay_is_answered_while_the_turn_runs_and_after_a_stop(stalling):
    worker, k = Worker.create(stalling.v1), key(fresh('key'))
    first = worker.input('go', headers=k)
    assert worker.input('go', headers=k)['turn_id'] == first['turn_id'], 'not worker_busy'
    worker.stop()
    assert worker.input('go', headers=k)['turn_id'] == first['turn_id'], 'not worker_stopped'
    stalling.v1.refused('POST', worker.path + '/input', 409, 'idempotency_conflict',
                        {'content': 'else'}, headers=k)


def test_a_replay_with_follow_gives_the_turn_from_the_history(v1, worker):
    k = key(fresh('key'))
    with worker.follow('hi', headers=k) as stream:
        first = list(stream)
    with worker.follow('hi', headers=k) as stream:
        again = list(stream)
    assert again[0].kind == 'ack' and again[0].data['ack']['turn_id'] == \
        first[0].data['ack']['turn_id']
    durable = [(e.kind, e.id, e.text) for e in first if e.kind in (
        'turn.started', 'message.completed', 'turn.ended')]
    assert [(e.kind, e.id, e.text) for e in again if e.kind in (
        'turn.started', 'message.completed', 'turn.ended')] == durable
    assert again[-1].kind == 'end' and again[-1].data['reason'] == 'turn_ended'


def test_a_replay_with_wait_gives_the_same_turn(v1, worker):
    k = key(fresh('key'))
    one = v1.ok('POST', worker.path + '/input?wait=20', {'content': 'hi'}, status=200, headers=k)
    two = v1.ok('POST', worker.path + '/input?wait=20', {'content': 'hi'}, status=200, headers=k)
    assert one == two


def test_keys_may_be_quoted(v1, worker):
    name = fresh('key')
    one = worker.input('hi', headers=key(name))
    two = v1.post(worker.path + '/input', {'content': 'hi'}, headers=key(f'"{name}"'))
    assert two.status == 202 and two.json['ack']['turn_id'] == one['turn_id'], two


@pytest.mark.parametrize('name', ['', '"', '""', 'a b', 'x' * 256, '"a', 'a\u00e4'])
def test_a_key_of_another_shape_is_invalid(v1, worker, name):
    r = v1.post(worker.path + '/input', {'content': 'hi'}, headers=key(name))
    assert r.status == 400 and r.code == 'invalid_request', r


def test_a_key_belongs_to_worker_and_operation(v1):
    k = key(fresh('key'))
    a, b = Worker.create(v1), Worker.create(v1)
    assert a.input('hi', headers=k)['turn_id'] != b.input('hi', headers=k)['turn_id']
    assert v1.post('/v1/workers', {}, headers=k).status == 201


def test_a_key_belongs_to_its_principal(host):
    worker, k = Worker.create(host.v1), key(fresh('key'))
    one = host.v1.ok('POST', worker.path + '/input?wait=20', {'content': 'hi'}, headers=k)
    mine = Worker(host.api, '/api/runtimes/main', worker.id)
    two = host.api.ok('POST', mine.path + '/input?wait=20', {'content': 'hi'}, headers=k)
    assert one['turn']['turn_id'] != two['turn']['turn_id']


def test_fields_that_are_spelled_out_are_the_same_request(v1, worker):
    k = key(fresh('key'))
    one = v1.ok('POST', worker.path + '/input', {'content': 'hi'}, headers=k)['ack']
    two = v1.ok('POST', worker.path + '/input', {'kind': 'user', 'content': 'hi'}, headers=k)['ack']
    assert one['turn_id'] == two['turn_id']


def test_many_repetitions_at_once_are_one_effect(stalling):
    worker, k = Worker.create(stalling.v1), key(fresh('key'))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        acks = list(pool.map(lambda _: worker.input('go', headers=k), range(16)))
    assert len({a['turn_id'] for a in acks}) == 1 and worker.transcript()['total'] == 1
    worker.stop()


def test_the_last_64_inputs_keep_their_keys(v1, worker):
    name = fresh('key')
    turns = []
    for n in range(64):
        turns.append(v1.ok('POST', worker.path + '/input?wait=20', {'content': str(n)},
                           headers=key(f'{name}-{n}'))['turn']['turn_id'])
    for n in (0, 31, 63):
        again = v1.ok('POST', worker.path + '/input?wait=20', {'content': str(n)},
                      headers=key(f'{name}-{n}'))
        assert again['turn']['turn_id'] == turns[n]
    assert len(set(turns)) == 64


def test_two_keys_in_one_request_are_refused(v1, worker):
    body = b'{"content":"hi"}'
    from lib import wire
    fields = v1.headers({'Idempotency-Key': 'a'}, body) + [('Idempotency-Key', 'b')]
    r = wire.exchange(v1.address, wire.request_bytes('POST', worker.path + '/input', fields, body))
    assert r.status == 400 and r.code == 'invalid_request', r
