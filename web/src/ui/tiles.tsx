// Six figures, each with its last minutes and one line that says what to make of it.
import { useStore } from '../store.ts';
import type { State } from '../store.ts';
import { count, duration, durationParts, median, percent, plural } from '../format.ts';
import type { SeriesName } from '../feed.ts';
import { slowness } from '../verdict.ts';
import type { Level } from '../verdict.ts';
import { Icon } from './icons.tsx';
import { Spark } from './spark.tsx';

interface Tile {
  id: string;
  name: string;
  series: SeriesName;
  value: (s: State) => [string, string?];
  says: (s: State) => string;
  level?: (s: State) => Level;
  there?: (s: State) => boolean;
}

const newest = (s: State, name: SeriesName) => s.metrics?.now[name];
const sum = (list: (number | null)[], n: number) => list.slice(-n).reduce((a: number, b) => a + (b ?? 0), 0);
const lastMinute = (s: State) => sum(s.live.series.errors_per_s, 60);

/** Requests and tokens are counted when a request ends, in lumps: five seconds of them make a steady figure. */
function mean(s: State, name: SeriesName): number | null {
  const known = s.live.series[name].slice(-5).filter((v): v is number => v != null);
  return known.length ? known.reduce((a, b) => a + b, 0) / known.length : null;
}

/** Percentiles of a single quiet second are often missing; the last one of ten seconds is what people want to see. */
function lately(s: State, name: SeriesName): number | null {
  return s.live.series[name].slice(-10).findLast((v) => v != null) ?? null;
}

const tiles: Tile[] = [
  {
    id: 'requests', name: 'Requests', series: 'requests_per_s',
    value: (s) => [count(mean(s, 'requests_per_s')), '/s'],
    says: (s) => `${count(newest(s, 'inflight'))} in flight, ${count(s.metrics?.totals.requests)} so far`,
  },
  {
    id: 'tokens', name: 'Tokens written', series: 'tokens_out_per_s',
    value: (s) => [count(mean(s, 'tokens_out_per_s')), '/s'],
    says: (s) => `${count(s.metrics?.totals.tokens_out)} so far, ${count(s.metrics?.totals.tokens_in)} read`,
  },
  {
    id: 'first-token', name: 'First token, p95', series: 'ttft_p95_ms',
    value: (s) => durationParts(lately(s, 'ttft_p95_ms')),
    says: (s) => `usually ${duration(median(s.live.series.ttft_p95_ms))}, half within ${duration(lately(s, 'ttft_p50_ms'))}`,
    level: (s) => (slowness(s) ? 'watch' : 'well'),
  },
  {
    id: 'errors', name: 'Errors', series: 'errors_per_s',
    value: (s) => [count(s.metrics && Math.round(lastMinute(s))), 'in 1 min'],
    says: (s) => {
      const all = sum(s.live.series.requests_per_s, 60);
      return all ? `${percent(lastMinute(s) / all)} of ${count(Math.round(all))}, ${count(s.metrics?.totals.errors)} so far` : `${count(s.metrics?.totals.errors)} so far`;
    },
    level: (s) => (lastMinute(s) > 0.02 * sum(s.live.series.requests_per_s, 60) ? 'bad' : lastMinute(s) ? 'watch' : 'well'),
  },
  {
    id: 'waiting', name: 'Queue', series: 'queue',
    value: (s) => [count(s.metrics?.queue.waiting), 'waiting'],
    says: (s) => (s.metrics?.queue.waiting ? `oldest ${duration(s.metrics.queue.oldest_ms)}, ${plural(s.metrics.queue.models.length, 'model')}` : `wait p95 ${duration(lately(s, 'queue_wait_p95_ms'))}`),
    level: (s) => ((s.metrics?.queue.oldest_ms ?? 0) > 10_000 ? 'watch' : 'well'),
  },
  {
    id: 'cache', name: 'Cache hits', series: 'cache_hit_ratio', there: (s) => !!s.metrics?.cache,
    value: (s) => percent(s.metrics?.cache?.hit_ratio).split('\u00a0') as [string, string?],
    says: (s) => `saved ${duration((s.metrics?.cache?.saved_gpu_s ?? 0) * 1000)} of GPU time`,
  },
];

function TileView({ tile, s }: { tile: Tile; s: State }) {
  const [value, unit] = tile.value(s);
  const level = s.metrics ? tile.level?.(s) ?? 'well' : 'well';
  return (
    <li class={`tile is-${level}`} data-tile={tile.id}>
      <h3>{tile.name}{level !== 'well' && <Icon name={level} size={14} />}</h3>
      <p class="tile-value"><span class="figure">{value}</span> <span class="unit">{unit}</span></p>
      <Spark values={s.live.series[tile.series]} />
      <p class="tile-says">{s.metrics ? tile.says(s) : '\u00a0'}</p>
    </li>
  );
}

export function Tiles() {
  const s = useStore((all) => all);
  return (
    <section aria-label="Key figures">
      <ul class="tiles">
        {tiles.filter((t) => !t.there || t.there(s)).map((t) => <TileView key={t.id} tile={t} s={s} />)}
      </ul>
    </section>
  );
}
