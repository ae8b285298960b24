// How states are said and drawn: one row each, so that a word and a shape always go together.
import type { Breaker, FleetNode, NodeState } from '../feed.ts';
import type { Level } from '../verdict.ts';
import type { IconName } from './icons.tsx';

export const NODE_STATES: Record<NodeState, { word: string; icon: IconName; level: Level; order: number }> = {
  down: { word: 'down', icon: 'bad', level: 'bad', order: 0 },
  suspect: { word: 'suspect', icon: 'watch', level: 'watch', order: 1 },
  starting: { word: 'starting', icon: 'starting', level: 'unknown', order: 2 },
  draining: { word: 'draining', icon: 'pause', level: 'unknown', order: 3 },
  up: { word: 'up', icon: 'well', level: 'well', order: 4 },
};
export const stateOf = (n: FleetNode) =>
  NODE_STATES[n.state] ?? { word: n.state, icon: 'unknown' as IconName, level: 'unknown' as Level, order: 2 };

export const BREAKERS: Record<Breaker, { icon: IconName; level: Level; says: string }> = {
  closed: { icon: 'closed', level: 'well', says: 'answers normally' },
  open: { icon: 'open', level: 'bad', says: 'resting after failures' },
  trial: { icon: 'trial', level: 'watch', says: 'one request is testing it' },
};
