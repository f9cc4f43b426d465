"""What a provider does wrong, and how the turn then ends.

The mock reads its orders from the last user text (tests/mock/provider.c), so
one host and one worker per test reach every misbehaviour. A minute is room for a
loaded machine; only who is to meet a deadline has a short one.
"""
import re
import threading

import pytest

from lib import configs, wait, wire
from lib.provider import Provider
from lib.tables import MODEL_ERRORS
from lib.wire import Client
from lib.worker import Worker, text_of

WORDS = ''.join(f'w{n} ' for n in range(8))
PATIENT = {'connect_ms': 60000, 'first_byte_ms': 60000, 'gap_ms': 60000, 'retries': 0}


@pytest.fixture(scope='module')
def mock(tmp_path_factory):
    provider = Provider(tmp_path_factory.mktemp('mock') / 'p')
    yield provider.start()
    provider.stop()


@pytest.fixture(scope='module')
def served(module_host, mock):
    return module_host(configs.standard(model=configs.openai(mock.port, **PATIENT)))


@pytest.fixture
def lone(provider):
    """A mock of which nobody else asks, since it counts what it is asked."""
    return provider()


@pytest.fixture
def chatter(served):
    return Worker.create(served.v1)


def stats(mock):
    return Client(f'127.0.0.1:{mock.port}', recorded=False).ok('GET', '/stats')


def orders(text, retried=False):
    return pytest.param(text, id=re.sub(r'\W+', '-', text).strip('-'))


# ---- streams that are right, however odd they look ---------------------------

@pytest.mark.parametrize('text', [orders(t) for t in (
    'mode=text', 'mode=text split=1', 'mode=text eol=crlf', 'mode=text eol=cr', 'mode=text bom=1',
    'mode=text eol=crlf split=1', 'mode=text eol=cr split=1 bom=1', 'mode=text done=0',
    'mode=text blank=0', 'mode=text done=0 blank=0', 'mode=text comments=1', 'mode=text empty=1',
    'mode=text delay=5', 'mode=text keep=0', 'mode=text keep=silent', 'mode=text usage=each')])
def test_a_well_formed_stream_gives_its_text(chatter, text):
    with chatter.follow(text) as stream:
        events = list(stream)
    turn = [e for e in events if e.kind == 'turn.ended'][0].data['turn']
    assert (turn['state'], turn['reason']) == ('completed', 'stop'), turn
    assert ''.join(e.data['text'] for e in events if e.kind == 'text.delta') == WORDS
    (message,) = [e.data['item'] for e in events if e.kind == 'message.completed']
    assert text_of(message) == WORDS


def test_an_answer_that_is_no_stream_is_taken_as_one_piece(chatter):
    out = chatter.say('mode=json')
    assert out['turn']['state'] == 'completed' and text_of(out['message'])


@pytest.mark.parametrize('raw', [0, 1])
def test_text_cut_inside_a_character_is_put_together(chatter, raw):
    with chatter.follow(f'mode=unicode raw={raw}') as stream:
        events = list(stream)
    said = ''.join(e.data['text'] for e in events if e.kind == 'text.delta')
    turn = [e.data['turn'] for e in events if e.kind == 'turn.ended'][0]
    if turn['state'] == 'completed':
        assert said == 'a\u00e9 \U0001f600 \u6f22', said
    else:
        # halves of characters in JSON texts are no UTF-8, so no JSON
        assert raw and turn['error']['details']['kind'] == 'malformed', turn
    assert '\ufffd' not in said or raw


@pytest.mark.parametrize('field', ['reasoning_content', 'reasoning'])
def test_reasoning_is_kept_apart_from_the_text(chatter, field):
    with chatter.follow(f'mode=reasoning field={field}') as stream:
        events = list(stream)
    thought = ''.join(e.data['text'] for e in events if e.kind == 'reasoning.delta')
    (item,) = [e.data['item'] for e in events if e.kind == 'message.completed']
    assert thought.startswith('r0 r1') and item['reasoning'] == thought
    assert text_of(item) == WORDS


@pytest.mark.parametrize('finish', ['length', 'content_filter'])
def test_a_finish_reason_is_the_reason_of_the_turn(chatter, finish):
    turn = chatter.say(f'mode=text finish={finish}')['turn']
    assert (turn['state'], turn['reason']) == ('completed', finish)


def test_usage_is_counted_or_unknown_never_invented(chatter):
    assert chatter.say('mode=text usage=none')['turn']['usage'] is None
    usage = chatter.say('mode=text usage=full')['turn']['usage']
    assert usage['input_tokens'] == 11 and isinstance(usage['output_tokens'], int)
    usage = chatter.say('mode=text usage=part')['turn']['usage']
    assert usage['input_tokens'] == 11 and usage['output_tokens'] is None


# ---- streams that are wrong ---------------------------------------------------

SHORT = {'mode=text stall=3': {'gap_ms': 600}, 'mode=text first=20000': {'first_byte_ms': 600},
         'mode=text head=20000': {'first_byte_ms': 600, 'gap_ms': 600}}
LATE = zip(SHORT, ('stalled', 'first_byte_timeout', 'first_byte_timeout stalled'))
WRONG = [
    *LATE, ('mode=text reset=3', 'closed'), ('mode=text close=3', 'closed'),
    ('mode=text reset=0', 'closed'),
    ('mode=text finish=none done=0', 'closed'), ('mode=garbage', 'malformed'),
    ('mode=html', 'malformed'), ('mode=plain', 'malformed'), ('mode=empty', 'closed malformed'),
    ('mode=huge size=3000000', 'too_large'),
    ('mode=error form=event', 'server_error'), ('mode=error form=data', 'server_error'),
    ('mode=error form=text', 'server_error malformed'),
    ('mode=error type=rate_limit_error', 'rate_limited'),
    ('mode=status code=400', 'invalid_request'), ('mode=status code=401', 'unauthorized'),
    ('mode=status code=403', 'unauthorized'), ('mode=status code=404', 'not_found'),
    ('mode=status code=422', 'invalid_request'), ('mode=status code=429', 'rate_limited'),
    ('mode=status code=429 code_text=insufficient_quota type=insufficient_quota', 'quota'),
    ('mode=status code=500', 'server_error'), ('mode=status code=502', 'server_error overloaded'),
    ('mode=status code=503', 'overloaded server_error'),
    ('mode=status code=529', 'overloaded'), ('mode=status code=302', None),
]


@pytest.mark.parametrize('text,kinds', [pytest.param(t, k, id=re.sub(r'\W+', '-', t))
                                        for t, k in WRONG])
def test_a_misbehaving_provider_ends_the_turn_with_the_right_type(new_host, mock, chatter, text,
                                                                  kinds):
    if text in SHORT:
        limits = {**PATIENT, **SHORT[text]}
        host = new_host(configs.standard(model=configs.openai(mock.port, **limits)))
        chatter = Worker.create(host.v1)
    out = chatter.say(text)
    turn = out['turn']
    assert (turn['state'], turn['reason']) == ('failed', 'model_error'), turn
    error = turn['error']
    assert error['code'] == 'model_error'
    kind = error['details']['kind']
    assert kind in MODEL_ERRORS and error['details']['retryable'] == MODEL_ERRORS[kind]
    assert kinds is None or kind in kinds.split(), (kind, error)
    assert "the provider's own words" not in str(turn) and 'upstream broke' not in str(turn)
    assert out['message'] is None or out['message']['role'] != 'assistant' or \
        text_of(out['message']) in WORDS
    assert chatter.get()['state'] == 'idle'
    if text in SHORT:  # whose deadline a loaded machine may miss
        wait.until(lambda: chatter.say('mode=text')['turn']['state'] == 'completed',
                   what='the worker to go on')
    else:
        assert chatter.say('mode=text')['turn']['state'] == 'completed', 'and the worker goes on'


def test_every_kind_of_model_error_is_reached():
    """Those of the table above; connect and tls by their own tests; the total limit is
    a turn's, which test_model_openai.py shortens."""
    have = {k for _, kinds in WRONG for k in (kinds or '').split()}
    assert set(MODEL_ERRORS) - have == {'connect', 'tls', 'total_timeout'}


def test_a_provider_that_is_not_there_is_connect(new_host):
    host = new_host(configs.standard(model=configs.openai(9, **PATIENT)))
    turn = Worker.create(host.v1).say('x')['turn']
    assert turn['error']['details'] == {'kind': 'connect', 'retryable': True}, turn


def test_a_provider_that_speaks_no_tls_is_tls(new_host):
    with wire.socket.create_server(('127.0.0.1', 0)) as plain:
        def answer():
            sock, _ = plain.accept()
            with sock:
                sock.recv(4096)
                sock.sendall(b'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n')
        thread = threading.Thread(target=answer)
        thread.start()
        port = plain.getsockname()[1]
        host = new_host(configs.standard(model=configs.openai(
            port, base_url=f'https://127.0.0.1:{port}/v1', **PATIENT)))
        turn = Worker.create(host.v1).say('x')['turn']
        thread.join(wait.patience(10))
    assert turn['error']['details'] == {'kind': 'tls', 'retryable': False}, turn


# ---- retries --------------------------------------------------------------------

@pytest.fixture
def retrying(new_host, lone):
    host = new_host(configs.standard(model=configs.openai(lone.port, **{**PATIENT, 'retries': 2})))
    return Worker.create(host.v1)


def asked(worker, mock, text):
    out = worker.say(text)
    return out['turn'], stats(mock)['chat']


def test_a_failure_before_the_first_token_is_tried_again(retrying, lone):
    turn, count = asked(retrying, lone, 'mode=status code=503 after_ms=10 times=2 key=a')
    assert turn['state'] == 'completed' and count == 3


def test_retries_are_bounded(retrying, lone):
    turn, count = asked(retrying, lone, 'mode=status code=503 after_ms=10')
    assert turn['state'] == 'failed' and count == 3


@pytest.mark.parametrize('code', [400, 401, 404, 422])
def test_what_cannot_get_better_is_not_tried_again(retrying, lone, code):
    assert asked(retrying, lone, f'mode=status code={code}')[1] == 1


def test_after_the_first_token_nothing_is_tried_again(retrying, lone):
    turn, count = asked(retrying, lone, 'mode=text close=3')
    assert turn['error']['details']['kind'] == 'closed' and count == 1


def test_exhausted_quota_is_not_tried_again(retrying, lone):
    turn, count = asked(
        retrying, lone, 'mode=status code=429 code_text=insufficient_quota type=insufficient_quota')
    assert turn['error']['details']['kind'] == 'quota' and count == 1


def test_retry_after_is_the_least_that_is_waited(retrying, lone):
    turn, count = asked(retrying, lone, 'mode=status code=429 after=1 times=1 key=b')
    assert turn['state'] == 'completed' and count == 2 and turn['duration_ms'] >= 1000


# ---- cancel -----------------------------------------------------------------------

@pytest.mark.tsan
def test_a_cancel_closes_the_connection_to_the_provider(retrying, lone):
    with retrying.follow('mode=text chunks=10000 delay=20') as stream:
        stream.until('text.delta')
        retrying.cancel()
        (turn,) = [e.data['turn'] for e in stream if e.kind == 'turn.ended']
    assert turn['state'] == 'cancelled'
    wait.until(lambda: stats(lone)['closed_early'] == 1, what='the end of the connection')


@pytest.mark.tsan
def test_a_tool_that_is_asked_for_after_a_cancel_is_never_started(served):
    def cancelled():
        """None when the cancel came behind the end of the turn."""
        worker = Worker.create(served.v1)
        with worker.follow('mode=tool shape=fragments delay=300') as stream:
            stream.until('turn.started')
            worker.cancel()
            kinds = [e.kind for e in stream]
        return (worker, kinds) if 'turn.cancel_requested' in kinds else None
    worker, kinds = wait.until(cancelled, what='a cancel in time')
    after = kinds[kinds.index('turn.cancel_requested'):]
    assert not [k for k in after if k.startswith('tool.')], kinds
    assert worker.get()['turn']['state'] == 'cancelled'


def test_a_cancel_while_a_retry_waits_ends_the_turn_at_once(retrying):
    ack = retrying.input('mode=status code=503 after=60')  # two minutes, with its retries
    retrying.cancel()
    wait.until(lambda: retrying.get()['state'] == 'idle', what='the end of the turn')
    assert retrying.get()['turn']['turn_id'] == ack['turn_id']


# ---- tool calls of "compatible" servers ---------------------------------------------

@pytest.mark.parametrize('shape,names', [
    ('fragments', ['lookup']), ('whole', ['lookup']), ('object', ['lookup']),
    ('noindex', ['lookup', 'other']), ('zero', ['lookup', 'other']), ('newid', ['lookup', 'other']),
    ('two', ['lookup', 'other']), ('noid', ['lookup', 'other']), ('legacy', ['lookup'])])
def test_tool_calls_are_assembled_whatever_their_fragments(chatter, shape, names):
    with chatter.follow(f'mode=tool shape={shape}') as stream:
        events = list(stream)
    calls = [e.data['call'] for e in events if e.kind == 'tool.requested']
    assert [c['name'] for c in calls] == names, calls
    ids = [c['id'] for c in calls]
    assert all(ids) and len(set(ids)) == len(ids)
    done = [e.data for e in events if e.kind == 'tool.completed']
    assert [d['call_id'] for d in done] == ids and {d['status'] for d in done} == {'error'}
    (turn,) = [e.data['turn'] for e in events if e.kind == 'turn.ended']
    assert turn['state'] == 'completed' and turn['steps'] == 2


def test_half_a_call_never_becomes_one(chatter):
    for shape in ('cut', 'bad'):
        out = chatter.say(f'mode=tool shape={shape}')
        assert out['turn']['state'] in ('completed', 'failed')
        items = chatter.transcript('?limit=256')['items']
        calls = [c['id'] for i in items for c in i.get('tool_calls') or []]
        results = [i['tool_call_id'] for i in items if i['role'] == 'tool']
        assert calls == results == [], shape
    assert chatter.say('mode=text')['turn']['state'] == 'completed', 'history is not poisoned'


def test_the_pairing_of_calls_and_results_reaches_the_provider(chatter, mock):
    chatter.say('mode=tool shape=two')
    request = mock.last()
    assert request.count('"role":"tool"') == 2 and '"tool_call_id"' in request
    assert re.search(r'"role":\s*"system"', request), 'the profile is the first word'


# ---- the key and the endpoint ---------------------------------------------------------

def test_a_key_is_sent_and_a_wrong_one_is_unauthorized(new_host, provider):
    mock = provider('--key', 'the-key')
    secrets = {'secrets': {**configs.SECRETS, 'llm': {'env': 'LLM'}}}
    for key, state in (('the-key', 'completed'), ('another', 'failed')):
        host = new_host(configs.standard(model=configs.openai(mock.port, api_key='secret:llm'),
                                         local=secrets), env={'LLM': key})
        turn = Worker.create(host.v1).say('mode=text')['turn']
        assert turn['state'] == state, turn
        if state == 'failed':
            assert turn['error']['details']['kind'] == 'unauthorized' and key not in str(turn)


def test_traceparent_is_carried_to_the_model(chatter, mock):
    trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    with chatter.follow('mode=text', headers={'traceparent': trace}) as stream:
        list(stream)
    head = mock.last()
    assert '0af7651916cd43dd8448eb211c80319c' in head


@pytest.mark.parametrize('trace', [
    'x', '00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01',
    '00-00000000000000000000000000000000-b7ad6b7169203331-01',
    'ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'])
def test_a_traceparent_that_is_none_is_not_carried(chatter, mock, trace):
    assert chatter.input('mode=text', headers={'traceparent': trace})
    wait.until(lambda: chatter.get()['state'] == 'idle', what='the end of the turn')
    head = mock.last()
    assert 'traceparent' not in head.lower()


def test_each_turn_carries_the_trace_of_its_own_input(chatter, mock):
    """Also one that nobody follows, and none is left over for the next."""
    for i in range(3):
        trace_id = f'{i + 1:032x}'
        chatter.input('mode=text', headers={'traceparent': f'00-{trace_id}-b7ad6b7169203331-01'})
        wait.until(lambda: chatter.get()['state'] == 'idle', what='the end of the turn')
        assert trace_id in mock.last()
    chatter.say('mode=text')
    assert 'traceparent' not in mock.last().lower()


@pytest.mark.tsan
def test_many_turns_at_once_stay_apart(served):
    import concurrent.futures
    workers = [Worker.create(served.v1) for _ in range(16)]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        outs = list(pool.map(lambda p: p[1].say(f'mode=echo -- number {p[0]} \u00e4'),
                             enumerate(workers)))
    for n, out in enumerate(outs):
        assert text_of(out['message']) == f'number {n} \u00e4'
