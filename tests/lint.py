#!/usr/bin/env python3
"""The house rules, as a program.

lint.py [--root DIR] [--rules]

Every finding is one line, `file:line: rule: what is wrong`; exit 1 when there
is any. A rule is a function below, named after what it looks at, with its
reason in its first line. It sees all files that git tracks or would track;
without git (a copied tree), all that is not below build/. Nothing is built
and nothing outside the standard library is used, so that it takes a second.

A rule must be able to fail: tests/e2e/test_lint.py plants one break per rule
and asserts that the list of rules and the list of breaks are the same.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys

RULES = {}
FROZEN = 'tests/abi/headers/'  # as they were: today's rules are not theirs


def rule(function):
    RULES[function.__name__.replace('_', '-')] = function
    return function


class Tree:
    """The files, read once; C files also without comments and literals."""

    def __init__(self, root):
        self.root = pathlib.Path(root).resolve()
        self.git = (self.root / '.git').exists()
        self.findings = []
        self.text = {}
        self.code = {}
        for name in sorted(self.names()):
            path = self.root / name
            if path.is_symlink() or not path.is_file():
                continue
            try:
                self.text[name] = path.read_text(encoding='utf-8')
            except UnicodeDecodeError:
                continue
            if name.endswith(('.c', '.h')):
                self.code[name] = blank(self.text[name])

    def names(self):
        if self.git:
            done = subprocess.run(['git', 'ls-files', '-z', '-c', '-o', '--exclude-standard'],
                                  cwd=self.root, stdout=subprocess.PIPE, check=True)
            return {n for n in done.stdout.decode().split('\0') if n and not n.startswith(FROZEN)}
        found = set()
        for folder, dirs, files in os.walk(self.root):
            dirs[:] = [d for d in dirs if d not in ('build', '.git', '__pycache__')]
            found |= {os.path.relpath(os.path.join(folder, f), self.root) for f in files}
        return {n for n in found if not n.startswith(FROZEN)}

    def say(self, name, line, what):
        self.findings.append((name, line, self.rule, what))

    def at(self, name, offset):
        return self.text[name].count('\n', 0, offset) + 1

    def each(self, suffixes, below=('',)):
        for name in self.text:
            if name.endswith(suffixes) and name.startswith(below):
                yield name, self.text[name]

    def c(self, *below):
        """The C files below a folder, comments and literals blanked."""
        for name in self.code:
            if name.startswith(below or ('',)):
                yield name, self.code[name]


def blank(text):
    """C text with comments, strings and characters as spaces; same offsets."""
    def white(match):
        s = match.group(0)
        if s[0] in '"\'':
            return s[0] + re.sub(r'[^\n]', ' ', s[1:-1]) + s[0]
        return re.sub(r'[^\n]', ' ', s)
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', white, text,
                  flags=re.S)


def no_directives(code):
    """Blanked C text also without preprocessor lines."""
    return re.sub(r'^[ \t]*#(?:\\\n|[^\n])*', lambda m: re.sub(r'[^\n]', ' ', m.group(0)), code,
                  flags=re.M)


def closing(code, i, pair='{}'):
    """Offset behind the bracket that closes the one at i."""
    depth = 0
    for m in re.compile('[%s]' % re.escape(pair)).finditer(code, i):
        depth += 1 if m.group(0) == pair[0] else -1
        if depth == 0:
            return m.end()
    return len(code)


def top_level(code):
    """Yields (kind, offset, text) of what stands at file scope: 'function'
    with its head, 'declaration' without what stands in braces."""
    code = no_directives(code)
    start, chunk, i = 0, '', 0
    for_stop = re.compile(r'[;{]')
    while True:
        m = for_stop.search(code, i)
        if not m:
            return
        chunk += code[i:m.start()]
        if m.group(0) == ';':
            yield 'declaration', start + len(code[start:]) - len(code[start:].lstrip()), chunk
            i = start = m.end()
            chunk = ''
            continue
        i = closing(code, m.start())
        if re.search(r'\)\s*$', chunk) and '=' not in chunk:
            yield 'function', start + len(code[start:]) - len(code[start:].lstrip()), chunk
            start, chunk = i, ''
        elif re.match(r'\s*extern\s*"', chunk):
            i = start = m.end()
            chunk = ''


def table(tree, name):
    """Rows of an X-macro table of ops.h: [(line, [argument, ...])]."""
    ops = 'abi/yoi/ops.h'
    text = tree.text.get(ops, '')
    m = re.search(r'#define %s\(X\)((?:\\\n|[^\n])*)' % name, text)
    rows = []
    for row in re.finditer(r'X\(((?:"[^"]*"|[^()"])*)\)', m.group(1) if m else ''):
        cells = re.findall(r'"[^"]*"|[^,\s\\"]+', row.group(1))
        rows.append((tree.at(ops, m.start(1) + row.start()), [c.strip('"') for c in cells]))
    return rows


def exported(tree):
    """The functions of abi/yoi.h, with their lines."""
    text = tree.code.get('abi/yoi.h', '')
    return {m.group(1): tree.at('abi/yoi.h', m.start())
            for m in re.finditer(r'\bYOI_API\b[^;(]*?\b(yoi_\w+)\s*\(', text)}


# ---- the ABI ---------------------------------------------------------------
@rule
def tags(tree):
    """A function pointer in the ABI says on which threads it may be called."""
    tag = re.compile(r'/\*\s*\[(main|loop|one|any)( & open)?\]')
    for name, code in tree.c('abi/yoi/', 'abi/yoi.h'):
        for head in re.finditer(r'\bstruct\s+\w+\s*\{', no_directives(code)):
            i, end = head.end(), closing(code, head.end() - 1) - 1
            while i < end:
                stop = code.find(';', i, end)
                if stop < 0:
                    break
                member = re.search(r'\S', code[i:stop])
                pointer = re.search(r'\(\s*\*\s*(\w+)\s*\)\s*\(', code[i:stop])
                if member and pointer:
                    begin = i + member.start()
                    before = tree.text[name][head.end():begin].rstrip()
                    at = before.rfind('/*')
                    alone = at >= 0 and before[:at].rsplit('\n', 1)[-1].strip() == ''
                    if not (before.endswith('*/') and alone and tag.match(before[at:])):
                        tree.say(name, tree.at(name, begin), f"'{pointer.group(1)}' has no thread "
                                 'tag: a comment above that starts with [main], [loop], [one] or '
                                 '[any]')
                i = stop + 1


@rule
def exports(tree):
    """What the version scripts export is what the headers declare."""
    declared = exported(tree)
    text = tree.text.get('host/libyoi.map')
    if text is not None:
        listed = set(re.findall(r'\b(yoi_\w+)\s*;', text))
        for f in sorted(set(declared) - listed):
            tree.say('abi/yoi.h', declared[f], f"'{f}' is not in host/libyoi.map")
        for f in sorted(listed - set(declared)):
            tree.say('host/libyoi.map', 1, f"'{f}' is not declared in abi/yoi.h")


@rule
def numbers(tree):
    """Tables of ops.h are append only: numbers and names are used once."""
    for name, col in (('YOI_OPS', 2), ('YOI_CODES', 2), ('YOI_EVENTS', 2)):
        last, seen = 0, set()
        for line, cells in table(tree, name):
            if not cells[1].isdigit() or int(cells[1]) <= last:
                tree.say('abi/yoi/ops.h', line, f'{name}: {cells[1]} does not follow {last}')
            elif cells[col] in seen:
                tree.say('abi/yoi/ops.h', line, f"{name}: '{cells[col]}' stands twice")
            else:
                last = int(cells[1])
            seen.add(cells[col])


@rule
def guard(tree):
    """A header is included once, under a name of its own."""
    owner = {}
    for name, code in tree.c():
        if not name.endswith('.h'):
            continue
        first = re.match(r'\s*#ifndef (\w+)\s*\n#define (\w+)', code)
        stem = re.sub(r'\W', '_', pathlib.Path(name).stem).upper()
        if not first or first.group(1) != first.group(2):
            tree.say(name, 1, 'does not begin with #ifndef NAME_H, #define NAME_H')
        elif not first.group(1).endswith((f'_{stem}_H', f'{stem}_H')):
            tree.say(name, tree.at(name, first.end()), f"guard '{first.group(1)}' is not named "
                     f"after the file: ..._{stem}_H")
        elif first.group(1) in owner:
            tree.say(name, tree.at(name, first.end()), f"guard '{first.group(1)}' is also that of "
                     f'{owner[first.group(1)]}')
        else:
            owner[first.group(1)] = name


# ---- folders ---------------------------------------------------------------
# Which files of ours a folder may include, the longest matching prefix wins.
# '.' is the folder itself: the two components of a plugin's, else the prefix.
MAY_INCLUDE = {
    'abi/yoi.h': ('abi/yoi/',),
    'abi/yoi/': ('abi/yoi/',),
    'abi/sdk/': ('abi/yoi/', 'abi/sdk/'),
    'host/': ('abi/', 'host/'),
    'host/cli/': ('abi/yoi.h', 'abi/yoi/base.h', 'abi/yoi/ops.h', 'abi/yoi/request.h',
                  'abi/yoi/stream.h', 'abi/yoi/limits.h', 'abi/sdk/', 'host/cli/'),
    'runtimes/': ('abi/yoi/', 'abi/sdk/', '.'),
    'runtimes/embedded/': ('abi/yoi/', 'abi/sdk/', '.', 'runtimes/engine/'),
    'runtimes/fs-store/': ('abi/yoi/', 'abi/sdk/', '.', 'runtimes/engine/'),
    'plugins/': ('abi/yoi/', 'abi/sdk/', '.'),
    'tests/plugins/': ('abi/yoi/', 'abi/sdk/', '.', 'tests/plugins/'),
    'docs/examples/': ('abi/yoi.h', 'abi/yoi/', 'abi/sdk/'),
    'tests/': ('',),
}
# Which folders may include a library's headers.
LIBRARY = {
    r'(cjson/)?cJSON\.h': ('abi/sdk/',),
    r'openssl/': ('abi/sdk/core/', 'plugins/ingress-http/', 'tests/'),
    r'curl/': ('abi/sdk/http/', 'tests/'),
    r'libxml/': ('plugins/tool-http/', 'tests/'),
    r'llhttp': ('plugins/ingress-http/', 'tests/'),
    r'cmocka': ('tests/',),
}


@rule
def includes(tree):
    """The folders know of each other only what architecture says."""
    for name, text in tree.each(('.c', '.h')):
        prefix = max((p for p in MAY_INCLUDE if name.startswith(p)), key=len, default=None)
        if prefix is None:
            tree.say(name, 1, 'is in a folder that has no include rule (MAY_INCLUDE in lint.py)')
            continue
        parts = name.split('/')
        own = '/'.join(parts[:3 if parts[0] == 'tests' else 2]) + '/'
        allowed = tuple(own if p == '.' else p for p in MAY_INCLUDE[prefix])
        seen_other = False
        for m in re.finditer(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', text, re.M):
            line, what = tree.at(name, m.start()), m.group(2)
            target = resolve(tree, name, m.group(1), what)
            for library, folders in LIBRARY.items():
                if re.match(library, what) and not name.startswith(folders):
                    tree.say(name, line, f"'{what}' is for {' '.join(folders)} only")
            if m.group(1) == '"' and target is None:
                tree.say(name, line, f"'{what}' is no file of the tree")
            elif target is not None and not target.startswith(allowed):
                tree.say(name, line, f"may not include '{target}'")
            elif (target is not None and prefix == 'host/' and target.startswith('host/cli/')):
                tree.say(name, line, f"may not include '{target}'")
            own = (pathlib.Path(what).name == pathlib.Path(name).stem + '.h' and
                   not (what == 'sdk/plugin.h' and not name.startswith('abi/')))
            if name.endswith('.c') and target is not None and own and seen_other:
                tree.say(name, line, f"its own header '{what}' comes first")
            seen_other = True


def resolve(tree, name, quote, what):
    """The file of the tree that an include names, or None."""
    beside = os.path.normpath(os.path.join(os.path.dirname(name), what))
    for candidate in ([beside] if quote == '"' else []) + [f'abi/{what}', what]:
        if candidate in tree.text:
            return candidate
    return None


@rule
def host_size(tree):
    """A minimal host stays one that can be read: comments and blank lines are free."""
    size = {'host': 0, 'host/cli': 0, 'host/isolate': 0, 'host/worker': 0}
    for name, code in tree.c('host/'):
        lines = sum(1 for line in code.splitlines() if line.strip())
        part = '/'.join(name.split('/')[:2])
        size[part if part in size else 'host'] += lines
    for part, most in (('host', 15500), ('host/cli', 4550), ('host/isolate', 2500),
                       ('host/worker', 2000)):
        if size[part] >= most:
            tree.say(part, 1, f'{size[part]} lines of code; it stays under {most}')


@rule
def plugins(tree):
    """Plugins are directories that look alike."""
    need = {'manifest', 'id', 'kind', 'version', 'abi', 'interfaces', 'threads', 'config'}
    for name, text in tree.each('.yoi.json', ('runtimes/', 'plugins/', 'tests/plugins/')):
        folder = os.path.dirname(name)
        try:
            manifest = json.loads(text)
            missing = sorted(need - set(manifest))
            if missing:
                tree.say(name, 1, f"lacks {', '.join(missing)}")
        except ValueError as e:
            tree.say(name, getattr(e, 'lineno', 1), f'is not JSON: {e}')
        if os.path.basename(name) != os.path.basename(folder) + '.yoi.json':
            tree.say(name, 1, 'is not named after its folder')
        wanted = ['plugin.c'] + ([] if name.startswith('tests/') else ['README.md'])
        for other in wanted:
            if f'{folder}/{other}' not in tree.text:
                tree.say(name, 1, f'stands without {folder}/{other}')


# ---- files -----------------------------------------------------------------
@rule
def length(tree):
    """A file is about one thing; past 800 lines it is about several."""
    for name, text in tree.each(('.c', '.h', '.py', '.sh', 'Makefile')):
        if text.count('\n') > 800:
            tree.say(name, 801, f"{text.count(chr(10))} lines; split it at 800")


@rule
def width(tree):
    """100 columns, 80 where the header is the manual."""
    for name, text in tree.each(('.c', '.h', '.py', '.sh', '.ci/run')):
        most = 80 if name.startswith(('abi/yoi/', 'abi/yoi.h')) else 100
        for i, line in enumerate(text.split('\n'), 1):
            if len(line.expandtabs(8)) > most:
                tree.say(name, i, f'{len(line)} columns; at most {most}')


@rule
def essay(tree):
    """A file opens with what it is for."""
    for name, text in tree.each(('.c', '.h')):
        m = re.match(r'/\*(.*?)\*/', text, re.S)
        if not m or len(m.group(1)) < 60:
            tree.say(name, 1, 'does not open with a comment that says what it is for')
    for name, text in tree.each('.py'):
        if not re.match(r'(#!.*\n)?r?"""[^"]{20}', text) and text.strip():
            tree.say(name, 1, 'does not open with a docstring')
    for name, text in tree.each(('.sh', '.ci/run')):
        if not re.match(r'#!.*\n# ', text):
            tree.say(name, 1, 'does not open with a comment')


@rule
def comments(tree):
    """One kind of comment in C."""
    for name, text in tree.each(('.c', '.h')):
        held = re.sub(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'',
                      lambda m: re.sub(r'[^\n]', ' ', m.group(0)), text, flags=re.S)
        for m in re.finditer(r'//', held):
            tree.say(name, tree.at(name, m.start()), 'comments are /* */')


@rule
def whitespace(tree):
    """`git diff --check` against the empty tree finds nothing."""
    for name, text in tree.each(''):
        for m in re.finditer(r'[ \t]+$|\r$|^(<{7}|={7}|>{7})( |$)', text, re.M):
            tree.say(name, tree.at(name, m.start()), 'blanks at the end, or a conflict marker')
        if text.endswith('\n\n'):
            tree.say(name, text.count('\n'), 'a blank line at the end')
        elif text and not text.endswith('\n'):
            tree.say(name, text.count('\n') + 1, 'no line feed at the end')
    if tree.git:
        empty = subprocess.run(['git', 'hash-object', '-t', 'tree', '/dev/null'], cwd=tree.root,
                               stdout=subprocess.PIPE, check=True).stdout.decode().strip()
        done = subprocess.run(['git', 'diff', '--check', empty], cwd=tree.root, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for m in re.finditer(r'^([^\s:][^:]*):(\d+): (.*)$', done.stdout.decode(), re.M):
            tree.say(m.group(1), int(m.group(2)), m.group(3))


# Each in two halves, so that this file does not find itself.
UNDONE = re.compile(r'\b(%s)\b' % '|'.join(a + b for a, b in (
    ('TO', 'DO'), ('FIX', 'ME'), ('XX', 'X'), ('HA', 'CK'))))
UNWANTED = re.compile('|'.join(a + b for a, b in (
    (r'(?<![\w.])/wo', r'rk/'), (r'(?<![\w.])/ro', r'ot/'), (r'shared/de', r'sign'),
    (r'\biss', r'ues? ?#\d+'), (r'\bas re', r'quested\b'), (r'\bcla', r'ude\b(?!-)'),
    (r'\bchat', r'gpt\b'), (r'\bai[- ]gene', r'rated\b'),
    (r'\bco-auth', r'ored-by\b'), (r'\bthe br', r'ief\b'), (r'\bbri', r'ef\.md\b'))), re.I)


@rule
def words(tree):
    """Nothing is left undone in the text, and it speaks of the product only."""
    for name, text in tree.each(''):
        for m in UNDONE.finditer(text):
            tree.say(name, tree.at(name, m.start()), f"'{m.group(0)}' stands in the tree")
        for m in UNWANTED.finditer(text):
            tree.say(name, tree.at(name, m.start()), f"'{m.group(0)}' does not belong here")
    if tree.git:
        log = subprocess.run(['git', 'log', '--format=%h%x00%B%x01'], cwd=tree.root, check=False,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode()
        for commit in log.split('\x01'):
            head, _, body = commit.strip().partition('\0')
            for m in UNWANTED.finditer(body):
                tree.say(f'commit {head}', 1, f"'{m.group(0)}' does not belong here")


# ---- C ---------------------------------------------------------------------
OURS = ('abi/', 'host/', 'runtimes/', 'plugins/')
# A program of its own: it changes its own process, and ends with its memory.
# Between fork and exec it is one already.
PROGRAMS = ('plugins/tool-shell/runner/', 'host/worker/', 'host/isolate/spawn.c')


@rule
def names(tree):
    """The prefix tells the stability."""
    public, folders = exported(tree), {}
    for name, code in tree.c(*OURS):
        if not name.endswith('.c'):
            continue
        for kind, offset, text in top_level(code):
            head = re.search(r'\b(\w+)\s*\(', text.replace('__attribute__', ''))
            if kind != 'function' or not head or re.search(r'\bstatic\b', text):
                continue
            f, line = head.group(1), tree.at(name, offset)
            if f in ('main', 'yoi_plugin_entry_v1'):
                continue
            if name.startswith('abi/sdk/'):
                if not f.startswith(('yoi_sdk_', 'yoi__sdk_')):
                    tree.say(name, line, f"'{f}': names of the sdk begin with yoi_sdk_")
            elif name.startswith('host/cli/'):
                if not f.startswith('cli_'):
                    tree.say(name, line, f"'{f}': make it static, or begin with cli_")
            elif name.startswith('host/'):
                if not f.startswith('yoi__') and f not in public:
                    tree.say(name, line, f"'{f}': make it static, or begin with yoi__")
            else:
                folder = '/'.join(name.split('/')[:2])
                folders.setdefault(folder, []).append((f, name, line))
    for found in folders.values():
        count = {}
        for f, _, _ in found:
            p = f.split('_')[0] + '_'
            count[p] = count.get(p, 0) + 1
        most = max(count, key=count.get)
        for f, name, line in found:
            if f.startswith('yoi_') or not f.startswith(most):
                tree.say(name, line, f"'{f}': make it static, or use the folder's one prefix "
                         f"('{most}', never yoi_)")
    for name, code in tree.c(*OURS):
        for m in re.finditer(r'\b\w*(?:manager|helper|util)\w*\b', code, re.I):
            tree.say(name, tree.at(name, m.start()), f"'{m.group(0)}': name the thing that it is")
        for m in re.finditer(r'^typedef\s[^;{}()]*\*\s*\w+\s*;', code, re.M):
            tree.say(name, tree.at(name, m.start()), 'a typedef hides a pointer')


@rule
def global_state(tree):
    """No mutable globals; one that must be says `process-wide` and why."""
    for name, code in tree.c(*OURS):
        if not name.endswith('.c'):
            continue
        lines = tree.text[name].split('\n')
        found = []
        for kind, offset, text in top_level(code):
            left = text.split('=')[0]
            if kind != 'declaration' or '(' in left or not re.search(r'\w\s+\**\s*\w', left):
                continue
            if re.match(r'\s*(typedef|extern)\b', left):
                continue
            if re.match(r'\s*(static\s+)?(const\s+)?(struct|union|enum)(\s+\w+)?\s*$', left):
                continue
            last = left.rsplit('*', 1)[-1] if '*' in left else left
            if not re.search(r'\bconst\b', last):
                found.append(offset)
        found += [m.start(1) for m in re.finditer(
            r'^[ \t]+(static\s+(?!const\b)[^;(]*?[;=])', no_directives(code), re.M)]
        for offset in found:
            line = tree.at(name, offset)
            near = '\n'.join(lines[max(0, line - 4):line])
            if 'process-wide' not in near:
                tree.say(name, line, 'a mutable global; if it must be, a comment with the word '
                         'process-wide says why')


@rule
def allocation(tree):
    """Memory comes from sdk/mem.h only, so that tests can make it fail."""
    calls = re.compile(r'(?<![\w.>])(malloc|calloc|realloc|reallocarray|free|strdup|strndup|'
                       r'asprintf|vasprintf|getline|getdelim|open_memstream)\s*\(')
    for name, code in tree.c(*OURS):
        if name in ('abi/sdk/core/mem.c', 'abi/sdk/core/heap.h', 'abi/sdk/core/hard.c'):
            continue
        if name.startswith(PROGRAMS):
            continue
        for m in calls.finditer(code):
            tree.say(name, tree.at(name, m.start()), f"'{m.group(1)}': use yoi_sdk_* of sdk/mem.h")
        for m in re.finditer(r'\byoi_sdk_(?:m|c)alloc\s*\([^;]*?sizeof\s*\(\s*(?:struct\b|yoi_)',
                             code):
            tree.say(name, tree.at(name, m.start()), 'write sizeof *p')


@rule
def process(tree):
    """A library changes nothing of the process that it lives in."""
    calls = re.compile(r'(?<![\w.>])(exit|_exit|abort|signal|sigaction|setrlimit|chdir|umask|'
                       r'setenv|putenv|unsetenv|setlocale|atexit|fork|popen)\s*\(')
    for name, code in tree.c(*OURS):
        if name.startswith(('host/cli/', *PROGRAMS)):
            continue
        for m in calls.finditer(code):
            tree.say(name, tree.at(name, m.start()), f"'{m.group(1)}' is for host/cli only")
        for m in re.finditer(r'(?<![\w.>])(send|sendto|sendmsg)\s*\(', code):
            if 'MSG_NOSIGNAL' not in code[m.start():closing(code, m.end() - 1, '()')]:
                tree.say(name, tree.at(name, m.start()), f"'{m.group(1)}' without MSG_NOSIGNAL")


@rule
def buffers(tree):
    """A size has a name and a reason."""
    for name, code in tree.c(*OURS):
        for m in re.finditer(r'\w\s*\[\s*(\d{4,})\s*\]', no_directives(code)):
            tree.say(name, tree.at(name, m.start()), f'{m.group(1)}: give the size a name, in '
                     'yoi/limits.h when a caller can see it')


# Limits that no C file names: the file where their value stands instead, or
# the reason why nothing enforces them yet.
LIMIT_STANDS_IN = {
    'YOI_HTTP_STREAMS_MAX': 'plugins/ingress-http/ingress-http.yoi.json',
    'YOI_HTTP_MS_MAX': 'plugins/ingress-http/ingress-http.yoi.json',
    'YOI_HTTP_RATE_COUNT_MAX': 'plugins/ingress-http/ingress-http.yoi.json',
    'YOI_HTTP_RATE_MS_MAX': 'plugins/ingress-http/ingress-http.yoi.json',
    'YOI_WORKSPACES_MAX': 'host/config.schema.json',
    'YOI_NETWORK_HOSTS_MAX': 'host/config.schema.json',
    'YOI_COMMANDS_MAX': 'host/config.schema.json',
    'YOI_COMMAND_CPU_S_MAX': 'host/config.schema.json',
    'YOI_COMMAND_MEMORY_MAX': 'host/config.schema.json',
    'YOI_COMMAND_PROCESSES_MAX': 'host/config.schema.json',
    'YOI_COMMAND_FILE_MAX': 'host/config.schema.json',
    'YOI_FS_LINES_MAX': 'plugins/tool-fs/tool-fs.yoi.json',
    'YOI_FS_OUTPUT_BYTES_MIN': 'plugins/tool-fs/tool-fs.yoi.json',
    'YOI_FS_EDITS_MAX': 'plugins/tool-fs/tool-fs.yoi.json',
    'YOI_FS_ROWS_MAX': 'plugins/tool-fs/tool-fs.yoi.json',
    'YOI_FS_PATTERN_MAX': 'plugins/tool-fs/tool-fs.yoi.json',
}
LIMIT_UNUSED = {}  # name: why nothing needs to keep it


@rule
def limits(tree):
    """A maximum that stands in limits.h is one that something keeps."""
    name = 'abi/yoi/limits.h'
    code = '\n'.join(c for n, c in tree.c(*OURS) if n != name)
    for m in re.finditer(r'^#define (YOI_\w+)[ \t]+(\d+)', tree.text.get(name, ''), re.M):
        limit, line = m.group(1), tree.at(name, m.start())
        if re.search(r'\b%s\b' % limit, code):
            if limit in LIMIT_STANDS_IN or limit in LIMIT_UNUSED:
                tree.say(name, line, f"'{limit}' is used: take it out of the list in lint.py")
        elif limit in LIMIT_STANDS_IN:
            other = LIMIT_STANDS_IN[limit]
            if not re.search(r'\b%s\b' % m.group(2), tree.text.get(other, '')):
                tree.say(name, line, f"'{limit}' is {m.group(2)}, but that is not in {other}")
        elif limit not in LIMIT_UNUSED:
            tree.say(name, line, f"nothing keeps '{limit}'")


@rule
def sleeps(tree):
    """Tests wait for conditions; a pause in one says why it is there."""
    for name, text in tree.each(('.py', '.c'), ('tests/',)):
        for i, line in enumerate(text.split('\n'), 1):
            code = blank(line) if name.endswith('.c') else line
            if (re.search(r'(?<![\w.])(?:time\.)?(?:u|nano)?sleep\s*\(', code) and
                    not re.search(r'#|/\*', line)):
                tree.say(name, i, 'a sleep without its reason beside it')


# ---- documents -------------------------------------------------------------
@rule
def links(tree):
    """A link inside the tree leads somewhere."""
    for name, text in tree.each('.md'):
        for m in re.finditer(r'\]\(([^)#\s]+)(#[^)]*)?\)', text):
            target = m.group(1)
            if not re.match(r'\w+:', target):
                path = tree.root / os.path.normpath(os.path.join(os.path.dirname(name), target))
                if not path.exists():
                    tree.say(name, tree.at(name, m.start()), f"'{target}' is not there")


@rule
def documented(tree):
    """What callers can meet stands in the documents."""
    http, embed = tree.text.get('docs/http.md'), tree.text.get('docs/embed.md')
    shapes = tree.text.get('docs/workers.md')
    if shapes is not None:
        for line, cells in table(tree, 'YOI_EVENTS'):
            if cells[3] != 'MODEL' and cells[2] != 'result' and f'`{cells[2]}`' not in shapes:
                tree.say('abi/yoi/ops.h', line, f"'{cells[2]}' is not in docs/workers.md")
    if http is not None:
        for name, col in (('YOI_OPS', 2), ('YOI_CODES', 2)):
            for line, cells in table(tree, name):
                if not re.search(r'(?<![\w.])%s(?![\w])' % re.escape(cells[col]), http):
                    tree.say('abi/yoi/ops.h', line, f"'{cells[col]}' is not in docs/http.md")
    if embed is not None:
        for f, line in sorted(exported(tree).items()):
            if not re.search(r'\b%s\b' % f, embed):
                tree.say('abi/yoi.h', line, f"'{f}' is not in docs/embed.md")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--root', default=pathlib.Path(__file__).resolve().parent.parent)
    parser.add_argument('--rules', action='store_true', help='list the rules')
    options = parser.parse_args()
    if options.rules:
        for name, function in RULES.items():
            print(f"{name}: {function.__doc__.split(chr(10))[0]}")
        return 0
    tree = Tree(options.root)
    for name, function in RULES.items():
        tree.rule = name
        function(tree)
    for name, line, which, what in sorted(set(tree.findings)):
        print(f'{name}:{line}: {which}: {what}')
    count = len(set(tree.findings))
    print(f'lint: {len(tree.text)} files, {len(RULES)} rules, {count or "no"} findings')
    return 1 if count else 0


if __name__ == '__main__':
    sys.exit(main())
