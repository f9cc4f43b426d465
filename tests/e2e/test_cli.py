"""The command line of yoi-host: commands, findings, signals, exit codes."""
import json
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess

import pytest
from lib import configs, wait
from lib.host import BINARY, environment, merge
from lib.terminal import CTRL_C, Terminal

ENDLESS = configs.script({'say': 'well '}, {'stall': True})


@pytest.fixture(name='run')
def runner(tmp_path):
    def run(*args, stdin=subprocess.DEVNULL, **kw):
        return subprocess.run([str(BINARY), *map(str, args)], cwd=tmp_path, stdin=stdin,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                              env=environment(tmp_path), timeout=wait.patience(30),
                              universal_newlines=True, **kw)
    return run


def write(tmp_path, config, name='yoi.json'):
    path = tmp_path / name
    path.write_text(config if isinstance(config, str) else json.dumps(config, indent=1))
    return path


def config_of(tmp_path, **keys):
    (tmp_path / 'runtime.token').write_text('t' * 32)
    (tmp_path / 'runtime.token').chmod(0o600)
    return configs.standard(**keys)


def test_version_is_the_librarys(run):
    for args in (['version'], ['--version']):
        done = run(*args)
        assert (done.returncode, done.stdout) == (0, 'yoi-host 1.0.0\n')


def test_help_lists_every_command_and_exit_code(run):
    for args in (['--help'], ['-h'], ['help'], ['chat', '--help'], ['check', '--help']):
        done = run(*args)
        assert done.returncode == 0
        for word in ('serve', 'check', 'chat', 'config-schema', 'plugins', 'version', 'Exit codes',
                     '38800'):
            assert word in done.stdout


@pytest.mark.parametrize('args', [['check', 'a', 'b'], ['check', '-x'], ['--fast'], ['serve', '-x'],
                                  ['serve', 'a', 'b'], ['chat', '--worker'], ['chat', '--fast'],
                                  ['version', 'now'], ['chta'],
                                  ['config-schema', 'x']])
def test_a_wrong_command_line_is_exit_2(run, args):
    done = run(*args)
    assert done.returncode == 2
    assert done.stderr.startswith('yoi-host: ') and '--help' in done.stderr


@pytest.mark.parametrize('args', [['gone.json'], ['serve', 'gone.json'], ['check', 'gone.json'],
                                  ['chat', 'gone.json']])
def test_a_config_that_is_not_there_is_exit_1(run, args):
    done = run(*args)
    assert done.returncode == 1
    assert "cannot read config 'gone.json': No such file" in done.stderr


def test_a_config_that_is_too_large_is_exit_1(run, tmp_path):
    path = write(tmp_path, '{}' + ' ' * (1 << 20))
    done = run('check', path)
    assert done.returncode == 1 and 'larger than 1048576 bytes' in done.stderr


@pytest.mark.parametrize('args', [[], ['serve'], ['check'], ['chat']])
def test_an_empty_file_is_not_the_default_config(run, tmp_path, args):
    done = run(*args, write(tmp_path, ''))
    assert done.returncode == 1
    assert 'it is empty' in done.stderr


def test_check_is_content_with_a_good_config(run, tmp_path):
    path = write(tmp_path, config_of(tmp_path))
    done = run('check', path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f'{path}: ok\n', '')


BAD = '''{ // three things are wrong
  "runtimess": [],
  "runtimes": [ { "id": "UPPER", "plugin": "dev.yoi.embedded" } ],
  "drain_ms": "soon"
}
'''


@pytest.mark.parametrize('command', ['check', 'serve', 'chat'])
def test_everything_that_is_wrong_is_said_at_once_with_its_place(run, tmp_path, command):
    path = write(tmp_path, BAD)
    done = run(command, path)
    assert done.returncode == 1
    said = done.stdout if command == 'check' else done.stderr
    places = [re.match(re.escape(str(path)) + r':(\d+):(\d+): (.+)$', line)
              for line in said.splitlines()]
    assert all(places), said
    assert {int(m.group(1)) for m in places} >= {2, 3, 4}, said
    assert 'runtimes' in places[0].group(3), said


@pytest.mark.parametrize('command', ['check', 'serve', 'chat'])
def test_what_is_wrong_is_no_command_to_the_terminal(run, tmp_path, command):
    done = run(command, write(tmp_path, '{"a\\u001b[31m\u009bb\x7fc": 1}'))
    assert "unknown key 'a[31mbc'" in done.stdout + done.stderr and done.returncode == 1


def test_a_flood_of_findings_is_counted_and_not_looked_up(run, tmp_path):
    before = os.times().children_user
    done = run('check', write(tmp_path, {f'k{n}': 1 for n in range(20000)}))
    assert 'and 19744 more findings' in done.stdout and done.returncode == 1
    assert os.times().children_user - before < wait.bound(2)


def test_an_address_in_use_is_exit_3(run, tmp_path):
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        address = f'127.0.0.1:{taken.getsockname()[1]}'
        config = config_of(tmp_path, ingresses=[configs.ingress(configs.BROWSER, listen=address)])
        done = run(write(tmp_path, config))
    assert done.returncode == 3
    assert 'yoi-host: cannot start: ' in done.stderr and address in done.stderr
    assert "a config with another 'listen'" in done.stderr


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_ends_with_0(new_host, number):
    host = new_host(configs.standard())
    host.proc.send_signal(number)
    assert host.wait_exit() == 0


def test_a_second_signal_ends_it_at_once(new_host):
    """While a turn keeps the drain waiting."""
    host = new_host(configs.standard(model=ENDLESS, drain_ms=600000))
    from lib.worker import Worker
    worker = Worker.create(host.v1)
    worker.input('go on')
    host.proc.send_signal(signal.SIGTERM)
    address = host.address('runtime').rsplit(':', 1)

    def refused():
        with socket.socket() as s:
            return s.connect_ex((address[0], int(address[1]))) != 0
    wait.until(refused, what='nothing new is accepted')
    assert host.alive(), host.tail()
    host.proc.send_signal(signal.SIGTERM)
    assert host.wait_exit(5) == 128 + signal.SIGTERM
    host.proc = None


def test_a_drain_has_its_time_and_then_cancels(new_host):
    host = new_host(configs.standard(model=ENDLESS, drain_ms=300))
    from lib.worker import Worker
    worker = Worker.create(host.v1)
    worker.input('go on')
    host.proc.send_signal(signal.SIGTERM)
    assert host.wait_exit() == 0


def test_only_the_program_changes_its_process(new_host):
    """SIGPIPE and SIGXFSZ are ignored, the soft limit of files is raised."""
    host = new_host(configs.standard())
    status = pathlib.Path(f'/proc/{host.pid}/status').read_text()
    ignored = int(re.search(r'^SigIgn:\s*([0-9a-f]+)', status, re.M).group(1), 16)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        assert ignored >> (number - 1) & 1
    limits = pathlib.Path(f'/proc/{host.pid}/limits').read_text()
    soft, hard = re.search(r'^Max open files\s+(\S+)\s+(\S+)', limits, re.M).groups()
    assert soft == hard


def test_a_low_limit_of_files_is_a_line_of_the_log_when_that_is_json(run, tmp_path):
    def low():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 300))
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        entry = configs.ingress(configs.BROWSER, listen=f'127.0.0.1:{taken.getsockname()[1]}')
        config = config_of(tmp_path, ingresses=[entry], log={'format': 'json'})
        done = run(write(tmp_path, config), preexec_fn=low)
    entry = json.loads(done.stderr.splitlines()[0])
    assert entry['level'] == 'warn' and {'time', 'msg'} <= set(entry)
    assert 'the limit of open files is 300' in entry['msg']


@pytest.mark.parametrize('connections,said', [(None, True), (100, True), (10, False)])
def test_a_limit_of_files_below_the_connections_is_said(run, tmp_path, connections, said):
    """The start itself fails here, so that the program ends."""
    def low():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 300))
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        config = {} if connections is None else {'connections': connections}
        entry = configs.ingress(configs.BROWSER, listen=f'127.0.0.1:{taken.getsockname()[1]}',
                                **config)
        done = run(write(tmp_path, config_of(tmp_path, ingresses=[entry])), preexec_fn=low)
    assert done.returncode == 3
    words = f'the limit of open files is 300, but the config allows {connections or 16384}'
    assert (words in done.stderr) == said, done.stderr


def test_closed_standard_descriptors_do_no_harm(run, tmp_path):
    path = write(tmp_path, '{}')
    done = run('check', path, preexec_fn=lambda: os.close(0))
    assert done.returncode == 0


def test_the_first_start_says_where_to_look_and_what_answers(tmp_path):
    config = merge(config_of(tmp_path), {'log': {'level': 'error'}})
    terminal = Terminal([BINARY, write(tmp_path, config)], tmp_path).start()
    try:
        terminal.see('yoi-host 1.0.0 is ready')
        terminal.see('look at')
        terminal.see('msg=listening')
        terminal.see('a script, no language model')
        terminal.key(CTRL_C)
        assert terminal.wait_exit() == 0
    finally:
        terminal.kill()
