"""What a watcher has in its hands: the text per message and the log.

View takes events as they come, over as many connections as it needs, and
holds what a careful client would show: deltas are added, message.completed
replaces them, a snapshot replaces all that is in flight, the end of a turn
clears it. An event whose id was seen is a duplicate and harmless.
"""
import random

from .tables import DURABLE
from .worker import text_of


class View:
    def __init__(self):
        self.text = {}      # (turn_id, step) -> what was said
        self.whole = set()  # of those that message.completed settled
        self.log = []       # (id, kind, data) of durable events
        self.seen = set()
        self.cursor = None
        self.ends = []
        self.flight = {}    # every state of the text while it was in flight

    def take(self, event):
        if event.id:
            self.cursor = event.id
        if event.kind == 'end':
            self.ends.append(event.data)
            return
        if event.kind == 'snapshot':
            flight = event.data['in_flight']
            if flight:
                self.text[(flight['turn_id'], flight['step'])] = flight['text']
            return
        if event.id in self.seen:
            return
        if event.id:
            self.seen.add(event.id)
        if event.kind in DURABLE:
            self.log.append((event.id, event.kind, event.text))
        if event.kind == 'text.delta':
            key = (event.data['turn_id'], event.data['step'])
            assert key not in self.whole, f'a delta behind its message: {event}'
            self.text[key] = self.text.get(key, '') + event.data['text']
            self.flight.setdefault(key, []).append(self.text[key])
        elif event.kind == 'message.completed':
            item = event.data['item']
            if item['role'] == 'assistant':
                key = (item['turn_id'], item['step'])
                self.whole.add(key)
                self.text[key] = text_of(item)

    @property
    def kinds(self):
        return [kind for _, kind, _ in self.log]

    def check_prefixes(self):
        """What stood on the screen was always a beginning of the message."""
        for key, states in self.flight.items():
            for state in states:
                assert self.text[key].startswith(state), (key, state[-40:], self.text[key][:200])


def watch(worker, view, done):
    """One connection from the view's cursor until done(view)."""
    with worker.events(view.cursor) as stream:
        assert stream.head.status == 200, stream.head
        for event in stream:
            view.take(event)
            if done(view):
                return view
    raise AssertionError(f'stream over too early: {view.ends}')


def watch_cut(worker, view, done, seed, least=10, most=900):
    """Like watch, over connections that end after a random number of bytes.

    Gives the number of cuts. An event that is longer than `most` needs more
    than one try: a connection that brought nothing lets the next live longer."""
    rng, limit, before = random.Random(seed), most, None
    for cuts in range(20000):
        limit = 2 * limit if view.cursor == before else most
        before = view.cursor
        with worker.events(view.cursor, cut=rng.randint(least, limit)) as stream:
            assert stream.head.status == 200, stream.head
            for event in stream:
                view.take(event)
                if done(view):
                    return cuts
    raise AssertionError('no progress over 20000 connections')
