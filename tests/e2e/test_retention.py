"""Stopped workers that a runtime of files keeps no longer (docs/store.md)."""
import random

from lib import configs, wait
from lib.store import records
from lib.worker import Worker, fresh

AGE = {'max_age_s': 1}


def host_of(new_host, root, retention, **config):
    return new_host(configs.standard(model=configs.script(), runtimes=[
        configs.stored(root, retention=retention, checkpoint_ms=100, **config)]))


def stopped(host, say='hello', wid=None):
    worker = Worker.create(host.v1, wid=wid or fresh())
    worker.say(say)
    worker.stop()
    return worker


def is_gone(worker):
    return worker.client.get(worker.path).status == 404


def history(worker):
    """The events of all that it has done."""
    events, cursor = [], worker.born
    while (batch := worker.batch(cursor=cursor, wait=0))['events']:
        events, cursor = events + batch['events'], batch['cursor']
    return events


def kept_bytes(root):
    """Of the files of workers; one may go while it is looked at."""
    total = 0
    for path in (root / 'workers').glob('??/*.jsonl'):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            pass
    return total


def archive(root):
    """The archived files by worker."""
    return {p.name.rsplit('.', 2)[0]: p for p in (root / 'archive').glob('??/*.jsonl')}


def test_one_that_is_old_goes_and_its_history_stays(new_host, tmp_path):
    root = tmp_path / 'store'
    host = host_of(new_host, root, AGE)
    idle = Worker.create(host.v1)
    idle.say('stay')
    tries = []

    def in_time():
        """One that was read, and is watched, before it goes: after a second."""
        tries.append(stopped(host))
        try:
            events = history(tries[-1])
        except AssertionError:
            assert is_gone(tries[-1])
            return None
        stream = tries[-1].events()
        return (tries[-1], events, stream) if stream.head.status == 200 else None
    old, events, stream = wait.until(in_time, what='one that is read in time')
    with stream:
        while (event := stream.next_event()).kind != 'end':
            pass
        assert (event.data['reason'], event.data['code']) == ('worker_deleted', 'worker_not_found')
    assert is_gone(old)
    path = archive(root)[old.id]
    kept = records(path)
    assert [(r['seq'], r['kind']) for r in kept[1:]] == [
        (e['data']['sequence'], e['event']) for e in events]
    assert path.name == f'{old.id}.{kept[0]["epoch"]}.jsonl'
    wait.until(lambda: host.metric('yoi_workers_expired_total') == len(tries), what='their number')
    # The id is free, and its next history gets a file of its own.
    again = stopped(host, wid=old.id)
    wait.until(lambda: is_gone(again), what='the second one is gone')
    assert len(list((root / 'archive').glob(f'??/{old.id}.*'))) == 2
    assert idle.get()['state'] == 'idle'
    host.restart()
    assert Worker(host.v1, '/v1', idle.id).get()['state'] == 'idle'
    assert is_gone(Worker(host.v1, '/v1', old.id))


def test_a_client_that_deletes_leaves_nothing(new_host, tmp_path):
    host = host_of(new_host, tmp_path / 'store', {'max_age_s': 3600})
    worker = stopped(host)
    worker.delete()
    wait.until(lambda: not list((tmp_path / 'store' / 'workers').glob('??/*.jsonl')),
               what='its file is removed')
    assert archive(tmp_path / 'store') == {}


def test_too_many_bytes_cost_the_one_that_was_stopped_first(new_host, tmp_path):
    root = tmp_path / 'store'
    host = host_of(new_host, root, {'max_bytes': 40000, 'archive': False},
                   limits={'loaded_workers': 1})
    workers = [stopped(host, 'x' * 4000) for _ in range(8)]

    def settled():
        """Who is gone, when what is kept is within the limit, and is of the others."""
        gone = [is_gone(w) for w in workers]
        files = len(list((root / 'workers').glob('??/*.jsonl')))
        return gone[0] and files == gone.count(False) and kept_bytes(root) <= 40000 and gone
    gone = wait.until(settled, what='what is kept is within the limit')
    assert gone == sorted(gone, reverse=True) and gone[0] and not gone[-1], gone
    assert not (root / 'archive').exists()


def test_without_a_limit_all_stay(new_host, tmp_path):
    host = host_of(new_host, tmp_path / 'store', {})
    worker = stopped(host)
    wait.until(lambda: host.metric('yoi_store_checkpoint_seconds_count') >= 1,
               what='a checkpoint')
    assert not is_gone(worker)


def test_kills_in_between_cost_nothing(new_host, tmp_path):
    """Each worker is there or archived, whole, at any time; and in the end all
    are archived."""
    root, dice = tmp_path / 'store', random.Random(1)
    host = host_of(new_host, root, AGE, segment_bytes=65536)
    ids = {stopped(host).id for _ in range(30)}
    while len(archive(root)) < len(ids):
        enough = min(len(ids), len(archive(root)) + dice.randrange(1, 12))
        wait.until(lambda: len(archive(root)) >= enough, what='some more are archived')
        host.crash()
        host.start()
        left = {w['worker_id'] for w in host.v1.ok('GET', '/v1/workers?limit=256')['workers']}
        assert left | set(archive(root)) == ids
    wait.until(lambda: not host.v1.ok('GET', '/v1/workers')['workers'], 30, what='all are gone')
    assert set(archive(root)) == ids
    for path in archive(root).values():
        assert records(path)[-1]['kind'] == 'worker.stopped'
    host.stop()
