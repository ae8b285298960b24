// The first thing people read: is the fleet well, and if not, what is wrong. Rules in order of weight; the first two that
// hold make the sentence, the worst one its level.
import type { Alert } from './feed.ts';
import { duration, median, names, plural } from './format.ts';
import type { State } from './store.ts';

export type Level = 'well' | 'watch' | 'bad' | 'unknown';
export interface Verdict {
  level: Level;
  sentence: string;
  facts: string[];
}
type Rule = { level: 'watch' | 'bad'; says: (s: State) => string | null };

const inState = (s: State, ...states: string[]) => (s.nodes ?? []).filter((n) => states.includes(n.state));
const servers = (s: State) => inState(s, 'up', 'suspect');
export const firing = (alerts: Alert[] | undefined) =>
  (alerts ?? []).filter((a) => a.state === 'firing' && !a.silenced_until);

function nodesDown(s: State): string | null {
  const down = inState(s, 'down');
  const left = servers(s).length;
  if (!down.length || !left) return null;
  const others = left === 1 ? 'one node carries' : `${left} nodes carry`;
  return `${names(down.map((n) => n.id))} ${down.length > 1 ? 'are' : 'is'} down; ${others} the work`;
}

function noHolder(s: State): string | null {
  const held = new Set(servers(s).flatMap((n) => n.models.map((m) => m.name)));
  const lost = [...new Set(inState(s, 'down').flatMap((n) => n.models.map((m) => m.name)))].filter((m) => !held.has(m));
  return servers(s).length && lost.length ? `${names(lost)} ${lost.length > 1 ? 'have' : 'has'} no node left` : null;
}

function waiting(s: State): string | null {
  const q = s.metrics?.queue;
  if (!q || q.waiting === 0 || q.oldest_ms < 2000) return null;
  const worst = [...q.models].sort((a, b) => b.waiting - a.waiting)[0];
  return `${plural(q.waiting, 'request waits', 'requests wait')}${worst ? ` for ${worst.model}` : ''}, the oldest ${duration(q.oldest_ms)}`;
}

/** First tokens of the last ten seconds against those of the minutes before. */
export function slowness(s: State): { recent: number; usual: number } | null {
  const values = s.live.series.ttft_p95_ms;
  const recent = median(values.slice(-10));
  const usual = median(values.slice(0, -30));
  if (recent == null || usual == null || values.length < 60 || recent < 3 * usual || recent < 1000) return null;
  return { recent, usual };
}

function slow(s: State): string | null {
  const found = slowness(s);
  return found && `First tokens take ${duration(found.recent)}, usually ${duration(found.usual)}`;
}

function errors(s: State): string | null {
  const sum = (list: (number | null)[]) => list.slice(-60).reduce((a: number, b) => a + (b ?? 0), 0);
  const all = sum(s.live.series.requests_per_s);
  const bad = sum(s.live.series.errors_per_s);
  return all >= 20 && bad / all > 0.02 ? `${Math.round((100 * bad) / all)} % of the last minute's requests failed` : null;
}

const rules: Rule[] = [
  { level: 'bad', says: (s) => (s.nodes?.length === 0 ? 'There are no nodes: add one with --node or POST /api/nodes' : null) },
  { level: 'bad', says: (s) => (s.nodes?.length && !servers(s).length ? 'No node is up: every request is refused' : null) },
  { level: 'bad', says: noHolder },
  { level: 'bad', says: errors },
  { level: 'watch', says: nodesDown },
  { level: 'watch', says: waiting },
  { level: 'watch', says: slow },
  { level: 'watch', says: (s) => (s.metrics?.memory.pressure && s.metrics.memory.pressure !== 'none' ? `Memory is at ${s.metrics.memory.pressure} % of its limit` : null) },
  { level: 'watch', says: (s) => { const n = inState(s, 'suspect'); return n.length ? `${names(n.map((x) => x.id))} ${n.length > 1 ? 'miss' : 'misses'} health checks` : null; } },
];

function facts(s: State): string[] {
  const all = s.nodes ?? [];
  const m = s.metrics;
  const draining = inState(s, 'draining').length;
  const said = [`${servers(s).length} of ${plural(all.length, 'node')} up`];
  if (draining) said.push(`${draining} draining`);
  if (!m) return said;
  said.push(m.queue.waiting ? `${m.queue.waiting} waiting` : 'nothing waits');
  const ttft = median(s.live.series.ttft_p95_ms.slice(-30));
  if (ttft != null) said.push(`first token in ${duration(ttft)}`);
  return said;
}

export function verdict(s: State): Verdict {
  if (!s.nodes) return { level: 'unknown', sentence: 'Asking the gateway …', facts: [] };
  const found: { level: Level; text: string | null }[] = rules.map((r) => ({ level: r.level, text: r.says(s) })).filter((r) => r.text);
  const fires = firing(s.alerts).length;
  if (!found.length && fires) found.push({ level: 'watch', text: plural(fires, 'alert fires', 'alerts fire') });
  if (!found.length) {
    const busy = (s.metrics?.now.inflight ?? 0) > 0 || (median(s.live.series.requests_per_s.slice(-30)) ?? 0) > 0;
    return { level: 'well', sentence: busy ? 'All is well.' : 'All is well, and quiet.', facts: facts(s) };
  }
  const level = found.some((r) => r.level === 'bad') ? 'bad' : 'watch';
  return { level, sentence: `${found.slice(0, 2).map((r) => r.text).join('. ')}.`, facts: facts(s) };
}
