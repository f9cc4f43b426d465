"""A far host that means ill: it has a word of its own in every place there is.

Hostile(words) is a server behind lib/proxy.py; `mode` says what it answers with:

  a code     each request but a look is refused with that code, in the one form
             of errors, with words in message, details, header and reason
  'good'     the answers of the operations, with words beside and within them
  'stream'   events of every odd kind, ending in an `end` full of words
  'garbage'  no answer at all, but words

DATA stands where a worker's own data is: it may be seen, and has to be.
"""
import json

from .proxy import Proxy
from .tables import CODE

DATA = 'canarydata77aa'
AT = '2026-01-01T00:00:00.000Z'
DIGEST = 'sha256:' + 64 * '0'
BUNDLE = {'id': 'b', 'digest': DIGEST, 'revision': '1', 'workspace_id': 'acme', 'created_at': AT,
          'provenance': {'source': 'test'}, 'bytes': 7, 'profiles': ['p']}
ACK = {'sequence': 1, 'cursor': 'y1', 'state': 'idle', 'turn_id': 't'}


def worker(wid='a'):
    return {'worker_id': wid, 'state': 'idle', 'display_name': DATA, 'cursor': 'y1',
            'intent': None, 'profile': None, 'config_bundle': None, 'created_at': AT,
            'capabilities': ['worker.get']}


def item():
    return {'sequence': 1, 'turn_id': None, 'step': None, 'role': 'user', 'created_at': AT,
            'content': [{'type': 'text', 'text': DATA}]}


class Hostile:
    def __init__(self, words):
        self.all = ' '.join(words)
        self.mode, self.hits = 'good', {}
        self.proxy = Proxy(1, lambda rng: ('talk', self.reply))
        self.port = self.proxy.port

    def stop(self):
        self.proxy.stop()

    def answer(self, status, body, kind='application/json'):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        fields = ''.join(f'{name}: {self.all}\r\n' for name in (
            'Server', 'X-Request-Id', 'Set-Cookie', 'Location', 'WWW-Authenticate', 'Retry-After',
            'ETag', 'Via', 'X-Yoi', 'Warning'))
        return (f'HTTP/1.1 {status} {self.all}\r\nContent-Type: {kind}\r\n{fields}'
                f'Content-Length: {len(body)}\r\n\r\n').encode() + body

    def reply(self, head, path):
        target = path.decode().split('/v1', 1)[-1]
        self.hits[self.mode] = self.hits.get(self.mode, 0) + 1
        if target == '/runtime':
            return self.answer(200, self.runtime())
        if self.mode == 'garbage':
            return self.answer(200, f'<html>{self.all}\0\x1b[2J</html>'.encode(), 'text/html')
        if self.mode in CODE:
            return self.answer(CODE[self.mode].status, self.refusal(self.mode))
        if b'text/event-stream' in head:
            return self.answer(200, self.stream(), 'text/event-stream')
        status, body = self.good(head.split(b' ')[0].decode(), target.split('?')[0])
        return self.answer(status, body)

    def runtime(self):
        words = self.all
        said = [{'code': code, 'severity': words, 'message': words, 'count': 1, 'last_at': AT,
                 words: words} for code in (words, 'store_error', 'remote_replaced')]
        return {words: words, 'runtime': {
            'display_name': DATA + '\x1b[2J\x07', 'kind': 'http://' + words, 'version': words,
            'api_version': '1', 'instance_id': 'i', 'status': words, 'state_kind': words,
            'capabilities': [words, 'worker.get'], 'limits': {words: 1, 'workers': 2},
            'counts': {words: 1, 'workers': words}, words: words, 'diagnostics': said}}

    def refusal(self, code):
        words = self.all + '\x07\x1b[31m' + 'x' * 4000
        return {'error': {'code': code, 'message': words, 'request_id': words, 'details': {
            'parameter': words, 'field': words, words: words, 'missing': [words],
            'pointer': '/' + words, 'digest': words, 'max': words, 'line': words, 'rule': words,
            'kind': words}}, words: words}

    def good(self, method, target):
        more = {self.all: self.all, 'note': {'url': self.all}}
        if method == 'DELETE':
            return 200, {'deleted': self.all}  # it has no body
        for end, body in (
                ('/input', {'ack': ACK}), ('/cancel', {'ack': ACK}), ('/stop', {'ack': ACK}),
                ('/transcript', {'transcript': {'start': 0, 'limit': 1, 'total': 1,
                                                'next_start': None, 'items': [item()]}}),
                ('/approvals', {'approvals': []}), ('/events', {
                    'events': [{'id': 'y2', 'event': self.all, 'data': {self.all: self.all}}],
                    'cursor': 'y2', 'end': None}),
                ('/workers/a', {'worker': worker()}), ('/workers/b', {'worker': worker()}),
                ('/config-bundles', {'bundles': [BUNDLE], 'next': None})):
            if target.endswith(end):
                return 202 if 'ack' in body else 200, {**more, **body}
        if target.endswith('/workers'):
            return (201, {**more, 'worker': worker()}) if method == 'POST' else \
                (200, {**more, 'workers': [worker(), worker('b')], 'next': None})
        return 200, more

    def stream(self):
        words = self.all
        snapshot = {'worker': worker(), 'sequence': 1, 'in_flight': None}
        rows = [f': {words}', f'retry: {words}', f'{words}: {words}', '',
                'event: ack', 'data: ' + json.dumps({'ack': ACK}), '',
                'event: snapshot', 'id: y1', 'data: ' + json.dumps(snapshot), '',
                f'event: {words}', 'id: y2', f'data: {{"a":"{words}"}}', '',
                'event: result', f'data: {{"a":"{words}"}}', '',
                'event: model.text', f'data: {{"a":"{words}"}}', '',
                'event: end', 'data: ' + json.dumps({
                    'reason': 'error', 'code': 'internal', 'retryable': False, 'cursor': None,
                    words: words}), '', '']
        return '\n'.join(rows).encode()
