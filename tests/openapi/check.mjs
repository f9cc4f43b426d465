// check.mjs NPM DOCUMENT [FOLDER] - is the OpenAPI document valid, and is it true?
//
// The document is judged by an independent validator and its own examples by
// its schemas. With FOLDER, every answer that the black-box tests recorded
// there (tests/e2e/lib/record.py) is validated: the operation, the status, the
// content type, the body, each event of a stream, the request id, the status of
// an error's code, and the body of a request that was accepted.
//
// For readers the document's objects are open, since later versions add
// members. Here they are closed first, so that an answer cannot have a member
// that the document does not list.
import fs from 'node:fs';
import path from 'node:path';
import {createRequire} from 'node:module';
import {pathToFileURL} from 'node:url';

const [npm, file, folder] = process.argv.slice(2);
const require = createRequire(path.resolve(npm, 'package.json'));
const Ajv = require('ajv/dist/2020').default;
const formats = require('ajv-formats').default;
const yaml = require('yaml');
const validator = path.resolve(npm, 'node_modules/@seriousme/openapi-schema-validator/index.js');
const {Validator} = await import(pathToFileURL(validator));

const SHOWN = 20;
let failures = 0;
const seen = new Map();
function fail(what, where) {
  failures++;
  const n = (seen.get(what) ?? 0) + 1;
  seen.set(what, n);
  if (n === 1 && seen.size <= SHOWN) console.log(`  openapi: ${what}\n    ${where}`);
}

const text = fs.readFileSync(file, 'utf8');
const verdict = await new Validator().validate(yaml.parse(text));
if (!verdict.valid) fail('the document is not valid', JSON.stringify(verdict.errors).slice(0, 2000));

// ---- schemas, closed ----

function close(node) {
  if (Array.isArray(node)) return node.forEach(close);
  if (node === null || typeof node !== 'object') return;
  if (node.properties && node.type === 'object' && node.additionalProperties === undefined)
    node.additionalProperties = false;
  Object.entries(node).forEach(([key, value]) => key === 'examples' || close(value));
}
const doc = yaml.parse(text);
close(doc);
const ajv = new Ajv({strict: false, allErrors: false, discriminator: false});
formats(ajv);
ajv.addSchema({$id: 'doc', ...doc});

const compiled = new Map();
function schemaAt(pointer) {
  if (!compiled.has(pointer))
    compiled.set(pointer, ajv.compile({$ref: `doc#${pointer}`}));
  return compiled.get(pointer);
}
const escape = (s) => s.replaceAll('~', '~0').replaceAll('/', '~1');
const why = (v) => v.errors.map((e) => `${e.instancePath || '/'} ${e.message} ` +
                                       JSON.stringify(e.params)).join('; ');

function examples(node, pointer) {
  if (node === null || typeof node !== 'object') return;
  if (Array.isArray(node.examples) && pointer.startsWith('/components/schemas/')) {
    const check = schemaAt(pointer);
    for (const e of node.examples)
      if (!check(e)) fail(`an example at ${pointer} does not fit: ${why(check)}`, JSON.stringify(e));
  }
  for (const [key, value] of Object.entries(node)) examples(value, `${pointer}/${escape(key)}`);
}
examples(doc, '');

// ---- operations ----

const routes = Object.keys(doc.paths).map((template) => ({
  template,
  fits: new RegExp('^' + template.replace(/[.]/g, '\\.').replace(/\{\w+\}/g, '[^/]+') + '$'),
}));
function find(method, target) {
  const at = target.split('?')[0];
  const hits = routes.filter((r) => r.fits.test(at));
  const hit = hits.find((r) => !r.template.includes('{')) ?? hits[0];
  if (!hit) return null;
  const name = method === 'HEAD' && !doc.paths[hit.template].head ? 'get' : method.toLowerCase();
  const operation = doc.paths[hit.template][name];
  return operation ? {operation, pointer: `/paths/${escape(hit.template)}/${name}`} : null;
}

const statusOf = doc.components.schemas.ErrorCode['x-status'];
const errorBody = '/components/responses/Error/content/application~1json/schema';

function checkError(e, where) {
  let body;
  try {
    body = JSON.parse(e.body);
  } catch {
    return fail(`${e.method} ${e.status}: an error that is no JSON`, where);
  }
  const check = schemaAt(errorBody);
  if (!check(body)) return fail(`an error does not fit: ${why(check)}`, where);
  if (statusOf[body.error.code] !== e.status)
    fail(`${body.error.code} came with ${e.status}`, where);
  if (body.error.request_id !== e.headers['x-request-id'])
    fail('the request id of the body is not that of the header', where);
}

function checkBody(e, at, media, where) {
  const type = e.type.split(';')[0];
  if (!media[type]) return fail(`${at}: the type ${type} is not listed`, where);
  const schema = `${at}/content/${escape(type)}/schema`;
  if (type !== 'application/json') return;
  const check = schemaAt(schema);
  let body;
  try {
    body = JSON.parse(e.body);
  } catch {
    return fail(`${at}: no JSON`, where);
  }
  if (!check(body)) fail(`${at} does not fit: ${why(check)}`, where);
}

let events = 0;
const event = doc.components.schemas.Event.oneOf.map((o) => o.$ref.slice(1));
const byKind = new Map(Object.entries(doc.components.schemas.Event.discriminator.mapping)
                             .map(([kind, ref]) => [kind, ref.slice(1)]));
function checkEvents(e, at) {
  for (const ev of e.events) {
    events++;
    const pointer = byKind.get(ev.event);
    const where = JSON.stringify(ev).slice(0, 1500);
    if (!pointer || !event.includes(pointer)) {
      fail(`${at}: the event ${ev.event} is not listed`, where);
      continue;
    }
    const check = schemaAt(pointer);
    if (!check(ev)) fail(`event ${ev.event} does not fit: ${why(check)}`, where);
  }
}

const met = new Map();
function checkExchange(e) {
  const where = JSON.stringify(e).slice(0, 1500);
  const found = find(e.method, e.target);
  if (!e.headers['x-request-id']) fail(`${e.method} ${e.status}: no X-Request-Id`, where);
  if (e.status >= 400) {
    if (e.method !== 'HEAD') checkError(e, where);
    if (found) met.set(found.operation.operationId, (met.get(found.operation.operationId) ?? 0) + 1);
    return;
  }
  if (!found) return fail(`${e.method} ${e.target.split('?')[0]} is not in the document`, where);
  const {operation, pointer} = found;
  met.set(operation.operationId, (met.get(operation.operationId) ?? 0) + 1);
  const response = operation.responses[e.status];
  const at = `${pointer}/responses/${e.status}`;
  if (!response) return fail(`${operation.operationId}: the status ${e.status} is not listed`, where);
  if (response.headers?.Location?.required && !e.headers.location)
    fail(`${operation.operationId} ${e.status}: no Location`, where);
  if (e.events !== undefined) {
    if (!response.content?.['text/event-stream']) return fail(`${at}: a stream is not listed`, where);
    checkEvents(e, at);
  } else if (e.method === 'HEAD' || !response.content) {
    if (e.body) fail(`${at}: a body where there is none`, where);
  } else {
    checkBody(e, at, response.content, where);
  }
  if (e.request !== undefined && operation.requestBody) {
    const check = schemaAt(`${pointer}/requestBody/content/application~1json/schema`);
    if (!check(JSON.parse(e.request)))
      fail(`${operation.operationId} accepted what does not fit: ${why(check)}`, where);
  }
}

let exchanges = 0;
if (folder) {
  for (const name of fs.readdirSync(folder).sort()) {
    for (const line of fs.readFileSync(path.join(folder, name), 'utf8').split('\n')) {
      if (!line) continue;
      exchanges++;
      checkExchange(JSON.parse(line));
    }
  }
  const never = Object.values(doc.paths).flatMap((item) => Object.values(item))
                      .map((o) => o.operationId).filter((id) => id && !met.has(id));
  if (exchanges === 0) fail('nothing was recorded', folder);
  else if (never.length > 0) fail(`operations that no test asks for: ${never.join(', ')}`, folder);
  console.log(`  openapi: ${exchanges} recorded answers, ${events} events of streams, ` +
              `${met.size} operations: ${failures} findings`);
}
if (seen.size > SHOWN) console.log(`  openapi: and ${seen.size - SHOWN} other findings`);
process.exit(failures > 0 ? 1 : 0);
