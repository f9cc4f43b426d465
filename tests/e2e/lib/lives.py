"""A store of files over a long time: lives of a host, one after another, each
with clients at a steady pace, and what is measured along the way.

Lives(...).play(seconds) goes on until the time is over. A life is long enough
for some hundred requests, one of them is a fifth of all; it ends with SIGKILL
or SIGTERM by dice while the clients are at work. Then the host starts on the
same root and ports, what clients were told is held against what is there
(lib/ledger.py), streams go on from cursors of before, and all workers of that
life are stopped and deleted, so that every life begins with as many as the
first. A worker that has become long is replaced.
"""
import contextlib
import os
import random
import statistics
import time

from . import configs, crash, wait
from .host import descriptors
from .ledger import ACKED, Deed, Ledger, Life, settled
from .remote import free_port
from .store import Store

CLIENTS = 10
PAUSE_S = 0.08       # between two steps of a client, on average
OWN = 6              # workers of a client; then it deletes one
AWAKE = 16           # workers that may be awake at a time
SPOKEN = 10          # of those that stay: in one life anybody may speak to them
LONG = 500           # records; then another takes its place
SAMPLE_S = 0.5
SEGMENT, CHECKPOINT = 65536, 262144
LOG = 2 * (SEGMENT + CHECKPOINT)


def config(root):
    ports = [f'127.0.0.1:{free_port()}' for _ in range(2)]
    return configs.standard(
        model=crash.MODEL,
        ingresses=[configs.ingress(entry, listen=port)
                   for entry, port in zip((configs.BROWSER, configs.RUNTIME), ports)],
        runtimes=[configs.stored(root, limits={'loaded_workers': AWAKE}, segment_bytes=SEGMENT,
                                 checkpoint_bytes=CHECKPOINT, checkpoint_ms=500)])


class Steady(crash.Caller):
    """A client that leaves the others room, and cleans up behind itself."""

    def step(self):
        time.sleep(self.rng.expovariate(1 / PAUSE_S))  # the pace of the load
        if len(self.own) > OWN:
            self.retire(self.own.pop(0))
        else:
            super().step()

    def retire(self, life):
        stop, delete = Deed(), Deed()
        life.stops.append(stop)
        self.note(stop, self.client.post(self.path(life) + '/stop'))
        if stop.state == ACKED:
            life.deletes.append(delete)
            self.note(delete, self.client.delete(self.path(life)))


class Sampled:
    """Resident bytes, descriptors and the size of the log, at the same point of
    each life, or all along one."""

    def __init__(self):
        self.rows = []

    def take(self, host, root):
        pages = int(open(f'/proc/{host.pid}/statm').read().split()[1])
        size = sum(f.st_size for f in files(root / 'log'))
        self.rows.append((pages * os.sysconf('SC_PAGE_SIZE'), len(descriptors(host.pid)), size))

    def flat(self, what, slacks):
        """The last third's medians against the first's; None: too few to say."""
        third = len(self.rows) // 3
        if third < 4:
            return None
        first, last = ([statistics.median(column) for column in zip(*rows)]
                       for rows in (self.rows[:third], self.rows[-third:]))
        print(f'lives: {what}: resident, descriptors, log {first} then {last}', flush=True)
        for name, a, b, slack in zip(('resident', 'descriptors', 'log'), first, last, slacks):
            if name != 'resident' or wait.SLOW == 1:  # a sanitizer keeps what was freed
                assert b <= a + slack, f'{what}: {name} is {a} and then {b}'
        return True


def files(root):
    """The status of each file at this moment; a checkpoint takes some away."""
    out = []
    for folder, _, names in os.walk(root):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                out.append(os.stat(os.path.join(folder, name)))
    return out


class Lives:
    def __init__(self, new_host, folder, seed, staying=150):
        """staying: workers that live through all lives."""
        self.rng, self.seed, self.root = random.Random(seed), seed, folder / 'root'
        self.staying = staying
        self.host = new_host(config(self.root), start=False)
        self.store = Store(self.root, folder / 'etc')
        self.ledger, self.stay, self.number = Ledger(), [], 0
        self.judge = crash.Rounds(self.host, seed, common=0)
        self.judge.ledger = self.ledger
        self.begun, self.aged, self.along = Sampled(), Sampled(), Sampled()
        self.requests, self.ends = 0, {'kill': 0, 'term': 0}

    def play(self, seconds):
        begin = time.monotonic()
        self.host.start()
        for _ in range(self.staying):
            self.settle()
        while time.monotonic() - begin < seconds or self.number < 4:
            self.number += 1
            least = max(0.7, seconds / 120)
            length = seconds / 5 if self.number == 3 else self.rng.uniform(least, 3 * least)
            how = ('kill', 'term')[self.number % 2] if self.number < 3 else \
                self.rng.choice(['kill', 'term'])
            self.life(length, least, how)
            print(f'lives: {time.monotonic() - begin:.0f} s: life {self.number} of {length:.1f} s, '
                  f'{how}; {self.requests} requests, {self.judge.records} records judged, '
                  f'at its begin {self.begun.rows[-1]}', flush=True)
        self.over()

    # ---- one life ----------------------------------------------------------------
    def life(self, length, least, how):
        common = self.rng.sample(self.stay, SPOKEN)
        self.begun.take(self.host, self.root)
        load = crash.Load(self.host, self.ledger, f'{self.seed}.{self.number}', common,
                          caller=Steady, threads=CLIENTS)
        load.touched.update(common)
        begin, aged = time.monotonic(), False
        load.start()
        while (age := time.monotonic() - begin) < length and not load.wrong:
            if age >= least * 0.9 and not aged:
                aged = True
                self.aged.take(self.host, self.root)
            if self.number == 3 and age > length / 6:
                self.along.take(self.host, self.root)
            time.sleep(min(SAMPLE_S, length / 20))  # the distance of two samples
        self.ends[how] += 1
        self.requests += load.kill() if how == 'kill' else load.terminate()
        if self.rng.random() < 0.5:
            self.store.findings('check', least='error')  # whose exit code says that there is none
        self.judge.round = self.number
        if how == 'kill':
            self.judge.again()
        else:
            self.host.start()
        self.judge.compare(load.touched)
        self.sweep()

    # ---- between two ------------------------------------------------------------------
    def settle(self):
        """One more worker that stays."""
        name = f'stay-{len(self.ledger.lives)}-{self.number}-{self.rng.getrandbits(32):x}'
        life = Life(name, {'worker_id': name})
        self.ledger.born(life)
        r = life.create.settle(self.host.v1.post('/v1/workers', life.body))
        assert r.status == 201, r
        life.point(r.json['worker']['cursor'])
        text = f'plain {name}'
        life.inputs.append(Deed(text=text, body={'content': text}, key=None, ack=None, root='/v1'))
        r = life.inputs[0].settle(self.host.v1.post(f'/v1/workers/{name}/input',
                                                    life.inputs[0].body))
        assert r.status == 202, r
        life.inputs[0].ack = r.json['ack']
        self.stay.append(life)

    def sweep(self):
        """Deletes all but those that stay; the ledger forgets them."""
        client = self.host.v1
        done = [v for v in self.stay if len(v.shown) > LONG or v.stops]
        self.stay = [v for v in self.stay if v not in done]
        keep = {v.wid for v in self.stay}
        for wid in self.ledger.ids(client):
            if wid in keep:
                continue
            path = f'/v1/workers/{wid}'
            client.ok('POST', path + '/stop', status=202)
            wait.until(lambda: settled(client, path), 20, f'{wid} has stopped')
            r = client.delete(path)
            assert r.status == 204, r
            client.refused('GET', path, 404, 'worker_not_found')
        self.ledger.lives = {v.wid: v for v in self.stay}
        self.ledger.former, self.ledger.nameless = [], []
        while len(self.stay) < self.staying:
            self.settle()
        crash.quiet(client)
        wait.until(lambda: self.kept() == self.staying, 20, 'no file of a worker that was deleted')

    def kept(self):
        return len(files(self.root / 'workers'))

    # ---- the end ----------------------------------------------------------------------
    def over(self):
        self.host.restart()
        crash.quiet(self.host.v1)
        self.judge.records += self.ledger.check(self.host.v1)
        self.host.stop()
        print(f'lives: seed {self.seed}: {self.number} lives, {self.ends}, {self.requests} '
              f'requests, {self.judge.records} records judged', flush=True)
        assert not self.store.findings('check'), 'nothing to be said of it'
        self.fits()
        self.begun.flat('at the begin of a life', (4 << 20, 8, LOG))
        self.aged.flat('early in a life', (4 << 20, 4 * CLIENTS, LOG))
        self.along.flat('along one life', (6 << 20, 4 * CLIENTS, LOG))

    def fits(self):
        """The folder is not much larger than what lives in it."""
        living = len(self.store.run('export', '--private').stdout.encode())
        there = sum(f.st_size for f in files(self.root))
        print(f'lives: {there} bytes on the disk for {living} that live', flush=True)
        assert self.kept() == self.staying
        assert there <= 2 * living + LOG, (there, living)
