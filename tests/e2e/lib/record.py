"""What the black-box tests were answered, kept for tests/openapi/check.mjs.

With YOI_RECORD naming a folder each answer that a Client or a Stream reads is
a line of JSON there, in a file per process. Raw bytes (wire.exchange) are not
recorded: who sends them does not always speak HTTP. Nor are hosts with test
plugins, which answer nonsense on purpose; lib/host.py says which.
"""
import json
import os
import pathlib
import threading

FOLDER = os.environ.get('YOI_RECORD')
_lock = threading.Lock()
_file = None  # opened at first use, and again behind a fork
_pid = None
_known = set()


def _write(entry):
    global _file, _pid
    line = json.dumps(entry, sort_keys=True)
    with _lock:
        if _pid != os.getpid():
            _pid = os.getpid()
            _file = open(pathlib.Path(FOLDER) / f'{_pid}.jsonl', 'a', encoding='utf-8')
        if line in _known:
            return
        if len(_known) < 10000:
            _known.add(line)
        _file.write(line + '\n')
        _file.flush()


def answer(client, method, target, request, response, events=None):
    """One exchange. events: (id, kind, data) of a stream, instead of a body."""
    if FOLDER is None or not client.recorded:
        return
    kept = ('x-request-id', 'location', 'content-type', 'set-cookie')
    entry = {'method': method, 'target': target, 'status': response.status,
             'type': response.header('content-type') or '',
             'headers': {k: v for k, v in response.headers if k in kept}}
    if events is not None:
        entry['events'] = [dict({'event': kind, 'data': json.loads(data)},
                                **({'id': id_} if id_ is not None else {}))
                           for id_, kind, data in events]
    else:
        entry['body'] = response.body.decode('utf-8', errors='replace')
    if request and response.status < 400:
        entry['request'] = request.decode('utf-8')
    _write(entry)
