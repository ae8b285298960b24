// Keeps one stream open per tab, whatever happens: picks the best way that gets through, comes back by itself after a
// break, rests while nobody looks, and always says which of these it is doing.
//
// Order matters once: the stream is opened before the snapshot is asked, and frames wait until the snapshot is there,
// so that nothing that happens in between is lost.
import { ApiError, ask, askIfThere, key } from './api.ts';
import type { AlertsView, CacheView, FleetNode, Frame, Health, History, MemoryView, QueueView, RequestRecord } from './feed.ts';
import { SERIES } from './feed.ts';
import { REQUESTS, applied, change, liveFrom, now } from './store.ts';
import { ways } from './ways.ts';

const SILENT_MS = 6000; // frames come each second; this long without one means that the stream is dead
const FIRST_MS = 5000; // a way that has brought nothing by then does not get through
const BETTER_MS = 60_000; // how long a worse way is good enough before the best one is tried again
const PAUSE_MS = 5000; // a tab that was only flipped past keeps its stream
const TOGETHER_MS = 30; // the frames of one second come in a row and are drawn at once
const SLOW_MS = 10_000; // what comes in no frame (pools, cache by route) is asked this often

let way = 0;
let wayAt = 0;
let failures = 0;
let run = 0; // which opening the callbacks belong to; older ones are ignored
let close: (() => void) | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;
let watchdog: ReturnType<typeof setTimeout> | undefined;

function stop() {
  run++;
  close?.();
  close = undefined;
  clearTimeout(timer);
  clearTimeout(watchdog);
}

function waitAndRetry(why: string) {
  const ms = Math.min(15_000, 1000 * 2 ** failures) * (0.8 + 0.4 * Math.random());
  stop();
  failures++;
  change({ link: { state: 'waiting', way: ways[way]!.id, why, retryAt: Date.now() + ms } });
  timer = setTimeout(connect, ms);
}

function lock(why: string) {
  stop();
  change({ link: { state: 'locked', way: ways[way]!.id, why: key.get() ? why : undefined } });
}

function failed(e: unknown) {
  if (e instanceof ApiError && e.wantsKey) lock('The gateway did not accept this key.');
  else waitAndRetry(e instanceof ApiError ? e.message : 'The gateway does not answer.');
}

async function refreshSlow() {
  const s = now();
  const [cache, memory] = await Promise.all([
    s.cache && askIfThere<CacheView>('api/cache'), s.memory && askIfThere<MemoryView>('api/memory'),
  ]);
  change({ cache, memory });
}

export async function refreshNodes() {
  change({ nodes: (await ask<{ nodes: FleetNode[] }>('api/nodes/detailed')).nodes });
}

async function snapshot() {
  const [nodes, history, alerts, requests, queue, cache, memory] = await Promise.all([
    ask<{ nodes: FleetNode[] }>('api/nodes/detailed'),
    askIfThere<History>(`api/history?range=5m&series=${SERIES.join(',')}`),
    askIfThere<AlertsView>('api/alerts'),
    askIfThere<{ requests: RequestRecord[] }>(`api/requests?limit=${REQUESTS}`),
    askIfThere<QueueView>('api/queue'),
    askIfThere<CacheView>('api/cache'),
    askIfThere<MemoryView>('api/memory'),
  ]);
  change({
    nodes: nodes.nodes, live: liveFrom(history), alerts: alerts?.alerts, silences: alerts?.silences ?? [],
    requests: requests?.requests, queue, cache, memory,
  });
}

/** Opens the chosen way. Frames go to `take`; a way that brings none in time hands over to the next one. */
function openWay(mine: number, take: (f: Frame) => void) {
  let brought = false;
  const over = (why: string) => {
    if (mine !== run) return;
    if (!brought) {
      way = (way + 1) % ways.length;
      wayAt = Date.now();
    }
    waitAndRetry(brought ? why : `No frames by ${ways[(way + ways.length - 1) % ways.length]!.name}.`);
  };
  const watch = (ms: number) => {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => over('The stream went silent.'), ms);
  };
  watch(FIRST_MS);
  close = ways[way]!.open({
    over,
    frame(f) {
      if (mine !== run) return;
      if (!brought) failures = 0;
      brought = true;
      watch(SILENT_MS);
      take(f);
    },
  });
}

async function connect() {
  stop();
  const mine = run;
  if (way > 0 && Date.now() - wayAt > BETTER_MS) way = 0;
  if (now().link.state !== 'waiting') change({ link: { state: 'connecting', way: ways[way]!.id } });
  const frames: Frame[] = [];
  let ready = false;
  let drawing = false;
  const draw = () => {
    drawing = false;
    if (mine !== run || !frames.length) return;
    const state = frames.splice(0).reduce((s, f) => ({ ...s, ...applied(s, f) }), now());
    change({ ...state, link: { state: 'live', way: ways[way]!.id } });
  };
  const take = (f: Frame) => {
    frames.push(f);
    if (!ready || drawing) return;
    drawing = true;
    setTimeout(draw, TOGETHER_MS);
  };
  try {
    const health = await ask<Health>('api/health', { expect503: true });
    if (mine !== run) return;
    change({ health });
    openWay(mine, take);
    await snapshot();
    if (mine !== run) return;
    ready = true;
    if (!performance.getEntriesByName('usable').length) performance.mark('usable');
    draw();
  } catch (e) {
    if (mine === run) failed(e);
  }
}

export function retryNow() {
  failures = 0;
  change({ link: { state: 'connecting', way: ways[way]!.id } });
  void connect();
}

export function signIn(given: string) {
  key.set(given);
  retryNow();
}

export function signOut() {
  key.forget();
  location.reload();
}

function pauseWhenHidden() {
  let pausing: ReturnType<typeof setTimeout> | undefined;
  document.addEventListener('visibilitychange', () => {
    clearTimeout(pausing);
    if (!document.hidden) {
      if (now().link.state === 'paused') retryNow();
      return;
    }
    pausing = setTimeout(() => {
      if (now().link.state === 'locked') return;
      stop();
      change({ link: { state: 'paused', way: ways[way]!.id } });
    }, PAUSE_MS);
  });
}

/** What no frame carries. A failure here is the stream's to notice. */
function askSlowThings() {
  const live = () => now().link.state === 'live';
  setInterval(() => {
    if (live()) refreshSlow().catch(() => {});
  }, SLOW_MS);
  setInterval(() => {
    const s = now();
    if (!live() || !s.queue) return;
    const shown = s.queue.models.some((m) => m.waiting.length);
    if (shown || s.metrics?.queue.waiting) void askIfThere<QueueView>('api/queue').then((queue) => change({ queue }), () => {});
  }, 2000);
}

export function startLink() {
  pauseWhenHidden();
  askSlowThings();
  addEventListener('online', () => now().link.state === 'waiting' && retryNow());
  void connect();
}
