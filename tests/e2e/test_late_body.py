"""The header comes, and the body when it was asked for: what the header said stands.

The body is read into the memory that the header was in. With Expect the server has
read the header, and says so, before there is a body.
"""
import json

import pytest

from lib import configs, remote, wait, wire
from lib.bundle import Bundle
from lib.host import TOKEN
from lib.worker import Worker, fresh

ANN = 'ann-' + '5e' * 16
TRACE = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'


def late(address, target, fields, body, token=TOKEN):
    """POSTs it; body(head) makes the body of a header that was sent."""
    length = len(body(b''))
    head = wire.request_bytes('POST', target, [
        ('Host', address), ('Authorization', f'Bearer {token}'), *fields,
        ('Content-Type', 'application/json'), ('Content-Length', length),
        ('Expect', '100-continue'), ('Connection', 'close')])
    with wire.connect(address) as sock:
        sock.sendall(head)
        reader = wire.Reader(sock)
        assert wire.read_head(reader).status == 100
        text = body(head)
        assert len(text) == length
        sock.sendall(text)
        return wire.read_response(reader)


def over(mark, word, size=2000):
    """A body(head) whose text has `word` where the value of the field `mark` was."""
    def body(head):
        text, begin = b'x' * size, b'{"content":"'
        if head:
            at = head.index(mark) + len(mark) - len(begin)
            text = text[:at] + word + text[at + len(word):]
        return begin + text + b'"}'
    return body


def test_each_key_is_its_own(host, worker):
    def turn(key):
        r = late(host.address('runtime'), worker.path + '/input', [('Idempotency-Key', key)],
                 lambda head: json.dumps({'content': 'x' * 2000, 'on_busy': 'queue'}).encode())
        assert r.status == 202, r
        return r.json['ack']['turn_id']
    keys = [fresh('k') for _ in range(3)]
    turns = [turn(k) for k in keys]
    assert len(set(turns)) == 3 and [turn(k) for k in keys] == turns


def test_a_body_of_many_reads_takes_no_key_along(worker):
    turns = [worker.input('x' * 40000, {'Idempotency-Key': fresh('k')}, on_busy='queue')['turn_id']
             for _ in range(3)]
    assert len(set(turns)) == 3


@pytest.mark.parametrize('own', [True, False])
def test_a_body_cannot_name_another_workspace(new_host, own):
    entries = [{'name': 'ann', **({'workspace': 'acme'} if own else {})}, {'name': 'cat'}]
    surface = configs.ingress(configs.RUNTIME, token=None, tokens=[
        {**e, 'secrets': [f'secret:{e["name"]}']} for e in entries])
    secrets = {'ann': {'file': 'ann.token'}, 'cat': {'file': 'runtime.token'}}
    host = new_host(configs.standard(ingresses=[surface], local={'secrets': secrets}), start=False)
    (host.etc / 'ann.token').write_text(ANN + '\n')
    (host.etc / 'ann.token').chmod(0o600)
    host.start()
    bundle = Bundle(id='z', workspace_id='zeta')
    bundle.put(host.v1)
    other = Worker.create(host.v1, config_bundle=bundle.ref)
    target, body = f'/v1/workers/{other.id}/input', over(b'\r\nYoi-Workspace: ', b'zeta')
    r = late(host.address('runtime'), target, [('Yoi-Workspace', 'acme')], body, ANN)
    assert r.status == 404 and r.code == 'worker_not_found'
    assert other.get().get('turn') is None
    if not own:
        assert late(host.address('runtime'), target, [('Yoi-Workspace', 'zeta')],
                    over(b'\r\nYoi-Workspace: ', b'acme'), ANN).status == 202


def test_a_trace_goes_on_as_it_came(new_host):
    pair = remote.Pair(new_host)
    worker, rid = Worker.create(pair.v1), fresh('r')
    r = late(pair.near.address('runtime'), worker.path + '/input',
             [('traceparent', TRACE), ('X-Request-Id', rid)], over(b'traceparent: ', b'11-1'))
    assert r.status == 202, r
    line = wait.until(lambda: pair.far.entries(msg='request', request_id=rid), what='a line')
    assert line[0]['trace_id'] == TRACE[3:35]
