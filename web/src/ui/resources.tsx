// What the gateway itself uses: memory against its limit, the pools it comes from, the response cache.
import type { Pool } from '../feed.ts';
import { bytes, count, duration, percent, plural } from '../format.ts';
import { useStore } from '../store.ts';
import { Bar, Fact, Section } from './parts.tsx';

const PRESSURES: Record<string, string> = {
  none: 'no pressure',
  75: 'above 75 %: the cache shrinks',
  85: 'above 85 %: large bodies and cache fills are refused',
  92: 'above 92 %: the queue admits no more',
};
const ratio = (hits: number, misses: number) => (hits + misses ? hits / (hits + misses) : null);
const held = (p: Pool) => p.object_bytes * (p.live + p.free);

function Pools({ pools }: { pools: Pool[] }) {
  const used = pools.filter((p) => p.peak > 0).sort((a, b) => held(b) - held(a));
  const never = pools.length - used.length;
  const most = Math.max(1, ...pools.map((p) => p.peak));
  return (
    <div class="scroll" role="region" aria-label="Memory pools" tabIndex={0}>
      <table class="plain pools">
        <thead><tr><th scope="col">Pool</th><th scope="col">In use, of its peak</th><th scope="col" class="num">In use</th><th scope="col" class="num">Free</th><th scope="col" class="num">Peak</th><th scope="col" class="num">Reused</th><th scope="col" class="num">Holds</th></tr></thead>
        <tbody>
          {used.map((p) => (
            <tr key={p.name}>
              <th scope="row">{p.name}</th>
              <td><Bar whole={Math.max(p.peak, most / 50)} parts={[{ value: p.live, kind: 'model m0' }]} /></td>
              <td class="num">{count(p.live)}</td><td class="num">{count(p.free)}</td><td class="num">{count(p.peak)}</td>
              <td class="num">{percent(ratio(p.hits, p.misses))}</td><td class="num">{bytes(held(p))}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {never > 0 && <p class="muted small-text">{plural(never, 'more pool')}: nobody has needed them yet.</p>}
    </div>
  );
}

export function Memory() {
  const view = useStore((s) => s.memory);
  const now = useStore((s) => s.metrics?.memory);
  if (!view) return null;
  const rss = now?.rss ?? view.rss;
  const limit = now?.limit ?? view.limit;
  const pressure = now?.pressure ?? view.pressure ?? 'none';
  return (
    <Section id="memory" title="Memory" aside={<span class={pressure === 'none' ? 'muted' : 'warn-text'}>{PRESSURES[pressure]}</span>}>
      <p class="gauge-text"><span class="figure big">{bytes(rss)}</span> <span class="muted">of {bytes(limit)}, {percent(rss / limit, 1)}</span></p>
      <div class="gauge"><Bar whole={limit} parts={[{ value: rss, kind: pressure === 'none' ? 'model m0' : 'ram' }]} />
        {[75, 85, 92].map((at) => <i key={at} aria-hidden="true" style={{ left: `${at}%` }} />)}
      </div>
      <dl class="facts">
        {view.arena && <Fact name="Request arenas">{bytes(view.arena.bytes)}</Fact>}
        {view.buffers != null && <Fact name="Buffers">{bytes(view.buffers)}</Fact>}
        {view.bodies != null && <Fact name="Request bodies">{bytes(view.bodies)}</Fact>}
      </dl>
      {view.pools.length > 0 && <Pools pools={view.pools} />}
    </Section>
  );
}

export function Cache() {
  const view = useStore((s) => s.cache);
  const now = useStore((s) => s.metrics?.cache);
  if (!view || view.enabled === false) return null;
  return (
    <Section id="cache" title="Response cache" aside={<span class="muted">{count(now?.entries ?? view.entries)} answers</span>}>
      <p class="gauge-text"><span class="figure big">{duration((now?.saved_gpu_s ?? view.saved_gpu_s) * 1000)}</span> <span class="muted">of GPU time saved</span></p>
      <div class="gauge"><Bar whole={view.size} parts={[{ value: now?.bytes ?? view.bytes, kind: 'model m0' }]} /></div>
      <dl class="facts">
        <Fact name="Holds">{bytes(now?.bytes ?? view.bytes)} of {bytes(view.size)}</Fact>
        <Fact name="Hits">{percent(now?.hit_ratio ?? view.hit_ratio)}{view.best_possible != null && <span class="muted">, at best {percent(view.best_possible)}</span>}</Fact>
      </dl>
      {view.by_route?.length ? (
        <div class="scroll" role="region" aria-label="Cache by route" tabIndex={0}>
          <table class="plain">
            <thead><tr><th scope="col">Route</th><th scope="col" class="num">Hits</th><th scope="col" class="num">Misses</th><th scope="col" class="num">Not cacheable</th><th scope="col" class="num">Ratio</th></tr></thead>
            <tbody>{view.by_route.map((r) => <tr key={r.route}><th scope="row">{r.route}</th><td class="num">{count(r.hits)}</td><td class="num">{count(r.misses)}</td><td class="num">{count(r.bypassed)}</td><td class="num">{percent(ratio(r.hits, r.misses))}</td></tr>)}</tbody>
          </table>
        </div>
      ) : null}
    </Section>
  );
}
