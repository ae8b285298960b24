// One request in full: the road with its times, why this node, what else was tried.
import { useEffect, useState } from 'preact/hooks';
import { askIfThere } from '../api.ts';
import type { Candidate, RequestRecord } from '../feed.ts';
import { clock, count, duration } from '../format.ts';
import { compared, TERMS, why } from '../why.ts';
import { Icon } from './icons.tsx';
import { Badge, Dialog, Fact } from './parts.tsx';
import { failed, titleOf } from './requests.tsx';
import { Road } from './road.tsx';

/** The list has the brief record; the gateway has more of it. Without an answer the brief one stays. */
function useWhole(brief: RequestRecord): RequestRecord {
  const [whole, setWhole] = useState<RequestRecord>();
  useEffect(() => {
    let over = false;
    void askIfThere<RequestRecord>(`api/requests/${encodeURIComponent(brief.id)}`).catch(() => undefined).then((r) => !over && r && setWhole(r));
    return () => void (over = true);
  }, [brief.id]);
  return whole?.id === brief.id && whole.at === brief.at ? whole : brief;
}

function Candidates({ r }: { r: RequestRecord }) {
  const all = [...compared(r)].sort((a, b) => Number(!!a.excluded) - Number(!!b.excluded) || (a.eta_s ?? 1e9) - (b.eta_s ?? 1e9));
  if (!all.length) return null;
  const most = Math.max(...all.map((c) => c.eta_s ?? 0), 0.001);
  const used = TERMS.filter((t) => all.some((c) => (c.terms?.[t.id] ?? 0) > 0));
  const says = (c: Candidate) => used.filter((t) => (c.terms?.[t.id] ?? 0) > 0).map((t) => `${t.name} ${duration(c.terms![t.id]! * 1000)}`).join(', ');
  return (
    <>
      <h3>{all.length > 1 ? 'Nodes compared' : 'What it was expected to cost'}</h3>
      <ul class="candidates">
        {all.map((c) => (
          <li key={c.node} class={c.node === r.node ? 'chosen' : c.excluded ? 'excluded' : ''}>
            <span class="candidate-name">{c.node === r.node && <Icon name="fork" size={14} />}{c.node}{c.node === r.node && <span class="tag">chosen</span>}</span>
            <span class="candidate-time">{c.excluded ? '' : c.eta_s == null ? '–' : duration(c.eta_s * 1000)}</span>
            {c.excluded ? <span class="candidate-says">left out: {c.excluded}</span> : (
              <>
                <span class="candidate-bar" aria-hidden="true">
                  {TERMS.map((t) => <i key={t.id} class={`term ${t.id}`} style={{ width: `${(100 * (c.terms?.[t.id] ?? 0)) / most}%` }} />)}
                </span>
                <span class="candidate-says">{says(c) || 'nothing to wait for'}</span>
              </>
            )}
          </li>
        ))}
      </ul>
      <p class="muted small-text">Policy {r.decision?.policy}: expected time by reason, weighted; the least wins{!r.decision?.candidates && r.decision?.n ? `, here of ${r.decision.n} with a free slot${all.length > 1 ? '; the best two are kept' : ''}` : ''}.</p>
    </>
  );
}

function Attempts({ r }: { r: RequestRecord }) {
  if (!r.attempts || r.attempts.length < 2) return null;
  return (
    <>
      <h3>Tries</h3>
      <ol class="attempts">
        {r.attempts.map((a, i) => (
          <li key={i}>
            <Badge level={i === r.attempts!.length - 1 && !failed(r) ? 'well' : 'bad'}>{a.node}</Badge>
            <span>{a.outcome.replaceAll('_', ' ')}{a.detail && <span class="muted"> {a.detail}</span>}</span>
            <span class="muted">{duration(a.start_ms)} to {duration(a.end_ms)}</span>
          </li>
        ))}
      </ol>
    </>
  );
}

export function Inspector({ brief, onStep, onClose }: { brief: RequestRecord; onStep: (by: number) => void; onClose: () => void }) {
  const r = useWhole(brief);
  const keys = (e: KeyboardEvent) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
    if (by) onStep(by);
  };
  const tools = (
    <>
      <button type="button" class="icon-button" aria-label="Newer request" onClick={() => onStep(-1)}><Icon name="left" /></button>
      <button type="button" class="icon-button" aria-label="Older request" onClick={() => onStep(1)}><Icon name="right" /></button>
    </>
  );
  return (
    <Dialog side onClose={onClose} onKeyDown={keys} tools={tools} title={<>{titleOf(r)} {r.node && <span class="muted">on {r.node}</span>} <Badge level={failed(r) ? 'bad' : 'well'}>{r.status}</Badge>{r.simulated && <span class="tag sim">simulated</span>}</>}>
      <div class="inspector">
        {failed(r) && r.code && <p class="failure"><Icon name="bad" /> {r.sentence ?? r.code.replaceAll('_', ' ')}</p>}
        <h3>Its road</h3>
        <Road r={r} />
        <h3>{r.node ? `Why ${r.node}` : 'Why no node'}</h3>
        <p class="why">{why(r).join(' ') || 'The gateway kept no decision for it.'}</p>
        <Candidates r={r} />
        <Attempts r={r} />
        <h3>More</h3>
        <dl class="facts">
          <Fact name="At">{clock(r.at)}</Fact>
          <Fact name="Route">{r.method} {r.route}{r.stream ? ', streamed' : ''}</Fact>
          <Fact name="Client">{r.client ?? '–'}</Fact>
          <Fact name="Tokens">{count(r.tokens_in)} read, {count(r.tokens_out)} written</Fact>
          <Fact name="Cache">{r.cache ?? 'none'}{r.cache_detail && `: ${r.cache_detail}`}</Fact>
          <Fact name="Request"><span class="mono">{r.id}</span></Fact>
          {r.trace_id && <Fact name="Trace"><span class="mono">{r.trace_id}</span></Fact>}
        </dl>
      </div>
    </Dialog>
  );
}
