"""Many watch one worker while it speaks, and some of them never read.

Every watcher gets the same text, a worker beside it is answered all the while,
and who never reads costs a frame, not a queue, and is closed in the end. The
watchers are a program in C, which parses every stream: a thousand sockets in
Python would measure Python. Ratios of times are printed, never judged.
"""
import pathlib
import re

import pytest

from lib import configs, wait
from lib.host import sockets
from lib.load import Turns, Watchers
from lib.worker import Worker

ROOT = '/api/runtimes/bench'
# What is promised is 2 KiB; what malloc keeps of a burst comes on top.
WATCHER_BYTES = 4096
# A stalled reader: the gathered copy of at most YOI_DELTA_BYTES_MAX, its
# bookkeeping, and what any watcher takes.
STALLED_BYTES = 4096 + WATCHER_BYTES
WRITE_MS = 3000
CROWD_MS = 240000
SPARE = 8  # connections to the provider that are kept
PACE_MS = 2  # between deltas: they come one by one, not merged


def resident(pid):
    return int(re.search(r'VmRSS:\s+(\d+)', pathlib.Path(f'/proc/{pid}/status').read_text())
               .group(1)) * 1024


@pytest.fixture
def child(tmp_path):
    made = []

    def new(cls, *args, **kw):
        made.append(cls(tmp_path / f'load{len(made)}', *args, **kw))
        return made[-1]
    yield new
    for one in made:
        one.kill()


def mocked(new_host, provider, write_ms):
    """A host with a mock that says what it is told."""
    return new_host(configs.standard(
        model=configs.openai(provider().port), runtimes=[configs.embedded('bench')],
        ingresses=[configs.ingress(configs.BROWSER, write_ms=write_ms)], loops=2, drain_ms=5000))


@pytest.fixture
def busy_host(new_host, provider):
    """Its slow readers are closed soon."""
    return mocked(new_host, provider, WRITE_MS)


@pytest.fixture
def patient_host(new_host, provider):
    """None of a crowd is slow, however long it takes to give all of them their turn."""
    return mocked(new_host, provider, CROWD_MS)


def say(worker, chunks, options=''):
    worker.input(f'mode=text chunks={chunks} {options}')


def check_watched(host, child, n, chunks, others):
    """n watchers of one worker, whose turn they all see whole; others speak beside it."""
    worker = Worker.create(host.api, ROOT)
    quiet = child(Turns, host.address('browser'), 4, others).spawn().result()
    before = resident(host.pid)
    crowd = child(Watchers, host.address('browser'), worker.path + '/events', n).start()
    watched = resident(host.pid)
    beside = child(Turns, host.address('browser'), 4, others).spawn()
    say(worker, chunks, f'stamp=1 delay={PACE_MS}')
    seen, loud = crowd.result(300), beside.result(300)
    assert (seen['watchers'], seen['texts'], seen['errors']) == (n, 1, 0)
    assert seen['stamps'] == chunks, 'every delta reached everybody'
    assert loud['errors'] == 0 and loud['turns'] == others, 'whoever speaks beside is answered'
    assert crowd.rest()['stalled'] == 0
    per = (watched - before) / n
    print(f'{n} watchers: {per:.0f} bytes each, beside them a turn takes '
          f'{loud["p50_us"] / max(1, quiet["p50_us"]):.1f} times as long (p50), the last watcher '
          f'has a delta after {seen["fan_p50_us"] / 1000:.1f} ms')
    return per


def test_a_crowd_of_watchers_sees_the_same_text(patient_host, child):
    check_watched(patient_host, child, 300, 200, 200)


@pytest.mark.soak
def test_ten_thousand_watchers_see_the_same_2000_deltas(patient_host, child):
    per = check_watched(patient_host, child, 10000, 2000, 5000)
    assert wait.SLOW > 1 or per < WATCHER_BYTES, f'{per:.0f} bytes of a watcher'


def check_stalled(host, child, n, chunks):
    """n that never read pin a frame each and are closed; one who reads sees all."""
    worker = Worker.create(host.api, ROOT)
    worker.say('mode=text', wait=30)  # what the first turn loads is nobody's cost
    before, open_before = resident(host.pid), len(sockets(host.pid))
    crowd = child(Watchers, host.address('browser'), worker.path + '/events', 20, stalled=n).start()
    say(worker, chunks, f'stamp=1 delay={PACE_MS}')
    seen = crowd.result(120)
    pinned = (resident(host.pid) - before) / n
    assert (seen['texts'], seen['errors'], seen['stamps']) == (1, 0, chunks)
    wait.until(lambda: host.metric('yoi_http_streams', surface='browser') == 20,
               WRITE_MS / 1000 + 30, f'{n} stalled ones are closed')
    worker.say('mode=text', wait=30)
    rest = crowd.rest()
    assert rest['closed'] == rest['cut'] == n, rest
    wait.until(lambda: len(sockets(host.pid)) <= open_before + SPARE, what='all are gone')
    print(f'{n} stalled: {pinned:.0f} bytes pinned each, {rest["bytes"] / n:.0f} had been sent')
    return pinned


def test_a_reader_that_never_reads_is_closed_and_nobody_notices(busy_host, child):
    check_stalled(busy_host, child, 50, 700)


@pytest.mark.soak
def test_a_thousand_readers_that_never_read_cost_a_frame_each(busy_host, child):
    pinned = check_stalled(busy_host, child, 1000, 3000)
    assert wait.SLOW > 1 or pinned < STALLED_BYTES, f'{pinned:.0f} bytes of a stalled reader'
