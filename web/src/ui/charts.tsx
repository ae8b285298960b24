// The same charts over five minutes (live), an hour or a day (asked again with each new point).
import { useEffect, useMemo, useState } from 'preact/hooks';
import { askIfThere } from '../api.ts';
import { SERIES } from '../feed.ts';
import type { History, Range, SeriesName } from '../feed.ts';
import { bytes, count, duration, percent } from '../format.ts';
import { liveFrom, useStore } from '../store.ts';
import type { Live } from '../store.ts';
import { Chart } from './chart.tsx';
import { Choice, Section } from './parts.tsx';

interface Plan {
  title: string;
  unit: string;
  show: (v: number | null) => string;
  lines: { name: string; series: SeriesName; tone: number; dash?: number[]; fill?: boolean }[];
  top?: number;
  steps?: number[];
}
const DASHED = [6, 4];
const POWERS = Array.from({ length: 40 }, (_, i) => 2 ** i);
const plans: Plan[] = [
  { title: 'Requests', unit: 'per second', show: count, lines: [{ name: 'ended', series: 'requests_per_s', tone: 1, fill: true }, { name: 'failed', series: 'errors_per_s', tone: 3, dash: DASHED }], top: 1 },
  { title: 'First token', unit: 'time until it', show: duration, lines: [{ name: 'p95', series: 'ttft_p95_ms', tone: 1, fill: true }, { name: 'half', series: 'ttft_p50_ms', tone: 2, dash: DASHED }] },
  { title: 'Tokens written', unit: 'per second', show: count, lines: [{ name: 'tokens', series: 'tokens_out_per_s', tone: 1, fill: true }], top: 10 },
  { title: 'Work', unit: 'requests', show: count, lines: [{ name: 'in flight', series: 'inflight', tone: 1, fill: true }, { name: 'waiting', series: 'queue', tone: 4, dash: DASHED }], top: 4 },
  { title: 'Cache hits', unit: 'share of what may be cached', show: percent, lines: [{ name: 'hits', series: 'cache_hit_ratio', tone: 1, fill: true }], top: 1 },
  { title: 'Added by the gateway', unit: 'its own time, p95', show: (v) => duration(v == null ? null : v / 1000), lines: [{ name: 'added', series: 'added_p95_us', tone: 1, fill: true }] },
  { title: 'Memory', unit: 'of this process', show: bytes, steps: POWERS, lines: [{ name: 'resident', series: 'rss_bytes', tone: 1, fill: true }] },
  { title: 'Waiting for a node', unit: 'p95', show: duration, lines: [{ name: 'wait', series: 'queue_wait_p95_ms', tone: 4, fill: true }] },
];
const RANGES: { value: Range; label: string }[] = [{ value: '5m', label: '5 min' }, { value: '1h', label: '1 h' }, { value: '24h', label: '24 h' }];

function asLive(h: History): Live {
  const whole = liveFrom(undefined);
  const length = Math.max(0, ...Object.values(h.series).map((v) => v?.length ?? 0));
  whole.t = Array.from({ length }, (_, i) => h.t0 + i * h.step_s);
  for (const name of SERIES) whole.series[name] = h.series[name] ?? [];
  return whole;
}

/** Live values for the short range, the gateway's own for the longer ones. */
function useRange(range: Range): Live | undefined {
  const live = useStore((s) => s.live);
  const on = useStore((s) => s.link.state === 'live');
  const [long, setLong] = useState<{ range: Range; data: Live }>();
  useEffect(() => {
    if (range === '5m' || !on) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let over = false;
    const turn = async () => {
      const h = await askIfThere<History>(`api/history?range=${range}&series=${SERIES.join(',')}`).catch(() => undefined);
      if (over) return;
      if (h) setLong({ range, data: asLive(h) });
      timer = setTimeout(turn, 1000 * (h?.step_s ?? 5));
    };
    void turn();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [range, on]);
  if (range === '5m') return live;
  return long?.range === range ? long.data : undefined;
}

export function Charts() {
  const [range, setRange] = useState<Range>('5m');
  const [open, setOpen] = useState<Record<string, boolean>>({});
  const data = useRange(range);
  const shown = useMemo(
    () => data && plans
      .map((p) => ({ ...p, lines: p.lines.map((l) => ({ ...l, values: data.series[l.series] })) }))
      .filter((p) => p.lines.some((l) => l.values.length)),
    [data],
  );
  return (
    <Section id="charts" title="Charts" wide aside={<Choice label="Range" value={range} options={RANGES} onPick={setRange} />}>
      {shown && data ? (
        <div class="charts">
          {shown.map((p) => (
            <Chart key={p.title + range} {...p} t={data.t} open={!!open[p.title]} onOpen={(o) => setOpen((all) => ({ ...all, [p.title]: o }))} />
          ))}
        </div>
      ) : <p class="empty">Asking …</p>}
    </Section>
  );
}
