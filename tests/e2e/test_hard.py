"""Memory is short at any moment: the host lives, and answers are right or typed.

Only for a hard build (make HARD=1), whose host lets every M-th allocation after
`msg=ready` fail. M is no divisor of what a conversation allocates, so that over
the rounds each of its allocations is met, in the engine, the ingress, the model
and the host. A connection may be closed where even an error has no memory.
"""
import pytest

from lib import configs, wait
from lib.tables import CODE, HARD
from lib.wire import Closed
from lib.worker import Worker

pytestmark = pytest.mark.skipif(not HARD, reason='not a hard build')
WORDS = 'well, this is said in some pieces '
GONE = (Closed, ConnectionError, BrokenPipeError)


def config():
    """A drain or a turn that hangs until its limit is one that fails the test."""
    model = configs.script({'chunk': 9}, {'say': WORDS, 'times': 4}, {'echo': True},
                           {'usage': {'input_tokens': 3, 'output_tokens': 5}})
    return configs.standard(model=model, drain_ms=120000)


class Talk:
    """One client; counts what it got."""

    def __init__(self, host):
        self.host, self.good, self.failed, self.closed, self.ids = host, 0, 0, 0, []

    def ask(self, method, target, body=None, also=(), **kw):
        """The response, judged; None when there was none."""
        try:
            r = self.host.v1.request(method, target, body, **kw)
        except GONE:
            self.closed += 1
            return None
        if r.status < 400 or r.status in also:
            self.good += 1
            return r
        error = r.json['error']
        assert error['code'] in CODE and CODE[error['code']].status == r.status, r
        assert r.status >= 500 or error['code'] == 'limit_reached', r
        self.failed += 1
        return None

    def insist(self, method, target, body=None, also=(), tries=40):
        """A request works when it is only tried again."""
        for _ in range(tries):
            r = self.ask(method, target, body, also)
            if r is not None:
                return r
        raise AssertionError(f'{method} {target}: failed {tries} times; {self.host.tail()}')

    def follow(self, worker):
        """A turn that is followed: its stream has an end that can be read, or breaks."""
        try:
            with worker.follow(WORDS) as stream:
                if stream.head.status != 200:
                    code = stream.head.status
                    assert code >= 500 or code in (404, 409, 429), stream.head
                    return
                kinds = [e.kind for e in stream]
        except GONE:
            self.closed += 1
            return
        if not stream.ended:  # cut, and seen as one
            self.closed += 1
            return
        assert kinds and kinds[-1] in ('end', 'turn.ended'), kinds
        self.good += 1

    def round(self, n):
        wid = f'w{n}'
        path = f'/v1/workers/{wid}'
        if not self.ask('POST', '/v1/workers', {'worker_id': wid}):
            return
        self.ids.append(wid)
        key = {'Idempotency-Key': f'k{n}'}
        late = (404, 409)  # its create was answered, but a turn may run or not
        for _ in range(2):  # the second is a replay, if the first was kept
            self.ask('POST', f'{path}/input?wait=30', {'content': WORDS}, late, headers=key,
                     seconds=60.0)
        self.follow(Worker(self.host.v1, '/v1', wid))
        self.ask('GET', f'{path}/events?wait=0&limit=20')
        self.ask('GET', f'{path}/transcript')
        self.ask('GET', '/v1/workers?limit=5')
        self.ask('POST', f'{path}/input', {'content': WORDS}, late)
        self.ask('POST', f'{path}/cancel', None, late)

    def settle(self):
        """Whatever failed, no worker is stuck, and each can be used and removed."""
        for wid in self.ids:
            path = f'/v1/workers/{wid}'

            def quiet(path=path):
                r = self.insist('GET', path)
                return r.json['worker']['state'] == 'idle'
            wait.until(quiet, 20.0, f'{wid} is idle; log:\n{self.host.tail()}')
            self.insist('POST', f'{path}/stop', None, (409,))
            self.insist('DELETE', path, None, (404,))


@pytest.mark.parametrize('every', [331, 401, 503, 701])
def test_every_mth_allocation_fails(new_host, every):
    host = new_host(config(), env={'YOI_HARD_FAIL': f'{every // 2}:{every}'})
    talk = Talk(host)
    for n in range(40):
        talk.round(n)
    talk.settle()
    assert talk.failed + talk.closed > 0, 'nothing ever failed'
    assert talk.good > 100, vars(talk)
    host.stop(seconds=30.0)


@pytest.mark.parametrize('at', [1, 20, 100])
def test_one_allocation_fails_and_all_goes_on(new_host, at):
    host = new_host(config(), env={'YOI_HARD_FAIL': str(at)})
    talk = Talk(host)
    for n in range(3):
        talk.round(n)
    talk.settle()
    assert talk.failed + talk.closed <= 2, vars(talk)
    host.stop(seconds=30.0)
