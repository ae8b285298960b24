// What fires, what is about to, what was; and silences.
import { useState } from 'preact/hooks';
import { ask, send } from '../api.ts';
import type { Alert, AlertsView } from '../feed.ts';
import { ago, clock } from '../format.ts';
import { change, useStore } from '../store.ts';
import type { Level } from '../verdict.ts';
import type { IconName } from './icons.tsx';
import { Badge, Dialog, Section } from './parts.tsx';

const STATES: Record<Alert['state'], { level: Level; icon: IconName; order: number }> = {
  firing: { level: 'bad', icon: 'bell', order: 0 },
  pending: { level: 'watch', icon: 'starting', order: 1 },
  resolved: { level: 'well', icon: 'well', order: 2 },
};
const DURATIONS = [{ s: 3600, name: '1 hour' }, { s: 4 * 3600, name: '4 hours' }, { s: 24 * 3600, name: '1 day' }];

const labelled = (a: Alert) => Object.entries(a.labels).map(([k, v]) => `${k} ${v}`).join(', ');
async function refresh() {
  const view = await ask<AlertsView>('api/alerts');
  change({ alerts: view.alerts, silences: view.silences ?? [] });
}

function SilenceDialog({ alert, onClose }: { alert: Alert; onClose: () => void }) {
  const [forS, setFor] = useState(3600);
  const [comment, setComment] = useState('');
  const [error, setError] = useState<string>();
  const go = async (e: Event) => {
    e.preventDefault();
    try {
      await send('POST', 'api/alerts/silences', { name: alert.name, labels: alert.labels, duration_s: forS, comment });
      await refresh();
      onClose();
    } catch (problem) {
      setError((problem as Error).message);
    }
  };
  return (
    <Dialog title="Silence an alert" onClose={onClose}>
      <form class="confirm" onSubmit={go}>
        <p><b>{alert.name.replaceAll('_', ' ')}</b>{labelled(alert) && ` (${labelled(alert)})`} stays on this page, and nobody is told of it.</p>
        <label class="field">For
          <select value={String(forS)} onChange={(e) => setFor(Number(e.currentTarget.value))}>
            {DURATIONS.map((d) => <option key={d.s} value={String(d.s)}>{d.name}</option>)}
          </select>
        </label>
        <label class="field">Why <input type="text" maxLength={200} value={comment} onInput={(e) => setComment(e.currentTarget.value)} /></label>
        {error && <p role="alert" class="warn-text">{error}</p>}
        <div class="buttons"><button type="submit" class="primary">Silence</button><button type="button" onClick={onClose}>Leave it</button></div>
      </form>
    </Dialog>
  );
}

function AlertRow({ a, at, allowed, onSilence }: { a: Alert; at: number; allowed: boolean; onSilence: () => void }) {
  const row = STATES[a.state];
  return (
    <li class={`alert is-${row.level}`}>
      <Badge level={row.level} icon={a.silenced_until ? 'quiet' : row.icon}>{a.silenced_until ? 'silenced' : a.state}</Badge>
      <div>
        <p><b>{a.name.replaceAll('_', ' ')}:</b> {a.message}</p>
        <p class="muted small-text">{[labelled(a), `since ${clock(a.since)}, ${ago(a.since, at)}`].filter(Boolean).join(' · ')}</p>
      </div>
      {allowed && a.state !== 'resolved' && !a.silenced_until && <button type="button" class="small" onClick={onSilence}>Silence …</button>}
    </li>
  );
}

function Silences({ allowed }: { allowed: boolean }) {
  const silences = useStore((s) => s.silences);
  if (!silences.length) return null;
  const end = (id: string) => void send('DELETE', `api/alerts/silences/${encodeURIComponent(id)}`).then(refresh, () => {});
  return (
    <>
      <h3>Silences</h3>
      <ul class="silences">
        {silences.map((s) => (
          <li key={s.id}>
            <span>{s.name.replaceAll('_', ' ')} {Object.values(s.labels ?? {}).join(' ')} <span class="muted">until {clock(s.until, false)}{s.comment && `: ${s.comment}`}</span></span>
            {allowed && <button type="button" class="small" onClick={() => end(s.id)}>End it<span class="sr-only"> for {s.name}</span></button>}
          </li>
        ))}
      </ul>
    </>
  );
}

export function Alerts() {
  const alerts = useStore((s) => s.alerts);
  const allowed = useStore((s) => s.health?.may_change !== false);
  const at = useStore((s) => s.metrics?.t ?? 0) * 1000;
  const [silencing, setSilencing] = useState<Alert>();
  const [told, setTold] = useState('');
  if (!alerts) return null;
  const sorted = [...alerts].sort((a, b) => STATES[a.state].order - STATES[b.state].order || b.since.localeCompare(a.since));
  const test = () => send('POST', 'api/alerts/test').then(() => setTold('sent'), (e: Error) => setTold(e.message));
  return (
    <Section id="alerts" title="Alerts" aside={allowed && <><span role="status" class="muted">{told}</span><button type="button" class="small" onClick={test}>Send a test</button></>}>
      {sorted.length ? <ul class="alerts">{sorted.slice(0, 20).map((a) => <AlertRow key={a.id} a={a} at={at} allowed={allowed} onSilence={() => setSilencing(a)} />)}</ul> : <p class="empty">None fires, none is about to.</p>}
      <Silences allowed={allowed} />
      {silencing && <SilenceDialog alert={silencing} onClose={() => setSilencing(undefined)} />}
    </Section>
  );
}
