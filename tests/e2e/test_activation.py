"""Listeners that were bound before the host is there: socket activation."""
import os
import pathlib
import shutil
import socket
import stat
import subprocess

import pytest

from lib import activate, configs, logs, reload, wait, wire
from lib.host import BINARY, descriptors, environment
from lib.wire import Client
from lib.worker import Worker

BROWSER = configs.ingress(configs.BROWSER, listen='socket:web')
RUNTIME = configs.ingress(configs.RUNTIME, listen='socket:v1')


def both(**keys):
    return configs.standard(ingresses=[BROWSER, RUNTIME], **keys)


@pytest.fixture(name='web')
def web_socket():
    with activate.tcp() as s:
        yield s


@pytest.fixture(name='v1')
def runtime_socket(tmp_path):
    with activate.unix(tmp_path / 'v1.sock') as s:
        yield s


@pytest.fixture(name='served')
def served_host(new_host, web, v1):
    return activate.give(new_host(both(), start=False), {'web': web, 'v1': v1}).start()


def asks(s):
    """Somebody who connects and asks, whoever listens there."""
    name = 'localhost' if s.family == socket.AF_UNIX else activate.address(s)
    client = socket.socket(s.family)
    client.settimeout(wait.patience(20))
    client.connect(s.getsockname())
    client.sendall(wire.request_bytes('GET', '/healthz', [('Host', name), ('Connection', 'close')]))
    return client


def answered(client):
    with client:
        assert wire.read_response(wire.Reader(client)).status == 200


def ends(host, code, *words):
    """It does not come up."""
    host.write()
    host.spawn()
    assert host.wait_exit() == code, host.tail()
    for word in words:
        assert word in host.log, host.tail()
    host.proc = None


# ---- serving ------------------------------------------------------------------

def test_who_connects_before_the_host_is_there_is_answered(new_host, web, v1):
    early = [asks(web), asks(v1)]
    host = activate.give(new_host(both(), start=False), {'web': web, 'v1': v1}).start()
    for client in early:
        answered(client)
    assert host.address('browser') == activate.address(web)
    assert host.address('runtime') == activate.address(v1)
    worker = Worker.create(host.v1)
    assert worker.say('hello')['turn']['state'] == 'completed'


@pytest.mark.parametrize('killed', [False, True])
def test_a_restart_loses_no_caller(served, web, v1, killed):
    for _ in range(2):
        served.crash() if killed else served.stop()
        waiting = [asks(web), asks(v1)]
        served.start()
        for client in waiting:
            answered(client)


def test_the_file_of_a_socket_is_of_who_made_it(served, v1):
    path = pathlib.Path(v1.getsockname())
    path.chmod(0o660)
    served.restart()
    assert served.v1.get('/v1/runtime').status == 200
    served.stop()
    assert stat.S_ISSOCK(path.stat().st_mode) and path.stat().st_mode & 0o777 == 0o660


def test_names_without_a_file_are_addresses_too(new_host):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(f'\0yoi-test-{os.getpid()}-activation')
        s.listen()
        host = new_host(configs.standard(ingresses=[BROWSER, configs.RUNTIME]), start=False)
        activate.give(host, {'web': s}).start()
        assert host.address('browser') == f'unix:@yoi-test-{os.getpid()}-activation'
        answered(asks(s))


def test_systemd_s_own_tool_starts_it_with_its_first_caller(new_host, tmp_path):
    tool = shutil.which('systemd-socket-activate')
    if not tool:
        pytest.skip('no systemd-socket-activate here')
    host = new_host(configs.standard(ingresses=[BROWSER]), start=False)
    host.argv = [tool, f'--listen={tmp_path}/web.sock', '--fdname=web',
                 *(f'--setenv={k}={v}' for k, v in host.env.items()), *host.argv]
    host.write()
    host.spawn()
    host.line(lambda s: 'Listening on' in s, what='the tool to listen')
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(wait.patience(20))
        client.connect(f'{tmp_path}/web.sock')
        client.sendall(wire.request_bytes('GET', '/healthz', [('Host', 'localhost')]))
        assert wire.read_response(wire.Reader(client)).status == 200


def test_a_manager_that_names_nothing_has_one_socket_unknown(new_host, web):
    config = configs.standard(ingresses=[configs.ingress(configs.BROWSER,
                                                         listen='socket:unknown')])
    host = activate.give(new_host(config, start=False), {'': web}, LISTEN_FDNAMES=None).start()
    assert host.api.get('/readyz').status == 200


def test_loops_share_one_socket(new_host, web, v1):
    host = activate.give(new_host(both(loops=3), start=False), {'web': web, 'v1': v1}).start()
    for _ in range(8):
        answered(asks(web))
    assert host.api.get('/readyz').status == 200


# ---- who can reach it is asked of the socket --------------------------------------

def public(kind):
    if kind == 'v4':
        return activate.tcp('0.0.0.0')
    s = socket.socket(socket.AF_INET6)  # as ListenStream=PORT: both families
    try:
        s.bind(('::', 0))
        s.listen()
    except OSError:
        s.close()
        pytest.skip('no IPv6 here')
    return s


@pytest.mark.parametrize('kind', ['v4', 'both'])
def test_a_public_socket_needs_what_a_public_address_needs(new_host, kind):
    with public(kind) as s:
        bare = activate.give(new_host(configs.standard(ingresses=[BROWSER]), start=False),
                             {'web': s})
        ends(bare, 1, "a browser surface off loopback needs 'tokens' in its 'config'")
        open_ = configs.ingress(configs.RUNTIME, listen='socket:web', token=None, insecure=True)
        ends(activate.give(new_host(configs.standard(ingresses=[open_]), start=False),
                           {'web': s}), 1, "a surface off loopback needs a 'token'")
        shut = configs.ingress(configs.RUNTIME, listen='socket:web')
        host = activate.give(new_host(configs.standard(ingresses=[shut]), start=False),
                             {'web': s}).start()
        at = f'127.0.0.1:{s.getsockname()[1]}'
        Client(at).refused('GET', '/v1/runtime', 401, 'unauthorized')
        assert Client(at, host.v1.token).get('/v1/runtime').status == 200


def test_who_comes_over_ipv4_to_both_families_is_that_peer(new_host):
    with public('both') as s:
        entry = configs.ingress(configs.RUNTIME, listen='socket:web', access_log='all')
        host = activate.give(new_host(configs.standard(ingresses=[entry]), start=False),
                             {'web': s}).start()
        Client(f'127.0.0.1:{s.getsockname()[1]}', host.v1.token).get('/v1/runtime')
        line = host.line(lambda t: logs.parse(t).get('msg') == 'request', what='the request')
        assert logs.parse(line)['peer'].startswith('127.0.0.1:')


def test_host_names_are_checked_there_too(served, web):
    for name, status in ((activate.address(web), 200), ('evil.example', 403)):
        assert served.api.get('/api/runtimes', headers={'Host': name}).status == status


# ---- what is wrong ----------------------------------------------------------------

def test_a_socket_that_is_not_there_is_named_with_those_that_are(new_host, web, v1):
    host = activate.give(new_host(both(), start=False), {'wep': web, 'v1': v1})
    ends(host, 1, "yoi.json:", "no socket has the name 'web'; given: 'wep', 'v1'")
    ends(new_host(both(), start=False), 1, "no socket has the name 'web'; given: none",
         "no socket has the name 'v1'; given: none")


@pytest.mark.parametrize('whose', ['init', 'the caller'])
def test_what_is_for_another_process_is_nobody_s(new_host, web, v1, whose):
    pid = 1 if whose == 'init' else os.getpid()
    host = activate.give(new_host(both(), start=False), {'web': web, 'v1': v1},
                         LISTEN_PID=str(pid))
    ends(host, 1, 'given: none')


@pytest.mark.parametrize('variables,words', [
    ({'LISTEN_PID': 'me'}, "LISTEN_PID is 'me', expected the number of a process"),
    ({'LISTEN_PID': ''}, "LISTEN_PID is '', expected the number of a process"),
    ({'LISTEN_FDS': '0'}, "LISTEN_FDS is '0', expected 1 to 16 sockets"),
    ({'LISTEN_FDS': '17'}, "LISTEN_FDS is '17', expected 1 to 16 sockets"),
    ({'LISTEN_FDS': '-1'}, "LISTEN_FDS is '-1', expected 1 to 16 sockets"),
    ({'LISTEN_FDS': '3', 'LISTEN_FDNAMES': 'web:v1:x'},
     "LISTEN_FDS is '3', expected that many open descriptors from 3 on"),
    ({'LISTEN_FDNAMES': 'web'}, "LISTEN_FDNAMES is 'web', expected as many names as LISTEN_FDS"),
    ({'LISTEN_FDNAMES': 'web:v1:x'}, "LISTEN_FDNAMES is 'web:v1:x', expected as many names"),
    ({'LISTEN_FDNAMES': 'w:' + 'x' * 2000}, 'expected as many names as LISTEN_FDS says'),
    ({'LISTEN_FDNAMES': 'web:web'}, "cannot start: socket 'web': expected a name of its own"),
    ({'LISTEN_FDNAMES': 'web:yoi@1'}, "socket 'yoi@1': expected a name of 1 to 64"),
    ({'LISTEN_FDNAMES': None}, "socket 'unknown': expected a name of its own"),
])
def test_what_a_manager_says_wrongly_is_said(new_host, web, v1, variables, words):
    host = activate.give(new_host(both(), start=False), {'web': web, 'v1': v1}, **variables)
    ends(host, 3, words)


@pytest.mark.parametrize('kind', ['bound', 'connected', 'datagram', 'packets', 'file'])
def test_only_what_listens_is_taken(new_host, tmp_path, kind):
    other = None
    if kind == 'file':
        s = open(os.devnull, 'rb')
    elif kind == 'connected':  # what Accept=yes gives
        s, other = socket.socketpair()
    elif kind == 'packets':
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.bind(str(tmp_path / 'packets'))
        s.listen()
    else:
        s = socket.socket(type=socket.SOCK_DGRAM if kind == 'datagram' else socket.SOCK_STREAM)
        s.bind(('127.0.0.1', 0))
    with s:
        config = configs.standard(ingresses=[BROWSER])
        ends(activate.give(new_host(config, start=False), {'web': s}), 3,
             "socket 'web': expected a stream socket that listens")
    if other:
        other.close()


def test_two_listeners_on_one_socket_are_a_finding(new_host, web):
    twice = configs.standard(ingresses=[BROWSER, configs.ingress(configs.RUNTIME,
                                                                 listen='socket:web')])
    host = activate.give(new_host(twice, start=False), {'web': web})
    ends(host, 1, 'the socket is taken by /ingress/0')


def test_check_looks_at_the_form_of_a_name(tmp_path):
    for entry, code, words in (
            ('"socket:web"', 0, 'c.json: ok'),
            ('"socket:a b"', 1, 'name of a socket: expected 1 to 64 of A-Z a-z 0-9 _ - .'),
            ('"socket:"', 1, 'name of a socket: expected 1 to 64')):
        (tmp_path / 'c.json').write_text(
            '{"ingress":[{"plugin":"dev.yoi.ingress-http","surface":"browser","listen":%s}]}'
            % entry)
        done = subprocess.run([str(BINARY), 'check', 'c.json'], cwd=tmp_path, check=False,
                              env=environment(tmp_path), stdout=subprocess.PIPE,
                              timeout=wait.patience(30), universal_newlines=True)
        assert done.returncode == code and words in done.stdout


def test_policy_and_store_need_no_socket(tmp_path, new_host):
    """What makes no listener works with such a config from a shell."""
    host = new_host(both(), start=False)
    host.write()
    done = subprocess.run([str(BINARY), 'policy', 'explain', str(host.file), 'worker.list',
                           '--runtime', 'main', '--json'], check=False, cwd=tmp_path,
                          env=environment(tmp_path), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=wait.patience(30))
    assert done.returncode == 0, done.stdout


# ---- what nobody uses, and reloads -----------------------------------------------

def test_a_socket_that_nobody_uses_is_worth_a_warning(new_host, web, v1):
    config = configs.standard(ingresses=[BROWSER])
    host = activate.give(new_host(config, start=False), {'web': web, 'v1': v1}).start()
    (line,) = host.entries(msg='socket is not used')
    assert line['level'] == 'warn' and line['name'] == 'v1'


def here(host, s):
    """How many descriptors the process has of a socket."""
    return descriptors(host.pid).count(f'socket:[{os.fstat(s.fileno()).st_ino}]')


def test_a_reload_keeps_drops_and_takes_again(served, web, v1):
    all_of_it, one = both(), configs.standard(ingresses=[RUNTIME])
    with_page = configs.standard(ingresses=[configs.ingress(BROWSER, idle_ms=40000), RUNTIME])
    reload.good(served, both(models=[configs.script({'say': 'x'})]))  # keeps both
    answered(asks(web))
    began = here(served, web)
    for _ in range(3):
        reload.good(served, one)
        assert served.entries(msg='socket is not used')[-1]['name'] == 'web'
        waiting = asks(web)  # nobody accepts, and nobody refuses
        answered(asks(v1))
        wait.until(lambda: here(served, web) < began, what='the end of the listener')
        reload.good(served, all_of_it)
        answered(waiting)
        reload.good(served, with_page)  # in other words, at the same socket
        answered(asks(web))
        reload.good(served, all_of_it)
        wait.until(lambda: here(served, web) == began, what='no descriptor more than before')
    found = reload.refused(served, configs.standard(ingresses=[
        configs.ingress(configs.BROWSER, listen='socket:other')]))
    assert "no socket has the name 'other'; given: 'web', 'v1'" in found[0][1]
    answered(asks(web))
    wait.until(lambda: here(served, web) == began, what='no descriptor more than before')


def test_a_reload_gives_a_socket_to_another_surface(served, web, v1):
    swapped = configs.standard(ingresses=[
        configs.ingress(configs.BROWSER, listen='socket:v1'),
        configs.ingress(configs.RUNTIME, listen='socket:web')])
    reload.good(served, swapped)
    Client(activate.address(web)).refused('GET', '/v1/runtime', 401, 'unauthorized')
    assert Client(activate.address(v1)).get('/api/runtimes').status == 200


def test_an_address_of_the_config_that_a_socket_has_is_in_use(served, web):
    config = configs.standard(ingresses=[
        configs.ingress(configs.BROWSER, listen=activate.address(web))])
    found = reload.refused(served, config)
    assert 'address in use' in found[0][1]
    answered(asks(web))


# ---- who else has it --------------------------------------------------------------

def children(pid):
    out = []
    for task in pathlib.Path(f'/proc/{pid}/task').iterdir():
        try:
            out += [int(n) for n in (task / 'children').read_text().split()]
        except OSError:  # it has ended
            continue
    return out


def test_no_process_that_the_host_starts_has_it(new_host, web, v1):
    config = both(plugins=[{'id': 'dev.yoi.model-script', 'isolation': 'process'}])
    host = activate.give(new_host(config, start=False), {'web': web, 'v1': v1}).start()
    assert Worker.create(host.v1).say('hello')['turn']['state'] == 'completed'
    inodes = {f'socket:[{os.fstat(s.fileno()).st_ino}]' for s in (web, v1)}
    found = children(host.pid)
    assert found
    for pid in found:
        assert not set(descriptors(pid)) & inodes
        assert b'LISTEN_' not in pathlib.Path(f'/proc/{pid}/environ').read_bytes()
    assert here(host, web) and here(host, v1)
