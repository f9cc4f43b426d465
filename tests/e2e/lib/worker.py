"""A worker as a test sees it, on either surface."""
import itertools
import os

from . import sse

_count = itertools.count(1)


def fresh(prefix='w'):
    """A worker id that nobody else uses in this run."""
    return f'{prefix}-{os.getpid()}-{next(_count)}'


class Worker:
    """client: lib.wire.Client; root: '/v1' or '/api/runtimes/RID'."""

    def __init__(self, client, root, wid):
        self.client, self.id, self.path = client, wid, f'{root}/workers/{wid}'
        self.born = None  # the cursor from which all that it ever does is replayed

    @classmethod
    def create(cls, client, root='/v1', wid=None, **fields):
        wid = wid or fresh()
        made = client.ok('POST', f'{root}/workers', {'worker_id': wid, **fields}, status=201)
        worker = cls(client, root, wid)
        worker.born = made['worker']['cursor']
        return worker

    def get(self):
        return self.client.ok('GET', self.path)['worker']

    def input(self, content, headers=None, **fields):
        """The ack of an accepted input."""
        return self.client.ok('POST', self.path + '/input', {'content': content, **fields},
                              status=202, headers=headers)['ack']

    def say(self, content, wait=60, **fields):
        """{turn, message} of an input that is waited for."""
        out = self.client.ok('POST', f'{self.path}/input?wait={wait}',
                             {'content': content, **fields}, status=200, seconds=wait + 10)
        assert set(out) - {'runtime_id'} == {'turn', 'message'}, out
        return out

    def follow(self, content, headers=None, seconds=30.0, **fields):
        """The event stream of one turn."""
        return sse.Stream(self.client, self.path + '/input', 'POST',
                          {'content': content, **fields}, headers, seconds=seconds)

    def events(self, cursor=None, cut=None, seconds=30.0, headers=None):
        return sse.Stream(self.client, self.path + '/events', cursor=cursor, cut=cut,
                          seconds=seconds, headers=headers)

    def batch(self, cursor=None, wait=5, limit=None):
        """Events as a bounded JSON batch."""
        query = f'?wait={wait}' + (f'&cursor={cursor}' if cursor else '') + \
                (f'&limit={limit}' if limit else '')
        return self.client.ok('GET', self.path + '/events' + query, seconds=wait + 15)

    def cancel(self, reason=None):
        return self.client.ok('POST', self.path + '/cancel', reason and {'reason': reason},
                              status=202)['ack']

    def stop(self, reason=None):
        return self.client.ok('POST', self.path + '/stop', reason and {'reason': reason},
                              status=202)['ack']

    def delete(self):
        r = self.client.delete(self.path)
        assert r.status == 204, r

    def transcript(self, query=''):
        return self.client.ok('GET', self.path + '/transcript' + query)['transcript']


def text_of(item):
    """The text of a message's parts."""
    return ''.join(p['text'] for p in item['content'] if p['type'] == 'text')
