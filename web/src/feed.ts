// What the gateway tells the page: the routes it asks once and the frames that follow each second. FEED.md says in words
// what each one is; this file is that page as types. A field marked `?` may be missing: the page then leaves out what it
// would have shown, and never makes a number up.

/** A moment as RFC 3339 text. */
export type Stamp = string;

/** Series of GET /api/history that the page shows: names of src/observe/series.def, which a test compares. */
export const SERIES = [
  'requests_per_s', 'errors_per_s', 'retries_per_s', 'tokens_out_per_s', 'ttft_p50_ms', 'ttft_p95_ms', 'queue',
  'queue_wait_p95_ms', 'inflight', 'cache_hit_ratio', 'added_p95_us', 'rss_bytes',
] as const;
export type SeriesName = (typeof SERIES)[number];
export type Range = '5m' | '1h' | '24h';

export interface Health {
  status: 'healthy' | 'degraded' | 'down';
  version: string;
  host?: string;
  uptime_s: number;
  nodes: { total: number; up: number };
  queue: number;
  inflight: number;
  checks: { name: string; ok: boolean; detail: string }[];
  may_change?: boolean;
}

export type NodeState = 'up' | 'suspect' | 'down' | 'draining' | 'starting';
export type Breaker = 'closed' | 'open' | 'trial';

export interface NodeModel {
  name: string;
  digest?: string;
  loaded: boolean;
  loading?: boolean;
  size: number;
  size_vram: number;
  expires_at?: Stamp;
  slots?: number | null;
  inflight?: number;
  prefill_tps?: number;
  decode_tps?: number;
  load_bps?: number;
  ttft_p95_ms?: number | null;
  breaker?: Breaker;
}

export interface FleetNode {
  id: string;
  url: string;
  kind: string;
  state: NodeState;
  state_since?: Stamp | null;
  weight: number;
  inflight: number;
  slots: number | null;
  simulated: boolean;
  version?: string;
  labels?: string;
  vram_bytes?: number | null;
  models: NodeModel[];
  breaker?: Breaker;
  ttft_ms?: { p50: number | null; p95: number | null };
  requests?: number;
  errors?: number;
  last_error?: { code: string; text: string; at: Stamp } | null;
  last_seen?: Stamp | null;
}

export interface QueueView {
  models: { model: string; waiting: Waiter[] }[];
}
export interface Waiter {
  request_id: string;
  tenant?: string;
  band?: string;
  waited_ms: number;
  position: number;
  eta_ms?: number | null;
}

export interface History {
  step_s: number;
  t0: number;
  series: Partial<Record<SeriesName, (number | null)[]>>;
}

export interface Alert {
  id: string;
  name: string;
  state: 'pending' | 'firing' | 'resolved';
  severity?: 'critical' | 'warning' | 'info';
  since: Stamp;
  value: number | null;
  threshold: number | null;
  unit?: string;
  message: string;
  labels: Record<string, string>;
  fired?: Stamp | null;
  ended?: Stamp | null;
  silenced_until?: Stamp | null;
}
export interface Silence {
  id: string;
  name: string;
  labels?: Record<string, string>;
  until: Stamp;
  comment?: string | null;
}
export interface AlertsView {
  alerts: Alert[];
  silences?: Silence[];
}

/** Seconds of expected time that each reason adds; smaller is better. */
export interface Terms {
  slot?: number;
  load?: number;
  prefill?: number;
  decode?: number;
  penalty?: number;
}
export interface Candidate {
  node: string;
  eta_s: number | null;
  terms?: Terms;
  excluded?: string | null;
}
export interface Decision {
  policy: string;
  node?: string;
  total_s?: number | null;
  terms?: Terms;
  n?: number;
  /** Who came second where nodes are compared by time; null: no other node could have taken it. */
  next?: Candidate | null;
  candidates?: Candidate[];
}
export interface Stages {
  total_ms: number;
  queued_ms: number;
  connect_ms: number;
  node_ms: number;
  first_ms: number | null;
  added_ms: number;
  load_ms: number;
}
export interface Attempt {
  node: string;
  start_ms: number;
  end_ms: number;
  connect_ms?: number;
  outcome: string;
  detail?: string;
  status?: number | null;
}
export interface RequestRecord {
  id: string;
  at: Stamp;
  method?: string;
  route: string;
  model: string;
  node: string;
  status: number;
  code: string;
  sentence?: string | null;
  client?: string;
  stream: boolean;
  simulated?: boolean;
  tries: number;
  tokens_in: number | null;
  tokens_out: number | null;
  cache?: 'none' | 'hit' | 'stale' | 'joined' | 'miss' | 'bypass';
  cache_detail?: string;
  bytes_in?: number;
  bytes_out?: number;
  stages: Stages;
  decision?: Decision | null;
  attempts?: Attempt[];
  trace_id?: string;
}

export interface CacheView {
  enabled?: boolean;
  entries: number;
  bytes: number;
  size: number;
  hit_ratio: number | null;
  best_possible?: number | null;
  saved_gpu_s: number;
  by_route?: { route: string; hits: number; misses: number; bypassed: number }[];
}

export interface MemoryView {
  rss: number;
  limit: number;
  pressure?: 'none' | '75' | '85' | '92';
  arena?: { bytes: number };
  buffers?: number;
  bodies?: number;
  pools: Pool[];
}
export interface Pool {
  name: string;
  object_bytes: number;
  live: number;
  free: number;
  peak: number;
  hits: number;
  misses: number;
}

/** A section of a room that the page knows nothing about (agents, MCP servers): figures and a table, drawn as they come. */
export interface Room {
  id: string;
  title: string;
  says?: string;
  figures: { label: string; value: number | string; unit?: string }[];
  table?: { columns: string[]; rows: (string | number | null)[][] };
}

// ---- frames ----------------------------------------------------------------------------------------------------------

export interface MetricsFrame {
  type: 'metrics';
  t: number;
  version: string;
  status: Health['status'];
  uptime_s: number;
  now: Partial<Record<SeriesName, number | null>>;
  totals: { requests: number; errors: number; tokens_in: number; tokens_out: number };
  nodes: NodeNow[];
  cells: CellNow[];
  queue: { waiting: number; oldest_ms: number; models: { model: string; waiting: number; oldest_ms: number }[] };
  alerts: { firing: number; pending: number };
  cache?: CacheNow;
  memory: { rss: number; limit: number; pressure?: MemoryView['pressure'] };
  rooms?: Room[];
}
export interface NodeNow {
  id: string;
  state: NodeState;
  inflight: number;
  tokens_per_s: number;
  ttft_p95_ms: number | null;
}
/** One model on one node with work in this second; a pair that is absent is idle. */
export interface CellNow {
  node: string;
  model: string;
  inflight: number;
  tokens_per_s: number;
}
export interface CacheNow {
  hit_ratio: number | null;
  saved_gpu_s: number;
  entries: number;
  bytes: number;
}
export interface NodeFrame {
  type: 'node_update';
  node?: FleetNode;
  removed?: string;
}
export interface AlertFrame {
  type: 'alert';
  alert?: Alert;
  removed?: string;
  silences?: Silence[];
}
export interface RequestFrame {
  type: 'request';
  requests: RequestRecord[];
  skipped: number;
}
export interface ErrorFrame {
  type: 'error';
  error: string;
  code: string;
}
export type Frame = MetricsFrame | NodeFrame | AlertFrame | RequestFrame | ErrorFrame;
