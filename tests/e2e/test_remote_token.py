"""The token between two hosts is changed: in both files, one after the other. Who
watches at the near host is not told, unless the two stay different for long."""
import pathlib

import pytest

from lib import configs, remote, wait
from lib.host import TOKEN
from lib.wire import Client
from lib.worker import Worker

pytestmark = pytest.mark.tsan
NEW = 'another-token-of-that-surface'


def put(host, name, value):
    """As operate.md says it: another file is renamed over it."""
    file = pathlib.Path(host.etc) / name
    fresh = file.with_suffix('.new')
    fresh.write_text(value + '\n')
    fresh.chmod(0o600)
    fresh.rename(file)


def of_near(pair):
    put(pair.near, 'far.token', NEW)


def of_far(pair):
    """It is the token there, and what the one before opened has ended."""
    put(pair.far, 'runtime.token', NEW)
    old = Client(pair.far.address('runtime'), TOKEN)
    wait.until(lambda: old.get('/v1/runtime').status == 401, what='the end of the old token')


def make(new_host, **keys):
    """near's token is in a file of its own; far looks often, and sends often."""
    pair = remote.Pair(new_host, start=False, **keys)
    pair.far.config['ingress'][1]['config'].update(token_reload_ms=100, heartbeat_ms=200)
    pair.near.config['local'] = {'secrets': {**configs.SECRETS, 'far': {'file': 'far.token'}}}
    put(pair.near, 'far.token', TOKEN)
    pair.far.start()
    pair.near.start()
    remote.healthy(pair)
    return pair


def resumed(pair):
    wait.until(lambda: pair.near.metric('yoi_remote_resumes_total') > 0, what='a stream that ended')


def far_then_near(pair):
    of_far(pair)
    resumed(pair)
    remote.healthy(pair, 'unreachable')
    of_near(pair)


def near_then_far(pair):
    of_near(pair)
    assert pair.v1.get('/v1/workers').status == 200  # it has the old one in its hands
    of_far(pair)


@pytest.mark.parametrize('change', [far_then_near, near_then_far])
def test_who_watches_outlives_a_change_of_the_token(new_host, change):
    pair = make(new_host)
    worker = Worker.create(pair.v1)
    with worker.events() as first, worker.events(worker.born) as second:
        assert first.next_event().kind == 'snapshot'
        change(pair)
        resumed(pair)
        remote.healthy(pair)
        worker.say('after')
        kinds = [e.kind for e in first.until('turn.ended')]
        assert 'end' not in kinds and 'snapshot' not in kinds
        assert 'end' not in [e.kind for e in second.until('turn.ended')]
    assert TOKEN not in pair.near.log and NEW not in pair.near.log


@pytest.mark.parametrize('change', [far_then_near, near_then_far])
def test_a_followed_turn_outlives_a_change_of_the_token(new_host, change):
    pair = make(new_host, model=configs.stalls())
    worker = Worker.create(pair.v1)
    with worker.follow('go') as stream:
        stream.until('text.delta')
        change(pair)
        resumed(pair)
        remote.healthy(pair)
        worker.cancel('enough')
        assert stream.until('turn.ended')[-1].data['turn']['state'] == 'cancelled'
        assert stream.next_event().data['reason'] == 'turn_ended'


def test_two_tokens_that_stay_different_end_who_watches(new_host):
    """After the time of a resume, with what is true and may be tried again."""
    pair = make(new_host, resume_ms=1000)
    worker = Worker.create(pair.v1)
    with worker.events() as stream:
        cursor = stream.next_event().id
        of_far(pair)
        (end,) = list(stream)
    assert end.data == {'reason': 'error', 'code': 'runtime_unavailable', 'retryable': True,
                        'cursor': cursor}
    assert 'token' not in end.text
    of_near(pair)
    remote.healthy(pair)
    with worker.events(cursor) as stream:
        worker.say('after')
        stream.until('turn.ended')
