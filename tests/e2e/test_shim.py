"""The shim of tests/fault: what it fails, what it counts, what it leaves alone."""
import json
import os
import pathlib
import subprocess
import sys
import time

import pytest

from lib import fault, wait
from lib.host import BUILD

VICTIM = pathlib.Path(__file__).resolve().parents[1] / 'fault/victim.py'
pytestmark = pytest.mark.skipif('san' in BUILD.name,
                                reason='the shim is the same in each build, its victim is not ours')
RW = os.O_RDWR | os.O_CREAT


class Victim:
    """A process behind the shim, asked one call at a time."""

    def __init__(self, disk, trace=None):
        self.proc = subprocess.Popen(
            [sys.executable, '-S', str(VICTIM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={k: v for k, v in {**disk.env, 'PATH': os.environ['PATH'],
                                   'PYTHONDONTWRITEBYTECODE': '1'}.items() if v})

    def __call__(self, *what):
        self.proc.stdin.write(json.dumps(what).encode() + b'\n')
        self.proc.stdin.flush()
        line = self.proc.stdout.readline()
        return json.loads(line) if line else None

    def ok(self, *what):
        kind, out = self(*what)
        assert kind == 'ok', (what, out)
        return out

    def end(self):
        self.proc.stdin.close()
        self.proc.stdout.close()
        return self.proc.wait(wait.patience(20))


@pytest.fixture
def disk(tmp_path):
    (tmp_path / 'root').mkdir()
    (tmp_path / 'rooted').mkdir()
    made = fault.Disk(tmp_path, tmp_path / 'root')
    yield made
    made.close()


@pytest.fixture
def victim(disk):
    made = Victim(disk)
    yield made
    made.proc.kill()
    made.end()


def test_what_lies_below_the_root_is_counted_and_nothing_else(disk, victim, tmp_path):
    root, beside = str(disk.root), str(tmp_path / 'rooted')
    for folder in (beside, root):  # the first has the root's name as a beginning
        before = disk.calls
        victim.ok('open', '@f', f'{folder}/a', RW, 0o600)
        victim.ok('write', '@f', "x'616263")
        victim.ok('fsync', '@f')
        victim.ok('close', '@f')
        victim.ok('rename', f'{folder}/a', f'{folder}/b')
        assert disk.calls - before == (5 if folder == root else 0)
    assert [(c.call, c.path, c.error) for c in disk.log()] == [
        ('open', '/a', 0), ('write', '/a', 0), ('fsync', '/a', 0), ('close', '/a', 0),
        ('rename', '/a', 0)]
    victim.ok('rename', f'{beside}/b', f'{beside}/c')
    victim.ok('open', '@d', root, os.O_RDONLY)
    victim.ok('open', '@g', 'deep', RW, 0o600, {'dir_fd': '@d'})
    assert disk.log()[-1].path == '/deep', 'a name is below the folder that it is opened in'
    victim.ok('dup2', '@g', 40)
    victim.ok('write', 40, "x'00")
    assert disk.log()[-1][1:3] == ('write', '/deep'), 'however a descriptor was got'


@pytest.mark.parametrize('kind', fault.ERRORS)
@pytest.mark.parametrize('call', ['open', 'write', 'pwrite', 'read', 'pread', 'fsync', 'fdatasync',
                                  'rename', 'unlink', 'ftruncate', 'mkdir', 'posix_fallocate',
                                  'scandir', 'stat', 'fchmod'])
def test_a_call_fails_once_without_effect_and_then_works(disk, victim, kind, call):
    root = str(disk.root)
    (disk.root / 'there').write_bytes(b'abcdef')
    victim.ok('open', '@f', f'{root}/there', RW, 0o600)
    what = {'open': ('open', '@n', f'{root}/new', RW, 0o600), 'write': ('write', '@f', "x'7a"),
            'pwrite': ('pwrite', '@f', "x'7a", 1), 'read': ('read', '@f', 3),
            'pread': ('pread', '@f', 3, 0), 'fsync': ('fsync', '@f'),
            'fdatasync': ('fdatasync', '@f'), 'rename': ('rename', f'{root}/there', f'{root}/b'),
            'unlink': ('unlink', f'{root}/there'), 'ftruncate': ('ftruncate', '@f', 0),
            'mkdir': ('mkdir', f'{root}/dir'),
            'posix_fallocate': ('posix_fallocate', '@f', 0, 9000),
            'scandir': ('scandir', root), 'stat': ('stat', f'{root}/there'),
            'fchmod': ('fchmod', '@f', 0o600)}[call]
    before = sorted((p.name, p.stat().st_size) for p in disk.root.iterdir())
    disk.arm(kind)
    out = victim(*what)
    if kind == 'EINTR' and disk.calls > 2:
        assert out[0] == 'ok', 'Python asks again when it was interrupted'
    else:
        assert out == ['error', kind] and (disk.hits, disk.first().error) == (1, getattr(
            __import__('errno'), kind))
        assert sorted((p.name, p.stat().st_size) for p in disk.root.iterdir()) == before
        victim.ok(*what)
    assert disk.hits == 1


def test_a_call_that_the_library_has_no_name_for_is_seen_as_well(disk, victim):
    (disk.root / 'a').write_bytes(b'abc')
    assert victim.ok('read', victim.ok('openat2', f'{disk.root}/a'), 3) == '616263'
    assert disk.log()[-2][1:3] == ('open', '/a')
    disk.arm('EIO', calls=('open',))
    assert victim('openat2', f'{disk.root}/a') == ['error', 'EIO']


def test_a_failed_close_has_closed(disk, victim):
    victim.ok('open', '@f', f'{disk.root}/a', RW, 0o600)
    disk.arm('EIO', calls=('close',))
    assert victim('close', '@f') == ['error', 'EIO']
    assert victim('close', '@f') == ['error', 'EBADF']


def test_the_nth_of_a_kind_below_a_name(disk, victim):
    root = str(disk.root)
    victim.ok('open', '@f', f'{root}/log', RW, 0o600)
    victim.ok('open', '@g', f'{root}/other', RW, 0o600)
    disk.arm('EIO', 2, calls=('fsync',), only='/log')
    assert [victim('fsync', f)[0] for f in ('@f', '@g', '@g', '@f', '@f')] == [
        'ok', 'ok', 'ok', 'error', 'ok']
    assert (disk.matched, disk.hits) == (3, 1)
    disk.arm('ENOSPC', 2, on=True, calls=('write',))
    assert [victim('write', '@f', "x'00")[0] for _ in range(4)] == ['ok', 'error', 'error', 'error']
    disk.disarm()
    assert victim('write', '@f', "x'00")[0] == 'ok'


def test_half_of_what_was_to_be_moved(disk, victim):
    victim.ok('open', '@f', f'{disk.root}/a', RW, 0o600)
    disk.arm('short')
    assert victim.ok('write', '@f', "x'000102030405") == 3
    disk.arm('short')
    assert victim.ok('writev', '@f', ["x'0001", "x'0203"]) == 1
    disk.arm('short')
    assert victim.ok('pread', '@f', 4, 0) == '0001'
    disk.arm('short', calls=('write',))
    assert victim.ok('fsync', '@f') is None and disk.hits == 0
    assert victim.ok('pwritev', '@f', ["x'aaaa", "x'bbbb"], 0) == 1
    assert (disk.root / 'a').read_bytes().hex() == 'aa010200'


def test_a_disk_that_becomes_full_takes_a_half_and_then_nothing(disk, victim):
    victim.ok('open', '@f', f'{disk.root}/a', RW, 0o600)
    disk.arm('full', on=True, calls=('write', 'allocate'))
    assert victim('write', '@f', "x'00010203") == ['ok', 2]
    assert victim('write', '@f', "x'0203") == ['error', 'ENOSPC']
    assert victim('posix_fallocate', '@f', 0, 100) == ['error', 'ENOSPC']
    assert (disk.root / 'a').read_bytes().hex() == '0001'


@pytest.mark.parametrize('kind, left', [('crash_before', ''), ('crash_after', '00010203'),
                                        ('crash_torn', '0001')])
def test_it_is_killed_before_behind_or_in_the_midst(disk, victim, kind, left):
    victim.ok('open', '@f', f'{disk.root}/a', RW, 0o600)
    disk.arm(kind, calls=('write',))
    assert victim('write', '@f', "x'00010203") is None
    assert victim.end() == -9
    assert (disk.root / 'a').read_bytes().hex() == left
    victim.proc = subprocess.Popen(['true'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_no_call_is_lost_or_counted_twice_between_threads(disk, victim):
    victim.ok('threads', str(disk.root), 8, 200)
    assert disk.calls == 8 * 202 and disk.ticks == 2 * disk.calls
    assert {c.call for c in disk.log()} == {'open', 'write', 'close'}


def test_the_wall_clock_is_shifted(tmp_path):
    (tmp_path / 'root').mkdir()
    disk = fault.Disk(tmp_path, tmp_path / 'root', clock=-86400)
    victim = Victim(disk)
    assert abs(victim.ok('time') - (time.time() - 86400)) < 60
    assert victim.end() == 0
    disk.close()


def test_the_shim_sees_every_call_on_files_that_a_store_makes():
    """Names that the library would go to the kernel with, past the shim."""
    store = BUILD / 'runtimes/fs-store.so'
    if not store.exists():
        pytest.skip('there is no fs-store yet')

    def names(path, *how):
        out = subprocess.run(['nm', '-D', *how, str(path)], stdout=subprocess.PIPE, check=True)
        return {line.split()[-1].split('@')[0] for line in out.stdout.decode().splitlines()}
    files = {'open', 'open64', 'openat', 'openat64', 'creat', '__open_2', '__openat_2', 'fopen',
             'fopen64', 'fdopen', 'read', 'pread', 'pread64', 'readv', 'preadv', '__read_chk',
             '__pread_chk', 'write', 'pwrite', 'pwrite64', 'writev', 'pwritev', 'pwritev2', 'fsync',
             'fdatasync', 'syncfs', 'sync', 'sync_file_range', 'msync', 'mmap', 'rename',
             'renameat', 'renameat2',
             'link', 'linkat', 'symlink', 'symlinkat', 'unlink', 'unlinkat', 'rmdir',
             'remove', 'mkdir', 'mkdirat', 'truncate', 'ftruncate', 'posix_fallocate', 'fallocate',
             'copy_file_range', 'sendfile', 'splice', 'io_uring_setup', 'stat', 'fstat', 'lstat',
             'fstatat', 'opendir', 'fdopendir', 'readdir', 'scandir', 'ftw', 'nftw', 'getdents64',
             'close', 'close_range', 'mkstemp', 'mkostemp', 'tmpfile', 'clock_gettime', 'time',
             'gettimeofday', 'utimensat', 'futimens', 'fchmodat', 'syscall'}
    missing = (names(store, '--undefined-only') & files) - names(fault.SHIM, '--defined-only')
    assert not missing, 'shim.c has to stand between'
