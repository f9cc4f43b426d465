"""Digest pins on the real host: what runs is what was pinned, or nothing."""
import hashlib
import os
import pathlib
import shutil
import subprocess
import threading

import pytest
from lib import configs, wait
from lib.host import BINARY, BUILD, descriptors, dropped, environment
from lib.worker import Worker

NOBODY = 65534
STRACE = shutil.which('strace')
CTOR = 'dev.yoi.test.ctor'


def digest(path):
    return 'sha256:' + hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def set_pin(host, path):
    host.config['plugins'] = [{'id': CTOR, 'digest': digest(path)}]


@pytest.fixture(name='pinned')
def pinned_host(new_host, tmp_path):
    """A host that is not started yet, with `ctor` in a folder and pinned. The
    constructor of a plugin that runs makes the file `ran`, or `evil`."""
    config = configs.standard(runtimes=[configs.embedded(), {'id': 'ctor', 'plugin': CTOR}])
    config['plugin_path'] = [*config['plugin_path'][:2], 'plug']
    host = new_host(config, start=False, env={'YOI_TEST_CTOR': str(tmp_path / 'ran'),
                                              'YOI_TEST_EVIL': str(tmp_path / 'evil')})
    host.plugin = dropped('ctor', host.etc / 'plug')
    host.plugin.parent.chmod(0o755)
    host.ran, host.evil = tmp_path / 'ran', tmp_path / 'evil'
    set_pin(host, host.plugin)
    return host


def refused(host, *words):
    host.write()
    host.spawn()
    assert host.wait_exit() == 1, host.log
    for word in words:
        assert word in host.log, host.log
    assert not host.ran.exists()
    host.proc = None


def test_every_plugin_of_a_host_may_be_pinned_and_no_copy_stays(new_host, tmp_path):
    config = configs.standard()
    config['plugins'] = [
        {'id': name, 'digest': digest(BUILD / path)} for name, path in (
            ('dev.yoi.embedded', 'runtimes/embedded.so'),
            ('dev.yoi.model-script', 'plugins/model-script.so'),
            ('dev.yoi.ingress-http', 'plugins/ingress-http.so'))]
    host = new_host(config)
    assert Worker.create(host.v1).say('hello')
    maps = pathlib.Path(f'/proc/{host.pid}/maps').read_text()
    for entry in config['plugins']:
        assert f"{entry['digest'][7:]}.so (deleted)" in maps
    assert 'embedded.so' not in maps
    assert list((host.folder / 'tmp').iterdir()) == []
    assert not [d for d in descriptors(host.pid) if 'yoi-plugin' in d]
    host.stop()


@pytest.mark.skipif(not STRACE, reason='no strace')
def test_a_host_without_pins_makes_no_file(new_host):
    """Not even one that is gone again, as a pinned one's copies are."""
    made = {}
    pin = {'id': 'dev.yoi.embedded', 'digest': digest(BUILD / 'runtimes/embedded.so')}
    for pins in ([], [pin]):
        host = new_host(configs.standard(plugins=pins), start=False)
        calls = host.folder / 'calls'
        # A file for each thread: no line is cut in two by another thread's.
        host.argv = [STRACE, '-ff', '-qq', '-o', str(calls), '-e',
                     'trace=openat,open,creat,mkdir,mkdirat', *host.argv]
        host.start()
        Worker.create(host.v1).say('hello')
        host.kill()
        host.proc = None
        said = [line for path in host.folder.glob('calls.*')
                for line in path.read_text().splitlines()]
        assert any('openat(' in line for line in said), 'strace saw nothing'
        made[bool(pins)] = [line for line in said
                            if ('O_CREAT' in line or 'mkdir' in line) and ' = -1 ' not in line]
    assert made[False] == []
    assert len(made[True]) == 2 and all('yoi-plugin-' in line or '.so' in line
                                        for line in made[True])


def test_a_byte_that_differs_is_refused(pinned):
    want = pinned.config['plugins'][0]['digest']
    data = bytearray(pinned.plugin.read_bytes())
    data[-1] ^= 1
    pinned.plugin.write_bytes(data)
    refused(pinned, f"pinned plugin '{CTOR}': field 'digest': expected {want}, "
            f'found {digest(pinned.plugin)}', 'yoi.json:')


def test_a_link_is_refused(pinned):
    real = pinned.plugin.rename(pinned.etc / 'real.so')
    pinned.plugin.symlink_to(real)
    refused(pinned, f"no plugin has the id '{CTOR}'", 'ctor.so', 'is a symbolic link')


@pytest.mark.skipif(os.geteuid() != 0, reason='only root gives files away')
def test_another_owner_is_refused(pinned):
    os.chown(pinned.plugin, NOBODY, NOBODY)
    refused(pinned, f"pinned plugin '{CTOR}': field 'owner' of its file: expected root or user 0, "
            'found user 65534')
    os.chown(pinned.plugin, 0, 0)
    os.chown(pinned.plugin.parent, NOBODY, NOBODY)
    refused(pinned, f"pinned plugin '{CTOR}': field 'owner' of its folder: expected root or user 0,"
            ' found user 65534')


def test_a_file_or_folder_that_the_group_may_write_is_refused(pinned):
    pinned.plugin.chmod(0o664)
    refused(pinned, f"pinned plugin '{CTOR}': field 'mode' of its file: expected no writing by "
            'group or others, found 0664')
    pinned.plugin.chmod(0o644)
    pinned.plugin.parent.chmod(0o775)
    refused(pinned, f"pinned plugin '{CTOR}': field 'mode' of its folder: expected no writing by "
            'group or others, found 0775')


def test_a_file_or_folder_that_everybody_may_write_is_refused(pinned):
    pinned.plugin.chmod(0o646)
    refused(pinned, f"no plugin has the id '{CTOR}'", 'ctor.so', 'writable by everybody')
    pinned.plugin.chmod(0o644)
    pinned.plugin.parent.chmod(0o777)
    refused(pinned, 'cannot search this folder: writable by everybody')


def test_a_dropped_in_runtime_may_be_pinned(pinned):
    pinned.config['drop_in'] = [pinned.config['plugin_path'].pop()]
    del pinned.config['runtimes'][1]
    pinned.start()
    assert pinned.ran.exists()
    pinned.stop()
    pinned.ran.unlink()
    data = pinned.plugin.read_bytes()
    pinned.plugin.write_bytes(data + b'\0')
    refused(pinned, "field 'digest': expected")


def test_what_is_swapped_while_hosts_start_never_runs(pinned):
    """Another process renames other bytes over the file, as fast as it can."""
    good = pinned.plugin.read_bytes()
    evil = good.replace(b'YOI_TEST_CTOR', b'YOI_TEST_EVIL')
    assert evil != good
    over = threading.Event()

    def swap():
        name = pinned.etc / 'next'
        while not over.is_set():
            for data in (evil, good):
                name.write_bytes(data)
                name.chmod(0o644)
                name.rename(pinned.plugin)
                over.wait(0.002)

    thread = threading.Thread(target=swap)
    pinned.write()
    ended, up = 0, 0
    thread.start()
    try:
        for _ in range(12):
            pinned.spawn()
            try:
                pinned.line(lambda s: 'msg=ready' in s, what='ready')
                up += 1
                pinned.stop()
            except AssertionError:
                assert pinned.proc.poll() in (1, 3), pinned.log
                assert "field 'digest'" in pinned.log or 'changed' in pinned.log or \
                    'truncated' in pinned.log, pinned.log
                ended += 1
            assert not pinned.evil.exists()
            assert pinned.ran.exists() or not up
    finally:
        over.set()
        thread.join()
    assert up + ended == 12
    pinned.proc = None
    pinned.plugin.write_bytes(evil)
    pinned.config['plugins'] = []
    pinned.start()
    assert pinned.evil.exists(), 'the other bytes are a plugin that would have run'
    pinned.stop()


def test_check_sees_a_pin_that_is_not_met_and_writes_nothing(pinned, tmp_path):
    pinned.write()

    def check():
        env = environment(pinned.folder, {'TMPDIR': '/nonexistent'})
        return subprocess.run([str(BINARY), 'check', str(pinned.file)], env=env, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=wait.patience(30), universal_newlines=True)
    assert check().returncode == 0
    pinned.plugin.write_bytes(pinned.plugin.read_bytes() + b'\0')
    done = check()
    assert done.returncode == 1 and "field 'digest'" in done.stdout
    assert not (tmp_path / 'ran').exists()
