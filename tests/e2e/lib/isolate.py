"""YOI_ISOLATE=1: the suites once more, each tool, policy and model in a process.

What is in use by a config is found as the host finds it: models and policies by
their entries, tools by lying on a search path. Only what this tree ships: test
plugins are about the host itself, and some of them cannot be apart.
"""
import json
import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[3]
SUITES = ('chat', 'model_openai', 'models', 'policy', 'tool_attack', 'tool_fs', 'tool_http',
          'tool_provider', 'tools', 'turns')
ON = os.environ.get('YOI_ISOLATE') == '1'


def shipped():
    """id -> (kind, name of its file) of what can be isolated."""
    out = {}
    for path in sorted(ROOT.glob('plugins/*/*.yoi.json')):
        m = json.loads(path.read_text())
        if m['kind'] in ('tool', 'policy', 'model'):
            out[m['id']] = m['kind'], path.parent.name + '.so'
    return out


def apart(config, build):
    """The config, with `isolation: process` where it can be."""
    if not ON or not isinstance(config, dict):
        return config
    known = shipped()
    used = {e.get('plugin') for e in config.get('models', []) + config.get('policy', [])
            if isinstance(e, dict)}
    folders = config.get('plugin_path') or [str(build / 'plugins')]
    if any((pathlib.Path(f) / 'hands.so').exists() for f in folders):
        known.pop('dev.yoi.tool-fs')  # the test plugin of that id, which reads the environment
    for name, (kind, file) in known.items():
        if kind == 'tool' and any((pathlib.Path(f) / file).exists() for f in folders):
            used.add(name)
    entries = [dict(e) for e in config.get('plugins', [])]
    for entry in entries:
        if entry['id'] in known:
            entry['isolation'] = 'process'
    have = {e['id'] for e in entries}
    entries += [{'id': i, 'isolation': 'process'}
                for i in sorted(used & set(known)) if i not in have]
    return {**config, 'plugins': entries} if entries else config
