"""Many watch one worker of another host, over one stream from there.

What far is asked is counted by its own log: one stream for whoever watches, and
a batch only for who comes with a cursor that near does not have any more. The
crowd is a program in C (lib/load.py).
"""
import pathlib
import re

import pytest

from lib import configs, remote, wait
from lib.load import Watchers
from lib.tables import HARD
from lib.watch import View
from lib.worker import Worker

# A watcher of a remote: what any watcher takes, and its place on the shared one.
WATCHER_BYTES = 12288
PACE_MS = 2
# Its buffer holds less than a turn: watchers fall behind and read on, without deltas.
buffered = pytest.mark.skipif(HARD, reason='a hard build keeps no turn in the buffer')


def resident(pid):
    return int(re.search(r'VmRSS:\s+(\d+)', pathlib.Path(f'/proc/{pid}/status').read_text())
               .group(1)) * 1024


def asked(pair, worker):
    """Requests for the worker's events that far has answered to their end."""
    return len(pair.far.entries(msg='request', path=f'/v1/workers/{worker.id}/events'))


def streams(pair):
    return pair.far.metric('yoi_http_streams', surface='runtime')


def crowd_of(pair, tmp_path, n, chunks):
    worker = Worker.create(pair.api, '/api/runtimes/main')
    before = resident(pair.near.pid)
    crowd = Watchers(tmp_path / 'load', pair.near.address('browser'), worker.path + '/events', n)
    try:
        crowd.start()
        watched = resident(pair.near.pid)
        wait.until(lambda: (streams(pair), pair.near.metric('yoi_remote_upstreams')) == (1, 1),
                   what='one stream for all')
        assert asked(pair, worker) <= n, 'at most one batch each, to find its place'
        worker.input(f'mode=text chunks={chunks} stamp=1 delay={PACE_MS}')
        seen = crowd.result(300)
        assert (seen['watchers'], seen['texts'], seen['errors']) == (n, 1, 0), seen
        assert crowd.rest()['stalled'] == 0
    finally:
        crowd.kill()
    per = (watched - before) / n
    print(f'{n} watchers of a remote: {per:.0f} bytes each')
    assert wait.SLOW > 1 or per < WATCHER_BYTES, f'{per:.0f} bytes of a watcher'
    wait.until(lambda: streams(pair) == 0, what='the end of the one stream')


@pytest.fixture
def pair(new_host, provider):
    return remote.Pair(new_host, model=configs.openai(provider().port), near={'loops': 2})


@buffered
def test_a_thousand_watchers_of_a_remote_over_one_stream(pair, tmp_path):
    crowd_of(pair, tmp_path, 1000, 200)


@buffered
@pytest.mark.soak
def test_ten_thousand_watchers_of_a_remote_over_one_stream(pair, tmp_path):
    crowd_of(pair, tmp_path, 10000, 1000)


@buffered
def test_who_comes_back_with_a_cursor_of_the_buffer_asks_for_nothing(new_host):
    pair = remote.Pair(new_host)
    worker = Worker.create(pair.v1)
    with worker.events() as first:
        first.until('snapshot')
        for i in range(4):
            worker.say(f'turn {i}')
        log = []
        for _ in range(4):
            log += [e for e in first.until('turn.ended')]
        for at, event in enumerate(log):
            with worker.events(event.id) as again:
                if at + 1 < len(log):
                    assert again.next_event().text == log[at + 1].text
        wait.until(lambda: streams(pair) == 1, what='one stream for all')
        assert asked(pair, worker) == 0


def test_the_slowest_goes_on_when_the_quickest_has_left(new_host):
    """It fell out of the buffer, and nobody else is there for whom the stream from
    far, which waits, would be read on."""
    patient = configs.ingress(configs.RUNTIME, write_ms=600000)  # however slow the machine is
    pair = remote.Pair(new_host, near={'ingresses': [configs.BROWSER, patient]})
    worker, view, turns = Worker.create(pair.v1), View(), 0

    def say(times):
        nonlocal turns
        for _ in range(times):
            worker.say('x' * 30000)
        turns += times
    with worker.events() as slow:
        with worker.events() as quick:
            quick.until('snapshot')
            for _ in range(10):
                say(1)
                quick.until('turn.ended')
        wait.until(lambda: pair.near.metric('yoi_http_streams', surface='runtime') == 1,
                   what='the end of the quick one')
        say(8)
        for event in slow:
            view.take(event)
            if view.kinds.count('turn.ended') == turns:
                break
        say(1)
        slow.until('turn.ended')
    assert worker.get()['state'] == 'idle'


def test_old_cursors_are_read_in_batches_and_join_one_stream(new_host):
    """They are from before near was started again: its buffer has nothing of it."""
    pair = remote.Pair(new_host)
    worker = Worker.create(pair.v1)
    for i in range(40):
        worker.say(f'turn {i}')
    pair.near.restart()
    again, views = Worker(pair.v1, '/v1', worker.id), [View() for _ in range(20)]
    open_ones = [again.events(worker.born) for _ in views]
    wait.until(lambda: streams(pair) == 1, what='the shared stream')
    again.say('the last one')
    for view, stream in zip(views, open_ones):
        for event in stream:
            view.take(event)
            if view.kinds.count('turn.ended') == 41:
                break
        stream.close()
    assert all(v.log == views[0].log for v in views) and len(views[0].log) > 100
    assert HARD or asked(pair, worker) <= 20 * 3, 'two batches each, and one to find its place'
