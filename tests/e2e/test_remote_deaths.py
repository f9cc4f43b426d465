"""A host that dies again and again, and one that reaches its workers.

While watchers watch, callers create, speak and follow turns, the far host is
killed at moments of a seeded dice and started again on its store. Nothing that
was acknowledged is lost or there twice; every watcher has the log in the end,
over the one stream that it opened; health says what is so.
"""
import random
import threading

import pytest

from lib import configs, remote, wait
from lib.remote import healthy, said, typed
from lib.tables import CODE
from lib.watch import View, watch
from lib.worker import Worker, fresh

WATCHERS = 3


class Callers:
    """Threads that go on until `over`; what they were told is in lists."""

    def __init__(self, pair):
        self.pair, self.over, self.wrong, self.threads = pair, threading.Event(), [], []
        self.acked, self.made, self.followed, self.views = [], [], [], []
        self.turns = None  # of the talker, once that is known
        self.talker, self.quiet = (Worker.create(pair.v1) for _ in range(2))

    def start(self):
        self._run(self._create)
        self._run(self._speak)
        self._run(self._follow)
        for _ in range(WATCHERS):
            self.views.append(View())
            self._run(self._watch, self.views[-1])
        return self

    def _run(self, what, *args):
        def run():
            try:
                what(*args)
            except BaseException as e:  # told in join()
                self.wrong.append(e)
        self.threads.append(threading.Thread(target=run, daemon=True))
        self.threads[-1].start()

    def join(self):
        for t in self.threads:
            t.join(wait.patience(60))
            assert not t.is_alive(), 'somebody waits for ever'
        if self.wrong:
            raise self.wrong[0]

    def _until_done(self, path, body):
        """The answer, to whatever number of tries with one key."""
        key = {'Idempotency-Key': fresh('k')}
        for _ in range(4000):
            r = self.pair.v1.request('POST', path, body, key, seconds=60)
            if typed(r) == '':
                return r.json
            assert CODE[r.code].retryable, r
            self.over.wait(0.05)  # a caller's own patience
        raise AssertionError(f'never done: {path} {r}')

    def _create(self):
        while not self.over.is_set():
            made = self._until_done('/v1/workers', {'display_name': 'x'})
            self.made.append(made['worker']['worker_id'])

    def _speak(self):
        """Until it is over, and then once more: for the watchers to know their end."""
        while self.turns is None:
            if self.over.is_set():
                self.turns = len(self.acked) + 1
            content = fresh('said')
            r = self._until_done(self.talker.path + '/input',
                                 {'content': content, 'on_busy': 'queue'})
            self.acked.append((content, r['ack']['sequence']))

    def _follow(self):
        """Each turn that was acknowledged ends for its caller."""
        while not self.over.is_set():
            content = fresh('followed')
            with self.quiet.follow(content, seconds=60) as stream:
                if stream.head.status != 200:
                    assert CODE[typed(stream.head)].retryable, stream.head
                    self.over.wait(0.05)
                    continue
                events = list(stream)
            if events[0].kind == 'end':
                assert events[0].data['retryable'], events
                continue
            assert events[0].kind == 'ack' and events[-1].data['reason'] == 'turn_ended', events
            assert events[-2].kind == 'turn.ended', events
            self.followed.append((content, events[0].data['ack']['sequence']))

    def _watch(self, view):
        """One stream, for as long as it takes."""
        with self.talker.events(self.talker.born) as stream:
            for event in stream:
                view.take(event)
                if self.turns is not None and view.kinds.count('turn.ended') == self.turns:
                    return
        raise AssertionError(f'a stream ended: {view.ends}')


def rounds(new_host, tmp_path, n, seed):
    rng = random.Random(seed)
    pair = remote.Pair(new_host, runtime=configs.stored(tmp_path / 'store'),
                       model=configs.talks(n=6, delay_ms=3), retries=6)
    callers = Callers(pair).start()
    for i in range(n):
        have = [len(x) for x in (callers.acked, callers.made, callers.followed)]
        wait.until(lambda: callers.wrong or all(len(x) > before for x, before in zip(
            (callers.acked, callers.made, callers.followed), have)), 60, 'work between two deaths')
        if callers.wrong:
            raise callers.wrong[0]
        threading.Event().wait(rng.random() * 0.1)  # the moment
        pair.far.crash()
        healthy(pair, 'unreachable')
        pair.far.start()
        healthy(pair)
    callers.over.set()
    callers.join()
    return pair, callers


def check(pair, callers):
    direct = Worker(pair.far.v1, '/v1', callers.talker.id)
    for worker, acked in ((direct, callers.acked),
                          (Worker(pair.far.v1, '/v1', callers.quiet.id), callers.followed)):
        there = said(worker)
        assert set(acked) <= set(there), 'an acknowledged input is lost'
        assert len({c for c, _ in there}) == len(there), 'an input is there twice'
    assert len(set(callers.made)) == len(callers.made)
    for wid in callers.made:
        assert pair.v1.get(f'/v1/workers/{wid}').status == 200, wid
    whole = View()
    whole.cursor = callers.talker.born
    watch(direct, whole, lambda v: v.kinds.count('turn.ended') == callers.turns)
    for view in callers.views:
        assert not view.ends and view.log == whole.log
    assert pair.status()['diagnostics'] == []  # it was the same one all the time


@pytest.mark.tsan
def test_ten_deaths_of_the_remote(new_host, tmp_path):
    check(*rounds(new_host, tmp_path, 10, seed=1))


@pytest.mark.soak
def test_a_hundred_deaths_of_the_remote(new_host, tmp_path):
    check(*rounds(new_host, tmp_path, 100, seed=2))
