"""kill -9 at random moments: nothing that was acknowledged is lost, nothing
happens twice, nobody gets what was refused (lib/crash.py, lib/ledger.py).

The dice are seeded, the moments are the machine's: a failure names its seed
and round, and YOI_SEED=N plays that one again.
"""
import os

import pytest

from lib import configs, crash
from lib.ledger import ACKED, REFUSED, Wrong

SEEDS = [int(os.environ['YOI_SEED'])] if 'YOI_SEED' in os.environ else None
CHURN = [dict(segment_bytes=65536, checkpoint_bytes=65536, checkpoint_ms=100),
         dict(segment_bytes=65536, checkpoint_bytes=262144, checkpoint_ms=400),
         dict(), dict(durability='relaxed', relaxed_ms=20)]


def rounds(new_host, root, seed, count):
    """A kill in all but every sixth round, which ends with SIGTERM."""
    host = new_host(configs.standard(model=crash.MODEL, runtimes=[
        configs.stored(root, **CHURN[seed % len(CHURN)])]))
    play = crash.Rounds(host, seed)
    play.begin()
    for n in range(1, count + 1):
        play.play(how='stop' if n % 6 == 0 else 'kill')
    assert play.requests > 20 * count and play.records > 100 * count, 'something happened'


@pytest.mark.parametrize('seed', SEEDS or [1, 2])
def test_nothing_that_was_acknowledged_is_lost_when_it_is_killed(new_host, tmp_path, seed):
    rounds(new_host, tmp_path / 'store', seed, 10)


@pytest.mark.soak
@pytest.mark.parametrize('seed', SEEDS or range(100, 125))
def test_nothing_is_lost_in_five_hundred_kills(new_host, tmp_path, seed):
    rounds(new_host, tmp_path / 'store', seed, 20)


def played(new_host, seed=7):
    host = new_host(configs.standard(model=crash.MODEL))
    play = crash.Rounds(host, seed)
    play.begin()
    play.play(how='none')
    return host, play


def test_what_clients_were_told_is_so_without_a_crash(new_host):
    host, play = played(new_host)
    play.play(how='none')
    assert play.requests > 20 and play.records > 100


def first(play, test):
    return next(v for v in play.ledger.lives.values()
                if v.create.state == ACKED and not v.deletes and test(v))


BREAKS = {
    'refused, and there': lambda play: setattr(first(play, lambda v: [
        d for d in v.inputs if d.state == ACKED]).inputs[0], 'state', REFUSED),
    'an event was': lambda play: first(play, lambda v: len(v.shown) > 3).shown.update(
        {2: ('turn.started', {'sequence': 2})}),
    'a stop was acknowledged': lambda play: first(play, lambda v: not v.stops).stops.append(
        crash.Deed(state=ACKED)),
    'is there, though': lambda play: first(play, lambda v: True).deletes.append(
        crash.Deed(state=ACKED)),
    'is lost': lambda play: play.ledger.born(lost(play)),
    'nobody asked for': lambda play: play.ledger.lives.pop('common-1'),
    'a turn was told': lambda play: first(play, lambda v: True).ended.update({'t': {}}),
    'a transcript was': lambda play: first(play, lambda v: v.items).items.__setitem__(0, {}),
    '0 times there': lambda play: first(play, lambda v: True).inputs.append(
        crash.Deed(state=ACKED, text='nothing', ack=None, key=None)),
    'input that nobody sent': lambda play: first(play, lambda v: [
        d for d in v.inputs if d.state == ACKED]).inputs.clear(),
}


def lost(play):
    life = crash.Life('lost', {'worker_id': 'lost'})
    life.create.state = ACKED
    return life


def test_a_ledger_finds_what_does_not_fit(new_host):
    host, play = played(new_host)
    play.ledger.check(host.v1)
    for says, spoil in BREAKS.items():
        host, play = played_again(host, play)
        spoil(play)
        with pytest.raises(Wrong, match=says):
            play.ledger.check(host.v1)


def played_again(host, play):
    """The same host, seen by a new ledger; what was there before is stopped."""
    for wid in play.ledger.ids(host.v1):
        host.v1.post(f'/v1/workers/{wid}/stop')
        host.v1.delete(f'/v1/workers/{wid}')
    again = crash.Rounds(host, play.seed + 1)
    again.begin()
    again.play(how='none', least=0.2, most=0.3)
    return host, again
