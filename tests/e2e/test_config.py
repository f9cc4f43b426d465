"""The config as an operator meets it: examples, refusals at start, secrets."""
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile

import pytest
from lib import configs, wait
from lib.host import BINARY, ROOT, TOKEN, Host, descriptors, dropped, environment
from lib.wire import Client

EXAMPLES = sorted((ROOT / 'docs/examples').glob('*.json'))


def check(path, folder, env=None):
    done = subprocess.run([str(BINARY), 'check', str(path)], cwd=folder, check=False,
                          env=environment(folder, env), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=wait.patience(30))
    return done.returncode, done.stdout.decode()


@pytest.mark.parametrize('path', EXAMPLES, ids=lambda p: p.name)
def test_examples_pass_check(path, tmp_path):
    (tmp_path / 'workspace').mkdir()  # what coder.json wants beside it
    copy = tmp_path / path.name
    copy.write_text(path.read_text())
    code, said = check(copy, tmp_path)
    assert code == 0, said


def refused(host, *words):
    host.write()
    host.spawn()
    assert host.wait_exit() == 3, host.log  # the config is right, the start is not
    for word in words:
        assert word in host.log, host.log
    host.proc = None
    return host.log


def runtime_surface(**secret):
    return configs.standard(ingresses=[{'plugin': 'dev.yoi.ingress-http', 'surface': 'runtime',
                                        'runtime': 'main', 'listen': '127.0.0.1:0',
                                        'token': 'secret:door'}],
                            local={'secrets': {'door': secret}})


def test_a_secret_that_others_can_read_stops_the_start_and_is_not_shown(new_host):
    host = new_host(runtime_surface(file='door.token'), start=False)
    host.write()
    path = host.etc / 'door.token'
    path.write_text(TOKEN + '\n')
    path.chmod(0o644)
    log = refused(host, "'door'", 'group or others')
    assert TOKEN not in log


def test_a_token_without_a_value_stops_the_start(new_host):
    refused(new_host(runtime_surface(env='YOI_TEST_NO_SUCH'), start=False), "'door'", 'no value')


SERVICE = 61184  # of the range that systemd takes for DynamicUser


def let_read(path, perm):
    """Root's, with an access list for the user of the service: acl(5), as the kernel keeps it."""
    entries = [(0x01, perm, -1), (0x02, perm, SERVICE), (0x04, 0, -1), (0x10, perm, -1),
               (0x20, 0, -1)]
    text = struct.pack('<I', 2) + b''.join(struct.pack('<HHi', *e) for e in entries)
    try:
        os.setxattr(path, 'system.posix_acl_access', text)
    except OSError:
        pytest.skip('no access lists here')


@pytest.mark.parametrize('kind', ['of this user', 'of the service', 'by a list'])
def test_credentials_are_read_as_a_service_manager_lays_them_out(kind):
    """A folder 0500 with files 0400: of the user that the service runs as, or of root with
    an access list for that user, as LoadCredential= makes them."""
    setpriv = shutil.which('setpriv')
    if kind != 'of this user' and (os.geteuid() != 0 or not setpriv):
        pytest.skip('needs root, and setpriv')
    with tempfile.TemporaryDirectory(prefix='yoi-') as place:
        os.chmod(place, 0o755)
        folder = pathlib.Path(place) / 'credentials'
        folder.mkdir()
        path = folder / 'door'
        path.write_text(TOKEN + '\n')
        path.chmod(0o400)
        folder.chmod(0o500)
        host = Host(pathlib.Path(place) / 'host',
                    runtime_surface(file='${CREDENTIALS_DIRECTORY}/door'),
                    env={'CREDENTIALS_DIRECTORY': str(folder)})
        if kind == 'of the service':
            os.chown(path, SERVICE, SERVICE)
            os.chown(folder, SERVICE, SERVICE)
        elif kind == 'by a list':
            let_read(path, 4)
            let_read(folder, 5)
        if kind != 'of this user':
            host.argv = [setpriv, f'--reuid={SERVICE}', f'--regid={SERVICE}', '--clear-groups',
                         '--no-new-privs', *host.argv]
        try:
            host.start()
            assert host.v1.get('/v1/runtime').status == 200
            Client(host.address('runtime')).refused('GET', '/v1/runtime', 401, 'unauthorized')
            host.stop()
        finally:
            host.kill()


def test_the_entrys_default_profile_holds_for_creates_that_name_none(new_host):
    host = new_host(configs.standard(runtimes=[
        configs.embedded('main', default_profile='builtin:nobody')]))
    base = '/api/runtimes/main/workers'
    host.api.refused('POST', base, 422, 'invalid_profile', body={})
    host.api.refused('POST', base, 422, 'invalid_profile',
                     body={'profile': {'kind': 'runtime_default'}})
    host.api.ok('POST', base, {'profile': {'kind': 'builtin', 'value': 'companion'}}, 201)
    host.stop()


def test_a_second_file_of_a_plugin_is_named_in_the_log(new_host):
    host = new_host(configs.standard(), start=False)
    (host.etc / 'more').mkdir()
    dropped('faulty', host.etc / 'more', 'copy.so')
    host.config['plugin_path'] = [*host.config['plugin_path'], 'more']
    host.start()
    line = [one for one in host.log.splitlines() if 'passed over' in one]
    assert len(line) == 1 and 'dev.yoi.test.faulty' in line[0] \
        and 'copy.so' not in line[0], host.log
    host.stop()


@pytest.mark.parametrize('command', ['check', 'serve'])
def test_a_config_that_everybody_may_write_to_is_refused(tmp_path, command):
    path = tmp_path / 'c.json'
    path.write_text('{"plugin_path": []}')
    for mode, code in ((0o666, 1), (0o602, 1), (0o664, 0), (0o600, 0)):
        path.chmod(mode)
        if command == 'serve' and code == 0:
            continue
        done = subprocess.run([str(BINARY), command, str(path)], cwd=tmp_path, check=False,
                              env=environment(tmp_path), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=wait.patience(30))
        said = done.stdout.decode()
        assert done.returncode == code, said
        assert ('everybody may write to it' in said) == (code == 1), said


def test_the_folder_of_a_mount_is_looked_for_beside_the_config(tmp_path):
    (tmp_path / 'etc').mkdir()
    path = tmp_path / 'etc/c.json'
    path.write_text('{"plugin_path": [], "local": {"mounts": {"w": {"path": "../work"}}}}')
    code, said = check(path, tmp_path)
    assert code == 1 and said == (f"{path}:1:56: the folder of mount 'w' is not there; "
                                  f"'{tmp_path}/etc/../work'\n")
    (tmp_path / 'work').touch()
    code, said = check(path, tmp_path)
    assert code == 1 and 'is no folder' in said
    (tmp_path / 'work').unlink()
    (tmp_path / 'work').mkdir()
    assert check(path, tmp_path) == (0, f'{path}: ok\n')


def test_a_host_keeps_the_folders_of_its_mounts_open(new_host):
    mounts = {'w': {'path': 'work', 'mode': 'rw'}}
    host = new_host(configs.standard(local={'secrets': configs.SECRETS, 'mounts': mounts}),
                    start=False)
    work = host.etc / 'work'
    work.mkdir()
    host.start()

    def held():
        return [at for at in descriptors(host.pid) if at.startswith(str(work.parent))]
    assert held() == [str(work)]
    work.rename(host.etc / 'moved')
    assert held() == [str(host.etc / 'moved')]
