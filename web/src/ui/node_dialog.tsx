// One node in full, and what can be done with it. What changes the fleet asks once more, in words that say what follows.
import { useState } from 'preact/hooks';
import { send } from '../api.ts';
import { refreshNodes } from '../link.ts';
import type { FleetNode, NodeNow } from '../feed.ts';
import { ago, bytes, clock, count, duration, plural } from '../format.ts';
import { useStore } from '../store.ts';
import { Badge, Dialog, Fact } from './parts.tsx';
import { BREAKERS, stateOf } from './words.ts';

interface Action {
  id: string;
  name: string;
  when: (n: FleetNode) => boolean;
  says: (n: FleetNode) => string;
  danger?: boolean;
  run: (n: FleetNode, value: string) => Promise<unknown>;
}
const path = (n: FleetNode) => `api/nodes/${encodeURIComponent(n.id)}`;
const running = (n: FleetNode) => plural(n.inflight, 'running request');

const actions: Action[] = [
  {
    id: 'drain', name: 'Drain', when: (n) => n.state !== 'draining',
    says: (n) => `${n.id} finishes its ${running(n)} and gets no new ones until it is undrained.`,
    run: (n) => send('POST', `${path(n)}/drain`),
  },
  {
    id: 'undrain', name: 'Undrain', when: (n) => n.state === 'draining',
    says: (n) => `${n.id} gets requests again.`,
    run: (n) => send('POST', `${path(n)}/undrain`),
  },
  {
    id: 'weight', name: 'Weight', when: () => true,
    says: (n) => `How much of the work ${n.id} gets, compared with a node of weight 1.`,
    run: (n, value) => send('PATCH', path(n), { weight: Number(value) }),
  },
  {
    id: 'remove', name: 'Remove', danger: true, when: () => true,
    says: (n) => `${n.id} finishes its ${running(n)}, then it is gone from the fleet.`,
    run: (n) => send('DELETE', path(n)),
  },
  {
    id: 'remove-now', name: 'Remove now', danger: true, when: (n) => n.inflight > 0,
    says: (n) => `${n.id} is gone at once. Its ${running(n)} ${n.inflight === 1 ? 'breaks' : 'break'} off.`,
    run: (n) => send('DELETE', `${path(n)}?now=1`),
  },
];

function Confirm({ node, action, onDone }: { node: FleetNode; action: Action; onDone: () => void }) {
  const [weight, setWeight] = useState(String(node.weight));
  const [state, setState] = useState<{ busy?: boolean; error?: string }>({});
  const go = async (e: Event) => {
    e.preventDefault();
    setState({ busy: true });
    try {
      await action.run(node, weight);
      await refreshNodes();
      onDone();
    } catch (problem) {
      setState({ error: (problem as Error).message });
    }
  };
  return (
    <form class="confirm" onSubmit={go}>
      <p>{action.says(node)} <span class="muted">Gone after a restart: the configuration is not changed.</span></p>
      {action.id === 'weight' && (
        <label class="field">Weight
          <input type="number" min="0.01" max="1000" step="any" required value={weight} onInput={(e) => setWeight(e.currentTarget.value)} />
        </label>
      )}
      {state.error && <p role="alert" class="warn-text">{state.error}</p>}
      <div class="buttons">
        <button type="submit" class={action.danger ? 'primary danger' : 'primary'} disabled={state.busy}>
          {action.id === 'weight' ? 'Set the weight' : `${action.name} ${node.id}`}
        </button>
        <button type="button" onClick={onDone}>Leave it</button>
      </div>
    </form>
  );
}

function Actions({ node }: { node: FleetNode }) {
  const allowed = useStore((s) => s.health?.may_change !== false);
  const [asked, setAsked] = useState<Action>();
  if (!allowed) return <p class="muted">Your key may look but not change.</p>;
  if (asked) return <Confirm key={asked.id} node={node} action={asked} onDone={() => setAsked(undefined)} />;
  return (
    <div class="buttons" role="group" aria-label={`Actions on ${node.id}`}>
      {actions.filter((a) => a.when(node)).map((a) => (
        <button key={a.id} type="button" class={a.danger ? 'danger' : ''} onClick={() => setAsked(a)}>{a.name} …</button>
      ))}
    </div>
  );
}

function ModelTable({ node }: { node: FleetNode }) {
  if (!node.models.length) return <p class="muted">It has no models.</p>;
  const sorted = [...node.models].sort((a, b) => Number(b.loaded) - Number(a.loaded) || a.name.localeCompare(b.name));
  return (
    <div class="scroll" role="region" aria-label="Models" tabIndex={0}>
      <table class="plain">
        <thead><tr><th scope="col">Model</th><th scope="col">Where</th><th scope="col" class="num">Size</th><th scope="col" class="num">In flight</th><th scope="col" class="num">Reads</th><th scope="col" class="num">Writes</th><th scope="col">Breaker</th></tr></thead>
        <tbody>
          {sorted.map((m) => (
            <tr key={m.name}>
              <th scope="row">{m.name}</th>
              <td class="nowrap">{m.loading ? 'loading' : m.loaded ? `VRAM${m.size_vram < m.size ? ` ${Math.round((100 * m.size_vram) / m.size)} %` : ''}` : 'disk'}{m.expires_at && m.loaded && <span class="muted small-text block">until {clock(m.expires_at, false)}</span>}</td>
              <td class="num">{bytes(m.size)}</td>
              <td class="num">{count(m.inflight)}{m.slots ? ` of ${m.slots}` : ''}</td>
              <td class="num">{m.prefill_tps ? `${count(m.prefill_tps)} tok/s` : '–'}</td>
              <td class="num">{m.decode_tps ? `${count(m.decode_tps)} tok/s` : '–'}</td>
              <td>{m.breaker ? <Badge level={BREAKERS[m.breaker].level} icon={BREAKERS[m.breaker].icon} title={BREAKERS[m.breaker].says}>{m.breaker}</Badge> : '–'}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function NodeDialog({ node, now, at, onClose }: { node: FleetNode; now?: NodeNow; at: number; onClose: () => void }) {
  const state = stateOf(node);
  return (
    <Dialog side onClose={onClose} title={<>{node.id} <Badge level={state.level} icon={state.icon}>{state.word}</Badge>{node.simulated && <span class="tag sim">simulated</span>}</>}>
      <Actions node={node} />
      <dl class="facts">
        <Fact name="Address">{node.url}</Fact>
        <Fact name="Kind">{node.kind} {node.version}</Fact>
        {node.state_since && <Fact name={`Is ${state.word}`}>for {ago(node.state_since, at).replace(' ago', '')}</Fact>}
        {node.last_seen && <Fact name="Last heard">{ago(node.last_seen, at)}</Fact>}
        <Fact name="Weight">{node.weight}</Fact>
        {node.labels && <Fact name="Labels">{node.labels}</Fact>}
        <Fact name="In flight">{node.inflight}{node.slots ? ` of ${node.slots}` : ''}</Fact>
        {now && <Fact name="Writes">{count(now.tokens_per_s)} tok/s</Fact>}
        <Fact name="First token">{duration(node.ttft_ms?.p50)} half, {duration(now?.ttft_p95_ms ?? node.ttft_ms?.p95)} p95</Fact>
        {node.requests != null && <Fact name="Requests">{count(node.requests)}, {count(node.errors)} failed</Fact>}
        {node.last_error && <Fact name="Last error">{node.last_error.text} <span class="muted">{ago(node.last_error.at, at)}</span></Fact>}
      </dl>
      <h3>Models</h3>
      <ModelTable node={node} />
    </Dialog>
  );
}
