"""A model whose calls block: nothing else of the host waits for it.

The plugin tests/plugins/serial takes its orders from the input. A call that
hangs there never comes back; the process ends all the same. What holds for it
in the host and in a process of its own is tried in both, and where it does not
matter, with serial-plain too, which is told of a cancel between two calls only.
"""
import re

import pytest

from lib import configs, rogue, wait
from lib.worker import Worker, text_of

pytestmark = pytest.mark.tsan

CANCEL, PLAIN = 'dev.yoi.test.serial', 'dev.yoi.test.serial-plain'
SERIAL = {'name': 'main', 'plugin': CANCEL}
DIED = 'a worker process ended'
LONG = 'slow 20000 20'  # far more than any bound here


@pytest.fixture
def served(new_host):
    return new_host(configs.standard(model=SERIAL))


@pytest.fixture(name='host_of', params=['here', 'apart'])
def a_host_of_that_model(request, new_host):
    """host_of(plugin): in the host, and in a process of its own."""
    apart = request.param == 'apart'
    return lambda plugin=CANCEL: new_host(configs.standard(
        model={'name': 'main', 'plugin': plugin},
        plugins=[rogue.isolated(plugin)] if apart else []))


def written_off(host):
    return host.entries(msg='call written off, it did not come back in time')


def turn_of(worker):
    return worker.get()['turn']


def hangs(host, order='hang'):
    """A worker whose turn has a call that is inside the plugin for ever."""
    before = len(host.entries(msg='hanging'))
    worker = Worker.create(host.v1)
    worker.input(order)
    wait.until(lambda: len(host.entries(msg='hanging')) > before, 20, 'the call to begin')
    return worker


def hang(host, order='hang'):
    """A turn whose call hangs; cancelled, and written off after the grace."""
    before = len(written_off(host))
    worker = hangs(host, order)
    worker.cancel()
    wait.until(lambda: turn_of(worker)['state'] == 'cancelled', what='the cancel')
    wait.until(lambda: len(written_off(host)) > before, 20, 'the call to be written off')
    return worker


@pytest.mark.parametrize('plugin', [CANCEL, PLAIN])
def test_a_conversation(host_of, plugin):
    worker = Worker.create(host_of(plugin).v1)
    for text in ('hello', 'block 50', 'slow 3 5'):
        out = worker.say(text)
        assert out['turn']['state'] == 'completed', out
        assert text_of(out['message']) == text * (3 if text.startswith('slow') else 1)
    out = worker.say('fail')
    assert out['turn']['state'] == 'failed' and out['message'] is None
    assert out['turn']['error']['details']['kind'] == 'quota', out
    assert text_of(worker.say('again')['message']) == 'again'


@pytest.mark.parametrize('plugin', [CANCEL, PLAIN])
def test_workers_take_turns_on_one_instance(host_of, plugin):
    served = host_of(plugin)
    workers = [Worker.create(served.v1) for _ in range(8)]
    for w in workers:
        w.input('slow 5 2')  # the plugin ends the process if two calls meet in it
    for w in workers:
        wait.until(lambda w=w: turn_of(w)['state'] == 'completed', 20, 'the turn')


def test_a_piece_is_told_before_the_next_one_is_there(host_of):
    host = host_of()
    worker = Worker.create(host.v1)
    with worker.follow('hold') as stream:
        stream.until('text.delta')
        worker.cancel()
        seen = stream.until('end')
    assert [e.data['turn']['state'] for e in seen if e.kind == 'turn.ended'] == ['cancelled']
    assert text_of(worker.say('hello')['message']) == 'hello'
    assert not host.entries(msg=DIED)


@pytest.mark.parametrize('plugin', [CANCEL, PLAIN])
def test_a_long_answer_lets_others_have_their_turn(host_of, plugin):
    host = host_of(plugin)
    long, other = Worker.create(host.v1), Worker.create(host.v1)
    with long.follow(LONG) as stream:
        stream.until('text.delta')
        assert text_of(other.say('hello')['message']) == 'hello'
        assert turn_of(long)['state'] == 'running'
        long.cancel()
        stream.until('end')
    assert turn_of(long)['state'] == 'cancelled'


@pytest.mark.parametrize('plugin', [CANCEL, PLAIN])
def test_a_cancel_comes_between_two_pieces(host_of, plugin):
    host = host_of(plugin)
    workers = [Worker.create(host.v1) for _ in range(4)]
    assert text_of(workers[0].say('hello')['message']) == 'hello'  # its process is there
    before = rogue.children(host.pid)
    for w in workers:
        w.input(LONG)
    for w in workers:
        wait.until(lambda w=w: turn_of(w)['state'] == 'running', what='the turn')
    for w in workers:
        w.cancel()
    for w in workers:
        wait.until(lambda w=w: turn_of(w)['state'] == 'cancelled', what='the cancel')
    assert text_of(workers[0].say('hello')['message']) == 'hello'
    assert rogue.children(host.pid) == before
    assert not host.entries(msg=DIED) and not written_off(host)


def test_what_blocks_holds_up_nobody(host_of):
    served = host_of()
    slow, other = Worker.create(served.v1), Worker.create(served.v1)
    slow.input('block 60000')
    wait.until(lambda: turn_of(slow)['state'] == 'running', what='the turn')
    assert other.get()['state'] == 'idle'
    assert served.api.get('/readyz').status == 200
    assert served.v1.ok('GET', '/v1/runtime')['runtime']['status'] == 'ready'
    slow.cancel()  # the plugin says that its cancel may come beside a call
    wait.until(lambda: turn_of(slow)['state'] == 'cancelled', what='the cancel')
    assert text_of(other.say('hello')['message']) == 'hello'
    assert not written_off(served) and not served.entries(msg=DIED)


def test_a_call_that_hangs_is_written_off(served):
    worker = hang(served)
    assert text_of(worker.say('and now')['message']) == 'and now'
    (entry,) = written_off(served)
    assert (entry['plugin'], entry['name']) == ('dev.yoi.test.serial', 'main')
    served.stop()  # exit code 0
    assert served.entries(msg='cannot close, calls are still inside', name='main')


def test_a_start_that_hangs_is_written_off(served):
    worker = hang(served, 'hang start')
    assert text_of(worker.say('and now')['message']) == 'and now'


def test_the_host_ends_while_a_call_hangs(served):
    hangs(served)
    served.stop()  # drains, cancels, and exits with 0


def test_a_call_asks_the_host_while_that_ends(host_of):
    host = host_of()
    worker = Worker.create(host.v1)
    worker.input('asks 500')
    wait.until(lambda: turn_of(worker)['state'] == 'running', what='the turn')
    host.stop()  # drains for DRAIN_MS, cancels, and closes what is released
    assert not host.entries(reason='the plugin did not close in time')


def test_eight_that_hang_and_the_ninth_is_refused(new_host):
    host = new_host(configs.standard(model=SERIAL))
    for _ in range(8):
        hang(host)
    threads = threads_of(host)
    worker = Worker.create(host.v1)
    for _ in range(2):
        out = worker.say('hello')
        assert out['turn']['state'] == 'failed', out
        details = out['turn']['error']['details']
        assert (details['kind'], details['retryable']) == ('overloaded', True)
    assert host.api.get('/readyz').status == 200
    assert threads_of(host) == threads
    refused = wait.until(
        lambda: host.entries(msg='plugin refused, too many of its calls did not come back'),
        what='the line about it')
    assert len(refused) == 1 and refused[0]['level'] == 'error'


def threads_of(host):
    status = open(f'/proc/{host.pid}/status', encoding='ascii').read()
    return int(re.search(r'^Threads:\s+(\d+)', status, re.M).group(1))


def memory_of(host):
    status = open(f'/proc/{host.pid}/status', encoding='ascii').read()
    return int(re.search(r'^VmRSS:\s+(\d+)', status, re.M).group(1))


def test_an_endless_answer_is_bounded(host_of):
    served = host_of()
    worker = Worker.create(served.v1)
    before = memory_of(served)
    worker.input('endless')  # nobody watches; the engine's limit ends it
    wait.until(lambda: worker.get()['state'] == 'idle', 30, what='the end of the turn')
    turn = worker.get()['turn']
    assert turn['state'] == 'failed', turn
    assert turn['error']['details']['kind'] == 'too_large'
    assert text_of(worker.say('hello')['message']) == 'hello'
    assert memory_of(served) - before < 65536 * wait.SLOW  # KiB
