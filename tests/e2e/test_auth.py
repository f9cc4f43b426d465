"""Who may ask: tokens on the runtime surface, Host and Origin on the other."""
import pytest

from lib import configs, wire
from lib.host import TOKEN
from lib.wire import Client
from lib.worker import fresh


# ---- the runtime surface ----------------------------------------------------

@pytest.mark.parametrize('field', [
    None, 'Bearer', 'Bearer ', f'Bearer {TOKEN}x', f'Bearer {TOKEN[:-1]}', f'bearer{TOKEN}',
    f'Bearer {TOKEN[:-1]}x', f'Bearer x{TOKEN[1:]}',
    f'Basic {TOKEN}', TOKEN, f'Bearer {TOKEN} x', f'Bearer  {TOKEN}x', 'Bearer \u00e4'])
def test_without_the_token_a_runtime_surface_answers_401(host, field):
    client = Client(host.address('runtime'))
    for method, path in (('GET', '/v1/runtime'), ('POST', '/v1/workers'), ('GET', '/metrics'),
                         ('GET', '/v1/workers/nobody/events'), ('GET', '/v1/nothing')):
        r = client.request(method, path, b'{}' if method == 'POST' else None,
                           headers={'Authorization': field})
        assert r.status == 401 and r.code == 'unauthorized', (path, r)
        assert r.header('www-authenticate').startswith('Bearer')
        assert TOKEN not in r.text


def test_the_scheme_is_case_insensitive_and_the_token_is_not(host):
    client = Client(host.address('runtime'))
    assert client.get('/v1/runtime', headers={'Authorization': f'bearer {TOKEN}'}).status == 200
    assert client.get('/v1/runtime',
                      headers={'Authorization': f'Bearer {TOKEN.upper()}'}).status == 401


def test_two_tokens_are_none(host):
    fields = Client(host.address('runtime'), TOKEN).headers() + [('Authorization', 'Bearer x')]
    data = wire.request_bytes('GET', '/v1/runtime', fields)
    assert wire.exchange(host.address('runtime'), data).status in (400, 401)


def test_a_token_in_the_url_is_none(host):
    client = Client(host.address('runtime'))
    assert client.get(f'/v1/runtime?token={TOKEN}').status in (400, 401)


@pytest.mark.parametrize('name,value', [
    ('Origin', 'http://127.0.0.1:1'), ('Origin', 'null'), ('Origin', 'https://example.org'),
    ('Sec-Fetch-Site', 'same-origin'), ('Sec-Fetch-Site', 'none'),
    ('Sec-Fetch-Site', 'cross-site')])
def test_a_browser_is_not_let_into_the_runtime_surface(host, name, value):
    for method in ('GET', 'POST'):
        host.v1.refused(method, '/v1/workers', 403, 'origin_denied',
                        {} if method == 'POST' else None, headers={name: value})


def test_no_surface_sends_cors_fields(host):
    for client in (host.v1, host.api):
        path = '/v1/runtime' if client.token else '/api/runtimes'
        for headers in ({}, {'Origin': client.base} if not client.token else {}):
            r = client.get(path, headers=headers)
            assert not [k for k, _ in r.headers if k.startswith('access-control-')]


def start_fails(new_host, ingress, *words, **secrets):
    host = new_host(configs.standard(ingresses=[ingress]), start=False)
    host.write()
    host.spawn()
    code = host.wait_exit()
    log, host.proc = host.log, None
    assert code not in (0, None) and code > 0, f'ended with {code}:\n{log}'
    for word in words:
        assert word in log.lower(), log
    assert 'msg=ready' not in log and TOKEN not in log
    return log


def test_a_runtime_surface_without_a_token_refuses_to_start(new_host):
    start_fails(new_host, configs.ingress(configs.RUNTIME, token=None), 'token')


def test_insecure_must_be_said_and_is_for_loopback_only(new_host):
    host = new_host(configs.standard(ingresses=[
        configs.BROWSER, configs.ingress(configs.RUNTIME, token=None, insecure=True)]))
    assert Client(host.address('runtime')).get('/v1/runtime').status == 200


@pytest.mark.parametrize('surface,keys', [
    (configs.RUNTIME, {'token': None, 'insecure': True, 'listen': '0.0.0.0:0'}),
    (configs.BROWSER, {'listen': '0.0.0.0:0'})])
def test_off_loopback_nothing_listens_without_authentication(new_host, surface, keys):
    start_fails(new_host, configs.ingress(surface, **keys), 'loopback')


def test_a_token_whose_secret_is_missing_or_empty_refuses_to_start(new_host):
    start_fails(new_host, configs.ingress(configs.RUNTIME, token='secret:nobody'), 'nobody')
    host = new_host(configs.standard(local={'secrets': {'runtime-token': {'file': 'empty'}}}),
                    start=False)
    host.write()
    (host.etc / 'empty').write_text('\n')
    (host.etc / 'empty').chmod(0o600)
    host.spawn()
    assert host.wait_exit() > 0
    assert 'msg=ready' not in host.log
    host.proc = None


def test_a_token_is_never_given_in_the_config_itself(new_host):
    host = new_host(configs.standard(ingresses=[configs.ingress(configs.RUNTIME, token='plain')]),
                    start=False)
    host.write()
    host.spawn()
    assert host.wait_exit() > 0
    host.proc = None


def test_a_token_can_come_from_the_environment(new_host):
    host = new_host(configs.standard(local={'secrets': {'runtime-token': {'env': 'MY_TOKEN'}}}),
                    env={'MY_TOKEN': 'from-the-environment-0123456789'})
    client = Client(host.address('runtime'), 'from-the-environment-0123456789')
    assert client.get('/v1/runtime').status == 200
    assert host.v1.get('/v1/runtime').status == 401


# ---- the browser surface ----------------------------------------------------

def spoof(host, name, path='/api/runtimes', method='GET', **headers):
    client = Client(host.address('browser'))
    return client.request(method, path, b'{}' if method == 'POST' else None,
                          headers={'Host': name, **headers})


def test_the_usual_names_of_this_machine_are_hosts(host):
    port = host.address('browser').rsplit(':', 1)[1]
    for name in (f'127.0.0.1:{port}', f'localhost:{port}', f'[::1]:{port}', f'LocalHost:{port}'):
        assert spoof(host, name).status == 200, name


@pytest.mark.parametrize('name', [
    'example.org', 'example.org:PORT', '127.0.0.1', 'localhost', '127.0.0.1:1', 'localhost:1',
    '127.0.0.1.example.org:PORT', 'localhost.:PORT', '127.0.0.2:PORT', '0.0.0.0:PORT',
    '127.1:PORT', 'localhost:PORT.example.org', 'localhost:0PORT', 'x@localhost:PORT'])
def test_a_rebound_name_is_denied_before_routing(host, name):
    port = host.address('browser').rsplit(':', 1)[1]
    for path in ('/api/runtimes', '/api/nothing', '/'):
        r = spoof(host, name.replace('PORT', port), path)
        assert (r.status, r.code) in ((403, 'origin_denied'), (400, 'invalid_request')), (path, r)


def test_health_and_readiness_skip_the_host_check(host):
    assert spoof(host, 'example.org', '/healthz').status == 200
    assert spoof(host, 'example.org', '/readyz').status == 200
    assert spoof(host, 'example.org', '/metrics').status == 403


def test_more_names_can_be_configured(new_host):
    host = new_host(configs.standard(ingresses=[
        configs.RUNTIME, configs.ingress(configs.BROWSER, hosts=['yoi.example:8443'])]))
    assert spoof(host, 'yoi.example:8443').status == 200
    assert spoof(host, 'yoi.example').status == 403
    assert spoof(host, 'other.example:8443').status == 403


@pytest.mark.parametrize('headers,status', [
    ({}, 201), ({'Origin': 'http://SELF'}, 201), ({'Origin': 'https://SELF'}, 201),
    ({'Sec-Fetch-Site': 'same-origin'}, 201), ({'Sec-Fetch-Site': 'none'}, 201),
    ({'Origin': 'null'}, 403), ({'Origin': 'http://example.org'}, 403),
    ({'Origin': 'http://SELF.example.org'}, 403), ({'Origin': 'http://127.0.0.1'}, 403),
    ({'Origin': 'http://SELF/'}, 403), ({'Origin': ''}, 403),
    ({'Sec-Fetch-Site': 'cross-site'}, 403), ({'Sec-Fetch-Site': 'same-site'}, 403),
    ({'Origin': 'http://SELF', 'Sec-Fetch-Site': 'cross-site'}, 403)])
def test_a_write_from_another_origin_is_denied(host, headers, status):
    self_ = host.address('browser')
    headers = {k: v.replace('SELF', self_) for k, v in headers.items()}
    wid = fresh('origin')
    r = host.api.post('/api/runtimes/main/workers', {'worker_id': wid}, headers=headers)
    assert r.status == status, r
    if status == 403:
        assert r.code == 'origin_denied'
        host.api.refused('GET', f'/api/runtimes/main/workers/{wid}', 404, 'worker_not_found')


@pytest.mark.parametrize('method,tail', [
    ('POST', '/input'), ('POST', '/cancel'), ('POST', '/stop'), ('DELETE', '')])
def test_every_write_is_checked(host, method, tail):
    wid = host.api.ok('POST', '/api/runtimes/main/workers', {})['worker']['worker_id']
    host.api.refused(method, f'/api/runtimes/main/workers/{wid}{tail}', 403, 'origin_denied',
                     {'content': 'x'} if tail == '/input' else None,
                     headers={'Origin': 'http://example.org'})


def test_a_form_cannot_write(host):
    for kind in ('text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data'):
        host.api.refused('POST', '/api/runtimes/main/workers', 415, 'unsupported_media_type',
                         b'{}', headers={'Content-Type': kind})
