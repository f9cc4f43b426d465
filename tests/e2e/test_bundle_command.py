"""yoi-host bundle: a folder becomes the same bytes wherever and whenever, what is
wrong is said at its place in the source, and two bundles are told apart."""
import hashlib
import json
import os
import pathlib
import resource
import shutil
import socket
import stat
import subprocess

import pytest
from lib import wait
from lib.host import BINARY, BUILD, ROOT, environment

BUNDLES = ROOT / 'bundles'
SECTIONS = ('models', 'tools', 'plugins', 'grants', 'policies', 'workflows', 'profiles')
TOP = ['schema', 'id', 'revision', 'workspace_id', 'created_at', 'provenance', 'language',
       'workspace', 'prompts', *SECTIONS]
BYTES_MAX = 1048576

SMALL = {
    'bundle.json': {'id': 'small', 'revision': '1', 'workspace_id': 'acme',
                    'created_at': '2026-06-26T00:00:00Z', 'provenance': {'source': 'git'}},
    'models.json': [{'name': 'main', 'ref': 'model:main'}],
    'tools.json': [{'name': 'fs_read', 'plugin': 'dev.yoi.tool-fs', 'policy': 'allow',
                    'grants': ['mount:workspace:ro']}],
    'grants.json': ['model:main', 'mount:workspace:ro'],
    'profiles.json': [{'name': 'reader', 'prompt': 'reader', 'model': 'main',
                       'tools': ['fs_read'], 'workflows': []}],
    'prompts/reader.md': 'Read.\n\nThen say what you read.\n',
}


def write(folder, files):
    for name, value in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if value is None:
            path.unlink()
        elif isinstance(value, bytes):
            path.write_bytes(value)
        else:
            path.write_text(value if isinstance(value, str) else json.dumps(value))
    return folder


@pytest.fixture(name='run')
def runner(tmp_path):
    def run(*args, code=0, env=None, umask=None, **kw):
        kw.setdefault('stdout', subprocess.PIPE)
        before = (lambda: os.umask(umask)) if umask is not None else None
        done = subprocess.run([str(BINARY), 'bundle', *map(str, args)], cwd=kw.pop('cwd', tmp_path),
                              env=environment(tmp_path / 'env', env), stdin=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, check=False, timeout=wait.patience(60),
                              preexec_fn=before, **kw)
        assert done.returncode == code, (done.stdout, done.stderr)
        return done
    return run


@pytest.fixture(name='small')
def small_folder(tmp_path):
    return write(tmp_path / 'small', SMALL)


def built(run, folder):
    done = run('build', folder)
    assert done.stderr == b''
    return done.stdout


def digest_of(data):
    return 'sha256:' + hashlib.sha256(data).hexdigest()


def findings(run, *paths):
    return [json.loads(line) for line in run('lint', *paths, '--json', code=1).stdout.splitlines()]


# ---- build -----------------------------------------------------------------
def test_the_form_of_the_bytes(run, small):
    data = built(run, small)
    text = data.decode()
    found = json.loads(text)
    assert text == json.dumps(found, indent=2, ensure_ascii=False) + '\n'
    assert [k for k in TOP if k in found] == list(found)
    assert found['schema'] == 'yoi.bundle/1'
    assert found['prompts'] == [{'name': 'reader', 'media_type': 'text/markdown',
                                 'text': 'Read.\n\nThen say what you read.'}]
    assert found['tools'] == SMALL['tools.json']


@pytest.mark.parametrize('name', ['default', 'builtin'])
def test_building_twice_gives_the_same_bytes(run, tmp_path, name):
    one, two = tmp_path / 'one', tmp_path / 'a longer name' / 'two'
    shutil.copytree(BUNDLES / name, one)
    two.mkdir(parents=True)
    # Written the other way round, so that the folder has another order, at
    # another time, with other modes.
    for path in sorted(one.rglob('*'), reverse=True):
        if path.is_file():
            there = two / path.relative_to(one)
            there.parent.mkdir(exist_ok=True)
            there.write_bytes(path.read_bytes())
            there.chmod(0o600)
            os.utime(there, (1e9, 1e9))
    first = built(run, one)
    for umask, locale in ((0o077, 'de_DE.UTF-8'), (0, 'C'), (0o022, 'tr_TR.UTF-8')):
        out = tmp_path / 'out.json'
        run('build', '.', '-o', out, cwd=two, umask=umask,
            env={'LC_ALL': locale, 'TZ': 'Asia/Tokyo'})
        assert out.read_bytes() == first
        assert stat.S_IMODE(out.stat().st_mode) == 0o666 & ~umask
    assert run('digest', one).stdout.decode() == digest_of(first) + '\n'


def test_comments_white_space_and_the_order_of_members_do_not_count(run, small):
    before = built(run, small)
    tool = dict(reversed(list(SMALL['tools.json'][0].items())))
    write(small, {'tools.json': '// what it may\n[\n\n' + json.dumps(tool, indent=5) + '/* */ ]',
                  'bundle.json': dict(reversed(list(SMALL['bundle.json'].items())))})
    assert built(run, small) == before


def test_one_line_feed_at_the_end_of_a_prompt_is_not_its_text(run, small):
    for text, want in (('a', 'a'), ('a\n', 'a'), ('a\n\n', 'a\n'), ('\n a', '\n a')):
        write(small, {'prompts/reader.md': text})
        assert json.loads(built(run, small))['prompts'][0]['text'] == want


def test_prompts_stand_in_the_order_of_their_names(run, small):
    names = ['b', 'B', 'a-b', 'a.b', 'a']
    write(small, {'workflows.json': [{'name': f'w{i}', 'ref': f'prompt:{n}'}
                                     for i, n in enumerate(names)],
                  'profiles.json': [{**SMALL['profiles.json'][0],
                                     'workflows': [f'w{i}' for i in range(len(names))]}],
                  **{f'prompts/{n}.txt': f'I am {n}' for n in names}})
    found = json.loads(built(run, small))['prompts']
    assert [p['name'] for p in found] == sorted([*names, 'reader'])
    assert {p['media_type'] for p in found if p['name'] in names} == {'text/plain'}


def test_the_output_is_put_there_whole_or_not_at_all(run, small, tmp_path):
    out = tmp_path / 'out'
    out.mkdir()
    target = out / 'b.json'
    target.write_text('before')
    write(small, {'tools.json': '['})
    assert b'tools.json:1:2' in run('build', small, '-o', target, code=1).stderr
    assert target.read_text() == 'before'
    write(small, SMALL)
    run('build', small, '-o', target)
    assert target.read_bytes() == built(run, small)
    assert run('build', small, '-o', '-').stdout == target.read_bytes()
    assert os.listdir(out) == ['b.json']
    assert b'No such file' in run('build', small, '-o', tmp_path / 'no/b.json', code=3).stderr


def test_a_disk_that_is_full_leaves_what_was_there(small, tmp_path):
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'b.json').write_text('before')
    done = subprocess.run([str(BINARY), 'bundle', 'build', str(small), '-o', str(out / 'b.json')],
                          env=environment(tmp_path / 'env'), stderr=subprocess.PIPE, check=False,
                          timeout=wait.patience(30), preexec_fn=lambda: resource.setrlimit(
                              resource.RLIMIT_FSIZE, (200, 200)))
    assert done.returncode == 3 and b'File too large' in done.stderr
    assert os.listdir(out) == ['b.json'] and (out / 'b.json').read_text() == 'before'


def test_only_a_regular_file_is_replaced(run, small, tmp_path):
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'target').write_text('of the link')
    (tmp_path / 'link').symlink_to('target')
    os.mkfifo(tmp_path / 'pipe')
    for name, word in (('folder', b'folder'), ('link', b'symbolic link'), ('pipe', b'no regular')):
        assert word in run('build', small, '-o', tmp_path / name, code=3).stderr
    assert (tmp_path / 'target').read_text() == 'of the link'
    assert sorted(p.name for p in tmp_path.iterdir()) == ['env', 'folder', 'link', 'pipe', 'small',
                                                          'target']


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='needs /dev/full')
def test_an_output_that_takes_nothing_is_said(run, small):
    with open('/dev/full', 'wb') as full:
        for verb in ('build', 'digest', 'show', 'lint'):
            run(verb, small, stdout=full, code=5)


# ---- what is refused, and where it is said to be ------------------------------
def test_what_is_no_part_of_a_bundle_is_refused(run, small, tmp_path):
    (tmp_path / 'outside').write_text('[]')
    (small / 'plugins.json').symlink_to(tmp_path / 'outside')
    os.mkfifo(small / 'policies.json')
    (small / 'workflows.json').mkdir()
    (small / 'prompts/link.md').symlink_to('reader.md')
    (small / 'prompts/sub').mkdir()
    write(small, {'README.md': 'x', '.hidden': '', 'prompts/reader.md~': 'x', 'Tools.json': '[]',
                  'prompts/.md': 'x', 'prompts/a b.md': 'x', 'prompts/reader.txt': 'x'})
    with socket.socket(socket.AF_UNIX) as s:
        here = os.getcwd()
        os.chdir(small)
        try:
            s.bind('models.json.sock')
        finally:
            os.chdir(here)
    found = {(os.path.relpath(f['file'], small), f['rule']) for f in findings(run, small)}
    assert found == {('plugins.json', 'not-a-file'), ('policies.json', 'not-a-file'),
                     ('workflows.json', 'not-a-file'), ('prompts/link.md', 'not-a-file'),
                     ('prompts/sub', 'unknown-file'), ('README.md', 'unknown-file'),
                     ('.hidden', 'unknown-file'), ('prompts/reader.md~', 'unknown-file'),
                     ('Tools.json', 'unknown-file'), ('prompts/.md', 'unknown-file'),
                     ('prompts/a b.md', 'name'), ('prompts/reader.txt', 'duplicate'),
                     ('models.json.sock', 'unknown-file')}


def test_a_link_in_place_of_the_prompts_is_refused(run, small):
    (small / 'prompts').rename(small.parent / 'elsewhere')
    (small / 'prompts').symlink_to(small.parent / 'elsewhere')
    assert [f['rule'] for f in findings(run, small)] == ['not-a-file']


def test_a_file_that_is_too_large_is_refused_at_its_edge(run, small):
    empty = b'[]'
    write(small, {'plugins.json': empty + b' ' * (BYTES_MAX - len(empty) + 1)})
    assert [f['rule'] for f in findings(run, small)] == ['too-large']
    tools = json.dumps(SMALL['tools.json']).encode()
    write(small, {'plugins.json': None, 'tools.json': tools + b' ' * (BYTES_MAX - len(tools))})
    built(run, small)


def test_a_bundle_that_is_too_large_is_refused_at_its_edge(run, small):
    each, n = 262144, 4  # bytes of the longest prompt
    flows = [f'f{i}' for i in range(n)]
    write(small, {'workflows.json': [{'name': f, 'ref': f'prompt:{f}'} for f in flows],
                  'profiles.json': [{**SMALL['profiles.json'][0], 'workflows': flows}],
                  **{f'prompts/{f}.md': 'a' * each for f in flows[1:]}, 'prompts/f0.md': 'a'})
    room = BYTES_MAX - len(built(run, small)) + 1
    data = built(run, write(small, {'prompts/f0.md': 'a' * room}))
    assert len(data) == BYTES_MAX
    path = small.parent / 'b.json'
    path.write_bytes(data)
    run('lint', path)
    path.write_bytes(data + b'\n')
    assert [f['rule'] for f in findings(run, path)] == ['too-large']
    write(small, {'prompts/f0.md': 'a' * (room + 1)})
    assert [f['rule'] for f in findings(run, small)] == ['too-large']
    write(small, {'prompts/f0.md': 'a' * each, 'prompts/reader.md': 'a' * each})
    assert {(os.path.relpath(f['file'], small), f['rule']) for f in findings(run, small)} == \
        {('prompts', 'too-large')}


def test_too_many_files_are_refused(run, small):
    for i in range(1025):
        (small / f'prompts/p{i}.md').write_text('')
    found = findings(run, small)
    assert (os.path.relpath(found[0]['file'], small), found[0]['rule']) == ('prompts', 'too-large')


@pytest.mark.parametrize('data, line, column', [
    (b'ab\n\xff', 2, 1), (b'\xc3', 1, 1), (b'a\n\nb\0c', 3, 2),
    (b'\xe2\x98\x83\xed\xa0\x80', 1, 4)])
def test_what_is_no_text_is_refused_at_its_place(run, small, data, line, column):
    write(small, {'prompts/reader.md': data})
    found, = findings(run, small)
    assert (found['rule'], found['line'], found['column']) == ('utf-8', line, column)


def test_all_that_is_no_json_is_said_at_once(run, small):
    write(small, {'tools.json': '[\n  { "name": }\n]', 'models.json': '[1,]', 'grants.json': '',
                  'bundle.json': '{"id": "a", "id": "b"}'})
    found = {os.path.basename(f['file']): f for f in findings(run, small)}
    assert set(found) == {'tools.json', 'models.json', 'grants.json', 'bundle.json'}
    assert {f['rule'] for f in found.values()} == {'json'}
    assert (found['tools.json']['line'], found['tools.json']['column']) == (2, 13)


def test_a_folder_without_its_head_is_refused(run, small):
    write(small, {'bundle.json': None})
    found, = findings(run, small)
    assert (os.path.basename(found['file']), found['rule']) == ('bundle.json', 'missing-file')


@pytest.mark.parametrize('member', ['schema', 'tools', 'prompts'])
def test_what_has_its_own_place_does_not_stand_in_the_head(run, small, member):
    write(small, {'bundle.json': json.dumps({**SMALL['bundle.json'], member: []}, indent=1)})
    found, = findings(run, small)
    assert (found['rule'], found['pointer'], found['line']) == ('unknown-member', f'/{member}', 9)


def test_a_finding_names_the_source(run, small):
    write(small, {'tools.json': '// one\n[ { "name": "fs_read", "plugin": "dev.yoi.tool-fs",\n'
                                '    "policy": "perhaps",\n  "grants": ["mount:workspace:ro"] } ]',
                  'profiles.json': f"[\n{json.dumps({**SMALL['profiles.json'][0], 'modle': 1})}]",
                  'prompts/reader.md': 'ghp_' + '0123456789abcdefABCD' * 2})
    lines = run('lint', small, code=1).stdout.decode().splitlines()
    assert any(x.startswith(f'{small}/tools.json:3:15: ') and '/tools/0/policy)' in x
               for x in lines), lines
    assert any(x.startswith(f'{small}/profiles.json:2:') and 'modle' in x for x in lines), lines
    assert any(x.startswith(f'{small}/prompts/reader.md:1:1: ') and 'credential' in x
               for x in lines), lines
    assert not any('0123456789abcdef' in x for x in lines)
    done = run('build', small, code=1)
    assert done.stdout == b'' and done.stderr.decode().splitlines() == lines


def test_what_is_missing_is_said_where_it_is_missing(run, small):
    write(small, {'models.json': None, 'profiles.json': None})
    names = {os.path.basename(f['file']) for f in findings(run, small)}
    assert names & {'profiles.json', 'bundle.json'}


# ---- lint, digest, show --------------------------------------------------------
def test_lint_looks_at_all_of_them(run, small, tmp_path):
    good = tmp_path / 'good.json'
    good.write_bytes(built(run, small))
    bad = tmp_path / 'bad.json'
    bad.write_bytes(good.read_bytes().replace(b'"revision": "1"', b'"revision": 1'))
    done = run('lint', bad, good, tmp_path / 'none.json', small, code=1)
    lines = done.stdout.decode().splitlines()
    assert lines[0].startswith(f'{bad}:4:15: ') and lines[0].endswith(', /revision)')
    assert f'{good}: ok' in lines and f'{small}: ok' in lines
    assert any(x.startswith(f'{tmp_path}/none.json:1:1: cannot be read: ') for x in lines)
    assert run('lint', good, '--json').stdout == b''


def test_the_digest_is_that_of_the_file(run, small, tmp_path):
    path = tmp_path / 'b.json'
    for data in (built(run, small), json.dumps(json.loads(built(run, small))).encode()):
        path.write_bytes(data)
        shown = subprocess.run(['sha256sum', str(path)], stdout=subprocess.PIPE, check=True).stdout
        assert run('digest', path).stdout.split(b':')[1].strip() == shown.split()[0]
    path.write_bytes(data[:-1])
    assert run('digest', path, code=1).stdout == b''


def test_a_pipe_is_read_as_a_file(run, small, tmp_path):
    data = built(run, small)
    (tmp_path / 'b.json').write_bytes(data)
    done = subprocess.run(['bash', '-c', f'{BINARY} bundle digest <(cat b.json)'], cwd=tmp_path,
                          env=environment(tmp_path / 'env'), stdout=subprocess.PIPE, check=True)
    assert done.stdout.decode().strip() == digest_of(data)


def test_show_says_what_a_worker_may(run, tmp_path):
    text = run('show', BUNDLES / 'default').stdout.decode()
    for want in ('bundle       default, revision 1', 'workspace    default Default',
                 'profile coder', "model        main, the host's 'main'",
                 'steps 64', 'ask   shell_run', 'dev.yoi.tool-shell optional mount:workspace:rw',
                 'deny  no-keys', 'review'):
        assert want in text, text
    shown = json.loads(run('show', BUNDLES / 'default', '--json').stdout)
    data = built(run, BUNDLES / 'default')
    assert shown['digest'] == digest_of(data) and shown['bytes'] == len(data)
    source = json.loads(data)
    assert [t['name'] for t in shown['tools']] == [t['name'] for t in source['tools']]
    assert {p['name']: p['bytes'] for p in shown['prompts']} == \
        {p['name']: len(p['text'].encode()) for p in source['prompts']}
    coder = shown['profiles'][1]
    assert coder['limits']['steps'] == 64 and coder['limits']['approval_ms'] == 86400000
    assert coder['workflows'] == ['review']
    assert shown['policies'] == source['policies']


# ---- diff ------------------------------------------------------------------------
def test_the_same_bytes_are_the_same(run, small, tmp_path):
    (tmp_path / 'b.json').write_bytes(built(run, small))
    assert run('diff', small, tmp_path / 'b.json').stdout.startswith(b'the same: sha256:')
    (tmp_path / 'c.json').write_text(json.dumps(json.loads(built(run, small))))
    assert b'in other bytes' in run('diff', small, tmp_path / 'c.json', code=1).stdout
    run('diff', small, tmp_path / 'none', code=3)


def blocks(text):
    """{title: lines} of what diff says, and what stands below a prompt's name."""
    out, title = {}, ''
    for line in text.splitlines():
        if line.endswith(':') and not line.startswith((' ', '+', '-')):
            title = line[:-1]
        elif line.startswith("prompt '"):
            title = line
        else:
            out.setdefault(title, []).append(line[2:] if title.startswith('may') else line)
    return out


def test_what_may_do_more_stands_out(run, small, tmp_path):
    shell = {'name': 'shell_run', 'plugin': 'dev.yoi.tool-shell', 'policy': 'allow',
             'grants': ['mount:workspace:rw', 'shell:workspace']}
    reader = SMALL['profiles.json'][0]
    more = write(tmp_path / 'more', {
        **SMALL, 'bundle.json': {**SMALL['bundle.json'], 'revision': '2'},
        'tools.json': [SMALL['tools.json'][0], shell],
        'grants.json': ['model:main', 'mount:workspace:ro', 'mount:workspace:rw',
                        'shell:workspace'],
        'profiles.json': [{**reader, 'tools': ['fs_read', 'shell_run'], 'limits': {'steps': 99}}],
        'prompts/reader.md': 'Read.\n\nThen do it.\n'})
    found = blocks(run('diff', small, more, code=1).stdout.decode())
    assert found['may do more'] == [
        "tool 'shell_run' of plugin 'dev.yoi.tool-shell' is new (allow)",
        "tool 'shell_run' asks for 'mount:workspace:rw'",
        "tool 'shell_run' asks for 'shell:workspace'",
        "profile 'reader' has tool 'shell_run' (allow)",
        "profile 'reader' has steps 99, had 16"]
    assert 'may do less' not in found
    assert "  ~ revision '1' -> '2'" in found['changes']
    assert [x for x in found["prompt 'reader'"] if x] == [
        '  Read.', ' ', '- Then say what you read.', '+ Then do it.']
    back = blocks(run('diff', more, small, code=1).stdout.decode())
    assert len(back['may do less']) == 5 and 'may do more' not in back


def test_policies_and_pins_are_weighed(run, small, tmp_path):
    def policies(*rules):
        return [{'name': 'p', 'plugin': 'dev.yoi.policy-rules', 'rules': list(rules)}]
    deny = {'name': 'no', 'decision': 'deny', 'tools': ['fs_read'], 'paths': ['secret/**']}
    ask = {'name': 'maybe', 'decision': 'ask', 'tools': ['fs_read']}
    a = write(tmp_path / 'a', {**SMALL, 'policies.json': policies(deny, ask)})
    b = write(tmp_path / 'b', {**SMALL, 'policies.json': policies({**deny, 'paths': ['s/**']}),
                               'tools.json': [{**SMALL['tools.json'][0], 'policy': 'deny'}],
                               'plugins.json': [{'id': 'dev.yoi.tool-fs', 'version': '>=1.0 <2'}]})
    found = blocks(run('diff', a, b, code=1).stdout.decode())
    assert found['may do more'] == ["rule 'maybe' of policy 'p' is gone"]
    assert found['may do less'] == ["tool 'fs_read' is 'deny', was 'allow'",
                                    "plugin 'dev.yoi.tool-fs' is pinned"]
    assert found['may do more or less'] == ["rule 'no' of policy 'p' is another"]


# ---- the command line --------------------------------------------------------------
@pytest.mark.parametrize('args, word', [
    ([], 'build, lint'), (['bulid'], 'build, lint'), (['build'], 'takes a folder'),
    (['build', 'a', 'b'], "'b' is one argument too many"), (['lint'], 'takes files'),
    (['lint', 'a', '-o', 'x'], "no option '-o'"), (['digest', 'a', '--json'], "no option '--json'"),
    (['diff', 'a'], 'two files'), (['push', 'c', 'r'], 'bundles'), (['pull', 'c', 'r'], 'digest'),
    (['pull', 'c', 'r', 'sha256:00'], 'no digest'), (['build', 'a', '--what'], 'unknown option')])
def test_a_wrong_command_line_is_said(run, args, word):
    done = run(*args, code=2)
    assert word in done.stderr.decode() and done.stdout == b''


def test_build_takes_a_folder(run, small, tmp_path):
    path = tmp_path / 'b.json'
    path.write_bytes(built(run, small))
    assert b'takes a folder' in run('build', path, code=2).stderr


# ---- those of the tree -----------------------------------------------------------
def test_the_built_in_profiles_are_the_ones_that_are_checked_in(run):
    checked_in = (BUNDLES / 'builtin.json').read_bytes()
    assert built(run, BUNDLES / 'builtin') == checked_in, 'make bundles'
    found = json.loads((BUNDLES / 'builtin.json').read_text())
    assert (found['id'], found['workspace_id']) == ('builtin', 'builtin')
    assert [p['name'] for p in found['profiles']] == ['companion', 'coder']


def test_make_builds_the_default_bundle(run):
    path = pathlib.Path(BUILD / 'bundles/default.json')
    assert path.read_bytes() == built(run, BUNDLES / 'default')
