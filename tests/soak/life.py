"""One worker from its creation to its end, and those who watch it.

A life creates a worker, speaks to it a few times in every way there is,
cancels now and then, stops it, reads its history from the start, deletes it.
Meanwhile watchers come and go and resume by cursor, take it as a stream or by
long polls, or ask and never read. When the worker is stopped everybody reads
on to the stop; then what they saw is held against the history.
"""
import asyncio
import json
import random

from lib.judge import judge
from lib.tables import DURABLE
from speech import Line

STUCK_S = 90   # retries with their waits, a first byte, a gap: far below
PAUSE_S = 0.6  # between two things that one life does, on average


class Seen:
    """What one watcher saw: durable events by id, in order, each once."""

    def __init__(self, whole):
        self.whole = whole  # it began at the birth
        self.cursor, self.log, self.order = None, {}, []

    def take(self, check, wid, id_, kind, data):
        if id_:
            self.cursor = id_
        if kind not in DURABLE:
            return
        before = self.log.get(id_)
        if before is None:
            self.log[id_] = (kind, data)
            self.order.append(id_)
        else:
            check('an event that comes again is the same', before == (kind, data), wid, id_)

    @property
    def stopped(self):
        return bool(self.order) and self.log[self.order[-1]][0] == 'worker.stopped'


class Life:
    def __init__(self, soak, seed):
        self.soak, self.rng = soak, random.Random(seed)
        self.check = soak.check
        self.door = self.rng.choice(soak.doors)
        self.id, self.born = f'soak-{seed}', None
        self.lines = {}         # turn id -> Line
        self.cancelled = set()  # turns that a cancel may have met
        self.open = set()       # acknowledged, and not seen to end
        self.watchers, self.tasks = [], []

    # ---- asking ------------------------------------------------------------
    @property
    def path(self):
        """Either surface, by dice."""
        self.door = self.rng.choice(self.soak.doors)
        return f'{self.door.path}/workers/{self.id}'

    async def ask(self, method, rest, body=None, may=(), headers=None):
        path = self.path + rest
        answer = await self.door.request(method, path, body, headers)
        self.check('every answer is one that the tables allow', answer.status in may, method, path,
                   body, answer)
        return answer

    async def pause(self):
        await asyncio.sleep(self.rng.expovariate(1 / PAUSE_S))  # the pace of the load

    # ---- from birth to death --------------------------------------------------
    async def live(self):
        await self.create()
        for _ in range(self.rng.randint(0, 3)):
            self.tasks.append(asyncio.create_task(self.watch()))
        for _ in range(self.rng.randint(1, 6)):
            await self.pause()
            await self.rng.choices([self.post, self.twice, self.wait, self.follow, self.collide],
                                   [6, 2, 3, 6, 2])[0]()
            if self.rng.random() < 0.12:
                self.tasks.append(asyncio.create_task(self.stare()))
        await self.stop()
        done = await asyncio.wait_for(asyncio.gather(*self.tasks, return_exceptions=True), STUCK_S)
        for e in done:
            self.check('every watcher comes to the end', not isinstance(e, Exception), self.id,
                       repr(e))
        await self.settle_accounts()
        await self.ask('DELETE', '', may={204})
        await self.ask('GET', '', may={404})

    async def create(self):
        named = self.rng.random() < 0.7
        body = {'worker_id': self.id} if named else {'display_name': 'no name'}
        headers = None if named else {'Idempotency-Key': self.id}
        door = self.door
        answers = [await door.request('POST', door.path + '/workers', body, headers)
                   for _ in range(2 if self.rng.random() < 0.2 else 1)]
        self.check('a create that is repeated gives the same worker',
                   [a.status for a in answers] == [201, 200][:len(answers)] and
                   len({a.json['worker']['worker_id'] for a in answers}) == 1, answers)
        self.id, self.born = (answers[0].json['worker'][k] for k in ('worker_id', 'cursor'))

    def accepted(self, line, ack):
        turn_id = ack['turn_id']
        if turn_id not in self.lines:
            self.soak.acks += 1
            self.lines[turn_id] = line
            self.open.add(turn_id)

    async def post(self):
        line = Line(self.rng)
        answer = await self.ask('POST', '/input', {'content': line.text}, may={202})
        await self.answered(line, answer)

    async def answered(self, line, answer):
        if answer.status != 202:
            return
        ack = answer.json['ack']
        self.accepted(line, ack)
        if self.rng.random() < 0.2:
            await self.cancel()
        await self.ended(ack)

    async def twice(self):
        """A retry with its key, before or after the turn's end."""
        line, key = Line(self.rng), {'Idempotency-Key': f'"{self.rng.getrandbits(64):x}"'}
        body = {'content': line.text}
        door = self.rng.choice(self.soak.doors)  # a key belongs to a principal
        target = f'{door.path}/workers/{self.id}/input'
        first = await door.request('POST', target, body, key)
        if self.rng.random() < 0.5:
            await asyncio.sleep(self.rng.random())  # some of these turns are over by then
        second = await door.request('POST', target, body, key)
        same = first.status == second.status == 202 and all(
            first.json['ack'].get(k) == second.json['ack'].get(k) for k in ('turn_id', 'sequence'))
        self.check('a retry with its key gives the same acknowledgement', same, first, second)
        other = await door.request('POST', target, {'content': 'another'}, key)
        self.check('a key that comes with another body is refused',
                   other.status == 409 and other.code == 'idempotency_conflict', other)
        await self.answered(line, first)

    async def wait(self):
        line = Line(self.rng)
        answer = await self.ask('POST', f'/input?wait={self.rng.choice((0.05, 1, 20))}',
                                {'content': line.text}, may={200, 202})
        if answer.status == 200:
            turn = answer.json['turn']
            self.accepted(line, turn)
            self.check('?wait answers when the turn has ended', turn['state'] != 'running', turn)
        await self.answered(line, answer)

    async def follow(self):
        line = Line(self.rng)
        path = self.path
        stream = await self.door.stream('POST', path + '/input', {'content': line.text})
        self.check('every answer is one that the tables allow', stream.head.status == 200,
                   stream.head)
        if stream.head.status != 200:
            return
        leaves = self.rng.randint(1, 40) if self.rng.random() < 0.3 else None
        ack, n, last = None, 0, None
        try:
            while event := await stream.event(STUCK_S):
                if event.kind == 'ack':
                    ack = event.data['ack']
                    self.accepted(line, ack)
                    if self.rng.random() < 0.1:
                        await self.cancel()
                n, last = n + 1, event.kind
                if n == leaves:
                    return await self.ended(ack)
        finally:
            stream.close()
        self.check('a followed turn comes to its end', ack and last == 'end', self.id, last)
        await self.ended(ack)

    async def collide(self):
        """Two inputs at once: one is accepted, the other is busy."""
        lines = [Line(self.rng), Line(self.rng)]
        asked = [self.ask('POST', '/input', {'content': one.text}, may={202, 409})
                 for one in lines]
        answers = await asyncio.gather(*asked)
        for line, answer in zip(lines, answers):  # the first may be over before the second came
            if answer.status == 202:
                self.accepted(line, answer.json['ack'])
        for line, answer in zip(lines, answers):
            if answer.status == 409:
                self.check('a second input is busy', answer.code == 'worker_busy', answer)
            await self.answered(line, answer)

    async def cancel(self):
        """It is the worker that is told, so it meets whichever turn runs then."""
        await asyncio.sleep(self.rng.choice((0, 0.01, 0.1)))
        self.cancelled |= self.open
        await self.ask('POST', '/cancel', self.rng.choice((None, {'reason': 'dice'})), may={202})

    async def ended(self, ack):
        """Long polls from the acknowledgement on, until its turn has ended."""
        cursor = ack.get('cursor') or self.born
        for _ in range(STUCK_S):
            answer = await self.ask('GET', f'/events?wait=5&limit=64&cursor={cursor}',
                                    may={200, 410})
            if answer.status != 200:
                break
            batch = answer.json
            for e in batch['events']:
                if e['event'] == 'turn.ended' and e['data']['turn_id'] == ack['turn_id']:
                    self.open.discard(ack['turn_id'])
                    self.check('no worker is stuck in a turn', True)
                    return
            cursor = batch['cursor'] or cursor
        self.check('no worker is stuck in a turn', False, self.id, ack)

    async def stop(self):
        """Once or twice; sometimes while it speaks."""
        if self.rng.random() < 0.3:
            line = Line(self.rng)
            answer = await self.ask('POST', '/input', {'content': line.text}, may={202})
            if answer.status == 202:
                self.accepted(line, answer.json['ack'])
                self.cancelled.add(answer.json['ack']['turn_id'])
        for _ in range(self.rng.randint(1, 2)):
            await self.ask('POST', '/stop', may={202})
        refused = await self.ask('POST', '/input', {'content': 'mode=text'}, may={409})
        self.check('a stopped worker takes no input', refused.code == 'worker_stopped', refused)

    # ---- watching ---------------------------------------------------------------
    async def watch(self):
        """Comes, goes, comes again with its cursor, until it has seen the stop."""
        whole = self.rng.random() < 0.7
        seen = Seen(whole)
        self.watchers.append(seen)
        if whole:
            seen.cursor = self.born
        while not seen.stopped:
            polls = self.rng.random() < 0.25 and seen.cursor
            await (self.poll(seen) if polls else self.stream(seen))
            if not seen.stopped:
                await asyncio.sleep(self.rng.random() * 0.3)  # away for a moment

    async def poll(self, seen):
        answer = await self.ask('GET', f'/events?wait={self.rng.choice((0, 1, 3))}&cursor='
                                f'{seen.cursor}&limit={self.rng.randint(1, 256)}', may={200})
        batch = answer.json
        for e in batch['events']:
            seen.take(self.check, self.id, e['id'], e['event'], e['data'])
        seen.cursor = batch['cursor'] or seen.cursor

    async def stream(self, seen):
        path, cursor = self.path, seen.cursor
        if seen.order and self.rng.random() < 0.2:
            cursor = self.rng.choice(seen.order)  # asks again for what it has
        stream = await self.door.stream('GET', path + '/events', cursor=cursor)
        self.check('every answer is one that the tables allow', stream.head.status == 200,
                   stream.head)
        if stream.head.status != 200:
            raise AssertionError(f'{stream.head} for {cursor}')
        stays = self.rng.randint(1, 120)
        self.soak.streams += 1
        try:
            for _ in range(stays):
                event = await stream.event(STUCK_S)
                if event is None:
                    return
                if event.kind == 'end':
                    self.check('a stream is ended for a reason that it says',
                               event.data['reason'] in ('lagged', 'draining'), event)
                    continue
                seen.take(self.check, self.id, event.id, event.kind, event.data)
                if seen.stopped:
                    return
        finally:
            stream.close()
            self.soak.streams -= 1

    async def stare(self):
        path = self.path
        await self.door.stare(path + '/events', self.rng.choice((0.1, 2, 8)))

    # ---- the reckoning -------------------------------------------------------------
    async def history(self):
        """All durable events, read by cursor from the birth."""
        out, cursor = [], self.born
        while True:
            batch = (await self.ask('GET', f'/events?wait=0&limit={self.rng.randint(3, 256)}'
                                    f'&cursor={cursor}', may={200})).json
            out += [(e['id'], e['event'], e['data']) for e in batch['events']
                    if e['event'] in DURABLE]
            if not batch['events'] or (out and out[-1][1] == 'worker.stopped'):
                return out
            cursor = batch['cursor']

    async def settle_accounts(self):
        history = await self.history()
        known = {id_: (kind, data) for id_, kind, data in history}
        try:
            judge([(kind, data) for _, kind, data in history])
            broken = None
        except AssertionError as e:
            broken = str(e)
        self.check('every history obeys the rules', broken is None, self.id, broken)
        order = [id_ for id_, _, _ in history]
        for seen in self.watchers:
            self.check('what a watcher saw is in the history, the same',
                       all(known.get(k) == v for k, v in seen.log.items()), self.id)
            if seen.whole:
                self.check('a watcher from the start saw the whole history in order',
                           seen.order == order, self.id, f'{len(seen.order)} of {len(order)}')
        self.count_turns(history)

    def count_turns(self, history):
        ends, said = {}, {}
        for _, kind, data in history:
            if kind == 'turn.ended':
                ends.setdefault(data['turn_id'], []).append(data['turn'])
            elif kind == 'message.completed' and data['item']['role'] == 'assistant':
                said[data['turn_id']] = ''.join(p['text'] for p in data['item']['content'])
        for turn_id, line in self.lines.items():
            turns = ends.pop(turn_id, [])
            self.check('every acknowledged input has a turn that ends exactly once',
                       len(turns) == 1, self.id, turn_id, len(turns))
            for turn in turns:
                self.soak.turns[turn['state']] = self.soak.turns.get(turn['state'], 0) + 1
                self.soak.steps += turn['steps']
                may = line.ends | ({'cancelled'} if turn_id in self.cancelled else set())
                self.check('a turn ends as what it was told allows', turn['state'] in may,
                           line.text, json.dumps(turn))
                if turn['state'] == 'completed' and line.words() is not None:
                    self.check('a completed turn said all of its words',
                               said.get(turn_id) == line.words(), line.text, said.get(turn_id))
        self.check('no turn runs that nobody asked for', not ends, self.id, list(ends))
