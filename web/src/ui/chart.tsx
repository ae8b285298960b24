// One chart: uPlot draws, a sentence says the same to those who cannot see it, and a table behind it has the figures.
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { clock } from '../format.ts';
import { useDark } from '../theme.ts';

export interface Line {
  name: string;
  values: (number | null)[];
  tone: number; // which of the page's chart colours
  dash?: number[];
  fill?: boolean;
}
export interface ChartProps {
  title: string;
  unit: string;
  t: number[];
  lines: Line[];
  show: (v: number | null) => string;
  top?: number; // the scale reaches at least this far
  steps?: number[]; // what the scale may be divided by
}

const HEIGHT = 168;
const ROWS = 20;
const TIMES = [10, 30, 60, 120, 300, 600, 1200, 3600, 7200, 14400, 21600, 43200];
const PATTERNS = ['solid', 'dashed', 'dotted'];

const cssColour = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function optionsOf(p: ChartProps, width: number): uPlot.Options {
  const font = '11px system-ui, sans-serif';
  const axis = { stroke: cssColour('--muted'), font, grid: { stroke: cssColour('--grid'), width: 1 }, ticks: { show: false } };
  return {
    width, height: HEIGHT,
    legend: { show: false },
    cursor: { sync: { key: 'charts' }, points: { size: 7 }, drag: { x: false, y: false } },
    scales: { y: { range: (_u, _min, max) => [0, Math.max(p.top ?? 0, (max || 0) * 1.12) || 1] } },
    axes: [
      { ...axis, space: 56, size: 26, incrs: TIMES, values: (_u, at) => at.map((s) => clock(s * 1000, (p.t.at(-1) ?? 0) - (p.t[0] ?? 0) < 600)) },
      { ...axis, size: 58, space: 34, ...(p.steps && { incrs: p.steps }), values: (_u, at) => at.map((v) => p.show(v)) },
    ],
    series: [
      {},
      ...p.lines.map((l): uPlot.Series => ({
        label: l.name, stroke: cssColour(`--tone${l.tone}`), width: 1.75, dash: l.dash, points: { show: false },
        fill: l.fill ? cssColour(`--tone${l.tone}-fill`) : undefined, spanGaps: false,
      })),
    ],
  };
}

function usePlot(p: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const latest = useRef(p);
  latest.current = p;
  const dark = useDark();
  const shape = p.lines.map((l) => l.name).join();
  const data = () => [latest.current.t, ...latest.current.lines.map((l) => l.values)] as uPlot.AlignedData;

  useLayoutEffect(() => {
    const box = place.current!;
    const own = new uPlot(optionsOf({ ...latest.current, show: (v) => latest.current.show(v) }, box.clientWidth || 300), data(), box);
    plot.current = own;
    const resizing = new ResizeObserver(() => box.clientWidth && own.setSize({ width: box.clientWidth, height: HEIGHT }));
    resizing.observe(box);
    return () => {
      resizing.disconnect();
      own.destroy();
    };
  }, [dark, shape]);
  useEffect(() => plot.current?.setData(data()), [p.t, p.lines]);
  return place;
}

const known = (values: (number | null)[]) => values.filter((v): v is number => v != null);

function said(p: ChartProps): string {
  const each = p.lines.map((l) => {
    const v = known(l.values);
    if (!v.length) return `${l.name}: nothing`;
    return `${l.name}: now ${p.show(v.at(-1)!)}, lowest ${p.show(Math.min(...v))}, highest ${p.show(Math.max(...v))}`;
  });
  return `${p.title}, ${p.unit}, from ${clock((p.t[0] ?? 0) * 1000)} to ${clock((p.t.at(-1) ?? 0) * 1000)}. ${each.join('. ')}.`;
}

/** At most ROWS rows, each the mean and the largest value of its stretch. */
function Table(p: ChartProps) {
  const step = Math.max(1, Math.ceil(p.t.length / ROWS));
  const starts = Array.from({ length: Math.ceil(p.t.length / step) }, (_, i) => i * step).reverse();
  const cell = (values: (number | null)[], from: number) => {
    const v = known(values.slice(from, from + step));
    return v.length ? `${p.show(v.reduce((a, b) => a + b, 0) / v.length)}, at most ${p.show(Math.max(...v))}` : '–';
  };
  return (
    <div class="scroll" role="region" aria-label={`${p.title}: figures`} tabIndex={0}>
      <table class="plain">
        <caption class="sr-only">{p.title}, {p.unit}: mean and largest value of each stretch, newest first</caption>
        <thead><tr><th scope="col">From</th>{p.lines.map((l) => <th key={l.name} scope="col">{l.name}</th>)}</tr></thead>
        <tbody>
          {starts.map((from) => (
            <tr key={p.t[from]}><th scope="row">{clock(p.t[from]! * 1000)}</th>{p.lines.map((l) => <td key={l.name}>{cell(l.values, from)}</td>)}</tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function Chart(p: ChartProps & { open: boolean; onOpen: (open: boolean) => void }) {
  const place = usePlot(p);
  return (
    <figure class="chart">
      <figcaption>
        <h3>{p.title} <span class="muted">{p.unit}</span></h3>
        <ul class="legend">
          {p.lines.map((l, i) => (
            <li key={l.name}><i class={`key t${l.tone} ${PATTERNS[i]}`} aria-hidden="true" />{l.name} <b>{p.show(known(l.values.slice(-10)).at(-1) ?? null)}</b></li>
          ))}
        </ul>
      </figcaption>
      <div ref={place} class="plot" role="img" aria-label={said(p)} />
      <details open={p.open} onToggle={(e) => p.onOpen(e.currentTarget.open)}>
        <summary>Figures<span class="sr-only"> of {p.title}</span></summary>
        {p.open && <Table {...p} />}
      </details>
    </figure>
  );
}
