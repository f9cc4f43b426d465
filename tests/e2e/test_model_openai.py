"""model-openai from outside, where it takes more than the mock's own words:
a certificate nobody signed, no model in the config, a provider that restarts.
Everything else stands in test_models.py and tests/unit/model-openai."""
import http.server
import ssl
import subprocess
import threading

import pytest

from lib import configs
from lib.wire import Client
from lib.worker import Worker, text_of


@pytest.fixture
def tls_server(tmp_path):
    """An https server on 127.0.0.1 whose certificate is its own."""
    key, cert = tmp_path / 'key.pem', tmp_path / 'cert.pem'
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1',
                    '-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1',
                    '-keyout', str(key), '-out', str(cert)], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            seen.append(self.headers)
            self.send_error(500)

        def log_message(self, *args):
            pass

    server = http.server.HTTPServer(('127.0.0.1', 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1], seen
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_certificate_that_nobody_signed_is_tls(new_host, tls_server):
    port, seen = tls_server
    host = new_host(configs.standard(
        model=configs.openai(port, base_url=f'https://127.0.0.1:{port}/v1', api_key='secret:llm'),
        local={'secrets': {**configs.SECRETS, 'llm': {'env': 'LLM'}}}), env={'LLM': 'canary-key'})
    turn = Worker.create(host.v1).say('hello')['turn']
    assert turn['error']['details'] == {'kind': 'tls', 'retryable': False}, turn
    assert not seen, 'the key went to somebody who could not prove who they are'
    assert str(port) not in str(turn)


def test_without_a_model_the_first_of_the_list_is_asked(new_host, provider):
    mock = provider('--models-fail', '1')
    model = configs.openai(mock.port, retries=0)
    del model['config']['model']
    host = new_host(configs.standard(model=model))
    client = Client(f'127.0.0.1:{mock.port}')
    assert client.ok('GET', '/stats')['models'] == 0, 'nothing is probed before the first turn'
    worker = Worker.create(host.v1)
    assert worker.say('hello')['turn']['error']['details']['kind'] == 'overloaded'
    assert worker.say('hello')['turn']['state'] == 'completed', 'a failure is not kept'
    assert worker.say('hello')['turn']['state'] == 'completed'
    assert client.ok('GET', '/stats')['models'] == 2
    assert '"model":"mock-1"' in client.get('/last').text


def test_a_provider_that_restarts_is_found_again(new_host, provider):
    first = provider()
    host = new_host(configs.standard(model=configs.openai(first.port, retries=0)))
    worker = Worker.create(host.v1)
    assert worker.say('hello')['turn']['state'] == 'completed'
    first.stop()
    assert worker.say('hello')['turn']['error']['details']['kind'] in ('connect', 'closed')
    provider('--port', str(first.port))
    out = worker.say('mode=echo -- back')
    assert out['turn']['state'] == 'completed' and text_of(out['message']) == 'back'
