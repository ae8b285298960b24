// Which model works where: a row a model, a column a node. Each cell says its figure; the shade repeats it.
import { useState } from 'preact/hooks';
import type { CellNow, FleetNode, NodeModel } from '../feed.ts';
import { bytes, count, duration } from '../format.ts';
import { useStore } from '../store.ts';
import { Icon } from './icons.tsx';
import { Choice, Hidden, Section } from './parts.tsx';
import { stateOf } from './words.ts';

type Measure = 'work' | 'speed' | 'first' | 'memory';
interface Row {
  value: Measure;
  label: string;
  of: (m: NodeModel, now: CellNow | undefined) => number | null | undefined;
  show: (v: number) => string;
}
const measures: Row[] = [
  { value: 'work', label: 'In flight', of: (m) => m.inflight ?? 0, show: count },
  { value: 'speed', label: 'Tokens/s', of: (_, now) => now?.tokens_per_s ?? 0, show: count },
  { value: 'first', label: 'First token', of: (m) => m.ttft_p95_ms, show: duration },
  { value: 'memory', label: 'VRAM', of: (m) => m.size_vram, show: bytes },
];

const at = (node: string, model: string) => `${node}\n${model}`;

function Cell({ node, model, now, measure, most }: { node: FleetNode; model?: NodeModel; now?: CellNow; measure: Row; most: number }) {
  if (!model) return <td class="heat-none"><span aria-hidden="true">·</span><Hidden>not there</Hidden></td>;
  if (node.state === 'down') return <td class="heat-none"><Icon name="bad" size={12} /><Hidden>node is down</Hidden></td>;
  if (model.loading) return <td class="heat-loading">loading</td>;
  if (!model.loaded) return <td class="heat-disk">disk</td>;
  const value = measure.of(model, now);
  const share = value && most ? value / most : 0;
  return (
    <td class="heat-cell" style={{ '--heat': share.toFixed(3) }}>
      {value == null ? '–' : measure.show(value)}
      {model.breaker && model.breaker !== 'closed' && <span class="heat-breaker"><Icon name={model.breaker} size={12} /><Hidden>breaker {model.breaker}</Hidden></span>}
    </td>
  );
}

export function Heat() {
  const nodes = useStore((s) => s.nodes) ?? [];
  const cells = useStore((s) => s.metrics?.cells);
  const queue = useStore((s) => s.metrics?.queue);
  const [picked, pick] = useState<Measure>('work');
  const measure = measures.find((m) => m.value === picked)!;
  const now = new Map(cells?.map((c) => [at(c.node, c.model), c]));
  const models = [...new Set(nodes.flatMap((n) => n.models.map((m) => m.name)))];
  const isLoaded = (name: string) => nodes.some((n) => n.models.some((m) => m.name === name && m.loaded));
  models.sort((a, b) => Number(isLoaded(b)) - Number(isLoaded(a)) || a.localeCompare(b));
  const columns = [...nodes].sort((a, b) => a.id.localeCompare(b.id, 'en', { numeric: true }));
  const most = Math.max(0, ...nodes.flatMap((n) => n.models.map((m) => measure.of(m, now.get(at(n.id, m.name))) ?? 0)));
  const waiting = (model: string) => queue?.models.find((q) => q.model === model)?.waiting ?? 0;
  if (!models.length) return null;
  return (
    <Section id="heat" title="Models on nodes" aside={<Choice label="Figure" value={picked} options={measures} onPick={pick} />}>
      <div class="scroll" role="region" aria-label="Models on nodes" tabIndex={0}>
        <table class="heat">
          <thead>
            <tr>
              <th scope="col">Model</th>
              {columns.map((n) => (
                <th key={n.id} scope="col"><span>{n.state !== 'up' && <Icon name={stateOf(n).icon} size={12} />}{n.id}</span></th>
              ))}
              <th scope="col">Waiting</th>
            </tr>
          </thead>
          <tbody>
            {models.map((name) => (
              <tr key={name}>
                <th scope="row" title={name}>{name}</th>
                {columns.map((n) => (
                  <Cell key={n.id} node={n} model={n.models.find((m) => m.name === name)} now={now.get(at(n.id, name))} measure={measure} most={most} />
                ))}
                <td class={waiting(name) ? 'heat-wait' : 'muted'}>{waiting(name)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Section>
  );
}
