// Why a request went where it went, as a person would tell it, from the terms that the gateway wrote down.
import type { Candidate, RequestRecord, Terms } from './feed.ts';
import { duration, names } from './format.ts';

/** The terms of an expected time, in the order they happen. */
export const TERMS: { id: keyof Terms; name: string; loses: string }[] = [
  { id: 'slot', name: 'wait for a slot', loses: 'had no free slot' },
  { id: 'load', name: 'load the model', loses: 'would have had to load the model first' },
  { id: 'prefill', name: 'read the prompt', loses: 'would have read the prompt more slowly' },
  { id: 'decode', name: 'write', loses: 'writes more slowly' },
  { id: 'penalty', name: 'lately failed', loses: 'failed lately' },
];

const POLICIES: Record<string, string> = {
  round_robin: 'It was its turn',
  weighted_round_robin: 'It was its turn by weight',
  least_loaded: 'It had the fewest requests in flight',
  p2c: 'It had fewer requests in flight than another node picked at random',
  rendezvous: 'This model belongs to it by hash',
  late: 'It was the fastest node with a free slot',
};

const CACHED: Record<string, string> = {
  hit: 'Answered from the cache: no node was asked.',
  stale: 'Answered from the cache with a somewhat old answer, which is being refreshed.',
  joined: 'The same question was already under way: this one followed its answer.',
};

const seconds = (s: number) => duration(s * 1000);
const byTime = (a: Candidate, b: Candidate) => (a.eta_s ?? Infinity) - (b.eta_s ?? Infinity);

/** What cost the loser most against the winner. */
function reason(loser: Terms | undefined, winner: Terms | undefined): string | undefined {
  const worst = TERMS.map((t) => ({ t, by: (loser?.[t.id] ?? 0) - (winner?.[t.id] ?? 0) })).sort((a, b) => b.by - a.by)[0];
  return worst && worst.by > 0.01 ? worst.t.loses : undefined;
}

function against(winner: Candidate, next: Candidate): string {
  const waits = (next.terms?.slot ?? 0) - (winner.terms?.slot ?? 0);
  if (waits > 0.01 && (next.eta_s ?? 0) < (winner.eta_s ?? 0)) return `${next.node} had no free slot: ${seconds(waits)} to wait, which was not worth it.`;
  const gap = (next.eta_s ?? 0) - (winner.eta_s ?? 0);
  if (gap <= 0.2 || gap <= 0.2 * (winner.eta_s ?? 0)) return `${next.node} was as good (${seconds(next.eta_s ?? 0)}): of equals, the one with less in flight is taken.`;
  const lost = reason(next.terms, winner.terms);
  return `Next was ${next.node} with ${seconds(next.eta_s ?? 0)}${lost ? `: it ${lost}` : ''}.`;
}

/** The nodes that are known to have been compared; a gateway that keeps no more tells the best two. */
export function compared(r: RequestRecord): Candidate[] {
  const d = r.decision;
  if (d?.candidates) return d.candidates;
  if (!d?.terms || !r.node) return [];
  const winner = { node: r.node, eta_s: d.total_s ?? null, terms: d.terms };
  return d.next ? [winner, d.next] : [winner];
}

function chosen(r: RequestRecord): string[] {
  const d = r.decision;
  if (!d) return [];
  const all = compared(r);
  const winner = all.find((c) => c.node === r.node);
  const tried = new Set(r.attempts?.map((a) => a.node));
  const others = all.filter((c) => c.node !== r.node && !c.excluded && !tried.has(c.node)).sort(byTime);
  const out = all.filter((c) => c.excluded);
  const total = winner?.eta_s ?? d.total_s;
  const said: string[] = [];
  if (POLICIES[d.policy]) said.push(`${POLICIES[d.policy]} (${d.policy}).`);
  else if (total != null) said.push(`${r.node} was expected to be the soonest: ${seconds(total)} when all reasons are weighed.`);
  if (winner && others[0] && !POLICIES[d.policy]) said.push(against(winner, others[0]));
  if (d.candidates && !others.length && tried.size < 2) said.push(out.length ? `No other node could take it: ${out.map((c) => `${c.node} ${c.excluded}`).join('; ')}.` : 'It is the only node.');
  if (!d.candidates && d.next === null && d.policy === 'eta' && tried.size < 2) said.push('No other node that could take it had the model loaded.');
  return said;
}

function triedBefore(r: RequestRecord): string[] {
  const failed = (r.attempts ?? []).slice(0, -1);
  if (failed.length) return failed.map((a) => `${a.node} was tried first: ${a.detail ?? a.outcome}. Not one byte had gone to the client, so it went elsewhere.`);
  return r.tries > 1 ? [`It took ${r.tries} tries.`] : [];
}

export function why(r: RequestRecord): string[] {
  if (r.cache && CACHED[r.cache]) return [CACHED[r.cache]!];
  if (!r.node) return [r.status >= 400 ? 'It never reached a node.' : 'The gateway answered by itself.'];
  return [...chosen(r), ...triedBefore(r)];
}

/** One line for a list. */
export function whyBriefly(r: RequestRecord): string {
  if (!r.node || CACHED[r.cache ?? '']) return why(r)[0]!;
  const terms = TERMS.filter((t) => (r.decision?.terms?.[t.id] ?? 0) >= 0.005).map((t) => `${t.name} ${seconds(r.decision!.terms![t.id]!)}`);
  const of = r.decision?.n ? `of ${r.decision.n}` : '';
  return [of, terms.length ? names(terms, 3) : ''].filter(Boolean).join(': ') || (r.decision?.policy ?? '');
}
