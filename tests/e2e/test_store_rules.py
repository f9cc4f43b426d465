"""What a store of files must not do, though others do it: work that grows with
the history or with the neighbours, options that are stored and believed, and
specs that are resolved again."""
import json

from lib import configs, fault
from lib.store import Store, resealed
from lib.worker import Worker

LATER = 86400000  # ms: no checkpoint while something is measured
PARTS = 4         # appends of one turn, at most: accepted, started, said, ended


def stored(root, model=None, **config):
    return configs.standard(model=model, runtimes=[configs.stored(root, **config)])


# ---- an input costs an input ------------------------------------------------------
def cost(host, disk, worker, turns=10):
    """Calls that change the disk, and bytes of the log, of some turns."""
    disk.count(calls=fault.CHANGES)
    before = host.metric('yoi_store_log_bytes_total')
    for _ in range(turns):
        worker.say('one and the same')
    return disk.matched / turns, (host.metric('yoi_store_log_bytes_total') - before) / turns


def test_an_input_costs_the_same_behind_a_long_history_and_beside_many_workers(new_host, tmp_path):
    root = tmp_path / 'root'
    disk = fault.Disk(tmp_path, root)
    host = new_host(stored(root, checkpoint_ms=LATER), env=disk.env)
    young = Worker.create(host.v1)
    young.say('the first')
    calls, size = cost(host, disk, young)
    for n in range(200):
        Worker.create(host.v1)
    old = Worker.create(host.v1)
    for n in range(150):
        old.say(f'{n} ' + 'x' * 400)
    calls_then, size_then = cost(host, disk, old)
    # an append is a write and a sync; a seal may follow each
    assert 0 < calls <= 3 * PARTS and 0 < calls_then <= 3 * PARTS, (calls, calls_then)
    assert size_then <= size + 400, 'numbers that have become longer, and a seal more'
    disk.close()


# ---- the process says ---------------------------------------------------------------
def test_what_the_process_says_holds_for_workers_of_before(new_host, tmp_path):
    root = tmp_path / 'root'
    says = [configs.script({'say': 'as before'}), configs.script({'say': 'as of now'})]
    wide, narrow = {'input_bytes': 1000, 'workers': 9}, {'input_bytes': 10, 'workers': 2}
    text, segments = 'a text of more than ten bytes', root / 'log'
    for n, limits in enumerate((wide, narrow, wide)):
        size = 65536 << n
        host = new_host(stored(root, says[n % 2], limits=limits, segment_bytes=size))
        if n == 0:
            Worker.create(host.v1, wid='w')
        worker = Worker(host.v1, '/v1', 'w')
        if limits == narrow:
            host.v1.refused('POST', worker.path + '/input', 413, 'payload_too_large',
                            {'content': text})
            assert worker.say('short')['message']['content'][0]['text'] == 'as of now'
            Worker.create(host.v1, wid='second')
            host.v1.refused('POST', '/v1/workers', 429, 'limit_reached',
                            {'worker_id': 'third'})
        else:
            assert worker.say(text)['message']['content'][0]['text'] == 'as before'
        newest = max(segments.iterdir())
        assert newest.stat().st_size == size, 'a new segment has the size of this process'
        host.stop()


# ---- what was resolved -----------------------------------------------------------------
OF_NOW, OF_THEN = 'You are a companion', 'You were a companion'


def test_a_worker_keeps_what_was_resolved_when_it_was_created(new_host, provider, tmp_path):
    """Its prompt is the stored one, whatever the profile says by now: a store in
    which another stands, as one that was made by a version of before has it."""
    mock, root = provider(), tmp_path / 'root'
    config = stored(root, configs.openai(mock.port))
    host = new_host(config)
    Worker.create(host.v1, wid='w').say('mode=text')
    assert OF_NOW in mock.last()
    host.stop()
    store = Store(root, tmp_path / 'etc')
    first, *others = store.worker('w').read_bytes().splitlines(keepends=True)
    store.worker('w').write_bytes(b''.join([resealed(first, OF_NOW, OF_THEN), *others]))
    (root / 'index.jsonl').unlink()  # it says how long the file was
    host = new_host(config)
    Worker(host.v1, '/v1', 'w').say('mode=text')
    assert OF_THEN in mock.last() and OF_NOW not in mock.last()
    Worker.create(host.v1, wid='new').say('mode=text')
    assert OF_NOW in mock.last()
    assert json.loads(first)['spec'], 'and it stands in the first record'
