"""What clients were told, held against what is there.

A Ledger notes each request before it is sent and its answer when there is one:

    sent      no answer came: it happened once or not at all, either is right
    acked     it happened, once, and stays
    refused   it did not happen and never will
    unsure    it failed in a way after which a restart may find it (a failed
              fsync: nobody knows what the disk has); as `sent`

check(client) reads every worker's history over HTTP, when all is quiet, and
raises Wrong with all that does not fit. Whoever restarts the host calls it
afterwards; the ledger itself knows nothing of hosts.
"""
import concurrent.futures
import copy
import threading

from . import wait
from .tables import DURABLE, TURN_ENDS

SENT, ACKED, REFUSED = 'sent', 'acked', 'refused'


class Wrong(AssertionError):
    pass


def beginning(cursor):
    """The cursor before the first event of the worker that this one is of."""
    return cursor.rsplit('-', 2)[0] + '-0-0'


def settled(client, path):
    """The worker, once no turn of it runs or waits. Asking is what wakes it: a
    list may show one that sleeps as idle, whatever it had under way."""
    worker = client.ok('GET', path)['worker']
    busy = worker['state'] in ('running', 'awaiting_approval') or worker.get('queued')
    return None if busy else worker


def place(cursor):
    """The sequence of the last durable event that a cursor is behind."""
    return int(cursor.rsplit('-', 2)[1])


class Deed:
    """One request."""

    def __init__(self, **what):
        self.state, self.answer = SENT, None
        self.__dict__.update(what)

    def settle(self, response, unsure=()):
        """response: None when none came. Gives it back."""
        if response is None:
            return None
        self.answer = response
        if 200 <= response.status < 300:
            self.state = ACKED
        elif response.code not in unsure:
            self.state = REFUSED
        return response

    def __repr__(self):
        return f'<{self.state} {({k: v for k, v in vars(self).items() if k != "state"})}>'


class Life:
    """One worker, from its create to its delete."""

    def __init__(self, wid, body, key=None, root='/v1'):
        self.wid, self.body, self.key, self.root = wid, body, key, root
        self.create = Deed()
        self.inputs, self.cancels, self.stops, self.deletes = [], [], [], []
        self.shown = {}    # sequence -> (kind, data) of durable events that somebody saw
        self.cursors = {}  # cursor -> None, that somebody was given
        self.items = []    # the longest transcript that somebody saw
        self.ended = {}    # turn_id -> turn, as an answer had it
        self.lock = threading.Lock()
        self.beginning = None
        self.gone = False  # its absence was checked

    def show(self, id_, kind, data):
        with self.lock:
            if id_:
                self.cursors[id_] = None
                self.beginning = self.beginning or beginning(id_)
            if kind in DURABLE:
                before = self.shown.setdefault(data['sequence'], (kind, data))
                if before != (kind, data):
                    raise Wrong(f'{self.wid}: two events of one sequence: {before}, {kind} {data}')

    def point(self, cursor):
        with self.lock:
            self.cursors[cursor] = None
            self.beginning = self.beginning or beginning(cursor)

    def saw(self, items):
        with self.lock:
            short, long = sorted((self.items, items), key=len)
            if long[:len(short)] != short:
                raise Wrong(f'{self.wid}: a transcript changed: {short} then {long}')
            self.items = long

    def any(self, deeds, *states):
        return any(d.state in states for d in deeds)


class Ledger:
    def __init__(self):
        self.lives, self.former, self.lock = {}, [], threading.Lock()
        self.nameless = []  # creates without an id that nobody answered

    def copy(self):
        """What it says now."""
        out = Ledger()
        for wid, life in self.lives.items():
            out.lives[wid] = new = Life(wid, life.body, life.key, life.root)
            for name, value in vars(life).items():
                if name != 'lock':
                    setattr(new, name, copy.deepcopy(value))
        return out

    def born(self, life):
        with self.lock:
            if life.wid in self.lives:
                self.former.append(self.lives[life.wid])
            self.lives[life.wid] = life

    # ---- reading ------------------------------------------------------------
    @staticmethod
    def history(client, life, root='/v1'):
        """[(kind, data)] from the first event to the worker's last one."""
        worker = wait.until(lambda: settled(client, f'{root}/workers/{life.wid}'), 20,
                            f'the turns of {life.wid} end')
        life.beginning = life.beginning or beginning(worker['cursor'])
        last, cursor, out = place(worker['cursor']), life.beginning, []
        if beginning(worker['cursor']) != life.beginning:
            raise Wrong(f'{life.wid} has cursors of another worker: {worker["cursor"]} '
                        f'behind {life.beginning}')
        while not out or out[-1][1]['sequence'] < last:
            got = client.ok('GET', f'{root}/workers/{life.wid}/events?cursor={cursor}&limit=256'
                            '&wait=1')
            if not got['events']:
                raise Wrong(f'{life.wid}: nothing behind {cursor}, though it is at {last}: {got}')
            out += [(e['event'], e['data']) for e in got['events'] if e['event'] in DURABLE]
            cursor = got['cursor']
        return out, worker

    @staticmethod
    def transcript(client, life, root='/v1'):
        items, start = [], 0
        while start is not None:
            page = client.ok('GET', f'{root}/workers/{life.wid}/transcript?start={start}'
                             '&limit=256')['transcript']
            items += page['items']
            start = page['next_start']
        return items

    @staticmethod
    def ids(client, root='/v1'):
        """Every worker that is listed, by id."""
        out, after = {}, ''
        while after is not None:
            page = client.ok('GET', f'{root}/workers?limit=256' +
                             (f'&after={after}' if after else ''))
            out.update((w['worker_id'], w) for w in page['workers'])
            after = page['next']
        return out

    # ---- comparing ------------------------------------------------------------
    def check(self, client, lives=None, root='/v1'):
        """All of it, or of some lives. The number of records that were judged."""
        listed = self.ids(client, root)
        wrong, count = [], 0
        unknown = set(listed) - set(self.lives)
        names = {w['display_name']: wid for wid, w in listed.items() if wid in unknown}
        for life in self.nameless:
            unknown.discard(names.get(life.body.get('display_name')))
        if unknown:
            wrong.append(f'workers that nobody asked for: {sorted(unknown)}')
        every = list(self.lives.values()) if lives is None else lives
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for life, job in [(v, pool.submit(self.one, client, v, listed, root)) for v in every]:
                try:
                    count += job.result()
                except AssertionError as e:
                    wrong.append(f'{life.wid}: {e}')
        if wrong:
            raise Wrong('\n'.join(wrong[:12]))
        return count

    def one(self, client, life, listed, root='/v1'):
        there = life.wid in listed
        if life.any(life.deletes, ACKED) or life.create.state == REFUSED:
            assert not there, 'is there, though its delete was acknowledged or its create refused'
            client.refused('GET', f'{root}/workers/{life.wid}', 404, 'worker_not_found')
            life.gone = True
            return 0
        if not there:
            assert life.create.state == SENT or life.any(life.deletes, SENT), \
                f'is lost: {life.create!r}'
            return 0
        records, worker = self.history(client, life, root)
        whole = obey(records)
        for sequence, seen in life.shown.items():
            now = records[sequence - 1] if sequence <= len(records) else None
            assert now == seen, f'an event was {seen} and is {now}'
        self.inputs(life, records)
        self.ends(life, records, worker)
        items = self.transcript(client, life, root)
        assert items[:len(life.items)] == life.items, \
            f'a transcript was {life.items[-2:]} and is {items[:len(life.items)][-2:]}'
        assert [i['sequence'] for i in items] == whole, 'transcript and history do not agree'
        for sequence, (kind, data) in enumerate(records, 1):
            life.shown[sequence] = (kind, data)
        life.items = items
        return len(records)

    @staticmethod
    def inputs(life, records):
        found = {}
        for _, data in (r for r in records if r[0] == 'input.accepted'):
            text = ''.join(p['text'] for p in data['content'])
            found.setdefault(text, []).append(data)
        for deed in life.inputs:
            have = found.pop(deed.text, [])
            if deed.state == ACKED:
                assert len(have) == 1, f'{len(have)} times there: {deed!r}'
                if deed.ack:
                    assert (have[0]['sequence'], have[0].get('turn_id')) == (
                        deed.ack['sequence'], deed.ack.get('turn_id')), (deed, have)
            elif deed.state == SENT:
                assert len(have) <= 1, f'{len(have)} times there: {deed!r}'
            else:
                assert not have, f'refused, and there: {deed!r}'
        assert not found, f'input that nobody sent: {found}'

    @staticmethod
    def ends(life, records, worker):
        stopped = records[-1][0] == 'worker.stopped'
        assert stopped == (worker['state'] == 'stopped'), (records[-1], worker)
        if life.any(life.stops, ACKED):
            assert stopped, 'a stop was acknowledged'
        if not life.any(life.stops, ACKED, SENT):
            assert not stopped, 'nobody stopped it'
        turns = {d['turn']['turn_id']: d['turn'] for k, d in records if k == 'turn.ended'}
        for tid, turn in life.ended.items():
            assert turns.get(tid) == turn, f'a turn was told to be {turn} and is {turns.get(tid)}'
        asked = [d['turn_id'] for k, d in records if k == 'turn.cancel_requested']
        for deed in life.cancels:
            if deed.state == ACKED and deed.turn_id:
                assert deed.turn_id in asked, f'an acknowledged cancel is not there: {deed!r}'

    # ---- doing it again ----------------------------------------------------------
    def repeat(self, doors, lives, limit=20):
        """Repeats requests that have a key or an id, answered or not: each gives
        what its first try gave, or happens now. doors: the client of each root,
        since a key is of one principal."""
        count = 0
        for life in lives:
            if count >= limit:
                break
            if life.create.state != REFUSED and not life.deletes:
                count += self.create_again(doors[life.root], life)
            if life.create.state != ACKED or life.deletes:
                continue
            for deed in [d for d in life.inputs if d.key and d.state != REFUSED][-2:]:
                self.input_again(doors[deed.root], life, deed)
                count += 1
        return count

    def create_again(self, client, life):
        headers = {'Idempotency-Key': life.key} if life.key else {}
        if not life.key and 'worker_id' not in life.body:
            return 0
        r = client.post(f'{life.root}/workers', life.body, headers=headers)
        if life.create.state == ACKED:
            assert r.status == 200, f'{life.wid}: made twice: {r}'
        else:
            assert r.status in (200, 201), f'{life.wid}: {r}'
        wid = r.json['worker']['worker_id']
        if life.wid is None:
            life.wid = wid
            self.nameless.remove(life)
            self.born(life)
        assert wid == life.wid, f'{life.wid}: the create gives {wid} now'
        life.create.state = ACKED
        life.point(r.json['worker']['cursor'])
        return 1

    @staticmethod
    def input_again(client, life, deed):
        target, key = f'{deed.root}/workers/{life.wid}/input', {'Idempotency-Key': deed.key}
        r = client.post(target, deed.body, headers=key)
        if deed.state == ACKED:
            assert r.status == 202, f'{life.wid}: {deed!r} is answered {r}'
            for name in ('turn_id', 'sequence'):
                assert not deed.ack or r.json['ack'].get(name) == deed.ack.get(name), (deed, r)
        elif r.status == 202:
            deed.state = ACKED
        else:
            assert r.code in ('worker_stopped', 'worker_busy', 'queue_full'), f'{deed!r}: {r}'
            deed.state = REFUSED
        if r.status == 202:
            deed.ack = r.json['ack']
            other = client.post(target, {'content': 'something else'}, headers=key)
            assert other.status == 409 and other.code == 'idempotency_conflict', other


def obey(records):
    """The rules that a history has, whatever happened to its worker, once it is
    quiet. The sequences of its transcript's items."""
    assert [d['sequence'] for _, d in records] == list(range(1, len(records) + 1)), \
        f'a gap: {[d["sequence"] for _, d in records]}'
    assert records[0][0] == 'worker.created', records[0]
    accepted, started, ended, open_turn, calls, asked, items = {}, set(), {}, None, {}, set(), []
    for kind, data in records:
        tid = data.get('turn_id')
        if kind == 'worker.created':
            assert data['sequence'] == 1, 'created twice'
        elif kind == 'input.accepted':
            assert tid not in accepted, f'one turn of two inputs: {tid}'
            if tid:
                accepted[tid] = data
            items.append(data['sequence'])
        elif kind == 'turn.started':
            assert open_turn is None and tid in accepted and tid not in started, (tid, open_turn)
            open_turn = tid
            started.add(tid)
        elif kind == 'turn.cancel_requested':
            assert tid in accepted and tid not in ended, 'a cancel of no turn'
            asked.add(tid)
        elif kind == 'turn.ended':
            turn = data['turn']
            assert tid == turn['turn_id'] and tid in accepted and tid not in ended, turn
            assert (turn['state'], turn['reason']) in TURN_ENDS, turn
            assert not calls, f'calls without result: {calls}'
            assert tid not in asked or turn['state'] in ('cancelled', 'interrupted') or \
                turn['reason'] == 'store_error', turn
            assert (turn['started_at'] is not None) == (tid in started), turn
            ended[tid] = turn
            open_turn = None if tid == open_turn else open_turn
        elif kind == 'tool.requested':
            assert tid not in asked, 'a tool behind a cancel'
            calls[data['call']['id']] = data
        elif kind == 'tool.completed':
            assert data['call_id'] in calls, f'a result without call: {data}'
            del calls[data['call_id']]
            items.append(data['sequence'])
        elif kind == 'message.completed':
            items.append(data['sequence'])
        elif kind == 'worker.stopped':
            assert data['sequence'] == len(records), 'something behind the stop'
        if kind in ('message.completed', 'tool.requested', 'tool.completed'):
            assert tid == open_turn, f'of a turn that does not run: {kind} {data}'
    assert set(accepted) == set(ended), f'turns without end: {set(accepted) - set(ended)}'
    assert open_turn is None
    return items
