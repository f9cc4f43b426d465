"""How much one peer may have, and what happens when the process has no descriptor left."""
import contextlib
import resource
import time

import pytest

from lib import configs, wait, wire
from lib.host import TOKEN, cpu_s, descriptors, sockets
from lib.sse import Stream
from lib.wire import Address, Client
from lib.worker import Worker


def v1(host, source=None):
    return Client(Address(host.address('runtime'), None, source), TOKEN)


def capped(new_host, **caps):
    return new_host(configs.standard(
        ingresses=[configs.BROWSER, configs.ingress(configs.RUNTIME, **caps)]))


# ---- one peer -------------------------------------------------------------------------------

def refusal(address):
    with wire.connect(address) as sock:
        return wire.read_response(wire.Reader(sock))


def opened(held, address, name='x'):
    """A connection that was accepted, since it was answered."""
    sock = held.enter_context(wire.connect(address))
    sock.sendall(wire.request_bytes('GET', '/healthz', [('Host', name)]))
    assert wire.read_response(wire.Reader(sock)).status == 200
    return sock


def test_connections_of_one_peer_are_capped_and_others_served(new_host):
    host = capped(new_host, connections_per_peer=3)
    mine = Address(host.address('runtime'), None, '127.0.0.2')
    with contextlib.ExitStack() as open_ones:
        socks = [opened(open_ones, mine) for _ in range(3)]
        r = refusal(mine)
        assert r.status == 429 and r.code == 'limit_reached', r
        assert r.error['details'] == {'limit': 'connections_per_peer', 'max': 3}
        assert 'one peer' in r.error['message']
        assert v1(host, '127.0.0.3').get('/v1/runtime').status == 200
        socks[0].close()
        wait.until(lambda: v1(host, '127.0.0.2').get('/v1/runtime').status == 200,
                   what='room again')


def test_streams_of_one_peer_are_capped(new_host):
    host = capped(new_host, streams_per_peer=2)
    worker = Worker.create(host.v1)
    path = f'/v1/workers/{worker.id}/events'
    with Stream(v1(host, '127.0.0.2'), path) as one, Stream(v1(host, '127.0.0.2'), path) as two:
        one.until('snapshot')
        two.until('snapshot')
        error = v1(host, '127.0.0.2').refused('GET', path, 429, 'limit_reached',
                                              headers={'Accept': 'text/event-stream'})
        assert error['details'] == {'limit': 'streams_per_peer', 'max': 2}
        # what does not last is no stream, and another peer has its own
        assert v1(host, '127.0.0.2').get('/v1/runtime').status == 200
        with Stream(v1(host, '127.0.0.3'), path) as other:
            other.until('snapshot')
    wait.until(lambda: v1(host, '127.0.0.2').get(
        path + '?wait=0', headers={'Accept': 'application/json'}).status == 200,
        what='room again')


def test_this_machine_has_no_cap_unless_one_is_configured(new_host):
    host = capped(new_host)
    with contextlib.ExitStack() as open_ones:
        socks = [open_ones.enter_context(wire.connect(host.address('runtime')))
                 for _ in range(1100)]
        socks[-1].sendall(wire.request_bytes('GET', '/healthz', [('Host', 'x')]))
        assert wire.read_response(wire.Reader(socks[-1])).status == 200


def test_users_of_a_unix_socket_are_peers(new_host):
    host = new_host(configs.standard(ingresses=[
        configs.ingress(configs.RUNTIME, listen='unix:v1.sock', connections_per_peer=1)]))
    address = host.address('runtime')
    with contextlib.ExitStack() as held:
        opened(held, address, 'localhost')
        r = refusal(address)
        assert r.status == 429 and r.error['details']['limit'] == 'connections_per_peer'


def test_the_listeners_own_limits_say_which_they_are(new_host):
    host = capped(new_host, streams=1, connections=8)
    worker = Worker.create(host.v1)
    path = f'/v1/workers/{worker.id}/events'
    with Stream(host.v1, path) as stream:
        stream.until('snapshot')
        error = host.v1.refused('GET', path, 429, 'limit_reached',
                                headers={'Accept': 'text/event-stream'})
        assert error['details'] == {'limit': 'streams', 'max': 1}
    # those that went are counted out, behind the end of their sockets, before eight others come
    wait.until(lambda: host.metric('yoi_http_connections', surface='runtime') == 0,
               what='the end of the others')
    with contextlib.ExitStack() as held:
        for _ in range(8):
            opened(held, host.address('runtime'))
        r = refusal(host.address('runtime'))
        assert r.error['details'] == {'limit': 'connections', 'max': 8}


# ---- the process --------------------------------------------------------------------------------

@pytest.fixture
def starved(new_host):
    """A host that has descriptors for a few connections only, and those that hold them."""
    host = new_host(configs.standard(loops=1))
    bare = len(sockets(host.pid))
    worker = Worker.create(host.v1)
    stream = Stream(host.v1, f'/v1/workers/{worker.id}/events')
    stream.until('snapshot')
    # the two connections of before are gone, all that is open now stays
    wait.until(lambda: len(sockets(host.pid)) == bare + 1, what='the end of the others')
    limit = len(descriptors(host.pid)) + 6
    resource.prlimit(host.pid, resource.RLIMIT_NOFILE, (limit, limit))
    with contextlib.ExitStack() as held, stream:
        for _ in range(6):
            held.last = opened(held, host.address('runtime'))
        yield host, worker, stream, held


def test_without_descriptors_a_caller_is_told(starved):
    host, _, _, _ = starved
    for _ in range(5):
        r = refusal(host.address('runtime'))
        assert r.status == 429 and r.code == 'limit_reached' and 'descriptor' in r.text
        r = refusal(host.address('browser'))  # the surface beside it has a reserve of its own
        assert r.status == 429 and 'descriptor' in r.text
    said = 'no descriptor left for a connection'
    wait.until(lambda: len(host.entries(msg=said)) >= 2, what='the line of each listener')
    assert len(host.entries(msg=said)) == 2


def test_the_last_descriptor_for_a_good_connection_is_no_alarm(starved):
    """accept fails for want of a descriptor also when nobody waits."""
    host, _, _, held = starved
    said = 'no descriptor left for a connection'
    held.last.sendall(wire.request_bytes('GET', '/v1/missing', v1(host).headers()))
    assert wire.read_response(wire.Reader(held.last)).status == 404
    wait.until(lambda: host.entries(msg='request', status='404'), what='a line behind it')
    assert not host.entries(msg=said)
    assert refusal(host.address('runtime')).status == 429
    wait.until(lambda: host.entries(msg=said), what='the line of a real refusal')


def test_without_descriptors_what_is_open_goes_on(starved):
    host, worker, stream, held = starved
    with wire.connect(host.address('runtime')), wire.connect(host.address('runtime')):
        held.pop_all().close()  # room for one request
        def done():
            with contextlib.suppress(wire.Closed, OSError):
                return host.v1.request('POST', f'/v1/workers/{worker.id}/input',
                                       {'content': 'x'}).status == 202
        wait.until(done, what='an input is accepted')
        assert stream.until('turn.ended')


def test_without_descriptors_nothing_spins_and_it_recovers(starved):
    host, _, _, held = starved
    with contextlib.ExitStack() as waiting:
        # The reserve is taken by one that does not go; the others wait in the kernel.
        for _ in range(20):
            waiting.enter_context(wire.connect(host.address('runtime')))
        refused = refusal(host.address('browser'))
        assert refused.status == 429
        before, begun = cpu_s(host.pid), time.monotonic()
        wait.until(lambda: time.monotonic() - begun > 1.5, what='a while')
        used = cpu_s(host.pid) - before
        assert used < 0.5 * wait.bound(1), f'{used} s of CPU in 1.5 s'
    held.pop_all().close()
    wait.until(lambda: host.v1.get('/v1/runtime').status == 200, what='it recovers')
    for _ in range(20):
        assert host.v1.get('/v1/runtime').status == 200
    assert len(host.entries(msg='no descriptor left for a connection')) <= 2
