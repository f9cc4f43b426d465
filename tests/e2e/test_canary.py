"""Planted words that nobody may ever see.

A token, a model key, the folder of the plugins, the folder of the config, a
path in a model's address and a private detail of a runtime each hold a word
that stands nowhere else. All operations are driven, also into errors, and
every byte that came back is searched: bodies, fields, events, metrics, and the
log at its normal level.
"""
import pytest

from lib import configs, wire
from lib.host import BUILD, PLUGIN_PATH
from lib.seen import Seen
from lib.tables import CODES
from lib.wire import Client
from lib.worker import Worker

WORDS = {
    'token': 'canarytoken7f3a', 'key': 'canarykey91c2', 'plugins': 'canaryplugins5d1e',
    'config': 'canaryconfig88ab', 'endpoint': 'canaryendpoint4c6f', 'private': 'canaryprivate2b9d',
}


def planted(tmp_path, new_host, **keys):
    """A host in whose config every word stands somewhere."""
    plugins = []
    for n, source in enumerate(PLUGIN_PATH):
        folder = tmp_path / f"{WORDS['plugins']}-{n}"
        folder.symlink_to(source) if keys.pop('links', False) else copy(source, folder)
        plugins.append(str(folder))
    config = configs.standard(
        runtimes=[configs.embedded('main'), configs.faulty('faulty', deadline_ms=300, config={
            'canary': '/srv/' + WORDS['private']})],
        model=configs.openai(9, api_key='secret:llm', base_url='http://127.0.0.1:9/'
                             + WORDS['endpoint'], retries=0), plugin_path=plugins,
        local={'secrets': {'runtime-token': {'file': 'runtime.token'}, 'llm': {'env': 'LLM'}}},
        **keys)
    host = new_host(config, start=False, env={'LLM': WORDS['key']})
    etc = host.etc.parent / WORDS['config']
    etc.mkdir()
    host.etc, host.file = etc, etc / 'yoi.json'
    host.argv[-1] = str(host.file)
    write = host.write

    def with_token():
        write()
        (etc / 'runtime.token').write_text(WORDS['token'] + '\n')
    host.write = with_token
    return host.start()


def copy(source, folder):
    import shutil
    shutil.copytree(source, folder, ignore=lambda d, names: [
        n for n in names if not n.endswith(('.so', '.json'))])


def drive(host, seen):
    """Every operation on both surfaces, and every error."""
    v1 = Client(host.address('runtime'), WORDS['token'])
    api, bare = host.api, Client(host.address('runtime'))
    for client, root in ((v1, '/v1'), (api, '/api/runtimes/main')):
        def ask(method, path, body=None, client=client, **kw):
            return seen.response(f'{method} {path}', client.request(method, path, body, **kw))
        ask('POST', root + '/workers', {'worker_id': 'w', 'display_name': 'W'})
        worker = Worker(client, root, 'w')
        with worker.follow('hello') as stream:
            for event in stream:
                seen.add('follow', f'{event.kind} {event.id} {event.text}')
        ask('POST', worker.path + '/input?wait=20', {'content': 'hello'}, seconds=30)
        for path in ('', '/transcript', '/events?wait=0'):
            ask('GET', worker.path + path)
        with worker.events() as stream:
            seen.add('events', stream.next_event().text)
        for path in ('/workers', '/workers/nobody', '/workers?wat=1', '/nothing',
                     '/config-bundles'):
            ask('GET', root + path)
        ask('POST', root + '/workers', {'profile': {'kind': 'named', 'value': 'x'}})
        ask('POST', root + '/workers', b'{')
        for verb in ('cancel', 'stop'):
            ask('POST', f'{worker.path}/{verb}')
        ask('DELETE', worker.path)
        seen.add('fields', str(client.get('/nothing').headers))
    for path in ('/', '/api/runtimes', '/api/runtimes/main', '/api/runtimes/faulty', '/api/workers',
                 '/healthz', '/readyz', '/metrics', '/api/runtimes/nobody'):
        seen.response(path, api.get(path))
    seen.response('/v1/runtime', v1.get('/v1/runtime'))
    for token in (None, 'x', WORDS['key']):
        seen.response('refused', Client(bare.address, token).get('/v1/runtime'))
    faulty = '/api/runtimes/faulty/workers/'
    for name in ['canary', 'hang', 'garbage', 'no-message', 'unknown-code', 'bad-text',
                 *(c.name for c in CODES)]:
        seen.response(name, api.get(faulty + name))
        with Worker(api, '/api/runtimes/faulty', name).events() as stream:
            if stream.head.status == 200:
                stream.close()
    data = b'GET / HTTP/1.1\r\nHost: ' + bare.address.encode() + b'\r\nX: a\x00b\r\n\r\n'
    seen.response('hostile', wire.exchange(bare.address, data))
    seen.response('/metrics', api.get('/metrics'))


def test_no_planted_word_is_in_any_answer_event_metric_or_log(tmp_path, new_host):
    host, seen = planted(tmp_path, new_host), Seen()
    drive(host, seen)
    host.stop()
    seen.add('log', host.log)
    assert len(seen.parts) > 150, 'something was driven'
    text = '\n'.join(t for _, t in seen.parts)
    assert 'model_error' in text and 'store_error' in text and 'timeout' in text
    assert not seen.find(WORDS), seen.find(WORDS)


def test_the_search_would_find_them(tmp_path, new_host):
    """At level debug the private detail is in the log: so the word did travel."""
    host, seen = planted(tmp_path, new_host, log={'level': 'debug'}), Seen()
    host.api.get('/api/runtimes/faulty/workers/canary')
    host.stop()
    seen.add('log', host.log)
    found = {name for name, _, _ in seen.find(WORDS)}
    assert 'private' in found, host.log
    assert not found & {'token', 'key'}, 'secrets stand in no log of any level'


def test_the_key_does_reach_the_provider(tmp_path, new_host, provider):
    """Otherwise its absence elsewhere would say nothing."""
    mock = provider()
    host = new_host(configs.standard(model=configs.openai(mock.port, api_key='secret:llm'),
                                     local={'secrets': {**configs.SECRETS, 'llm': {'env': 'LLM'}}}),
                    env={'LLM': WORDS['key']})
    assert Worker.create(host.v1).say('hello')['turn']['state'] == 'completed'


@pytest.mark.parametrize('what', ['host', 'libyoi'])
def test_no_path_of_the_build_is_in_an_answer(host, what):
    texts = [host.api.get(p).text for p in ('/', '/api/runtimes', '/metrics', '/api/workers')]
    assert not [t for t in texts if str(BUILD) in t or str(BUILD.parent) in t], what
