// A made-up fleet, good enough to look at: requests arrive, wait, load, are read and written, fail and are retried, by
// the rules that FEED.md tells of. It lives in steps of 100 ms and is the same for the same seed.
const GIB = 2 ** 30;
const STEP = 100;
const SLOTS_OF_HISTORY = 300;

function chance(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const MODELS = [
  { name: 'llama3.1:8b', size: 4.9 * GIB, share: 0.42, out: 180 },
  { name: 'qwen3:14b', size: 9.3 * GIB, share: 0.24, out: 260 },
  { name: 'nomic-embed-text:latest', size: 0.27 * GIB, share: 0.18, out: 0 },
  { name: 'llama3.3:70b', size: 43 * GIB, share: 0.06, out: 320 },
  { name: 'mistral-small:24b', size: 14 * GIB, share: 0.1, out: 200 },
];
const NODES = [
  { id: 'gpu1', kind: 'ollama', version: '0.12.3', vram: 80, speed: 1.35, slots: 4, loaded: ['llama3.1:8b', 'qwen3:14b', 'nomic-embed-text:latest'], has: [0, 1, 2, 3, 4] },
  { id: 'gpu2', kind: 'ollama', version: '0.12.3', vram: 24, speed: 1, slots: 4, loaded: ['llama3.1:8b', 'mistral-small:24b'], has: [0, 1, 2, 4] },
  { id: 'gpu3', kind: 'vllm', version: '0.9.1', vram: 80, speed: 2.1, slots: 12, loaded: ['llama3.3:70b', 'qwen3:14b'], has: [1, 3] },
  { id: 'mac-studio', kind: 'ollama', version: '0.12.1', vram: 16, speed: 0.55, slots: 2, loaded: ['llama3.1:8b', 'mistral-small:24b'], has: [0, 2, 4] },
];
const ROUTES = ['/api/chat', '/v1/chat/completions', '/api/generate', '/v1/messages'];
const CLIENTS = ['10.0.4.17', '10.0.4.23', '10.0.7.2', '127.0.0.1'];

const iso = (ms) => new Date(ms).toISOString();
const quantile = (list, q) => (list.length ? [...list].sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(q * list.length))] : null);

export class Fleet {
  constructor({ seed = 7, rate = 6, simulated = false, rooms = false, now = Date.now() } = {}) {
    Object.assign(this, { random: chance(seed), rate, rooms, started: now - 3.7 * 3600e3, clock: Math.floor(now / 1000) * 1000 - SLOTS_OF_HISTORY * 1000 });
    this.nodes = NODES.map((n) => ({
      ...n, state: 'up', stateSince: iso(this.started), weight: 1, inflight: 0, simulated, errors: 0, requests: 0, written: 0, firsts: [],
      models: n.has.map((i) => ({ ...MODELS[i], loaded: n.loaded.includes(MODELS[i].name), loading: 0, inflight: 0, written: 0, firsts: [] })),
    }));
    this.active = [];
    this.queue = [];
    this.records = [];
    this.second = this.emptySecond();
    this.totals = { requests: 48211, errors: 57, tokens_in: 31_400_211, tokens_out: 8_911_204 };
    this.cache = { hits: 9120, misses: 21400, saved: 5423, bytes: 61e6, entries: 4213 };
    this.alerts = [];
    this.silences = [];
    this.history = [];
    this.changed = new Set();
    this.subscribers = new Set();
    while (this.clock < now) this.step();
  }

  emptySecond() {
    return { ended: [], errors: 0, retries: 0, tokens: 0, firsts: [], waits: [], added: [] };
  }

  step() {
    this.clock += STEP;
    this.arrive();
    this.dispatch();
    this.finish();
    if (this.clock % 1000 === 0) this.turn();
  }

  // ---- the road ------------------------------------------------------------------------------------------------------
  arrive() {
    const swing = 1 + 0.35 * Math.sin(this.clock / 47_000) + 0.2 * Math.sin(this.clock / 9000);
    let due = (this.rate * swing * STEP) / 1000;
    while (due > 0 && this.random() < due) {
      due -= 1;
      this.queue.push(this.request());
    }
  }

  request() {
    let at = this.random();
    const model = MODELS.find((m) => (at -= m.share) < 0) ?? MODELS[0];
    const embed = model.out === 0;
    return {
      id: `req_${Math.floor(this.random() * 2 ** 48).toString(36).padStart(9, '0')}`, came: this.clock, model,
      route: embed ? '/api/embed' : ROUTES[Math.floor(this.random() * ROUTES.length)],
      client: CLIENTS[Math.floor(this.random() * CLIENTS.length)], tokens_in: Math.round(40 + 2200 * this.random() ** 3),
      tokens_out: embed ? 0 : Math.max(4, Math.round(model.out * (0.3 + 1.4 * this.random()))), cached: this.random() < (embed ? 0.5 : 0.08), attempts: [],
    };
  }

  expected(r, n) {
    const m = n.models.find((x) => x.name === r.model.name);
    if (!m) return { node: n.id, eta_s: null, excluded: 'does not have the model' };
    if (n.state !== 'up' && n.state !== 'suspect') return { node: n.id, eta_s: null, excluded: `is ${n.state}` };
    const big = r.model.size / GIB / 8;
    const terms = {
      slot: n.inflight >= n.slots ? (1.5 * (1 + n.inflight - n.slots)) / n.speed : 0,
      load: m.loaded ? 0 : r.model.size / (2 * GIB) / n.speed,
      prefill: (2 * r.tokens_in) / (2600 * n.speed / Math.max(0.4, big ** 0.7)),
      decode: (0.1 * r.tokens_out) / (70 * n.speed / Math.max(0.5, big ** 0.8)),
      penalty: n.state === 'suspect' ? 2 : 0,
    };
    return { node: n.id, eta_s: Object.values(terms).reduce((a, b) => a + b, 0), terms, free: n.inflight < n.slots };
  }

  dispatch() {
    const waiting = [];
    for (const r of this.queue) if (!this.start(r)) waiting.push(r);
    this.queue = waiting;
  }

  start(r) {
    if (r.cached) return this.answerFromCache(r), true;
    const candidates = this.nodes.map((n) => this.expected(r, n));
    const usable = candidates.filter((c) => !c.excluded).sort((a, b) => a.eta_s - b.eta_s);
    if (!usable.length) return this.refuse(r, candidates), true;
    if (!usable[0].free) return false;
    const node = this.nodes.find((n) => n.id === usable[0].node);
    if (this.random() < 0.012 && !r.attempts.length && usable[1]?.free) {
      r.attempts.push({ node: node.id, start_ms: this.clock - r.came, end_ms: this.clock - r.came + 3, outcome: 'upstream_reset', detail: 'the node closed the connection before it answered' });
      node.errors++;
      this.second.retries++;
      usable.shift();
      return this.run(r, this.nodes.find((n) => n.id === usable[0].node), usable[0], candidates), true;
    }
    return this.run(r, node, usable[0], candidates), true;
  }

  run(r, node, choice, candidates) {
    const m = node.models.find((x) => x.name === r.model.name);
    const noise = 0.7 + 0.8 * this.random();
    const load = m.loaded ? 0 : choice.terms.load * 1000 * noise;
    const read = (choice.terms.prefill * 500 + 40) * noise;
    const write = r.tokens_out ? choice.terms.decode * 10_000 * noise : 0;
    Object.assign(r, { node, load, connect: this.random() < 0.1 ? 0.4 + this.random() : 0, read: read + load, write, queued: this.clock - r.came, began: this.clock, candidates, choice });
    if (!m.loaded && !m.loading) this.load(node, m, load);
    node.inflight++;
    m.inflight++;
    r.ends = this.clock + r.read + write;
    this.active.push(r);
  }

  load(node, m, ms) {
    const held = () => node.models.filter((x) => x.loaded || x.loading).reduce((sum, x) => sum + 1.15 * x.size, 0);
    for (const idle of node.models) if (idle.loaded && !idle.inflight && held() + 1.15 * m.size > node.vram * GIB) idle.loaded = false;
    m.loading = this.clock + ms;
    this.changed.add(node.id);
  }

  answerFromCache(r) {
    this.cache.hits++;
    this.cache.saved += r.tokens_out / 90;
    this.record(r, { node: '', status: 200, code: '', cache: 'hit', stages: { total_ms: 0.21, queued_ms: 0, connect_ms: 0, node_ms: 0, first_ms: 0.19, added_ms: 0.19, load_ms: 0 }, decision: null });
  }

  refuse(r, candidates) {
    this.record(r, { node: '', status: 503, code: 'no_holder_up', cache: 'miss', stages: { total_ms: 0.3, queued_ms: 0, connect_ms: 0, node_ms: 0, first_ms: 0.3, added_ms: 0.3, load_ms: 0 }, decision: { policy: 'eta', candidates } });
  }

  finish() {
    const running = [];
    for (const r of this.active) {
      const died = r.node.state === 'down';
      if (!died && r.ends > this.clock) running.push(r);
      else this.end(r, died);
    }
    this.active = running;
    for (const n of this.nodes) for (const m of n.models) if (m.loading && m.loading <= this.clock) Object.assign(m, { loaded: true, loading: 0 }), this.changed.add(n.id);
  }

  end(r, died) {
    const m = r.node.models.find((x) => x.name === r.model.name);
    r.node.inflight--;
    m.inflight--;
    r.node.requests++;
    const added = 0.08 + 0.2 * this.random() + (r.attempts.length ? 3 : 0);
    const first = r.queued + r.connect + r.read + added;
    const cut = died ? Math.max(0.1, this.clock - r.began) : r.read + r.write;
    if (died) r.node.errors++;
    else for (const list of [r.node.firsts, m.firsts]) list.push(first), list.splice(0, list.length - 60);
    r.node.written += died ? 0 : r.tokens_out;
    m.written += died ? 0 : r.tokens_out;
    this.cache.misses++;
    r.attempts.push({ node: r.node.id, start_ms: r.queued + (r.attempts.length ? 3 : 0), end_ms: r.queued + cut, outcome: died ? 'upstream_cut' : 'ok' });
    this.second.firsts.push(first);
    this.second.waits.push(r.queued);
    this.second.added.push(added * 1000);
    this.record(r, {
      node: r.node.id, status: 200, code: died ? 'upstream_cut' : '', cache: r.model.out ? 'bypass' : 'miss',
      stages: { total_ms: r.queued + r.connect + cut + added, queued_ms: r.queued, connect_ms: r.connect, node_ms: Math.min(r.read, cut), first_ms: first, added_ms: added, load_ms: r.load },
      decision: { policy: 'eta', node: r.node.id, total_s: r.choice.eta_s, terms: r.choice.terms, n: r.candidates.filter((c) => !c.excluded).length, candidates: r.candidates.map(({ free, ...c }) => c) },
    });
  }

  record(r, more) {
    const bad = more.status >= 400 || more.code !== '';
    const record = { id: r.id, at: iso(r.came), route: r.route, model: r.model.name, client: r.client, stream: r.tokens_out > 0, simulated: this.nodes[0].simulated, tries: Math.max(1, r.attempts.length), tokens_in: r.tokens_in, tokens_out: bad ? null : r.tokens_out, attempts: r.attempts, trace_id: r.id.padEnd(32, '0').slice(4).padEnd(32, '4'), ...more };
    this.records.unshift(record);
    this.records.length = Math.min(this.records.length, 10_000);
    this.second.ended.push(record);
    this.second.tokens += record.tokens_out ?? 0;
    this.totals.requests++;
    this.totals.tokens_in += r.tokens_in;
    this.totals.tokens_out += record.tokens_out ?? 0;
    if (bad) this.totals.errors++, this.second.errors++;
  }

  // ---- each second ---------------------------------------------------------------------------------------------------
  turn() {
    const s = this.second;
    this.second = this.emptySecond();
    this.now = {
      requests_per_s: s.ended.length, errors_per_s: s.errors, retries_per_s: s.retries, tokens_out_per_s: s.tokens,
      ttft_p50_ms: quantile(s.firsts, 0.5), ttft_p95_ms: quantile(s.firsts, 0.95), queue: this.queue.length, queue_wait_p95_ms: quantile(s.waits, 0.95),
      inflight: this.active.length, cache_hit_ratio: s.ended.length ? s.ended.filter((r) => r.cache === 'hit').length / s.ended.length : null,
      added_p95_us: quantile(s.added, 0.95), rss_bytes: 38e6 + 4e6 * Math.sin(this.clock / 60_000) + 60e3 * this.active.length,
    };
    this.history.push({ t: this.clock / 1000, ...this.now });
    this.history.splice(0, this.history.length - SLOTS_OF_HISTORY);
    this.judge();
    const frames = [this.metrics(), ...this.nodeFrames()];
    if (s.ended.length) frames.push({ type: 'request', requests: s.ended.slice(0, 50).map(brief), skipped: Math.max(0, s.ended.length - 50) });
    this.last = frames;
    for (const say of this.subscribers) frames.forEach(say);
    for (const n of this.nodes) for (const x of [n, ...n.models]) x.written = 0;
  }

  say(frame) {
    for (const say of this.subscribers) say(frame);
  }

  metrics() {
    const waiting = new Map();
    for (const r of this.queue) waiting.set(r.model.name, [...(waiting.get(r.model.name) ?? []), this.clock - r.came]);
    const up = this.nodes.filter((n) => n.state === 'up' || n.state === 'suspect').length;
    return {
      type: 'metrics', t: Math.floor(this.clock / 1000), version: '1.0.0', status: this.status(up), uptime_s: (this.clock - this.started) / 1000,
      now: this.now, totals: this.totals,
      nodes: this.nodes.map((n) => ({ id: n.id, state: n.state, inflight: n.inflight, tokens_per_s: n.written, ttft_p95_ms: quantile(n.firsts, 0.95) })),
      cells: this.nodes.flatMap((n) => n.models.filter((m) => m.inflight || m.written).map((m) => ({ node: n.id, model: m.name, inflight: m.inflight, tokens_per_s: m.written }))),
      queue: { waiting: this.queue.length, oldest_ms: Math.max(0, ...this.queue.map((r) => this.clock - r.came)), models: [...waiting].map(([model, w]) => ({ model, waiting: w.length, oldest_ms: Math.max(...w) })) },
      alerts: { firing: this.alerts.filter((a) => a.state === 'firing').length, pending: this.alerts.filter((a) => a.state === 'pending').length },
      cache: { hit_ratio: this.cache.hits / (this.cache.hits + this.cache.misses), saved_gpu_s: this.cache.saved, entries: this.cache.entries, bytes: this.cache.bytes },
      memory: { rss: this.now.rss_bytes, limit: 2 * GIB, pressure: 'none' },
      ...(this.rooms && { rooms: [{ id: 'agents', title: 'Agents', says: '3 run', figures: [{ label: 'running', value: 3 }, { label: 'idle', value: 1204 }, { label: 'spawned in', value: '0.3', unit: 'ms' }], table: { columns: ['Agent', 'State', 'Steps'], rows: [['summariser', 'running', 4], ['triage', 'waiting for a tool', 11]] } }] }),
    };
  }

  status = (up) => (up === 0 ? 'down' : up < this.nodes.length ? 'degraded' : 'healthy');

  nodeFrames() {
    const frames = this.nodes.filter((n) => this.changed.has(n.id)).map((n) => ({ type: 'node_update', node: this.node(n) }));
    this.changed.clear();
    return frames;
  }

  judge() {
    for (const n of this.nodes) this.alert('node_down', n.state === 'down', { node: n.id }, `${n.id} does not answer: ${n.lastError?.text ?? ''}. Check that its Ollama runs and that port 11434 is open.`, null, null);
    this.alert('queue_wait', this.queue.length > 20, {}, `${this.queue.length} requests wait. Add a node, or raise the slots of one.`, this.queue.length, 20);
  }

  alert(name, holds, labels, message, value, threshold) {
    const id = [name, ...Object.values(labels)].join(':');
    const old = this.alerts.find((a) => a.id === id);
    const state = holds ? (old?.state === 'firing' || (old && this.clock - Date.parse(old.since) >= 2000) ? 'firing' : 'pending') : 'resolved';
    if ((!old && !holds) || (old?.state === state && state !== 'firing') || (old?.state === 'firing' && holds)) return;
    const alert = { id, name, state, severity: 'critical', since: old && old.state === 'pending' && holds ? old.since : iso(this.clock), value, threshold, message, labels, silenced_until: this.silences.find((s) => s.name === name)?.until ?? null };
    this.alerts = [...this.alerts.filter((a) => a.id !== id), alert];
    this.say({ type: 'alert', alert, silences: this.silences });
  }

  // ---- what the routes answer ----------------------------------------------------------------------------------------
  node(n) {
    return {
      id: n.id, url: `http://${n.id}:11434`, kind: n.kind, state: n.state, state_since: n.stateSince, weight: n.weight, inflight: n.inflight, slots: n.slots, simulated: n.simulated, version: n.version, labels: n.id.startsWith('gpu') ? 'rack:a' : '',
      vram_bytes: n.vram * GIB, breaker: n.state === 'down' ? 'open' : n.recovering > this.clock ? 'trial' : 'closed', ttft_ms: { p50: quantile(n.firsts, 0.5), p95: quantile(n.firsts, 0.95) }, requests: n.requests, errors: n.errors, last_error: n.lastError ?? null, last_seen: n.state === 'down' ? n.stateSince : iso(this.clock),
      models: n.models.map((m) => ({
        name: m.name, digest: 'sha256:0', loaded: m.loaded, loading: !!m.loading, size: m.size * 1.15, size_vram: m.loaded ? m.size * (n.id === 'mac-studio' && m.name.startsWith('mistral') ? 0.7 : 1.15) : 0, expires_at: iso(this.clock + 240_000),
        slots: n.slots, inflight: m.inflight, prefill_tps: 2600 * n.speed, decode_tps: 70 * n.speed, load_bps: 2 * GIB, ttft_p95_ms: quantile(m.firsts, 0.95), breaker: n.state === 'down' ? 'open' : 'closed',
      })),
    };
  }

  move(id, state, error) {
    const n = this.nodes.find((x) => x.id === id);
    if (!n) return undefined;
    if (n.state === 'down' && state === 'up') n.recovering = this.clock + 5000;
    n.state = state;
    n.stateSince = iso(this.clock);
    if (error) n.lastError = { code: 'connect_refused', text: error, at: iso(this.clock) };
    this.changed.add(id);
    this.say({ type: 'node_update', node: this.node(n) });
    return this.node(n);
  }

  change(id, body) {
    const n = this.nodes.find((x) => x.id === id);
    if (!n) return undefined;
    if (body.weight > 0) n.weight = body.weight;
    if (body.state) n.state = body.state;
    this.changed.add(id);
    return this.node(n);
  }

  remove(id) {
    this.nodes = this.nodes.filter((n) => n.id !== id);
    this.say({ type: 'node_update', removed: id });
  }

  health() {
    const up = this.nodes.filter((n) => n.state === 'up').length;
    return { status: this.status(up), version: '1.0.0', host: 'gateway-1', uptime_s: (this.clock - this.started) / 1000, nodes: { total: this.nodes.length, up }, queue: this.queue.length, inflight: this.active.length, checks: [{ name: 'nodes', ok: up > 0, detail: `${up} of ${this.nodes.length} up` }], may_change: true };
  }

  queueView() {
    const by = Map.groupBy(this.queue, (r) => r.model.name);
    return { models: [...by].map(([model, all]) => ({ model, waiting: all.map((r, i) => ({ request_id: r.id, tenant: r.client, band: 'normal', waited_ms: this.clock - r.came, position: i + 1, eta_ms: 900 * (i + 1) })) })) };
  }

  historyOf(range, names) {
    if (range === '5m') return { step_s: 1, t0: this.history[0].t, series: Object.fromEntries(names.map((name) => [name, this.history.map((h) => h[name])])) };
    const [step_s, n] = range === '1h' ? [10, 360] : [60, 1440];
    const t0 = Math.floor(this.clock / 1000) - step_s * n;
    const wave = (name) => Array.from({ length: n }, (_, i) => {
      const base = this.history.map((h) => h[name]).find((v) => v != null) ?? 1;
      const day = 0.65 + 0.4 * Math.sin(((t0 + i * step_s) / 86400) * 2 * Math.PI) + 0.18 * Math.sin(i / 9) + 0.12 * Math.sin(i * 1.7);
      return name === 'errors_per_s' ? (i % 97 === 0 ? 0.4 : 0) : name === 'cache_hit_ratio' ? Math.min(1, 0.25 * day + 0.1) : name === 'rss_bytes' ? 38e6 + 6e6 * day : Math.max(0, base * day);
    });
    return { step_s, t0, series: Object.fromEntries(names.map((name) => [name, wave(name)])) };
  }

  cacheView() {
    const c = this.cache;
    return { entries: c.entries, bytes: c.bytes, size: 256 * 2 ** 20, hit_ratio: c.hits / (c.hits + c.misses), best_possible: 0.41, saved_gpu_s: c.saved, by_route: [{ route: '/api/embed', hits: 8200, misses: 7400, bypassed: 0 }, { route: '/v1/chat/completions', hits: 920, misses: 14000, bypassed: 9120 }] };
  }

  memoryView() {
    const live = this.active.length;
    const pool = (name, object_bytes, inUse, peak) => ({ name, object_bytes, live: inUse, free: Math.max(0, peak - inUse), peak, hits: 912_331, misses: peak });
    return { rss: this.now.rss_bytes, limit: 2 * GIB, pressure: 'none', buffers: 1.2e6, bodies: 210e3, arena: { bytes: 16384 * live }, pools: [pool('exchange', 1536, live, 96), pool('connection', 704, live + 12, 128), pool('message', 96, 2, 64), pool('block 4 KiB', 4096, live * 2, 210), pool('block 16 KiB', 16384, live, 120), pool('cache entry', 192, 4213, 4400)] };
  }
}

export const brief = ({ trace_id, ...r }) => ({ ...r, decision: r.decision && { ...r.decision, candidates: undefined } });
