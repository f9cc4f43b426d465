"""Power cuts: what was acknowledged had been synced, names and all.

A session runs behind the shim, which traces each change of the disk; from the
trace the disk is built as it may be after a cut at some moment (lib/power.py),
and a host that starts on it has to have what clients had been told by then.
"""
import bisect
import concurrent.futures
import os
import random
import shutil

import pytest

from lib import configs, crash, fault, sample, wait
from lib.ledger import Ledger
from lib.power import Trace
from lib.session import Session

SEED = int(os.environ.get('YOI_SEED', 1))
CHURN = dict(segment_bytes=65536, checkpoint_bytes=65536, checkpoint_ms=100)
AT_ITS_END = dict(segment_bytes=65536, checkpoint_ms=86400000)
MANY = 40


class Played:
    """A few sessions, and what the ledger said before each request."""

    def __init__(self, new_host, folder, count=3, store=CHURN):
        self.root = folder / 'store'
        self.disk = fault.Disk(folder, self.root, trace=folder / 'trace')
        config = configs.standard(model=crash.MODEL, runtimes=[configs.stored(self.root, **store)])
        host = new_host(config, env=self.disk.env)
        self.ticks, self.ledgers, ledger = [], [], Ledger()
        for n in range(count):
            session = Session(host, ledger, name=f's{n}')
            session.before = lambda: self.note(ledger)
            assert session.run()
            index = self.root / 'index.jsonl'
            if store is CHURN:
                wait.until(lambda: index.exists() and f'"s{n}-c"' in index.read_text(), 20,
                           'a checkpoint')
            if n == 0:
                host.stop()
                host.start()
        self.note(ledger)
        host.stop()
        self.note(ledger)
        self.trace = Trace(folder / 'trace', self.root)

    def note(self, ledger):
        self.ticks.append(self.disk.ticks)
        self.ledgers.append(ledger.copy())

    def told(self, tick):
        """What clients had been told by then, and what they had asked for."""
        return self.ledgers[bisect.bisect_right(self.ticks, tick) - 1].copy()


def verify(host, rid, ledger):
    root = f'/api/runtimes/{rid}'
    crash.quiet(host.api, root)
    return ledger.check(host.api, root=root)


def cut_all(new_host, tmp_path, played, cuts):
    records = 0
    for at in range(0, len(cuts), MANY):
        some = cuts[at:at + MANY]
        roots = [tmp_path / f'cut{at + n}' for n in range(len(some))]
        for (tick, how), root in zip(some, roots):
            played.trace.cut(tick, how, root, seed=tick)
        host = new_host(configs.standard(
            model=crash.MODEL, ingresses=[configs.BROWSER],
            runtimes=[configs.stored(r, f'r{n}', **CHURN) for n, r in enumerate(roots)]))
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            jobs = [(cut, pool.submit(verify, host, f'r{n}', played.told(cut[0])))
                    for n, cut in enumerate(some)]
        for cut, job in jobs:
            assert job.exception() is None, f'cut at {cut}: {job.exception()}'
            records += job.result()
        host.check_log()
        host.crash()
        for root in roots:
            shutil.rmtree(root)
    return records


def test_what_was_acknowledged_survives_a_power_cut(new_host, tmp_path):
    played, rng = Played(new_host, tmp_path), random.Random(SEED)
    cuts = [(rng.randrange(played.ticks[0], played.trace.last + 2), how)
            for how in ('least', 'dice', 'dice', 'most') for _ in range(sample.count(30, 5))]
    assert cut_all(new_host, tmp_path, played, cuts) > 8 * len(cuts)


@pytest.mark.soak
@pytest.mark.timeout(1800)  # as conftest has it for these
def test_what_was_acknowledged_survives_a_power_cut_at_any_moment(new_host, tmp_path):
    played = Played(new_host, tmp_path)
    cuts = [(tick, how) for tick in range(played.ticks[0], played.trace.last + 2)
            for how in ('least', 'dice')]
    assert cut_all(new_host, tmp_path, played, cuts) > 1000


def test_a_store_that_did_not_sync_would_be_found(new_host, tmp_path):
    """The proof can fail: without its syncs of the log the same trace loses."""
    played = Played(new_host, tmp_path, count=1, store=AT_ITS_END)
    played.trace.ops = [op for op in played.trace.ops
                        if not (op.call == 'fdatasync' and '/log/' in op.path)]
    first = next(op.begin for op in played.trace.ops if op.call == 'syncfs')
    cuts = [(tick, 'least') for tick in played.ticks if tick < first][-3:]
    with pytest.raises(AssertionError, match='is lost'):
        cut_all(new_host, tmp_path, played, cuts)
