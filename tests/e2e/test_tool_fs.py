"""The tools of files in a turn: a model asks for them, the host lets them.

The model is a script: the n-th request of a turn asks for the n-th call.
"""
import hashlib
import json

import pytest

from lib import configs, wait
from lib.host import merge
from lib.worker import Worker, text_of

CODER = {'profile': {'kind': 'builtin', 'value': 'coder'}}


def revision(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def calling(*calls):
    """A model that asks for these (tool, arguments), one behind another."""
    answers = [{'step': i, 'steps': [{'call': {'name': tool, 'arguments': arguments}}]}
               for i, (tool, arguments) in enumerate(calls)]
    return configs.script(answers=answers, steps=[{'say': 'done'}])


@pytest.fixture(name='folder')
def _folder(tmp_path):
    """What the operator gives, and beside it what nobody does."""
    folder = tmp_path / 'given'
    (folder / 'src').mkdir(parents=True)
    (folder / 'src/main.c').write_text('int a;\nint b;\n')
    (tmp_path / 'outside').write_text('the secret\n')
    (folder / 'out').symlink_to(tmp_path / 'outside')
    return folder


@pytest.fixture(name='made')
def _made(new_host, folder):
    """A worker on a host whose model asks for these calls; mode of the mount."""
    def make(*calls, mode='rw'):
        config = merge(configs.standard(model=calling(*calls)), {
            'local': {'mounts': {'workspace': {'path': str(folder), 'mode': mode}}}})
        return Worker.create(new_host(config).v1, **CODER)
    return make


def results(worker):
    """What the model was told, in order."""
    return [text_of(i) for i in worker.transcript()['items'] if i['role'] == 'tool']


def approvals(worker):
    return worker.client.ok('GET', worker.path + '/approvals')['approvals']


def allow_next(worker):
    """Allows the call that waits; what was asked."""
    wait.until(lambda: approvals(worker), what='an approval')
    (asked,) = approvals(worker)
    worker.client.ok('POST', f"{worker.path}/approvals/{asked['approval_id']}",
                     {'decision': 'allow'})
    return asked


def ended(worker):
    wait.until(lambda: worker.get()['state'] == 'idle', what='the end of the turn')
    return worker.get()['turn']


def test_files_are_read_and_found_without_a_question(made):
    worker = made(('fs_list', {'depth': 2}), ('fs_glob', {'pattern': '**/*.c'}),
                  ('fs_grep', {'pattern': 'int b'}), ('fs_read', {'path': 'src/main.c'}))
    assert worker.say('look')['turn']['state'] == 'completed'
    listed, globbed, grepped, read = results(worker)
    assert listed == "'.': 3 entries\nout (link)\nsrc/\nsrc/main.c 14\n"
    assert globbed == "'.': 1 file\nsrc/main.c\n"
    assert grepped == "'.': 1 line found\nsrc/main.c\n2:int b;\n"
    assert f"revision {revision('int a;' + chr(10) + 'int b;' + chr(10))}" in read
    assert '\n1\tint a;\n2\tint b;\n' in read


def test_what_leads_out_is_refused_and_the_message_names_no_path(made, tmp_path):
    paths = ('out', '../outside', '/etc/passwd', 'src/../../outside', str(tmp_path / 'outside'))
    worker = made(*(('fs_read', {'path': p}) for p in paths))
    assert worker.say('look')['turn']['state'] == 'completed'
    told = results(worker)
    assert len(told) == len(paths)
    for text in told[:4]:
        assert 'the secret' not in text and 'root:' not in text and str(tmp_path) not in text
    assert 'the secret' not in told[4]


def test_a_change_is_made_when_a_person_allows_it(made, folder):
    before, after = 'int a;\nint b;\n', 'int a;\nlong b;\n'
    worker = made(
        ('fs_edit', {'path': 'src/main.c', 'expected_revision': revision(before),
                     'edits': [{'old': 'int b', 'new': 'long b'}]}),
        ('fs_write', {'path': 'doc/new.md', 'content': 'new\n', 'create_folders': True}),
        ('fs_write', {'path': 'src/main.c', 'content': 'x'}))
    worker.input('change it')
    asked = allow_next(worker)
    assert 'src/main.c' in json.dumps(asked)
    wait.until(lambda: (folder / 'src/main.c').read_text() == after, what='the edit')
    assert not (folder / 'doc').exists()
    allow_next(worker)
    wait.until(lambda: (folder / 'doc/new.md').exists(), what='the new file')
    allow_next(worker)
    assert ended(worker)['state'] == 'completed'
    edited, written, refused = results(worker)
    assert f'revision {revision(after)}' in edited and '-int b\n+long b\n' in edited
    assert written.startswith("made 'doc/new.md': 1 lines, 4 bytes")
    assert "'src/main.c' is there already: read it with fs_read" in refused
    assert (folder / 'src/main.c').read_text() == after
    assert sorted(p.name for p in folder.rglob('*')) == ['doc', 'main.c', 'new.md', 'out', 'src']


def test_files_outlive_the_worker_that_made_them(made, folder):
    worker = made(('fs_write', {'path': 'kept.md', 'content': 'kept\n'}))
    worker.input('write it')
    allow_next(worker)
    assert ended(worker)['state'] == 'completed'
    worker.stop()
    assert worker.client.delete(worker.path).status == 204
    assert (folder / 'kept.md').read_text() == 'kept\n'
    assert (folder / 'src/main.c').exists()


def test_a_mount_that_is_read_only_is_only_read(made, folder):
    worker = made(('fs_write', {'path': 'new', 'content': 'x'}),
                  ('fs_read', {'path': 'src/main.c'}), mode='ro')
    assert worker.say('change it')['turn']['state'] == 'completed'
    refused, read = results(worker)
    assert 'int a;' in read and 'made' not in refused
    assert not (folder / 'new').exists()


def test_arguments_that_do_not_fit_reach_no_file(made):
    worker = made(('fs_read', {'path': 'src/main.c', 'offset': 0}),
                  ('fs_edit', {'path': 'src/main.c', 'edits': []}))
    assert worker.say('look')['turn']['state'] == 'completed'
    first, second = results(worker)
    assert 'offset' in first and 'int a;' not in first
    assert 'expected_revision' in second or 'edits' in second
