"""Planted words at a remote that nobody here may ever see.

A far host that means ill has words of its own in every error, field of a header,
event, diagnostic and name: addresses, paths, what looks like a token, control
characters, texts without end. The near host's config has words too: base URL,
token, socket, certificate of the remotes. And an honest far host has its own:
root of the store, folders, mount, secrets. What near answers on each route of
both surfaces, its events, metrics and its log are searched for all of them.
"""
import shutil

import pytest

from lib import configs, remote, sse, tables, wait
from lib.bundle import Bundle
from lib.hostile import DATA, DIGEST, Hostile
from lib.host import PLUGIN_PATH
from lib.seen import Seen
from lib.tables import CODES
from lib.wire import Client

THEIRS = {'url': 'http://canaryhost.example:7777/canarypath81', 'path': '/srv/canary/store82',
          'token': 'ghp-canarytoken83', 'host': 'canaryhost84.internal',
          'socket': 'unix:/run/canary85.sock', 'key': 'canarykey86-0123456789abcdef'}
OURS = {name: f'canary{name}{i}d2' for i, name in enumerate((
    'base', 'token', 'socket', 'cafile', 'root', 'config', 'mount', 'plugins', 'endpoint', 'secret',
    'bundlefile'))}
IDS = {'{id}': ('a', 'b', 'nobody'), '{rid}': ('main', 'sock', 'tls', 'nowhere'),
       '{sub}': (DIGEST, 'x')}
BODIES = {'worker.create': ({}, {'worker_id': 'a'}, {'profile': {'kind': 'wat'}}),
          'worker.input': ({'content': 'x'}, {'content': 7}),
          'worker.approve': ({'decision': 'allow'},), 'bundle.put': (Bundle().raw,)}


def paths(op, surface, whole):
    """Of an operation, with each id that there could be, or the first ones."""
    out = [getattr(op, surface)]
    for mark, values in IDS.items():
        values = values if whole else values[:1]
        out = [p.replace(mark, v) for p in out for v in values] if mark in out[0] else out
    return out if out[0] else []


def ask_all(near, seen, whole=True):
    clients = {'v1': near.v1, 'api': near.api}
    for op in tables.OPS:
        for surface, client in clients.items():
            for path in paths(op, surface, whole):
                for body in BODIES.get(op.id, (None,)):
                    seen.ask(client, op.method, path, body, who=surface)
                if op.id == 'worker.events':
                    seen.ask(client, 'GET', path + '?wait=0', who=surface)
                    seen.ask(client, 'GET', path + '?cursor=y1', who=surface)
                if op.id == 'worker.input':
                    seen.ask(client, 'POST', path + '?wait=1', {'content': 'x'}, who=surface)
                    seen.ask(client, 'POST', path, {'content': 'x'},
                             headers={'Accept': 'text/event-stream'}, who=surface)
    for path in ('/', '/healthz', '/readyz', '/metrics'):
        seen.ask(clients['api'], 'GET', path, who='api')


def near_of(new_host, tmp_path, port, **keys):
    """A host in whose entries of remotes a word stands wherever one may."""
    ca = tmp_path / f"{OURS['cafile']}.pem"
    shutil.copyfile(PEM, ca)
    sock = tmp_path / f"{OURS['socket']}.sock"
    quick = {'retries': 0, 'resume_ms': 0, 'connect_ms': 500, 'answer_ms': 2000}
    host = new_host(configs.standard(
        runtimes=[remote.entry(f"http://127.0.0.1:{port}/{OURS['base']}", **quick),
                  remote.entry(f"http://{OURS['base']}", 'sock', socket=str(sock), **quick),
                  remote.entry(f"https://127.0.0.1:{port}/{OURS['base']}", 'tls',
                               ca_file=str(ca), **{**quick, 'connect_ms': 50})],
        local={'secrets': {**configs.SECRETS, 'far': {'file': f"{OURS['secret']}.file"}}}, **keys),
        start=False)
    secret = host.etc / f"{OURS['secret']}.file"
    secret.write_text(OURS['token'] + '\n')
    secret.chmod(0o600)
    return host.start()


@pytest.fixture(scope='module', autouse=True)
def pem(tmp_path_factory):
    from lib import pki
    global PEM
    PEM = pki.Authority(tmp_path_factory.mktemp('ca')).file


def search(near, seen, words):
    near.stop()
    seen.add('log', '\n'.join(s for s in near.log.splitlines() if 'msg=listening' not in s))
    found = seen.find(words)
    assert not found, found[:8]
    return '\n'.join(text for _, text in seen.parts)


MODES = ['good', 'stream', 'garbage', *(c.name for c in CODES)]


def test_a_remote_that_means_ill_puts_no_word_into_anything(tmp_path, new_host):
    far, seen = Hostile(THEIRS.values()), Seen()
    near = near_of(new_host, tmp_path, far.port)
    wait.until(lambda: near.api.ok('GET', '/api/runtimes/main')['runtime']['status'] == 'degraded',
               what='a remote that was looked at')
    for n, far.mode in enumerate(MODES):
        ask_all(near, seen, whole=n == 0)
    far.mode = 'stream'
    for client, root in ((near.v1, '/v1'), (near.api, '/api/runtimes/main')):
        with sse.Stream(client, root + '/workers/a/events') as stream:
            assert stream.head.status == 200
            seen.add('stream', ''.join(f'{e.kind} {e.id} {e.text}\n' for e in stream))
    far.stop()
    text = search(near, seen, {**THEIRS, **OURS, 'control': '\x1b[', 'huge': 'x' * 1000})
    assert set(far.hits) == set(MODES), set(MODES) - set(far.hits)
    assert text.count(DATA) > 20, 'what is a worker\'s did pass'
    for code in ('remote_malformed', 'runtime_unavailable', 'worker_not_found', 'timeout',
                 'policy_denied', 'model_error', 'bundle_not_found'):
        assert f'"{code}"' in text, f'nothing led to {code}'
    assert len(seen.parts) > 1500


def test_a_far_host_s_own_words_stay_there(tmp_path, new_host):
    """One that is honest: what is its own does not get here by its answers."""
    port, plugins = remote.free_port(), []
    for n, source in enumerate(PLUGIN_PATH):
        folder = tmp_path / f"{OURS['plugins']}-{n}"
        shutil.copytree(source, folder, ignore=lambda d, names: [
            x for x in names if not x.endswith(('.so', '.json'))])
        plugins.append(str(folder))
    mount = tmp_path / OURS['mount']
    mount.mkdir()
    bundle = Bundle()
    config = remote.far_config(
        port, configs.stored(tmp_path / OURS['root']),
        configs.openai(9, base_url=f"http://127.0.0.1:9/{OURS['endpoint']}", retries=0,
                       api_key='secret:llm'),
        local={'secrets': {**configs.SECRETS, 'llm': {'env': 'LLM'}},
               'mounts': {'workspace': {'path': str(mount), 'mode': 'rw'}}},
        bundles=[f"{OURS['bundlefile']}.json"])
    far = new_host({**config, 'plugin_path': plugins}, start=False, env={'LLM': OURS['secret']})
    etc = far.etc.parent / OURS['config']
    etc.mkdir()
    far.etc, far.file, far.argv[-1] = etc, etc / 'yoi.json', str(etc / 'yoi.json')
    (etc / f"{OURS['bundlefile']}.json").write_bytes(bundle.raw)
    far.start()
    seen = Seen()
    near = new_host(remote.near_config(remote.entry(f'http://127.0.0.1:{port}', retries=0)))
    near.v1.ok('POST', '/v1/workers', {'worker_id': 'a', 'display_name': DATA}, 201)
    said = near.v1.ok('POST', '/v1/workers/a/input?wait=20', {'content': DATA}, seconds=30)
    assert said['turn']['state'] == 'failed'
    seen.add('turn', str(said))
    ask = Client(near.address('browser'))
    for path in ('', '/transcript', '/events?wait=0&limit=256', '/approvals'):
        seen.ask(ask, 'GET', '/api/runtimes/main/workers/a' + path)
    near.v1.post('/v1/workers/a/stop')
    ask_all(near, seen)
    far.crash()
    ask_all(near, seen, whole=False)
    text = search(near, seen, OURS)
    assert DATA in text and '"model_error"' in text and '"runtime_unavailable"' in text


def test_the_words_are_sent_and_would_be_found(tmp_path, new_host):
    far = Hostile(THEIRS.values())
    far.mode, seen = 'internal', Seen()
    seen.response('far', Client(f'127.0.0.1:{far.port}', recorded=False).get('/v1/workers/a'))
    assert {name for name, _, _ in seen.find(THEIRS)} == set(THEIRS)
    near = near_of(new_host, tmp_path, far.port)
    text = near.file.read_text()
    assert all(OURS[w] in text for w in ('base', 'socket', 'cafile', 'secret'))
    wait.until(lambda: far.hits, what='a look')
    far.stop()
