"""Hosts in a row: `far` has the workers, `near` reaches them through http-remote.

Pair(new_host) starts both. `near` has the runtime `main`, which is far's, on
both of its surfaces, so that a test of a host needs no other words for a remote
one. far listens on a port of its own that it keeps over restarts.
"""
import random
import socket

from . import configs, wait
from .host import TOKEN
from .tables import CODE
from .worker import fresh, text_of

SECRETS = {**configs.SECRETS, 'far': {'file': 'runtime.token'}}


PORTS = range(12000, 30000)  # the kernel gives none of these to a client, nor for port 0
_taken = []


def free_port():
    """A port that is this process' until it ends, also while nobody listens there. A
    name in the kernel says so to other processes of tests."""
    for _ in range(1000):
        port, mark = random.SystemRandom().choice(PORTS), socket.socket(socket.AF_UNIX)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                mark.bind(f'\0yoi-test-port-{port}')
                s.bind(('127.0.0.1', port))
            except OSError:
                mark.close()
                continue
        _taken.append(mark)
        return port
    raise AssertionError('no free port')


def entry(base_url, rid='main', token='secret:far', host_keys=None, **config):
    """A runtime entry of http-remote."""
    config = {'base_url': base_url, **({'token': token} if token else {}), **config}
    return {'id': rid, 'plugin': 'dev.yoi.http-remote', 'config': config, **(host_keys or {})}


def far_config(port, runtime=None, model=None, **keys):
    """A host that has workers and a runtime surface on that port."""
    surface = configs.ingress(configs.RUNTIME, listen=f'127.0.0.1:{port}', access_log='all')
    return configs.standard(model=model, runtimes=[runtime or configs.embedded()],
                            ingresses=[configs.BROWSER, surface], **keys)


def near_config(*runtimes, **keys):
    """A host without workers of its own; the surfaces show `main`."""
    return configs.standard(runtimes=list(runtimes), local={'secrets': SECRETS}, **keys)


class Pair:
    def __init__(self, new_host, runtime=None, model=None, via=None, near=None, far=None,
                 start=True, **config):
        """via(port): the port that near is given instead of far's; near and far:
        keys of their configs; all else goes to http-remote."""
        self.port = free_port()
        self.far = new_host(far_config(self.port, runtime, model, **(far or {})), start)
        port = via(self.port) if via else self.port
        self.near = new_host(near_config(entry(f'http://127.0.0.1:{port}', **config),
                                         **(near or {})), start)

    @property
    def v1(self):
        return self.near.v1

    @property
    def api(self):
        return self.near.api

    def status(self):
        """How near says that its runtime is."""
        return self.near.api.ok('GET', '/api/runtimes/main')['runtime']


def typed(response):
    """Its code; '' when it worked. Nothing else may come back."""
    if response.status < 300:
        return ''
    assert response.code in CODE, response
    return response.code


def healthy(pair, status='ready'):
    try:
        wait.until(lambda: pair.status()['status'] == status, what=status)
    except AssertionError:
        raise AssertionError(f'{status}: {pair.status()} {pair.near.tail()}') from None


def say_often(pair, worker, n, seed):
    """n inputs, each asked for until it is acknowledged, with one key: (text, sequence)."""
    rng, acked = random.Random(seed), []
    for i in range(n):
        content, key = f'{seed}-{i}', {'Idempotency-Key': fresh('k')}
        for _ in range(40):
            r = pair.v1.request('POST', worker.path + '/input',
                                {'content': content, 'on_busy': 'queue'}, key)
            if typed(r) == '':
                acked.append((content, r.json['ack']['sequence']))
                break
            assert r.code in ('runtime_unavailable', 'remote_malformed', 'timeout',
                              'queue_full'), r
            if rng.random() < 0.2:
                break  # a caller who gives up: it may be there, or not
        else:
            raise AssertionError(f'never acknowledged: {content}')
    return acked


def said(worker):
    """(text, sequence) of all inputs of a worker."""
    out, start = [], 0
    while start is not None:
        page = worker.transcript(f'?limit=256&start={start}')
        out += [(text_of(i), i['sequence']) for i in page['items'] if i['role'] == 'user']
        start = page['next_start']
    return out


__all__ = ['Pair', 'TOKEN', 'entry', 'far_config', 'free_port', 'healthy', 'near_config',
           'said', 'say_often', 'typed']
