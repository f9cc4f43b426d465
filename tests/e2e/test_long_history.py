"""One worker with a long history: it costs what a short one does, but for an
index of some bytes per record while it is awake.

Its records come from turns over HTTP: most are calls of tools, 64 to an answer
and 16 answers to a turn, and between them inputs are pipelined, which wait in
the queue. `make soak` brings it to a million records. What has no bound that
holds on every machine, the times, is printed.
"""
import json
import statistics
import time

import pytest

from lib import configs, wait, wire
from lib.ledger import place
from lib.store import Store
from lib.tables import DURABLE
from lib.worker import Worker

CALLS, ANSWERS = 64, 15
MODEL = configs.script(
    answers=[{'match': 'work', 'step': n,
              'steps': [{'call': {'name': 't', 'arguments': {}}} for _ in range(CALLS)]}
             for n in range(ANSWERS)], steps=[{'say': 'Done: '}, {'echo': True}])
BURST, EVERY = 16, 4       # pipelined inputs, after so many turns
ASLEEP = 6 << 10           # KiB that a start may take more than the first one
AWAKE, EACH = 8 << 10, 32  # KiB of a load, and bytes per record
CHECKPOINT = 8 << 20
WRITTEN = 6 * CHECKPOINT >> 10  # KiB: what the log holds meanwhile, as lines and in frames


def resident(host):
    status = open(f'/proc/{host.pid}/status').read()
    return int(status.split('VmRSS:')[1].split()[0])


class Feed:
    """One connection that stays open, and requests behind each other on it."""

    def __init__(self, client, worker):
        self.client, self.worker = client, worker
        self.reader = wire.Reader(wire.connect(client.address), 60)

    def put(self, text, query=''):
        body = json.dumps({'content': text, 'on_busy': 'queue'}).encode()
        headers = self.client.headers({'Connection': 'keep-alive'}, body)
        return wire.request_bytes('POST', f'{self.worker.path}/input{query}', headers, body)

    def send(self, *requests):
        """The answers, in order."""
        self.reader.total = 0  # its bound is for one answer
        self.reader.sock.sendall(b''.join(requests))
        return [wire.read_response(self.reader, 'POST') for _ in requests]


def grow(worker, events):
    """A cursor from the middle."""
    feed, middle, turns, said = Feed(worker.client, worker), None, 0, 0
    while place(worker.get()['cursor']) < events:
        turns += 1
        (r,) = feed.send(feed.put(f'work {turns}', '?wait=60'))
        assert r.status == 200 and r.json['turn']['state'] == 'completed', r
        if turns % EVERY == 0:
            texts = [f'plain {said + n}' for n in range(BURST)]
            said += BURST
            some = feed.send(*map(feed.put, texts[1:]), feed.put(texts[0], '?wait=60'))
            assert [r.status for r in some] == [202] * (BURST - 1) + [200], some
        cursor = worker.get()['cursor']
        if middle is None and place(cursor) >= events // 2:
            middle = cursor
    return middle


def follow(worker, cursor):
    """Every event behind a cursor: numbers without a gap, turns and calls in
    pairs. The last number."""
    last, turn, calls = place(cursor), None, set()
    while True:
        got = worker.batch(cursor, wait=0, limit=256)
        if not got['events']:
            assert turn is None and not calls
            return last
        cursor = got['cursor']
        for event in got['events']:
            kind, data = event['event'], event['data']
            if kind not in DURABLE:
                continue
            last += 1
            assert data['sequence'] == last, (data, last)
            if kind == 'turn.started':
                assert turn is None
                turn = data['turn_id']
            elif kind == 'turn.ended':
                assert turn == data['turn_id'] and not calls, data
                turn = None
            elif kind == 'tool.requested':
                calls.add(data['call']['id'])
            elif kind == 'tool.completed':
                calls.remove(data['call_id'])


def last_page(worker):
    total = worker.transcript('?limit=1')['total']
    page = worker.transcript(f'?start={total - 200}&limit=256')
    items = page['items']
    assert (len(items), page['total'], page['next_start']) == (200, total, None)
    numbers = [i['sequence'] for i in items]
    assert numbers == sorted(set(numbers)) and items[-1]['role'] == 'assistant'
    return total


def took(what, *args):
    begin = time.monotonic()
    out = what(*args)
    return out, time.monotonic() - begin


def latency(worker):
    return statistics.median(took(worker.say, 'plain one')[1] for _ in range(15)) * 1e3


@pytest.mark.parametrize('events', [
    pytest.param(20000, id='short'),
    pytest.param(1000000, id='million', marks=[pytest.mark.soak, pytest.mark.timeout(1800)])])
def test_a_long_history_costs_what_a_short_one_does(new_host, tmp_path, events):
    root = tmp_path / 'root'
    host = new_host(configs.standard(model=MODEL, runtimes=[
        configs.stored(root, checkpoint_bytes=CHECKPOINT)]))
    empty = resident(host)
    worker = Worker.create(host.v1, wid='long')
    middle, grown_s = took(grow, worker, events)
    grown, last = resident(host), place(worker.get()['cursor'])
    _, stop_s = took(host.stop)
    _, start_s = took(host.start)
    asleep, worker.client = resident(host), host.v1
    shown, load_s = took(worker.get)
    awake = resident(host)
    assert place(shown['cursor']) == last >= events and shown['state'] == 'idle'
    total, page_s = took(last_page, worker)
    end, replay_s = took(follow, worker, middle)
    assert end == last
    fresh = Worker.create(host.v1)
    old_ms, new_ms, read = latency(worker), latency(fresh), resident(host)
    host.stop()
    store = Store(root, tmp_path / 'etc')
    _, check_s = took(store.run, 'check')
    size = sum(p.stat().st_size for p in root.rglob('*') if p.is_file())
    print(f'{last} records, {total} items, {size >> 20} MiB: made in {grown_s:.1f} s, stop '
          f'{stop_s:.2f} s, start {start_s:.2f} s, load {load_s:.2f} s, last page '
          f'{page_s * 1e3:.1f} ms, replay of the half {replay_s:.1f} s, check {check_s:.1f} s; an '
          f'input to its end {old_ms:.2f} ms, of a new worker {new_ms:.2f} ms; resident KiB: '
          f'{empty} empty, {grown} when it was made, {asleep} asleep, {awake} loaded, {read} at '
          'the end')
    if wait.SLOW > 1:  # a sanitizer keeps what was freed
        return
    index = EACH * last >> 10
    assert grown <= empty + AWAKE + index + WRITTEN
    assert asleep <= empty + ASLEEP, 'nothing of it is in memory before it is asked for'
    assert awake <= asleep + AWAKE + index
    assert read <= asleep + 2 * AWAKE + index, 'and reading it all keeps nothing'
