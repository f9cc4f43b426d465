"""Bundles that tests put."""
import hashlib
import json


def parts(**changes):
    """The members of a small bundle with one profile, `companion`."""
    members = {
        'schema': 'yoi.bundle/1', 'id': 'acme-default', 'revision': '1', 'workspace_id': 'acme',
        'created_at': '2026-06-26T00:00:00Z', 'provenance': {'source': 'test'},
        'language': 'en', 'workspace': {'name': 'Acme', 'project': 'site'},
        'prompts': [{'name': 'companion.system', 'media_type': 'text/markdown',
                     'text': 'You work for Acme.'}],
        'models': [{'name': 'main', 'ref': 'model:main'}],
        'grants': ['model:main'],
        'profiles': [{'name': 'companion', 'prompt': 'companion.system', 'model': 'main',
                      'limits': {'steps': 8}}]}
    members.update(changes)
    return {k: v for k, v in members.items() if v is not None}


class Bundle:
    """The bytes, and their name."""

    def __init__(self, raw=None, **changes):
        self.raw = raw if raw is not None else json.dumps(parts(**changes), indent=1).encode()
        self.digest = 'sha256:' + hashlib.sha256(self.raw).hexdigest()
        self.path = f'/v1/config-bundles/{self.digest}'

    @property
    def id(self):
        return json.loads(self.raw)['id']

    @property
    def ref(self):
        """What a create names it by."""
        return {'id': self.id, 'digest': self.digest}

    def put(self, v1, status=201):
        return v1.ok('PUT', self.path, self.raw, status)['bundle']
