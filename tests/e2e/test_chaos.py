"""Everything at once, in no order: then the histories are read and judged.

Eight callers on both surfaces create, speak, follow, watch, cancel, stop,
delete and list the same few workers, by a seeded dice. Any answer is right
that the table of codes allows for it, but no 5xx; and when all is quiet each
history has to obey the rules of turns, whatever happened.
"""
import concurrent.futures
import random

import pytest

from lib import configs
from lib.judge import judge
from lib.tables import DURABLE
from lib.worker import Worker

pytestmark = pytest.mark.tsan
IDS = [f'w{n}' for n in range(6)]
WORDS = ('talk', 'slow', 'stall', 'tool', 'fail', 'plain')
MODEL = configs.script(answers=[
    {'match': 'talk', 'steps': [{'chunk': 3}, {'say': '\u00e4\u2603 ', 'times': 40}]},
    {'match': 'slow', 'steps': [s for n in range(30) for s in ({'say': f'{n} '}, {'wait_ms': 2})]},
    {'match': 'stall', 'steps': [{'say': 'well '}, {'stall': True}]},
    {'match': 'tool', 'step': 0, 'steps': [{'call': {'name': 'a', 'arguments': {}}},
                                           {'call': {'name': 'b', 'arguments': {}}}]},
    {'match': 'fail', 'steps': [{'say': 'half'}, {'fail': 'overloaded'}]}],
    steps=[{'echo': True}])
MAY = {200, 201, 202, 204, 404, 409, 410}


def impatient(stream):
    """The events of a stream until it is silent for a moment."""
    stream.sock.settimeout(0.2)
    try:
        yield from stream
    except TimeoutError:
        return


class Caller:
    """One thread's dice and what it saw."""

    def __init__(self, host, seed):
        self.rng, self.births = random.Random(seed), []
        self.doors = [(host.v1, '/v1'), (host.api, '/api/runtimes/main')]
        self.cursors = {}

    def run(self, n):
        for _ in range(n):
            client, root = self.rng.choice(self.doors)
            worker = Worker(client, root, self.rng.choice(IDS))
            getattr(self, self.rng.choice(STEPS))(worker, root)
        return self.births

    @staticmethod
    def check(r):
        assert r.status in MAY, r
        return r

    def create(self, worker, root):
        r = self.check(worker.client.post(root + '/workers', {'worker_id': worker.id}))
        if r.status == 201:
            self.births.append((worker.id, r.json['worker']['cursor']))

    def speak(self, worker, _root):
        key = {'Idempotency-Key': f'k{self.rng.randint(0, 9)}'} if self.rng.random() < 0.3 else {}
        self.check(worker.client.post(worker.path + '/input', {
            'content': self.rng.choice(WORDS)}, headers=key))

    def follow(self, worker, _root):
        with worker.follow(self.rng.choice(WORDS)) as stream:
            assert stream.head.status in MAY, stream.head
            if stream.head.status != 200:
                return
            for n, event in enumerate(impatient(stream)):
                assert event.kind != 'end' or event.data['reason'] != 'error', event
                if n > self.rng.randint(0, 30):
                    worker.client.post(worker.path + '/cancel')
                    return

    def watch(self, worker, _root):
        known = self.cursors.get(worker.path)
        with worker.events(known, cut=self.rng.randint(1, 3000)) as stream:
            assert stream.head.status in MAY, stream.head
            if stream.head.status != 200:
                self.cursors.pop(worker.path, None)
                return
            for n, event in enumerate(impatient(stream)):
                self.cursors[worker.path] = event.id or self.cursors.get(worker.path)
                if n >= self.rng.randint(0, 3):
                    return

    def batch(self, worker, _root):
        self.check(worker.client.get(worker.path + '/events?wait=0'))

    def look(self, worker, root):
        path = self.rng.choice([worker.path, worker.path + '/transcript?limit=5',
                                root + '/workers?limit=3'])
        self.check(worker.client.get(path))

    def cancel(self, worker, _root):
        self.check(worker.client.post(worker.path + '/cancel', {'reason': 'dice'}))

    def stop(self, worker, _root):
        if self.rng.random() < 0.2:
            self.check(worker.client.post(worker.path + '/stop'))

    def delete(self, worker, _root):
        self.check(worker.client.delete(worker.path))


# A stop ends what can be judged of a worker, so it is rare.
STEPS = ['create'] * 6 + ['speak'] * 10 + ['follow'] * 6 + ['watch'] * 8 + ['cancel'] * 6 + \
    ['batch', 'look', 'look', 'stop', 'delete']


def play(host, seed, steps):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(Caller(host, seed * 100 + n).run, steps) for n in range(8)]
        births = [b for job in jobs for b in job.result()]
    judged = sum(history(host, wid, births) for wid in IDS)
    assert judged > 100, 'something happened'


def history(host, wid, births):
    """Stops a worker and judges all that it did; the number of its records."""
    worker = Worker(host.v1, '/v1', wid)
    if host.v1.get(worker.path).status == 404:
        return 0
    worker.stop()
    for cursor in [cursor for born, cursor in births if born == wid]:
        with worker.events(cursor) as stream:
            if stream.head.status == 410:  # of one that was deleted since
                continue
            records = [(e.kind, e.data) for e in stream.until('worker.stopped')
                       if e.kind in DURABLE]
        judge(records)
        return len(records)
    raise AssertionError(f'nobody saw the birth of {wid}')


@pytest.mark.parametrize('seed', [1, 2])
def test_whatever_happens_at_once_every_history_obeys_the_rules(new_host, seed):
    host = new_host(configs.standard(model=MODEL))
    play(host, seed, 60)


@pytest.mark.soak
@pytest.mark.parametrize('seed', range(10, 16))
def test_whatever_happens_for_long_every_history_obeys_the_rules(new_host, seed):
    host = new_host(configs.standard(model=MODEL))
    play(host, seed, 600)
