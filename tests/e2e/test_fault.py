"""A store on a disk that fails, call by call (tests/fault/shim.c).

One session (lib/session.py) is played again and again, each time with another
call failing in another way. Every request is answered, with success or with a
typed error; the host lives unless it was killed; the runtime beside it does
not notice; and a start on a good disk finds all that was acknowledged.
"""
import contextlib
import os
import random
import shutil
import subprocess

import pytest

from lib import configs, crash, fault, sample, wait
from lib.ledger import Ledger, Wrong
from lib.session import Session
from lib.tables import HARD
from lib.worker import Worker

SYNCS = ('fsync', 'fdatasync', 'syncfs', 'sync_range')
MAY = {'store_error', 'runtime_unavailable', 'store_corrupt'}
CI_SAMPLE = sample.count(60, 0)
SEED = int(os.environ.get('YOI_SEED', 1))
CHURN = dict(segment_bytes=65536, checkpoint_bytes=65536, checkpoint_ms=100)
# A log may speak of a store that is damaged.
ALLOW = ('corrupt',)


class Case:
    """A host on a disk that fails, and then on one that does not."""

    def __init__(self, new_host, tmp_path, name='case', trace=None, **config):
        self.root = tmp_path / name / 'store'
        self.root.parent.mkdir(parents=True)
        self.disk = fault.Disk(self.root.parent, self.root, trace=trace)
        self.config = configs.standard(model=crash.MODEL, runtimes=[
            configs.stored(self.root, **{**CHURN, **config}), configs.embedded('beside')])
        self.host = new_host(self.config, start=False, env=self.disk.env, allow_log=ALLOW)
        self.new_host, self.ledger, self.hosts = new_host, Ledger(), [self.host]

    def start(self):
        """False: the start itself met the fault, and said so."""
        try:
            self.host.start()
            return True
        except AssertionError:
            assert self.host.proc.poll() is not None, 'a start without end'
            code = self.host.wait_exit()
            self.host.crashed()
            if code == -9:
                return False
            assert code == 3 and self.disk.hits, f'ended with {code}:\n{self.host.tail()}'
            assert "cannot open runtime 'main': " in self.host.log, self.host.tail()
            return False

    def beside(self):
        """Another runtime of the same host works."""
        wid = f'beside-{self.disk.calls}'
        worker = Worker.create(self.host.api, '/api/runtimes/beside', wid)
        assert worker.say('plain hello')['turn']['state'] == 'completed'

    def end(self, may_crash):
        """Its end may meet the fault as well."""
        if self.host.proc is None:
            return
        if self.host.alive():
            self.host.signal()
        code = self.host.wait_exit()
        self.host.check_log()
        self.host.crashed()
        assert code == 0 or may_crash and code == -9 and self.disk.hits, \
            f'ended with {code}:\n{self.host.tail()}'

    def after(self):
        """A start without faults: everything that was acknowledged is there."""
        self.disk.disarm()
        host = self.new_host(self.config, start=False)
        self.hosts.append(host)
        host.start()
        crash.quiet(host.v1)
        described = host.v1.ok('GET', '/v1/runtime')['runtime']
        assert not [d for d in described['diagnostics'] if d['severity'] == 'error'], described
        self.ledger.check(host.v1)
        self.ledger.repeat({'/v1': host.v1}, [v for v in self.ledger.lives.values()
                                              if v.create.state != 'refused'])
        crash.quiet(host.v1)
        self.ledger.check(host.v1)
        host.stop()

    def clear(self):
        """What a case leaves is a process at most, and some hundred KiB."""
        for host in self.hosts:
            if host.proc is not None:
                host.crash()
        self.disk.close()
        shutil.rmtree(self.root.parent)

    def play(self, kind, n, on=False, calls=fault.CALLS, only=''):
        """The whole of it. True: the fault was met."""
        self.disk.arm(kind, n, on=on, calls=calls, only=only)
        whole = False
        if self.start():
            session = Session(self.host, self.ledger, MAY)
            # What was not written is not there; what a failed sync did, nobody knows.
            session.sure = kind in fault.ERRORS and not on and not set(calls) & set(SYNCS)
            whole = session.run()
            assert whole or kind in fault.CRASHES and self.disk.hits, 'the host died'
            if whole and kind not in fault.CRASHES:
                self.beside()
        self.end(kind in fault.CRASHES)
        return self.disk.hits > 0


def counted(new_host, tmp_path):
    """The session without a fault: its calls by kind."""
    case = Case(new_host, tmp_path, 'count')
    assert not case.play('EIO', 1 << 40)
    case.after()
    log = case.disk.log()
    assert len(log) == case.disk.calls, 'the log holds them all'
    return log


def cases(log, rng, whole):
    """(kind, call, n): the n-th of that kind of call, failing like that."""
    count = {name: sum(c.call == name for c in log) for name in fault.CALLS}
    for call in fault.CALLS:
        kinds = {'read': ('EIO', 'EINTR', 'short'), 'stat': ('EIO',), 'dir': ('EIO',),
                 'close': ('EIO',)}.get(call, (*fault.ERRORS, *fault.CRASHES))
        if call == 'write':
            kinds += ('short', 'full')
        for kind in kinds:
            for n in range(1, count[call] + 1):
                yield kind, call, n


def chosen(log, rng):
    """A sample for CI: each kind of fault, each kind of call, and the syncs and
    renames more than all else."""
    every = list(cases(log, rng, False))
    rng.shuffle(every)
    durable = [c for c in every if c[1] in SYNCS + ('rename',)]
    out, kinds, calls = [], set(), set()
    for case in every:
        if case[0] not in kinds or case[1] not in calls:
            out.append(case)
            kinds.add(case[0])
            calls.add(case[1])
    return (out + [c for c in durable if c not in out])[:max(len(out), CI_SAMPLE)]


def play_all(new_host, tmp_path, some):
    """How many met their fault; all that went wrong is told at the end."""
    met, wrong = 0, []
    for i, (kind, call, n) in enumerate(some):
        case = Case(new_host, tmp_path, f'case{i}')
        try:
            met += case.play(kind, n, calls=(call,))
            case.after()
        except AssertionError as e:
            wrong.append(f'{kind} at {call} {n} (seed {SEED}, {case.disk.first()}): {e}')
        finally:
            case.clear()
        if len(wrong) > 20:
            break
    if wrong:
        raise Wrong('\n'.join(wrong))
    return met


@pytest.mark.parametrize('part', [0, 1])
def test_each_call_may_fail_and_nothing_acknowledged_is_lost(new_host, tmp_path, part):
    rng = random.Random(SEED * 10 + part)
    some = chosen(counted(new_host, tmp_path), rng)
    assert play_all(new_host, tmp_path, some) > len(some) // 2, 'most of them were met'


@pytest.mark.soak
@pytest.mark.timeout(1800)  # as conftest has it for these
@pytest.mark.parametrize('part', range(8))
def test_every_call_may_fail_in_every_way(new_host, tmp_path, part):
    log = counted(new_host, tmp_path)
    some = [c for i, c in enumerate(cases(log, None, True)) if i % 8 == part]
    assert play_all(new_host, tmp_path, some) > len(some) // 2


def talk(host, wid='w'):
    return Worker.create(host.v1, '/v1', wid)


@pytest.mark.parametrize('kind', ['EIO', 'ENOSPC', 'EDQUOT'])
def test_behind_a_failed_sync_the_runtime_can_only_be_read(new_host, tmp_path, kind):
    case = Case(new_host, tmp_path)
    assert case.start()
    host, disk = case.host, case.disk
    worker, other = talk(host), talk(host, 'other')
    worker.say('plain one')
    disk.arm(kind, calls=SYNCS, only='/log/')
    host.v1.refused('POST', worker.path + '/input', 500, 'store_error', {'content': 'plain two'})
    assert disk.hits == 1
    for _ in range(3):  # though the disk is good again, and for all of them
        for target, body in ((worker.path + '/input', {'content': 'x'}),
                             (other.path + '/input', {'content': 'x'}),
                             (other.path + '/stop', None),
                             ('/v1/workers', {'worker_id': 'new'})):
            host.v1.refused('POST', target, 500, 'store_error', body)
    assert [''.join(p['text'] for p in i['content']) for i in worker.transcript()['items']] == [
        'plain one', 'plain one']
    assert {'w', 'other'} == set(Ledger.ids(host.v1))
    assert any(d['severity'] == 'error' for d in host.v1.ok('GET', '/v1/runtime')['runtime'][
        'diagnostics']), 'an operator can see it'
    case.beside()
    host.stop()
    host.start()
    assert worker_of(host, 'w').say('plain three')['turn']['state'] == 'completed'
    assert not host.v1.ok('GET', '/v1/runtime')['runtime']['diagnostics']


def test_behind_a_failed_sync_of_the_files_the_log_is_what_counts(new_host, tmp_path):
    """A checkpoint that could not sync is never said to be one by the next try."""
    case = Case(new_host, tmp_path)
    case.disk.arm('EIO', calls=('syncfs',))
    assert case.start()
    Session(case.host, case.ledger, name='before').run()
    wait.until(lambda: case.disk.hits == 1, 20, 'a checkpoint')
    wait.until(lambda: case.host.v1.ok('GET', '/v1/runtime')['runtime']['diagnostics'], 20,
               'a word of it')
    Session(case.host, case.ledger, name='behind').run()  # the log takes what comes
    case.beside()
    case.host.stop()  # in order, which would be one more checkpoint
    assert case.disk.matched == 1, 'it is not tried again'
    assert not (case.root / 'index.jsonl').exists(), 'nothing says that the files are whole'
    shutil.rmtree(case.root / 'workers')  # none of it was synced: it may all be lost
    case.host.start()
    crash.quiet(case.host.v1)
    case.ledger.check(case.host.v1)


def worker_of(host, wid):
    return Worker(host.v1, '/v1', wid)


@pytest.mark.parametrize('kind', ['ENOSPC', 'EDQUOT', 'full'])
def test_a_full_disk_refuses_and_works_again_when_there_is_room(new_host, tmp_path, kind):
    case = Case(new_host, tmp_path)
    assert case.start()
    host, disk = case.host, case.disk
    worker = talk(host)
    worker.say('plain one')
    disk.arm(kind, on=True, calls=('write', 'allocate'))
    refused = host.v1.post(worker.path + '/input', {'content': 'plain two'})
    assert (refused.status, refused.code) == (500, 'store_error'), refused
    host.v1.refused('POST', '/v1/workers', 500, 'store_error', {'worker_id': 'new'})
    assert worker.transcript()['total'] == 2, 'memory is as it was'
    disk.disarm()
    assert worker.say('plain three')['turn']['state'] == 'completed'
    assert talk(host, 'new').get()['state'] == 'idle', 'the failed create left nothing'
    host.crash()
    host.start()
    texts = [''.join(p['text'] for p in i['content'])
             for i in worker_of(host, 'w').transcript()['items'] if i['role'] == 'user']
    assert texts == ['plain one', 'plain three']


@pytest.mark.parametrize('shift', [-86400 * 400, -3600, 86400 * 400])
def test_a_clock_that_jumps_between_two_starts_changes_nothing(new_host, tmp_path, shift):
    root, ledger = tmp_path / 'store', Ledger()
    config = configs.standard(model=crash.MODEL, runtimes=[configs.stored(root)])
    first = new_host(config)
    Session(first, ledger, name='one').run()
    first.crash()
    disk = fault.Disk(tmp_path, root, clock=shift)
    second = new_host(config, env=disk.env)
    crash.quiet(second.v1)
    ledger.check(second.v1)
    ledger.repeat({'/v1': second.v1}, list(ledger.lives.values()))
    Session(second, ledger, name='two').run()
    second.stop()
    third = new_host(config)
    crash.quiet(third.v1)
    ledger.check(third.v1)


# ---- a disk that is really full ---------------------------------------------------
@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MiB of its own."""
    where = tmp_path / 'disk'
    where.mkdir()
    done = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=3m,mode=0700', 'none', str(where)],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        pytest.skip(f'cannot mount: {done.stdout.decode().strip()}')
    yield where
    subprocess.run(['umount', '-l', str(where)], check=True)


def fill(where):
    """Takes all that is left, also less than a page of it."""
    with open(where / 'ballast', 'ab', buffering=0) as f, contextlib.suppress(OSError):
        while True:
            f.write(b'x' * 4096)


def test_a_disk_that_is_really_full(new_host, small_disk):
    root, ledger = small_disk / 'store', Ledger()
    host = new_host(configs.standard(model=crash.MODEL, runtimes=[configs.stored(root, **CHURN)]))
    Session(host, ledger, name='before').run()
    fill(small_disk)
    during = Session(host, ledger, MAY, name='during')
    during.sure = True
    for n in range(40):  # the room in the segment comes to its end
        during.create(f'w{n}')
        during.say(f'w{n}', f'long {n}', wait=20)
    assert during.failed, 'the disk became full'
    for _, path, r in during.failed:
        assert (r.status, r.code) == (500, 'store_error'), (path, r)
    # Ends of turns are owed now: they are shown, and durable later.
    (small_disk / 'ballast').unlink()
    Session(host, ledger, name='behind').run()
    host.crash()
    host.start()
    crash.quiet(host.v1)
    ledger.check(host.v1)
    fill(small_disk)
    host.crash()
    host.start()  # also on a full disk
    crash.quiet(host.v1)
    ledger.check(host.v1)


# ---- a disk that is slow -------------------------------------------------------------
@pytest.fixture(name='asleep')
def sleeping_worker(new_host, tmp_path):
    """A worker that has to be read, and a disk that takes its time for that."""
    if HARD:
        pytest.skip('it reads a few bytes at a time, each of which would be slow')
    case = Case(new_host, tmp_path)
    assert case.start()
    worker = talk(case.host)
    worker.say('plain one')
    case.host.restart()
    case.disk.arm('slow', on=True, calls=('read',), only='/workers/')
    return case, Worker(case.host.v1, '/v1', 'w'), worker.born


@pytest.mark.parametrize('query', ['wait=0&', ''])
def test_a_batch_of_what_there_is_waits_for_the_disk(asleep, query):
    case, worker, born = asleep
    got = worker.client.ok('GET', f'{worker.path}/events?{query}cursor={born}')
    assert case.disk.hits > 0 and got['end'] is None
    kinds = [e['event'] for e in got['events']]
    assert kinds[0] == 'input.accepted' and kinds[-1] == 'turn.ended', kinds
    assert [e['data']['sequence'] for e in got['events']] == list(range(2, 2 + len(kinds)))
    again = worker.client.ok('GET', f'{worker.path}/events?{query}cursor={got["cursor"]}')
    assert again == {'events': [], 'cursor': got['cursor'], 'end': None}


def test_a_batch_from_the_beginning_waits_for_the_disk(asleep):
    _, worker, _ = asleep
    got = worker.client.ok('GET', f'{worker.path}/events')
    assert [e['event'] for e in got['events']] == ['snapshot'] and got['end'] is None
    assert got['events'][0]['data']['worker']['worker_id'] == 'w'


def test_a_batch_that_the_disk_keeps_waiting_is_no_empty_one(asleep):
    case, worker, born = asleep
    target = f'{worker.path}/events?cursor={born}'
    worker.client.refused('GET', target, 504, 'timeout', headers={'Yoi-Timeout-Ms': '100'})
    wait.until(lambda: worker.client.get(target).status == 200, 20, 'the disk')
