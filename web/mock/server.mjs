// The built page and a made-up gateway behind it: node mock/server.mjs [--port 13199] [--prefix /ops/llm] [--key secret]
// [--no-websocket] [--no-events] [--rooms] [--simulated] [--rate 6]. POST /mock/{kill,revive}?node=gpu2, /mock/rate?value=40.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { WebSocketServer } from 'ws';
import { Fleet, brief } from './fleet.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const dist = join(here, '../../build/web/dist');
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8', '.svg': 'image/svg+xml' };

/** The very policy that the gateway sends. */
async function policy() {
  const header = await readFile(join(here, '../../src/gateway/static_file.h'), 'utf8');
  const lines = header.slice(header.indexOf('#define STATIC_FILE_POLICY')).split('\n\n')[0];
  return [...lines.matchAll(/"([^"]*)"/g)].map((m) => m[1]).join('');
}

const routes = [
  ['GET', /^health$/, (f) => f.health()],
  ['GET', /^nodes\/detailed$/, (f) => ({ nodes: f.nodes.map((n) => f.node(n)) })],
  ['GET', /^queue$/, (f) => f.queueView()],
  ['GET', /^history$/, (f, _m, q) => f.historyOf(q.get('range') ?? '5m', (q.get('series') ?? '').split(','))],
  ['GET', /^alerts$/, (f) => ({ alerts: f.alerts, silences: f.silences })],
  ['GET', /^requests$/, (f, _m, q) => ({ requests: f.records.slice(0, Number(q.get('limit') ?? 50)).map(brief) })],
  ['GET', /^requests\/(.+)$/, (f, m) => f.records.find((r) => r.id === m[1])],
  ['GET', /^cache$/, (f) => f.cacheView()],
  ['GET', /^memory$/, (f) => f.memoryView()],
  ['POST', /^nodes\/([^/]+)\/drain$/, (f, m) => f.move(m[1], 'draining')],
  ['POST', /^nodes\/([^/]+)\/undrain$/, (f, m) => f.move(m[1], 'up')],
  ['PATCH', /^nodes\/([^/]+)$/, (f, m, _q, body) => f.change(m[1], body)],
  ['DELETE', /^nodes\/([^/]+)$/, (f, m) => (f.remove(m[1]), null)],
  ['POST', /^alerts\/test$/, () => ({ sent: true })],
  ['POST', /^alerts\/silences$/, (f, _m, _q, body) => {
    const silence = { id: `s${f.silences.length + 1}`, name: body.name, labels: body.labels, until: new Date(Date.now() + body.duration_s * 1000).toISOString(), comment: body.comment };
    f.silences.push(silence);
    for (const a of f.alerts) if (a.name === body.name) a.silenced_until = silence.until;
    return silence;
  }],
  ['DELETE', /^alerts\/silences\/(.+)$/, (f, m) => {
    const ended = f.silences.find((s) => s.id === m[1]);
    f.silences = f.silences.filter((s) => s !== ended);
    for (const a of f.alerts) if (a.name === ended?.name) a.silenced_until = null;
    return null;
  }],
];

async function bodyOf(request) {
  let text = '';
  for await (const part of request) text += part;
  return text ? JSON.parse(text) : {};
}

function json(response, status, body) {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(body === null ? undefined : JSON.stringify(body));
}

export async function startMock({ port = 0, prefix = '', key = '', websocket = true, events = true, ...fleetOptions } = {}) {
  const fleet = new Fleet(fleetOptions);
  const csp = await policy();
  const streams = new Set();

  const mayEnter = (request) => {
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(/,\s*/).find((p) => p.startsWith('ollamamax.bearer.'));
    const bytes = (text) => Buffer.from(text, 'latin1').toString(); // Node reads headers byte by byte
    return !key || bytes(request.headers.authorization ?? '') === `Bearer ${key}` || (offered && Buffer.from(offered.slice(17), 'base64url').toString() === key);
  };

  async function serveFile(path, response) {
    const name = normalize(path || 'index.html');
    try {
      const bytes = await readFile(join(dist, name));
      response.writeHead(200, { 'Content-Type': TYPES[extname(name)] ?? 'application/octet-stream', 'Content-Security-Policy': csp, 'X-Content-Type-Options': 'nosniff' });
      response.end(bytes);
    } catch {
      response.writeHead(404).end('404 page not found');
    }
  }

  function serveEvents(request, response) {
    if (!request.headers.accept?.includes('text/event-stream')) return json(response, 200, { frames: fleet.last });
    if (!events) return response.writeHead(501).end();
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    const say = (frame) => response.write(`data: ${JSON.stringify(frame)}\n\n`);
    fleet.subscribers.add(say);
    streams.add(response);
    response.on('close', () => { fleet.subscribers.delete(say); streams.delete(response); });
  }

  async function serveApi(path, url, request, response) {
    if (!mayEnter(request)) return json(response, 401, { error: "this needs the admin key, or a request from the gateway's own machine", code: 'unauthorized' });
    if (path === 'events') return serveEvents(request, response);
    const body = request.method === 'GET' ? {} : await bodyOf(request);
    for (const [method, pattern, answer] of routes) {
      const match = method === request.method && path.match(pattern);
      if (!match) continue;
      const found = answer(fleet, match, url.searchParams, body);
      return found === undefined ? json(response, 404, { error: 'there is no such object', code: 'no_such_object' }) : json(response, found === null ? 204 : 200, found);
    }
    return json(response, 404, { error: '404 page not found', code: 'not_found' });
  }

  function control(path, query, response) {
    if (path === 'kill') fleet.move(query.get('node'), 'down', 'the node refused the connection');
    if (path === 'revive') fleet.move(query.get('node'), 'up');
    if (path === 'rate') fleet.rate = Number(query.get('value'));
    json(response, 200, {});
  }

  const server = createServer((request, response) => {
    const url = new URL(request.url, 'http://mock');
    const path = url.pathname.startsWith(prefix) ? url.pathname.slice(prefix.length) : '';
    const failed = () => response.writeHead(500).end();
    if (path.startsWith('/dashboard/')) serveFile(path.slice(11), response).catch(failed);
    else if (path === '/dashboard') response.writeHead(308, { Location: 'dashboard/' }).end();
    else if (path.startsWith('/api/')) serveApi(path.slice(5), url, request, response).catch(failed);
    else if (path.startsWith('/mock/')) control(path.slice(6), url.searchParams, response);
    else response.writeHead(404).end('404 page not found');
  });

  const sockets = new WebSocketServer({ noServer: true, handleProtocols: (offered) => (offered.has('ollamamax.v1') ? 'ollamamax.v1' : false) });
  server.on('upgrade', (request, socket, head) => {
    if (!websocket || !mayEnter(request) || request.url !== `${prefix}/ws`) return socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n');
    sockets.handleUpgrade(request, socket, head, (ws) => {
      let topics = [];
      const say = (frame) => topics.includes(frame.type) && ws.send(JSON.stringify(frame));
      ws.on('message', (m) => { ({ topics = [] } = JSON.parse(m)); fleet.subscribers.add(say); });
      ws.on('close', () => fleet.subscribers.delete(say));
    });
  });

  const timer = setInterval(() => { while (fleet.clock + 100 <= Date.now()) fleet.step(); }, 100);
  const listen = (at) => new Promise((done) => server.listen(at, '127.0.0.1', done));
  await listen(port);
  const bound = server.address().port;
  const drop = () => { for (const ws of sockets.clients) ws.terminate(); server.closeAllConnections(); };
  return {
    fleet,
    url: `http://127.0.0.1:${bound}${prefix}/dashboard/`,
    /** As if the gateway had gone, and come back. */
    vanish: () => new Promise((done) => { server.close(done); drop(); }),
    returnAgain: () => listen(bound),
    close: () => new Promise((done) => { clearInterval(timer); server.close(done); drop(); }),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values: v } = parseArgs({ options: { port: { type: 'string', default: '13199' }, prefix: { type: 'string', default: '' }, key: { type: 'string', default: '' }, rate: { type: 'string', default: '6' }, 'no-websocket': { type: 'boolean' }, 'no-events': { type: 'boolean' }, rooms: { type: 'boolean' }, simulated: { type: 'boolean' } } });
  const mock = await startMock({ port: Number(v.port), prefix: v.prefix, key: v.key, rate: Number(v.rate), websocket: !v['no-websocket'], events: !v['no-events'], rooms: v.rooms, simulated: v.simulated });
  console.log(`the page with a made-up fleet: ${mock.url}`);
}
