"""The access log: which answers have a line, what stands in it, and what never does."""
import pytest

from lib import configs, wait, wire
from lib.host import TOKEN
from lib.sse import Stream
from lib.wire import Client
from lib.worker import Worker

TRACE = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'


def served(new_host, mode, **config):
    config = config if mode is None else {'access_log': mode, **config}
    return new_host(configs.standard(ingresses=[
        configs.ingress(configs.BROWSER, **config), configs.ingress(configs.RUNTIME, **config)]))


def line(host, **match):
    return wait.until(lambda: host.entries(**match), what=f'a line with {match}')[0]


def test_all_answers_have_one_line_each(new_host):
    host = served(new_host, 'all')
    r = host.v1.get('/v1/workers?limit=3', headers={
        'User-Agent': 'probe/1 "quoted"', 'X-Request-Id': 'q-1', 'traceparent': TRACE})
    entry = line(host, request_id='q-1')
    assert entry['msg'] == 'request' and entry['method'] == 'GET'
    assert entry['path'] == '/v1/workers' and entry['status'] == '200'
    assert int(entry['bytes']) > len(r.body) and int(entry['duration_ms']) < 20000
    assert entry['principal'] == 'token:runtime-token'
    assert entry['peer'].startswith('127.0.0.1:')
    assert entry['user_agent'] == 'probe/1 "quoted"'
    assert entry['trace_id'] == TRACE[3:35]
    host.v1.refused('GET', '/v1/nothing', 404, 'not_found', headers={'X-Request-Id': 'q-2'})
    assert line(host, request_id='q-2')['status'] == '404'
    assert len(host.entries(msg='request')) == 2


def test_by_default_only_errors_have_one(new_host):
    host = served(new_host, None)
    host.v1.get('/v1/workers', headers={'X-Request-Id': 'fine'})
    host.v1.get('/v1/workers/nobody', headers={'X-Request-Id': 'missing'})
    entry = line(host, request_id='missing')
    assert (entry['level'], entry['status']) == ('info', '404')
    assert not host.entries(request_id='fine')


def test_off_is_off(new_host):
    host = served(new_host, 'off')
    host.v1.get('/v1/nothing')
    host.stop()
    assert not host.entries(msg='request')


def test_a_stream_has_one_line_when_it_ends(new_host):
    host = served(new_host, 'all')
    worker = Worker.create(host.v1)
    path = f'/v1/workers/{worker.id}/events'
    with Stream(host.v1, path, headers={'X-Request-Id': 's-1'}) as stream:
        stream.until('snapshot')
        assert not host.entries(request_id='s-1')
    entry = line(host, request_id='s-1')
    assert entry['msg'] == 'stream' and entry['status'] == '200' and entry['path'] == path
    assert int(entry['bytes']) > 200 and 'ended' not in entry
    with Stream(host.v1, f'/v1/workers/{worker.id}/input', 'POST', {'content': 'x'},
                headers={'X-Request-Id': 's-2'}) as stream:
        stream.until('end')
    assert line(host, request_id='s-2')['method'] == 'POST'


def test_a_stream_that_ends_without_an_error_is_none(new_host):
    host = served(new_host, None)
    worker = Worker.create(host.v1)
    path = f'/v1/workers/{worker.id}/events'
    with Stream(host.v1, path, headers={'X-Request-Id': 'gone'}) as stream:
        stream.until('snapshot')
        host.v1.ok('POST', f'/v1/workers/{worker.id}/stop')
        host.v1.ok('DELETE', f'/v1/workers/{worker.id}')
        assert stream.until('end')[-1].data['reason'] == 'worker_deleted'
    host.stop()
    assert not host.entries(request_id='gone')


def test_nothing_secret_stands_in_a_line(new_host):
    host = served(new_host, 'all')
    worker = Worker.create(host.v1)
    cursor = worker.born
    host.v1.get(f'/v1/workers/{worker.id}/events?cursor={cursor}&wait=0',
                headers={'Accept': 'application/json', 'X-Request-Id': 'c-1'})
    Client(host.address('runtime'), TOKEN + 'x').get(f'/v1/runtime?token={TOKEN}',
                                                     headers={'X-Request-Id': 'c-2'})
    assert line(host, request_id='c-1')['path'] == f'/v1/workers/{worker.id}/events'
    entry = line(host, request_id='c-2')
    assert entry['status'] == '401' and 'principal' not in entry
    host.stop()
    assert cursor not in host.log and TOKEN not in host.log and 'wait=0' not in host.log


def test_text_of_callers_is_bounded_and_escaped(new_host):
    host = served(new_host, 'all')
    host.v1.get('/v1/' + 'p' * 5000, headers={'X-Request-Id': 'long', 'User-Agent': 'a' * 5000})
    entry = line(host, request_id='long')
    assert len(entry['path']) == 256 and len(entry['user_agent']) == 128
    host.v1.get('/v1/runtime', headers={'X-Request-Id': 'odd',
                                        'User-Agent': 'x\tlevel=error msg=forged\x80'})
    entry = line(host, request_id='odd')
    assert entry['level'] == 'info' and entry['msg'] == 'request'


@pytest.mark.parametrize('data,status', [
    (b'GET /v1/runtime HTTP/1.1\r\nHost: x\r\nX-A : b\r\n\r\n', '400'),
    (b'nonsense\r\n\r\n', '400'), (b'GET /v1/runtime HTTP/1.1\r\nHo', '408'),
    (b'BREW /v1/runtime HTTP/1.1\r\nHost: x\r\n\r\n', '400')])
def test_what_is_malformed_or_late_has_a_line(new_host, data, status):
    host = served(new_host, None, header_ms=300)
    r = wire.exchange(host.address('runtime'), data)
    entry = line(host, request_id=r.error['request_id'])
    assert entry['msg'] == 'request' and entry['status'] == status == str(r.status)


def test_a_failure_is_joined_to_its_trace(new_host):
    host = new_host(configs.standard(runtimes=[configs.embedded(), configs.faulty()]))
    r = host.api.get('/api/runtimes/faulty/workers/store_error', headers={'traceparent': TRACE})
    assert r.status >= 500
    said = line(host, msg='request', request_id=r.error['request_id'])
    assert said['level'] == 'warn' and said['trace_id'] == TRACE[3:35]


def test_a_traceparent_that_is_none_is_left_out(new_host):
    host = served(new_host, 'all')
    bad = ['x', TRACE.upper(), '00-' + '0' * 32 + '-b7ad6b7169203331-01', TRACE + '-more',
           'ff' + TRACE[2:], TRACE[:-1], TRACE + '\t\x80']
    for i, value in enumerate(bad):
        r = host.v1.get('/v1/runtime', headers={'traceparent': value, 'X-Request-Id': f't-{i}'})
        assert r.status == 200, value
        assert 'trace_id' not in line(host, request_id=f't-{i}')
