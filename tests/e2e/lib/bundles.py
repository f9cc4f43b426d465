"""Bundles for tests: the smallest that is one, and what is wanted on top."""
import hashlib
import json


def make(name='team', revision='1', workspace='acme', created='2026-06-26T00:00:00Z', **more):
    """A bundle without tools; `more` replaces whole sections."""
    return {'schema': 'yoi.bundle/1', 'id': name, 'revision': revision, 'workspace_id': workspace,
            'created_at': created, 'provenance': {'source': 'git', 'detail': 'main'},
            'prompts': [{'name': 'companion.system', 'media_type': 'text/markdown',
                         'text': f'You work for {name}.'}],
            'models': [{'name': 'main', 'ref': 'model:main'}], 'grants': ['model:main'],
            'profiles': [{'name': 'companion', 'prompt': 'companion.system', 'model': 'main',
                          'tools': []}], **more}


def text(bundle):
    return (json.dumps(bundle, indent=1) + '\n').encode()


def digest(data):
    return 'sha256:' + hashlib.sha256(data).hexdigest()


def write(path, *name, **more):
    """Writes one; its digest."""
    data = text(make(*name, **more))
    path.write_bytes(data)
    return digest(data)
