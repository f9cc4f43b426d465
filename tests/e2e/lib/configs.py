"""Configs that tests start from; host.merge() changes them."""
from .host import PLUGIN_PATH

BROWSER = {'plugin': 'dev.yoi.ingress-http', 'surface': 'browser', 'listen': '127.0.0.1:0'}
RUNTIME = {'plugin': 'dev.yoi.ingress-http', 'surface': 'runtime', 'runtime': 'main',
           'listen': '127.0.0.1:0', 'token': 'secret:runtime-token'}
DRAIN_MS = 500  # a stalled turn must not hold up the end of a test
SECRETS = {'runtime-token': {'file': 'runtime.token'}}


ECHO = [{'say': 'You said: '}, {'echo': True},
        {'usage': {'input_tokens': 3, 'output_tokens': 5}}]


def script(*steps, **config):
    """The scripted model as `main`; without arguments it repeats what it hears."""
    if not config:
        config = {'steps': list(steps) or ECHO}
    return {'name': 'main', 'plugin': 'dev.yoi.model-script', 'config': config}


def talks(n=150, delay_ms=2):
    """Says n pieces with two- to four-byte letters and a little time between them."""
    steps = [step for i in range(n)
             for step in ({'say': f'{i} \u00e4\u2603\U0001f600 '}, {'wait_ms': delay_ms})]
    return script(*steps)


def stalls(text='begun '):
    """Says one piece and then nothing more, until it is cancelled."""
    return script({'say': text}, {'stall': True})


def asks(tool, then):
    """Asks for a tool and then says `then`; with None it asks for ever."""
    call = [{'call': {'name': tool, 'arguments': {'n': 1}}}]
    if then is None:
        return script(*call)
    return script(answers=[{'step': 0, 'steps': call}], steps=[{'say': then}])


def fails(kind='overloaded'):
    """Says a piece and ends with a model error."""
    return script({'say': 'half a '}, {'fail': kind})


def openai(port, **config):
    """An OpenAI-compatible endpoint on this machine as `main`."""
    return {'name': 'main', 'plugin': 'dev.yoi.model-openai',
            'config': {'base_url': f'http://127.0.0.1:{port}/v1', 'model': 'mock', **config}}


def embedded(rid='main', **keys):
    return {'id': rid, 'plugin': 'dev.yoi.embedded', **keys}


def stored(root, rid='main', limits=None, **config):
    """A runtime of files; small segments and checkpoints on demand."""
    config = {'root': str(root), **config, **({'limits': limits} if limits else {})}
    return {'id': rid, 'plugin': 'dev.yoi.fs-store', 'config': config}


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
            'local': {'secrets': SECRETS}, 'drain_ms': DRAIN_MS, **keys}
