"""Planted words that no surface may give out, on every route of the table.

Beside those of test_canary.py: the root of a store, the name of a socket, the
path of a mount, files of config, bundle, certificates and secrets, the tokens of
callers and the cookie of a login. Each route of ops.h is asked in many ways, as
somebody who may, as one who may not and as nobody; what comes back is searched
as it came over the wire: status lines, fields, bodies, events, metrics, the log.
"""
import itertools
import shutil

from lib import browser, configs, pki, sse, tables, wire
from lib.bundle import Bundle
from lib.host import PLUGIN_PATH
from lib.seen import Seen
from lib.wire import Address, Client

WORDS = {name: f'canary{name}{i}f3a9' for i, name in enumerate((
    'token', 'second', 'person', 'runtimetoken', 'key', 'root', 'socket', 'mount', 'config',
    'bundlefile', 'cafile', 'certfile', 'secretfile', 'plugins', 'endpoint', 'private', 'home'))}
VALUES = ('token', 'second', 'person', 'runtimetoken', 'key')


def word(name):
    return WORDS[name] + '-and-some-length' if name in VALUES else WORDS[name]


def planted(tmp_path, new_host, **keys):
    plugins = []
    for n, source in enumerate(PLUGIN_PATH):
        folder = tmp_path / f"{WORDS['plugins']}-{n}"
        shutil.copytree(source, folder, ignore=lambda d, names: [
            x for x in names if not x.endswith(('.so', '.json'))])
        plugins.append(str(folder))
    mount = tmp_path / WORDS['mount']
    mount.mkdir()
    (mount / 'there.txt').write_text('a text that may be read')
    (mount / 'out').symlink_to('/etc')
    tools, grants = ['fs_read', 'fs_list'], ['mount:workspace:rw']
    bundle = Bundle(
        tools=[{'name': t, 'plugin': 'dev.yoi.tool-fs', 'policy': 'allow', 'grants': grants}
               for t in tools], grants=['model:main', *grants],
        profiles=[{'name': 'companion', 'prompt': 'companion.system', 'model': 'main',
                   'tools': tools}])
    reads = [{'call': {'name': 'fs_read', 'arguments': {'path': p}}}
             for p in ('there.txt', 'gone.txt', '../config', '/etc/passwd', 'out/passwd', '.')] + [
        {'call': {'name': 'fs_list', 'arguments': {}}}]
    answers = [{'step': 0, 'steps': reads}]
    ca = pki.Authority(tmp_path)
    tokens = [{'name': 'all', 'secrets': ['secret:token', 'secret:second']},
              {'name': 'little', 'secrets': ['secret:person'], 'permissions': ['observe'],
               'workspace': 'acme'}]
    secrets = {'llm': {'env': 'LLM'}, 'runtime': {'file': f"{WORDS['secretfile']}.runtime"},
               'cert': {'file': f"{WORDS['certfile']}.pem"}, 'key': {'file': 'key.pem'},
               **{n: {'file': f"{WORDS['secretfile']}.{n}"} for n in ('token', 'second', 'person')}}
    tls = {'certificate': 'secret:cert', 'key': 'secret:key'}
    sock = f"unix:{tmp_path / WORDS['socket']}"
    config = configs.standard(
        plugin_path=plugins,
        runtimes=[configs.stored(tmp_path / WORDS['root'], 'main'),
                  configs.faulty('faulty', deadline_ms=300,
                                 config={'canary': '/srv/' + WORDS['private']})],
        model=configs.script(answers=answers, steps=[{'say': 'done'}]),
        ingresses=[configs.ingress(configs.BROWSER, tokens=tokens),
                   configs.ingress(configs.RUNTIME, token='secret:runtime', tokens=tokens, tls=tls),
                   configs.ingress(configs.BROWSER, listen=sock)],
        bundles=[f"{WORDS['bundlefile']}.json"],
        local={'secrets': secrets, 'mounts': {'workspace': {'path': str(mount), 'mode': 'rw'}}},
        **keys)
    config['models'].append({'name': 'far', 'plugin': 'dev.yoi.model-openai', 'config': {
        'base_url': f"http://127.0.0.1:9/{WORDS['endpoint']}", 'model': 'mock', 'retries': 0,
        'api_key': 'secret:llm', 'ca_file': str(tmp_path / f"{WORDS['cafile']}.pem")}})
    config['runtimes'].append(configs.embedded('far', default_profile='builtin:companion'))
    host = new_host(config, start=False, env={'LLM': word('key'),
                                              'YOI_HOME': '/home/' + WORDS['home']})
    etc = host.etc.parent / WORDS['config']
    etc.mkdir()
    host.etc, host.file, host.argv[-1] = etc, etc / 'yoi.json', str(etc / 'yoi.json')
    (etc / f"{WORDS['bundlefile']}.json").write_bytes(bundle.raw)
    shutil.copyfile(ca.file, tmp_path / f"{WORDS['cafile']}.pem")
    for name, data in zip((f"{WORDS['certfile']}.pem", 'key.pem'), ca.issue()):
        pki.put(etc / name, data)
    for name, value in (('runtime', 'runtimetoken'), ('token', 'token'), ('second', 'second'),
                        ('person', 'person')):
        pki.put(etc / f"{WORDS['secretfile']}.{name}", (word(value) + '\n').encode())
    host.start()
    return host, bundle, ca


def ways(op):
    """Bodies and queries, right and wrong, for an operation."""
    bodies = [None, b'', b'{', {'unknown': 1}]
    if op.id == 'worker.create':
        bodies += [{}, {'profile': {'kind': 'named', 'value': 'x'}}, {'worker_id': '../x'},
                   {'config_bundle': {'id': 'x', 'digest': 'sha256:' + 64 * '0'}},
                   {'requested_capabilities': [{'name': 'mount:nowhere'}]}]
    if op.id == 'worker.input':
        bodies += [{'content': 'do it'}, {'content': 5}, {'content': 'x', 'kind': 'system'}]
    if op.id == 'worker.approve':
        bodies += [{'decision': 'allow'}, {'decision': 'perhaps'}]
    if op.id == 'bundle.put':
        bodies += [Bundle().raw, b'{"schema": "other"}']
    queries = ['', '?wat=1', '?limit=0', '?limit=9999', '?timeout=0.001', '?cursor=x&wait=0',
               '?wait=1', '?after=%2e%2e', '?start=1']
    return [(b, '') for b in bodies] + [(None, q) for q in queries[1:]]


def routes(op, bundle):
    """(surface, path, worker id) of an operation, with ids that there are and are not."""
    ids = {'{id}': ['w', 'nobody', 'canary'], '{rid}': ['main', 'far', 'faulty', 'nobody'],
           '{sub}': [bundle.digest, 'x', 'sha256:' + 64 * '0']}
    for surface, path in (('v1', op.v1), ('api', op.api)):
        marks = [m for m in ids if m in path]
        for values in itertools.product(*(ids[m] for m in marks)) if path else ():
            at = path
            for mark, value in zip(marks, values):
                at = at.replace(mark, value)
            yield surface, at, dict(zip(marks, values)).get('{id}')


def drive(host, bundle, ca, seen):
    tls = ca.context()
    runtime, api = Address(host.address('runtime'), tls), Address(host.address('browser'))
    sock = next(a for a in host.addresses['browser'] if a.startswith('unix:'))
    who = {'all': word('token'), 'second': word('second'), 'little': word('person'),
           'nobody': None, 'wrong': 'not-a-token-of-anybody'}
    callers = [(f'{name}@{a}', Client(address, token))
               for name, token in who.items() for a, address in (('v1', runtime), ('api', api))
               if (name, a) != ('wrong', 'api')]
    guesser = Address(host.address('browser'), source='127.0.0.9')  # who has to wait, soon
    callers.append(('wrong@api', Client(guesser, who['wrong'])))
    callers.append(('socket', Client(sock)))
    v1 = Client(runtime, word('token'))
    made = v1.ok('POST', '/v1/workers', {'worker_id': 'w', 'config_bundle': bundle.ref})
    assert made['worker']['config_bundle'] == bundle.ref
    said = v1.ok('POST', '/v1/workers/w/input?wait=20', {'content': 'do it'}, seconds=30)
    assert said['turn']['state'] == 'completed'
    tools = v1.get('/v1/workers/w/transcript').text
    assert 'a text that may be read' in tools and tools.count('tool_call_id') == 7, tools
    seen.add('transcript', tools)
    for op in tables.OPS:
        for surface, path, id_ in routes(op, bundle):
            if op.method == 'DELETE' and id_ == 'w':
                continue  # it is asked for again below
            for name, client in callers:
                full = name.startswith('all@') and '/faulty/' not in path
                if name == 'socket' or name.endswith(surface):
                    for body, query in ways(op)[:None if full else 1]:
                        stream = op.id == 'worker.events' and 'wait' not in query
                        seen.ask(client, op.method, path + (query or '?wait=0' * stream), body,
                                 who=name)
    for path in ('/', '/login', '/logout', '/healthz', '/readyz', '/metrics', '/nothing', '/api'):
        for method in ('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'OPTIONS', 'TRACE'):
            for name, client in callers:
                seen.ask(client, method, path, who=name)
    for data in (b'GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n', b'\x16\x03\x01\x00\x05hello',
                 b'GET /x HTTP/9.9\r\n\r\n', b'GET / HTTP/1.1\r\n\r\n',
                 b'GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n', b'G' * 20000):
        for address in (api, sock):
            seen.raw('hostile', address, data)
        with wire.connect(host.address('runtime')) as plain:
            plain.sendall(data)
            seen.add('plain', wire.Reader(plain, 30).rest())
    return v1, api


def drive_streams(host, v1, api, seen):
    """Streams, the model that is far away, and a login with its cookie."""
    for headers in (None, {'Last-Event-ID': 'x'}):
        stream = sse.Stream(v1, '/v1/workers/w/events', headers=headers)
        seen.add('events', str(stream.head.headers))
        if stream.head.status == 200:
            seen.add('events', stream.next_event().text)
        stream.close()
    seen.ask(v1, 'GET', '/v1/workers/w/events?wait=0&limit=256')
    born = v1.ok('GET', '/v1/workers/w')['worker']['cursor']
    seen.ask(v1, 'GET', f'/v1/workers/w/events?wait=0&cursor={born}')
    far = Client(api, word('token'))
    far.ok('POST', '/api/runtimes/far/workers', {'worker_id': 'f'})
    seen.ask(far, 'POST', '/api/runtimes/far/workers/f/input?wait=20', {'content': 'x'})
    seen.ask(far, 'GET', '/api/runtimes/far/workers/f/transcript')
    for code in tables.CODES:
        seen.ask(far, 'GET', f'/api/runtimes/faulty/workers/{code.name}')
    for name in ('canary', 'garbage', 'no-message', 'unknown-code', 'bad-text', 'hang'):
        for tail in ('', '/transcript', '/approvals', '/events?wait=0'):
            seen.ask(far, 'GET', f'/api/runtimes/faulty/workers/{name}{tail}')
    b = browser.of(host)
    r = b.login(word('token'))
    seen.add('login', f'{r.headers} {r.text}')
    seen.add('login', str(b.login('a-wrong-token-of-somebody').text))
    WORDS['cookie'] = b.session()[1]
    for path in ('/', '/api/runtimes', '/api/workers', '/metrics', '/api/config-bundles'):
        r = b.get(path)
        seen.add(path, f'{r.headers} {r.text}')
    seen.add('logout', str(b.post('/logout').headers))


def test_no_route_gives_out_what_is_the_hosts(tmp_path, new_host):
    host, bundle, ca = planted(tmp_path, new_host)
    seen = Seen()
    v1, api = drive(host, bundle, ca, seen)
    drive_streams(host, v1, api, seen)
    answers = len(seen.parts)
    host.stop()
    cookie = WORDS.pop('cookie')
    seen.parts = [(w, t.replace(f'={cookie}', '=') if w == 'login' else t) for w, t in seen.parts]
    # Where it listens is said once, at the start; that is the line's purpose.
    log = [line for line in host.log.splitlines() if 'msg=listening' not in line]
    assert len(host.log.splitlines()) - len(log) == 3
    seen.add('log', '\n'.join(log))
    text = '\n'.join(t for _, t in seen.parts)
    assert answers > 1500, answers
    for code in ('unauthorized', 'policy_denied', 'worker_not_found', 'bundle_not_found',
                 'invalid_json', 'store_error', 'timeout', 'model_error', 'origin_denied',
                 'method_not_allowed', 'header_too_large', 'internal', 'bundle_digest_mismatch'):
        assert f'"{code}"' in text, f'nothing led to {code}'
    assert not seen.find({**WORDS, 'cookie': cookie}), seen.find({**WORDS, 'cookie': cookie})[:10]


def test_the_words_are_where_they_were_planted(tmp_path, new_host):
    """Else their absence would say nothing."""
    host, _, _ = planted(tmp_path, new_host)
    text = host.file.read_text()
    inside = set(WORDS) - {'token', 'second', 'person', 'runtimetoken', 'key', 'config', 'home'}
    assert all(WORDS[name] in text for name in inside)
    assert (tmp_path / WORDS['root']).is_dir() and (tmp_path / WORDS['socket']).exists()
    for name in ('runtime', 'token', 'second', 'person'):
        assert (host.etc / f"{WORDS['secretfile']}.{name}").read_text().startswith('canary')
    assert WORDS['socket'] in host.log  # of the line that says where it listens
