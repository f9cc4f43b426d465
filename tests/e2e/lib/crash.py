"""Clients that work with one host until it dies, and what they were told.

Load(host, ledger, seed) runs threads that create, speak, follow, watch,
cancel, stop, delete and read by a seeded dice, and note everything in the
ledger. Rounds(...) is the whole proof: load, kill -9 at a random moment,
start again on the same root, wait until all is quiet, compare; and again.
"""
import contextlib
import os
import random
import signal
import threading
import time

from . import configs, sse, wait, wire
from .ledger import ACKED, REFUSED, Deed, Ledger, Life, Wrong, place
from .tables import DURABLE

THREADS = 6
LEAST = 40  # requests of a round, however slow the machine is
MODEL = configs.script(answers=[
    {'match': 'talk', 'steps': [{'chunk': 3}, {'say': '\u00e4\u2603 ', 'times': 25}]},
    {'match': 'slow', 'steps': [s for n in range(12) for s in ({'say': f'{n} '}, {'wait_ms': 8})]},
    {'match': 'tool', 'step': 0, 'steps': [{'call': {'name': 'a', 'arguments': {}}},
                                           {'call': {'name': 'b', 'arguments': {}}}]},
    {'match': 'fail', 'steps': [{'say': 'half'}, {'fail': 'overloaded'}]},
    {'match': 'long', 'steps': [{'say': 'x' * 4000, 'times': 6}]}],
    steps=[{'reason': 'hm '}, {'echo': True}, {'usage': {'input_tokens': 3, 'output_tokens': 5}}])
WORDS = ('talk', 'slow', 'tool', 'fail', 'plain', 'plain', 'long', 'slow')
BROKEN = (ConnectionError, wire.Closed, TimeoutError, OSError)


class Load:
    """One life of the host. stop(), kill() or terminate() ends it."""

    def __init__(self, host, ledger, seed, common=None, may=(), caller=None, threads=THREADS):
        """may: codes that a failing disk brings; after them a request is unsure.
        caller: what each of the threads is, a Caller."""
        self.caller = caller or Caller
        self.host, self.ledger, self.seed, self.may = host, ledger, seed, tuple(may)
        self.refusals = ()  # codes beside the usual ones that say that it did not happen
        self.doors = [(host.v1, '/v1'), (host.api, '/api/runtimes/main')]
        self.over, self.dead = threading.Event(), threading.Event()
        self.wrong, self.count, self.common, self.touched = [], 0, common or [], set()
        self.threads = [threading.Thread(target=self._run, args=(n,), daemon=True)
                        for n in range(threads)]

    def start(self):
        for t in self.threads:
            t.start()
        return self

    def join(self):
        for t in self.threads:
            t.join(wait.patience(30))
            if t.is_alive():
                self.wrong.append('a client waits for ever')
        if self.wrong:
            raise Wrong('\n'.join(map(str, self.wrong[:5])))
        return self.count

    def stop(self):
        self.over.set()
        return self.join()

    def kill(self):
        """The process only, at once; its clients find out by themselves."""
        self.dead.set()
        os.kill(self.host.pid, signal.SIGKILL)
        self.over.set()
        self.host.crash()
        return self.join()

    def terminate(self):
        """SIGTERM while they go on asking: they are refused from some moment on."""
        self.refusals = ('shutting_down',)
        self.dead.set()
        self.host.stop()
        self.over.set()
        return self.join()

    def _run(self, n):
        caller = self.caller(self, n)
        while not self.over.is_set():
            try:
                caller.step()
                self.count += 1
            except BROKEN as e:
                if not self.dead.is_set() and self.host.alive():
                    self.wrong.append(f'seed {self.seed}, client {n}: broken by a host that lives: '
                                      f'{e!r}')
                return
            except AssertionError as e:
                self.wrong.append(f'seed {self.seed}, client {n}: {type(e).__name__}: {e}')
                return


class Caller:
    """One thread: the workers that are its own, and a dice."""

    def __init__(self, load, n):
        self.load, self.n, self.ledger = load, n, load.ledger
        self.rng, self.own, self.serial = random.Random(f'{load.seed}/{n}'), [], 0
        self.steps = ['speak'] * 8 + ['wait'] * 3 + ['follow'] * 3 + ['watch'] * 4 + \
            ['create'] * 3 + ['cancel'] * 2 + ['again', 'stop', 'delete', 'read', 'look', 'system']

    def step(self):
        self.client, self.root = self.rng.choice(self.load.doors)
        getattr(self, self.rng.choice(self.steps) if self.own else 'create')()

    def fresh(self, what):
        self.serial += 1
        return f'{what}-{self.load.seed}-{self.n}-{self.serial}'

    def life(self, mine=False):
        life = self.rng.choice(self.own if mine or self.rng.random() < 0.8 else
                               self.own + self.load.common)
        self.load.touched.add(life)
        return life

    def path(self, life):
        return f'{self.root}/workers/{life.wid}'

    def note(self, deed, r):
        """An answer that a ledger can hold; anything else is wrong."""
        deed.settle(r, self.load.may)
        if not (200 <= r.status < 300 or r.status in (404, 409, 410, 429) or
                r.code in (*self.load.may, *self.load.refusals)):
            raise Wrong(f'{r} for {deed!r}')
        return r

    # ---- what changes something --------------------------------------------------
    def create(self):
        name = self.fresh('n')
        body, key, wid = {'display_name': name}, None, None
        if self.rng.random() < 0.7:
            wid = body['worker_id'] = self.fresh('w').replace('/', '-')
        if self.rng.random() < 0.6:
            key = self.fresh('key')
        life = Life(wid, body, key, self.root)
        self.load.touched.add(life)
        if wid:
            self.ledger.born(life)
        else:
            self.ledger.nameless.append(life)
        r = self.note(life.create, self.client.post(
            self.root + '/workers', body, headers={'Idempotency-Key': key} if key else {}))
        if life.create.state != ACKED:
            return
        if not wid:
            life.wid = r.json['worker']['worker_id']
            self.ledger.born(life)
            self.ledger.nameless.remove(life)
        life.point(r.json['worker']['cursor'])
        self.own.append(life)
        if len(self.own) > 8:
            self.own.pop(0)

    def words(self, life, kind='user'):
        text = f'{self.rng.choice(WORDS)} {self.fresh("in")}'
        body = {'content': text}
        if kind == 'user':
            body['on_busy'] = self.rng.choice(['reject', 'queue', 'queue', 'interrupt'])
        else:
            body['kind'] = kind
        key = self.fresh('key') if self.rng.random() < 0.6 else None
        deed = Deed(text=text, body=body, key=key, ack=None, root=self.root)
        with life.lock:
            life.inputs.append(deed)
        return deed, {'Idempotency-Key': key} if key else {}

    def speak(self):
        life = self.life()
        deed, headers = self.words(life)
        r = self.note(deed, self.client.post(self.path(life) + '/input', deed.body,
                                             headers=headers))
        if r.status == 202:
            deed.ack = r.json['ack']

    def system(self):
        if self.root != '/v1':
            return
        life = self.life(mine=True)
        deed, headers = self.words(life, 'system')
        r = self.note(deed, self.client.post(self.path(life) + '/input', deed.body,
                                             headers=headers))
        if r.status == 202:
            deed.ack = r.json['ack']

    def wait(self):
        life = self.life()
        deed, headers = self.words(life)
        r = self.note(deed, self.client.post(self.path(life) + '/input?wait=10', deed.body,
                                             headers=headers))
        if r.status == 202:
            deed.ack = r.json['ack']
        elif r.status == 200:
            turn = r.json['turn']
            with life.lock:
                if turn['state'] not in ('running', 'awaiting_approval'):
                    life.ended[turn['turn_id']] = turn

    def follow(self):
        life = self.life()
        deed, headers = self.words(life)
        with sse.Stream(self.client, self.path(life) + '/input', 'POST', deed.body,
                        headers) as stream:
            if stream.head.status != 200:
                self.note(deed, stream.head)
                return
            for event in stream:
                if event.kind == 'ack':
                    deed.state, deed.ack = ACKED, event.data['ack']
                else:
                    life.show(event.id, event.kind, event.data)
                if event.kind == 'end' or self.rng.random() < 0.03:
                    return

    def cancel(self):
        life = self.life()
        deed = Deed(turn_id=None)
        with life.lock:
            life.cancels.append(deed)
        r = self.note(deed, self.client.post(self.path(life) + '/cancel'))
        if r.status == 202 and r.json['ack']['state'] == 'running':
            deed.turn_id = r.json['ack'].get('turn_id')

    def stop(self):
        if self.rng.random() < 0.5:
            return
        life, deed = self.life(mine=True), Deed()
        life.stops.append(deed)
        self.note(deed, self.client.post(self.path(life) + '/stop'))

    def delete(self):
        stopped = [v for v in self.own if v.any(v.stops, ACKED)]
        if not stopped:
            return
        life, deed = self.rng.choice(stopped), Deed()
        self.own.remove(life)
        life.deletes.append(deed)
        self.note(deed, self.client.delete(self.path(life)))
        if deed.state == ACKED and self.rng.random() < 0.5 and 'worker_id' in life.body:
            self.rebirth(life)

    def rebirth(self, old):
        """Another worker under the id of one that was deleted."""
        life = Life(old.wid, {'worker_id': old.wid, 'display_name': self.fresh('n')},
                    root=self.root)
        self.ledger.born(life)
        self.load.touched.add(life)
        r = self.note(life.create, self.client.post(self.root + '/workers', life.body))
        if life.create.state == ACKED:
            life.point(r.json['worker']['cursor'])
            self.own.append(life)

    # ---- what only looks ------------------------------------------------------------
    def again(self):
        life = self.life(mine=True)
        deeds = [d for d in life.inputs
                 if d.key and d.state == ACKED and d.ack and d.root == self.root]
        if deeds and not life.deletes:
            deed = self.rng.choice(deeds)
            r = self.client.post(self.path(life) + '/input', deed.body,
                                 headers={'Idempotency-Key': deed.key})
            if r.status != 202 and r.code not in (*self.load.may, *self.load.refusals):
                raise Wrong(f'a repeat of {deed!r} is answered {r}')
            if r.status == 202 and r.json['ack']['sequence'] != deed.ack['sequence']:
                raise Wrong(f'a repeat of {deed!r} is another: {r}')

    def watch(self):
        life = self.life()
        known = list(life.cursors)
        cursor = self.rng.choice(known[-4:]) if known and self.rng.random() < 0.7 else None
        if self.rng.random() < 0.5:
            target = self.path(life) + '/events?limit=40' + (f'&cursor={cursor}' if cursor else '')
            r = self.client.get(target)
            if r.status == 200:
                for e in r.json['events']:
                    life.show(e['id'], e['event'], e['data'])
            return
        with sse.Stream(self.client, self.path(life) + '/events', cursor=cursor,
                        cut=self.rng.randint(200, 4000)) as stream:
            if stream.head.status != 200:
                return
            stream.sock.settimeout(0.05)  # what comes at once
            with contextlib.suppress(TimeoutError):
                for event in stream:
                    life.show(event.id, event.kind, event.data)

    def read(self):
        life = self.life()
        r = self.client.get(self.path(life) + '/transcript?limit=256')
        if r.status == 200 and r.json['transcript']['next_start'] is None:
            life.saw(r.json['transcript']['items'])

    def look(self):
        self.client.get(self.rng.choice([self.path(self.life()), self.root + '/workers?limit=20']))


def quiet(client, root='/v1', seconds=20.0):
    """Waits until no turn runs or waits."""
    def look():
        r = client.get(f'{root}/workers?state=running&limit=1')
        return r.status == 200 and not r.json['workers']
    wait.until(look, seconds, 'all turns have ended')


class Rounds:
    """Cycles over one root."""

    def __init__(self, host, seed, common=3):
        self.host, self.seed, self.rng = host, seed, random.Random(seed)
        self.ledger, self.round, self.common, self.records = Ledger(), 0, [], 0
        self.requests = 0
        for n in range(common):
            life = Life(f'common-{n}', {'worker_id': f'common-{n}'})
            self.ledger.born(life)
            self.common.append(life)

    def begin(self):
        for life in self.common:
            r = life.create.settle(self.host.v1.post('/v1/workers', life.body))
            assert r.status == 201, r
            life.point(r.json['worker']['cursor'])

    def play(self, least=0.2, most=0.8, how='kill'):
        """One round: load, the end, the next start, the comparison."""
        self.round += 1
        load = Load(self.host, self.ledger, f'{self.seed}.{self.round}', self.common)
        load.touched.update(self.common)
        load.start()
        time.sleep(self.rng.uniform(least, most))  # the moment is what is random here
        wait.until(lambda: load.count >= LEAST or load.wrong, 60, 'some work')
        if how == 'kill':
            self.requests += load.kill()
            self.again()
        elif how == 'stop':
            self.requests += load.stop()
            self.host.restart()
        else:
            self.requests += load.stop()
        self.compare(load.touched)

    def again(self):
        """A start after a crash; now and then it is killed as well."""
        while self.rng.random() < 0.25:
            self.host.write()
            self.host.spawn()
            time.sleep(self.rng.uniform(0.0, 0.06))  # anywhere in its start
            self.host.crash()
        self.host.start()

    def compare(self, touched):
        client = self.host.v1
        quiet(client)
        try:
            every = list(self.ledger.lives.values())
            older = [v for v in every if v not in touched and not v.gone]
            some = [v for v in every if v in touched] + \
                self.rng.sample(older, min(len(older), 12))
            self.records += self.ledger.check(client, some)
            self.resume(client, some)
            doors = {'/v1': client, '/api/runtimes/main': self.host.api}
            self.ledger.repeat(doors, [v for v in touched if v.create.state != REFUSED])
            quiet(client)
            self.records += self.ledger.check(client, [v for v in some if v in touched])
        except AssertionError as e:
            raise Wrong(f'seed {self.seed}, round {self.round}: {e}') from e

    def resume(self, client, lives, most=24):
        """Streams that go on where somebody's ended, before or behind a restart."""
        lives = [v for v in lives if v.cursors and not v.deletes and v.create.state == ACKED]
        for life in self.rng.sample(lives, min(len(lives), most)):
            cursor = self.rng.choice(list(life.cursors)[-3:])
            missed = [life.shown[n] for n in sorted(life.shown) if n > place(cursor)]
            with sse.Stream(client, f'/v1/workers/{life.wid}/events', cursor=cursor) as stream:
                assert stream.head.status == 200, f'{life.wid}: {cursor}: {stream.head}'
                got = []
                while len(got) < len(missed):
                    event = stream.next_event()
                    assert event is not None and event.kind != 'end', (event, missed[len(got):])
                    if event.kind in DURABLE:
                        got.append((event.kind, event.data))
            assert got == missed, f'{life.wid} behind {cursor}: {got}, not {missed}'
        for life in self.ledger.former[-8:]:
            for cursor in list(life.cursors)[-1:]:
                if life.wid in self.ledger.lives and \
                        self.ledger.lives[life.wid].create.state == ACKED and \
                        not self.ledger.lives[life.wid].deletes:
                    client.refused('GET', f'/v1/workers/{life.wid}/events?cursor={cursor}', 410,
                                   'cursor_expired')
