"""People log in on a browser surface; those who are none do not."""
import base64
import hashlib
import json
import re
import time

import pytest

from lib import browser, configs, pki, sse, wait, wire
from lib.browser import Browser
from lib.metrics import Metrics
from lib.tables import LIMIT
from lib.wire import Address, Client
from lib.worker import Worker, fresh
from test_tokens import SECRET, put

ROOT = '/api/runtimes/main'


def door(*entries, **keys):
    """A browser surface that asks for tokens."""
    return configs.ingress(configs.BROWSER, token_reload_ms=100, tokens=[
        {'secrets': [f'secret:{e["name"]}'], **e} for e in entries], **keys)


def closed(make, *entries, start=True, local=None, model=None, **keys):
    entries = entries or ({'name': 'ann'}, {'name': 'bob'})
    secrets = {**configs.SECRETS, **{e['name']: {'file': f'{e["name"]}.token'} for e in entries}}
    host = make(configs.standard(model=model, ingresses=[door(*entries, **keys), configs.RUNTIME],
                                 local={'secrets': {**secrets, **(local or {})}}), start=False)
    for e in entries:
        put(host, e['name'], SECRET[e['name']])
    return host.start() if start else host


@pytest.fixture(scope='module')
def shared(module_host):
    return closed(module_host)


@pytest.fixture
def ann(shared):
    b = browser.of(shared)
    assert b.login(SECRET['ann']).status == 200
    return b


# ---- coming and going -------------------------------------------------------

def test_nothing_is_there_without_a_login(shared):
    b = browser.of(shared)
    for path in ('/api/runtimes', '/api/workers', ROOT + '/workers', '/metrics', '/api/nothing',
                 '/nothing', '/api/config-bundles', '/v1/runtime'):
        r = b.get(path)
        assert (r.status, r.code) == (401, 'unauthorized'), (path, r)
    for method, path in (('POST', ROOT + '/workers'), ('DELETE', ROOT + '/workers/x')):
        assert b.request(method, path, {} if method == 'POST' else None).status == 401
    for path in ('/healthz', '/readyz'):
        assert b.get(path).status == 200


def test_a_login_is_a_cookie_that_only_the_browser_has(shared):
    b = browser.of(shared)
    r = b.login(SECRET['ann'])
    assert r.status == 200 and r.json['login']['principal'] == 'token:ann'
    assert re.fullmatch(r'\d{4}-\d\d-\d\dT.*Z', r.json['login']['expires_at'])
    port = shared.address('browser').rsplit(':', 1)[1]
    assert set(b.jar) == {f'yoi-{port}', f'yoid-{port}'}
    for text in r.all('set-cookie'):
        words = [w.strip() for w in text.split(';')[1:]]
        assert {'HttpOnly', 'SameSite=Strict', 'Path=/'} <= set(words) and 'Secure' not in words
        assert any(w.startswith('Max-Age=') for w in words) and not any(
            w.startswith('Domain') for w in words)
    name, value = b.session()
    assert re.fullmatch('[0-9a-f]{64}', value) and SECRET['ann'] not in str(r.headers)
    assert b.get('/api/runtimes').status == 200
    worker = b.post(ROOT + '/workers', {'worker_id': fresh()})
    assert worker.status == 201
    assert not [v for v in (value, SECRET['ann']) if v in shared.log]


def test_who_acts_is_who_has_logged_in(shared, ann):
    wid = fresh()
    ann.post(ROOT + '/workers', {'worker_id': wid})
    ann.post(f'{ROOT}/workers/{wid}/input?wait=20', {'content': 'hello'})
    events = Worker(shared.v1, '/v1', wid).batch(wait=0)['events']
    assert events
    r = ann.post(f'{ROOT}/workers/{wid}/stop', {'reason': 'enough'})
    assert r.status == 202
    said = shared.v1.ok('GET', f'/v1/workers/{wid}/events?wait=1', headers={
        'Last-Event-ID': events[0]['id'], 'Accept': 'application/json'})['events']
    assert 'token:ann' in [e['data'].get('principal') for e in said]


def test_a_logout_is_the_end_of_the_cookie_for_everybody(shared, ann):
    thief = Browser(ann.client)
    thief.jar = dict(ann.jar)
    assert thief.get('/api/runtimes').status == 200
    r = ann.post('/logout')
    assert r.status == 204 and not r.body
    assert 'Max-Age=0' in r.header('set-cookie') and not [k for k in ann.jar if 'yoi-' in k]
    assert thief.get('/api/runtimes').status == 401
    assert ann.get('/api/runtimes').status == 401
    assert thief.post('/logout').status == 204  # twice is nothing


def test_a_logout_ends_what_is_watched(new_host):
    host = closed(new_host, heartbeat_ms=200)
    b, wid = browser.of(host), fresh()
    b.login(SECRET['ann'])
    b.post(ROOT + '/workers', {'worker_id': wid})
    cookie = {'Cookie': '='.join(b.session())}
    stream = sse.Stream(b.client, f'{ROOT}/workers/{wid}/events', headers=cookie)
    assert stream.next_event().kind == 'snapshot'
    b.post('/logout')
    last = list(stream)[-1]
    assert last.kind == 'end' and json.loads(last.text)['code'] == 'unauthorized'


def test_a_wait_ends_with_the_login(new_host):
    host = closed(new_host, heartbeat_ms=200)
    b, wid = browser.of(host), fresh()
    b.login(SECRET['ann'])
    b.post(ROOT + '/workers', {'worker_id': wid})
    cursor = b.get(f'{ROOT}/workers/{wid}').json['worker']['cursor']
    sock, reader, head = None, None, None
    fields = b.client.headers({'Cookie': '='.join(b.session())})
    with wire.connect(b.client.address) as sock:
        sock.sendall(wire.request_bytes(
            'GET', f'{ROOT}/workers/{wid}/events?wait=30&cursor={cursor}', fields))
        wait.until(lambda: Metrics(host.v1.get('/metrics').text).sum(
            'yoi_http_streams', surface='browser') == 1, what='a wait')
        b.post('/logout')
        Worker(host.v1, '/v1', wid).say('words that he may not hear')
        r = wire.read_response(wire.Reader(sock, 20))
    assert (r.status, r.code) == (401, 'unauthorized')


def test_a_login_ends_by_itself(new_host):
    host = closed(new_host, session_ms=1000)
    b = browser.of(host)

    def is_in():  # for a second
        return b.login(SECRET['ann']).status == b.get('/api/runtimes').status == 200
    wait.until(is_in, what='a login that is used before its end')
    (session,) = [m for k, m in b.jar.items() if 'yoi-' in k]
    assert session['max-age'] == '1'
    wait.until(lambda: b.get('/api/runtimes').status == 401, what='the end of the login')


def test_another_token_ends_the_logins_by_the_old_one(new_host):
    host = closed(new_host)
    a, b = browser.of(host), browser.of(host)
    assert a.login(SECRET['ann']).status == 200 and b.login(SECRET['bob']).status == 200
    put(host, 'ann', SECRET['new'])
    wait.until(lambda: a.get('/api/runtimes').status == 401, what='the end of the login')
    assert b.get('/api/runtimes').status == 200
    assert a.login(SECRET['ann']).status == 401 and a.login(SECRET['new']).status == 200


def test_a_restart_ends_all_logins(new_host):
    host = closed(new_host)
    b = browser.of(host)
    b.login(SECRET['ann'])
    jar = dict(b.jar)
    host.restart()
    again = browser.of(host)
    port = host.address('browser').rsplit(':', 1)[1]
    again.jar = {re.sub(r'\d+$', port, k): m for k, m in jar.items()}
    assert again.get('/api/runtimes').status == 401


def test_a_login_may_be_for_some_things_and_one_workspace(new_host):
    host = closed(new_host, {'name': 'ann', 'permissions': ['observe'], 'workspace': 'acme'},
                  {'name': 'bob'})
    a, b = browser.of(host), browser.of(host)
    a.login(SECRET['ann'])
    b.login(SECRET['bob'])
    wid = fresh()
    assert b.post(ROOT + '/workers', {'worker_id': wid}).status == 201
    assert a.get(f'{ROOT}/workers/{wid}').code == 'worker_not_found'
    assert a.get('/api/workers').json['runtimes'][0]['workers'] == []
    assert a.post(ROOT + '/workers', {}).code == 'policy_denied'
    assert a.get('/metrics').code == 'policy_denied'


@pytest.mark.parametrize('body', [b'', b'{', b'[]', b'"x"', b'{}', b'{"token":1}',
                                  b'{"token":null}', b'{"token":"x","more":1}',
                                  b'{"token":"x","token":"y"}', b'{"token":"a\\u0000b"}'])
def test_a_login_that_is_none(shared, body):
    r = browser.of(shared, source='127.0.0.60').post('/login', body)
    assert r.status == 400 and not r.all('set-cookie')


def test_the_shape_of_login_and_logout(shared, ann):
    b = browser.of(shared, source='127.0.0.61')
    for path in ('/login', '/logout'):
        for method in ('GET', 'PUT', 'DELETE'):
            r = b.request(method, path)
            assert r.status == 405 and r.header('allow') == 'POST'
    assert b.post('/login', b'token=x', headers={
        'Content-Type': 'application/x-www-form-urlencoded'}).status == 415
    big = b.post('/login', {'token': 'x' * LIMIT['YOI_HTTP_LOGIN_BYTES_MAX']})
    assert big.status == 413
    assert ann.post('/logout', {'x': 1}).status == 400


def test_where_no_token_is_asked_for_there_is_no_login(new_host):
    host = new_host(configs.standard())
    b = browser.of(host)
    assert b.post('/login', {'token': 'x'}).code == 'not_found'
    assert b.post('/logout').code == 'not_found'
    assert b.get('/api/runtimes').status == 200


def test_a_program_may_bring_a_token_here_too(shared):
    c = Client(shared.address('browser'), SECRET['bob'])
    assert c.ok('GET', '/api/runtimes')
    assert not c.get('/api/runtimes').all('set-cookie')
    for value in ('Bearer', 'Basic x', SECRET['bob']):
        assert c.get('/api/runtimes', headers={'Authorization': value}).status == 401


# ---- off this machine -------------------------------------------------------

def test_off_loopback_it_serves_with_tokens_and_says_when_it_is_not_tls(new_host):
    host = closed(new_host, listen='0.0.0.0:0', hosts=['yoi.example'])
    address = '127.0.0.1:' + host.address('browser').rsplit(':', 1)[1]
    b = Browser(Client(address))
    assert b.get('/api/runtimes').status == 401
    assert b.login(SECRET['ann']).status == 200 and b.get('/api/runtimes').status == 200
    assert host.entries(msg='tokens cross the network without tls')
    for name in ('evil.example', '10.0.0.1:1'):
        r = b.get('/api/runtimes', headers={'Host': name})
        assert r.code == 'origin_denied'


def test_with_tls_the_cookie_is_secure_and_of_this_host_alone(new_host, tmp_path):
    ca = pki.Authority(tmp_path)
    host = closed(new_host, local={'crt': {'file': 'crt.pem'}, 'key': {'file': 'key.pem'}},
                  tls={'certificate': 'secret:crt', 'key': 'secret:key'}, start=False)
    for name, data in zip(('crt.pem', 'key.pem'), ca.issue()):
        pki.put(host.etc / name, data)
    b = browser.of(host.start(), tls=ca.context())
    r = b.login(SECRET['ann'])
    assert r.status == 200
    for text in r.all('set-cookie'):
        assert text.startswith('__Host-') and '; Secure' in text and 'Path=/' in text
    assert b.get('/api/runtimes').status == 200


def test_behind_a_proxy_that_has_the_tls(new_host):
    host = closed(new_host, secure_cookie=True)
    b = browser.of(host)
    r = b.login(SECRET['ann'])
    assert all(t.startswith('__Host-') and '; Secure' in t for t in r.all('set-cookie'))
    assert b.get('/api/runtimes').status == 401  # a browser keeps it back without TLS
    cookie = {'Cookie': '='.join(b.session())}
    assert b.get('/api/runtimes', headers=cookie).status == 200


# ---- attackers --------------------------------------------------------------

@pytest.mark.parametrize('site,origin', [
    ('cross-site', 'https://evil.example'), ('cross-site', 'null'),
    ('same-site', 'http://127.0.0.1:1'), ('same-origin', 'http://evil.example'),
    ('none', 'null'), ('cross-site', None)])
def test_another_page_cannot_act_with_the_cookie(shared, ann, site, origin):
    """CSRF: also where the browser sent the cookie along, or is too old to keep it."""
    wid = fresh()
    ann.post(ROOT + '/workers', {'worker_id': wid})
    cookie = {'Cookie': '='.join(ann.session())}
    attacks = [('POST', ROOT + '/workers', {}), ('POST', f'{ROOT}/workers/{wid}/input',
                                                 {'content': 'x'}),
               ('POST', f'{ROOT}/workers/{wid}/stop', None), ('POST', '/logout', None),
               ('DELETE', f'{ROOT}/workers/{wid}', None), ('POST', '/login', {'token': 'x'}),
               ('GET', f'{ROOT}/workers/{wid}/events', None), ('GET', '/api/workers', None)]
    if site in ('same-origin', 'none'):  # a read without Origin is the person's own
        attacks = [a for a in attacks if a[0] != 'GET']
    for method, path, body in attacks:
        r = ann.request(method, path, body, site=site, origin=origin, headers=cookie)
        assert (r.status, r.code) == (403, 'origin_denied'), (method, path, r)
        assert not r.all('set-cookie')
    assert ann.get(f'{ROOT}/workers/{wid}').json['worker']['state'] == 'idle'


def test_a_form_of_another_page_cannot_act(shared, ann):
    """A simple request needs no leave of CORS: its type is no JSON."""
    for kind in ('text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data'):
        r = ann.post(ROOT + '/workers', b'{"worker_id":"forged"}', headers={'Content-Type': kind})
        assert r.status == 415
    preflight = ann.request('OPTIONS', ROOT + '/workers', site='cross-site', headers={
        'Access-Control-Request-Method': 'POST'})
    assert preflight.status in (403, 405)
    assert not [k for k, _ in preflight.headers if k.startswith('access-control')]


@pytest.mark.parametrize('path', ['/', '/login', '/logout', '/api/runtimes', '/metrics'])
def test_a_rebound_name_gets_nothing(shared, ann, path):
    """DNS rebinding: the browser takes the page for this origin, and has no cookie for it."""
    method = 'POST' if path in ('/login', '/logout') else 'GET'
    port = shared.address('browser').rsplit(':', 1)[1]
    for name in (f'evil.example:{port}', 'evil.example', f'127.0.0.1.evil.example:{port}'):
        r = ann.request(method, path, {'token': SECRET['ann']} if path == '/login' else None,
                        headers={'Host': name, 'Origin': f'http://{name}'})
        assert (r.status, r.code) == (403, 'origin_denied')
        assert not r.all('set-cookie')


def test_cookies_that_are_not_ours(shared, ann):
    name, value = ann.session()
    b = browser.of(shared)
    for field in (f'{name}={value[:-1]}', f'{name}={value}0', f'{name}={value.upper()}',
                  f'{name}=', f'{name}', f'x{name}={value}', f'{name}x={value}',
                  f'{name}={value}; {name}={value[::-1]}', f'{name}={"0" * 64}', f'yoi={value}',
                  f'{name}=../../etc', f'{name}="{value}"', f'{name}={SECRET["ann"]}'):
        assert b.get('/api/runtimes', headers={'Cookie': field}).status == 401, field
    two = b.client.headers() + [('Cookie', f'{name}={value}'), ('Cookie', 'a=b')]
    r = wire.exchange(b.client.address, wire.request_bytes('GET', '/api/runtimes', two))
    assert r.status == 400
    long = b.get('/api/runtimes', headers={'Cookie': 'a=' + 'b' * 20000})
    assert long.status == 431


def test_a_fixed_session_is_not_taken_over(shared):
    """Whoever plants a cookie before the login does not know the one after it."""
    b, port = browser.of(shared), shared.address('browser').rsplit(':', 1)[1]
    planted = '0' * 64
    r = b.post('/login', {'token': SECRET['ann']}, headers={'Cookie': f'yoi-{port}={planted}'})
    assert r.status == 200 and b.session()[1] != planted
    assert b.get('/api/runtimes', headers={'Cookie': f'yoi-{port}={planted}'}).status == 401


def test_a_token_of_another_surface_is_none_here(shared):
    from lib.host import TOKEN
    assert browser.of(shared, source='127.0.0.62').login(TOKEN).status == 401


# ---- guessing ---------------------------------------------------------------

FREE = LIMIT['YOI_HTTP_GUESSES_FREE']


def guess(b, n, token='wrong-token-of-some-length'):
    return [b.login(f'{token}-{i}') for i in range(n)]


def in_time(new_host, scene):
    """What scene(host) yields behind the moment from which somebody waits, for a second.
    If that took longer it says nothing, and it is played again on a host of its own."""
    for _ in range(50):
        playing = scene(closed(new_host))
        begin = next(playing)
        got = next(playing)
        if time.monotonic() - begin < 1:
            return got
    raise AssertionError('it took more than a second each time')


def test_whoever_guesses_waits_and_the_right_token_waits_too(new_host):
    def scene(host):
        thief = browser.of(host, source='127.0.0.7')
        yield time.monotonic()
        answers, r = guess(thief, FREE + 1), thief.login(SECRET['ann'])
        bearer = Client(Address(host.address('browser'), source='127.0.0.7'), SECRET['ann'])
        yield host, thief, answers, r, bearer.get('/api/runtimes')
    host, thief, answers, r, other = in_time(new_host, scene)
    assert [r.status for r in answers] == [401] * (FREE + 1)
    assert (r.status, r.code) == (429, 'rate_limited') and r.header('retry-after') == '1'
    assert other.status == 429  # there is no other way around
    # Nobody else waits, and whoever is in stays in.
    assert browser.of(host, source='127.0.0.8').login(SECRET['bob']).status == 200
    assert Client(Address(host.address('browser'), source='127.0.0.8'),
                  SECRET['bob']).get('/api/runtimes').status == 200
    wait.until(lambda: thief.login(SECRET['ann']).status == 200, what='the wait to be over')
    wait.until(lambda: host.entries(msg='a wrong token', level='warn'), what='a line of it')
    assert 'wrong-token-of-some-length' not in host.log


def test_waits_grow(new_host):
    def scene(host):
        thief = browser.of(host, source='127.0.0.7')
        guess(thief, FREE + 1)

        def again():
            begin = time.monotonic()
            return thief.login('wrong-once-more-or-less').status == 401 and begin
        yield wait.until(again, what='the first wait')
        yield thief.login('wrong-and-too-early-now')
    r = in_time(new_host, scene)
    assert r.status == 429 and r.header('retry-after') == '2'


def test_one_behind_the_same_address_who_was_here_before_is_not_kept_out(new_host):
    """A proxy is one peer: browsers that have logged in are known by a cookie of their own."""
    def scene(host):
        known, thief = browser.of(host), browser.of(host)
        assert known.login(SECRET['ann']).status == 200
        known.post('/logout')
        assert [k for k in known.jar if 'yoid-' in k]
        yield time.monotonic()
        guess(thief, FREE + 1)
        first = thief.login(SECRET['bob']), known.login(SECRET['ann'])
        # What it may guess is counted for it alone.
        guess(known, FREE + 1)
        alone = known.login(SECRET['ann'])
        forged = browser.of(host)
        forged.jar = {k: m for k, m in known.jar.items()}
        for m in forged.jar.values():
            m.set(m.key, '0' * 64, '0' * 64)
        yield [r.status for r in (*first, alone, forged.login(SECRET['ann']))]
    assert in_time(new_host, scene) == [429, 200, 429, 429]


def test_one_who_has_a_token_does_not_guess_for_free(new_host):
    """Each login would be a new device, with new guesses."""
    def scene(host):
        wrong = 0
        yield time.monotonic()
        for _ in range(4):
            insider = browser.of(host)
            if insider.login(SECRET['bob']).status != 200:
                break
            jar = dict(insider.jar)
            assert insider.login(SECRET['bob']).status == 200
            assert [m.value for k, m in insider.jar.items() if 'yoid-' in k] == \
                [m.value for k, m in jar.items() if 'yoid-' in k]
            wrong += sum(r.status == 401 for r in guess(insider, FREE + 1))
        yield wrong
    assert in_time(new_host, scene) <= 2 * (FREE + 1)


def test_devices_that_were_made_before_guess_for_one(new_host):
    def scene(host):
        insiders = [browser.of(host) for _ in range(10)]
        for insider in insiders:
            assert insider.login(SECRET['bob']).status == 200
        yield time.monotonic()
        yield at_once(host, [i for i in insiders for _ in range(FREE)])
    statuses = in_time(new_host, scene)
    assert set(statuses) == {401, 429} and statuses.count(401) <= FREE + 1


def test_a_login_ends_the_one_before(shared):
    b = browser.of(shared)
    b.login(SECRET['ann'])
    old = {'Cookie': '='.join(b.session())}
    b.login(SECRET['bob'])
    assert b.get('/api/runtimes').status == 200
    assert browser.of(shared).get('/api/runtimes', headers=old).status == 401


def test_a_session_is_no_matter_of_guesses(new_host):
    def scene(host):
        b, thief = browser.of(host), browser.of(host)
        b.login(SECRET['ann'])
        yield time.monotonic()
        guess(thief, FREE + 1)
        yield b, thief.login(SECRET['ann'])
    b, r = in_time(new_host, scene)
    assert r.status == 429
    for _ in range(20):
        assert b.get('/api/runtimes').status == 200


def at_once(host, browsers):
    """The statuses of a wrong guess by each of them, all on one connection."""
    data = []
    for i, b in enumerate(browsers):
        body = json.dumps({'token': f'wrong-token-number-{i}'}).encode()
        jar = '; '.join(f'{k}={v}' for k, v in b.cookies('none').items())
        fields = b.client.headers({'Connection': 'keep-alive', 'Cookie': jar or None}, body)
        data.append(wire.request_bytes('POST', '/login', fields, body))
    with wire.connect(host.address('browser')) as sock:
        sock.sendall(b''.join(data))
        reader = wire.Reader(sock, 20)
        return [wire.read_response(reader, 'POST').status for _ in data]


def test_guesses_at_once_are_no_way_around(new_host):
    def scene(host):
        yield time.monotonic()
        yield at_once(host, [browser.of(host)] * 40)
    statuses = in_time(new_host, scene)
    assert statuses.count(401) == FREE + 1 and statuses.count(429) == 40 - FREE - 1


def test_a_caller_has_so_many_logins(new_host):
    host = closed(new_host)
    n = LIMIT['YOI_HTTP_SESSIONS_MAX']
    browsers = [browser.of(host) for _ in range(n + 1)]
    for b in browsers:
        assert b.login(SECRET['ann']).status == 200
    assert [b.get('/api/runtimes').status for b in browsers] == [401] + [200] * n


# ---- header fields and pages ------------------------------------------------

def test_each_answer_says_what_browsers_are_to_keep_to(shared, ann):
    for r in (ann.get('/api/runtimes'), ann.get('/api/nothing'), ann.get('/'), ann.get('/metrics'),
              ann.get('/healthz'), browser.of(shared).get('/api/runtimes'),
              browser.of(shared).get('/'), ann.post('/logout')):
        assert r.header('x-content-type-options') == 'nosniff'
        assert r.header('x-frame-options') == 'DENY'
        assert r.header('referrer-policy') == 'no-referrer'
        assert r.header('cross-origin-resource-policy') == 'same-origin'
        assert r.header('cache-control') == 'no-store'
        policy = r.header('content-security-policy')
        assert policy.startswith("default-src 'none'") and "frame-ancestors 'none'" in policy
        assert 'unsafe' not in policy and '*' not in policy
        assert not [k for k, _ in r.headers if k in ('server', 'x-powered-by')]
    stream = sse.Stream(shared.v1, '/v1/workers/nobody/events')
    assert stream.head.header('content-security-policy') is None  # not for browsers
    stream.close()


def hashes(page, element):
    return {"'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"
            for text in re.findall(f'<{element}>(.*?)</{element}>', page, re.S)}


def test_a_page_runs_what_stands_in_it_and_nothing_else(shared, ann, new_host):
    open_ = browser.of(new_host(configs.standard()))
    for r, scripts in ((browser.of(shared).get('/'), 1), (ann.get('/'), 1), (open_.get('/'), 0)):
        assert r.header('content-type').startswith('text/html')
        policy = dict(p.strip().split(' ', 1) if ' ' in p.strip() else (p.strip(), '')
                      for p in r.header('content-security-policy').split(';'))
        for element, key in (('style', 'style-src'), ('script', 'script-src')):
            assert set(policy[key].split()) == hashes(r.text, element), (element, policy)
        assert len(hashes(r.text, 'script')) == scripts
        assert policy['connect-src'] == "'self'" and policy['form-action'] == "'none'"
        assert not re.search(r'\son\w+=|style=|javascript:|\shref="http|\ssrc=', r.text)
        assert '{{' not in r.text


def test_the_page_is_a_login_for_whoever_has_none(shared, ann):
    out = browser.of(shared).get('/')
    assert 'type="password"' in out.text and 'curl -s' not in out.text
    assert 'curl -s' in ann.get('/').text and 'Log out' in ann.get('/').text
    assert browser.of(shared).get('/', site='cross-site').status == 200  # a link leads here
    assert 'Log out' not in browser.of(shared).get('/').text


# ---- policies ---------------------------------------------------------------

def test_who_may_what_is_a_question_to_the_policies(new_host):
    """The principal of a login is that of rules; a token's permissions come on top."""
    rules = [{'name': 'look', 'decision': 'allow', 'operations': [
                 'worker.get', 'worker.list', 'host.*', 'runtime.describe', 'bundle.have']},
             {'name': 'ann-works', 'decision': 'allow', 'principals': ['token:ann'],
              'operations': ['worker.*']},
             {'name': 'hosts', 'decision': 'allow', 'origins': ['runtime'],
              'operations': ['worker.*']},
             {'name': 'people-approve', 'decision': 'allow', 'origins': ['browser'],
              'principals': ['token:bob'], 'operations': ['worker.approve']}]
    entries = ({'name': 'ann', 'permissions': ['observe', 'input', 'manage']}, {'name': 'bob'})
    secrets = {**configs.SECRETS, 'ann': {'file': 'ann.token'}, 'bob': {'file': 'bob.token'}}
    host = new_host(configs.standard(
        ingresses=[door(*entries), configs.RUNTIME], local={'secrets': secrets},
        policy=[{'plugin': 'dev.yoi.policy-rules', 'config': {'rules': rules}}]), start=False)
    for name in ('ann', 'bob'):
        put(host, name, SECRET[name])
    host.start()
    ann, bob = browser.of(host), browser.of(host)
    ann.login(SECRET['ann'])
    bob.login(SECRET['bob'])
    wid = fresh()
    assert ann.post(ROOT + '/workers', {'worker_id': wid}).status == 201
    assert bob.get(f'{ROOT}/workers/{wid}').status == 200
    for path, body in (('/input', {'content': 'x'}), ('/stop', None), ('/cancel', None)):
        assert bob.post(f'{ROOT}/workers/{wid}{path}', body).code == 'policy_denied'
    approve = f'{ROOT}/workers/{wid}/approvals/none'
    assert bob.post(approve, {'decision': 'allow'}).code == 'approval_not_found'
    denied = ann.post(approve, {'decision': 'allow'})  # the rules would let her
    assert denied.code == 'policy_denied' and 'permission' in denied.error['message']
    assert ann.post(f'{ROOT}/workers/{wid}/stop').status == 202
