"""Stores that were damaged: each byte flipped, each tail cut, files that are
missing, foreign, older or of another kind. No worker pays for another's.

A small store is made by a session, once stopped in order (its records are in
the workers' files) and once killed (the newest are in the log only). Each case
is a copy with one damage; one host opens many of them, as runtimes of its own.
Every 19th byte is flipped in a file of each kind, and every 97th in others like
it, from a seeded one on; of these lib/sample.py takes some where the same is
tested again. `make soak` flips every byte of a store of two workers, every ninth
of one whose records are partly in the files, and has the unit test of the store
flip every byte of its own, in one process.
"""
import concurrent.futures
import json
import os
import pathlib
import random
import shutil
import subprocess

import pytest

from lib import configs, crash, sample, wait
from lib.host import BUILD, ROOT
from lib.ledger import Ledger, beginning, obey, place
from lib.session import Session
from lib.tables import DURABLE

SEED = int(os.environ.get('YOI_SEED', 1))
STEP, STEP_MORE = 19, 97
STEP_BOTH = 9
MANY = 60  # runtimes of one host
SMALL = dict(segment_bytes=65536, checkpoint_bytes=65536)
WORKERS = ('ann', 'bob', 'cid')


def config_of(roots, **store):
    """A host with a runtime per root, and only the browser surface."""
    return configs.standard(
        model=crash.MODEL, ingresses=[configs.BROWSER],
        runtimes=[configs.stored(root, f'r{n}', **{**SMALL, **store})
                  for n, root in enumerate(roots)])


class Made:
    """A store on disk, and what its workers were when it was left."""

    def __init__(self, new_host, root, how, twice=False, small=False):
        self.root, self.truth, self.names = root, {}, WORKERS[:2] if small else WORKERS
        host = new_host(config_of([root], checkpoint_ms=100 if twice else 86400000))
        for wid in self.names:
            self.talk(host, wid, 'plain one')
        if twice:  # some records are in the files, an index says so, the newest are not
            index = root / 'index.jsonl'
            wait.until(lambda: index.exists() and b'"cid"' in index.read_bytes(), 20, 'an index')
            host.stop()
            host = new_host(config_of([root], checkpoint_ms=86400000))
        for wid in () if small else self.names:
            self.talk(host, wid, 'tool two')
        self.truth = {wid: history(host, 'r0', wid) for wid in self.names}
        if how == 'kill':
            host.crash()
        else:
            host.stop()

    @staticmethod
    def talk(host, wid, text):
        host.api.ok('POST', '/api/runtimes/r0/workers', {'worker_id': wid})
        host.api.ok('POST', f'/api/runtimes/r0/workers/{wid}/input?wait=20', {'content': text},
                    status=200)

    def files(self):
        return [p for p in sorted(self.root.rglob('*')) if p.is_file()]


def history(host, rid, wid, once=False):
    """[(kind, data)] of what can be read; once: of the first page."""
    worker = host.api.ok('GET', f'/api/runtimes/{rid}/workers/{wid}')['worker']
    cursor, out, last = beginning(worker['cursor']), [], place(worker['cursor'])
    while not out or out[-1][1]['sequence'] < last:
        got = host.api.ok('GET', f'/api/runtimes/{rid}/workers/{wid}/events?cursor={cursor}'
                          f'&limit=256&wait={0 if once else 5}')
        if not got['events']:
            break
        out += [(e['event'], e['data']) for e in got['events'] if e['event'] in DURABLE]
        cursor = got['cursor']
        if once:
            break
    return out


@pytest.fixture(scope='module')
def made(module_host, tmp_path_factory):
    """The three stores that all damage is done to."""
    folder = tmp_path_factory.mktemp('made')
    return {'clean': Made(module_host, folder / 'clean', 'stop'),
            'killed': Made(module_host, folder / 'killed', 'kill'),
            'both': Made(module_host, folder / 'both', 'kill', twice=True)}


@pytest.fixture(scope='module')
def small(module_host, tmp_path_factory):
    """Two of which every byte is damaged."""
    folder = tmp_path_factory.mktemp('small')
    return {'clean': Made(module_host, folder / 'clean', 'stop', small=True),
            'killed': Made(module_host, folder / 'killed', 'kill', small=True)}


class Case:
    def __init__(self, name, made, spoil, hurt=None, cut=None):
        """hurt: the one worker that may be corrupt, None: anyone, but one only;
        '' nobody. cut: records of a worker that have to be there, when the end
        of the log is gone: {wid: how many}."""
        self.name, self.made, self.spoil, self.hurt, self.cut = name, made, spoil, hurt, cut


def judge(host, rid, case):
    """What is there, against what was."""
    listed = {w['worker_id']: w for w in
              host.api.ok('GET', f'/api/runtimes/{rid}/workers')['workers']}
    hurt = set()
    for wid, truth in case.made.truth.items():
        if case.cut is not None and case.cut[wid] == 0 and wid not in listed:
            continue
        assert wid in listed, f'{case.name}: {wid} has vanished'
        r = host.api.get(f'/api/runtimes/{rid}/workers/{wid}')
        assert r.status == 200, f'{case.name}: {wid}: {r}'
        if r.json['worker']['state'] == 'corrupt':
            hurt.add(wid)
            corrupt(host, rid, wid, case)
            continue
        have = history(host, rid, wid)
        if case.cut is None:
            assert have == truth, f'{case.name}: {wid} is not what it was: {have[-2:]}'
        else:
            same = 0
            while same < len(have) and same < len(truth) and have[same] == truth[same]:
                same += 1
            assert same >= case.cut[wid], f'{case.name}: {wid} lost more than was cut: {have}'
            obey(have)
    assert not hurt or case.hurt is None and len(hurt) == 1 or hurt == {case.hurt}, \
        f'{case.name}: corrupt are {hurt}'
    return hurt


def corrupt(host, rid, wid, case):
    """Listed, readable up to the damage, not to be taken over; can be deleted."""
    path = f'/api/runtimes/{rid}/workers'
    truth = case.made.truth[wid]
    # A damage at a file's very end may leave all that it had. It has a page.
    have = history(host, rid, wid, once=True)
    assert have == truth[:len(have)], f'{case.name}: {wid} shows what it never was: {have}'
    taken = host.api.post(path, {'worker_id': wid, 'display_name': 'another'})
    assert taken.status in (409, 500), f'{case.name}: the id of a corrupt worker is free: {taken}'
    refused = host.api.post(f'{path}/{wid}/input', {'content': 'plain x'})
    assert (refused.status, refused.code) == (500, 'store_corrupt'), f'{case.name}: {refused}'
    assert host.api.delete(f'{path}/{wid}').status == 204, case.name
    assert host.api.post(path, {'worker_id': wid}).status == 201, case.name


def run_all(new_host, tmp_path, cases):
    """How many workers were found corrupt. A host per MANY cases."""
    count = 0
    for at in range(0, len(cases), MANY):
        some, roots = cases[at:at + MANY], []
        for n, case in enumerate(some):
            roots.append(tmp_path / f'c{at + n}')
            shutil.copytree(case.made.root, roots[-1], symlinks=True)
            case.spoil(roots[-1])
        host = new_host(config_of(roots), start=False, allow_log=['corrupt', 'damage'])
        try:
            host.start(60)
        except AssertionError as e:
            raise AssertionError(f'{[c.name for c in some]}: {e}') from e
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            count += sum(map(len, pool.map(lambda j: judge(host, f'r{j[0]}', j[1]),
                                           enumerate(some))))
        if at == 0:
            host.stop()  # in order, which takes longer than all else
        else:
            assert host.alive()
            host.check_log()
            host.crash()
        for root in roots:
            shutil.rmtree(root)
    return count


# ---- flips --------------------------------------------------------------------
def flip(name, at, bit):
    def spoil(root):
        with open(root / name, 'r+b') as f:
            f.seek(at)
            byte = f.read(1)[0]
            f.seek(at)
            f.write(bytes([byte ^ 1 << bit]))
    return spoil


def used(path):
    """Bytes of a file that say something; a segment ends in zeros."""
    return len(path.read_bytes().rstrip(b'\0'))


def flips(made, name, step, seed, hurt=None):
    rng = random.Random(f'{seed}/{name}')
    size = used(made.root / name)
    return [Case(f'{name} byte {at} bit {bit}', made, flip(name, at, bit), hurt)
            for at in range(rng.randrange(step), size, step) for bit in (rng.randrange(8),)]


def of_kind(made, kind):
    """The files of a store: (name, whose they are)."""
    for path in made.files():
        name = str(path.relative_to(made.root))
        if name.startswith('workers/') and kind == 'worker':
            yield name, path.name.split('.')[0]
        elif name.startswith('log/') and kind == 'log':
            yield name, None
        elif name == 'index.jsonl' and kind == 'index' or name == 'LOCK' and kind == 'lock':
            yield name, ''


@pytest.mark.parametrize('store, kind', [('clean', 'worker'), ('clean', 'index'), ('clean', 'lock'),
                                         ('clean', 'log'), ('both', 'worker'), ('both', 'index')])
def test_a_flipped_bit_hurts_one_worker_at_most(new_host, tmp_path, made, store, kind):
    cases = [c for i, (name, hurt) in enumerate(of_kind(made[store], kind))
             for c in flips(made[store], name, STEP if i == 0 and store == 'clean' else STEP_MORE,
                            SEED, hurt)]
    assert cases
    hurt = run_all(new_host, tmp_path, sample.some(cases))
    assert (hurt > 0) == (kind == 'worker')


def every(store, kind, step, part):
    """Every quarter of them is a test of its own."""
    cases = [c for name, hurt in of_kind(store, kind)
             for c in (tails(store, name, step) if kind == 'log' and store.root.name != 'clean' else
                       flips(store, name, step, SEED, hurt))]
    return cases[part::4]


@pytest.mark.soak
@pytest.mark.timeout(1800)  # as conftest has it for these
@pytest.mark.parametrize('part', range(4))
@pytest.mark.parametrize('store, kind', [
    ('clean', 'worker'), ('clean', 'index'), ('clean', 'lock'), ('clean', 'log'),
    ('killed', 'log'), ('killed', 'lock')])
def test_any_flipped_bit_hurts_one_worker_at_most(new_host, tmp_path, small, store, kind, part):
    cases = every(small[store], kind, 1, part)
    assert cases
    hurt = run_all(new_host, tmp_path, cases)
    assert (hurt > 0) == (kind == 'worker' or (store, kind) == ('killed', 'log'))


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize('part', range(4))
@pytest.mark.parametrize('kind', ['worker', 'index', 'log'])
def test_many_flipped_bits_where_files_and_log_share_the_records(new_host, tmp_path, made, kind,
                                                                part):
    hurt = run_all(new_host, tmp_path, every(made['both'], kind, STEP_BOTH, part))
    assert (hurt > 0) == (kind != 'index')


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_the_unit_test_of_the_store_flips_every_byte(tmp_path):
    env = dict(os.environ, YOI_FLIP_STEP='1', YOI_BUILD=str(BUILD), YOI_ROOT=str(ROOT))
    done = subprocess.run([str(BUILD / 'tests/unit/fs-store/test_store')], cwd=tmp_path, env=env,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=wait.bound(900), check=False)
    assert done.returncode == 0, done.stdout[-3000:]


# ---- the log: what stands in which line -------------------------------------------
def lines(path):
    """(offset, the line as JSON) of a file of lines, without its zeros."""
    at = 0
    for line in path.read_bytes().rstrip(b'\0').splitlines(keepends=True):
        yield at, len(line), json.loads(line)
        at += len(line)


def left(made, before):
    """How many records of each worker end before that place of the log, with
    what had gone into the files already. An append counts as a whole."""
    count, whole = {}, {}
    for path in made.files():
        if path.parent.parent.name == 'workers':
            count[path.stem] = len(path.read_bytes().splitlines())
    whole = dict(count)
    for path in sorted((made.root / 'log').iterdir()):
        for at, size, line in lines(path):
            if (path.name, at + size) > before:
                break
            if 'seq' in line:
                count[line['worker']] = max(count.get(line['worker'], 0), line['seq'])
                if not line.get('more'):
                    whole[line['worker']] = count[line['worker']]
    return {wid: whole.get(wid, 0) for wid in made.names}


def durable(made):
    """The last number that the log says was durable."""
    return max(line.get('durable', 0) for path in (made.root / 'log').iterdir()
               for _, _, line in lines(path))


def tails(made, name, step):
    """Flips in the log: below the last durable number one worker is hurt; behind
    it the line was being written, and it and all behind it is cut off."""
    last, rng, path = durable(made), random.Random(f'{SEED}/tails'), made.root / name
    for at, size, line in lines(path):
        tail = line.get('n', 0) > last
        for off in range(rng.randrange(step), size, step):
            bit = rng.randrange(8)
            yield Case(f'{name} byte {at + off} bit {bit}, in line {line.get("n", "head")}', made,
                       flip(name, at + off, bit), None,
                       left(made, (path.name, at)) if tail else None)


@pytest.mark.parametrize('store', ['killed', 'both'])
def test_a_flipped_bit_in_the_log_hurts_one_worker_or_was_not_durable(new_host, tmp_path, made,
                                                                      store):
    cases = [c for name, _ in of_kind(made[store], 'log')
             for c in tails(made[store], name, 3 * STEP)]
    assert run_all(new_host, tmp_path, sample.some(cases, 18)) > 0


# ---- ends that are missing ------------------------------------------------------------
CUTS = 13  # bytes from one cut to the next


def truncate(name, size):
    return lambda root: os.truncate(root / name, size)


def last_lines(path, n):
    return list(lines(path))[-n:]


def cut_logs(new_host, tmp_path, store, step):
    path = max((store.root / 'log').iterdir())
    name, begin = f'log/{path.name}', last_lines(path, 8)[0][0]
    records = [at for at, _, line in lines(path) if 'seq' in line][-3:]
    cases = [Case(f'{name} cut at {size}', store, truncate(name, size), '',
                  left(store, (path.name, size)))
             for size in range(min(begin, records[0]), used(path), step)]
    assert run_all(new_host, tmp_path, sample.some(cases)) == 0


def cut_workers(new_host, tmp_path, store, step):
    name, wid = next(of_kind(store, 'worker'))
    path = store.root / name
    begin = last_lines(path, 3)[0][0]
    cases = [Case(f'{name} cut at {size}', store, truncate(name, size), wid)
             for size in [0, *range(begin, path.stat().st_size, step)]]
    cases = sample.some(cases)
    assert run_all(new_host, tmp_path, cases) == len(cases)


@pytest.mark.parametrize('store', ['killed', 'both'])
def test_a_log_that_ends_in_its_last_records_costs_those_alone(new_host, tmp_path, made, store):
    cut_logs(new_host, tmp_path, made[store], CUTS)


@pytest.mark.parametrize('store', ['clean', 'both'])
def test_a_worker_file_that_lacks_its_end_is_corrupt(new_host, tmp_path, made, store):
    cut_workers(new_host, tmp_path, made[store], CUTS)


@pytest.mark.soak
@pytest.mark.timeout(1800)  # as conftest has it for these
@pytest.mark.parametrize('store', ['clean', 'killed'])
def test_files_may_end_at_any_byte_of_their_last_records(new_host, tmp_path, small, store):
    if store == 'killed':
        cut_logs(new_host, tmp_path, small[store], 1)
    else:
        cut_workers(new_host, tmp_path, small[store], 1)


# ---- files that are not what they should be ------------------------------------------------
def tmp_files(root):
    for name in ('index.jsonl.tmp', 'store.json.tmp'):
        (root / name).write_bytes(b'{"half')


def foreign(root):
    (root / 'README').write_text('what is this\n')
    (root / 'log/notes.txt').write_text('x\n')
    (root / 'log/17.jsonl').write_text('x\n')
    (root / 'workers/zz').mkdir()
    (root / 'workers/zz/other.jsonl').write_text('{}\n')
    (root / 'workers/core').write_bytes(b'\0' * 99)


def index_of_another(root):
    text = (root / 'index.jsonl').read_text().splitlines()
    (root / 'index.jsonl').write_text('\n'.join(
        [text[0].replace('"store":"', '"store":"f')] + text[1:]) + '\n')


def emptied(name):
    return lambda root: (root / name).write_bytes(b'')


def unlinked(name):
    return lambda root: (root / name).unlink()


def a_folder(name):
    def spoil(root):
        (root / name).unlink()
        (root / name).mkdir()
    return spoil


def a_link(name):
    """A link to a copy of itself, outside of the root."""
    def spoil(root):
        target = root.parent / f'{root.name}.{pathlib.Path(name).name}'
        shutil.move(root / name, target)
        (root / name).symlink_to(target)
    return spoil


def garbage(name):
    return lambda root: (root / name).write_bytes(random.Random(name).randbytes(3000))


def test_files_that_are_lost_foreign_or_of_another_kind(new_host, tmp_path, made):
    clean, both, killed = made['clean'], made['both'], made['killed']
    name, wid = next(of_kind(clean, 'worker'))
    cases = [Case(f'{store.root.name}: {what}', store, spoil, '') for store in (clean, both)
             for what, spoil in {
                 'files of an interrupted rename': tmp_files, 'foreign files': foreign,
                 'no index': unlinked('index.jsonl'), 'an empty index': emptied('index.jsonl'),
                 'an index of another store': index_of_another,
                 'a folder as index': a_folder('index.jsonl'),
                 'garbage as index': garbage('index.jsonl'), 'no lock': unlinked('LOCK'),
                 'garbage as lock': garbage('LOCK')}.items()]
    cases += [Case('killed: ' + what, killed, spoil, '') for what, spoil in {
        'files of an interrupted rename': tmp_files, 'foreign files': foreign}.items()]
    cases += [Case(f'clean: {what}', clean, spoil, wid) for what, spoil in {
        'no file of a worker': unlinked(name), 'a folder as a worker': a_folder(name),
        'a link as a worker': a_link(name), 'garbage as a worker': garbage(name)}.items()]
    assert run_all(new_host, tmp_path, cases) == 4


def test_an_older_index_is_not_believed(new_host, tmp_path):
    root, ledger = tmp_path / 'store', Ledger()
    config = configs.standard(model=crash.MODEL,
                              runtimes=[configs.stored(root, **SMALL, checkpoint_ms=100)])
    host, old = new_host(config), []
    for n in range(4):
        Session(host, ledger, name=f's{n}').run()
        host.stop()
        old.append((root / 'index.jsonl').read_bytes())
        host.start()
    host.stop()
    for index in old:
        (root / 'index.jsonl').write_bytes(index)
        host.start()
        crash.quiet(host.v1)
        ledger.check(host.v1)
        host.stop()


# ---- what a host refuses to open -------------------------------------------------------------
def refuses(new_host, root, code=3):
    """The lines that it ends with."""
    host = new_host(config_of([root]), start=False)
    with pytest.raises(AssertionError, match=f'ended .{code}. without'):
        host.start()
    host.crashed()
    return host.log


def copy(made, tmp_path, name):
    root = tmp_path / name
    shutil.copytree(made.root, root, symlinks=True)
    return root


def test_a_damaged_store_json_is_named_or_whole(new_host, tmp_path, made):
    store = made['clean']
    for case in flips(store, 'store.json', 11, SEED, ''):
        root = copy(store, tmp_path, 'copy')
        case.spoil(root)
        said = refuses(new_host, root)
        assert 'store.json' in said or 'format' in said, (case.name, said)
        shutil.rmtree(root)


@pytest.mark.parametrize('what, says', [
    (unlinked('store.json'), 'no store.json'), (emptied('store.json'), 'store.json'),
    (a_folder('store.json'), 'another kind'), (a_link('store.json'), 'store.json'),
    (lambda r: (r / 'store.json').write_text('{"yoi_store":2,"later":"x"}\n'), 'format 2'),
    (a_link('log'), 'folder'), (a_link('workers'), 'folder'), (a_link('LOCK'), 'locked'),
    (a_folder('LOCK'), 'locked'), (lambda r: r.chmod(0o777), 'written by others'),
    (lambda r: (r / 'log').chmod(0o777), 'written by others'),
    (lambda r: (r / 'workers').chmod(0o722), 'written by others')])
def test_what_is_no_store_is_refused_and_named(new_host, tmp_path, made, what, says):
    root = copy(made['clean'], tmp_path, 'copy')
    what(root)
    before = sorted((str(p), p.lstat().st_size) for p in root.rglob('*') if p.name != 'LOCK')
    said = refuses(new_host, root)
    assert says in said, said
    assert before == sorted((str(p), p.lstat().st_size) for p in root.rglob('*')
                            if p.name != 'LOCK'), 'and nothing of it was touched'


def test_a_root_that_is_a_link_or_a_file_is_refused(new_host, tmp_path, made):
    root = copy(made['clean'], tmp_path, 'copy')
    (tmp_path / 'link').symlink_to(root)
    (tmp_path / 'file').write_text('x')
    for name in ('link', 'link/', 'file'):
        said = refuses(new_host, f'{tmp_path}/{name}')
        assert 'is a symbolic link or no folder' in said, said


# ---- two of them ------------------------------------------------------------------------------
def test_two_hosts_do_not_share_a_store(new_host, tmp_path):
    root = tmp_path / 'store'
    first = new_host(config_of([root]))
    said = refuses(new_host, root)
    assert f'the store is held by process {first.pid}' in said, said
    first.api.ok('POST', '/api/runtimes/r0/workers', {'worker_id': 'w'}, status=201)
    first.crash()
    second = new_host(config_of([root]))  # at once
    assert second.api.ok('GET', '/api/runtimes/r0/workers/w')['worker']['state'] == 'idle'


def test_two_runtimes_of_one_host_do_not_share_a_store(new_host, tmp_path):
    root = tmp_path / 'store'
    host = new_host(config_of([root, root]), start=False)
    with pytest.raises(AssertionError, match='without msg=ready'):
        host.start()
    assert 'the store is held by process' in host.log, host.log
    host.crashed()
