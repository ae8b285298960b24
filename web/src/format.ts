// Numbers as people read them. A missing one is a dash, never a zero.
export const NONE = '–';

const trim = (n: number, digits: number) => n.toLocaleString('en', { maximumFractionDigits: digits });

export function count(n: number | null | undefined): string {
  if (n == null) return NONE;
  if (Math.abs(n) >= 1e9) return `${trim(n / 1e9, 2)}G`;
  if (Math.abs(n) >= 1e6) return `${trim(n / 1e6, 2)}M`;
  if (Math.abs(n) >= 1e5) return `${trim(n / 1e3, 0)}k`;
  if (Math.abs(n) >= 1e4) return `${trim(n / 1e3, 1)}k`;
  return trim(n, Math.abs(n) < 10 && n % 1 ? 1 : 0);
}

/** Milliseconds as number and unit, so that a tile can set them apart. */
export function durationParts(ms: number | null | undefined): [string, string] {
  if (ms == null) return [NONE, ''];
  if (ms === 0) return ['0', 'ms'];
  if (ms < 0.1) return [trim(ms * 1000, 0), 'µs'];
  if (ms < 10) return [trim(ms, 1), 'ms'];
  if (ms < 1000) return [trim(ms, 0), 'ms'];
  if (ms < 10_000) return [trim(ms / 1000, 2), 's'];
  if (ms < 120_000) return [trim(ms / 1000, 1), 's'];
  if (ms < 7_200_000) return [trim(ms / 60_000, 0), 'min'];
  if (ms < 172_800_000) return [trim(ms / 3_600_000, 0), 'h'];
  return [trim(ms / 86_400_000, 0), 'days'];
}
export const duration = (ms: number | null | undefined) => durationParts(ms).join('\u00a0').trim();

export function bytes(n: number | null | undefined): string {
  if (n == null) return NONE;
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let at = 0;
  for (; n >= 1024 && at < units.length - 1; at++) n /= 1024;
  return `${trim(n, n < 10 && at ? 1 : 0)}\u00a0${units[at]}`;
}

export const percent = (ratio: number | null | undefined, digits = 0) =>
  ratio == null ? NONE : `${trim(ratio * 100, ratio < 0.1 && ratio > 0 ? 1 : digits)}\u00a0%`;

export function ago(stamp: string | null | undefined, at: number): string {
  if (!stamp) return NONE;
  const ms = Math.max(0, at - Date.parse(stamp));
  return ms < 1500 ? 'now' : `${duration(Math.round(ms / 1000) * 1000)} ago`;
}

export const clock = (stamp: string | number | null | undefined, seconds = true) =>
  stamp == null ? NONE
    : new Date(stamp).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: seconds ? '2-digit' : undefined, hour12: false });

export const plural = (n: number, one: string, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

/** "gpu1", "gpu1 and gpu2", "gpu1, gpu2 and 3 more" */
export function names(all: string[], show = 3): string {
  if (all.length > show) return `${all.slice(0, show - 1).join(', ')} and ${all.length - show + 1} more`;
  return all.length < 2 ? all.join('') : `${all.slice(0, -1).join(', ')} and ${all.at(-1)}`;
}

export function median(values: (number | null)[]): number | null {
  const sorted = values.filter((v): v is number => v != null).sort((a, b) => a - b);
  return sorted.length ? sorted[sorted.length >> 1]! : null;
}
