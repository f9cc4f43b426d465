"""Every public code whose feature exists is reached, with its status and body.

WAYS names for each code how a caller meets it; LATER lists the codes of
features that are still to come. Together they are the table of ops.h: a new
code without an entry fails the first test. What needs a fault is made by the
runtime that fails on request.
"""
import pytest

from lib import bundles, configs, remote, wait, wire
from lib.hands import Scene
from lib.tables import CODE, CODES, LIMIT
from lib.wire import Client
from lib.worker import Worker, fresh

LATER = {
    'rate_limited',        # per principal
}
WAYS = {}


def way(function):
    WAYS[function.__name__] = function
    return function


@pytest.fixture(scope='module')
def hosts(module_host, tmp_path_factory):
    """One host of each kind that the ways need."""
    class Hosts:
        plain = module_host(configs.standard(
            runtimes=[configs.embedded('main', config={'limits': {'workers': 40}}),
                      configs.embedded('full', config={'limits': {'workers': 1}}),
                      configs.embedded('strict', require_bundle='always', workspaces=['acme'])],
            model=configs.stalls()))
        faulty = module_host(configs.standard(
            runtimes=[configs.embedded('main'), configs.faulty('faulty')],
            ingresses=[configs.BROWSER, configs.ingress(configs.RUNTIME, runtime='faulty')]))
        # For what comes too late, and for nothing else: its bounds are short.
        hurried = module_host(configs.standard(
            runtimes=[configs.embedded('main'), configs.faulty('faulty', deadline_ms=300)],
            ingresses=[configs.BROWSER, configs.ingress(configs.RUNTIME, runtime='faulty',
                                                        header_ms=300)]))
        far = module_host(remote.near_config(remote.entry('http://localhost', retries=0)),
                          start=False)
        archive = module_host(configs.standard(
            runtimes=[configs.embedded('main'),
                      {'id': 'archive', 'plugin': 'dev.yoi.local-compat'}]), start=False)
    scene = Scene(tmp_path_factory.mktemp('scene'))
    asks = {'call': {'name': 'fs_write', 'arguments': {}}}
    Hosts.tools = module_host(scene.config(configs.script(
        answers=[{'step': 0, 'steps': [asks]}], steps=[{'say': 'so be it'}])), env=scene.env)
    records = Hosts.archive.folder / 'home' / 'records'
    records.mkdir(parents=True)
    (records / 'broken.json').write_text('{"worker_id": "broken"')
    Hosts.archive.start()
    Hosts.far.config['runtimes'][0]['config']['base_url'] = \
        f"http://{Hosts.plain.address('browser')}"
    Hosts.far.start()
    return Hosts


def expect(r, code):
    row = CODE[code]
    assert r.status == row.status, f'{code}: {r!r}'
    error = r.error
    assert error['code'] == code, r
    assert r.header('content-type').startswith('application/json')
    assert r.header('x-request-id') == error['request_id']
    message = error['message']
    assert not message.endswith('.') and message[:2] != message[:2].upper() or \
        not message[0].isalpha() or message[0].islower(), f'style: {message!r}'
    assert len(message.encode()) < LIMIT['YOI_ERROR_MESSAGE_MAX']
    if row.status == 429:
        assert int(r.header('retry-after')) >= 0
    return r


@way
def invalid_request(h):
    return h.plain.v1.post('/v1/workers', {'wat': 1})


@way
def remote_malformed(h):
    return h.far.v1.get('/v1/workers')  # what answers there is a browser surface


@way
def invalid_json(h):
    return h.plain.v1.post('/v1/workers', b'{')


@way
def invalid_identifier(h):
    return h.plain.v1.get('/v1/workers/NOT_AN_ID')


@way
def limit_too_large(h):
    return h.plain.v1.get('/v1/workers?limit=257')


@way
def unauthorized(h):
    return Client(h.plain.address('runtime')).get('/v1/runtime')


@way
def origin_denied(h):
    return h.plain.v1.get('/v1/runtime', headers={'Origin': 'http://example.org'})


@way
def runtime_not_found(h):
    return h.plain.api.get('/api/runtimes/nobody')


@way
def worker_not_found(h):
    return h.plain.v1.get('/v1/workers/nobody')


@way
def not_found(h):
    return h.plain.v1.get('/v1/nothing')


@way
def method_not_allowed(h):
    return h.plain.v1.request('PUT', '/v1/workers')


@way
def request_timeout(h):
    with wire.connect(h.hurried.address('runtime')) as sock:
        sock.sendall(b'GET /v1/runtime HTTP/1.1\r\nHost: ')
        reader = wire.Reader(sock)
        r = wire.read_response(reader)
        assert reader.rest() == b'', 'and then it closes'
        return r


@way
def worker_busy(h):
    worker = Worker.create(h.plain.v1)
    worker.input('go')
    return h.plain.v1.post(worker.path + '/input', {'content': 'x'})


@way
def worker_stopped(h):
    worker = Worker.create(h.plain.v1)
    worker.stop()
    return h.plain.v1.post(worker.path + '/input', {'content': 'x'})


@way
def worker_not_stopped(h):
    return h.plain.v1.delete(Worker.create(h.plain.v1).path)


@way
def worker_conflict(h):
    wid = Worker.create(h.plain.v1).id
    return h.plain.v1.post('/v1/workers', {'worker_id': wid, 'display_name': 'other'})


@way
def approval_not_found(h):
    path = Worker.create(h.tools.v1).path
    return h.tools.v1.post(f'{path}/approvals/none', {'decision': 'allow'})


@way
def approval_conflict(h):
    worker = Worker.create(h.tools.v1, profile={'kind': 'builtin', 'value': 'coder'})
    worker.input('write')
    wait.until(lambda: worker.get()['state'] == 'awaiting_approval')
    (one,) = h.tools.v1.ok('GET', worker.path + '/approvals')['approvals']
    path = f"{worker.path}/approvals/{one['approval_id']}"
    h.tools.v1.ok('POST', path, {'decision': 'deny'})
    return h.tools.v1.post(path, {'decision': 'allow'})


@way
def artefact_not_found(h):
    return h.tools.v1.get(f'{Worker.create(h.tools.v1).path}/artefacts/1')


@way
def idempotency_conflict(h):
    key = {'Idempotency-Key': fresh('key')}
    h.plain.v1.post('/v1/workers', {}, headers=key)
    return h.plain.v1.post('/v1/workers', {'display_name': 'other'}, headers=key)


@way
def cursor_expired(h):
    one = Worker.create(h.plain.v1)
    old = one.get()['cursor']
    one.stop()
    one.delete()
    two = Worker.create(h.plain.v1, wid=one.id)
    return h.plain.v1.get(f'{two.path}/events?cursor={old}&wait=0')


@way
def payload_too_large(h):
    return h.plain.v1.post('/v1/workers', b'{"display_name":"' + b'x' * (1 << 20) + b'"}')


@way
def unsupported_media_type(h):
    return h.plain.v1.post('/v1/workers', b'{}', headers={'Content-Type': 'text/plain'})


@way
def invalid_profile(h):
    return h.plain.v1.post('/v1/workers', {'profile': {'kind': 'named', 'value': 'x'}})


@way
def grant_missing(h):
    return h.plain.v1.post('/v1/workers', {'requested_capabilities': [{'name': 'shell'}]})


@way
def limit_reached(h):
    root = '/api/runtimes/full/workers'
    h.plain.api.post(root, {'worker_id': 'one'})
    return h.plain.api.post(root, {'worker_id': 'two'})


@way
def queue_full(h):
    worker = Worker.create(h.plain.v1)
    worker.input('go')
    for _ in range(LIMIT['YOI_QUEUED_INPUTS_MAX']):
        worker.input('wait', on_busy='queue')
    return h.plain.v1.post(worker.path + '/input', {'content': 'x', 'on_busy': 'queue'})


@way
def header_too_large(h):
    return h.plain.v1.get('/v1/runtime', headers={'X-Long': 'x' * 20000})


@way
def internal(h):
    return h.faulty.v1.get('/v1/workers/internal')


@way
def store_error(h):
    return h.faulty.v1.post('/v1/workers/idle/input', {'content': 'store_error'})


@way
def store_corrupt(h):
    return h.archive.api.get('/api/runtimes/archive/workers/broken/transcript')


def put(h, digest=None, **more):
    data = bundles.text(bundles.make(**more))
    return h.plain.v1.request('PUT', f'/v1/config-bundles/{digest or bundles.digest(data)}', data)


@way
def bundle_not_found(h):
    return h.plain.v1.get(f'/v1/config-bundles/sha256:{"0" * 64}')


@way
def bundle_required(h):
    return h.plain.api.post('/api/runtimes/strict/workers', {})


@way
def policy_denied(h):
    return h.plain.api.post('/api/runtimes/strict/workers', {'workspace': 'lab'})


@way
def bundle_digest_mismatch(h):
    return put(h, 'sha256:' + '0' * 64)


@way
def bundle_invalid(h):
    return put(h, name='A B')


@way
def bundle_forbidden_content(h):
    text = '-----BEGIN ' + 'PRIVATE KEY-----\n' + 'MIIEvQIBADANBgkqhkiG9w0B' * 2
    return put(h, prompts=[{'name': 'companion.system', 'media_type': 'text/markdown',
                            'text': text}])


@way
def unsupported_declaration(h):
    return put(h, policies=[{'name': 'p', 'plugin': 'org.example.other', 'rules': []}])


@way
def bundle_in_use(h):
    digest = put(h, name='used').json['bundle']['digest']
    Worker.create(h.plain.v1, config_bundle={'id': 'used', 'digest': digest})
    return h.plain.v1.delete(f'/v1/config-bundles/{digest}')


@way
def unsupported_operation(h):
    return h.archive.api.post('/api/runtimes/archive/workers', {})


@way
def model_error(h):
    """Over HTTP a failed turn is no failed request; a runtime may still answer with it."""
    return h.faulty.v1.get('/v1/workers/model_error')


@way
def runtime_unavailable(h):
    return h.faulty.v1.get('/v1/workers/runtime_unavailable.next')


@way
def shutting_down(h):
    return h.faulty.v1.get('/v1/workers/shutting_down')


@way
def timeout(h):
    return h.hurried.v1.get('/v1/workers/hang')


def test_every_code_is_reached_or_listed_as_to_come():
    names = {c.name for c in CODES}
    assert set(WAYS) | LATER == names, f'without a test: {names - set(WAYS) - LATER}'
    assert not set(WAYS) & LATER


@pytest.mark.parametrize('code', [c.name for c in CODES if c.name not in LATER])
def test_a_code_is_reached_with_its_status_and_body(hosts, code):
    expect(WAYS[code](hosts), code)


@pytest.mark.parametrize('when', ['', '.next'])
@pytest.mark.parametrize('code', [c.name for c in CODES])
def test_what_a_runtime_answers_keeps_its_code_on_both_surfaces(hosts, code, when):
    for client, root in ((hosts.faulty.v1, '/v1'), (hosts.faulty.api, '/api/runtimes/faulty')):
        expect(client.get(f'{root}/workers/{code}{when}'), code)


@pytest.mark.parametrize('code', ['internal', 'store_error', 'worker_busy'])
def test_an_error_before_the_first_event_is_a_body_also_where_a_stream_was_asked_for(hosts, code):
    worker = Worker(hosts.faulty.v1, '/v1', f'{code}.next')
    with worker.events() as stream:
        assert stream.head.status == CODE[code].status and stream.head.code == code
    with Worker(hosts.faulty.v1, '/v1', 'idle').follow(f'{code}.next') as stream:
        assert stream.head.status == CODE[code].status and stream.head.code == code


def test_a_request_that_a_drain_overtakes_is_shutting_down(new_host):
    """Half a request was there when the end began; its other half comes after."""
    host = new_host(configs.standard(model=configs.stalls(), drain_ms=600000, loops=1))
    worker = Worker.create(host.v1)
    worker.input('go')
    body = b'{"content":"x"}'
    address = host.address('runtime')
    with wire.connect(address) as sock:
        data = wire.request_bytes('POST', Worker.create(host.v1).path + '/input',
                                  host.v1.headers({'Connection': None}, body), body)
        sock.sendall(data[:-3])
        host.v1.ok('GET', '/v1/runtime')  # what was sent before has been read by now
        host.signal()
        wait.until(lambda: refused(address), what='the end of accepting')
        sock.sendall(data[-3:])
        r = expect(wire.read_response(wire.Reader(sock)), 'shutting_down')
        assert r.header('connection') == 'close'
    host.signal()  # at once: the turn would hold it up
    host.wait_exit()
    host.proc = None


def refused(address):
    try:
        wire.connect(address).close()
    except ConnectionRefusedError:
        return True
    return False


# ---- answers of a runtime that are none --------------------------------------

@pytest.mark.parametrize('fault', ['unknown-code', 'unknown-status', 'no-message', 'no-result',
                                   'no-event', 'no-stream'])
def test_an_answer_that_is_none_is_internal(hosts, fault):
    r = hosts.faulty.api.get(f'/api/runtimes/faulty/workers/{fault}')
    expect(r, 'internal')


def test_a_status_without_a_code_gets_the_code_that_stands_for_it(hosts):
    r = hosts.faulty.v1.get('/v1/workers/no-code')
    assert r.status == 404 and r.code in ('not_found', 'worker_not_found'), r


def test_texts_that_are_no_utf8_and_no_json_do_not_reach_the_body(hosts):
    r = hosts.faulty.v1.get('/v1/workers/bad-text')
    r.body.decode('utf-8')
    expect(r, 'store_error')
    assert 'details' not in r.error


def test_a_second_result_is_not_a_second_body(hosts):
    with wire.connect(hosts.faulty.address('runtime')) as sock:
        reader = wire.Reader(sock)
        for path in ('/v1/workers/two-results', '/v1/workers/idle'):
            sock.sendall(wire.request_bytes(
                'GET', path, hosts.faulty.v1.headers({'Connection': None})))
            assert wire.read_response(reader).status in (200, 500)


@pytest.mark.parametrize('fault', ['late', 'wake-in-start', 'wake-in-next', 'wakes', 'idle'])
def test_an_answer_is_found_whenever_its_wake_comes(hosts, fault):
    for _ in range(5):
        hosts.faulty.v1.ok('GET', f'/v1/workers/{fault}', status=200)


def test_a_runtime_that_is_deaf_to_a_cancel_delays_nobody(hosts):
    expect(hosts.hurried.v1.get('/v1/workers/deaf'), 'timeout')
    wait.until(lambda: hosts.hurried.v1.get('/v1/workers/idle').status == 200, what='an answer')


def test_a_deadline_may_be_lowered_by_the_caller(new_host):
    host = new_host(configs.standard(
        runtimes=[configs.embedded('main'), configs.faulty('faulty')],
        ingresses=[configs.BROWSER, configs.ingress(configs.RUNTIME, runtime='faulty')]))
    expect(host.v1.get('/v1/workers/hang?timeout=0.2'), 'timeout')
    expect(host.v1.get('/v1/workers/hang', headers={'Yoi-Timeout-Ms': '200'}), 'timeout')
    expect(host.api.get('/api/runtimes/faulty/workers/hang?timeout=0.2'), 'timeout')


# ---- streams of a runtime that go wrong ---------------------------------------

@pytest.mark.tsan
@pytest.mark.parametrize('name,n', [('events-0', 0), ('events-5', 5), ('events-100', 100),
                                    ('trickle-5', 5)])
def test_a_stream_of_a_runtime_ends_with_its_own_end(hosts, name, n):
    with Worker(hosts.faulty.v1, '/v1', name).events() as stream:
        events = list(stream)
    assert [e.kind for e in events] == ['text.delta'] * n + ['end']
    assert events[-1].data['reason'] == 'turn_ended'


@pytest.mark.tsan
def test_a_stream_that_ends_without_a_word_just_ends(hosts):
    with Worker(hosts.faulty.v1, '/v1', 'events-5.cut').events() as stream:
        assert [e.kind for e in stream] == ['text.delta'] * 5


@pytest.mark.tsan
def test_a_stream_that_breaks_ends_with_an_end_of_the_ingress(hosts):
    with Worker(hosts.faulty.v1, '/v1', 'events-5.error').events() as stream:
        events = list(stream)
    assert [e.kind for e in events] == ['text.delta'] * 5 + ['end'], events
    end = events[-1].data
    assert end['reason'] == 'error' and end['code'] == 'internal', end
    assert end['cursor'] == 'c-5' and events[-1].id is None


@pytest.mark.tsan
def test_a_watcher_that_leaves_releases_the_stream(hosts):
    for name in ('hang', 'deaf', 'trickle-50', 'wakes'):
        for _ in range(5):
            sock = wire.connect(hosts.hurried.address('runtime'))
            sock.sendall(wire.request_bytes(
                'GET', f'/v1/workers/{name}/events',
                hosts.hurried.v1.headers({'Accept': 'text/event-stream'})))
            sock.close()
    wait.until(lambda: hosts.hurried.v1.get('/v1/workers/idle').status == 200, what='an answer')
