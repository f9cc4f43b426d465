"""Secrets that a model says, or a provider quotes, and where they may not stand.

The host knows the values; what a model gives to a runtime, an error and a line
of the log has none of them. Every answer, event, line and file of the store is
searched, each time after a control: without the secret in the config the same
words do arrive.
"""
import base64
import json
import pathlib

import pytest

from lib import configs
from lib.worker import Worker, text_of

KEY = 'sk-"q\\u/7f3a-\u00e4-91c2-5d1e-88ab'  # each kind of character that JSON escapes
ARGUMENTS = {'url': f'https://x/?k={KEY}', 'again': [KEY, {KEY: KEY}]}
FORMS = {KEY, json.dumps(KEY)[1:-1], json.dumps(KEY, ensure_ascii=False)[1:-1],
         json.dumps(json.dumps(KEY))[3:-3],
         json.dumps(json.dumps(KEY, ensure_ascii=False), ensure_ascii=False)[3:-3]}


def says(chunk):
    """Reasons, asks for a tool and answers, with the key everywhere."""
    head, tail = KEY[:11], KEY[11:]
    return {**configs.script(), 'config': {'chunk': chunk, 'answers': [
        {'match': 'half', 'steps': [{'say': f'half {head}'}, {'stall': True}]},
        {'match': 'tail', 'steps': [{'say': f'tail {head}'}]},
        {'match': 'fail', 'steps': [{'say': f'fail {head}'}, {'fail': 'overloaded'}]},
        {'step': 0, 'steps': [{'reason': f'I know {KEY}.'}, {'say': f'see {head}'},
                              {'reason': 'hm'}, {'say': tail},
                              {'call': {'name': 'fetch', 'arguments': ARGUMENTS}}]}],
        'steps': [{'say': KEY + KEY}, {'say': f', {json.dumps(KEY)} and '
                                              f'{base64.b64encode(KEY.encode()).decode()}'}]}}


SHORT = 'secret is too short to be kept out of texts'


def start(new_host, tmp_path, model, known=True, **keys):
    secrets = {**configs.SECRETS, **({'llm': {'env': 'LLM'}} if known else {})}
    return new_host(configs.standard(model=model, runtimes=[configs.stored(tmp_path / 'state')],
                                     local={'secrets': secrets}, **keys), env={'LLM': KEY})


def talk(worker, seen):
    with worker.follow('tell me') as stream:
        for event in stream:
            seen.append(event.text)
    seen.append(worker.client.get(worker.path).text)
    seen.append(worker.client.get(worker.path + '/transcript').text)
    with worker.events(cursor=worker.born) as stream:
        for event in stream:
            seen.append(event.text)
            if event.kind.startswith('turn.') and event.kind not in ('turn.started', 'turn.queued'):
                break


def files(root):
    found = [p for p in pathlib.Path(root).rglob('*') if p.is_file()]
    assert found, 'the store has files'
    return [p.read_bytes().decode('utf-8', errors='replace') for p in found]


def leaks(texts):
    return [(form, text[max(0, text.find(form) - 60):][:200])
            for text in texts for form in FORMS if form in text]


@pytest.mark.tsan
@pytest.mark.parametrize('chunk', [0, 1, 5])
def test_a_secret_that_a_model_says_stands_nowhere(new_host, tmp_path, chunk):
    host, seen = start(new_host, tmp_path, says(chunk), log={'level': 'debug'}), []
    worker = Worker.create(host.v1)
    talk(worker, seen)
    text = '\n'.join(seen)
    host.stop()
    seen += [host.log, *files(tmp_path / 'state')]
    assert text.count('[secret llm]') >= 6, text
    assert not leaks(seen), leaks(seen)


def test_the_search_would_find_it(new_host, tmp_path):
    host, seen = start(new_host, tmp_path, says(0), known=False), []
    talk(Worker.create(host.v1), seen)
    host.stop()
    assert leaks(seen) and leaks(files(tmp_path / 'state'))


def test_the_answer_is_what_the_model_said_but_for_the_secret(new_host, tmp_path):
    host = start(new_host, tmp_path, says(1))
    out = Worker.create(host.v1).say('tell me')
    assert out['turn']['state'] == 'completed', out
    first, left = text_of(out['message']).split(', ', 1)
    assert first == '[secret llm][secret llm]'
    assert left.startswith('"[secret llm]" and [secret llm]') and len(left) < 36


def test_a_begin_of_a_secret_is_ordinary_text(new_host, tmp_path):
    """Held while it may go on, and there when the stream ends, however it does."""
    host = start(new_host, tmp_path, says(1))
    worker = Worker.create(host.v1)
    assert text_of(worker.say('tail')['message']) == f'tail {KEY[:11]}'
    with worker.follow('half') as stream:
        text = ''
        for event in stream:
            if event.kind == 'text.delta':
                text += event.data['text']
            if text == 'half ':
                worker.cancel()
                text += '|'
            if event.kind == 'turn.cancelled':
                break
    assert text in ('half |', f'half |{KEY[:11]}')  # whoever cancels may read no more
    with worker.follow('fail') as stream:
        text = ''.join(e.data['text'] for e in stream if e.kind == 'text.delta')
    assert text == f'fail {KEY[:11]}'


@pytest.mark.parametrize('mode', ['status code=401', 'status code=503', 'error form=event'])
def test_what_a_provider_quotes_is_in_no_error_and_no_line(new_host, provider, mode):
    key = 'canary-key-5d1f-88ab'
    mock = provider()
    host = new_host(configs.standard(
        model=configs.openai(mock.port, api_key='secret:llm', retries=0,
                             model=f'mode={mode} type={key} code_text=x-{key}'),
        log={'level': 'debug'}, local={'secrets': {**configs.SECRETS, 'llm': {'env': 'LLM'}}}),
        env={'LLM': key})
    worker, seen = Worker.create(host.v1), []
    talk_until_failed(worker, seen)
    host.stop()
    assert key not in '\n'.join(seen) and key not in host.log
    assert '[secret llm]' in host.log, 'it did travel'


def talk_until_failed(worker, seen):
    with worker.follow('hello') as stream:
        for event in stream:
            seen.append(event.text)
    seen.append(worker.client.get(worker.path).text)
    seen.append(worker.client.get(worker.path + '/transcript').text)
    assert 'model_error' in '\n'.join(seen)


def test_what_a_policy_gives_as_its_reason_has_no_secret(new_host):
    reason = f'{KEY} is ' + 'x' * 150 + KEY + 'y' * 400  # cut somewhere
    judge = {'plugin': 'dev.yoi.test.judge', 'config': {
        'only': 'worker.create',
        'answer': json.dumps({'decision': 'deny', 'rule': f'rule {KEY}', 'reason': reason})}}
    host = new_host(configs.standard(
        model=configs.script(), policy=[judge],
        local={'secrets': {**configs.SECRETS, 'llm': {'env': 'LLM'}}}), env={'LLM': KEY})
    answer = host.v1.post('/v1/workers', {})
    assert answer.json['error']['code'] == 'policy_denied'
    assert '[secret llm] is x' in answer.text
    host.stop()
    assert host.entries(msg='policy', rule='rule [secret llm]')
    assert not leaks([answer.text, host.log])


def test_a_secret_that_is_too_short_is_told_at_start(new_host, tmp_path):
    host = start(new_host, tmp_path, configs.script({'say': 'seven77 is said'}))
    assert not host.entries(msg=SHORT)
    host = new_host(configs.standard(
        model=configs.script({'say': 'seven77 is said'}),
        local={'secrets': {**configs.SECRETS, 'small': {'env': 'SMALL'}}}),
        env={'SMALL': 'seven77'})
    entries = host.entries(msg=SHORT)
    assert [(e['level'], e['secret']) for e in entries] == [('warn', 'small')]
    assert text_of(Worker.create(host.v1).say('x')['message']) == 'seven77 is said'
