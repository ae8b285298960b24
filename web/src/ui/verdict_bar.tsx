import { useEffect } from 'preact/hooks';
import { useStore } from '../store.ts';
import { ago, duration } from '../format.ts';
import { verdict, firing } from '../verdict.ts';
import { Icon } from './icons.tsx';

const WORDS = { well: 'well', watch: 'look here', bad: 'not well', unknown: 'not known' };

function Firing() {
  const all = useStore((s) => s.alerts);
  const at = useStore((s) => s.metrics?.t ?? 0) * 1000;
  const alerts = firing(all);
  if (!alerts.length) return null;
  return (
    <ul class="firing" aria-label="Firing alerts">
      {alerts.slice(0, 5).map((a) => (
        <li key={a.id}>
          <Icon name="bell" />
          <span><b>{a.name.replaceAll('_', ' ')}:</b> {a.message} <span class="muted">({ago(a.since, at)})</span></span>
        </li>
      ))}
      {alerts.length > 5 && <li><a href="#alerts">{alerts.length - 5} more</a></li>}
    </ul>
  );
}

export function VerdictBar() {
  const s = useStore((all) => all);
  const v = verdict(s);
  const m = s.metrics;
  const deaf = s.link.state === 'waiting';
  useEffect(() => void (document.title = v.level === 'well' || v.level === 'unknown' ? 'OllamaMax' : `${v.sentence} OllamaMax`), [v.sentence]);
  return (
    <section class={`verdict is-${deaf ? 'unknown' : v.level}`} aria-label="Verdict">
      <div class="verdict-icon"><Icon name={deaf ? 'unknown' : v.level} size={40} /></div>
      <div class="verdict-text">
        <p class="verdict-sentence" role="status">
          <span class="sr-only">{WORDS[deaf ? 'unknown' : v.level]}: </span>
          {deaf ? `${s.link.why ?? 'The gateway does not answer.'}${m ? ' What follows is the last that was heard.' : ''}` : v.sentence}
        </p>
        <p class="verdict-facts">
          {v.facts.map((f) => <span key={f}>{f}</span>)}
          {m && <span>version {m.version}, up {duration(m.uptime_s * 1000)}</span>}
        </p>
        <Firing />
        {s.upgraded && (
          <p class="upgraded">The gateway was upgraded. <button type="button" class="small" onClick={() => location.reload()}>Load its new page</button></p>
        )}
      </div>
    </section>
  );
}
