"""Configs that tests start from; host.merge() changes them."""
from .host import PLUGIN_PATH

BROWSER = {'plugin': 'dev.yoi.ingress-http', 'surface': 'browser', 'listen': '127.0.0.1:0'}
RUNTIME = {'plugin': 'dev.yoi.ingress-http', 'surface': 'runtime', 'runtime': 'main',
           'listen': '127.0.0.1:0', 'token': 'secret:runtime-token'}
SECRETS = {'runtime-token': {'file': 'runtime.token'}}


def script(config=None):
    """The scripted model as `main`."""
    return {'name': 'main', 'plugin': 'dev.yoi.model-script', 'config': config or {}}


def openai(port, **config):
    """An OpenAI-compatible endpoint on this machine as `main`."""
    return {'name': 'main', 'plugin': 'dev.yoi.model-openai',
            'config': {'base_url': f'http://127.0.0.1:{port}/v1', 'model': 'mock', **config}}


def embedded(rid='main', **keys):
    return {'id': rid, 'plugin': 'dev.yoi.embedded', **keys}


def faulty(rid='faulty', **keys):
    return {'id': rid, 'plugin': 'dev.yoi.test.faulty', **keys}


def ingress(entry, **config):
    """One of the entries above with plugin config (timeouts, limits)."""
    keys = {k: config.pop(k) for k in ('runtime', 'insecure', 'hosts', 'listen', 'token')
            if k in config}
    out = {**entry, **keys}
    if config:
        out['config'] = config
    return {k: v for k, v in out.items() if v is not None}


def standard(model=None, runtimes=None, ingresses=None, **keys):
    """One embedded runtime `main`, a scripted model, both surfaces."""
    return {'plugin_path': PLUGIN_PATH, 'runtimes': runtimes or [embedded()],
            'models': [model or script()], 'ingress': ingresses or [BROWSER, RUNTIME],
            'local': {'secrets': SECRETS}, **keys}
