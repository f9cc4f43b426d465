"""model-openai from outside, where it takes more than the mock's own words:
TLS, the time of a turn, no model in the config, a provider that restarts.
Everything else stands in test_models.py and tests/unit/model-openai."""
import re

import pytest

from lib import configs, tls, wait
from lib.host import dropped
from lib.remote import free_port
from lib.tables import HARD
from lib.wire import Client
from lib.worker import Worker, text_of

KEY = 'canary-key-5d1f'


@pytest.fixture(name='authority')
def own_authority(tmp_path):
    return tls.Authority(tmp_path / 'ca')


@pytest.fixture(name='behind')
def behind_tls(provider, authority):
    """behind(name): the mock provider behind TLS, with a certificate for that name."""
    fronts = []

    def new(name='IP:127.0.0.1'):
        mock = provider('--key', KEY)
        fronts.append(tls.Front(mock.port, *authority.certificate(name)))
        return fronts[-1], mock
    yield new
    for front in fronts:
        front.close()


def secured(front, **config):
    config = {'base_url': f'https://127.0.0.1:{front.port}/v1', 'api_key': 'secret:llm',
              'retries': 0, **config}
    return configs.standard(model=configs.openai(front.port, **config),
                            local={'secrets': {**configs.SECRETS, 'llm': {'env': 'LLM'}}})


def test_an_authority_of_ones_own_is_trusted_when_the_config_names_it(new_host, behind, authority):
    front, mock = behind()
    config = {**secured(front, ca_file=str(authority.file)), 'loops': 1}  # as many connections
    host = new_host(config, env={'LLM': KEY})
    worker = Worker.create(host.v1)
    for n in range(3):
        out = worker.say(f'mode=echo chunks=20 delay=1 -- turn {n} over TLS')
        assert out['turn']['state'] == 'completed', out
        assert text_of(out['message']) == f'turn {n} over TLS'
    stats = Client(f'127.0.0.1:{mock.port}', recorded=False).ok('GET', '/stats')
    assert stats['chat'] == 3 and front.handshakes == 1, 'the connection is used again'
    assert front.versions <= {'TLSv1.2', 'TLSv1.3'}


def test_a_long_answer_comes_whole_through_tls(new_host, behind, authority):
    front, _ = behind()
    host = new_host(secured(front, ca_file=str(authority.file)), env={'LLM': KEY})
    n = 50 if HARD else 200  # a wait is over when the turn's many small deltas outrun it
    out = Worker.create(host.v1).say(f'mode=text chunks={n} size=4096')
    assert out['turn']['state'] == 'completed'
    assert len(text_of(out['message'])) == n * 4096


def test_the_first_model_of_a_list_comes_through_tls_too(new_host, behind, authority):
    front, mock = behind()
    config = secured(front, ca_file=str(authority.file))
    del config['models'][0]['config']['model']
    host = new_host(config, env={'LLM': KEY})
    assert Worker.create(host.v1).say('hello')['turn']['state'] == 'completed'
    assert Client(f'127.0.0.1:{mock.port}', recorded=False).ok('GET', '/stats')['models'] == 1


def refused(host, front, mock):
    turn = Worker.create(host.v1).say('hello')['turn']
    assert turn['error']['details'] == {'kind': 'tls', 'retryable': False}, turn
    assert Client(f'127.0.0.1:{mock.port}', recorded=False).ok('GET', '/stats')['chat'] == 0, \
        'the key went to somebody who could not prove who they are'
    assert str(front.port) not in str(turn)


def test_a_certificate_that_nobody_signed_is_tls(new_host, behind):
    front, mock = behind()
    refused(new_host(secured(front), env={'LLM': KEY}), front, mock)


def test_a_certificate_for_another_name_is_tls(new_host, behind, authority):
    front, mock = behind('DNS:example.org')
    refused(new_host(secured(front, ca_file=str(authority.file)), env={'LLM': KEY}), front, mock)


def test_a_certificate_of_another_authority_is_tls(new_host, behind, tmp_path):
    front, mock = behind()
    other = tls.Authority(tmp_path / 'other')
    refused(new_host(secured(front, ca_file=str(other.file)), env={'LLM': KEY}), front, mock)


def test_a_file_that_holds_no_certificate_trusts_nobody(new_host, behind, tmp_path):
    front, mock = behind()
    (tmp_path / 'none.pem').write_text('not a certificate')
    refused(new_host(secured(front, ca_file=str(tmp_path / 'none.pem')), env={'LLM': KEY}),
            front, mock)


def test_a_file_of_certificates_that_is_not_there_is_said_in_the_log(new_host, behind, tmp_path):
    front, _ = behind()
    path = str(tmp_path / 'gone.pem')
    config = {**secured(front, ca_file=path), 'log': {'level': 'debug'}}
    host = new_host(config, env={'LLM': KEY})
    turn = Worker.create(host.v1).say('hello')['turn']
    assert turn['state'] == 'failed' and path not in str(turn)
    host.line(lambda s: 'cannot read the file of trusted certificates' in s and path in s
              and 'No such file' in s)


def test_the_time_of_a_turn_bounds_a_model_that_goes_on_and_on(new_host, provider):
    """The profile is data in the plugin: a copy of it gets another number of the same
    length. Whose clock is first, the engine's or the model's, is all the same."""
    mock = provider()
    host = new_host(configs.standard(model=configs.openai(mock.port)), start=False)
    copy = dropped('embedded', host.etc / 'short')
    data, count = re.subn(rb'"wall_ms": 600000,', b'"wall_ms":    700,', copy.read_bytes())
    assert count == 1
    copy.write_bytes(data)
    host.config['plugin_path'] = ['short', *host.config['plugin_path']]
    host.start()
    worker = Worker.create(host.v1)
    turn = worker.say('mode=text chunks=100000 delay=20')['turn']
    assert turn['state'] == 'failed' and turn['duration_ms'] >= 700
    if turn['reason'] == 'model_error':
        assert turn['error']['details'] == {'kind': 'total_timeout', 'retryable': True}
    else:
        assert turn['reason'] == 'time_limit'
    client = Client(f'127.0.0.1:{mock.port}', recorded=False)
    wait.until(lambda: client.ok('GET', '/stats')['closed_early'] == 1,
               what='the end of the connection')
    # The worker goes on; on a loaded machine also a short turn may take that long.
    wait.until(lambda: worker.say('mode=text')['turn']['state'] == 'completed',
               what='a turn that is short')


def test_without_a_model_the_first_of_the_list_is_asked(new_host, provider):
    mock = provider('--models-fail', '1')
    model = configs.openai(mock.port, retries=0)
    del model['config']['model']
    host = new_host(configs.standard(model=model))
    client = Client(f'127.0.0.1:{mock.port}', recorded=False)
    assert client.ok('GET', '/stats')['models'] == 0, 'nothing is probed before the first turn'
    worker = Worker.create(host.v1)
    assert worker.say('hello')['turn']['error']['details']['kind'] == 'overloaded'
    assert worker.say('hello')['turn']['state'] == 'completed', 'a failure is not kept'
    assert worker.say('hello')['turn']['state'] == 'completed'
    assert client.ok('GET', '/stats')['models'] == 2
    assert '"model":"mock-1"' in client.get('/last').text


def test_a_provider_that_restarts_is_found_again(new_host, provider):
    first = provider('--port', str(free_port()))
    host = new_host(configs.standard(model=configs.openai(first.port, retries=0)))
    worker = Worker.create(host.v1)
    assert worker.say('hello')['turn']['state'] == 'completed'
    first.stop()
    assert worker.say('hello')['turn']['error']['details']['kind'] in ('connect', 'closed')
    provider('--port', str(first.port))
    out = worker.say('mode=echo -- back')
    assert out['turn']['state'] == 'completed' and text_of(out['message']) == 'back'
