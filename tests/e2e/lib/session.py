"""A short life of a few workers, the same each time: what a fault is put into.

Session(host, ledger, may).run() does it all with one client and notes it.
Every request is answered with success or with a code that is right there or
stands in `may`; anything else, and no answer from a host that lives, is wrong.
"""
from . import wait
from .crash import BROKEN
from .ledger import ACKED, Deed, Life, Wrong

FITTING = {'worker_not_found', 'worker_stopped', 'worker_busy', 'worker_not_stopped'}


class Died(Exception):
    """The process is gone; what it did not answer is unsure."""


class Session:
    def __init__(self, host, ledger, may=(), name='s'):
        """may: codes that a fault brings. sure: what failed never happened."""
        self.host, self.ledger, self.may, self.name = host, ledger, set(may), name
        self.client, self.lives, self.sure = host.v1, {}, False
        self.failed = []  # the answers that a fault brought
        self.before = lambda: None  # called before each request

    def ask(self, deed, method, path, body=None, headers=None, **kw):
        self.before()
        try:
            r = self.client.request(method, '/v1' + path, body, headers=headers or {}, **kw)
        except BROKEN as e:
            # Its end may become known to us a little later than its silence.
            if isinstance(e, TimeoutError) or not self._ends():
                raise Wrong(f'{method} {path}: no answer from a host that lives: {e!r}') from e
            raise Died from e
        if r.status >= 300 and r.code not in FITTING | self.may:
            raise Wrong(f'{method} {path}: {r}')
        if r.status >= 300 and r.code in self.may:
            self.failed.append((method, path, r))
        if deed is not None:
            deed.settle(r, () if self.sure else self.may)
        return r

    def _ends(self):
        try:
            wait.until(lambda: not self.host.alive(), 60, 'its end')
            return True
        except AssertionError:
            return False

    # ---- the verbs --------------------------------------------------------------
    def create(self, wid, key=None):
        life = Life(f'{self.name}-{wid}', {'worker_id': f'{self.name}-{wid}'}, key)
        self.lives[wid] = life
        self.ledger.born(life)
        r = self.ask(life.create, 'POST', '/workers', life.body,
                     {'Idempotency-Key': key} if key else None)
        if life.create.state == ACKED:
            life.point(r.json['worker']['cursor'])

    def say(self, wid, text, wait=None, on_busy=None, key=None):
        life = self.lives[wid]
        deed = Deed(text=text, body={'content': text, **({'on_busy': on_busy} if on_busy else {})},
                    key=key, ack=None, root='/v1')
        life.inputs.append(deed)
        r = self.ask(deed, 'POST', f'/workers/{life.wid}/input' +
                     (f'?wait={wait}' if wait else ''), deed.body,
                     {'Idempotency-Key': key} if key else None, seconds=30)
        if r.status == 202:
            deed.ack = r.json['ack']
        elif r.status == 200 and r.json['turn']['reason'] != 'store_error':
            life.ended[r.json['turn']['turn_id']] = r.json['turn']

    def cancel(self, wid):
        deed = Deed(turn_id=None)
        self.lives[wid].cancels.append(deed)
        r = self.ask(deed, 'POST', f'/workers/{self.lives[wid].wid}/cancel')
        if r.status == 202 and r.json['ack']['state'] == 'running':
            deed.turn_id = r.json['ack'].get('turn_id')

    def stop(self, wid):
        deed = Deed()
        self.lives[wid].stops.append(deed)
        self.ask(deed, 'POST', f'/workers/{self.lives[wid].wid}/stop')

    def delete(self, wid):
        deed = Deed()
        self.lives[wid].deletes.append(deed)
        self.ask(deed, 'DELETE', f'/workers/{self.lives[wid].wid}')

    def read(self, wid):
        life = self.lives[wid]
        r = self.ask(None, 'GET', f'/workers/{life.wid}/transcript')
        if r.status == 200:
            life.saw(r.json['transcript']['items'])
        r = self.ask(None, 'GET', f'/workers/{life.wid}/events?limit=256' +
                     (f'&cursor={life.beginning}' if life.beginning else ''))
        if r.status == 200:
            for e in r.json['events']:
                life.show(e['id'], e['event'], e['data'])

    def idle(self):
        """Waits until no turn runs: what follows is then the same each time."""
        def look():
            r = self.ask(None, 'GET', '/workers?state=running&limit=1')
            return r.status != 200 or not r.json['workers']
        wait.until(look, 20, 'all turns have ended')

    # ---- the whole -----------------------------------------------------------------
    def run(self):
        """True: to its end. False: the process died on the way."""
        try:
            self.first()
            self.second()
            return True
        except Died:
            return False

    def first(self):
        self.create('a')
        self.create('b', key=f'{self.name}-key-b')
        self.say('a', 'plain one', wait=20)
        self.say('b', 'tool two', wait=20, key=f'{self.name}-key-two')
        self.say('a', 'slow three', key=f'{self.name}-key-three')
        self.say('a', 'plain four', on_busy='queue')
        self.cancel('a')
        self.say('a', 'plain five', wait=20, on_busy='queue')
        self.read('a')
        self.read('b')
        self.idle()

    def second(self):
        self.stop('b')
        self.delete('b')
        self.create('c')
        self.say('c', 'slow six')
        self.say('c', 'long seven', wait=20, on_busy='interrupt')
        self.stop('c')
        self.read('c')
        self.idle()
