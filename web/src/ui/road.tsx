// The road of one request: what each stage took. In a list it is a bar, in the inspector a road with its stations.
import type { RequestRecord } from '../feed.ts';
import { duration } from '../format.ts';

interface Leg {
  id: 'door' | 'queue' | 'connect' | 'load' | 'first' | 'stream';
  name: string;
  ms: (r: RequestRecord) => number;
  says: (r: RequestRecord) => string;
}
const first = (r: RequestRecord) => r.stages.first_ms ?? r.stages.total_ms;
const answered = (r: RequestRecord) => !!r.node;

export const LEGS: Leg[] = [
  { id: 'door', name: 'Door', ms: (r) => r.stages.added_ms, says: (r) => (r.tries > 1 ? 'the gateway, and tries that failed' : "the gateway's own time") },
  { id: 'queue', name: 'Queue', ms: (r) => r.stages.queued_ms, says: (r) => (r.stages.queued_ms ? 'waited for a node' : 'no wait') },
  { id: 'connect', name: 'Connect', ms: (r) => r.stages.connect_ms, says: (r) => (r.stages.connect_ms ? 'a new connection' : 'a kept connection') },
  { id: 'load', name: 'Load', ms: (r) => r.stages.load_ms, says: () => 'the node loaded the model' },
  { id: 'first', name: 'First token', ms: (r) => Math.max(0, r.stages.node_ms - r.stages.load_ms), says: (r) => (r.tokens_in ? `the node read ${r.tokens_in} tokens` : 'the node began to answer') },
  { id: 'stream', name: 'Stream', ms: (r) => Math.max(0, r.stages.total_ms - first(r)), says: (r) => (r.tokens_out ? `${r.tokens_out} tokens written` : 'the rest of the answer') },
];

const NEEDS_NODE = ['connect', 'load', 'first'];

export const legsOf = (r: RequestRecord) =>
  LEGS.map((leg) => ({ leg, ms: leg.ms(r) }))
    .filter(({ leg, ms }) => (leg.id === 'load' ? ms > 1 : ms > 0 || answered(r) || !NEEDS_NODE.includes(leg.id)));

export function MiniRoad({ r, longest }: { r: RequestRecord; longest: number }) {
  const legs = legsOf(r).filter((l) => l.ms > 0);
  const whole = Math.max(r.stages.total_ms, 0.001);
  const width = 18 + 82 * Math.sqrt(whole / Math.max(longest, 0.001));
  return (
    <span class="mini-road" role="img" aria-label={legs.filter((l) => l.ms >= 1).map((l) => `${l.leg.name} ${duration(l.ms)}`).join(', ') || `all in ${duration(whole)}`}>
      <span class="mini-road-line" style={{ width: `${Math.min(100, width)}%` }}>
        {legs.map((l) => <i key={l.leg.id} class={`leg ${l.leg.id}`} style={{ flexGrow: String(l.ms / whole) }} />)}
      </span>
    </span>
  );
}

export function Road({ r }: { r: RequestRecord }) {
  const legs = legsOf(r);
  const whole = Math.max(r.stages.total_ms, 0.001);
  const slowest = Math.max(...legs.map((l) => l.ms));
  return (
    <ol class="road">
      {legs.map(({ leg, ms }) => (
        <li key={leg.id} class={ms === slowest && ms > 0 ? 'station slowest' : 'station'}>
          <span class="station-name">{leg.name}</span>
          <span class="station-track" aria-hidden="true"><i class={`leg ${leg.id}`} style={{ width: `${Math.max(ms > 0 ? 1.5 : 0, (100 * ms) / whole)}%` }} /></span>
          <span class="station-time">{duration(ms)}</span>
          <span class="station-says">{leg.says(r)}{ms === slowest && ms > 0 && <b>, most of it</b>}</span>
        </li>
      ))}
      <li class="station end"><span class="station-name">All</span><span class="station-track" aria-hidden="true" /><span class="station-time">{duration(r.stages.total_ms)}</span><span class="station-says">{r.stages.first_ms == null ? 'no byte went out' : `first byte after ${duration(r.stages.first_ms)}`}</span></li>
    </ol>
  );
}

export function RoadKey() {
  return (
    <p class="road-key" aria-hidden="true">
      {LEGS.map((l) => <span key={l.id}><i class={`leg ${l.id}`} />{l.name}</span>)}
      <span>(length: the root of the time)</span>
    </p>
  );
}
