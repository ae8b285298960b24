// The fleet: one row a node, what is wrong first.
import { useState } from 'preact/hooks';
import type { FleetNode, NodeModel, NodeNow } from '../feed.ts';
import { ago, bytes, count, duration, names } from '../format.ts';
import { useStore } from '../store.ts';
import { Icon } from './icons.tsx';
import { NodeDialog } from './node_dialog.tsx';
import { Badge, Bar, Hidden, Section } from './parts.tsx';
import { BREAKERS, stateOf } from './words.ts';

interface Column {
  id: string;
  name: string;
  num?: boolean;
  by?: (n: FleetNode, now: NodeNow | undefined) => number | string;
}
const columns: Column[] = [
  { id: 'node', name: 'Node', by: (n) => n.id },
  { id: 'state', name: 'State', by: (n) => stateOf(n).order },
  { id: 'models', name: 'Models in memory' },
  { id: 'slots', name: 'Slots', by: (n) => -n.inflight },
  { id: 'speed', name: 'Writes', num: true, by: (_, now) => -(now?.tokens_per_s ?? 0) },
  { id: 'first', name: 'First token', num: true, by: (n, now) => -(now?.ttft_p95_ms ?? n.ttft_ms?.p95 ?? 0) },
  { id: 'breaker', name: 'Breaker' },
];

const MANY = 12; // more than this scroll in a box of their own, what is wrong on top

const loaded = (n: FleetNode) => n.models.filter((m) => m.loaded || m.loading);
const inRam = (m: NodeModel) => Math.max(0, m.size - m.size_vram);

/** What bars are measured against: the node's own memory where it is known, else the fullest node of the fleet. */
const fullest = (nodes: FleetNode[]) => Math.max(1, ...nodes.map((n) => loaded(n).reduce((sum, m) => sum + m.size, 0)));

function Models({ node, whole }: { node: FleetNode; whole: number }) {
  const there = loaded(node);
  const vram = there.reduce((sum, m) => sum + m.size_vram, 0);
  const ram = there.filter((m) => !m.loading).reduce((sum, m) => sum + inRam(m), 0);
  const idle = node.models.length - there.length;
  return (
    <div class="vram">
      <Bar
        whole={node.vram_bytes ?? whole}
        parts={[
          ...there.map((m, i) => ({ value: m.loading ? m.size : m.size_vram, kind: m.loading ? 'loading' : `model m${i % 4}`, title: m.name })),
          { value: ram, kind: 'ram', title: 'in main memory' },
        ]}
      />
      <p class="vram-names">
        {there.length === 0 && <span class="muted">none</span>}
        {there.map((m, i) => (
          <span key={m.name} class="chip">
            <i class={m.loading ? 'dot loading' : `dot m${i % 4}`} aria-hidden="true" />
            {m.name}{m.loading && <span class="muted"> loading</span>}
            {m.inflight ? <b title={`${m.inflight} in flight`}> {m.inflight}</b> : null}
          </span>
        ))}
      </p>
      <p class="muted small-text">
        {bytes(vram)}{node.vram_bytes ? ` of ${bytes(node.vram_bytes)}` : ''} VRAM
        {ram > 0 && <span class="warn-text"> + {bytes(ram)} in main memory: slow</span>}
        {idle > 0 && `, ${idle} more on disk`}
      </p>
    </div>
  );
}

function Slots({ node }: { node: FleetNode }) {
  const slots = node.slots;
  if (slots == null || slots === 0) return <span class="figure">{node.inflight} <span class="muted">in flight</span></span>;
  return (
    <div class="slots">
      <span class="figure">{node.inflight}<span class="muted"> of {slots}</span></span>
      {slots <= 16 ? (
        <span class="pips" aria-hidden="true">
          {Array.from({ length: slots }, (_, i) => <i key={i} class={i < node.inflight ? 'full' : ''} />)}
        </span>
      ) : <Bar whole={slots} parts={[{ value: node.inflight, kind: 'model m0' }]} />}
    </div>
  );
}

function BreakerCell({ node }: { node: FleetNode }) {
  const breaker = node.breaker;
  const open = breaker === 'closed' ? node.models.filter((m) => m.breaker && m.breaker !== 'closed') : [];
  if (!breaker) return <span class="muted">–</span>;
  const row = BREAKERS[breaker];
  return (
    <>
      <Badge level={row.level} icon={row.icon} title={row.says}>{breaker}</Badge>
      {open.length > 0 && <p class="small-text warn-text">{names(open.map((m) => `${m.name} ${m.breaker}`))}</p>}
    </>
  );
}

function Row({ node, now, whole, at, breakers, onOpen }: { node: FleetNode; now?: NodeNow; whole: number; at: number; breakers: boolean; onOpen: () => void }) {
  const state = stateOf(node);
  const failing = node.state === 'down' || node.state === 'suspect';
  const down = node.state === 'down';
  return (
    <tr role="row" class={`is-${state.level}`} data-node={node.id}>
      <th role="rowheader" scope="row">
        <button type="button" class="link-button" onClick={onOpen} aria-haspopup="dialog">{node.id}<Hidden>, details and actions</Hidden></button>
        {node.simulated && <span class="tag sim">simulated</span>}
        <span class="muted small-text block">{node.kind}{node.version ? ` ${node.version}` : ''}{node.weight !== 1 && `, weight ${node.weight}`}</span>
      </th>
      <td role="cell" data-name="State">
        <Badge level={state.level} icon={state.icon}>{state.word}</Badge>
        {node.state !== 'up' && node.state_since && <span class="muted small-text block">for {ago(node.state_since, at).replace(' ago', '')}</span>}
        {failing && node.last_error && <span class="small-text block warn-text">{node.last_error.text}</span>}
      </td>
      <td role="cell" data-name="Models"><Models node={node} whole={whole} /></td>
      <td role="cell" data-name="Slots"><Slots node={node} /></td>
      <td role="cell" data-name="Writes" class="num"><span class="figure">{count(down ? null : now?.tokens_per_s)}</span> <span class="muted">tok/s</span></td>
      <td role="cell" data-name="First token" class="num"><span class="figure">{duration(down ? null : now?.ttft_p95_ms ?? node.ttft_ms?.p95)}</span> <span class="muted">p95</span></td>
      {breakers && <td role="cell" data-name="Breaker"><BreakerCell node={node} /></td>}
    </tr>
  );
}

function useSorted(nodes: FleetNode[], fresh: Map<string, NodeNow>) {
  const [sort, setSort] = useState({ id: 'state', down: false });
  const column = columns.find((c) => c.id === sort.id)!;
  const sorted = nodes.map((n) => ({ n, v: column.by!(n, fresh.get(n.id)) })).sort((a, b) => {
    const order = a.v < b.v ? -1 : a.v > b.v ? 1 : a.n.id.localeCompare(b.n.id, 'en', { numeric: true });
    return sort.down ? -order : order;
  });
  const pick = (id: string) => setSort({ id, down: sort.id === id && !sort.down });
  return { sorted: sorted.map((x) => x.n), sort, pick };
}

export function Fleet() {
  const nodes = useStore((s) => s.nodes);
  const frame = useStore((s) => s.metrics);
  const [opened, setOpened] = useState<string>();
  const fresh = new Map(frame?.nodes.map((n) => [n.id, n]));
  const { sorted, sort, pick } = useSorted(nodes ?? [], fresh);
  const breakers = !!nodes?.some((n) => n.breaker);
  const chosen = nodes?.find((n) => n.id === opened);
  const at = (frame?.t ?? Date.now() / 1000) * 1000;
  return (
    <Section id="fleet" title="Fleet" wide aside={nodes?.some((n) => n.simulated) && <span class="tag sim">simulated nodes: their answers are made up</span>}>
      {nodes?.length ? (
        <div class={nodes.length > MANY ? 'fleet-box many' : 'fleet-box'}>
        <table class="fleet" role="table">
          <caption class="sr-only">Nodes, what they hold and how they do</caption>
          <thead role="rowgroup">
            <tr role="row">
              {columns.filter((c) => c.id !== 'breaker' || breakers).map((c) => (
                <th key={c.id} role="columnheader" scope="col" class={c.num ? 'num' : ''} aria-sort={sort.id === c.id ? (sort.down ? 'descending' : 'ascending') : undefined}>
                  {c.by ? (
                    <button type="button" class="sort" onClick={() => pick(c.id)}>
                      {c.name}{sort.id === c.id && <span aria-hidden="true" class={sort.down ? 'arrow up' : 'arrow'} />}
                    </button>
                  ) : c.name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody role="rowgroup">
            {sorted.map((n) => <Row key={n.id} node={n} now={fresh.get(n.id)} whole={fullest(nodes)} at={at} breakers={breakers} onOpen={() => setOpened(n.id)} />)}
          </tbody>
        </table>
        </div>
      ) : (
        <p class="empty"><Icon name="fork" /> {nodes ? 'No nodes. Start the gateway with --node, or POST one to /api/nodes.' : 'Asking …'}</p>
      )}
      {chosen && <NodeDialog node={chosen} now={fresh.get(chosen.id)} at={at} onClose={() => setOpened(undefined)} />}
    </Section>
  );
}
