"""Inputs: content, kinds, sizes, who may say what."""
import pytest

from lib import configs
from lib.tables import LIMIT
from lib.worker import Worker, text_of


def items(worker):
    return worker.transcript()['items']


def test_content_is_a_string_or_text_parts(worker):
    worker.say('plain')
    worker.say([{'type': 'text', 'text': 'two '}, {'type': 'text', 'text': 'parts'}])
    users = [i for i in items(worker) if i['role'] == 'user']
    assert users[0]['content'] == [{'type': 'text', 'text': 'plain'}]
    assert text_of(users[1]) == 'two parts'


@pytest.mark.parametrize('text', [
    '\u00e4\u2603\U0001f600', 'a\tb\nc', '"\\/', '\u2028', ' x ', '\x7f'])
def test_text_comes_back_as_it_was_sent(worker, text):
    worker.say(text)
    assert text_of([i for i in items(worker) if i['role'] == 'user'][0]) == text


@pytest.mark.parametrize('body', [
    {}, {'content': ''}, {'content': []}, {'content': 7}, {'content': None}, {'content': {}},
    {'content': [{'type': 'image', 'url': 'x'}]}, {'content': [{'type': 'text'}]},
    {'content': [{'type': 'text', 'text': ''}]}, {'content': ['x']},
    {'content': [{'type': 'text', 'text': 'x', 'more': 1}]},
    {'content': 'x', 'kind': 'assistant'}, {'content': 'x', 'kind': 'tool'},
    {'content': 'x', 'wat': 1}, {'content': 'x', 'on_busy': 'wat'}, {'text': 'x'}])
def test_an_input_of_another_shape_is_refused(v1, worker, body):
    r = v1.post(worker.path + '/input', body)
    assert r.status == 400 and r.code == 'invalid_request', r
    assert worker.get()['state'] == 'idle' and not items(worker)


@pytest.mark.parametrize('how', ['queue', 'interrupt'])
def test_system_text_waits_for_nothing(v1, worker, how):
    v1.refused('POST', worker.path + '/input', 400, 'invalid_request',
               {'content': 'x', 'kind': 'system', 'on_busy': how})
    assert not items(worker)


def test_system_text_is_recorded_and_starts_no_turn(v1, worker):
    ack = v1.ok('POST', worker.path + '/input', {'content': 'be brief', 'kind': 'system'},
                status=202)['ack']
    assert 'turn_id' not in ack and ack['state'] == 'idle'
    (item,) = items(worker)
    assert item['role'] == 'system' and text_of(item) == 'be brief'
    assert worker.get()['state'] == 'idle' and not worker.get().get('turn')


def test_system_text_on_a_running_worker_is_busy(new_host):
    host = new_host(configs.standard(model=configs.stalls()))
    worker = Worker.create(host.v1)
    worker.input('go')
    host.v1.refused('POST', worker.path + '/input', 409, 'worker_busy',
                    {'content': 'x', 'kind': 'system'})
    worker.stop()


def test_an_input_over_its_limit_is_payload_too_large(new_host):
    host = new_host(configs.standard(runtimes=[
        configs.embedded('main', config={'limits': {'input_bytes': 1000}})]))
    worker = Worker.create(host.v1)
    assert worker.say('x' * 1000)['turn']['state'] == 'completed'
    host.v1.refused('POST', worker.path + '/input', 413, 'payload_too_large',
                    {'content': 'x' * 1001})
    limits = host.v1.ok('GET', '/v1/runtime')['runtime']['limits']
    assert limits['input_bytes'] == 1000


def test_the_largest_input_works(v1, worker):
    big = 'y' * (LIMIT['YOI_INPUT_BYTES_MAX'] - 2)
    r = v1.post(worker.path + '/input', {'content': big})
    assert r.status == 202, r
    v1.refused('POST', Worker.create(v1).path + '/input', 413, 'payload_too_large',
               {'content': 'y' * (LIMIT['YOI_INPUT_BYTES_MAX'] + 1)})


def test_a_history_over_its_limit_refuses_input_but_can_be_read(new_host):
    host = new_host(configs.standard(runtimes=[
        configs.embedded('main', config={'limits': {'history_bytes': 65536}})]))
    worker = Worker.create(host.v1)
    for _ in range(100):
        r = host.v1.post(worker.path + '/input?wait=20', {'content': 'z' * 4000})
        if r.status != 200 or r.json['turn']['state'] != 'completed':
            break
    else:
        raise AssertionError('65536 bytes of history took 400000 of input')
    if r.status != 200:
        assert r.code in ('limit_reached', 'payload_too_large', 'store_error'), r
    else:
        assert r.json['turn']['reason'] == 'store_error', r
    assert worker.transcript()['total'] > 3
    assert worker.stop()['state'] == 'stopped'


def test_input_to_a_stopped_worker_is_worker_stopped(v1, worker):
    worker.stop()
    v1.refused('POST', worker.path + '/input', 409, 'worker_stopped', {'content': 'x'})
    v1.refused('POST', worker.path + '/input', 409, 'worker_stopped',
               {'content': 'x', 'kind': 'system'})


def test_the_principal_of_each_surface_stands_in_the_record(host):
    one = Worker.create(host.v1)
    one.say('from a host')
    Worker(host.api, '/api/runtimes/main', one.id).say('from a person')
    with one.events(one.born) as stream:
        seen = stream.until('turn.ended') + stream.until('turn.ended')
    who = [e.data['principal'] for e in seen if e.kind == 'input.accepted']
    assert who[0].startswith('token:') and who[1] == 'surface:browser', who
