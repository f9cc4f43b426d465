"""The code blocks of the documents, and a shell that does what they say.

What a block is stands in its language, and in the comment on the line before:

  console   `$` lines are run; below each stands what it says. A line of `...`
            is any lines. Where nothing is shown, the command has to succeed.
            `<!-- numbers vary -->`: all numbers are compared as N.
  sh        is run, and every command in it has to succeed.
  json      `<!-- file: NAME -->` is written, as it stands, for what follows;
            with a slash in its name it is that file of the tree (`from: TEXT`:
            its end from that text on), and its folder is copied.
            `<!-- config: WHERE -->` is checked by `yoi-host check`: WHERE is
            whole, members of a config, or the array that its values are of.
            `<!-- json -->` is JSON, or members of an object.
  c         `<!-- file: PATH -->` as above, `<!-- part of: PATH -->` stands in
            that file, `<!-- new: KIND NAME/FILE -->` in that file as `plugin
            new KIND NAME` writes it. Else it is a whole program: it compiles,
            and is app.c for what follows.

The blocks of a document are run in their order, in one shell, in one folder.
"""
import collections
import json
import os
import re
import shlex
import shutil
import signal
import subprocess

from . import sse, wait
from .host import BINARY, BUILD, PLUGIN_PATH, ROOT

Block = collections.namedtuple('Block', 'doc line lang mark text')
Step = collections.namedtuple('Step', 'block command shown')
# Values of JSON that stay the same from run to run.
WORDS = {'event', 'kind', 'state', 'role', 'reason', 'code', 'type', 'worker_id', 'runtime_id',
         'display_name', 'name'}
PLACES = ('runtimes', 'models', 'ingress', 'policy', 'plugins')
COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.S)


def documents():
    found = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md')),
             *sorted(ROOT.glob('plugins/*/README.md')), *sorted(ROOT.glob('runtimes/*/README.md'))]
    return [str(p.relative_to(ROOT)) for p in found]


def blocks(doc, text=None):
    """Every block of a document, in order."""
    lines = ((ROOT / doc).read_text() if text is None else text).split('\n')
    found, at = [], 0
    while at < len(lines):
        fence = re.match(r'\s*(`{3,}|~{3,})(.*)', lines[at])
        if fence:
            end = lines.index(fence.group(1), at + 1)
            mark = re.fullmatch(r'<!-- (.*?) -->', lines[at - 1]) if at else None
            found.append(Block(doc, at + 1, fence.group(2).strip(), mark.group(1) if mark else '',
                               '\n'.join(lines[at + 1:end]) + '\n'))
            at = end
        at += 1
    return found


def called(block):
    """How the table of those that are not run names it: by its first line."""
    return block.doc, block.text.split('\n')[0].strip()


def session(text):
    """[(command, what is shown below it)] of a console block."""
    found = []
    first, *parts = re.split(r'^\$ ', text, flags=re.M)
    assert not first, f'a session begins with a command, not with: {first}'
    for part in parts:
        lines = part.split('\n')
        n = 1
        while lines[n - 1].endswith('\\'):
            n += 1
        found.append(('\n'.join(lines[:n]), '\n'.join(lines[n:]).strip('\n')))
    return found


# ---- what is compared ------------------------------------------------------------
def shape(value, key=''):
    if isinstance(value, dict):
        return {k: shape(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [shape(v) for v in value]
    if isinstance(value, str):
        return value if key in WORDS else 'text'
    return type(value).__name__


def known(text, numbers_vary=False):
    """An output as something to compare: JSON by its shape (members, types, and the
    words that are no ids or times), event streams by their events in order, all
    else by its words."""
    if re.search(r'^(id|event|data|retry):', text, re.M):
        out = []
        for event in sse.Parser().feed(text.encode() + b'\n\n'):
            row = (event.kind, shape(event.data))
            if row != (out or [None])[-1]:
                out.append(row)
        return out
    try:
        return shape(json.loads(text))
    except ValueError:
        pass
    text = re.sub(r'[0-9a-f]{8}-[0-9a-f-]{27}', 'UUID', text)
    text = re.sub(r'\d{4}-\d\d-\d\dT[\d:.]+Z', lambda m: 'TIME' if '.' in m.group() else m.group(),
                  text)
    text = re.sub(r'\b[0-9a-f]{64}\b', 'DIGEST', text)
    if numbers_vary:
        text = re.sub(r'\d+', 'N', text)
        text = re.sub(r'^(\S+) +', r'\1 ', text, flags=re.M)
    return text


def same(shown, said, numbers_vary=False):
    shown, said = known(shown, numbers_vary), known(said, numbers_vary)
    if not isinstance(shown, str) or not isinstance(said, str) or '...' not in shown.split('\n'):
        return shown == said
    pattern = '\n'.join(r'(?:.*\n)*?.*' if line == '...' else re.escape(line)
                        for line in shown.split('\n'))
    return re.fullmatch(pattern, said) is not None


# ---- configs ---------------------------------------------------------------------
def values(text):
    """The JSON values of a text, one after the other; comments are left out."""
    text, found, at = COMMENT.sub(lambda m: m.group(1) or ' ', text).strip(), [], 0
    while at < len(text):
        value, at = json.JSONDecoder().raw_decode(text, at)
        found.append(value)
        at += len(re.match(r'[\s,]*', text[at:]).group())
    return found


def members(text):
    text = text.strip().rstrip(',')
    return values(text if text.startswith('{') else '{' + text + '}')[0]


def whole(text, where):
    """A config that has what is shown at its place, and around it what it needs."""
    if where in ('whole', 'members'):
        config = members(text)
    elif where == 'rules':
        rules = values(text)
        rules = rules if isinstance(rules[0], dict) else rules[0]
        config = {'policy': [{'plugin': 'dev.yoi.policy-rules', 'config': {'rules': rules}}]}
    else:
        assert where in PLACES, f'there is no place {where} in a config'
        config = {where: values(text)}
    config.pop('$schema', None)
    ids = {e['runtime'] for e in config.get('ingress', []) if 'runtime' in e} or {'main'}
    config.setdefault('plugin_path', PLUGIN_PATH)
    if 'drop_in' not in config:
        config.setdefault('runtimes',
                          [{'id': i, 'plugin': 'dev.yoi.embedded'} for i in sorted(ids)])
    config.setdefault('models', [{'name': 'main', 'plugin': 'dev.yoi.model-script',
                                  'config': {'steps': [{'echo': True}]}}])
    secrets = config.setdefault('local', {}).setdefault('secrets', {})
    for name in re.findall(r'"secret:([^"]+)"', json.dumps(config)):
        secrets.setdefault(name, {'file': f'{name}.secret'})
    return config


# ---- running ---------------------------------------------------------------------
def heredoc(name, text):
    folder = f'mkdir -p {shlex.quote(os.path.dirname(name))} && ' if '/' in name else ''
    return f"{folder}cat >{shlex.quote(name)} <<'END OF FILE'\n{text}END OF FILE"


def prepared(block):
    """What a json or c block does in the shell; it is compared with the tree here."""
    word, _, argument = block.mark.partition(': ')
    if word == 'file' and '/' not in argument:
        return heredoc(argument, block.text)
    if word == 'file':
        name, _, begin = argument.partition(' from: ')
        text = (ROOT / name).read_text()
        assert block.text == text[text.index(begin) if begin else 0:], f'{name} is another one'
        return f'cp -r {shlex.quote(str((ROOT / name).parent))}/. .'
    if word == 'part of':
        assert block.text in (ROOT / argument).read_text(), f'it does not stand in {argument}'
        return ':'
    if word == 'new':
        kind, name = argument.split(' ')
        shown = heredoc('shown.tmp', block.text)
        return (f'rm -rf new.tmp && yoi-host plugin new {kind} {name.split("/")[0]} -o new.tmp '
                f'>/dev/null && {shown}\npython3 -c "import sys; a, b = (open(f).read() for f in '
                f'sys.argv[1:]); sys.exit(a not in b)" shown.tmp new.tmp/{name.split("/")[1]}')
    if word == 'config':
        config = json.dumps(whole(block.text, argument or 'whole'), indent=1) + '\n'
        return heredoc('config.tmp', config) + '\nyoi-host check config.tmp'
    if word == 'json':
        members(block.text)
        return ':'
    assert block.lang == 'c' and 'int main(' in block.text, \
        f'nothing says what this {block.lang or "block"} is'
    return heredoc('app.c', block.text) + f'\ngcc -std=c11 -Wall -fsyntax-only -I{ROOT}/abi app.c'


def steps(found):
    """[Step]; an AssertionError where a block cannot be what it says."""
    out = []
    for block in found:
        place = f'{block.doc}:{block.line}'
        if block.lang == 'console':
            out += [Step(block, *row) for row in session(block.text)]
        elif block.lang == 'sh':
            out.append(Step(block, 'set -eu\n' + block.text + 'set +eu', None))
        else:
            try:
                assert block.lang in ('json', 'c'), f"nobody knows what '{block.lang}' is"
                out.append(Step(block, prepared(block), None))
            except (AssertionError, ValueError) as why:
                raise AssertionError(f'{place}: {why}') from None
    return out


CURL = r"""#!/bin/sh
# Whoever watches for a while (-m SECONDS) has seen what he wanted.
/usr/bin/curl -m 30 "$@"
code=$?
[ $code = 28 ] && exit 0
exit $code
"""


def lay_out(folder):
    """The tree as far as documents name it, and programs that they call by name."""
    (folder / 'build').symlink_to(BUILD)
    (folder / 'bundles').symlink_to(ROOT / 'bundles')
    shutil.copytree(ROOT / 'docs/examples', folder / 'docs/examples')
    programs = folder / 'bin.tmp'
    programs.mkdir()
    (programs / 'yoi-host').write_text(f'#!/bin/sh\nexec {BINARY} "$@"\n')
    (programs / 'curl').write_text(CURL)
    for program in programs.iterdir():
        program.chmod(0o755)


def script(todo, replace):
    """The shell's text; each step ends with a line of its status."""
    out = ['exec 2>&1']
    for step in todo:
        text = step.command
        for old, new in replace.items():
            text = text.replace(old, new)
        out += [text, r"printf '\n@@@@ %d\n' $?"]
    return '\n'.join(out) + '\n'


def run(todo, folder, env, replace, prefix=()):
    """[(status, output)] of the steps; fewer when a step ended the shell."""
    (folder / 'script.tmp').write_text(script(todo, replace))
    with subprocess.Popen([*prefix, 'bash', 'script.tmp'], cwd=folder, env=env,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          start_new_session=True) as shell:
        try:
            said = shell.communicate(timeout=wait.patience(240))[0].decode()
        finally:
            try:
                os.killpg(shell.pid, signal.SIGKILL)  # whatever it has left behind
            except ProcessLookupError:
                pass
    parts = re.split(r'\n@@@@ (\d+)\n', said.replace(str(folder), '/srv/yoi'))
    done = [(int(code), text.strip('\n')) for text, code in zip(parts[::2], parts[1::2])]
    return done if len(done) == len(todo) else [*done, (-1, parts[-1])]


def wrong(todo, done):
    """What did not come as the document says, for people."""
    found = []
    for step, (code, said) in zip(todo, done):
        place = f'{step.block.doc}:{step.block.line}: {step.command}'
        if step.shown:
            if code == -1 or not same(step.shown, said, step.block.mark == 'numbers vary'):
                found.append(f'{place}\nit really says:\n{said}')
        elif code != 0:
            found.append(f'{place}\nended with {code}:\n{said}')
    return found
