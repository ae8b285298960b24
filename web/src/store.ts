// All the page knows, in one immutable value: frames and answers make a new one, components look at the part they show
// and are drawn again only when that part is another one.
import { useLayoutEffect, useReducer, useRef } from 'preact/hooks';
import { SERIES } from './feed.ts';
import type {
  Alert, CacheView, FleetNode, Frame, Health, History, MemoryView, MetricsFrame, QueueView, RequestRecord, SeriesName,
  Silence,
} from './feed.ts';
import type { Way } from './ways.ts';

export const SECONDS = 300; // what the live rings hold
export const REQUESTS = 50;

export interface Link {
  state: 'connecting' | 'live' | 'waiting' | 'paused' | 'locked';
  way: Way['id'];
  why?: string;
  retryAt?: number; // Date.now() of the next try while waiting
}
export interface Live {
  t: number[];
  series: Record<SeriesName, (number | null)[]>;
}
export interface State {
  link: Link;
  health?: Health;
  metrics?: MetricsFrame;
  nodes?: FleetNode[];
  alerts?: Alert[];
  silences: Silence[];
  requests?: RequestRecord[];
  arrived: number; // requests seen so far, so that a held list can say how many are new
  queue?: QueueView;
  cache?: CacheView;
  memory?: MemoryView;
  live: Live;
  upgraded: boolean;
}

const emptyLive = (): Live => ({
  t: [],
  series: Object.fromEntries(SERIES.map((name) => [name, []])) as unknown as Live['series'],
});

let state: State = {
  link: { state: 'connecting', way: 'websocket' }, silences: [], arrived: 0, live: emptyLive(), upgraded: false,
};
const watchers = new Set<() => void>();

export const now = () => state;
export function change(part: Partial<State>) {
  state = { ...state, ...part };
  for (const watcher of [...watchers]) watcher();
}

export function useStore<T>(look: (s: State) => T): T {
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  const seen = useRef<{ look: (s: State) => T; value: T }>({ look, value: look(state) });
  seen.current = { look, value: look(state) };
  useLayoutEffect(() => {
    const watch = () => {
      if (!Object.is(seen.current.look(state), seen.current.value)) redraw(0);
    };
    watchers.add(watch);
    watch();
    return () => void watchers.delete(watch);
  }, []);
  return seen.current.value;
}

// ---- what frames do ----------------------------------------------------------------------------------------------------

export function liveFrom(h: History | undefined): Live {
  if (!h) return emptyLive();
  const length = Math.max(0, ...Object.values(h.series).map((values) => values?.length ?? 0));
  const t = Array.from({ length }, (_, i) => h.t0 + i * h.step_s).slice(-SECONDS);
  const live = emptyLive();
  live.t = t;
  for (const name of SERIES) {
    const values = h.series[name] ?? [];
    live.series[name] = [...Array<null>(Math.max(0, length - values.length)).fill(null), ...values].slice(-SECONDS);
  }
  return live;
}

function grown(live: Live, frame: MetricsFrame): Live {
  if (frame.t <= (live.t.at(-1) ?? 0)) return live;
  const series = { ...live.series };
  for (const name of SERIES) series[name] = [...series[name].slice(1 - SECONDS), frame.now[name] ?? null];
  return { t: [...live.t.slice(1 - SECONDS), frame.t], series };
}

/** The slow facts of a node come in its own frames; what changes every second is laid over them here. */
function overlaid(nodes: FleetNode[] | undefined, frame: MetricsFrame): FleetNode[] | undefined {
  const fresh = new Map(frame.nodes.map((n) => [n.id, n]));
  const work = new Map(frame.cells.map((c) => [`${c.node}\n${c.model}`, c.inflight]));
  return nodes?.map((node) => {
    const n = fresh.get(node.id);
    const models = node.models.map((m) => {
      const inflight = work.get(`${node.id}\n${m.name}`) ?? 0;
      return (m.inflight ?? 0) === inflight ? m : { ...m, inflight };
    });
    const same = models.every((m, i) => m === node.models[i]);
    if (!n || (same && n.state === node.state && n.inflight === node.inflight)) return node;
    return { ...node, state: n.state, inflight: n.inflight, models: same ? node.models : models };
  });
}

function put<T>(list: T[] | undefined, item: T, same: (a: T) => boolean): T[] {
  const all = list ?? [];
  return all.some(same) ? all.map((old) => (same(old) ? item : old)) : [...all, item];
}

/** Clients choose request ids and may use one twice. */
export const keyOf = (r: RequestRecord) => `${r.id} ${r.at}`;

function withRequests(list: RequestRecord[] | undefined, fresh: RequestRecord[]): RequestRecord[] {
  const known = new Set(list?.map(keyOf));
  return [...fresh.filter((r) => !known.has(keyOf(r))), ...(list ?? [])].slice(0, REQUESTS);
}

export function applied(s: State, frame: Frame): Partial<State> {
  switch (frame.type) {
    case 'metrics': {
      const first = s.metrics ?? frame;
      return {
        metrics: frame,
        live: grown(s.live, frame),
        nodes: overlaid(s.nodes, frame),
        upgraded: s.upgraded || first.version !== frame.version,
      };
    }
    case 'node_update':
      if (frame.removed) return { nodes: s.nodes?.filter((n) => n.id !== frame.removed) };
      return frame.node ? { nodes: put(s.nodes, frame.node, (n) => n.id === frame.node?.id) } : {};
    case 'alert':
      return {
        alerts: frame.alert
          ? put(s.alerts, frame.alert, (a) => a.id === frame.alert?.id)
          : s.alerts?.filter((a) => a.id !== frame.removed),
        silences: frame.silences ?? s.silences,
      };
    case 'request':
      return {
        requests: withRequests(s.requests, frame.requests),
        arrived: s.arrived + frame.requests.length + frame.skipped,
      };
    default:
      return {};
  }
}
