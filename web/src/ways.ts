// The three ways frames come in, best first. Each opens, hands over frames, and says once when it is over; what to do
// then is the link's business. Whatever the way, the frames are the same.
import { base, headers, key, keyBytes } from './api.ts';
import type { Frame } from './feed.ts';

export interface Listener {
  frame(f: Frame): void;
  over(why: string): void;
}
export interface Way {
  id: 'websocket' | 'events' | 'polling';
  name: string;
  open(on: Listener): () => void;
}

const TOPICS = ['metrics', 'node_update', 'alert', 'request'];

/** A browser cannot put a header on a WebSocket; the key travels as a subprotocol, which the server never echoes. */
function protocols(): string[] {
  if (!key.get()) return ['ollamamax.v1'];
  const text = btoa(keyBytes()).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
  return ['ollamamax.v1', `ollamamax.bearer.${text}`];
}

function parse(text: string): Frame | undefined {
  try {
    return JSON.parse(text) as Frame;
  } catch {
    return undefined;
  }
}

function openWebSocket(on: Listener): () => void {
  const at = new URL('ws', base);
  at.protocol = at.protocol.replace('http', 'ws');
  const socket = new WebSocket(at, protocols());
  socket.onopen = () => socket.send(JSON.stringify({ type: 'subscribe', topics: TOPICS }));
  socket.onmessage = (m) => {
    const frame = typeof m.data === 'string' ? parse(m.data) : undefined;
    if (frame) on.frame(frame);
  };
  socket.onclose = (e) => on.over(e.reason ? `The gateway closed the stream: ${e.reason}.` : 'The connection closed.');
  return () => {
    socket.onclose = socket.onmessage = socket.onopen = null;
    socket.close();
  };
}

/** What browsers say of a broken connection is for programmers. */
const spoken = (e: Error) => (e.message.startsWith('The ') ? e.message : 'The connection closed.');

/** Server-sent events over fetch: EventSource cannot carry the key. Only `data:` lines are used. */
async function readEvents(on: Listener, signal: AbortSignal) {
  const at = new URL(`api/events?topics=${TOPICS.join(',')}`, base);
  const answer = await fetch(at, { headers: headers({ Accept: 'text/event-stream' }), cache: 'no-store', signal });
  if (!answer.ok || !answer.body) throw new Error(`The gateway answered ${answer.status}.`);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Error('The stream ended.');
    const lines = (rest + value).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const frame = line.startsWith('data:') ? parse(line.slice(5)) : undefined;
      if (frame) on.frame(frame);
    }
  }
}

function openEvents(on: Listener): () => void {
  const ending = new AbortController();
  readEvents(on, ending.signal).catch((e: Error) => {
    if (!ending.signal.aborted) on.over(spoken(e));
  });
  return () => ending.abort();
}

/** The frames of the last whole second, asked for again and again: for proxies that let no stream through. */
function openPolling(on: Listener): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const ending = new AbortController();
  const turn = async () => {
    try {
      const at = new URL(`api/events?topics=${TOPICS.join(',')}`, base);
      const signal = AbortSignal.any([ending.signal, AbortSignal.timeout(5000)]);
      const answer = await fetch(at, { headers: headers({ Accept: 'application/json' }), cache: 'no-store', signal });
      if (!answer.ok) throw new Error(`The gateway answered ${answer.status}.`);
      for (const frame of ((await answer.json()) as { frames: Frame[] }).frames) on.frame(frame);
      timer = setTimeout(turn, 1000);
    } catch (e) {
      if (!ending.signal.aborted) on.over(spoken(e as Error));
    }
  };
  void turn();
  return () => {
    ending.abort();
    clearTimeout(timer);
  };
}

export const ways: Way[] = [
  { id: 'websocket', name: 'WebSocket', open: openWebSocket },
  { id: 'events', name: 'server-sent events', open: openEvents },
  { id: 'polling', name: 'polling', open: openPolling },
];
