"""What attackers of tools use: a model that asks for what it is told, and the
look at a host from outside.

Talker is an OpenAI-compatible endpoint. The text of a user is the JSON list of
calls that it answers with; on results it says "done". So a test writes each call
itself, as a hostile model would. Everything that it is sent is kept.
"""
import http.server
import json
import os
import pathlib
import threading

from . import configs, wait
from .worker import Worker, text_of

CODER = {'kind': 'builtin', 'value': 'coder'}


class Server:
    """A server of 127.0.0.1 on a free port, with what it was asked."""

    def __init__(self, handler):
        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
        self.server.owner, self.asked, self.gone = self, [], threading.Event()
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class Quiet(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):  # pylint: disable=arguments-differ
        pass

    def answer(self, status, body=b'', **fields):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace('_', '-'), value)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Talk(Quiet):
    def do_POST(self):  # pylint: disable=invalid-name
        owner = self.server.owner
        text = self.rfile.read(int(self.headers['Content-Length'])).decode()
        owner.asked.append(text)
        last = json.loads(text)['messages'][-1]
        said = last['content'] if isinstance(last['content'], str) else \
            ''.join(p.get('text', '') for p in last['content'])
        self.send_response(200)
        self.send_header('Content-Type', 'text/event-stream')
        self.send_header('Connection', 'close')
        self.end_headers()
        if last['role'] == 'user' and said == 'stream':
            self.stream_on()
        elif last['role'] == 'user' and said.startswith('['):
            self.piece({'tool_calls': [
                {'index': i, 'id': f'c{i}', 'type': 'function',
                 'function': {'name': name, 'arguments': json.dumps(arguments)}}
                for i, (name, arguments) in enumerate(json.loads(said))]}, 'tool_calls')
        else:
            self.piece({'content': 'done'}, 'stop')

    def piece(self, delta, finish=None):
        choice = {'index': 0, 'delta': delta, 'finish_reason': finish}
        self.wfile.write(b'data: ' + json.dumps({'choices': [choice]}).encode() + b'\n\n')
        if finish:
            self.wfile.write(b'data: [DONE]\n\n')
        self.wfile.flush()

    def stream_on(self):
        """Says more until nobody listens, and then asks for a call all the same."""
        stop = threading.Event()
        try:
            while not stop.wait(0.01):
                self.piece({'content': 'more '})
        except OSError:
            self.server.owner.gone.set()


def alive(marker):
    """The processes of this machine with the marker in their arguments."""
    found = []
    for entry in pathlib.Path('/proc').iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            line = (entry / 'cmdline').read_bytes()
        except OSError:
            continue
        if marker.encode() in line:
            found.append((int(entry.name), line))
    return found


def tree(folder):
    """What a folder holds, to be compared."""
    return {str(p): (p.lstat().st_mtime_ns, p.lstat().st_mode,
                     p.read_bytes() if p.is_file() and not p.is_symlink() else None)
            for p in sorted(pathlib.Path(folder).rglob('*'))}


class Attacker(Worker):
    """A worker of the coder, all of whose calls a person allows."""

    @classmethod
    def of(cls, host, root='/v1'):
        return cls.create(host.v1 if root == '/v1' else host.api, root, profile=CODER)

    def waiting(self):
        return self.client.ok('GET', self.path + '/approvals')['approvals']

    def decide(self, approval, decision='allow', **kw):
        return self.client.request('POST', f"{self.path}/approvals/{approval['approval_id']}",
                                   {'decision': decision}, **kw)

    def ask(self, *calls):
        """[(name, arguments)]; the input is accepted, nothing is waited for."""
        return self.input(json.dumps(calls))

    def awaited(self, n=1):
        wait.until(lambda: len(self.waiting()) == n, 20, f'{n} open approvals')
        return self.waiting()

    def ended(self, seconds=30):
        def look():
            if self.get()['state'] == 'awaiting_approval':
                for one in self.waiting():
                    assert self.decide(one).status in (200, 202)
            turn = self.get()['turn']
            return turn if turn.get('ended_at') else None
        return wait.until(look, seconds, 'the end of a turn')

    def items(self):
        found, start = [], 0
        while start is not None:
            page = self.transcript(f'?limit=100&start={start}')
            found, start = found + page['items'], page['next_start']
        return found

    def run(self, *calls, seconds=30):
        """The items of the results, in the order of the calls."""
        before = len([i for i in self.items() if i['role'] == 'tool'])
        self.ask(*calls)
        turn = self.ended(seconds)
        assert turn['state'] == 'completed', turn
        out = [i for i in self.items() if i['role'] == 'tool'][before:]
        assert len(out) == len(calls)
        return out

    def shell(self, command, seconds=240, **more):
        (item,) = self.run(('shell_run', {'command': command, **more}), seconds=seconds)
        return text_of(item)


def config(talker, store, workspace, network=(), shell=None, plugin_path=None, **keys):
    return configs.standard(
        model=configs.openai(talker.port, api_key='secret:llm', retries=0),
        runtimes=[configs.stored(store)], **({'plugin_path': plugin_path} if plugin_path else {}),
        local={'secrets': {**configs.SECRETS, 'llm': {'env': 'LLM'}},
               'mounts': {'workspace': {'path': str(workspace), 'mode': 'rw'}},
               'network': {'workspace': list(network)},
               'shell': {'workspace': {'commands': ['*'], **(shell or {})}}}, **keys)
