"""yoi-host chat: a conversation by pipe, by terminal, and for scripts."""
import json
import subprocess

import pytest
from lib import configs, wait
from lib.host import BINARY, PLUGIN_PATH, environment, sockets
from lib.terminal import CTRL_C, CTRL_D, Terminal

ECHO = {'steps': [{'say': 'you said: '}, {'echo': True}]}


class Chat:
    """Runs `yoi-host chat` over one config."""

    def __init__(self, folder):
        self.folder, self.terminals = folder, []

    def file(self, model=None, **keys):
        path = self.folder / 'yoi.json'
        (self.folder / 'runtime.token').write_text('t' * 32)
        (self.folder / 'runtime.token').chmod(0o600)
        model = configs.script(**(model or ECHO))
        path.write_text(json.dumps(configs.standard(model=model, **keys)))
        return path

    def pipe(self, text, *args, model=None, env=None, config=True, **keys):
        argv = [BINARY, 'chat', *([self.file(model, **keys)] if config else []), *args]
        return subprocess.run([str(a) for a in argv], cwd=self.folder, input=text, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=environment(self.folder, env), timeout=wait.patience(60),
                              universal_newlines=True)

    def terminal(self, model=None, **keys):
        environment(self.folder)
        self.terminals.append(
            Terminal([BINARY, 'chat', self.file(model, **keys)], self.folder).start())
        return self.terminals[-1]


@pytest.fixture(name='chat')
def chats(tmp_path):
    made = Chat(tmp_path)
    yield made
    for terminal in made.terminals:
        terminal.kill()


def test_each_line_is_an_input_and_each_answer_a_line(chat):
    done = chat.pipe('one\n\ntwo\nthree')
    assert done.stdout == 'you said: one\nyou said: two\nyou said: three\n'
    assert (done.returncode, done.stderr) == (0, '')


def test_the_conversation_has_a_history(chat):
    turns = {'turns': [[{'say': 'first'}], [{'say': 'second'}], [{'say': 'third'}]]}
    assert chat.pipe('a\nb\nc\n', model=turns).stdout == 'first\nsecond\nthird\n'


def test_a_backslash_goes_on_in_the_next_line(chat):
    assert chat.pipe('one\\\ntwo\nthree\n').stdout == 'you said: one\ntwo\nyou said: three\n'


def test_a_line_that_is_too_long_is_left_out_whole(chat):
    done = chat.pipe('x' * 300000 + '\nshort\n')
    assert done.stdout == 'you said: short\n'
    assert 'a line of more than 262144 bytes is left out' in done.stderr


def test_json_is_one_event_a_line(chat):
    done = chat.pipe('hello\n', '--json', '--worker', 'ada')
    assert done.returncode == 0
    events = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = [e['event'] for e in events]
    assert kinds[0] == 'result' and events[0]['data']['worker']['worker_id'] == 'ada'
    assert kinds[1] == 'ack' and 'cursor' not in events[1]
    for kind in ('turn.started', 'text.delta', 'message.completed', 'turn.ended'):
        assert kind in kinds
    assert kinds[-1] == 'end' and events[-1]['data']['reason'] == 'turn_ended'
    text = ''.join(e['data']['text'] for e in events if e['event'] == 'text.delta')
    assert text == 'you said: hello'
    assert all(e['cursor'] for e in events if e['event'] == 'turn.ended')


def test_what_a_runtime_does_wrong_is_said(chat):
    """A refusal, a stream that fails and one that breaks off, then a good one."""
    lines = 'store_error\nevents-2.error\nevents-2.cut\nevents-2\n'
    done = chat.pipe(lines, '--worker', 'idle', '--runtime', 'faulty',
                     runtimes=[configs.faulty()], ingresses=[])
    assert done.returncode == 4
    assert done.stdout == '1 2 \n1 2 \n1 2 \n'
    for words in ('the input was refused: ', 'the turn was lost: ', '(the answer broke off)'):
        assert words in done.stderr


@pytest.mark.parametrize('steps,says', [
    ([{'fail': 'overloaded'}], 'overloaded; try again'),
    ([{'fail': 'unauthorized'}], 'refused the key'),
    ([{'fail': 'connect'}], 'cannot be reached'),
])
def test_a_failed_turn_is_said_in_plain_words(chat, steps, says):
    done = chat.pipe('hello\n', model={'steps': steps})
    assert done.returncode == 4
    assert says in done.stderr and done.stdout == ''


def test_an_answer_that_was_cut_is_said(chat):
    done = chat.pipe('hello\n', model={'steps': [{'say': 'and then'}, {'finish': 'length'}]})
    assert (done.returncode, done.stdout) == (0, 'and then\n')
    assert 'the answer was cut' in done.stderr


def test_an_undeclared_tool_is_said_and_the_turn_goes_on(chat):
    model = {'answers': [
        {'match': 'hello', 'step': 0,
         'steps': [{'call': {'name': 'weather', 'arguments': {}}}]},
        {'match': 'hello', 'steps': [{'say': 'I do not know'}]}]}
    done = chat.pipe('hello\n', model=model)
    assert (done.returncode, done.stdout) == (0, 'I do not know\n')
    assert done.stderr == ("(weather {})\n(weather: error, there is no tool 'weather')\n")


def test_a_refusal_by_the_runtime_is_said(chat):
    done = chat.pipe('hello\n', '--runtime', 'gone')
    assert done.returncode == 3 and "cannot make a worker" in done.stderr
    done = chat.pipe('hello\n', '--worker', 'NOT/AN/ID')
    assert done.returncode == 3 and "cannot make a worker" in done.stderr


def test_a_runtime_that_makes_workers_is_chosen(chat):
    null = {'id': 'first', 'plugin': 'dev.yoi.test.null'}
    done = chat.pipe('hello\n', runtimes=[null, configs.embedded('second')], ingresses=[])
    assert done.stdout == 'you said: hello\n', done.stderr


def test_nothing_listens(chat, tmp_path):
    """The config's ingress section is left out."""
    path = chat.file()
    with subprocess.Popen([str(BINARY), 'chat', str(path)], cwd=tmp_path, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, env=environment(tmp_path)) as proc:
        proc.stdin.write(b'hello\n')
        proc.stdin.flush()
        assert proc.stdout.readline() == b'you said: hello\n'
        open_ones = sockets(proc.pid)
        proc.stdin.close()
        assert proc.wait(wait.patience(20)) == 0
    assert open_ones == []


def test_without_a_config_the_environment_names_the_model(chat, provider, tmp_path):
    mock = provider()
    env = {'OPENAI_BASE_URL': f'http://127.0.0.1:{mock.port}/v1', 'YOI_MODEL': 'mock'}
    done = chat.pipe('hello\n', env=env, config=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize('url', ['127.0.0.1:11434/v1', 'ftp://127.0.0.1/v1', 'localhost'])
def test_an_address_without_a_scheme_is_said_before_the_first_turn(chat, url):
    done = chat.pipe('hello\n', env={'OPENAI_BASE_URL': url}, config=False)
    assert (done.returncode, done.stdout) == (1, '')
    assert 'OPENAI_BASE_URL does not begin with http:// or https://' in done.stderr


def test_without_anything_a_script_says_that_it_is_no_language_model(chat):
    done = chat.pipe('hello\n', config=False)
    assert done.returncode == 0, done.stderr
    assert 'no language model' in done.stdout and 'OPENAI_BASE_URL=' in done.stdout


def test_a_reader_that_goes_away_ends_it(chat, tmp_path):
    path = chat.file()
    with subprocess.Popen([str(BINARY), 'chat', str(path)], cwd=tmp_path, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, env=environment(tmp_path)) as proc:
        proc.stdout.close()
        proc.stdin.write(b'hello\n')
        proc.stdin.flush()
        assert proc.wait(wait.patience(20)) == 5


def test_ctrl_c_cancels_the_answer_and_the_conversation_goes_on(chat):
    """Rule 61: a cancel cancels."""
    model = {'answers': [{'match': 'long', 'steps': [{'say': 'well, '}, {'stall': True}]}],
             'steps': ECHO['steps']}
    terminal = chat.terminal(model)
    terminal.see('Ctrl-C cancels')
    terminal.see('> ')
    terminal.type('a long story')
    terminal.see('well, ')
    terminal.key(CTRL_C)
    terminal.see('(cancelled)')
    terminal.see('> ')
    terminal.type('hello')
    terminal.see('you said: hello')
    terminal.see('> ')
    terminal.key(CTRL_D)
    assert terminal.wait_exit() == 0


def test_a_second_ctrl_c_leaves(chat):
    terminal = chat.terminal()
    terminal.see('> ')
    terminal.key(CTRL_C)
    assert terminal.wait_exit() == 130


def test_ctrl_d_leaves_during_an_answer(chat):
    terminal = chat.terminal({'steps': [{'say': 'well, '}, {'stall': True}]})
    terminal.see('> ')
    terminal.type('go on')
    terminal.see('well, ')
    terminal.key(CTRL_D)
    assert terminal.wait_exit() == 0


def test_what_a_model_says_is_no_command_to_the_terminal(chat):
    terminal = chat.terminal({'steps': [{'say': 'a\x1b[2Jb\x07c\u009bd\te'}]})
    terminal.see('> ')
    terminal.type('hello')
    terminal.see('a[2Jbcd\te')
    terminal.see('> ')
    assert '\x1b' not in terminal.shown and '\x07' not in terminal.shown


def test_a_name_that_a_model_made_up_is_no_command_to_the_terminal(chat):
    name = 'a\x1b[2Jb\x07c\u009bd\x7fe'
    terminal = chat.terminal({'answers': [{'step': 0, 'steps': [
        {'call': {'name': name, 'arguments': {}}}]}], 'steps': [{'say': 'done'}]})
    terminal.see('> ')
    terminal.type('hello')
    terminal.see('(a__2Jb_c__d_e {})')
    terminal.see("(a__2Jb_c__d_e: error, there is no tool 'a__2Jb_c__d_e')")
    terminal.see('done')
    assert not set('\x1b\x07\x7f\u009b') & set(terminal.shown)
