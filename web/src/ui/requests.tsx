// The last 50 requests, each with the road it took. While somebody points at the list, or is in it by keyboard, it stands
// still, so that a row can be hit; one row at a time is in the tab order, arrows go from row to row.
import { useMemo, useRef, useState } from 'preact/hooks';
import type { RequestRecord } from '../feed.ts';
import { ago, count, duration } from '../format.ts';
import { keyOf, useStore } from '../store.ts';
import { whyBriefly } from '../why.ts';
import { Inspector } from './inspector.tsx';
import { Badge, Choice, Section } from './parts.tsx';
import { MiniRoad, RoadKey } from './road.tsx';

type Kind = 'all' | 'failed' | 'slow' | 'cached';
const kinds: { value: Kind; label: string; has: (r: RequestRecord, slow: number) => boolean }[] = [
  { value: 'all', label: 'All', has: () => true },
  { value: 'failed', label: 'Failed', has: (r) => failed(r) },
  { value: 'slow', label: 'Slowest', has: (r, slow) => (r.stages.first_ms ?? 0) >= slow },
  { value: 'cached', label: 'Cached', has: (r) => ['hit', 'stale', 'joined'].includes(r.cache ?? '') },
];

export const failed = (r: RequestRecord) => r.status >= 400 || (r.code !== '' && r.code !== 'ok' && r.code !== 'none');

export const titleOf = (r: RequestRecord) => r.model || (r.route === 'none' ? 'unknown path' : r.route);

function Outcome({ r }: { r: RequestRecord }) {
  if (r.status === 499) return <Badge level="unknown" icon="pause" title="the client left">left</Badge>;
  if (failed(r)) return <Badge level="bad" title={r.code}>{r.status >= 400 ? r.status : r.code.replaceAll('_', ' ')}</Badge>;
  return <Badge level="well">{r.status}</Badge>;
}

function Row({ r, at, longest, focusable, onOpen }: { r: RequestRecord; at: number; longest: number; focusable: boolean; onOpen: () => void }) {
  const cached = ['hit', 'stale', 'joined'].includes(r.cache ?? '');
  return (
    <tr role="row" onClick={onOpen}>
      <th role="rowheader" scope="row">
        <button type="button" class="link-button" data-request={keyOf(r)} tabIndex={focusable ? 0 : -1} aria-haspopup="dialog">{titleOf(r)}</button>
        <span class="muted small-text block">{r.model && r.route} {ago(r.at, at)}</span>
      </th>
      <td role="cell" data-name="Result"><Outcome r={r} /></td>
      <td role="cell" data-name="Road" class="road-cell"><MiniRoad r={r} longest={longest} /></td>
      <td role="cell" data-name="Node">
        {r.node || <span class="muted">{cached ? 'cache' : 'none'}</span>}{r.simulated && <span class="tag sim" title="the answer is made up">sim</span>}
        <span class="muted small-text block">{whyBriefly(r)}{r.tries > 1 && <b class="warn-text"> {r.tries} tries</b>}</span>
      </td>
      <td role="cell" data-name="First token" class="num figure">{duration(r.stages.first_ms)}</td>
      <td role="cell" data-name="All" class="num figure">{duration(r.stages.total_ms)}</td>
      <td role="cell" data-name="Tokens out / in" class="num"><span class="figure">{count(r.tokens_out)}</span> <span class="muted">/ {count(r.tokens_in)}</span></td>
    </tr>
  );
}

/** The list as it is, or as it was when the pointer came. */
function useHeld() {
  const live = useStore((s) => s.requests);
  const arrived = useStore((s) => s.arrived);
  const [held, setHeld] = useState<{ list: RequestRecord[]; arrived: number }>();
  return {
    list: held?.list ?? live ?? [],
    there: live !== undefined,
    fresh: held ? arrived - held.arrived : 0,
    isHeld: !!held,
    hold: () => setHeld((h) => h ?? { list: live ?? [], arrived }),
    release: () => setHeld(undefined),
  };
}

function matching(list: RequestRecord[], kind: Kind, text: string): RequestRecord[] {
  const times = list.map((r) => r.stages.first_ms ?? 0).sort((a, b) => a - b);
  const slow = times[Math.floor(times.length * 0.8)] ?? 0;
  const has = kinds.find((k) => k.value === kind)!.has;
  const wanted = text.trim().toLowerCase();
  const found = list.filter((r) => has(r, slow) && (!wanted || [r.model, r.node, r.route, r.client, r.id, r.code, String(r.status)].join(' ').toLowerCase().includes(wanted)));
  return kind === 'slow' ? found.sort((a, b) => (b.stages.first_ms ?? 0) - (a.stages.first_ms ?? 0)) : found;
}

function moveFocus(e: KeyboardEvent) {
  const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, Home: -1e6, End: 1e6 };
  const step = steps[e.key];
  if (step === undefined) return;
  const rows = [...(e.currentTarget as HTMLElement).querySelectorAll<HTMLElement>('button[data-request]')];
  const to = Math.min(rows.length - 1, Math.max(0, rows.indexOf(document.activeElement as HTMLElement) + step));
  rows[to]?.focus();
  e.preventDefault();
}

export function Requests() {
  const held = useHeld();
  const at = useStore((s) => s.metrics?.t ?? 0) * 1000;
  const [kind, setKind] = useState<Kind>('all');
  const [text, setText] = useState('');
  const [open, setOpen] = useState<RequestRecord>();
  const [focused, setFocused] = useState<string>();
  const body = useRef<HTMLTableSectionElement>(null);
  const list = useMemo(() => matching(held.list, kind, text), [held.list, kind, text]);
  const longest = Math.max(...list.map((r) => r.stages.total_ms), 1);
  const step = (by: number) => {
    const next = list[list.findIndex((r) => open && keyOf(r) === keyOf(open)) + by];
    if (next) setOpen(next);
  };
  if (!held.there) return null;
  const aside = (
    <>
      <span class="muted" role="status">{held.isHeld && held.fresh > 0 ? `held while in use, ${held.fresh} new` : ''}</span>
      <input type="search" placeholder="Find model, node, client …" aria-label="Find in the last requests" value={text} onInput={(e) => setText(e.currentTarget.value)} />
      <Choice label="Which requests" value={kind} options={kinds} onPick={setKind} />
    </>
  );
  return (
    <Section id="requests" title="Last requests" wide aside={aside}>
      <RoadKey />
      <div class="requests-box" onMouseEnter={held.hold} onMouseLeave={() => !open && !body.current?.querySelector(':focus-visible') && held.release()}>
        <table class="requests" role="table">
        <caption class="sr-only">Newest first. Enter on a row shows its road.</caption>
        <thead role="rowgroup">
          <tr role="row">{['Request', 'Result', 'Road', 'Node, and why', 'First token', 'All', 'Tokens out / in'].map((h, i) => <th key={h} role="columnheader" scope="col" class={i > 3 ? 'num' : ''}>{h}</th>)}</tr>
        </thead>
        <tbody ref={body} role="rowgroup" onKeyDown={moveFocus}
          onFocusCapture={(e) => { const at = e.target as HTMLElement; if (at.matches(':focus-visible')) held.hold(); setFocused(at.dataset.request); }}
          onBlurCapture={(e) => !open && !body.current?.contains(e.relatedTarget as Node) && held.release()}>
          {list.map((r, i) => (
            <Row key={keyOf(r)} r={r} at={at} longest={longest} focusable={list.some((x) => keyOf(x) === focused) ? keyOf(r) === focused : i === 0} onOpen={() => { held.hold(); setOpen(r); }} />
          ))}
        </tbody>
        </table>
      </div>
      {!list.length && <p class="empty">{held.list.length ? 'None of the last requests is like that.' : 'No request yet. Point a client at this gateway: export OLLAMA_HOST=' + location.host}</p>}
      {open && <Inspector brief={open} onStep={step} onClose={() => { setOpen(undefined); held.release(); }} />}
    </Section>
  );
}
