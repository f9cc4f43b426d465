"""A host that is killed and started again over a durable runtime."""
import signal

import pytest

from lib import configs, wait
from lib.worker import Worker, fresh

HOLDS = {'match': 'hold', 'steps': [{'say': 'holding '}, {'stall': True}]}


@pytest.fixture
def host(new_host):
    return new_host(configs.standard(
        model=configs.script(answers=[HOLDS], steps=configs.ECHO),
        runtimes=[{'id': 'main', 'plugin': 'dev.yoi.fs-store',
                   'config': {'root': 'state', 'limits': {'loaded_workers': 2}}}]))


def kill_and_start(host):
    """kill -9, as a crash is; the next process finds what was acknowledged."""
    host.signal(signal.SIGKILL)
    host.wait_exit()
    host.proc, host.addresses, host.signalled = None, {}, False
    host.start()


def again(host, worker):
    return Worker(host.v1, '/v1', worker.id)


def idle(worker):
    wait.until(lambda: worker.get()['state'] == 'idle', what='an idle worker')
    return worker.get()


def test_an_idle_worker_answers_as_before(host):
    worker = Worker.create(host.v1, display_name='Ada')
    worker.say('hello')
    before, items = worker.get(), worker.transcript()
    kill_and_start(host)
    assert again(host, worker).get() == before
    assert again(host, worker).transcript() == items
    assert again(host, worker).say('and again')['turn']['state'] == 'completed'


def test_a_turn_that_ran_is_interrupted_and_what_waited_begins(host):
    worker = Worker.create(host.v1)
    with worker.follow('hold') as stream:
        held = stream.until('text.delta')[0].data['ack']['turn_id']
    queued = worker.input('later', on_busy='queue')['turn_id']
    kill_and_start(host)
    turn = idle(again(host, worker))['turn']
    assert (turn['turn_id'], turn['state']) == (queued, 'completed')
    ended = []
    with again(host, worker).events(cursor=worker.born) as stream:
        while len(ended) < 2:
            event = stream.next_event()
            if event.kind == 'turn.ended':
                ended.append(event.data['turn'])
    assert [(t['turn_id'], t['state'], t['reason']) for t in ended] == [
        (held, 'interrupted', 'host_restarted'), (queued, 'completed', 'stop')]


def test_more_workers_than_are_kept_in_memory(host):
    workers = [Worker.create(host.v1, wid=fresh()) for _ in range(6)]
    for n, worker in enumerate(workers):
        worker.say(f'this is {n}')
    for n, worker in enumerate(workers):
        assert f'this is {n}' in str(worker.transcript())
    assert host.metric('yoi_workers') == 6
    # One goes to sleep behind the answer to whoever used it, or at the next use.
    wait.until(lambda: workers[0].get() and host.metric('yoi_workers_awake') <= 2,
               what='all but two asleep')
    assert host.metric('yoi_worker_loads_total') >= 4
