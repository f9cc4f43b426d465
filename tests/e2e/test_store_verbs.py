"""yoi-host store on a store of files: each verb on sound, torn and damaged
ones; what is held, missing or a link; a repair that is killed."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest
from lib import store as files
from lib import sample, wait
from lib.host import BUILD, environment
from lib.worker import Worker, text_of

WORKERS = ['ann', 'ben', 'cleo']


@pytest.fixture(scope='module', name='made')
def make_store(module_host, tmp_path_factory):
    """A store with a part in the workers' files and a part in the log: ann, ben
    (stopped) and cleo, and of dora, who was removed, nothing; killed."""
    return files.make(module_host, tmp_path_factory.mktemp('made'), WORKERS)


@pytest.fixture(name='store')
def copied(made, tmp_path):
    return made.copy(tmp_path)


def opened(new_host, store):
    """What a host says of a store: {worker: (state, texts)}."""
    host = new_host(files.config(store.root), allow_log=['.'])
    rows = host.v1.ok('GET', '/v1/workers')['workers']
    out = {}
    for row in rows:
        state, texts = row['state'], None
        if state != 'corrupt':
            w = Worker(host.v1, '/v1', row['worker_id'])
            texts = [text_of(i) for i in w.transcript()['items']]
        out[row['worker_id']] = (state, texts)
    host.stop()
    return out


SAID = ['first', 'You said: first', 'second', 'You said: second']
WHOLE = {'ann': ('idle', SAID), 'ben': ('stopped', SAID), 'cleo': ('idle', SAID)}


# ---- sound ---------------------------------------------------------------------
def test_a_sound_store_is_said_to_be(store):
    before = store.hash()
    assert store.findings() == []
    assert store.run('check').stdout == 'the store is sound: 3 workers\n'
    assert store.run('repair', '--yes').stdout.endswith('there is nothing to repair\n')
    assert store.hash() == before


def test_cat_has_the_records_of_file_and_log_in_order(store):
    assert b'second' not in store.worker('ann').read_bytes()
    records = store.records('ann')
    assert [r['seq'] for r in records] == list(range(1, len(records) + 1))
    assert [r['kind'] for r in records].count('turn.ended') == 2
    assert {r['worker'] for r in records} == {'ann'}
    assert all(set(r) == {'worker', 'seq', 'kind', 'data'} for r in records)
    private = store.records('ann', '--private')
    assert 'spec' in private[0] and any('aux' in r for r in private)
    assert [{k: r[k] for k in records[0]} for r in private] == records
    assert "no worker 'dora'" in store.run('cat', '--worker', 'dora', code=3).stderr
    assert "needs the option 'worker'" in store.run('cat', code=2).stderr
    assert 'the id of a worker' in store.run('cat', '--worker', '../x', code=2).stderr


def test_export_is_all_of_it_with_a_manifest(store, tmp_path):
    lines = [json.loads(x) for x in store.run('export').stdout.splitlines()]
    manifest, end = lines[0], lines[-1]
    assert manifest['export'] == 'yoi.records/1' and manifest['private'] is False
    assert manifest['store'] in (store.root / 'store.json').read_text()
    assert end == {'end': {'workers': 3, 'records': len(lines) - 2}}
    assert lines[1:-1] == [r for w in WORKERS for r in store.records(w)]
    before = store.hash()
    store.run('export', '--to', str(tmp_path / 'out'), '--private')
    assert sorted(p.name for p in (tmp_path / 'out').iterdir()) == \
        ['ann.jsonl', 'ben.jsonl', 'cleo.jsonl', 'manifest.jsonl']
    assert [json.loads(x) for x in (tmp_path / 'out/ben.jsonl').read_text().splitlines()] == \
        store.records('ben', '--private')
    assert (tmp_path / 'out').stat().st_mode & 0o777 == 0o700
    assert 'File exists' in store.run('export', '--to', str(tmp_path / 'out'), code=3).stderr
    lines = store.run('export', '--worker', 'ben').stdout.splitlines()
    assert json.loads(lines[-1])['end']['workers'] == 1
    assert store.hash() == before


def test_stat_counts(store):
    said = store.json('stat')[0]
    assert (said['workers'], said['states']['stopped'], said['states']['idle']) == (3, 1, 2)
    assert said['records'] == sum(len(store.records(w)) for w in WORKERS)
    assert said['bytes']['workers'] == sum(store.worker(w).stat().st_size for w in WORKERS)
    assert said['bytes']['log_only'] > 0 and said['segments'] == len(store.segments())
    assert re.fullmatch(r'2.*Z', said['oldest']) and said['oldest'] < said['newest']
    assert re.search(r'^states\.stopped +1$', store.run('stat').stdout, re.M)


def test_compact_brings_the_log_into_the_files(store, new_host):
    records = {w: store.records(w, '--private') for w in WORKERS}
    before = store.hash()
    plan = store.findings('compact', least='info')
    assert {f['code'] for f in plan} == {'plan'} and store.hash() == before
    assert any(f['message'].startswith('would append') for f in plan)
    done = store.findings('compact', '--yes', least='info')
    assert [f['message'].replace('would ', '') for f in plan] == \
        [f['message'] for f in done if f['message'][:4] != 'keep']
    assert {w: store.records(w, '--private') for w in WORKERS} == records
    (segment,) = store.segments()
    assert segment.read_bytes().count(b'\n') == 1 and store.findings() == []
    assert store.json('stat')[0]['bytes']['log_only'] == 0
    (backup,) = store.backups()
    assert (backup / 'index.jsonl').exists() and list((backup / 'log').iterdir())
    again = store.hash()
    store.run('compact', '--yes')
    assert store.hash() == again
    assert opened(new_host, store) == WHOLE


# ---- damage --------------------------------------------------------------------
def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def edit(path, change):
    lines = path.read_bytes().splitlines(keepends=True)
    change(lines)
    path.write_bytes(b''.join(lines))


def log_lines(store):
    segment = store.segments()[-1]
    return segment, segment.read_bytes().rstrip(b'\0').splitlines(keepends=True)


def put_log(segment, lines):
    segment.write_bytes(b''.join(lines))


def a_bit_in_a_file(s):
    lines = s.worker('ann').read_bytes().splitlines(keepends=True)
    flip(s.worker('ann'), len(lines[0] + lines[1]) + 30)


def a_file_cut_short(s):
    os.truncate(s.worker('ann'), s.worker('ann').stat().st_size - 10)


def a_file_that_lost_whole_lines(s):
    edit(s.worker('ann'), lambda lines: lines.__delitem__(slice(-2, None)))


def a_line_taken_out(s):
    edit(s.worker('ann'), lambda lines: lines.pop(2))


def a_line_twice(s):
    edit(s.worker('ann'), lambda lines: lines.insert(2, lines[2]))


def lines_of_another_worker(s):
    shutil.copy(s.worker('ben'), s.worker('ann'))


def a_missing_file(s):
    s.worker('ann').unlink()


def a_link_for_a_file(s):
    other = s.root.parent / 'other'
    shutil.move(s.worker('ann'), other)
    s.worker('ann').symlink_to(other)


def a_first_line_of_zeros(s):
    data = s.worker('ann').read_bytes()
    s.worker('ann').write_bytes(b'\0' * data.index(b'\n') + data[data.index(b'\n'):])


def a_bit_in_the_log(s):
    segment, lines = log_lines(s)
    n = next(i for i, x in enumerate(lines) if b'"worker":"ann"' in x)
    lines[n] = lines[n].replace(b'"kind"', b'"kjnd"')
    put_log(segment, lines)


def a_line_out_of_the_log(s):
    segment, lines = log_lines(s)
    lines.pop(next(i for i, x in enumerate(lines) if b'"worker":"ann"' in x))
    put_log(segment, lines)


def zeros_in_the_log(s):
    segment, lines = log_lines(s)
    n = next(i for i, x in enumerate(lines) if b'"worker":"ann"' in x)
    lines[n] = b'\0' * len(lines[n])
    put_log(segment, lines)


def no_store_json(s):
    (s.root / 'store.json').unlink()


def a_damaged_store_json(s):
    flip(s.root / 'store.json', 30)


def an_index_that_lies(s):
    def change(lines):
        n = next(i for i, x in enumerate(lines) if b'"worker":"ann"' in x)
        was = re.search(r'"bytes":(\d+)', lines[n].decode())
        lines[n] = files.resealed(lines[n], was.group(0), f'"bytes":{int(was.group(1)) - 7}')
    edit(s.root / 'index.jsonl', change)


def no_folder_of_the_log(s):
    shutil.rmtree(s.root / 'log')


def no_folder_of_workers(s):
    shutil.rmtree(s.root / 'workers')


def no_log(s):
    for path in s.segments():
        path.unlink()


# Each with the code of its finding, and who must be whole after a repair.
DAMAGE = [
    (a_bit_in_a_file, 'damaged', 'BC'), (a_file_cut_short, 'damaged', 'BC'),
    (a_file_that_lost_whole_lines, 'short', 'BC'), (a_line_taken_out, 'damaged', 'BC'),
    (a_line_twice, 'damaged', 'BC'), (lines_of_another_worker, 'damaged', 'BC'),
    (a_missing_file, 'missing', 'BC'), (a_link_for_a_file, 'damaged', 'BC'),
    (a_first_line_of_zeros, 'damaged', 'BC'), (a_bit_in_the_log, 'lost', 'BC'),
    (a_line_out_of_the_log, 'lost', 'BC'), (zeros_in_the_log, 'lost', 'BC'),
    (no_store_json, 'format', 'ABC'), (a_damaged_store_json, 'format', 'ABC'),
    (an_index_that_lies, 'index', 'ABC'), (no_log, 'missing', ''),
    (no_folder_of_the_log, 'missing', ''), (no_folder_of_workers, 'missing', '')]
BY_LETTER = dict(zip('ABC', WORKERS))


@pytest.mark.parametrize('damage, code, whole', sample.some(DAMAGE),
                         ids=lambda x: getattr(x, '__name__', ''))
def test_damage_is_found_and_repaired(store, new_host, damage, code, whole):
    damage(store)
    before = store.hash()
    found = store.findings(code=6, least='error')
    assert code in {f['code'] for f in found}, found
    assert all(set(f) >= {'file', 'message'} or 'worker' in f for f in found)
    assert all(f.get('worker', 'ann') == 'ann' or code == 'missing' for f in found), found
    assert 'repair it first' in store.run('compact', '--yes', code=6).stderr
    said = store.run('repair').stdout
    assert 'would ' in said and said.endswith('with --yes it would be\n')
    for args in (['export'], ['stat'], ['cat', '--worker', 'ann']):
        store.run(*args, code=None)
    assert store.hash() == before
    store.run('repair', '--yes')
    assert store.findings(least='error') == []
    assert len(store.backups()) == 1
    kept = {p.name for p in store.backups()[0].rglob('*') if p.is_file()}
    assert kept >= {p.name for p in store.backups()[0].glob('log/*')}
    now = opened(new_host, store)
    for letter in whole:
        assert now[BY_LETTER[letter]] == WHOLE[BY_LETTER[letter]]
    assert all(state != 'corrupt' for state, _ in now.values())
    if 'ann' in now:
        assert now['ann'][1] == SAID[:len(now['ann'][1])]
    assert store.findings(least='error') == []


def test_the_backup_has_what_was_taken_away(store):
    a_bit_in_a_file(store)
    damaged, log = store.worker('ann').read_bytes(), store.segments()[-1].read_bytes()
    name = store.segments()[-1].name
    store.run('repair', '--yes')
    (backup,) = store.backups()
    assert (backup / store.worker('ann').relative_to(store.root)).read_bytes() == damaged
    assert (backup / 'log' / name).read_bytes() == log
    assert not (backup / store.worker('ben').relative_to(store.root)).exists()
    assert backup.stat().st_mode & 0o777 == 0o700


def go_back(store):
    """As docs/store.md says it."""
    (backup,) = store.backups()
    shutil.rmtree(store.root / 'log')
    (store.root / 'index.jsonl').unlink()
    shutil.copytree(backup, store.root, dirs_exist_ok=True)


def test_a_backup_brings_a_store_back(store):
    records = {w: store.records(w) for w in WORKERS}
    store.run('compact', '--yes')
    go_back(store)
    assert store.findings() == [] and b'second' in store.segments()[-1].read_bytes()
    assert {w: store.records(w) for w in WORKERS} == records


def test_a_backup_brings_damage_back(store):
    a_bit_in_a_file(store)
    a_bit_in_the_log(store)
    before = store.findings(code=6)
    store.run('repair', '--yes')
    go_back(store)
    assert store.findings(code=6) == before


# ---- what a start mends by itself ------------------------------------------------
def a_torn_log(s):
    segment, lines = log_lines(s)
    put_log(segment, lines[:-3] + [lines[-3][:len(lines[-3]) // 2]])


def a_torn_file(s):
    with s.worker('ann').open('ab') as f:
        f.write(log_lines(s)[1][1][:50])


def no_index(s):
    (s.root / 'index.jsonl').unlink()


def a_damaged_index(s):
    flip(s.root / 'index.jsonl', 100)


def open_modes(s):
    s.worker('ann').chmod(0o644)


def a_foreign_file(s):
    (s.root / 'workers/readme').write_text('x')


def a_file_in_the_wrong_folder(s):
    folder = s.root / 'workers/ee'
    folder.mkdir(exist_ok=True, mode=0o700)
    shutil.copy(s.worker('ann'), folder)


def a_worker_that_nobody_knows(s):
    other = s.worker('eve')
    other.parent.mkdir(exist_ok=True, mode=0o700)
    other.write_bytes(b''.join(files.resealed(x, '"worker":"ann"', '"worker":"eve"')
                               for x in s.worker('ann').read_bytes().splitlines()))
    other.chmod(0o600)


def something_left_over(s):
    (s.root / 'index.jsonl.tmp').write_text('x')


@pytest.mark.parametrize('change, code', [
    (a_torn_log, 'torn'), (a_torn_file, 'torn'), (no_index, 'index'), (a_damaged_index, 'index'),
    (open_modes, 'mode'), (a_foreign_file, 'foreign'), (a_file_in_the_wrong_folder, 'foreign'),
    (a_worker_that_nobody_knows, 'unknown'), (something_left_over, 'left')])
def test_what_costs_nothing_is_a_warning(store, change, code):
    change(store)
    before = store.hash()
    (found,) = store.findings()
    assert (found['code'], found['severity']) == (code, 'warning'), found
    assert store.hash() == before
    store.run('compact', '--yes')
    assert [f['code'] for f in store.findings()] in ([], [code])


def test_what_others_may_write_is_an_error(store):
    store.worker('ann').chmod(0o666)
    (found,) = store.findings(code=6)
    assert found['code'] == 'mode' and found['message'].endswith('666')
    store.run('repair', '--yes')
    assert store.worker('ann').stat().st_mode & 0o777 == 0o600
    assert store.findings() == []


def test_records_are_looked_into(store):
    """Written so, with a right sum: told, and not taken for damage."""
    def change(lines):
        n = next(i for i, x in enumerate(lines) if b'"kind":"turn.ended"' in x)
        lines[n] = files.resealed(lines[n], '"kind":"turn.ended"', '"kind":"turn.begun"')
    edit(store.worker('ann'), change)
    found = store.findings()
    assert {'kind', 'turn'} <= {f['code'] for f in found}, found
    assert {f['file'] for f in found} <= {'workers/' + str(store.worker('ann').relative_to(
        store.root / 'workers')), 'log/' + store.segments()[-1].name}


def test_a_finding_says_where(store):
    data = store.worker('ann').read_bytes()
    at = data.index(b'\n') + 1
    flip(store.worker('ann'), at + 20)
    (found,) = store.findings(code=6, least='error')
    assert (found['line'], found['offset'], found['worker']) == (2, at, 'ann')
    name = store.worker('ann').relative_to(store.root)
    line = next(x for x in store.run('check', code=6).stdout.splitlines() if 'error' in x)
    assert line.startswith(f'{name}:2: error: its sum is wrong: of the worker 1 records can be '
                           'read') and line.endswith(f"(worker 'ann', byte {at})")
    assert len(store.records('ann', code=6)) == 1


# ---- the folder ------------------------------------------------------------------
def test_a_held_store_is_refused(store, new_host):
    host = new_host(files.config(store.root))
    for verb in ('check', 'repair', 'compact', 'export', 'stat', 'cat'):
        args = ['--worker', 'ann'] if verb == 'cat' else []
        args += ['--yes'] if verb in ('repair', 'compact') else []
        said = store.run(verb, *args, code=3).stderr
        assert f'the store is held by process {host.pid}' in said
    assert Worker(host.v1, '/v1', 'ann').say('third')['turn']['state'] == 'completed'


def locks(pid):
    """The kernel's locks that a process holds."""
    out = []
    for info in pathlib.Path(f'/proc/{pid}/fdinfo').iterdir():
        try:
            out += [x for x in info.read_text().splitlines() if x.startswith('lock:')]
        except OSError:  # it is closed by now
            continue
    return out


def test_no_host_starts_while_a_verb_runs(store, tmp_path, new_host):
    """What is exported goes into a pipe that nobody reads."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    try:
        while True:
            os.write(write, b'x' * 4096)
    except BlockingIOError:
        os.set_blocking(write, True)
    child = subprocess.Popen(store.argv('export'), stdout=write, cwd=tmp_path,
                             env=environment(tmp_path), stderr=subprocess.DEVNULL)
    try:
        os.close(write)
        wait.until(lambda: locks(child.pid), what='a lock')
        host = new_host(files.config(store.root), start=False, allow_log=['.'])
        host.write()
        host.spawn()
        assert host.wait_exit() == 3 and 'the store is held by another process' in host.log
        host.proc = None
        # Two may look at the same time.
        store.run('check')
        assert 'held by another process' in store.run('compact', '--yes', code=3).stderr
    finally:
        os.close(read)
        child.kill()
        child.wait()


def test_a_missing_root_is_not_made(store, tmp_path):
    shutil.rmtree(store.root)
    for verb in ('check', 'stat'):
        assert 'there is no store' in store.run(verb, code=3).stderr
    assert 'there is no store' in store.run('repair', '--yes', code=3).stderr
    assert not store.root.exists()
    store.root.mkdir()
    assert 'the folder is no store' in store.run('repair', '--yes', code=3).stderr
    assert list(store.root.iterdir()) in ([], [store.root / 'LOCK'])


def test_a_root_that_is_a_link_is_refused(store):
    shutil.move(store.root, store.root.parent / 'real')
    store.root.symlink_to('real')
    for verb in ('check', 'repair'):
        assert 'a symbolic link' in store.run(verb, code=3).stderr


def test_a_newer_format_is_left_alone(store):
    text = (store.root / 'store.json').read_bytes()
    (store.root / 'store.json').write_bytes(files.resealed(text, '"yoi_store":1', '"yoi_store":2'))
    before = store.hash()
    assert 'has format 2' in store.run('repair', '--yes', code=3).stderr
    assert store.hash() == before


# ---- a repair that is interrupted ---------------------------------------------------
@pytest.mark.skipif('san' in BUILD.name, reason='strace and the leak checker exclude each other')
@pytest.mark.parametrize('call', ['fsync', 'renameat', 'renameat2', 'ftruncate', 'pwrite64',
                                  'unlinkat', 'syncfs', 'mkdirat'])
def test_a_repair_that_is_killed_is_done_again(made, tmp_path, new_host, call):
    whole = made.copy(tmp_path / 'whole')
    a_bit_in_a_file(whole)
    no_store_json(whole)
    aim = whole.copy(tmp_path / 'aim')
    log = tmp_path / 'calls'
    aim.run('repair', '--yes', prefix=['strace', '-f', '-qq', '-o', log, '-e', f'trace={call}'])
    want = {w: aim.records(w) for w in WORKERS}
    calls = len(log.read_text().splitlines())
    assert calls > 0
    # Of many, some: the first, the last, and a dozen between.
    for nth in sorted({1, calls, *sample.some(list(range(1, calls, calls // 12 + 1)), 2)}):
        store = whole.copy(tmp_path / str(nth))
        done = store.run('repair', '--yes', code=None, prefix=[
            'strace', '-f', '-qq', '-o', '/dev/null', '-e', f'trace={call}',
            '-e', f'inject={call}:signal=KILL:when={nth}'])
        assert done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL), done.stderr
        store.run('repair', '--yes')
        assert store.findings(least='error') == []
        assert {w: store.records(w) for w in WORKERS} == want
    assert opened(new_host, aim)['ben'] == WHOLE['ben']
