"""Each rule of tests/lint.py is shown to fail on a planted break, naming the
file and the line, and to be content with the small tree it is planted in.

PLANTED has one row per break: rule, file, text that is replaced (None: the
whole file is new), what stands there then, the line that is to be named.
"""
import os
import pathlib
import subprocess
import sys

import pytest

LINT = pathlib.Path(__file__).resolve().parent.parent / 'lint.py'

ESSAY = ('/* %s - a file of a small tree that keeps all of the house rules,\n'
         ' * into which one break each is planted. */\n')
TREE = {
    'abi/yoi.h': ESSAY % 'yoi.h' + '''#ifndef YOI_H
#define YOI_H

#include <yoi/ops.h>

YOI_API const char *yoi_version(void);

#endif
''',
    'abi/yoi/ops.h': ESSAY % 'yoi/ops.h' + '''#ifndef YOI_OPS_H
#define YOI_OPS_H

#define YOI_OPS(X)                                       \\
  X(WORKER_GET, 1, "worker.get", RUNTIME, "GET", "", "") \\
  X(WORKER_PUT, 2, "worker.put", RUNTIME, "PUT", "", "")

#define YOI_EVENTS(X) X(TURN_ENDED, 27, "turn.ended", DURABLE)
typedef struct yoi_thing {
  uint32_t size; /* [any] is no tag here */
  /* [any & open] Goes. */
  void (*go)(void *self, void (*each)(void *ctx));
} yoi_thing;

#endif
''',
    'abi/yoi/limits.h': ESSAY % 'yoi/limits.h' + '''#ifndef YOI_LIMITS_H
#define YOI_LIMITS_H
#define YOI_WORDS_MAX 1 /* one is enough */
#endif
''',
    'abi/sdk/mem.h': ESSAY % 'sdk/mem.h' + '#ifndef YOI_SDK_MEM_H\n#define YOI_SDK_MEM_H\n#endif\n',
    'host/libyoi.map': '{ global: yoi_version; local: *; };\n',
    'host/registry.h': ESSAY % 'registry.h' + '''#ifndef YOI__REGISTRY_H
#define YOI__REGISTRY_H
int yoi__registry_find(void);
#endif
''',
    'host/registry.c': ESSAY % 'registry.c' + '''#include "registry.h"

#include <stddef.h>

static const char *const words[YOI_WORDS_MAX] = {"a; b"};

const char *yoi_version(void) {
  return words[0];
}

int yoi__registry_find(void) {
  return send(1, words[0], 1, MSG_NOSIGNAL) > 0;
}
''',
    'plugins/thing/plugin.c': ESSAY % 'plugin.c' + '''#include <yoi.h>

struct yoi_thing;

YOI_MANIFEST_FILE(MANIFEST);

int thing_go(struct yoi_thing *t) {
  return t != 0;
}

int thing_stop(void) {
  return 0;
}
'''.replace('<yoi.h>', '<yoi/ops.h>'),
    'plugins/thing/README.md': '# thing\n\nSee [the mem header](../../abi/sdk/mem.h).\n',
    'plugins/thing/thing.yoi.json':
        '{"manifest": "yoi.plugin/1", "id": "a.b", "kind": "model", "version": "1.0.0",\n'
        ' "abi": 1, "interfaces": [], "threads": "parallel", "config": {}}\n',
    'tests/e2e/test_thing.py': '"""Tests the thing and nothing but it."""\n\nx = 1\n',
    'docs/http.md': '# HTTP\n\n`worker.get` and `worker.put`.\n',
    'docs/workers.md': '# Workers\n\n`turn.ended`.\n',
    'docs/embed.md': '# Embed\n\n`yoi_version` says it.\n',
}
PLANTED = [
    ('tags', 'abi/yoi/ops.h', '[any & open] Goes.', 'Goes.', 14),
    ('tags', 'abi/yoi/ops.h', '  /* [any & open] Goes. */\n', '', 13),
    ('exports', 'abi/yoi.h', 'yoi_version(void);', 'yoi_other(void);', 8),
    ('numbers', 'abi/yoi/ops.h', 'WORKER_PUT, 2', 'WORKER_PUT, 1', 8),
    ('guard', 'host/registry.h', '#ifndef YOI__REGISTRY_H', '#ifndef YOI__OTHER_H', 1),
    ('guard', 'abi/sdk/mem.h', '#ifndef YOI_SDK_MEM_H\n#define YOI_SDK_MEM_H',
     '#ifndef YOI_SDK_STR_H\n#define YOI_SDK_STR_H', 4),
    ('includes', 'plugins/thing/plugin.c', '<yoi/ops.h>', '"../../host/registry.h"', 3),
    ('includes', 'host/registry.c', '<stddef.h>', '<cjson/cJSON.h>', 5),
    ('includes', 'host/cli/main.c', None, ESSAY % 'x' + '#include "../registry.h"\n', 3),
    ('includes', 'host/registry.c', '#include "registry.h"\n\n#include <stddef.h>',
     '#include <stddef.h>\n#include "registry.h"', 4),
    ('host-size', 'host/long.h', None, ESSAY % 'x' + 'int x;\n' * 15500, 1),
    ('plugins', 'plugins/thing/thing.yoi.json', '"abi": 1, ', '', 1),
    ('plugins', 'plugins/thing/plugin.c', '', None, 1),
    ('length', 'host/long.c', None, ESSAY % 'x' + 'int x;\n' * 800, 801),
    ('width', 'abi/yoi/ops.h', '[any & open] Goes.', f'[any & open] {"x" * 60}', 13),
    ('essay', 'host/registry.c', ESSAY % 'registry.c', '/* registry */\n', 1),
    ('essay', 'tests/e2e/test_thing.py', '"""Tests the thing and nothing but it."""\n', '', 1),
    ('comments', 'host/registry.c', 'words[0];', 'words[0]; // the first', 10),
    ('whitespace', 'docs/http.md', '# HTTP', '# HTTP ', 1),
    ('whitespace', 'docs/http.md', '`.\n', '`.\n\n', 4),
    ('words', 'docs/http.md', '# HTTP', 'TO' + 'DO', 1),
    ('words', 'docs/http.md', '# HTTP', 'in /wo' + 'rk/main', 1),
    ('words', 'docs/http.md', '# HTTP', 'for iss' + 'ue #2', 1),
    ('names', 'host/registry.c', 'int yoi__registry_find', 'int registry_find', 13),
    ('names', 'plugins/thing/plugin.c', 'thing_stop', 'other_stop', 13),
    ('names', 'host/registry.c', 'return words[0]', 'return word_manager', 10),
    ('global-state', 'host/registry.c', 'static const char *const words',
     'static const char *words', 7),
    ('global-state', 'host/registry.c', 'return words[0]', 'static int calls; return 0', 10),
    ('allocation', 'host/registry.c', 'return words[0]', 'return malloc(1)', 10),
    ('allocation', 'host/registry.c', 'words[0];', 'yoi_sdk_malloc(sizeof(struct a));', 10),
    ('process', 'host/registry.c', 'return words[0]', 'abort()', 10),
    ('process', 'host/registry.c', 'MSG_NOSIGNAL', '0', 14),
    ('buffers', 'host/registry.c', 'return words[0]', 'char b[4096]', 10),
    ('limits', 'abi/yoi/limits.h', 'YOI_WORDS_MAX', 'YOI_OTHER_MAX', 5),
    ('limits', 'abi/yoi/limits.h', 'YOI_WORDS_MAX 1', 'YOI_HTTP_MS_MAX 2', 5),
    ('sleeps', 'tests/e2e/test_thing.py', 'x = 1', 'time.sleep' + '(1)', 3),
    ('links', 'plugins/thing/README.md', 'mem.h', 'gone.h', 3),
    ('documented', 'docs/http.md', '`worker.put`', '`worker.putting`', None),
    ('documented', 'docs/workers.md', '`turn.ended`', '`turn.ends`', None),
    ('documented', 'docs/embed.md', '`yoi_version`', '`yoi_versions`', None),
]


def lint(root):
    done = subprocess.run([sys.executable, str(LINT), '--root', str(root)], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False, timeout=60)
    return done.returncode, done.stdout.decode()


def plant(root, tree):
    for name, text in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_tree_that_keeps_the_rules_passes(tmp_path):
    plant(tmp_path, TREE)
    code, said = lint(tmp_path)
    assert code == 0, said


@pytest.mark.parametrize('which,name,old,new,line', PLANTED,
                         ids=[f'{i}-{p[0]}' for i, p in enumerate(PLANTED)])
def test_a_planted_break_is_found(tmp_path, which, name, old, new, line):
    plant(tmp_path, TREE)
    if new is None:
        os.unlink(tmp_path / name)
        name = 'plugins/thing/thing.yoi.json'
    elif old is None:
        plant(tmp_path, {name: new})
    else:
        assert old in TREE[name]
        plant(tmp_path, {name: TREE[name].replace(old, new, 1)})
    code, said = lint(tmp_path)
    assert code == 1, said
    if which == 'documented':
        assert f': {which}: ' in said
        return
    where = 'host' if which == 'host-size' else name
    assert f'{where}:{line}: {which}: ' in said, said


def test_every_rule_has_a_planted_break():
    done = subprocess.run([sys.executable, str(LINT), '--rules'], stdout=subprocess.PIPE,
                          check=True, timeout=60)
    rules = {row.split(':')[0] for row in done.stdout.decode().splitlines()}
    assert rules == {row[0] for row in PLANTED}


def test_what_git_reports_is_found(tmp_path):
    plant(tmp_path, TREE)
    plant(tmp_path, {'Makefile': 'all:\n \ttrue\n'})
    for argv in (['init', '-q'], ['add', '-A']):
        subprocess.run(['git', *argv], cwd=tmp_path, check=True, timeout=60)
    code, said = lint(tmp_path)
    assert code == 1 and 'Makefile:2: whitespace: space before tab' in said, said
