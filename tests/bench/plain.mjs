// plain.mjs - the turn of yoi-host as a plain Node server, without any SDK.
//
//   node plain.mjs PROVIDER-PORT PROMPT-FILE [fetch|http]
//
// Prints `listening PORT`. The same two routes, the same work: a worker is a
// history in memory; an input goes to the provider with the prompt and the
// history, over kept connections, streamed; each delta is sent on as an event
// at once; the whole answer joins the history; then the turn has ended. No
// checks, no cursors, no limits: what a programmer writes in an afternoon.
// The provider is asked with Node's own fetch, or with the older node:http
// client, which takes more lines and much less CPU.
import { readFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import http from 'node:http';

const [providerPort, promptFile, client = 'fetch'] = process.argv.slice(2);
const prompt = { role: 'system', content: readFileSync(promptFile, 'utf8') };
const agent = new http.Agent({ keepAlive: true, maxSockets: Infinity });
const headers = { 'Content-Type': 'application/json' }, path = '/v1/chat/completions';
const workers = new Map();

function body(stream, then) {
  const parts = [];
  stream.on('data', (part) => parts.push(part));
  stream.on('end', () => then(JSON.parse(Buffer.concat(parts).toString() || '{}')));
}

function event(res, kind, data) {
  res.write(`event: ${kind}\ndata: ${JSON.stringify(data)}\n\n`);
}

function turn(worker, input, res) {
  const turn_id = randomUUID(), content = input.content;
  worker.history.push({ role: 'user', content });
  res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  event(res, 'turn.started', { turn_id });
  const ask = JSON.stringify({ model: 'bench', messages: [prompt, ...worker.history], stream: true,
    stream_options: { include_usage: true } });
  let text = '', rest = '', usage = null;
  const line = (l) => {
    if (!l.startsWith('data: ') || l === 'data: [DONE]') return;
    const chunk = JSON.parse(l.slice(6)), delta = chunk.choices[0]?.delta?.content;
    usage = chunk.usage ?? usage;
    if (!delta) return;
    text += delta;
    event(res, 'text.delta', { turn_id, text: delta });
  };
  const end = (state) => {
    if (state === 'completed') {
      worker.history.push({ role: 'assistant', content: text });
      event(res, 'message.completed', { turn_id, role: 'assistant', text });
    }
    event(res, 'turn.ended', { turn: { turn_id, state, usage } });
    res.end();
  };
  const part = (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop();
    lines.forEach(line);
  };
  (client === 'fetch' ? withFetch : withHttp)(ask, part)
    .then((status) => end(status === 200 ? 'completed' : 'failed'), () => end('failed'));
}

async function withFetch(ask, part) {
  const answer = await fetch(`http://127.0.0.1:${providerPort}${path}`,
    { method: 'POST', headers, body: ask });
  const decoder = new TextDecoder();
  for await (const bytes of answer.body) part(decoder.decode(bytes, { stream: true }));
  return answer.status;
}

function withHttp(ask, part) {
  return new Promise((resolve, reject) => {
    const request = http.request({ port: providerPort, host: '127.0.0.1', method: 'POST', agent, path,
      headers: { ...headers, 'Content-Length': Buffer.byteLength(ask) } }, (answer) => {
      answer.setEncoding('utf8');
      answer.on('data', part);
      answer.on('end', () => resolve(answer.statusCode));
      answer.on('error', reject);
    });
    request.on('error', reject);
    request.end(ask);
  });
}

const server = http.createServer((req, res) => body(req, (json) => {
  const [, , , , , id, verb] = req.url.split('/'); // /api/runtimes/bench/workers/ID/input
  const worker = workers.get(id);
  if (req.method === 'POST' && !id) {
    const worker_id = randomUUID();
    workers.set(worker_id, { history: [] });
    const made = JSON.stringify({ worker: { worker_id, state: 'idle' } });
    res.writeHead(201, { 'content-type': 'application/json',
      'content-length': Buffer.byteLength(made) });
    res.end(made);
  } else if (req.method === 'POST' && worker && verb === 'input') {
    turn(worker, json, res);
  } else {
    res.writeHead(404);
    res.end();
  }
}));
server.listen(0, '127.0.0.1', () => console.log(`listening ${server.address().port}`));
