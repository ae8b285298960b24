// Who waits for what, and how long still.
import { duration, plural } from '../format.ts';
import { useStore } from '../store.ts';
import { Section } from './parts.tsx';

const SHOWN = 8;

export function Queue() {
  const queue = useStore((s) => s.queue);
  const frame = useStore((s) => s.metrics?.queue);
  if (!queue) return null;
  const models = queue.models.filter((m) => m.waiting.length);
  const none = !models.length || !frame?.waiting;
  return (
    <Section id="queue" title="Queue" aside={<span class="muted">{none ? 'nothing waits' : plural(frame.waiting, 'request waits', 'requests wait')}</span>}>
      {none ? <p class="empty">Every request has found a node.</p> : models.map((m) => (
        <div key={m.model} class="queue">
          <h3>{m.model} <span class="muted">{m.waiting.length} waiting</span></h3>
          <div class="scroll" role="region" aria-label={`Waiting for ${m.model}`} tabIndex={0}>
            <table class="plain">
              <thead><tr><th scope="col" class="num">Place</th><th scope="col">Request</th><th scope="col">For</th><th scope="col" class="num">Waited</th><th scope="col" class="num">Still</th></tr></thead>
              <tbody>
                {m.waiting.slice(0, SHOWN).map((w) => (
                  <tr key={w.request_id}>
                    <td class="num">{w.position}</td><th scope="row" class="mono">{w.request_id}</th><td>{w.tenant ?? '–'}{w.band && w.band !== 'normal' && <span class="tag">{w.band}</span>}</td>
                    <td class="num">{duration(w.waited_ms)}</td><td class="num">{w.eta_ms == null ? '–' : `about ${duration(w.eta_ms)}`}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
          {m.waiting.length > SHOWN && <p class="muted small-text">and {m.waiting.length - SHOWN} more</p>}
        </div>
      ))}
    </Section>
  );
}
