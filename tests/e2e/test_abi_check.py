"""The gates of tests/abi/check.py are shown to fail, each on a planted break.

The headers and tests/abi are copied, one thing is changed in the copy, and
the gate has to name it. The gates over built objects get a tiny build.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
ENTRY = '__attribute__((visibility("default"))) int yoi_plugin_entry_v1(void) { return 0; }\n'
MANIFEST = '{"id": "a.b"}\n'
REQUEST_SIZE = int(re.search(r'SIZE\(yoi_request, (\d+)\)',
                             (ROOT / 'tests/abi/offsets.c').read_text())[1])
LAYOUT, OBJECTS = ('--only', 'layout'), ('--only', 'symbols,libraries,manifests')


@pytest.fixture(name='tree')
def copied_tree(tmp_path):
    for d in ('abi', 'tests/abi'):
        shutil.copytree(ROOT / d, tmp_path / d, ignore=shutil.ignore_patterns('__pycache__'))
    known = pathlib.Path(os.environ.get('YOI_BUILD') or ROOT / 'build') / 'abi-check'
    known.mkdir(parents=True, exist_ok=True)
    (tmp_path / 'build').mkdir()
    (tmp_path / 'build/abi-check').symlink_to(known.resolve())
    return tmp_path


def check(tree, *args):
    done = subprocess.run([sys.executable, str(ROOT / 'tests/abi/check.py'), '--root', str(tree),
                           *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          timeout=300)
    return done.returncode, done.stdout.decode()


def change(tree, name, old, new):
    path = tree / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


# What is changed in which header, and what has to be said: by the compilers,
# which take their time, or by the gates over the layout.
BREAKS = {
    'two members change places': (
        'abi/yoi/request.h', 'uint32_t origin; /* YOI_ORIGIN_* */\n  uint32_t hops;  ',
        'uint32_t hops;\n  uint32_t origin;', ('offsets: yoi_request.origin has moved',
                                               'layout: FAILED')),
    'a member changes its type': (
        'abi/yoi/host.h', 'uint64_t cookie,\n', 'int64_t cookie,\n',
        ('layout: layout-1.4.txt: gone: 24  8 yoi_status (*token_new)',)),
    'a member is appended': (
        'abi/yoi/request.h', '} yoi_request;', '  yoi_str more;\n} yoi_request;',
        ('offsets: yoi_request has another size',
         f'layout-1.4.txt: new: {REQUEST_SIZE} 16 yoi_str more')),
    'padding is left to the compiler': (
        'abi/yoi/stream.h', 'uint32_t size;\n  uint32_t reserved;', 'uint32_t size;',
        ('-std=c11 stream.h', '-std=c++20 stream.h', 'headers: FAILED')),
    'a header needs another one first': (
        'abi/yoi/host_log.h', '#include <yoi/host.h>', '', ('-std=c17 host_log.h',)),
    'a word of C that C++ has not': (
        'abi/yoi/host_log.h', 'const yoi_log_field *fields', 'const yoi_log_field *restrict fields',
        ('-std=c++11 host_log.h',)),
    'a new type has no witness': (
        'abi/yoi/base.h', '#ifdef __cplusplus\n}', 'typedef struct yoi_pair {\n  yoi_str a;\n}'
        ' yoi_pair;\n#ifdef __cplusplus\n}', ("witness: 'yoi_pair' is not in witness.c",
                                              "offsets: 'yoi_pair' has no size there")),
    'a number is used again': (
        'abi/yoi/base.h', '#define YOI_NOT_FOUND 5', '#define YOI_NOT_FOUND 6',
        ('gone: YOI_NOT_FOUND = 5',)),
    'a code changes its HTTP status': (
        'abi/yoi/ops.h', '"worker_busy", 409', '"worker_busy", 423',
        ('gone: YOI_CODE_WORKER_BUSY = 15',)),
    'a function of the embedding API changes': (
        'abi/yoi.h', 'YOI_API void yoi_free(void *text);', 'YOI_API void yoi_free(char *text);',
        ('gone: YOI_API void yoi_free(void *text);',)),
}


@pytest.mark.parametrize('what', BREAKS)
def test_a_changed_header_is_found(tree, what):
    name, old, new, wanted = BREAKS[what]
    change(tree, name, old, new)
    compiled = any('-std=' in text for text in wanted)
    code, said = check(tree, '--only', 'headers' if compiled else 'offsets,layout')
    assert code == 1
    for text in wanted:
        assert text in said, said


# What was promised by 1.0 and is broken by a later version that is written down
# as if all were well: only the comparison with the older layout can tell.
OLD = 'layout-1.0.txt: '
REQUEST = OLD + 'struct yoi_request does not begin with its old members'
BROKEN_PROMISES = {
    'a member is inserted': (
        'abi/yoi/request.h', '  yoi_str worker_id;', '  yoi_str between;\n  yoi_str worker_id;',
        REQUEST),
    'a member is inserted in front': (
        'abi/yoi/request.h', '  uint32_t size;', '  uint64_t first;\n  uint32_t size;', REQUEST),
    'a member is renamed': (
        'abi/yoi/request.h', 'uint32_t hops;  ', 'uint32_t jumps;', REQUEST),
    'a member is retyped at the same size': (
        'abi/yoi/request.h', 'uint32_t hops;  ', 'int32_t hops;', REQUEST),
    'a member is removed': ('abi/yoi/request.h', '  yoi_str worker_id;', '', REQUEST),
    'the last member is removed': ('abi/yoi/request.h', 'yoi_str body; ', '/* */', REQUEST),
    'two members of one type change places': (
        'abi/yoi/plugin.h', '  yoi_str id;\n  yoi_str version;',
        '  yoi_str version;\n  yoi_str id;',
        OLD + 'struct yoi_plugin does not begin with its old members'),
    'a function pointer gets one more argument': (
        'abi/yoi/runtime.h', '(*close)(void *self)', '(*close)(void *self, uint32_t how)',
        OLD + 'struct yoi_runtime does not begin with its old members'),
    'a callback changes': (
        'abi/yoi/host_loop.h', '(*yoi_loop_fn)(void *ctx', '(*yoi_loop_fn)(const void *ctx',
        OLD + 'gone: typedef void (*yoi_loop_fn)'),
    'a function is removed': (
        'abi/yoi.h', 'YOI_API void yoi_free(void *text);', '',
        OLD + 'gone: YOI_API void yoi_free(void *text);'),
    'a number changes': (
        'abi/yoi/base.h', '#define YOI_NOT_FOUND 5', '#define YOI_NOT_FOUND 25',
        OLD + 'gone: YOI_NOT_FOUND = 5'),
    'a number is removed': (
        'abi/yoi/plugin.h', '#define YOI_KIND_INGRESS 3u', '', OLD + 'gone: YOI_KIND_INGRESS = 3u'),
}


@pytest.mark.parametrize('what', BROKEN_PROMISES)
def test_a_promise_of_an_older_version_is_kept(tree, what):
    name, old, new, wanted = BROKEN_PROMISES[what]
    change(tree, name, old, new)
    code, said = check(tree, *LAYOUT, '--write')
    assert code == 1 and wanted in said and 'layout: FAILED' in said, said


def test_a_struct_that_is_gone_is_missed(tree):
    path = tree / 'abi/yoi/host_secret.h'
    path.write_text(re.sub(r'typedef struct yoi_host_secret.*?} yoi_host_secret;\n', '',
                           path.read_text(), flags=re.S))
    change(tree, 'tests/abi/witness.c', 'WITNESS(yoi_host_secret)\n', '')
    code, said = check(tree, *LAYOUT, '--write')
    assert code == 1 and \
        OLD + 'struct yoi_host_secret does not begin with its old members' in said, said


def test_a_type_that_means_another_one_is_found(tree):
    """No offset and no struct's row tells: all say yoi_status before and after."""
    change(tree, 'abi/yoi/base.h', 'typedef int32_t yoi_status;', 'typedef uint32_t yoi_status;')
    code, said = check(tree, *LAYOUT)
    assert code == 1 and 'layout-1.4.txt: gone: typedef int32_t yoi_status;' in said, said


def test_a_member_that_pahole_shows_in_several_lines_is_not_overlooked(tree):
    change(tree, 'abi/yoi/request.h', '} yoi_request;',
           '  struct { uint32_t a, b; } pair;\n} yoi_request;')
    code, said = check(tree, *LAYOUT, '--write')
    assert code == 1 and 'struct yoi_request has a member that is not one line' in said, said


def test_an_old_layout_is_a_prefix_of_the_new_one(tree):
    """What may grow may grow, and what is frozen may not."""
    change(tree, 'abi/yoi/base.h', 'ABI_MINOR 4u', 'ABI_MINOR 5u')
    change(tree, 'abi/yoi/request.h', '} yoi_request;', '  yoi_str more;\n} yoi_request;')
    change(tree, 'tests/abi/offsets.c', f'SIZE(yoi_request, {REQUEST_SIZE})',
           f'SIZE(yoi_request, {REQUEST_SIZE + 16})')
    said = check(tree, '--only', 'offsets,layout', '--write')[1]
    assert 'layout: ok, version 1.5' in said and 'offsets: ok' in said, said
    change(tree, 'abi/yoi/base.h', '  size_t len;\n', '  size_t len;\n  size_t cap;\n')
    said = check(tree, *LAYOUT, '--write')[1]
    assert 'layout-1.4.txt: struct yoi_str is frozen' in said, said
    assert 'struct yoi_error does not begin' not in said, said


TEXTS = ('--only', 'offsets,layout,history,snapshot')


def test_an_unbroken_copy_passes(tree):
    code, said = check(tree, *TEXTS)
    assert code == 0 and 'SKIPPED' not in said, said
    for gate in ('offsets', 'witness', 'layout', 'history', 'snapshot'):
        assert f'abi {gate}: ok' in said, said


@pytest.mark.parametrize('old, new', [
    ('   0  4 uint32_t size', '   0  4 uint32_t length'), ('YOI_NOT_FOUND = 5\n', ''),
    ('# The layout of', '# The new layout of')])
def test_a_layout_that_was_written_down_stays(tree, old, new):
    """Not even --write makes another past: it knows today's minor only."""
    change(tree, 'tests/abi/layout-1.1.txt', old, new)
    code, said = check(tree, '--only', 'history', '--write')
    assert code == 1 and 'history: layout-1.1.txt is not what was written down' in said, said
    assert (tree / 'tests/abi/HISTORY').read_bytes() == (ROOT / 'tests/abi/HISTORY').read_bytes()


def test_the_history_gains_a_section_with_the_minor(tree):
    change(tree, 'abi/yoi/base.h', 'ABI_MINOR 4u', 'ABI_MINOR 5u')
    change(tree, 'abi/yoi/request.h', '} yoi_request;', '  yoi_str more;\n} yoi_request;')
    check(tree, *LAYOUT, '--write')
    code, said = check(tree, '--only', 'history')
    assert code == 1 and 'history: 1.5 has no section' in said, said
    code, said = check(tree, '--only', 'history', '--write')
    assert code == 0 and 'to 1.5' in said, said
    before = (ROOT / 'tests/abi/HISTORY').read_text()
    after = (tree / 'tests/abi/HISTORY').read_text()
    assert after.startswith(before) and \
        after[len(before):].split('\n')[2:] == ['  yoi_request gained: yoi_str more', '']


@pytest.mark.parametrize('name, old, new, wanted', [
    ('1.0/yoi/request.h', 'uint32_t origin; /* YOI_ORIGIN_* */\n  uint32_t hops;  ',
     'uint32_t hops;\n  uint32_t origin;', '1.0: "yoi_request.origin"'),
    ('1.1/yoi/base.h', '#define YOI_NOT_FOUND 5', '#define YOI_NOT_FOUND 6',
     '1.1: gone: YOI_NOT_FOUND = 5'),
    ('1.3/yoi/policy.h', '} yoi_policy_request;', '  yoi_str more;\n} yoi_policy_request;',
     '1.3: "size of yoi_policy_request"'),
    ('1.2/yoi.h', None, None, '1.2 has no headers')])
def test_headers_that_were_frozen_stay(tree, name, old, new, wanted):
    name = f'tests/abi/headers/{name}'
    if old:
        change(tree, name, old, new)
    else:
        (tree / name).unlink()
    code, said = check(tree, '--only', 'frozen')
    assert code == 1 and 'frozen: FAILED' in said and wanted in said, said


def test_what_a_minor_added_is_not_told_otherwise(tree):
    change(tree, 'tests/abi/HISTORY', '  struct yoi_policy, 40 bytes\n', '')
    code, said = check(tree, '--only', 'history')
    assert code == 1 and 'history: 1.3: new: struct yoi_policy, 40 bytes' in said, said


@pytest.mark.parametrize('name, old, new, wanted', [
    ('abi/yoi/host.h', 'uint64_t cookie,\n', 'int64_t cookie,\n',
     'typedef name changed from uint64_t to int64_t'),
    ('abi/yoi/request.h', '  yoi_str worker_id;', '  yoi_str between;\n  yoi_str worker_id;',
     "'yoi_str between', at offset"),
    ('abi/yoi/request.h', 'uint32_t hops;  ', 'uint32_t jumps;',
     "name of 'yoi_request::hops' changed to 'yoi_request::jumps'"),
    ('abi/yoi/base.h', 'typedef int32_t yoi_status;', 'typedef uint32_t yoi_status;',
     'typedef name changed from int32_t to uint32_t'),
    ('tests/abi/witness.c', 'WITNESS(yoi_stream)\n', '', 'witness_yoi_stream')])
def test_the_snapshot_is_another_witness(tree, name, old, new, wanted):
    change(tree, name, old, new)
    code, said = check(tree, '--only', 'snapshot')
    assert code == 1 and wanted in said and 'snapshot: FAILED' in said, said


def built(tree, name, code, *flags):
    path = tree / 'build' / name
    path.parent.mkdir(parents=True, exist_ok=True)
    source = tree / 'build' / 'x.c'
    source.write_text(code)
    done = subprocess.run(['gcc', '-fvisibility=hidden', '-o', str(path), str(source), *flags],
                          stderr=subprocess.PIPE, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return path


def build(tree, plugin=ENTRY, library='', flags=(), gates=OBJECTS):
    """A build directory with one plugin, libyoi.so and yoi-host."""
    source = tree / 'plugins/thing/thing.yoi.json'
    source.parent.mkdir(parents=True)
    source.write_text(MANIFEST)
    text = (tree / 'abi/yoi.h').read_text()
    names = re.findall(r'YOI_API[^;(]*?\b(yoi_\w+)\(', text)
    section = f'#include <yoi/plugin.h>\nYOI_MANIFEST_FILE("{source}");\n'
    built(tree, 'plugins/thing.so', plugin.replace('MANIFEST;', section), '-shared', '-fPIC',
          f'-I{tree}/abi')
    public = '__attribute__((visibility("default")))'
    built(tree, 'libyoi.so', library + ''.join(f'{public} void {n}(void);\n'
                                               f'void {n}(void) {{}}\n' for n in names),
          '-shared', '-fPIC')
    built(tree, 'yoi-host', 'int main(void) { return 0; }\n', *flags)
    return check(tree, *gates)


def test_a_clean_build_passes(tree):
    code, said = build(tree, 'MANIFEST;' + ENTRY.replace('int yoi', 'const yoi_plugin *yoi'),
                       gates=())
    assert code == 0 and 'manifests: ok, 1 plugins' in said, said


def test_a_plugin_that_exports_more_is_found(tree):
    code, said = build(tree, ENTRY + '__attribute__((visibility("default"))) int yoi__x;\n')
    assert code == 1 and "symbols: thing.so exports 'yoi__x'" in said, said


def test_a_plugin_without_manifest_is_found(tree):
    code, said = build(tree)
    assert code == 1 and 'thing.so has no section .yoi.manifest' in said, said


def test_a_manifest_that_strip_takes_away_is_found(tree):
    code, said = build(tree, ENTRY + '__asm__(".pushsection .yoi.manifest,\\"\\",%progbits\\n'
                       '.ascii \\"{}\\"\\n.popsection");\n')
    assert code == 1 and 'thing.so has no section .yoi.manifest that is loaded' in said, said


def test_a_library_that_exports_internals_is_found(tree):
    code, said = build(tree, library='__attribute__((visibility("default"))) int yoi__x;\n')
    assert code == 1 and "symbols: libyoi.so exports 'yoi__x'" in said, said


def test_a_host_that_loads_more_is_found(tree):
    code, said = build(tree, flags=('-Wl,--no-as-needed', '-lcurl', '-Wl,-rpath,/opt'))
    assert code == 1 and 'libraries: yoi-host needs libcurl.so' in said, said
    assert 'libraries: yoi-host has RUNPATH' in said, said


def test_what_is_not_built_is_found(tree):
    code, said = check(tree, *OBJECTS)
    assert code == 1 and 'symbols: not built: libyoi.so yoi-host' in said, said


def test_a_missing_tool_is_said_loudly(tree, monkeypatch):
    tools = tree / 'bin'
    tools.mkdir()
    for tool in ('gcc', 'g++', 'as', 'ld', 'cc1'):
        if shutil.which(tool):
            (tools / tool).symlink_to(shutil.which(tool))
    monkeypatch.setenv('PATH', str(tools))
    said = check(tree)[1]
    for gate in ('headers', 'layout', 'snapshot', 'symbols', 'libraries', 'manifests'):
        assert f'abi {gate}: SKIPPED: no ' in said, said
    assert 'GATES WERE SKIPPED' in said
