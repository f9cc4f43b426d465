"""kill -9 at random moments: nothing that was acknowledged is lost, nothing
happens twice, nobody gets what was refused (lib/crash.py, lib/ledger.py).

The dice are seeded, the moments are the machine's: a failure names its seed
and round, and YOI_SEED=N plays that one again.
"""
import os

import pytest

from lib import configs, crash, sample
from lib.ledger import ACKED, REFUSED, Ledger, Wrong
from lib.session import Session

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
    rounds(new_host, tmp_path / 'store', seed, sample.count(10, 3))


@pytest.mark.soak
@pytest.mark.timeout(1800)  # as conftest has it for these
@pytest.mark.parametrize('seed', SEEDS or range(100, 125))
def test_nothing_is_lost_in_five_hundred_kills(new_host, tmp_path, seed):
    rounds(new_host, tmp_path / 'store', seed, 20)


def test_what_clients_were_told_is_so_without_a_crash(new_host):
    play = crash.Rounds(new_host(configs.standard(model=crash.MODEL)), 7)
    play.begin()
    for _ in range(2):
        play.play(how='none')
    assert play.requests > 20 and play.records > 100


def first(ledger, test=lambda life: True):
    return next(v for v in ledger.lives.values()
                if v.create.state == ACKED and not v.deletes and test(v))


def accepted(life):
    return [d for d in life.inputs if d.state == ACKED]


def lost():
    life = crash.Life('lost', {'worker_id': 'lost'})
    life.create.state = ACKED
    return life


# What a check has to say, and what is spoilt in the ledger before it.
BREAKS = {
    'refused, and there': lambda l: setattr(accepted(first(l, accepted))[0], 'state', REFUSED),
    'an event was': lambda l: first(l, lambda v: len(v.shown) > 3).shown.update(
        {2: ('turn.started', {'sequence': 2})}),
    'a stop was acknowledged': lambda l: first(l, lambda v: not v.stops).stops.append(
        crash.Deed(state=ACKED)),
    'nobody stopped it': lambda l: first(l, lambda v: v.any(v.stops, ACKED)).stops.clear(),
    'is there, though': lambda l: first(l).deletes.append(crash.Deed(state=ACKED)),
    'is lost': lambda l: l.born(lost()),
    'nobody asked for': lambda l: l.lives.pop('s-a'),
    'a turn was told': lambda l: first(l).ended.update({'t': {}}),
    'a transcript was': lambda l: first(l, lambda v: v.items).items.__setitem__(0, {}),
    '0 times there': lambda l: first(l).inputs.append(
        crash.Deed(state=ACKED, text='nothing', ack=None, key=None)),
    'input that nobody sent': lambda l: first(l, accepted).inputs.clear(),
    'an acknowledged cancel': lambda l: first(l).cancels.append(
        crash.Deed(state=ACKED, turn_id='t')),
}


def test_a_ledger_finds_what_does_not_fit(new_host):
    host, told = new_host(configs.standard(model=crash.MODEL)), Ledger()
    assert Session(host, told).run()
    told.check(host.v1)
    for says, spoil in BREAKS.items():
        ledger = told.copy()
        spoil(ledger)
        with pytest.raises(Wrong, match=says):
            ledger.check(host.v1)
