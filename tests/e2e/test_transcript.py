"""The transcript: a bounded view of the history."""
import re

import pytest

from lib import configs
from lib.worker import Worker, text_of


@pytest.fixture(scope='module')
def long_worker(host):
    worker = Worker.create(host.v1)
    for n in range(6):
        worker.say(f'input {n}')
    return worker


def test_items_have_the_documented_members_and_the_order_of_the_history(long_worker):
    t = long_worker.transcript()
    assert set(t) == {'start', 'limit', 'total', 'next_start', 'items'}
    assert (t['start'], t['total'], t['next_start']) == (0, 12, None)
    assert [i['sequence'] for i in t['items']] == sorted({i['sequence'] for i in t['items']})
    for item in t['items']:
        assert {'sequence', 'turn_id', 'role', 'content', 'created_at'} <= set(item)
        assert re.match(r'^\d{4}-.*\.\d{3}Z$', item['created_at'])
    assert [text_of(i) for i in t['items'] if i['role'] == 'user'] == \
        [f'input {n}' for n in range(6)]
    assert all(i['step'] >= 1 for i in t['items'] if i['role'] == 'assistant')


@pytest.mark.parametrize('limit', [1, 5, 7, 12, 13, 256])
def test_pages_give_the_whole(long_worker, limit):
    got, start = [], 0
    for _ in range(20):
        page = long_worker.transcript(f'?start={start}&limit={limit}')
        assert page['start'] == start and page['limit'] == limit and len(page['items']) <= limit
        got += page['items']
        if page['next_start'] is None:
            break
        assert page['next_start'] == start + len(page['items'])
        start = page['next_start']
    assert got == long_worker.transcript()['items']


def test_a_start_behind_the_end_is_an_empty_page(long_worker):
    page = long_worker.transcript('?start=1000')
    assert page['items'] == [] and page['next_start'] is None and page['total'] == 12


@pytest.mark.parametrize('query,code', [
    ('limit=257', 'limit_too_large'), ('limit=0', 'invalid_request'),
    ('start=-1', 'invalid_request'), ('start=x', 'invalid_request'),
    ('start=9007199254740992', None), ('wat=1', 'invalid_request'),
    ('start=%201', 'invalid_request')])
def test_the_query_is_parsed_strictly(v1, long_worker, query, code):
    r = v1.get(f'{long_worker.path}/transcript?{query}')
    assert r.status == 400, r
    assert code is None or r.code == code, r


def test_the_runtime_may_lower_the_page(new_host):
    host = new_host(configs.standard(runtimes=[
        configs.embedded('main', config={'limits': {'transcript_items': 2}})]))
    worker = Worker.create(host.v1)
    worker.say('one')
    worker.say('two')
    page = worker.transcript()
    assert page['limit'] == 2 and len(page['items']) == 2 and page['next_start'] == 2


def test_a_running_turn_shows_its_input_and_no_half_message(new_host):
    host = new_host(configs.standard(model=configs.stalls()))
    worker = Worker.create(host.v1)
    with worker.follow('go') as stream:
        stream.until('text.delta')
        assert [i['role'] for i in worker.transcript()['items']] == ['user']
        worker.stop()


def test_a_stopped_worker_can_still_be_read(v1, worker):
    worker.say('hello')
    worker.stop()
    assert worker.transcript()['total'] == 2
