"""As a service: signals, the service manager's socket, --check, exit codes."""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess

import pytest
from lib import configs, logs, reload, wait
from lib.host import BINARY, ROOT, environment
from lib.worker import Worker

IGNORED = [signal.SIGUSR1, signal.SIGUSR2]


def run(folder, *args, env=None, **kw):
    kw.setdefault('stdout', subprocess.PIPE)
    return subprocess.run([str(BINARY), *map(str, args)], cwd=folder, check=False,
                          env=environment(folder, env), stdin=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, timeout=wait.patience(30),
                          universal_newlines=True, **kw)


# ---- signals ------------------------------------------------------------------

@pytest.mark.parametrize('form', ['logfmt', 'json'])
def test_signals_that_others_reload_on_are_said_to_mean_nothing(new_host, form):
    host = new_host(configs.standard(log={'format': form}))
    worker = Worker.create(host.v1)
    for number in IGNORED:
        host.proc.send_signal(number)
        name = number.name[:7]
        entry = logs.parse(host.line(lambda s, name=name: logs.parse(s).get('level') == 'warn'
                                     and name in logs.parse(s).get('msg', ''), what=name))
        assert entry['time']
    worker.say('still there')
    host.stop()


def test_they_mean_nothing_while_it_drains(new_host):
    host = new_host(configs.standard(model=configs.stalls(), drain_ms=600000))
    Worker.create(host.v1).input('go on')
    host.signal()
    host.line(lambda s: 'msg=draining' in s, what='msg=draining')
    for number in IGNORED:
        host.proc.send_signal(number)
    host.signal(signal.SIGINT)
    assert host.wait_exit(5) == 128 + signal.SIGINT
    host.proc = None


def test_every_signal_of_the_table_is_what_the_process_does(new_host):
    """Blocked ones are read from a descriptor; the rest is ignored or the default."""
    host = new_host(configs.standard())

    def has(field, number):
        status = pathlib.Path(f'/proc/{host.pid}/status').read_text()
        mask = int(re.search(rf'^{field}:\s*([0-9a-f]+)', status, re.M).group(1), 16)
        return bool(mask >> (number - 1) & 1)
    documented = set()
    table = (ROOT / 'docs/operate.md').read_text().split('| signal |')[1].split('\n\n')[0]
    for row in table.splitlines():
        names = re.findall(r'\bSIG[A-Z0-9]+\b', row.split('|')[1] if row.startswith('|') else '')
        documented |= {getattr(signal, n) for n in names}
    blocked = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, *IGNORED}
    # one more, for as long as a line of the log is written
    wait.until(lambda: {n for n in documented if has('SigBlk', n)} == blocked, what='the mask')
    # a shell's background job ignores some from the start
    inherited = {n for n in documented if signal.getsignal(n) == signal.SIG_IGN}
    ignored = {n for n in documented if has('SigIgn', n)}
    assert ignored - inherited == {signal.SIGPIPE, signal.SIGXFSZ} - inherited
    assert documented - blocked - {signal.SIGPIPE, signal.SIGXFSZ} == {signal.SIGQUIT}
    assert not has('SigCgt', signal.SIGQUIT)


# ---- the service manager ---------------------------------------------------------

@pytest.fixture(name='manager', params=['path', 'abstract'])
def notify_socket(request, tmp_path):
    name = str(tmp_path / 'notify')
    if request.param == 'abstract':
        name = f'@yoi-test-{os.getpid()}-{tmp_path.name}'
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(name.replace('@', '\0'))
        s.settimeout(wait.patience(20))
        yield name, s


def test_the_service_manager_is_told_when_it_answers_and_when_it_ends(new_host, manager):
    name, server = manager
    host = new_host(configs.standard(model=configs.stalls(), drain_ms=600000),
                    env={'NOTIFY_SOCKET': name}, start=False)
    host.write()
    host.spawn()
    assert server.recv(4096) == b'READY=1'
    host.line(lambda s: 'msg=ready' in s)
    for entry in map(logs.parse, host.log.splitlines()):
        if entry.get('msg') == 'listening':
            host.addresses.setdefault(entry['surface'], []).append(entry['address'])
    Worker.create(host.v1).input('go on')
    host.signal()
    assert server.recv(4096) == b'STOPPING=1'
    assert host.alive()
    host.signal()
    assert host.wait_exit(5) == 128 + signal.SIGTERM
    host.proc = None


@pytest.mark.parametrize('good', [True, False])
def test_the_service_manager_is_told_of_a_reload(new_host, manager, good):
    name, server = manager
    host = new_host(configs.standard(), env={'NOTIFY_SOCKET': name}, allow_log=['reload'])
    assert server.recv(4096) == b'READY=1'
    (reload.good if good else reload.refused)(host, host.config if good else '{')
    assert re.fullmatch(rb'RELOADING=1\nMONOTONIC_USEC=\d+', server.recv(4096))
    assert server.recv(4096) == b'READY=1'


@pytest.mark.parametrize('name', ['gone', '/nowhere/notify', 'vsock:2:1', '/' + 'n' * 200])
def test_a_service_manager_that_cannot_be_told_ends_nothing(new_host, name):
    host = new_host(configs.standard(), env={'NOTIFY_SOCKET': name})
    host.line(lambda s: 'cannot tell the service manager at NOTIFY_SOCKET' in s)
    host.stop()


def test_a_start_that_fails_is_not_ready(manager, tmp_path):
    name, server = manager
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        (tmp_path / 'c.json').write_text(
            '{"ingress":[{"plugin":"dev.yoi.ingress-http","surface":"browser",'
            '"listen":"127.0.0.1:%d"}]}' % taken.getsockname()[1])
        assert run(tmp_path, 'c.json', env={'NOTIFY_SOCKET': name}).returncode == 3
    server.setblocking(False)
    with pytest.raises(BlockingIOError):
        server.recv(4096)


def unit(kind='service'):
    return (ROOT / f'docs/install/yoi-host.{kind}.in').read_text().replace('@BINDIR@', '/usr/bin')


def test_the_unit_that_is_installed_is_one_that_its_manager_takes(tmp_path):
    """Its commands are the program's, and where systemd is here, it has no remark."""
    commands = re.findall(r'^Exec\w+=(\S+) (.*)$', unit(), re.M)
    assert [c[1].split()[0] for c in commands] == ['--check', 'serve', '-c']
    assert commands[2] == ('/bin/sh', '-c "kill -HUP $MAINPID"')  # /bin/kill need not be there
    done = run(tmp_path, *commands[0][1].split())
    assert done.returncode == 1 and "cannot read config '/etc/yoi/yoi.json'" in done.stderr
    analyze = shutil.which('systemd-analyze')
    if not analyze:
        pytest.skip('no systemd-analyze here')
    paths = [tmp_path / f'yoi-host.{kind}' for kind in ('service', 'socket')]
    paths[0].write_text(re.sub(r'(?m)^(ExecStart\w*=)\S+', rf'\g<1>{BINARY}', unit()))
    paths[1].write_text(unit('socket'))
    done = subprocess.run([analyze, 'verify', '--man=no', '--generators=no', *map(str, paths)],
                          check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=wait.patience(60))
    said = [line for line in done.stdout.decode().splitlines()
            if re.search(r'yoi-host\.(service|socket)', line)]
    assert not said, said


# ---- --check -----------------------------------------------------------------------

SPELLINGS = [['check', 'c.json'], ['--check', 'c.json'], ['c.json', '--check'],
             ['serve', '--check', 'c.json'], ['serve', 'c.json', '--check']]


@pytest.mark.parametrize('args', SPELLINGS, ids=' '.join)
def test_check_has_the_spellings_of_other_servers(tmp_path, args):
    (tmp_path / 'c.json').write_text('{}')
    done = run(tmp_path, *args)
    assert (done.returncode, done.stdout, done.stderr) == (0, 'c.json: ok\n', '')
    (tmp_path / 'c.json').write_text('{"lops": 1}')
    done = run(tmp_path, *args)
    assert done.returncode == 1 and done.stderr == ''
    assert done.stdout == "c.json:1:2: unknown key 'lops'; the nearest known one is 'loops'\n"


@pytest.mark.parametrize('args', [['check'], ['--check'], ['serve', '--check']], ids=' '.join)
def test_check_without_a_file_checks_the_default(tmp_path, args):
    done = run(tmp_path, *args)
    assert (done.returncode, done.stdout) == (0, '(the default config): ok\n')
    done = run(tmp_path, *args, env={'OPENAI_BASE_URL': 'localhost:11434'})
    assert done.returncode == 1 and 'OPENAI_BASE_URL' in done.stderr


@pytest.mark.parametrize('args', [['--check', 'a', 'b'], ['serve', '--check', 'a', 'b'],
                                  ['--check', '-t'], ['check', '--check'], ['chat', '--check']],
                         ids=' '.join)
def test_a_wrong_check_is_a_wrong_command_line(tmp_path, args):
    done = run(tmp_path, *args)
    assert done.returncode == 2 and done.stdout == ''


def test_check_takes_no_port_and_reads_no_secret(tmp_path):
    """What it needs is there while the service runs, with the service's rights or not."""
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        (tmp_path / 'c.json').write_text(
            '{"runtimes":[{"id":"a","plugin":"dev.yoi.embedded"}],"ingress":[{"plugin":'
            '"dev.yoi.ingress-http","surface":"runtime","runtime":"a","token":"secret:k",'
            '"listen":"127.0.0.1:%d"}],"local":{"secrets":{"k":{"file":"gone"}}}}'
            % taken.getsockname()[1])
        assert run(tmp_path, '--check', 'c.json').returncode == 0


# ---- exit codes --------------------------------------------------------------------

def test_exit_codes_are_those_of_the_table():
    """The table, the header and the help name the same numbers."""
    header = (ROOT / 'host/cli/cli.h').read_text()
    defined = {int(n) for n in re.findall(r'^#define CLI_(?!LINE)\w+ (\d+)\b', header, re.M)}
    table = (ROOT / 'docs/operate.md').read_text().split('| exit code |')[1].split('\n\n')[0]
    documented = {int(n) for n in re.findall(r'^\| (\d+) \|', table, re.M)}
    said = subprocess.run([str(BINARY), '--help'], check=True, stdout=subprocess.PIPE).stdout
    helped = {int(n) for n in re.findall(r'\b(\d) [a-z]', said.decode().split('Exit codes:')[1])}
    assert defined == documented == helped == {0, 1, 2, 3, 4, 5, 6, 7}
    assert '| 128 + n |' in table


@pytest.mark.parametrize('args', [['version'], ['--help'], ['check', 'c.json'],
                                  ['config-schema']], ids=' '.join)
def test_output_that_cannot_be_written_is_5(tmp_path, args):
    (tmp_path / 'c.json').write_text('{}')
    with open('/dev/full', 'wb') as full:
        assert run(tmp_path, *args, stdout=full).returncode == 5


def test_a_plugin_that_refuses_to_open_is_3(tmp_path):
    (tmp_path / 'c.json').write_text(
        '{"runtimes":[{"id":"a","plugin":"dev.yoi.local-compat","config":{"root":"gone"}}]}')
    done = run(tmp_path, 'c.json')
    assert done.returncode == 3 and "cannot open runtime 'a'" in done.stderr


def test_an_address_of_another_machine_is_3(tmp_path):
    (tmp_path / 'k').touch(0o600)
    (tmp_path / 'k').write_text('x' * 32)
    (tmp_path / 'c.json').write_text(
        '{"runtimes":[{"id":"a","plugin":"dev.yoi.embedded"}],"ingress":[{"plugin":'
        '"dev.yoi.ingress-http","surface":"runtime","runtime":"a","token":"secret:k",'
        '"listen":"203.0.113.9:80"}],"local":{"secrets":{"k":{"file":"k"}}}}')
    done = run(tmp_path, 'c.json')
    assert done.returncode == 3 and 'this machine does not have the address' in done.stderr
